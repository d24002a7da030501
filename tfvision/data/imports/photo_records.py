"""A photo with its observation as its source describes it, and the kinds of sources that have such."""

import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path

from tfvision.data.imports.archives import Archive
from tfvision.data.imports.lineages import RawTaxon
from tfvision.data.manifest import RANKS
from tfvision.errors import DataError

KINDS = {
    "darwin-core-archive": "a Darwin Core archive (zip or folder with meta.xml), as GBIF and iNaturalist write it",
    "gbif-simple": "GBIF's simple download (zip or CSV); it has addresses of photos only where a column was added",
    "simple-darwin-record-set": "Darwin Core in XML, as iNaturalist writes it (.dwc)",
    "inaturalist-export": "iNaturalist's export of observations (CSV with image_url or photo_url)",
    "inaturalist-open-data": "iNaturalist's open data (a folder with photos, observations and taxa, .csv or .csv.gz)",
    "competition": "an iNaturalist competition's JSON, or that of camera traps (COCO style: images, annotations, categories)",
    "camtrap-dp": "a Camtrap DP package (zip or folder with datapackage.json, deployments, media and observations)",
    "megadetector": "MegaDetector's output (JSON with images and detection_categories)",
    "label-studio": "Label Studio's export (JSON or JSON-MIN, with rectangles)",
    "cvat": "CVAT's export for images 1.1 (XML)",
    "yolo": "YOLO's folders (zip or folder with images/, labels/*.txt, and data.yaml or classes.txt)",
    "csv": "a CSV with a column of addresses (url, image_url, identifier, ...) and columns kingdom to species or scientific_name",
}


class Photo(typing.NamedTuple):
    """A photo as its source describes it; "" where it says nothing.

    Attributes:
      url: its address, or its path below the folder of the photos, as it always is where `is_local`.
      format: media type ("image/jpeg", "audio/mpeg") or Darwin Core's type ("StillImage").
      observation: what tells the observation from others.
      source_id: the photo's id in the source, else the observation's.
      problem: why it cannot be used, where its reader knows.
      box: left,top,width,height as a manifest has it: in pixels, or in all of a source's photos as fractions. A photo with several is told
        as often, one after another.
      location: the name of a camera's place.
      split: as a manifest has it.
      confidence: a detector's in its box, 0 to 1.
    """

    url: str
    taxon: RawTaxon
    format: str = ""
    observation: str = ""
    source_id: str = ""
    license: str = ""
    rights_holder: str = ""
    creator: str = ""
    latitude: str = ""
    longitude: str = ""
    country: str = ""
    date: str = ""
    grade: str = ""
    is_local: bool = False
    problem: str = ""
    box: str = ""
    location: str = ""
    split: str = ""
    confidence: str = ""


@dataclasses.dataclass
class Source:
    """An opened source.

    Attributes:
      kind: a key of KINDS.
      photos: a stream, read once.
      ranks: those that the source has names for, so that a row without one is odd; settled when the first photo has come.
      total_bytes: what will be decoded of the archive.
      observations: how many observations the stream has passed, those without photos included.
      unread: tables of the archive that are not read, in words.
    """

    kind: str
    archive: Archive
    photos: "Iterator[Photo]"
    ranks: tuple[str, ...] = RANKS
    total_bytes: int = 0
    observations: int = 0
    unread: tuple[str, ...] = ()


def unknown_source(path: Path | str, reason: str) -> DataError:
    """The error for a source of no known kind."""
    return DataError(f"{path}: {reason}. What can be imported: " + "; ".join(KINDS.values()))
