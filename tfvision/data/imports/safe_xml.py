"""XML of strangers: events of the standard library's expat, without document types and entities."""

import typing
from collections.abc import Collection, Iterator
from xml.parsers import expat

from tfvision.errors import DataError

_CHUNK_BYTES = 2**18
_MAX_DEPTH = 64
_MAX_ELEMENT_CHARACTERS = 16 * 2**20

Element = tuple[str, dict[str, str], str, list]  # short name, attributes, text, children


def xml_elements(stream: typing.BinaryIO, where: str, wanted: Collection[str]) -> Iterator[Element]:
    """Yields (short name, attributes, text, children) of each element whose short name is in `wanted`, when it ends.

    Args:
      stream: binary.
      where: what messages name.
      wanted: short names (without name space); elements within a wanted one are its children, in the same form.

    Raises:
      DataError: no well-formed XML, or it has a document type or entities, with which XML reads files and fills memory.
    """
    builder = _Builder(where, frozenset(wanted))
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = builder.start, builder.end, builder.text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = parser.ExternalEntityRefHandler = builder.refuse
    try:
        while chunk := stream.read(_CHUNK_BYTES):
            parser.Parse(chunk, False)
            yield from builder.take()
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise DataError(f"{where} cannot be read as XML ({error}): download it again") from error
    yield from builder.take()


def short_name(name: str) -> str:
    """The last part of a term: "http://rs.tdwg.org/dwc/terms/genus" -> "genus"."""
    return name.strip().replace("#", "/").replace(" ", "/").rstrip("/").rpartition("/")[2]


class _Builder:
    def __init__(self, where, wanted):
        self._where, self._wanted, self._open, self._done = where, wanted, [], []
        self._depth = self._characters = 0

    def start(self, name, attributes):
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise DataError(f"{self._where} is refused: its XML is nested deeper than {_MAX_DEPTH}")
        if self._open or short_name(name) in self._wanted:
            self._count(1 + sum(map(len, attributes.values())))
            self._open.append((short_name(name), attributes, [], []))

    def text(self, data):
        if self._open:
            self._count(len(data))
            self._open[-1][2].append(data)

    def end(self, name):
        self._depth -= 1
        if self._open:
            short, attributes, text, children = self._open.pop()
            element = (short, attributes, "".join(text).strip(), children)
            if self._open:
                self._open[-1][3].append(element)
            else:
                self._done.append(element)
                self._characters = 0

    def refuse(self, *declaration):
        raise DataError(f"{self._where} is refused: it declares a document type or entities, which no Darwin Core file needs and which could read other files")

    def _count(self, characters):
        self._characters += characters
        if self._characters > _MAX_ELEMENT_CHARACTERS:
            raise DataError(f"{self._where} is refused: one record has more than {_MAX_ELEMENT_CHARACTERS >> 20} million characters")

    def take(self):
        done, self._done = self._done, []
        return done
