"""A stylizer's report: the painting, unseen photos before and after, and the losses."""

import typing
from collections.abc import Mapping
from html import escape

import numpy as np

from tfvision.data.decoding import encode_jpeg, read_pixels
from tfvision.evaluation.page import compose, inline, paragraph, section, table
from tfvision.files import write_text
from tfvision.trained.stylizer_run import StylizerRecipe, StylizerRun


def write_report(run: StylizerRun, recipe: StylizerRecipe, metrics: Mapping[str, typing.Any], shown: np.ndarray, painted: np.ndarray) -> None:
    """Writes the run's page.

    Args:
      shown, painted: uint8 [photos, size, size, 3], unseen photos and what the network makes of them.
    """
    rows = [[_image(photo, "photo"), _image(picture, "painted")] for photo, picture in zip(shown, painted, strict=True)]
    losses = [[when, f"{metrics[when]['content_loss']:.4f}", f"{metrics[when]['style_loss']:.4f}"] for when in ("before", "after")]
    facts = f"{metrics['images']} photos, {metrics['seconds']:.0f} s, network {metrics['network']}, seed {recipe.seed}"
    sections = [
        section("Painting", _image(read_pixels(run.painting_path), run.facts["painting"])),
        section("Unseen photos, before and after", table(["photo", "painted"], rows)),
        section("Losses on unseen photos", table(["", "content", "style"], losses, numbers=(1, 2)) + paragraph(facts, "note")),
    ]
    if metrics["broken"]:
        sections.append(section("Photos that could not be read", "".join(paragraph(reason) for reason in metrics["broken"].values())))
    write_text(run.report_path, compose(f"Stylizer: {run.facts['painting']}", sections))


def _image(pixels: np.ndarray, description: str) -> str:
    """An <img> that holds its pixels."""
    return f'<img src="{inline(encode_jpeg(pixels), "image/jpeg")}" alt="{escape(description)}" width="{min(pixels.shape[1], 320)}">'
