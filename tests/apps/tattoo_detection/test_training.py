import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfvision.apps.tattoo_detection.detection import ExportDetector, TattooDetector, load_detector
from tfvision.apps.tattoo_detection.evaluation import evaluate_detector
from tfvision.apps.tattoo_detection.export import make_exportable
from tfvision.apps.tattoo_detection.recipes import RECIPES
from tfvision.apps.tattoo_detection.svm import fit_svm, svm_scores
from tfvision.apps.tattoo_detection.training import change_photos, train_detector
from tfvision.data.manifest import read_photos
from tfvision.errors import DataError, RecipeError, RunError
from tfvision.export.export import HALF_TOLERANCE
from tfvision.export.saved_model import write_saved_model
from tfvision.export.session import LoadedModel
from tfvision.export.verification import verify_signatures
from tfvision.trained.detector_network import FEATURES, MAPS, SCORE, build_detector
from tfvision.trained.detector_run import DetectorRun
from tfvision.training.checkpoints import read_facts
from tfvision.training.recipes import with_settings
from tfvision.training.schedules import stages_in_epochs, steps_in

pytestmark = pytest.mark.usefixtures("opened_once")

FINE_TUNED = {
    "is_fine_tuned": "true",
    "stages": "[[2, 0.01]]",
    "batch_size": "8",
    "warmup_steps": "0",
    "backbone_rate": "1.0",
    "contrast": "0",
    "saturation": "0",
}


@pytest.fixture(scope="module")
def detector(detector_run):
    return TattooDetector.load(detector_run)


def test_the_papers_numbers():
    recipe = RECIPES["paper"]()
    assert (recipe.network, recipe.tap, recipe.size_px, recipe.crop_px, recipe.batch_size) == ("alexnet", "fc7", 256, 227, 64)
    stages = stages_in_epochs(recipe, 1879)
    assert steps_in(stages, 1879, 64) == [3500, 7000, 10500]
    assert [rate for _, rate in stages] == pytest.approx([1e-4, 1e-5, 1e-6])
    assert (recipe.optimizer, recipe.bias_rate, recipe.weight_decay, recipe.svm_lambda) == ("sgd", 2.0, 5e-4, 0.01)
    assert (recipe.flip, recipe.vertical_flip, recipe.brightness, recipe.hue, recipe.dropout) == (True, True, 0.0, 0.0, 0.5)


def test_the_svm_minimises_the_papers_objective():
    random = np.random.default_rng(0)
    features, is_tattoo = random.normal(size=(60, 3)), np.arange(60) % 2 == 0
    features[is_tattoo] += 0.8
    weights, bias = fit_svm(features, is_tattoo, 0.1, 100_000)

    def objective(point):  # lambda / 2 * ||w||^2 + mean hinge loss, the bias being one weight more
        margins = np.where(is_tattoo, 1, -1) * (features @ point[:3] + point[3])
        return 0.05 * point @ point + np.maximum(0, 1 - margins).mean()

    found = np.array([*weights, bias], np.float64)
    nearby = found + random.normal(0, 1, (2000, 4)) * 10 ** random.uniform(-4, 0, (2000, 1))
    assert objective(found) <= min(map(objective, nearby)) + 1e-5
    np.testing.assert_allclose(svm_scores(features, weights, bias), features @ found[:3] + bias, atol=1e-5)


@pytest.mark.slow
def test_random_squares_are_parts_of_the_photo_flipped_both_ways():
    recipe = dataclasses.replace(RECIPES["paper"](), image_size=6, crop_size=4)
    photo = np.arange(36, dtype=np.uint8).reshape(6, 6, 1).repeat(3, axis=2)
    squares = [photo[top : top + 4, left : left + 4] for top in range(3) for left in range(3)]
    flipped = {s[::v, ::h].tobytes(): (v, h) for s in squares for v in (1, -1) for h in (1, -1)}
    changed = np.round(change_photos(tf.constant(np.stack([photo] * 64)), [3, 1], recipe).numpy()).astype(np.uint8)
    kinds = {flipped[np.ascontiguousarray(one).tobytes()] for one in changed}
    assert kinds == {(1, 1), (1, -1), (-1, 1), (-1, -1)}
    assert len({one.tobytes() for one in changed}) > 20
    again = change_photos(tf.constant(np.stack([photo] * 64)), [3, 2], recipe).numpy()
    assert not np.array_equal(np.round(again), changed)


@pytest.mark.slow
def test_alexnet_from_scratch_is_as_the_paper_draws_it():
    recipe = dataclasses.replace(RECIPES["paper"](), weights="none")
    recipe.check()
    detector = build_detector(recipe)
    values = {getattr(v, "path", v.name).split(":")[0]: np.asarray(v) for v in detector.classifier.variables}
    assert [values[f"conv{number}/kernel"].std() for number in range(1, 6)] == pytest.approx([0.01] * 5, rel=0.02)
    assert values["fc6/kernel"].std() == pytest.approx(0.005, rel=0.01)
    assert {name: float(value.mean()) for name, value in values.items() if name.endswith("bias")} == pytest.approx(
        {"conv1/bias": 0, "conv2/bias": 0.1, "conv3/bias": 0, "conv4/bias": 0.1, "conv5/bias": 0.1, "fc6/bias": 0.1, "fc7/bias": 0.1, "logits/bias": 0}
    )
    assert [layer.name for layer in detector.classifier.layers if "drop" in layer.name] == ["drop6", "drop7"]
    outputs = detector.whole(np.zeros((1, 256, 256, 3), np.float32))
    assert outputs[FEATURES].shape == (1, 4096) and outputs[MAPS].shape == (1, 13, 13, 256)


@pytest.mark.slow
def test_the_whole_network_sees_the_centre_and_its_svm_is_the_last_layer(tiny_detector):
    recipe = with_settings(RECIPES["small"](), tiny_detector)
    detector = build_detector(recipe)
    images = np.random.default_rng(0).uniform(0, 255, (2, 40, 40, 3)).astype(np.float32)
    outside = images.copy()
    outside[:, :4], outside[:, :, 36:] = 0, 255
    features = detector.whole(images)[FEATURES].numpy()
    np.testing.assert_array_equal(features, detector.whole(outside)[FEATURES].numpy())
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)
    weights = np.random.default_rng(1).normal(size=features.shape[1]).astype(np.float32)
    detector.svm.set_weights([weights[:, None], np.float32([0.25])])
    np.testing.assert_allclose(detector.whole(images)[SCORE].numpy()[:, 0], svm_scores(features, weights, 0.25), atol=1e-5)


@pytest.mark.slow
def test_the_map_rests_on_what_the_network_sees(detector, detection_photos):
    heat = detector.heat(_manifest_of(detection_photos))
    assert heat.shape == (24, 120, 120) and heat.min() >= 0 and heat.max() <= 1
    assert not heat[:, :12].any() and not heat[:, 108:].any()


@pytest.mark.slow
def test_the_map_finds_the_part_that_is_a_tattoo(detector, detection_photos, tmp_path):
    with Image.open(detection_photos / "0.png") as tattoo, Image.open(detection_photos / "1.png") as wall:
        for name, place in (("left", (0, 0)), ("right", (48, 0))):
            photo = Image.new("RGB", (96, 80))
            for other in ((0, 0), (48, 0), (0, 40), (48, 40)):
                photo.paste(tattoo if other == place else wall, other)
            photo.save(tmp_path / f"{name}.png")
    left, right = detector.heat(read_photos(tmp_path))
    assert left[:60, :60].sum() > 0.5 * left.sum() and right[:60, 60:].sum() > 0.5 * right.sum()


@pytest.mark.slow
def test_the_finer_network_has_the_same_layers(tiny_detector):
    detector = build_detector(with_settings(RECIPES["small"](), tiny_detector))
    assert detector.finer.input_shape[1:3] == (120, 120) and detector.finer.output["maps"].shape[1] == 3 * detector.whole.output["maps"].shape[1]
    assert {id(variable) for variable in detector.finer.variables} == {id(variable) for variable in detector.whole.variables}


def _manifest_of(folder):
    return read_photos(folder / "manifest.csv")


@pytest.fixture(scope="module")
def trained(detection_photos, tiny_detector, copy_at, tmp_path_factory):
    """A run that is trained from nothing and fine-tuned, and beside it, as `stopped`, what was there in its second fold.

    All other tests go by detector_run, which version 0.1.0 trained.
    """
    folder = tmp_path_factory.mktemp("runs") / "detector"
    settings = {**tiny_detector, **FINE_TUNED, "stages": "[[1, 0.01]]", "checkpoint_seconds": "0.0"}
    train_detector(str(detection_photos), settings=settings, run=str(folder), callbacks=[copy_at(folder, folder.parent / "stopped", 1, 1)])
    return folder


@pytest.mark.slow
def test_a_run_folder_holds_all_that_was_promised(trained):
    metrics = json.loads((trained / "metrics.json").read_text())
    assert (metrics["images"], metrics["tattoos"], metrics["subjects"], len(metrics["folds"])) == (24, 12, 12, 3)
    for kind in ("tattoo", "non_tattoo", "overall"):
        share = metrics[kind]
        assert share["right"] == sum(row[kind]["right"] for row in metrics["folds"])
        assert share["photos"] == sum(row[kind]["photos"] for row in metrics["folds"]) == (24 if kind == "overall" else 12)
        assert share["accuracy"] == share["right"] / share["photos"] and share["interval"][0] <= share["accuracy"] <= share["interval"][1]
    assert len(metrics["wrong"]) == 24 - metrics["overall"]["right"]
    assert metrics["overall"]["accuracy"] >= 0.9  # colour alone tells them apart
    page = (trained / "report.html").read_text()
    assert "all lists" in page and "published, on Tatt-C" in page and "Wrongly classified" in page
    assert not (trained / "checkpoints").exists()
    with open(trained / "photos.csv", newline="") as file:
        lists = {}
        for row in csv.DictReader(file):
            lists.setdefault(row["group"], set()).add(row["split"])
    assert set(map(len, lists.values())) == {1} and set().union(*lists.values()) == {"list 1", "list 2", "list 3"}


@pytest.mark.slow
def test_it_learns_what_version_0_1_0_learnt(trained, detector_run):
    now, then = (json.loads((folder / "metrics.json").read_text()) for folder in (trained, detector_run))
    assert now.keys() >= then.keys() and [row["fold"] for row in now["folds"]] == [row["fold"] for row in then["folds"]]
    assert now["overall"]["accuracy"] == pytest.approx(then["overall"]["accuracy"], abs=0.1)
    assert (trained / "photos.csv").read_text() == (detector_run / "photos.csv").read_text()


@pytest.mark.slow
def test_wrong_pictures_are_shown_and_broken_photos_neither_train_nor_count(detection_photos, tiny_detector, tmp_path):
    folder = shutil.copytree(detection_photos, tmp_path / "photos")
    (folder / "0.png").write_text("This is a text.")
    (folder / "manifest.csv").write_text((detection_photos / "manifest.csv").read_text().replace("1.png,wall", "1.png,tattoo", 1))
    metrics = train_detector(str(folder), settings=tiny_detector, run=str(tmp_path / "run"))
    assert "1.png" in [wrong["image"] for wrong in metrics["wrong"] if wrong["label"] == "tattoo"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Tattoos that were not seen" in page and 'alt="1.png"' in page and "data:image/jpeg" in page
    assert (metrics["images"], metrics["overall"]["photos"], metrics["tattoo"]["photos"]) == (24, 23, 12)  # 12, less a broken one, and a wall
    assert "0.png" in next(iter(metrics["broken"].values()))
    assert "0.png is no image" in page


@pytest.mark.slow
def test_a_stopped_training_goes_on_fold_by_fold_and_step_by_step(trained, stored_weights):
    whole, run = DetectorRun(trained), DetectorRun(trained.parent / "stopped")
    assert run.fold_path(0).exists() and not run.fold_path(1).exists()
    assert read_facts(run.checkpoint_path) == {"phase": 1, "step": 1}
    resumed, expected = train_detector(run=str(run.folder), resume=True), json.loads((trained / "metrics.json").read_text())
    for kind in ("folds", "overall", "wrong"):
        assert resumed[kind] == expected[kind]
    one, other = stored_weights(whole.weights_path), stored_weights(run.weights_path)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-5, err_msg=name)
    assert train_detector(run=str(run.folder), resume=True) == resumed


@pytest.mark.slow
def test_each_fold_is_fine_tuned_on_the_other_lists_alone(detection_photos, tiny_detector, tmp_path, monkeypatch):
    from tfvision.training import session

    seen, starts = [], []

    def train(task, recipe, strategy, path, phase, callbacks, learner):
        (batch,) = task.batches(0, task.photos, tf.distribute.InputContext()).unbatch().batch(99)
        seen.append((phase, task.photos, {image.tobytes() for image in batch["views"]["whole"].numpy()}))
        starts.append(task.model.get_weights())
        task.model.set_weights([values + 0.01 for values in starts[-1]])

    monkeypatch.setattr(session, "train", train)
    train_detector(str(detection_photos), settings={**tiny_detector, **FINE_TUNED}, run=str(tmp_path / "run"))
    assert [(phase, photos) for phase, photos, _ in seen] == [(0, 16), (1, 16), (2, 16), (3, 24)]
    everything = seen[-1][2]
    left_out = [everything - images for _, _, images in seen[:3]]
    assert [len(images) for images in left_out] == [8, 8, 8] and set().union(*left_out) == everything
    for later in starts[1:]:  # each starts from the same weights, not from another fold's
        for one, other in zip(starts[0], later, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_detection_names_broken_photos_in_their_place(detector, detection_photos, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_text("This is a text.")
    photos = [detection_photos / "0.png", broken, detection_photos / "1.png", tmp_path / "nowhere.jpg"]
    answers = list(detector.detect(photos, tmp_path / "where"))
    assert [answer["image"] for answer in answers] == [str(photo) for photo in photos]
    assert "broken.jpg is no image" in answers[1]["error"] and "No such file" in answers[3]["error"]
    assert answers[0]["is_tattoo"] and not answers[2]["is_tattoo"] and answers[0]["score"] > 0 > answers[2]["score"]
    assert answers[0]["probability"] > answers[2]["probability"]
    assert Image.open(answers[0]["where"]).size == (48, 40) and "where" not in answers[2]
    assert [path.name for path in (tmp_path / "where").iterdir()] == ["0-where.png"]


@pytest.mark.slow
def test_pictures_of_photos_of_one_name_are_all_kept(detector, detection_photos, tmp_path):
    photos = [shutil.copy(detection_photos / "0.png", _made(tmp_path / name) / "a.png") for name in ("one", "two")]
    answers = list(detector.detect(photos, tmp_path / "where"))
    assert [answer["where"].rsplit("/", 1)[1] for answer in answers] == ["a-where.png", "a-where-2.png"]


def _made(folder):
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_every_signature_answers_as_keras_does(detector_exportable, detector_export):
    with LoadedModel(detector_export) as model:
        differences = verify_signatures(model, detector_exportable)
    assert list(differences) == ["serving_default", "tensor", "embed", "where"]


@pytest.mark.slow
def test_an_export_answers_as_its_run(detector, detector_export, detection_photos, tmp_path):
    exported = load_detector(detector_export.parent)
    assert isinstance(exported, ExportDetector)
    turned = tmp_path / "turned.jpg"
    Image.open(detection_photos / "2.png").save(turned, exif=_orientation(6), quality=95)
    photos = [detection_photos / "0.png", detection_photos / "1.png", turned, tmp_path / "nowhere.jpg"]
    mine, theirs = (list(one.detect(photos, tmp_path / name)) for one, name in ((detector, "a"), (exported, "b")))
    for one, other in zip(mine[:3], theirs[:3], strict=True):
        assert one["is_tattoo"] == other["is_tattoo"] and one["score"] == pytest.approx(other["score"], abs=2e-4)
        if "where" in one:
            pictures = [np.asarray(Image.open(answer["where"]), int) for answer in (one, other)]
            assert np.abs(pictures[0] - pictures[1]).max() <= 3
    assert "error" in theirs[3]


def _orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


@pytest.mark.slow
def test_a_half_export_has_no_maps(detector_run, tmp_path):
    exportable = make_exportable(detector_run, half=True)
    assert list(exportable.signatures) == ["serving_default", "tensor", "embed"]
    exportable = dataclasses.replace(exportable, signatures={"serving_default": exportable.signatures["serving_default"]})
    differences = {}
    write_saved_model(exportable, tmp_path, finish=lambda model, card: differences.update(verify_signatures(model, exportable, HALF_TOLERANCE)))
    assert differences["serving_default"] > 0
    with pytest.raises(RunError, match="exported with --half"):
        list(load_detector(tmp_path / "detector").detect(["a.png"], tmp_path / "where"))


def test_another_models_export_is_refused(colour_export):
    with pytest.raises(RunError, match="is no tattoo detector: its signature gives .*taxon"):
        load_detector(colour_export)


@pytest.mark.slow
def test_evaluation_leaves_out_what_was_trained_on(detector_run, detection_photos, tmp_path):
    for name in ("tattoo", "wall"):
        (tmp_path / name).mkdir()
    Image.open(detection_photos / "0.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "tattoo" / "mirrored.png")
    Image.open(detection_photos / "1.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "wall" / "mirrored.png")
    shutil.copy(detection_photos / "2.png", tmp_path / "tattoo")
    (tmp_path / "wall" / "broken.jpg").write_text("This is a text.")
    result = evaluate_detector(detector_run, tmp_path, out=tmp_path / "report")
    assert (result["images"], result["left_out"], len(result["broken"])) == (2, 1, 1)
    assert (result["tattoo"]["photos"], result["non_tattoo"]["photos"], result["overall"]["photos"]) == (1, 1, 2)
    assert "No photo was trained on." in (tmp_path / "report" / "report.html").read_text()
    assert json.loads((tmp_path / "report" / "report.json").read_text())["overall"] == result["overall"]
    with pytest.raises(DataError, match="was trained on every photo of"):
        evaluate_detector(detector_run, detection_photos)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop_size": "50"}, "crop_size must lie between 0 and the 40"),
        ({"crop_size": "8"}, "small must see 32 pixels a side at least, got 8"),
        ({"area": "[0.5, 1.0]"}, "area is no setting of a detector"),
        ({"stage_unit": "years"}, "stage_unit must be epochs or steps"),
        ({"svm_lambda": "0.0"}, "svm_lambda must be above 0"),
        ({"folds": "1"}, "folds must be at least 2"),
        ({"bias_rate": "2.0", "optimizer": "adam", "backbone_rate": "1.0"}, "bias_rate needs optimizer=sgd"),
        ({"layer": "conv9"}, "layers of small are stage1, stage2, stage3"),
    ],
)
def test_settings_that_do_not_fit_leave_nothing_behind(detection_photos, tiny_detector, tmp_path, settings, message):
    with pytest.raises(RecipeError, match=message):
        train_detector(str(detection_photos), settings={**tiny_detector, **settings}, run=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_resuming_takes_no_new_photos(detector_run, detection_photos):
    with pytest.raises(RecipeError, match="--resume goes on with what the run was begun with"):
        train_detector(str(detection_photos), run=str(detector_run), resume=True)
