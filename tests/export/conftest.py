import numpy as np
import pytest
import tensorflow as tf

from tfvision.export.exportable import Exportable, Signature

ROWS = np.float32([[1], [2], [3]])


@pytest.fixture(scope="session")
def doubling():
    """An Exportable that doubles numbers."""
    factor = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 1], name="number")], autograph=False)
    def double(number):
        return {"doubled": factor * number}

    return Exportable(
        name="doubling",
        signatures={"serving_default": Signature(double, {"number": ROWS})},
        variables=[factor],
        assets={},
        reference=lambda signature, inputs: {"doubled": 2 * inputs["number"]},
        preprocessing={},
        facts={},
        core=double,
        core_samples={"number": ROWS},
    )
