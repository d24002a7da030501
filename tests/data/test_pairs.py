import collections

import numpy as np
import pytest

from tfvision.data.pairs import PairOrder, SubjectOrder, TripletOrder
from tfvision.errors import DataError

SUBJECTS = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, 3])  # subject 2 has one photo
MEDIA = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1, 1])


def _orders(media=None, seed=0):
    return [PairOrder(SUBJECTS, seed, media), TripletOrder(SUBJECTS, seed, media), SubjectOrder(SUBJECTS, seed, media, 2, 3)]


def _read(order, start, stop):
    chunks = list(order.positions(start, stop))
    return np.concatenate([chunk["position"] for chunk in chunks]), np.concatenate([chunk["index"] for chunk in chunks])


def _epochs(order, count=20):
    return _read(order, 0, count * order.epoch_size)[1].reshape(count, -1)


@pytest.mark.parametrize("media", [None, MEDIA], ids=["one medium", "across media"])
def test_any_part_of_an_order_is_what_the_whole_has_there(media):
    for order in _orders(media):
        stop = 3 * order.epoch_size + 5
        positions, whole = _read(order, 0, stop)
        np.testing.assert_array_equal(positions, np.arange(stop))
        for start in (1, order.epoch_size - 1, order.epoch_size, 2 * order.epoch_size + 3):
            positions, part = _read(order, start, stop)
            np.testing.assert_array_equal(positions, np.arange(start, stop))
            np.testing.assert_array_equal(part, whole[start:])


def test_the_seed_and_the_epoch_decide():
    for one, same, other in zip(_orders(), _orders(), _orders(seed=1), strict=True):
        np.testing.assert_array_equal(_epochs(one), _epochs(same))
        assert (_epochs(one) != _epochs(other)).any()
        assert len({tuple(epoch) for epoch in _epochs(one, 5)}) == 5  # redrawn each epoch


def test_genuine_and_impostor_pairs_are_equal_in_number():
    order = PairOrder(SUBJECTS, 0)
    assert order.epoch_size == 2 * len(SUBJECTS)
    seen = collections.Counter()
    for epoch in _epochs(order):
        pairs = epoch.reshape(-1, 2)
        is_genuine = SUBJECTS[pairs[:, 0]] == SUBJECTS[pairs[:, 1]]
        assert is_genuine.sum() == len(SUBJECTS) / 2
        assert (pairs[:, 0] != pairs[:, 1]).all()
        assert 5 not in pairs[is_genuine]  # the only photo of its subject
        seen.update(epoch.tolist())
    assert set(seen) == set(range(10))  # which still stands in impostor pairs
    assert len({tuple(SUBJECTS[e.reshape(-1, 2)[:, 0]] == SUBJECTS[e.reshape(-1, 2)[:, 1]]) for e in _epochs(order)}) > 10  # in no fixed order


def test_an_odd_number_of_photos_gives_one_pair_more():
    order = PairOrder(SUBJECTS[:9], 0)
    pairs = _epochs(order, 1).reshape(-1, 2)
    assert len(pairs) == 10 and (SUBJECTS[pairs[:, 0]] == SUBJECTS[pairs[:, 1]]).sum() == 5


def test_triplets_have_one_genuine_and_one_impostor_photo():
    order = TripletOrder(SUBJECTS, 0)
    for epoch in _epochs(order):
        anchor, positive, negative = epoch.reshape(-1, 3).T
        assert sorted(anchor) == [0, 1, 2, 3, 4, 6, 7, 8, 9]  # each with a partner, once
        assert (SUBJECTS[anchor] == SUBJECTS[positive]).all() and (anchor != positive).all()
        assert (SUBJECTS[anchor] != SUBJECTS[negative]).all()


def test_across_media_partners_and_impostors_are_of_the_other():
    for epoch in _epochs(PairOrder(SUBJECTS, 0, MEDIA)):
        left, right = epoch.reshape(-1, 2).T
        assert (MEDIA[left] != MEDIA[right]).all()
    for epoch in _epochs(TripletOrder(SUBJECTS, 0, MEDIA)):
        anchor, positive, negative = epoch.reshape(-1, 3).T
        assert (MEDIA[anchor] != MEDIA[positive]).all() and (MEDIA[anchor] != MEDIA[negative]).all()


def test_batches_hold_p_subjects_with_k_photos_each():
    order = SubjectOrder(SUBJECTS, 0, None, 2, 3)
    assert order.epoch_size == 2 * 2 * 3
    seen = collections.Counter()
    for epoch in _epochs(order):
        for batch in epoch.reshape(2, 2, 3):
            subjects = SUBJECTS[batch]
            assert (subjects == subjects[:, :1]).all() and subjects[0, 0] != subjects[1, 0]
            for photos in batch:  # repeated only where there are too few
                assert len(set(photos)) == min(3, (SUBJECTS[photos[0]] == SUBJECTS).sum())
        assert sorted(SUBJECTS[epoch.reshape(-1, 3)[:, 0]]) == [0, 1, 2, 3]  # each once an epoch
        seen.update(epoch.tolist())
    assert set(seen) == set(range(10))


def test_what_fills_no_batch_waits_for_another_epoch():
    order = SubjectOrder(SUBJECTS, 0, None, 3, 2)
    assert order.epoch_size == 6
    epochs = _epochs(order, 40)
    assert all(len(set(SUBJECTS[epoch])) == 3 for epoch in epochs)
    assert set(SUBJECTS[epochs.ravel()]) == {0, 1, 2, 3}


def test_a_subjects_photos_are_of_both_media_alike():
    for epoch in _epochs(SubjectOrder(SUBJECTS, 0, MEDIA, 2, 4)):
        for photos in epoch.reshape(-1, 4):
            counts = np.bincount(MEDIA[photos], minlength=2)
            assert counts.tolist() == ([4, 0] if SUBJECTS[photos[0]] == 2 else [2, 2])


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (lambda: PairOrder(np.arange(5), 0), "no subject has two photos, so there is no genuine pair"),
        (lambda: TripletOrder(np.arange(5), 0), "no subject has two photos, so .* or use --recipe small"),
        (lambda: PairOrder(np.array([0, 0, 1, 1]), 0, np.array([0, 0, 1, 1])), "no subject has two photos of two media.*cross_media=false"),
        (lambda: PairOrder(np.zeros(4, int), 0), "photos of at least two subjects are needed"),
        (lambda: SubjectOrder(np.array([0, 0, 1]), 0, None, 3, 2), "a batch of 3 subjects needs as many, got 2"),
    ],
)
def test_what_cannot_be_paired_is_named(order, message):
    with pytest.raises(DataError, match=message):
        order().check()
