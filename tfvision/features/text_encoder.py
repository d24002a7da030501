"""A pair of networks that see texts and images alike, such as CLIP: a text becomes a vector that is compared with those of pictures.

A folder holds both towers, each as an .onnx file or as a SavedModel's folder, and what goes into them:

    text.onnx, text_model.onnx, textual.onnx or text/       texts, or CLIP's tokens of one (and perhaps a mask) -> [batch, values]
    image.onnx, vision_model.onnx, visual.onnx or image/    pixels [batch, height, width, 3] or [batch, 3, height, width] -> [batch, values]
    tokenizer.json, or vocab.json and merges.txt            where the text tower takes tokens (clip_tokens.py)
    preprocessor_config.json                                size, image_mean and image_std, where the image tower takes floats

Towers may lie in a folder `onnx`, as the Hugging Face hub has them. The image tower is a model by its folder's name: `tfvision index build
photos/ --model FOLDER`, and galleries that it made can be asked in words.
"""

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfvision.errors import DataError, RecipeError
from tfvision.features.clip_tokens import read_tokenizer
from tfvision.files import read_json, sha256_of
from tfvision.models.towers import Taken, Tower, open_tower

MOST_CHARACTERS = 500
_TEXT_TOWERS, _IMAGE_TOWERS = ("text", "text_model", "textual"), ("image", "vision_model", "visual")
_TEXT_OUTPUTS, _IMAGE_OUTPUTS = ("text_embeds", "text_embedding", "embedding"), ("image_embeds", "image_embedding", "embedding")
_LONGEST_TEXT = 77  # tokens, CLIP's
_PREPROCESSING = "preprocessor_config.json"
_ONNX_FOLDER = "onnx"  # as the Hugging Face hub has it
_LARGEST_SIDE = 4096


class TowerFiles(NamedTuple):
    """Where a pair lies."""

    folder: Path
    text: Path
    image: Path


def find_towers(path: str | Path) -> TowerFiles | None:
    """The pair of a folder, or that an .onnx file is the text tower of; None where there is none."""
    path = Path(path)
    if path.suffix.lower() == ".onnx":
        folders = [path.parent.parent, path.parent] if path.parent.name == _ONNX_FOLDER else [path.parent]
        found = next(((folder, image) for folder in folders if (image := _tower(folder, _IMAGE_TOWERS))), None)
        return TowerFiles(found[0], path, found[1]) if found and path.is_file() else None
    text, image = _tower(path, _TEXT_TOWERS), _tower(path, _IMAGE_TOWERS)
    return TowerFiles(path, text, image) if text and image else None


def no_towers(path: str | Path) -> DataError:
    """The error for what is no pair."""
    text, image = (" or ".join(f"{name}.onnx" for name in names[:2]) for names in (_TEXT_TOWERS, _IMAGE_TOWERS))
    return DataError(f"--text-model takes a folder with two towers ({text} and {image}, or SavedModels in text/ and image/), got {path}, {_lack(Path(path))}")


def _lack(path: Path) -> str:
    """Why a path is no pair."""
    if not path.exists():
        return "which does not exist"
    if path.suffix.lower() == ".onnx":
        return "beside which there is no image tower"
    lacking = [kind for kind, names in (("text", _TEXT_TOWERS), ("image", _IMAGE_TOWERS)) if not _tower(path, names)]
    return f"which has no {' and no '.join(lacking)} tower"


class TextEncoder:
    """An opened text tower.

    Attributes:
      folder: of the pair.
      dimension: values of a vector.
    """

    def __init__(self, files: TowerFiles, tower: Tower) -> None:
        self.folder, self._tower = files.folder, tower
        strings = [name for name, taken in tower.inputs.items() if taken.kind in ("string", "object")]
        self._strings = strings[0] if strings else None
        if strings and len(tower.inputs) > 1:
            raise DataError(f"{tower.path} takes {', '.join(tower.inputs)}: a text tower takes texts alone, or tokens and perhaps a mask")
        self._tokenizer = None if strings else read_tokenizer(files.folder)
        self.dimension = len(self._seen("a picture"))

    def encode(self, text: str) -> np.ndarray:
        """float32 [dimension], L2-normalised. Raises DataError for a text that is empty or too long, WeightsError where the tower does not take it."""
        vector = self._seen(checked_text(text))
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length == 0:
            raise DataError(f"{self._tower.path} has no vector for {text!r:.60}")
        return vector / np.float32(length)

    def _seen(self, text: str) -> np.ndarray:
        return self._tower.vectors({self._strings: np.array([text], object)} if self._strings else self._tokens(text), _TEXT_OUTPUTS)[0]

    def _tokens(self, text: str) -> dict[str, np.ndarray]:
        assert self._tokenizer is not None
        masks = [name for name in self._tower.inputs if "mask" in name]
        names = [name for name in self._tower.inputs if name not in masks]
        if len(names) != 1 or len(masks) > 1 or len(self._tower.inputs[names[0]].shape) != 2:
            raise DataError(f"{self._tower.path} takes {', '.join(self._tower.inputs)}: a text tower takes texts alone, or tokens [batch, length] and a mask")
        taken = self._tower.inputs[names[0]]
        length = taken.shape[1]
        tokens = self._tokenizer.tokens(text, length or _LONGEST_TEXT)
        filled = (length or len(tokens)) - len(tokens)
        arrays = {names[0]: np.array([tokens + [self._tokenizer.padding] * filled], taken.kind)}
        return arrays | {name: np.array([[1] * len(tokens) + [0] * filled], self._tower.inputs[name].kind) for name in masks}


def open_text_encoder(path: str | Path) -> TextEncoder:
    """Opens a pair's text tower, and its image tower once, to see that they fit.

    Args:
      path: a folder, or the .onnx file of a text tower. Named by the user: a SavedModel is a program (models.programs).

    Raises:
      DataError: no pair, or one that does not fit together.
      WeightsError: a tower cannot be loaded.
    """
    files = find_towers(path)
    if files is None:
        raise no_towers(path)
    encoder, images = TextEncoder(files, open_tower(files.text)), ImageTower(files)
    if encoder.dimension != images.dimension:
        raise DataError(f"{files.text} makes vectors of {encoder.dimension} values, {files.image} of {images.dimension}: give the two towers of one model")
    return encoder


class ImageTower:
    """An opened image tower.

    Attributes:
      image_size: pixels a side of what it sees.
      dimension: values of a vector.
    """

    def __init__(self, files: TowerFiles) -> None:
        self._files, self._tower = files, open_tower(files.image)
        (self._name, taken), *others = self._tower.inputs.items()
        if others or len(taken.shape) != 4 or 3 not in (taken.shape[1], taken.shape[3]):
            known = "an image tower takes pixels alone, [batch, height, width, 3] or [batch, 3, height, width]"
            raise RecipeError(f"{files.image} takes {', '.join(self._tower.inputs)}: {known}")
        self._taken, self._is_nchw = taken, taken.shape[1] == 3
        told = _preprocessing(files, taken)
        sides = taken.shape[2:] if self._is_nchw else taken.shape[1:3]
        self.image_size = int(next(filter(None, (*sides, told.get("size"))), 224))
        self._mean, self._deviation = (np.float32(told.get(key, of)) for key, of in (("mean", [0.0] * 3), ("deviation", [1.0] * 3)))

    @functools.cached_property
    def dimension(self) -> int:
        return self.vectors(np.zeros((1, self.image_size, self.image_size, 3), np.uint8)).shape[1]

    @property
    def identity(self) -> str:
        """Of the tower and what goes into it."""
        return hashlib.sha256(repr((_hash(self._files.image), self._mean.tolist(), self._deviation.tolist())).encode()).hexdigest()

    def vectors(self, images: np.ndarray) -> np.ndarray:
        """float32 [batch, dimension] of uint8 RGB [batch, image_size, image_size, 3]."""
        pixels = images if self._taken.kind == "uint8" else ((images.astype(np.float32) / 255 - self._mean) / self._deviation).astype(self._taken.kind)
        pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2) if self._is_nchw else pixels)
        at_once = self._taken.shape[0] or max(1, len(pixels))
        parts = [self._tower.vectors({self._name: pixels[start : start + at_once]}, _IMAGE_OUTPUTS) for start in range(0, len(pixels), at_once)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dimension), np.float32)


def checked_text(text: str) -> str:
    """A text to ask with, its spaces and control characters as single spaces. Raises DataError where it is empty or too long."""
    if len(text) > MOST_CHARACTERS:
        raise DataError(f"a text to ask with has {MOST_CHARACTERS} characters at most, got {len(text):,}")
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    if not plain:
        raise DataError("a text to ask with is empty: type what the picture shows")
    return plain


def _tower(folder: Path, names: tuple[str, ...]) -> Path | None:
    files = (place / f"{name}.onnx" for name in names for place in (folder, folder / _ONNX_FOLDER))
    folders = (folder / name for name in names)
    return next((path for path in files if path.is_file()), None) or next((path for path in folders if (path / "saved_model.pb").is_file()), None)


def _preprocessing(files: TowerFiles, taken: Taken) -> dict[str, Any]:
    """{"size", "mean", "deviation"} of preprocessor_config.json; {} where the tower takes uint8 and none is there."""
    path = files.folder / _PREPROCESSING
    if not path.is_file():
        if taken.kind == "uint8":
            return {}
        raise RecipeError(f"{files.folder} has no {_PREPROCESSING}, which says what goes into {files.image.name}: size, image_mean and image_std")
    told = read_json(path, {"image_mean": tuple[float, ...] | None, "image_std": tuple[float, ...] | None})
    sizes = [_side(told.get(key)) for key in ("crop_size", "size")]
    found = {"size": next((side for side in sizes if side), None)}
    for key, name in (("image_mean", "mean"), ("image_std", "deviation")):
        if told.get(key) is not None:
            if len(told[key]) != 3 or not np.isfinite(told[key]).all() or (name == "deviation" and min(told[key]) <= 0):
                raise RecipeError(f"{path}: {key} must be three numbers, got {told[key]!r:.80}")
            found[name] = told[key]
    return found


def _side(size: Any) -> int | None:
    """Of 224, {"shortest_edge": 224} or {"height": 224, "width": 224}."""
    if isinstance(size, Mapping):
        size = size.get("shortest_edge") or size.get("height")
    return size if isinstance(size, int) and 1 <= size <= _LARGEST_SIDE else None


def _hash(path: Path) -> str:
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    return hashlib.sha256("".join(sha256_of(one) for one in files).encode()).hexdigest()
