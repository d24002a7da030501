import functools
import io
import re
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from benchmarks import hostile_pictures
from tfvision.data import gif_frames, graph_decoding
from tfvision.data.decoding import check_photo, decode_photo
from tfvision.data.graph_decoding import image_of_encoded, views_of_encoded, views_of_pixels
from tfvision.data.graph_headers import first_gif_frame, size_in_header
from tfvision.data.views import as_pixels, central_region, cut_views, decoding_ratio, view_regions
from tfvision.errors import DataError

VIEWS, SIZE_PX = ("whole", "crop"), 64
NO_BOX = (0.0, 0.0, 0.0, 0.0)


@tf.function(input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([4], tf.float32)], autograph=False)  # as exports have it
def in_graph(encoded, box):
    return views_of_encoded(encoded, box, VIEWS, SIZE_PX)


def by_pillow_and_eagerly(encoded, box=NO_BOX):
    photo = check_photo(encoded)
    size = tf.constant([photo.height, photo.width])
    regions = view_regions(central_region(size), tf.constant(box, tf.float32), VIEWS)
    image = decode_photo(photo, int(decoding_ratio(regions, SIZE_PX)))
    return as_pixels(cut_views(image, size, regions, SIZE_PX)).numpy()


def drawing(height=300, width=520, channels=3, seed=0):
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (height // 10, width // 10, channels), dtype=np.uint8)
    return Image.fromarray(blocks.squeeze()).resize((width, height), Image.BICUBIC)


def in_colours(count, seed=0):
    return drawing(seed=seed).quantize(count, Image.Quantize.FASTOCTREE)


def encoded(image, file_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def exif(orientation, byte_order="<"):
    tags = Image.Exif()
    tags.endian = byte_order
    tags[0x010F], tags[0x0112] = "Camera", orientation
    return tags


SIXTEEN_BITS = np.random.default_rng(1).integers(0, 65536, (80, 90)).astype(np.uint16)
PHOTOS = {
    "large JPEG": encoded(drawing(1200, 1600), "JPEG"),
    "grey JPEG": encoded(drawing(channels=1), "JPEG"),
    "CMYK JPEG": encoded(drawing().convert("CMYK"), "JPEG"),
    "PNG": encoded(drawing(), "PNG"),
    "PNG of 16 bits": encoded(Image.fromarray(SIXTEEN_BITS), "PNG"),
    "PNG with a palette": encoded(in_colours(16), "PNG"),
    "PNG with a transparent colour": encoded(in_colours(16), "PNG", transparency=3),
    "transparent PNG": encoded(drawing(channels=4), "PNG"),
    "transparent grey PNG": encoded(drawing(channels=4).convert("LA"), "PNG"),
    "GIF": encoded(in_colours(256), "GIF"),
    "animated GIF": encoded(in_colours(256), "GIF", save_all=True, append_images=[in_colours(256, seed=1)]),
    "BMP": encoded(drawing(), "BMP"),
}


@pytest.fixture
def other_limits(monkeypatch):
    """monkeypatch, where graphs are traced anew; those that were traced stay for other tests."""
    for name in ("_opening", "_viewing"):
        monkeypatch.setattr(graph_decoding, name, functools.cache(getattr(graph_decoding, name).__wrapped__))
    return monkeypatch


@pytest.mark.parametrize("box", [NO_BOX, (30.0, 20.0, 90.0, 80.0)], ids=["no box", "box"])
@pytest.mark.parametrize("name", PHOTOS)
def test_every_format_gives_the_pixels_that_training_sees(name, box):
    np.testing.assert_array_equal(in_graph(PHOTOS[name], box), by_pillow_and_eagerly(PHOTOS[name], box))


def test_a_box_in_fractions_is_that_in_pixels():
    np.testing.assert_array_equal(in_graph(PHOTOS["PNG"], (0.25, 0.5, 0.5, 0.25)), in_graph(PHOTOS["PNG"], (130.0, 150.0, 260.0, 75.0)))


@pytest.mark.parametrize("box", [(5000.0, 5000.0, 300.0, 300.0), (0.1, 0.1, 0.001, 0.5), (500.0, 10.0, 100.0, 50.0), (-90.0, 0.0, 100.0, 50.0)])
def test_a_box_that_does_not_lie_in_the_image_fails(box):
    with pytest.raises(tf.errors.InvalidArgumentError, match="the box does not lie in the image"):
        in_graph(PHOTOS["PNG"], box)


@pytest.mark.parametrize("byte_order", ["<", ">"], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation, file_format, byte_order):
    photo = encoded(drawing(), file_format, exif=exif(orientation, byte_order))
    views = in_graph(photo, NO_BOX).numpy()
    np.testing.assert_array_equal(views, by_pillow_and_eagerly(photo))
    if orientation != 1:
        assert (views != in_graph(encoded(drawing(), file_format), NO_BOX).numpy()).any()


def test_broken_exif_leaves_a_photo_as_it_is():
    photo = encoded(drawing(), "JPEG", exif=exif(6))
    start = photo.index(b"Exif\0\0")
    broken = photo[: start + 10] + b"\xff" * 8 + photo[start + 18 :]
    np.testing.assert_array_equal(in_graph(broken, NO_BOX), in_graph(encoded(drawing(), "JPEG"), NO_BOX))


@pytest.mark.parametrize("photo", [b"", b"\xff\xd8", b"no image at all", PHOTOS["large JPEG"][:900], PHOTOS["PNG"][:60]])
def test_a_broken_image_fails(photo):
    with pytest.raises(tf.errors.InvalidArgumentError):
        in_graph(photo, NO_BOX)


@pytest.mark.parametrize(
    "photo",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (20_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0",
        b"GIF89a" + b"\xff\xff" * 2 + b"\0" * 20,
        b"BM" + b"\0" * 16 + (20_000).to_bytes(4, "little") * 2 + b"\0" * 20,
        re.sub(rb"(\xff\xc0\x00\x11\x08).{4}", rb"\1" + (20_000).to_bytes(2, "big") * 2, encoded(drawing(), "JPEG"), flags=re.DOTALL),
    ],
    ids=["PNG", "GIF", "BMP", "JPEG"],
)
def test_too_many_pixels_are_refused_by_the_header(photo):
    with pytest.raises(tf.errors.InvalidArgumentError, match="too many pixels"):
        in_graph(photo, NO_BOX)


def test_pixels_are_cut_like_a_lossless_file():
    image = np.asarray(drawing())
    np.testing.assert_array_equal(views_of_pixels(tf.constant(image), VIEWS, SIZE_PX), in_graph(PHOTOS["PNG"], NO_BOX))


@pytest.mark.parametrize("name", PHOTOS)
def test_a_whole_image_equals_what_decoding_gives(name):
    expected = decode_photo(check_photo(PHOTOS[name]))
    np.testing.assert_array_equal(image_of_encoded(tf.constant(PHOTOS[name])), expected)


@pytest.mark.slow
def test_a_limit_of_pixels_holds_before_decoding():
    assert image_of_encoded(tf.constant(PHOTOS["PNG"]), max_pixels=300 * 520).shape == (300, 520, 3)
    one_more = encoded(Image.new("L", (300 * 520 + 1, 1)), "PNG")
    with pytest.raises(tf.errors.InvalidArgumentError, match="too many pixels"):
        image_of_encoded(tf.constant(one_more), max_pixels=300 * 520)


@pytest.mark.slow
def test_a_wide_picture_is_resized_in_stripes_to_the_bit(other_limits):
    other_limits.setattr("tfvision.data.graph_decoding._STRIPE_PIXELS", 7 * 300)
    for orientation in (1, 6, 7):
        photo = encoded(drawing(channels=4), "PNG", exif=exif(orientation))
        np.testing.assert_array_equal(views_of_encoded(tf.constant(photo), tf.constant(NO_BOX), VIEWS, SIZE_PX), by_pillow_and_eagerly(photo))


@pytest.mark.slow
def test_large_pictures_take_turns(other_limits):
    other_limits.setattr("tfvision.data.graph_decoding._LARGE_PIXELS", 100)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string)])
    def cut(photos):
        return tf.map_fn(lambda photo: views_of_encoded(photo, tf.zeros([4]), VIEWS, SIZE_PX), photos, fn_output_signature=tf.uint8)

    with pytest.raises(tf.errors.InvalidArgumentError):  # a broken one lets the next in
        cut(tf.constant([PHOTOS["PNG"], PHOTOS["PNG"][:200]]))
    np.testing.assert_array_equal(cut(tf.constant([PHOTOS["PNG"]] * 3)), [in_graph(PHOTOS["PNG"], NO_BOX)] * 3)


def test_a_gif_is_cut_behind_its_first_frame():
    animation = PHOTOS["animated GIF"]
    cut = first_gif_frame(tf.constant(animation)).encoded.numpy()
    assert cut == gif_frames.first_gif_frame(animation) and len(cut) < len(animation)
    with Image.open(io.BytesIO(cut)) as image:
        assert image.n_frames == 1


@pytest.mark.parametrize("photo", [b"GIF89a", PHOTOS["GIF"][:500], b"GIF89a" + bytes(300), b"GIF89a" + b"\xff" * 300])
def test_a_gif_without_a_whole_frame_stays_as_it_is(photo):
    assert gif_frames.first_gif_frame(photo) == photo
    with pytest.raises(tf.errors.InvalidArgumentError):
        in_graph(photo, NO_BOX)


def test_the_first_frame_of_a_gif_lies_where_it_belongs_on_the_screen():
    start = PHOTOS["GIF"].index(b"\x2c\0\0\0\0")
    moved = PHOTOS["GIF"][:6] + struct.pack("<HH", 600, 400) + PHOTOS["GIF"][10:start] + b"\x2c" + struct.pack("<HH", 50, 70) + PHOTOS["GIF"][start + 5 :]
    picture = image_of_encoded(tf.constant(moved)).numpy()
    assert picture.shape == (400, 600, 3)
    np.testing.assert_array_equal(picture[70:370, 50:570], image_of_encoded(tf.constant(PHOTOS["GIF"])))


def test_a_frame_larger_than_the_header_of_a_gif_says_counts():
    with pytest.raises(tf.errors.InvalidArgumentError, match="too many pixels"):
        in_graph(hostile_pictures.gif(13_000, 12_000, screen=(10, 10)), NO_BOX)


@pytest.fixture(scope="module")
def opening_of_few_scans():
    """The graph that reads headers, traced where 20 scans are the most."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfvision.data.jpeg_scans.MAX_SCANNED_PIXELS", 20 * 65_536)
        opening = graph_decoding._opening.__wrapped__(graph_decoding.MAX_PIXELS)
        opening.get_concrete_function()
    return opening


@pytest.mark.parametrize("make", [hostile_pictures.jpeg_of_scans, hostile_pictures.jpeg_of_repeated_scans])
def test_scans_are_counted_before_decoding(make, opening_of_few_scans, monkeypatch):
    monkeypatch.setattr("tfvision.data.jpeg_scans.MAX_SCANNED_PIXELS", 20 * 65_536)
    monkeypatch.setattr(graph_decoding, "_opening", lambda max_pixels: opening_of_few_scans)
    check_photo(make(160, 120, 20))
    assert image_of_encoded(tf.constant(make(160, 120, 20))).shape == (120, 160, 3)
    film = b"\xff\xda" * 100  # behind the picture, as phones attach it
    assert image_of_encoded(tf.constant(make(160, 120, 20) + film)).shape == (120, 160, 3)
    with pytest.raises(DataError, match="the image is a JPEG of too many scans for its size: save it as one that is not progressive"):
        check_photo(make(160, 120, 21))
    with pytest.raises(tf.errors.InvalidArgumentError, match="the image is a JPEG of too many scans for its size"):
        image_of_encoded(tf.constant(make(160, 120, 21)))


def test_a_progressive_jpeg_may_have_fewer_pixels(other_limits):
    other_limits.setattr("tfvision.data.jpeg_scans.MAX_BUFFERED_PIXELS", 300 * 520 - 1)
    other_limits.setattr("tfvision.data.graph_decoding._LARGE_PIXELS", 1000)
    image_of_encoded(tf.constant(encoded(drawing(), "JPEG")))
    check_photo(encoded(drawing(), "JPEG"))
    progressive = encoded(drawing(), "JPEG", progressive=True)
    with pytest.raises(DataError, match="progressive JPEG of more than"):
        check_photo(progressive)
    with pytest.raises(tf.errors.InvalidArgumentError, match="progressive JPEG of more than"):
        image_of_encoded(tf.constant(progressive))


@pytest.mark.parametrize("padding", [b"\xff" * 5000, b"\0" * 5000, b"\xff\xfe\0\2" * 5000])
def test_a_jpeg_of_padding_is_refused_before_pillow_reads_it_byte_by_byte(padding):
    photo = encoded(drawing(), "JPEG")
    with pytest.raises(DataError, match="bytes between them that mean nothing"):
        check_photo(photo[:2] + padding + photo[2:])


@pytest.mark.parametrize("name", ["lossless", "lossy", "transparent"])
def test_the_size_of_a_webp_stands_in_its_header(name):
    options = {"lossless": {"lossless": True}, "lossy": {}, "transparent": {}}[name]
    photo = encoded(drawing(channels=4 if name == "transparent" else 3), "WEBP", **options)
    assert size_in_header(photo).numpy().tolist() == [300, 520]
