import io

import numpy as np
import PIL.Image
import pytest

from tfvision.apps.style.studio.samples import SAMPLES, sample_png
from tfvision.errors import DataError


@pytest.mark.slow
@pytest.mark.parametrize("kind, name", [(kind, name) for kind, named in SAMPLES.items() for name in named])
def test_a_sample_is_a_picture_of_some_size(kind, name):
    with PIL.Image.open(io.BytesIO(sample_png(kind, name))) as image:
        pixels = np.asarray(image)
    assert pixels.shape[2] == 3 and min(pixels.shape[:2]) >= 256 and pixels.std() > 20


def test_a_sample_is_drawn_alike_each_time():
    np.testing.assert_array_equal(*(SAMPLES["photo"]["Hills"]() for _ in range(2)))


def test_there_is_no_other_sample():
    for kind, name in (("photo", "Swirls"), ("film", "Hills"), ("photo", "../Hills")):
        with pytest.raises(DataError, match="an example is one of"):
            sample_png(kind, name)
