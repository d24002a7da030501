import numpy as np
import pytest

from tfvision.index.gallery import Gallery


@pytest.fixture
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
    with Gallery.create(tmp_path / "insects", 3, {"identity": "x"}) as gallery:
        gallery.add(["a", "b", "c", "d"], vectors, [str(tmp_path / f"{name}.jpg") for name in "abcd"], metadata)
    return tmp_path / "insects"
