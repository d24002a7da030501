"""Preparing photos, and reading them for training, beside Keras's utility and beside the bare decoder.

    python benchmarks/data_pipeline.py [--photos 96] [--rounds 3] [--size 224] [--folder PHOTOS]

Photos are textures of 1632 x 1224 px at quality 90, about as many bytes as a camera's, or those of a folder of class folders.
Each way has a process of its own, warm when it is measured; each round measures all in turn, so that another load of the
machine meets them alike.

- keras: keras.utils.image_dataset_from_directory, which decodes whole photos and resizes them without antialiasing.
- bare: tf.io.decode_jpeg of the same files at the ratios that the pipeline chose, one thread a core, nothing behind it; its
  freed memory is kept, as the pipeline's.
- folder, prepared: the training pipeline, random regions and flips included, its colour changes by --colours; from the files,
  from TFRecord shards that hold the same bytes, and from shards at the default bound of `tfvision data prepare`.
- augment_on=device: the same, all but the regions left to the training step.

Milliseconds of a core are those of the way's whole process, and so what other work of the machine changes least.
"""

import contextlib
import functools
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import click

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
_WIDTH, _HEIGHT = 1632, 1224
_CLASSES = 4
_UNTOUCHED_PX = 100_000


@click.command()
@click.option("--folder", type=click.Path(exists=True), help="Class folders of JPEGs, instead of synthetic ones.")
@click.option("--photos", default=96, show_default=True, help="Synthetic photos.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--epochs", default=20, show_default=True, help="Of reading in a round; of many the start of a pipeline counts as little as in a training.")
@click.option("--batch", default=32, show_default=True)
@click.option("--size", default=224, show_default=True, help="Pixels a side of a view.")
@click.option("--views", default="whole", show_default=True, help="Of the pipeline, such as whole,crop.")
@click.option("--colours/--no-colours", default=True, show_default=True, help="Whether the pipeline changes colours.")
def main(folder, photos, rounds, epochs, batch, size, views, colours):
    """Print two tables: photos a second of preparing, and of reading."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        folder = folder or _draw(scratch / "photos", photos)
        count = _measure_preparing(folder, scratch, rounds)
        ways = _reading_ways(folder, scratch, epochs, batch, size, views, colours)
        taken = _in_turns(ways, rounds)
        rates = {name: [epochs * count / seconds for seconds, _ in times] for name, times in taken.items()}
        bare, keras_rate = (statistics.median(rates[name]) for name in ("bare", "keras"))
        print(f"\nreading at {size} px, views {views}, {'with' if colours else 'without'} colour changes: photos a second")
        print(f"{'':<26} {'median':>8} {'range':>17} {'of keras':>9} {'of bare':>8} {'core ms a photo':>16}")
        for name, values in rates.items():
            median, core_ms = statistics.median(values), 1000 * statistics.median(core for _, core in taken[name]) / (epochs * count)
            print(f"{name:<26} {median:8.1f} {min(values):8.1f}-{max(values):<8.1f} {median / keras_rate:9.2f} {median / bare:8.2f} {core_ms:16.1f}")


def _draw(folder, count):
    """Textures with details of four sizes: JPEGs of about 450 KB."""
    import numpy as np
    import PIL.Image

    for number in range(count):
        random, pixels = np.random.default_rng(number), np.full((_HEIGHT, _WIDTH, 3), 128, np.float32)
        for cells, strength in ((8, 40), (32, 25), (128, 15), (512, 10)):
            for channel in range(3):
                waves = PIL.Image.fromarray(random.normal(0, strength, (cells * 3 // 4, cells)).astype(np.float32))
                pixels[..., channel] += np.asarray(waves.resize((_WIDTH, _HEIGHT), PIL.Image.Resampling.BICUBIC))
        place = folder / f"class {number % _CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place / f"{number}.jpg", quality=90)
    return folder


def _measure_preparing(folder, scratch, rounds):
    """Prints photos a second of `prepare`, whose shards stay in `scratch`; returns the number of photos."""
    from tfvision.data.manifest import read_source

    paths = [record.path for record in read_source(folder).records]
    megabytes = sum(map(os.path.getsize, paths)) / 1e6
    print(f"{len(paths)} photos, {megabytes / len(paths):.2f} MB each; {os.cpu_count()} cores; {rounds} rounds")
    ways = {
        "prepare": (_prepare, folder, scratch / "prepared"),
        "prepare, byte for byte": (_prepare, folder, scratch / "copied", _UNTOUCHED_PX),
        "bare decoder, whole": (_decode, tuple((path, 1) for path in paths)),
    }
    print(f"\n{'preparing':<26} {'median':>8} {'range':>17}  photos a second")
    for name, times in _in_turns(ways, rounds).items():
        rates = [len(paths) / seconds for seconds, _ in times]
        print(f"{name:<26} {statistics.median(rates):8.1f} {min(rates):8.1f}-{max(rates):<8.1f}", flush=True)
    return len(paths)


def _prepare(folder, out, *size):
    from tfvision.data.preparing.preparing import prepare

    shutil.rmtree(out, ignore_errors=True)
    prepare(folder, out, *size)


def _reading_ways(folder, scratch, epochs, batch, size, views, colours):
    options = (epochs, batch, size, views, colours)
    decoded = _decoded(_training(folder, *options))
    return {
        "keras": (_read_by_keras, folder, epochs, batch, size),
        "bare": (_decode, decoded),
        "folder": (_read, folder, *options),
        "folder, on the device": (_read, folder, *options, "device"),
        "prepared, same bytes": (_read, scratch / "copied", *options),
        "prepared": (_read, scratch / "prepared", *options),
        "prepared, on the device": (_read, scratch / "prepared", *options, "device"),
    }


def _read_by_keras(folder, epochs, batch, size):
    for _ in range(epochs):
        _drain(_keras_set(folder, batch, size))


@functools.cache
def _keras_set(folder, batch, size):
    import keras

    return keras.utils.image_dataset_from_directory(str(folder), image_size=(size, size), batch_size=batch)


def _read(source, *options):
    _drain(_training(source, *options))


@functools.cache
def _training(source, epochs, batch, size, views, colours, augment_on="pipeline"):
    """So many epochs of training batches."""
    from tfvision.data.augmentation import Augmentation
    from tfvision.data.manifest import read_source
    from tfvision.data.pipeline import BrokenPhotos, TrainingOrder, ViewSettings, training_batches

    changes = {} if colours else {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    augmentation = Augmentation(**changes, augment_on=augment_on)
    manifest = read_source(source)
    labels = manifest.labels(manifest.taxonomy())
    order = TrainingOrder(labels, 0)
    settings = ViewSettings(tuple(views.split(",")), size, augmentation)
    return training_batches(manifest, labels, settings, lambda: order.positions(0, epochs * len(manifest)), 0, batch, BrokenPhotos())


def _drain(dataset):
    for _ in dataset:
        pass


def _decoded(dataset):
    """(path, ratio) of each photo that a pipeline decodes."""
    from tfvision.data import pipeline

    decoded, decode_photo = [], pipeline.decode_photo

    def watched(photo, ratio, path, window):
        decoded.append((path, ratio))
        return decode_photo(photo, ratio, path, window)

    pipeline.decode_photo = watched
    try:
        _drain(dataset)
    finally:
        pipeline.decode_photo = decode_photo
    return tuple(decoded)


def _decode(photos):
    import tensorflow as tf

    from tfvision.data.freed_memory import keep_freed_memory

    def decode(photo):
        path, ratio = photo
        tf.io.decode_jpeg(tf.io.read_file(path), channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    keep_freed_memory()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(decode, photos))


def _in_turns(ways, rounds):
    """{name: (seconds, seconds of a core) of each round} of (function, arguments), called in turn after a round that is not counted."""
    taken = {name: [] for name in ways}
    with contextlib.ExitStack() as stack:
        processes = {name: stack.enter_context(ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))) for name in ways}
        for _ in range(rounds + 1):
            for name, way in ways.items():
                taken[name].append(processes[name].submit(_seconds, *way).result())
    return {name: times[1:] for name, times in taken.items()}


def _seconds(function, *arguments):
    started, core = time.perf_counter(), time.process_time()
    function(*arguments)
    return time.perf_counter() - started, time.process_time() - core


if __name__ == "__main__":
    main()
