"""Orders of photos for matching: pairs, triplets, and batches of some subjects with some photos each.

Each is an order as `data.pipeline.training_batches` takes it: a stream of positions, decided by the seed and the epoch
alone, so that a run resumed at step N sees what it would have seen. Photos of one pair, triplet or subject stand side by side.
"""

import dataclasses
import functools
import typing
from collections.abc import Iterator

import numpy as np

from tfvision.errors import DataError

_TRIES = 1000


@dataclasses.dataclass(frozen=True)
class MatchingOrder:
    """What the orders below share.

    Attributes:
      subjects: int [photos], whose each is.
      seed: of the whole order.
      media: int [photos], what each is (photo, drawing, ...); then genuine and impostor photos are of another medium than
        the photo that they stand beside. None = of no matter.
    """

    subjects: np.ndarray
    seed: int
    media: np.ndarray | None = None
    blocks: typing.ClassVar[None] = None  # what stands side by side lies apart in shards: each photo is read by itself

    @property
    def epoch_size(self) -> int:
        """Positions in an epoch."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises DataError where an epoch cannot be drawn."""
        self._epoch(np.random.default_rng(self.seed))

    def positions(self, start: int, stop: int) -> Iterator[dict[str, np.ndarray]]:
        """Yields {"position", "index"}: int64 arrays that together cover start .. stop - 1."""
        size = self.epoch_size
        for epoch in range(start // size, -(-stop // size)):
            low, high = max(start, epoch * size), min(stop, (epoch + 1) * size)
            indices = self._epoch(np.random.default_rng((self.seed, epoch)))[low - epoch * size : high - epoch * size]
            yield {"position": np.arange(low, high), "index": indices.astype(np.int64)}

    def _epoch(self, generator):
        """int [epoch_size], photos."""
        raise NotImplementedError

    @functools.cached_property
    def _members(self):
        """The photos of each subject."""
        order = np.argsort(self.subjects, kind="stable")
        ends = np.flatnonzero(np.diff(self.subjects[order])) + 1
        return dict(zip(np.unique(self.subjects).tolist(), np.split(order, ends), strict=True))

    @functools.cached_property
    def _anchors(self):
        """Photos that have a partner."""
        anchors = np.array([photo for photo in range(len(self.subjects)) if len(self._partners(photo))], int)
        if not len(anchors):
            raise DataError(
                "no subject has two photos" + (" of two media" if self.media is not None else "") + ", so there is no genuine pair to learn from: "
                "give more photos of a subject" + (", or --set cross_media=false" if self.media is not None else ", or use --recipe small")
            )
        return anchors

    def _partners(self, photo):
        """Further photos of its subject, of another medium where that matters."""
        others = self._members[int(self.subjects[photo])]
        if self.media is not None:
            return others[self.media[others] != self.media[photo]]
        return others[others != photo]

    def _draw_anchors(self, count, generator):
        """Each photo that has a partner about as often as any other."""
        rounds = -(-count // len(self._anchors))
        return np.concatenate([generator.permutation(self._anchors) for _ in range(rounds)])[:count]

    def _draw_partners(self, anchors, generator):
        return np.array([generator.choice(self._partners(photo)) for photo in anchors], int)

    def _draw_impostors(self, anchors, generator):
        """For each a photo of another subject, and of another medium where that matters."""
        drawn = generator.integers(len(self.subjects), size=len(anchors))
        for _ in range(_TRIES):
            is_wrong = self.subjects[drawn] == self.subjects[anchors]
            if self.media is not None:
                is_wrong |= self.media[drawn] == self.media[anchors]
            if not is_wrong.any():
                return drawn
            drawn[is_wrong] = generator.integers(len(self.subjects), size=is_wrong.sum())
        raise DataError("photos of at least two subjects are needed (and of two media where pairs cross media): without them there is no impostor pair")


class PairOrder(MatchingOrder):
    """Pairs, the photos of each side by side: in equal numbers genuine and impostor ones, redrawn each epoch.

    An epoch has as many pairs as photos, or one more.
    """

    @property
    def epoch_size(self) -> int:
        return 4 * self._pairs_of_a_kind

    @property
    def _pairs_of_a_kind(self):
        return -(-len(self.subjects) // 2)

    def _epoch(self, generator):
        count = self._pairs_of_a_kind
        anchors = self._draw_anchors(2 * count, generator)
        others = np.concatenate([self._draw_partners(anchors[:count], generator), self._draw_impostors(anchors[count:], generator)])
        return generator.permutation(np.stack([anchors, others], axis=1)).ravel()


class TripletOrder(MatchingOrder):
    """Random triplets, the photos of each side by side: reference, genuine, impostor; each photo with a partner is a reference once an epoch."""

    @property
    def epoch_size(self) -> int:
        return 3 * len(self._anchors)

    def _epoch(self, generator):
        anchors = self._draw_anchors(len(self._anchors), generator)
        return np.stack([anchors, self._draw_partners(anchors, generator), self._draw_impostors(anchors, generator)], axis=1).ravel()


@dataclasses.dataclass(frozen=True)
class SubjectOrder(MatchingOrder):
    """Batches of P subjects with K photos each, those of a subject side by side.

    An epoch deals out the subjects once; what makes no full batch is left out of it. A subject with fewer photos than K
    repeats them, which random changes make different, and with media it gives as many of each as can be.

    Attributes:
      subjects_per_batch: P.
      photos_per_subject: K.
    """

    subjects_per_batch: int = 8
    photos_per_subject: int = 4

    @property
    def epoch_size(self) -> int:
        return self._batches * self.subjects_per_batch * self.photos_per_subject

    @property
    def _batches(self):
        if len(self._members) < self.subjects_per_batch:
            raise DataError(f"a batch of {self.subjects_per_batch} subjects needs as many, got {len(self._members)}")
        return len(self._members) // self.subjects_per_batch

    def _epoch(self, generator):
        subjects = generator.permutation(np.array(list(self._members)))[: self._batches * self.subjects_per_batch]
        return np.concatenate([self._draw_photos(self._members[int(subject)], generator) for subject in subjects])

    def _draw_photos(self, photos, generator):
        photos = generator.permutation(photos)
        if self.media is not None:  # one of each medium in turn, so that all are seen alike
            parts = [photos[self.media[photos] == medium] for medium in generator.permutation(np.unique(self.media[photos]))]
            photos = np.stack([np.resize(part, self.photos_per_subject) for part in parts], axis=1).ravel()
        return np.resize(photos, self.photos_per_subject)
