import collections

import numpy as np
import pytest

from tfvision.data.manifest import Manifest, Record
from tfvision.data.splits import halve, split_validation
from tfvision.errors import DataError


def manifest_of(rows):
    """rows: (species, group, split) each."""
    records = [Record(f"{i}.jpg", f"{i}.jpg", (species,), group, split) for i, (species, group, split) in enumerate(rows)]
    return Manifest(("species",), tuple(records))


def singles(**counts):
    """Photos that are each their own group, `counts` of each species."""
    return manifest_of([(species, f"{species} {i}", "") for species, count in counts.items() for i in range(count)])


def counts_by_species(manifest, chosen):
    return collections.Counter(record.lineage[0] for record, is_chosen in zip(manifest.records, chosen, strict=True) if is_chosen)


def test_the_split_is_decided_by_the_seed():
    manifest = singles(lion=40, fox=40)
    first = split_validation(manifest, 0.2, seed=1)
    assert (first == split_validation(manifest, 0.2, seed=1)).all()
    assert (first != split_validation(manifest, 0.2, seed=2)).any()


def test_a_photos_part_does_not_depend_on_the_other_photos_order():
    manifest = singles(lion=30, fox=30)
    backwards = Manifest(manifest.ranks, manifest.records[::-1])
    assert split_validation(manifest, 0.2, 0).tolist() == split_validation(backwards, 0.2, 0)[::-1].tolist()


def test_each_class_gives_its_share_to_validation():
    counts = {"two": 2, "a": 5, "b": 7, "c": 8, "d": 13, "e": 100}
    manifest = singles(**counts)
    chosen = counts_by_species(manifest, split_validation(manifest, 0.2, 0) == "validation")
    assert chosen == {"two": 1, "a": 1, "b": 1, "c": 2, "d": 3, "e": 20}  # 20 %: 0.4 but at least 1, 1, 1.4, 1.6, 2.6, 20


def test_the_groups_come_as_close_to_the_share_as_they_can():
    manifest = manifest_of([("lion", f"walk {walk}", "") for walk in range(9) for _ in range(3)])
    assert (split_validation(manifest, 0.2, 0) == "validation").sum() == 6  # of 27: 5.4 rounds to 5, nearer to 6 than to 3


def test_each_class_gives_its_share_though_groups_differ_in_size():
    random = np.random.default_rng(0)
    rows = [(f"s{s}", f"s{s} walk {w}", "") for s in range(30) for w in range(12) for _ in range(random.integers(1, 12))]
    manifest = manifest_of(rows)
    for seed in range(5):
        is_validation = split_validation(manifest, 0.2, seed) == "validation"
        for species, count in collections.Counter(species for species, _, _ in rows).items():
            # A group is taken where it brings the sum closer: half the largest group, of 11, is the most to miss by.
            assert abs(counts_by_species(manifest, is_validation)[species] - 0.2 * count) <= 5.5 + 0.5


@pytest.mark.parametrize("seed", range(8))
def test_a_large_group_does_not_take_a_class_out_of_training(seed):
    manifest = manifest_of(90 * [("lion", "long walk", "")] + 10 * [("lion", "short walk", "")])
    assert (split_validation(manifest, 0.2, seed) == "validation").sum() == 10


@pytest.mark.parametrize("seed", range(8))
def test_a_class_of_two_groups_has_both_parts(seed):
    manifest = manifest_of(6 * [("lion", "one", "")] + 6 * [("lion", "two", "")])
    assert (split_validation(manifest, 0.2, seed) == "validation").sum() == 6


def test_groups_are_never_parted_even_where_they_hold_several_species():
    random = np.random.default_rng(0)
    rows = [(f"s{random.integers(6)}", f"walk {random.integers(60)}", "") for _ in range(400)]
    splits = split_validation(manifest_of(rows), 0.2, 0)
    parts = collections.defaultdict(set)
    for (_, group, _), split in zip(rows, splits, strict=True):
        parts[group].add(split)
    assert all(len(part) == 1 for part in parts.values())
    assert set(splits) == {"train", "validation"}
    assert 40 <= (splits == "validation").sum() <= 120  # about 80 of 400


@pytest.mark.parametrize("seed", range(5))
def test_five_single_photos_give_exactly_one_to_validation(seed):
    assert (split_validation(singles(lion=5), 0.2, seed) == "validation").sum() == 1


def test_a_class_with_one_group_stays_in_training():
    manifest = manifest_of(6 * [("lion", "one walk", "")] + [("fox", f"fox {i}", "") for i in range(10)])
    is_validation = split_validation(manifest, 0.2, 0) == "validation"
    assert counts_by_species(manifest, is_validation) == {"fox": 2}


def test_no_share_gives_no_validation():
    assert set(split_validation(singles(lion=10), 0, 0)) == {"train"}


def test_the_manifests_own_split_is_respected():
    words = ["train", "validation", "test", "iconic", "", "train"]
    manifest = manifest_of([("lion", f"g{i}", word) for i, word in enumerate(words)])
    assert split_validation(manifest, 0.2, 0).tolist() == ["train", "validation", "", "", "", "train"]


def test_training_rows_are_split_where_the_manifest_has_no_validation_rows():
    words = 10 * ["train"] + 5 * ["test"] + 2 * [""]
    splits = split_validation(manifest_of([("lion", f"g{i}", word) for i, word in enumerate(words)]), 0.2, 0)
    assert sorted(splits[:10]) == 8 * ["train"] + 2 * ["validation"]
    assert splits[10:].tolist() == 7 * [""]


def test_a_split_column_without_training_rows_is_an_error():
    with pytest.raises(DataError, match="the split column has no `train` rows; it has test, training"):
        split_validation(manifest_of([("lion", "a", "training"), ("lion", "b", "test")]), 0.2, 0)


@pytest.mark.parametrize("count", [2, 7, 100])
def test_halves_of_single_photos_are_even(count):
    is_fitting = halve([str(i) for i in range(count)], seed=0)
    assert is_fitting.dtype == bool
    assert is_fitting.sum() in (count // 2, -(-count // 2))


def test_halves_never_part_a_group_and_are_even_within_half_a_group():
    random = np.random.default_rng(0)
    groups = [f"walk {w}" for w in range(40) for _ in range(random.integers(1, 9))]
    random.shuffle(groups)
    for seed in range(5):
        is_fitting = halve(groups, seed)
        for group in set(groups):
            assert len({fits for fits, other in zip(is_fitting, groups, strict=True) if other == group}) == 1
        assert abs(is_fitting.sum() - len(groups) / 2) <= 4


@pytest.mark.parametrize("seed", range(8))
def test_a_large_group_does_not_leave_a_half_empty(seed):
    is_fitting = halve(9 * ["long walk"] + ["short walk"], seed)
    assert is_fitting.sum() in (1, 9)


def test_halves_are_decided_by_the_seed():
    groups = [str(i) for i in range(50)]
    assert (halve(groups, 0) == halve(groups, 0)).all()
    assert (halve(groups, 0) != halve(groups, 1)).any()
