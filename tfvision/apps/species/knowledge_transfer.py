"""Hierarchical knowledge transfer: learn coarse ranks first, then pass final-layer weights down the tree.

Source: paper, section 3.2; READINGS, section 1.
"""

import dataclasses

import keras
import numpy as np

from tfvision.data.taxonomy import Taxonomy
from tfvision.models.multi_view import add_heads


@dataclasses.dataclass(frozen=True)
class RankClasses:
    """The classes of one rank.

    Attributes:
      nodes: int [coarse classes], nodes of the taxonomy.
      of_class: int [classes], the coarse class of each class: the paper's translation of labels.
    """

    nodes: np.ndarray
    of_class: np.ndarray


def classes_at_rank(taxonomy: Taxonomy, rank: str) -> RankClasses:
    """The coarse classes at a rank, in the order of the tree; at the finest rank, the classes themselves."""
    nodes, of_class = np.unique(taxonomy.ancestors_at_rank(rank), return_inverse=True)
    return RankClasses(nodes, of_class.reshape(-1).astype(np.int32))


def parents_between(coarse: RankClasses, fine: RankClasses) -> np.ndarray:
    """The coarse class above each fine class, int [fine classes]: t_d of the paper."""
    first_classes = np.unique(fine.of_class, return_index=True)[1]
    return coarse.of_class[first_classes]


def transfer_heads(model: keras.Model, trunk: keras.Model, parents: np.ndarray, mixing: float, kernel_seed: int) -> keras.Model:
    """A model with fresh heads for the finer rank, mixed with their parents' weights.

    w = sqrt(a) * w_parent + sqrt(1 - a) * w_random, for main and auxiliary heads; biases are copied.

    Args:
      model: keras.Model trained at the coarser rank, on `trunk`.
      parents: int [fine classes], the coarse class above each.
      mixing: a, in [0, 1].
      kernel_seed: of the random part.

    Returns:
      keras.Model that shares the trunk.
    """
    finer = add_heads(trunk, len(parents), kernel_seed)
    for layer in finer.layers:
        if layer.name.endswith("_logits"):
            parent_kernel, parent_bias = model.get_layer(layer.name).get_weights()
            fresh_kernel, _ = layer.get_weights()
            layer.set_weights([mix(parent_kernel[:, parents], fresh_kernel, mixing), parent_bias[parents]])
    return finer


def mix(parent: np.ndarray, fresh: np.ndarray, mixing: float) -> np.ndarray:
    """sqrt(a) * parent + sqrt(1 - a) * fresh, which keeps the variance where both have the same."""
    return np.sqrt(mixing) * parent + np.sqrt(1 - mixing) * fresh
