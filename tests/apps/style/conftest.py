import functools

import pytest
import tensorflow as tf

from tfvision.apps.style import stylization


@pytest.fixture(scope="session", autouse=True)
def every_objective_is_kept():
    """Tests ask for more presets than a user does, again and again; to trace each anew would take seconds."""
    kept = functools.cache(stylization._open_objective.__wrapped__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stylization, "_open_objective", kept)
        yield
    kept.cache_clear()  # at the interpreter's end, TensorFlow would have gone before its functions


@pytest.fixture(scope="session")
def save_public_module():
    """A function (folder, whether the module can be called, not only its signature) that saves a module of the public kind."""
    return _save_public_module


class _PublicModule(tf.Module):
    """The interface of the public arbitrary-style module; it tints the photo with the painting's mean colour."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([None, 256, 256, 3])], autograph=False)
    def __call__(self, placeholder, placeholder_1):
        return (placeholder / 2 + tf.reduce_mean(placeholder_1, [1, 2], keepdims=True) / 2,)


def _save_public_module(folder, as_called=True):
    module = _PublicModule()
    signature = tf.function(lambda placeholder, placeholder_1: {"output_0": module(placeholder, placeholder_1)[0]}, autograph=False)
    specs = {name: tf.TensorSpec(shape, name=name) for name, shape in (("placeholder", [None, None, None, 3]), ("placeholder_1", [None, 256, 256, 3]))}
    saved = module if as_called else tf.Module()
    tf.saved_model.save(saved, str(folder), signatures={"serving_default": signature.get_concrete_function(**specs)})
    return folder


@pytest.fixture(scope="session")
def tinting_module(tmp_path_factory):
    """The folder of such a module: half the photo, half the painting's mean colour."""
    return _save_public_module(tmp_path_factory.mktemp("modules") / "tinting")
