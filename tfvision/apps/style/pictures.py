"""Pictures for style transfer: size, colours kept, and files written as the photo's was."""

import contextlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tfvision.apps.style.regions import within_masks
from tfvision.data.film import FILM_FORMATS
from tfvision.data.picture_file import PictureFile, read_picture_file
from tfvision.data.resizing import resized
from tfvision.errors import DataError
from tfvision.files import write_bytes

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}
ANIMATION_FORMATS = {".gif": "GIF", ".webp": "WEBP"}
MOVING_FORMATS = {**ANIMATION_FORMATS, **FILM_FORMATS}
_OPTIONS: dict[str, dict] = {
    "PNG": {"compress_level": 6},
    "JPEG": {"quality": 95, "subsampling": 0},  # 4:4:4: thin strokes of colour stay
    "TIFF": {"compression": "tiff_lzw"},
}
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_SHAPE_TOLERANCE = 0.03  # of a mask's width / height, as a share
_LEAST_VARIANCE = 1.0  # in grey levels: a painting of one colour has none of its own


def suffix_for(format: str, is_animation: bool = False) -> str:
    """The suffix of a picture made from a file of this format: its own, else .png (.gif of an animation)."""
    if is_animation:
        return ".webp" if format == "WEBP" else ".gif"
    return {"JPEG": ".jpg", "TIFF": ".tif"}.get(format, ".png")


def check_suffix(path: str | Path, is_animation: bool = False) -> None:
    """Raises DataError where a picture, or an animation, cannot be written under that name."""
    allowed = {**FORMATS, **(MOVING_FORMATS if is_animation else {})}
    if Path(path).suffix.lower() not in allowed:
        hint = ": only an animation becomes one" if Path(path).suffix.lower() in MOVING_FORMATS else ""
        raise DataError(f"--out must end in {', '.join(allowed)}, got {path}{hint}")


def film_suffix_for(path: str | Path) -> str:
    """The suffix of a film made from another: its own where such films are written, else .mp4."""
    suffix = Path(path).suffix.lower()
    return suffix if suffix in FILM_FORMATS else ".mp4"


def check_film_suffix(path: str | Path) -> None:
    """Raises DataError where a film cannot be written under that name."""
    if Path(path).suffix.lower() not in MOVING_FORMATS:
        raise DataError(f"--out must end in {', '.join([*FILM_FORMATS, *ANIMATION_FORMATS])}, as a film does, got {path}")


def read_mask(path: str | Path, height: int, width: int) -> np.ndarray:
    """A mask of a photo that is height x width: float32 [height, width] in [0, 1], white = 1.

    Raises:
      DataError: no image, or of another shape than the photo.
    """
    return mask_of(read_picture_file(path).pixels, path, height, width)


def mask_of(pixels: np.ndarray, name: str | Path, height: int, width: int) -> np.ndarray:
    """As `read_mask`, of uint8 RGB pixels that were read already."""
    mask = luminance(pixels)
    if abs(np.log(mask.shape[1] / mask.shape[0] * height / width)) > _SHAPE_TOLERANCE:
        raise DataError(f"{name} is {mask.shape[1]} x {mask.shape[0]}, the photo {width} x {height}: a mask has the photo's shape")
    return resized(mask.round().astype(np.uint8), height, width).astype(np.float32) / 255


def converted(pixels: np.ndarray, source: bytes | None, target: bytes | None) -> np.ndarray:
    """Pixels of one ICC profile in the numbers of another; None = sRGB. A profile that is broken counts as sRGB."""
    if source == target:
        return pixels
    import PIL.Image
    from PIL import ImageCms

    def opened(profile):
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            if profile:
                return ImageCms.getOpenProfile(io.BytesIO(profile))
        return ImageCms.createProfile("sRGB")

    try:
        return np.asarray(ImageCms.profileToProfile(PIL.Image.fromarray(pixels), opened(source), opened(target), outputMode="RGB"))
    except ImageCms.PyCMSError:
        return pixels


def write_picture(path: str | Path, pixels: np.ndarray, alpha: np.ndarray | None = None, profile: bytes | None = None) -> None:
    """Writes a picture as PNG, JPEG (quality 95, 4:4:4) or TIFF, by the path's suffix, whole or not at all.

    Args:
      path: the suffix decides the format.
      pixels, alpha, profile: as `encoded_picture`.

    Raises:
      DataError: another suffix.
      StorageError: it could not be written.
    """
    check_suffix(path)
    write_bytes(path, encoded_picture(FORMATS[Path(path).suffix.lower()], pixels, alpha, profile))


def encoded_picture(format: str, pixels: np.ndarray, alpha: np.ndarray | None = None, profile: bytes | None = None) -> bytes:
    """The bytes of a picture's file.

    Args:
      format: "PNG", "JPEG" or "TIFF".
      pixels: uint8 RGB [height, width, 3], the picture on white.
      alpha: uint8 of any size, kept by PNG and TIFF; a JPEG shows the picture on white.
      profile: ICC profile, or None.
    """
    import PIL.Image

    if alpha is not None:
        pixels = _with_alpha(pixels, resized(alpha, *pixels.shape[:2]))
        pixels = _on_white(pixels) if format == "JPEG" else pixels
    encoded = io.BytesIO()
    PIL.Image.fromarray(pixels).save(encoded, format, icc_profile=profile, **_OPTIONS[format])
    return encoded.getvalue()


def shown_jpeg(pixels: np.ndarray, longer: int) -> bytes:
    """A JPEG for a page, of at most so many pixels on its longer side."""
    import PIL.Image

    image = PIL.Image.fromarray(pixels)
    image.thumbnail((longer, longer))
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def write_animation(path: str | Path, frames: Iterable[np.ndarray], seconds: Iterable[float]) -> None:
    """Writes frames as an animated GIF or WebP, by the path's suffix, that repeats for ever.

    Args:
      frames: iterable of uint8 RGB [height, width, 3], all of one size.
      seconds: how long each is shown.

    Raises:
      StorageError: it could not be written.
    """
    import PIL.Image

    format = ANIMATION_FORMATS[Path(path).suffix.lower()]
    step_ms = 10 if format == "GIF" else 1
    shown = _shown(seconds, step_ms)
    frames = list(frames)
    images = [PIL.Image.fromarray(frames[number]) for number, _ in shown]
    if format == "GIF":
        images = [image.quantize(256, PIL.Image.Quantize.MEDIANCUT, dither=PIL.Image.Dither.FLOYDSTEINBERG) for image in images]
    durations = [duration_ms for _, duration_ms in shown]
    options = {"optimize": False} if format == "GIF" else {"quality": 95}
    encoded = io.BytesIO()
    images[0].save(encoded, format, save_all=True, append_images=images[1:], duration=durations, loop=0, **options)
    write_bytes(path, encoded.getvalue())


def _shown(seconds: Iterable[float], step_ms: int) -> list[tuple[int, int]]:
    """(number, milliseconds) of the frames that are shown, in whole steps whose sum does not drift; none is as short as one
    step, which viewers of GIFs take for ten."""
    times = np.concatenate([[0], np.cumsum(np.array([*seconds], float))]) * 1000
    starts = [(number, step_ms * round(time / step_ms)) for number, time in enumerate(times)]
    shown = starts[:1]
    for number, start in starts[1:-1]:
        if start - shown[-1][1] >= 2 * step_ms:
            shown.append((number, start))
    ends = [start for _, start in shown[1:]] + [max(starts[-1][1], shown[-1][1] + 2 * step_ms)]
    return [(number, end - start) for (number, start), end in zip(shown, ends, strict=True)]


def luminance(pixels: np.ndarray) -> np.ndarray:
    """Rec. 601 luminance, float32 [...] on 0-255, of RGB [..., 3]."""
    return np.asarray(pixels, np.float32) @ _LUMINANCE


def with_colours_of(photo: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """The picture in the colours of the photo: its luminance, the photo's chrominance.

    Where a colour does not exist at that luminance it is paled, so that its hue and the luminance stay.

    Args:
      photo: uint8 RGB, resampled to the picture's size.
      picture: uint8 RGB [h, w, 3].

    Returns:
      uint8 RGB [h, w, 3].
    """
    photo = resized(photo, *picture.shape[:2]).astype(np.float32)
    light = luminance(picture)[..., None]
    chroma = photo - luminance(photo)[..., None]
    room = np.where(chroma > 0, 255 - light, light) / np.maximum(np.abs(chroma), 1e-3)
    return (light + chroma * np.minimum(1, room.min(axis=-1, keepdims=True))).round().clip(0, 255).astype(np.uint8)


def grey(pixels: np.ndarray) -> np.ndarray:
    """Luminance as uint8 RGB [h, w, 3]."""
    return np.repeat(luminance(pixels).round().astype(np.uint8)[..., None], 3, axis=-1)


def recoloured(painting: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """The painting with the photo's mean and covariance of RGB, so that its style brings no colours.

    Source: Gatys, Bethge, Hertzmann, Shechtman, "Preserving color in neural artistic style transfer", 2016, section 3:
    x -> A x + b with A = S_photo^(1/2) S_painting^(-1/2). Of grey pictures it matches mean and variance of luminance.

    Args:
      painting, photo: uint8 RGB [h, w, 3].

    Returns:
      uint8 RGB of the painting's shape.
    """
    colours = painting.reshape(-1, 3).astype(np.float64)
    wanted = photo.reshape(-1, 3).astype(np.float64)
    change = _power(np.cov(wanted.T), 0.5) @ _power(np.cov(colours.T), -0.5)
    moved = (colours - colours.mean(axis=0)) @ change.T + wanted.mean(axis=0)
    return moved.round().clip(0, 255).astype(np.uint8).reshape(painting.shape)


def in_colours(colour: str, photo: PictureFile, paintings: Sequence[PictureFile]) -> tuple[np.ndarray, list[np.ndarray]]:
    """What is painted of and with: the photo's pixels and the paintings', in the photo's profile and in the colours that were chosen.

    Args:
      colour: "" (the paintings'), "luminance" (light and shade alone) or "histogram" (`recoloured`).
    """
    pixels, others = photo.pixels, [converted(painting.pixels, painting.profile, photo.profile) for painting in paintings]
    if colour == "luminance":
        pixels, others = grey(pixels), [grey(painting) for painting in others]
    return pixels, [recoloured(painting, pixels) for painting in others] if colour else others


def finished(colour: str, picture: np.ndarray, photo: np.ndarray, masks: Sequence[np.ndarray] | None) -> np.ndarray:
    """A picture that was painted of what `in_colours` gave, in the colours that were chosen; where no mask is white, the photo.

    Args:
      picture, photo: uint8 RGB, of any sizes.
      masks: float32 in [0, 1], or None; a fast network has heeded them.
    """
    picture = with_colours_of(photo, picture) if colour == "luminance" else picture
    return within_masks(masks, picture, photo) if masks else picture


def _power(covariance, exponent):
    """Symmetric power of a covariance; directions without variance get a little, so that none is blown up."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.maximum(values, _LEAST_VARIANCE) ** exponent) @ vectors.T


def _with_alpha(pixels, alpha):
    """uint8 RGBA that looks like `pixels` on white: half transparent edges lose the white that they were shown on."""
    share = np.maximum(alpha, 1).astype(np.float32)[..., None] / 255
    colours = 255 - (255 - pixels.astype(np.float32)) / share
    return np.concatenate([colours.round().clip(0, 255).astype(np.uint8), alpha[..., None]], axis=-1)


def _on_white(pixels):
    share = pixels[..., 3:].astype(np.float32) / 255
    return (255 + (pixels[..., :3] - np.float32(255)) * share).round().astype(np.uint8)
