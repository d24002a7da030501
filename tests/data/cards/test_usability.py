import numpy as np
import PIL.Image
import PIL.ImageFilter
import pytest

from tfvision.data.cards.usability import BLURRED, TOO_DARK, WHITED_OUT, why_unusable

RANDOM = np.random.default_rng(0)
SHAPES = np.kron(RANDOM.integers(0, 256, (16, 16, 3)), np.ones((10, 10, 1))).astype(np.uint8)


@pytest.mark.parametrize(
    "pixels, why",
    [
        (SHAPES, ""),
        (SHAPES // 9, TOO_DARK),
        (255 - SHAPES // 12, WHITED_OUT),
        (np.asarray(PIL.Image.fromarray(SHAPES).filter(PIL.ImageFilter.GaussianBlur(12))), BLURRED),
        (np.asarray(PIL.Image.fromarray(np.kron(SHAPES, np.ones((2, 2, 1), np.uint8))).filter(PIL.ImageFilter.GaussianBlur(24))), BLURRED),
        (np.kron(SHAPES, np.ones((2, 2, 1), np.uint8)), ""),
    ],
)
def test_photos_of_which_nothing_can_be_told(pixels, why):
    assert why_unusable(pixels) == why


def test_an_eye_in_the_dark_and_a_beetle_on_paper_are_seen():
    dark, paper = np.full((160, 160, 3), 5, np.uint8), np.full((160, 160, 3), 250, np.uint8)
    dark[70:90, 70:90], paper[70:90, 70:90] = SHAPES[:20, :20], SHAPES[:20, :20]
    assert why_unusable(dark) == why_unusable(paper) == ""


def test_small_and_enlarged_views_are_not_called_blurred():
    smooth = np.asarray(PIL.Image.fromarray(SHAPES).filter(PIL.ImageFilter.GaussianBlur(12)))
    assert why_unusable(smooth[:64, :64]) == why_unusable(smooth, is_enlarged=True) == ""


def test_one_sharp_corner_is_enough():
    smooth = np.asarray(PIL.Image.fromarray(SHAPES).filter(PIL.ImageFilter.GaussianBlur(12))).copy()
    smooth[:30, :30] = SHAPES[:30, :30]
    assert why_unusable(smooth) == ""
