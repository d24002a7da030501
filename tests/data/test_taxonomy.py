import numpy as np
import pytest

from tfvision.data.taxonomy import ROOT_NAME, Taxonomy
from tfvision.errors import DataError, FileError

RANKS = ("kingdom", "family", "species")
LINEAGES = [
    ("plants", "oaks", "holm oak"),
    ("animals", "cats", "lynx"),
    ("animals", "", "sponge"),  # skips a rank
    ("animals", "cats", "lion"),
    ("fungi", "", ""),  # a class of its own high up
    ("", "", "mystery"),  # known by its species alone
]

# Sorted by hand, "" before any name: mystery; animals: sponge, cats: lion, lynx; fungi; plants: oaks: holm oak.
NAMES = (ROOT_NAME, "mystery", "animals", "sponge", "cats", "lion", "lynx", "fungi", "plants", "oaks", "holm oak")
PARENTS = [-1, 0, 0, 2, 2, 4, 4, 0, 0, 8, 9]
DEPTHS = [0, 1, 1, 2, 2, 3, 3, 1, 1, 2, 3]
CLASSES = ("mystery", "sponge", "lion", "lynx", "fungi", "holm oak")


@pytest.fixture
def taxonomy():
    return Taxonomy.from_lineages(RANKS, LINEAGES)


def test_nodes_of_an_unbalanced_tree_are_numbered_depth_first(taxonomy):
    assert taxonomy.names == NAMES
    assert taxonomy.parents.tolist() == PARENTS
    assert taxonomy.depths.tolist() == DEPTHS
    assert taxonomy.node_ranks[:5] == ("root", "species", "kingdom", "species", "family")
    assert taxonomy.node_count == len(NAMES)


def test_classes_are_the_leaves_in_order(taxonomy):
    assert taxonomy.class_names == CLASSES
    assert len(taxonomy) == len(CLASSES)
    assert taxonomy.leaf_nodes.tolist() == [NAMES.index(name) for name in CLASSES]


def test_repeated_and_shuffled_lineages_give_the_same_taxonomy(taxonomy):
    assert Taxonomy.from_lineages(RANKS, 3 * LINEAGES[::-1]) == taxonomy


def test_children_are_those_whose_parent_a_node_is(taxonomy):
    for node in range(taxonomy.node_count):
        assert taxonomy.children[node].tolist() == [child for child, parent in enumerate(PARENTS) if parent == node]


def test_every_subtree_covers_a_contiguous_range_of_nodes_and_of_classes():
    random = np.random.default_rng(0)
    lineages = {tuple(f"{rank}{random.integers(4)}" if random.random() < 0.7 else "" for rank in "abc") + (f"species{i}",) for i in range(80)}
    taxonomy = Taxonomy.from_lineages(("a", "b", "c", "species"), lineages)
    paths = [taxonomy.path_to(node) for node in range(taxonomy.node_count)]
    for node in range(taxonomy.node_count):
        below = [other for other, path in enumerate(paths) if node in path]
        assert below == list(range(below[0], below[-1] + 1))
        leaves = [leaf for leaf, leaf_node in enumerate(taxonomy.leaf_nodes) if node in paths[leaf_node]]
        assert leaves == list(range(taxonomy.first_leaves[node], taxonomy.end_leaves[node]))


def test_path_runs_from_the_root_to_the_node(taxonomy):
    assert taxonomy.path_to(NAMES.index("lynx")) == [0, NAMES.index("animals"), NAMES.index("cats"), NAMES.index("lynx")]
    assert taxonomy.path_to(0) == [0]


def test_ancestors_at_rank_use_the_nearest_rank_where_one_is_skipped(taxonomy):
    def at(rank):
        return [taxonomy.names[node] for node in taxonomy.ancestors_at_rank(rank)]

    assert at("kingdom") == ["mystery", "animals", "animals", "animals", "fungi", "plants"]
    assert at("family") == ["mystery", "animals", "cats", "cats", "fungi", "oaks"]
    assert at("species") == list(CLASSES)


def test_class_index_knows_whole_lineages_only(taxonomy):
    assert taxonomy.class_index(("animals", "cats", "lynx")) == CLASSES.index("lynx")
    assert taxonomy.class_index(["animals", "", "lynx"]) is None


def test_find_ignores_case_and_space(taxonomy):
    assert taxonomy.find("  LYNX ") == [NAMES.index("lynx")]


def test_find_names_near_misses_whatever_their_case(taxonomy):
    with pytest.raises(DataError, match="'LYNKS' is no taxon of this model; did you mean 'lynx'?"):
        taxonomy.find("LYNKS")
    with pytest.raises(DataError, match="'qqqqqq' is no taxon of this model$"):
        taxonomy.find("qqqqqq")


def test_the_root_cannot_be_found_by_name(taxonomy):
    with pytest.raises(DataError):
        taxonomy.find(ROOT_NAME)


def test_a_name_in_two_places_is_two_nodes():
    taxonomy = Taxonomy.from_lineages(("genus", "species"), [("Parus", "major"), ("Dendrocopos", "major"), ("Parus", "ater")])
    first, second = taxonomy.find("major")
    assert [taxonomy.names[taxonomy.parents[node]] for node in (first, second)] == ["Dendrocopos", "Parus"]
    assert taxonomy.class_names.count("major") == 2


def test_a_name_that_a_child_shares_with_its_parent_is_two_nodes():
    taxonomy = Taxonomy.from_lineages(("genus", "species"), [("Bison", "Bison"), ("Bison", "priscus")])
    assert taxonomy.names == (ROOT_NAME, "Bison", "Bison", "priscus")


def test_a_class_that_is_also_a_parent_is_an_error():
    with pytest.raises(DataError, match="'cats' is a class of its own and the parent of 'lion'"):
        Taxonomy.from_lineages(RANKS, [("animals", "cats", ""), ("animals", "cats", "lion")])


def test_a_lineage_without_names_is_an_error():
    with pytest.raises(DataError, match="no name at any of the ranks kingdom, family, species"):
        Taxonomy.from_lineages(RANKS, [("", "", "")])


def test_a_saved_taxonomy_loads_equal(taxonomy, tmp_path):
    taxonomy.save(tmp_path / "taxonomy.json")
    loaded = Taxonomy.load(tmp_path / "taxonomy.json")
    assert loaded == taxonomy
    assert loaded.names == NAMES


@pytest.mark.parametrize("text", ["{}", "[]", '{"ranks": 3, "lineages": []}', "not json"])
def test_a_file_that_holds_no_taxonomy_is_named(tmp_path, text):
    path = tmp_path / "taxonomy.json"
    path.write_text(text)
    with pytest.raises(FileError, match="taxonomy.json"):
        Taxonomy.load(path)
