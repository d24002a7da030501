import numpy as np
import pytest

from tfvision.apps.explorer.collection import Collection, Pictures
from tfvision.apps.explorer.pooling import DRAWN, drawn, pool
from tfvision.apps.explorer.queries import Queries
from tfvision.errors import DataError


def test_hits_of_all_layers_are_mixed_in_an_order_of_the_question(session):
    collection, queries = session.collection, session.queries
    mixed = pool(collection, queries, "its colour", "0", 2)
    hits = {position for layer in collection.layers for position in queries.shortlist("0", layer, 2)}
    assert hits <= set(mixed) and len(set(mixed)) == len(mixed) and 0 not in mixed
    assert pool(collection, queries, "its colour", "0", 2) == mixed  # everybody sees the same
    orders = {tuple(pool(collection, queries, question, "0", 5)) for question in map(str, range(20))}
    assert len(orders) > 10 and len({order[0] for order in orders}) > 2
    with pytest.raises(DataError, match="not in the collection"):
        pool(collection, queries, "its colour", "id:gone.png", 2)


def test_pictures_at_random_are_none_of_the_querys_own_and_stay_after_an_update(tmp_path):
    ids = [f"{number}.jpg" for number in range(400)]
    columns = {"kind": (["a", "b"], np.int32([0] * 390 + [1] * 10))}

    def chosen(ids, name):
        pictures = Pictures(ids, str, {} if len(ids) < 400 else columns)
        found = drawn(Collection("all", pictures), Queries(pictures, tmp_path), "faces", name)
        return [ids[position] for position in found]

    before = chosen(ids, "3")
    assert len(set(before)) == DRAWN and ids[3] not in before
    assert set(chosen(ids, "g:kind=a")) == set(ids[390:])
    kept = [id for id in ids if id not in before[:2]]  # two of them are gone
    assert chosen(kept, str(kept.index(ids[3])))[: DRAWN - 2] == before[2:]


def test_each_query_draws_others_and_all_pictures_alike(tmp_path):
    pictures = Pictures([f"photos/IMG_{number:04}.jpg" for number in range(50)], str, {})
    collection, queries = Collection("all", pictures), Queries(pictures, tmp_path)
    counts = np.bincount(
        [position for query in range(50) for question in ("a", "b", "c", "d") for position in drawn(collection, queries, question, str(query))]
    )
    assert counts.sum() == 200 * DRAWN and len(counts) == 50 and counts.min() > 0
