import numpy as np
import pytest

from tfvision.apps.explorer.columns import date_edges, number_edges, scale_of

DAY = 86_400


def _scale(values):
    return scale_of(values, np.arange(len(values), dtype=np.int32))


@pytest.mark.parametrize(
    "values, kind",
    [
        (["3", "-1.5", "1e3"], "number"),
        ([1, 2.5, "n/a"], "number"),  # one that is none does not make it a column of texts
        (["2019-05-31", "2019-06-01"], "date"),
        (["2019:05:31 12:00:01", "2019:05:31 12:00:02"], "date"),
        (["31.5.2019", "1.6.2019", "unknown"], "date"),
        (["2019-02-30", "2019-02-31"], None),  # no days
        (["red", "1", "2", "green"], None),
        (["nan", "inf", "1_0"], None),
        ([True, False], None),
        (["7"], None),  # nothing to choose from
        ([], None),
    ],
)
def test_numbers_and_dates_are_recognised(values, kind):
    scale = _scale(values)
    assert (scale and scale.kind) == kind


def test_a_value_that_is_no_number_has_none():
    numbers = _scale(["4", "n/a", "2"]).numbers
    assert numbers[[0, 2]].tolist() == [4, 2] and np.isnan(numbers[1])


@pytest.mark.parametrize(
    "text, seconds",
    [("1970-01-02", DAY), ("1970/1/3 01:00", 2 * DAY + 3600), ("1970-02", 31 * DAY), ("1970:01:01 00:00:09", 9), ("1969-12-31T23:00:00+02:00", -3600)],
)
def test_dates_are_seconds_as_they_are_written(text, seconds):
    assert _scale([text, "2000-01-01"]).numbers[0] == seconds


@pytest.mark.parametrize(
    "values", [np.arange(7), [1990.0, 2026.0], [0.1, 0.25, 0.7], [-3e9, 5e9], [*[2.0] * 99, 5e6], [1e-12, 2e-12], np.random.default_rng(0).normal(size=999)]
)
def test_bins_hold_every_number(values):
    edges = number_edges(np.asarray(values, float))
    assert (np.diff(edges) > 0).all() and len(edges) <= 42
    assert edges[0] <= min(values) and edges[-1] >= max(values)
    assert np.histogram(values, edges)[0].sum() == len(values)


@pytest.mark.parametrize("last", [1, 100, 5000, 3 * DAY, 200 * DAY, 3000 * DAY, 100_000 * DAY, 800_000 * DAY])
def test_bins_of_dates_begin_where_people_begin_them(last):
    edges = date_edges(np.array([0.0, last]))
    assert (np.diff(edges) > 0).all() and 2 <= len(edges) <= 43
    assert edges[0] <= 0 and edges[-1] > last
    if last > 2000 * DAY:  # months or years
        assert {str(np.datetime64(int(edge), "s"))[8:] for edge in edges} == {"01T00:00:00"}


def test_values_that_no_picture_has_do_not_stretch_the_bins():
    edges = scale_of([1, 2, 10**9], np.int32([0, 1, 1, -1])).edges
    assert edges.tolist() == [0.5, 1.5, 2.5]


@pytest.mark.parametrize("values", [["-1.7e308", "1.7e308", "1", "2"], ["0", "5e-324"], [10**400, 1, 2], ["1", "2", "x" * 10**6]])
def test_numbers_at_the_ends_of_what_there_is_have_bins_or_none(values):
    scale = _scale(values)
    assert scale is None or (np.isfinite(scale.edges).all() and (np.diff(scale.edges) > 0).all())
