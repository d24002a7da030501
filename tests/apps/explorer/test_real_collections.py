"""The page on real collections, indexed while it is open: slow, skipped where the data, the weights or a browser are absent."""

import csv
import os
import re

import pytest

from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.server import running

pytestmark = pytest.mark.usefixtures("opened_once")
PICTURES = 40


@pytest.fixture(params=["leeds_butterfly", "imagenet_samples"])
def collection(request, shared, tmp_path, monkeypatch):
    """A manifest of some pictures of a real set, spread over its classes, and a broken one."""
    if not (shared / "weights" / "mobilenet_v2.weights.h5").exists():
        pytest.skip("no weights of mobilenet_v2 in shared/weights")
    monkeypatch.setenv("TFVISION_WEIGHTS", str(shared / "weights"))
    folder = shared / "data" / request.param
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    with open(folder / "labels.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows = rows[:: len(rows) // PICTURES][:PICTURES]
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 cut short")
    with open(tmp_path / "some.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "file": os.path.abspath(folder / row["file"])} for row in rows)
        writer.writerow({**dict.fromkeys(rows[0], ""), "file": "broken.jpg", list(rows[0])[-1]: rows[0][list(rows[0])[-1]]})
    return tmp_path / "some.csv"


@pytest.mark.slow
def test_a_folder_is_looked_at_while_it_is_indexed_and_every_act_works(collection, watched_page, tmp_path):
    pictures = os.environ.get("TFVISION_SCREENSHOTS")  # a folder: the pictures of each act are kept there
    with running(plan([str(collection)], layers=["block_9_add", "out_relu"], state=str(tmp_path / "state"))) as url:
        page = watched_page(url)
        page.set_default_timeout(300_000)
        page.get_by_text(f"{PICTURES + 1} pictures").first.wait_for()  # at once, before anything is indexed
        page.wait_for_function("() => document.querySelectorAll('#layers option').length === 2")
        page.get_by_text("1 picture could not be read").wait_for()
        waits = {
            "browse": ".wall", "map": "canvas", "near?q=7&side=1": ".columns section + section .wall", "distribution?q=7": ".barlayer path",
            "compare?q=7&q=30": ".matrices table", "verdict?q=7&x=the same species": ".main .wall", "tidy": ":is(.page, .state:has-text('No two pictures'))",
            "tidy?kind=hubs": ".wall", "basket": ".state",
        }  # fmt: skip
        for address, selector in waits.items():
            page.evaluate("address => { location.hash = address }", f"#{address}")
            page.wait_for_selector(f"main.view-{re.split('[?]', address)[0]} {selector}", state="attached")  # a bar may have no height
            if pictures:
                page.wait_for_timeout(1500)
                page.screenshot(path=os.path.join(pictures, f"{collection.parent.name}-{re.sub('[^a-z0-9]+', '-', address)}.png"))
        page.evaluate("location.hash = '#near'")
        with open(collection, encoding="utf-8", newline="") as file:
            photo = list(csv.DictReader(file))[7]["file"]
        page.locator("#outside-file").set_input_files(photo)  # a picture from outside that is inside as well
        page.wait_for_url(re.compile("q=u%3A"))
        page.locator(".columns .wall").first.wait_for()
        page.keyboard.press("p")
        page.wait_for_function("() => /1\\.000/.test(document.querySelector('.wall [role=option]').textContent)")
        page.close()  # before the server: it would tell that nobody answers
