import numpy as np

from colour_names.run import load_network
from tfvision.export.exportable import Exportable, Signature, tf_variables


def make_exportable(run, half=False):
    network, model = load_network(run)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    return Exportable(
        name="colours",
        signatures={"serving_default": Signature(_named(network), {"pixels": pixels}, description="Pixels in, logits out.")},
        variables=tf_variables(model),
        assets={},
        reference=lambda signature, inputs: {"logits": model(inputs["pixels"].astype(np.float32)).numpy()},
        preprocessing={},
        facts={},
        core=_named(network),
        core_samples={"pixels": pixels},
    )


def _named(network):
    import tensorflow as tf

    signature = [tf.TensorSpec([None, 8, 8, 3], tf.uint8, "pixels")]
    return tf.function(lambda pixels: {"logits": network(pixels)}, signature, autograph=False)
