import html.parser
import io
import json

import numpy as np
import pytest
from PIL import Image

from tfvision.data.taxonomy import Taxonomy
from tfvision.evaluation.classification import Evaluation
from tfvision.evaluation.report import headline, write_report

HOSTILE = "<script>alert('x')</script>\"&"
RANKS = ("kingdom", "species")


class Elements(html.parser.HTMLParser):
    """Collects the tags and the addresses of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.addresses, self.open = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        assert not any(name.startswith("on") for name, _ in attributes)
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()


def jpeg(path, size_px):
    if "unreadable" in path:
        return None
    buffer = io.BytesIO()
    Image.new("RGB", (size_px, size_px)).save(buffer, "JPEG")
    return buffer.getvalue()


def result_of(ranks=RANKS, prefix="", images=60):
    taxonomy = Taxonomy.from_lineages(ranks, [(f"{prefix}k{index % 2}", f"{prefix}s{index}") for index in range(6)])
    random = np.random.default_rng(0)
    evaluation = Evaluation(taxonomy, np.arange(6))
    logits, labels = random.standard_normal((images, 6)).astype(np.float32), random.integers(6, size=images)
    evaluation.update(logits, labels, [f"{prefix}{index}.jpg" for index in range(images)], labels % 2 == 0)
    return evaluation.result(target_accuracy=0.8)


def test_report_json_equals_the_result_and_the_page_is_self_contained(tmp_path):
    result = result_of()
    page_path = write_report(tmp_path / "report", result, "A run", {"Run": "runs/1", "Seed": 7}, jpeg)
    assert page_path == tmp_path / "report" / "report.html"
    assert json.loads((tmp_path / "report" / "report.json").read_text("utf-8")) == result
    elements = Elements(page_path.read_text("utf-8"))
    assert not elements.open
    assert elements.addresses and all(address.startswith("data:image/") for address in elements.addresses)
    assert not {"script", "link", "iframe"} & set(elements.tags)


@pytest.mark.slow
def test_hostile_names_are_escaped_everywhere(tmp_path):
    result = result_of(ranks=(HOSTILE, "<i>species"), prefix=HOSTILE)
    facts = {HOSTILE: HOSTILE, "Failed photos": [HOSTILE]}
    for thumbnail in (jpeg, None):
        page = write_report(tmp_path, result, HOSTILE, facts, thumbnail).read_text("utf-8")
        assert "<script" not in page and "<i>species" not in page and "&lt;script&gt;" in page
        assert not Elements(page).open


def test_small_and_perfect_results_can_be_reported(tmp_path):
    taxonomy = Taxonomy.from_lineages(RANKS, [("k", "only")])
    evaluation = Evaluation(taxonomy, [3])
    evaluation.update(np.zeros((1, 1), np.float32), [0], ["a.jpg"], [True])
    page = write_report(tmp_path, evaluation.result(), "One photo", {}).read_text("utf-8")
    assert "No photo was given a wrong species" in page and "too few photos to hold some out" in page


figures_once = pytest.mark.usefixtures("figures_once")  # for the module's rest: what their figures show is judged above


@figures_once
def test_braces_in_names_are_kept(tmp_path):
    page = write_report(tmp_path, result_of(prefix="{0}{x}"), "{title}", {"Run": "{y}"}, None).read_text("utf-8")
    assert "<h1>{title}</h1>" in page and "{0}{x}s" in page and "{y}" in page


@figures_once
def test_unreadable_photos_are_shown_by_name(tmp_path):
    page = write_report(tmp_path, result_of(prefix="unreadable"), "A run", {}, jpeg).read_text("utf-8")
    assert "data:image/jpeg" not in page and 'class="nophoto"' in page


def test_headline_says_the_result_in_plain_words():
    result = {
        "accuracy": 0.832, "images": 1200, "accuracy_by_rank": dict.fromkeys(("kingdom", "genus", "species"), 1),
        "specificity": {"target": 0.9, "depth": 2.4, "deepest": 3, "accuracy": 0.9962},
    }  # fmt: skip
    assert headline(result).replace("\N{NO-BREAK SPACE}", " ") == (
        "Names the right species for 83 % of 1,200 photos; asked to be right 9 times in 10, it answers at depth 2.4 "
        "of 3 (on average close to the genus) and is right for 99.6 %."
    )
    result["specificity"].update(target=0.95, deepest=2)
    assert "right for 95.0" in headline(result) and "close to" not in headline(result)


@figures_once
@pytest.mark.parametrize(("training", "shown"), [(None, "\N{EN DASH}"), (0.682, "68.2\N{NO-BREAK SPACE}%")])
def test_table_1_has_the_training_accuracy_or_a_dash(tmp_path, training, shown):
    result = result_of()
    page = write_report(tmp_path, result, "A run", {}, None, training_accuracy=training).read_text("utf-8")
    row = page.split("automatic specificity depth</th>")[1].split("</tr>")[1]
    assert f">{shown}</td>" in row and f"{result['specificity']['depth']:.2f}" in row
    assert "its table counts the root as 1" in page


@figures_once
def test_long_lists_of_facts_are_cut_with_a_count(tmp_path):
    facts = {"Failed photos": [f"broken-{index}.jpg" for index in range(1025)], "Skipped": []}
    page = write_report(tmp_path, result_of(), "A run", facts).read_text("utf-8")
    assert "broken-19.jpg<br>and 1,005 more" in page and "broken-20.jpg" not in page and ">none<" in page


@figures_once
def test_the_table_of_species_is_a_csv_too_and_misidentified_photos_have_their_names_below(tmp_path):
    result = result_of()
    page = write_report(tmp_path, result, "A run", {}, jpeg, answers=[("image", "species"), ("1.jpg", "s1")]).read_text("utf-8")
    header, *rows = (tmp_path / "species.csv").read_text().splitlines()
    assert header == "kingdom,species,images,recall,precision,depth" and len(rows) == len(result["by_species"])
    assert (tmp_path / "answers.csv").read_text() == "image,species\n1.jpg,s1\n"
    name = result["confusions"][0]["images"][0]
    assert f">{name}</small>" in page and "title=" not in page.split("<body>")[1]
