import keras
import numpy as np
import pytest

from tfvision.models.catalogue import NETWORKS, get_network
from tfvision.models.multi_view import add_heads, build_trunk, split_network, start_from_equal_views

SIZES = {name: network.least_image_size for name, network in NETWORKS.items()}


def _photos(size, views, count=2):
    random = np.random.default_rng(0)
    return {view: random.integers(0, 256, (count, size, size, 3)).astype(np.uint8) for view in views}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NETWORKS, "mobilenet"])
def test_whole_view_path_equals_the_unmodified_network(name, base_of):
    base = base_of(name)
    stem, branch, tail = split_network(base, get_network(name))
    pixels = _photos(base.input_shape[1], ["whole"])["whole"].astype(np.float32) / 127.5 - 1
    expected = base(pixels, training=False).numpy()
    assert np.abs(expected).max() > 0
    np.testing.assert_array_equal(tail(branch(stem(pixels))).numpy(), expected)


def test_pretrained_weights_reach_stem_whole_branch_and_tail_and_not_the_crop_branch():
    base = NETWORKS["small"].build(32)
    for layer in base.layers:
        layer.set_weights([np.full_like(values, 0.01) for values in layer.get_weights()])
    trunk = build_trunk("small", image_size=32, base=base)
    for name in ("stem", "whole_branch", "tail"):
        assert all((values == np.float32(0.01)).all() for values in trunk.get_layer(name).get_weights())
    assert any((values != np.float32(0.01)).any() for values in trunk.get_layer("crop_branch").get_weights())


@pytest.mark.slow
@pytest.mark.full_size
def test_inception_resnet_v2_is_split_whole_at_the_papers_layers():
    """The one place where all of its 40 blocks are built."""
    network = NETWORKS["inception_resnet_v2"]
    base = network.build(network.image_size)
    assert base.count_params() == 55_873_736 - 1_537_000  # the paper's, as Keras counts them, without the last layer
    stem, branch, tail = split_network(base, network)
    assert [part.output.shape[1:] for part in (stem, branch, tail)] == [(35, 35, 192), (17, 17, 1088), (8, 8, 1536)]
    assert sum(len(part.weights) for part in (stem, branch, tail)) == len(base.weights) == 896


@pytest.mark.slow
def test_inception_resnet_v2_has_the_papers_shapes(short_inception):
    with short_inception():
        trunk = build_trunk("inception_resnet_v2")
    stem = trunk.get_layer("stem")
    assert stem.output.shape[1:] == (35, 35, 192)
    assert sum(isinstance(layer, keras.layers.Conv2D) for layer in stem.layers) == 5
    for branch in ("whole_branch", "crop_branch"):
        assert trunk.get_layer(branch).output.shape[1:] == (17, 17, 1088)
    assert trunk.get_layer("views").output.shape[1:] == (17, 17, 2176)
    assert trunk.get_layer("merge").output.shape[1:] == (17, 17, 1088)
    assert trunk.get_layer("auxiliary_pool").output.shape[1:] == (5, 5, 1088)
    assert trunk.get_layer("auxiliary_conv1").output.shape[1:] == (5, 5, 128)
    assert trunk.get_layer("auxiliary_conv2").output.shape[1:] == (1, 1, 768)
    assert trunk.output["features"].shape[1:] == (1536,)


@pytest.mark.slow
@pytest.mark.parametrize("views", [("whole",), ("whole", "crop"), ("whole", "crop", "detail")])
def test_any_number_of_views_shares_one_stem(views):
    model = add_heads(build_trunk("small", views, 32), classes=5)
    outputs = model(_photos(32, views), training=False)
    assert {name: tuple(logits.shape) for name, logits in outputs.items()} == {"species": (2, 5), "auxiliary": (2, 5)}
    assert sum(layer.name == "stem" for layer in model.layers) == 1
    assert {layer.name for layer in model.layers if layer.name.endswith("_branch")} == {f"{view}_branch" for view in views}


def test_every_view_reaches_the_answer_and_the_auxiliary_head_sees_the_whole_view_only():
    model = add_heads(build_trunk("small", ("whole", "crop"), 32), classes=5)
    photos = _photos(32, ("whole", "crop"))
    before = model(photos, training=False)
    after = model({**photos, "crop": 255 - photos["crop"]}, training=False)
    assert np.abs(before["species"] - after["species"]).max() > 1e-4
    np.testing.assert_array_equal(before["auxiliary"], after["auxiliary"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v2", "small"])
def test_weights_saved_and_loaded_give_the_same_logits(name, tmp_path):
    size = SIZES[name]
    first, second = (add_heads(build_trunk(name, image_size=size), classes=3, kernel_seed=seed) for seed in (1, 2))
    photos = _photos(size, ("whole", "crop"))
    first.save_weights(tmp_path / "model.weights.h5")
    expected, others = (model(photos, training=False)["species"].numpy() for model in (first, second))
    assert not np.allclose(others, expected, rtol=1e-2, atol=0)  # an untrained MobileNetV2's logits are tiny
    second.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(second(photos, training=False)["species"], expected, rtol=1e-4, atol=0)


def test_fresh_heads_share_the_trunk():
    trunk = build_trunk("small", ("whole",), 32)
    coarse, fine = add_heads(trunk, 2), add_heads(trunk, 6)
    assert coarse.get_layer("stem") is fine.get_layer("stem")
    assert fine.output["species"].shape[1] == 6


@pytest.mark.slow
def test_equal_views_of_equal_pictures_start_as_the_unmodified_network():
    base = NETWORKS["small"].build(32)
    trunk = build_trunk("small", ("whole", "crop"), 32, has_auxiliary_head=False, base=base)
    start_from_equal_views(trunk, ("whole", "crop"))
    photos = _photos(32, ("whole",))
    expected = base(photos["whole"].astype(np.float32) / 127.5 - 1, training=False).numpy().mean(axis=(1, 2))
    features = trunk({"whole": photos["whole"], "crop": photos["whole"]}, training=False)["features"]
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-6)
