import numpy as np
import pytest
import tensorflow as tf

from tfvision.data.views import central_region, cut_views, decoding_ratio, view_regions, window_of

NO_BOX = tf.zeros(4)


def regions_of(region, views, box=NO_BOX):
    return view_regions(tf.constant(region, tf.float32), tf.constant(box, tf.float32), views).numpy().tolist()


def test_the_central_region_leaves_a_sixteenth_on_each_side():
    assert central_region(tf.constant([80, 160])).numpy().tolist() == [5, 10, 70, 140]
    assert central_region(tf.constant([80, 160]), fraction=0.5).numpy().tolist() == [20, 40, 40, 80]


def test_each_view_is_its_share_of_each_side_about_the_same_centre():
    whole, crop, detail = regions_of([10, 20, 80, 160], ("whole", "crop", "detail"))
    assert whole == [10, 20, 80, 160]
    assert crop == [30, 60, 40, 80]
    assert detail == [40, 80, 20, 40]


def test_crop_view_follows_the_users_box_and_the_whole_view_does_not():
    box = [3, 5, 30, 20]  # left, top, width, height
    whole, crop, detail = regions_of([10, 20, 80, 160], ("whole", "crop", "detail"), box)
    assert whole == [10, 20, 80, 160]
    assert crop == detail == [5, 3, 20, 30]  # top, left, height, width


def test_the_order_of_views_is_the_one_asked_for():
    assert regions_of([0, 0, 8, 8], ("crop", "whole")) == [[2, 2, 4, 4], [0, 0, 8, 8]]


def test_crop_view_keeps_the_pixels_that_the_whole_view_blurs():
    checkerboard = np.indices((64, 64)).sum(0) % 2 * np.uint8(255)
    image = np.repeat(checkerboard[..., None], 3, axis=2)
    regions = view_regions(tf.constant([0.0, 0.0, 64.0, 64.0]), NO_BOX, ("whole", "crop"))
    whole, crop = cut_views(image, tf.constant([64, 64]), regions, 32).numpy()
    assert (crop == image[16:48, 16:48]).all()
    assert np.abs(whole - 127.5).max() < 12


def test_a_region_is_cut_where_it_lies():
    image = np.random.default_rng(0).integers(256, size=(20, 30, 3), dtype=np.uint8)
    (view,) = cut_views(image, tf.constant([20, 30]), tf.constant([[3.0, 7.0, 8.0, 8.0]]), 8).numpy()
    np.testing.assert_allclose(view, image[3:11, 7:15], atol=1e-3)


def test_a_region_refers_to_the_full_scale_of_a_photo_decoded_smaller():
    reduced = np.random.default_rng(0).integers(256, size=(10, 15, 3), dtype=np.uint8)
    (view,) = cut_views(reduced, tf.constant([40, 60]), tf.constant([[8.0, 16.0, 16.0, 16.0]]), 4).numpy()
    np.testing.assert_allclose(view, reduced[2:6, 4:8], atol=1e-3)


@pytest.mark.parametrize(
    ("region", "rows", "columns"),
    [
        ([-4, -6, 12, 16], slice(0, 8), slice(0, 10)),
        ([15, 25, 40, 40], slice(15, 20), slice(25, 30)),
        ([50, 60, 9, 9], slice(19, 20), slice(29, 30)),  # wholly outside: the nearest pixel
        ([5, 5, 0.2, 0.2], slice(5, 6), slice(5, 6)),  # never less than a pixel
    ],
)
def test_a_box_partly_outside_the_image_is_clipped(region, rows, columns):
    image = np.random.default_rng(0).integers(256, size=(20, 30, 3), dtype=np.uint8)
    (view,) = cut_views(image, tf.constant([20, 30]), tf.constant([region], tf.float32), 6).numpy()
    expected = tf.image.resize(image[rows, columns], (6, 6), antialias=True)
    np.testing.assert_allclose(view, expected, atol=1e-3)


def test_a_single_pixel_fills_its_views():
    regions = view_regions(central_region(tf.constant([1, 1])), NO_BOX, ("whole", "crop"))
    views = cut_views(np.full((1, 1, 3), 51, np.uint8), tf.constant([1, 1]), regions, 4).numpy()
    assert views.shape == (2, 4, 4, 3)
    np.testing.assert_allclose(views, 51, atol=1e-3)


@pytest.mark.parametrize(
    ("size", "views", "image_size", "ratio"),
    [
        ((3000, 4000), ("whole",), 299, 8),  # 0.875 * 3000 / 299 = 8.8
        ((4000, 3000), ("whole",), 299, 8),  # portrait: the same
        ((3000, 4000), ("whole", "crop"), 299, 4),  # half of that: 4.4
        ((4000, 3000), ("whole", "crop", "detail"), 299, 2),  # a quarter: 2.2
        ((500, 600), ("whole", "crop"), 299, 1),  # 0.7
        ((500, 600), ("whole",), 299, 1),  # 1.5
        ((1024, 2000), ("whole",), 112, 8),  # 896 / 112 = 8 exactly
        ((1023, 2000), ("whole",), 112, 4),
        ((100, 90000), ("whole",), 299, 1),  # the shorter side decides
    ],
)
def test_decoding_ratio_leaves_every_view_its_pixels(size, views, image_size, ratio):
    regions = view_regions(central_region(tf.constant(size)), NO_BOX, views)
    assert decoding_ratio(regions, image_size).numpy() == ratio


def test_a_small_box_forbids_a_reduced_scale():
    regions = view_regions(central_region(tf.constant([3000, 4000])), tf.constant([9.0, 9.0, 700.0, 300.0]), ("whole", "crop"))
    assert decoding_ratio(regions, 299).numpy() == 1
    assert decoding_ratio(regions, 150).numpy() == 2


def test_views_are_the_same_in_a_graph():
    image = np.random.default_rng(0).integers(256, size=(40, 60, 3), dtype=np.uint8)

    def views_of(image):
        size = tf.shape(image)[:2]
        regions = view_regions(central_region(size), NO_BOX, ("whole", "crop"))
        return cut_views(image, size, regions, 16), decoding_ratio(regions, 16)

    (dataset_views, dataset_ratio) = next(iter(tf.data.Dataset.from_tensors(image).map(views_of)))
    views, ratio = views_of(image)
    np.testing.assert_allclose(dataset_views, views, atol=1e-6)
    assert dataset_ratio == ratio


@pytest.mark.parametrize("ratio", [1, 2, 8])
def test_views_cut_from_a_part_that_holds_them_are_those_cut_from_the_whole(ratio):
    random = np.random.default_rng(0)
    size = np.int32([160, 240])
    image = random.integers(0, 256, (*-(-size // ratio), 3), np.uint8)
    edges = [[0, 0, 160, 240], [159.6, 239.7, 0.4, 0.3], [-30, -20, 10, 10], [200, 300, 9, 9], [150, 230, 60, 60]]
    drawn = [[*(random.uniform(0, 1, 2) * size), *(random.uniform(0, 1, 2) * size)] for _ in range(6)]
    for region in edges + drawn:
        top, left, height, width = region
        regions = np.float32([region, [top + height / 4, left + width / 4, height / 2, width / 2]])
        top, left, height, width = window_of(image.shape[:2], size, regions)
        assert top >= 0 and left >= 0 and height > 0 and width > 0 and top + height <= image.shape[0] and left + width <= image.shape[1]
        frame = tf.constant([top, left, *image.shape[:2]])
        part = cut_views(image[top : top + height, left : left + width], tf.constant(size), tf.constant(regions), 12, frame)
        np.testing.assert_array_equal(part, cut_views(image, tf.constant(size), tf.constant(regions), 12))
