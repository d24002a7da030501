"""Features of photos through the pipeline, beside the bare network on the same batches.

    python benchmarks/feature_extraction.py PHOTOS [--model mobilenet_v2] [--model resnet18] [--count 512] [--rounds 3]

The bare network gets the batches from memory, decoded and resized; extraction starts from files. Reading alone is what
the processor has to do besides: where network and decoding share few cores, their times add up, and this is the limit.
Each round measures all three in turn, so that another load of the machine meets them alike.
"""

import os

import click
from machine import interleaved_seconds

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@click.command()
@click.argument("photos")
@click.option("--model", "models", multiple=True, default=("mobilenet_v2", "resnet18", "vgg19"), show_default=True)
@click.option("--weights", default="none", show_default=True, help="As in a FeatureRecipe; they do not change the time.")
@click.option("--count", default=512, show_default=True, help="Photos.")
@click.option("--batch", default=32, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(photos, models, weights, count, batch, rounds):
    """Print a table: photos a second of the bare network, of reading, and of extraction, and the share of the bare one's."""
    import numpy as np

    from tfvision.data.manifest import read_photos
    from tfvision.features.extractor import open_extractor
    from tfvision.features.recipe import FeatureRecipe

    manifest = read_photos(photos)
    manifest = manifest.select(np.arange(len(manifest)) < count)
    print(f"{len(manifest)} photos, batches of {batch}, {os.cpu_count()} cores; photos a second, median of {rounds} rounds")
    print(f"{'network':<22} {'bare':>8} {'reading':>8} {'extraction':>11} {'of bare':>8} {'of the limit':>13}")
    for model in models:
        extractor = open_extractor(FeatureRecipe(model, weights))
        bare, reading, extraction = (len(manifest) / seconds for seconds in _median_seconds(manifest, extractor, batch, rounds))
        limit = 1 / (1 / bare + 1 / reading)
        print(f"{model:<22} {bare:8.1f} {reading:8.1f} {extraction:11.1f} {extraction / bare:8.2f} {extraction / limit:13.2f}", flush=True)


def _median_seconds(manifest, extractor, batch, rounds):
    """Of the bare network, of reading, and of extraction."""
    import numpy as np

    from tfvision.data.pipeline import BrokenPhotos, evaluation_batches
    from tfvision.features.extraction import extract

    def read():
        labels = np.zeros(len(manifest), np.int32)
        return evaluation_batches(manifest, labels, extractor.view_settings, batch, BrokenPhotos()).as_numpy_iterator()

    batches = [batch["views"]["whole"] for batch in read()]
    ways = [lambda: [extractor.features(images) for images in batches], lambda: list(read()), lambda: list(extract(manifest, extractor, batch))]
    return interleaved_seconds(ways, rounds)


if __name__ == "__main__":
    main()
