import numpy as np
import pytest

from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import DataError
from tfvision.evaluation.hierarchy import answer, descend, judge, node_probabilities

RANKS = ("kingdom", "family", "species")
LINEAGES = [
    ("animals", "cats", "lion"),
    ("animals", "cats", "lynx"),
    ("animals", "dogs", "fox"),
    ("animals", "", "sponge"),  # skips a rank
    ("plants", "oaks", "holm oak"),
    ("fungi", "", ""),  # a class of its own high up
]


@pytest.fixture
def taxonomy():
    return Taxonomy.from_lineages(RANKS, LINEAGES)


def random_taxonomy(random, classes=40):
    lineages = {(f"k{random.integers(3)}", f"f{random.integers(8)}", f"s{index}") for index in range(classes)}
    return Taxonomy.from_lineages(RANKS, lineages)


def random_softmax(random, batch, classes, sharpness=3.0):
    weights = np.exp(sharpness * random.standard_normal((batch, classes)))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def naive_sum(taxonomy, node, row):
    children = [child for child, parent in enumerate(taxonomy.parents) if parent == node]
    if not children:
        return float(row[list(taxonomy.leaf_nodes).index(node)])
    return sum(naive_sum(taxonomy, child, row) for child in children)


def softmax_of(taxonomy, **by_name):
    return np.array([[by_name.get(name.replace(" ", "_"), 0.0) for name in taxonomy.class_names]], np.float32)


def names_on_path(taxonomy, nodes):
    return [taxonomy.names[node] for node in nodes if node >= 0]


def test_node_probabilities_equal_a_recursive_sum(taxonomy):
    probabilities = random_softmax(np.random.default_rng(0), 5, len(taxonomy))
    nodes = node_probabilities(probabilities, taxonomy)
    expected = [[naive_sum(taxonomy, node, row) for node in range(taxonomy.node_count)] for row in probabilities]
    np.testing.assert_allclose(nodes, expected, rtol=1e-6)
    np.testing.assert_array_equal(nodes[:, taxonomy.leaf_nodes], probabilities)


def test_descent_goes_to_the_most_probable_child_not_to_the_most_probable_species(taxonomy):
    # animals 0.6 in small pieces, the oak alone 0.4
    probabilities = softmax_of(taxonomy, lion=0.2, lynx=0.15, fox=0.25, holm_oak=0.4)
    nodes, reached = descend(probabilities, taxonomy)
    assert names_on_path(taxonomy, nodes[0]) == ["life", "animals", "cats", "lion"]
    np.testing.assert_allclose(reached[0], [1, 0.6, 0.35, 0.2], rtol=1e-6)
    assert nodes.dtype == np.int32 and reached.dtype == np.float32


def test_paths_to_shallow_classes_are_padded(taxonomy):
    nodes, reached = descend(softmax_of(taxonomy, fungi=0.9, lion=0.1), taxonomy)
    assert nodes[0, 0] == 0 and taxonomy.names[nodes[0, 1]] == "fungi" and nodes[0, 2:].tolist() == [-1, -1]
    np.testing.assert_allclose(reached[0], [1, 0.9, 0, 0], rtol=1e-6)


def test_of_equal_children_the_first_is_taken(taxonomy):
    nodes, _ = descend(np.full((3, 6), 1 / 6, np.float32), taxonomy)
    assert [taxonomy.names[node] for node in nodes[:, 1]] == ["animals"] * 3
    assert taxonomy.names[nodes[0, 3]] == "lion"


def test_descent_equals_a_naive_walk_on_random_trees():
    random = np.random.default_rng(1)
    taxonomy = random_taxonomy(random)
    probabilities = random_softmax(random, 50, len(taxonomy))
    sums = node_probabilities(probabilities, taxonomy)
    nodes, reached = descend(probabilities, taxonomy)
    for image in range(50):
        path = [0]
        while len(taxonomy.children[path[-1]]):
            path.append(max(taxonomy.children[path[-1]], key=lambda node: sums[image, node]))
        assert nodes[image, : len(path)].tolist() == path
        np.testing.assert_allclose(reached[image, 1 : len(path)], sums[image, path[1:]], rtol=1e-6)


def test_path_probabilities_never_rise():
    random = np.random.default_rng(2)
    taxonomy = random_taxonomy(random)
    _, reached = descend(random_softmax(random, 500, len(taxonomy), sharpness=8), taxonomy)
    assert (np.diff(reached, axis=1) <= 0).all() and (reached[:, 0] == 1).all()


def test_above_one_half_the_greedy_path_gives_the_papers_argmax():
    random = np.random.default_rng(3)
    for _ in range(5):
        taxonomy = random_taxonomy(random)
        probabilities = random_softmax(random, 60, len(taxonomy))
        sums = node_probabilities(probabilities, taxonomy)
        sums[:, 0] = 1
        paths = descend(probabilities, taxonomy)
        for threshold in random.uniform(0.5001, 1, 8):
            score = np.where(sums >= threshold, taxonomy.depths + sums, -1)
            np.testing.assert_array_equal(answer(*paths, threshold), score.argmax(axis=1))


def test_prior_nodes_condition_the_softmax(taxonomy):
    probabilities = softmax_of(taxonomy, lion=0.1, lynx=0.05, fox=0.05, holm_oak=0.8)
    (cats,), (dogs,) = taxonomy.find("cats"), taxonomy.find("dogs")
    nodes, reached = descend(probabilities, taxonomy, within=(cats, dogs))
    assert names_on_path(taxonomy, nodes[0]) == ["life", "animals", "cats", "lion"]
    np.testing.assert_allclose(reached[0], [1, 1, 0.75, 0.5], rtol=1e-6)  # divided by 0.2
    assert taxonomy.names[answer(nodes, reached, 0.99)[0]] == "animals"


def test_prior_nodes_hold_even_where_the_softmax_gives_them_nothing(taxonomy):
    nodes, reached = descend(softmax_of(taxonomy, holm_oak=1.0), taxonomy, within=taxonomy.find("cats"))
    assert names_on_path(taxonomy, nodes[0]) == ["life", "animals", "cats", "lion"]
    np.testing.assert_allclose(reached[0], [1, 1, 1, 0.5])


def test_an_unknown_prior_node_is_refused(taxonomy):
    with pytest.raises(DataError, match="a prior taxon must be a node from 0 to"):
        descend(softmax_of(taxonomy, lion=1.0), taxonomy, within=(999,))


def test_answer_takes_at_least_the_threshold_and_else_the_root():
    nodes = np.array([[0, 3, 4, -1]] * 4)
    probabilities = np.array([[1, 0.75, 0.5, 0]] * 4, np.float32)
    assert answer(nodes, probabilities, [0.5, 0.500001, 0.76, 1.1]).tolist() == [4, 3, 0, 0]
    assert answer(nodes, probabilities, 0.0).tolist() == [4] * 4  # the padding never answers


def test_answer_compares_a_float32_path_with_the_unrounded_threshold():
    probabilities = np.array([[1, np.float32(0.1)]])  # float32(0.1) is a little above 0.1
    above = float(np.float32(0.1)) + 1e-12
    assert answer(np.array([[0, 1]]), probabilities.astype(np.float32), above).tolist() == [0]


def test_judge_accepts_the_class_and_what_stands_above_it(taxonomy):
    path = np.array([[0, *taxonomy.find("animals"), *taxonomy.find("cats"), *taxonomy.find("lion")]])
    labels = [taxonomy.class_names.index(name) for name in ("lion", "lynx", "sponge", "holm oak")]
    right = judge(np.repeat(path, 4, axis=0), labels, taxonomy)
    assert right.tolist() == [[True] * 4, [True, True, True, False], [True, True, False, False], [True] + [False] * 3]
