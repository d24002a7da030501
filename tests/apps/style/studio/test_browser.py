"""The studio in a real browser, cut off from the network; a page that tells an error fails its test (`watched_page`)."""

import base64
import dataclasses
import re
import zipfile

import numpy as np
import pytest

from tfvision.apps.style.studio.server import preview_page, running
from tfvision.apps.style.stylization import Progress

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'tfvision[test]'").expect

DROP = """(element, [name, encoded]) => {
    const bytes = Uint8Array.from(atob(encoded), letter => letter.charCodeAt(0)), files = new DataTransfer();
    files.items.add(new File([bytes], name, { type: "image/png" }));
    element.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
}"""


def drop(page, selector, name, encoded):
    page.locator(selector).evaluate(DROP, [name, base64.b64encode(encoded).decode()])


def choose(page, kind, name, encoded):
    page.locator(f"[data-picker={kind}]").first.set_input_files({"name": name, "mimeType": "image/png", "buffer": encoded})


def endless(session):
    """The optimiser goes on until it is stopped."""
    session.preset = dataclasses.replace(session.preset, iterations=100_000)


@pytest.fixture
def address(session):
    with running(session) as url:
        yield url


@pytest.mark.slow
def test_from_two_files_by_sliders_mask_and_optimiser_to_a_download(empty_session, photo, painting, encoded, watched_page, tmp_path):
    endless(empty_session)
    with running(empty_session) as url:
        page = watched_page(url)
        drop(page, ".zone[data-kind=photo]", "my photo.png", encoded(photo))
        expect(page.get_by_alt_text("my photo.png")).to_be_visible()
        choose(page, "painting", "waves.png", encoded(painting))
        picture = page.locator(".sheet img.whole")
        expect(picture).to_have_attribute("src", re.compile("^blob:"))
        before = picture.get_attribute("src")
        page.get_by_role("slider", name="Strength").press("Home")
        expect(picture).not_to_have_attribute("src", before)
        assert empty_session.look.strength == 0
        page.get_by_role("slider", name="Strength").press("End")
        page.get_by_role("button", name="Matched").click()
        expect(page.get_by_role("button", name="Matched")).to_have_attribute("aria-pressed", "true")

        drop(page, "#main", "second.png", encoded(painting[::-1].copy()))
        page.get_by_role("button", name="mask of second.png").click()
        box = page.locator("canvas.mask").bounding_box()
        page.mouse.move(box["x"] + 40, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + 200, box["y"] + 40)
        page.mouse.up()
        page.get_by_role("button", name="Done").click()
        expect(page.get_by_role("button", name="mask of second.png")).to_have_text("Mask ✓")
        mask = empty_session._paintings["2"].mask
        assert mask[: mask.shape[0] // 4, : mask.shape[1] // 4].max() == 255 and mask[-1, -1] == 0

        page.get_by_role("button", name="keep the quick result").click()
        expect(page.get_by_role("button", name="Version 1 quick")).to_be_visible()
        page.get_by_label("Size", exact=True).select_option("256")
        page.get_by_role("button", name="Paint", exact=True).click()
        expect(page.locator(".where")).to_contain_text("iteration")
        page.reload()
        stop = page.get_by_role("button", name="Stop and keep")
        expect(stop).to_be_visible()
        expect(page.get_by_label("Size", exact=True)).to_have_value("256")
        stop.click()
        expect(page.get_by_role("button", name="Version 2 stopped")).to_have_attribute("aria-pressed", "true")
        expect(picture).to_have_attribute("src", re.compile("version/2/shown"))

        page.get_by_label("Compare with").select_option("1")
        expect(page.locator(".sheet img.other")).to_have_attribute("src", re.compile("version/1/shown"))
        page.get_by_role("slider", name="where the pictures meet").press("End")
        expect(page.locator(".sheet")).to_have_attribute("style", re.compile("--seam: 100%"))
        hold = page.get_by_role("button", name="Hold for the photo")
        hold.focus()
        page.keyboard.down(" ")
        expect(picture).to_have_attribute("src", re.compile("picture/photo/1"))
        page.keyboard.up(" ")
        expect(picture).to_have_attribute("src", re.compile("version/2/shown"))

        with page.expect_download() as download:
            page.get_by_role("link", name="Everything").click()
        download.value.save_as(tmp_path / "all.zip")
        with zipfile.ZipFile(tmp_path / "all.zip") as archive:
            assert {"my photo.png", "waves.png", "second.png", "mask-1.png", "mask-2.png"} < set(archive.namelist())
        assert download.value.suggested_filename == "my photo-waves-second-2.zip"
        page.get_by_role("button", name="Remove", exact=True).click()
        expect(page.get_by_role("button", name="Version 2 stopped")).to_have_count(0)
        page.get_by_role("button", name="Undo the removal").click()
        expect(page.get_by_role("button", name="Version 2 stopped")).to_be_visible()
        page.close()


@pytest.mark.slow
def test_what_cannot_be_is_told_and_a_mask_is_painted_by_keys(address, session, encoded, watched_page):
    page = watched_page(address)
    choose(page, "painting", "broken.png", b"This is a text.")
    expect(page.locator("#toast.error")).to_contain_text("broken.png is no image that can be read")
    choose(page, "painting", "grey.png", encoded(np.full((40, 40, 3), 128, np.uint8)))
    expect(page.locator(".notes")).to_contain_text("grey.png has one colour: there are no strokes to take from it.")
    expect(page.get_by_role("slider", name="share of grey.png")).to_be_visible()
    page.get_by_role("button", name="mask of waves.png").click()
    expect(page.locator("canvas.mask")).to_be_focused()
    for key in ("]", " ", "ArrowRight", "ArrowRight", " "):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="mask of waves.png")).to_have_text("Mask ✓")
    expect(page.get_by_role("slider", name="share of grey.png")).to_have_count(0)  # masks say where each rules
    mask = session._paintings["1"].mask
    assert mask[mask.shape[0] // 2, mask.shape[1] // 2] == 255 and mask[0, 0] == 0
    page.get_by_role("button", name="remove waves.png").click()
    page.get_by_role("button", name="remove grey.png").click()
    expect(page.get_by_role("heading", name="A photo in the manner of a painting")).to_be_visible()
    page.get_by_role("button", name="Flames").click()
    expect(page.get_by_role("button", name="mask of flames.png")).to_be_visible()
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize("width, height, scheme", [(1280, 800, "light"), (360, 740, "dark")])
def test_axe_finds_nothing_in_any_state(empty_session, photo, painting, encoded, watched_page, violations, width, height, scheme):
    endless(empty_session)
    with running(empty_session) as url:
        page = watched_page(url, width, height, scheme, reduced_motion="reduce", has_touch=width == 360)

        def check(state):
            assert violations(page) == [], state
            assert page.evaluate("document.documentElement.scrollWidth") <= width, state

        expect(page.locator(".zone")).to_have_count(2)
        check("start")
        choose(page, "photo", "a photo with quite a long name.png", encoded(photo))
        choose(page, "painting", "waves.png", encoded(painting))
        choose(page, "painting", "grey.png", encoded(np.full((40, 40, 3), 128, np.uint8)))
        expect(page.locator(".sheet img.whole")).to_have_attribute("src", re.compile("^blob:"))
        expect(page.locator(".notes")).to_contain_text("grey.png")
        page.locator("summary", has_text="Examples").click()
        check("quick")
        page.get_by_role("button", name="mask of waves.png").click()
        expect(page.locator("canvas.mask")).to_be_focused()
        check("mask")
        page.get_by_role("button", name="Done").click()
        page.get_by_role("button", name="keep the quick result").click()
        page.get_by_role("button", name="Version 1 quick").click()
        page.get_by_label("Compare with").select_option("photo")
        expect(page.locator(".sheet img.other")).to_be_visible()
        check("compare")
        page.get_by_label("Size", exact=True).select_option("256")
        page.get_by_role("button", name="Paint", exact=True).click()
        expect(page.locator(".where")).to_contain_text("iteration")
        page.locator("summary", has_text="Losses").click()
        check("painting")
        page.close()


@pytest.mark.slow
def test_a_preview_is_a_view_of_the_page(photo, painting, watched_page, violations):
    lines = []
    with preview_page(lines.append, is_opened=False) as growth:
        page = watched_page(lines[0].removeprefix("preview at "))
        expect(page.locator(".when")).to_have_text("Waiting")
        growth.begin("photo.jpg", [photo, painting])
        expect(page.locator(".inputs img")).to_have_count(2)
        for iteration in (1, 2):
            losses = {"content_loss": 3.0 / iteration, "style_loss": 2.0 / iteration, "total_loss": 1.0}
            growth.update(Progress(1, 2, iteration, 20, iteration, **losses, picture=lambda: photo), 0.25, 12.5)
        expect(page.locator(".when")).to_have_text("13 s left")
        expect(page.locator(".where")).to_contain_text("scale 1 of 2, iteration 2 of 20")
        expect(page.locator(".losses dd").first).to_have_text("1.500")
        expect(page.locator(".sheet img.whole")).to_have_attribute("src", re.compile("growth/picture"))
        assert violations(page) == []
        growth.finish("out.png", painting)
        expect(page.locator(".when")).to_have_text("Ready")
        expect(page.locator(".where")).to_contain_text("out.png")
        page.close()
