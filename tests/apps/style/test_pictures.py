import io

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest

from tfvision.apps.style.pictures import (
    check_suffix,
    converted,
    grey,
    luminance,
    read_mask,
    recoloured,
    suffix_for,
    with_colours_of,
    write_animation,
    write_picture,
)
from tfvision.data.picture_file import read_frames, read_picture_file
from tfvision.data.resizing import resized
from tfvision.errors import DataError, StorageError

SRGB = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()


# Files


@pytest.mark.parametrize("name", ["1.png", "1.tif", "1.TIFF"])
def test_lossless_formats_keep_pixels_alpha_and_profile(tmp_path, photo, name):
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[:, 40:] = 255
    write_picture(tmp_path / name, photo, alpha, SRGB)
    back = read_picture_file(tmp_path / name)
    np.testing.assert_array_equal(back.alpha, alpha)
    np.testing.assert_array_equal(back.pixels[:, 40:], photo[:, 40:])
    assert (back.pixels[:, :40] == 255).all()
    assert back.profile == SRGB


def test_half_transparent_edges_look_on_white_as_the_picture_did(tmp_path):
    # At half alpha, white shines through: nothing darker than 127 can be shown, all else exactly so.
    pixels = np.repeat(np.arange(128, 256, dtype=np.uint8)[None, :, None], 3, axis=2)
    write_picture(tmp_path / "1.png", pixels, np.full(pixels.shape[:2], 128, np.uint8))
    assert np.abs(read_picture_file(tmp_path / "1.png").pixels.astype(int) - pixels).max() <= 1


def test_jpegs_are_written_without_subsampling_at_quality_95(tmp_path, photo):
    write_picture(tmp_path / "1.jpg", photo, profile=SRGB)
    expected = io.BytesIO()
    PIL.Image.fromarray(photo).save(expected, "JPEG", quality=95, subsampling=0)
    with PIL.Image.open(tmp_path / "1.jpg") as written, PIL.Image.open(expected) as reference:
        assert written.layer == reference.layer and {(h, v) for _, h, v, _ in written.layer} == {(1, 1)}
        assert written.quantization == reference.quantization
        assert written.info["icc_profile"] == SRGB


def test_a_transparent_picture_is_laid_on_white_in_a_jpeg(tmp_path, photo):
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[:, 48:] = 255
    write_picture(tmp_path / "1.jpg", photo, alpha)
    back = read_picture_file(tmp_path / "1.jpg")
    assert back.alpha is None and (back.pixels[:, :40] > 250).all()
    assert np.abs(back.pixels[:, 56:].astype(int) - photo[:, 56:]).mean() < 3


def test_alpha_is_resampled_to_the_picture(tmp_path, photo):
    write_picture(tmp_path / "1.png", photo, np.full((500, 700), 99, np.uint8))
    assert (read_picture_file(tmp_path / "1.png").alpha == 99).all()


def test_other_suffixes_are_refused_with_the_known_ones(tmp_path, photo):
    with pytest.raises(DataError, match=r"--out must end in .png, .jpg, .jpeg, .tif, .tiff, got .*1.bmp"):
        write_picture(tmp_path / "1.bmp", photo)
    with pytest.raises(DataError, match="only an animation becomes one"):
        check_suffix("1.gif")
    check_suffix("1.gif", is_animation=True)


def test_what_cannot_be_written_leaves_what_was_there(tmp_path, photo):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError):
        write_picture(tmp_path / "file" / "1.png", photo)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_picture_gets_its_photos_format():
    assert [suffix_for(format) for format in ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")] == [".jpg", ".png", ".tif", ".png", ".png", ".png"]
    assert [suffix_for(format, is_animation=True) for format in ("GIF", "WEBP", "PNG")] == [".gif", ".webp", ".gif"]


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_keeps_frames_and_their_seconds(tmp_path, suffix):
    frames = [np.full((20, 30, 3), colour, np.uint8) for colour in ((250, 0, 0), (0, 0, 250), (0, 250, 0))]
    write_animation(tmp_path / f"1{suffix}", frames, [0.1, 0.3, 0.2])
    back = list(read_frames(tmp_path / f"1{suffix}"))
    assert [seconds for _, seconds in back] == [0.1, 0.3, 0.2]
    for (frame, _), expected in zip(back, frames, strict=True):
        assert np.abs(frame.astype(int) - expected).max() <= 8
    with PIL.Image.open(tmp_path / f"1{suffix}") as image:
        assert image.info["loop"] == 0


# Masks


def test_a_mask_is_one_where_it_is_white_at_the_photos_size(tmp_path):
    pixels = np.zeros((20, 40), np.uint8)
    pixels[:, 20:] = 255
    PIL.Image.fromarray(pixels).save(tmp_path / "1.png")
    mask = read_mask(tmp_path / "1.png", 10, 20)
    assert mask.dtype == np.float32 and mask.shape == (10, 20)
    assert (mask[:, :7] == 0).all() and (mask[:, 13:] == 1).all()
    with pytest.raises(DataError, match=r"1.png is 40 x 20, the photo 20 x 20: a mask has the photo's shape"):
        read_mask(tmp_path / "1.png", 20, 20)


# Colours


def test_luminance_is_that_of_rec_601():
    assert luminance(np.uint8([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]])).tolist() == pytest.approx([76.245, 149.685, 29.07, 9], abs=1e-3)
    assert grey(np.uint8([[[255, 0, 0]]])).tolist() == [[[76, 76, 76]]]


def test_the_pictures_luminance_goes_with_the_photos_hue(photo, painting):
    picture = resized(painting, *photo.shape[:2])
    mixed = with_colours_of(photo, picture)
    assert np.abs(luminance(mixed) - luminance(picture)).max() <= 1
    chroma_of_photo = photo - luminance(photo)[..., None]
    chroma = mixed - luminance(mixed)[..., None]
    lengths = np.linalg.norm(chroma, axis=-1) * np.linalg.norm(chroma_of_photo, axis=-1)
    cosine = (chroma * chroma_of_photo).sum(-1)[lengths > 100] / lengths[lengths > 100]
    assert cosine.min() > 0.95
    np.testing.assert_array_equal(with_colours_of(photo, photo), photo)


def test_where_no_colour_fits_the_luminance_it_is_paled():
    # Pure blue has luminance 29: as light as 200, the most of its hue is blue = 255, so chroma is scaled by 55 / 226.
    mixed = with_colours_of(np.uint8([[[0, 0, 255]]]), np.uint8([[[200, 200, 200]]]))
    share = (255 - 200) / (255 - 29.07)
    assert mixed[0, 0].tolist() == pytest.approx([200 - 29.07 * share, 200 - 29.07 * share, 255], abs=1)


def test_a_recoloured_painting_has_the_photos_mean_and_covariance():
    random = np.random.default_rng(0)
    photo = random.normal((120, 110, 130), (20, 12, 16), (60, 50, 3)).clip(0, 255).astype(np.uint8)
    painting = random.normal((90, 140, 100), (16, 24, 9), (40, 70, 3)).clip(0, 255).astype(np.uint8)
    changed = recoloured(painting, photo)
    assert changed.shape == painting.shape and changed.dtype == np.uint8
    np.testing.assert_allclose(changed.reshape(-1, 3).mean(0), photo.reshape(-1, 3).mean(0), atol=0.3)
    np.testing.assert_allclose(np.cov(changed.reshape(-1, 3).T), np.cov(photo.reshape(-1, 3).T), atol=6)


def test_a_painting_of_one_colour_takes_the_photos_mean(photo):
    plain = recoloured(np.full((20, 20, 3), 200, np.uint8), photo)
    assert np.abs(plain - photo.reshape(-1, 3).mean(0)).max() <= 1


# Profiles


def test_equal_or_absent_profiles_change_nothing(photo):
    assert converted(photo, None, None) is photo
    assert converted(photo, SRGB, SRGB) is photo
    assert np.abs(converted(photo, SRGB, None).astype(int) - photo).max() <= 1
    assert np.abs(converted(photo, b"broken", None).astype(int) - photo).max() <= 1


def test_colours_are_converted_from_one_profile_to_another():
    """Linear light, gamma 1: sRGB's 188 is half of all light (0.5 ** (1 / 2.4) * 1.055 - 0.055 = 0.735)."""
    linear = bytearray(SRGB)
    tags = {bytes(linear[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(int.from_bytes(linear[128:132], "big"))}
    curve = len(linear)
    linear += b"curv" + bytes(4) + (1).to_bytes(4, "big") + (256).to_bytes(2, "big") + bytes(2)  # gamma 1.0 as u8.8
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        linear[tags[name] + 4 : tags[name] + 12] = curve.to_bytes(4, "big") + (14).to_bytes(4, "big")
    linear[0:4] = len(linear).to_bytes(4, "big")
    half = np.full((4, 4, 3), 128, np.uint8)
    assert np.abs(converted(half, bytes(linear), None).astype(int) - 188).max() <= 2


def test_a_gif_of_many_frames_a_second_keeps_its_time(tmp_path):
    # 60 a second: a GIF counts in hundredths, and viewers show a frame of one hundredth for ten.
    frames = [np.full((4, 4, 3), 4 * number, np.uint8) for number in range(60)]
    write_animation(tmp_path / "a.gif", frames, [1 / 60] * 60)
    with PIL.Image.open(tmp_path / "a.gif") as image:
        shown = []
        for number in range(image.n_frames):
            image.seek(number)
            shown.append(image.info["duration"])
    assert min(shown) >= 20 and sum(shown) == 1000
