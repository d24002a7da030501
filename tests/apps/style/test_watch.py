import dataclasses

import numpy as np
import PIL.Image
import pytest

from tfvision.apps.style import watch
from tfvision.apps.style.stylization import Progress
from tfvision.apps.style.watch import Clock, Watch

PICTURE = np.full((4, 4, 3), 9, np.uint8)


def progress(scale, iteration, scales=2, iterations=30):
    losses = {"content_loss": 1.0, "style_loss": 2.0, "total_loss": 41.0}
    return Progress(scale=scale, scales=scales, iteration=iteration, iterations=iterations, evaluations=iteration, **losses, picture=lambda: PICTURE)


@pytest.fixture
def preset(tiny_preset):
    """20 iterations at half the size, 10 at the whole."""
    return dataclasses.replace(tiny_preset, scales=((0.5, 20),), iterations=10)


def test_the_share_counts_an_iteration_by_its_pixels(preset, monkeypatch):
    monkeypatch.setattr(watch, "_ITERATION_COST", 0)
    clock = Clock(preset)  # in iterations at the full size: 20 / 4 + 10 = 15
    shares = [clock.read(progress(scale, iteration))[0] for scale, iteration in ((1, 4), (1, 20), (2, 25), (2, 30))]
    assert shares == pytest.approx([1 / 15, 5 / 15, 10 / 15, 1])


def test_a_scale_that_stopped_early_leaves_only_the_later_ones(preset, monkeypatch):
    monkeypatch.setattr(watch, "_ITERATION_COST", 0)
    assert Clock(preset).read(progress(2, 21))[0] == pytest.approx(6 / 15)  # the first of ten


def test_the_coarsest_scale_may_be_left_out(preset, monkeypatch):
    monkeypatch.setattr(watch, "_ITERATION_COST", 0)
    assert Clock(preset).read(progress(1, 5, scales=1, iterations=10))[0] == pytest.approx(0.5)


def test_the_time_left_is_told_from_the_second_iteration_on(preset, monkeypatch):
    monkeypatch.setattr(watch, "_ITERATION_COST", 0)
    now = [100.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    clock = Clock(preset)
    assert clock.read(progress(2, 21))[1] is None  # it has compiled the graph
    now[0] += 3
    assert clock.read(progress(2, 22))[1] == pytest.approx(8 * 3)


def test_pictures_on_the_way_are_kept(preset, tmp_path):
    with Watch("", preset, steps=tmp_path / "1.png.steps", save_every=2) as seen:
        for iteration in range(1, 6):
            seen(progress(1, iteration))
    assert sorted(path.name for path in (tmp_path / "1.png.steps").iterdir()) == ["00002.png", "00004.png"]
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / "1.png.steps" / "00004.png")), PICTURE)
