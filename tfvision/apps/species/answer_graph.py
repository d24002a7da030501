"""The careful answer inside a graph: what identification.py does with numpy, in TensorFlow's operations.

Node sums over the whole softmax, the greedy descent and the cut at a threshold (section 3.3), with prior taxa.
"""

import math
import re
import unicodedata

import numpy as np
import tensorflow as tf

from tfvision.data.taxonomy import Taxonomy
from tfvision.evaluation.groups import GroupRule
from tfvision.evaluation.hierarchy import EQUAL_SHARE
from tfvision.evaluation.unknown_species import UnknownAnswers

_BLANKS = r"[\s_-]+"
SEPARATOR = ";"  # between prior taxa in one string


class AnswerGraph:
    """The rule for one taxonomy.

    Args:
      taxonomy: Taxonomy.
      temperature: of the softmax.
      alternatives: how many of the likeliest classes are told.
      unknown: how answers are found where photos may be of unknown species; None = by the probabilities alone.
      rule: how the photos of a group are joined.
      group_unknown: as `unknown`, of groups.
    """

    def __init__(
        self,
        taxonomy: Taxonomy,
        temperature: float,
        alternatives: int,
        unknown: UnknownAnswers | None = None,
        rule: GroupRule = GroupRule(),
        group_unknown: UnknownAnswers | None = None,
    ):
        self._taxonomy, self._unknown, self._rule, self._group_unknown = taxonomy, unknown, rule, group_unknown
        self._exact_temperature = float(temperature)
        self._temperature = np.float32(1 / temperature)
        self._alternatives = min(alternatives, len(taxonomy))

    def classes_within(self, within: tf.Tensor) -> tf.Tensor:
        """Which classes lie below the named taxa: bool [batch, classes]; all where no taxon is named.

        Args:
          within: string [batch], names of taxa in any spelling of data.names but for authors, SEPARATOR between them; "" = none.
            An unknown taxon fails the request.
        """
        terms = tf.strings.split(within, SEPARATOR)
        cleaned = tf.strings.regex_replace(tf.strings.lower(terms.values, encoding="utf-8"), _BLANKS, " ")
        cleaned = tf.strings.strip(cleaned)
        is_named = cleaned != ""
        terms, rows = tf.boolean_mask(cleaned, is_named), tf.boolean_mask(terms.value_rowids(), is_named)
        spelled = [[_spelled(name, form) for name in self._taxonomy.names[1:]] for form in ("NFC", "NFD")]
        is_match = tf.reduce_any(terms[:, None, None] == tf.constant(spelled), axis=1)  # [terms, nodes without the root]
        is_found = tf.reduce_any(is_match, axis=1)
        unknown = tf.strings.reduce_join(tf.boolean_mask(terms, ~is_found), separator=", ")
        message = tf.strings.join(["within names no taxon of this model: ", unknown])
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(is_found), [message])]):
            match = tf.where(is_match)
        first, end = (tf.constant(leaves[1:]) for leaves in (self._taxonomy.first_leaves, self._taxonomy.end_leaves))
        row, node = tf.gather(rows, match[:, 0]), match[:, 1]
        shape = tf.stack([tf.size(within, out_type=tf.int64), len(self._taxonomy) + 1])
        edges = tf.scatter_nd(_pairs(row, tf.gather(first, node)), tf.ones_like(row), shape)
        edges -= tf.scatter_nd(_pairs(row, tf.gather(end, node)), tf.ones_like(row), shape)
        is_inside = tf.cumsum(edges, axis=1)[:, :-1] > 0
        return is_inside | ~tf.reduce_any(is_inside, axis=1, keepdims=True)

    def probabilities(self, logits: tf.Tensor) -> tf.Tensor:
        """Calibrated: float32 [batch, classes], 0 where a logit is -inf."""
        return tf.nn.softmax((logits - tf.reduce_max(logits, axis=1, keepdims=True)) * self._temperature)

    def chance_of_unknown(self, log_odds: tf.Tensor) -> tf.Tensor:
        """That photos, or groups, are of unknown species, float64 [batch], of `log_odds_of_unknown`."""
        share = self._unknown.share
        return tf.sigmoid(log_odds + math.log(share / (1 - share)))

    def log_odds_of_unknown(self, features: tf.Tensor) -> tf.Tensor:
        """That photos are of unknown species, at even shares, float64 [batch]: `UnknownAnswers.log_odds`, operation by operation.

        Args:
          features: float32 [batch, channels], what the last layer saw.
        """
        unknown, model = self._unknown, self._unknown.model
        head, prototypes, within, overall = (tf.constant(values, tf.float64) for values in (model.head, model.prototypes, model.within, model.overall))
        features = tf.cast(features, tf.float64)
        logits = features @ head[:-1] + head[-1]
        unit = features / tf.maximum(tf.norm(features, axis=1, keepdims=True), 1e-12)
        is_best = tf.one_hot(tf.argmax(logits, axis=1), logits.shape[1], on_value=True, off_value=False, dtype=tf.bool)
        rest = tf.reduce_logsumexp(tf.where(is_best, tf.constant(-np.inf, tf.float64), logits), axis=1)
        similarity = unit @ (prototypes / tf.norm(prototypes, axis=0))
        centre = tf.constant(model.centre[:, None], tf.float64)
        inner = tf.reduce_min(_squared_distances(unit, prototypes, within, float(model.precisions[0])), axis=1)
        outer = _squared_distances(unit, centre, overall, float(model.precisions[1]))[:, 0]
        scores = (rest - tf.reduce_max(logits, axis=1), -tf.reduce_logsumexp(logits, axis=1), 1 - tf.reduce_max(similarity, axis=1), inner - outer)
        rule = unknown.rule
        odds = tf.minimum(tf.stack(scores, axis=1), tf.constant(rule.limits, tf.float64)) @ tf.constant(rule.weights, tf.float64, [len(scores), 1])
        return odds[:, 0] + rule.offset

    def answer_to(self, logits: tf.Tensor, threshold: tf.Tensor, is_inside: tf.Tensor, features: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """The deepest taxon that may be named, and the likeliest classes, in the order of `identification.careful_answers`.

        Args:
          logits: float32 [batch, classes].
          threshold: float32 [batch] or [1]; with `unknown`, below 0 = its own.
          is_inside: bool [batch, classes] or [1, classes], from `classes_within`.
          features: float32 [batch, channels], needed with `unknown` alone.

        Returns:
          dict of tensors, the batch first; see OUTPUTS.
        """
        logits = tf.where(is_inside, logits, -np.inf)
        nodes, reached = self._descend(self.probabilities(logits))
        log_odds = None if self._unknown is None else self.log_odds_of_unknown(features)
        return self._told(logits, nodes, reached, threshold, is_inside, log_odds, self._unknown)

    def answer_to_group(self, logits: tf.Tensor, threshold: tf.Tensor, is_inside: tf.Tensor, features: tf.Tensor) -> dict[str, tf.Tensor]:
        """One answer to photos of one animal: as `answer_to`, with `groups.join` before it; a single photo is answered as there.

        Args:
          logits: float32 [photos, classes].
          threshold: float32 [1].
          is_inside: bool [1, classes].
          features: float32 [photos, channels].

        Returns:
          as `answer_to`, one row each.
        """
        logits, rule, is_alone = tf.where(is_inside, logits, -np.inf), self._rule, tf.shape(logits)[0] == 1
        weights = self._weights(features)
        log_probabilities = tf.nn.log_softmax(tf.cast(logits, tf.float64) / self._exact_temperature, axis=1)
        sums = tf.reduce_sum(weights[:, None] * log_probabilities, axis=0, keepdims=True)
        joined = tf.cast(self._exact_temperature * tf.reduce_sum(weights) ** -rule.dependence * sums, tf.float32)
        joined = tf.ensure_shape(tf.where(is_alone, logits[:1], joined), [1, len(self._taxonomy)])
        (nodes, reached), (own, _) = (self._descend(self.probabilities(one)) for one in (joined, logits))
        is_seen = tf.reduce_any(nodes[:, :, None] == tf.reshape(own, [1, 1, -1]), axis=2)
        nodes, reached, log_odds = tf.where(is_seen, nodes, -1), tf.where(is_seen, reached, 0), None
        if self._unknown is not None:
            log_odds = tf.reduce_sum(weights * self.log_odds_of_unknown(features), keepdims=True)
            log_odds *= tf.reduce_sum(weights) ** -rule.novelty_dependence
        (alone, together) = (self._told(joined, nodes, reached, threshold, is_inside, log_odds, own) for own in (self._unknown, self._group_unknown))
        return {name: tf.ensure_shape(tf.where(is_alone, alone[name], value), [1, *value.shape[1:]]) for name, value in together.items()}

    def _weights(self, features):
        """`GroupRule.weights`: float64 [photos]."""
        features = tf.cast(features, tf.float64)
        unit = features / tf.maximum(tf.norm(features, axis=1, keepdims=True), 1e-12)
        alike = tf.clip_by_value((tf.matmul(unit, unit, transpose_b=True) - self._rule.similarity) / (1 - self._rule.similarity), 0, 1)
        return 1 / tf.reduce_sum(tf.linalg.set_diag(alike, tf.ones_like(unit[:, 0])), axis=1)

    def _told(self, logits, nodes, reached, threshold, is_inside, log_odds, unknown):
        told, probabilities = {}, self.probabilities(logits)
        if unknown is None:
            may_be_named = (reached[:, 1:] >= tf.reshape(threshold, [-1, 1])) & (nodes[:, 1:] >= 0)
        else:
            chance = self.chance_of_unknown(log_odds)
            told = {"unknown_probability": tf.cast(chance, tf.float32)}
            reached = self._with_unknown(nodes, reached, chance, is_inside)
            may_be_named, threshold = self._cut(nodes, reached, threshold, unknown)
        below_root = reached[:, 1:]
        depth = tf.reduce_sum(tf.cast(may_be_named, tf.int32), axis=1)
        named = tf.gather(nodes, depth, batch_dims=1)
        _, classes = tf.math.top_k(logits, self._alternatives)  # of equals the first
        names, ranks = tf.constant(self._taxonomy.names), tf.constant(self._taxonomy.node_ranks)
        path = tf.where(may_be_named, nodes[:, 1:], 0)
        return {
            "taxon": tf.gather(names, named),
            "rank": tf.gather(ranks, named),
            "probability": tf.gather(reached, depth, batch_dims=1),
            "threshold": tf.broadcast_to(threshold, tf.shape(depth)),
            "lineage_names": tf.where(may_be_named, tf.gather(names, path), ""),
            "lineage_ranks": tf.where(may_be_named, tf.gather(ranks, path), ""),
            "lineage_probabilities": tf.where(may_be_named, below_root, 0),
            "top_names": tf.gather(tf.constant(self._taxonomy.class_names), classes),
            "top_probabilities": tf.gather(probabilities, classes, batch_dims=1),
            **told,
        }

    def _with_unknown(self, nodes, reached, chance, is_inside):
        """`UnknownRule.probabilities`: float32 [batch, depth + 1]."""
        taxonomy, rates = self._taxonomy, self._unknown.rule.rates
        sums = tf.pad(tf.cumsum(tf.cast(is_inside, tf.int32), axis=1), [[0, 0], [1, 0]])
        counts = tf.gather(sums, taxonomy.end_leaves, axis=1) - tf.gather(sums, taxonomy.first_leaves, axis=1)  # [batch or 1, nodes]
        holds_all = (counts == sums[:, -1:]) & (sums[:, -1:] < len(taxonomy)) | (tf.range(taxonomy.node_count) == 0)
        holds_all = tf.broadcast_to(holds_all, [tf.shape(nodes)[0], taxonomy.node_count])
        known = tf.maximum(nodes, 0)
        kept = tf.broadcast_to(tf.constant(rates, tf.float64), tf.shape(nodes))
        kept = tf.where(tf.gather(tf.constant(taxonomy.is_leaf), known) & (nodes >= 0), tf.constant(0, tf.float64), kept)
        kept = tf.where(tf.gather(holds_all, known, batch_dims=1), tf.constant(1, tf.float64), kept)
        return tf.cast(tf.cast(reached, tf.float64) * (1 - chance[:, None] * (1 - kept)), tf.float32)

    def _cut(self, nodes, probabilities, threshold, unknown):
        """What may be named, bool [batch, depth], and the threshold: that of `confidences`, or of the probability where one is given."""
        taxonomy = self._taxonomy
        deepest = int(taxonomy.depths.max())
        risk = (1 - tf.cast(probabilities[:, 1:], tf.float64)) * tf.constant(deepest / np.arange(1, deepest + 1))
        is_leaf = tf.gather(tf.constant(taxonomy.is_leaf), tf.maximum(nodes[:, 1:], 0))
        is_refused = (is_leaf & (probabilities[:, 1:] < np.float32(unknown.species_threshold))) | (nodes[:, 1:] < 0)
        found = tf.where(is_refused, tf.constant(0, tf.float32), tf.cast(1 / (1 + risk), tf.float32))
        may_be_reached = tf.cast((found >= np.float32(unknown.threshold)) & (found > 0), tf.int32)
        may_be_reached = tf.cumsum(may_be_reached, axis=1, reverse=True) > 0  # the deepest counts, and all above it
        threshold = tf.broadcast_to(threshold, tf.shape(nodes)[:1])
        by_probability = (probabilities[:, 1:] >= threshold[:, None]) & (nodes[:, 1:] >= 0)
        return tf.where(threshold[:, None] < 0, may_be_reached, by_probability), tf.where(threshold < 0, np.float32(unknown.threshold), threshold)

    def _descend(self, probabilities):
        """The greedy path: nodes int32 [batch, depth + 1], padded with -1, and their probabilities, padded with 0."""
        of_node = self._node_probabilities(probabilities)
        favourite = self._favourite_children(of_node)
        node = tf.zeros_like(of_node[:, 0], tf.int32)
        nodes, reached = [node], [tf.ones_like(of_node[:, 0])]
        for _ in range(int(self._taxonomy.depths.max())):
            following = tf.gather(favourite, tf.maximum(node, 0), batch_dims=1)
            is_there = (node >= 0) & (following < self._taxonomy.node_count)
            node = tf.where(is_there, following, -1)
            probability = tf.gather(of_node, tf.maximum(node, 0), batch_dims=1)
            nodes.append(node)
            # Rounding may lift a child above its parent by one unit in the last place.
            reached.append(tf.where(is_there, tf.minimum(probability, reached[-1]), 0))
        return tf.stack(nodes, axis=1), tf.stack(reached, axis=1)

    def _node_probabilities(self, probabilities):
        """Sums below each node, in float64: float32 [batch, nodes]."""
        sums = tf.pad(tf.cumsum(tf.cast(probabilities, tf.float64), axis=1), [[0, 0], [1, 0]])
        first, end = self._taxonomy.first_leaves, self._taxonomy.end_leaves
        total = tf.cast(tf.gather(sums, end, axis=1) - tf.gather(sums, first, axis=1), tf.float32)
        return tf.where(end - first == 1, tf.gather(probabilities, first, axis=1), total)

    def _favourite_children(self, of_node):
        """The most probable child of each node, the first of equals: int32 [batch, nodes]; a leaf's is no node."""
        count, parents = self._taxonomy.node_count, self._taxonomy.parents[1:]
        children = tf.transpose(of_node)[1:]  # [nodes without the root, batch]
        best = tf.math.unsorted_segment_max(children, parents, count)
        numbers = tf.range(1, count)[:, None]
        is_best = children >= EQUAL_SHARE * tf.gather(best, parents)
        return tf.transpose(tf.math.unsorted_segment_min(tf.where(is_best, numbers, count), parents, count))


OUTPUTS = {
    "taxon": "the deepest taxon that may be named; 'life' of rank 'root' where none may",
    "rank": "its rank",
    "probability": "its probability, the sum over its species",
    "threshold": "the least probability that an answer needed",
    "lineage_names": "the taxa from the coarsest rank down to the answer, padded with ''",
    "lineage_ranks": "their ranks",
    "lineage_probabilities": "their probabilities, padded with 0",
    "top_names": "the likeliest species",
    "top_probabilities": "their probabilities",
}


UNKNOWN_OUTPUT = {"unknown_probability": "that the photo is of no species of this model; say so where it is above the share and no species is named"}


def _squared_distances(unit, means, directions, precision):
    """As novelty.py's, the means being columns."""
    along, of_means = unit @ directions, tf.transpose(directions) @ means
    straight = tf.reduce_sum(unit**2, axis=1, keepdims=True) + tf.reduce_sum(means**2, axis=0) - 2 * (unit @ means)
    return precision * straight - (tf.reduce_sum(along**2, axis=1, keepdims=True) + tf.reduce_sum(of_means**2, axis=0) - 2 * (along @ of_means))


def _spelled(name, form):
    """A name as `classes_within` sees it; no operation of TensorFlow makes one form of accents of the other."""
    return re.sub(_BLANKS, " ", unicodedata.normalize(form, name).lower()).strip()


def _pairs(rows, columns):
    return tf.stack([rows, tf.cast(columns, tf.int64)], axis=1)
