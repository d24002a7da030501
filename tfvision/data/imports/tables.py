"""Tables of delimited text in an archive, row by row: columns by name; how they are written is the business of data.csv_table."""

import dataclasses
import operator
from collections.abc import Iterable, Iterator

from tfvision.data.csv_table import HEAD_BYTES, Dialect, column_names, delimited_rows
from tfvision.data.imports.archives import Archive

LONGEST_TEXT = 300


@dataclasses.dataclass(frozen=True)
class Table:
    """Where a table lies and how it is written.

    Attributes:
      members: its files in the archive, one after another.
      columns: names in order; "" for a column without one.
      header_lines: lines to pass over at the beginning of each file.
      defaults: name -> value where a row has none.
    """

    members: tuple[str, ...]
    columns: tuple[str, ...]
    dialect: Dialect
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
        """Yields for each row a tuple of the columns in `names`, "" where the row or the table has none, and for the name "".

        Raises:
          DataError: the file is damaged, in another encoding than it says, or no table.
        """
        names = tuple(names)
        defaults = dict(self.defaults)
        indices = [self.columns.index(name) if name and name in self.columns else None for name in names]
        width = 1 + max([index for index in indices if index is not None], default=0)
        fallbacks = [(index, defaults[name]) for index, name in enumerate(names) if name in defaults]
        absent = width  # the index of an empty value that is put behind each row
        pick = operator.itemgetter(*(absent if index is None else index for index in indices), absent)
        for member in self.members:
            for line, fields in self._fields(archive, member):
                if line <= self.header_lines:
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
        with archive.open(member) as stream:
            yield from delimited_rows(stream, self.dialect, archive.where(member), has_header=self.header_lines > 0)


def find_table(archive: Archive, member: str) -> Table:
    """The table in a file whose first line names the columns: comma, tab, semicolon or bar between them. Raises DataError."""
    with archive.open(member) as stream:
        dialect = Dialect.of(stream.read(HEAD_BYTES), archive.where(member))
    with archive.open(member) as stream:
        line, names = next(delimited_rows(stream, dialect, archive.where(member)), (0, ()))
    columns = column_names(names)
    last_of = {name: place for place, name in enumerate(columns)}
    return Table((member,), tuple(name if last_of[name] == place else "" for place, name in enumerate(columns)), dialect, line)


def one_line(text: str) -> str:
    """Text without line breaks, control characters and surrounding space, LONGEST_TEXT characters at most."""
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(text.split())[:LONGEST_TEXT] if "  " in text or len(text) > LONGEST_TEXT else text.strip()
