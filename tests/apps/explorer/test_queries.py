import numpy as np
import pytest

from tfvision.apps.explorer import answers, tables
from tfvision.apps.explorer.collection import Pictures
from tfvision.apps.explorer.jobs import Jobs
from tfvision.errors import DataError, UserError


def test_a_picture_is_not_among_its_own_hits(session, layer):
    query = session.queries.open("0", layer)
    assert np.isnan(query.scores[0]) and query.hits(2)[0] == 1 and query.key == "id:reds/red 1.png"


def test_a_shortlist_is_remembered_and_grows(session, layer, monkeypatch):
    expected = session.queries.open("0", layer).hits(4).tolist()
    assert session.queries.shortlist("0", layer, 2) == expected[:2] and session.queries.shortlist("0", layer, 4) == expected
    monkeypatch.setattr(layer, "similarities", None)
    assert session.queries.shortlist("0", layer, 3) == expected[:3]


def test_a_groups_score_is_the_mean_similarity_to_its_members(session, layer):
    query = session.queries.open("g:colour=reds", layer)
    vectors = layer.gallery.row_vectors
    for position in range(2, 6):
        assert query.scores[position] == pytest.approx(np.mean([vectors[position] @ vectors[member] for member in (0, 1)]), abs=1e-6)
    assert np.isnan(query.scores[:2]).all() and query.title == "colour reds (2)"


@pytest.mark.parametrize("name", ["6", "-1", "x", "g:colour", "g:colour=pink", "g:shape=round", "u:../../etc/passwd", "u:" + "0" * 20, "²", ""])
def test_a_name_of_nothing_is_refused(name, session, layer):
    with pytest.raises(DataError):
        session.queries.open(name, layer)


def test_names_and_keys_lead_to_each_other(session):
    for name in ("3", "g:colour=reds"):
        assert session.queries.name_of(session.queries.titles(name)[1]) == name
    assert session.queries.name_of("id:gone.png") is None


def test_neighbours_come_with_percentiles(session, layer):
    found = answers.neighbours(session.queries, layer, "0", 3)
    assert found["places"][0] == 1 and found["scores"][0] == pytest.approx(0.98, abs=1e-4)
    assert found["percentiles"][0] == 80  # of five pictures four are less alike


def test_the_distribution_counts_every_picture_but_the_query(session, layer):
    found = answers.distribution(session.queries, layer, "0")
    assert sum(found["counts"]) == 5 and sum(found["random_counts"]) == 20_000 and len(found["edges"]) == len(found["counts"]) + 1
    within = answers.within(session.queries, layer, "0", -1, 0.5, 10, is_lowest_first=True)
    assert within["total"] == 4 and within["scores"] == sorted(within["scores"])


def test_a_query_compared_with_itself_is_the_same(session, layer):
    found = answers.comparison(session.queries, layer, ["0", "0", "4"])
    assert found["kolmogorov_smirnov"][0][1] == 0 and found["jensen_shannon"][0][1] == 0 and found["overlap"][0][1] == 1
    with pytest.raises(DataError, match="up to 8"):
        answers.comparison(session.queries, layer, ["0"] * 9)


def test_a_verdict_is_of_every_layer(session):
    session.notes.mark("its colour", "id:reds/red 1.png", {"reds/red 2.png": True, "blues/blue 2.png": False})
    session.notes.mark("its colour", "id:gone.png", {"reds/red 2.png": True})  # a query that is no more
    found = answers.verdict(session.collection, session.queries, session.notes.read(), "its colour")
    assert [(one["name"], one["marked"]) for one in found["lost"]] == [("id:gone.png", 1)]
    assert [row["name"] for row in found["queries"]] == ["0"] and found["layers"] == ["colours", "other"]
    first = found["queries"][0]["layers"][0]
    assert first[0]["k"] == 1 and first[0]["share"] == 1 and first[1]["judged"] == 2 and first[1]["share"] == 0.5
    assert found["pooled"][0][0] == first[0]


def test_neighbours_of_all_are_those_of_a_naive_loop(layer):
    positions, scores = tables.all_neighbours(layer, 3)
    vectors = np.array(layer.gallery.row_vectors)
    for own in range(6):
        expected = sorted((other for other in range(6) if other != own), key=lambda other: -float(vectors[own] @ vectors[other]))[:1]
        assert positions[own, 0] == expected[0] and own not in positions[own]
        np.testing.assert_allclose(scores[own], vectors[positions[own]] @ vectors[own], atol=1e-6)


def test_fewer_pictures_than_neighbours_leave_places_empty(layer):
    positions, scores = tables.all_neighbours(layer, 8)
    assert (positions[:, 5:] == -1).all() and (scores[:, 5:] == -np.inf).all() and (positions[:, :5] >= 0).all()


def test_derived_results_are_kept(session, layer, monkeypatch):
    before = session.tables.neighbours(layer), session.tables.map(layer, "pca")
    monkeypatch.setattr(tables, "all_neighbours", None)
    monkeypatch.setattr(tables, "principal_plane", None)
    after = session.tables.neighbours(layer), session.tables.map(layer, "pca")
    np.testing.assert_array_equal(before[0][0], after[0][0])
    np.testing.assert_array_equal(before[1], after[1])


def test_umap_that_is_missing_is_one_clear_line(session, layer, monkeypatch):
    monkeypatch.setattr(tables.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'tfvision\[umap\]'"):
        session.tables.map(layer, "umap")


def test_a_job_is_done_once_and_a_failed_one_again():
    jobs, done = Jobs(), []

    def work(tell):
        done.append(1)
        tell(0.5, "half")
        if len(done) == 1:
            raise DataError("no")
        return "yes"

    assert jobs.start("a", work).wait(60).error == "no"
    assert jobs.start("a", work).wait(60).result == "yes" and jobs.start("a", work).wait(60).result == "yes" and len(done) == 2


def test_labels_with_signs_of_their_own_are_found():
    pictures = Pictures(["a", "b", "c"], str, {"a": (["b=x", "y"], np.int32([0, 1, 1])), "a=b": (["x", "z"], np.int32([1, 1, 0]))})
    assert [(column, value, rows.tolist()) for column, value, rows in map(pictures.members, ("a=y", "a=b=z"))] == [("a", "y", [1, 2]), ("a=b", "z", [0, 1])]
    with pytest.raises(DataError, match="there is no picture with a = q"):
        pictures.members("a=q")


def test_a_group_that_changes_while_it_is_asked_is_not_remembered_as_it_was(session, layer, monkeypatch):
    similarities, ids = layer.similarities, session.collection.pictures.ids

    def changed_meanwhile(*arguments):
        monkeypatch.undo()
        session.corrections.correct({"colour": {ids[2]: "reds"}}, "Jo")
        session.show_corrections()
        return similarities(*arguments)

    monkeypatch.setattr(layer, "similarities", changed_meanwhile)
    assert 2 in session.queries.shortlist("g:colour=reds", layer, 4)  # as it was asked
    query = session.queries.open("g:colour=reds", layer)
    assert np.isnan(query.scores[:3]).all() and query.title == "colour reds (3)"
    assert session.queries.shortlist("g:colour=reds", layer, 4) == query.hits(4).tolist()


def test_scores_are_ordered_anew_where_they_are_others(session, layer):
    scores = session.queries.open("0", layer).scores
    assert layer.ordered("0", scores).tolist() == sorted(scores[1:].tolist()) and layer.ordered("0", scores) is layer.ordered("0", scores)
    assert layer.ordered("0", -scores).tolist() == sorted((-scores[1:]).tolist())


def test_the_last_results_of_jobs_are_kept():
    jobs, done = Jobs(), []
    for name in range(100):
        jobs.start(name, lambda tell, name=name: done.append(name)).wait(60)
    jobs.start(99, lambda tell: done.append("again")).wait(60)
    jobs.start(0, lambda tell: done.append("again")).wait(60)
    assert done == [*range(100), "again"]
