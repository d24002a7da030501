import numpy as np
import pytest

from tfvision.apps.tattoo_matching.protocols import make_trial
from tfvision.apps.tattoo_matching.source import MatchingPhotos
from tfvision.data.manifest import Manifest, Record
from tfvision.errors import DataError


def _photos(subjects, roles="", boxes=None, **known):
    """Photos named 0, 1, ...: subjects and roles are a letter each, g(allery), p(robe)."""
    boxes = boxes or {}
    records = tuple(Record(f"{row}.png", f"{row}.png", (name,), name, box=boxes.get(row, (0, 0, 0, 0))) for row, name in enumerate(subjects))
    roles = tuple({"g": "gallery", "p": "probe"}[role] for role in roles) or ("",) * len(subjects)
    return MatchingPhotos(Manifest(("subject",), records), tuple(subjects), roles, **known)


def _asked(trial):
    """{probe: (relevant, ignored)} by names."""
    names = [record.name[0] for record in trial.gallery.records]
    spell = lambda rows: "".join(names[row] for row in rows)
    return {trial.probes.records[q.query].name[0]: (spell(q.relevant), spell(q.ignored)) for q in trial.questions}


def test_identification_asks_for_the_subject():
    trial = make_trial(_photos("abaabc", "ggpgpp"), "identification")
    assert _asked(trial) == {"2": ("03", ""), "4": ("1", ""), "5": ("", "")}  # subject c is not in the gallery
    assert len(trial.gallery) == 3 and trial.subjects == ("a", "b", "c")


def test_without_roles_every_photo_asks_all_others():
    trial = make_trial(_photos("aab"), "identification")
    assert _asked(trial) == {"0": ("01", "0"), "1": ("01", "1"), "2": ("2", "2")}
    assert trial.probes is trial.gallery


def test_region_of_interest_cuts_probes_and_leaves_the_gallery_whole():
    box = (1.0, 2.0, 3.0, 4.0)
    trial = make_trial(_photos("aabb", "gpgp", {0: box, 1: box}), "roi")
    assert _asked(trial) == {"1": ("0", "")}  # photo 3 has no box
    assert trial.probes.records[0].box == box and trial.gallery.records[0].box == (0, 0, 0, 0)


def test_regions_that_are_no_boxes_are_cut_for_roi_alone():
    photos = _photos("aa", "gp", regions=((0, 0, 0, 0), (1, 1, 2, 2)))
    assert make_trial(photos, "roi").probes.records[0].box == (1, 1, 2, 2)
    assert make_trial(photos, "identification").probes.records[0].box == (0, 0, 0, 0)


def test_mixed_media_searches_photos_by_drawings():
    trial = make_trial(_photos("aabb", media=("photo", "drawing", "photo", "print")), "mixed-media")
    assert _asked(trial) == {"1": ("0", ""), "3": ("2", "")}


def test_mixed_media_with_roles_takes_probes_of_other_media_only():
    trial = make_trial(_photos("aaa", "gpp", media=("photo", "photo", "drawing")), "mixed-media")
    assert list(_asked(trial)) == ["2"]


def test_mixed_media_by_roles_alone():
    assert _asked(make_trial(_photos("aab", "gpg"), "mixed-media")) == {"1": ("0", "")}


def test_similarity_finds_the_group_on_other_subjects():
    trial = make_trial(_photos("aabc", groups=("eagle", "eagle", "eagle", "")), "similarity")
    assert _asked(trial) == {"0": ("012", "01"), "1": ("012", "01"), "2": ("012", "2"), "3": ("", "3")}


def test_listed_mates_count_instead_of_subjects():
    assert _asked(make_trial(_photos("abc", "pgg", mates=((2,), (), ())), "similarity")) == {"0": ("2", "")}


def test_folds_search_their_own_gallery():
    photos = _photos("aabbcc", "gpgpgp", given_folds=(1, 1, 2, 2, -1, 2))  # photo 4 is searched in every fold
    trial = make_trial(photos, "identification")
    assert trial.galleries == "folds"
    found = {fold: ([q.query for q in questions], rows.tolist(), [q.relevant.tolist() for q in questions]) for fold, questions, rows in trial.searches()}
    assert found == {1: ([0], [0, 2], [[0]]), 2: ([1, 2], [1, 2], [[0], [1]])}


def test_a_whole_gallery_is_searched_by_each_fold():
    trial = make_trial(_photos("aabbcc", "gpgpgp"), "identification", folds=3)
    searches = list(trial.searches())
    assert len(searches) == 3 and all(rows is None for *_, rows in searches)
    assert sorted(q.query for _, questions, _ in searches for q in questions) == [0, 1, 2]


def test_every_question_of_folds_keeps_its_mates():
    random = np.random.default_rng(0)
    subjects = [str(number) for number in random.integers(20, size=100)]
    photos = _photos(subjects, "gp" * 50)
    whole, parts = make_trial(photos, "identification"), make_trial(photos, "identification", "folds")
    mates = {question.query: len(question.relevant) for question in whole.questions}
    assert {q.query: len(q.relevant) for _, questions, _ in parts.searches() for q in questions} == mates
    assert sum(len(rows) for *_, rows in parts.searches()) == len(parts.gallery)


def test_lost_photos_neither_ask_nor_are_found():
    trial = make_trial(_photos("aaab", "gpgp"), "identification")
    kept = trial.without(np.array([False, True]), np.array([True, False]))
    assert _asked(kept) == {"1": ("02", "0")}


@pytest.mark.parametrize(
    ("photos", "protocol", "message"),
    [
        (_photos("abc"), "identification", "no probe has a mate in the gallery.*one subject two photos"),
        (_photos("ab", "gp"), "identification", "no probe has a mate in the gallery.*every subject a gallery photo"),
        (_photos("aa", "gg"), "identification", "has 0 probes and 2 gallery photos"),
        (_photos("aa", "gp"), "roi", "no probe has a region of interest"),
        (_photos("aa"), "mixed-media", "tells neither media nor roles"),
        (_photos("aa", "gp", media=("photo", "photo")), "mixed-media", "has 0 probes"),
        (_photos("ab", groups=("x", "y")), "similarity", "share a `group`"),
        (_photos("aa"), "detection", "tattoo-detector"),
        (_photos("aa"), "oxford", "--protocol must be one of identification, roi"),
    ],
)
def test_what_cannot_be_asked_is_told(photos, protocol, message):
    with pytest.raises(DataError, match=message):
        make_trial(photos, protocol)


def test_a_gallery_of_an_empty_fold_is_refused():
    with pytest.raises(DataError, match="5 folds by subject need 5 subjects at least, got 2"):
        make_trial(_photos("aabb"), "identification", "folds")


def test_unknown_galleries():
    with pytest.raises(DataError, match="--galleries must be one of whole, folds, got 'half'"):
        make_trial(_photos("aa"), "identification", "half")
