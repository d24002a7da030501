"""The bar of filters over all views: histograms, values, what they leave, and how that is picked."""

import re

import pytest

from tfvision.apps.explorer.export import export_site
from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.server import running
from tfvision.apps.explorer.session import Session
from tfvision.index.folder_gallery import FolderGallery

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'tfvision[test]'").expect


@pytest.fixture
def planned(tmp_path, photos, make_gallery):
    """Six pictures with a number, a date, a note of its own each but one, and the columns `a` and `a:b`."""
    make_gallery()
    paths = sorted(photos.rglob("*.png"))
    vectors = [[1, 0, 0], [0.98, 0.199, 0], [0, 1, 0], [0, 0.98, 0.199], [0, 0, 1], [0.199, 0, 0.98]]
    metadata = [
        {
            "year": 1990 + number,
            "taken": f"2019-0{number + 1}-15",
            "note": f'no. {number}, "odd"',
            "a": "b:c" if number < 2 else "d",
            "a:b": "c" if number == 5 else "e",
        }
        for number in range(6)
    ]
    del metadata[3]["note"]
    with FolderGallery.create(tmp_path / "dated", 3, {"identity": "dated"}) as gallery:
        gallery.add([f"{number}.png" for number in range(6)], vectors, list(map(str, paths)), metadata)
    what = plan([tmp_path / "dated"])
    Session(what).thumbnails.fill()
    return what


def _left(page, count):
    page.wait_for_function("count => document.querySelector('#count')?.firstChild.textContent === count", arg=count)


def _open(watched_page, url, **options):
    page = watched_page(url, **options)
    page.locator("#filters-button:enabled").wait_for()
    return page


def _walk(page):
    """Filters by everything that filters; the count follows."""
    page.keyboard.press("f")
    year = page.locator(".facet", has=page.locator("summary", has_text="year"))
    box = year.locator(".brush svg").bounding_box()
    at = lambda bin: (box["x"] + box["width"] * (bin + 0.5) / 6, box["y"] + 20)
    page.mouse.move(*at(1))
    page.mouse.down()
    page.mouse.move(*at(2))
    page.mouse.move(*at(3))
    _left(page, "3 of 6 pictures")  # before the button is released
    page.mouse.move(*at(2))
    _left(page, "2 of 6 pictures")
    page.mouse.move(*at(3))
    page.mouse.up()
    _left(page, "3 of 6 pictures")
    page.go_back()  # all of it is one step
    _left(page, "6 pictures")
    page.go_forward()
    _left(page, "3 of 6 pictures")
    end = year.get_by_role("slider", name="year, to").bounding_box()
    page.mouse.move(end["x"] + end["width"] / 2 - 3, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(end["x"] + end["width"] / 2 - 4, box["y"] + 20)
    page.wait_for_timeout(100)  # the range that there is is asked for again, which is no step
    page.mouse.move(*at(2))
    _left(page, "2 of 6 pictures")
    page.mouse.up()
    page.go_back()
    _left(page, "3 of 6 pictures")
    expect(page).to_have_url(re.compile(r"r=year%3A1991\.\.1993"))
    year.get_by_role("slider", name="year, to").focus()
    page.keyboard.press("ArrowRight")
    _left(page, "4 of 6 pictures")
    year.get_by_label("year, to").last.fill("1992")
    page.keyboard.press("Enter")
    _left(page, "2 of 6 pictures")
    taken = page.locator(".facet", has=page.locator("summary", has_text="taken"))
    taken.get_by_label("taken, from").last.fill("2019-03")
    page.keyboard.press("Enter")
    _left(page, "1 of 6 pictures")
    page.get_by_role("button", name="no longer year: 1991 to 1992").click()
    _left(page, "4 of 6 pictures")
    note = page.locator(".facet", has=page.locator("summary", has_text="note"))
    note.locator("summary").click()  # closed, for each picture has another
    note.get_by_role("checkbox", name=re.compile("no. 4")).check()
    _left(page, "1 of 6 pictures")
    note.get_by_role("checkbox", name=re.compile("none")).check()  # one or the other
    _left(page, "2 of 6 pictures")


@pytest.mark.slow
def test_what_is_filtered_is_filtered_in_every_view_and_picked(planned, watched_page):
    with running(planned) as url:
        page = _open(watched_page, url)
        _walk(page)
        options = "() => [...document.querySelectorAll('main .wall')].map(wall => wall.querySelector('[role=option]').getAttribute('aria-setsize')).join()"
        filters = page.url.partition("?")[2]
        for view in ("browse", "near?q=id:0.png", "distribution?q=id:0.png&low=-1&high=1", "tidy?kind=hubs"):
            page.evaluate("address => { location.hash = address }", f"#{view}{'&' if '?' in view else '?'}{filters}")
            page.locator(f"main.view-{view.split('?')[0]}").wait_for()
            page.wait_for_function(f"() => ({options})() === '2'")
        page.get_by_role("button", name="Pick all shown").click()
        page.get_by_text("2 picked").wait_for()
        page.get_by_role("button", name="reset the filters").click()
        _left(page, "6 pictures")
        page.get_by_role("button", name="Picked only").click()
        _left(page, "2 of 6 pictures")
        page.reload()
        _left(page, "2 of 6 pictures")
        page.evaluate("location.hash = '#browse?f=a:b:c'")
        _left(page, "2 of 6 pictures")
        page.locator(".facet", has=page.locator("summary", has_text="a:b")).get_by_role("checkbox", name=re.compile("^c")).check()
        _left(page, "0 of 6 pictures")  # no longer only a = b:c, but also a:b = c
        page.close()


@pytest.mark.slow
def test_a_static_copy_filters_by_what_it_holds(planned, tmp_path, serve_folder, watched_page):
    export_site(planned, tmp_path / "site")
    page = _open(watched_page, serve_folder(tmp_path / "site"), has_touch=True)
    _walk(page)
    page.evaluate("location.hash = location.hash.replace('browse', 'near') + '&q=id:0.png'")
    page.wait_for_function("() => document.querySelector('.columns .wall [role=option]')?.getAttribute('aria-setsize') === '2'")
