"""JSON documents as TensorFlow Serving reads them: with RapidJSON 1.1.0, its iterative reader, bare NaN and infinities, and an end where
the first value ends.

Python's own reader does nearly all of the work. `_Reader` follows RapidJSON's state machine token by token: it reads what Python's
cannot (`Inf`, lists as deep as one likes) and says what is wrong with the rest, where, and in RapidJSON's words.
"""

import json
import re
from json.decoder import scanstring
from typing import Any, NoReturn

MAX_TOKENS = 200_000  # that `_Reader` reads: more would hold up other requests

# What Python's reader takes and RapidJSON does not, or takes for another number: 19 digits, an exponent of three; half a pair.
_LONG_NUMBERS = (b"0" * 19, b"e000")  # once all digits are zeros
_AS_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
_LONE_SURROGATE = re.compile(
    r"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:(?P<int>0|[1-9][0-9]*)(?P<point>\.(?P<fraction>[0-9]*))?(?P<e>[eE][-+]?(?P<exponent>[0-9]*))?|NaN|Inf(?:inity|(?!i)))")
_LITERALS = {"true": True, "false": False, "null": None}
_NUMBER_WORDS = ("NaN", "Infinity")
_PLAIN_CHARACTERS = re.compile(r'[^"\\\x00-\x1f]*')
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_ESCAPES = {'"': '"', "/": "/", "\\": "\\", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LARGEST_TENTH = 1.7976931348623157e307

# Where the reader stands -> what is wrong where the next token does not fit.
_REASONS = {
    "start": "The document is empty.",
    "first element": "Invalid value.",
    "element": "Invalid value.",
    "after element": "Missing a comma or ']' after an array element.",
    "first member": "Missing a name for object member.",
    "member": "Missing a name for object member.",
    "after name": "Missing a colon after a name of object member.",
    "after colon": "Invalid value.",
    "after member": "Missing a comma or '}' after an object member.",
}
_TAKES_VALUE = ("start", "first element", "element", "after colon")
_PUNCTUATION = {("after element", ","): "element", ("after member", ","): "member", ("after name", ":"): "after colon"}
_CLOSINGS = {("first element", "]"), ("after element", "]"), ("first member", "}"), ("after member", "}")}


class DocumentError(ValueError):
    """What is wrong with a document, and at which of its bytes."""


class RepeatedMembers(dict[str, Any]):
    """An object that names a member more than once: looked up, it gives the first; `items` and `len` have them all."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(reversed(pairs))
        self._pairs = pairs

    def items(self) -> Any:
        return self._pairs

    def __len__(self) -> int:
        return len(self._pairs)


def read_document(body: bytes | bytearray) -> Any:
    """JSON bytes -> dict, list, str, int, float, bool or None; integers beyond 64 bits are floats.

    Strings hold bytes that are no UTF-8 as surrogates, as the error handler "surrogateescape" has it.

    Raises:
      DocumentError: RapidJSON would refuse it, or one that only `_Reader` can read has more than MAX_TOKENS.
    """
    text = body.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")  # for RapidJSON the first zero is the end
    start = _after_space(text, 1 if text.startswith("\ufeff") else 0)
    fault = "Lists are nested too deeply", start
    if not _LONE_SURROGATE.search(text):
        try:
            value, _ = (_CAREFUL if _may_have_long_numbers(body) else _PLAIN).raw_decode(text, start)
            if isinstance(value, dict):
                return value  # what else there is, is an error of the request
        except (ValueError, OverflowError, RecursionError) as error:
            fault = getattr(error, "msg", fault[0]), getattr(error, "pos", start)
    return _Reader(text, start, fault).read()


class _Reader:
    """Reads the text from `position` on; `fault` is why and where Python's reader gave up."""

    def __init__(self, text: str, position: int, fault: tuple[str, int]) -> None:
        self._text, self._position, self._fault = text, position, fault
        self._open: list[tuple[list[Any], bool, str]] = []  # what is not yet closed: its parts, whether it is an object, its own name
        self._name = ""  # of the member that is being read

    def read(self) -> Any:
        state, value = "start", None
        for _ in range(MAX_TOKENS):
            self._position = _after_space(self._text, self._position)
            character = self._text[self._position : self._position + 1]
            if character in ("[", "{") and state in _TAKES_VALUE:
                self._position += 1
                self._open.append(([], character == "{", self._name))
                state = "first member" if character == "{" else "first element"
                continue
            if (state, character) in _PUNCTUATION:
                self._position += 1
                state = _PUNCTUATION[state, character]
                continue
            if state in ("first member", "member") and character == '"':
                self._name, state = self._string(), "after name"
                continue
            if (state, character) in _CLOSINGS:
                self._position += 1
                parts, is_object, self._name = self._open.pop()
                value = _members(parts) if is_object else parts
            elif state in _TAKES_VALUE and character and not (state == "start" and character in "]},:"):
                value = self._scalar(character)
            else:
                self._refuse(_REASONS[state], self._position)
            if not self._open:
                return value
            parts, is_object, _ = self._open[-1]
            parts.append((self._name, value) if is_object else value)
            state = "after member" if is_object else "after element"
        reason, position = self._fault
        self._refuse(f"{reason}.", position)

    def _scalar(self, character: str) -> Any:
        start = self._position
        if character == '"':
            return self._string()
        for word, value in _LITERALS.items():
            if self._text.startswith(word, start):
                self._position += len(word)
                return value
        match = _NUMBER.match(self._text, start)
        if not match:
            self._refuse_word(start + (character == "-"), _NUMBER_WORDS if character == "-" else (*_LITERALS, *_NUMBER_WORDS))
        if match["point"] == ".":
            self._refuse("Miss fraction part in number.", match.end("point"))
        if match["e"] and not match["exponent"]:
            self._refuse("Miss exponent in number.", match.end())
        self._position = match.end()
        try:
            return _number(match)
        except OverflowError as error:
            self._refuse(str(error), start)

    def _string(self) -> str:
        start = self._position
        try:
            value, self._position = scanstring(self._text, start + 1, True)
        except ValueError:
            return self._string_by_parts()
        if "\\u" in self._text[start : self._position] and _LONE_SURROGATE.search(self._text, start, self._position):
            self._position = start
            return self._string_by_parts()
        return value

    def _string_by_parts(self) -> str:
        parts, text, position = [], self._text, self._position + 1
        while True:
            run = _PLAIN_CHARACTERS.match(text, position)
            parts.append(run[0])  # type: ignore[index]
            position = run.end()  # type: ignore[union-attr]
            character, escape = text[position : position + 1], text[position + 1 : position + 2]
            if character == '"':
                self._position = position + 1
                return "".join(parts)
            if not character:
                self._refuse("Missing a closing quotation mark in string.", position)
            if character == "\\" and escape in _ESCAPES and escape:
                parts.append(_ESCAPES[escape])
                position += 2
            elif character == "\\" and escape == "u":
                part, position = self._code_point(position)
                parts.append(part)
            else:
                self._refuse("Invalid escape character in string.", position)

    def _code_point(self, start: int) -> tuple[str, int]:
        r"""(character, end) of the escape \uXXXX, or of the pair, at `start`."""
        code = self._hex(start + 2, start)
        if not 0xD800 <= code <= 0xDBFF:  # a low surrogate alone is written as it is, three bytes that are no UTF-8
            return chr(code).encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape"), start + 6
        is_pair = self._text.startswith("\\u", start + 6)
        low = self._hex(start + 8, start) if is_pair else 0
        if not 0xDC00 <= low <= 0xDFFF:
            self._refuse("The surrogate pair in string is invalid.", start)
        return chr(0x10000 + ((code - 0xD800) << 10 | low - 0xDC00)), start + 12

    def _hex(self, position: int, escape: int) -> int:
        match = _HEX.match(self._text, position)
        if not match:
            self._refuse("Incorrect hex digit after \\u escape in string.", escape)
        return int(match[0], 16)

    def _refuse_word(self, start: int, words: tuple[str, ...]) -> NoReturn:
        """At the first character that is no longer one of the words."""
        starts = (word[:size] for word in words for size in range(len(word)))
        self._refuse("Invalid value.", start + max(len(part) for part in starts if self._text.startswith(part, start)))

    def _refuse(self, reason: str, position: int) -> NoReturn:
        offset = len(self._text[:position].encode("utf-8", "surrogateescape"))
        raise DocumentError(f"{reason} at offset: {offset}")


def _may_have_long_numbers(body):
    zeros = body.translate(_AS_ZEROS, b"+")  # three times as fast as a regular expression
    return any(number in zeros for number in _LONG_NUMBERS)


def _members(pairs):
    members = dict(pairs)
    return members if len(members) == len(pairs) else RepeatedMembers(pairs)


def _number(match):
    """A match of _NUMBER -> int or float; raises OverflowError where RapidJSON does, which lets some numbers become infinite."""
    text, integer, fraction, exponent = match[0], match["int"], match["fraction"] or "", match["exponent"]
    if integer is None:
        return float(text)
    if len(integer) > 308 and float(integer[:-1]) >= _LARGEST_TENTH:
        raise OverflowError("Number too big to be stored in double.")
    if not match["point"] and exponent is None:
        value = int(text) if len(integer) <= 20 else None
        return value if value is not None and -(2**63) <= value < 2**64 else float(text)
    leading = len(fraction) - len(fraction.lstrip("0")) if integer == "0" else 0
    digits = min(len(fraction), leading + max(0, 17 - len(integer) + 1))  # of the fraction that RapidJSON uses
    if exponent and "-" not in match["e"] and len(exponent) > 1 and int(exponent[:20]) > 308 + digits:
        raise OverflowError("Number too big to be stored in double.")
    return float(text)


def _number_of_text(text):
    return _number(_NUMBER.match(text))


def _after_space(text, position):
    return _SPACE.match(text, position).end()


_PLAIN = json.JSONDecoder(object_pairs_hook=_members)
_CAREFUL = json.JSONDecoder(object_pairs_hook=_members, parse_int=_number_of_text, parse_float=_number_of_text)
