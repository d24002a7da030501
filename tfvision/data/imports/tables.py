"""Tables of delimited text in an archive, row by row: columns by name, whatever the delimiter, quotes and encoding."""

import csv
import dataclasses
import io
import itertools
import operator
import re
from collections.abc import Iterable, Iterator

from tfvision.data.imports.archives import Archive
from tfvision.errors import DataError

LONGEST_TEXT = 300
MAX_LINE_CHARACTERS = 16 * 2**20  # a line or a quoted field beyond that is no table's


@dataclasses.dataclass(frozen=True)
class Table:
    """Where a table lies and how it is written.

    Attributes:
      members: its files in the archive, one after another.
      columns: names in order; "" for a column without one.
      delimiter, quote: one character; quote "" where fields are never quoted.
      header_lines: lines to pass over at the beginning of each file.
      defaults: name -> value where a row has none.
    """

    members: tuple[str, ...]
    columns: tuple[str, ...]
    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8-sig"
    line_end: str = "\n"
    header_lines: int = 1
    defaults: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names that rows have values for: columns, and defaults without a column."""
        return (*self.columns, *(name for name, _ in self.defaults if name not in self.columns))

    def bytes(self, archive: Archive) -> int:
        """Decoded size of its files."""
        return sum(archive.size(member) for member in self.members)

    def rows(self, archive: Archive, names: Iterable[str]) -> Iterator[tuple[str, ...]]:
        """Yields for each row a tuple of the columns in `names`, "" where the row or the table has none.

        Raises:
          DataError: the file is damaged, in another encoding than it says, or no table.
        """
        names = tuple(names)
        defaults = dict(self.defaults)
        indices = [self.columns.index(name) if name in self.columns else None for name in names]
        width = 1 + max([index for index in indices if index is not None], default=0)
        fallbacks = [(index, defaults[name]) for index, name in enumerate(names) if name in defaults]
        absent = width  # the index of an empty value that is put behind each row
        pick = operator.itemgetter(*(absent if index is None else index for index in indices), absent)
        for member in self.members:
            for fields in itertools.islice(self._fields(archive, member), self.header_lines, None):
                if not fields or fields == [""]:
                    continue
                del fields[width:]
                fields.extend([""] * (width + 1 - len(fields)))
                row = pick(fields)[:-1]
                if fallbacks:
                    row = list(row)
                    for index, value in fallbacks:
                        row[index] = row[index] or value
                    row = tuple(row)
                yield row

    def _fields(self, archive, member):
        where = archive.where(member)
        with archive.open(member) as stream:
            try:
                text = io.TextIOWrapper(stream, self.encoding, errors="replace", newline="" if self.quote else self.line_end)
            except LookupError:
                raise DataError(f"{where} is said to be in the encoding {self.encoding!r}, which does not exist") from None
            lines = _bounded_lines(text, where)
            if not self.quote:
                delimiter = self.delimiter
                yield from (line.rstrip("\r\n").split(delimiter) for line in lines)
                return
            csv.field_size_limit(MAX_LINE_CHARACTERS)  # of the whole process: descriptions outgrow its 128 KiB
            try:
                yield from csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote)
            except csv.Error as error:
                raise DataError(f"{where} cannot be read as a table ({error})") from error


def find_table(archive: Archive, member: str) -> Table:
    """The table in a file whose first line names the columns: comma, tab or semicolon between them. Raises DataError."""
    with archive.open(member) as stream:
        start = stream.read(4)
        encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    with archive.open(member) as stream:
        text = io.TextIOWrapper(stream, encoding, errors="replace", newline="")
        line = text.readline(MAX_LINE_CHARACTERS).rstrip("\r\n")
    delimiter = max(",\t;", key=line.count)
    # GBIF and iNaturalist never quote where tabs part the fields; a stray quote would swallow rows.
    quote = "" if delimiter == "\t" else '"'
    columns = line.split("\t") if not quote else next(csv.reader([line], delimiter=delimiter), [])
    return Table((member,), tuple(column.strip() for column in columns), delimiter, quote, encoding)


def plain_column(name: str) -> str:
    """A column's name as it is compared: "scientific_name", "scientificName" and "Scientific name" are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def one_line(text: str) -> str:
    """Text without line breaks, control characters and surrounding space, LONGEST_TEXT characters at most."""
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(text.split())[:LONGEST_TEXT] if "  " in text or len(text) > LONGEST_TEXT else text.strip()


def _bounded_lines(text, where):
    readline = text.readline
    while line := readline(MAX_LINE_CHARACTERS):
        if len(line) == MAX_LINE_CHARACTERS:
            raise DataError(f"{where} has a line of more than {MAX_LINE_CHARACTERS >> 20} million characters: it is no table")
        yield line
