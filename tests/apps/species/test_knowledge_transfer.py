import numpy as np
import pytest

from tfvision.apps.species.knowledge_transfer import classes_at_rank, mix, parents_between, transfer_heads
from tfvision.data.taxonomy import Taxonomy
from tfvision.models.multi_view import add_heads, build_trunk

TAXONOMY = Taxonomy.from_lineages(
    ("family", "genus", "species"),
    [("F", "A", "a1"), ("F", "A", "a2"), ("F", "B", "b1"), ("G", "C", "c1"), ("G", "", "lone")],
)


def test_classes_of_each_rank_follow_the_tree():
    names = {rank: [TAXONOMY.names[node] for node in classes_at_rank(TAXONOMY, rank).nodes] for rank in TAXONOMY.ranks}
    assert names["family"] == ["F", "G"]
    # "lone" skips the rank of genus: what stands for it there is its family.
    assert names["genus"] == ["A", "B", "G", "C"]
    assert names["species"] == ["a1", "a2", "b1", "lone", "c1"]
    assert classes_at_rank(TAXONOMY, "family").of_class.tolist() == [0, 0, 0, 1, 1]
    assert classes_at_rank(TAXONOMY, "species").of_class.tolist() == [0, 1, 2, 3, 4]


def test_parents_are_the_papers_translation_of_labels():
    family, genus, species = (classes_at_rank(TAXONOMY, rank) for rank in TAXONOMY.ranks)
    assert parents_between(family, genus).tolist() == [0, 0, 1, 1]
    assert parents_between(genus, species).tolist() == [0, 0, 1, 2, 3]
    assert parents_between(family, species).tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("mixing", [0.0, 0.3, 0.5, 1.0])
def test_mixing_keeps_the_variance(mixing):
    random = np.random.default_rng(0)
    parent, fresh = random.uniform(-1, 1, (2, 500, 400))
    # Var of U(-1, 1) is 1/3; the standard error of the estimate from 200,000 values is 0.0007.
    assert mix(parent, fresh, mixing).var() == pytest.approx(1 / 3, abs=0.004)


@pytest.mark.slow
@pytest.mark.parametrize("mixing", [0.0, 0.5, 1.0])
def test_heads_inherit_their_parents_columns_and_biases(mixing):
    trunk = build_trunk("small", ("whole", "crop"), 32)
    coarse = add_heads(trunk, 2)
    for name in ("species_logits", "auxiliary_logits"):
        kernel, _ = coarse.get_layer(name).get_weights()
        coarse.get_layer(name).set_weights([kernel, np.float32([0.5, -0.5])])
    parents = np.array([0, 0, 1])
    fine = transfer_heads(coarse, trunk, parents, mixing, kernel_seed=7)
    fresh = add_heads(trunk, 3, kernel_seed=7)
    for name in ("species_logits", "auxiliary_logits"):
        kernel, bias = fine.get_layer(name).get_weights()
        parent_kernel = coarse.get_layer(name).get_weights()[0]
        fresh_kernel = fresh.get_layer(name).get_weights()[0]
        expected = np.sqrt(mixing) * parent_kernel[:, [0, 0, 1]] + np.sqrt(1 - mixing) * fresh_kernel
        np.testing.assert_allclose(kernel, expected, atol=1e-6)
        np.testing.assert_array_equal(bias, np.float32([0.5, 0.5, -0.5]))


def test_two_species_of_a_genus_start_alike_but_not_equal():
    trunk = build_trunk("small", ("whole",), 32)
    fine = transfer_heads(add_heads(trunk, 2), trunk, np.array([0, 0, 1]), 0.5, 1)
    kernel = fine.get_layer("species_logits").get_weights()[0]
    siblings, strangers = (np.corrcoef(kernel[:, 0], kernel[:, other])[0, 1] for other in (1, 2))
    assert 0.3 < siblings < 0.7  # a = 0.5 is their expected correlation; 256 values give it to 0.06
    assert abs(strangers) < 0.2
