import unicodedata

from tfvision.data.checks.label_names import odd_names
from tfvision.data.manifest import Manifest, Record

RANKS = ("family", "genus", "species")


def odd(*lineages, ranks=RANKS):
    return odd_names(Manifest(ranks, tuple(Record("", "", lineage, "") for lineage in lineages)))


def test_a_name_under_two_parents_is_found_at_the_rank_where_they_part():
    found = odd(
        ("Paridae", "Parus", "Parus major"), ("Paridae", "Parus", "Parus major"), ("Muscicapidae", "Parus", "Parus major"), ("Paridae", "Aegithalos", "x")
    )
    assert found.two_parents == (("genus", "Parus", {"Paridae": 2, "Muscicapidae": 1}),) and found.spellings == ()
    assert found.told() == ["names under two parents: 1, such as genus 'Parus' under 'Paridae' (2 photos) and 'Muscicapidae' (1 photo)"]


def test_a_parent_that_others_leave_out_is_no_contradiction():
    assert odd(("Paridae", "Parus", "Parus major"), ("Paridae", "", "Parus major"), ("", "", "Parus major")) == ((), ())
    assert len(odd(("Paridae", "", "Parus major"), ("Turdidae", "", "Parus major")).two_parents) == 1


def test_spellings_of_one_name_are_found_at_each_rank():
    nfd = unicodedata.normalize("NFD", "Isoëtes")
    found = odd(
        ("A", "Isoëtes", "Vanessa cardui"), ("A", nfd, "VANESSA CARDUI"), ("A", "Isoëtes", "vanessa_cardui"), ("A", "Isoëtes", "Vanessa cardui (L., 1758)")
    )
    assert [(one.rank, len(one.names)) for one in found.spellings] == [("genus", 2), ("species", 4)]


def test_sound_names_are_told_nothing_of():
    assert odd(("A", "B", "C"), ("A", "B", "D"), ("A", "B", ""), ranks=RANKS).told() == []
    assert odd(("lynx",), ("lion",), ranks=("species",)) == ((), ())
