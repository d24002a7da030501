"""What the page must never do, in a browser: lose what people marked, show another picture than the one named, tell of the disk."""

import csv
import json
import os
import re
import urllib.parse

import numpy as np
import PIL.Image
import pytest

from tfvision.apps.explorer import export as export_module
from tfvision.apps.explorer import session as session_module
from tfvision.apps.explorer.export import export_site
from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.server import running
from tfvision.apps.explorer.session import Session
from tfvision.index.folder_gallery import FolderGallery

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'tfvision[test]'").expect
NAMES = ["red 1.png", "red 2.png", 'green "quoted" & <b>.png', "grün 草.png", "blue'1'.png", "blue 2.png"]  # as the fixture `photos` has them
VECTORS = np.float32([[1, 0, 0], [0.98, 0.199, 0], [0, 1, 0], [0.0, 0.98, 0.199], [0, 0, 1], [0.199, 0, 0.98]])


def write_galleries(folder, photos):
    """Two of the six pictures, with columns that have a name like one of ours, a colon, and labels with a sign."""
    paths = [photos / ("reds", "greens", "blues")[number // 2] / name for number, name in enumerate(NAMES)]
    metadata = [{"colour": path.parent.name, "a:b": "x:y" if number % 2 else "+1", "tags": f"mine {number}"} for number, path in enumerate(paths)]
    turned = np.roll(VECTORS, 1, axis=0)
    for name, vectors in (("colours", VECTORS), ("other", turned)):
        with FolderGallery.create(folder / name, 3, {"identity": name}) as gallery:
            gallery.add([f"{path.parent.name}/{path.name}" for path in paths], vectors, [str(path) for path in paths], metadata)
    return plan([folder / "colours", folder / "other"])


@pytest.fixture(scope="module")
def shared(tmp_path_factory, write_photos):
    """The address of an explorer that no test here changes but for notes."""
    folder = tmp_path_factory.mktemp("safety")
    what = write_galleries(folder, write_photos(folder / "photos"))
    session = Session(what)
    session.thumbnails.fill()
    session.notes.tag("some", [f"reds/{NAMES[0]}", f"greens/{NAMES[2]}"])
    with running(what) as url:
        yield url


@pytest.fixture
def open_view(shared, watched_page):
    """A function (view, options of the window) -> page."""

    def open_it(view="browse", **options):
        page = watched_page(f"{shared}#{view}", **options)
        page.locator(f"main.view-{view.split('?')[0]}").wait_for()
        page.locator("#filters-button:enabled").wait_for()  # names, labels and tags are there: nothing is drawn anew under a click
        return page

    return open_it


def go(page, view):
    page.evaluate("address => { location.hash = address }", f"#{view}")


def look_again(page):
    """What the page does when its window is looked at again: it asks what changed."""
    page.evaluate("dispatchEvent(new Event('focus'))")


def colour_is(page, place, strongest):
    """Waits until the first picture of the wall has a colour."""
    script = """([x, strongest]) => {
        const data = document.querySelector(".wall canvas")?.getContext("2d").getImageData(x, 60, 1, 1).data;
        return data && [0, 1, 2].every(other => other === strongest || data[other] < data[strongest] - 60);
    }"""
    page.wait_for_function(script, arg=[place, strongest])


@pytest.mark.slow
def test_a_disk_that_is_away_empties_nothing_and_its_pictures_come_back(tmp_path, watched_page, monkeypatch, write_photos):
    monkeypatch.setattr(session_module, "_SECONDS_BETWEEN_WALKS", 0.2)
    photos = write_photos(tmp_path / "photos")
    what = write_galleries(tmp_path, photos)
    photos.rename(tmp_path / "unplugged")
    with running(what) as url:
        page = watched_page(f"{url}#browse")
        page.get_by_text(f"6 of 6 pictures are gone: {photos} is not there").first.wait_for()
        for typed in ("", "5"):
            page.get_by_label("how many are gone").fill(typed)
            with page.expect_response("**/api/update") as answer:
                page.get_by_role("button", name="Update").click()
            assert answer.value.status == 400 and "nothing was changed" in answer.value.text()
            page.locator("#toast", has_text="nothing was changed").wait_for(state="attached")  # it is seen for five seconds only
        with FolderGallery.open(tmp_path / "colours") as gallery:
            assert len(gallery) == 6
        (tmp_path / "unplugged").rename(photos)
        page.wait_for_function("() => { dispatchEvent(new Event('focus')); return !document.querySelector('#notices').textContent }", polling=500)
        colour_is(page, 60, 0)

        go(page, "near?q=3")
        page.locator("aside h2", has_text=NAMES[3]).wait_for()
        expect(page).to_have_url(re.compile(re.escape(f"q=id%3Agreens%2F{urllib.parse.quote_plus(NAMES[3])}")))
        (photos / "reds" / NAMES[0]).unlink()  # one alone is no disk
        page.wait_for_function(
            "() => { dispatchEvent(new Event('focus')); return document.querySelector('#notices').textContent.includes('1 gone') }", polling=500
        )
        page.get_by_role("button", name="Update").click()
        page.wait_for_function(
            "() => { dispatchEvent(new Event('focus')); return document.querySelector('#count')?.textContent === '5 pictures' }", polling=500
        )
        page.locator("aside h2", has_text=NAMES[3]).wait_for()  # its number is 2 now
        page.close()  # before the server: it would tell that nobody answers


@pytest.mark.slow
def test_what_appears_in_the_folder_is_noticed_and_what_cannot_be_read_is_named(tmp_path, watched_page, monkeypatch, write_photos):
    monkeypatch.setattr(session_module, "_SECONDS_BETWEEN_WALKS", 0.2)
    photos = write_photos(tmp_path / "photos")
    what = plan([photos])
    ids = [f"{('reds', 'greens', 'blues')[number // 2]}/{name}" for number, name in enumerate(NAMES)]
    with FolderGallery.create(what.galleries[0].location, 3, {"identity": "made here"}) as gallery:
        gallery.add(ids, VECTORS, [str(photos / id) for id in ids])
    (photos / "reds" / "damaged \N{BUG}.tmp.jpg").touch()
    session = Session(what)
    session.broken = {str(photos / "reds" / "damaged \N{BUG}.tmp.jpg"): "reds/damaged.jpg is empty (0 bytes)"}
    session._note_broken({})
    (photos / "a link.png").symlink_to(photos / "nowhere.png")
    with running(what) as url:
        page = watched_page(url)
        page.locator(".wall").wait_for()
        PIL.Image.new("RGB", (30, 30), "red").save(photos / "new.png")
        (tmp_path / "photos" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"no name")  # left out, as a HEIC without what reads it
        page.wait_for_function(
            "() => { dispatchEvent(new Event('focus')); return /\\d new/.test(document.querySelector('#notices').textContent) }", polling=500
        )
        page.get_by_text("2 pictures could not be read").click()
        page.get_by_text("the name is not UTF-8").wait_for()
        page.get_by_text("reds/damaged.jpg is empty").wait_for()
        PIL.Image.new("RGB", (30, 30), "blue").save(photos / "newer.png")
        page.wait_for_function(
            "() => { dispatchEvent(new Event('focus')); return document.querySelector('#notices').textContent.includes('2 new') }", polling=500
        )
        expect(page.get_by_text("reds/damaged.jpg is empty")).to_be_visible()  # the list that was opened stays open
        page.close()


@pytest.mark.slow
def test_a_lost_query_is_named_and_its_question_goes_on(tmp_path, watched_page, write_photos):
    what = write_galleries(tmp_path, write_photos(tmp_path / "photos"))
    notes = Session(what).notes
    for query in (f"id:reds/{NAMES[0]}", "u:" + "0" * 20, "g:colour=renamed", "id:gone.png"):
        notes.mark("its colour", query, {f"reds/{NAMES[1]}": True})
    with running(what) as url:
        page = watched_page(f"{url}#verdict?x=its colour&q=u:{'0' * 20}")
        page.locator("#filters-button:enabled").wait_for()
        lost = page.locator(".lost li")
        lost.nth(2).wait_for()
        assert [
            re.search(word, text) is not None
            for word, text in zip(("drop it once more", "colour = renamed", "gone.png"), lost.all_text_contents(), strict=True)
        ] == [True] * 3
        page.get_by_role("link", name=NAMES[0]).wait_for()
        with page.expect_download() as download:
            page.get_by_role("link", name="Report").click()
        with open(download.value.path(), encoding="utf-8") as report:
            assert "Queries that are lost" in report.read()
        go(page, "compare?q=0&q=g:colour=renamed&q=4")
        page.get_by_text("Not shown: there is no picture with colour = renamed").wait_for()
        expect(page.locator(".chart .scatterlayer .trace")).to_have_count(3)
        for view, told in (("browse?sort=similarity&q=id:gone.png", "gone.png"), ("map?colour=similarity&q=g:colour=renamed", "colour = renamed")):
            go(page, view)
            page.locator(f"main.view-{view.split('?')[0]} :is(.wall, .map)").wait_for()
            page.locator("#toast", has_text=told).wait_for(state="attached")  # it is seen for five seconds only
            expect(page.locator(".failed"), view).to_have_count(0)
        go(page, f"verdict?x=its colour&q=u:{'0' * 20}")
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Forget this question").click()
        page.wait_for_function("() => !location.hash.includes('x=')")
        page.close()
    assert notes.read()["questions"] == {}


@pytest.mark.slow
def test_bars_are_dark_where_the_band_is(open_view):
    page = open_view("distribution?q=0")
    page.get_by_text("5 pictures", exact=True).wait_for()  # it comes after the chart, which a drag needs
    box = page.locator(".chart .nsewdrag").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 60, steps=4)
    page.mouse.up()
    script = """() => {
        const [low, high] = [...document.querySelectorAll("input.figure")].map(field => Number(field.value)), data = document.querySelector(".chart").data[0];
        const paths = [...document.querySelectorAll(".chart .barlayer .point path")];
        return paths.length > 0 && paths.every((path, bar) => {
            const isDark = Number(getComputedStyle(path).fillOpacity) * Number(getComputedStyle(path).opacity) > 0.9;
            return isDark === (data.x[bar] + 0.49 * data.width > low && data.x[bar] - 0.49 * data.width < high);
        });
    }"""
    fields = "all => all.map(field => field.value).join()"
    page.wait_for_url(re.compile("low="))
    for name in ("Far tail", "Middle", "First hundred"):
        before = page.locator("input.figure").evaluate_all(fields)
        page.get_by_role("button", name=name).click()
        page.wait_for_function(f"before => ({fields})([...document.querySelectorAll('input.figure')]) !== before", arg=before)
        page.wait_for_function(script)


@pytest.mark.slow
@pytest.mark.parametrize("view, count", [("low=abc&high=1", "5 pictures"), ("low=&high=NaN", "5 pictures"), ("low=1&high=0.9", "1 picture")])
def test_numbers_of_an_address_that_are_none_are_passed_over(open_view, view, count):
    page = open_view(f"distribution?q=0&{view}")
    page.get_by_text(count, exact=True).wait_for()
    for name in ("from", "to"):
        expect(page.get_by_label(name, exact=True)).to_have_value(re.compile(r"^-?\d+\.\d+$"))


@pytest.mark.slow
def test_addresses_with_numbers_out_of_bounds_open(open_view):
    page = open_view("browse?size=1e9&at=abc&layer=-1")
    colour_is(page, 320, 0)  # one as wide as the window
    for view in ("near?q=0&k=abc&layer=0.5", "near?q=0&k=-3&layer=x", "map?at=0,0,1e99", "distribution?q=0&low=Infinity&high=2"):
        go(page, view)
        page.locator(f"main.view-{view.split('?')[0]} :is(.wall, .map-legend div)").first.wait_for()
        expect(page.locator(".failed"), view).to_have_count(0)


@pytest.mark.slow
def test_a_view_that_is_none_is_browse_and_can_be_used(open_view):
    page = open_view("browse")
    go(page, "nothing")
    page.wait_for_function("() => location.hash === '#nothing'")
    page.get_by_label("name contains").fill("red 2")
    page.locator("#count", has_text="1 of 6").wait_for()


@pytest.mark.slow
def test_a_lasso_holds_the_pictures_of_the_layer_on_the_page(open_view):
    lasso, rows = "lasso=0,-2;2,-2;2,2;0,2", "() => document.querySelector('.drawer .wall [role=option]')?.textContent"
    found = []
    for layer in ("", "&layer=1"):
        page = open_view(f"map?{lasso}{layer}")
        page.locator(".drawer [role=option]", has_text=".png").wait_for(state="attached")
        found.append((page.locator(".drawer strong").text_content(), page.evaluate(rows)))
    assert found[0] != found[1]
    page.get_by_label("Layer").select_option("colours")
    drawn = """([count, first]) => document.querySelector(".drawer strong")?.textContent === count
        && document.querySelector(".drawer .wall [role=option]")?.textContent === first"""
    page.wait_for_function(drawn, arg=found[0])


@pytest.mark.slow
def test_filters_are_exact_and_stay_from_view_to_view(open_view):
    page = open_view("browse")
    page.locator("#filters-button:enabled").click()
    page.get_by_role("checkbox", name=re.compile("x:y")).check()
    page.locator("#count", has_text="3 of 6").wait_for()
    page.keyboard.press("Escape")
    page.get_by_label("name contains").fill("red")
    page.locator("#count", has_text="1 of 6").wait_for()
    for view in ("map", "near", "tidy", "browse"):
        page.locator(f"#tabs [data-view={view}]").click()
        page.locator(f"main.view-{view}").wait_for()
        page.locator("#count", has_text="1 of 6").wait_for()
    page.get_by_role("button", name="no longer named").click()
    page.locator("#count", has_text="3 of 6").wait_for()
    for view, count in (("f=colour:reds", "2 pictures"), ("tag=some", "2 pictures"), ("f=colour:reds&tag=some", "1 picture")):
        page = open_view(f"map?{view}&lasso=-2,-2;2,-2;2,2;-2,2")  # drawn before names, labels and tags are there
        page.locator(".drawer").get_by_text(count, exact=True).wait_for()
    for unknown in ("a:b:z", "shape:round", "colour:", "nothing"):
        go(page, f"browse?f={unknown}")
        page.get_by_text("No picture fits.").wait_for()


@pytest.mark.slow
def test_typed_text_stays_in_its_view(open_view):
    page = open_view("browse")
    page.locator(".wall").wait_for()
    type_and_go = """() => {
        const field = document.querySelector("input[type=search]");
        field.value = "red";
        field.dispatchEvent(new Event("input"));
        location.hash = "#map";
    }"""
    page.evaluate(type_and_go)
    page.locator("main.view-map").wait_for()
    page.wait_for_timeout(500)
    assert "text" not in page.evaluate("location.href")
    go(page, "verdict?q=0")
    page.locator("#question").fill("half a ques")
    go(page, "tidy")
    page.locator("main.view-tidy").wait_for()
    page.wait_for_timeout(100)
    assert "x=" not in page.evaluate("location.href")


@pytest.mark.slow
def test_tables_hold_the_users_own_columns_and_values(open_view):
    page = open_view("basket?tag=some")
    found = {}
    for kind in ("CSV", "Manifest"):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind).click()
        with open(download.value.path(), encoding="utf-8", newline="") as table:
            found[kind] = list(csv.DictReader(table))
    for rows in found.values():
        assert [row["tags"] for row in rows] == ["mine 0", "mine 2"] and [row["a:b"] for row in rows] == ["+1", "+1"]
    assert [row["tags (explorer)"] for row in found["CSV"]] == ["some", "some"]


@pytest.mark.slow
def test_a_phone_uploads_again_and_the_files_name_is_kept(open_view, tmp_path):
    page = open_view("near?q=0", width=390, height=844, has_touch=True)
    for name in ("first.png", "second <b>.png"):
        PIL.Image.new("RGB", (40, 40), "red" if name == "first.png" else "blue").save(tmp_path / name)
        page.locator("#outside-file").set_input_files(tmp_path / name)
        page.wait_for_url(re.compile("q=u%3A"))
        page.get_by_text(f"{name} (from outside)").first.wait_for()
    expect(page.get_by_role("button", name="open a picture")).to_be_visible()
    page.reload()
    page.get_by_text("second <b>.png (from outside)").first.wait_for()


@pytest.mark.slow
def test_a_finger_picks_and_opens_the_large_view(open_view):
    page = open_view("browse", width=390, height=844, has_touch=True)
    colour_is(page, 60, 0)
    page.locator("#filters-button:enabled").wait_for()  # what the basket holds is there
    before = page.locator("#tabs [data-view=basket]").text_content()
    page.get_by_role("button", name="pick by click or tap").tap()
    page.locator(".wall").tap(position={"x": 60, "y": 60})
    page.wait_for_function("before => document.querySelector('#tabs [data-view=basket]').textContent !== before", arg=before)
    page.get_by_role("button", name="pick by click or tap").tap()
    press = """async by => {
        const wall = document.querySelector(".wall"), box = wall.getBoundingClientRect();
        const at = { clientX: box.x + 60, clientY: box.y + 60, pointerType: "touch", bubbles: true };
        wall.dispatchEvent(new PointerEvent("pointerdown", at));
        if (by) wall.dispatchEvent(new PointerEvent("pointermove", { ...at, clientX: at.clientX + by }));
        await new Promise(done => setTimeout(done, 600));
        wall.dispatchEvent(new PointerEvent("pointerup", at));
        if (!by) wall.dispatchEvent(new MouseEvent("click", at));
    }"""
    page.evaluate(press, 40)
    assert "large=" not in page.evaluate("location.href")
    page.evaluate(press, 0)
    page.locator("dialog.large").get_by_text("1 of 6").wait_for()
    assert "#near" not in page.evaluate("location.href")
    page.go_back()
    page.locator("dialog.large").wait_for(state="hidden")


@pytest.mark.slow
def test_the_map_selects_by_keyboard(open_view):
    page = open_view("map")
    page.locator(".map-legend div").first.wait_for()
    page.keyboard.press("p")
    page.keyboard.press("s")
    page.locator(".drawer").get_by_text("6 pictures", exact=True).wait_for()
    page.locator("#filters-button:enabled").wait_for()
    page.keyboard.press("f")
    page.locator("#facets").wait_for()
    page.keyboard.press("Escape")  # of who has the focus: the panel, not the selection
    page.locator("#facets").wait_for(state="hidden")
    expect(page.locator(".drawer")).to_be_visible()
    page.locator(".map").focus()
    page.keyboard.press("Escape")
    page.locator(".drawer").wait_for(state="hidden")
    before = page.locator("#tabs [data-view=basket]").text_content()
    for _ in range(2):
        page.keyboard.press(" ")
        page.wait_for_function(
            "([before, same]) => (document.querySelector('#tabs [data-view=basket]').textContent === before) === same", arg=[before, bool(_)]
        )
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("#near"))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(844, 390), (640, 400)])
def test_pictures_can_be_reached_in_a_short_window(open_view, size):
    page = open_view("distribution?q=0&low=-1&high=1", width=size[0], height=size[1])
    page.get_by_text("5 pictures", exact=True).wait_for()
    page.locator("main .query", has_text=NAMES[0]).wait_for()  # names and labels are there: nothing is moved by what comes late
    for view in ("distribution?q=0&low=-1&high=1", "browse", "near?q=0", "verdict?q=0&x=colour", "tidy?kind=outliers", "map"):
        go(page, view)
        stage = page.locator(f"main.view-{view.split('?')[0]} :is(.wall, .map)").first
        stage.wait_for()
        stage.scroll_into_view_if_needed()
        reached = """([stage, height]) => {
            const { top, bottom } = stage.getBoundingClientRect();
            return Math.min(bottom, height) - Math.max(top, 0) >= 140;
        }"""
        page.wait_for_function(reached, arg=[stage.element_handle(), size[1]])


@pytest.fixture
def sites(tmp_path, write_photos):
    """Two sites of the same pictures and other collections, whose manifest had absolute paths."""
    photos = write_photos(tmp_path / "photos")
    paths = sorted(photos.rglob("*.png"))
    for name in ("one", "two"):
        with FolderGallery.create(tmp_path / name, 3, {"identity": name}) as gallery:
            gallery.add([str(path) for path in paths], VECTORS, [str(path) for path in paths], [{"mask": f"{path}.mask"} for path in paths])
        what = plan([tmp_path / name])
        Session(what).notes.mark("its colour", f"id:{paths[0]}", {str(paths[1]): True})
        export_site(what, tmp_path / f"site {name}")
    return tmp_path / "site one", tmp_path / "site two"


@pytest.mark.slow
def test_sites_at_one_address_share_nothing_and_tell_no_path(sites, tmp_path, serve_folder, watched_page):
    for path in (path for site in sites for path in (site / "data").glob("*.json")):
        assert str(tmp_path) not in path.read_text(encoding="utf-8"), path
    assert json.loads((sites[0] / "data" / "names.json").read_text())[0] == NAMES[5]
    (tmp_path / "now").symlink_to(sites[0])
    page = watched_page(serve_folder(tmp_path / "now"))
    page.locator(".wall").wait_for()
    page.keyboard.press("p")
    for key in (" ", "ArrowRight", " ", "ArrowRight", " ", "ArrowLeft", " ", "ArrowRight", " "):  # none is lost, however fast
        page.keyboard.press(key)
    page.get_by_text("Basket (1)").wait_for()
    page.wait_for_function("() => Object.keys(localStorage).some(key => key.startsWith('tfvision-notes') && JSON.parse(localStorage[key]).version === 5)")
    go(page, "basket")
    with page.expect_download() as download:
        page.get_by_role("button", name="Manifest").click()
    with open(download.value.path(), encoding="utf-8", newline="") as table:
        assert list(csv.DictReader(table)) == [{"image": NAMES[5], "mask": f"{NAMES[5]}.mask"}]
    go(page, "verdict?x=its colour")
    page.get_by_role("link", name=NAMES[5]).wait_for()
    (tmp_path / "now").unlink()
    (tmp_path / "now").symlink_to(sites[1])
    page.reload()
    page.get_by_role("link", name=NAMES[5]).wait_for()
    expect(page.locator("#tabs [data-view=basket]")).to_have_text("Basket")


@pytest.mark.slow
def test_a_site_of_many_pictures_shows_what_it_has(tmp_path, write_photos, serve_folder, watched_page, monkeypatch):
    monkeypatch.setattr(export_module, "MOST_LARGE", 0)
    export_site(write_galleries(tmp_path, write_photos(tmp_path / "photos")), tmp_path / "site")
    page = watched_page(f"{serve_folder(tmp_path / 'site')}#browse?large=5")
    page.wait_for_function("() => document.querySelector('.sheet img')?.naturalWidth > 0")
    go(page, "near?q=4")
    page.wait_for_function("() => document.querySelector('.query-picture img')?.naturalWidth > 0")
    go(page, "tidy?least=0.93")
    page.get_by_text("This static copy has no duplicates for 0.93").wait_for()


@pytest.mark.slow
def test_a_site_opened_as_a_file_says_how_to_serve_it(sites, browser):
    page = browser.new_page()
    page.goto(f"file://{sites[0]}/index.html")
    page.get_by_text(f"python3 -m http.server -d '{sites[0]}/'").wait_for()
    page.close()
