"""Photos and paintings to try the studio with, drawn by the program itself: the same pixels each time."""

import functools
import io
from collections.abc import Callable

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter

from tfvision.data.specimens import draw_specimen
from tfvision.errors import DataError

_SIZE = (640, 480)  # width, height
_LAYERS = 5  # of hills
_STROKES = 5200
_SUNSET = [(34, 44, 92), (108, 74, 124), (214, 110, 96), (248, 178, 104)]  # from above to the horizon


def sample_png(kind: str, name: str) -> bytes:
    """A sample as a PNG.

    Args:
      kind: a key of SAMPLES.
      name: one of that kind.

    Raises:
      DataError: there is none of that name.
    """
    if name not in SAMPLES.get(kind, {}):
        raise DataError(f"an example is one of {', '.join(SAMPLES.get(kind, SAMPLES))}, got {name!r:.40}")
    return _drawn(kind, name)


@functools.cache
def _drawn(kind, name):
    encoded = io.BytesIO()
    PIL.Image.fromarray(SAMPLES[kind][name]()).save(encoded, "PNG")
    return encoded.getvalue()


def draw_hills() -> np.ndarray:
    """Hills behind each other under an evening sky, uint8 [480, 640, 3]."""
    (width, height), random = _SIZE, np.random.default_rng(4)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = _between(_SUNSET, np.clip(y / (0.72 * height), 0, 1))
    distance = np.hypot(x - 0.68 * width, y - 0.46 * height)
    picture += 70 * np.exp(-distance / 90)[..., None] * [1.0, 0.8, 0.5]
    picture[distance < 34] = 255, 236, 190
    for layer in range(_LAYERS):
        nearness = layer / (_LAYERS - 1)
        ridge = height * (0.52 + 0.4 * nearness**1.2) - _ridge(width, random) * (26 + 62 * nearness)
        depth = np.clip((y - ridge) / height, 0, 1)[..., None]
        hill = np.float32([142, 96, 122]) * (1 - nearness) + np.float32([22, 38, 46]) * nearness
        picture = np.where((y > ridge)[..., None], hill + depth * [60, 66, 40] + random.normal(0, 3, (height, width, 1)), picture)
    return picture.clip(0, 255).astype(np.uint8)


def draw_swirls() -> np.ndarray:
    """A painting of short strokes that follow each other around whorls, uint8 [480, 640, 3]."""
    colours = [(18, 34, 92), (38, 84, 160), (92, 150, 190), (236, 200, 92), (250, 232, 164)]
    whorls = np.float32([[150, 140], [430, 110], [560, 330], [280, 330], [90, 400]])

    def direction(x, y):
        dx, dy = x[:, None] - whorls[:, 0], y[:, None] - whorls[:, 1]
        weights = np.exp(-(dx**2 + dy**2) / 18_000) + 1e-4
        return np.arctan2((weights * dx).sum(axis=1), (-weights * dy).sum(axis=1)) + 0.25

    def light(x, y):
        distance = np.hypot(whorls[:, 0] - x[:, None], whorls[:, 1] - y[:, None]).min(axis=1)
        return 0.52 + 0.48 * np.cos(distance / 23) * np.exp(-distance / 120)

    return _strokes(colours, direction, light, length=26, thickness=6, seed=7)


def draw_flames() -> np.ndarray:
    """A painting of long strokes that wave upwards, uint8 [480, 640, 3]."""
    colours = [(52, 16, 40), (150, 32, 44), (224, 92, 40), (246, 178, 70), (252, 236, 190)]

    def direction(x, y):
        return -np.pi / 2 + 0.9 * np.sin(x / 70 + y / 130)

    def light(x, y):
        return 0.5 + 0.5 * np.sin(x / 46 + 1.6 * np.sin(y / 90))

    return _strokes(colours, direction, light, length=44, thickness=9, seed=3)


def draw_mosaic() -> np.ndarray:
    """A painting of small stones with dark joints, uint8 [480, 640, 3]."""
    from scipy.spatial import cKDTree

    (width, height), random = _SIZE, np.random.default_rng(11)
    columns, rows = np.meshgrid(np.arange(8, width, 16), np.arange(8, height, 16))
    stones = np.stack([columns.ravel(), rows.ravel()], axis=1) + random.uniform(-5, 5, (columns.size, 2))
    y, x = np.mgrid[:height, :width]
    distances, nearest = cKDTree(stones).query(np.stack([x.ravel(), y.ravel()], axis=1), k=2)
    wave = 0.5 + 0.5 * np.sin(np.hypot(stones[:, 0] - 320, stones[:, 1] - 240) / 34 + np.arctan2(stones[:, 1] - 240, stones[:, 0] - 320) * 2)
    tints = _between([(16, 78, 92), (60, 150, 140), (238, 222, 190), (206, 120, 70), (120, 40, 36)], wave) + random.normal(0, 11, (len(stones), 3))
    joint = np.clip((distances[:, 1] - distances[:, 0]) / 3.2, 0, 1)[:, None]
    return (tints[nearest[:, 0]] * joint + np.float32([40, 34, 32]) * (1 - joint)).reshape(height, width, 3).clip(0, 255).astype(np.uint8)


def _butterfly():
    return draw_specimen("Vanessa atalanta", 3)


def _fish():
    return draw_specimen("Balistes vetula", 2)


SAMPLES: dict[str, dict[str, Callable[[], np.ndarray]]] = {
    "photo": {"Hills": draw_hills, "Butterfly": _butterfly, "Fish": _fish},
    "painting": {"Swirls": draw_swirls, "Flames": draw_flames, "Mosaic": draw_mosaic},
}


def _between(colours, share):
    """Colours on the way from the first to the last: float32 [..., 3] of shares [...]."""
    places = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(share, places, [colour[channel] for colour in colours]) for channel in range(3)], axis=-1)


def _ridge(width, random):
    """The outline of hills, about 0 to 1, float [width]."""
    x = np.linspace(0, 1, width)
    waves = [np.sin(2 * np.pi * (2.0**octave * x + random.uniform())) / 1.9**octave for octave in range(6)]
    return 0.5 + 0.5 * sum(waves) / 2


def _strokes(colours, direction, light, length, thickness, seed):
    """Strokes over strokes at random places, each in the direction and the light of its place."""
    random = np.random.default_rng(seed)
    image = PIL.Image.new("RGB", _SIZE, colours[0])
    pen = PIL.ImageDraw.Draw(image)
    x, y = random.uniform((-10, -10), (_SIZE[0] + 10, _SIZE[1] + 10), (_STROKES, 2)).T
    angle, share = direction(x, y), light(x, y) + random.normal(0, 0.1, _STROKES)
    tints = (_between(colours, np.clip(share, 0, 1)) + random.normal(0, 9, (_STROKES, 3))).clip(0, 255).astype(int)
    reach = length * random.uniform(0.6, 1.2, _STROKES) / 2
    ends = np.stack([x, y, x, y], axis=1) + np.stack([-np.cos(angle), -np.sin(angle), np.cos(angle), np.sin(angle)], axis=1) * reach[:, None]
    widths = (thickness * random.uniform(0.6, 1.3, _STROKES)).round().astype(int)
    for end, tint, width in zip(ends.tolist(), tints.tolist(), widths.tolist(), strict=True):
        pen.line(end, tuple(tint), width)
    return np.asarray(image.filter(PIL.ImageFilter.GaussianBlur(0.6)))
