"""In a real browser: a page that opens on the surest errors, and questions in words."""

import dataclasses
import re

import pytest

from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.server import running
from tfvision.apps.explorer.session import Session
from tfvision.apps.explorer.survey_photos import SurveyColumns

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'tfvision[test]'").expect
SURE_AND_WRONG = "confidence where wrong"


@pytest.mark.slow
def test_the_surest_error_comes_first_and_pictures_are_asked_for_in_words(make_gallery, colour_towers, watched_page):
    gallery = make_gallery()
    columns = SurveyColumns(
        {"blues/blue 2.png": {"answer": "red", "outcome": "wrong", SURE_AND_WRONG: "0.97"}, "reds/red 1.png": {"answer": "blue", SURE_AND_WRONG: "0.6"}}
    )
    opens_at = "browse?sort=c%3Aconfidence+where+wrong&order=down"
    what = dataclasses.replace(plan([gallery], text_model=colour_towers), columns=columns, opens_at=opens_at, told=("1 of 7 photos is away",))
    Session(what).thumbnails.fill()
    with running(what) as url:
        page = watched_page(url)
        page.get_by_text("1 of 7 photos is away").wait_for()
        page.locator("#filters-button:enabled").wait_for()
        page.wait_for_function(
            "() => { const data = document.querySelector('.wall canvas')?.getContext('2d').getImageData(60, 60, 1, 1).data;"
            " return data && data[2] > 150 && data[0] < 100; }"
        )  # blue: the surest
        expect(page.get_by_label("Sort")).to_have_value(f"c:{SURE_AND_WRONG}")  # drawn anew once the columns are there
        page.locator("main .wall").focus()
        expect(page.locator(".wall [role=option]")).to_contain_text("blue 2.png, outcome: wrong")

        page.get_by_label("ask in words").fill("Something <b>GREEN</b>")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="“Something <b>GREEN</b>”").wait_for()
        page.locator(".columns .wall").focus()
        page.locator(".wall [role=option]").get_by_text("greens/").wait_for()
        expect(page).to_have_url(re.compile("q=t%3ASomething"))
        page.reload()  # an address that leads back
        page.get_by_role("heading", name="“Something <b>GREEN</b>”").wait_for()
        page.get_by_label("ask in words").fill("a bird")
        page.keyboard.press("Enter")
        page.locator("#toast", has_text="has no vector for 'a bird'").wait_for(state="attached")  # it is seen for five seconds only
        page.close()  # before the server: it would tell that nobody answers
