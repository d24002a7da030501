"""A species run as an Exportable: the whole way from encoded photo to careful answer in one graph."""

import functools
import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.apps.species.answer_graph import OUTPUTS, SEPARATOR, UNKNOWN_OUTPUT, AnswerGraph
from tfvision.apps.species.group_answers import Evidence, answering_of
from tfvision.apps.species.identification import ALTERNATIVES, careful_answers
from tfvision.apps.species.unknown import open_unknown
from tfvision.data.views import CENTRAL_FRACTION, VIEWS
from tfvision.export.exportable import CLASSIFY, Exportable, Signature
from tfvision.export.half import stored_network
from tfvision.export.model_card import source_name, training_facts, without_folders
from tfvision.export.photo_signatures import IMAGES, PREPROCESSING, PhotoViews, encoded_photos, of_boxes, of_encoded, of_pixels, photo_files
from tfvision.export.samples import random_views, sample_images
from tfvision.trained.species_network import features_model, image_size_of, load_species_network, make_predictor, predict
from tfvision.trained.species_run import SpeciesRun

_EXAMPLE_FEATURE = "image/encoded"


def make_exportable(run: str | Path, half: bool = False, unknown_share: float | None = None) -> Exportable:
    """Everything that `tfvision export` writes of a finished species run.

    Args:
      run: folder.
      half: whether weights are stored in 16 bits.
      unknown_share: of photos of species that the run was not trained on, as `identify` takes it; None = the run's.

    Returns:
      Exportable with the signatures "serving_default", "identify", "identify_group", "boxes", "evidence", "tensor", "embed" and "classify".

    Raises:
      RunError.
    """
    trained = SpeciesRun.open(run)
    unknown = open_unknown(trained, unknown_share)
    graph = _SpeciesGraph(trained, half, unknown)
    return Exportable(
        name=trained.folder.name,
        signatures=_signatures(trained, graph),
        variables=graph.variables,
        assets=_assets(trained, unknown),
        reference=_Reference(trained, unknown),
        preprocessing=_preprocessing(trained.recipe),
        facts=_facts(trained, unknown),
        core=graph.core,
        core_samples={view: random_views(image_size_of(trained.recipe), number) for number, view in enumerate(trained.recipe.views, 1)},
    )


class _SpeciesGraph:
    """Photos -> views -> logits -> answer, as functions on tensors, each traced once."""

    def __init__(self, run, half, unknown):
        model, size, classes = load_species_network(run), image_size_of(run.recipe), len(run.taxonomy)
        self._is_mirrored = run.recipe.is_mirrored_at_prediction
        # Logits are linear in the features: averaging these over the mirror image averages those.
        self._features = features_model(model)
        self._classifier = model.get_layer("species_logits")
        answering = _answering(run, unknown)
        self._rule = AnswerGraph(run.taxonomy, run.calibration["temperature"], ALTERNATIVES, unknown, answering.rule, answering.group_unknown)
        self.classes_within = self._rule.classes_within
        self._has_unknown = unknown is not None
        self.threshold, self.group_threshold = (
            tf.constant([-1 if one is None else one], tf.float32) for one in (answering.threshold, answering.group_threshold)
        )
        self.views = PhotoViews(run.recipe.views, size)
        seen = {view: tf.TensorSpec([None, size, size, 3], tf.uint8, name=view) for view in run.recipe.views}
        channels = self._features.output.shape[-1]
        answered = [tf.TensorSpec([None, classes]), tf.TensorSpec([None]), tf.TensorSpec([None, classes], tf.bool), tf.TensorSpec([None, channels])]
        self.network, self.variables = stored_network(tf.function(self._network, autograph=False, input_signature=[seen]), model, half)
        self._answer = tf.function(self._rule.answer_to, autograph=False, input_signature=answered)
        self._answer_group = tf.function(self._rule.answer_to_group, autograph=False, input_signature=answered)
        self.core = tf.function(self._core, autograph=False, input_signature=[seen])

    def _network(self, views):
        features = tf.cast(self._features(views, training=False), tf.float32)
        if self._is_mirrored:
            mirrored = {view: tf.reverse(images, [2]) for view, images in views.items()}
            features = (features + tf.cast(self._features(mirrored, training=False), tf.float32)) / 2
        return {"embedding": features, "logits": self._classifier(features)}

    def answer(self, views, threshold, is_inside):
        outputs = self.network(views)
        return self._answer(outputs["logits"], threshold, is_inside, outputs["embedding"])

    def answer_group(self, views, threshold, is_inside):
        outputs = self.network(views)
        threshold = tf.where(threshold < 0, tf.where(tf.shape(outputs["logits"])[0] == 1, self.threshold, self.group_threshold), threshold)
        return self._answer_group(outputs["logits"], threshold, is_inside, outputs["embedding"])

    def evidence(self, views):
        outputs = self.network(views)
        log_odds = {"unknown_log_odds": self._rule.log_odds_of_unknown(outputs["embedding"])} if self._has_unknown else {}
        return {**outputs, **{name: tf.cast(value, tf.float32) for name, value in log_odds.items()}}

    def _core(self, views):
        outputs = self.network(views)
        return {"probabilities": self._rule.probabilities(outputs["logits"]), "embedding": outputs["embedding"]}


def _signatures(run, graph):
    everywhere = tf.ones([1, len(run.taxonomy)], tf.bool)
    decode = graph.views.of_encoded

    def calibrated(views):
        return graph.answer(views, graph.threshold, everywhere)

    @tf.function(
        autograph=False,
        input_signature=[
            IMAGES,
            tf.TensorSpec([None], tf.float32, name="threshold"),
            tf.TensorSpec([None], tf.string, name="within"),
        ],
    )
    def identify(image_bytes, threshold=graph.threshold, within=tf.constant([""])):  # noqa: B008
        threshold = tf.where(threshold < 0, graph.threshold, threshold)
        return graph.answer(decode(image_bytes), threshold, graph.classes_within(within))

    @tf.function(autograph=False, input_signature=identify.input_signature)
    def identify_group(image_bytes, threshold=tf.constant([-1.0]), within=tf.constant([""])):  # noqa: B008
        tf.debugging.assert_positive(tf.size(image_bytes), "a group has a photo at least")
        return graph.answer_group(decode(image_bytes), threshold[:1], graph.classes_within(within[:1]))

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def classify(inputs):
        features = {_EXAMPLE_FEATURE: tf.io.FixedLenFeature([], tf.string)}
        answer = calibrated(decode(tf.io.parse_example(inputs, features)[_EXAMPLE_FEATURE]))
        return {"classes": answer["top_names"], "scores": answer["top_probabilities"]}

    images, taxon = sample_images(), run.taxonomy.names[1]
    return {
        "serving_default": of_encoded(lambda image_bytes: calibrated(decode(image_bytes)), "encoded photos -> the answer at the calibrated threshold"),
        "identify": Signature(
            identify,
            {"image_bytes": images, "threshold": np.float32([-1, 0.5, 0.9]), "within": np.array(["", taxon, ""], object)},
            description=f"with a threshold a photo (below 0: the calibrated one) and prior taxa, '{SEPARATOR}' between them",
        ),
        "identify_group": Signature(
            identify_group,
            {"image_bytes": images, "threshold": np.float32([-1, -1, -1]), "within": np.array(["", "", ""], object)},
            description="photos of one animal -> one answer, at the first threshold and with the first prior taxa; never join the requests of several clients",
        ),
        "boxes": of_boxes(
            lambda image_bytes, box: calibrated(decode(image_bytes, box)),
            "with left, top, width, height of the animal in pixels of the upright photo; width 0: no box",
        ),
        "evidence": of_boxes(
            lambda image_bytes, box: graph.evidence(decode(image_bytes, box)), "as boxes -> what answers to groups are made of (survey)", tolerance=1e-3
        ),
        "tensor": of_pixels(lambda pixels: calibrated(graph.views.of_pixels(pixels)), "upright photos of one size, uint8 RGB"),
        "embed": of_encoded(
            lambda image_bytes: {"embedding": graph.network(decode(image_bytes))["embedding"]}, "encoded photos -> the features behind the last layer"
        ),
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

    def __init__(self, run, unknown):
        self._run, self._unknown = run, unknown

    def __call__(self, signature, inputs):
        if signature == "classify":
            answer = self("serving_default", {"image_bytes": [_encoded_in(example) for example in inputs["inputs"]]})
            return {"classes": answer["top_names"], "scores": answer["top_probabilities"]}
        photos = encoded_photos(inputs)
        if signature == "embed":
            return {"embedding": self._predict("embedding", photos)}
        logits = self._predict("species", photos, inputs.get("box"))
        if signature in ("identify_group", "evidence"):
            seen = Evidence.of(logits, self._predict("embedding", photos, inputs.get("box")), self._unknown)
            return self._answer_group(seen, inputs) if signature == "identify_group" else _told_evidence(seen)
        features = logits if self._unknown is None else self._predict("embedding", photos, inputs.get("box"))
        terms = [_terms(text) for text in inputs.get("within", [b""] * len(photos))]
        within = [[node for name in names for node in self._run.taxonomy.find(name)] for names in terms]
        thresholds = inputs.get("threshold", np.full(len(photos), -1))
        if self._unknown is None:
            thresholds = np.where(thresholds < 0, self._run.calibration["threshold"], thresholds)
        rows = [_answer_row(self._run, self._unknown, *row) for row in zip(logits, features, within, thresholds, strict=True)]
        return _arrays(rows)

    def _answer_group(self, seen, inputs):
        within = [node for name in _terms(inputs["within"][0]) for node in self._run.taxonomy.find(name)]
        answering = _answering(self._run, self._unknown, within)
        (answer,) = answering.careful([np.arange(len(seen.logits))], seen)
        threshold = answering.group_unknown.threshold if answering.group_threshold is None else answering.group_threshold
        return _arrays([_row_of(self._run, answer, threshold)])

    @functools.cached_property
    def _predictors(self):
        model = load_species_network(self._run)
        outputs = {"species": model.output["species"], "embedding": model.get_layer("species_logits").input}
        model = keras.Model(model.input, outputs)
        return {name: make_predictor(model, self._run.recipe.is_mirrored_at_prediction, name) for name in outputs}

    def _predict(self, output, photos, boxes=None):
        with photo_files(photos, boxes) as manifest:
            return np.concatenate([part for _, part in predict(self._predictors[output], manifest, self._run.recipe)])


_NUMBERS = ("probability", "threshold", "lineage_probabilities", "top_probabilities", "unknown_probability")


def _answering(run, unknown, within=()):
    """By what a run answers, at its own thresholds."""
    return answering_of(run.calibration, run.unknown, run.taxonomy, run.calibration["temperature"], within, unknown)


def _told_evidence(seen):
    log_odds = {} if seen.log_odds is None else {"unknown_log_odds": seen.log_odds}
    return {name: np.asarray(values, np.float32) for name, values in {"logits": seen.logits, "embedding": seen.features, **log_odds}.items()}


def _arrays(rows):
    return {key: np.array([row[key] for row in rows], np.float32 if key in _NUMBERS else object) for key in rows[0]}


def _answer_row(run, unknown, logits, features, within, threshold):
    least = None if threshold < 0 else threshold
    (answer,) = careful_answers(logits[None], run.taxonomy, run.calibration["temperature"], within, least, unknown, features[None])
    return _row_of(run, answer, unknown.threshold if least is None else threshold)


def _row_of(run, answer, threshold):
    taxonomy = run.taxonomy
    rest = int(taxonomy.depths.max()) - len(answer.path[1:])
    return {
        "taxon": taxonomy.names[answer.path[-1]].encode(),
        "rank": taxonomy.node_ranks[answer.path[-1]].encode(),
        "probability": answer.reached[-1],
        "threshold": threshold,
        "lineage_names": [taxonomy.names[node].encode() for node in answer.path[1:]] + [b""] * rest,
        "lineage_ranks": [taxonomy.node_ranks[node].encode() for node in answer.path[1:]] + [b""] * rest,
        "lineage_probabilities": [*answer.reached[1:], *[0] * rest],
        "top_names": [taxonomy.class_names[number].encode() for number in answer.likeliest],
        "top_probabilities": answer.chances,
        **({} if answer.unknown is None else {"unknown_probability": answer.unknown}),
    }


def _terms(text):
    text = text.decode() if isinstance(text, bytes) else text
    return [term for term in text.split(SEPARATOR) if term.strip()]


def _encoded_in(example):
    return tf.train.Example.FromString(example).features.feature[_EXAMPLE_FEATURE].bytes_list.value[0]


def _assets(run, unknown):
    calibration = {key: run.calibration[key] for key in ("temperature", "threshold", "target", "confidence", "depth_curve")}
    calibration["groups"] = {key: value for key, value in groups.items() if key != "measured"} if (groups := run.calibration.get("groups")) else None
    if unknown is not None:
        calibration["unknown_share"] = unknown.share
        calibration["unknown"] = {
            "rates": unknown.rule.rates,
            "species_threshold": unknown.species_threshold,
            "threshold": unknown.threshold,
            "groups": run.unknown.get("groups"),
        }
    taxonomy = {"ranks": run.taxonomy.ranks, "lineages": run.taxonomy.lineages}
    return {
        "labels.txt": "\n".join(run.taxonomy.class_names) + "\n",
        "taxonomy.json": json.dumps(taxonomy, ensure_ascii=False) + "\n",
        "calibration.json": json.dumps(calibration, indent=2) + "\n",
    }


def _preprocessing(recipe):
    return {
        **PREPROCESSING,
        "region": f"the centre, {CENTRAL_FRACTION} of each side",
        "views": {view: f"the centre of the region, {VIEWS[view]} of each side" for view in recipe.views},
        "box": "where given, it replaces every view but the whole one",
        "resize": f"each view to {image_size_of(recipe)} x {image_size_of(recipe)} px, bilinear, antialiased",
        "mirror": "averaged over the photo and its mirror image" if recipe.is_mirrored_at_prediction else "none",
    }


def _facts(run, unknown):
    metrics = run.metrics
    validation = metrics["validation"]
    specificity = validation["specificity"]
    return {
        "Task": f"names one of {len(run.taxonomy)} classes, or a coarser taxon ({', '.join(run.taxonomy.ranks)})",
        "Data": {
            "source": "the built-in specimens (drawings)" if run.facts["source"] is None else source_name(run),
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
            **({} if unknown is None else {"with so large a share of unknown species": unknown.share}),
        },
        "Outputs": OUTPUTS if unknown is None else OUTPUTS | UNKNOWN_OUTPUT,
        "Began with": without_folders(metrics["weights"]),
        **training_facts(run, network=run.recipe.network),
    }
