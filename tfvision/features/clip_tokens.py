"""CLIP's tokens: a text as numbers of a vocabulary, by byte pairs (Radford et al., Learning Transferable Visual Models, 2021, section 2.4).

Read from `tokenizer.json`, or from `vocab.json` and `merges.txt`. Texts are in lower case and NFC; what a text has of `&amp;` and broken
encodings stays as it is, where OpenAI's own program mends it.
"""

import functools
import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfvision.errors import DataError
from tfvision.files import read_json

START, END = "<|startoftext|>", "<|endoftext|>"
_WORD_END = "</w>"
_LARGEST_FILE_BYTES = 64 * 2**20
_REMEDY = "give the tokenizer that came with the model"
_PARTS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+", re.IGNORECASE)


class ClipTokenizer:
    """Texts to tokens.

    Args:
      numbers: {token: number}.
      merges: pairs of tokens that become one, the most frequent first.

    Attributes:
      padding: the number of what fills a text up.
    """

    def __init__(self, numbers: Mapping[str, int], merges: Sequence[tuple[str, str]], padding: int | None = None) -> None:
        missing = [token for token in (START, END) if token not in numbers]
        if missing:
            raise DataError(f"the tokenizer has no token {missing[0]}: it is none of CLIP's kind; {_REMEDY}")
        self._numbers, self._ranks = numbers, {pair: rank for rank, pair in enumerate(merges)}
        self.padding = numbers[END] if padding is None else padding

    def tokens(self, text: str, most: int) -> list[int]:
        """Numbers of a text, its start and its end included; of one that is too long, the beginning."""
        plain = " ".join(unicodedata.normalize("NFC", text).split()).lower()
        found = [number for part in _PARTS.findall(plain) for number in self._of_word("".join(_BYTES[byte] for byte in part.encode()))]
        return [self._numbers[START], *found[: most - 2], self._numbers[END]]

    def _of_word(self, word: str) -> list[int]:
        parts = [*word[:-1], word[-1] + _WORD_END]
        while len(parts) > 1:
            ranked = [(self._ranks[pair], number) for number, pair in enumerate(itertools.pairwise(parts)) if pair in self._ranks]
            if not ranked:
                break
            _, first = min(ranked)
            pair = parts[first], parts[first + 1]
            merged, number = [], 0
            while number < len(parts):
                is_pair = tuple(parts[number : number + 2]) == pair
                merged.append("".join(pair) if is_pair else parts[number])
                number += 2 if is_pair else 1
            parts = merged
        return [self._numbers[part] for part in parts if part in self._numbers]


def read_tokenizer(folder: Path) -> ClipTokenizer:
    """Reads the files of a folder. Raises DataError where they are missing, are too large or of another kind, FileError where they are damaged."""
    path = folder / "tokenizer.json"
    if path.is_file():
        _check_size(path)
        told = read_json(path, {"model": dict, "added_tokens": list | None, "padding": dict | None}, _REMEDY)
        model = told["model"]
        if model.get("type", "BPE") != "BPE" or model.get("end_of_word_suffix") != _WORD_END:
            kind = f"{model.get('type')!r:.40} that ends words with {model.get('end_of_word_suffix')!r:.20}"
            raise DataError(f"{path} is a tokenizer of the type {kind}; CLIP's, BPE with '{_WORD_END}', is known: else give a SavedModel that takes strings")
        added = {str(one.get("content")): one.get("id") for one in told.get("added_tokens") or () if isinstance(one, dict)}
        merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in _list(model.get("merges"), path)]
        padding = (told.get("padding") or {}).get("pad_id")
        return _checked({**_dict(model.get("vocab"), path), **added}, merges, padding if isinstance(padding, int) else None, path)
    vocabulary, listed = folder / "vocab.json", folder / "merges.txt"
    for one in (vocabulary, listed):
        if not one.is_file():
            raise DataError(f"{folder} has neither tokenizer.json, nor vocab.json and merges.txt, and its text tower takes numbers: {_REMEDY}")
        _check_size(one)
    try:
        lines = listed.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{listed} cannot be read as a text ({error}): {_REMEDY}") from error
    return _checked(
        read_json(vocabulary, dict, _REMEDY), [line.split(" ") for line in lines if line.strip() and not line.startswith("#version")], None, vocabulary
    )


def _checked(numbers: Mapping[str, Any], merges: Sequence[Sequence[str]], padding: int | None, path: Path) -> ClipTokenizer:
    if not all(isinstance(number, int) for number in numbers.values()) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair) for pair in merges
    ):
        raise DataError(f"{path} is damaged, its vocabulary or its merges are of another kind: {_REMEDY}")
    try:
        return ClipTokenizer(numbers, [(left, right) for left, right in merges], padding)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _dict(value: Any, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{path} is damaged, it has no vocabulary: {_REMEDY}")
    return value


def _list(value: Any, path: Path) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"{path} is damaged, it has no merges: {_REMEDY}")
    return value


def _check_size(path: Path) -> None:
    if path.stat().st_size > _LARGEST_FILE_BYTES:
        raise DataError(f"{path} has {path.stat().st_size:,} bytes, more than any tokenizer: {_REMEDY}")


@functools.cache
def _letters() -> dict[int, str]:
    """A letter for each byte: itself where it can be seen, else one of those behind Latin-1."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in seen]
    return {**{byte: chr(byte) for byte in seen}, **{byte: chr(256 + number) for number, byte in enumerate(hidden)}}


_BYTES = _letters()
