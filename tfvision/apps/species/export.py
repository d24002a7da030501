"""A species run as an Exportable: the whole way from encoded photo to careful answer in one graph."""

import functools
import json
import re
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.apps.species.answer_graph import OUTPUTS, SEPARATOR, AnswerGraph
from tfvision.apps.species.identification import ALTERNATIVES
from tfvision.data.graph_decoding import views_of_encoded, views_of_pixels
from tfvision.data.manifest import Manifest, Record
from tfvision.data.views import CENTRAL_FRACTION, VIEWS
from tfvision.evaluation import hierarchy
from tfvision.evaluation.calibration import softmax
from tfvision.export.exportable import CLASSIFY, Exportable, Signature, tf_variables
from tfvision.export.half import with_half_weights
from tfvision.export.samples import sample_images, sample_pixels
from tfvision.files import read_json
from tfvision.trained.species_network import features_model, image_size_of, load_species_network, make_predictor, predict
from tfvision.trained.species_run import SpeciesRun

_IMAGES = tf.TensorSpec([None], tf.string, name="image_bytes")
_BOXES = tf.TensorSpec([None, 4], tf.float32, name="box")
_PIXELS = tf.TensorSpec([None, None, None, 3], tf.uint8, name="pixels")
_EXAMPLE_FEATURE = "image/encoded"


def species_exportable(run, half=False):
    """Everything that `tfvision export` writes of a finished species run.

    Args:
      run: folder.
      half: whether weights are stored in 16 bits.

    Returns:
      Exportable with the signatures "serving_default", "identify", "boxes", "tensor", "embed" and "classify".

    Raises:
      RunError.
    """
    run = SpeciesRun.open(run)
    graph = _SpeciesGraph(run, half)
    return Exportable(
        name=run.folder.name,
        signatures=_signatures(run, graph),
        variables=graph.variables,
        assets=_assets(run),
        reference=_Reference(run),
        preprocessing=_preprocessing(run.recipe),
        facts=_facts(run),
        core=graph.core,
        core_samples={view: _pixels(run, len(run.recipe.views))[:, place] for place, view in enumerate(run.recipe.views)},
    )


class _SpeciesGraph:
    """Photos -> views -> logits -> answer, as functions on tensors, each traced once."""

    def __init__(self, run, half=False):
        model = load_species_network(run)
        self._views, self._image_size = run.recipe.views, image_size_of(run.recipe)
        self._is_mirrored = run.recipe.is_mirrored_at_prediction
        # Logits are linear in the features: averaging these over the mirror image averages those.
        self._features = features_model(model)
        self._classifier = model.get_layer("species_logits")
        self._rule = AnswerGraph(run.taxonomy, run.calibration["temperature"], ALTERNATIVES)
        self.classes_within = self._rule.classes_within
        self.threshold = tf.constant([run.calibration["threshold"]], tf.float32)
        classes = len(run.taxonomy)
        views = {view: tf.TensorSpec([None, self._image_size, self._image_size, 3], tf.uint8, name=view) for view in self._views}
        answered = [tf.TensorSpec([None, classes]), tf.TensorSpec([None]), tf.TensorSpec([None, classes], tf.bool)]
        self.decode = tf.function(self._decode, input_signature=[_IMAGES, _BOXES])
        self.cut = tf.function(self._cut, input_signature=[_PIXELS])
        self.network = tf.function(self._network, input_signature=[views])
        self.variables = [] if half else tf_variables(model)
        if half:
            self.network = with_half_weights(self.network)
        self.answer = tf.function(self._rule.answer_to, input_signature=answered)
        self.core = tf.function(self._core, input_signature=[views])

    def _decode(self, image_bytes, boxes):
        """Encoded photos, string [batch], and boxes, float32 [batch, 4] -> {view: uint8 [batch, size, size, 3]}."""
        cut = functools.partial(views_of_encoded, views=self._views, image_size=self._image_size)
        return self._by_name(tf.map_fn(lambda photo: cut(*photo), (image_bytes, boxes), fn_output_signature=self._view_spec()))

    def _cut(self, pixels):
        """Photos of one size, uint8 [batch, height, width, 3] -> views."""
        cut = functools.partial(views_of_pixels, views=self._views, image_size=self._image_size)
        return self._by_name(tf.map_fn(cut, pixels, fn_output_signature=self._view_spec()))

    def _network(self, views):
        features = tf.cast(self._features(views, training=False), tf.float32)
        if self._is_mirrored:
            mirrored = {view: tf.reverse(images, [2]) for view, images in views.items()}
            features = (features + tf.cast(self._features(mirrored, training=False), tf.float32)) / 2
        return {"embedding": features, "logits": self._classifier(features)}

    def _core(self, views):
        outputs = self.network(views)
        return {"probabilities": self._rule.probabilities(outputs["logits"]), "embedding": outputs["embedding"]}

    def _by_name(self, stacked):
        return {view: stacked[:, place] for place, view in enumerate(self._views)}

    def _view_spec(self):
        return tf.TensorSpec([len(self._views), self._image_size, self._image_size, 3], tf.uint8)


def _signatures(run, graph):
    everywhere = tf.ones([1, len(run.taxonomy)], tf.bool)

    def calibrated(views):
        return graph.answer(graph.network(views)["logits"], graph.threshold, everywhere)

    def whole(image_bytes):
        return graph.decode(image_bytes, tf.zeros([tf.size(image_bytes), 4]))

    @tf.function(input_signature=[_IMAGES])
    def serving_default(image_bytes):
        return calibrated(whole(image_bytes))

    @tf.function(
        input_signature=[
            _IMAGES,
            tf.TensorSpec([None], tf.float32, name="threshold"),
            tf.TensorSpec([None], tf.string, name="within"),
        ]
    )
    def identify(image_bytes, threshold=graph.threshold, within=tf.constant([""])):  # noqa: B008
        threshold = tf.where(threshold < 0, graph.threshold, threshold)
        return graph.answer(graph.network(whole(image_bytes))["logits"], threshold, graph.classes_within(within))

    @tf.function(input_signature=[_IMAGES, _BOXES])
    def boxes(image_bytes, box):
        return calibrated(graph.decode(image_bytes, box))

    @tf.function(input_signature=[_PIXELS])
    def tensor(pixels):
        return calibrated(graph.cut(pixels))

    @tf.function(input_signature=[_IMAGES])
    def embed(image_bytes):
        return {"embedding": graph.network(whole(image_bytes))["embedding"]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def classify(inputs):
        features = {_EXAMPLE_FEATURE: tf.io.FixedLenFeature([], tf.string)}
        answer = calibrated(whole(tf.io.parse_example(inputs, features)[_EXAMPLE_FEATURE]))
        return {"classes": answer["top_names"], "scores": answer["top_probabilities"]}

    images, taxon = sample_images(), run.taxonomy.names[1]
    photos = {"image_bytes": images}
    return {
        "serving_default": Signature(serving_default, photos, description="encoded photos -> the answer at the calibrated threshold"),
        "identify": Signature(
            identify,
            {**photos, "threshold": np.float32([-1, 0.5, 0.9]), "within": np.array(["", taxon, ""], object)},
            description=f"with a threshold a photo (below 0: the calibrated one) and prior taxa, '{SEPARATOR}' between them",
        ),
        "boxes": Signature(
            boxes,
            {**photos, "box": np.float32([[60, 40, 100, 80], [0, 0, 240, 180], [0, 0, 0, 0]])},
            description="with left, top, width, height of the animal in pixels of the upright photo; width 0: no box",
        ),
        "tensor": Signature(tensor, {"pixels": sample_pixels()}, description="upright photos of one size, uint8 RGB"),
        "embed": Signature(embed, photos, description="encoded photos -> the features behind the last layer"),
        "classify": Signature(
            classify,
            {"inputs": np.array([_example(image) for image in images], object)},
            CLASSIFY,
            f"tf.Example with the feature {_EXAMPLE_FEATURE} -> the likeliest species and their probabilities",
        ),
    }


def _example(encoded):
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))
    return tf.train.Example(features=tf.train.Features(feature={_EXAMPLE_FEATURE: feature})).SerializeToString()


class _Reference:
    """What a signature should answer, by the way that `tfvision identify` goes: files, the pipeline, Keras, numpy."""

    def __init__(self, run):
        self._run = run

    def __call__(self, signature, inputs):
        if signature == "classify":
            answer = self("serving_default", {"image_bytes": [_encoded_in(example) for example in inputs["inputs"]]})
            return {"classes": answer["top_names"], "scores": answer["top_probabilities"]}
        photos = inputs["image_bytes"] if "image_bytes" in inputs else [_as_png(pixels) for pixels in inputs["pixels"]]
        if signature == "embed":
            return {"embedding": self._predict("embedding", photos)}
        logits = self._predict("species", photos, inputs.get("box"))
        terms = [_terms(text) for text in inputs.get("within", [b""] * len(photos))]
        within = [[node for name in names for node in self._run.taxonomy.find(name)] for names in terms]
        thresholds = inputs.get("threshold", np.full(len(photos), -1))
        thresholds = np.where(thresholds < 0, self._run.calibration["threshold"], thresholds)
        rows = [_answer_row(self._run, *row) for row in zip(logits, within, thresholds, strict=True)]
        return {key: np.array([row[key] for row in rows], np.float32 if key in _NUMBERS else object) for key in OUTPUTS}

    @functools.cached_property
    def _predictors(self):
        model = load_species_network(self._run)
        outputs = {"species": model.output["species"], "embedding": model.get_layer("species_logits").input}
        model = keras.Model(model.input, outputs)
        return {name: make_predictor(model, self._run.recipe.is_mirrored_at_prediction, name) for name in outputs}

    def _predict(self, output, photos, boxes=None):
        with tempfile.TemporaryDirectory() as folder:
            records = []
            for number, encoded in enumerate(photos):
                path = Path(folder, str(number))
                path.write_bytes(encoded)
                box = tuple(map(int, boxes[number])) if boxes is not None else (0, 0, 0, 0)
                records.append(Record(str(path), str(path), ("",), str(path), box=box))
            manifest = Manifest(("species",), tuple(records))
            return np.concatenate([part for _, part in predict(self._predictors[output], manifest, self._run.recipe)])


_NUMBERS = ("probability", "threshold", "lineage_probabilities", "top_probabilities")


def _answer_row(run, logits, within, threshold):
    taxonomy, depth = run.taxonomy, int(run.taxonomy.depths.max())
    inside = hierarchy.classes_within(taxonomy, within)
    probabilities = softmax(np.where(inside, logits, -np.inf)[None].astype(np.float32), run.calibration["temperature"])
    (path,), (reached,) = hierarchy.descend(probabilities, taxonomy)
    (named,) = hierarchy.answer(path[None], reached[None], threshold)
    lineage = taxonomy.path_to(named)[1:]
    rest = depth - len(lineage)
    best = np.argsort(-probabilities[0], kind="stable")[:ALTERNATIVES]
    return {
        "taxon": taxonomy.names[named].encode(),
        "rank": taxonomy.node_ranks[named].encode(),
        "probability": reached[len(lineage)],
        "threshold": threshold,
        "lineage_names": [taxonomy.names[node].encode() for node in lineage] + [b""] * rest,
        "lineage_ranks": [taxonomy.node_ranks[node].encode() for node in lineage] + [b""] * rest,
        "lineage_probabilities": [*reached[1 : len(lineage) + 1], *[0] * rest],
        "top_names": [taxonomy.class_names[index].encode() for index in best],
        "top_probabilities": probabilities[0, best],
    }


def _terms(text):
    text = text.decode() if isinstance(text, bytes) else text
    return [term for term in text.split(SEPARATOR) if term.strip()]


def _encoded_in(example):
    return tf.train.Example.FromString(example).features.feature[_EXAMPLE_FEATURE].bytes_list.value[0]


def _as_png(pixels):
    return tf.io.encode_png(pixels).numpy()


def _assets(run):
    calibration = {key: run.calibration[key] for key in ("temperature", "threshold", "target", "confidence", "depth_curve")}
    taxonomy = {"ranks": run.taxonomy.ranks, "lineages": run.taxonomy.lineages}
    return {
        "labels.txt": "\n".join(run.taxonomy.class_names) + "\n",
        "taxonomy.json": json.dumps(taxonomy, ensure_ascii=False) + "\n",
        "calibration.json": json.dumps(calibration, indent=2) + "\n",
    }


def _pixels(run, views, seed=1):
    size = image_size_of(run.recipe)
    return np.random.default_rng(seed).integers(0, 256, (2, views, size, size, 3)).astype(np.uint8)


def _preprocessing(recipe):
    return {
        "decoding": "JPEG, PNG, GIF and BMP in the graph (WebP from TensorFlow 2.16 on); EXIF orientation applied in the graph",
        "colour": "RGB, uint8; transparent parts of a PNG on white",
        "region": f"the centre, {CENTRAL_FRACTION} of each side",
        "views": {view: f"the centre of the region, {VIEWS[view]} of each side" for view in recipe.views},
        "box": "where given, it replaces every view but the whole one",
        "resize": f"each view to {image_size_of(recipe)} x {image_size_of(recipe)} px, bilinear, antialiased",
        "scaling": "inside the network",
        "mirror": "averaged over the photo and its mirror image" if recipe.is_mirrored_at_prediction else "none",
    }


def _facts(run):
    metrics = read_json(run.metrics_path)
    validation = metrics["validation"]
    specificity = validation["specificity"]
    return {
        "Task": f"names one of {len(run.taxonomy)} classes, or a coarser taxon ({', '.join(run.taxonomy.ranks)})",
        "Data": {
            "source": "the built-in specimens (drawings)" if run.facts["source"] is None else run.facts["source"].rsplit("/", 1)[-1],
            "photos": metrics["images"],
            "classes": metrics["classes"],
            "unseen photos": validation["images"],
        },
        "Metrics": {
            "accuracy": validation["accuracy"],
            "accuracy by rank": validation["accuracy_by_rank"],
            "top 5": validation["top5"],
            "calibration error": validation["calibration_error"],
        },
        "Calibration": {
            "temperature": run.calibration["temperature"],
            "threshold": run.calibration["threshold"],
            "asked to be right": specificity["target"],
            "right": specificity["accuracy"],
            "depth": specificity["depth"],
        },
        "Outputs": OUTPUTS,
        "Began with": re.sub(r"/\S*/", "", metrics["weights"]),  # the file's name, not where it lay
        "Recipe": {"name": run.recipe.name, "seed": run.recipe.seed, "network": run.recipe.network},
        "Trained with": run.facts["versions"],
    }
