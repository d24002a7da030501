import shutil

import numpy as np
import PIL.Image
import pytest

from tfvision.apps.species.evidence import PHOTOS_AT_ONCE, RunWitness, open_witness, told_probabilities
from tfvision.apps.species.identification import answers_to, load_identifier
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import RecipeError, RunError
from tfvision.evaluation.groups import GroupRule
from tfvision.evaluation.novelty import NoveltyModel
from tfvision.evaluation.unknown_species import UnknownAnswers, UnknownRule

pytestmark = pytest.mark.usefixtures("opened_once")


@pytest.fixture(scope="module")
def witness(colour_run):
    return open_witness(colour_run)


@pytest.fixture(scope="module")
def paths(colour_photos):
    return sorted(map(str, colour_photos.glob("*.png")))


@pytest.mark.slow
def test_one_photos_answer_is_that_of_identify(witness, colour_run, paths):
    (seen,) = witness.see(paths[::9])
    expected = list(load_identifier(colour_run).identify(paths[::9]))
    answers = list(witness.answers(seen.evidence[:, None]))
    assert [{"image": path, **answer} for path, answer in zip(paths[::9], answers, strict=True)] == expected
    assert seen.views.shape == (len(answers), witness.view_size, witness.view_size, 3) and seen.broken == {}
    assert next(witness.answers([seen.evidence[:1]], within=["Blues"]))["lineage"][0] == {"rank": "order", "name": "Blues", "probability": 1.0}


@pytest.mark.slow
def test_what_is_seen_does_not_depend_on_what_stands_beside(witness, paths, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no photo")
    cut = tmp_path / "cut.jpg"
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)).save(cut)
    cut.write_bytes(cut.read_bytes()[:2000])
    mixed = [paths[0], str(tmp_path / "broken.png"), *paths[:PHOTOS_AT_ONCE], str(cut), paths[5]]
    seen = list(witness.see(mixed))
    numbers = [number for part in seen for number in part.numbers]
    broken = {number: why for part in seen for number, why in part.broken.items()}
    assert numbers == [number for number in range(len(mixed)) if number not in (1, PHOTOS_AT_ONCE + 2)]
    assert "is no image" in broken[1] and "is damaged" in broken[PHOTOS_AT_ONCE + 2] and len(broken) == 2
    evidence = dict(zip(numbers, np.concatenate([part.evidence for part in seen]), strict=True))
    (alone,) = witness.see([paths[5]])
    for number in (7, len(mixed) - 1):
        assert evidence[number].tobytes() == alone.evidence[0].tobytes()
    assert evidence[0].tobytes() == evidence[2].tobytes()


def test_what_an_answer_tells_is_kept_and_the_rest_is_spread_within_its_taxa():
    lineages = [(order, genus, f"{genus}{number}") for order, genus, count in (("A", "a", 3), ("A", "b", 3), ("B", "c", 2)) for number in range(count)]
    taxonomy = Taxonomy.from_lineages(("order", "genus", "species"), lineages)
    answer = {
        "lineage_names": ["A", "a", "a1"],
        "lineage_probabilities": [0.9, 0.7, 0.6],
        "top_names": ["a1", "b0", "c0"],
        "top_probabilities": [0.6, 0.15, 0.08],
    }
    expected = {"a0": 0.05, "a1": 0.6, "a2": 0.05, "b0": 0.15, "b1": 0.025, "b2": 0.025, "c0": 0.08, "c1": 0.02}
    np.testing.assert_allclose(told_probabilities(answer, taxonomy), [expected[name] for name in taxonomy.class_names], atol=1e-6)


@pytest.mark.slow
def test_an_export_bears_witness_as_its_run_does(witness, colour_export, paths, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no photo")
    export = open_witness(colour_export.parent)
    (seen,) = export.see([paths[3], str(tmp_path / "broken.png"), paths[20]])
    (own,) = witness.see([paths[3], paths[20]])
    assert seen.numbers == [0, 2] and "is no image" in seen.broken[1]
    for told, expected in zip(export.answers(seen.evidence[:, None]), witness.answers(own.evidence[:, None]), strict=True):
        assert (told["taxon"], told["rank"]) == (expected["taxon"], expected["rank"])
        assert told["probability"] == pytest.approx(expected["probability"], abs=0.002)
    (joined,), (expected,) = export.answers([seen.evidence]), witness.answers([own.evidence])
    assert joined["taxon"] == expected["taxon"] and joined["probability"] == pytest.approx(expected["probability"], abs=0.01)


def test_the_identity_is_that_of_the_weights(witness, colour_run, tmp_path):
    copy = shutil.copytree(colour_run, tmp_path / "copy")
    assert open_witness(copy).identity == witness.identity
    weights = (copy / "model.weights.h5").read_bytes()
    (copy / "model.weights.h5").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    (copy / "SHA256SUMS").unlink(missing_ok=True)
    assert open_witness(copy).identity != witness.identity


@pytest.mark.slow
def test_answers_heed_the_share_of_unknown_species_as_identify_does(witness, paths, monkeypatch):
    (seen, *_) = witness.see(paths[:PHOTOS_AT_ONCE])
    classes = len(witness.taxonomy)
    logits, features = seen.evidence[:, :classes], seen.evidence[:, classes:]
    labels = logits.argmax(axis=1)
    _, labels = np.unique(labels, return_inverse=True)
    model = NoveltyModel.fit(features, labels, labels.max() + 1)
    unknown = UnknownAnswers(model, UnknownRule((1.0, 0.0, 0.0, 0.0), 2.0, (9.0,) * 4, (1.0, 0.6, 0.3, 0.0)), 0.1, 0.9, 0.6)
    monkeypatch.setattr(RunWitness, "_unknown", lambda witness, share, target: unknown)
    temperature = witness._calibration["temperature"]
    expected = list(answers_to(logits, witness.taxonomy, temperature, [], None, unknown, features))
    assert list(witness.answers(seen.evidence[:, None])) == expected and "unknown_probability" in expected[0]
    log_odds = unknown.log_odds(features[13:28:7])
    (joined,) = witness.answers([seen.evidence[13:28:7]])
    weights = GroupRule().weights(features[13:28:7])
    prior = np.log(unknown.share / (1 - unknown.share))
    assert joined["unknown_probability"] == round(1 / (1 + np.exp(-(weights @ log_odds) / weights.sum() - prior)), 4)


def test_a_share_that_the_model_was_not_fitted_for_is_refused_at_once(witness, colour_export):
    with pytest.raises(RunError, match="has nothing fitted for species that it was not trained on"):
        witness.check((), None, 0.1)
    with pytest.raises(RecipeError, match="--unknown-share of this export is 0, got 0.1"):
        open_witness(colour_export.parent).check((), None, 0.1)
