"""Paints one specimen: habitat, light, animal, and the fine texture that alone tells its species.

A texture has a period of `PERIOD_PX` in the photo, whatever the animal's size. Shrunk 2.8-fold, to a
whole view of 80 px, it lies beyond the Nyquist limit (5.6 px) and is averaged away; shrunk 1.4-fold, to
a view of the photo's middle, it survives. Every texture has mean 0 and variance 1, so that siblings
agree in mean colour and brightness; and none is another one's mirror image.
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tfvision.data.specimen_bodies import DARK, Part, blade, pebble

PHOTO_SIZE_PX = 256
PERIOD_PX = (3.8, 4.1)  # the least and the greatest period of a texture
CONTRAST = np.float32(26)  # standard deviation of a texture, in grey levels
HEADROOM = 48  # body colours keep this distance from 0 and 255, so that no texture is ever clipped
HARD_SHARE = 0.05  # share of the photos in which grass hides part of the animal

_HABITATS = {  # two colours the ground wavers between, and what lies on it
    "leaf": ((58, 92, 44), (124, 150, 78), blade),
    "meadow": ((96, 118, 58), (176, 178, 112), blade),
    "sand": ((176, 154, 118), (216, 202, 168), pebble),
    "water": ((58, 104, 122), (132, 172, 172), pebble),
    "bark": ((82, 68, 56), (140, 122, 102), blade),
    "stone": ((112, 112, 110), (178, 176, 170), pebble),
}


def paint(parts: Sequence[Part], texture: str, heading: str, rng: np.random.Generator) -> np.ndarray:
    """Paints a body into a photo.

    Args:
      parts: the body, a list of `specimen_bodies.Part`.
      texture: a key of `TEXTURES`.
      heading: "up" or "right", where the head lies in the body's frame; textures run along or across it.
      rng: numpy Generator; everything that differs between photos is drawn from it.

    Returns:
      uint8 [256, 256, 3], RGB.
    """
    is_hard = rng.random() < HARD_SHARE
    angle, scale = rng.uniform(-0.44, 0.44), rng.uniform(0.85, 1.15)
    centre = PHOTO_SIZE_PX / 2 + rng.uniform(-9, 9, 2)
    outlines = _place(parts, scale, angle, centre, is_mirrored=rng.random() < 0.5)
    colour, cover, textured = _rasterise(parts, outlines)
    shade, shadow = _relief(cover, rng)
    body = _vary(colour, rng)
    body *= shade
    np.clip(body, HEADROOM * textured, 255 - HEADROOM * textured, out=body)
    wave = np.float32(2 * np.pi / rng.uniform(*PERIOD_PX))
    u, v = (wave * coordinate for coordinate in _body_coordinates(angle, centre, heading))
    # Its own generator, so that the same `rng` draws siblings that differ in nothing but texture.
    texture_rng = np.random.default_rng(rng.integers(2**32))
    body += CONTRAST * textured * TEXTURES[texture](u, v, texture_rng)[..., None]
    photo = _habitat(rng)
    photo *= 1 - 0.4 * shadow
    photo += cover * (body - photo)
    if is_hard:
        photo = _behind_grass(photo, rng)
    photo += _sunlight(rng) + 3 * rng.standard_normal((*photo.shape[:2], 1), np.float32)
    return np.clip(photo, 0, 255, out=photo).astype(np.uint8)


def _across(u, v, rng):
    return np.float32(2**0.5) * np.cos(u + _phase(rng))


def _along(u, v, rng):
    return np.float32(2**0.5) * np.cos(v + _phase(rng))


def _checks(u, v, rng):
    return 2 * np.cos(u / np.float32(2**0.5) + _phase(rng)) * np.cos(v / np.float32(2**0.5) + _phase(rng))


def _spots(u, v, rng):
    """Light spots on a hexagonal lattice."""
    u, v = u + _phase(rng), np.float32(0.75**0.5) * v + _phase(rng)
    return np.float32(1.5**-0.5) * (np.cos(u) + 2 * np.cos(u / 2) * np.cos(v))


def _rings(u, v, rng):
    """Rings around the middle of the body."""
    return np.float32(2**0.5) * np.cos(np.hypot(u, v) + _phase(rng))


def _zigzag(u, v, rng):
    """Stripes across the body whose arms, three periods long, lean 35 degrees to one side and the other."""
    arm = 6 * np.pi
    bent = np.abs((v + _phase(rng)) % (2 * arm) - arm)
    return np.float32(2**0.5) * np.cos(np.float32(0.82) * u + np.float32(0.57) * bent + _phase(rng))


def _grain(u, v, rng):
    """Noise of the same fineness, without direction or order."""
    shape = u.shape
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    ring = np.exp(-(((frequency * np.mean(PERIOD_PX) - 1) / 0.05) ** 2))
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape, np.float32)) * ring, shape)
    return np.clip(noise / noise.std(), -2.5, 2.5).astype(np.float32)


TEXTURES = {  # u, v: float32 [h, w], along and across the body, 2 pi a period -> float32 [h, w]
    "across": _across,
    "along": _along,
    "checks": _checks,
    "spots": _spots,
    "rings": _rings,
    "zigzag": _zigzag,
    "grain": _grain,
}


def _phase(rng):
    return np.float32(rng.uniform(0, 2 * np.pi))


def _body_coordinates(angle, centre, heading):
    """Along and across the body at each pixel, 2 pi a period of the texture; two float32 [256, 256]."""
    y, x = np.mgrid[:PHOTO_SIZE_PX, :PHOTO_SIZE_PX].astype(np.float32)
    x, y = x - np.float32(centre[0]), y - np.float32(centre[1])
    cosine, sine = math.cos(angle), math.sin(angle)
    right, down = cosine * x + sine * y, cosine * y - sine * x
    return (right, down) if heading == "right" else (down, right)


def _habitat(rng):
    dark, light, thing = _HABITATS[rng.choice(list(_HABITATS))]
    things = Image.new("L", (PHOTO_SIZE_PX, PHOTO_SIZE_PX), 128)
    draw = ImageDraw.Draw(things)
    for _ in range(rng.integers(4, 14)):
        draw.polygon(thing(rng, PHOTO_SIZE_PX).ravel().tolist(), fill=int(rng.uniform(70, 190)))
    out_of_focus = np.asarray(things.filter(ImageFilter.BoxBlur(2)), np.float32) / 128 - 1
    mix = 0.5 + 0.22 * _noise(rng, 3) + 0.14 * _noise(rng, 9) + 0.1 * _noise(rng, 30) + 0.5 * out_of_focus[..., None]
    dark, light = np.array([dark, light], np.float32) + rng.uniform(-14, 14, (2, 3)).astype(np.float32)
    ground = np.clip(mix, -0.2, 1.2) * (light - dark)
    ground += dark
    ground += rng.uniform(4, 14) * _noise(rng, 80) + rng.uniform(2, 8) * _noise(rng, 150)
    return ground


def _place(parts, scale, angle, centre, is_mirrored):
    """The parts' outlines in the photo, each a flat list x, y, x, y, ... at twice the photo's size."""
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    turn = np.array([(-cosine, -sine) if is_mirrored else (cosine, sine), (-sine, cosine)])
    return [(2 * (part.points @ turn + centre)).ravel().tolist() for part in parts]


def _rasterise(parts, outlines):
    """Colour [256, 256, 3], coverage and textured coverage [256, 256, 1] in 0-1; all float32."""
    size = (2 * PHOTO_SIZE_PX, 2 * PHOTO_SIZE_PX)
    layers = [Image.new("RGB", size, DARK), Image.new("L", size), Image.new("L", size)]
    brushes = [ImageDraw.Draw(layer) for layer in layers]
    for part, outline in zip(parts, outlines, strict=True):
        for brush, fill in zip(brushes, (part.colour, 255, 255 * part.is_textured), strict=True):
            brush.polygon(outline, fill=fill)
    colour, cover, textured = (np.asarray(layer.reduce(2), np.float32) for layer in layers)
    return colour, cover[..., None] / 255, textured[..., None] / 255


def _vary(colour, rng):
    """One individual's colour: a little lighter or darker, redder or greener, and blotched."""
    tint = 1 + rng.uniform(-0.1, 0.1) + rng.uniform(-0.07, 0.07, 3).astype(np.float32)
    return colour * tint + (7 * _noise(rng, 24) + 5 * _noise(rng, 50))


def _relief(alpha, rng):
    """How light falls on a rounded body, and its shadow beside it; two float32 [256, 256, 1]."""
    small = Image.fromarray(np.uint8(255 * alpha[..., 0])).reduce(4)
    height = np.asarray(small.filter(ImageFilter.GaussianBlur(3)), np.float32) / 255
    sun = rng.uniform(0, 2 * np.pi)
    slope_y, slope_x = np.gradient(height)
    shade = 0.7 + 0.32 * height + 0.9 * (math.cos(sun) * slope_x + math.sin(sun) * slope_y)
    shadow = np.roll(height, (round(2 * math.sin(sun)), round(2 * math.cos(sun))), (0, 1))
    return _enlarge(shade)[..., None], np.clip(_enlarge(shadow), 0, 1)[..., None]


def _behind_grass(photo, rng):
    """Hides part of the photo behind three or four blades of grass."""
    size = (2 * PHOTO_SIZE_PX, 2 * PHOTO_SIZE_PX)
    grass = Image.new("L", size)
    for _ in range(rng.integers(3, 5)):
        ImageDraw.Draw(grass).polygon(blade(rng, size[0]).ravel().tolist(), fill=255)
    cover = np.asarray(grass.reduce(2), np.float32)[..., None] / 255
    green = np.array((88, 128, 60), np.float32) + 12 * _noise(rng, 20)
    return photo + cover * (green - photo)


def _sunlight(rng):
    """A gradient of brightness across the photo in a random direction, float32 [256, 256, 1]."""
    y, x = np.mgrid[-1 : 1 : PHOTO_SIZE_PX * 1j, -1 : 1 : PHOTO_SIZE_PX * 1j].astype(np.float32)
    slope_x, slope_y = rng.uniform(-11, 11, 2).astype(np.float32)
    return (slope_x * x + slope_y * y)[..., None]


def _noise(rng, cells):
    """Smooth noise with mean 0 and about `cells` blotches a side, float32 [256, 256, 1]."""
    return _enlarge(rng.standard_normal((cells, cells), np.float32))[..., None]


def _enlarge(values):
    return np.asarray(Image.fromarray(values).resize((PHOTO_SIZE_PX, PHOTO_SIZE_PX), Image.BICUBIC))
