import numpy as np
import pytest
import tensorflow as tf

from tfvision.apps.species.answer_graph import AnswerGraph
from tfvision.apps.species.identification import careful_answers
from tfvision.data.taxonomy import Taxonomy
from tfvision.evaluation import hierarchy
from tfvision.evaluation.calibration import softmax

RANKS = ("order", "family", "genus", "species")
LINEAGES = (  # unbalanced: ranks are skipped, "Bee" stands in two orders
    ("A", "Aa", "Aaa", "one"),
    ("A", "Aa", "Aaa", "two"),
    ("A", "Aa", "", "three"),
    ("A", "", "Bee", "four"),
    ("B", "Ba", "Bee", "five"),
    ("B", "Ba", "Bee", "six"),
    ("C", "", "", "seven"),
)
TAXONOMY = Taxonomy.from_lineages(RANKS, LINEAGES)
TEMPERATURE = 1.7


def answer(logits, threshold, within=("",)):
    graph = AnswerGraph(TAXONOMY, TEMPERATURE, 3)
    inside = graph.classes_within(tf.constant(within))
    return {key: values.numpy() for key, values in graph.answer_to(tf.constant(logits), tf.constant(threshold), inside).items()}


def logits(rows=200, spread=3.0):
    return (spread * np.random.default_rng(0).standard_normal((rows, len(TAXONOMY)))).astype(np.float32)


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("within", [(), ("Bee",), ("aa", "C")])
def test_graph_answers_as_numpy_does(threshold, within):
    nodes = [node for name in within for node in TAXONOMY.find(name)]
    inside = hierarchy.classes_within(TAXONOMY, nodes)
    probabilities = softmax(np.where(inside, logits(), -np.inf).astype(np.float32), TEMPERATURE)
    paths, reached = hierarchy.descend(probabilities, TAXONOMY)
    named = hierarchy.answer(paths, reached, threshold)
    got = answer(logits(), np.float32([threshold]), [" ; ".join(within)] * 200)
    assert got["taxon"].tolist() == [TAXONOMY.names[node].encode() for node in named]
    assert got["rank"].tolist() == [TAXONOMY.node_ranks[node].encode() for node in named]
    depths = [len(TAXONOMY.path_to(node)) - 1 for node in named]
    np.testing.assert_allclose(got["probability"], reached[np.arange(200), depths], atol=1e-6)
    for row, node in enumerate(named):
        lineage = [TAXONOMY.names[n].encode() for n in TAXONOMY.path_to(node)[1:]]
        assert got["lineage_names"][row].tolist() == lineage + [b""] * (4 - len(lineage))


def test_each_row_has_its_own_threshold_and_prior_taxa():
    of_class = {"one": 3, "two": 2, "three": 1, "four": 0, "five": 2.5, "six": 1, "seven": 0}
    same = np.tile(np.float32([[of_class[name] for name in TAXONOMY.class_names]]), (3, 1))
    got = answer(same, np.float32([0.0, 1.5, 0.0]), ["", "", "B"])
    assert got["taxon"].tolist() == [b"one", b"life", b"five"]
    assert got["rank"].tolist() == [b"species", b"root", b"species"]
    assert got["lineage_names"][1].tolist() == [b""] * 4
    assert got["lineage_probabilities"][2, 0] == pytest.approx(1)


def both_ways(logits, taxonomy, temperature=1.0, within=""):
    """(path, likeliest classes) by name of each row, as the graph answers and as numpy does."""
    graph = AnswerGraph(taxonomy, temperature, 5)
    served = graph.answer_to(tf.constant(logits), tf.constant([0.0]), graph.classes_within(tf.constant([within])))
    nodes = taxonomy.find(within) if within else ()
    for row, answer in enumerate(careful_answers(logits, taxonomy, temperature, nodes)):
        in_graph = (served["lineage_names"][row].numpy().tolist(), served["top_names"][row].numpy().tolist())
        names = [taxonomy.names[node].encode() for node in answer.path[1:]]
        yield (
            tuple([name.decode() for name in names if name] for names in in_graph),
            (
                [name.decode() for name in names],
                [taxonomy.class_names[number] for number in answer.likeliest],
            ),
        )


def test_of_equally_probable_taxa_the_first_is_named():
    by_graph, by_numpy = next(both_ways(np.zeros((1, 7), np.float32), TAXONOMY))
    assert by_graph == by_numpy == (["A", "Aa", "Aaa", "one"], list(TAXONOMY.class_names[:5]))


def test_alternatives_of_probability_0_stand_in_the_order_of_their_logits():
    # exp(-88) to exp(-103) is less than float32's least normal number, which processors may take for 0; exp(-200) is 0 everywhere.
    logits = np.float32([[-300, 0, -103, -88, -200, -95, -200]])
    by_graph, by_numpy = next(both_ways(logits, TAXONOMY))
    order = [TAXONOMY.class_names[number] for number in (1, 3, 5, 2, 4)]
    assert by_graph[1] == by_numpy[1] == order


def test_within_prior_taxa_those_of_probability_0_come_before_all_others():
    numbers = {name: number for number, name in enumerate(TAXONOMY.class_names)}
    logits = np.full((1, 7), 5, np.float32)
    logits[0, [numbers["one"], numbers["two"], numbers["three"]]] = 0, -500, -400
    by_graph, by_numpy = next(both_ways(logits, TAXONOMY, within="Aa"))
    assert by_graph[1][:3] == by_numpy[1][:3] == ["one", "three", "two"]
    assert by_graph == by_numpy


def test_taxa_of_equal_sums_are_told_apart_by_their_order_alone():
    """Two genera hold the same logits in another order: their sums differ by rounding at the most, and the first is named."""
    lineages = [("A", genus, f"{genus}{number}") for genus in ("Aa", "Ab") for number in range(6)] + [("B", "Ba", f"Ba{number}") for number in range(5)]
    taxonomy = Taxonomy.from_lineages(("order", "genus", "species"), lineages)
    random = np.random.default_rng(0)
    logits = np.concatenate([random.normal(5, 2, (300, 12)), random.normal(-8, 4, (300, 5))], axis=1).astype(np.float32)
    for row in logits:
        row[6:12] = random.permutation(row[:6])
    for by_graph, by_numpy in both_ways(logits, taxonomy, TEMPERATURE):
        assert by_graph == by_numpy
        assert by_graph[0][:2] == ["A", "Aa"]


def test_the_likeliest_classes_come_in_order():
    got = answer(np.float32([[0, 1, 2, 3, 4, 5, 6]]), np.float32([0.5]))
    assert got["top_names"].tolist() == [[TAXONOMY.class_names[i].encode() for i in (6, 5, 4)]]
    assert (np.diff(got["top_probabilities"]) < 0).all()


def test_prior_taxa_are_found_in_any_spelling():
    taxonomy = Taxonomy.from_lineages(("family", "species"), [("Isoetaceae", "Isoëtes echinospora"), ("Nymphalidae", "Polygonia c-album")])
    graph = AnswerGraph(taxonomy, 1.0, 2)
    spellings = ["Isoe\u0308tes echinospora", "ISOËTES_ECHINOSPORA", " isoëtes  echinospora ", "polygonia_C-Album"]
    assert graph.classes_within(tf.constant(spellings)).numpy().tolist() == [[True, False]] * 3 + [[False, True]]


def test_an_unknown_prior_taxon_is_named():
    with pytest.raises(tf.errors.InvalidArgumentError, match="no taxon of this model: zebra"):
        answer(logits(2), np.float32([0.5]), ["Zebra", "A"])
