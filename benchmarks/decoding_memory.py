"""What a picture costs in a served graph: the peak of memory above what the process had, in bytes a pixel, and seconds.

    python benchmarks/decoding_memory.py savedmodels/species                          # all of hostile_pictures.PICTURES
    python benchmarks/decoding_memory.py savedmodels/species "huge PNG" "GIF of 40 MP"

One process, as TensorFlow Serving loads the model; each picture comes twice, so that what is not given back would show.
`a pixel` is the peak, `kept` what the process has more after the second.
"""

import argparse
import concurrent.futures
import io
import multiprocessing
import sys
import time
from pathlib import Path

from hostile_pictures import PICTURES
from serving.server import memory_mb
from serving.tables import print_header, print_table

from tfvision.export.versions import version_folders

REPEATS = 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export", metavar="EXPORT_FOLDER", help="a model's folder of versions")
    parser.add_argument("pictures", nargs="*", default=list(PICTURES), help="names of hostile_pictures.PICTURES")
    options = parser.parse_args()
    print_header()
    folder, rows = list(version_folders(options.export).values())[-1], []
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _load, (folder,)) as pool:
        for name in options.pictures:
            with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as maker:
                encoded = maker.submit(_made, name).result()
            rows.append((name, *pool.submit(_measured, encoded).result()))
            print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    print_table(("picture", "kB", "MP", "peak MB", "a pixel", "kept MB", "seconds", "answer"), *rows)


def _made(name):
    return PICTURES[name]()


def _load(folder):
    global servable
    from tfvision.export.samples import sample_images
    from tfvision.serving.servable import Servable

    servable = Servable.load(folder, folder.parent.name, 1)
    for _ in range(3):
        servable.run("", {"image_bytes": sample_images()[:1]})


def _measured(encoded):
    from tfvision.serving.examples import string_array
    from tfvision.serving.servable import return_freed_memory

    return_freed_memory()
    before, seconds = memory_mb(), []
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    for _ in range(REPEATS):
        started = time.perf_counter()
        try:
            servable.run("", {"image_bytes": string_array([encoded])})
            answer = "answered"
        except Exception as error:
            answer = str(error)[:90]
        seconds.append(time.perf_counter() - started)
    peak, kept, pixels = memory_mb(field="VmHWM") - before, memory_mb() - before, _pixels(encoded)
    return [len(encoded) // 1000, f"{pixels / 1e6:.1f}", f"{peak:.0f}", f"{peak * 2**20 / pixels:.1f}", f"{kept:.0f}", f"{min(seconds):.2f}", answer]


def _pixels(encoded):
    import PIL.Image

    PIL.Image.MAX_IMAGE_PIXELS = None
    with PIL.Image.open(io.BytesIO(encoded)) as image:
        return image.width * image.height


if __name__ == "__main__":
    main()
