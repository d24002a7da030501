import json

import pytest

from tfvision.data.imports import json_items
from tfvision.data.imports.archives import open_archive
from tfvision.errors import DataError


def test_json_items_are_those_of_the_standard_library(tmp_path, monkeypatch):
    content = {"a": [1, 22, 3.5, 'x"]', None, [1, [2]], {"k": [{}]}], "b": {"c": 1}, "é": 12345, "empty": [], "last": True}
    path = tmp_path / "a.json"
    for chunk in (1, 3, 1000):
        monkeypatch.setattr(json_items, "_CHUNK_BYTES", chunk)
        for text in (json.dumps(content), json.dumps(content, indent=3, ensure_ascii=False)):
            path.write_text("\ufeff" + text, encoding="utf-8")
            with open_archive(path) as archive:
                found = list(json_items.json_items(archive, "a.json"))
            assert found == [(key, item) for key, value in content.items() for item in (value if isinstance(value, list) else [value])]


def test_an_endless_item_of_json_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(json_items, "_CHUNK_BYTES", 100)
    monkeypatch.setattr(json_items, "_MAX_ITEM_CHARACTERS", 1000)
    (tmp_path / "a.json").write_text('{"images": ["' + "x" * 5000 + '"]}')
    with open_archive(tmp_path / "a.json") as archive, pytest.raises(DataError, match="one item has more than"):
        list(json_items.json_items(archive, "a.json"))
