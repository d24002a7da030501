"""Two people judge the same pictures, each without seeing the other's marks, then read how far they agree, and print it."""

import re

import pytest

from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.server import running
from tfvision.apps.explorer.session import Session

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'tfvision[test]'").expect
A4_PX = 700  # within its margins
PRINTED = {  # -> what is there when the view is drawn
    "verdict?q=0&x=its colour": "aside textarea",
    "verdict?by=colour": ".measures",
    "compare?q=0&q=4": ".matrices table",
    "distribution?q=0": ".barlayer path",
    "browse": ".wall [aria-posinset='1']",
}
WIDE = """async () => {  // charts are drawn again in their own time
    for (const until = Date.now() + 60000; ; await new Promise(done => setTimeout(done, 50))) {
        const wide = [...document.querySelectorAll("main *")]
            .filter(one => !one.ownerSVGElement && one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1);
        if (!wide.length || Date.now() > until) return wide.map(one => `${one.tagName} ${one.className}`);
    }
}"""


@pytest.fixture
def address(make_gallery):
    what = plan([make_gallery(), make_gallery("other")])
    Session(what).thumbnails.fill()
    with running(what) as url:
        yield url


def judge(page, address, name, keys):
    """Marks the pictures in the order in which they are shown."""
    page.goto(f"{address}#verdict?q=0&x=its colour")
    page.locator("#filters-button:enabled").wait_for()
    page.get_by_label("judge: who marks").fill(name)
    page.get_by_label("judge: who marks").press("Enter")
    page.get_by_text("0 of 5 judged").wait_for()
    page.locator(".main .wall").focus()
    for key in keys[:-1]:
        page.keyboard.press(key)
    page.get_by_text("4 of 5 judged").wait_for()
    page.get_by_text("Which layer found a picture is hidden").wait_for()
    expect(page.locator("aside .interval")).to_have_count(0)
    page.keyboard.press(keys[-1])
    page.locator("aside .interval").first.wait_for()


@pytest.mark.slow
def test_a_name_counts_where_the_browser_keeps_nothing(address, watched_page):
    page = watched_page("about:blank")
    page.add_init_script("Storage.prototype.setItem = () => { throw new Error('full') }")
    page.goto(f"{address}#verdict?q=0&x=its colour")
    page.get_by_label("judge: who marks").fill("Ann")
    page.get_by_label("judge: who marks").press("Enter")
    page.locator(".main .wall").focus()
    page.keyboard.press("y")
    page.get_by_text("1 mark", exact=True).wait_for()
    assert list(page.evaluate("fetch('api/notes').then(answer => answer.json())")["judges"]["its colour"]) == ["Ann"]
    page.locator("#filters-button:enabled").wait_for()  # the labels are there
    page.locator(".main .wall").focus()
    page.keyboard.press("c")
    page.get_by_label("the right label").fill("violets")
    page.get_by_label("your name").fill("Jo")
    page.keyboard.press("Enter")
    page.locator("#toast", has_text="violets").wait_for(state="attached")
    [entry] = page.evaluate("fetch('api/corrections').then(answer => answer.json())")["columns"]["colour"].values()
    assert entry["who"] == "Jo"


@pytest.mark.slow
def test_two_people_judge_apart_and_read_how_far_they_agree(address, watched_page):
    ann, ben = watched_page(address), watched_page(address, 844, 390, "dark")
    judge(ann, address, "Ann", "ynnyn")
    judge(ben, address, "Ben", "ynnnn")
    ben.get_by_text(re.compile("Ann and Ben say the same of 80 % of 5 pictures")).first.wait_for()
    ben.get_by_label("Marks of").select_option("Ann")
    at_5 = ben.locator("aside tr", has_text="at 5").first
    expect(at_5).to_contain_text("at 50.40")
    ben.get_by_label("Marks of").select_option("what most judges say")
    expect(at_5).to_contain_text("at 50.20 to 0.40")  # they differ about one
    ben.get_by_role("button", name="Take this sentence").click()
    ben.wait_for_function("() => document.querySelector('textarea').value.includes('of the first 5 hits of 1 query')")
    ben.keyboard.press("Escape")
    ben.keyboard.press("z")  # the sentence
    ben.wait_for_function("() => document.querySelector('textarea').value === ''")
    ben.keyboard.press("z")  # the last mark
    ben.get_by_text("4 of 5 judged", exact=False).first.wait_for()
    ann.reload()
    ann.get_by_text("5 of 5 judged").wait_for()
    for view, drawn in PRINTED.items():
        ben.evaluate("address => { location.hash = address }", f"#{view}")
        ben.locator(f"main.view-{view.split('?')[0]} {drawn}").first.wait_for()
        ben.emulate_media(media="print")
        ben.set_viewport_size({"width": A4_PX, "height": 900})
        ben.evaluate("dispatchEvent(new Event('beforeprint'))")
        expect(ben.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
        assert ben.evaluate(WIDE) == [], view
        if view == "browse":
            expect(ben.locator(".wall .on-paper canvas")).to_have_count(6)  # all of them, not those in sight
        ben.evaluate("dispatchEvent(new Event('afterprint'))")
        ben.emulate_media(media="screen")
