"""A detector run as an Exportable: encoded photos in, score and decision out, the SVM being the graph's last layer."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.apps.tattoo_detection.detection import WHERE, TattooDetector, heat_of, judgement
from tfvision.apps.tattoo_detection.svm_features import features_extractor
from tfvision.data.pipeline import BrokenPhotos
from tfvision.export.exportable import Exportable
from tfvision.export.half import stored_network
from tfvision.export.model_card import source_name, training_facts
from tfvision.export.photo_signatures import PREPROCESSING, PhotoViews, encoded_photos, of_encoded, of_pixels, photo_files
from tfvision.export.samples import random_views
from tfvision.features.table import feature_table
from tfvision.trained.detector_network import FEATURES, SCORE

_VIEW = "whole"
# A score sums a thousand products, whose order the graph is free to choose; a map is divided by its largest value.
_TOLERANCES = {"score": {False: 1e-4, True: 0.1}, "heat": 0.02}


def make_exportable(run: str | Path, half: bool = False) -> Exportable:
    """Everything that `tfvision export` writes of a finished detector run.

    Args:
      run: folder.
      half: whether weights are stored in 16 bits; then there is no signature "where".

    Returns:
      Exportable with the signatures "serving_default", "tensor", "embed" and "where". Raises RunError.
    """
    detector = TattooDetector.load(run)
    run, whole, size = detector.run, detector.whole, detector.run.recipe.size_px
    seen = tf.TensorSpec([None, size, size, 3], tf.uint8, name="photo")

    @tf.function(autograph=False, input_signature=[{"photo": seen}])
    def network(inputs):
        outputs = whole(tf.cast(inputs["photo"], tf.float32), training=False)
        return {"score": outputs[SCORE][:, 0], "embedding": outputs[FEATURES]}

    stored, variables = stored_network(network, whole, half)
    return Exportable(
        name=run.folder.name,
        signatures=_signatures(detector, stored, half),
        variables=variables,
        assets={"calibration.json": run.calibration_path.read_text(encoding="utf-8")},
        reference=_Reference(detector),
        preprocessing=_preprocessing(run.recipe),
        facts=_facts(run),
        core=tf.function(lambda inputs: {"score": network(inputs)["score"]}, autograph=False, input_signature=[{"photo": seen}]),
        core_samples={"photo": random_views(size)},
    )


def _signatures(detector, network, half):
    run, calibration = detector.run, detector.run.calibration
    views = PhotoViews([_VIEW], run.recipe.size_px, is_uncropped=True)
    finer_views = PhotoViews([_VIEW], detector.finer.input_shape[1], is_uncropped=True)

    def decide(seen):
        score = network({"photo": seen[_VIEW]})["score"]
        probability = tf.sigmoid(calibration["slope"] * score + calibration["offset"])
        return {"score": score, "is_tattoo": score > 0, "probability": probability}

    def embed(image_bytes):
        return {"embedding": network({"photo": views.of_encoded(image_bytes)[_VIEW]})["embedding"]}

    def where(image_bytes):
        photos = finer_views.of_encoded(image_bytes)[_VIEW]
        return {"heat": heat_of(detector.finer, run.recipe, tf.cast(photos, tf.float32))}

    of_score, of_heat = _TOLERANCES["score"][half], _TOLERANCES["heat"]
    signatures = {
        "serving_default": of_encoded(
            lambda image_bytes: decide(views.of_encoded(image_bytes)),
            "encoded photos -> score, decision (score above 0) and probability",
            tolerance=of_score,
        ),
        "tensor": of_pixels(lambda pixels: decide(views.of_pixels(pixels)), "the same of upright photos of one size, uint8 RGB", tolerance=of_score),
        "embed": of_encoded(embed, "encoded photos -> the features that the SVM sees", tolerance=of_score),
        WHERE: of_encoded(where, "encoded photos -> Grad-CAM of the score over the photo, 0 to 1", tolerance=of_heat),
    }
    return {name: signature for name, signature in signatures.items() if not half or name != WHERE}


class _Reference:
    """What a signature should answer, by the way that `tfvision detect` goes: files, the pipeline, Keras, numpy."""

    def __init__(self, detector):
        self._detector = detector

    def __call__(self, signature, inputs):
        with photo_files(encoded_photos(inputs)) as manifest:
            if signature == WHERE:
                return {"heat": self._detector.heat(manifest)}
            if signature == "embed":
                extractor = features_extractor(self._detector.network, self._detector.run.recipe)
                return {"embedding": feature_table(manifest, extractor)[0]}
            scores = np.concatenate([scores for _, scores in self._detector.score(manifest, BrokenPhotos())])
        calibration = self._detector.run.calibration
        judged = [judgement(score, calibration) for score in scores]
        probability = 1 / (1 + np.exp(-(calibration["slope"] * scores.astype(np.float64) + calibration["offset"])))
        return {"score": scores, "is_tattoo": np.array([one["is_tattoo"] for one in judged]), "probability": probability.astype(np.float32)}


def _preprocessing(recipe):
    return {
        **PREPROCESSING,
        "resize": f"the whole photo to {recipe.size_px} x {recipe.size_px} px, bilinear, antialiased",
        "crop": f"the centre, {recipe.crop_px} x {recipe.crop_px} px, inside the network" if recipe.crop_px < recipe.size_px else "none",
    }


def _facts(run):
    metrics, recipe = run.metrics, run.recipe
    shares = {name: metrics[key] for name, key in (("tattoo", "tattoo"), ("non-tattoo", "non_tattoo"), ("overall", "overall"))}
    return {
        "Task": "tells photos that show a tattoo from others; an answer is no proof, and errors are expected at the rates below",
        "Data": {"photos": metrics["images"], "of tattoos": metrics["tattoos"], "subjects": metrics["subjects"], "source": source_name(run)},
        "Metrics": {
            "judged": f"on {len(metrics['folds'])} probe lists, each by a detector of the others",
            **{f"{name} accuracy": share.get("accuracy") for name, share in shares.items()},
            **{f"{name} accuracy, 95 % interval": " to ".join(f"{end:.3f}" for end in share["interval"]) for name, share in shares.items()},
        },
        "Calibration": {key: run.calibration[key] for key in ("slope", "offset")},
        **training_facts(run, network=recipe.network, **{"fine-tuned": recipe.is_fine_tuned, "lambda": recipe.svm_lambda}),
    }
