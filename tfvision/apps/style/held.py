"""Painted frames that are held together: the strokes of the last one move along with the photo, and stay where nothing new is to be seen.

Each frame is painted afresh, and mixed with the last one moved along. Averages of strokes lose their contrast, so the detail gets back
what a fresh picture has of it. The photo that strokes were painted of is carried along with them: where it is no longer the
photo that is there, errors of the flow have added up, and the fresh picture takes over.
"""

import dataclasses
from pathlib import Path

import numpy as np

from tfvision.apps.style.flow import Motion, warped
from tfvision.files import read_arrays, write_arrays

_KEPT = 0.9  # share of the last picture where all is well
_CARRIED_ERROR = (6.0, 14.0)  # grey levels between carried photo and photo: up to the first all is kept, from the second on nothing
_PAINTED_ERROR = (60.0, 110.0)  # likewise between the last picture and the fresh one, both without their strokes
_STROKES_PX = 3.0  # standard deviation of the Gaussian that takes strokes away
_DETAIL_PX, _REGION_PX = 2.0, 8.0  # of the one that leaves no detail; of that over which its strength is compared
_MOST_GAIN = 1.5  # of detail, a frame
_NO_DETAIL = 1e-3  # grey levels
_EDGE_PX = 1.5  # of the one that softens the mask's edges

_PICTURE = (None, None, 3)
_KINDS = {"picture": ("f", _PICTURE), "carried": ("f", _PICTURE), "photo": ("u", _PICTURE), "painted": ("u", _PICTURE), "opening": ("u", _PICTURE)}


@dataclasses.dataclass(frozen=True)
class Held:
    """What the next frame follows from.

    Attributes:
      picture: float32 [height, width, 3], the last picture.
      carried: float32, alike: the photo that its strokes were painted of, moved along with them.
      photo, painted: uint8, alike: the last photo and its fresh picture.
      opening: uint8, alike: the first photo of the scene.
    """

    picture: np.ndarray
    carried: np.ndarray
    photo: np.ndarray
    painted: np.ndarray
    opening: np.ndarray

    @classmethod
    def begin(cls, photo: np.ndarray, painted: np.ndarray) -> "Held":
        """The first frame of a scene: uint8 photo and fresh picture, [height, width, 3]."""
        return cls(painted.astype(np.float32), photo.astype(np.float32), photo, painted, photo)

    def follow(self, photo: np.ndarray, painted: np.ndarray, motion: Motion) -> "Held":
        """The frame after this one.

        Args:
          photo, painted: uint8 [height, width, 3], the next photo and its fresh picture.
          motion: from that photo back to this one's.
        """
        last, carried = warped(self.picture, motion.backward), warped(self.carried, motion.backward)
        kept = _kept(motion.valid, carried, photo, last, painted)[..., None]
        picture = kept * last + (1 - kept) * painted
        picture = _with_detail_of(painted, picture).clip(0, 255)
        return Held(picture, kept * carried + (1 - kept) * photo, photo, painted, self.opening)

    @property
    def shown(self) -> np.ndarray:
        """The picture as uint8."""
        return self.picture.round().clip(0, 255).astype(np.uint8)

    def save(self, path: Path) -> None:
        """Writes it. Raises StorageError."""
        write_arrays(path, dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> "Held":
        """Reads what `save` wrote. Raises FileError."""
        return cls(**read_arrays(path, _KINDS, "begin anew, without --resume"))


def detail_ratio(picture: np.ndarray, painted: np.ndarray) -> float:
    """How much detail a picture has beside another of its size, both uint8: 1 = alike, less = blurred."""
    has, wanted = (float(np.sqrt(np.square(_detail(pixels)).mean())) for pixels in (picture, painted))
    return (has + _NO_DETAIL) / (wanted + _NO_DETAIL)


def _kept(valid, carried, photo, last, painted):
    """float32 [height, width]: the share of the last picture that stays."""
    import cv2

    carried_error = cv2.blur(np.abs(carried - photo).mean(-1), (5, 5))
    painted_error = np.abs(cv2.GaussianBlur(painted - last, (0, 0), _STROKES_PX)).max(-1)
    share = valid * _falling(carried_error, *_CARRIED_ERROR) * _falling(painted_error, *_PAINTED_ERROR)
    return _KEPT * cv2.GaussianBlur(cv2.erode(share.astype(np.float32), np.ones((3, 3))), (0, 0), _EDGE_PX)


def _falling(error, low, high):
    return np.clip((high - error) / (high - low), 0, 1)


def _with_detail_of(painted, picture):
    """The picture with as strong a detail as the fresh one has around each place, as far as _MOST_GAIN goes."""
    import cv2

    detail = _detail(picture)
    has, wanted = (cv2.GaussianBlur(np.square(part).mean(-1), (0, 0), _REGION_PX) for part in (detail, _detail(painted)))
    gain = np.clip(np.sqrt(wanted / (has + 1)), 1, _MOST_GAIN)[..., None]
    return picture + (gain - 1) * detail


def _detail(pixels):
    import cv2

    pixels = pixels.astype(np.float32)
    return pixels - cv2.GaussianBlur(pixels, (0, 0), _DETAIL_PX)
