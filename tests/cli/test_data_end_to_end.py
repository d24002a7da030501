"""From a real export of iNaturalist, its photos served by this machine, to a trained run and an identification."""

import csv
import http.server
import io
import json
import re
import threading

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.usefixtures("figures_once")

COLOURS = {"Calopteryx maculata": (30, 60, 200), "Libellula luctuosa": (200, 60, 40), "Argia apicalis": (60, 200, 60)}  # instead of their photos


@pytest.fixture
def served_export(shared, tmp_path):
    """The export with the addresses of its photos on this machine, which answers with noise in a colour for each species."""
    export = shared / "data" / "dwca" / "inat" / "observations_export.csv"
    if not export.exists():
        pytest.skip(f"no {export}")
    text = export.read_text(encoding="utf-8")
    with open(export, encoding="utf-8", newline="") as file:
        colours = {re.search(r"/photos/(\d+)/", row["image_url"])[1]: COLOURS.get(row["scientific_name"]) for row in csv.DictReader(file) if row["image_url"]}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            photo = re.search(r"/photos/(\d+)/", self.path)[1]
            buffer = io.BytesIO()
            pixels = np.random.default_rng(int(photo)).normal(colours[photo], 25, (80, 96, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(buffer, "JPEG")
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(buffer.tell()))
            self.end_headers()
            self.wfile.write(buffer.getvalue())

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = tmp_path / "observations.csv"
    path.write_text(re.sub(r"https://[\w.-]+/photos/", f"http://127.0.0.1:{server.server_address[1]}/photos/", text), encoding="utf-8")
    yield path
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_an_export_becomes_a_run_that_identifies(served_export, run_command, tiny_settings, tmp_path):
    imported, prepared, run = tmp_path / "imported", tmp_path / "prepared", tmp_path / "run"

    def json_of(*arguments):
        code, out, err = run_command(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    report = json_of("data", "import", served_export, imported, "--min-per-species", "5", "--allow-private", "--requests-per-second", "500")
    assert report["kept"] == {"photos": 20, "observations": 20, "species": 3} and report["photos"]["done"] == 20
    checked = json_of("data", "check", imported, "--out", tmp_path / "check")
    assert (checked["images"], checked["unreadable"], checked["duplicates"]) == (20, 0, 0)
    assert json_of("data", "prepare", imported, prepared, "--shards", "2")["images"] == 20
    settings = [part for key, value in tiny_settings.items() for part in ("--set", f"{key}={value}")]
    trained = json_of("train", "species", prepared, "--run", run, *settings)
    assert (trained["images"], trained["classes"]) == (20, 3)
    with open(imported / "manifest.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    code, out, err = run_command("identify", run, *(imported / row["image"] for row in rows), "--threshold", "0", "--json")
    assert code == 0, err
    answers = [json.loads(line) for line in out.splitlines()]
    right = sum(answer["taxon"] == row["species"] for answer, row in zip(answers, rows, strict=True))
    assert right >= 12  # of 20, by colour alone; with other first weights 14 to 20, by chance 7
