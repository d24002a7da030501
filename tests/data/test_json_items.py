import io
import json

import pytest

from tfvision.data import json_items
from tfvision.errors import DataError


def test_json_items_are_those_of_the_standard_library(monkeypatch):
    content = {"a": [1, 22, 3.5, 'x"]', None, [1, [2]], {"k": [{}]}], "b": {"c": 1}, "é": 12345, "empty": [], "last": True}
    for chunk in (1, 3, 1000):
        monkeypatch.setattr(json_items, "_CHUNK_BYTES", chunk)
        for text in (json.dumps(content), json.dumps(content, indent=3, ensure_ascii=False)):
            found = list(json_items.json_items(io.BytesIO(("\ufeff" + text).encode()), "a.json"))
            assert found == [(key, item) for key, value in content.items() for item in (value if isinstance(value, list) else [value])]


def test_the_items_of_an_array_have_no_key():
    assert list(json_items.json_items(io.BytesIO(b' [1, {"a": [2]}, []] '), "a.json")) == [("", 1), ("", {"a": [2]}), ("", [])]
    assert list(json_items.json_items(io.BytesIO(b"[]"), "a.json")) == []


def test_arrays_that_are_not_split_come_whole():
    assert list(json_items.json_items(io.BytesIO(b'{"a": [1, 2], "b": [3, 4]}'), "a.json", ("b",))) == [("a", [1, 2]), ("b", 3), ("b", 4)]


def test_an_endless_item_of_json_is_refused(monkeypatch):
    monkeypatch.setattr(json_items, "_CHUNK_BYTES", 100)
    monkeypatch.setattr(json_items, "_MAX_ITEM_CHARACTERS", 1000)
    with pytest.raises(DataError, match="a.json .*one item has more than"):
        list(json_items.json_items(io.BytesIO(b'{"images": ["' + b"x" * 5000 + b'"]}'), "a.json"))
