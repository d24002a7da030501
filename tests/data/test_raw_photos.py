import io
import struct

import numpy as np
import PIL.Image
import pytest

from tfvision.data import image_formats
from tfvision.data.decoding import photo_size, read_pixels, thumbnail_jpeg
from tfvision.data.exif import exif_of_raw
from tfvision.data.photo_files import walk_photos
from tfvision.errors import DataError

LEFT, RIGHT = (200, 40, 40), (40, 60, 200)  # what the left and the right half of the sensor see


def dng(width=64, height=48, orientation=1):
    """A digital negative of 16 bits: Bayer's pattern RGGB, without compression."""
    y, x = np.mgrid[:height, :width]
    channel = np.array([[0, 1], [1, 2]])[y % 2, x % 2]
    values = np.where(x < width // 2, np.array(LEFT)[channel], np.array(RIGHT)[channel])
    linear = (values / 255.0) ** 2.2 * 60000
    tags = {
        254: (4, [0]), 256: (4, [width]), 257: (4, [height]), 258: (3, [16]), 259: (3, [1]), 262: (3, [32803]), 273: (4, ["data"]), 274: (3, [orientation]),
        277: (3, [1]), 278: (4, [height]), 279: (4, [2 * width * height]), 271: (2, b"Tfvision\0"), 272: (2, b"Model 1\0"), 33421: (3, [2, 2]),
        33422: (1, bytes([0, 1, 1, 2])), 50706: (1, bytes([1, 4, 0, 0])), 50708: (2, b"Tfvision Model 1\0"), 50717: (4, [65535]),
        50721: (10, [(3240, 1000), (-1537, 1000), (-498, 1000), (-969, 1000), (1876, 1000), (41, 1000), (55, 1000), (-204, 1000), (1057, 1000)]),
        50728: (5, [(1, 1), (1, 1), (1, 1)]), 50778: (3, [21]),
    }  # fmt: skip
    return tiff(tags, linear.astype("<u2").tobytes())


def tiff(tags, data=b""):
    """A TIFF of one directory; where a tag's value is ["data"] it says where the data lie."""
    packed = {}
    for tag, (kind, values) in tags.items():
        if isinstance(values, bytes):
            packed[tag] = kind, len(values), values
        elif kind in (5, 10):
            packed[tag] = kind, len(values), b"".join(struct.pack("<ii", *value) for value in values)
        else:
            packed[tag] = kind, len(values), None if values == ["data"] else struct.pack("<" + {3: "H", 4: "I"}[kind] * len(values), *values)
    start = 8 + 2 + 12 * len(packed) + 4
    behind = b"".join(value for _, value in sorted((tag, value) for tag, (_, _, value) in packed.items() if value and len(value) > 4))
    entries, place = b"", start
    for tag, (kind, count, value) in sorted(packed.items()):
        value = struct.pack("<I", start + len(behind)) if value is None else value
        if len(value) > 4:
            entries += struct.pack("<HHII", tag, kind, count, place)
            place += len(value)
        else:
            entries += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<IH", 8, len(packed)) + entries + bytes(4) + behind + data


def jpeg(colour, size, exif=None):
    buffer = io.BytesIO()
    PIL.Image.new("RGB", size, colour).save(buffer, "JPEG", **({"exif": exif} if exif else {}))
    return buffer.getvalue()


@pytest.fixture
def rawpy():
    return pytest.importorskip("rawpy")


def test_a_raw_file_is_developed_upright(rawpy, tmp_path):
    (tmp_path / "flat.DNG").write_bytes(dng())
    (tmp_path / "turned.dng").write_bytes(dng(orientation=6))
    assert walk_photos(tmp_path).names == ["flat.DNG", "turned.dng"]
    pixels = read_pixels(tmp_path / "flat.DNG")
    assert pixels.shape == (48, 64, 3) and photo_size(tmp_path / "flat.DNG") == (64, 48)
    assert pixels[24, 10].argmax() == 0 and pixels[24, 50].argmax() == 2
    turned = read_pixels(tmp_path / "turned.dng")
    assert turned.shape == (64, 48, 3) and photo_size(tmp_path / "turned.dng") == (48, 64)
    assert turned[10, 24].argmax() == 0 and turned[50, 24].argmax() == 2  # the left edge is the top one
    assert thumbnail_jpeg(tmp_path / "flat.DNG") is not None


def test_where_a_raw_file_cannot_be_developed_its_largest_preview_stands_for_it(rawpy, tmp_path):
    directory = tiff({271: (2, b"Unheard of\0"), 274: (3, [6])})
    (tmp_path / "new.arw").write_bytes(directory + jpeg(RIGHT, (16, 12)) + jpeg(LEFT, (64, 48)) + b"and more")
    pixels = read_pixels(tmp_path / "new.arw")
    assert pixels.shape == (64, 48, 3) and pixels[20, 20].argmax() == 0


def test_a_raw_file_without_pixels_is_broken_in_one_line(rawpy, tmp_path):
    (tmp_path / "cut.nef").write_bytes(b"raw")
    with pytest.raises(DataError, match=r"cut.nef is no raw file that can be developed \(.*\), and holds no preview"):
        read_pixels(tmp_path / "cut.nef")


def test_without_the_extra_raw_files_are_named_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(image_formats, "reads_raw", lambda: False)
    (tmp_path / "a.cr3").write_bytes(b"raw")
    assert [one.reason for one in walk_photos(tmp_path, may_be_empty=True).left_out] == [image_formats.IS_RAW]
    with pytest.raises(DataError, match=r"a.cr3 is a camera's raw file: pip install \"tfvision\[raw\]\" reads it"):
        read_pixels(tmp_path / "a.cr3")


def canon(*boxes):
    """The beginning of a CR3: boxes of directories."""
    return b"\0\0\0\x18ftypcrx \0\0\0\1" + b"".join(struct.pack(">I", 8 + len(content)) + name + content for name, content in boxes)


def test_the_exif_of_raw_files_is_read_by_their_kinds():
    make, taken = {271: (2, b"Maker\0")}, {36867: (2, b"2021:05:03 14:22:33\0")}
    assert exif_of_raw(tiff(make)).main[271] == "Maker"
    assert exif_of_raw(b"IIRO" + tiff(make)[4:]).main[271] == "Maker" and exif_of_raw(b"IIU\0" + tiff(make)[4:]).main[271] == "Maker"
    found = exif_of_raw(canon((b"CMT1", tiff(make)), (b"CMT2", tiff(taken)), (b"CMT4", tiff({1: (2, b"N\0")}))))
    assert (found.main[271], found.photo[36867], found.gps[1]) == ("Maker", "2021:05:03 14:22:33", "N")
    exif = PIL.Image.Exif()
    exif[271] = "Fuji"
    preview = jpeg(LEFT, (8, 8), exif)
    assert exif_of_raw(b"FUJIFILMCCD-RAW".ljust(84, b"\0") + struct.pack(">II", 92, len(preview)) + preview).main[271] == "Fuji"
    assert exif_of_raw(b"no raw file") == ({}, {}, {}) == exif_of_raw(b"II*\0\xff\xff\xff\xff")
