import multiprocessing
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tfvision.applications import APPLICATIONS, Application


@pytest.fixture(scope="module")
def colour_names():
    """The application of tests/training/colour_names: one folder, and one row of APPLICATIONS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        patch.setitem(APPLICATIONS, "colour-names", Application("colour_names"))
        yield
    for name in [name for name in sys.modules if name.split(".")[0] == "colour_names"]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def warm_process():
    """A function (script, arguments...) -> a process that runs it, forked from one that has imported TensorFlow and run nothing; it ends with this one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tfvision.training.session"])

    def start(script, *arguments):
        script = f"import sys\nsys.argv = {['', *map(str, arguments)]}\n{script}"
        process = context.Process(target=exec, args=(script, {"__name__": "__main__"}), daemon=True)  # of others this process would wait for the end
        process.start()
        return process

    return start


@pytest.fixture(scope="session")
def two_colours(tmp_path_factory):
    """A folder of 16 photos of 8 x 8 px, red_N.png and blue_N.png."""
    folder, random = tmp_path_factory.mktemp("two-colours"), np.random.default_rng(0)
    for number in range(16):
        name, colour = (("red", (200, 40, 40)), ("blue", (40, 40, 200)))[number % 2]
        pixels = np.clip(random.normal(colour, 20, (8, 8, 3)), 0, 255).astype(np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{name}_{number:02}.png")
    return folder
