"""A detector run as an Exportable: encoded photos in, score and decision out, the SVM being the graph's last layer."""

import functools
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.apps.tattoo_detection.detection import WHERE, TattooDetector, heat_of, judgement
from tfvision.apps.tattoo_detection.svm_features import features_extractor
from tfvision.data.graph_decoding import views_of_encoded, views_of_pixels
from tfvision.data.manifest import Manifest, Record
from tfvision.data.pipeline import BrokenPhotos
from tfvision.export.exportable import Exportable, Signature, tf_variables
from tfvision.export.half import with_half_weights
from tfvision.export.samples import sample_images, sample_pixels
from tfvision.features.table import feature_table
from tfvision.files import read_json
from tfvision.trained.detector_network import FEATURES, SCORE

_VIEWS = ("whole",)
_IMAGES = tf.TensorSpec([None], tf.string, name="image_bytes")
_PIXELS = tf.TensorSpec([None, None, None, 3], tf.uint8, name="pixels")
# A score sums a thousand products, whose order the graph is free to choose; a map is divided by its largest value.
_TOLERANCES = {"score": {False: 1e-4, True: 0.1}, "heat": 0.02}


def detector_exportable(run, half=False):
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

    @tf.function(input_signature=[{"photo": seen}])
    def network(inputs):
        outputs = whole(tf.cast(inputs["photo"], tf.float32), training=False)
        return {"score": outputs[SCORE][:, 0], "embedding": outputs[FEATURES]}

    answers = with_half_weights(network) if half else network
    return Exportable(
        name=run.folder.name,
        signatures=_signatures(detector, answers, half),
        variables=[] if half else tf_variables(whole),
        assets={"calibration.json": run.calibration_path.read_text(encoding="utf-8")},
        reference=_Reference(detector),
        preprocessing=_preprocessing(run.recipe),
        facts=_facts(run),
        core=tf.function(lambda inputs: {"score": network(inputs)["score"]}, input_signature=[{"photo": seen}]),
        core_samples={"photo": np.random.default_rng(1).integers(0, 256, (2, size, size, 3)).astype(np.uint8)},
    )


def _signatures(detector, network, half):
    run, size, calibration = detector.run, detector.run.recipe.size_px, detector.run.calibration
    pixels_view = functools.partial(views_of_pixels, views=_VIEWS, image_size=size, is_uncropped=True)

    def decode(image_bytes, size=size):
        view = functools.partial(views_of_encoded, box=tf.zeros([4]), views=_VIEWS, image_size=size, is_uncropped=True)
        return tf.map_fn(lambda encoded: view(encoded)[0], image_bytes, fn_output_signature=tf.TensorSpec([size, size, 3], tf.uint8))

    def decide(photos):
        score = network({"photo": photos})["score"]
        probability = tf.sigmoid(calibration["slope"] * score + calibration["offset"])
        return {"score": score, "is_tattoo": score > 0, "probability": probability}

    @tf.function(input_signature=[_IMAGES])
    def serving_default(image_bytes):
        return decide(decode(image_bytes))

    @tf.function(input_signature=[_PIXELS])
    def tensor(pixels):
        return decide(tf.map_fn(lambda photo: pixels_view(photo)[0], pixels, fn_output_signature=tf.TensorSpec([size, size, 3], tf.uint8)))

    @tf.function(input_signature=[_IMAGES])
    def embed(image_bytes):
        return {"embedding": network({"photo": decode(image_bytes)})["embedding"]}

    @tf.function(input_signature=[_IMAGES])
    def where(image_bytes):
        photos = decode(image_bytes, detector.finer.input_shape[1])
        return {"heat": heat_of(detector.finer, run.recipe, tf.cast(photos, tf.float32))}

    photos, tolerance = {"image_bytes": sample_images()}, _TOLERANCES["score"][half]
    signatures = {
        "serving_default": Signature(
            serving_default, photos, description="encoded photos -> score, decision (score above 0) and probability", tolerance=tolerance
        ),
        "tensor": Signature(tensor, {"pixels": sample_pixels()}, description="the same of upright photos of one size, uint8 RGB", tolerance=tolerance),
        "embed": Signature(embed, photos, description="encoded photos -> the features that the SVM sees", tolerance=tolerance),
        WHERE: Signature(where, photos, description="encoded photos -> Grad-CAM of the score over the photo, 0 to 1", tolerance=_TOLERANCES["heat"]),
    }
    return {name: signature for name, signature in signatures.items() if not half or name != WHERE}


class _Reference:
    """What a signature should answer, by the way that `tfvision detect` goes: files, the pipeline, Keras, numpy."""

    def __init__(self, detector):
        self._detector = detector

    def __call__(self, signature, inputs):
        photos = inputs["image_bytes"] if "image_bytes" in inputs else [tf.io.encode_png(pixels).numpy() for pixels in inputs["pixels"]]
        if signature == WHERE:
            return {"heat": self._with_files(photos, self._detector.heat)}
        if signature == "embed":
            extractor = features_extractor(self._detector.network, self._detector.run.recipe)
            return {"embedding": self._with_files(photos, lambda manifest: feature_table(manifest, extractor)[0])}
        scores = self._with_files(photos, lambda manifest: np.concatenate([scores for _, scores in self._detector.score(manifest, BrokenPhotos())]))
        calibration = self._detector.run.calibration
        judged = [judgement(score, calibration) for score in scores]
        probability = 1 / (1 + np.exp(-(calibration["slope"] * scores.astype(np.float64) + calibration["offset"])))
        return {"score": scores, "is_tattoo": np.array([one["is_tattoo"] for one in judged]), "probability": probability.astype(np.float32)}

    @staticmethod
    def _with_files(photos, answer):
        """answer(Manifest) of encoded photos, while they are files."""
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, str(number)) for number in range(len(photos))]
            for path, encoded in zip(paths, photos, strict=True):
                path.write_bytes(encoded)
            manifest = Manifest(("photo",), tuple(Record(str(path), path.name, ("",), path.name) for path in paths))
            return answer(manifest)


def _preprocessing(recipe):
    return {
        "decoding": "JPEG, PNG, GIF and BMP in the graph (WebP from TensorFlow 2.16 on); EXIF orientation applied in the graph",
        "colour": "RGB, uint8; transparent parts of a PNG on white",
        "resize": f"the whole photo to {recipe.size_px} x {recipe.size_px} px, bilinear, antialiased",
        "crop": f"the centre, {recipe.crop_px} x {recipe.crop_px} px, inside the network" if recipe.crop_px < recipe.size_px else "none",
        "scaling": "inside the network",
    }


def _facts(run):
    metrics, recipe = read_json(run.metrics_path), run.recipe
    shares = {name: metrics[key] for name, key in (("tattoo", "tattoo"), ("non-tattoo", "non_tattoo"), ("overall", "overall"))}
    return {
        "Task": "tells photos that show a tattoo from others; an answer is no proof, and errors are expected at the rates below",
        "Data": {"photos": metrics["images"], "of tattoos": metrics["tattoos"], "subjects": metrics["subjects"], "source": Path(run.facts["source"]).name},
        "Metrics": {
            "judged": f"on {len(metrics['folds'])} probe lists, each by a detector of the others",
            **{f"{name} accuracy": share["accuracy"] for name, share in shares.items()},
            **{f"{name} accuracy, 95 % interval": " to ".join(f"{end:.3f}" for end in share["interval"]) for name, share in shares.items()},
        },
        "Calibration": {key: run.calibration[key] for key in ("slope", "offset")},
        "Recipe": {"name": recipe.name, "seed": recipe.seed, "network": recipe.network, "fine-tuned": recipe.is_fine_tuned, "lambda": recipe.svm_lambda},
        "Trained with": run.facts["versions"],
    }
