"""A detector's report: table 3 with every probe list, and the pictures that were wrongly classified (figure 5)."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from tfvision.apps.tattoo_detection.source import OTHER, TATTOO, DetectionPhotos
from tfvision.data.boxes import read_box
from tfvision.data.decoding import encode_jpeg
from tfvision.data.manifest import Record
from tfvision.errors import DataError
from tfvision.evaluation.page import captioned_photo, compose, paragraph, section, table
from tfvision.files import write_text
from tfvision.trained.detector_run import DetectorRun

_THUMBNAIL_PX = 220
_SHOWN = 60
_KINDS = {"non_tattoo": "non-tattoo", "tattoo": "tattoo", "overall": "overall"}  # in the order of table 3
_PUBLISHED = {"non_tattoo": 0.9980, "tattoo": 0.9985, "overall": 0.9983}


def write_training_report(run: DetectorRun, photos: DetectionPhotos, metrics: dict[str, Any]) -> Path:
    """Writes RUN/report.html on what `train_detector` returns; returns its path. Raises StorageError."""
    how = "Each probe list was judged by a detector that was trained on the others"
    own = " (its network fine-tuned on them alone)." if run.recipe.is_fine_tuned else " (the network is frozen: its SVM alone)."
    return _write(run.report_path, run, photos, metrics, how + own, run.facts["source"])


def write_evaluation_report(path: Path, run: DetectorRun, photos: DetectionPhotos, result: dict[str, Any], source: Path | str) -> Path:
    """Writes the page on what `evaluate_detector` returns; returns its path. Raises StorageError."""
    return _write(path, run, photos, result, "No photo was trained on.", source)


def headline(result: dict[str, Any]) -> str:
    """The result in one plain sentence."""
    overall = result["overall"]
    return (
        f"Right for {overall['right']:,} of {overall['photos']:,} photos ({overall['accuracy']:.2%}; {shown_interval(overall)}): "
        f"{_of(result['tattoo'], 'tattoos')} and {_of(result['non_tattoo'], 'other photos')}."
    )


def shown_interval(share: dict[str, Any]) -> str:
    """ "0.981 to 0.997" of a share's 95 % interval."""
    low, high = share["interval"]
    return f"{low:.3f} to {high:.3f}"


def _of(share: dict[str, Any], what: str) -> str:
    return f"{share['right']:,} of {share['photos']:,} {what}"


def _write(path: Path, run: DetectorRun, photos: DetectionPhotos, result: dict[str, Any], how: str, source: Path | str) -> Path:
    sections = [f'<p class="headline">{escape(headline(result))}</p>', _accuracies(photos, result, how), _wrong(photos, result), _facts(run, result, source)]
    write_text(path, compose(run.folder.name, sections))
    return path


def _accuracies(photos: DetectionPhotos, result: dict[str, Any], how: str) -> str:
    rows = [[f"list {escape(row['fold'])}", *(_share(row[kind]) for kind in _KINDS)] for row in result.get("folds", ())]
    total = [_share(result[kind]) for kind in _KINDS]
    rows.append(["<em>all lists</em>" if rows else "<em>all photos</em>", *total])
    rows.append(["published, on Tatt-C", *(f"{value:.4f}" for value in _PUBLISHED.values())])
    subjects = len({record.group for record in photos.manifest.records})
    alike = (
        ""
        if subjects == len(photos)
        else f" The {len(photos):,} photos are of {subjects:,} subjects; photos of one subject are alike, so that the true intervals are wider."
    )
    note = (
        "Intervals: 95 %, Clopper-Pearson over photos."
        + alike
        + " The published figures are of other photos (2349 of Tatt-C, the others faces) and stand here to compare the form only."
    )
    return section("Accuracy", paragraph(how) + table(("", *_KINDS.values()), rows, numbers=(1, 2, 3)) + paragraph(note, "note"))


def _share(share: dict[str, Any]) -> str:
    if not share["photos"]:
        return "\N{EN DASH}"
    return f"{share['accuracy']:.4f} <small>{share['right']}/{share['photos']}, {shown_interval(share)}</small>"


def _wrong(photos: DetectionPhotos, result: dict[str, Any]) -> str:
    if not result["wrong"]:
        return section("Wrongly classified", paragraph("None."))
    shown = result["wrong"][:_SHOWN]
    parts = [
        _figures(photos, [wrong for wrong in shown if wrong["label"] == kind], heading)
        for kind, heading in ((TATTOO, "Tattoos that were not seen"), (OTHER, "Other photos that were taken for tattoos"))
    ]
    more = f" The first {_SHOWN} are shown." if len(result["wrong"]) > _SHOWN else ""
    text = f"{len(result['wrong'])} photos, those furthest from the boundary first.{more}"
    return section("Wrongly classified", paragraph(text) + "".join(parts))


def _figures(photos: DetectionPhotos, wrong: Sequence[dict[str, Any]], heading: str) -> str:
    if not wrong:
        return ""
    cells = []
    for one in wrong:
        jpeg = _thumbnail(photos.manifest.records[one["row"]])
        cells.append(captioned_photo(jpeg, f"{escape(one['image'])}, score {one['score']:.2f}", description=one["image"]))
    return f'<p class="text">{escape(heading)}: {len(wrong)}</p><div class="photos">{"".join(cells)}</div>'


def _thumbnail(record: Record) -> bytes | None:
    """A JPEG of what was seen: the photo, or its box."""
    import PIL.Image

    try:
        image = PIL.Image.fromarray(read_box(record.path, record.box))
    except DataError:
        return None
    image.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
    return encode_jpeg(np.asarray(image))


def _facts(run: DetectorRun, result: dict[str, Any], source: Path | str) -> str:
    recipe = run.recipe
    network = "fine-tuned" if recipe.is_fine_tuned else "frozen"
    facts = {
        "Run": run.folder,
        "Photos": source,
        "Recipe": f"{recipe.name}: {recipe.network} ({network}, weights {recipe.weights}), tap {recipe.tap}, {recipe.crop_px} px, seed {recipe.seed}",
        "SVM": f"linear, lambda {recipe.svm_lambda:g}" + (", on L2-normalised features" if recipe.is_normalised else ""),
        "Photos left out": f"{result['left_out']}, since they were trained on" if result.get("left_out") else "none",
        "Broken photos": "; ".join(result["broken"].values()) or "none",
    }
    return section("Facts", table((), [[escape(key), escape(str(value))] for key, value in facts.items()], kind="facts"))
