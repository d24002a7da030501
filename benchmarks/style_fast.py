"""How long `--preset fast` takes: seconds to load a network, to see a painting and to paint a photo, at each size.

    python benchmarks/style_fast.py photo.jpg painting.jpg --module weights/ --module runs/stylizer [--size 512 --size 1024] [--sheet sheet.png]

Several paintings make the rows of the sheet, networks its columns. The rate of a large matrix product in the same run says what the machine had to give.
"""

import os
import time

import click
from machine import matrix_product_rate, median_seconds

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@click.command()
@click.argument("photo")
@click.argument("paintings", nargs=-1, required=True)
@click.option("--module", "modules", multiple=True, default=("",), help="As of `stylize --module`; repeatable. [default: the one of --preset fast]")
@click.option("--size", "sizes", multiple=True, type=int, default=(512, 1024), show_default=True)
@click.option("--repeats", default=5, show_default=True)
@click.option("--sheet", help="Write the pictures, of the first size, side by side.")
def main(photo, paintings, modules, sizes, repeats, sheet):
    """Print a table: seconds to load, to see a painting, to paint; of the calls after the first the median."""
    from tfvision.apps.style.fast import load_network
    from tfvision.data.decoding import read_pixels
    from tfvision.data.resizing import fitted_size, resized

    pixels, seen = read_pixels(photo), [read_pixels(painting) for painting in paintings]
    print(f"matrix product: {matrix_product_rate() / 1e9:.0f} GFLOP/s")
    print(f"{'network':<28} {'px':>11} {'load s':>8} {'see s':>8} {'first s':>8} {'paint s':>8}")
    columns = []
    for module in modules:
        started = time.perf_counter()
        network = load_network(module)
        load_seconds = time.perf_counter() - started
        see_seconds = median_seconds(lambda: network.style_of(seen[0]), repeats)  # noqa: B023
        styles = [network.style_of(painting) for painting in seen]
        for size in sizes:
            own = resized(pixels, *fitted_size(*pixels.shape[:2], size))
            started = time.perf_counter()
            network.paint(own, styles[0])
            first_seconds = time.perf_counter() - started
            seconds = median_seconds(lambda: network.paint(own, styles[0]), repeats)  # noqa: B023
            told = f"{own.shape[1]} x {own.shape[0]}"
            print(f"{network.name[:28]:<28} {told:>11} {load_seconds:8.2f} {see_seconds:8.3f} {first_seconds:8.2f} {seconds:8.2f}", flush=True)
        own = resized(pixels, *fitted_size(*pixels.shape[:2], sizes[0]))
        columns.append([network.paint(own, style) for style in styles])
    if sheet:
        _write_sheet(sheet, columns, seen)


def _write_sheet(path, columns, paintings):
    """A row a painting, which stands first."""
    import numpy as np

    from tfvision.apps.style.pictures import write_picture
    from tfvision.data.resizing import resized

    height = columns[0][0].shape[0]
    rows = []
    for number, painting in enumerate(paintings):
        pictures = [painting, *(column[number] for column in columns)]
        rows.append(np.hstack([resized(picture, height, round(picture.shape[1] * height / picture.shape[0])) for picture in pictures]))
    width = max(row.shape[1] for row in rows)
    write_picture(path, np.vstack([np.pad(row, [(0, 0), (0, width - row.shape[1]), (0, 0)], constant_values=255) for row in rows]))


if __name__ == "__main__":
    main()
