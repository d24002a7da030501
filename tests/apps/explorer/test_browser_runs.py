"""In a real browser: a page that opens on the surest errors, and questions in words."""

import dataclasses

import pytest

from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.server import running
from tfvision.apps.explorer.session import Session
from tfvision.apps.explorer.survey_photos import SurveyColumns

SECONDS = 60_000  # of patience: the machine may be busy
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
        page.set_default_timeout(SECONDS)
        page.get_by_text("1 of 7 photos is away").wait_for()
        page.get_by_label("Sort").wait_for()
        page.wait_for_function(
            "() => { const data = document.querySelector('.wall canvas')?.getContext('2d').getImageData(60, 60, 1, 1).data;"
            " return data && data[2] > 150 && data[0] < 100; }"
        )  # blue: the surest
        page.get_by_label("Sort").locator("option:checked").get_by_text(SURE_AND_WRONG).wait_for(state="attached")  # drawn anew once the columns are there
        assert page.get_by_label("Sort").input_value() == f"c:{SURE_AND_WRONG}"
        page.locator("main .wall").focus()
        assert "blue 2.png, outcome: wrong" in page.locator(".wall [role=option]").text_content()

        page.get_by_label("ask in words").fill("Something <b>GREEN</b>")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="“Something <b>GREEN</b>”").wait_for()
        page.locator(".columns .wall").focus()
        page.locator(".wall [role=option]").get_by_text("greens/").wait_for()
        assert "q=t%3ASomething" in page.url
        page.reload()  # an address that leads back
        page.get_by_role("heading", name="“Something <b>GREEN</b>”").wait_for()
        page.get_by_label("ask in words").fill("a bird")
        page.keyboard.press("Enter")
        page.locator("#toast.error").get_by_text("has no vector for 'a bird'").wait_for()
        page.close()  # before the server: it would tell that nobody answers
