import io
import xml.etree.ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image

from tfvision.data.taxonomy import Taxonomy
from tfvision.evaluation import plots
from tfvision.evaluation.classification import Evaluation

DRAWN = (plots.draw_depth_curve, plots.draw_class_sizes, plots.draw_reliability, plots.draw_ranks)


def result_of(images, ranks=("kingdom", "species"), skip=False):
    taxonomy = Taxonomy.from_lineages(ranks, [("" if skip else f"k{index % 2}", f"s{index}") for index in range(6)])
    random = np.random.default_rng(0)
    evaluation = Evaluation(taxonomy, np.array([0, 1, 2, 5, 9, 300]))
    logits = random.standard_normal((images, 6)).astype(np.float32)
    labels = random.integers(6, size=images)
    evaluation.update(logits, labels, [f"{index}.jpg" for index in range(images)], labels % 2 == 0)
    return evaluation.result()


@pytest.mark.parametrize("draw", DRAWN)
@pytest.mark.parametrize("images", [1, 80])
def test_figures_are_svg_or_png(draw, images):
    result = result_of(images)
    assert xml.etree.ElementTree.fromstring(draw(result)).tag.endswith("svg")
    assert Image.open(io.BytesIO(draw(result, "png"))).width > 600


@pytest.mark.parametrize("draw", DRAWN)
def test_figures_take_any_rank_name_and_trees_that_skip_ranks(draw):
    draw(result_of(20, ranks=("$x^{", "<b>\\frac")))
    draw(result_of(20, skip=True))


def test_figures_are_reproducible_and_leave_no_global_state():
    result, before = result_of(40), dict(matplotlib.rcParams)
    assert plots.draw_depth_curve(result) == plots.draw_depth_curve(result)
    assert dict(matplotlib.rcParams) == before


def test_bins_are_labelled_by_their_limits():
    assert plots.size_label({"smallest": 1, "largest": 1}) == "1"
    assert plots.size_label({"smallest": 8, "largest": 15}) == "8\N{EN DASH}15"


@pytest.mark.slow
def test_figures_of_matching_are_svg_or_png():
    random = np.random.default_rng(0)
    shares = random.random((2, 20))
    points = [(0.0, 1.0), (0.01, 0.3), (0.2, 0.1), (1.0, 0.0)]
    figures = (
        lambda kind: plots.draw_cmc(np.linspace(0.5, 1, 30), [np.linspace(0.4, 1, 30)], kind),
        lambda kind: plots.draw_cmc([1.0], (), kind),
        lambda kind: plots.draw_det({"pairs": points, "gallery": []}, kind),
        lambda kind: plots.draw_det({"pairs": [(1.0, 0.0), (0.0, 1.0)]}, kind),  # nothing that a logarithm could show
        lambda kind: plots.draw_scores(np.linspace(-1, 1, 21), *shares, kind),
        lambda kind: plots.draw_likelihood([0.1, 0.5], [-1.0, 2.0], kind),
        lambda kind: plots.draw_long_tail([900, 40, 9, 1], 10, kind),
        lambda kind: plots.draw_long_tail([12, 11], 10, kind),
        lambda kind: plots.draw_long_tail([1], 10, kind),
    )
    for draw in figures:
        drawn = draw("svg")
        assert draw("svg") == drawn  # the same numbers give the same bytes
        assert xml.etree.ElementTree.fromstring(drawn).tag.endswith("svg") and "mathdefault" not in drawn.decode()
        assert Image.open(io.BytesIO(draw("png"))).format == "PNG"
