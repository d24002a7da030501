import dataclasses

import numpy as np
import pytest

from tfvision.apps.style.presets import paper
from tfvision.apps.style.reconstruction import reconstruct, style_subset
from tfvision.apps.style.style_sheet import labelled_sheet, style_sheet
from tfvision.errors import RecipeError


@pytest.fixture
def short():
    return dataclasses.replace(paper(), network="vgg19_slim", size=64, iterations=30)


def test_the_first_layer_knows_the_photo_nearly_pixel_by_pixel(photo, short):
    result = reconstruct("content", photo, ["conv1_1"], dataclasses.replace(short, iterations=60))
    from tfvision.apps.style.enlarging import resize

    wanted = resize(photo, result.picture.shape[:2])
    noise = np.random.default_rng(0).normal(127.5, 60, wanted.shape)
    error = lambda picture: np.abs(picture - wanted).mean()
    assert error(result.picture.astype(float)) < error(noise) / 3


def test_a_texture_has_the_paintings_style_and_shape(painting, short):
    result = reconstruct("style", painting, style_subset("conv2_1"), short)
    assert result.picture.shape == (64, 51, 3)
    assert result.content_loss == 0
    noisier = reconstruct("style", painting, style_subset("conv2_1"), dataclasses.replace(short, iterations=1))
    assert result.style_loss < noisier.style_loss


def test_subsets_grow_as_in_figure_1():
    assert style_subset("conv1_1") == ("conv1_1",)
    assert style_subset("conv3_1") == ("conv1_1", "conv2_1", "conv3_1")
    with pytest.raises(RecipeError, match="a subset ends with one of conv1_1, .*, got 'conv4_2'"):
        style_subset("conv4_2")


@pytest.mark.parametrize(
    ("kind", "layers", "message"),
    [
        ("content", ["conv7_1"], "--layer must be of conv1_1, .*, got conv7_1"),
        ("content", ["conv1_1", "conv2_1"], "content is reconstructed from one layer, got 2"),
        ("colour", ["conv1_1"], "reconstruct content or style, got 'colour'"),
    ],
)
def test_wrong_layers_and_kinds_are_named(photo, short, kind, layers, message):
    with pytest.raises(RecipeError, match=message):
        reconstruct(kind, photo, layers, short)


@pytest.mark.slow
def test_a_sheet_has_a_row_a_subset_and_a_column_a_ratio(untraced, photo, painting, short):
    short = dataclasses.replace(short, size=32, iterations=2)
    sheet, made = style_sheet(photo, painting, short, ratios=(1e-4, 1.0), subsets=("conv1_1", "conv2_1"))
    assert list(made) == [("conv1_1", 1e-4), ("conv1_1", 1.0), ("conv2_1", 1e-4), ("conv2_1", 1.0)]
    first = made["conv1_1", 1e-4].picture
    found = [(y, x) for y in range(sheet.shape[0] - 24) for x in range(sheet.shape[1] - 32) if (sheet[y : y + 24, x : x + 32] == first).all()]
    assert len(found) == 1


def test_labels_stand_beside_and_above_the_pictures():
    black = np.zeros((60, 80, 3), np.uint8)
    sheet = labelled_sheet([[black, black]], ["conv1_1"], ["1e-5", "1e-4"])
    left, top = sheet.shape[1] - 2 * 86, sheet.shape[0] - 66
    assert (sheet[:top] < 128).any() and (sheet[top:, :left] < 128).any()
    assert (sheet[top : top + 60, left : left + 80] == 0).all()
