import functools

import pytest

from tfvision.apps.style import stylization


@pytest.fixture(scope="session", autouse=True)
def every_objective_is_kept():
    """Tests ask for more presets than a user does, again and again; to trace each anew would take seconds."""
    kept = functools.cache(stylization._open_objective.__wrapped__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stylization, "_open_objective", kept)
        yield
    kept.cache_clear()  # at the interpreter's end, TensorFlow would have gone before its functions
