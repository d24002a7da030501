import csv
import html.parser
import json

import numpy as np
import pytest
from PIL import Image

from tfvision.data.checks.checking import check_source
from tfvision.data.checks.cleaning import write_cleaned
from tfvision.evaluation.data_report import LISTED_GROUPS, headline, write_data_report

HOSTILE = "<script>alert('x')</script>&"


class Elements(html.parser.HTMLParser):
    """Collects a page's addresses and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.addresses, self.ids, self.open, self.text = [], [], [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        self.ids += [value for name, value in attributes if name == "id"]
        assert not any(name.startswith("on") for name, _ in attributes)
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        self.text += data


def scene(seed, size=(96, 80)):
    patches = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """Every trouble once, under hostile names; more contradictions than a page lists."""
    folder = tmp_path_factory.mktemp("photos")
    rows = []

    def add(name, image, species=HOSTILE, split="train", group="", family="f"):
        image.save(folder / name) if isinstance(image, Image.Image) else (folder / name).write_bytes(image)
        rows.append([name, family, species, group, split])

    for number in range(LISTED_GROUPS + 2):
        add(f"a{number}.png", scene(number))
        add(f"b{number}.png", scene(number), species="other")
    add("<i>&.jpg", b"text")
    add("cut.bmp", b"")
    scene(40).save(folder / "cut.bmp")
    (folder / "cut.bmp").write_bytes((folder / "cut.bmp").read_bytes()[:-500])
    add("twin1.png", scene(50))
    add("twin2.png", scene(50), split="test")
    add("near1.png", scene(51), species="near & dear")
    add("near2.png", scene(51, (90, 75)), split="test")
    add("walk1.png", scene(52), group="<b>walk")
    add("walk2.png", scene(53), species="NEAR & DEAR", group="<b>walk", split="test")
    add("tiny.png", scene(54, (20, 20)))
    add("blank.png", Image.new("RGB", (80, 80)), family="<g>")
    with open(folder / "manifest.csv", "w", newline="") as file:
        csv.writer(file).writerows([["image", "family", "species", "group", "split"], *rows])
    return check_source(folder, folder / "out")


@pytest.fixture(scope="module")
def elements(check, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    fix = write_cleaned(check, folder / "clean.csv")
    path = write_data_report(folder, check, fix)
    assert path == folder / "report.html"
    assert json.loads((folder / "report.json").read_text()) == json.loads(json.dumps({**check.result(), "fix": fix}))
    return Elements(path.read_text("utf-8"))


def test_the_page_is_self_contained_and_names_are_escaped(elements):
    assert not elements.open and "script" not in elements.tags and "i" in elements.tags  # the bars' own
    assert all(address.startswith(("data:image/", "#")) for address in elements.addresses)
    assert {address[1:] for address in elements.addresses if address.startswith("#")} == set(elements.ids)
    for told in (HOSTILE, "<i>&.jpg", "<b>walk", "near & dear"):
        assert told in elements.text


def test_each_finding_has_its_part_with_photos(elements, check):
    assert set(elements.ids) == set(check.result()["counts"])
    for told in (
        "Unreadable: 1 photo",
        "The same photo under two labels: 20 photos",
        "Exact duplicates: 1 surplus photo",
        "Groups across splits: 1 group",
        "Duplicates across splits: 2 sets",
        "Names under two parents: 1 name",
        "Names in two spellings: 1 name",
    ):
        assert told in elements.text
    assert "And 2 more: all are in report.json." in elements.text
    pictures = sum(address.startswith("data:image/jpeg") for address in elements.addresses)
    assert pictures == 2 * LISTED_GROUPS + 2 + 2 * 2 + 2 + 2 + 1 + 1  # contradictions, group, across splits, copies, near, blank, tiny
    assert "keeps 7 photos" in elements.text


def test_the_headline_is_a_sentence(check):
    assert headline(check.result()) == (
        "30 photos of 5 classes: 2 cannot be read, 20 stand under two labels, 1 is a copy of another, 1 group lies across splits, "
        "2 sets of duplicates lie across splits, 1 set of near duplicates waits for your eye, 1 name stands under two parents "
        "and 1 name has two spellings."
    )


def test_a_sound_set_is_called_sound(colour_photos, tmp_path):
    check = check_source(colour_photos, tmp_path, ranks=("species",), settings=None)
    result = check.result()
    result["counts"] = dict.fromkeys(result["counts"], 0)
    assert headline(result) == "48 photos of 4 classes: sound; nothing was found that would spoil a training."
    page = Elements(write_data_report(tmp_path, check).read_text("utf-8"))
    assert "Class sizes" in page.text and "Splits" not in page.text
