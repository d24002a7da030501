import dataclasses

import numpy as np
import pytest

from tfvision.apps.style import stylization
from tfvision.apps.style.scales import scales_of
from tfvision.apps.style.stylization import stylize
from tfvision.data.resizing import resized

pytestmark = pytest.mark.slow


@pytest.fixture
def preset(tiny_preset):
    """Painted at 64 px and carried up to 128 px, in windows of 64 px."""
    return dataclasses.replace(tiny_preset, size=128, carried_above=64, tile=64, iterations=4, carried_iterations=(1, 2))


def with_steps(preset, count):
    return dataclasses.replace(preset, carried_iterations=(count, count))


def test_steps_bring_a_carried_picture_closer_to_the_painting(photo, painting, preset):
    seen = []
    without, result = (stylize(photo, [painting], with_steps(preset, count), on_iteration=seen.append) for count in (0, 3))
    assert result.picture.shape == (96, 128, 3)
    assert result.style_loss < 0.7 * without.style_loss
    last = [progress for progress in seen if progress.scale == 2][-1]
    assert last.iteration == last.iterations == 2 + 4  # half of the iterations of the whole, and a window each
    assert last.work_done == last.work


def test_the_losses_told_are_those_of_the_picture(photo, painting, preset):
    preset = dataclasses.replace(preset, tile=0)  # one window
    result = stylize(photo, [painting], preset)
    objective, _ = stylization._open_objective(dataclasses.replace(preset, **stylization._UNSEEN))
    whole = stylization.Scales(photo, [painting], dataclasses.replace(preset, carried_above=0), np.ones(1), None, None, ())
    expected = objective.evaluate(result.picture.astype(np.float32), whole.targets(objective, 0))
    assert result.style_loss == pytest.approx(expected.style, rel=0.05)  # but for rounding
    assert result.content_loss == pytest.approx(expected.content, rel=0.05)


def test_no_seam_lies_where_windows_meet(photo, painting, preset):
    picture = stylize(photo, [painting], preset).picture.astype(float)
    across = np.abs(np.diff(picture, axis=1)).mean(axis=(0, 2))  # between neighbouring columns; windows meet in the middle, over 32 px
    assert across[62:66].mean() < 1.3 * across[8:-8].mean()


def test_an_interrupted_sweep_ends_in_the_same_picture(photo, painting, preset, tmp_path, monkeypatch):
    monkeypatch.setattr(stylization, "SAVED_EVERY", 2)
    whole, state = stylize(photo, [painting], preset), tmp_path / "state.npz"

    def stop(progress):
        if progress.iteration == 2 + 3:  # the third window of four
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylize(photo, [painting], preset, on_iteration=stop, state_path=state)
    seen = []
    resumed = stylize(photo, [painting], preset, on_iteration=lambda progress: seen.append(progress.iteration), state_path=state)
    assert seen == [2 + 3, 2 + 4]
    np.testing.assert_array_equal(resumed.picture, whole.picture)
    assert (resumed.content_loss, resumed.style_loss) == (whole.content_loss, whole.style_loss)
    assert not state.exists()


def test_masks_rule_where_a_picture_is_carried_up(photo, painting, preset):
    """A painting that rules everywhere is the only one, whatever a second one is."""
    masks = [np.ones(photo.shape[:2], np.float32), np.zeros(photo.shape[:2], np.float32)]
    alone, masked = stylize(photo, [painting], preset), stylize(photo, [painting, 255 - painting], preset, masks=masks)
    other = stylize(photo, [255 - painting], preset)
    of_masked, of_other = (np.abs(result.picture.astype(float) - alone.picture).mean() for result in (masked, other))
    assert of_masked < of_other / 4


def test_a_small_picture_is_made_as_ever(photo, painting, tiny_preset):
    one, same = (stylize(photo, [painting], dataclasses.replace(tiny_preset, carried_above=limit)).picture for limit in (0, 64))
    np.testing.assert_array_equal(one, same)


def test_without_a_photo_a_texture_grows_as_well(painting, preset):
    texture = stylize(None, [painting], dataclasses.replace(preset, content_layer=""))
    assert texture.picture.shape == (128, 102, 3)
    assert np.abs(texture.picture.astype(float) - resized(painting, 128, 102)).mean() > 1


@pytest.mark.parametrize(
    ("size", "sizes"), [(512, [128, 256, 512]), (1024, [256, 512, 1024]), (2048, [256, 512, 1024, 2048]), (4000, [256, 512, 1024, 2023.9, 4000])]
)
def test_a_large_picture_is_carried_up_by_at_most_two_at_a_time(tiny_preset, size, sizes):
    scales = scales_of(dataclasses.replace(tiny_preset, size=size, scales=((0.25, 10), (0.5, 10)), iterations=5))
    assert [scale.size for scale in scales] == pytest.approx(sizes, abs=0.1)
    assert [scale.is_carried for scale in scales] == [size > 1024 for size in sizes]
    assert [scale.steps for scale in scales[:3]] == [10, 10, 5 if size <= 1024 else 3]
