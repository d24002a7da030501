"""How fast a per-painting network paints, beside this machine's matrix multiplication.

    python benchmarks/stylizer_speed.py [--width 16] [--blocks 5] [--sizes 256,512,1024] [--seconds 5]

For each size: milliseconds a picture (the median), how many floating-point operations that takes by TensorFlow's own
count, and the share of the operations a second that a plain product of two 2048 x 2048 matrices reaches in the same run.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.profiler.model_analyzer import profile
from tensorflow.python.profiler.option_builder import ProfileOptionBuilder

from tfvision.models.stylizer import build_stylizer

MATRIX = 2048


def main():
    arguments = _arguments()
    model = build_stylizer(arguments.width, arguments.blocks)
    limit = matrix_operations_a_second(arguments.seconds)
    print(f"matrix product {MATRIX} x {MATRIX}: {limit / 1e9:.0f} GFLOP/s; network: {model.count_params():,} weights")
    print(f"{'px':>6} {'ms':>8} {'GFLOP':>8} {'GFLOP/s':>8} {'of limit':>8}")
    for size in map(int, arguments.sizes.split(",")):
        paint = _painter(model, size)
        seconds = _median_seconds(lambda: paint(_photo(size)).numpy(), arguments.seconds)
        operations = operations_of(paint)
        print(f"{size:6} {1000 * seconds:8.0f} {operations / 1e9:8.1f} {operations / seconds / 1e9:8.0f} {operations / seconds / limit:8.0%}")


def matrix_operations_a_second(seconds):
    """What a product of two square matrices reaches: the most that a convolution could."""
    a = tf.constant(np.random.default_rng(0).normal(size=(MATRIX, MATRIX)), tf.float32)
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(a, a)))
    return 2 * MATRIX**3 / _median_seconds(lambda: product().numpy(), seconds)


def operations_of(function):
    """Floating-point operations of one call, by TensorFlow's profiler: a multiplication and an addition are two."""
    frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    options = ProfileOptionBuilder(ProfileOptionBuilder.float_operation()).with_empty_output().build()
    return profile(frozen.graph, options=options).total_float_ops


def _painter(model, size):
    return tf.function(lambda pixels: model(pixels, training=False), input_signature=[tf.TensorSpec([1, size, size, 3], tf.uint8)])


def _photo(size):
    return tf.constant(np.random.default_rng(1).integers(0, 256, (1, size, size, 3)).astype(np.uint8))


def _median_seconds(call, seconds):
    call()
    taken, until = [], time.monotonic() + seconds
    while time.monotonic() < until or len(taken) < 3:
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--sizes", default="256,512,1024")
    parser.add_argument("--seconds", type=float, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
