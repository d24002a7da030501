import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest

from tfvision.data.picture_file import format_and_frames, photos_of_folder, read_frames, read_picture_file
from tfvision.errors import DataError

HEIGHT, WIDTH = 12, 20
PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
IMAGE = PIL.Image.fromarray(PIXELS[..., :3])
SRGB = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()


def orientation(value):
    tags = PIL.Image.Exif()
    tags[0x0112] = value
    return tags


@pytest.mark.parametrize(("suffix", "format"), [("png", "PNG"), ("jpg", "JPEG"), ("tif", "TIFF"), ("gif", "GIF"), ("webp", "WEBP"), ("bmp", "BMP")])
def test_opaque_pictures_have_their_format_and_no_alpha(tmp_path, suffix, format):
    path = tmp_path / f"1.{suffix}"
    IMAGE.save(path)
    picture = read_picture_file(path)
    assert picture.pixels.shape == (HEIGHT, WIDTH, 3) and picture.pixels.dtype == np.uint8
    assert (picture.alpha, picture.profile, picture.format, picture.frames) == (None, None, format, 1)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize(("turn", "quarters"), [(1, 0), (3, 2), (6, -1), (8, 1)])  # counterclockwise
def test_alpha_is_turned_upright_as_the_pixels_are(tmp_path, suffix, turn, quarters):
    path = tmp_path / f"1.{suffix}"
    PIL.Image.fromarray(PIXELS).save(path, exif=orientation(turn), **({"lossless": True} if suffix == "webp" else {}))
    picture = read_picture_file(path)
    assert picture.alpha.shape == picture.pixels.shape[:2]
    np.testing.assert_array_equal(picture.alpha, np.rot90(PIXELS[..., 3], quarters))


def test_a_transparent_colour_of_a_palette_is_alpha(tmp_path):
    palette = PIL.Image.fromarray(np.uint8([[0, 1]]), "P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.save(tmp_path / "1.png", transparency=1)
    assert read_picture_file(tmp_path / "1.png").alpha.tolist() == [[255, 0]]


def test_alpha_that_hides_nothing_is_none(tmp_path):
    IMAGE.convert("RGBA").save(tmp_path / "1.png")
    assert read_picture_file(tmp_path / "1.png").alpha is None


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_an_rgb_profile_is_kept(tmp_path, suffix):
    IMAGE.save(tmp_path / f"1.{suffix}", icc_profile=SRGB)
    assert read_picture_file(tmp_path / f"1.{suffix}").profile == SRGB


def test_a_profile_of_ink_does_not_fit_the_rgb_pixels(tmp_path):
    ink = SRGB[:16] + b"CMYK" + SRGB[20:]
    IMAGE.convert("CMYK").save(tmp_path / "1.jpg", icc_profile=ink)
    picture = read_picture_file(tmp_path / "1.jpg")
    assert picture.pixels.shape == (HEIGHT, WIDTH, 3) and picture.profile is None


def animation(path, colours, **options):
    frames = [PIL.Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in colours]
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)


@pytest.mark.parametrize(("suffix", "options"), [("gif", {}), ("webp", {"lossless": True}), ("png", {})])
def test_frames_come_in_order_with_their_seconds(tmp_path, suffix, options):
    path = tmp_path / f"1.{suffix}"
    animation(path, ["red", "blue", "lime"], duration=[100, 250, 400], **options)
    frames = list(read_frames(path))
    assert [frame[0, 0].tolist() for frame, _ in frames] == [[255, 0, 0], [0, 0, 255], [0, 255, 0]]
    assert [seconds for _, seconds in frames] == [0.1, 0.25, 0.4]
    assert format_and_frames(path) == (suffix.upper(), 3)
    assert read_picture_file(path).frames == 3 and (read_picture_file(path).pixels[0, 0] == (255, 0, 0)).all()


def test_a_frame_without_a_duration_is_shown_for_a_tenth_of_a_second(tmp_path):
    animation(tmp_path / "1.gif", ["red", "blue"], duration=0)
    assert [seconds for _, seconds in read_frames(tmp_path / "1.gif")] == [0.1, 0.1]


def test_pages_of_a_tiff_and_views_of_an_mpo_are_no_frames(tmp_path):
    animation(tmp_path / "1.tif", ["red", "blue"])
    IMAGE.save(tmp_path / "2.jpg", "MPO", save_all=True, append_images=[IMAGE])
    assert format_and_frames(tmp_path / "1.tif") == ("TIFF", 1)
    assert format_and_frames(tmp_path / "2.jpg") == ("JPEG", 1)


def test_transparent_parts_of_a_frame_lie_on_white(tmp_path):
    frames = [PIL.Image.fromarray(np.uint8([[[200, 0, 0, 255], [0, 0, 0, alpha]]])) for alpha in (0, 255)]
    frames[0].save(tmp_path / "1.png", save_all=True, append_images=frames[1:])
    assert [frame.tolist() for frame, _ in read_frames(tmp_path / "1.png")] == [[[[200, 0, 0], [255] * 3]], [[[200, 0, 0], [0] * 3]]]


def test_a_folders_photos_are_counted_as_people_count(tmp_path):
    for name in ("frame10.png", "frame9.PNG", "frame1.png", "a.jpg", "note.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "deeper.png").mkdir()
    assert [path.name for path in photos_of_folder(tmp_path)] == ["a.jpg", "frame1.png", "frame9.PNG", "frame10.png"]


def test_broken_files_and_empty_folders_are_named(tmp_path):
    animation(tmp_path / "1.gif", ["red", "blue", "lime"] * 5)
    (tmp_path / "cut.gif").write_bytes((tmp_path / "1.gif").read_bytes()[:60])
    (tmp_path / "text.png").write_text("This is a text.")
    for call in (read_picture_file, format_and_frames, lambda path: list(read_frames(path))):
        with pytest.raises(DataError, match="text.png is no image that can be read"):
            call(tmp_path / "text.png")
        with pytest.raises(DataError, match="cut.gif"):
            list(read_frames(tmp_path / "cut.gif"))
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match="bare holds no photos"):
        photos_of_folder(tmp_path / "bare")
