"""The frames of a film painted by a fast network: what a scene's first photo decides holds for the whole scene, so that nothing pulses."""

from collections.abc import Sequence

import numpy as np

from tfvision.apps.style.fast import load_network, paint_fast
from tfvision.apps.style.fast_networks import FastNetwork, Style
from tfvision.apps.style.pictures import finished, grey, in_colours, read_mask
from tfvision.apps.style.sidecar import StyleJob
from tfvision.data.picture_file import PictureFile


class FastPainter:
    """A FramePainter (film.py) of a job.

    Args:
      job: StyleJob whose preset is fast.
      paintings: uint8 [height, width, 3] each.

    Raises:
      WeightsError, RunError: its network cannot be had.
    """

    def __init__(self, job: StyleJob, paintings: Sequence[np.ndarray]):
        self._job, self._given = job, paintings
        self._network = load_network(job.module)

    def begin(self, photo: np.ndarray) -> None:
        opening, self._paintings = in_colours(self._job.colour, _without_profile(photo), [_without_profile(painting) for painting in self._given])
        self._scene = _SceneNetwork(self._network, opening, self._paintings)
        self._masks = [read_mask(path, *photo.shape[:2]) for path in self._job.masks] or None

    def paint(self, photo: np.ndarray) -> np.ndarray:
        job = self._job
        given = {"blend": job.blend or None, "strength": job.strength, "masks": self._masks, "painting_scale": job.preset.painting_scale}
        return paint_fast(self._scene, self._seen(photo), self._paintings, **given)

    def finish(self, photo: np.ndarray, picture: np.ndarray) -> np.ndarray:
        if not self._job.strength:
            return photo
        return finished(self._job.colour, picture, photo, self._masks)  # strokes that moved along may have left the masks

    def _seen(self, photo):
        return grey(photo) if self._job.colour == "luminance" else photo


def _without_profile(pixels):
    return PictureFile(pixels, None, None, "PNG", 1)


class _SceneNetwork(FastNetwork):
    """A network for one scene: it looks at each painting once, and takes the style of every photo for that of the scene's first."""

    def __init__(self, network: FastNetwork, opening: np.ndarray, paintings: Sequence[np.ndarray]):
        self.name, self.has_painting, self.blends_styles, self.whole_pixels = network.name, network.has_painting, network.blends_styles, network.whole_pixels
        self._network, self._opening, self._paintings = network, opening, paintings
        self._styles: dict[int, Style] = {}

    def style_of(self, painting: np.ndarray) -> Style:
        number = next((number for number, known in enumerate(self._paintings) if known is painting), -1)
        if number not in self._styles:
            self._styles[number] = self._network.style_of(painting if number >= 0 else self._opening)
        return self._styles[number]

    def _paint_whole(self, photo, style):
        return self._network._paint_whole(photo, style)
