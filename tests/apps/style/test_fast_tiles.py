import numpy as np
import pytest

from tfvision.apps.style.fast_tiles import paint_tiles


@pytest.fixture(scope="module")
def scene():
    """A sky that darkens, over a wavy ground: uint8 [600, 640, 3]."""
    y, x = np.mgrid[:600, :640].astype(np.float32)
    light = np.where(y < 400, 220 - y / 4, 80 + 40 * np.sin(x / 5))
    return np.repeat(light[..., None], 3, axis=2).round().astype(np.uint8)


def _inverted(pixels):
    return 255 - pixels


def _normalised(pixels):
    """As instance normalisation does: a piece gets the same mean and deviation whatever it shows."""
    values = pixels.astype(np.float32)
    return (128 + 40 * (values - values.mean()) / values.std()).clip(0, 255).round().astype(np.uint8)


def test_a_small_photo_is_painted_in_one_piece(scene):
    pieces = []
    paint_tiles(scene, lambda pixels: pieces.append(pixels.shape) or pixels, scene.shape[0] * scene.shape[1])
    assert pieces == [scene.shape]


def test_tiles_of_what_needs_no_surroundings_are_the_whole(scene):
    sizes = []
    tiled = paint_tiles(scene, lambda pixels: sizes.append(pixels.shape[0] * pixels.shape[1]) or _inverted(pixels), 140_000)
    assert len(sizes) > 4 and max(sizes) < 2 * 140_000
    assert np.abs(tiled.astype(int) - _inverted(scene)).mean() < 1


def test_pieces_that_would_differ_in_tone_have_the_tones_of_the_whole_and_no_seams(scene):
    tiled, whole = paint_tiles(scene, _normalised, 140_000).astype(int), _normalised(scene).astype(int)
    sky, wanted = tiled[40:360], whole[40:360]
    assert np.abs(sky - wanted).mean() < 10
    assert np.abs(np.diff(sky, axis=1)).max() <= 2  # the sky has no vertical edge, and gets none
    loose = np.abs(_normalised(scene[:400])[40:360].astype(int) - wanted).mean()
    assert loose > 15  # what a piece of sky alone would become
