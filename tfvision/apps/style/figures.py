"""Files in, files out for the paper's figure 1 (what layers know) and figure 3 (the sheet of layers and weights).

A row or a sheet is made picture by picture into OUT.cells/, from where an interrupted command goes on.
"""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfvision.apps.style.job import DEFAULT_OPTIONS, Studio, StudioOptions, result_of, state_path
from tfvision.apps.style.pictures import check_suffix, write_picture
from tfvision.apps.style.presets import Preset
from tfvision.apps.style.reconstruction import CONTENT, reconstruct, style_subset
from tfvision.apps.style.sidecar import ReconstructionJob, StyleJob, made_before, write_sidecar
from tfvision.apps.style.style_sheet import RATIOS, labelled_sheet
from tfvision.apps.style.watch import Watch
from tfvision.data.picture_file import read_picture_file
from tfvision.models.vgg19 import STYLE_LAYERS


def reconstruct_file(
    kind: str,
    image: str | Path,
    layers: Sequence[str],
    preset: Preset,
    out: str | Path | None = None,
    options: StudioOptions = DEFAULT_OPTIONS,
) -> dict:
    """Writes what layers know of an image's content or style: one picture, or without layers the row of figure 1.

    Args:
      kind: "content" or "style".
      image: path.
      layers: names; () = each of conv1_1 to conv5_1 (of style: the subset up to it), side by side.
      preset: Preset.
      out: path; None = named after image, kind and layers.
      options: of them `is_resumed`, `command` and `preview`.

    Returns:
      dict with "output", "iterations", "content_loss", "style_loss" and "seconds".

    Raises:
      UserError: as `reconstruction.reconstruct`.
    """
    output = Path(out or f"{Path(image).stem}-{'-'.join([kind, *layers])}.png")
    check_suffix(output)
    if layers:
        return _reconstruct(ReconstructionJob(kind, str(image), tuple(layers), preset), output, options)
    results = []
    for layer in STYLE_LAYERS:
        subset = (layer,) if kind == CONTENT else style_subset(layer)
        job = ReconstructionJob(kind, str(image), subset, preset)
        results.append(_reconstruct(job, _cells(output) / f"{layer}.png", options))
    labels = [layer if kind == CONTENT or layer == STYLE_LAYERS[0] else f"to {layer}" for layer in STYLE_LAYERS]
    return _finish(output, [results], [kind], labels)


def style_sheet_file(
    photo: str | Path,
    painting: str | Path,
    preset: Preset,
    out: str | Path | None = None,
    ratios: Sequence[float] = RATIOS,
    options: StudioOptions = DEFAULT_OPTIONS,
) -> dict:
    """Writes figure 3 for a photo and a painting: five subsets of style layers by ratios of alpha to beta.

    Args:
      photo, painting: paths.
      preset: Preset.
      out, options: as `reconstruct_file`.
      ratios: alpha / beta, one a column.

    Returns:
      As `reconstruct_file`.
    """
    output = Path(out or f"{Path(photo).stem}-{Path(painting).stem}-sheet.png")
    rows: list[list[dict]] = []
    check_suffix(output)
    for row, layer in enumerate(STYLE_LAYERS):
        rows.append([])
        for column, ratio in enumerate(ratios):
            own = dataclasses.replace(preset, style_layers=style_subset(layer), content_weight=ratio * preset.style_weight)
            studio = Studio(StyleJob(str(photo), (str(painting),), preset=own), options)
            label = f"{row * len(ratios) + column + 1} of {len(STYLE_LAYERS) * len(ratios)}"
            rows[-1].append(studio.make(Path(photo), _cells(output) / f"{layer}-{ratio:.0e}.png", label))
    return _finish(output, rows, list(STYLE_LAYERS), [f"{ratio:.0e}".replace("e-0", "e-") for ratio in ratios])


def _reconstruct(job, output, options):
    before, preview = made_before(output, job) if options.is_resumed else None, options.preview
    if before:
        return result_of(output, before)
    pixels = read_picture_file(job.image).pixels
    if preview:
        preview.begin(f"{job.kind} of {', '.join(job.layers)}", [pixels])
    with Watch(f"{job.kind} {job.layers[-1]}", preview) as watch:
        made = reconstruct(job.kind, pixels, job.layers, job.preset, on_iteration=watch, state_path=state_path(output, options.is_resumed))
    write_picture(output, made.picture)
    write_sidecar(output, job, made.facts, options.command)
    if preview:
        preview.finish(output, made.picture)
    return result_of(output, made.facts)


def _cells(output):
    return Path(f"{output}.cells")


def _finish(output, rows, row_labels, column_labels):
    """Joins the pictures of rows of results to a sheet; their files go."""
    pictures = [[read_picture_file(result["output"]).pixels for result in row] for row in rows]
    write_picture(output, labelled_sheet(pictures, row_labels, column_labels))
    shutil.rmtree(_cells(output), ignore_errors=True)
    results = [result for row in rows for result in row]
    totals = {name: sum(result[name] for result in results) for name in ("iterations", "seconds")}
    means = {name: float(np.mean([result[name] for result in results])) for name in ("content_loss", "style_loss")}
    return result_of(output, {**totals, **means})
