"""A camera's card of thousands of photos surveyed: every file accounted for, memory, photos a second beside `identify`, and killed ten times.

    python benchmarks/survey_card.py RUN [--photos 20000] [--size 1056x792] [--kills 10] [--card FOLDER] [--rounds 2]

The card is made with real EXIF: two cameras at two places, bursts of three, the clock of one an hour slow; 2 % of its files are broken photos
or foreign (videos, `._*`, `Thumbs.db`). Photos are those of the built-in specimens, scaled to the size. Each figure is of whole processes of
the command line. The last table is compared byte for byte with that of a survey that was killed (`kill -9`) at so many moments.
"""

import datetime
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_SPECIES, _OF_EACH = 20, 4  # that are drawn; each file is one of them with EXIF of its own
_TABLES = ("media.csv", "observations.csv")
_FIRST = datetime.datetime(2026, 5, 1, 6)


@click.command()
@click.argument("model")
@click.option("--photos", default=20000, show_default=True, help="Files of the card, broken and foreign ones included.")
@click.option("--size", default="1056x792", show_default=True, help="Pixels of each photo.")
@click.option("--kills", default=10, show_default=True, help="Moments at which the survey is killed.")
@click.option("--card", "folder", help="Where the card is made, or lies from an earlier call. [default: a temporary folder]")
@click.option("--rounds", default=2, show_default=True, help="Of survey and identify in turn.")
def main(model, photos, size, kills, folder, rounds):
    """Print what a survey of a large card costs, and whether it loses anything."""
    with tempfile.TemporaryDirectory() as work:
        card = Path(folder or Path(work, "card"))
        if not card.is_dir():
            draw_card(card, photos, tuple(map(int, size.split("x"))))
        files = [os.path.join(parent, name) for parent, _, names in os.walk(card) for name in names]
        print(f"{len(files):,} files, {sum(map(os.path.getsize, files)) / 1e9:.2f} GB, {size} px, {os.cpu_count()} cores, model {model}", flush=True)
        told = _measure(model, card, Path(work), rounds)
        _account(card, Path(work, "whole"), told, len(files))
        if kills:
            _kill(model, card, Path(work), kills, told["photos"])


def draw_card(card: Path, count: int, size: tuple[int, int]) -> None:
    """Makes a card of so many files, whose photos have this width and height."""
    encoded = [[_photo(species, number, size) for number in range(_OF_EACH)] for species in range(_SPECIES)]
    choice = random.Random(0)
    for number in range(count):
        camera = number % 2
        place = card / ("ridge/DCIM", "valley/DCIM")[camera] / f"{100 + number // 2000}RECNX"
        place.mkdir(parents=True, exist_ok=True)
        visit, shot = divmod(number // 2, 3)
        time = _FIRST + datetime.timedelta(minutes=37 * visit, seconds=2 * shot) - datetime.timedelta(hours=camera)
        name = place / f"IMG_{number:05}.JPG"
        species = random.Random(f"{camera} {visit}").randrange(_SPECIES)  # of all photos of a visit
        content = _with_exif(encoded[species][choice.randrange(_OF_EACH)], time, camera)
        kind = choice.random()
        if kind < 0.005:
            content = content[: len(content) // 2]
        elif kind < 0.01:
            content = b""
        elif kind < 0.02:
            name, content = place / choice.choice([f"CLIP{number}.AVI", f"._IMG_{number:05}.JPG", f"Thumbs{number}.db", f"IMG_{number:05}.XMP"]), b"foreign"
        name.write_bytes(content)


def _photo(species, number, size):
    import PIL.Image

    from tfvision.data.specimens import LINEAGES, draw_specimen

    pixels = draw_specimen(list(LINEAGES)[2 * species], 100 + number)
    grain = np.random.default_rng(number).normal(0, 12, (size[1], size[0], 1))
    large = np.asarray(PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BICUBIC), np.float32)
    file = io.BytesIO()
    PIL.Image.fromarray((large + grain).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def _with_exif(jpeg, time, camera):
    import PIL.Image

    exif = PIL.Image.Exif()
    exif[0x010F], exif[0x0110] = "RECONYX", ("HP2X", "HC600")[camera]
    exif.get_ifd(0x8769).update({0x9003: time.strftime("%Y:%m:%d %H:%M:%S"), 0x9011: "+02:00", 0xA431: f"P{camera + 1}"})
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 42.0 + camera, 0.0), 3: "W", 4: (3.0, 30.0, 0.0)})
    block = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    return jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:]


def _run(*arguments):
    """(seconds, seconds of the processors, peak memory in MB, stdout) of a command."""
    with tempfile.TemporaryFile() as out:
        started = time.perf_counter()
        process = subprocess.Popen(_tfvision(*arguments), stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        out.seek(0)
        return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out.read().decode()


def _tfvision(*arguments):
    return [sys.executable, "-c", "from tfvision.cli.main import main; main()", *map(str, arguments)]


def _survey(model, card, out):
    return ("survey", card, "--model", model, "--out", out, "--shift", "P2=+1h", "--json")


def _measure(model, card, work, rounds):
    """survey and identify in turn; the first survey is kept. Returns what it told."""
    rates, kept = {"survey": [], "identify": []}, {}
    for number in range(rounds):
        out = work / ("whole" if not number else "again")
        for name, arguments in {"survey": _survey(model, card, out), "identify": ("identify", model, card, "--json")}.items():
            seconds, cores, memory, told = _run(*arguments)
            kept = kept or json.loads(told)
            rates[name].append((kept["photos"] / seconds, kept["photos"] / cores))
            print(f"{name:<10}{rates[name][-1][0]:7.1f} photos/s, {rates[name][-1][1]:7.1f} a second of a core, {memory:6.0f} MB", flush=True)
            if not number and name == "survey":
                _grow(model, card, work)
        if number:
            shutil.rmtree(out)
    survey, identify = (np.median(found, axis=0) for found in rates.values())
    print(f"survey / identify: {survey[0] / identify[0]:.2f}, by a second of a core {survey[1] / identify[1]:.2f} (asked for 0.90)", flush=True)
    return kept


def _account(card, out, told, files):
    """Whether every file is in one row."""
    import csv

    with open(out / "media.csv", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    found = {os.path.relpath(os.path.join(parent, name), card) for parent, _, inner in os.walk(card) for name in inner}
    counted = told["answered"] + told["blank"] + told["broken"] + told["skipped"]
    print(f"accounted {len(names):,} rows of {files:,} files, each once: {sorted(names) == sorted(found)}; counted {counted:,}: {told}", flush=True)


def _grow(model, card, work):
    """A survey of what is known already, and what it keeps for that."""
    seconds, cores, memory, _ = _run(*_survey(model, card, work / "whole"))
    kept = ", ".join(f"{file.name} {file.stat().st_size / 1e6:.1f} MB" for file in sorted((work / "whole/state").iterdir()))
    print(f"the same command again: {seconds:.1f} s, {cores:.1f} s of a core, {memory:.0f} MB; {kept}", flush=True)


def _kill(model, card, work, kills, photos):
    """Kills the survey when so many photos are noted, at last while it writes its tables, and lets it end."""
    out = work / "killed"
    for number in range(kills):
        wanted = photos * number / max(1, kills - 1) - 32 * (number == kills - 1)
        process = subprocess.Popen(_tfvision(*_survey(model, card, out)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and _noted(out) < wanted:
            time.sleep(0.02)
        time.sleep(random.Random(number).uniform(0.0, 2.0))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        print(f"killed    {process.wait() == -signal.SIGKILL}, {_noted(out):,} photos noted", flush=True)
    _run(*_survey(model, card, out))
    same = [(out / name).read_bytes() == (work / "whole" / name).read_bytes() for name in _TABLES]
    print(f"tables byte for byte those of an uninterrupted survey: {dict(zip(_TABLES, same, strict=True))}")


def _noted(out):
    seen = out / "state/seen.csv"
    return seen.read_bytes().count(b"\n") - 1 if seen.is_file() else -1


if __name__ == "__main__":
    main()
