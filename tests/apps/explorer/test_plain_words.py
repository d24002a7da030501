import numpy as np
import pytest

from tfvision.apps.explorer import answers, distributions, plain_words
from tfvision.apps.explorer.label_retrieval import label_retrieval


def test_a_distribution_is_told_by_its_own_figures():
    scores, pairs = np.sort(np.float32([0.1] * 30 + [0.9] * 70)), np.sort(np.float32([0.1] * 80 + [0.9] * 20))
    edges = distributions.common_edges([scores, pairs], 10)
    words = plain_words.distribution_words(scores, pairs, *(distributions.histogram(one, edges) for one in (scores, pairs)), 10)
    assert words[0].startswith("Kolmogorov-Smirnov 0.500: 30 % of the pictures, but 80 % of random pairs, have a similarity of 0.100 at most")
    assert "far more alike" in words[0] and "rightly 75 times in 100" in words[1]  # 0.7 / 2 + 0.8 / 2
    assert words[2] == "The first 10 hits begin at 0.900: 20 % of random pairs are as alike as that."
    assert plain_words.distribution_words(scores[:0], pairs, np.zeros(1), np.zeros(1), 10) == []


def test_queries_that_are_compared_are_told_by_their_extremes(session, layer):
    words = answers.comparison(session.queries, layer, ["0", "1", "4"])["words"]
    assert len(words) == 4 and "are the farthest apart" in words[0] and words[3].startswith("Of their first 5 hits ") and "would share about 5" in words[3]
    assert answers.comparison(session.queries, layer, ["0"])["words"] == []


def test_hubs_are_told_by_their_own_figures():
    counts = np.array([0] * 5 + [2] * 4 + [50])
    words = plain_words.hub_words(counts, 2.5, 16)
    assert (
        words.startswith("Skewness 2.50: a few pictures are near to very many.")
        and "of 1 others, the greatest hub of 50" in words
        and "86 % of all places" in words
    )


def test_measures_by_label_are_told_by_their_own_figures(session):
    found = label_retrieval(session.collection, "colour", 100)
    assert "Of the first ten hits in colours 20 % have the same colour (20 to 20 %), 1.0 times what chance would give (20 %)." in found["sentence"]
    assert [word.split(" of ")[0] for word in found["words"][:4]] == ["Precision at 10", "R-precision", "mAP", "AUROC"]


def judged(session, queries, marks, judge=""):
    ids = session.collection.pictures.ids
    for query in queries:
        session.notes.mark("its colour", f"id:{ids[query]}", {ids[other]: is_right for other, is_right in marks(query).items()}, judge)
    return answers.verdict(session.collection, session.queries, session.notes.read(), "its colour")


def same_colour(query):
    return {other: other // 2 == query // 2 for other in range(6) if other != query}


def test_nothing_judged_has_no_draft(session):
    assert answers.verdict(session.collection, session.queries, session.notes.read(), "its colour")["draft"] == ""


def test_a_draft_names_queries_k_interval_chance_and_layer(session):
    draft = judged(session, [0, 2], same_colour)["draft"]
    assert draft.startswith(
        "Not clearly more than by chance: of the first 5 hits of 2 queries, colours has 20 % right (95 % interval 5.7 to 51 %), 1.0 times as often as"
    )
    assert "pictures drawn at random (20 %, 5.7 to 51 %)" in draft and "other has 20 %; fewer than 5 queries cannot tell" in draft


def test_a_draft_of_a_clear_difference_says_by_how_much(session):
    found = judged(session, range(6), same_colour)

    def one(share, low, high, hits):
        return {"k": 10, "share": share, "low": low, "high": high, "hits": hits, "judged": hits, "right": round(share * hits), "least": share, "most": share}

    for row in found["queries"]:
        row["layers"] = [[one(share, 0, 1, 10)] * 5 for share in (0.9, 0.2)]
    found["pooled"] = [[one(share, share - 0.1, share + 0.1, 60)] * 5 for share in (0.9, 0.2)]
    found["drawn"] = one(0.05, 0.01, 0.1, 60)
    draft = plain_words.verdict_draft(found)
    assert draft.startswith("Yes: of the first 10 hits of 6 queries, colours has 90 % right (95 % interval 80 to 100 %), 18.0 times as often as pictures drawn")
    assert draft.endswith("other has 20 %, 70 points less on the same queries (70 to 70).")


def test_what_is_not_judged_is_told_with_its_bounds(session):
    found = judged(session, [0], lambda query: {1: True, 2: False})
    one = found["pooled"][0][found["ks"].index(5)]
    assert (one["hits"], one["judged"], one["least"], one["most"]) == (5, 2, 0.2, 0.8)
    assert "Not judged are 3 of 5 in colours, with which it would be 20 to 80 %; " in found["draft"]


def test_hits_that_are_drawn_by_chance_as_well_do_not_tell_what_chance_gives(session):
    found = judged(session, [0], lambda query: {1: True})  # the first hit alone, which is one of those drawn
    assert found["queries"][0]["drawn"]["judged"] == 1 and found["drawn"]["judged"] == 0
    assert "How often chance would be right was not judged." in found["draft"] and "than by chance" not in found["draft"]
    found = judged(session, [2], same_colour)
    assert (found["drawn"]["judged"], found["drawn"]["right"]) == (5, 1)


def test_the_agreement_of_judges_is_told(session):
    judged(session, range(3), same_colour, "Ann")
    found = judged(session, range(3), lambda query: {**same_colour(query), 5: True}, "Ben")
    assert "Ann and Ben say the same of 80 % of 15 pictures (kappa 0." in found["draft"]
    assert "of the way from chance to complete agreement" in found["agreement"]["words"][0]


@pytest.mark.parametrize(
    "share, text", [(0, "0 %"), (0.0001, "<0.1 %"), (0.034, "3.4 %"), (0.61, "61 %"), (0.999, "99.9 %"), (0.9999, ">99.9 %"), (1, "100 %")]
)
def test_almost_nothing_is_not_told_as_nothing(share, text):
    assert plain_words._percent(share) == text
