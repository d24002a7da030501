import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfvision.apps.style.objective import Objective
from tfvision.apps.style.presets import get_preset
from tfvision.losses.style import content_loss, gram_matrix, style_loss

pytestmark = pytest.mark.usefixtures("untraced")

PLAIN = {"total_variation_weight": 0.0, "range_weight": 0.0}


def _images(smooth_picture, *sizes):
    return [smooth_picture(seed, *size).astype(np.float32) for seed, size in enumerate(sizes)]


def _literal(network, preset, image, photo, painting):
    """Eq. 7 by the tape alone: (total, gradient)."""
    image = tf.constant(image[None])
    content, style = network(photo[None]), network(painting[None])
    with tf.GradientTape() as tape:
        tape.watch(image)
        responses = network(image)
        count = content["conv4_2"].numpy().size if preset.is_content_averaged else 1
        total = preset.content_weight * preset.response_mean**2 * content_loss(responses["conv4_2"], content["conv4_2"])[0] / count
        for layer in preset.style_layers:
            f, a = responses[layer], style[layer]
            g, t = (gram_matrix(x) / (x.shape[1] * x.shape[2]) for x in (f, a))
            total += preset.style_weight * preset.response_mean**4 * style_loss(g, t)[0] / len(preset.style_layers)
    return float(total), tape.gradient(total, image)[0].numpy()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["default", "paper", "printed"])
def test_value_and_gradient_are_those_of_equation_7(request, tiny_network, smooth_picture, name):
    if name == "default":
        request.getfixturevalue("traced")
    preset = dataclasses.replace(get_preset(name), **PLAIN)
    image, photo, painting = _images(smooth_picture, (50, 67), (50, 67), (80, 40))
    objective = Objective(tiny_network, preset)
    evaluation = objective.evaluate(image, objective.targets(photo, [painting], [1.0]))
    total, gradient = _literal(tiny_network, preset, image, photo, painting)
    assert evaluation.total == pytest.approx(total, rel=1e-4)
    np.testing.assert_allclose(evaluation.gradient, gradient, atol=1e-4 * np.abs(gradient).max())


@pytest.mark.slow
@pytest.mark.parametrize("size", [(144, 336), (250, 129)])
def test_tiles_give_the_untiled_value_and_gradient(request, tiny_network, smooth_picture, size):
    image, photo, painting = _images(smooth_picture, size, size, (100, 150))
    masks = np.random.default_rng(0).uniform(size=(2, *size)).astype(np.float32)

    def evaluated(tile):
        objective = Objective(tiny_network, dataclasses.replace(get_preset("default"), tile=tile))
        return objective.evaluate(image, objective.targets(photo, [painting, photo], None, masks / masks.sum(axis=0), (image, photo)))

    whole = evaluated(0)
    if size == (250, 129):
        request.getfixturevalue("traced")
    parts = evaluated(128)
    assert parts.total == pytest.approx(whole.total, rel=1e-4)
    np.testing.assert_allclose(parts.gradient, whole.gradient, atol=1e-4 * np.abs(whole.gradient).max())


@pytest.mark.slow
def test_the_gradient_points_where_finite_differences_do(tiny_network, smooth_picture):
    """All terms together, in float32: the slope along the gradient."""
    preset = dataclasses.replace(get_preset("default"), total_variation_weight=5.0, range_weight=50.0, temporal_weight=5.0)
    image, photo, painting = _images(smooth_picture, (48, 48), (48, 48), (48, 64))
    image = image * 1.6 - 60  # partly outside 0-255
    objective = Objective(tiny_network, preset)
    targets = objective.targets(photo, [painting], [1.0], None, (photo[::-1].copy(), photo))
    gradient = objective.evaluate(image, targets).gradient
    step = gradient / np.linalg.norm(gradient)
    ahead, behind = (objective.evaluate((image + h * step).astype(np.float32), targets).total for h in (3.0, -3.0))
    assert (ahead - behind) / 6 == pytest.approx(np.linalg.norm(gradient), rel=0.02)


@pytest.mark.slow
def test_a_mask_gives_each_region_its_painting(tiny_network, smooth_picture):
    """Where the left half is one painting's and the right another's, a picture made of both has nearly no style loss."""
    preset = dataclasses.replace(get_preset("default"), content_layer="", style_layers=("conv1_1",), **PLAIN)
    left, right = _images(smooth_picture, (64, 64), (64, 64))
    picture = np.concatenate([left, right], axis=1)
    masks = np.zeros((2, 64, 128), np.float32)
    masks[0, :, :64] = masks[1, :, 64:] = 1
    objective = Objective(tiny_network, preset)
    right_way = objective.evaluate(picture, objective.targets(picture, [left, right], None, masks)).style
    wrong_way = objective.evaluate(picture, objective.targets(picture, [right, left], None, masks)).style
    assert right_way < wrong_way / 100


def test_weights_mix_paintings(tiny_network, smooth_picture):
    preset = dataclasses.replace(get_preset("default"), content_layer="", **PLAIN)
    one, other = _images(smooth_picture, (64, 64), (64, 64))
    objective = Objective(tiny_network, preset)
    alone = objective.targets(one, [one], [1.0])
    mixed = objective.targets(one, [one, other], [0.25, 0.75])
    only_other = objective.targets(one, [other], [1.0])
    for layer in preset.style_layers:
        np.testing.assert_allclose(mixed.style[layer][0], 0.25 * alone.style[layer][0] + 0.75 * only_other.style[layer][0], rtol=1e-4)


@pytest.mark.slow
def test_the_temporal_term_holds_only_what_the_photo_held(tiny_network, smooth_picture):
    preset = dataclasses.replace(get_preset("default"), content_weight=0.0, style_weight=0.0, temporal_weight=100.0, **PLAIN)
    image, before, painting = _images(smooth_picture, (64, 64), (64, 64), (64, 64))
    photo = before.copy()
    photo[:, 32:] = 255 - photo[:, 32:]  # the right half moved
    photo[:, 32:] += np.where(np.abs(photo[:, 32:] - before[:, 32:]) < 80, 90, 0)
    objective = Objective(tiny_network, preset)
    gradient = np.abs(objective.evaluate(image, objective.targets(photo, [painting], [1.0], None, (before, before))).gradient)
    assert gradient[:, :28].mean() > 1e-5
    assert gradient[:, 36:].mean() < gradient[:, :28].mean() / 100
