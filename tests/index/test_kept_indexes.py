import json

import pytest

from tfvision.errors import GalleryError
from tfvision.index import kept_indexes
from tfvision.index.folder_gallery import FolderGallery
from tfvision.index.vector_search import search


def test_an_index_is_kept_beside_the_vectors_and_built_again_when_it_is_stale(crowd, unit_vectors):
    assert crowd.info()["indexes"] == []
    first = crowd.open_index("ivfpq")
    (facts,) = FolderGallery.open(crowd.location).info()["indexes"]
    assert facts == first.facts and facts["rows"] == 3000 and 0.9 < facts["recall"] <= 1
    assert FolderGallery.open(crowd.location).open_index("ivfpq").facts == facts  # read, not built: the seconds are the same
    crowd.add([f"q{number}" for number in range(500)], unit_vectors(500, seed=3), ["x"] * 500)
    assert FolderGallery.open(crowd.location).open_index("ivfpq").rows == 3000  # 500 are compared one by one
    crowd.add([f"r{number}" for number in range(500)], unit_vectors(500, seed=4), ["x"] * 500)
    assert FolderGallery.open(crowd.location).open_index("ivfpq").rows == 4000
    assert len(list(crowd.data_folder.glob("*.faiss"))) == 1


@pytest.mark.parametrize("method", ["hnsw", "ivfpq"])
def test_what_was_added_or_removed_since_counts(crowd, unit_vectors, method):
    crowd.open_index(method)
    queries = unit_vectors(20, seed=5)
    crowd.add([f"q{number}" for number in range(20)], queries, ["x"] * 20)
    best = [found[0] for found in search(crowd, queries, 3, method=method)]
    assert [hit.id for hit in best] == [f"q{number}" for number in range(20)]
    crowd.remove([f"q{number}" for number in range(20)])
    assert not any(hit.id.startswith("q") for found in search(crowd, queries, 3, method=method) for hit in found)


def test_a_changed_byte_of_an_index_or_its_facts_is_named_and_the_index_built_again(crowd, capsys):
    crowd.open_index("ivfpq")
    crowd.check()
    path, index = crowd.data_folder / "ivfpq.json", crowd.data_folder / "ivfpq-3000.faiss"
    for changed in (path, index):
        data = changed.read_bytes()
        places = [data.index(b"recall") + len('recall": 0.'), 3, len(data) // 2] if changed == path else [len(data) // 2]
        for place in places:
            changed.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            with pytest.raises(GalleryError, match=rf"ivfpq.*{changed.suffix} is damaged.*remove it; the next search that needs it builds it again"):
                crowd.check()
            if changed == path:
                assert crowd.info()["indexes"] == []
        changed.write_bytes(data)
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "crc32": int(facts["crc32"][:8], 16)}))  # as tfvision 0.2 wrote it
    crowd.check()
    path.write_text(json.dumps({**facts, "effort": 999}))
    capsys.readouterr()
    assert FolderGallery.open(crowd.location).open_index("ivfpq").facts["effort"] == facts["effort"]
    assert "ivfpq.json is damaged" in capsys.readouterr().err
    crowd.check()


@pytest.mark.parametrize("damage", ["facts", "index", "cut"])
def test_a_damaged_index_is_built_again(crowd, damage):
    crowd.open_index("ivfpq")
    path = crowd.data_folder / ("ivfpq.json" if damage == "facts" else "ivfpq-3000.faiss")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + (b"" if damage == "cut" else b"?" + data[len(data) // 2 + 1 :]))
    assert FolderGallery.open(crowd.location).open_index("ivfpq").rows == 3000
    assert crowd.info()["indexes"]


def test_the_method_is_chosen_by_size(crowd, unit_vectors, monkeypatch):
    assert [kept_indexes.chosen_method(rows) for rows in (10, 49_999, 50_000, 199_999, 200_000, 10**8)] == ["exact"] * 2 + ["hnsw"] * 2 + ["ivfpq"] * 2
    monkeypatch.setattr(kept_indexes, "_IVFPQ_FROM", 1000)
    monkeypatch.setattr(kept_indexes, "_HNSW_FROM", 1000)
    search(crowd, unit_vectors(1, seed=1), 5)
    assert [facts["method"] for facts in crowd.info()["indexes"]] == ["ivfpq"]


def test_the_facts_of_an_index_are_plain_json(crowd):
    crowd.open_index("hnsw")
    facts = json.loads((crowd.data_folder / "hnsw.json").read_text())
    assert set(facts) == {"method", "rows", "candidates", "effort", "recall", "recall_at", "seconds", "file", "crc32"}
