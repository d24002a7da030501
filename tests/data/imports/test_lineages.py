import types

import pytest

from tfvision.data.imports import lineages
from tfvision.data.imports.lineages import (
    ABOVE_SPECIES,
    HYBRID,
    NOT_BINOMIAL,
    OTHER_GENUS,
    SYNONYM,
    Lineages,
    OddTaxon,
    RawTaxon,
    clean_lineage,
    misplaced_lineages,
)
from tfvision.data.manifest import RANKS

HIGHER = ("Animalia", "Chordata", "Aves", "Passeriformes", "Paridae")
TIT = RawTaxon(*HIGHER, genus="Parus", species="Parus major")
WITHOUT_SPECIES = RawTaxon(*HIGHER, genus="Parus")


@pytest.mark.parametrize(
    ("raw", "species"),
    [
        (TIT, "Parus major"),
        (TIT._replace(species="major"), "Parus major"),  # where the column has the epithet alone
        (TIT._replace(name="Parus major newtoni Prazák, 1894", rank="SUBSPECIES"), "Parus major"),
        (TIT._replace(name="Fringilla maior L.", rank="SPECIES", status="SYNONYM"), "Parus major"),  # GBIF's column is that of the accepted name
        (WITHOUT_SPECIES._replace(name="Parus major Linnaeus, 1758", rank="species"), "Parus major"),
        (WITHOUT_SPECIES._replace(name="Parus major newtoni", rank="subspecies"), "Parus major"),
        (WITHOUT_SPECIES._replace(name="Parus major var. newtoni", rank="VARIETY"), "Parus major"),
        (WITHOUT_SPECIES._replace(name="Parus (Parus) major L.", rank="species"), "Parus major"),
        (WITHOUT_SPECIES._replace(name="Fringilla maior", rank="species", status="SYNONYM", accepted="Parus major Linnaeus, 1758"), "Parus major"),
        (WITHOUT_SPECIES._replace(genus="Fringilla", name="Fringilla maior", status="heterotypic synonym", accepted="Parus major L."), "Parus major"),
        (WITHOUT_SPECIES._replace(epithet="major"), "Parus major"),
        (WITHOUT_SPECIES._replace(genus="", name="Parus major"), "Parus major"),
        (WITHOUT_SPECIES._replace(genus="Cyanistes", name="Cyanistes c-album"), "Cyanistes c-album"),
        (WITHOUT_SPECIES._replace(genus="Isoëtes", name="Isoëtes lacustris L."), "Isoëtes lacustris"),
    ],
)
def test_subspecies_synonyms_and_authors_are_folded_to_the_species(raw, species):
    assert clean_lineage(raw) == (*HIGHER, species.split()[0], species)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (WITHOUT_SPECIES._replace(name="Parus", rank="GENUS"), ABOVE_SPECIES),
        (WITHOUT_SPECIES._replace(name="Paridae"), ABOVE_SPECIES),
        (WITHOUT_SPECIES, ABOVE_SPECIES),
        (RawTaxon(), ABOVE_SPECIES),
        (WITHOUT_SPECIES._replace(name="BOLD:AAA1234", rank="UNRANKED"), NOT_BINOMIAL),
        (WITHOUT_SPECIES._replace(name="Parus sp. 2", rank="species"), NOT_BINOMIAL),
        (WITHOUT_SPECIES._replace(name="Parus cf. major", rank="species"), NOT_BINOMIAL),
        (WITHOUT_SPECIES._replace(name="Parus Linnaeus, 1758"), NOT_BINOMIAL),
        (TIT._replace(species="great tit"), NOT_BINOMIAL),
        (TIT._replace(species="Parus major2"), NOT_BINOMIAL),
        (TIT._replace(species="../../etc passwd"), NOT_BINOMIAL),
        (TIT._replace(species="Parus"), ABOVE_SPECIES),
        (WITHOUT_SPECIES._replace(name="Parus major × Parus minor", rank="HYBRID"), HYBRID),
        (WITHOUT_SPECIES._replace(name="Parus × media", rank="species"), HYBRID),
        (TIT._replace(species="Parus x media"), HYBRID),
        (WITHOUT_SPECIES._replace(name="Fringilla maior L.", rank="SPECIES", status="SYNONYM"), SYNONYM),
        (TIT._replace(species="Cyanistes major"), OTHER_GENUS),
        (TIT._replace(family=""), "no family"),
        (TIT._replace(class_="  "), "no class"),
        (TIT._replace(kingdom="incertae sedis"), "no kingdom"),
        (TIT._replace(order="Unknown"), "no order"),
        (TIT._replace(phylum="N/A"), "no phylum"),
    ],
)
def test_odd_taxa_are_dropped_by_reason(raw, reason):
    with pytest.raises(OddTaxon) as caught:
        clean_lineage(raw)
    assert str(caught.value) == reason


def test_gaps_are_kept_on_demand_and_where_the_source_has_no_such_rank():
    assert clean_lineage(TIT._replace(class_=""), keeps_gaps=True)[2] == ""
    assert clean_lineage(RawTaxon(name="Parus major"), ranks=("genus", "species")) == ("", "", "", "", "", "Parus", "Parus major")
    with pytest.raises(OddTaxon, match=ABOVE_SPECIES):
        clean_lineage(RawTaxon(name="Parus"), keeps_gaps=True)


def _lineage(*names):
    return (*names[:-1], names[-1].split()[0], names[-1])


def test_a_name_under_two_parents_stays_where_more_photos_are():
    right = _lineage(*HIGHER, "Parus major")
    sister = _lineage(*HIGHER, "Parus minor")
    other_family = _lineage(*HIGHER[:4], "Fringillidae", "Parus major")
    other_order = _lineage(*HIGHER[:3], "Piciformes", "Paridae", "Parus montanus")
    other_kingdom = _lineage("Plantae", "Tracheophyta", "Magnoliopsida", "Lamiales", "Lamiaceae", "Parus major")
    assert misplaced_lineages({right: 3, sister: 1, other_family: 3, other_order: 2, other_kingdom: 9}) == {other_family, other_order}
    assert misplaced_lineages({right: 1, other_family: 2}) == {right}
    assert misplaced_lineages({right: 1, sister: 2}) == set()


def test_what_is_misplaced_at_one_rank_has_no_say_below():
    # Paridae stands in two orders; the smaller part goes, and with it the only other family of Parus.
    rows = {
        _lineage(*HIGHER, "Parus major"): 5,
        _lineage(*HIGHER[:3], "Piciformes", "Paridae", "Parus minor"): 1,
        _lineage(*HIGHER[:3], "Piciformes", "Picidae", "Picus viridis"): 1,
    }
    assert misplaced_lineages(rows) == {_lineage(*HIGHER[:3], "Piciformes", "Paridae", "Parus minor")}


def test_each_lineage_is_numbered_once_and_examples_are_few(monkeypatch):
    monkeypatch.setattr(lineages, "_REMEMBERED", 3)
    known = Lineages(types.SimpleNamespace(ranks=RANKS))
    assert known.number(TIT) == (0, "") == known.number(TIT._replace(name="Parus major major"))
    for number in range(30):
        assert known.number(TIT._replace(species=f"Parus major{number}")) == (None, NOT_BINOMIAL)
    assert known.number(TIT) == (0, "") and known.known == [(*HIGHER, "Parus", "Parus major")]
    assert known.examples == {NOT_BINOMIAL: [f"Parus major{number}" for number in range(10)]}
