"""How fast a per-painting network paints, beside this machine's matrix multiplication.

    python benchmarks/stylizer_speed.py [--size 256 --size 512 --size 1024]

The operations of a picture are TensorFlow's own count; the limit is the rate of a large matrix product in the same run.
"""

import os

import click
from machine import matrix_product_rate, median_seconds

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def operations_of(function):
    """Floating-point operations of one call, by TensorFlow's profiler: a multiplication and an addition are two."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    from tensorflow.python.profiler.model_analyzer import profile
    from tensorflow.python.profiler.option_builder import ProfileOptionBuilder

    frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    options = ProfileOptionBuilder(ProfileOptionBuilder.float_operation()).with_empty_output().build()
    return profile(frozen.graph, options=options).total_float_ops


@click.command()
@click.option("--size", "sizes", multiple=True, default=(256, 512, 1024), show_default=True)
def main(sizes):
    """Print a table: milliseconds a picture, operations, and their share of the limit."""
    import numpy as np
    import tensorflow as tf

    from tfvision.models.stylizer import build_stylizer
    from tfvision.trained.stylizer_run import StylizerRecipe

    recipe = StylizerRecipe()
    model = build_stylizer(recipe.width, recipe.blocks)
    limit = matrix_product_rate()
    print(f"matrix product: {limit / 1e9:.0f} GFLOP/s; network: {model.count_params():,} weights")
    print(f"{'px':>6} {'ms':>8} {'GFLOP':>8} {'GFLOP/s':>8} {'of the limit':>13}")
    for size in sizes:
        photo = tf.constant(np.random.default_rng(1).integers(0, 256, (1, size, size, 3)).astype(np.uint8))
        paint = tf.function(lambda pixels: model(pixels, training=False), input_signature=[tf.TensorSpec([1, size, size, 3], tf.uint8)])
        seconds = median_seconds(lambda: paint(photo).numpy())  # noqa: B023
        work = operations_of(paint)
        print(f"{size:6} {1000 * seconds:8.0f} {work / 1e9:8.1f} {work / seconds / 1e9:8.0f} {work / seconds / limit:13.2f}", flush=True)


if __name__ == "__main__":
    main()
