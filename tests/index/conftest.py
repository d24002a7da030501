import itertools

import numpy as np
import pytest

from tfvision.index.folder_gallery import FolderGallery

_numbers = itertools.count()


@pytest.fixture(scope="session")
def unit_vectors():
    """A function: so many L2-normalised random vectors, float32 [count, dimension], around some centres."""

    def make(count, dimension=16, seed=0, centres=20):
        random = np.random.default_rng(seed)
        vectors = random.normal(size=(centres, dimension))[random.integers(0, centres, count)] + 0.5 * random.normal(size=(count, dimension))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    return make


@pytest.fixture
def insects(tmp_path):
    """A closed gallery of four pictures with metadata, dimension 3; the vectors are the axes and their sum."""
    vectors = np.float32([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
    metadata = [{"species": "Vanessa atalanta", "year": 2015}, {"species": "Vanessa cardui", "year": 2014}, {"species": "Apis"}, {}]
    with FolderGallery.create(tmp_path / "insects", 3, {"identity": "x"}) as gallery:
        gallery.add(["a", "b", "c", "d"], vectors, [str(tmp_path / f"{name}.jpg") for name in "abcd"], metadata)
    return tmp_path / "insects"


@pytest.fixture(scope="session")
def milvus_address(tmp_path_factory):
    """A milvus-lite database, whose server runs as long as the tests."""
    pytest.importorskip("milvus_lite", reason="milvus-lite, an extra that needs Python 3.12, is not installed")
    return f"milvus://{tmp_path_factory.mktemp('milvus')}/store.db"


@pytest.fixture
def milvus_location(milvus_address):
    """Where a gallery in Milvus may be made."""
    return f"{milvus_address}/shelf{next(_numbers)}"


@pytest.fixture(autouse=True)
def _one_thread():
    """FAISS's threads wait for each other in a loop: beside other work they would take many times as long for small data."""
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(threads)


@pytest.fixture
def crowd(tmp_path, unit_vectors):
    """An open, writable gallery of 3000 pictures of 16 values; metadata `part` is 0 to 9, `rare` marks 30 of them."""
    vectors = unit_vectors(3000)
    metadata = [{"part": number % 10, **({"rare": True} if number % 100 == 7 else {})} for number in range(3000)]
    with FolderGallery.create(tmp_path / "crowd", 16) as gallery:
        gallery.add([f"p{number}" for number in range(3000)], vectors, [f"{number}.jpg" for number in range(3000)], metadata)
        yield gallery
