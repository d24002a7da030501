"""Eq. 7 and its gradient, for pictures of any size: whole where they fit, else tile by tile with the same result.

In tiles, Gram matrices are summed over all of them first; then each tile is run again and eq. 2 and 6, which need
nothing but the whole picture's Gram matrices, are propagated back to its pixels.
"""

import typing
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfvision.apps.style.presets import Preset
from tfvision.apps.style.tiles import Tile, cut_picture, layer_stride
from tfvision.losses.style import content_gradient, content_loss, gram_matrix, style_gradient, style_loss, total_variation

_UNCHANGED_LEVELS = 12.0  # grey levels: a photo that differs by less has hardly changed from frame to frame


Grams = dict[str, tuple[tf.Tensor, ...]]  # layer -> for each region, divided by its positions, float32 [1, channels, channels]


class Targets(typing.NamedTuple):
    """What a picture is compared with. A region is what one painting rules: the whole picture, or what a mask marks.

    Attributes:
      content: layer -> P, float32 [1, height, width, channels].
      content_scale: factor of eq. 1, float32 scalar.
      style: layer -> for each region A divided by its positions, float32 [1, channels, channels].
      masks: layer -> for each region float32 [1, height, width]; {} without masks.
      positions: layer -> for each region M, float32 [1].
      previous: the picture of the last frame, float32 [height, width, 3], and how far the photo stayed the same since,
        float32 [height, width, 1]; () without a temporal term.
    """

    content: dict[str, tf.Tensor]
    content_scale: tf.Tensor
    style: Grams
    masks: dict[str, tuple[tf.Tensor, ...]]
    positions: dict[str, tuple[tf.Tensor, ...]]
    previous: tuple[tf.Tensor, ...] = ()

    def in_core(self, tile: tuple[Tile, Tile]) -> "Targets":
        """The same, cut to a tile's core."""
        content = {layer: _core_of_whole(responses, tile, layer) for layer, responses in self.content.items()}
        masks = {layer: tuple(_core_of_whole(mask, tile, layer) for mask in masks) for layer, masks in self.masks.items()}
        return self._replace(content=content, masks=masks)


class Evaluation(typing.NamedTuple):
    """The objective at a picture: `total` is minimised; `content` and `style` are not yet weighted.

    `grams` are the picture's own Gram matrices, as `Targets.style`.
    """

    total: float
    content: float
    style: float
    gradient: np.ndarray  # float32 [height, width, 3]
    grams: Grams


class Objective:
    """Alpha * content + beta * style (eq. 7), and what else a preset weighs.

    Args:
      model: perceptual network: float32 [1, height, width, 3] -> {layer: responses}.
      preset: Preset.
    """

    def __init__(self, model: keras.Model, preset: Preset):
        self._model, self._preset = model, preset
        self.channels = model.get_layer("conv1_1").filters
        # Instead of scaling each response: eq. 1 is of second, eq. 4 of fourth degree in them.
        self._content_unit, self._style_unit = preset.response_mean**2, preset.response_mean**4
        # Of a picture's tiles each has its own shape: one graph for all.
        part = [tf.TensorSpec([1, None, None, 3]), tf.TensorSpec([2, 4], tf.int32)]
        self._core_responses = tf.function(self._core_responses, autograph=False, input_signature=part)
        self._whole_loss = tf.function(self._whole_loss, autograph=False, reduce_retracing=True)
        self._whole_grams = tf.function(self._whole_grams, autograph=False, reduce_retracing=True)
        self._core_sums = tf.function(self._core_sums, autograph=False, reduce_retracing=True)
        self._core_gradient = tf.function(self._core_gradient, autograph=False, reduce_retracing=True)
        self._pixel_loss = tf.function(self._pixel_loss, autograph=False, reduce_retracing=True)

    def targets(
        self,
        photo: np.ndarray,
        paintings: Sequence[np.ndarray],
        weights: Sequence[float] | np.ndarray | None = None,
        masks: np.ndarray | None = None,
        previous: Sequence[np.ndarray] = (),
    ) -> Targets:
        """Targets made of a photo and paintings.

        Args:
          photo: float32 [height, width, 3].
          paintings: list of float32 [height, width, 3], any sizes.
          weights: float [paintings], summing to 1: how they mix; not used with masks.
          masks: float32 [paintings, height, width] of the photo's size, where each painting rules; or None.
          previous: (picture, photo) of the last frame, float32 of the photo's size, or ().
        """
        layers = self._preset.style_layers
        content = {name: self._responses_to(photo, name) for name in [self._preset.content_layer] if name}
        count = sum(responses.size for responses in content.values()) if self._preset.is_content_averaged else 1
        pooled = {layer: _pooled(masks, layer_stride(layer)) for layer in layers} if masks is not None else {}
        whole = {layer: (photo.shape[0] // layer_stride(layer)) * (photo.shape[1] // layer_stride(layer)) for layer in layers}
        return Targets(
            {name: tf.constant(responses) for name, responses in content.items()},
            tf.constant(self._content_unit / max(count, 1), tf.float32),
            self.style_targets(paintings, weights, masks is not None),
            pooled,
            {layer: tuple(tf.reduce_sum(m, [1, 2]) for m in pooled[layer]) if pooled else (_row(whole[layer]),) for layer in layers},
            (tf.constant(previous[0]), _unchanged(photo, previous[1])) if previous else (),
        )

    def style_targets(self, paintings: Sequence[np.ndarray], weights: Sequence[float] | np.ndarray | None = None, has_masks: bool = False) -> Grams:
        """`Targets.style` of paintings. Arguments as `targets`; with masks each painting has a region of its own."""
        grams = [self._grams_of(painting) for painting in paintings]
        if grams and not has_masks:
            grams = [{layer: sum(w * gram[layer] for w, gram in zip(weights, grams, strict=True)) for layer in self._preset.style_layers}]
        return {layer: tuple(gram[layer] for gram in grams) for layer in self._preset.style_layers}

    def grams(self, image: np.ndarray, targets: Targets) -> Grams:
        """The Gram matrices of an image, float32 [height, width, 3], in one piece."""
        return _by_position(self._whole_grams(tf.constant(image[None]), targets.masks), targets)

    def evaluate(self, image: np.ndarray, targets: Targets) -> Evaluation:
        """The objective at a picture, float32 [height, width, 3]: an Evaluation."""
        tiles = cut_picture(*image.shape[:2], self._preset.tile)
        if len(tiles) == 1:
            content, style, gradient, grams = self._whole_loss(tf.constant(image[None]), targets)
            gradient = gradient[0].numpy()
        else:
            content, style, gradient, grams = self._in_tiles(image, targets, tiles)
        content, style = float(content), float(style)
        total = self._preset.content_weight * content + self._preset.style_weight * style
        if self._preset.total_variation_weight or self._preset.range_weight or targets.previous:
            extra, extra_gradient = self._pixel_loss(tf.constant(image), targets.previous)
            total, gradient = total + float(extra), gradient + extra_gradient.numpy()
        return Evaluation(total, content, style, gradient, _by_position(grams, targets))

    def _in_tiles(self, image, targets, tiles):
        parts = [self._core_sums(_cut(image, tile), _as_tensor(tile), targets.in_core(tile)) for tile in tiles]
        content = sum(float(part[0]) for part in parts)
        grams = tf.nest.map_structure(lambda *grams: tf.add_n(grams), *[part[1] for part in parts])
        gradient = np.zeros_like(image)
        for tile in tiles:
            rows, columns = tile
            of_tile = self._core_gradient(_cut(image, tile), _as_tensor(tile), targets.in_core(tile), grams)
            gradient[rows.start : rows.stop, columns.start : columns.stop] += of_tile[0].numpy()
        return content, self._style(grams, targets), gradient, grams

    def _whole_loss(self, pixels, targets):
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            responses = self._model(pixels)
        grams = self._grams(responses, targets.masks)
        gradients = self._response_gradients(responses, grams, targets)
        gradient = tape.gradient([responses[name] for name in gradients], pixels, list(gradients.values()))
        return self._content(responses, targets), self._style(grams, targets), gradient, grams

    def _whole_grams(self, pixels, masks):
        return self._grams(self._model(pixels), masks)

    def _core_sums(self, pixels, tile, targets):
        cores = self._core_responses(pixels, tile)
        return self._content(cores, targets), self._grams(cores, targets.masks)

    def _core_gradient(self, pixels, tile, targets, grams):
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            cores = self._core_responses(pixels, tile)
        gradients = self._response_gradients(cores, grams, targets)
        return tape.gradient([cores[name] for name in gradients], pixels, list(gradients.values()))

    def _core_responses(self, pixels, tile):
        return {name: _core(responses, tile, name) for name, responses in self._model(pixels).items()}

    def _content(self, responses, targets):
        losses = [content_loss(responses[name], target)[0] for name, target in targets.content.items()]
        return targets.content_scale * tf.add_n(losses) if losses else tf.zeros(())

    def _grams(self, responses, masks):
        layers = self._preset.style_layers
        return {layer: tuple(gram_matrix(responses[layer], mask) for mask in masks.get(layer, (None,))) for layer in layers}

    def _style(self, grams, targets):
        """Eq. 5; each region counts by its share of the picture."""
        losses = [tf.zeros(())]
        for layer in grams:
            for gram, target, positions, share in self._regions(layer, grams, targets):
                losses.append(share * style_loss(gram / positions[:, None, None], target)[0] / len(grams))
        return self._style_unit * tf.add_n(losses)

    def _response_gradients(self, responses, grams, targets):
        """The derivative of eq. 7 by the responses of each layer, from eq. 2 and 6."""
        gradients = {
            name: self._preset.content_weight * targets.content_scale * content_gradient(responses[name], target) for name, target in targets.content.items()
        }
        for layer in grams:
            masks = targets.masks.get(layer, (None,))
            for mask, (gram, target, positions, share) in zip(masks, self._regions(layer, grams, targets), strict=True):
                weight = self._preset.style_weight * self._style_unit * share / len(grams)
                gradient = weight * style_gradient(responses[layer], gram / positions[:, None, None], target, positions, mask)
                gradients[layer] = gradients[layer] + gradient if layer in gradients else gradient
        return gradients

    def _regions(self, layer, grams, targets):
        """(Gram matrix, target, positions [1], share of the picture) of each region."""
        positions = targets.positions[layer]
        shares = [own[0] / tf.add_n(positions)[0] for own in positions]
        return zip(grams[layer], targets.style[layer], positions, shares, strict=True)

    def _pixel_loss(self, image, previous):
        with tf.GradientTape() as tape:
            tape.watch(image)
            loss = self._preset.total_variation_weight * total_variation(image[None])[0]
            loss += self._preset.range_weight * tf.reduce_mean(tf.square(image - tf.clip_by_value(image, 0.0, 255.0))) / 255.0**2
            if previous:
                picture, unchanged = previous
                loss += self._preset.temporal_weight * tf.reduce_mean(unchanged * tf.math.squared_difference(image, picture)) / 255.0**2
        return loss, tape.gradient(loss, image)

    def _responses_to(self, image, layer):
        """float32 [1, height, width, channels] of the whole image, as numpy."""
        rows: dict[Tile, list[np.ndarray]] = {}
        for tile in cut_picture(*image.shape[:2], self._preset.tile):
            rows.setdefault(tile[0], []).append(self._core_responses(_cut(image, tile), _as_tensor(tile))[layer].numpy())
        return np.concatenate([np.concatenate(parts, axis=2) for parts in rows.values()], axis=1)

    def _grams_of(self, painting):
        """layer -> Gram matrix divided by its positions, float32 [1, channels, channels]."""
        sums = []
        for tile in cut_picture(*painting.shape[:2], self._preset.tile):
            cores = self._core_responses(_cut(painting, tile), _as_tensor(tile))
            sums.append({layer: (gram_matrix(cores[layer]), cores[layer].shape[1] * cores[layer].shape[2]) for layer in self._preset.style_layers})
        return {layer: tf.add_n([part[layer][0] for part in sums]) / sum(part[layer][1] for part in sums) for layer in self._preset.style_layers}


def _by_position(sums, targets):
    return {layer: tuple(gram / own[:, None, None] for gram, own in zip(sums[layer], targets.positions[layer], strict=True)) for layer in sums}


def _cut(image, tile):
    rows, columns = tile
    return tf.constant(image[None, rows.start : rows.stop, columns.start : columns.stop])


def _as_tensor(tile):
    """int32 [2, 4], so that tiles share one graph."""
    return tf.constant(tile, tf.int32)


def _core(responses, tile, layer):
    """The core of the responses to a tile, int32 [2, 4]."""
    stride, shape = layer_stride(layer), tf.shape(responses)
    (top, bottom), (left, right) = (_core_side(tile[axis], stride, shape[1 + axis]) for axis in (0, 1))
    return responses[:, top:bottom, left:right]


def _core_side(side, stride, positions):
    start, stop, core_start, core_stop = tf.unstack(side)
    return (core_start - start) // stride, tf.where(core_stop == stop, positions, (core_stop - start) // stride)


def _core_of_whole(values, tile, layer):
    """What a tile's core is in values [1, height, width, ...] of the whole picture."""
    stride = layer_stride(layer)
    (top, bottom), (left, right) = (
        (side.core_start // stride, length if side.core_stop == side.stop else side.core_stop // stride)
        for side, length in zip(tile, values.shape[1:3], strict=True)
    )
    return values[:, top:bottom, left:right]


def _pooled(masks, stride):
    """Masks at a layer's resolution, pooled as its network pools: for each region float32 [1, height, width]."""
    pooled = tf.nn.avg_pool2d(tf.constant(masks, tf.float32)[..., None], stride, stride, "VALID")[..., 0]
    # A region too small for this layer counts next to nothing, but never divides by zero.
    return tuple(tf.maximum(mask, 1e-6)[None] for mask in tf.unstack(pooled))


def _unchanged(photo, before):
    """How far each pixel of the photo stayed the same, in [0, 1]: float32 [height, width, 1]."""
    difference = tf.reduce_mean(tf.abs(tf.constant(photo) - tf.constant(before)), axis=-1, keepdims=True)
    smooth = tf.nn.avg_pool2d(difference[None], 5, 1, "SAME")[0]  # noise of the camera is no change
    return tf.exp(-tf.square(smooth / _UNCHANGED_LEVELS))


def _row(value):
    return tf.constant([value], tf.float32)
