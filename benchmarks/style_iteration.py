"""Seconds an iteration of the style losses beside the limit of the machine, with and without bf16.

    python benchmarks/style_iteration.py [--size 512]

The limit is the arithmetic of the convolutions, forward and backward to the pixels, at the rate of a large matrix
product of TensorFlow's in the same run. The networks have random weights here: they do not change its time.
"""

import dataclasses
import os

import click
from machine import has_bfloat16, matrix_product_rate, median_seconds

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def operations(model, height, breadth):
    """Multiplications and additions of a model's convolutions, forward and backward to the pixels."""
    from tfvision.models.vgg19 import block_of, convolutions_of

    weights = {layer: sum(kernel.size for kernel in kernels) for layer, (*kernels, _) in convolutions_of(model).items()}
    halvings = {layer: block_of(layer) - 1 for layer in weights}
    return 4 * sum(count * (height >> halvings[layer]) * (breadth >> halvings[layer]) for layer, count in weights.items())


@click.command()
@click.option("--size", default=512, show_default=True)
def main(size):
    """Print a table: milliseconds of loss and gradient, their limit, and the ratio."""
    import numpy as np
    import tensorflow as tf

    from tfvision.apps.style.objective import Objective
    from tfvision.apps.style.presets import get_preset
    from tfvision.models.vgg19 import CONTENT_LAYER, STYLE_LAYERS, build_vgg19, plain_filters, slim_filters

    height, breadth = size * 3 // 4, size
    random = np.random.default_rng(0)
    image, photo, painting = (random.uniform(0, 255, (height, breadth, 3)).astype(np.float32) for _ in range(3))
    preset = dataclasses.replace(get_preset("default"), tile=0)
    print(f"{breadth} x {height} px\n{'network':<12}{'precision':<11}{'GFLOP':>7}{'ms':>8}{'GFLOP/s':>9}{'matmul GFLOP/s':>16}{'of the limit':>14}")
    for name, filters in {"vgg19": plain_filters(), "vgg19_slim": slim_filters()}.items():
        for precision in ("float32", "bfloat16") if has_bfloat16() else ("float32",):
            tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": precision == "bfloat16"})
            rate = matrix_product_rate()
            model = build_vgg19(filters, "avg", (CONTENT_LAYER, *STYLE_LAYERS), edge=preset.edge)
            objective = Objective(model, preset)
            targets = objective.targets(photo, [painting], [1.0])
            seconds = median_seconds(lambda: objective.evaluate(image, targets))  # noqa: B023
            work = operations(model, height, breadth)
            print(
                f"{name:<12}{precision:<11}{work / 1e9:>7.1f}{1000 * seconds:>8.0f}"
                f"{work / seconds / 1e9:>9.0f}{rate / 1e9:>16.0f}{work / seconds / rate:>14.2f}",
                flush=True,
            )
    if not has_bfloat16():
        print("\nthis processor has no bfloat16 unit")


if __name__ == "__main__":
    main()
