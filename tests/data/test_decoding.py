import contextlib
import functools
import io
import os
import resource
import struct
import subprocess
import sys
import zlib

import numpy as np
import PIL.Image
import PIL.ImageFile
import PIL.ImageOps
import pytest

from tfvision.data import decoding, image_formats
from tfvision.data.decoding import check_photo, decode_photo, decoded_size, read_photo, read_pixels, thumbnail_jpeg, upright
from tfvision.errors import DataError

HEIGHT, WIDTH = 24, 32
ROW, COLUMN = np.mgrid[:HEIGHT, :WIDTH]
PIXELS = np.stack([8 * COLUMN, 10 * ROW, 4 * (ROW + COLUMN)], axis=-1).astype(np.uint8)
IMAGE = PIL.Image.fromarray(PIXELS)


def encode(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def exif(orientation):
    tags = PIL.Image.Exif()
    tags[0x0112] = orientation
    return tags


def decode(encoded, ratio=1):
    photo = check_photo(encoded)
    pixels = decode_photo(photo, ratio)
    assert pixels.dtype == np.uint8
    if ratio == 1:
        assert pixels.shape == (photo.height, photo.width, 3)
    return pixels


def pillows(encoded):
    with PIL.Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(PIL.ImageOps.exif_transpose(image).convert("RGB"))


def largest_difference(one, other):
    assert one.shape == other.shape
    return np.abs(one.astype(int) - other).max()


# Formats, against Pillow or by hand


@pytest.mark.parametrize("options", [{}, {"quality": 40}, {"progressive": True}, {"subsampling": 0}, {"optimize": True}], ids=str)
def test_jpegs_decode_as_with_pillow(options):
    encoded = encode(IMAGE, "JPEG", **options)
    assert largest_difference(decode(encoded), pillows(encoded)) <= 1


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_jpegs_decode_as_with_pillow(mode):
    encoded = encode(IMAGE.convert(mode), "JPEG", quality=95)
    assert largest_difference(decode(encoded), pillows(encoded)) <= 2


def test_a_jpeg_with_another_behind_it_is_its_first_image_and_decodes_reduced():
    encoded = encode(IMAGE, "MPO", save_all=True, append_images=[PIL.Image.new("RGB", (8, 8))])
    assert PIL.Image.open(io.BytesIO(encoded)).format == "MPO"
    assert largest_difference(decode(encoded), pillows(encoded)) <= 1
    assert decode(encoded, ratio=4).shape == (6, 8, 3)


@pytest.mark.parametrize(
    ("mode", "format"),
    [(mode, "PNG") for mode in ("RGB", "L", "1", "P")]
    + [("RGB", "BMP"), ("L", "BMP"), ("P", "BMP"), ("RGB", "TIFF"), ("CMYK", "TIFF"), ("RGB", "PPM"), ("L", "PPM"), ("P", "GIF")],
)
def test_lossless_formats_decode_as_with_pillow(mode, format):
    encoded = encode(IMAGE.convert(mode), format)
    assert largest_difference(decode(encoded), pillows(encoded)) == 0


@pytest.mark.parametrize("is_lossless", [True, False])
def test_still_webp_decodes_as_with_pillow(is_lossless):
    encoded = encode(IMAGE, "WEBP", lossless=is_lossless)
    assert largest_difference(decode(encoded), pillows(encoded)) == 0


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_read(format):
    frames = [PIL.Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if format == "WEBP" else {}
    pixels = decode(encode(frames[0], format, save_all=True, append_images=frames[1:], **options))
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert (pixels == (255, 0, 0)).all()


def test_a_gif_whose_first_frame_is_smaller_than_its_screen_has_the_screens_size():
    encoded = bytearray(encode(IMAGE.quantize(16), "GIF"))
    struct.pack_into("<HH", encoded, 6, WIDTH + 8, HEIGHT + 6)
    pixels = decode(bytes(encoded))
    assert pixels.shape == (HEIGHT + 6, WIDTH + 8, 3)
    assert largest_difference(pixels, pillows(bytes(encoded))) == 0


@pytest.mark.parametrize("is_upside_down", [True, False])
@pytest.mark.parametrize("bits", [16, 32])
def test_bmps_of_other_depths_are_read(bits, is_upside_down):
    values = PIXELS.astype(np.uint32)
    if bits == 32:
        words = (values[..., 0] << 16 | values[..., 1] << 8 | values[..., 2]).astype("<u4")
    else:  # five bits a channel
        words = (values[..., 0] >> 3 << 10 | values[..., 1] >> 3 << 5 | values[..., 2] >> 3).astype("<u2")
    body = (words if is_upside_down else words[::-1]).tobytes()
    height = -HEIGHT if is_upside_down else HEIGHT
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, height, 1, bits, 0, len(body), 2835, 2835, 0, 0)
    encoded = b"BM" + struct.pack("<IHHI", 54 + len(body), 0, 0, 54) + header + body
    assert largest_difference(decode(encoded), PIXELS) <= (0 if bits == 32 else 8)


def test_transparent_parts_are_white():
    layer = np.zeros((2, 2, 4), np.uint8)
    layer[0, 0] = 200, 100, 50, 255
    layer[0, 1] = 200, 100, 50, 0
    layer[1, 0] = 0, 0, 0, 51  # a fifth of black on white: 255 * 4 / 5
    for format, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
        pixels = decode(encode(PIL.Image.fromarray(layer), format, **options))
        assert pixels.tolist() == [[[200, 100, 50], [255, 255, 255]], [[204, 204, 204], [255, 255, 255]]]


def test_a_transparent_colour_of_a_palette_or_of_grey_is_white():
    palette = PIL.Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    for format in ("PNG", "GIF"):
        assert decode(encode(palette, format, transparency=1)).tolist() == [[[255, 0, 0], [255, 255, 255]]]
    grey = PIL.Image.fromarray(np.uint8([[10, 200]]))
    assert decode(encode(grey, "PNG", transparency=10)).tolist() == [[[255] * 3, [200] * 3]]


def test_grey_with_alpha_is_laid_on_white():
    grey = PIL.Image.fromarray(np.uint8([[[100, 255], [100, 0]]]), "LA")
    assert decode(encode(grey, "PNG")).tolist() == [[[100] * 3, [255] * 3]]


@pytest.mark.parametrize(("format", "options"), [("PNG", {}), ("PNG", {"transparency": 5}), ("TIFF", {}), ("PPM", {})], ids=str)
def test_of_16_bits_the_high_byte_is_kept(format, options):
    deep = (ROW * WIDTH + COLUMN).astype(np.uint16) * 85  # 0 to 65195
    pixels = decode(encode(PIL.Image.fromarray(deep), format, **options))
    assert largest_difference(pixels, np.repeat((deep >> 8)[..., None], 3, axis=2)) == 0


def test_a_dark_16_bit_image_stays_dark():
    dark = np.full((2, 2), 200, np.uint16)
    for format in ("PNG", "TIFF"):
        assert decode(encode(PIL.Image.fromarray(dark), format)).max() <= 1


# Orientation


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(format, orientation):
    encoded = encode(IMAGE, format, exif=exif(orientation))
    with PIL.Image.open(io.BytesIO(encoded)) as image:
        assert image.getexif()[0x0112] == orientation
    photo = check_photo(encoded)
    assert (photo.height, photo.width) == ((HEIGHT, WIDTH) if orientation < 5 else (WIDTH, HEIGHT))
    assert largest_difference(decode(encoded), pillows(encoded)) <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_turns_pixels_as_pillow_does(orientation):
    image = IMAGE.copy()
    image.getexif()[0x0112] = orientation
    assert (upright(PIXELS, orientation) == np.asarray(PIL.ImageOps.exif_transpose(image))).all()


def test_an_orientation_that_does_not_exist_is_ignored():
    assert check_photo(encode(IMAGE, "JPEG", exif=exif(9))).orientation == 1


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("block", [b"garbage!", b"II", b"MM\0*\0\0\0\x08\xff\xff", b""])
def test_broken_exif_does_not_spoil_a_good_photo(block):
    # With a resolution in the header, Pillow does not look into the EXIF, and swallow its errors, by itself.
    encoded = encode(IMAGE, "JPEG", exif=b"Exif\0\0" + block, dpi=(72, 72))
    assert check_photo(encoded).orientation == 1
    assert decode(encoded).shape == (HEIGHT, WIDTH, 3)


# Reduced scale


@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_a_jpeg_is_decoded_at_a_fraction_of_its_size(ratio):
    image = IMAGE.resize((96, 72))
    pixels = decode(encode(image, "JPEG", quality=95), ratio)
    assert pixels.shape == (72 // ratio, 96 // ratio, 3)
    assert np.abs(pixels - np.asarray(image.reduce(ratio), float)).mean() < 3


def test_a_reduced_size_is_rounded_up():
    assert decode(encode(IMAGE.resize((33, 25)), "JPEG"), 8).shape == (4, 5, 3)


def test_a_reduced_jpeg_is_turned_upright():
    pixels = decode(encode(IMAGE, "JPEG", exif=exif(6)), 2)
    assert pixels.shape == (WIDTH // 2, HEIGHT // 2, 3)


def test_others_are_decoded_at_full_size_whatever_the_ratio():
    assert (decode(encode(IMAGE, "PNG"), 4) == PIXELS).all()


# Broken files


def broken_files(folder):
    jpeg = encode(IMAGE, "JPEG")
    (folder / "cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (folder / "cut header.jpg").write_bytes(jpeg[:30])
    (folder / "cut.png").write_bytes(encode(IMAGE, "PNG")[:70])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("This is a text.")
    (folder / "drawing.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")  # Ghostscript's
    (folder / "folder.jpg").mkdir()
    return {
        "cut.jpg": "damaged|Truncated",
        "cut header.jpg": "no image that can be read",
        "cut.png": "damaged",
        "empty.jpg": r"empty \(0 bytes\)",
        "text.jpg": "no image that can be read: expected JPEG, PNG",
        "drawing.jpg": "no image that can be read: expected JPEG, PNG",
        "folder.jpg": r"cannot be read \(Is a directory\)",
        "gone.jpg": r"cannot be read \(No such file or directory\)",
    }


def test_a_broken_file_is_named_with_its_reason(tmp_path):
    for name, message in broken_files(tmp_path).items():
        with pytest.raises(DataError, match=message) as error:
            read_pixels(tmp_path / name)
        assert str(error.value).startswith(str(tmp_path / name))


def test_a_broken_file_has_no_thumbnail(tmp_path):
    for name in broken_files(tmp_path):
        assert thumbnail_jpeg(tmp_path / name) is None


def test_a_thumbnail_is_a_small_upright_jpeg(tmp_path):
    IMAGE.resize((640, 512)).save(tmp_path / "1.jpg", exif=exif(6))
    with PIL.Image.open(io.BytesIO(thumbnail_jpeg(tmp_path / "1.jpg", size_px=50))) as image:
        assert (image.format, image.size) == ("JPEG", (40, 50))  # from 512 x 640 upright


@pytest.mark.parametrize(
    "mode, suffix", [("RGB", "jpg"), ("L", "jpg"), ("CMYK", "jpg"), ("P", "png"), ("RGBA", "png"), ("I;16", "png"), ("RGB", "webp"), ("RGB", "tif")]
)
def test_a_thumbnail_shows_what_is_decoded(mode, suffix, tmp_path):
    path = tmp_path / f"1.{suffix}"
    if mode == "I;16":
        PIL.Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 256).save(path)
    else:
        (IMAGE.quantize(64) if mode == "P" else IMAGE.convert(mode)).save(path)
    with PIL.Image.open(io.BytesIO(thumbnail_jpeg(path, size_px=WIDTH))) as image:
        assert np.abs(np.asarray(image, float) - read_pixels(path)).mean() < 12  # it is a JPEG


def test_a_thumbnail_does_not_wait_for_tensorflow(tmp_path):
    IMAGE.save(tmp_path / "1.jpg")
    script = "import sys; from tfvision.data.decoding import thumbnail_jpeg; print(len(thumbnail_jpeg(sys.argv[1])), 'tensorflow' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", script, str(tmp_path / "1.jpg")], capture_output=True, text=True, check=True).stdout.split()
    assert int(out[0]) > 100 and out[1] == "False"


def test_read_photo_reads_bytes_and_header_alone(tmp_path, monkeypatch):
    IMAGE.save(tmp_path / "1.jpg", exif=exif(8))
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", lambda self: pytest.fail("pixels were decoded"))
    photo = read_photo(tmp_path / "1.jpg")
    assert (photo.height, photo.width, photo.orientation) == (WIDTH, HEIGHT, 8)
    assert photo.encoded == (tmp_path / "1.jpg").read_bytes()


# Hostile files


def jpeg_that_declares(width, height):
    encoded = bytearray(encode(IMAGE, "JPEG"))
    struct.pack_into(">HH", encoded, encoded.index(b"\xff\xc0") + 5, height, width)
    return bytes(encoded)


def png_that_declares(width, height):
    encoded = bytearray(encode(IMAGE, "PNG"))
    struct.pack_into(">II", encoded, 16, width, height)
    struct.pack_into(">I", encoded, 29, zlib.crc32(encoded[12:29]))
    return bytes(encoded)


def bmp_that_declares(width, height):
    encoded = bytearray(encode(IMAGE, "BMP"))
    struct.pack_into("<ii", encoded, 18, width, height)
    return bytes(encoded)


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("make", "width", "height", "message"),
    [
        (jpeg_that_declares, 20000, 20000, "^the image declares more than 150,000,000 pixels: scale it down$"),  # Pillow raises
        (png_that_declares, 20000, 20000, "^the image declares more than 150,000,000 pixels: scale it down$"),
        (jpeg_that_declares, 12000, 12501, "^the image declares more than 150,000,000 pixels: scale it down$"),  # Pillow warns
        (png_that_declares, 12000, 12501, "^the image declares more than 150,000,000 pixels: scale it down$"),
        (bmp_that_declares, 12000, 12501, "^the image declares more than 150,000,000 pixels: scale it down$"),  # goes through Pillow
    ],
)
def test_a_header_that_declares_too_much_is_refused_before_pixels_are_allocated(make, width, height, message, monkeypatch):
    loads = []
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", lambda self: loads.append(self))
    peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=message):
        check_photo(make(width, height))
    assert not loads
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_before < 50_000  # kB; the pixels need 120 to 1200 MB


def test_the_same_files_of_true_size_are_read():
    for make in (jpeg_that_declares, png_that_declares, bmp_that_declares):
        assert decode(make(WIDTH, HEIGHT)).shape == (HEIGHT, WIDTH, 3)


@functools.cache
def hostile_seeds():
    turned = IMAGE.rotate(90)
    return {
        "jpeg": encode(IMAGE, "JPEG", exif=exif(6), dpi=(72, 72)),
        "progressive jpeg": encode(IMAGE, "JPEG", progressive=True),
        "cmyk jpeg": encode(IMAGE.convert("CMYK"), "JPEG"),
        "mpo": encode(IMAGE, "MPO", save_all=True, append_images=[turned]),
        "png": encode(IMAGE, "PNG", exif=exif(6)),
        "palette png": encode(IMAGE.quantize(16), "PNG", transparency=3),
        "gif": encode(IMAGE.quantize(16), "GIF", save_all=True, append_images=[turned.quantize(16)]),
        "bmp": encode(IMAGE, "BMP"),
        "webp": encode(IMAGE, "WEBP", exif=exif(6)),
        "animated webp": encode(IMAGE, "WEBP", save_all=True, append_images=[turned]),
        "tiff": encode(IMAGE, "TIFF", exif=exif(6)),
        "lzw tiff": encode(IMAGE, "TIFF", compression="tiff_lzw"),
        "jpeg tiff": encode(IMAGE, "TIFF", compression="jpeg"),
        "ppm": encode(IMAGE, "PPM"),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", hostile_seeds())
def test_hostile_bytes_decode_or_raise_data_error(kind):
    random = np.random.default_rng(len(kind))
    outcomes = {"decoded": 0, "refused": 0}
    for variant in range(24):
        encoded = bytearray(hostile_seeds()[kind])
        if variant % 3 == 0:
            del encoded[random.integers(len(encoded)) :]
        else:
            end = len(encoded) if variant % 3 == 1 else 200  # anywhere, or in the header
            for position in random.integers(min(end, len(encoded)), size=random.integers(1, 6)):
                encoded[position] = random.integers(256)
        try:
            decode(bytes(encoded))
            outcomes["decoded"] += 1
        except DataError:
            outcomes["refused"] += 1
    assert outcomes["refused"] >= 4, outcomes


# Parts of a photo


@pytest.mark.parametrize("ratio", [1, 2, 4, 8])
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}, {"restart_marker_blocks": 3}], ids=str)
def test_a_window_of_a_jpeg_is_that_part_of_all_its_pixels(options, ratio):
    pixels = np.random.default_rng(0).integers(0, 256, (29, 38, 3), np.uint8)
    image = PIL.Image.fromarray(pixels).resize((299, 227), PIL.Image.Resampling.BICUBIC)
    photo = check_photo(encode(image, "JPEG", **options))
    whole = decode_photo(photo, ratio)
    height, width = whole.shape[:2]
    assert decoded_size(photo, ratio) == (height, width)
    random = np.random.default_rng(1)
    windows = [(0, 0, height, width), (0, 0, 1, 1), (height - 1, width - 1, 1, 1)]
    for _ in range(20):
        (top, bottom), (left, right) = (np.sort(random.integers(0, side + 1, 2)) for side in (height, width))
        windows.append((int(top), int(left), max(1, int(bottom - top)), max(1, int(right - left))))
    for top, left, rows, columns in windows:
        top, left = min(top, height - rows), min(left, width - columns)
        part = decode_photo(photo, ratio, window=(top, left, rows, columns))
        np.testing.assert_array_equal(part, whole[top : top + rows, left : left + columns])


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_window_is_of_the_upright_photo(format, orientation):
    photo = check_photo(encode(IMAGE, format, exif=exif(orientation)))
    np.testing.assert_array_equal(decode_photo(photo, window=(3, 5, 7, 9)), decode_photo(photo)[3:10, 5:14])


def test_a_truncated_jpeg_is_found_out_also_where_the_window_is_above_what_is_missing():
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    encoded = encode(PIL.Image.fromarray(noise), "JPEG")
    with pytest.raises(DataError, match="a.jpg is damaged"):
        decode_photo(check_photo(encoded[: len(encoded) // 2]), name="a.jpg", window=(0, 0, 8, 8))


@pytest.mark.parametrize("format", ["HEIF", "AVIF"])
def test_heic_and_avif_are_read_upright(format, tmp_path):
    pytest.importorskip("pillow_heif").register_heif_opener()
    (tmp_path / "photo").write_bytes(encode(IMAGE, format, quality=95, exif=exif(6).tobytes()))
    pixels = read_pixels(tmp_path / "photo")
    assert pixels.shape == (WIDTH, HEIGHT, 3)
    assert np.abs(pixels.astype(int) - np.rot90(PIXELS, -1)).mean() < 8
    (tmp_path / "photo").write_bytes((tmp_path / "photo").read_bytes()[:-40])
    with pytest.raises(DataError, match="photo is no image that can be read"):
        read_pixels(tmp_path / "photo")


def test_heic_is_named_with_its_remedy_where_nothing_reads_it(monkeypatch):
    monkeypatch.setattr(image_formats, "formats", lambda: ("JPEG",))
    monkeypatch.setattr(decoding, "formats", lambda: ("JPEG",))
    with pytest.raises(DataError, match=r'photo.jpg is HEIC or AVIF: pip install "tfvision\[heif\]" reads it'):
        check_photo(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "photo.jpg")


def test_what_would_wait_for_ever_or_deceive_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(image_formats, "reads_raw", lambda: False)
    os.mkfifo(tmp_path / "pipe.jpg")
    IMAGE.save(tmp_path / "raw.nef", "TIFF")
    for name, message in {"pipe.jpg": "is a pipe", "raw.nef": "is a camera's raw file: pip install", "\udce9.jpg": r"\\xe9.jpg: the name is not UTF-8"}.items():
        with pytest.raises(DataError, match=message):
            read_photo(tmp_path / name)


def test_a_large_tiff_is_read_as_a_large_jpeg_is(monkeypatch):
    monkeypatch.setattr(decoding, "_LARGE_PIXELS", HEIGHT * WIDTH - 1)
    np.testing.assert_array_equal(decode_photo(check_photo(encode(IMAGE, "TIFF"))), PIXELS)
    for format in ("TIFF", "JPEG"):
        with pytest.raises(DataError, match="declares more than 767 pixels"), decoding.opened_header(encode(IMAGE, format), max_pixels=767):
            pass


def tiff(bits, planes, compression=1, sample_format=1):
    """IMAGE as a TIFF that Pillow does not write: of 16 bits, in planes, of floats."""
    kind = {(16, 1): "<u2", (32, 3): "<f4"}[bits, sample_format]
    deep = (PIXELS.astype(np.float32) * (256 if bits == 16 else 1)).astype(kind)
    blocks = [(deep[..., plane] if planes == 2 else deep).tobytes() for plane in range(3 if planes == 2 else 1)]
    blocks = [zlib.compress(block) if compression == 8 else block for block in blocks]
    tags = {256: [WIDTH], 257: [HEIGHT], 258: [bits] * 3, 259: [compression], 262: [2], 277: [3], 278: [HEIGHT], 284: [planes], 339: [sample_format] * 3}
    tags |= {273: [0] * len(blocks), 279: [len(block) for block in blocks]}
    ends = np.cumsum([8 + 2 + 12 * len(tags) + 4 + 4 * sum(len(values) for values in tags.values() if len(values) > 1), *map(len, blocks)]).tolist()
    tags[273] = ends[:-1]
    entries, extra = b"", b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}I", *values)
        place = packed if len(values) == 1 else struct.pack("<I", 8 + 2 + 12 * len(tags) + 4 + len(extra))
        entries += struct.pack("<HHI", tag, 4, len(values)) + place
        extra += packed if len(values) > 1 else b""
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + extra + b"".join(blocks)


@pytest.mark.parametrize(("planes", "compression"), [(1, 1), (1, 8), (2, 8)])
def test_a_tiff_of_16_bits_a_channel_is_read(planes, compression):
    assert (decode(tiff(16, planes, compression)) == PIXELS).all()


def test_a_tiff_that_would_be_misread_is_refused_with_the_way_out():
    with pytest.raises(DataError, match=r"more than 8 bits in separate planes: save it with interleaved channels, compressed, or as PNG"):
        check_photo(tiff(16, planes=2))
    with pytest.raises(DataError, match=r"a.tif is a damaged TIFF, or one of a kind that is not read: save it with 8 or 16 bits a channel"):
        check_photo(tiff(32, planes=1, sample_format=3), "a.tif")


def test_deep_grey_is_made_of_bytes_strip_by_strip(monkeypatch):
    monkeypatch.setattr(decoding, "_STRIP_ROWS", 5)
    deep = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 80
    assert (decode(encode(PIL.Image.fromarray(deep), "TIFF"))[..., 0] == deep >> 8).all()


def test_pillow_and_libtiff_say_nothing_of_a_photo_without_its_name(capfd, recwarn, caplog):
    image = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    random, encoded = np.random.default_rng(0), encode(image, "TIFF", compression="tiff_lzw")
    for _ in range(60):
        damaged = bytearray(encoded)
        for place in random.integers(0, len(damaged), 40):
            damaged[place] = random.integers(256)
        with contextlib.suppress(DataError):
            check_photo(bytes(damaged))
    assert capfd.readouterr() == ("", "") and not recwarn.list and not caplog.records
