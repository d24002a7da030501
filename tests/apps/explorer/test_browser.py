"""Each act in a real browser, cut off from the network; a page that tells an error fails its test (`watched_page`)."""

import re

import numpy as np
import pytest

from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.server import running
from tfvision.apps.explorer.session import Session

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'tfvision[test]'").expect


@pytest.fixture
def address(make_gallery):
    """The explorer on two galleries of six pictures, thumbnails made."""
    other = np.roll(np.eye(6, dtype=np.float32), 1, axis=1)[:, :6] + 0.5
    what = plan([make_gallery(), make_gallery("other", other / np.linalg.norm(other, axis=1, keepdims=True))])
    Session(what).thumbnails.fill()
    with running(what) as url:
        yield url


@pytest.fixture
def page(address, watched_page):
    opened = watched_page(address)
    opened.wait_for_selector("#tabs a")
    opened.wait_for_function("() => document.querySelector('.wall')")
    opened.locator("#filters-button:enabled").wait_for()  # names and labels are there: what comes from now on is what the test does
    return opened


def _go(page, address):
    page.evaluate("address => { location.hash = address }", address)


def _wait_until(page, condition):
    """For what no script on the page can tell."""
    for _ in range(3000):
        if condition():
            return
        page.wait_for_timeout(20)
    raise AssertionError("it never came about")


def _wait_for_colour(page, x, y, strongest):
    script = """([x, y, strongest]) => {
        const data = document.querySelector(".wall canvas")?.getContext("2d").getImageData(x, y, 1, 1).data;
        return data && data[strongest] > 150 && [0, 1, 2].every(other => other === strongest || data[other] < data[strongest] - 60);
    }"""
    page.wait_for_function(script, arg=[x, y, strongest])


@pytest.mark.slow
def test_browse_shows_sorts_filters_and_searches(page):
    _wait_for_colour(page, 60, 60, 0)  # the first is red
    page.get_by_label("Sort").focus()
    for sort in ("name", "c%3Acolour"):  # drawn anew, and still the keys' own
        page.keyboard.press("ArrowDown")
        page.wait_for_url(re.compile(f"sort={sort}"))
        expect(page.get_by_label("Sort")).to_be_focused()
    _wait_for_colour(page, 60, 60, 2)  # blue comes first by name
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    page.get_by_role("checkbox", name=re.compile("greens")).check()
    page.locator("#count", has_text="2 of 6").wait_for()
    page.keyboard.press("Escape")
    _wait_for_colour(page, 60, 60, 1)
    expect(page).to_have_url(re.compile("(?=.*f=colour%3Agreens).*sort=c%3Acolour"))
    page.get_by_role("button", name=re.compile("no longer colour")).click()
    page.get_by_label("name contains").fill("草")
    page.locator("#count", has_text="1 of 6").wait_for()
    page.get_by_label("name contains").fill("nothing like it")
    page.get_by_text("No picture fits.").wait_for()


@pytest.mark.slow
def test_the_keyboard_reaches_everything(page):
    _wait_for_colour(page, 60, 60, 0)
    page.keyboard.press("p")
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    page.get_by_text("Basket (1)").wait_for()
    expect(page.locator(".wall [role=option]")).to_contain_text("red 2.png")
    page.keyboard.press("v")
    page.locator(".preview img").wait_for()
    page.keyboard.press("?")
    page.get_by_role("heading", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("#near"))
    for key, view in zip("12345678", ("browse", "map", "near", "distribution", "compare", "verdict", "tidy", "basket"), strict=True):
        page.keyboard.press(key)
        page.wait_for_url(re.compile(f"#{view}"))


KEYS_TESTED = {  # title and keys of the help -> where they are pressed
    "Everywhere": {"1 to 8", "/", "f", "p", "t", "z, Ctrl + z", "Backspace", "?"},
    "Pictures": {
        "arrows",
        "Enter",
        "Space",
        "Shift + arrows",
        "v",
        "e",
        "c",
        "Home, End",
        "Page Up, Page Down",
        "+ −",
        "Ctrl + a",
        "Ctrl + click",
        "Shift + click",
        "long press",
    },
    "Large view": {"← →", "+ −", "Shift + arrows", "0", "1", "g", "c", "Space", "Enter", "e, Esc"},
    "Verdict": {"y", "n", "u"},
    "Map": {"arrows", "+ −", "0", "Enter", "Space", "s", "l", "Esc"},
}
DRAWN = {  # view -> what is there once it is drawn
    "browse": ".wall [aria-posinset]",
    "map": ".map-legend summary",
    "near?q=0": ".columns .wall",
    "distribution?q=0": "main span:text-is('5 pictures')",
    "compare?q=0&q=4": ".chart .scatterlayer .trace",
    "verdict?q=0&x=colour": ".judged h2",
    "tidy": ".card .picture",
    "basket?tag=some": "main .wall",
}
WALLS = ("browse", "near?q=0", "distribution?q=0&from=0&to=1", "verdict?q=0&x=colour", "tidy?kind=outliers&cut=9", "basket?tag=some")


def _open_view(page, view):
    _go(page, f"#{view}")
    page.locator(f"main.view-{view.split('?')[0]}").wait_for()


def _tag(page, rows):
    """The tag `some` for the basket's view, which is empty else."""
    page.evaluate("rows => fetch('api/tag', { method: 'POST', body: JSON.stringify({ tag: 'some', places: rows, is_tagged: true }) })", rows)


@pytest.mark.slow
def test_the_help_names_the_keys_that_are_tested_here(page):
    page.keyboard.press("?")
    sections = page.locator("dialog section")
    expect(sections).to_have_count(len(KEYS_TESTED))
    shown = {section.locator("h3").text_content(): set(section.locator("kbd").all_text_contents()) for section in sections.all()}
    assert shown == KEYS_TESTED


@pytest.mark.slow
def test_keys_of_the_page_work_on_every_view(page):
    _tag(page, [0, 1, 2])
    for number, (view, drawn) in enumerate(DRAWN.items(), 1):
        _open_view(page, view)
        page.locator(drawn).first.wait_for()
        before = page.evaluate("document.documentElement.dataset.theme")
        page.keyboard.press("t")
        page.wait_for_function("before => document.documentElement.dataset.theme !== before", arg=before)
        page.keyboard.press("?")
        page.locator("dialog[open]").wait_for()
        page.keyboard.press("?")
        page.locator("dialog").wait_for(state="detached")
        page.keyboard.press("/")
        page.wait_for_function("() => document.activeElement.matches('#filters input')")
        page.keyboard.press("Escape")
        page.wait_for_function("() => document.activeElement === document.body")
        page.keyboard.press("f")
        page.wait_for_function("() => document.querySelector('#facets').contains(document.activeElement)")
        page.keyboard.press("Escape")
        page.wait_for_function("() => document.activeElement.id === 'filters-button'")
        page.keyboard.press("p")
        page.wait_for_function("() => document.activeElement.matches('.wall, .map, .picture')")
        address = page.evaluate("location.href")
        page.keyboard.press(str(number % 8 + 1))
        page.wait_for_function("address => location.href !== address", arg=address)
        page.keyboard.press("Backspace")
        page.wait_for_url(address)


@pytest.mark.slow
@pytest.mark.parametrize("view", WALLS)
def test_keys_of_pictures_work_on_every_wall(page, view):
    _tag(page, [0, 1, 2, 3])
    _open_view(page, view)
    page.locator("main .wall [aria-posinset='1']").wait_for(state="attached")
    page.keyboard.press("p")

    def stands_at(place):
        page.locator(f"main .wall [aria-posinset='{place}']").wait_for(state="attached")

    count = int(page.locator("main .wall [role=option]").get_attribute("aria-setsize"))
    for key, place in [
        ("ArrowRight", 2),
        ("ArrowLeft", 1),
        ("End", count),
        ("Home", 1),
        ("PageDown", count),
        ("PageUp", 1),
        ("ArrowDown", count),
        ("ArrowUp", 1),
    ]:
        page.keyboard.press(key)
        stands_at(place)
    for is_picked in ("true", "false"):
        page.keyboard.press(" ")
        page.locator(f"main .wall [aria-selected={is_picked}]").wait_for(state="attached")
    page.keyboard.press("v")
    page.locator(".preview").wait_for()
    page.keyboard.press("v")
    page.locator(".preview").wait_for(state="hidden")
    page.keyboard.press("Shift+ArrowRight")
    page.locator("#tabs", has_text="Basket (2)").wait_for()
    page.keyboard.press("Enter")
    if view.startswith("verdict"):  # there it judges
        page.get_by_text("1 mark", exact=True).wait_for()
    else:
        page.wait_for_url(re.compile(r"#near\?q=id"))


@pytest.mark.slow
def test_plus_and_minus_change_the_size_of_pictures(page):
    page.keyboard.press("p")
    for key, size in (("+", "144"), ("+", "184"), ("-", "144")):
        page.keyboard.press(key)
        page.wait_for_url(re.compile(f"size={size}"))


@pytest.mark.slow
def test_tiles_have_captions_and_edges_and_the_large_view_leafs_through_them(page):
    _open_view(page, "near?q=0")
    page.locator(".first-run").wait_for(state="hidden")  # it stands over Browse alone
    _open_view(page, "browse")
    page.get_by_role("button", name="Got it").click()
    page.reload()
    page.get_by_label("Caption").select_option("c:colour")
    expect(page.locator(".first-run")).to_have_count(0)  # dismissed for good
    _open_view(page, "near?q=0&caption=c:colour&edge=c:colour")
    option = page.locator("main .wall [role=option]")
    expect(option).to_have_text("reds/red 2.png, 0.980, 80.0 %, reds, the same colour: reds")
    page.keyboard.press("ArrowRight")
    option.filter(has_text="another colour:").wait_for(state="attached")
    page.keyboard.press("e")
    large = page.locator("dialog.large")
    large.get_by_text("2 of 5").wait_for()
    for key, place in (("ArrowRight", 3), ("ArrowRight", 4), ("ArrowLeft", 3)):
        page.keyboard.press(key)
        large.get_by_text(f"{place} of 5").wait_for()
    large.get_by_text("60 × 40 px").wait_for()
    large.locator(".strip button").first.wait_for()
    page.locator(".sheet[style*='scale(1)']:not(.waiting)").wait_for()  # not as the picture before was
    page.keyboard.press("+")
    page.locator(".sheet[style*='scale(1.4)']").wait_for()
    page.set_viewport_size({"width": 1280, "height": 760})  # as when the neighbours come
    page.wait_for_function("() => innerHeight === 760")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.locator(".sheet[style*='scale(1.4)']").wait_for()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("0")
    page.locator(".sheet[style*='translate(0px, 0px) scale(1)']").wait_for()
    page.keyboard.press("g")
    large.get_by_text("tells of no recipe").wait_for()
    large.get_by_role("button", name="Hide").focus()
    for key, place in (("ArrowRight", 4), ("ArrowRight", 5), ("ArrowLeft", 4), ("ArrowLeft", 3)):  # drawn anew, and still the keys' own
        page.keyboard.press(key)
        large.get_by_text(f"{place} of 5").wait_for()
    large.get_by_label("the next picture").focus()
    for key, place in (("Enter", 4), ("Enter", 5), ("ArrowLeft", 4), ("ArrowLeft", 3)):  # the arrow is gone at the last
        page.keyboard.press(key)
        large.get_by_text(f"{place} of 5").wait_for()
    large.locator(".stage").focus()
    page.keyboard.press(" ")
    large.get_by_role("button", name="Out of the basket").wait_for()
    page.keyboard.press("z")
    large.get_by_role("button", name="Into the basket").wait_for()
    large.locator("#toast", has_text="Undone.").wait_for(state="attached")  # above the dialog; it is seen for five seconds only
    page.keyboard.press(" ")
    large.get_by_role("button", name="Out of the basket").wait_for()
    page.reload()  # the address has it
    large.get_by_text("3 of 5").wait_for()
    page.keyboard.press("Escape")
    large.wait_for(state="hidden")
    page.locator("main .wall [aria-posinset='3']").wait_for(state="attached")
    page.keyboard.press("e")
    large.wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("trail="))
    large.wait_for(state="hidden")
    page.go_back()
    large.wait_for()
    page.go_back()
    large.wait_for(state="hidden")


@pytest.mark.slow
def test_clicks_with_ctrl_and_shift_pick(page):
    _wait_for_colour(page, 60, 60, 0)
    page.locator(".wall").click(position={"x": 50, "y": 50}, modifiers=["Control"])
    page.get_by_text("Basket (1)").wait_for()
    page.locator(".wall").click(position={"x": 300, "y": 50}, modifiers=["Shift"])
    page.get_by_text("Basket (3)").wait_for()
    page.locator(".wall").click(position={"x": 180, "y": 50}, modifiers=["Shift"])  # the range shrinks, too
    page.get_by_text("Basket (2)").wait_for()
    page.keyboard.press("Control+a")
    page.get_by_text("Basket (6)").wait_for()
    for undone in (2, 3):
        page.keyboard.press("z")
        page.get_by_text(f"Basket ({undone})").wait_for()


@pytest.mark.slow
def test_late_answers_do_not_undo_what_was_picked_since(page):
    _wait_for_colour(page, 60, 60, 0)
    delay = """() => {
        const asked = window.fetch;
        let number = 0;
        window.fetch = async (...given) => {
            const answer = await asked(...given);
            await new Promise(done => setTimeout(done, 200 * (3 - number++)));
            return answer;
        };
    }"""
    page.evaluate(delay)
    page.keyboard.press("p")
    for key in (" ", "ArrowRight", " ", "ArrowRight", " "):
        page.keyboard.press(key)
    page.locator("#tabs", has_text="Basket (3)").wait_for()
    seen = page.evaluate("""async () => {
        const seen = new Set();
        for (let step = 0; step < 40; step++) {
            seen.add(document.querySelector("#tabs [data-view=basket]").textContent);
            await new Promise(done => setTimeout(done, 25));
        }
        return [...seen];
    }""")
    assert seen == ["Basket (3)"]


@pytest.mark.slow
def test_changes_reach_the_server_in_the_order_they_were_made_in(page):
    delay = """() => {
        const asked = window.fetch;
        let number = 0;
        window.fetch = async (path, options) => {
            if (options?.method === "POST" && !number++) await new Promise(done => setTimeout(done, 400));
            return asked(path, options);
        };
    }"""
    page.evaluate(delay)
    page.keyboard.press("p")
    for _ in range(2):
        page.keyboard.press(" ")
    notes = lambda: page.evaluate("fetch('api/notes').then(answer => answer.json())")
    _wait_until(page, lambda: notes()["version"] == 2)
    assert notes()["tags"] == {}
    page.keyboard.press("z")
    page.get_by_text("Basket (1)").wait_for()


@pytest.mark.slow
def test_names_that_come_late_leave_who_judges_at_the_same_picture(address, watched_page):
    page, held = watched_page("about:blank"), []
    page.route("**/api/names", lambda route: held.append(route))
    page.goto(f"{address}#verdict?q=0&x=colour")
    page.locator(".main .wall [aria-posinset='1']").wait_for(state="attached")
    page.locator(".main .wall").focus()
    page.keyboard.press("ArrowRight")
    page.locator(".main .wall [aria-posinset='2']").wait_for(state="attached")
    _wait_until(page, lambda: held)
    held[0].continue_()
    page.get_by_role("button", name="Mark by colour").wait_for()
    page.locator(".query", has_text="red 1.png").wait_for()
    assert page.evaluate("[document.activeElement.className, document.activeElement.querySelector('[role=option]').ariaPosInSet]") == ["wall", "2"]


@pytest.mark.slow
def test_an_answer_that_comes_late_is_not_shown_in_another_list(page):
    held = []
    page.route("**/api/corrections", lambda route: held.append(route))
    with page.expect_request("**/api/corrections"):
        _go(page, "#tidy?kind=corrected")
    _go(page, "#tidy?kind=hubs")
    page.get_by_text("Skewness").first.wait_for()
    _wait_until(page, lambda: held)
    with page.expect_response("**/api/corrections") as answer:
        held[0].continue_()
    answer.value.finished()
    page.wait_for_timeout(100)
    expect(page.get_by_text("Skewness")).to_have_count(1)
    expect(page.get_by_text("No label is corrected")).to_have_count(0)


@pytest.mark.slow
def test_what_comes_late_takes_nothing_from_who_is_at_work(page, address):
    held, notes = [], []
    page.route("**/api/neighbours?*", lambda route: held.append(route))
    page.route("**/api/tag", lambda route: held.append(route))
    page.keyboard.press("p")
    page.keyboard.press(" ")
    _wait_until(page, lambda: held)
    page.route("**/api/notes", lambda route: notes.append((route, route.fetch())))  # as they are before the tag is written
    page.request.post(f"{address.partition('?')[0]}api/tag", data={"tag": "of another page", "places": [1], "is_tagged": True})
    page.evaluate("dispatchEvent(new Event('focus'))")
    _wait_until(page, lambda: notes)
    with page.expect_response("**/api/tag"):
        held.pop().continue_()
    page.get_by_label("Tag", exact=True).wait_for()  # the other page's
    with page.expect_response("**/api/notes"):
        notes[0][0].fulfill(response=notes[0][1])
    page.unroute("**/api/notes")
    page.wait_for_timeout(100)
    assert "Basket (1)" in page.locator("#tabs").text_content()  # the older answer has none
    tags = page.get_by_label("Tag", exact=True)
    tags.focus()
    for tag, count in (("of another page", "1 of 6 pictures"), ("", "6 pictures")):
        tags.select_option(tag)
        page.locator("#count", has_text=re.compile(f"^{count}")).wait_for()
        expect(tags).to_be_focused()
    tags.blur()

    _open_view(page, "near?q=0")
    page.keyboard.press("/")
    page.keyboard.type("r")
    _wait_until(page, lambda: len(held) == 2)  # for what is typed, too
    for route in held:
        route.continue_()
    page.locator(".columns .wall").wait_for()
    expect(page.get_by_label("name contains")).to_be_focused()

    held.clear()
    page.get_by_role("button", name="200", exact=True).focus()
    page.keyboard.press("Enter")
    _wait_until(page, lambda: held)
    page.keyboard.press("/")
    held[0].continue_()
    page.locator("[aria-pressed=true]", has_text="200").wait_for()
    expect(page.get_by_label("name contains")).to_be_focused()  # and not again where the answers were asked for

    page.locator("#tabs [data-view=browse]").hover()
    page.mouse.down()
    _go(page, "#near?q=1")
    page.locator(".query-picture img[alt*='red 2']").wait_for()
    page.mouse.up()
    page.locator("main.view-browse").wait_for()

    page.unroute("**/api/neighbours?*")
    _open_view(page, "near?q=0&caption=c:colour")
    page.locator(".columns .wall [role=option]", has_text="reds, the same").wait_for(state="attached")
    page.get_by_role("link", name="On the map").hover()
    page.mouse.down()
    page.request.post(f"{address.partition('?')[0]}api/relabel", data={"column": "colour", "places": [1], "label": "purples", "who": "Jo"})
    page.evaluate("dispatchEvent(new Event('focus'))")
    page.locator(".columns .wall [role=option]", has_text="purples").wait_for(state="attached")  # what stands beside is drawn anew, too
    page.mouse.up()
    page.locator("main.view-map").wait_for()

    _open_view(page, "verdict?q=0&x=colour")
    page.get_by_text("Which layer found a picture is hidden").wait_for()
    page.get_by_role("button", name="By label").hover()
    page.mouse.down()
    mark = {"question": "colour", "query": "0", "marks": {"1": True}, "judge": "Jo"}
    page.request.post(f"{address.partition('?')[0]}api/mark", data=mark)  # the bar with the button is drawn anew
    with page.expect_response("**/api/verdict?*"):
        page.evaluate("dispatchEvent(new Event('focus'))")
    page.mouse.up()
    page.wait_for_url(re.compile("by=colour"))


@pytest.mark.slow
@pytest.mark.parametrize("start", ["throw new Error('none here')", "setTimeout(() => this.dispatchEvent(new Event('error')))"])
def test_thumbnails_are_decoded_without_a_worker_and_without_codecs(page, start):
    ask = f"""async () => {{
        window.Worker = class extends EventTarget {{ constructor() {{ super(); {start}; }} postMessage() {{}} }};
        window.ImageDecoder = undefined;  // as on a page by http
        const {{ Decoder }} = await import("/static/decoding.js"), decoder = new Decoder();
        const encoded = new Uint8Array(await (await fetch("image/0?px=320")).arrayBuffer()), broken = encoded.slice(0, 9);
        const bitmaps = [await decoder.decode([encoded, broken]), await decoder.decode([broken, encoded])];
        return bitmaps.flat().map(bitmap => bitmap && bitmap.width);
    }}"""
    assert page.evaluate(ask) == [60, None, None, 60]


@pytest.mark.slow
def test_marks_tags_and_questions_come_back(page):
    _go(page, "#verdict?q=0&x=its colour")
    page.locator(".main .wall").focus()
    for key in "yn":
        page.keyboard.press(key)
    page.get_by_text("2 marks", exact=True).wait_for()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Forget this question").click()
    page.wait_for_function("() => !location.hash.includes('x=')")
    page.get_by_role("button", name="undo").click()
    _go(page, "#verdict?q=0&x=its colour")
    page.get_by_text("2 marks", exact=True).wait_for()
    page.get_by_role("button", name="undo").click()
    page.get_by_text("1 mark", exact=True).wait_for()
    _tag(page, [0, 1])
    page.evaluate("dispatchEvent(new Event('focus'))")
    _go(page, "#basket?tag=some")
    page.get_by_text("2 pictures").wait_for()
    page.get_by_role("button", name="Forget this tag").click()
    page.locator("main .wall").wait_for(state="hidden")
    page.keyboard.press("Control+z")
    page.get_by_role("link", name="some (2)").wait_for()


@pytest.mark.slow
def test_keys_of_the_map_move_it_and_switch_the_lasso(page):
    _open_view(page, "map")
    page.locator(".map-legend", has_text="greens").wait_for()
    page.keyboard.press("p")
    for key, at in [
        ("ArrowRight", "0.1500,0.0000,"),
        ("ArrowUp", "0.1500,0.1500,"),
        ("ArrowLeft", "0.0000,0.1500,"),
        ("ArrowDown", "0.0000,0.0000,"),
        ("+", ",1.40"),
        ("-", ",1.00"),
    ]:
        page.keyboard.press(key)
        page.wait_for_function("at => new URLSearchParams(location.hash.split('?')[1]).get('at')?.replace('-0.0000', '0.0000').includes(at)", arg=at)
    page.keyboard.press("0")
    page.wait_for_function("() => !location.hash.includes('at=')")
    for is_on in ("true", "false"):
        page.keyboard.press("l")
        page.locator(f"button[aria-pressed={is_on}]", has_text="Lasso").wait_for()
    for key in ("ArrowRight", "s"):  # the second before the address has the first
        page.keyboard.press(key)
    page.wait_for_url(re.compile("(?=.*at=0.1500).*lasso="))
    page.keyboard.press("Escape")
    page.locator(".drawer").wait_for(state="hidden")
    page.get_by_label("Clusters").select_option("off")
    page.wait_for_url(re.compile("names=off"))
    page.locator(".map").focus()
    page.keyboard.press("0")
    page.wait_for_function("() => !location.hash.includes('at=')")
    box = page.locator(".map").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2)
    page.keyboard.press("t")  # colours come in the middle of it
    page.mouse.up()
    page.wait_for_url(re.compile(r"at=-0\.0*[1-9]"))


@pytest.mark.slow
def test_the_neighbourhood_is_walked_with_a_trail_back(page):
    _go(page, "#near?q=0")
    page.locator("main.view-near .wall").wait_for()  # the wall of Browse began with a red picture, too
    _wait_for_colour(page, 60, 60, 0)
    page.locator(".wall").click(position={"x": 50, "y": 50})
    page.wait_for_url(re.compile(r"q=id%3Areds%2Fred\+2.png&trail=id%3Areds%2Fred\+1.png"))
    page.locator(".trail a").first.click()
    page.wait_for_url(re.compile(r"q=id%3Areds%2Fred\+1.png$"))
    page.locator(".trail").wait_for(state="hidden")
    page.get_by_role("button", name="all layers side by side").click()
    page.wait_for_function("() => document.querySelectorAll('.columns section').length === 2")
    page.get_by_text("are also in colours").wait_for()
    page.go_back()
    page.wait_for_function("() => document.querySelectorAll('.columns section').length === 1")


@pytest.mark.slow
def test_the_distribution_is_brushed_back_to_pictures(page):
    _go(page, "#distribution?q=0")
    page.locator(".chart .barlayer path").first.wait_for()
    page.get_by_text("random pairs").first.wait_for()
    page.get_by_label("from").fill("0.9")
    page.get_by_label("from").press("Tab")
    page.get_by_text("1 picture", exact=True).wait_for()
    page.get_by_role("button", name="least alike first").click()
    page.wait_for_url(re.compile("from=low"))
    page.locator("[aria-pressed=true]", has_text="least alike first").wait_for()
    page.get_by_text("1 picture", exact=True).wait_for()  # it comes after the chart, which a drag needs
    box = page.locator(".chart .nsewdrag").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60, steps=5)
    page.mouse.up()
    page.get_by_text("4 pictures", exact=True).wait_for()
    highest = page.get_by_label("to", exact=True)
    chosen = highest.input_value()
    for key in ("End", "5", "Backspace", "Tab"):  # typed and taken back
        highest.press(key)
    assert highest.input_value() == chosen
    page.get_by_role("button", name="First hundred").click()
    expect(highest).to_have_value("0.980")


@pytest.mark.slow
def test_queries_and_groups_are_compared(page):
    _go(page, "#compare?q=0&q=4")
    page.get_by_role("heading", name="Kolmogorov-Smirnov distance").wait_for()
    chart = page.locator(".chart").element_handle()
    page.get_by_label("+ colour").focus()
    page.get_by_label("+ colour").select_option("greens")
    page.wait_for_function("() => document.querySelectorAll('.matrices table')[2]?.rows.length === 4")
    expect(page.get_by_label("+ colour")).to_be_focused()
    assert chart.evaluate("chart => chart === document.querySelector('.chart')")  # another one would leave this one's listeners behind
    expect(page.locator(".chart .scatterlayer .trace")).to_have_count(4)  # three queries and random pairs
    page.get_by_role("button", name="without colour greens").click()
    page.wait_for_function("() => document.querySelectorAll('.matrices table')[2]?.rows.length === 3")


@pytest.mark.slow
def test_hits_are_judged_from_the_keyboard(page):
    _go(page, "#verdict?q=0")
    page.get_by_label("X: what should be retrieved").fill("its 'colour'")
    page.get_by_label("X: what should be retrieved").press("Enter")
    page.wait_for_url(re.compile("x=its"))
    page.locator(".main .wall").wait_for()
    page.locator(".main .wall").focus()
    for key in "ynnnn":
        page.keyboard.press(key)
    expect(page.locator("aside tr", has_text="at 5").first).to_have_text("at 50.20 0.04–0.62")  # Wilson's interval of one in five
    page.get_by_label("the verdict in words").fill("yes, here")
    page.get_by_text("Judged queries").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Report").click()
    with open(download.value.path(), encoding="utf-8") as report:
        assert "Do deep features retrieve its &#x27;colour&#x27;?" in report.read()


@pytest.mark.slow
def test_a_question_is_answered_by_label(page):
    _go(page, "#verdict")
    page.get_by_role("button", name="By label").click()
    page.get_by_text("Of the first ten hits in colours 20 % have the same colour (20 to 20 %), 1.0 times what chance would give (20 %)").wait_for()
    row = page.locator("tr", has_text="precision at 1").first
    expect(row).to_have_text(re.compile(r"^precision at 1colours1\.00 1\.00–1\.00 *0\.2005\.0 ×"))
    page.get_by_label("Layer").select_option("1")  # from it the others differ
    page.get_by_role("columnheader", name="minus other").wait_for()
    page.get_by_label("Layer").select_option("0")
    page.get_by_role("columnheader", name="minus colours").wait_for()
    with page.expect_response(re.compile("label-retrieval.*most=9")) as answer:
        page.get_by_label("Queries").select_option("all")
    assert answer.value.ok
    page.get_by_text("All 6 pictures that share their colour with another were asked.").wait_for()
    page.get_by_role("link", name="greens").click()
    page.locator("#count", has_text="2 of 6").wait_for()
    page.go_back()
    page.get_by_role("button", name="By hand").click()
    page.get_by_text("Ask with a picture").wait_for()


@pytest.mark.slow
def test_the_map_is_lassoed_and_coloured(page):
    _go(page, "#map")
    page.locator(".map-legend", has_text="greens").wait_for()
    page.wait_for_function("() => !document.querySelector('.map .state')")
    page.get_by_role("button", name="Lasso").click()
    box = page.locator(".map").bounding_box()
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.5)]
    page.mouse.move(box["x"] + corners[0][0] * box["width"], box["y"] + corners[0][1] * box["height"])
    page.mouse.down()
    for x, y in corners[1:]:
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
    page.mouse.up()
    page.locator(".drawer").get_by_text("6 pictures", exact=True).wait_for()
    page.get_by_role("button", name="Into the basket").click()
    page.get_by_text("Basket (6)").wait_for()
    _go(page, "#map?q=0&colour=similarity")
    page.locator(".map-legend .ramp").wait_for()


@pytest.mark.slow
def test_housekeeping_finds_pairs_and_the_basket_lets_them_out(page):
    _go(page, "#tidy?least=0.95")
    page.get_by_text("3 groups of 6 pictures").wait_for()
    for row in (1, 3, 5):
        page.locator(".members .picture").nth(row).click(modifiers=["Control"])
    page.get_by_text("Basket (3)").wait_for()
    for kind, text in (("hubs", "Skewness"), ("outliers", "beyond the cut"), ("labels", re.compile("the surest first|No label"))):
        _go(page, f"#tidy?kind={kind}")
        page.get_by_text(text).first.wait_for()
    _go(page, "#basket")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    with open(download.value.path(), encoding="utf-8") as table:
        assert len(table.read().splitlines()) == 4
    page.get_by_label("tag").fill("doubles")
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_role("link", name="doubles (3)").wait_for()


@pytest.mark.slow
def test_two_pages_see_each_others_marks(page, address, watched_page):
    other = watched_page(address)
    page.keyboard.press("p")
    page.keyboard.press(" ")
    other.get_by_text("Basket (1)").wait_for()


@pytest.mark.slow
@pytest.mark.parametrize("width, scheme", [(390, "dark"), (1280, "light")])
def test_nothing_is_wider_than_the_page(address, watched_page, width, scheme):
    page = watched_page(address, width, 844, scheme)
    page.locator("#filters-button:enabled").wait_for()
    _tag(page, [0, 1, 2])
    for view, drawn in DRAWN.items():
        _open_view(page, view)
        page.locator(drawn).first.wait_for()
        page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)


@pytest.mark.slow
def test_a_failed_question_is_told_on_the_page_and_a_wrong_address_too(page):
    _go(page, "#near?q=g:colour%3Dpink")
    page.get_by_text("there is no picture with colour = pink").wait_for()


@pytest.mark.slow
def test_a_picture_from_outside_without_a_network_is_told(page, photos):
    _go(page, "#near")
    page.locator("#outside-file").set_input_files(photos / "reds" / "red 1.png")
    page.wait_for_url(re.compile("q=u%3A"))
    page.get_by_text("tells of no recipe").wait_for()
