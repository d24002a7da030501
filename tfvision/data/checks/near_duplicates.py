"""Near duplicates: a hash of 64 bits that changes little where a photo changes little, and all hashes that are close.

The hash is the perceptual one of Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010): the
8 x 8 lowest frequencies of a grey photo of 32 x 32, each above their median or not. It stays close when a photo is scaled,
encoded anew, blurred, brightened or cropped a little; not when it is turned or mirrored.

NEAR_DISTANCE was chosen by measuring (benchmarks/near_duplicates.py), not by looking at single photos. Of 540 altered copies
of 45 tattoo photos (blur, crop, aspect, illumination; the truth is known) 97 % are within 6 bits of their original, 99.6 %
within 8. Of the 22 million pairs of 6,593 other photos 17 are within 6 bits, and all of them show one scene; beyond that,
strangers begin.
"""

import itertools
from collections.abc import Callable

import numpy as np

NEAR_DISTANCE = 6
_BITS = 64
_SIDE, _LOWEST = 32, 8
_BITS_OF_16 = np.array([bin(value).count("1") for value in range(1 << 16)], np.uint8)


def perceptual_hash(pixels: np.ndarray) -> int:
    """The hash of a photo: uint8 RGB [height, width, 3] -> int, 0 to 2**64 - 1."""
    import PIL.Image
    from scipy.fft import dctn

    grey = PIL.Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), PIL.Image.Resampling.BOX)
    lowest = dctn(np.asarray(grey, np.float32), norm="ortho")[:_LOWEST, :_LOWEST].ravel()
    return int.from_bytes(np.packbits(lowest > np.median(lowest)).tobytes(), "big")


def near_groups(hashes: np.ndarray, distance: int = NEAR_DISTANCE, progress: Callable[[int, int], None] | None = None) -> list[np.ndarray]:
    """Photos whose hashes differ in at most `distance` bits, chains of such joined.

    Args:
      hashes: uint64 [photos].
      progress: called as progress(done, total) now and then.

    Returns:
      A list of int arrays, the rows of the photos of each group of two or more, in order.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    unique, number_of = np.unique(np.asarray(hashes, np.uint64), return_inverse=True)
    first, second = close_pairs(unique, distance, progress).T
    links = coo_matrix((np.ones(len(first), bool), (first, second)), shape=(len(unique), len(unique)))
    groups = connected_components(links, directed=False)[1][number_of]
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    return sorted((part for part in parts if len(part) > 1), key=lambda part: part[0])


def close_pairs(hashes: np.ndarray, distance: int, progress: Callable[[int, int], None] | None = None) -> np.ndarray:
    """All pairs of different hashes that differ in at most `distance` bits: int64 [pairs, 2], the lower index first.

    Cut into distance + 2 bands, two such hashes agree in two bands at least: only those that do for some two bands are
    compared, not all pairs.
    """
    hashes = np.asarray(hashes, np.uint64)
    found = [np.empty((0, 2), np.int64)]
    choices = list(itertools.combinations(_bands(distance + 2), 2))
    for done, bands in enumerate(choices):
        if progress:
            progress(done, len(choices))
        found.append(_close_pairs_that_agree(hashes, np.bitwise_or(*bands), distance))
    if progress:
        progress(len(choices), len(choices))
    return np.unique(np.concatenate(found), axis=0)


def differing_bits(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How many bits differ, elementwise: uint64 -> int64."""
    return _BITS_OF_16[np.bitwise_xor(first, second).view(np.uint16).reshape(-1, 4)].sum(axis=1, dtype=np.int64)


def _bands(count):
    """Masks that share the bits out evenly."""
    edges = [_BITS * number // count for number in range(count + 1)]
    return [np.uint64((1 << high) - (1 << low)) for low, high in itertools.pairwise(edges)]


def _close_pairs_that_agree(hashes, mask, distance):
    """Of pairs that agree in the bits of the mask, those that are close. Such pairs stand in a row once sorted by these bits."""
    keys = hashes & mask
    order = np.argsort(keys, kind="stable")
    ends = np.searchsorted(keys[order], keys[order], side="right")
    starts, offset, found = np.arange(len(order)), 1, []
    while len(starts := starts[starts + offset < ends[starts]]):
        first, second = order[starts], order[starts + offset]
        is_close = differing_bits(hashes[first], hashes[second]) <= distance
        found.append(np.stack([np.minimum(first, second), np.maximum(first, second)], axis=1)[is_close])
        offset += 1
    return np.concatenate(found) if found else np.empty((0, 2), np.int64)
