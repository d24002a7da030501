"""The map in a real browser: legend, clusters, contours, UMAP under way, and the same without WebGL."""

import re
import threading

import numpy as np
import PIL.Image
import pytest

from tfvision.apps.explorer import tables
from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.server import running
from tfvision.apps.explorer.session import Session
from tfvision.index.folder_gallery import FolderGallery

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'tfvision[test]'").expect
LABELS, EACH = 40, 10
AS_IF_BY_A_CARD = """for (const { prototype } of [WebGLRenderingContext, WebGL2RenderingContext]) {
    const { getExtension } = prototype;
    prototype.getExtension = function (name) { return name === "WEBGL_debug_renderer_info" ? null : getExtension.call(this, name); };
}"""


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """400 pictures in two clusters: labels 0 to 19 on the right, 20 to 39 on the left."""
    folder = tmp_path_factory.mktemp("map")
    PIL.Image.new("RGB", (8, 8), (200, 60, 60)).save(folder / "one.png")
    random, labels = np.random.default_rng(0), np.repeat(np.arange(LABELS), EACH)
    vectors = np.float32(0.08 * random.standard_normal((len(labels), 3)) + np.stack([np.where(labels < LABELS // 2, 1, -1), 0 * labels, 0.5 + 0 * labels], 1))
    metadata = [{"label": f"label {label}", "side": "right" if label < LABELS // 2 else "left"} for label in labels]
    with FolderGallery.create(folder / "gallery", 3, {"identity": "x"}) as made:
        ids = [f"{number}.png" for number in range(len(labels))]
        made.add(ids, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), [str(folder / "one.png")] * len(ids), metadata)
    Session(plan([folder / "gallery"])).thumbnails.fill()
    return folder / "gallery"


@pytest.fixture(params=["webgl", "canvas"])
def page(request, gallery, watched_page):
    with running(plan([gallery])) as url:
        page = watched_page("about:blank")
        if request.param == "webgl":
            page.add_init_script(AS_IF_BY_A_CARD)
        page.goto(f"{url}#map?colour=c:side")
        page.locator(".map-legend button", has_text="right").wait_for()
        expect(page.locator(".map")).to_have_attribute("data-painter", request.param)
        yield page
        page.close()


@pytest.mark.slow
def test_labels_are_hidden_and_shown_and_clusters_named(page):
    names = page.locator(".map-names button:visible")
    expect(names).to_have_count(2)
    assert sorted(names.all_text_contents()) == ["left", "right"]
    page.locator(".map-legend button", has_text="left").click()
    page.wait_for_url(re.compile("hide=%3Dleft"))
    page.wait_for_function("() => document.querySelector('.map').dataset.points === '200'")
    page.locator(".map").focus()
    page.keyboard.press("s")
    page.locator(".drawer").get_by_text("200 pictures", exact=True).wait_for()
    page.get_by_role("button", name="only left").focus()
    page.keyboard.press("Enter")  # the selection is of what is shown
    page.wait_for_url(re.compile("hide=%3Dright|only=%3Dleft"))
    page.locator(".drawer").get_by_text("200 pictures", exact=True).wait_for()
    page.wait_for_function("() => document.activeElement.ariaLabel === 'show all labels'")  # the same button, drawn anew
    page.get_by_role("button", name="Show all", exact=True).click()
    page.locator(".drawer").get_by_text("400 pictures", exact=True).wait_for()
    page.keyboard.press("Escape")  # wherever the focus is
    page.locator(".drawer").wait_for(state="hidden")
    page.get_by_role("button", name="Lasso").click()
    page.locator("button[aria-pressed=true]", has_text="Lasso").wait_for()
    page.keyboard.press("Escape")
    page.locator("button[aria-pressed=false]", has_text="Lasso").wait_for()
    page.get_by_role("button", name="Contours").click()
    page.get_by_label("Clusters").select_option("pictures")
    page.locator(".map-names .picture canvas").first.wait_for()
    page.get_by_label("Colour", exact=True).select_option("c:label")
    page.locator(".map-legend button", has_text="8 others").wait_for()
    assert len(set(page.locator(".map-legend .label path").evaluate_all("all => all.map(one => one.getAttribute('d') + one.getAttribute('fill'))"))) == 33


@pytest.mark.slow
@pytest.mark.parametrize("page", ["webgl"], indirect=True)
def test_pca_is_shown_while_umap_is_computed(page, monkeypatch):
    done = threading.Event()
    monkeypatch.setattr(tables, "check_umap", lambda: None)
    monkeypatch.setattr("tfvision.apps.explorer.routes.check_umap", lambda: None)

    def umap(path, tell):
        tell(0.5, "UMAP, round 1 of 2")
        done.wait(300)
        with np.load(path) as arrays:
            return arrays["vectors"][::-1]

    monkeypatch.setattr(tables, "_run_umap", umap)
    page.get_by_role("button", name="UMAP").click()
    page.locator(".map-notice", has_text="round 1 of 2").wait_for()
    page.wait_for_function("() => document.querySelector('.map').dataset.points === '400'")
    done.set()
    page.locator(".map-notice").wait_for(state="hidden")
    page.locator(".map-names button", has_text="right").wait_for()


@pytest.mark.slow
@pytest.mark.parametrize("page", ["webgl"], indirect=True)
def test_points_are_found_as_by_comparing_all(page):
    script = """async () => {
        const { Points, isInside } = await import("/static/map_points.js"), count = 50000, plane = new Float32Array(2 * count);
        for (let index = 0; index < plane.length; index++) plane[index] = Math.sin(index * 12.9898) * Math.cos(index * 0.37);
        plane[14] = plane[15] = NaN;
        const points = new Points(plane), isShown = Uint8Array.from({ length: count }, (_, row) => Number(row % 3 > 0));
        const line = [[-0.5, -0.4], [0.7, -0.9], [0.1, 0.2], [30, 0.9], [-0.8, 0.3]];
        points.show(isShown);
        const naive = (x, y) => {
            const distance = row => (plane[2 * row] - x) ** 2 + (plane[2 * row + 1] - y) ** 2;
            let best = 1;
            for (let row = 1; row < count; row++) if (isShown[row] && distance(row) < distance(best)) best = row;
            return best;
        };
        const within = Array.from({ length: count }, (_, row) => row).filter(row => isShown[row] && isInside(plane[2 * row], plane[2 * row + 1], line));
        const places = [[0, 0], [0.31, -0.77], [3, -9], [-0.99, 0.99]];
        return {
            nearest: places.map(([x, y]) => points.nearestOfAll(x, y)), naive: places.map(([x, y]) => naive(x, y)), none: points.nearest(5, 5, 0.1),
            inside: points.inside(line).rows.join() === within.join(), some: within.length,
            count: points.countIn({ left: -2, right: 2, bottom: -2, top: 2 }), all: points.rows.length,
            first: points.countIn({ left: -2, right: 2, bottom: -2, top: 2 }, 1),
        };
    }"""
    found = page.evaluate(script)
    assert found["nearest"] == found["naive"] and found["none"] == -1
    assert found["inside"] and found["some"] > 5000
    assert found["count"] == 33_332 and found["all"] == 49_999
    assert 10_000 < found["first"] < 11_300  # two thirds of the 16,000 of the first level
