"""Where near duplicates begin: distances of perceptual hashes between altered copies of a photo, and between strangers.

    python benchmarks/near_duplicates.py shared/data/bivtatt/labels.csv shared/data/grocery shared/data/leeds_butterfly ...

The first source is a CSV of originals and altered copies, as BIVTatt writes it: columns file, subject, number, transform. Turned
and affine copies are left out: this hash is not made for them. All photos of the other folders are taken for strangers.
"""

import csv
from pathlib import Path

import click
import numpy as np

from tfvision.data.checks.near_duplicates import close_pairs, differing_bits, perceptual_hash
from tfvision.data.decoding import read_pixels
from tfvision.data.photo_files import walk_photos

_DISTANCES = (0, 2, 4, 6, 8, 10, 12)
_KEPT = {"b": "blurred", "c": "cropped", "ar": "stretched", "i": "lit otherwise"}


@click.command()
@click.argument("altered", type=click.Path(exists=True, dir_okay=False))
@click.argument("others", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False))
def main(altered, others):
    """Print a line a distance: altered copies that are found, and pairs of strangers that are."""
    bits = _bits_to_originals(Path(altered))
    paths = sorted(Path(folder, name) for folder in others for name in walk_photos(folder).names)
    hashes, counts = np.unique([perceptual_hash(read_pixels(path)) for path in paths], return_counts=True)
    pairs = close_pairs(hashes, max(_DISTANCES))
    between = differing_bits(hashes[pairs[:, 0]], hashes[pairs[:, 1]])
    weights, alike = counts[pairs[:, 0]] * counts[pairs[:, 1]], (counts * (counts - 1) // 2).sum()
    total = sum(map(len, bits.values()))
    print(f"{total} altered copies; {len(paths):,} other photos, {len(paths) * (len(paths) - 1) // 2:,} pairs")
    print(f"{'bits':>4} {'copies found':>13} " + " ".join(f"{name:>13}" for name in bits) + f" {'pairs of others':>16}")
    for distance in _DISTANCES:
        shares = [np.mean(np.concatenate(list(bits.values())) <= distance), *(np.mean(values <= distance) for values in bits.values())]
        print(f"{distance:>4} " + " ".join(f"{share:13.3f}" for share in shares) + f" {alike + weights[between <= distance].sum():>16,}")


def _bits_to_originals(listed):
    """{kind of change: int array, bits between each copy and its original}."""
    with open(listed, newline="") as file:
        rows = list(csv.DictReader(file))
    hashes = {row["file"]: np.uint64(perceptual_hash(read_pixels(listed.parent / row["file"]))) for row in rows}
    originals = {(row["subject"], row["number"]): hashes[row["file"]] for row in rows if not row["transform"]}
    bits = {name: [] for name in _KEPT.values()}
    for row in rows:
        kind = _KEPT.get(row["transform"].rstrip("0123456789"))
        if kind:
            pair = np.uint64([hashes[row["file"]]]), np.uint64([originals[row["subject"], row["number"]]])
            bits[kind].append(int(differing_bits(*pair)[0]))
    return {name: np.array(values) for name, values in bits.items()}


if __name__ == "__main__":
    main()
