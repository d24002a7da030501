"""axe-core finds nothing on any view, at a desk and on a phone, nor on a report and a static copy."""

import pytest

from tfvision.apps.explorer.export import export_site
from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.server import running
from tfvision.apps.explorer.session import Session

VIEWS = {  # -> what is there when the view is drawn
    "browse?f=colour:reds": "#filters .chip",
    "browse?text=nothing": "main .state",
    "map?lasso=-2,-2;2,-2;2,2;-2,2": ".drawer strong",
    "near": "main .state",
    "near?q=0&side=1&trail=1": ".columns section + section .wall",
    "distribution?q=0": ".barlayer path",
    "compare?q=0&q=3&q=g:colour=reds": ".matrices table",
    "verdict?q=0&x=its colour": "aside .lost",
    "verdict?by=colour": ".measures",
    "tidy": ".groups .card",
    "tidy?kind=outliers": ".cut",
    "tidy?kind=labels": "main :is(.suspects li, .state:not(:has(progress)))",
    "tidy?kind=corrected": ".corrections li",
    "basket?tag=some": ".wall",
    "basket": "main .state",
    "browse?large=0": "dialog.large .strip button",
}


@pytest.fixture
def planned(make_gallery):
    """Two layers with a tag, a question, a query that is lost, and pictures that are gone."""
    what = plan([make_gallery(), make_gallery("other")])
    session = Session(what)
    session.thumbnails.fill()
    session.notes.tag("some", ["reds/red 1.png"])
    session.corrections.correct({"colour": {"reds/red 2.png": "greens"}}, "Jo")
    for query in ("id:reds/red 1.png", "id:gone.png"):
        session.notes.mark("its colour", query, {"reds/red 2.png": True})
    return what


@pytest.mark.slow
@pytest.mark.parametrize("width, height, scheme", [(1280, 800, "light"), (390, 844, "dark")])
def test_axe_finds_nothing_on_any_view(planned, photos, watched_page, violations, width, height, scheme):
    (photos / "blues" / "blue 2.png").unlink()  # a notice
    with running(planned) as url:
        page = watched_page(url, width, height, scheme, has_touch=width == 390)
        page.locator(".wall").wait_for()
        page.locator("#notices").get_by_text("1 gone").wait_for()
        page.locator("#filters-button:enabled").wait_for()
        for view, drawn in VIEWS.items():
            page.evaluate("address => { location.hash = address }", f"#{view}")
            page.locator(f"main.view-{view.split('?')[0]}").wait_for()
            page.locator(drawn).first.wait_for()
            assert violations(page) == [], view
        page.keyboard.press("Escape")
        page.locator("dialog.large").wait_for(state="hidden")
        page.keyboard.press("?")
        page.locator("dialog.help").wait_for()
        assert violations(page) == []
        page.keyboard.press("Escape")
        page.keyboard.press("f")
        page.locator("#facets .brush").wait_for()
        assert violations(page) == []
        page.close()  # before the server: it would tell that nobody answers


@pytest.mark.slow
def test_axe_finds_nothing_on_a_report_and_a_site(planned, tmp_path, serve_folder, watched_page, violations):
    export_site(planned, tmp_path / "site")
    with running(planned) as url:
        page = watched_page(url)
        page.locator(".wall").wait_for()
        report = page.evaluate("fetch('report?x=its colour').then(answer => answer.text())")
        page.close()
    (tmp_path / "site" / "report.html").write_text(report, encoding="utf-8")
    for name in ("report.html", ""):
        page = watched_page(serve_folder(tmp_path / "site") + name, 390, 844)
        page.locator("main :is(table, .wall)").first.wait_for()
        assert violations(page) == [], name
