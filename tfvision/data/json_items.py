"""A large JSON object, item by item of its arrays; or an array."""

import codecs
import json
import typing
from collections.abc import Collection, Iterator

from tfvision.errors import DataError

_CHUNK_BYTES = 2**20
_DELIMITERS = frozenset(",:]} \t\r\n")
_MAX_ITEM_CHARACTERS = 16 * 2**20


def json_items(stream: typing.BinaryIO, where: str, split: Collection[str] | None = None) -> Iterator[tuple[str, typing.Any]]:
    """Yields (key, item) for each item of each array of a JSON object, one at a time, and (key, value) for its other members.

    Of an array it yields ("", item).

    Args:
      stream: binary.
      where: what messages name.
      split: the members whose arrays come item by item; None = all.

    Raises:
      DataError: it is neither, or one item is too large.
    """
    text = _Text(stream, where)
    if text.peek() == "[":
        yield from _items("", text)
        return
    text.expect("{")
    if text.peek() == "}":
        return
    while True:
        key = text.value()
        text.expect(":")
        if text.peek() == "[" and (split is None or key in split):
            yield from _items(key, text)
        else:
            yield key, text.value()
        if text.peek() == "}":
            return
        text.expect(",")


def _items(key: str, text: "_Text") -> Iterator[tuple[str, typing.Any]]:
    text.expect("[")
    while text.peek() != "]":
        yield key, text.value()
        if text.peek() != "]":
            text.expect(",")
    text.expect("]")


class _Text:
    """JSON's text as a stream: what is needed next is decoded, what was used is forgotten."""

    def __init__(self, stream, where):
        self._stream, self._where, self._buffer, self._position = stream, where, "", 0
        self._decode = codecs.getincrementaldecoder("utf-8-sig")(errors="replace").decode
        self._scan = json.JSONDecoder().raw_decode

    def peek(self):
        """The next character that is no white space, "" at the end."""
        while True:
            while self._position < len(self._buffer):
                if self._buffer[self._position] not in " \t\r\n":
                    return self._buffer[self._position]
                self._position += 1
            if not self._read():
                return ""

    def expect(self, letter):
        """Passes over a character that must come next."""
        if self.peek() != letter:
            raise self._error(f"expected {letter!r}")
        self._position += 1

    def value(self):
        """The next value."""
        self.peek()
        while True:
            try:
                value, end = self._scan(self._buffer, self._position)
                is_whole = self._buffer[end : end + 1] in _DELIMITERS  # else a number might go on behind what is read
                if is_whole or not self._read():
                    self._position = end
                    return value
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or not self._read():
                    raise self._error(str(error)) from error

    def _read(self):
        if len(self._buffer) - self._position > _MAX_ITEM_CHARACTERS:
            raise self._error(f"one item has more than {_MAX_ITEM_CHARACTERS >> 20} million characters")
        data = self._stream.read(_CHUNK_BYTES)
        self._buffer, self._position = self._buffer[self._position :] + self._decode(data), 0
        return bool(data)

    def _error(self, reason):
        return DataError(f"{self._where} cannot be read as JSON ({reason}): download it again")
