"""How soon the default preset reaches the loss of plain L-BFGS: one scale, the same network and losses.

    python benchmarks/style_convergence.py PHOTO PAINTING [--size 512] [--iterations 300] [--network auto]

Plain L-BFGS starts from white noise, as the paper does, and again from the photo. The default preset goes from coarse
to fine; what it spends on the coarser scales counts. Seconds are those of the descents, without loading the network.
"""

import dataclasses
import os
import time

import click

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@dataclasses.dataclass
class Trace:
    """(seconds, evaluations, total loss) after each iteration at the full size."""

    points: list

    def reaching(self, loss):
        """The first point at or below a loss, or None."""
        return next((point for point in self.points if point[2] <= loss), None)


def trace(photo, painting, preset):
    """Runs a preset; a Trace with the time of its coarser scales in it."""
    from tfvision.apps.style.stylization import stylize

    points, started = [], time.perf_counter()

    def on_iteration(progress):
        if progress.scale == progress.scales:
            points.append((time.perf_counter() - started, progress.evaluations, progress.total_loss))

    stylize(photo, [painting], preset, on_iteration=on_iteration)
    return Trace(points)


@click.command()
@click.argument("photo")
@click.argument("painting")
@click.option("--size", default=512, show_default=True)
@click.option("--iterations", default=300, show_default=True, help="Of plain L-BFGS.")
@click.option("--network", default="auto", show_default=True)
def main(photo, painting, size, iterations, network):
    """Print a table: seconds and evaluations to the loss of plain L-BFGS."""
    from tfvision.apps.style.presets import get_preset
    from tfvision.data.decoding import read_pixels

    photo, painting = read_pixels(photo), read_pixels(painting)
    default = dataclasses.replace(get_preset("default"), size=size, network=network, tolerance=0.0, iterations=iterations)
    plain = dataclasses.replace(default, scales=())
    trace(photo, painting, dataclasses.replace(plain, size=64, iterations=1))  # loads the network
    runs = {
        "plain, from noise": trace(photo, painting, dataclasses.replace(plain, start="noise")),
        "plain, from the photo": trace(photo, painting, dataclasses.replace(plain, start="photo")),
        "default, as many iterations": trace(photo, painting, default),
    }
    seconds, _, wanted = runs["plain, from noise"].points[-1]
    print(f"{size} px; default = {default.scales} and then {size} px; wanted: the loss of plain L-BFGS from noise, {wanted:.4g}\n")
    print(f"{'':<29}{'seconds to it':>14}{'share':>7}{'evaluations':>13}{'loss in the end':>17}")
    for name, run in runs.items():
        point = run.reaching(wanted)
        reached = f"{point[0]:>14.1f}{point[0] / seconds:>7.2f}{point[1]:>13}" if point else f"{'never':>14}{'':>20}"
        print(f"{name:<29}{reached}{run.points[-1][2]:>17.4g}")
    own = get_preset("default")
    print(f"\nthe default preset as it is stops after at most {sum(count for _, count in own.scales) + own.iterations} iterations")


if __name__ == "__main__":
    main()
