import datetime

import numpy as np
import PIL.Image
import pytest

from tfvision.apps.survey.job import Survey
from tfvision.apps.survey.observations import ANSWERED, BLANK, Answer, MediaRow, Observation, Taxon, media_of
from tfvision.apps.survey.placed_photos import place_photos
from tfvision.data.cards.capture import Capture
from tfvision.data.cards.deployments import Deployment
from tfvision.errors import DataWarning

COLOURS = {"red": (200, 40, 40), "blue": (40, 60, 200), "violet": (140, 60, 200)}  # Rosa rubra, Caerula alta, Viola prima


@pytest.fixture(scope="session")
def save_photo():
    """A function (path, colour, time, model, serial, zone, place, seed) that writes a JPEG of 48 x 40 px with EXIF."""
    return _save_photo


def _save_photo(path, colour="red", time=None, model="HP2X", serial="P1", zone=None, place=None, seed=0):
    exif = PIL.Image.Exif()
    exif[0x010F], exif[0x0110] = "RECONYX", model
    photo = exif.get_ifd(0x8769)
    photo[0xA431] = serial
    if time:
        photo[0x9003] = time if isinstance(time, str) else time.strftime("%Y:%m:%d %H:%M:%S")
    if zone:
        photo[0x9011] = zone
    if place:
        sides = ("N" if place[0] >= 0 else "S", "E" if place[1] >= 0 else "W")
        exif.get_ifd(0x8825).update({1: sides[0], 2: _degrees(abs(place[0])), 3: sides[1], 4: _degrees(abs(place[1]))})
    pixels = np.random.default_rng(seed).normal(COLOURS.get(colour, colour), 25, (40, 48, 3)).clip(0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path, quality=95, exif=exif)


def _degrees(value):
    from PIL.TiffImagePlugin import IFDRational

    return IFDRational(int(value)), IFDRational(round((value - int(value)) * 60 * 10000), 10000), IFDRational(0)


@pytest.fixture(scope="session")
def card(tmp_path_factory):
    """Two deployments of two cameras, bursts of three, and what lies beside photos on a card."""
    return draw_card(tmp_path_factory.mktemp("cards") / "card")


def draw_card(folder):
    noon = datetime.datetime(2021, 5, 3, 12)
    for number, colour in enumerate(["red", "red", "red", "blue", "blue", "violet"]):
        time = noon + datetime.timedelta(hours=number // 3 * 2 + number // 5, seconds=20 * (number % 3))
        _save_photo(folder / f"ridge/DCIM/100RECNX/IMG_{number:04}.JPG", colour, time, zone="+02:00", place=(52.7, -3.5), seed=number)
    for number, colour in enumerate(["violet", "blue", "red"]):
        _save_photo(folder / f"valley/DCIM/IMG_{number:04}.JPG", colour, noon + datetime.timedelta(days=number), "HC600", "P2", seed=10 + number)
    _save_photo(folder / "valley/DCIM/IMG_0003.JPG", (2, 2, 2), noon + datetime.timedelta(days=2, seconds=5), "HC600", "P2", seed=20)
    whole = folder / "valley/DCIM/IMG_0004.JPG"
    _save_photo(whole, "red", noon, "HC600", "P2")
    whole.write_bytes(whole.read_bytes()[:1200])
    (folder / "valley/DCIM/IMG_0005.JPG").write_bytes(b"")
    for name in ("ridge/DCIM/Thumbs.db", "ridge/DCIM/100RECNX/._IMG_0000.JPG", "valley/DCIM/CLIP0001.AVI", ".Trashes/501/IMG_0009.JPG"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"of another kind")
    return folder


@pytest.fixture
def rows_of():
    """A function (CSV) -> its rows, as dicts."""
    import csv

    def read(path):
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    return read


NOON = datetime.datetime(2021, 5, 3, 12)


def answer(*lineage, probability=0.9):
    ranks = ("order", "genus", "species")
    taxa = tuple(Taxon(rank, name) for rank, name in zip(ranks, lineage, strict=False))
    name, rank = (lineage[-1], ranks[len(lineage) - 1]) if lineage else ("life", "root")
    return Answer(name, rank, probability, taxa, (("Rosa rubra", 0.5), ("Viola prima", 0.2)))


ROSA, REDS, NONE, PERSON = answer("Reds", "Rosa", "Rosa rubra"), answer("Reds"), answer(probability=1.0), answer("Homo sapiens")


@pytest.fixture
def survey(tmp_path):
    """ridge: a burst named, a person, a photo of nothing; bank: without a place; valley: without a zone, a photo that cannot be read."""
    place, camera = (52.7, -3.5), {"make": "RECONYX", "model": "HP2X", "serial": "P1"}
    captures = {
        "ridge/1.JPG": Capture(48, 40, NOON, 120, *place, **camera),
        "ridge/2.JPG": Capture(48, 40, NOON + datetime.timedelta(seconds=5, microseconds=250000), 120, *place, **camera),
        "ridge/3..heic": Capture(48, 40, NOON + datetime.timedelta(hours=1), 120, *place, **camera),
        "ridge/4.JPG": Capture(48, 40, NOON + datetime.timedelta(hours=2), 120, *place, **camera),
        "ridge/5.JPG": Capture(48, 40),
        "bank/1.JPG": Capture(48, 40, NOON),
        "valley/1.NEF": Capture(0, 0, NOON + datetime.timedelta(days=3)),
        "valley/2.JPG": Capture(),
    }
    with pytest.warns(DataWarning):
        photos = place_photos(captures, "card", [Deployment("valley", "valley", "In the valley", 51.5, -0.1)])
    of = {photo.name: photo for photo in photos}
    events = [
        event(of, ROSA, {"ridge/1.JPG": ROSA, "ridge/2.JPG": REDS}),
        event(of, PERSON, {"ridge/3..heic": PERSON}),
        Observation("ridge/4.JPG", (MediaRow(of["ridge/4.JPG"], BLANK, "too dark", None, "ridge/4.JPG"),), BLANK, "too dark"),
        event(of, REDS, {"ridge/5.JPG": REDS}),
        event(of, ROSA, {"bank/1.JPG": ROSA}),
        event(of, NONE, {"valley/1.NEF": NONE}),
    ]
    media = media_of(photos, {"valley/2.JPG": "valley/2.JPG is empty (0 bytes)"}, events)
    return Survey(tmp_path / "card", tmp_path, "colours", (), tuple(media), tuple(events), 60.0, ("order", "genus", "species"))


def event(of, joined, own):
    name = next(iter(own))
    media = tuple(MediaRow(of[photo], ANSWERED, "", answer, name) for photo, answer in own.items())
    return Observation(name, media, ANSWERED, "", joined)
