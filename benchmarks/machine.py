"""What this machine can do: the limit that figures stand beside."""

import time

_MATRIX = 3072


def median_seconds(function, times=5):
    """The median of some calls, after one that is not counted."""
    function()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        function()
        taken.append(time.perf_counter() - started)
    return sorted(taken)[times // 2]


def interleaved_seconds(ways, rounds):
    """The median time of each of some functions, called in turn, after a round that is not counted: another load of the machine meets them alike."""
    taken = []
    for _ in range(rounds + 1):
        taken.append([])
        for way in ways:
            started = time.perf_counter()
            way()
            taken[-1].append(time.perf_counter() - started)
    return [sorted(times)[rounds // 2] for times in zip(*taken[1:], strict=True)]


def matrix_product_rate():
    """Operations a second of products of two large matrices, the most that a convolution could reach."""
    import tensorflow as tf

    matrix = tf.random.normal([_MATRIX, _MATRIX])
    # A chain with a ReLU, as in a network: only such a graph is rewritten where bfloat16 is asked for.
    product = tf.function(lambda a: tf.reduce_sum(tf.matmul(tf.nn.relu(tf.matmul(a, a)), a)))
    return 2 * 2 * _MATRIX**3 / median_seconds(lambda: product(matrix).numpy())


def has_bfloat16():
    """Whether the processor computes in bfloat16 (AVX512-BF16 or AMX); emulated, it takes many times as long."""
    with open("/proc/cpuinfo", encoding="ascii") as file:
        return bool({"avx512_bf16", "amx_bf16"} & set(file.read().split()))
