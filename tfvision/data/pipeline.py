"""THE pipeline: photos -> batches of views, for training and for everything after it.

The order of steps, and why:

1. order: positions and photo indices come from numpy, a permutation an epoch, decided by the seed
   alone, so that a run resumed at step N sees what it would have seen. Large prepared data are permuted
   by blocks, which are then read at once (tfvision.data.shards.blocks).
2. slice: each worker keeps its part of every global batch, before any file is read.
3. read, decode: in Python, in parallel, since a broken file must be caught and named, not thrown.
4. views, distort: in the graph; random numbers are drawn from (seed, position), not from a stream. A recipe may
   leave the distortion to the training step (`augment_on`), which has the same random numbers (`distorted`).
5. batch, prefetch: last, so that the device never waits for a single photo.

A broken photo stays in its batch with weight 0, so that it neither shifts other photos nor counts.
"""

import dataclasses
import functools
import os
import threading
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from tfvision.data import views as view_steps
from tfvision.data.augmentation import Augmentation, distort, distort_photos, random_region
from tfvision.data.decoding import Photo, decode_photo, decoded_size, read_photo
from tfvision.data.freed_memory import keep_freed_memory
from tfvision.data.manifest import Manifest
from tfvision.data.shards.blocks import PhotoBlocks, with_photos
from tfvision.errors import DataError

_ORDER_CHUNK = 65536
_PHOTOS_AT_ONCE = 2 * (os.cpu_count() or 1)  # more than cores, as some wait for the disk


@dataclasses.dataclass(frozen=True)
class ViewSettings:
    """How photos become network inputs.

    Attributes:
      views: their names.
      image_size: pixels a side.
      augmentation: random changes, or None.
      is_uncropped: without augmentation, whether the whole photo is seen, or the user's box where there is one, instead of
        the photo's centre.
      is_aspect_kept: whether image_size is that of the longer side; views then differ in size: give one a batch.
      least_size: pixels that the shorter side has at least, even so.
    """

    views: tuple[str, ...]
    image_size: int
    augmentation: Augmentation | None = None
    is_uncropped: bool = False
    is_aspect_kept: bool = False
    least_size: int = 1


class BrokenPhotos(dict):
    """Path -> reason, of photos that could not be read; filled by the pipeline's threads."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def add(self, path: str, error: Exception) -> None:
        with self._lock:
            self[path] = str(error)


def training_batches(
    manifest: Manifest,
    labels: np.ndarray,
    settings: ViewSettings,
    order: Callable[[], Iterable[dict[str, np.ndarray]]],
    seed: int,
    batch_size: int,
    broken: BrokenPhotos,
    share: tuple[int, int, int] = (0, 1, 1),
    blocks: PhotoBlocks | None = None,
) -> tf.data.Dataset:
    """An endless-looking, reproducible stream of training batches.

    Args:
      manifest: photos.
      labels: int [photos].
      settings: ViewSettings with an augmentation.
      order: a function that starts anew what `TrainingOrder.positions` yields.
      seed: of the random changes.
      batch_size: photos a batch, of one replica.
      broken: BrokenPhotos that collects what could not be read.
      share: of each global batch, what this worker reads: its number, the workers, replicas a worker.
      blocks: by which the order was made, to be read at once; None = each photo is read by itself.

    Returns:
      tf.data.Dataset of {"views": {name: uint8 [batch, size, size, 3]}, "label": int32 [batch],
      "weight": float32 [batch], 0 where the photo is broken}; and where the augmentation is made on the device, "seed": int32 [batch, 2],
      for `distorted`.
    """
    signature = {name: tf.TensorSpec([None], tf.int64) for name in ("position", "index")}
    if blocks:
        signature["encoded"] = tf.TensorSpec([None], tf.string)

    def chunks():
        mine = _share_of(order(), batch_size, *share)
        return with_photos(mine, blocks) if blocks else mine

    dataset = tf.data.Dataset.from_generator(chunks, output_signature=signature).unbatch()
    dataset = _load(dataset, manifest, labels, settings, broken, seed)
    return _finish(dataset, batch_size)


def evaluation_batches(manifest: Manifest, labels: np.ndarray, settings: ViewSettings, batch_size: int, broken: BrokenPhotos) -> tf.data.Dataset:
    """Every photo once, in order; as `training_batches`, and "index": the photo's row in the manifest."""
    positions = tf.data.Dataset.range(len(manifest))
    dataset = positions.map(lambda position: {"position": position, "index": position})
    settings = dataclasses.replace(settings, augmentation=None)
    return _finish(_load(dataset, manifest, labels, settings, broken), batch_size)


def distorted(batch: Mapping[str, typing.Any], augmentation: Augmentation) -> Mapping[str, typing.Any]:
    """A training batch with the random changes that the pipeline left to the device; others as they are."""
    if "seed" not in batch:
        return batch
    images = tf.cast(tf.stack(list(batch["views"].values()), axis=1), tf.float32)
    images = view_steps.as_pixels(255.0 * distort_photos(images / 255.0, batch["seed"], augmentation))
    return {**batch, "views": dict(zip(batch["views"], tf.unstack(images, num=len(batch["views"]), axis=1), strict=True))}


@dataclasses.dataclass(frozen=True)
class TrainingOrder:
    """The order in which photos are seen: a permutation an epoch, decided by the seed.

    Attributes:
      labels: int [photos], for class-balanced sampling.
      seed: of the whole order.
      class_balance: 0 = each photo once an epoch; 1 = each class alike, photos drawn with
        replacement; between, classes are drawn in proportion to size ** (1 - class_balance).
      blocks: of the photos, where they are to be read by blocks; class-balanced sampling leaves no blocks whole, and has None.
    """

    labels: np.ndarray
    seed: int
    class_balance: float = 0.0
    blocks: PhotoBlocks | None = None

    def positions(self, start: int, stop: int) -> Iterator[dict[str, np.ndarray]]:
        """Yields {"position", "index"}: int64 arrays that together cover start .. stop - 1."""
        count = len(self.labels)
        for epoch in range(start // count, -(-stop // count)):
            low, high = max(start, epoch * count), min(stop, (epoch + 1) * count)
            indices = self._epoch(epoch)[low - epoch * count : high - epoch * count]
            step = len(indices) if self.blocks else _ORDER_CHUNK  # a block is read anew for each chunk
            for begin in range(0, len(indices), step):
                chunk = indices[begin : begin + step].astype(np.int64)
                yield {"position": np.arange(low + begin, low + begin + len(chunk)), "index": chunk}

    def _epoch(self, epoch):
        generator = np.random.default_rng((self.seed, epoch))
        if self.blocks:
            return self.blocks.shuffled(generator)
        if not self.class_balance:
            return generator.permutation(len(self.labels))
        sizes = np.bincount(self.labels)[self.labels].astype(float)
        chances = sizes**-self.class_balance
        return generator.choice(len(self.labels), len(self.labels), p=chances / chances.sum())


def _share_of(chunks, batch_size, worker, workers, replicas):
    for chunk in chunks:
        is_mine = chunk["position"] // (batch_size * replicas) % workers == worker
        yield {name: values[is_mine] for name, values in chunk.items()}


def _load(dataset, manifest, labels, settings, broken, seed=0):
    keep_freed_memory()
    columns = {
        "path": tf.constant([os.fsencode(path) for path in manifest.paths], tf.string),
        "label": tf.constant(labels, tf.int32),
        "box": tf.constant([record.box for record in manifest.records], tf.float32, [len(manifest), 4]),
    }
    kept = ("label", "weight", "index") + ("seed",) * (_distorts_on(settings) == "device")
    choose_regions, cut = (_traced_once(step, _plain(settings)) for step in (_choose_regions, _cut))
    steps = [
        lambda example: {**example, **{name: column[example["index"]] for name, column in columns.items()}},
        lambda example: _read(example, broken),
        lambda example: {**example, **choose_regions(_of(example, "size", "position", "box"), seed=tf.constant(seed % 2**31, tf.int32))},
        lambda example: _decode(example, broken),
        lambda example: {**_of(example, *kept), "views": cut(_of(example, "image", "frame", "size", "regions", "target", "seed"))},
    ]

    @tf.autograph.experimental.do_not_convert  # no step branches on a tensor in Python, and conversion takes a second
    def load(example):
        for step in steps:
            example = step(example)
        return example

    return dataset.map(load, num_parallel_calls=_PHOTOS_AT_ONCE, deterministic=True)


@functools.lru_cache(maxsize=32)
def _traced_once(step, settings):
    """A step as a graph that all data sets of these settings share: to trace it takes longer than to read a small one."""
    return tf.function(functools.partial(step, settings=settings), autograph=False)


def _plain(settings):
    """Settings that are equal where they ask for the same views: the random changes without the recipe that states them."""
    changes = settings.augmentation
    if changes:
        values = {field.name: getattr(changes, field.name) for field in dataclasses.fields(Augmentation)}
        changes = Augmentation(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    return dataclasses.replace(settings, views=tuple(settings.views), augmentation=changes)


def _distorts_on(settings):
    return settings.augmentation.augment_on if settings.augmentation else None


def _of(example, *names):
    return {name: example[name] for name in names}


def _finish(dataset, batch_size):
    options = tf.data.Options()
    options.deterministic = True
    # The tuner takes time of its own, and an iterator's end may wait for it, for seconds.
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.batch(batch_size).prefetch(2).with_options(options)


def _read(example, broken):
    """path, and encoded where blocks were read -> encoded, "" where it is broken; size; orientation."""

    def read(path, encoded):
        path = os.fsdecode(_bytes(path))
        try:
            photo = read_photo(path, _bytes(encoded))
        except DataError as error:
            broken.add(path, error)
            return b"", np.int32([1, 1]), np.int32(1)
        return photo.encoded, np.int32([photo.height, photo.width]), np.int32(photo.orientation)

    encoded, size, orientation = tf.numpy_function(read, [example["path"], example.get("encoded", "")], (tf.string, tf.int32, tf.int32))
    size.set_shape([2])
    return {**example, "encoded": encoded, "size": size, "orientation": orientation}


def _choose_regions(example, seed, settings):
    """size, position, box -> regions, float32 [views, 4]; target, int32 [2]; ratio; seed of the colours, int32 [2]."""
    seeds = tf.random.experimental.stateless_split([seed, tf.cast(example["position"], tf.int32)], 2)
    if settings.augmentation:
        region = random_region(example["size"], seeds[0], settings.augmentation)
    elif settings.is_uncropped:
        region = view_steps.whole_region(example["size"], example["box"])
    else:
        region = view_steps.central_region(example["size"])
    regions = view_steps.view_regions(region, example["box"], settings.views)
    target = view_steps.target_size(region[2:], settings.image_size, settings.is_aspect_kept, settings.least_size)
    return {"seed": seeds[1], "regions": regions, "target": target, "ratio": view_steps.decoding_ratio(regions, target)}


def _decode(example, broken):
    """encoded, ratio, regions -> image, uint8, the part that holds the regions; frame, where it lies, int32 [4]; weight.

    A broken image becomes a single pixel of weight 0.
    """

    def decode(encoded, size, orientation, ratio, regions, path):
        encoded, path, ratio = _bytes(encoded), os.fsdecode(_bytes(path)), int(ratio)
        try:
            if encoded:
                photo = Photo(encoded, *map(int, size), int(orientation))
                shape = decoded_size(photo, ratio)
                window = view_steps.window_of(shape, size, regions)
                return decode_photo(photo, ratio, path, window), np.int32([*window[:2], *shape]), np.float32(1)
        except DataError as error:
            broken.add(path, error)
        return np.zeros((1, 1, 3), np.uint8), np.int32([0, 0, 1, 1]), np.float32(0)

    inputs = [example[name] for name in ("encoded", "size", "orientation", "ratio", "regions", "path")]
    image, frame, weight = tf.numpy_function(decode, inputs, (tf.uint8, tf.int32, tf.float32))
    image.set_shape([None, None, 3])
    frame.set_shape([4])
    weight.set_shape([])
    return {**example, "image": image, "frame": frame, "weight": weight}


def _bytes(value):
    # numpy_function gives bytes in a graph, an array of them eagerly.
    return np.asarray(value, object).item()


def _cut(example, settings):
    """image, frame, size, regions, target, seed -> {view: uint8 [size, size, 3]}."""
    target = example["target"] if settings.is_aspect_kept else settings.image_size  # a number, so that the shape is known in the graph
    images = view_steps.cut_views(example["image"], example["size"], example["regions"], target, example["frame"])
    if _distorts_on(settings) == "pipeline":
        images = 255.0 * distort(images / 255.0, example["seed"], settings.augmentation)
    images = view_steps.as_pixels(images)
    return {name: images[number] for number, name in enumerate(settings.views)}
