import io
import os
import threading

import numpy as np
import PIL.Image
import pytest

from tfvision.apps.explorer import thumbnails as module
from tfvision.apps.explorer.thumbnails import Thumbnails


@pytest.fixture
def pictures(tmp_path):
    """Five files: the fourth is broken."""
    random = np.random.default_rng(0)
    paths = [tmp_path / f"{name}.png" for name in range(5)]
    for number, path in enumerate(paths):
        PIL.Image.fromarray(random.integers(0, 40 * (number + 1), (30, 300, 3), np.uint8)).save(path)
    paths[3].write_bytes(b"no picture")
    return [str(path) for path in paths]


@pytest.fixture
def make(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHEET", 2)
    return lambda: Thumbnails(tmp_path / "sheets", [f"id {position}" for position in range(5)], lambda position: pictures[position])


def test_they_are_made_once_and_read_from_the_sheets(make, tmp_path, monkeypatch):
    first, told = make(), []
    first.fill(told.append)
    expected = [first.get(position) for position in range(5)]
    assert sum(told) == 5 and len(first) == 5 and len(list((tmp_path / "sheets").glob("sheet-*.bin"))) == 3
    monkeypatch.setattr(module, "thumbnail_jpeg", None)  # would fail if it were called
    again = make()
    assert len(again) == 5 and [again.get(position) for position in range(5)] == expected


def test_each_is_a_small_picture_and_a_broken_one_is_empty(make):
    found = make().get_many(range(5), 60)
    assert found[3] == b""
    image = PIL.Image.open(io.BytesIO(found[0]))
    assert image.size == (160, 16) and image.format in ("WEBP", "JPEG")


def test_what_takes_too_long_is_left_for_later(make, monkeypatch):
    thumbnails, released = make(), threading.Event()
    get = thumbnails.get
    monkeypatch.setattr(thumbnails, "get", lambda position: released.wait(60) and get(position))
    assert thumbnails.get_many([0, 1], 0.01) == [None, None]
    released.set()
    assert None not in thumbnails.get_many([0, 1], 60.0)


def test_one_that_changed_is_made_anew(make, pictures):
    thumbnails = make()
    thumbnails.fill()
    before = thumbnails.get(0)
    PIL.Image.new("RGB", (50, 50), "red").save(pictures[0])
    thumbnails.forget(["id 0"])
    assert thumbnails.get(0) != before
    thumbnails.fill()
    assert make().get(0) == thumbnails.get(0) != before


def test_a_sheet_that_was_lost_is_made_anew(make, tmp_path):
    first = make()
    first.fill()
    expected = first.get(2)
    (tmp_path / "sheets" / "sheet-00001.bin").unlink()
    again = make()
    assert len(again) == 3 and again.get(2) == expected


def test_a_stopped_filling_is_gone_on_with(make):
    first = make()
    first.fill(is_stopped=lambda: True)
    assert len(make()) == 0
    told = []
    make().fill(told.append, lambda: len(told) == 3)  # within a sheet of two
    assert len(make()) == 3
    again = make()
    again.fill()
    assert len(make()) == 5 and [again.get(position) != b"" for position in range(5)] == [True, True, True, False, True]


def test_one_whose_disk_was_away_is_tried_again(make, pictures):
    away = [f"{path} away" for path in pictures]
    for path, other in zip(pictures, away, strict=True):
        os.rename(path, other)
    thumbnails = make()
    thumbnails.fill()
    assert [thumbnails.get(position) for position in range(5)] == [b""] * 5
    for path, other in zip(pictures, away, strict=True):
        os.rename(other, path)
    assert [thumbnails.get(position) != b"" for position in range(5)] == [True, True, True, False, True]  # the fourth is broken
    assert [make().get(position) != b"" for position in range(5)] == [True, True, True, False, True]


def test_an_empty_one_of_a_picture_that_was_read_is_made_again(make, pictures, tmp_path):
    make().fill()
    PIL.Image.new("RGB", (50, 50), "red").save(pictures[3])
    assert make().get(3) == b""
    again = Thumbnails(tmp_path / "sheets", [f"id {position}" for position in range(5)], lambda position: pictures[position], lambda position: True)
    assert again.get(3) != b""
