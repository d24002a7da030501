import numpy as np
import pytest

from tfvision.data.checks.photo_facts import TRUNCATED, UNREADABLE, PhotoFacts
from tfvision.data.checks.set_statistics import class_sizes, formats, gini, resolutions, splits
from tfvision.data.manifest import Record


def records(counts, split=""):
    return [Record("", f"{name}{number}", ("order", name), "", split) for name, count in counts.items() for number in range(count)]


def test_class_sizes():
    sizes = class_sizes(records({"a": 60, "b": 10, "c": 9, "d": 1}))
    assert (sizes["classes"], sizes["largest"], sizes["median"], sizes["smallest"]) == (4, 60, 9.5, 1)
    assert sizes["small_classes"] == 2 and sizes["classes_with_half_of_the_photos"] == 1
    assert sizes["sizes"] == [60, 10, 9, 1]
    assert sizes["largest_classes"][0] == {"class": "order / a", "photos": 60} and sizes["smallest_classes"][0] == {"class": "order / d", "photos": 1}
    assert sizes["bins"] == [
        {"from": 1, "to": 1, "classes": 1, "photos": 1},
        {"from": 5, "to": 9, "classes": 1, "photos": 9},
        {"from": 10, "to": 19, "classes": 1, "photos": 10},
        {"from": 50, "to": 99, "classes": 1, "photos": 60},
    ]


def test_gini_is_the_mean_difference_over_twice_the_mean():
    for sizes in ([5, 5, 5], [1, 2, 7, 7], np.random.default_rng(0).integers(1, 100, 30)):
        values = np.asarray(sizes, float)
        assert gini(sizes) == pytest.approx(np.abs(values[:, None] - values).mean() / (2 * values.mean()))
    assert gini([1] * 999 + [10**6]) > 0.99


def test_resolutions_and_formats_are_of_what_can_be_read():
    facts = [
        PhotoFacts(100, format="JPEG", width=100, height=63),
        PhotoFacts(200, format="JPEG", width=64, height=5000),
        PhotoFacts(300, format="PNG", width=4096, height=4097),
        PhotoFacts(50, TRUNCATED, "cut", "JPEG", 9000, 9000),
        PhotoFacts(7, UNREADABLE, "text"),
    ]
    found = resolutions(facts)
    assert found["bins"] == [{"from": 1, "to": 63, "photos": 1}, {"from": 64, "to": 127, "photos": 1}, {"from": 4096, "to": None, "photos": 1}]
    assert found["quantiles"]["0%"] == [63, 100] and found["quantiles"]["50%"] == [64, 4097] and found["quantiles"]["100%"] == [4096, 5000]
    assert formats(facts) == [{"format": "JPEG", "photos": 3, "bytes": 350}, {"format": "PNG", "photos": 1, "bytes": 300}]
    assert resolutions(facts[3:]) == {"bins": [], "quantiles": {}}


def test_splits_tell_classes_that_were_never_trained():
    assert splits(records({"a": 3})) == []
    found = splits(records({"a": 3, "b": 2}, "train") + records({"b": 1, "c": 1}, "test"))
    assert found == [
        {"split": "test", "photos": 2, "classes": 2, "untrained_classes": 1},
        {"split": "train", "photos": 5, "classes": 2, "untrained_classes": 0},
    ]
