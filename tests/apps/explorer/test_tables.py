"""Results that the explorer keeps are made again where they do not fit, with a word on stderr."""

import json

import numpy as np
import pytest

from tfvision.apps.explorer.tables import Tables
from tfvision.apps.explorer.thumbnails import Thumbnails


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


DAMAGE = {
    "flipped": _flip,
    "empty": lambda path: path.write_bytes(b""),
    "other arrays": lambda path: np.savez(path, places=np.zeros((2, 3)), scores=np.zeros(3), plane=np.zeros((6, 3))),
    "other values": lambda path: np.savez(path, places=np.full((6, 16), 6), scores=np.zeros((6, 16), np.float32), plane=np.full((6, 2), np.nan, np.float32)),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", ["neighbours", "pca"])
def test_a_table_that_does_not_fit_is_made_again(tmp_path, layer, damage, kind, capsys):
    read = lambda: np.array(Tables(tmp_path).neighbours(layer)[0] if kind == "neighbours" else Tables(tmp_path).map(layer, "pca"))
    expected = read()
    (path,) = tmp_path.glob(f"*-{kind}.npz")
    DAMAGE[damage](path)
    np.testing.assert_array_equal(read(), expected)
    assert f"{path} " in capsys.readouterr().err
    np.testing.assert_array_equal(read(), expected)
    assert capsys.readouterr().err == ""


def test_the_vector_of_a_picture_from_outside_is_made_again(session, layer, photos, monkeypatch):
    monkeypatch.setattr(session.queries, "_see", lambda path, layer: np.float32([1, 0, 0]))
    name = session.queries.receive(next((photos / "reds").iterdir()).read_bytes())
    expected = session.queries.open(name, layer).hits(3).tolist()
    (kept,) = (session.plan.state / "queries").glob("*.npz")
    _flip(kept)
    layer._known.clear()
    assert session.queries.open(name, layer).hits(3).tolist() == expected


@pytest.mark.parametrize("damage", ["flipped", "empty", "list", "ids"])
def test_thumbnails_of_a_damaged_sheet_are_made_again(tmp_path, photos, damage, capsys):
    paths = [str(path) for path in sorted(photos.rglob("*.png"))]
    make = lambda: Thumbnails(tmp_path / "sheets", [f"id {position}" for position in range(len(paths))], lambda position: paths[position])
    first = make()
    first.fill()
    expected = [first.get(position) for position in range(len(paths))]
    listed = tmp_path / "sheets" / "sheets.json"
    if damage == "list":
        listed.write_text("[" * 2000)
    elif damage == "ids":
        listed.write_text(json.dumps({**json.loads(listed.read_text()), "ids": ["id 1", "id 0"]}))
    else:
        DAMAGE[damage](tmp_path / "sheets" / "sheet-00000.bin")
    again = make()
    assert [again.get(position) for position in range(len(paths))] == expected and "again" in capsys.readouterr().err
    again.fill()
    assert [make().get(position) for position in range(len(paths))] == expected and capsys.readouterr().err == ""
