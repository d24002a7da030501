"""What a picture of the studio is made of: a photo, paintings, where they rule, and a look."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from tfvision.apps.style.pictures import finished, in_colours, mask_of
from tfvision.apps.style.presets import Preset
from tfvision.apps.style.sidecar import StyleJob
from tfvision.apps.style.studio.inputs import Picture
from tfvision.apps.style.studio.look import Look
from tfvision.data.picture_file import PictureFile

Paint = Callable[[np.ndarray, list[np.ndarray], list[np.ndarray] | None], np.ndarray]
"""(photo, paintings, masks or None) -> the picture; uint8, masks float32 of the photo's size."""


@dataclasses.dataclass(frozen=True, eq=False)
class Order:
    """A picture that is to be made.

    Attributes:
      photo, paintings: of the studio.
      rules: masks of all paintings, uint8 of the photo's shape (inputs.rules_of), or None.
      blend: how the paintings mix, a number each; () = alike.
      look: the user's choices.
      preset: the studio's, which the look changes.
      module: the fast network that the user named; "" = the one that ships.
    """

    photo: Picture
    paintings: tuple[Picture, ...]
    rules: list[np.ndarray] | None
    blend: tuple[float, ...]
    look: Look
    preset: Preset
    module: str = ""

    def changed_preset(self) -> Preset:
        """The optimiser's preset in this look."""
        look = self.look
        return dataclasses.replace(self.preset, size=look.size, style_weight=look.style_weight, painting_scale=look.stroke)

    def painted(self, paint: Paint, photo: PictureFile, paintings: Sequence[PictureFile], heeds_masks: bool = False) -> np.ndarray:
        """The picture that `paint` makes, in the chosen colours and within the masks, as `stylize` makes it of files.

        Args:
          heeds_masks: whether `paint` leaves the photo as it is where no mask is white.
        """
        masks = self.masks_of(photo.pixels)
        picture = paint(*in_colours(self.look.colour, photo, paintings), masks)
        return self.finished(picture, photo.pixels, None if heeds_masks else masks)

    def finished(self, picture: np.ndarray, photo: np.ndarray, masks: list[np.ndarray] | None) -> np.ndarray:
        """A picture in the chosen colours and within the masks, which are of the photo's size."""
        return finished(self.look.colour, picture, photo, masks)

    def masks_of(self, photo: np.ndarray) -> list[np.ndarray] | None:
        """Where each painting rules, float32 [height, width] of a photo's pixels; None = everywhere."""
        if self.rules is None:
            return None
        return [mask_of(np.repeat(rule[..., None], 3, axis=-1), "the mask", *photo.shape[:2]) for rule in self.rules]

    def job(self, is_fast: bool) -> StyleJob:
        """What a record tells of it; files by the names that `file_names` gives them."""
        names = self.file_names()
        return StyleJob(
            names["photo"][0],
            tuple(names["paintings"]),
            tuple(names["masks"]),
            self.changed_preset(),
            self.blend,
            self.look.colour,
            self.look.strength,
            is_fast,
            _absolute(self.module) if is_fast else "",
        )

    def file_names(self) -> dict[str, list[str]]:
        """Names of the files in one folder, none twice: photo, paintings, masks."""
        taken: set[str] = set()
        names = {"photo": [_free(self.photo.name, taken)], "paintings": [_free(painting.name, taken) for painting in self.paintings]}
        return {**names, "masks": [_free(f"mask-{number}.png", taken) for number in range(1, len(self.rules or ()) + 1)]}

    @property
    def title(self) -> str:
        """Its photo's and its paintings' names."""
        return "-".join(PurePosixPath(picture.name).stem for picture in (self.photo, *self.paintings))


def _absolute(module):
    """A module's folder by its whole path, as nobody knows where a record will lie; a handle as it is."""
    return str(Path(module).resolve()) if module and Path(module).exists() else module


def _free(name, taken):
    """A name that is not taken, whatever the case of its letters."""
    path, number, free = PurePosixPath(name), 2, name
    while free.lower() in taken:
        free, number = f"{path.stem}-{number}{path.suffix}", number + 1
    taken.add(free.lower())
    return free
