"""Images that ship with an export: drawn here, so that no user's photo is ever in a model's folder."""

import io

import numpy as np

SIZE_PX = (180, 240)


def sample_images(count: int = 3, seed: int = 0) -> np.ndarray:
    """Encoded images of shapes on a gradient, object [count] of bytes: JPEG, PNG and a JPEG turned by EXIF."""
    images = [_draw(np.random.default_rng((seed, number))) for number in range(count)]
    return np.array([_encode(image, number) for number, image in enumerate(images)], object)


def sample_boxes() -> np.ndarray:
    """Left, top, width, height of what is looked for in each of three `sample_images`, float32 [3, 4]; the last has no box."""
    return np.array([[60, 40, 100, 80], [0, 0, 240, 180], [0, 0, 0, 0]], np.float32)


def sample_pixels(count: int = 2, seed: int = 0) -> np.ndarray:
    """uint8 [count, 180, 240, 3]."""
    return np.stack([np.asarray(_draw(np.random.default_rng((seed, number)))) for number in range(count)])


def random_views(size_px: int, seed: int = 1) -> np.ndarray:
    """Two views of noise, as a network's core takes them: uint8 [2, size, size, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (2, size_px, size_px, 3)).astype(np.uint8)


def _draw(random):
    from PIL import Image, ImageDraw

    height, width = SIZE_PX
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ground = random.uniform(40, 200, 3) + (x / width * 60)[..., None] * random.uniform(-1, 1, 3)
    ground = ground + (y / height * 60)[..., None] * random.uniform(-1, 1, 3)
    image = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        left, top, size = random.integers(0, width - 40), random.integers(0, height - 40), random.integers(20, 90)
        draw.ellipse((left, top, left + size, top + size // 2), fill=tuple(int(v) for v in random.integers(0, 255, 3)))
    return image


def _encode(image, number):
    from PIL import Image

    exif = Image.Exif()
    if number % 3 == 2:
        exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "PNG" if number % 3 == 1 else "JPEG", exif=exif)
    return buffer.getvalue()
