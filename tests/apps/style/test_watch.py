import dataclasses

import numpy as np
import PIL.Image
import pytest

from tfvision.apps.style import watch
from tfvision.apps.style.presets import get_preset
from tfvision.apps.style.scales import Scales
from tfvision.apps.style.stylization import Progress
from tfvision.apps.style.tiles import cut_picture, cut_windows
from tfvision.apps.style.watch import Clock, Watch

PICTURE = np.full((4, 4, 3), 9, np.uint8)


def progress(scale, iteration, work_done=0.0, work=1.0):
    facts = {"scales": 2, "iterations": 30, "evaluations": iteration, "content_loss": 1.0, "style_loss": 2.0, "total_loss": 41.0}
    return Progress(scale=scale, iteration=iteration, picture=lambda: PICTURE, work_done=work_done, work=work, **facts)


@pytest.fixture
def now(monkeypatch):
    """A clock that stands still unless it is told to go on: a list of its seconds."""
    seconds = [100.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: seconds[0])
    return seconds


def test_the_time_left_is_told_from_the_second_iteration_on(now):
    clock = Clock()
    assert clock.read(progress(1, 1, 10, 100)) == (0.1, None)  # it has compiled the graph
    now[0] += 3
    share, seconds_left = clock.read(progress(1, 2, 20, 100))
    assert share == 0.2
    assert seconds_left == pytest.approx(80 * 3 / 10)


def test_what_lies_between_scales_is_no_iteration(now):
    clock = Clock()
    for scale, iteration, done, seconds in ((1, 1, 1, 0), (1, 2, 2, 1), (2, 3, 50, 500)):
        now[0] += seconds
        left = clock.read(progress(scale, iteration, done, 100))[1]
    assert left == pytest.approx(50)  # a second each, as the first scale had


@pytest.mark.parametrize("size", [512, 1024, 2048, 4000])
@pytest.mark.parametrize("slowness", [0.8, 1.0, 1.2], ids=lambda slowness: f"large pictures {slowness}")
def test_after_a_tenth_of_the_time_the_rest_is_told_within_30_percent(now, size, slowness):
    """Seconds by pixels evaluated, as measured: 0.76 s a megapixel of loss and gradient, 0.43 of responses alone; larger pictures faster or slower."""
    scales = Scales(np.zeros((72, 96, 3), np.uint8), [], dataclasses.replace(get_preset("default"), size=size), np.ones(0), None, None, ())
    readings, clock = [], Clock()
    for number, (scale, count) in enumerate(zip(scales.scales, scales.iterations, strict=True)):
        height, width = scales.shape(number)
        now[0] += 0.8 * height * width / 1e6
        for iteration in range(1, count + 1):
            now[0] += _seconds(scale, height, width) * (slowness if height * width > 400_000 else 1)
            done, work = scales.work(number, iteration)
            readings.append((now[0], clock.read(progress(number + 1, sum(scales.iterations[:number]) + iteration, done, work))[1]))
    began, ended = 100.0, now[0]
    late = [(left, ended - at) for at, left in readings if at - began > (ended - began) / 10]
    assert all(abs(told - true) < 0.3 * true + 0.05 * (ended - began) for told, true in late)
    assert readings[-1][1] == 0


def _seconds(scale, height, width):
    """Of an iteration: whole pictures up to 640 px, exact tiles with 96 px around them above, windows of 512 px with 16."""
    if scale.is_carried:
        windows = cut_windows(height, width, 640)
        pixels = sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in windows) / len(windows)
        return (1.3 * scale.steps * 0.76 + 2 * 0.43) * pixels / 1e6 + 0.02
    tiles = cut_picture(height, width, 640)
    pixels = sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in tiles)
    return 1.07 * (0.76 + 0.43 * (len(tiles) > 1)) * pixels / 1e6 + 0.004


def test_pictures_on_the_way_are_kept(tmp_path):
    with Watch("", steps=tmp_path / "1.png.steps", save_every=2) as seen:
        for iteration in range(1, 6):
            seen(progress(1, iteration))
    assert sorted(path.name for path in (tmp_path / "1.png.steps").iterdir()) == ["00002.png", "00004.png"]
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / "1.png.steps" / "00004.png")), PICTURE)
