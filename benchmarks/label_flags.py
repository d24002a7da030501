"""How many of the labels that housekeeping suspects are wrong: 5 % of the labels of real photos are swapped on purpose.

    tfvision index build shared/data/leeds_butterfly --out /tmp/leeds
    python benchmarks/label_flags.py /tmp/leeds species /tmp/grocery fine ...

Each photo of a random 5 % gets the label of another class, drawn by the classes' sizes; five seeds. The labels are suspected from the
sixteen nearest neighbours of each photo, by the rule of now and by that of before (every neighbour's vote counts, whatever the size of
the class). Then the same with four photos of each class, drawn at random. What was mislabelled already counts as a false alarm.
"""

import click
import numpy as np

from tfvision.apps.explorer.collection import Layer, Pictures
from tfvision.apps.explorer.tables import NEIGHBOURS
from tfvision.apps.explorer.tidying import suspect_labels
from tfvision.index.locations import open_gallery

_SHARE = 0.05
_SEEDS = 5
_FEW = 4


@click.command()
@click.argument("galleries_and_columns", nargs=-1, required=True, metavar="GALLERY COLUMN...")
def main(galleries_and_columns):
    """Print a line a gallery and rule: precision and recall of the flags, and precision of as many of the surest as were swapped."""
    figures = f"{'flags':>6} {'precision':>10} {'recall':>7} {'first':>6}"
    print(f"{'':34} {'photos':>7} {'swapped':>8} | {figures} | before: {figures}")
    for location, column in zip(galleries_and_columns[::2], galleries_and_columns[1::2], strict=True):
        vectors, codes = _labelled(location, column)
        for few in (False, True):
            rows = [_measured(vectors, codes, seed, few) for seed in range(_SEEDS)]
            photos, swapped, *figures = np.mean(rows, axis=0)
            name = f"{location.rstrip('/').rpartition('/')[2]}, {column}" + (f", {_FEW} a class" if few else "")
            lines = [f"{flags:6.0f} {precision:10.2f} {recall:7.2f} {first:6.2f}" for flags, precision, recall, first in np.reshape(figures, (2, 4))]
            print(f"{name:34} {photos:7.0f} {swapped:8.0f} | {lines[0]} |         {lines[1]}", flush=True)


def _labelled(location, column):
    """Vectors and codes of the pictures that have a label."""
    with open_gallery(location) as gallery:
        pictures = Pictures.of_gallery(gallery)
    codes, layer = pictures.columns[column][1], Layer("", location, pictures)
    there = np.flatnonzero((codes >= 0) & (layer.row_of >= 0))
    return np.array(layer.gallery.row_vectors[layer.row_of[there]]), np.unique(codes[there], return_inverse=True)[1]


def _measured(vectors, codes, seed, few):
    random = np.random.default_rng(seed)
    if few:
        classes = [random.permutation(np.flatnonzero(codes == code))[:_FEW] for code in np.unique(codes)]
        kept = np.concatenate([members for members in classes if len(members) == _FEW])
        vectors, codes = vectors[kept], np.unique(codes[kept], return_inverse=True)[1]
    given, swapped = codes.copy(), random.choice(len(codes), round(_SHARE * len(codes)), replace=False)
    for position in swapped:
        given[position] = random.choice(codes[codes != codes[position]])
    products = vectors @ vectors.T
    np.fill_diagonal(products, -np.inf)
    neighbours = np.argsort(-products, axis=1, kind="stable")[:, :NEIGHBOURS]
    scores = np.take_along_axis(products, neighbours, axis=1)
    figures = []
    for flagged in (suspect_labels(neighbours, scores, given).positions, _flagged_before(neighbours, scores, given)):
        right = np.isin(flagged, swapped)
        figures += [len(flagged), right.mean() if len(flagged) else 1, right.sum() / len(swapped), right[: len(swapped)].sum() / len(swapped)]
    return len(codes), len(swapped), *figures


def _flagged_before(neighbours, scores, codes):
    """As tfvision flagged until November 2026: another label has more of the similarity of all neighbours than the one given."""
    given, weights = codes[neighbours], np.maximum(scores, 0)
    own = (weights * (given == codes[:, None])).sum(axis=1)
    votes = np.stack([(weights * (given == given[:, [column]])).sum(axis=1) for column in range(given.shape[1])], axis=1)
    votes[given == codes[:, None]] = -1
    margins = (votes.max(axis=1) - own) / np.maximum(weights.sum(axis=1), 1e-12)
    order = np.argsort(-margins, kind="stable")
    return order[margins[order] > 0]


if __name__ == "__main__":
    main()
