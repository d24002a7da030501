import io

import numpy as np
import PIL.Image
import pytest

from tfvision.apps.style.studio import inputs
from tfvision.apps.style.studio.inputs import SEEN_PX, mask_png, read_mask_png, read_picture, rules_of
from tfvision.errors import DataError


@pytest.fixture(scope="module")
def picture(photo, encoded):
    return read_picture(encoded(photo), "photo.png")


def test_a_picture_is_seen_small_and_stays_whole(smooth_picture, encoded):
    large = smooth_picture(2, 60, 1600)
    picture = read_picture(encoded(large), "large.png")
    assert (picture.width, picture.height, picture.seen.shape) == (1600, 60, (round(SEEN_PX * 60 / 1600), SEEN_PX, 3))
    np.testing.assert_array_equal(picture.whole().pixels, large)
    assert picture.small(512).pixels.shape[1] == 512 and not picture.is_plain


def test_a_photo_is_upright(photo, encoded):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # on its side
    picture = read_picture(encoded(photo, "JPEG", exif=exif), "side.jpg")
    assert (picture.width, picture.height) == photo.shape[:2] and picture.seen.shape[:2] == photo.shape[1::-1]


@pytest.mark.parametrize(
    "name, expected",
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\a<b>|c.png", "a_b__c.png"),
        ("Grüße 草.jpg", "Grüße 草.jpg"),
        ("", "photo.png"),
        ("....", "photo.png"),
        (".hidden.png", "hidden.png"),
        ("a" * 300 + ".jpeg", "a" * 72 + ".jpeg"),
        ("two\nlines\x1b.png", None),
    ],
)
def test_names_are_fit_for_files(photo, encoded, name, expected):
    found = read_picture(encoded(photo), name).name
    assert found == expected if expected else all(letter.isprintable() and letter not in "\\/" for letter in found)


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "is empty"),
        (b"<svg onload='alert(1)'/>", "is no image that can be read"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "is no image that can be read"),
        ("small", "a painting needs 16 on each side"),
        ("cut", "is damaged"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(photo, encoded, data, message):
    if data == "small":
        data = encoded(photo[:8])
    if data == "cut":
        data = encoded(photo, "JPEG")[:-400]
    with pytest.raises(DataError, match=f"p.png .*{message}"):
        read_picture(data, "p.png", "painting")


def test_too_many_pixels_are_refused_before_any_is_decoded(encoded, monkeypatch):
    monkeypatch.setattr(inputs, "MOST_PIXELS", 1_000_000)
    for name in ("check_photo", "decode_photo"):  # the former transcodes what TensorFlow does not read
        monkeypatch.setattr(inputs, name, lambda *arguments: pytest.fail("decoded"))
    bomb = io.BytesIO()
    PIL.Image.new("1", (2000, 1000)).save(bomb, "PNG")
    with pytest.raises(DataError, match="has 2 million pixels, the studio takes 1: scale it down"):
        read_picture(bomb.getvalue(), "bomb.png")


def test_a_raw_file_is_not_taken_for_its_thumbnail(encoded, photo):
    with pytest.raises(DataError, match="IMG_1.NEF is a camera's raw file"):
        read_picture(encoded(photo, "TIFF"), "IMG_1.NEF")


def test_one_colour_is_told(encoded):
    assert read_picture(encoded(np.full((40, 40, 3), (9, 90, 200), np.uint8)), "plain.png").is_plain


def test_a_mask_has_the_photos_shape_in_any_size(picture, encoded, half_mask):
    mask = read_mask_png(encoded(half_mask(36, 48)), picture)
    assert mask.shape == (36, 48) and mask[:, :24].min() == 255 and mask[:, 24:].max() == 0
    assert read_mask_png(encoded(np.zeros((36, 48, 3), np.uint8)), picture) is None
    with pytest.raises(DataError, match="the mask is 48 x 48, the photo 96 x 72: a mask has the photo's shape"):
        read_mask_png(encoded(half_mask(48, 48)), picture)
    with pytest.raises(DataError, match="the mask is 2400 x 1800 pixels, the studio takes 2048 on a side"):
        read_mask_png(encoded(half_mask(1800, 2400)), picture)


def test_a_painting_without_a_mask_takes_what_the_others_leave():
    left, top = np.zeros((2, 4, 4), np.uint8)
    left[:, :2], top[:1] = 255, 255
    rest = np.zeros((4, 4), np.uint8)
    rest[1:, 2:] = 255
    found = rules_of([left, None, top])
    np.testing.assert_array_equal(found, [left, rest, top])
    np.testing.assert_array_equal(rules_of([left])[0], left)
    assert rules_of([None, None]) is None
    with PIL.Image.open(io.BytesIO(mask_png(left))) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("L")), left)
