"""The finished pictures of a studio: each with its record, and all that makes it again in one archive."""

import dataclasses
import functools
import hashlib
import io
import json
import os
import zipfile
from typing import Any

import numpy as np

from tfvision.apps.style.pictures import encoded_picture, shown_jpeg
from tfvision.apps.style.sidecar import record_of
from tfvision.apps.style.studio.inputs import mask_png
from tfvision.apps.style.studio.order import Order

QUICK, PAINTED, STOPPED = "quick", "painted", "stopped"  # kinds
_SHOWN_PX, _THUMBNAIL_PX = 1600, 240
_LONGEST_NAME = 80


@dataclasses.dataclass(frozen=True, eq=False)
class Version:
    """A finished picture.

    Attributes:
      key: its number, as text.
      kind: QUICK, PAINTED or STOPPED.
      order: what it was made of.
      png: its file.
      height, width: in pixels.
      shown, thumbnail: JPEGs for the page.
      facts: what a record tells of its making: seconds, and of the optimiser iterations and losses.
    """

    key: str
    kind: str
    order: Order
    png: bytes
    height: int
    width: int
    shown: bytes
    thumbnail: bytes
    facts: dict[str, Any]

    @property
    def file_name(self) -> str:
        """What its file is called."""
        return f"{self.order.title[:_LONGEST_NAME]}-{self.key}.png"

    @property
    def size_bytes(self) -> int:
        """What it holds in memory, about."""
        order = self.order
        files = sum(len(picture.encoded) + picture.seen.nbytes for picture in (order.photo, *order.paintings))
        return len(self.png) + len(self.shown) + files + sum(rule.nbytes for rule in order.rules or ())

    @functools.cached_property
    def record(self) -> bytes:
        """The JSON that `stylize --like` reads, where the files that it names lie beside it."""
        job = self.order.job(is_fast=self.kind == QUICK)
        files = {name: [{"path": path, "sha256": _digest(data)} for path, data in named] for name, named in self._files().items()}
        made = {**self.facts, "height": self.height, "width": self.width, **({"is_stopped": True} if self.kind == STOPPED else {})}
        record = record_of(job, {"path": self.file_name, "sha256": _digest(self.png)}, files, made, "tfvision studio")
        if path := record["network"].get("path"):
            record["network"]["path"] = os.path.abspath(path)  # nobody knows where the record will lie
        if self.kind == STOPPED:
            record["identity"] = None  # it is not what the job makes at its end
        return (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()

    def archive(self) -> bytes:
        """A ZIP of the picture, its record and all files that the record names."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:  # pictures are compressed already
            archive.writestr(self.file_name, self.png)
            archive.writestr(f"{self.file_name}.json", self.record)
            for named in self._files().values():
                for path, data in named:
                    archive.writestr(path, data)
        return packed.getvalue()

    def told(self) -> dict:
        """What the page is told of it."""
        names = [painting.name for painting in self.order.paintings]
        look = {name: value for name, value in dataclasses.asdict(self.order.look).items() if name != "blend"}
        told = {"key": self.key, "kind": self.kind, "name": self.file_name, "paintings": names, "width": self.width, "height": self.height}
        return {**told, "seconds": self.facts["seconds"], "iterations": self.facts["iterations"], "has_masks": self.order.rules is not None, "look": look}

    def _files(self):
        """name of StyleJob.FILES -> [(path, bytes)]."""
        order, names = self.order, self.order.file_names()
        data = {
            "photo": [order.photo.encoded],
            "paintings": [painting.encoded for painting in order.paintings],
            "masks": [mask_png(rule) for rule in order.rules or ()],
        }
        return {name: list(zip(names[name], data[name], strict=True)) for name in names}


def make_version(key: str, kind: str, order: Order, picture: np.ndarray, facts: dict) -> Version:
    """The Version of a picture, uint8 [height, width, 3]."""
    photo = order.photo.whole()  # whose transparency and colour profile it keeps
    png = encoded_picture("PNG", picture, photo.alpha, photo.profile)
    height, width = picture.shape[:2]
    return Version(key, kind, order, png, height, width, shown_jpeg(picture, _SHOWN_PX), shown_jpeg(picture, _THUMBNAIL_PX), facts)


def _digest(data):
    return hashlib.sha256(data).hexdigest()
