"""The explorer at 100,000 pictures of 512 values, in Debian's Chromium: beside each figure the limit it must keep.

    python benchmarks/explorer.py [--rows 100000] [--dimension 512] [--chromium /usr/bin/chromium]

The vectors are those of benchmarks/index_search.py; the thumbnails are 2,048 different synthetic ones. The page runs in a
headless browser on the same machine, drawn by the processor alone. Each latency is the median of 15 questions that were
not asked before, from the page's own question to the parsed answer. Scrolling is one screen in 0.4 s for 6 s. Memory is all that the
server's process holds, the mapped vectors included.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import click
from index_search import clustered_vectors

_DIFFERENT = 2048
_QUESTIONS = 15
_FIRST_PICTURE = """() => new Promise(done => {
    const look = () => {
        const canvas = document.querySelector(".wall canvas"), data = canvas?.width > 300 && canvas.getContext("2d").getImageData(40, 40, 1, 1).data;
        const isThere = data && Math.max(...data.slice(0, 3)) - Math.min(...data.slice(0, 3)) > 25;
        isThere ? done(performance.now()) : requestAnimationFrame(look);
    };
    look();
})"""
_SCROLL = """() => new Promise(done => {
    const wall = document.querySelector(".wall"), began = performance.now(), times = [];
    const step = now => {
        times.push(now);
        wall.scrollTop = (now - began) / 400 * wall.clientHeight;
        if (now - began < 6000) requestAnimationFrame(step);
        else {
            const gaps = times.slice(1).map((time, place) => time - times[place]).sort((a, b) => a - b);
            done({ rate: 1000 * gaps.length / (times.at(-1) - times[0]), worst: gaps[Math.floor(0.99 * gaps.length)] });
        }
    };
    requestAnimationFrame(step);
})"""
_ASK = """async path => { const began = performance.now(); await (await fetch(path)).json(); return performance.now() - began; }"""


@click.command()
@click.option("--rows", default=100_000, show_default=True)
@click.option("--dimension", default=512, show_default=True)
@click.option("--chromium", default="/usr/bin/chromium", show_default=True)
@click.option("--folder", help="Where the gallery is made, and found again. [default: a temporary folder]")
def main(rows, dimension, chromium, folder):
    """Print a table of figures and limits."""
    kept, folder = folder, folder or tempfile.mkdtemp()
    try:
        gallery = os.path.join(folder, "gallery")
        if not os.path.exists(gallery):
            _make(gallery, rows, dimension)
        _measure(gallery, rows, chromium)
    finally:
        if not kept:
            shutil.rmtree(folder)


def _make(folder, rows, dimension):
    from tfvision.apps.explorer.thumbnails import SHEET, THUMBNAIL_PX, sheet_path, write_sheet
    from tfvision.files import write_json
    from tfvision.index.folder_gallery import FolderGallery

    os.makedirs(os.path.dirname(folder), exist_ok=True)
    thumbnails = [_thumbnail(number, THUMBNAIL_PX) for number in range(_DIFFERENT)]
    photo = os.path.join(os.path.dirname(folder), "photo.webp")
    with open(photo, "wb") as file:
        file.write(thumbnails[0])
    ids = [f"photos/{number:06d}.jpg" for number in range(rows)]
    with FolderGallery.create(folder, dimension) as gallery:
        gallery.add(
            ids, clustered_vectors(rows, dimension), [photo] * rows, [{"label": f"label {number % 97}", "year": 1990 + number % 30} for number in range(rows)]
        )
    sheets = f"{folder}-explorer/thumbnails"
    for number, start in enumerate(range(0, rows, SHEET)):
        write_sheet(sheet_path(sheets, number), [thumbnails[place % _DIFFERENT] for place in range(start, min(start + SHEET, rows))])
    write_json(os.path.join(sheets, "sheets.json"), {"thumbnail_px": THUMBNAIL_PX, "ids": ids})


def _thumbnail(number, size):
    """Coloured noise, blurred as photos are smooth: about as many bytes as a real one."""
    import io

    import numpy as np
    import PIL.Image

    random = np.random.default_rng(number)
    coarse = PIL.Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8)).resize((size, size * 3 // 4), PIL.Image.Resampling.BICUBIC)
    tint = np.array([[255, 90, 60], [60, 200, 90], [70, 110, 255]][number % 3]) / 255
    pixels = (np.asarray(coarse, float) * 0.6 + 255 * 0.4) * tint + random.normal(0, 6, (size * 3 // 4, size, 3))
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "WEBP", quality=80, method=2)
    return buffer.getvalue()


def _measure(gallery, rows, chromium):
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-c", "from tfvision.cli.main import main; main()", "explore", gallery, "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:
        try:
            url = next(line.split()[1] for line in server.stderr if line.startswith("explorer"))
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(url, wait_until="commit")
            first = page.evaluate(_FIRST_PICTURE)
            page.wait_for_function("document.querySelector('[aria-label=\"name contains\"]')")
            page.wait_for_timeout(3000)  # names and labels are loaded
            scrolling = page.evaluate(_SCROLL)
            page.evaluate("location.hash = '#browse?sort=random'")
            page.wait_for_timeout(2000)
            scattered = page.evaluate(_SCROLL)
            page.evaluate("path => fetch(path)", "api/neighbours?q=1")  # vectors are read from the disk once
            page.evaluate("path => fetch(path)", "api/distribution?q=1")
            near, far = (
                [page.evaluate(_ASK, f"api/{what}?q={start + 977 * number}") for number in range(_QUESTIONS)]
                for what, start in (("neighbours", 5), ("distribution", 50_000 % rows))
            )
            memory = _memory_mb(server.pid)
            browser.close()
        finally:
            server.terminate()
    lines = [
        ("first picture after opening", f"{first:.0f} ms", "1000 ms", first <= 1000),
        ("scrolling, as indexed", f"{scrolling['rate']:.0f} frames a second", "50", scrolling["rate"] >= 50),
        ("scrolling, in random order", f"{scattered['rate']:.0f} frames a second", "50", scattered["rate"] >= 50),
        ("slowest hundredth of these frames", f"{scrolling['worst']:.0f} and {scattered['worst']:.0f} ms", "", None),
        ("neighbours of a click", f"{statistics.median(near):.0f} ms (slowest {max(near):.0f})", "100 ms", statistics.median(near) <= 100),
        ("distribution of a query", f"{statistics.median(far):.0f} ms (slowest {max(far):.0f})", "300 ms", statistics.median(far) <= 300),
        ("server's memory", f"{memory:.0f} MB", "1000 MB", memory < 1000),
    ]
    print(f"{rows} pictures; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name, figure, limit, is_kept in lines:
        print(f"{name:36} {figure:28} {limit:>8}  {'' if is_kept is None else 'kept' if is_kept else 'MISSED'}")


def _memory_mb(process):
    with open(f"/proc/{process}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    main()
