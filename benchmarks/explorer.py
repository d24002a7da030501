"""The explorer at 100,000 or 1,000,000 pictures of 512 values, in Debian's Chromium: beside each figure the limit it must keep.

    python benchmarks/explorer.py [--rows 100000] [--dimension 512] [--chromium /usr/bin/chromium] [--folder FOLDER]

PYTHONPATH=CHECKOUT before it measures another version on the same gallery, where FOLDER is given. The vectors are those of
benchmarks/index_search.py; the thumbnails are 2,048 different synthetic ones. The page runs in a headless browser on the same machine, drawn by the
processor alone. Each latency is the median of 15 questions that were not asked before, from the page's own question to the parsed answer; that of a
filter is from the changed address to the count on the page and two frames more. Scrolling is one screen in 0.4 s for 6 s. The map is zoomed in and
out, two-fold, for 6 s, and so it is where it shows pictures. Memory is what the server's process holds beside the mapped file of vectors. The load is
that of the last minute, when a line was measured. Behind the verdict stands what one question or frame took of the processor, server and browser
together, which other work of the machine hardly changes.
"""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import click
from index_search import clustered_vectors

_DIFFERENT = 2048
_QUESTIONS = 15
_LABELS, _YEARS = 97, 30
_PART = 65_536
_LIMITS = {100_000: (1000, 100, 300), 1_000_000: (3000, 300, 3000)}  # ms: first picture, neighbours, distribution
_FIRST_PICTURE = """() => new Promise(done => {
    const look = () => {
        const canvas = document.querySelector(".wall canvas"), data = canvas?.width > 300 && canvas.getContext("2d").getImageData(40, 40, 1, 1).data;
        const isThere = data && Math.max(...data.slice(0, 3)) - Math.min(...data.slice(0, 3)) > 25;
        isThere ? done(performance.now()) : requestAnimationFrame(look);
    };
    look();
})"""
_FRAMES = """function frames(step) {
    return new Promise(done => {
        const began = performance.now(), times = [];
        const next = now => {
            times.push(now);
            step(now - began);
            if (now - began < 6000) return requestAnimationFrame(next);
            const gaps = times.slice(1).map((time, place) => time - times[place]).sort((a, b) => a - b);
            done({ frames: gaps.length, rate: 1000 * gaps.length / (times.at(-1) - times[0]), worst: gaps[Math.floor(0.99 * gaps.length)] });
        };
        requestAnimationFrame(next);
    });
}"""
_SCROLL = """() => { const wall = document.querySelector(".wall"); return smoothly(passed => { wall.scrollTop = passed / 400 * wall.clientHeight; }); }"""
_ZOOM = """() => {
    const map = document.querySelector(".map"), box = map.getBoundingClientRect();
    const at = { clientX: box.left + box.width * 0.45, clientY: box.top + box.height * 0.55 };
    let before = 0;
    return smoothly(passed => {
        const now = Math.log(2) * (1 - Math.cos(2 * Math.PI * passed / 3000)) / 2;
        map.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY: (before - now) / 0.0016, bubbles: true, cancelable: true }));
        before = now;
    });
}"""
_ASK = """async path => { const began = performance.now(); await (await fetch(path)).json(); return performance.now() - began; }"""
_FILTER = """([address, count]) => new Promise(done => {
    const began = performance.now(), frame = () => new Promise(next => requestAnimationFrame(next));
    location.hash = address;
    const look = async () => {
        const told = [...document.querySelectorAll("#filters, main .tools-row, [role=status]")].map(one => one.textContent).join(" ");
        if (!told.includes(count)) return requestAnimationFrame(look);
        await frame();
        await frame();
        done(performance.now() - began);
    };
    look();
})"""
_FORCE_WEBGL = """for (const { prototype } of [WebGLRenderingContext, WebGL2RenderingContext]) {
    const { getExtension } = prototype;
    prototype.getExtension = function (name) { return name === "WEBGL_debug_renderer_info" ? null : getExtension.call(this, name); };
}"""
_RENDERER = """() => {
    const gl = document.createElement("canvas").getContext("webgl"), told = gl?.getExtension("WEBGL_debug_renderer_info");
    return gl ? gl.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : gl.RENDERER) : "no WebGL";
}"""


@click.command()
@click.option("--rows", default=100_000, show_default=True)
@click.option("--dimension", default=512, show_default=True)
@click.option("--chromium", default="/usr/bin/chromium", show_default=True)
@click.option("--force-webgl", "is_webgl_forced", is_flag=True, help="Draw the map by SwiftShader's WebGL as well, which the page declines.")
@click.option("--folder", help="Where the gallery is made, and found again. [default: a temporary folder]")
def main(rows, dimension, chromium, is_webgl_forced, folder):
    """Print a table of figures and limits."""
    kept, folder = folder, folder or tempfile.mkdtemp()
    try:
        gallery = os.path.join(folder, "gallery")
        if not os.path.exists(gallery):
            _make(gallery, rows, dimension)
        shutil.rmtree(f"{gallery}-explorer/derived", ignore_errors=True)  # what an earlier run has computed
        _measure(gallery, rows, chromium, is_webgl_forced)
    finally:
        if not kept:
            shutil.rmtree(folder)


def _make(folder, rows, dimension):
    from tfvision.apps.explorer.thumbnails import SHEET, THUMBNAIL_PX, sheet_path, write_sheet
    from tfvision.files import checksum_of, write_json
    from tfvision.index.folder_gallery import FolderGallery

    os.makedirs(os.path.dirname(folder), exist_ok=True)
    thumbnails = [_thumbnail(number, THUMBNAIL_PX) for number in range(_DIFFERENT)]
    photo = os.path.join(os.path.dirname(folder), "photo.webp")
    with open(photo, "wb") as file:
        file.write(thumbnails[0])
    ids, vectors = [f"photos/{number:07d}.jpg" for number in range(rows)], clustered_vectors(rows, dimension)
    with FolderGallery.create(folder, dimension) as gallery:
        for start in range(0, rows, _PART):
            part = range(start, min(rows, start + _PART))
            metadata = [{"label": f"label {number % _LABELS}", "year": 1990 + number % _YEARS} for number in part]
            gallery.add(ids[start : part.stop], vectors[start : part.stop], [photo] * len(part), metadata)
    sheets, crc32 = f"{folder}-explorer/thumbnails", []
    for number, start in enumerate(range(0, rows, SHEET)):
        path, same = sheet_path(sheets, number), sheet_path(sheets, number - _DIFFERENT // SHEET)
        if start + SHEET <= rows and number >= _DIFFERENT // SHEET:
            os.link(same, path)  # the same thumbnails as eight sheets before
            crc32.append(crc32[-_DIFFERENT // SHEET])
        else:
            crc32.append(write_sheet(path, [thumbnails[place % _DIFFERENT] for place in range(start, min(start + SHEET, rows))]))
    listed = {"thumbnail_px": THUMBNAIL_PX, "ids": ids, "crc32": crc32}
    write_json(os.path.join(sheets, "sheets.json"), {**listed, "checksum": checksum_of(listed)})


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


def _measure(gallery, rows, chromium, is_webgl_forced):
    from playwright.sync_api import sync_playwright

    import tfvision

    print(f"{rows} pictures; {os.cpu_count()} cores; {os.path.dirname(tfvision.__file__)}", flush=True)
    first_ms, near_ms, far_ms = _LIMITS.get(rows, _LIMITS[1_000_000])
    started = time.perf_counter()
    command = [sys.executable, "-P", "-c", "from tfvision.cli.main import main; main()", "explore", gallery, "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:
        try:
            url = next(line.split()[1] for line in server.stderr if line.startswith("explorer"))
            _tell("server answers after", f"{time.perf_counter() - started:.1f} s")
            page = _open(playwright, chromium, url, "--enable-unsafe-swiftshader")
            first = page.evaluate(_FIRST_PICTURE)
            _tell("first picture after opening", f"{first:.0f} ms", f"{first_ms} ms", first <= first_ms)
            _wait_for_names(page)
            _tell_frames(page, "scrolling, as indexed", _SCROLL, 50)
            _go(page, "browse?sort=random")
            _tell_frames(page, "scrolling, in random order", _SCROLL, 50)
            for path in ("api/neighbours?q=1", "api/distribution?q=1"):
                page.evaluate("path => fetch(path)", path)  # vectors are read from the disk once
            for name, what, start, limit in (
                ("neighbours of a click", "neighbours", 5, near_ms),
                ("distribution of a query", "distribution", 50_000 % rows, far_ms),
            ):
                _tell_latencies(name, _asked(page, _ASK, [f"api/{what}?q={(start + 977 * number) % rows}" for number in range(_QUESTIONS)]), limit)
            _tell_filters(page, rows)
            renderer = page.evaluate(_RENDERER)
            _tell_map(page, renderer)
            _tell("server's memory beside the vectors", f"{_memory_mb(server.pid):.0f} MB", "1000 MB", _memory_mb(server.pid) < 1000)
            page.context.browser.close()
            if is_webgl_forced:
                page = _open(playwright, chromium, url, "--enable-unsafe-swiftshader", _FORCE_WEBGL)
                _wait_for_names(page)
                _tell_map(page, renderer)
                page.context.browser.close()
        finally:
            server.terminate()


def _open(playwright, chromium, url, flag, script=""):
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", flag])
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(120_000)
    page.add_init_script(script)
    page.goto(url, wait_until="commit")
    page.evaluate(f"() => {{ window.smoothly = {_FRAMES}; }}")
    return page


def _wait_for_names(page):
    page.wait_for_function("() => document.querySelector('main .tools-row select')")
    page.wait_for_function("() => [...document.querySelectorAll('main option')].some(one => one.textContent.includes('year'))")
    page.wait_for_timeout(2000)


def _go(page, address):
    page.evaluate("address => { location.hash = address }", f"#{address}")
    page.wait_for_timeout(3000)


def _tell_frames(page, name, script, least):
    used = _processor_seconds()
    found = page.evaluate(script)
    used = 1000 * (_processor_seconds() - used) / max(1, found["frames"])
    _tell(name, f"{found['rate']:.0f} frames a second (1 % above {found['worst']:.0f} ms)", str(least), found["rate"] >= least, used)


def _asked(page, script, questions):
    """(milliseconds of each, of the processor for each in the mean)."""
    used = _processor_seconds()
    times = [page.evaluate(script, question) for question in questions]
    return times, 1000 * (_processor_seconds() - used) / len(times)


def _tell_filters(page, rows):
    count = lambda found: f"{found:,} of {rows:,}"
    labels = [sum(number % _LABELS == label for number in range(rows)) for label in range(_QUESTIONS)]
    _go(page, "browse")
    _tell_latencies("filter by a label", _asked(page, _FILTER, [[f"#browse?f=label:label {label}", count(found)] for label, found in enumerate(labels)]), 100)
    texts = [f"{number:03d}" for number in range(100, 100 + 3 * _QUESTIONS, 3)]
    ids = [f"photos/{number:07d}.jpg" for number in range(rows)]
    asked = [[f"#browse?text={text}", count(sum(text in id for id in ids))] for text in texts]
    page.evaluate(_FILTER, asked[0])  # names are made ready for it once
    _tell_latencies("filter by a part of the name", _asked(page, _FILTER, asked[1:]), 100)
    _go(page, "browse")


def _tell_map(page, renderer):
    began = time.perf_counter()
    page.evaluate("location.hash = '#map'")
    page.wait_for_function("() => document.querySelector('.map canvas') && !document.querySelector('.map .state') && document.querySelector('.map-legend div')")
    ready, painter = time.perf_counter() - began, page.locator(".map").get_attribute("data-painter") or "canvas"
    page.wait_for_timeout(2000)
    _tell(f"map by {painter}, drawn after", f"{1000 * ready:.0f} ms ({renderer})")
    for name, address in (("the whole", None), ("where pictures are seen", "map?at=0.02,0.03,{}&show=auto")):
        if address:
            _go(page, address.format(60))
        _tell_frames(page, f"map by {painter}, {name}", _ZOOM, 30)


def _tell_latencies(name, found, limit):
    times, used = found
    middle = statistics.median(times)
    _tell(name, f"{middle:.0f} ms (slowest {max(times):.0f})", f"{limit} ms", middle <= limit, used)


def _tell(name, figure, limit="", is_kept=None, used_ms=None):
    verdict = "" if is_kept is None else "kept" if is_kept else "MISSED"
    used = "" if used_ms is None else f"{used_ms:.0f} ms"
    print(f"{name:36} {figure:44} {limit:>8}  {verdict:7} {used:>7}  load {os.getloadavg()[0]:.1f}", flush=True)


def _processor_seconds():
    """What this process and all that it started, the server and the browser among them, have had of the processor."""
    parents, used = {}, {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as file:
            words = file.read().rpartition(")")[2].split()
            parents[int(name)], used[int(name)] = int(words[1]), int(words[11]) + int(words[12])
    own = {os.getpid()}
    while grown := {process for process, parent in parents.items() if parent in own} - own:
        own |= grown
    return sum(used.get(process, 0) for process in own) / os.sysconf("SC_CLK_TCK")


def _memory_mb(process):
    """What a process holds in memory, the mapped file of vectors left out."""
    held, is_counted = 0, True
    with open(f"/proc/{process}/smaps") as maps:
        for line in maps:
            name, *words = line.split()
            if not name.endswith(":"):
                is_counted = not line.rstrip().endswith("vectors.f32")
            elif name == "Rss:" and is_counted:
                held += int(words[0])
    return held / 1024


if __name__ == "__main__":
    main()
