"""The pictures of `stylize` beside those of other ways: grain, style, content, seconds, and a sheet to look at.

python benchmarks/style_pictures.py --photos PHOTOS --paintings PAINTINGS --judge vgg19_block1-3.weights.h5 [--public FOLDER] [--size 384]
Ten pairs: each photo in turn with the next of the paintings. Ways: `default`; the same optimiser on the judge's own layers, conv1_1
to conv3_1 for style and conv3_4 for content (genuine VGG19 blocks are all that it asks for); --network FILE: `default` on other weights; --public:
a network of `stylize --module`. What is measured, on the picture as it would be written:
- grain: energy at wavelengths of 2 to 4 pixels in the flattest quarter of the photo, as a share of that in the flattest quarter of the painting;
- style: eq. 5 over conv1_1, conv2_1, conv3_1 of the judge, filters normalised;
- edges: correlation of the sizes of smoothed gradients (deviation 2 px) of photo and picture.
"""

import argparse
import dataclasses
import itertools
import json
import time
from pathlib import Path

import numpy as np
import scipy.ndimage
import tensorflow as tf

from tfvision.apps.style.fast import stylize_fast
from tfvision.apps.style.pictures import luminance, write_picture
from tfvision.apps.style.presets import Preset
from tfvision.apps.style.stylization import stylize
from tfvision.data.decoding import read_pixels
from tfvision.data.picture_file import photos_of_folder
from tfvision.data.resizing import fitted_size, resized
from tfvision.losses.style import gram_matrix, style_loss
from tfvision.models.perceptual import load_perceptual

WINDOW_PX = 32
JUDGED = ("conv1_1", "conv2_1", "conv3_1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--paintings", required=True)
    parser.add_argument("--judge", required=True)
    parser.add_argument("--public")
    parser.add_argument("--network", action="append", default=[])
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--ways", help="comma-separated, of those below")
    parser.add_argument("--out", default="style-pictures")
    arguments = parser.parse_args()
    ways = ways_of(arguments)
    judge, _, _ = load_perceptual(arguments.judge, JUDGED, edge="repeat")
    rows, out = [], Path(arguments.out)
    for photo_path, painting_path in pairs(arguments.photos, arguments.paintings, arguments.pairs):
        photo, painting = (fitted(read_pixels(path), arguments.size) for path in (photo_path, painting_path))
        sheet = [photo, painting]
        for name, paint in ways.items():
            started = time.monotonic()
            picture = paint(photo, painting)
            seconds = time.monotonic() - started
            rows.append({"photo": photo_path.stem, "painting": painting_path.stem, "way": name, "seconds": seconds, **judged(judge, picture, photo, painting)})
            print(json.dumps(rows[-1]), flush=True)
            write_picture(out / f"{photo_path.stem}-{painting_path.stem}-{name}.png", picture)
            sheet.append(picture)
        height = max(each.shape[0] for each in sheet)
        write_picture(out / f"{photo_path.stem}-{painting_path.stem}.png", np.hstack([np.pad(s, ((0, height - len(s)), (0, 8), (0, 0))) for s in sheet]))
    for name in ways:
        means = {key: np.exp(np.mean([np.log(row[key]) for row in rows if row["way"] == name])) for key in ("grain", "style", "seconds")}
        edges = np.mean([row["edges"] for row in rows if row["way"] == name])
        print(f"| {name} | {means['grain']:.2f} | {means['style']:.4g} | {edges:.3f} | {means['seconds']:.1f} |")


def ways_of(arguments):
    """{name: (photo, painting) -> picture}, uint8 [height, width, 3] each."""
    preset = Preset(size=arguments.size, network="vgg19_slim")
    presets = {"default": preset}
    presets |= {Path(network).stem: dataclasses.replace(preset, network=network) for network in arguments.network}
    presets["genuine"] = dataclasses.replace(preset, network=arguments.judge, style_layers=JUDGED, content_layer="conv3_4")
    ways = {name: lambda photo, painting, preset=preset: stylize(photo, [painting], preset).picture for name, preset in presets.items()}
    if arguments.public:
        ways["public"] = lambda photo, painting: stylize_fast(photo, painting, arguments.public, arguments.size).picture
    return {name: ways[name] for name in (arguments.ways.split(",") if arguments.ways else ways)}


def pairs(photos, paintings, count):
    photos, paintings = photos_of_folder(Path(photos)), photos_of_folder(Path(paintings))
    return list(itertools.islice(zip(itertools.cycle(photos), itertools.cycle(paintings), strict=False), count))


def fitted(pixels, size):
    return resized(pixels, *fitted_size(*pixels.shape[:2], size))


def judged(judge, picture, photo, painting):
    """{"grain", "style", "edges"} of a picture."""
    grams = [
        {layer: gram_matrix(found) / (found.shape[1] * found.shape[2]) for layer, found in judge(np.float32(each[None])).items()}
        for each in (picture, painting)
    ]
    style = np.mean([float(tf.reduce_sum(style_loss(grams[0][layer], grams[1][layer]))) for layer in JUDGED])
    flat = quietest(photo)
    grain = energies(picture)[flat].mean() / max(energies(painting)[quietest(painting)].mean(), 1e-3)
    edges = np.corrcoef(edge_sizes(photo).ravel(), edge_sizes(picture).ravel())[0, 1]
    return {"grain": float(grain), "style": float(style), "edges": float(edges)}


def energies(picture):
    """Of each window, half overlapping: mean power of luminance at wavelengths of 2 to 4 px, float [windows]."""
    light = luminance(picture)
    taper = np.outer(np.hanning(WINDOW_PX), np.hanning(WINDOW_PX))
    frequency = np.fft.fftfreq(WINDOW_PX)
    is_fine = np.hypot(*np.meshgrid(frequency, frequency)) >= 0.25
    return np.array([(np.abs(np.fft.fft2((window - window.mean()) * taper)) ** 2)[is_fine].mean() / WINDOW_PX**2 for window in windows(light)])


def quietest(picture):
    """Which quarter of the windows vary least, bool [windows]."""
    spread = np.array([window.std() for window in windows(scipy.ndimage.gaussian_filter(luminance(picture), 1.0))])
    return spread <= np.quantile(spread, 0.25)


def windows(light):
    step = WINDOW_PX // 2
    rows, columns = (range(0, side - WINDOW_PX + 1, step) for side in light.shape)
    return [light[row : row + WINDOW_PX, column : column + WINDOW_PX] for row in rows for column in columns]


def edge_sizes(picture):
    return scipy.ndimage.gaussian_gradient_magnitude(luminance(picture), 2.0)


if __name__ == "__main__":
    main()
