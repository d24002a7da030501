"""How one photo of a film moved to become the next: dense optical flow, and where it can be believed.

OpenCV's DIS (Kroeger, Timofte, Dai, Van Gool, "Fast optical flow using dense inverse search", 2016), both ways. The tests of
validity are those of Ruder, Dosovitskiy, Brox, "Artistic style transfer for videos", 2016, section 3.2 (after Sundaram, Brox,
Keutzer, 2010), with one of ours: the photo itself must be found again where the flow points to.
"""

import dataclasses
import importlib.util

import numpy as np

_CONSISTENCY_SHARE, _CONSISTENCY_PX2 = 0.01, 0.5  # |forward + backward|^2 < share (|forward|^2 + |backward|^2) + px^2
_BOUNDARY_SHARE, _BOUNDARY_PX2 = 0.01, 0.002  # |gradient of the flow|^2 > share |flow|^2 + px^2 is a boundary of motion
_PHOTO_ERROR = 12.0  # grey levels of 0-255 by which the photo that moved may differ, in a small neighbourhood
_NEIGHBOURHOOD_PX = 5
_SMALLEST_PX = 16  # of a side: below, DIS has no patches to search with


@dataclasses.dataclass(frozen=True)
class Motion:
    """From a photo to the one before it.

    Attributes:
      backward: float32 [height, width, 2], for each pixel where it was before: x and y, in pixels from where it is.
      valid: bool [height, width], where that can be believed: not hidden before, not at the boundary of something that moves.
    """

    backward: np.ndarray
    valid: np.ndarray


def has_flow() -> bool:
    """Whether OpenCV is installed (`pip install "tfvision[video]"`)."""
    return importlib.util.find_spec("cv2") is not None


def motion_between(before: np.ndarray, now: np.ndarray) -> Motion:
    """The Motion from `now` back to `before`, uint8 RGB [height, width, 3] of one size; of tiny photos nothing is valid."""
    if min(now.shape[:2]) < _SMALLEST_PX:
        return Motion(np.zeros((*now.shape[:2], 2), np.float32), np.zeros(now.shape[:2], bool))
    import cv2

    grey_before, grey_now = (cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY) for photo in (before, now))
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    backward = search.calc(grey_now, grey_before, None)
    forward = search.calc(grey_before, grey_now, None)
    is_valid = _is_consistent(backward, forward) & ~_is_boundary(backward) & _is_within(backward) & _is_alike(before, now, backward)
    return Motion(backward, is_valid)


def warped(picture: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """A picture moved along: [height, width, ...] of uint8 or float32, each pixel from where it was before, by Lanczos's filter."""
    import cv2

    y, x = np.indices(backward.shape[:2], np.float32)
    return cv2.remap(picture, x + backward[..., 0], y + backward[..., 1], cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)


def moved_along(picture: np.ndarray, before: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture and the photo that it was painted of, moved along to the next photo where that is valid; elsewhere they stay.

    Args:
      picture: uint8 [h, w, 3] of any size and the photos' shape.
      before, now: uint8 [height, width, 3], its photo and the next.
    """
    motion = motion_between(before, now)
    height, width = picture.shape[:2]
    backward, is_valid = motion.backward, motion.valid
    if (height, width) != now.shape[:2]:
        import cv2

        scale = np.float32([width / now.shape[1], height / now.shape[0]])
        backward = cv2.resize(backward, (width, height)) * scale
        is_valid = cv2.resize(is_valid.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    return (
        np.where(is_valid[..., None], warped(picture, backward), picture),
        np.where(motion.valid[..., None], warped(before, motion.backward), before),
    )


def warp_error(before: np.ndarray, now: np.ndarray, motion: Motion) -> float:
    """How unsteady a film is: the mean difference of a picture from the one before, moved along, in grey levels where the motion is valid.

    Args:
      before, now: uint8 RGB pictures of the film as it is shown.
      motion: of the photos that they were painted of.

    Returns:
      nan where nothing is valid.
    """
    difference = np.abs(now.astype(np.float32) - warped(before, motion.backward))
    return float(difference[motion.valid].mean()) if motion.valid.any() else float("nan")


def _is_consistent(backward, forward):
    """Whether the way back and forth again ends where it began (Ruder et al., eq. 5)."""
    returned = warped(forward, backward)
    gap = np.square(backward + returned).sum(-1)
    return gap < _CONSISTENCY_SHARE * (np.square(backward).sum(-1) + np.square(returned).sum(-1)) + _CONSISTENCY_PX2


def _is_boundary(flow):
    """Whether a pixel lies where things move apart (eq. 6)."""
    steepness = sum(np.square(slope).sum(-1) for slope in np.gradient(flow, axis=(0, 1)))
    return steepness > _BOUNDARY_SHARE * np.square(flow).sum(-1) + _BOUNDARY_PX2


def _is_within(flow):
    """Whether a pixel was in the photo before, not beyond its edge."""
    height, width = flow.shape[:2]
    y, x = np.indices((height, width), np.float32)
    y, x = y + flow[..., 1], x + flow[..., 0]
    return (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)


def _is_alike(before, now, backward):
    """Whether the photo before, moved along, is the photo now."""
    import cv2

    difference = np.abs(now.astype(np.float32) - warped(before, backward)).mean(-1)
    return cv2.blur(difference, (_NEIGHBOURHOOD_PX, _NEIGHBOURHOOD_PX)) < _PHOTO_ERROR
