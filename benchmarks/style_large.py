"""A large picture beside optimising at its size: time, memory, style loss, seams, and whether the time left was told honestly.

    python benchmarks/style_large.py PHOTO PAINTING [--size 4000] [--carried-above 1024] [--network vgg19_slim] [--whole]

Style losses are those of the Gram matrices summed over tiles of 512 px, of the written picture, and their mean over single tiles. Without --whole the
baseline's time is that of two evaluations of the whole objective at each of its scales, times the evaluations that it would take; with --whole it
is run to its end. A seam would show as larger differences between pixels where windows meet than elsewhere.
"""

import contextlib
import dataclasses
import os
import resource
import time

import click

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

_TILE_PX = 512
_EVALUATIONS_AN_ITERATION = 1.1  # of L-BFGS, over 190 iterations


@contextlib.contextmanager
def seconds_of(taken, name):
    """Puts the seconds of a block, and those of the processors, into a dict."""
    started, used = time.perf_counter(), time.process_time()
    yield
    taken[name] = time.perf_counter() - started, time.process_time() - used


def readings_of(photo, painting, preset):
    """(Stylization, [(seconds since the beginning, seconds told to be left)]) of a run."""
    from tfvision.apps.style.stylization import stylize
    from tfvision.apps.style.watch import Clock

    clock, started, readings = Clock(), time.perf_counter(), []
    made = stylize(photo, [painting], preset, on_iteration=lambda progress: readings.append((time.perf_counter() - started, clock.read(progress)[1])))
    return made, readings


def style_losses(picture, photo, painting, preset):
    """(of all tiles together, mean of the single tiles) of a picture, eq. 5."""
    import numpy as np

    from tfvision.apps.style.scales import Scales
    from tfvision.apps.style.stylization import _UNSEEN, _open_objective
    from tfvision.losses.style import style_loss

    objective, _ = _open_objective(dataclasses.replace(preset, **_UNSEEN))
    scales = Scales(photo, [painting], dataclasses.replace(preset, carried_above=0, scales=()), np.ones(1), None, None, ())
    aim = {layer: gram[0][0].numpy() for layer, gram in scales.style_targets(objective, 0).items()}
    places = [(top, left) for top in range(0, picture.shape[0] - 64, _TILE_PX) for left in range(0, picture.shape[1] - 64, _TILE_PX)]
    tiles = []
    for top, left in places:
        tile = picture[top : top + _TILE_PX, left : left + _TILE_PX].astype(np.float32)
        grams = objective.grams(tile, objective.targets(tile, ()))
        tiles.append((tile.shape[0] * tile.shape[1], {layer: gram[0][0].numpy() for layer, gram in grams.items()}))
    loss = lambda gram, layer: float(style_loss(gram[None], aim[layer][None])[0]) / len(aim)
    pixels = sum(count for count, _ in tiles)
    whole = sum(loss(sum(count * grams[layer] for count, grams in tiles) / pixels, layer) for layer in aim)
    return whole, float(np.mean([sum(loss(grams[layer], layer) for layer in aim) for _, grams in tiles]))


def seam(picture, tile):
    """Mean difference of neighbouring pixels where windows meet, as a share of that elsewhere."""
    import numpy as np

    from tfvision.apps.style.tiles import cut_windows

    differences = np.abs(np.diff(picture.astype(np.int16), axis=1)).mean(axis=(0, 2))
    starts = sorted({columns.start + 16 for _, columns in cut_windows(*picture.shape[:2], tile) if columns.start})
    at_seams = np.zeros(len(differences), bool)
    for start in starts:
        at_seams[start - 2 : start + 2] = True
    return float(differences[at_seams].mean() / differences[~at_seams].mean())


def baseline_seconds(photo, painting, preset):
    """Of optimising at the full size, from two evaluations at each scale."""
    import numpy as np

    from tfvision.apps.style.scales import Scales
    from tfvision.apps.style.stylization import _UNSEEN, _open_objective

    objective, _ = _open_objective(dataclasses.replace(preset, **_UNSEEN))
    scales, total = Scales(photo, [painting], preset, np.ones(1), None, None, ()), 0.0
    for number, count in enumerate(scales.iterations):
        targets, image, taken = scales.targets(objective, number), scales.start(number), {}
        objective.evaluate(image, targets)  # compiles
        with seconds_of(taken, "evaluation"):
            objective.evaluate(image, targets)
        total += _EVALUATIONS_AN_ITERATION * count * taken["evaluation"][0]
    return total


@click.command()
@click.argument("photo")
@click.argument("painting")
@click.option("--size", default=4000, show_default=True)
@click.option("--network", default="vgg19_slim", show_default=True)
@click.option("--carried-above", default=1024, show_default=True, help="Longer side at which the picture is painted, before it is carried up.")
@click.option("--whole", is_flag=True, help="Optimise at the full size as well, to the end: hours.")
@click.option("--out", default="", help="Folder for the pictures.")
def main(photo, painting, size, network, carried_above, whole, out):
    """Print what a large picture takes, and what the baseline does."""
    from tfvision.apps.style.pictures import write_picture
    from tfvision.apps.style.presets import get_preset
    from tfvision.data.decoding import read_pixels

    names, photo, painting = (photo, painting), read_pixels(photo), read_pixels(painting)
    preset = dataclasses.replace(get_preset("default"), size=size, network=network, carried_above=carried_above)
    at_full_size = dataclasses.replace(preset, carried_above=0)
    taken = {}
    with seconds_of(taken, "carried up"):
        made, readings = readings_of(photo, painting, preset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    height, width = made.picture.shape[:2]
    (seconds, used), ended = taken["carried up"], readings[-1][0]
    print(f"{' by '.join(names)}, {width} x {height} px, {network}")
    print(f"carried up       {seconds:8.0f} s, of the processors {used:.0f} s; peak of memory {peak:.2f} GB")
    for share in (0.02, 0.1, 0.25, 0.5, 0.75):
        at, left = next((at, left) for at, left in readings if at >= share * ended and left is not None)
        print(f"  time left told after {at:6.0f} s: {left:6.0f} s, was {ended - at:6.0f} s ({left / max(ended - at, 1e-9):.2f})")
    print("style loss       {:.3e} of all tiles, {:.3e} a tile".format(*style_losses(made.picture, photo, painting, at_full_size)), flush=True)
    print(f"where windows meet pixels differ {seam(made.picture, preset.tile):.3f} times as much as elsewhere", flush=True)
    if out:
        write_picture(f"{out}/carried.png", made.picture)
    if whole:
        with seconds_of(taken, "baseline"):
            best, _ = readings_of(photo, painting, at_full_size)
        baseline = taken["baseline"][0]
        print("its style loss   {:.3e} of all tiles, {:.3e} a tile".format(*style_losses(best.picture, photo, painting, at_full_size)))
        if out:
            write_picture(f"{out}/baseline.png", best.picture)
    else:
        baseline = baseline_seconds(photo, painting, at_full_size)
    print(f"at the full size {baseline:8.0f} s{'' if whole else ', by the seconds of an evaluation at each scale'}; share {seconds / baseline:.3f}")


if __name__ == "__main__":
    main()
