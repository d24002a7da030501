import colorsys
import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfvision.data.augmentation import Augmentation, _blurred, _project, distort, distort_photos, random_region

NOTHING = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "flip": False}
IMAGES = np.random.default_rng(0).random((2, 5, 6, 3), np.float32)


@functools.cache
def regions_of(size, augmentation, count=2000):
    """Regions of `count` seeds: float32 [count, 4]."""
    seeds = tf.stack([tf.range(count), tf.range(count) * 7 + 3], axis=1)
    draw = tf.function(lambda seeds: tf.map_fn(lambda seed: random_region(tf.constant(size), seed, augmentation), seeds, tf.float32), autograph=False)
    return draw(seeds).numpy()


def choose_draws(monkeypatch, flip=1.0, brightness=0.5, contrast=0.5, saturation=0.5, hue=0.5, order=0.0):
    """Fixes the six random numbers; 0.5 changes nothing."""
    draws = tf.constant([flip, brightness, contrast, saturation, hue, order])
    monkeypatch.setattr(tf.random, "stateless_uniform", lambda shape, seed: draws)


# Regions


@pytest.mark.parametrize("size", [(300, 400), (400, 300), (100, 1000), (1, 1), (7, 3)])
def test_regions_stay_inside_the_image(size):
    top, left, height, width = regions_of(size, Augmentation(), 500).T
    tolerance = 1e-4 * max(size)
    assert (height > 0).all() and (width > 0).all()
    assert top.min() >= 0 and (top + height).max() <= size[0] + tolerance
    assert left.min() >= 0 and (left + width).max() <= size[1] + tolerance


def test_areas_and_aspects_cover_their_ranges_evenly():
    # Half of 300 x 400 at an aspect of 4/3 is at most 283 pixels a side: no region is cut at an edge.
    _, _, height, width = regions_of((300, 400), Augmentation(area=(0.05, 0.5))).T
    shares, log_aspects = height * width / (300 * 400), np.log(width / height)
    for values, low, high in ((shares, 0.05, 0.5), (log_aspects, np.log(3 / 4), np.log(4 / 3))):
        assert values.min() >= low - 1e-3 and values.max() <= high + 1e-3
        histogram, _ = np.histogram(values, bins=4, range=(low, high))
        assert np.abs(histogram / len(values) - 0.25).max() < 0.05
    assert abs(np.corrcoef(shares, log_aspects)[0, 1]) < 0.1


def test_regions_lie_everywhere():
    top, left, height, width = regions_of((300, 400), Augmentation(area=(0.05, 0.5))).T
    for position in (top / (300 - height), left / (400 - width)):
        histogram, _ = np.histogram(position, bins=4, range=(0, 1))
        assert np.abs(histogram / len(position) - 0.25).max() < 0.05


def test_areas_of_the_whole_range_are_never_above_the_image():
    _, _, height, width = regions_of((300, 400), Augmentation(), 500).T
    shares = height * width / (300 * 400)
    assert shares.min() >= 0.05 - 1e-3 and shares.max() <= 1 + 1e-6
    assert shares.max() > 0.9 and shares.min() < 0.1


def test_a_seed_decides_the_region():
    size = tf.constant([300, 400])
    one, same, other = (random_region(size, seed, Augmentation()).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    assert (one == same).all()
    assert (one != other).any()


# Flip and colour


def test_no_strength_is_the_identity():
    for seed in range(5):
        assert (distort(IMAGES, [0, seed], Augmentation(**NOTHING)).numpy() == IMAGES).all()


def test_all_views_are_mirrored_alike_in_one_of_two():
    augmentation = Augmentation(**{**NOTHING, "flip": True})
    is_mirrored = []
    for seed in range(100):
        changed = distort(IMAGES, [0, seed], augmentation).numpy()
        is_mirrored.append((changed == IMAGES[:, :, ::-1]).all())
        assert is_mirrored[-1] or (changed == IMAGES).all()
    assert 30 <= sum(is_mirrored) <= 70


def test_colours_stay_in_range_and_repeat_with_the_seed():
    for seed in range(8):
        changed = distort(IMAGES, [3, seed], Augmentation()).numpy()
        assert changed.min() >= 0 and changed.max() <= 1
        assert (changed == distort(IMAGES, [3, seed], Augmentation()).numpy()).all()
        assert (changed != distort(IMAGES, [4, seed], Augmentation()).numpy()).any()


def test_a_graph_draws_what_eager_calls_draw():
    compiled = tf.function(lambda images, seed: distort(images, seed, Augmentation()), autograph=False)
    for seed in range(10):
        np.testing.assert_allclose(compiled(IMAGES, tf.constant([0, seed])), distort(IMAGES, [0, seed], Augmentation()), atol=1e-5)


@pytest.mark.slow
def test_a_batch_is_changed_as_its_photos_are_one_by_one():
    everything = Augmentation(vertical_flip=True, rotation=30.0, shear=0.2, perspective=0.2, tint=0.2, grey=0.3, blur=0.05, occlusion=0.3)
    photos, seeds = np.stack([IMAGES, IMAGES[::-1], 1 - IMAGES, IMAGES, IMAGES]), tf.constant([[2, number] for number in range(5)])
    changed = tf.function(lambda photos, seeds: distort_photos(photos, seeds, everything), autograph=False)(tf.constant(photos), seeds)
    one_by_one = tf.function(lambda photo, seed: distort(photo, seed, everything), autograph=False)
    for photo, seed, found in zip(photos, seeds, changed.numpy(), strict=True):
        np.testing.assert_allclose(found, one_by_one(tf.constant(photo), seed), atol=1e-6)


def test_brightness_adds_a_share_of_the_range(monkeypatch):
    choose_draws(monkeypatch, brightness=0.75)
    changed = distort(IMAGES, [0, 0], Augmentation(**{**NOTHING, "brightness": 0.2}))
    np.testing.assert_allclose(changed, np.clip(IMAGES + 0.1, 0, 1), atol=1e-6)  # 0.2 * (2 * 0.75 - 1)


def test_contrast_stretches_each_view_and_channel_about_its_mean(monkeypatch):
    choose_draws(monkeypatch, contrast=0.75)
    changed = distort(IMAGES, [0, 0], Augmentation(**{**NOTHING, "contrast": 0.5}))
    mean = IMAGES.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(changed, np.clip(mean + 1.25 * (IMAGES - mean), 0, 1), atol=1e-5)


def in_hsv(change):
    def changed(pixel):
        return colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*map(float, pixel))))

    return np.apply_along_axis(changed, -1, IMAGES)


def test_saturation_is_scaled(monkeypatch):
    choose_draws(monkeypatch, saturation=0.25)
    changed = distort(IMAGES, [0, 0], Augmentation(**{**NOTHING, "saturation": 0.5}))
    np.testing.assert_allclose(changed, in_hsv(lambda h, s, v: (h, 0.75 * s, v)), atol=1e-5)


def test_hue_is_turned(monkeypatch):
    choose_draws(monkeypatch, hue=1.0)
    changed = distort(IMAGES, [0, 0], Augmentation(**{**NOTHING, "hue": 0.2}))
    np.testing.assert_allclose(changed, in_hsv(lambda h, s, v: ((h + 0.2) % 1, s, v)), atol=1e-5)


def test_every_order_of_the_four_changes_occurs(monkeypatch):
    calls = []

    def recorder(name):
        def record(images, _):
            calls.append((name, float(images[0, 0, 0, 0])))
            return images

        return record

    for name in ("contrast", "saturation", "hue"):
        monkeypatch.setattr(tf.image, f"adjust_{name}", recorder(name))
    orders = set()
    for number in range(24):
        calls.clear()
        choose_draws(monkeypatch, brightness=1.0, order=(number + 0.5) / 24)
        distort(np.zeros((1, 2, 2, 3), np.float32), [0, 0], Augmentation(brightness=0.3, flip=False))
        names = [name for name, _ in calls]
        names.insert(sum(value == 0 for _, value in calls), "brightness")  # before it, the image was black
        orders.add(tuple(names))
    assert orders == set(itertools.permutations(("brightness", "contrast", "saturation", "hue")))


# Shape, light, blur and what hides


def _changed(seed=3, images=IMAGES, **changes):
    return distort(tf.constant(images), tf.constant([seed, 5]), Augmentation(**NOTHING, **changes)).numpy()


SMOOTH = np.stack([np.sin(np.mgrid[:33, :33][axis] / 5)[..., None] * [0.2, 0.3, 0.4] + 0.5 for axis in (0, 1)]).astype(np.float32)


def test_a_region_keeps_the_images_own_aspect_where_that_is_asked():
    _, _, height, width = regions_of((300, 150), Augmentation(area=(0.2, 0.6), aspect=(1.0, 1.0), is_aspect_relative=True), 50).T
    np.testing.assert_allclose(width / height, 0.5, rtol=1e-4)
    whole = regions_of((300, 150), Augmentation(area=(1.0, 1.0), aspect=(1.0, 1.0), is_aspect_relative=True), 3)
    np.testing.assert_allclose(whole, [[0, 0, 300, 150]] * 3, atol=1e-3)


@pytest.mark.parametrize(
    "change",
    [{"rotation": 90.0}, {"shear": 0.3}, {"perspective": 0.3}, {"tint": 0.3}, {"grey": 1.0}, {"blur": 0.1}, {"occlusion": 0.5}, {"vertical_flip": True}],
    ids=lambda change: next(iter(change)),
)
def test_each_change_is_decided_by_the_seed_and_leaves_shape_and_range(change):
    results = [_changed(seed, SMOOTH, **change) for seed in range(8)]
    assert all(result.shape == SMOOTH.shape and result.min() >= 0 and result.max() <= 1 for result in results)
    assert any(np.abs(result - SMOOTH).max() > 0.05 for result in results)
    np.testing.assert_array_equal(results[3], _changed(3, SMOOTH, **change))


def test_a_further_kind_of_change_leaves_the_others_as_they_were():
    colours = {**NOTHING, "brightness": 0.2}
    plain = distort(tf.constant(SMOOTH), tf.constant([1, 2]), Augmentation(**colours))
    turned = distort(tf.constant(SMOOTH), tf.constant([1, 2]), Augmentation(**colours, rotation=90.0, grey=0.0))
    assert abs(float(tf.reduce_max(plain) - tf.reduce_max(turned))) < 0.02


def test_pixels_are_looked_up_where_the_matrix_sends_them():
    # A quarter turn: what stands at (x, y) in the result was at (-y, x).
    turned = _project(tf.constant(SMOOTH), tf.constant([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), "CONSTANT")
    np.testing.assert_allclose(turned, np.rot90(SMOOTH, 1, (1, 2)), atol=1e-4)
    moved = _project(tf.constant(SMOOTH), tf.constant([[1.0, 0.0, 0.25], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), "CONSTANT")
    np.testing.assert_allclose(moved[:, :, :-4], SMOOTH[:, :, 4:], atol=1e-4)  # an eighth of the side
    assert not np.any(moved[:, :, -4:])


def test_blur_equals_scipys(monkeypatch):
    from scipy.ndimage import gaussian_filter1d

    blurred = _blurred(tf.constant(SMOOTH), 0.05)  # 1.65 pixels, reaching over 4
    expected = SMOOTH.astype(float)
    for axis in (1, 2):
        expected = gaussian_filter1d(expected, 1.65, axis, mode="reflect", radius=4)
    np.testing.assert_allclose(blurred, expected, atol=1e-5)


def test_all_colours_are_lost_at_grey_1():
    grey = _changed(grey=1.0)
    np.testing.assert_allclose(grey[..., 0], grey[..., 2], atol=1e-6)
    np.testing.assert_allclose(grey[..., 0], IMAGES @ [0.2989, 0.587, 0.114], atol=1e-3)


def test_tint_scales_each_colour_by_itself():
    factors = _changed(tint=0.2, images=IMAGES / 2) / (IMAGES / 2)
    assert np.ptp(factors, axis=(0, 1, 2)).max() < 1e-4
    assert len(set(np.round(factors[0, 0, 0], 3))) == 3 and np.abs(factors - 1).max() <= 0.2 + 1e-5


def test_a_rectangle_hides_at_most_the_share():
    shares = []
    for seed in range(60):
        hidden = _changed(seed, SMOOTH, occlusion=0.4)
        is_hidden = (hidden != SMOOTH).any(axis=(0, 3))
        shares.append(is_hidden.mean())
        rows, columns = np.flatnonzero(is_hidden.any(1)), np.flatnonzero(is_hidden.any(0))
        if len(rows):
            box = hidden[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert np.ptp(box, axis=(0, 1, 2)).max() < 1e-6  # one colour, in all views
    assert max(shares) < 0.45 and 0.3 < np.mean(np.array(shares) == 0) < 0.7
