"""The map's colours can be told apart, also by who sees colours otherwise; distances are recomputed here from the published matrices."""

import re
from pathlib import Path

import numpy as np
import pytest

PALETTE = Path(__file__).parents[3] / "tfvision" / "apps" / "explorer" / "static" / "palette.js"
GROUNDS = {"light": "#ffffff", "dark": "#16191c"}
SEEN = {  # Machado et al. 2009, severity 1, over linear RGB
    "all": np.eye(3),
    "no red": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "no green": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "no blue": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
OKABE_ITO = ["#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"]


def linear(colours):
    """float64 [n, 3] of "#rrggbb"."""
    values = np.array([[int(colour[start : start + 2], 16) for start in (1, 3, 5)] for colour in colours]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def oklab(rgb):
    """Ottosson's, of linear RGB."""
    to_cones = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]]
    to_lab = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099], [0.0259040371, 0.7827717662, -0.8086757660]]
    return np.cbrt(np.clip(rgb, 0, 1) @ np.transpose(to_cones)) @ np.transpose(to_lab)


def closest(colours):
    """The smallest distance between two of them, by whomever they are seen."""
    labs = [oklab(linear(colours) @ matrix.T) for matrix in SEEN.values()]
    return min(np.linalg.norm(lab[first] - lab[second]) for lab in labs for first in range(len(colours)) for second in range(first))


def contrast(colour, ground):
    """WCAG's, 1 to 21."""
    luminances = sorted(linear([colour, ground]) @ [0.2126, 0.7152, 0.0722])
    return (luminances[1] + 0.05) / (luminances[0] + 0.05)


@pytest.mark.parametrize("theme", GROUNDS)
def test_colours_are_told_apart_as_well_as_okabe_and_itos_and_stand_out_from_the_ground(theme):
    text = PALETTE.read_text(encoding="utf-8")
    colours = re.findall(r"#[0-9a-f]{6}", re.search(rf"{theme}: \[(.+?)\]", text)[1])
    other = re.search(r'OTHER = "(#\w{6})"', text)[1]
    assert len(colours) == 8
    assert closest(colours) >= 0.1 and closest([*colours, other]) >= closest(OKABE_ITO)
    assert min(contrast(colour, GROUNDS[theme]) for colour in colours) >= 3
