"""Films, animations and folders by one path. Most have a plain function for a network; what is real is marked."""

import itertools
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("av")
pytest.importorskip("cv2")

from tfvision.apps.style import film, job
from tfvision.apps.style.film import HeldFrames, Tally, paint_film
from tfvision.apps.style.frame_writers import frame_reader, frame_writer
from tfvision.apps.style.held import Held, detail_ratio
from tfvision.apps.style.job import StudioOptions, stylize_files
from tfvision.apps.style.sidecar import StyleJob, read_sidecar
from tfvision.data.frames import Frame
from tfvision.data.picture_file import read_frames, read_picture_file
from tfvision.errors import DataError


class Painter:
    """Inverts photos; with `noise`, each time with other strokes, which depend on the photo alone."""

    def __init__(self, noise=0):
        self.noise, self.openings, self.painted = noise, [], 0

    def begin(self, photo):
        self.openings.append(photo)

    def paint(self, photo):
        self.painted += 1
        strokes = np.random.default_rng(zlib.crc32(photo.tobytes())).normal(0, self.noise, photo.shape)
        return (255 - photo + strokes).round().clip(0, 255).astype(np.uint8)

    def finish(self, photo, picture):
        return picture


def frames_of(photos):
    return (Frame(photo, Fraction(number, 25), Fraction(1, 25)) for number, photo in enumerate(photos))


def held_film(photos, painter):
    """(pictures, Tally) of photos that are one scene."""
    tally = Tally()
    frames = HeldFrames(frames_of(photos), painter, tally)
    return [frame.pixels for frame in frames.part()], tally


# Held together


def test_held_frames_are_three_times_as_steady_and_as_detailed(moving_texture):
    pictures, tally = held_film([moving_texture(number, 72, 96) for number in range(12)], Painter(noise=25))
    facts = tally.means()
    assert tally.scenes == 1 and tally.compared == 11
    assert facts["unsteadiness"] < facts["unsteadiness_alone"] / 3
    assert 0.9 < facts["detail"] < 1.1
    assert np.abs(pictures[-1].astype(int) - (255 - moving_texture(11, 72, 96))).mean() < 20  # the photo is still what is to be seen


def test_where_a_thing_went_by_nothing_of_it_stays(moving_texture):
    photos = []
    for number in range(10):
        photos.append(moving_texture(0, 72, 96).copy())
        photos[-1][20:44, 4 + 6 * number : 28 + 6 * number] = (250, 30, 30)
    pictures, _ = held_film(photos, Painter())
    assert np.abs(pictures[-1].astype(int) - (255 - photos[-1])).mean() < 3
    gone = np.s_[22:42, 6:50]  # where it was, frames ago
    assert np.abs(pictures[-1][gone].astype(int) - (255 - photos[-1][gone])).mean() < 6


def test_a_scene_begins_afresh(moving_texture):
    photos = [moving_texture(number, 72, 96) for number in (0, 1, 2, 1000, 1001)]
    painter, tally = Painter(noise=25), Tally()
    frames = HeldFrames(frames_of(photos), painter, tally)
    parts = []
    while not frames.is_at_end:
        parts.append([frame.pixels for frame in frames.part()])
    assert [len(part) for part in parts] == [3, 2] and tally.scenes == 2
    np.testing.assert_array_equal(painter.openings, [photos[0], photos[3]])
    np.testing.assert_array_equal(parts[1][0], painter.paint(photos[3]))


def test_frames_of_another_size_begin_a_scene(moving_texture):
    tally = Tally()
    frames = HeldFrames(frames_of([moving_texture(0), moving_texture(0, 40, 64)]), Painter(), tally)
    assert [len(list(frames.part())) for _ in range(2)] == [1, 1] and tally.scenes == 2


def test_detail_is_compared_by_its_strength():
    flat = np.full((40, 40, 3), 100, np.uint8)
    fine = flat + np.uint8(20) * (np.indices((40, 40)).sum(0) % 2)[..., None].astype(np.uint8)
    half = flat + np.uint8(10) * (np.indices((40, 40)).sum(0) % 2)[..., None].astype(np.uint8)
    assert detail_ratio(half, fine) == pytest.approx(0.5, abs=0.02) and detail_ratio(flat, flat) == 1


def test_what_the_next_frame_follows_from_is_kept_exactly(tmp_path, moving_texture):
    held = Held.begin(moving_texture(0), moving_texture(5))
    held.save(tmp_path / "1.npz")
    for name, array in vars(Held.load(tmp_path / "1.npz")).items():
        np.testing.assert_array_equal(array, getattr(held, name))


# Interrupted


@pytest.fixture
def in_short_parts(monkeypatch):
    monkeypatch.setattr(film, "PART_FRAMES", 3)


def painted_film(source, out, painter=None, is_resumed=False):
    folder, reader = Path(f"{out}.frames"), frame_reader(source, 64)
    return paint_film(reader, frame_writer(out, folder, reader), painter or Painter(noise=25), folder, "this film", is_resumed)


@pytest.mark.parametrize("name", ["1.mp4", "1.gif"])
def test_an_interrupted_film_goes_on_to_the_very_same(tmp_path, draw_film, in_short_parts, name):
    source = draw_film(tmp_path / "source.mp4", [*range(7), *range(1000, 1003)])
    whole = painted_film(source, tmp_path / f"whole-{name}")
    assert (whole["frames"], whole["scenes"]) == (10, 2)

    class Killed(Painter):
        def paint(self, photo):
            if self.painted == 5:
                raise KeyboardInterrupt
            return super().paint(photo)

    with pytest.raises(KeyboardInterrupt):
        painted_film(source, tmp_path / name, Killed(noise=25))
    assert not (tmp_path / name).exists()
    assert (tmp_path / f"{name}.frames" / f"00000.{'mp4' if name == '1.mp4' else 'npz'}").exists()  # 3 of 5 frames
    painter = Painter(noise=25)
    resumed = painted_film(source, tmp_path / name, painter, is_resumed=True)
    assert painter.painted == 7 and {**resumed, "seconds": 0} == {**whole, "seconds": 0}
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
    assert not list(tmp_path.glob("*.frames"))


@pytest.mark.parametrize("damage", ["{}", '{"made_of": "another", "parts": [], "tally": {}}', "This is a text."])
def test_what_is_left_of_another_film_counts_for_nothing(tmp_path, draw_film, damage):
    source = draw_film(tmp_path / "source.mp4", range(2))
    (tmp_path / "1.mp4.frames" / "photo").mkdir(parents=True)
    (tmp_path / "1.mp4.frames" / "film.json").write_text(damage)
    painter = Painter()
    painted_film(source, tmp_path / "1.mp4", painter, is_resumed=True)
    assert painter.painted == 2 and not list(tmp_path.glob("*.frames"))


def test_two_at_once_do_not_get_into_each_others_way(tmp_path, draw_film):
    source = draw_film(tmp_path / "source.mp4", range(2))

    class Second(Painter):
        def begin(self, photo):
            with pytest.raises(DataError, match="another process works on"):
                painted_film(source, tmp_path / "1.mp4", is_resumed=True)

    assert painted_film(source, tmp_path / "1.mp4", Second())["frames"] == 2


# The command's own path


@pytest.fixture
def files(tmp_path, monkeypatch, draw_film, painting):
    """The folder that commands run in, with film.mp4 and painting.png; the network only inverts."""
    from tfvision.apps.style import film_painter

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(film_painter, "FastPainter", lambda job, paintings: Painter())
    draw_film("film.mp4", range(6), sound="aac")
    PIL.Image.fromarray(painting).save("painting.png")
    return tmp_path


@pytest.fixture
def fast_job(files, tiny_preset):
    return StyleJob("film.mp4", ("painting.png",), preset=tiny_preset, is_fast=True)


def only(results):
    (result,) = results
    return result


def test_a_film_becomes_one_with_a_record(files, fast_job):
    result = only(stylize_files(fast_job))
    assert result["output"] == "film-painting.mp4" and (result["frames"], result["scenes"], result["content_loss"]) == (6, 1, None)
    _, record = read_sidecar("film-painting.mp4")
    assert record["frames"] == 6 and record["unsteadiness"] <= record["unsteadiness_alone"]
    before = Path("film-painting.mp4").stat().st_mtime_ns
    assert only(stylize_files(fast_job, options=StudioOptions(is_resumed=True))) == result
    assert Path("film-painting.mp4").stat().st_mtime_ns == before
    assert sorted(path.name for path in files.iterdir()) == ["film-painting.mp4", "film-painting.mp4.json", "film.mp4", "painting.png"]


def test_a_film_becomes_an_animation_and_back(files, fast_job):
    only(stylize_files(fast_job, "1.gif"))
    assert [seconds for _, seconds in read_frames("1.gif")] == [0.04] * 6
    job = StyleJob("1.gif", fast_job.paintings, preset=fast_job.preset, is_fast=True)
    assert only(stylize_files(job, "2.mkv"))["frames"] == 6


def test_frames_of_a_folder_keep_their_names_and_broken_ones_are_told(files, fast_job, moving_texture):
    Path("frames").mkdir()
    for number, name in enumerate(("9.png", "10.png", "11.bmp")):
        PIL.Image.fromarray(moving_texture(number)).save(f"frames/{name}")
    Path("frames/12.png").write_text("This is a text.")
    job = StyleJob("frames", fast_job.paintings, preset=fast_job.preset, is_fast=True)
    made, broken = stylize_files(job, "out", StudioOptions(is_frames=True))
    assert made["output"] == "out" and made["frames"] == 3 and broken["photo"] == "frames/12.png" and "is no image" in broken["error"]
    assert sorted(path.name for path in Path("out").iterdir()) == ["10.png", "11.bmp.png", "9.png"]
    np.testing.assert_array_equal(read_picture_file("out/9.png").pixels, 255 - moving_texture(0))


def test_without_opencv_an_animation_is_painted_all_the_same_and_the_remedy_told(files, fast_job, monkeypatch, capsys, moving_texture):
    for module in (film, job):
        monkeypatch.setattr(module, "has_flow", lambda: False)
    frames = [PIL.Image.fromarray(moving_texture(number)) for number in range(3)]
    frames[0].save("1.gif", save_all=True, append_images=frames[1:])
    result = only(stylize_files(StyleJob("1.gif", fast_job.paintings, preset=fast_job.preset, is_fast=True)))
    assert result["frames"] == 3 and result["scenes"] == 1 and result["unsteadiness"] is None
    assert 'pip install "tfvision[video]"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "message"), [("1.png", "--out must end in .mp4, .m4v, .mov, .mkv, .gif, .webp"), ("film.mp4", "--out would overwrite film.mp4")]
)
def test_films_are_not_written_over_or_as_photos(files, fast_job, out, message):
    with pytest.raises(DataError, match=message):
        list(stylize_files(fast_job, out))


def test_a_film_that_cannot_be_read_leaves_nothing(files, fast_job):
    Path("film.mp4").write_bytes(Path("film.mp4").read_bytes()[:700])
    with pytest.raises(DataError, match="film.mp4 is"):
        list(stylize_files(fast_job))
    assert sorted(path.name for path in files.iterdir()) == ["film.mp4", "painting.png"]


@pytest.mark.slow
def test_the_optimiser_paints_films_frame_after_frame(files, fast_job):
    import dataclasses

    result = only(stylize_files(dataclasses.replace(fast_job, is_fast=False, preset=dataclasses.replace(fast_job.preset, iterations=2))))
    assert result["iterations"] == 12 and result["frames"] == 6 and result["style_loss"] > 0
    assert not list(files.glob("*.frames"))


@pytest.mark.slow
def test_a_real_network_is_held_as_steady(tmp_path, moving_texture, painting, stylizer_run):
    """By heart, of stripes: a network of ours that tests have at hand."""
    from tfvision.apps.style.film_painter import FastPainter

    fast_job = StyleJob("film.mp4", ("painting.png",), is_fast=True, module=str(stylizer_run), colour="luminance")
    _, tally = held_film([moving_texture(number, 72, 96) for number in range(4)], FastPainter(fast_job, [painting]))
    assert tally.compared == 3 and tally.unsteadiness < tally.unsteadiness_alone


# Settings of a scene


def test_a_scenes_first_photo_decides_for_all_of_it(monkeypatch, photo, painting):
    from tfvision.apps.style import film_painter
    from tfvision.apps.style.fast_networks import FastNetwork

    class Mean(FastNetwork):
        """A style is a mean colour, and the picture is all of it."""

        name, blends_styles = "mean", True
        looks = itertools.count()

        def style_of(self, painting):
            next(self.looks)
            return (painting.mean((0, 1)),)

        def _paint_whole(self, photo, style):
            return np.broadcast_to(style[0].round(), photo.shape).astype(np.uint8)

    monkeypatch.setattr(film_painter, "load_network", lambda handle: Mean())
    painter = film_painter.FastPainter(StyleJob("film.mp4", ("painting.png",), is_fast=True, strength=0.5), [painting])
    painter.begin(photo)
    first, later = painter.paint(photo), painter.paint(255 - photo)
    np.testing.assert_array_equal(first, later)
    np.testing.assert_allclose(first[0, 0], (photo.mean((0, 1)) + painting.mean((0, 1))) / 2, atol=1)
    assert next(Mean.looks) == 2
    painter.begin(255 - photo)
    assert (painter.paint(photo) != first).any()
