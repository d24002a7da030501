import io

import numpy as np
import PIL.Image
import pytest

from tfvision.apps.style.studio.session import Session

TOKEN = "secret-token"


def _encoded(pixels, format="PNG", **options):
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def encoded():
    """A function: uint8 pixels -> the bytes of their file, a PNG if nothing else is said."""
    return _encoded


@pytest.fixture(scope="session")
def half_mask():
    """(height, width) -> a mask whose left half is white, uint8 RGB."""

    def make(height, width):
        mask = np.zeros((height, width, 3), np.uint8)
        mask[:, : width // 2] = 255
        return mask

    return make


@pytest.fixture
def empty_session(tinting_module, tiny_preset):
    """A studio with nothing in it, whose fast network mixes the photo with the painting's mean colour."""
    session = Session(tiny_preset, str(tinting_module))
    session.quick.load()
    yield session
    session.stop()


@pytest.fixture
def session(empty_session, photo, painting):
    """A studio with a photo of 96 x 72 pixels and a painting."""
    empty_session.set_photo(_encoded(photo), "photo.png")
    empty_session.add_painting(_encoded(painting), "waves.png")
    return empty_session
