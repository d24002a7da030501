import dataclasses
import re
import sys

import numpy as np
import pytest

from tfvision.apps.style import memory, stylization
from tfvision.apps.style.presets import get_preset
from tfvision.apps.style.stylization import stylize
from tfvision.errors import DataError, RecipeError, RunError


@pytest.mark.slow
def test_the_picture_comes_closer_to_the_painting(photo, painting, tiny_preset):
    first = []
    result = stylize(photo, [painting], tiny_preset, on_iteration=lambda progress: first.append(progress))
    assert result.picture.dtype == np.uint8 and result.picture.shape == (48, 64, 3)
    assert result.style_loss < first[0].style_loss
    assert [progress.iteration for progress in first] == list(range(1, 7))
    assert (first[-1].iterations, first[-1].scales) == (6, 1)
    assert first[-1].picture().shape == (48, 64, 3)
    assert (result.iterations, result.network) == (6, "vgg19_slim")


@pytest.mark.slow
def test_the_same_call_gives_the_same_bytes(photo, painting, tiny_preset):
    preset = dataclasses.replace(tiny_preset, start="noise", seed=3)
    one, same, other = (stylize(photo, [painting], dataclasses.replace(preset, seed=seed)).picture for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_an_interrupted_run_ends_in_the_same_picture(photo, painting, tiny_preset, tmp_path, monkeypatch, optimizer):
    monkeypatch.setattr(stylization, "LEG_ITERATIONS", 3)
    preset = dataclasses.replace(tiny_preset, optimizer=optimizer, size=128, scales=((0.5, 7),), iterations=4)
    whole = stylize(photo, [painting], preset)
    state, stops, seen = tmp_path / "state.npz", [5, 9], []  # within the second leg of the first scale, within the second scale

    def stop(progress):
        if progress.iteration == stops[0]:
            raise KeyboardInterrupt

    while stops:
        with pytest.raises(KeyboardInterrupt):
            stylize(photo, [painting], preset, on_iteration=stop, state_path=state)
        stops.pop(0)
    resumed = stylize(photo, [painting], preset, on_iteration=lambda p: seen.append(p.iteration), state_path=state)
    assert seen[0] > 7  # it went on within the second scale
    np.testing.assert_array_equal(resumed.picture, whole.picture)
    assert (resumed.iterations, resumed.evaluations) == (whole.iterations, whole.evaluations)
    assert not state.exists()


@pytest.mark.slow
def test_presets_share_an_objective_unless_it_looks_at_what_they_differ_in(untraced, tiny_preset):
    opened = {name: stylization._open_objective(dataclasses.replace(tiny_preset, **stylization._UNSEEN)) for name in ("one", "other")}
    assert opened["one"] is opened["other"]
    looked_at = {field.name for field in dataclasses.fields(tiny_preset)} - set(stylization._UNSEEN)
    asked = set()

    class Asked:
        def __getattr__(self, name):
            asked.add(name)
            return getattr(tiny_preset, name)

    stylization._open_objective.__wrapped__(Asked())
    objective = stylization.Objective(opened["one"][0]._model, Asked())
    photo = np.zeros((32, 32, 3), np.float32)
    objective.evaluate(photo, objective.targets(photo, [photo], [1.0], None, (photo, photo)))
    assert asked <= looked_at


def test_a_state_of_another_call_is_refused(photo, painting, tiny_preset, tmp_path, monkeypatch):
    monkeypatch.setattr(stylization, "LEG_ITERATIONS", 2)

    def stop(progress):
        if progress.iteration == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylize(photo, [painting], tiny_preset, on_iteration=stop, state_path=tmp_path / "state.npz")
    with pytest.raises(RunError, match="belongs to other pictures or settings"):
        stylize(painting, [photo], tiny_preset, state_path=tmp_path / "state.npz")
    (tmp_path / "other.npz").write_bytes(b"other weights of the same name")
    monkeypatch.setattr(stylization, "find_weights", lambda network: (tmp_path / "other.npz", network, ""))
    with pytest.raises(RunError, match="belongs to other pictures or settings"):
        stylize(photo, [painting], tiny_preset, state_path=tmp_path / "state.npz")


@pytest.mark.slow
def test_it_stops_where_the_loss_no_longer_falls(photo, painting, tiny_preset):
    preset = dataclasses.replace(tiny_preset, iterations=500, tolerance=0.4)
    assert 10 < stylize(photo, [painting], preset).iterations < 200


@pytest.mark.slow
def test_each_scale_starts_from_the_one_before_with_the_photos_detail(untraced, photo, painting, tiny_preset):
    preset = dataclasses.replace(tiny_preset, size=128, scales=((0.5, 1),), iterations=0, style_layers=("conv1_1",), style_weight=0.0)
    # Nothing but content, started from the photo: there is nothing to do, so the larger photo must come out.
    preset = dataclasses.replace(preset, total_variation_weight=0.0, range_weight=0.0)
    result = stylize(photo, [painting], preset)
    assert result.picture.shape == (96, 128, 3)
    assert result.content_loss < 1e-3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda photo, art: (np.zeros((1, 1, 3), np.uint8), [art], {}), "the photo is 1 x 1 pixels: at least 16"),
        (lambda photo, art: (np.zeros((16, 5000, 3), np.uint8), [art], {}), "the photo is 5000 x 16 pixels, too narrow: .* raise --size"),
        (lambda photo, art: (photo, [art[:3]], {}), "the painting is 64 x 3 pixels"),
        (lambda photo, art: (photo, [art], {"masks": [np.ones((3, 3))]}), "a mask must have the photo's size"),
    ],
)
def test_pictures_that_cannot_be_used_are_named(photo, painting, tiny_preset, make, message):
    photo, paintings, arguments = make(photo, painting)
    with pytest.raises(DataError, match=message):
        stylize(photo, paintings, tiny_preset, **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "sgd"}, "optimizer must be one of lbfgs, adam, got 'sgd'"),
        ({"size": 8}, "size must be at least 16 pixels, got 8"),
        ({"style_layers": ("conv9_1",)}, "layers must be of conv1_1, .*, got conv9_1"),
        ({"style_weight": -1.0}, "style_weight must not be negative"),
        ({"carried_above": 20}, "carried_above must be at least 64 pixels, or 0 for never, got 20"),
        ({"carried_iterations": (1, -2)}, "carried_iterations must not be negative, got"),
    ],
)
def test_presets_that_cannot_be_are_refused(photo, painting, tiny_preset, change, message):
    with pytest.raises(RecipeError, match=message):
        stylize(photo, [painting], dataclasses.replace(tiny_preset, **change))


@pytest.mark.parametrize(("paintings", "arguments"), [(0, {}), (2, {"weights": [1.0]}), (2, {"weights": [0.0, 0.0]}), (2, {"masks": []})])
def test_paintings_weights_and_masks_must_belong_together(photo, painting, tiny_preset, paintings, arguments):
    with pytest.raises(RecipeError, match="painting"):
        stylize(photo, [painting] * paintings, tiny_preset, **arguments)


def test_memory_is_foreseen_before_anything_is_computed(photo, painting, tiny_preset, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 4_000_000_000)
    with pytest.raises(DataError, match=r"a picture of 20000 x 15000 pixels takes about \d+\.\d GB of memory, 4.0 GB are free: use --size \d+") as error:
        stylize(photo, [painting], dataclasses.replace(tiny_preset, size=20000))
    size = int(re.search(r"--size (\d+)", str(error.value))[1])
    assert memory.memory_needed(tiny_preset, 16, size * 3 // 4, size) <= 4_000_000_000


def test_the_memory_that_it_takes_is_told_once_before_it_starts(photo, painting, tiny_preset, capsys, monkeypatch):
    preset = dataclasses.replace(tiny_preset, size=72, iterations=0)
    monkeypatch.setattr(stylization, "Scales", lambda *_: pytest.fail("it has started") if "GB of memory" not in capsys.readouterr().err else sys.exit(7))
    with pytest.raises(SystemExit):
        stylize(photo, [painting], preset)


@pytest.mark.parametrize(
    ("width", "height", "measured"), [(256, 192, 0.744e9), (512, 384, 1.104e9), (1024, 768, 1.76e9), (1536, 1152, 2.83e9), (3000, 2250, 5.3e9)]
)
def test_the_memory_foreseen_is_what_was_measured(width, height, measured):
    """Peaks of the resident memory with vgg19_slim; at 1024 and 1536 px of three iterations, and what seven more pairs of L-BFGS took beside."""
    preset = dataclasses.replace(get_preset("default"), carried_above=0)
    assert memory.memory_needed(preset, 16, height, width) == pytest.approx(measured, rel=0.1)


def test_4000_pixels_are_foreseen_to_fit_into_4_gb_with_the_channels_of_vgg19():
    assert memory.memory_needed(get_preset("default"), 64, 3000, 4000) < 4e9


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_loss_that_is_not_finite_makes_no_picture(photo, painting, tiny_preset, optimizer):
    preset = dataclasses.replace(tiny_preset, style_weight=1e300, optimizer=optimizer, iterations=2, scales=())
    with pytest.raises(RecipeError, match="(loss|gradient) became -?(inf|nan), so no picture is written: take smaller weights"):
        stylize(photo, [painting], preset)
    with pytest.raises(RecipeError, match="give one weight above 0"):
        stylize(photo, [painting], tiny_preset, weights=[float("inf")])


@pytest.mark.slow
def test_a_long_narrow_photo_and_a_tiny_painting_are_painted(untraced, photo, painting, tiny_preset):
    # At half the size the photo would have 8 rows, of which conv5_1 has none; so would a painting shown at a tenth.
    preset = dataclasses.replace(tiny_preset, size=160, scales=((0.5, 2),), iterations=2, painting_scale=0.15)
    strip = np.tile(photo[:16, :32], (1, 5, 1))
    result = stylize(strip, [painting], preset)
    assert result.picture.shape == (16, 160, 3) and np.isfinite(result.style_loss)
