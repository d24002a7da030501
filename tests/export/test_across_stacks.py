"""Exported on one stack, served on the other: `.ci/run` lends both a folder, TFVISION_EXCHANGE, to meet in."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfvision.export.samples import sample_images
from tfvision.export.session import LoadedModel
from tfvision.export.verification import compare


@pytest.fixture
def exchange():
    folder = os.environ.get("TFVISION_EXCHANGE")
    if not folder:
        pytest.skip("TFVISION_EXCHANGE is not set: .ci/run sets it, so that two stacks can exchange exports")
    return Path(folder)


@pytest.mark.slow
def test_an_export_of_the_other_stack_answers_alike(exchange, colour_exportable, colour_export):
    own = exchange / tf.__version__
    if not own.exists():
        shutil.copytree(colour_export, own / "1")
        expected = colour_exportable.reference("serving_default", {"image_bytes": sample_images()})
        np.savez(own / "expected.npz", **{name: values for name, values in expected.items() if values.dtype.kind == "f"})
    others = [folder for folder in exchange.iterdir() if folder != own]
    if not others:
        pytest.skip("no other stack has left an export yet")
    for other in others:
        with LoadedModel(other / "1") as model:
            outputs = model.run("serving_default", {"image_bytes": sample_images()})
        expected = dict(np.load(other / "expected.npz"))
        numbers = {name: values for name, values in outputs.items() if values.dtype.kind == "f"}
        assert compare(numbers, expected, f"export of TensorFlow {other.name}", tolerance=1e-5) <= 1e-5
