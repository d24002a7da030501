import asyncio
import contextlib
import dataclasses
import os
from pathlib import Path

import keras
import numpy as np
import pytest

from tfvision.apps.style.presets import get_preset
from tfvision.models.vgg19 import CHANNELS, CONTENT_LAYER, PERCEPTUAL_LAYERS, STYLE_LAYERS, build_vgg19

PATIENCE_MS = 180_000  # of a browser's tests: the machine may be busy


@pytest.fixture(scope="session")
def smooth_picture():
    """(seed, height, width) -> a picture of coloured waves, uint8: something to see at every scale."""
    return _smooth_picture


def _smooth_picture(seed, height, width):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 40
    waves = [np.sin(a * y + b * x + c) for a, b, c in random.uniform(-3, 3, (6, 3))]
    colours = random.uniform(-40, 40, (6, 3))
    return np.clip(127 + sum(wave[..., None] * colour for wave, colour in zip(waves, colours, strict=True)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def photo():
    return _smooth_picture(0, 72, 96)


@pytest.fixture(scope="session")
def painting():
    return _smooth_picture(1, 80, 64)


@pytest.fixture(scope="session")
def tiny_network():
    """VGG19 with two channels in its first block and random weights."""
    keras.utils.set_random_seed(0)
    return build_vgg19(2, "avg", (CONTENT_LAYER, *STYLE_LAYERS))


@pytest.fixture
def tiny_preset():
    """The default preset, small and short."""
    return dataclasses.replace(get_preset("default"), network="vgg19_slim", size=64, scales=(), iterations=6, tolerance=0.0)


@pytest.fixture(scope="session")
def small_teacher(tmp_path_factory):
    """A small VGG19 of width 2 in PyTorch's layout, random, as `teachers.read_small` reads it."""
    random = np.random.default_rng(0)
    stored = {"conv0.weight": 255 * np.eye(3)[::-1, :, None, None] + random.normal(size=(3, 3, 1, 1)), "conv0.bias": np.float32([-104, -117, -124])}
    channels = 3
    for layer in PERCEPTUAL_LAYERS:
        width, name = 2 * CHANNELS[int(layer[4]) - 1], layer.replace("_", "")
        stored[f"{name}.weight"] = random.normal(0, (2 / 9 / channels) ** 0.5, (width, channels, 3, 3))
        stored[f"{name}.bias"] = random.normal(0, 0.5, width)
        channels = width
    path = tmp_path_factory.mktemp("teachers") / "small.npz"
    np.savez(path, **{name: np.float32(values) for name, values in stored.items()})
    return path


@pytest.fixture(scope="session")
def wide_teacher(tmp_path_factory):
    """The first blocks of a VGG19 of width 4, random, as Keras saves it."""
    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("teachers") / "wide.weights.h5"
    build_vgg19(4, taps=("conv2_2",)).save_weights(path)
    return path


@pytest.fixture(scope="session")
def stylizer_exportable(stylizer_run):
    from tfvision.apps.stylizer.export import make_exportable

    return make_exportable(stylizer_run)


@pytest.fixture(scope="session")
def stylizer_export(stylizer_exportable, tmp_path_factory):
    """What `export_model` told of an export with TFLite."""
    from tfvision.export.export import export_model

    return export_model(stylizer_exportable, tmp_path_factory.mktemp("savedmodels"), tflite=True, verify=False)


@pytest.fixture
def client(stranger):
    """The client `stranger` of a page, with the page's token."""
    assert stranger.get("/?token=secret-token").status_code == 303
    return stranger


@pytest.fixture(scope="session")
def chromium():
    """(Debian's Chromium, cut off from all but the loopback, the event loop by which Playwright drives it)."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'tfvision[test]'")
    path = os.environ.get("TFVISION_CHROMIUM", "/usr/bin/chromium")
    if not os.path.exists(path):
        pytest.skip(f"no browser at {path}: apt-get install chromium, or set TFVISION_CHROMIUM")
    playwright.expect.set_options(timeout=PATIENCE_MS)
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        opened = started.chromium.launch(executable_path=path, timeout=3 * PATIENCE_MS, args=arguments)
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield opened, loop
        asyncio._set_running_loop(loop)
        opened.close()


@pytest.fixture
def browser(chromium):
    """Chromium; its loop, which stands still between Playwright's calls, counts as this thread's running one during the test alone: others run theirs."""
    opened, loop = chromium
    asyncio._set_running_loop(loop)
    yield opened
    asyncio._set_running_loop(None)


@pytest.fixture
def watched_page(browser):
    """A function (address, width, height, scheme, options of the context) -> page; at the end, no error was told and nothing asked of other hosts.

    The browser's line on an answer of 400 is none: the page shows a user's error itself.
    """
    opened, told = [], []

    def open_page(url, width=1280, height=800, scheme="light", **options):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True, **options)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", lambda message: told.append(message.text) if message.type == "error" and "status of 400" not in message.text else None)
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(("http://127.0.0.1:", "blob:", "data:")) else told.append(f"asked {request.url}"))
        opened.append(context)
        page.goto(url)
        return page

    yield open_page
    for context in opened:
        with contextlib.suppress(Exception):
            context.close()
    assert told == []


@pytest.fixture(scope="session")
def violations():
    """A function: page -> [rule, what it was found at] by axe-core, where npm has installed what .ci/package.json lists."""
    path = Path(__file__).parents[2] / ".ci" / "node_modules" / "axe-core" / "axe.min.js"
    if not path.exists():
        pytest.skip("axe-core is not here: npm ci --prefix .ci")
    script = path.read_text(encoding="utf-8")
    run = (
        "axe.run(document, { resultTypes: ['violations'] }).then(found => found.violations.map(one => [one.id, one.nodes.map(node => node.target.join(' '))]))"
    )

    def found(page):
        if not page.evaluate("'axe' in window"):
            page.evaluate(script)
        return page.evaluate(run)

    return found
