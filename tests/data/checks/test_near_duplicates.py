import csv
import io

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from tfvision.data.checks.near_duplicates import NEAR_DISTANCE, close_pairs, differing_bits, near_groups, perceptual_hash
from tfvision.data.decoding import read_pixels


def scene(seed, size=(150, 200)):
    """A picture of coarse patches, another one for each seed."""
    patches = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(patches).resize(size[::-1], Image.Resampling.BICUBIC))


def distance(first, second):
    return bin(perceptual_hash(first) ^ perceptual_hash(second)).count("1")


def test_the_hash_is_the_published_one():
    """By its definition: 32 x 32 means of grey, their cosine transform, the 8 x 8 lowest against their median."""
    pixels = scene(3, (64, 96))
    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.float64).reshape(32, 2, 32, 3).mean(axis=(1, 3))
    lowest = dctn(np.round(grey), norm="ortho")[:8, :8].ravel()
    expected = "".join("1" if value > np.median(lowest) else "0" for value in lowest)
    assert bin(perceptual_hash(pixels) ^ int(expected, 2)).count("1") <= 2  # a mean of .5 may be rounded the other way


def test_altered_copies_are_near_and_others_are_not():
    pixels = scene(0)
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.resize((90, 70)).save(buffer, "JPEG", quality=30)
    assert distance(pixels, np.asarray(Image.open(buffer))) <= NEAR_DISTANCE
    assert distance(pixels, np.clip(pixels * 0.7 + 40, 0, 255).astype(np.uint8)) <= NEAR_DISTANCE
    assert distance(pixels, np.asarray(image.crop((2, 1, 198, 149)))) <= NEAR_DISTANCE
    assert min(distance(pixels, scene(seed)) for seed in range(1, 30)) > NEAR_DISTANCE
    assert distance(pixels, pixels[:, ::-1]) > NEAR_DISTANCE


@pytest.mark.parametrize("most", [0, 1, 3, 6, 10])
def test_all_close_pairs_are_found(most):
    """Against every pair compared: random hashes, and families that differ in 0 to 12 bits."""
    random = np.random.default_rng(most)
    seeds = random.integers(0, 2**64, 40, dtype=np.uint64)
    family = seeds[random.integers(0, 40, 400)]
    for _ in range(12):
        flipped = random.integers(0, 2, 400, dtype=np.uint64) << random.integers(0, 64, 400, dtype=np.uint64)
        family = family ^ flipped
    hashes = np.unique(np.concatenate([seeds, family]))
    expected = {(a, b) for a in range(len(hashes)) for b in range(a + 1, len(hashes)) if bin(int(hashes[a]) ^ int(hashes[b])).count("1") <= most}
    assert {tuple(pair) for pair in close_pairs(hashes, most).tolist()} == expected
    assert bool(expected) == (most > 0)


def test_bits_are_counted():
    values = np.array([0, 1, 2**63, 2**64 - 1, 0x0F0F], np.uint64)
    assert differing_bits(values, np.zeros(5, np.uint64)).tolist() == [0, 1, 1, 64, 8]


def test_groups_join_equal_hashes_and_chains():
    hashes = np.array([0b0, 2**40, 0b111111, 0b111111111111, 2**40, 2**60 - 1], np.uint64)
    assert [group.tolist() for group in near_groups(hashes, 6)] == [[0, 1, 2, 3, 4]]  # 1 bit, 6 bits, 6 bits more
    assert [group.tolist() for group in near_groups(hashes, 5)] == [[0, 1, 4]]
    assert [group.tolist() for group in near_groups(hashes, 0)] == [[1, 4]]
    assert near_groups(np.empty(0, np.uint64)) == []


def test_altered_tattoos_are_near_their_originals_and_no_strangers(shared):
    """Real copies with a known truth: all but the turned ones, of the first 5 tattoos that have copies."""
    folder = shared / "data" / "bivtatt"
    with open(folder / "labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    altered = {(row["subject"], row["number"]) for row in rows if row["transform"]}
    chosen = sorted(altered)[:5]
    hashes = {
        (row["subject"], row["number"], row["transform"]): perceptual_hash(read_pixels(folder / row["file"]))
        for row in rows
        if (row["subject"], row["number"]) in chosen
    }
    copies = [key for key in hashes if key[2].startswith(("ar", "b", "c", "i"))]
    near = [bin(hashes[key] ^ hashes[*key[:2], ""]).count("1") <= NEAR_DISTANCE for key in copies]
    assert len(near) == 5 * 12 and np.mean(near) > 0.93
    strangers = [bin(hashes[*a, ""] ^ hashes[*b, ""]).count("1") for a in chosen for b in chosen if a[0] != b[0]]
    assert min(strangers) > NEAR_DISTANCE
