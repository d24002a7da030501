import keras
import numpy as np
import pytest

from tfvision.data.manifest import read_photos
from tfvision.data.pipeline import BrokenPhotos
from tfvision.models.normalisation import LEAST_SHARE, normalise, unscale, whole_photos
from tfvision.models.vgg19 import LAYERS, PERCEPTUAL_LAYERS, Filters, build_vgg19, convolutions_of, filters_of, plain_filters, set_convolutions


@pytest.fixture(scope="module")
def convolutions():
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(3)
    made = convolutions_of(build_vgg19({**plain_filters(4), "conv2_1": Filters(8, 3)}, taps=PERCEPTUAL_LAYERS))
    return {layer: (*kernels, random.normal(0, 0.5, bias.shape).astype(np.float32)) for layer, (*kernels, bias) in made.items()}


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (height, width, 3), np.uint8) for height, width in ((48, 64), (71, 35), (32, 32))]


def _responses(convolutions, image):
    model = build_vgg19(filters_of(convolutions), "avg", tuple(convolutions))
    set_convolutions(model, convolutions)
    return {layer: tensor[0].numpy() for layer, tensor in model(np.float32(image[None])).items()}


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_every_filter_answers_with_one_on_average(convolutions, images, pooling):
    scaled, _ = normalise(convolutions, images, pooling)
    before, after = _mean_responses(convolutions, images, pooling), _mean_responses(scaled, images, pooling)
    for layer in PERCEPTUAL_LAYERS:
        answers = before[layer] > LEAST_SHARE * before[layer].mean()
        assert answers.mean() >= 0.5
        np.testing.assert_allclose(after[layer][answers], 1, rtol=1e-3)
        assert (after[layer][~answers] <= 1).all()


def _mean_responses(convolutions, images, pooling):
    """Naively: over all positions of all images."""
    model = build_vgg19(filters_of(convolutions), pooling, tuple(convolutions))
    set_convolutions(model, convolutions)
    answers = [model(np.float32(image[None])) for image in images]
    return {layer: np.concatenate([answer[layer].numpy().reshape(-1, answer[layer].shape[-1]) for answer in answers]).mean(axis=0) for layer in convolutions}


@pytest.mark.slow
def test_the_function_is_unchanged_but_for_a_factor_a_channel(convolutions, images):
    scaled, means = normalise(convolutions, images)
    other = np.random.default_rng(9).integers(0, 256, (40, 56, 3), np.uint8)  # not one of those it was measured on
    expected, got = _responses(convolutions, other), _responses(scaled, other)
    for layer in PERCEPTUAL_LAYERS:
        np.testing.assert_allclose(got[layer] * means[layer], expected[layer], rtol=1e-3, atol=1e-4 * expected[layer].max())


def test_it_can_be_undone(convolutions, images):
    scaled, means = normalise(convolutions, images)
    for layer, pair in unscale(scaled, means).items():
        for one, other in zip(pair, convolutions[layer], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_filters_that_never_answer_stay_finite(images):
    made = convolutions_of(build_vgg19(2, taps=("conv1_2",)))
    silent = {"conv1_1": (made["conv1_1"][0] * (0, 1), np.float32([-1, 0])), "conv1_2": made["conv1_2"]}
    scaled, means = normalise(silent, images)
    for pair in scaled.values():
        assert all(np.isfinite(part).all() for part in pair)
    assert means["conv1_1"][0] == pytest.approx(LEAST_SHARE * means["conv1_1"][1] / 2, rel=0.01)
    everything_silent = {"conv1_1": (made["conv1_1"][0] * 0, np.float32([-1, -1]))}
    np.testing.assert_array_equal(normalise(everything_silent, images)[1]["conv1_1"], 1)


def test_progress_is_told_after_each_image(convolutions, images):
    told = []
    normalise({"conv1_1": convolutions["conv1_1"]}, images, on_image=lambda: told.append(1))
    assert len(told) == len(images)


def test_photos_are_read_and_broken_ones_recorded(colour_photos, tmp_path):
    for number, name in enumerate(("Rosa_rubra_1.png", "Viola_prima_1.png")):
        (tmp_path / f"{number}.png").write_bytes((colour_photos / name).read_bytes())
    (tmp_path / "2.png").write_bytes(b"no image")
    broken = BrokenPhotos()
    photos = list(whole_photos(read_photos(tmp_path), 24, broken))
    assert [photo.shape for photo in photos] == [(24, 24, 3)] * 2
    assert [path.rsplit("/", 1)[-1] for path in broken] == ["2.png"]
    assert photos[0][..., 0].mean() > 150 > photos[1][..., 0].mean() + 5  # red, then violet


def test_layers_of_a_truncated_network_are_enough(images):
    made = convolutions_of(build_vgg19(2, taps=("conv2_1",)))
    assert list(normalise(made, images)[0]) == list(LAYERS[:3])
