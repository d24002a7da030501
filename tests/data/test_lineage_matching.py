import unicodedata

import pytest

from tfvision.data.manifest import Manifest, Record
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import DataError

TAXONOMY = Taxonomy.from_lineages(
    ("family", "species"), [("Nymphalidae", "Vanessa cardui"), ("Nymphalidae", "Aglais io"), ("Isoetaceae", "Isoëtes echinospora")]
)


def manifest_of(ranks, *lineages):
    return Manifest(ranks, tuple(Record("", "", lineage, "") for lineage in lineages))


def classes_of(manifest, taxonomy=TAXONOMY):
    return [None if label < 0 else taxonomy.class_names[label] for label in manifest.labels(taxonomy)]


def test_names_are_compared_but_for_spelling_and_authors_and_what_was_joined_is_told():
    nfd = unicodedata.normalize("NFD", "Isoëtes echinospora")
    names = ["Vanessa cardui", nfd, "aglais_io", "Vanessa cardui (Linnaeus, 1758)", "Vanessa cardui"]
    matched = manifest_of(("species",), *((name,) for name in names)).matched(TAXONOMY)
    assert [TAXONOMY.class_names[label] for label in matched.labels] == ["Vanessa cardui", "Isoëtes echinospora", "Aglais io", *["Vanessa cardui"] * 2]
    assert matched.joined == {nfd: "Isoëtes echinospora", "aglais_io": "Aglais io", "Vanessa cardui (Linnaeus, 1758)": "Vanessa cardui"}
    (told,) = matched.told()
    assert told.endswith("'aglais_io' as 'Aglais io', 'Vanessa cardui (Linnaeus, 1758)' as 'Vanessa cardui'")


def test_of_names_that_are_of_no_class_the_most_frequent_are_told_with_their_nearest():
    manifest = manifest_of(("species",), *[("Vanesa cardui",)] * 3, ("Qqq",), ("Aglais io",))
    assert manifest.matched(TAXONOMY).told() == ["of no class of the run: 'Vanesa cardui' (3 photos, the nearest is 'Vanessa cardui'), 'Qqq' (1 photo)"]


def test_a_species_that_stands_elsewhere_in_the_run_is_told_with_its_place():
    (told,) = manifest_of(("family", "species"), ("Pieridae", "aglais io")).matched(TAXONOMY).told()
    assert told == "of no class of the run: 'Pieridae / aglais io' (1 photo, which the run has as 'Nymphalidae / Aglais io')"


def test_two_classes_that_differ_in_spelling_alone_are_told_apart_as_they_stand():
    taxonomy = Taxonomy.from_lineages(("species",), [("lynx",), ("Lynx",)])
    assert classes_of(manifest_of(("species",), ("lynx",), ("Lynx",), ("LYNX",)), taxonomy) == ["lynx", "Lynx", None]


def test_ranks_are_compared_as_names_are():
    assert classes_of(manifest_of(("Family", "SPECIES"), ("nymphalidae", "Aglais io"))) == ["Aglais io"]


def test_levels_of_folders_without_a_name_are_no_rank_that_could_differ():
    levels = Taxonomy.from_lineages(("level 1", "level 2"), [("Nymphalidae", "Aglais io"), ("Isoëtes echinospora", "")])
    assert classes_of(manifest_of(("species",), ("Aglais_io",), ("Isoëtes echinospora",), ("x",)), levels) == ["Aglais io", "Isoëtes echinospora", None]
    assert classes_of(manifest_of(("level 1", "level 2"), ("Nymphalidae", "Aglais io"), ("x", "Aglais io"))) == ["Aglais io"] * 2


def test_the_advice_for_folders_names_as_many_ranks_as_they_have_levels():
    with pytest.raises(DataError, match="labelled by kind, the model by family, species: name the levels of folders with --ranks species$"):
        manifest_of(("kind",), ("Aglais io",)).labels(TAXONOMY)
