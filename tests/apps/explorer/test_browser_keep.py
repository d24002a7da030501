"""Housekeeping and corrected labels, walked through in a real browser."""

import re
import shlex

import numpy as np
import pytest

from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.server import running
from tfvision.apps.explorer.session import Session
from tfvision.data.manifest import read_source

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'tfvision[test]'").expect
MIXED = np.float32([[1, 0, 0], [0.98, 0.199, 0], [0.98, 0, 0.199], [0, 0.98, 0.199], [0, 0, 1], [0.199, 0, 0.98]])  # a green one among the red ones


@pytest.mark.slow
def test_duplicates_outliers_and_labels_are_seen_to(make_gallery, watched_page):
    what = plan([make_gallery(vectors=MIXED)])
    session = Session(what)
    session.thumbnails.fill()
    session.corrections.correct({"colour": {"blues/blue'1'.png": "reds"}}, "Jo")  # which is wrong
    with running(what) as url:
        page = watched_page(url + "#tidy")
        _keep_the_best(page)
        _move_the_cut(page)
        _take_a_suggestion(page)
        _write_a_manifest(page)
        _correct_by_the_key(page)
        page.close()  # before the server: it would tell that nobody answers


def _keep_the_best(page):
    page.get_by_text("colour differs").first.wait_for()  # the labels are there
    page.get_by_text("2 groups of 5 pictures").wait_for()
    three = page.locator(".card").nth(1)
    expect(three).to_contain_text("weakest pair 0.960")
    expect(three).to_contain_text("60 × 40")
    expect(three.locator("figure.weakest")).to_have_count(2)
    page.get_by_role("button", name="Keep the best of each…").click()
    expect(page.get_by_role("group", name="what will be marked")).to_contain_text("The 3 others")
    expect(page.locator("figure.marked")).to_have_count(0)  # said before it is done
    page.get_by_role("button", name="Mark 3 pictures").click()
    page.get_by_role("link", name="3 pictures marked").wait_for()
    expect(page.locator("figure.marked")).to_have_count(3)
    expect(page.locator("figure.marked .best")).to_have_count(0)
    page.locator("body").press("z")
    page.get_by_role("link", name="3 pictures marked").wait_for(state="detached")
    three.locator("figure:has(.best) .mark").click()
    expect(three.locator("figure.marked .best")).to_have_count(1)
    three.get_by_role("button", name="Keep the best", exact=True).click()
    expect(three.locator("figure.marked")).to_have_count(2)
    expect(three.locator("figure.marked .best")).to_have_count(0)
    page.locator("body").press("z")  # one act, one undo
    expect(three.locator("figure.marked")).to_have_count(1)
    expect(three.locator("figure.marked .best")).to_have_count(1)
    page.locator("body").press("z")
    expect(page.locator("figure.marked")).to_have_count(0)
    page.get_by_role("button", name="mark reds/red 2.png as duplicate").click()
    page.get_by_role("link", name="1 picture marked").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Manifest without them").click()
    with open(download.value.path(), encoding="utf-8") as table:
        assert "red 2.png" not in (text := table.read()) and len(text.splitlines()) == 6


def _move_the_cut(page):
    page.get_by_role("button", name="Outliers").click()
    slider = page.get_by_role("slider")
    slider.press("End")
    page.get_by_text("6 pictures of 6 beyond the cut").wait_for()
    page.wait_for_url(re.compile(r"cut=[\d.]+"))
    page.get_by_role("button", name="Tag these 6 “outlier”").click()
    page.get_by_role("link", name="6 pictures tagged").wait_for()
    page.get_by_role("button", name="Cut at Tukey's fence").click()
    page.get_by_text("1 picture of 6 beyond the cut").wait_for()
    page.wait_for_url(re.compile("kind=outliers$"))
    page.reload()
    page.get_by_text("1 picture of 6 beyond the cut").wait_for()


def _take_a_suggestion(page):
    page.get_by_role("button", name="Labels").click()
    page.get_by_text("1 label in doubt").wait_for()
    one = page.locator(".suspects li")
    expect(one).to_contain_text("reds or rather blues")
    expect(one.locator(".for")).to_have_count(2)
    expect(one.locator(".against")).to_have_count(1)
    one.focus()
    page.keyboard.press("n")
    one.get_by_text("checked: right").wait_for()
    one.focus()
    page.keyboard.press("y")
    one.get_by_text("now blues").wait_for()
    page.keyboard.press("z")
    one.get_by_text("now blues").wait_for(state="detached")


def _write_a_manifest(page):
    page.get_by_role("button", name="Corrected").click()
    page.get_by_text("1 picture with another label than in the source").wait_for()
    page.get_by_role("button", name="Write a manifest to train from").click()
    words = shlex.split(page.locator(".command code").text_content())
    assert words[:3] == ["tfvision", "train", "species"]
    assert [record.lineage[0] for record in read_source(words[3], words[5:6] or None).records] == ["reds", "reds", "greens", "greens", "reds", "blues"]
    page.get_by_role("button", name="colour of blues/blue'1'.png as in the source").click()
    page.get_by_text("No label is corrected").wait_for()


def _correct_by_the_key(page):
    page.evaluate("location.hash = '#browse'")
    page.locator("main.view-browse .wall [aria-posinset]").wait_for(state="attached")
    page.keyboard.press("p")
    page.keyboard.press("c")
    page.get_by_role("heading", name="Label of reds/red 1.png").wait_for()
    page.get_by_label("the right label").fill("violets")
    page.get_by_label("your name").fill("Jo")
    page.keyboard.press("Enter")
    page.locator("#toast", has_text="1 picture: colour “violets”").wait_for(state="attached")  # it is seen for five seconds only
    page.locator("dialog").wait_for(state="detached")
    page.keyboard.press("v")
    page.locator(".preview").get_by_text("violets").wait_for()
    page.evaluate("location.hash = '#browse?f=colour:violets'")
    page.locator("main .wall [aria-setsize='1']").wait_for(state="attached")
    page.locator("body").press("z")  # what no longer fits goes
    page.get_by_text("No picture fits.").wait_for()
