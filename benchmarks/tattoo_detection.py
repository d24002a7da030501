"""Tattoo or not, on unseen subjects: BIVTatt's tattoos against other photos, and cut-outs of tattoos against cut-outs beside them.

    TFVISION_WEIGHTS=WEIGHTS python benchmarks/tattoo_detection.py BIVTATT OTHERS [--set network=vgg19] [--out FOLDER]

BIVTATT is a folder with labels.csv (file, subject, transform, a JSON column of boxes as corners), OTHERS photos without
tattoos. Four sets, each in five probe lists by subject:

- the tattoos as they were taken, against OTHERS;
- the same with their transformed copies (an original's copies are of its subject, and never parted from it);
- the harder one: the tattoos' boxes against regions of the same size beside them in the same photos: bare skin, cloth and
  whatever else was in view. Where a photo has no such region of the box's size, both are made smaller alike, so that size
  tells nothing; a photo without any is left out;
- the first and the third together, each judged by itself: a detector that has seen bare skin as well.

Then where the last kind of detector says that tattoos are (Grad-CAM, `tfvision detect --where`), beside one that saw whole photos alone:
trained on half of the subjects, asked of the other half, how often the strongest place lies in a box, and which share of the
map does; a random place lies in a box as often as boxes cover the photos.

Intervals are 95 %, Clopper-Pearson over photos; of the transformed copies they are too narrow, since copies are alike.
"""

import argparse
import csv
import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tfvision.apps.tattoo_detection.detection import TattooDetector
from tfvision.apps.tattoo_detection.training import train_detector
from tfvision.command_line import key_values
from tfvision.data.manifest import read_csv, read_photos
from tfvision.evaluation.detection import judge_detection

KINDS = ("non_tattoo", "tattoo", "overall")
_SCALES = (1.0, 0.85, 0.7, 0.6, 0.5, 0.4)
_LEAST_SIDE_PX = 20
_TRIES = 400
_MOST_AREA = 0.9  # of a photo: boxes that cover more cannot be missed


def write_whole_photos(rows, folder, path):
    """A manifest of BIVTatt's photos; returns its path."""
    _write(path, ["image", "subject", "number"], [[folder / row["file"], row["subject"], row["number"]] for row in rows])
    return path


def write_cutouts(rows, folder, path, seed):
    """A manifest of boxes and of regions beside them; returns its path, and how many boxes had no such region."""
    random, lines, lost = np.random.default_rng(seed), [], 0
    for row in rows:
        with Image.open(folder / row["file"]) as image:
            size = np.array(image.size)
        boxes = [box for corners in json.loads(row[_boxes_column(row)] or "[]") if (box := _inside(np.array(corners, float).reshape(2, 2), size)) is not None]
        for box in boxes:
            pair = _pair(box, boxes, size, random)
            if pair is None:
                lost += 1
                continue
            for label, region in zip(("tattoo", "other"), pair, strict=True):
                lines.append([folder / row["file"], row["subject"], label, ",".join(f"{value:.1f}" for value in (*region[0], *(region[1] - region[0])))])
    _write(path, ["image", "subject", "label", "box"], lines)
    return path, lost


def write_both(originals, others, cutouts, path):
    """A manifest of whole photos and perhaps of cut-outs, labelled; returns its path."""
    lines = [[row["image"], row["subject"], "tattoo", ""] for row in read_rows(originals)]
    lines += [[record.path, "", "other", ""] for record in read_photos(others.resolve()).records]
    if cutouts:
        lines += [[row["image"], row["subject"], row["label"], row["box"]] for row in read_rows(cutouts)]
    _write(path, ["image", "subject", "label", "box"], lines)
    return path


def read_rows(path):
    """The rows of a CSV, as dicts."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def part(result, rows, is_chosen):
    """A result's figures on some of its photos."""
    is_tattoo = np.array([row["label"] == "tattoo" for row in rows])
    scores = np.where(is_tattoo, 1.0, -1.0)
    scores[[wrong["row"] for wrong in result["wrong"]]] *= -1
    judged = judge_detection(is_tattoo[is_chosen], scores[is_chosen])
    return {
        "images": int(np.sum(is_chosen)),
        "seconds": result["seconds"],
        "folds": [],
        "tattoo": judged["positive"],
        "non_tattoo": judged["negative"],
        "overall": judged["overall"],
    }


def point(originals, folder, source, recipe, settings, run):
    """How well the map of a detector of half the subjects finds the boxes of the other half: means over photos."""
    subjects = sorted({row["subject"] for row in originals})
    asked = set(subjects[::2])
    half = run.with_suffix(".csv")
    _write(half, ["image", "subject", "label", "box"], [list(row.values()) for row in read_rows(source) if row["subject"] not in asked])
    train_detector(str(half), None, recipe, dict(settings), str(run))
    chosen = [row for row in originals if row["subject"] in asked]
    photos = write_whole_photos(chosen, folder, run.with_name(f"{run.name}-asked.csv"))
    found = []
    for row, heat in zip(chosen, TattooDetector.load(run).heat(read_csv(photos, ("subject",))), strict=True):
        inside = boxes_mask(row, folder, heat.shape)
        if 0 < inside.mean() < _MOST_AREA and heat.any():
            found.append((inside[np.unravel_index(heat.argmax(), heat.shape)], heat[inside].sum() / heat.sum(), inside.mean()))
    strongest, share, area = np.mean(found, axis=0)
    return {"photos": len(found), "strongest": strongest, "share": share, "area": area}


def boxes_mask(row, folder, shape):
    """bool [height, width] of any size: what lies in a photo's boxes."""
    with Image.open(folder / row["file"]) as image:
        size = np.array(image.size)
    inside = np.zeros(shape, bool)
    for corners in json.loads(row[_boxes_column(row)] or "[]"):
        (left, top), (right, bottom) = (np.clip(np.array(corners, float).reshape(2, 2) / size, 0, 1) * shape[::-1]).astype(int)
        inside[top:bottom, left:right] = True
    return inside


def _boxes_column(row):
    return next(name for name in row if name.startswith("bboxes"))


def _inside(corners, size):
    """Corners [[left, top], [right, bottom]] cut at the photo's edges; None where nothing is left."""
    corners = np.clip(corners, 0, size)
    return corners if (corners[1] - corners[0] >= _LEAST_SIDE_PX).all() else None


def _pair(box, boxes, size, random):
    """(the box, or its middle, and a region of its size that touches no box), or None."""
    for scale in _SCALES:
        sides = scale * (box[1] - box[0])
        if (sides < _LEAST_SIDE_PX).any():
            return None
        for low in random.uniform(0, 1, (_TRIES, 2)) * (size - sides):
            region = np.stack([low, low + sides])
            if not any((region[0] < other[1]).all() and (other[0] < region[1]).all() for other in boxes):
                middle = box.mean(axis=0)
                return np.stack([middle - sides / 2, middle + sides / 2]), region
    return None


def _write(path, header, lines):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *lines])


def table(results):
    """Markdown: a row a set, and beneath it one a probe list."""
    lines = ["| set | photos | " + " | ".join(kind.replace("_", "-") for kind in KINDS) + " | seconds |", "|---" * (len(KINDS) + 3) + "|"]
    for name, result in results.items():
        lines.append(f"| {name} | {result['images']} | " + " | ".join(_cell(result[kind], True) for kind in KINDS) + f" | {result['seconds']:.0f} |")
        lines.extend(
            f"| list {row['fold']} | {row['overall']['photos']} | " + " | ".join(_cell(row[kind]) for kind in KINDS) + " | |" for row in result["folds"]
        )
    return "\n".join(lines)


def _cell(share, has_interval=False):
    low, high = share["interval"]
    return f"{share['accuracy']:.4f}" + (f" ({low:.3f} to {high:.3f})" if has_interval else f" ({share['right']}/{share['photos']})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bivtatt", type=Path)
    parser.add_argument("others", type=Path)
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one number of the recipe; repeatable")
    parser.add_argument("--out", help="keep the runs, the manifests and the figures as detection.json in this folder")
    arguments = parser.parse_args()
    out = Path(arguments.out or tempfile.mkdtemp(prefix="tattoo-detection-"))
    out.mkdir(parents=True, exist_ok=True)
    settings, folder = key_values(None, None, arguments.set), arguments.bivtatt.resolve()
    rows = read_rows(folder / "labels.csv")
    originals = [row for row in rows if not row["transform"]]
    cutouts, lost = write_cutouts(originals, folder, out / "cutouts.csv", int(settings.get("seed", 0)))
    sets = {
        "originals against other photos": (write_whole_photos(originals, folder, out / "originals.csv"), arguments.others),
        "with transformed copies": (write_whole_photos(rows, folder, out / "all.csv"), arguments.others),
        f"cut-outs against cut-outs beside them ({lost} boxes left out)": (cutouts, None),
    }
    both = write_both(sets["originals against other photos"][0], arguments.others, cutouts, out / "both.csv")
    sets["both together"] = (both, None)
    results = {}
    for number, (name, (source, others)) in enumerate(sets.items()):
        results[name] = train_detector(str(source), others and str(others), arguments.recipe, dict(settings), str(out / f"run{number}"))
        print(name, {kind: results[name][kind]["accuracy"] for kind in KINDS}, flush=True)
    both_rows = read_rows(both)
    for name, is_cutout in (("both together: whole photos", False), ("both together: cut-outs", True)):
        results[name] = part(results["both together"], both_rows, [bool(row["box"]) == is_cutout for row in both_rows])
    pointing = {
        name: point(originals, folder, source, arguments.recipe, settings, out / f"pointing-{name}")
        for name, source in (("whole", write_both(out / "originals.csv", arguments.others, None, out / "whole.csv")), ("both", both))
    }
    (out / "detection.json").write_text(json.dumps({"sets": results, "pointing": pointing}, indent=2))
    print(
        f"\n{table(results)}\n\n| trained on | photos | strongest place in a box | share of the map in boxes | boxes' share of the photo |\n"
        "|---|---|---|---|---|"
    )
    for name, found in pointing.items():
        print(f"| {name} | {found['photos']} | {found['strongest']:.3f} | {found['share']:.3f} | {found['area']:.3f} |")


if __name__ == "__main__":
    main()
