import unicodedata

import pytest

from tfvision.data.names import KnownNames, plain_name, plain_taxon, tidy_name


@pytest.mark.parametrize(
    "name",
    [
        "vanessa cardui",
        "VANESSA CARDUI",
        "Vanessa_cardui",
        " Vanessa\u00a0 cardui ",
        "vanessa-cardui",
        "Vanessa cardui (Linnaeus, 1758)",
        "Vanessa cardui Linnaeus, 1758",
        "Vanessa_cardui_(Linnaeus,_1758)",
        "Vanessa cardui L.",
        "Vanessa (Cynthia) cardui (L., 1758)",
        "Vanessa cardui de Linné",
        "VANESSA CARDUI (LINNAEUS, 1758)",
    ],
)
def test_spellings_of_one_taxon_are_the_same(name):
    assert plain_taxon(name) == "vanessa cardui"
    assert KnownNames(["Apis mellifera", "Vanessa cardui"]).find(name) == "Vanessa cardui"


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Passer domesticus italiae (Vieillot, 1817)", "passer domesticus italiae"),
        ("Primula veris subsp. macrocalyx (Bunge) Lüdi", "primula veris subsp. macrocalyx"),
        ("Vanessa Fabricius, 1807", "vanessa fabricius"),  # no binomial: the year alone goes
        ("Vanessa cardui (larva)", "vanessa cardui (larva)"),  # no author
        ("Golden-Delicious", "golden delicious"),
        ("hue 1", "hue 1"),
        ("subject -1", "subject -1"),
        ("A-1", "a-1"),
        ("", ""),
    ],
)
def test_what_is_no_author_stays(name, plain):
    assert plain_taxon(name) == plain


def test_the_forms_of_accents_are_one():
    nfc, nfd = (unicodedata.normalize(form, "Isoëtes echinospora") for form in ("NFC", "NFD"))
    assert nfc != nfd and plain_name(nfc) == plain_name(nfd) and tidy_name(f" {nfd} ") == nfc


def test_a_name_is_found_exactly_before_it_is_found_by_spelling():
    known = KnownNames(["lynx", "Lynx", "Vanessa cardui L.", "Vanessa cardui"])
    assert (known.find("lynx"), known.find("Lynx"), known.find("LYNX")) == ("lynx", "Lynx", None)
    assert known.same("LYNX") == ["lynx", "Lynx"]
    assert known.find("vanessa_cardui") == "Vanessa cardui"


def test_near_misses_are_named_as_they_are_known():
    known = KnownNames(["Vanessa cardui", "Vanessa atalanta", "Apis mellifera"])
    assert known.nearest("Vanesa cardui Linné", 1) == ["Vanessa cardui"]
    assert known.hint("vanessa_atlanta") == "; did you mean 'Vanessa atalanta' or 'Vanessa cardui'?"
    assert known.hint("qqq") == ""
