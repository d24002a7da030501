"""Label Studio's export, JSON or JSON-MIN: rectangles in percent of the photo, and choices for all of it."""

import re
import typing
import urllib.parse
from collections.abc import Iterator

from tfvision.data.boxes import FRACTION
from tfvision.data.imports.archives import Archive, json_items_of
from tfvision.data.imports.lineages import RawTaxon
from tfvision.data.imports.photo_boxes import NO_BOXES, Marked, known_size, labelled_source, mark, rows_of_photo, turned
from tfvision.data.imports.photo_records import Photo, Source
from tfvision.data.imports.photo_rows import as_local, is_web_address, local_name

NO_PHOTO = "a task without a photo"
NO_RECTANGLE = "a shape that is no rectangle"
WAS_TURNED = "the photo was turned while it was labelled, so that its boxes lie in another"
_OF_A_TASK = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")
_STORED = re.compile(r"^[a-z0-9]+://")


def is_task(item: typing.Any) -> bool:
    """Whether an item of an array is a task of Label Studio's export."""
    return isinstance(item, dict) and (
        (isinstance(item.get("data"), dict) and any(isinstance(item.get(key), list) for key in ("annotations", "completions", "predictions")))
        or "annotation_id" in item
        or any(_is_result(found) for value in item.values() if isinstance(value, list) for found in value)
    )


def label_studio_source(archive: Archive, name: str) -> Source:
    """The photos of an export of Label Studio."""
    return labelled_source("label-studio", archive, name, lambda: _photos(archive, name))


def _photos(archive: Archive, name: str) -> Iterator[Photo]:
    for _, task in json_items_of(archive, name):
        if not isinstance(task, dict):
            continue
        data = task["data"] if isinstance(task.get("data"), dict) else task
        address = _address(data)
        photo = Photo(address, RawTaxon(), source_id=_text(task.get("id")), is_local=bool(address) and not is_web_address(address))
        results = [value for result in _results(task) for value in _marked(result)]
        for label, box, problem in rows_of_photo(results) if results else [Marked("", "", NO_BOXES)]:
            yield photo._replace(taxon=RawTaxon(name=label), box=box, problem=problem if address else NO_PHOTO)


def _results(task: dict[str, typing.Any]) -> list[dict[str, typing.Any]]:
    """The results of a task: of its last annotation that was not cancelled; of JSON-MIN those of all its fields."""
    if not isinstance(task.get("data"), dict):
        found = [one for key, value in task.items() if key not in _OF_A_TASK and isinstance(value, list) for one in value]
        choices = [{"choices": [value]} for key, value in task.items() if key in ("choice", "choices") and isinstance(value, str)]
        return [{"value": one, **one} for one in [*found, *choices] if isinstance(one, dict)]
    annotations = task.get("annotations") or task.get("completions")
    sound = [one for one in annotations if isinstance(one, dict) and not one.get("was_cancelled")] if isinstance(annotations, list) else []
    results = sound[-1].get("result") if sound else []
    return [one for one in results if isinstance(one, dict)] if isinstance(results, list) else []


def _marked(result: dict[str, typing.Any]) -> Iterator[Marked]:
    value = result.get("value")
    if not isinstance(value, dict):
        return
    for label in _texts(value.get("choices")):
        yield Marked(label)
    shapes = [key for key in value if key.endswith("labels") and key != "rectanglelabels"]
    labels = _texts(value.get("rectanglelabels"))
    if shapes and not labels:
        yield Marked("", "", NO_RECTANGLE)
    for label in labels:
        yield Marked(label, "", WAS_TURNED) if result.get("image_rotation") else _rectangle(label, value, result)


def _rectangle(label: str, value: dict[str, typing.Any], result: dict[str, typing.Any]) -> Marked:
    box = [value.get(side) for side in ("x", "y", "width", "height")]
    if not all(isinstance(part, (int, float)) for part in box):
        return mark(label, (), FRACTION)
    box = [part / 100 for part in box if part is not None]
    size, degrees = known_size(result.get("original_width"), result.get("original_height")), value.get("rotation")
    if size and isinstance(degrees, (int, float)) and degrees:
        in_pixels = turned([part * side for part, side in zip(box, (*size, *size), strict=True)], degrees, (box[0] * size[0], box[1] * size[1]))
        box = [part / side for part, side in zip(in_pixels, (*size, *size), strict=True)]
    return mark(label, box, FRACTION)


def _address(data: dict[str, typing.Any]) -> str:
    """Where the photo of a task is: an address, or a path without what Label Studio puts before it."""
    texts = [text for text in (data.get("image"), *data.values()) if isinstance(text, str)]
    for text in texts:
        if is_web_address(text) and not text.endswith((".json", ".txt")):
            return text
        path = text.removeprefix("/data/upload/").removeprefix("/data/local-files/?d=") if text.startswith("/data/") else _STORED.sub("", text)
        if local_name(path := as_local(urllib.parse.unquote(path) if path != text else path)):
            return path
    return ""


def _is_result(found: typing.Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("rectanglelabels"), list)


def _texts(found: typing.Any) -> list[str]:
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []


def _text(value: typing.Any) -> str:
    return str(value) if isinstance(value, (int, str)) else ""
