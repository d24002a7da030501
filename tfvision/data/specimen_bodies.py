"""The body plans of the drawn specimens: butterfly, beetle, spider and fish, as coloured outlines.

A body is a list of parts, painted in order. It lies in its own frame, in pixels of a photo at scale
1: the origin is the middle of the photo, y points down. Insects and spiders are seen from above with
the head up; fish are seen from the side with the head to the right. The outlines are symbols that
tell orders, families and genera apart, not portraits.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

DARK = (52, 44, 46)
PALE = (212, 208, 196)
BLACK = (22, 22, 26)


Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]
Outline = tuple[float, float, float, float]  # y, half width, half length, squareness


@dataclasses.dataclass(frozen=True)
class Part:
    """One outline filled with one colour.

    Attributes:
      points: float [corners, 2], x and y in the body's frame.
      colour: RGB 0-255.
      is_textured: the species' texture lies on it.
    """

    points: np.ndarray
    colour: tuple[int, int, int]
    is_textured: bool = False


def butterfly(
    rng: np.random.Generator, main: Colour, trim: Colour, mark: Colour, fore: Points, hind: Points, border: float, mark_at: Sequence[tuple[float, float, float]]
) -> list[Part]:
    """A butterfly with spread wings.

    Args:
      rng: numpy Generator; the pose is drawn from it.
      main, trim, mark: colours of the wings, their border and their spots.
      fore, hind: outlines of the right wings, each a list of points.
      border: width of the border as a part of the wing.
      mark_at: the spots of the right wings, tuples (x, y, radius).
    """
    parts = []
    for side in (1, -1):
        antenna = _curve([(3, -44), (14, -74), (26 + rng.uniform(-8, 8), -96)], closed=False)
        parts += [Part(_ribbon(antenna, 2.5, 2), DARK), Part(_ellipse(*antenna[-1], 4, 5), DARK)]
        wings = ((hind, (4, 6), rng.uniform(-0.07, 0.07)), (fore, (4, -14), rng.uniform(-0.09, 0.09)))
        for outline, root, turn in wings:
            wing = _turned(_curve(outline), root, turn)
            middle = wing.mean(0)
            parts += [Part(wing, trim), Part(middle + (wing - middle) * (1 - border), main, True)]
        parts += [Part(_disc(x, y, radius), mark) for x, y, radius in mark_at]
        parts = _mirrored(parts) if side == 1 else parts
    return parts + [
        Part(_ellipse(0, 16, 6.5, 42), DARK),
        Part(_ellipse(0, -20, 8.5, 20), DARK),
        Part(_disc(0, -42, 7), DARK),
    ]


def beetle(
    rng: np.random.Generator,
    main: Colour,
    trim: Colour,
    mark: Colour,
    elytra: Outline,
    thorax: Outline,
    head: Outline,
    jaw_length: float,
    leg_reach: float,
    mark_at: Sequence[tuple[float, float, float]],
) -> list[Part]:
    """A beetle from above: six legs, a head, a thorax and closed wing cases.

    Args:
      rng: numpy Generator; the pose is drawn from it.
      main, trim, mark: colours of the wing cases, of head and legs, and of the spots.
      elytra, thorax, head: the three outlines, each (y, half width, half length, squareness).
      jaw_length: length of the jaws; 0 for none.
      leg_reach: how far the legs reach from the axis.
      mark_at: the spots of the right wing case, tuples (x, y, radius).
    """
    elytra_y, half_width, half_length, _ = elytra
    parts = []
    for side in (1, -1):
        for y, lift in ((-34, -36), (8, 10), (44, 50)):
            knee = (half_width + 0.45 * (leg_reach - half_width), y + 0.5 * lift + rng.uniform(-6, 6))
            foot = (leg_reach, y + 1.3 * lift + rng.uniform(-10, 10))
            parts.append(Part(_ribbon(np.array([(20, y), knee, foot]), 10, 5), trim))
        tip = head[0] - head[2] - 18
        antenna = _curve([(0.5 * head[1], head[0]), (head[1] + 12, tip + 12), (head[1] + 26, tip)], closed=False)
        parts.append(Part(_ribbon(antenna, 4, 3), trim))
        if jaw_length:
            base = head[0] - head[2]
            jaw = [(12, base + 6), (32, base - 0.45 * jaw_length), (10, base - jaw_length)]
            tooth = np.array([(26, base - 0.3 * jaw_length), (10, base - 0.5 * jaw_length)])
            parts += [Part(_ribbon(_curve(jaw, closed=False), 13, 4), trim), Part(_ribbon(tooth, 8, 3), trim)]
        parts = _mirrored(parts) if side == 1 else parts
    parts.append(Part(_squircle(0, *head), trim))
    if jaw_length:
        parts += _rimmed(thorax, main, trim)
    else:  # a ladybird, with pale cheeks
        parts.append(Part(_squircle(0, *thorax), trim))
        parts += [Part(_ellipse(side * 0.66 * thorax[1], thorax[0], 10, 11), PALE) for side in (1, -1)]
    parts += _rimmed(elytra, main, trim)
    spots = [Part(_disc(x, y, radius), mark) for x, y, radius in mark_at]
    parts += _mirrored(spots) + spots
    seam = np.array([(0, elytra_y - half_length), (0, elytra_y + half_length)])
    return parts + [Part(_ribbon(seam, 4, 3), DARK)]


def spider(
    rng: np.random.Generator, main: Colour, trim: Colour, mark: Colour, abdomen: Outline, front: Outline, leg_reach: float, leg_width: float, eye_radius: float
) -> list[Part]:
    """A spider from above: eight legs, the front body with the eyes, and the abdomen.

    Args:
      rng: numpy Generator; the pose is drawn from it.
      main, trim, mark: colours of the body, of the legs, and of the legs' bands and the palps.
      abdomen, front: the two outlines, each (y, half width, half length, squareness).
      leg_reach, leg_width: length and width of the legs.
      eye_radius: radius of the two middle eyes.
    """
    parts = []
    hip_y = front[0] + 6
    for side in (1, -1):
        for angle, length in ((-1.0, 1.0), (-0.42, 0.95), (0.24, 0.95), (0.66, 1.3)):
            hip = (0.7 * front[1], hip_y + 16 * angle)
            parts += _leg(rng, hip, angle, length * leg_reach, leg_width, trim, mark)
        top = front[0] - front[2]
        parts.append(Part(_ribbon(np.array([(12, top + 8), (17, top - 14)]), 13, 9), mark))
        parts = _mirrored(parts) if side == 1 else parts
    parts += _rimmed(front, main, trim) + _rimmed(abdomen, main, trim)
    for side in (1, -1):
        for x, y, radius in ((0.9, 0, 1.0), (2.3, 3, 0.62)):
            eye = (side * x * max(eye_radius, 5), front[0] - front[2] + 1.2 * eye_radius + 4 + y)
            parts.append(Part(_disc(*eye, radius * eye_radius), BLACK))
            parts.append(Part(_disc(eye[0] + 1, eye[1] - 1, 0.3 * radius * eye_radius), PALE))
    return parts


def fish(
    rng: np.random.Generator,
    main: Colour,
    trim: Colour,
    mark: Colour,
    body: Points,
    dorsal: Points,
    anal: Points,
    tail: Points,
    eye: tuple[float, float, float],
    mark_at: Sequence[Points],
) -> list[Part]:
    """A fish from the side.

    Args:
      rng: numpy Generator; the pose is drawn from it.
      main, trim, mark: colours of the body, of the fins, and of lips and markings.
      body, dorsal, anal, tail: outlines, each a list of points.
      eye: (x, y, radius).
      mark_at: markings, each a list of points.
    """
    tail_turn, fin_turn = rng.uniform(-0.12, 0.12), rng.uniform(-0.35, 0.35)
    parts = []
    for outline, root in ((dorsal, dorsal[0]), (anal, anal[0]), (tail, tail[0])):
        fin = _turned(_curve(outline), root, tail_turn if outline is tail else tail_turn / 3)
        rays = [np.array([root, 0.95 * tip + 0.05 * fin.mean(0)]) for tip in fin[3:-3:5]]
        parts += [Part(fin, trim)] + [Part(_ribbon(ray, 1.5, 1), DARK) for ray in rays]
    snout = max(body)
    parts.append(Part(_ellipse(snout[0] - 2, snout[1] + 3, 7, 9), mark))
    parts.append(Part(_curve(body), main, True))
    parts += [Part(_curve(outline), mark) for outline in mark_at]
    pectoral = _turned(_curve([(26, 8), (10, 0), (-6, 6), (-8, 20), (8, 24)]), (26, 8), fin_turn)
    x, y, radius = eye
    return parts + [
        Part(pectoral, trim),
        Part(_disc(x, y, radius), PALE),
        Part(_disc(x + 1, y, 0.62 * radius), BLACK),
    ]


def blade(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """A blade of grass across the photo, float [corners, 2] in pixels."""
    x, bend = rng.uniform(0, size_px), rng.uniform(-0.4, 0.4) * size_px
    tip = (x + bend, rng.uniform(-0.1, 0.3) * size_px)
    spine = _curve([(x, 1.05 * size_px), (x + 0.3 * bend, 0.5 * size_px), tip], closed=False)
    return _ribbon(spine, rng.uniform(0.04, 0.1) * size_px, 2)


def pebble(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """A pebble somewhere in the photo, float [corners, 2] in pixels."""
    radius = rng.uniform(0.02, 0.12) * size_px
    return _ellipse(*rng.uniform(0, size_px, 2), radius, radius * rng.uniform(0.5, 1))


def _leg(rng, hip, angle, reach, width, colour, band):
    angle = angle + rng.uniform(-0.1, 0.1)
    bent = angle + 0.5 * np.sign(angle)
    knee = hip + 0.5 * reach * np.array([np.cos(angle), np.sin(angle)])
    foot = knee + 0.62 * reach * np.array([np.cos(bent), np.sin(bent)])
    parts = [Part(_ribbon(np.array([hip, knee]), width, 0.8 * width), colour)]
    parts.append(Part(_ribbon(np.array([knee, foot]), 0.8 * width, 0.35 * width), colour))
    for start, end, at in ((hip, knee, 0.8), (knee, foot, 0.45)):
        ends = np.array([start + (at - 0.08) * (end - start), start + (at + 0.08) * (end - start)])
        parts.append(Part(_ribbon(ends, 0.8 * width, 0.75 * width), band))
    return parts


def _rimmed(outline, colour, rim_colour):
    y, half_width, half_length, squareness = outline
    rim = _squircle(0, y, half_width + 2.5, half_length + 2.5, squareness)
    return [Part(rim, rim_colour), Part(_squircle(0, *outline), colour, True)]


def _mirrored(parts):
    return [dataclasses.replace(part, points=part.points * (-1, 1)) for part in parts]


def _turned(points, pivot, angle):
    cosine, sine = np.cos(angle), np.sin(angle)
    return (points - pivot) @ np.array([(cosine, sine), (-sine, cosine)]) + pivot


def _curve(points, closed=True, steps=6):
    """A smooth (Catmull-Rom) curve through `points`."""
    points = np.asarray(points, float)
    if closed:
        around = np.concatenate([points[-1:], points, points[:2]])
    else:
        around = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    a, b, c, d = (around[start : len(around) - 3 + start, None] for start in range(4))
    t = np.arange(steps)[:, None] / steps
    smooth = b + t * (c - a) / 2 + t**2 * (a - 2.5 * b + 2 * c - d / 2) + t**3 * (1.5 * (b - c) + (d - a) / 2)
    smooth = smooth.reshape(-1, 2)
    return smooth if closed else np.concatenate([smooth, points[-1:]])


def _ribbon(spine, start_width, end_width):
    """A band along `spine` that tapers from one width to the other."""
    along = np.gradient(spine, axis=0)
    normal = along[:, ::-1] * (1, -1) / np.linalg.norm(along, axis=1, keepdims=True)
    half = np.linspace(start_width, end_width, len(spine))[:, None] / 2
    return np.concatenate([spine + normal * half, (spine - normal * half)[::-1]])


def _disc(x, y, radius):
    return _ellipse(x, y, radius, radius)


def _ellipse(x, y, half_width, half_height):
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    return np.stack([x + half_width * np.cos(angle), y + half_height * np.sin(angle)], axis=1)


def _squircle(x, y, half_width, half_height, squareness):
    """An ellipse (squareness 1), the nearer to its bounding box the smaller `squareness`."""
    unit = _ellipse(0, 0, 1, 1)
    return np.sign(unit) * np.abs(unit) ** squareness * (half_width, half_height) + (x, y)
