import pytest

from tfvision.kinds import is_of, tuples, wrong_part

NUMBERS = {"share": float, "count": int}


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (1, float, True),
        (True, float, False),
        (float("nan"), float, False),
        (float("-inf"), float, False),
        (10**400, float, False),  # no float can be
        (2**63 - 1, int, True),
        (2**63, int, False),
        (1.0, int, False),
        (None, str | None, True),
        (7, str | None, False),
        ([1, 2], tuple[int, ...], True),
        ([1, "2"], tuple[int, ...], False),
        ([1, "2"], tuple[int, str], True),
        ([1], tuple[int, str], False),
        ("ab", tuple[str, ...], False),
        ({"a": 1}, dict[str, float], True),
        ({"a": {"b": [1]}}, dict[str, float], False),
        ([{"share": 1, "count": 2}], [NUMBERS], True),
        ([{"share": 1}], [NUMBERS], False),
        ({"share": 1, "count": 2, "more": []}, NUMBERS, True),
        ([["share", 1], ["count", 2]], NUMBERS, False),
        ({"a": {"share": 1, "count": 2}}, {str: NUMBERS}, True),
        ({"a": {"share": 1, "count": None}}, {str: NUMBERS}, False),
        ({}, {"name": str | None}, True),
    ],
)
def test_a_value_is_of_a_kind_or_not(value, kind, expected):
    assert is_of(value, kind) is expected


def test_the_first_wrong_part_is_named():
    assert wrong_part({"share": 1, "count": "2"}, NUMBERS) == "count" and wrong_part({}, NUMBERS) == "share"
    assert wrong_part({"share": 0.5, "count": 2}, NUMBERS) is None and tuples([1, [2, [3]]]) == (1, (2, (3,)))
