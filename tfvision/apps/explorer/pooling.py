"""What a person judges without knowing where it comes from: the first hits of all layers and pictures drawn at random, shuffled."""

import hashlib
import itertools

import numpy as np

from tfvision.apps.explorer.collection import Collection
from tfvision.apps.explorer.queries import Queries
from tfvision.errors import UserError

DRAWN = 10  # pictures at random for each query: how often they are right is what chance gives


def pool(collection: Collection, queries: Queries, question: str, name: str, k: int) -> list[int]:
    """Positions of the first k hits in every layer and of DRAWN pictures drawn at random, each once.

    The order is the question's and query's own: everybody who judges sees the same one, and nothing in it tells of a layer or a rank.

    Raises:
      UserError: no layer knows the query.
    """
    key, ids = queries.titles(name)[1], collection.pictures.ids
    found, errors = set(drawn(collection, queries, question, name)), []
    for layer in collection.layers:
        try:
            found.update(queries.shortlist(name, layer, k))
        except UserError as error:
            errors.append(error)
    if errors and len(errors) == len(collection.layers):
        raise errors[0]
    return sorted(found, key=lambda position: _hash(question, key, ids[position]))


def drawn(collection: Collection, queries: Queries, question: str, name: str) -> list[int]:
    """Positions of DRAWN pictures for a question and query, none of them the query's own; after an update the same, but for what is new or gone."""
    pictures, key = collection.pictures, queries.titles(name)[1]
    (hashes, order), own = pictures.scattered, set(queries.own(name))
    start = int(np.searchsorted(hashes, np.uint64(_hash(question, key))))
    ring = (int(order[(start + step) % len(order)]) for step in range(len(order)))
    return list(itertools.islice((position for position in ring if position not in own), DRAWN))


def _hash(*parts):
    """A whole number below 2 ** 64."""
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
