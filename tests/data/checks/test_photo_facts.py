import hashlib
import io
import os

import numpy as np
import pytest
from PIL import Image

from tfvision.data.checks import photo_facts as module
from tfvision.data.checks.photo_facts import TRUNCATED, UNREADABLE, photo_facts, read_facts
from tfvision.data.manifest import Record


def save(path, pixels, kind="PNG", **options):
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, kind, **options)
    return path


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)


def test_facts_of_a_photo(tmp_path, pixels):
    path = save(tmp_path / "a.jpg", pixels)  # a PNG, whatever its name
    facts = photo_facts(path, "a.jpg")
    assert facts.fault == facts.reason == "" and (facts.format, facts.width, facts.height) == ("PNG", 40, 30)
    assert facts.bytes == os.path.getsize(path) and facts.sha256 == hashlib.sha256(path.read_bytes()).digest()


def test_the_same_pixels_have_the_same_checksum_however_they_are_packed(tmp_path, pixels):
    digests = [
        photo_facts(save(tmp_path / "1.png", pixels), "").pixels_sha256,
        photo_facts(save(tmp_path / "2.png", pixels, compress_level=1), "").pixels_sha256,
        photo_facts(save(tmp_path / "3.bmp", pixels, "BMP"), "").pixels_sha256,
    ]
    assert len(set(digests)) == 1
    changed = pixels.copy()
    changed[0, 0, 0] ^= 1
    assert photo_facts(save(tmp_path / "4.png", changed), "").pixels_sha256 != digests[0]
    assert photo_facts(save(tmp_path / "5.png", pixels.reshape(40, 30, 3)), "").pixels_sha256 != digests[0]


def test_a_turned_photo_counts_as_it_is_seen(tmp_path, pixels):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = photo_facts(save(tmp_path / "a.png", np.rot90(pixels), exif=exif), "")
    upright = photo_facts(save(tmp_path / "b.png", pixels), "")
    assert (turned.width, turned.height) == (40, 30) and turned.pixels_sha256 == upright.pixels_sha256


@pytest.mark.parametrize(
    ("kind", "cut", "fault"),
    [("JPEG", 0.7, TRUNCATED), ("PNG", 0.7, TRUNCATED), ("BMP", 0.7, TRUNCATED), ("JPEG", 0.001, UNREADABLE), ("PNG", 0, UNREADABLE)],
)
def test_truncated_is_told_from_unreadable(tmp_path, pixels, kind, cut, fault):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    path = tmp_path / "photo"
    path.write_bytes(buffer.getvalue()[: int(cut * len(buffer.getvalue()))])
    facts = photo_facts(path, "its name")
    assert facts.fault == fault and facts.reason.startswith("its name is ") and facts.pixels_sha256 == b""


def test_a_missing_file_is_unreadable(tmp_path):
    assert photo_facts(tmp_path / "none.jpg", "none.jpg").fault == UNREADABLE


@pytest.mark.parametrize(("noise", "expected"), [(0, 0), (20, 5)])
def test_spread_tells_a_wall_from_a_photo(tmp_path, noise, expected):
    """Noise averages out at 64 x 64: of 4 x 4 pixels each, a fourth of it is left."""
    pixels = np.clip(np.random.default_rng(0).normal(128, noise, (256, 256, 3)), 0, 255)
    assert photo_facts(save(tmp_path / "wall.png", pixels.round()), "").spread == pytest.approx(expected, abs=0.4)
    halves = np.where(np.arange(64)[:, None, None] < 32, 0, 255) * np.ones((64, 64, 3))
    assert photo_facts(save(tmp_path / "halves.png", halves), "").spread == pytest.approx(127.5, abs=0.1)


class TestReading:
    @pytest.fixture
    def records(self, tmp_path, pixels):
        names = [f"{number}.png" for number in range(6)]
        for number, name in enumerate(names):
            save(tmp_path / name, pixels // (number + 1))
        (tmp_path / names[5]).write_text("no image")
        return [Record(str(tmp_path / name), name, ("class",), name) for name in names]

    @pytest.fixture
    def seen(self, monkeypatch):
        """The names of the photos that were really read."""
        names, real = [], photo_facts
        monkeypatch.setattr(module, "photo_facts", lambda path, name: names.append(name) or real(path, name))
        return names

    def test_a_second_check_reads_only_what_changed(self, records, tmp_path, pixels, seen):
        told = []
        first = read_facts(records, tmp_path / "seen.csv", lambda *counts: told.append(counts))
        assert [facts.fault for facts in first] == [""] * 5 + [UNREADABLE] and len(seen) == 6
        assert told[0] == (0, 6) and told[-1] == (6, 6)
        seen.clear()
        again = read_facts(records, tmp_path / "seen.csv")
        assert not seen
        assert [facts._replace(spread=0) for facts in again] == [facts._replace(spread=0) for facts in first]
        assert [facts.spread for facts in again] == pytest.approx([facts.spread for facts in first], abs=0.006)
        save(tmp_path / "2.png", pixels // 9)
        assert read_facts(records, tmp_path / "seen.csv")[2] == photo_facts(tmp_path / "2.png", "2.png")
        assert seen == ["2.png"]

    def test_a_list_that_a_killed_check_left_is_gone_on_with(self, records, tmp_path, seen):
        read_facts(records, tmp_path / "seen.csv")
        lines = (tmp_path / "seen.csv").read_bytes().splitlines(keepends=True)
        (tmp_path / "seen.csv").write_bytes(b"".join(lines[:4]) + lines[4][:30])  # the header, three photos, and half a line
        seen.clear()
        whole = read_facts(records, tmp_path / "seen.csv")
        assert sorted(seen) == ["3.png", "4.png", "5.png"] and len(whole) == 6
        assert (tmp_path / "seen.csv").read_bytes().splitlines(keepends=True) == lines

    def test_a_photo_that_is_listed_twice_is_known_twice(self, records, tmp_path, seen):
        read_facts(records, tmp_path / "seen.csv")
        seen.clear()
        twice = read_facts([records[0], records[1], records[0]], tmp_path / "seen.csv")
        assert not seen and twice[0] == twice[2] != twice[1]
