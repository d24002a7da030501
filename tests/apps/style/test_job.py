import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest

from tfvision.apps.style import fast, stylization
from tfvision.apps.style.fast_networks import OfPaintings
from tfvision.apps.style.job import StudioOptions, stylize_files
from tfvision.apps.style.pictures import grey, luminance, recoloured
from tfvision.apps.style.sidecar import StyleJob, job_like, read_sidecar
from tfvision.apps.style.stylization import stylize
from tfvision.data.picture_file import read_frames, read_picture_file
from tfvision.data.resizing import resized
from tfvision.errors import DataError, RecipeError, RunError

SRGB = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def files(tmp_path, photo, painting, monkeypatch):
    """The folder that commands run in, with photo.png and painting.png."""
    monkeypatch.chdir(tmp_path)
    PIL.Image.fromarray(photo).save("photo.png")
    PIL.Image.fromarray(painting).save("painting.png")
    return tmp_path


@pytest.fixture
def job(files, tiny_preset):
    return StyleJob("photo.png", ("painting.png",), preset=dataclasses.replace(tiny_preset, iterations=3))


def only(results):
    (result,) = results
    return result


@pytest.mark.slow
def test_a_picture_is_that_of_stylize_with_a_record_beside_it(job, photo, painting):
    result = only(stylize_files(job, options=StudioOptions(command="tfvision stylize photo.png painting.png")))
    expected = stylize(photo, [painting], job.preset)
    assert result["output"] == "photo-painting.png"
    assert {key: result[key] for key in ("iterations", "content_loss", "style_loss")} == {
        key: getattr(expected, key) for key in ("iterations", "content_loss", "style_loss")
    }
    np.testing.assert_array_equal(read_picture_file("photo-painting.png").pixels, expected.picture)
    record = json.loads(open("photo-painting.png.json").read())
    assert record["command"] == "tfvision stylize photo.png painting.png"
    assert record["settings"]["preset"]["size"] == 64
    assert record["network"]["name"] == "vgg19_slim"


def test_a_photo_and_a_painting_that_are_enlarged_are_told_of_once(job, files, capsys):
    job = dataclasses.replace(job, preset=dataclasses.replace(job.preset, size=200, carried_above=0, iterations=0))
    for name in ("1.png", "2.png"):
        only(stylize_files(job, name))
    told = [line for line in capsys.readouterr().err.splitlines() if "enlarged" in line]
    assert told == [
        "photo.png has 96 x 72 pixels and is enlarged to 200: finer detail than its own is not to be had",
        "painting.png has 64 x 80 pixels and is enlarged to 200: finer detail than its own is not to be had",
    ]


def test_the_record_makes_the_very_same_picture_from_anywhere(job, files, monkeypatch):
    only(stylize_files(dataclasses.replace(job, preset=dataclasses.replace(job.preset, start="noise", seed=7)), "out/1.png"))
    (files / "elsewhere").mkdir()
    monkeypatch.chdir(files / "elsewhere")
    only(stylize_files(job_like("../out/1.png"), "2.png"))
    assert (files / "elsewhere" / "2.png").read_bytes() == (files / "out" / "1.png").read_bytes()


@pytest.mark.slow
def test_format_alpha_profile_and_orientation_are_kept(job, photo):
    tags = PIL.Image.Exif()
    tags[0x0112] = 6
    PIL.Image.fromarray(photo).save("turned.jpg", exif=tags, icc_profile=SRGB, quality=95)
    output = only(stylize_files(dataclasses.replace(job, photo="turned.jpg")))["output"]
    back = read_picture_file(output)
    assert (output, back.format, back.profile, back.pixels.shape) == ("turned-painting.jpg", "JPEG", SRGB, (64, 48, 3))
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[:36] = 255
    PIL.Image.fromarray(np.dstack([photo, alpha])).save("clear.tif")
    back = read_picture_file(only(stylize_files(dataclasses.replace(job, photo="clear.tif")))["output"])
    assert back.format == "TIFF" and (back.alpha[:20] == 255).all() and (back.alpha[28:] == 0).all()


@pytest.mark.parametrize("mode", ["CMYK", "I;16", "P", "1"])
def test_photos_of_every_kind_are_painted(job, photo, mode):
    if mode == "I;16":
        PIL.Image.fromarray(luminance(photo).astype(np.uint16) * 256).save("odd.tif")
    else:
        PIL.Image.fromarray(photo).convert(mode).save("odd.tif")
    result = only(stylize_files(dataclasses.replace(job, photo="odd.tif"), "odd.png"))
    assert read_picture_file(result["output"]).pixels.shape == (48, 64, 3)


# Colours and masks


def test_kept_colours_have_the_photos_hue_and_the_pictures_light(job, photo, painting):
    result = only(stylize_files(dataclasses.replace(job, colour="luminance"), "1.png"))
    grey_photo = grey(photo)
    expected = stylize(grey_photo, [recoloured(grey(painting), grey_photo)], job.preset).picture
    assert np.abs(luminance(read_picture_file(result["output"]).pixels) - luminance(expected)).max() <= 1


def test_matched_colours_are_given_to_the_painting_first(job, photo, painting):
    result = only(stylize_files(dataclasses.replace(job, colour="histogram"), "1.png"))
    expected = stylize(photo, [recoloured(painting, photo)], job.preset).picture
    np.testing.assert_array_equal(read_picture_file(result["output"]).pixels, expected)


@pytest.mark.slow
def test_where_no_mask_is_white_the_photo_stays(job, photo):
    mask = np.zeros(photo.shape[:2], np.uint8)
    mask[:, 48:] = 255
    PIL.Image.fromarray(mask).save("mask.png")
    result = only(stylize_files(dataclasses.replace(job, masks=("mask.png",)), "1.png"))
    unmasked = only(stylize_files(job, "2.png"))
    picture, whole = (read_picture_file(r["output"]).pixels for r in (result, unmasked))
    np.testing.assert_array_equal(picture[:, :28], resized(photo, 48, 64)[:, :28])
    np.testing.assert_array_equal(picture[:, 36:], whole[:, 36:])


@pytest.mark.slow
def test_two_paintings_rule_by_masks_or_mix_by_numbers(job, photo, painting):
    PIL.Image.fromarray(photo[::-1].copy()).save("other.png")
    left = np.zeros(photo.shape[:2], np.uint8)
    left[:, :48] = 255
    PIL.Image.fromarray(left).save("left.png")
    PIL.Image.fromarray(255 - left).save("right.png")
    both = dataclasses.replace(job, paintings=("painting.png", "other.png"))
    masked = only(stylize_files(dataclasses.replace(both, masks=("left.png", "right.png")), "1.png"))
    expected = stylize(photo, [painting, photo[::-1]], job.preset, masks=[left / 255, 1 - left / 255])
    assert masked["style_loss"] == expected.style_loss
    mixed = only(stylize_files(dataclasses.replace(both, blend=(3.0, 1.0)), "2.png"))
    assert mixed["style_loss"] == stylize(photo, [painting, photo[::-1]], job.preset, weights=[3, 1]).style_loss


# Folders and frames


@pytest.mark.slow
def test_a_folder_is_painted_in_order_and_broken_photos_are_named(job, photo):
    _folder("photos", [photo, photo[::-1]], ["9.png", "10.png"])
    open("photos/11.png", "w").write("This is a text.")
    PIL.Image.fromarray(photo[:1]).save("photos/12.png")
    results = list(stylize_files(dataclasses.replace(job, photo="photos")))
    assert [result.get("output", result.get("photo")) for result in results] == [
        "photos-painting/9.png",
        "photos-painting/10.png",
        "photos/11.png",
        "photos/12.png",
    ]
    assert results[2]["error"].startswith("photos/11.png is no image that can be read: expected JPEG, PNG, GIF, BMP, WEBP, TIFF, PPM")
    assert results[3]["error"].startswith("photos/12.png: the photo is 96 x 1 pixels")


def test_photos_of_one_name_do_not_overwrite_each_other(job, photo):
    _folder("photos", [photo, photo], ["1.bmp", "1.png"])
    results = list(stylize_files(dataclasses.replace(job, photo="photos"), "out"))
    assert [result["output"] for result in results] == ["out/1.png", "out/1.png.png"]


@pytest.mark.slow
def test_a_finished_folder_is_left_as_it_is_when_resumed(job, photo):
    _folder("photos", [photo, photo[::-1]], ["1.png", "2.png"])
    job = dataclasses.replace(job, photo="photos")
    first = list(stylize_files(job, "out"))
    open("out/2.png", "ab").write(b"damage")
    before = read_sidecar("out/1.png")[0].stat().st_mtime_ns
    again = list(stylize_files(job, "out", StudioOptions(is_resumed=True)))
    assert read_sidecar("out/1.png")[0].stat().st_mtime_ns == before
    assert again[0] == first[0] and again[1]["style_loss"] == first[1]["style_loss"]
    assert not open("out/2.png", "rb").read().endswith(b"damage")
    changed = dataclasses.replace(job, preset=dataclasses.replace(job.preset, iterations=2))
    assert [result["iterations"] for result in stylize_files(changed, "out", StudioOptions(is_resumed=True))] == [2, 2]


@pytest.mark.slow
def test_a_still_scene_does_not_flicker_and_a_moving_one_moves(job, photo):
    moving = photo.copy()
    moving[20:50, 10:40] = (250, 20, 20)
    moved = photo.copy()
    moved[20:50, 50:80] = (250, 20, 20)
    _folder("frames", [moving, moved], ["1.png", "2.png"])
    job = dataclasses.replace(job, photo="frames", preset=dataclasses.replace(job.preset, iterations=40))
    results = list(stylize_files(job, "out", StudioOptions(is_frames=True)))
    pictures = [read_picture_file(result["output"]).pixels.astype(int) for result in results]
    free = dataclasses.replace(job, preset=dataclasses.replace(job.preset, temporal_weight=0.0))
    unheld = [read_picture_file(result["output"]).pixels.astype(int) for result in stylize_files(free, "unheld", StudioOptions(is_frames=True))]
    np.testing.assert_array_equal(pictures[0], unheld[0])
    unchanged = np.s_[:, 56:]
    assert np.abs(pictures[1] - pictures[0])[unchanged].mean() < 0.7 * np.abs(unheld[1] - unheld[0])[unchanged].mean()
    red = pictures[1][..., 0] - pictures[1][..., 2]  # at 64 px the square went from columns 7-26 to 33-53
    assert red[16:30, 36:50].mean() > red[16:30, 10:24].mean() + 60


@pytest.mark.slow
def test_frames_are_gone_on_with_as_if_nothing_had_happened(job, photo):
    _folder("frames", [photo, photo[::-1], photo], ["1.png", "2.png", "3.png"])
    job = dataclasses.replace(job, photo="frames")
    list(stylize_files(job, "whole", StudioOptions(is_frames=True)))
    results = stylize_files(job, "parts", StudioOptions(is_frames=True))
    next(results), next(results)
    results.close()
    list(stylize_files(job, "parts", StudioOptions(is_frames=True, is_resumed=True)))
    for name in ("1.png", "2.png", "3.png"):
        assert open(f"parts/{name}", "rb").read() == open(f"whole/{name}", "rb").read()
    with pytest.raises(RunError, match="2.png.json is the record of one frame, which followed from others"):
        job_like("whole/2.png")


@pytest.mark.slow
def test_an_animation_becomes_one_with_the_same_timing(job, photo):
    frames = [PIL.Image.fromarray(part) for part in (photo, photo[::-1].copy(), photo[:, ::-1].copy())]
    frames[0].save("1.gif", save_all=True, append_images=frames[1:], duration=[100, 300, 200])
    result = only(stylize_files(dataclasses.replace(job, photo="1.gif")))
    assert result["output"] == "1-painting.gif" and result["iterations"] == 9
    back = list(read_frames("1-painting.gif"))
    assert [seconds for _, seconds in back] == [0.1, 0.3, 0.2]
    assert back[0][0].shape == (48, 64, 3)
    assert read_sidecar("1-painting.gif")[1]["frames"] == 3
    assert sorted(path.name for path in job_paths()) == ["1-painting.gif", "1-painting.gif.json", "1.gif", "painting.png", "photo.png"]


def test_of_an_animation_the_first_frame_becomes_a_still(job, photo, capsys):
    PIL.Image.fromarray(photo).save("1.gif", save_all=True, append_images=[PIL.Image.fromarray(photo[::-1].copy())])
    result = only(stylize_files(dataclasses.replace(job, photo="1.gif"), "1.png"))
    assert read_picture_file(result["output"]).frames == 1
    assert "1.gif has 2 frames, the first is taken" in capsys.readouterr().err


# Interruption


@pytest.mark.slow
def test_an_interrupted_picture_is_gone_on_with(job, monkeypatch):
    monkeypatch.setattr(stylization, "LEG_ITERATIONS", 2)
    job = dataclasses.replace(job, preset=dataclasses.replace(job.preset, iterations=6))
    only(stylize_files(job, "whole.png"))
    save = stylization.save_checkpoint

    def stop(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(stylization, "save_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        only(stylize_files(job, "parts.png"))
    monkeypatch.setattr(stylization, "save_checkpoint", save)
    assert open("parts.png.state.npz", "rb").read(2) == b"PK"
    shutil.copy("parts.png.state.npz", "afresh.png.state.npz")
    result = only(stylize_files(job, "parts.png", StudioOptions(is_resumed=True)))
    assert open("parts.png", "rb").read() == open("whole.png", "rb").read() and result["iterations"] == 6
    other = dataclasses.replace(job, preset=dataclasses.replace(job.preset, iterations=5))
    assert only(stylize_files(other, "afresh.png"))["iterations"] == 5  # without --resume what is left counts for nothing
    assert not list(job_paths("*.state.npz"))


# Mistakes


def test_a_painting_of_itself_is_warned_of(job, capsys):
    result = only(stylize_files(dataclasses.replace(job, paintings=("photo.png",)), "1.png"))
    assert "warning: photo.png is the painting as well" in capsys.readouterr().err
    assert "output" in result


@pytest.mark.parametrize(
    ("changes", "out", "error", "message"),
    [
        ({"photo": "gone.jpg"}, None, DataError, r"gone.jpg cannot be read \(No such file or directory\)"),
        ({"photo": "text.jpg"}, None, DataError, "text.jpg is no image that can be read"),
        ({"photo": "dot.png"}, None, DataError, "dot.png: the photo is 1 x 1 pixels"),
        ({"photo": "line.png"}, None, DataError, "line.png: the photo is 1 x 500 pixels"),
        ({"paintings": ()}, None, RecipeError, "give a painting: tfvision stylize PHOTO PAINTING"),
        ({"paintings": ("dot.png",)}, None, DataError, "dot.png is 1 x 1 pixels: a painting needs 16 on each side"),
        ({"paintings": (".",)}, None, DataError, r"\. is a folder: a painting or a mask is one file"),
        ({"masks": ("a.png", "b.png")}, None, RecipeError, "give one --mask a painting: 1 paintings, 2 masks"),
        ({"blend": (1.0, 2.0)}, None, RecipeError, "--blend must be 1 numbers, one a painting, got 1.0,2.0"),
        ({"blend": (1.0,), "masks": ("dot.png",)}, None, RecipeError, "--blend and --mask cannot go together"),
        ({"masks": ("dot.png",)}, None, DataError, "dot.png is 1 x 1, the photo 96 x 72: a mask has the photo's shape"),
        ({"colour": "sepia"}, None, RecipeError, "colour must be one of '', 'luminance', 'histogram', got 'sepia'"),
        ({"strength": 1.5}, None, RecipeError, r"--strength must lie between 0 \(the photo\) and 1 \(the painting's manner\), got 1.5"),
        ({}, "1.bmp", DataError, "--out must end in .png"),
        ({}, "1.gif", DataError, "only an animation becomes one"),
        ({}, "photo.png", DataError, "--out would overwrite photo.png"),
        ({"photo": "bare"}, None, DataError, "bare holds no photos"),
        ({"photo": "."}, "1.png", DataError, "is a folder, so --out must be one too, got 1.png"),
        ({"photo": "."}, ".", DataError, "--out is the folder of the photos themselves"),
    ],
    ids=str,
)
def test_mistakes_are_told_before_any_work(job, files, changes, out, error, message):
    (files / "text.jpg").write_text("This is a text.")
    (files / "bare").mkdir()
    PIL.Image.new("RGB", (1, 1)).save("dot.png")
    PIL.Image.new("RGB", (1, 500)).save("line.png")
    with pytest.raises(error, match=message):
        list(stylize_files(dataclasses.replace(job, **changes), out))


def test_frames_need_a_folder(job):
    with pytest.raises(DataError, match="--frames needs a folder of frames, got photo.png"):
        list(stylize_files(job, options=StudioOptions(is_frames=True)))


def test_what_does_not_fit_into_memory_is_foreseen(job):
    huge = dataclasses.replace(job, preset=dataclasses.replace(job.preset, size=60000))
    with pytest.raises(DataError, match=r"photo.png: a picture of 60000 x 45000 pixels takes about .* GB of memory"):
        only(stylize_files(huge))


def _folder(name, pictures, names):

    Path(name).mkdir()
    for picture, file in zip(pictures, names, strict=True):
        PIL.Image.fromarray(np.ascontiguousarray(picture)).save(Path(name) / file)


def job_paths(pattern="*"):

    return Path(".").glob(pattern)


# At once


@pytest.fixture
def fast_network(monkeypatch):
    """What --preset fast loads: a network that gives every pixel its painting's mean colour."""
    network = OfPaintings("mean colours", lambda photo, painting: np.broadcast_to(painting.mean((0, 1)).round(), photo.shape).astype(np.uint8))
    monkeypatch.setattr(fast, "load_network", lambda module: network)


@pytest.mark.slow
def test_a_fast_picture_of_several_paintings_and_its_like(job, photo, painting, fast_network):
    PIL.Image.fromarray(255 - painting).save("other.png")
    asked = dataclasses.replace(job, paintings=("painting.png", "other.png"), blend=(3.0, 1.0), strength=0.5, is_fast=True)
    result = only(stylize_files(asked, "1.png"))
    mean = painting.mean((0, 1))
    expected = resized(photo, 48, 64) / 2 + (0.75 * mean + 0.25 * (255 - mean)) / 2
    np.testing.assert_allclose(read_picture_file(result["output"]).pixels, expected, atol=1.5)
    like = job_like("1.png")
    assert like == asked
    only(stylize_files(like, "2.png"))
    assert Path("2.png").read_bytes() == Path("1.png").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("colour", ["", "luminance", "histogram"])
def test_fast_pictures_have_masks_and_colours_as_others(job, photo, painting, fast_network, colour):
    mask = np.zeros(photo.shape[:2], np.uint8)
    mask[:, :48] = 255
    PIL.Image.fromarray(mask).save("mask.png")
    result = only(stylize_files(dataclasses.replace(job, masks=("mask.png",), colour=colour, is_fast=True), "1.png"))
    picture, small = read_picture_file(result["output"]).pixels, resized(photo, 48, 64)
    np.testing.assert_allclose(picture[:, 36:], small[:, 36:], atol=2 if colour == "luminance" else 0)
    wanted = {"": painting, "histogram": recoloured(painting, photo), "luminance": recoloured(grey(painting), grey(photo))}[colour].mean((0, 1))
    inside = picture[:, :28].astype(float)
    if colour == "luminance":
        np.testing.assert_allclose(luminance(inside), luminance(wanted), atol=2)
        return
    np.testing.assert_allclose(inside, np.broadcast_to(wanted, inside.shape), atol=2)


@pytest.mark.slow
def test_strength_lowers_the_weight_of_style_for_the_optimiser(job, photo, painting):
    made = only(stylize_files(dataclasses.replace(job, strength=0.5), "1.png"))
    eighth = stylize(photo, [painting], dataclasses.replace(job.preset, style_weight=job.preset.style_weight / 8))
    assert (made["content_loss"], made["style_loss"]) == (eighth.content_loss, eighth.style_loss)
    assert job_like("1.png").strength == 0.5


def test_what_lies_where_parts_of_a_film_would_lie_is_not_touched(job, photo):
    PIL.Image.fromarray(photo).save("cat.gif", save_all=True, append_images=[PIL.Image.fromarray(photo[::-1])], duration=40)
    Path("painted.gif.frames").mkdir()
    Path("painted.gif.frames/notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"painted.gif.frames is where the parts of the film would lie, and holds something else \(notes.txt\)"):
        only(stylize_files(dataclasses.replace(job, photo="cat.gif"), "painted.gif"))
    assert Path("painted.gif.frames/notes.txt").read_text() == "mine"


def test_frames_are_not_taken_for_the_parts_of_their_own_film(job, photo):
    _folder("clip.frames", [photo], ["1.png"])
    fast_job = dataclasses.replace(job, photo="clip.frames", is_fast=True)
    with pytest.raises(DataError, match="clip.frames is where the parts of the film would lie"):
        only(stylize_files(fast_job, "clip", StudioOptions(is_frames=True)))
    assert Path("clip.frames/1.png").is_file()


def test_a_folders_pictures_do_not_overwrite_the_painting(job, photo):
    _folder("photos", [photo], ["painting.png"])
    before = Path("painting.png").read_bytes()
    assert "would overwrite painting.png" in only(stylize_files(dataclasses.replace(job, photo="photos"), "."))["error"]
    assert Path("painting.png").read_bytes() == before


def test_a_module_without_the_preset_fast_is_refused(job):
    with pytest.raises(RecipeError, match="--module is a network of --preset fast"):
        only(stylize_files(dataclasses.replace(job, module="somewhere")))
