"""A CSV with a header: rows as they stand, each with the number of its line, or columns by name; and the text of one that is written."""

import csv
import dataclasses
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tfvision.errors import DataError

_MOST_SHARED_TEXTS = 1 << 12  # of a column: a name that stands in many rows is kept once, addresses are not looked up in vain


@dataclasses.dataclass(frozen=True)
class CsvTable:
    """A CSV by its columns.

    Attributes:
      path: where it was read.
      header: names in order, without the space around them; one may stand twice, or be "".
      columns: {name: text of each row}, as it stands; "" where a row ends before. Of columns of one name the last.
      lines: the number of the line where each row ends; blank lines are no rows.
    """

    path: Path
    header: tuple[str, ...]
    columns: dict[str, tuple[str, ...]]
    lines: tuple[int, ...]

    @classmethod
    def read(cls, path: Path | str) -> "CsvTable":
        """Reads a whole CSV. Raises DataError."""
        rows = read_rows(path)
        _, names = next(rows, (0, []))
        header = tuple(name.strip() for name in names)
        texts: list[list[str]] = [[] for _ in header]
        shared: list[dict[str, str]] = [{} for _ in header]
        lines: list[int] = []
        missing = ("",) * len(header)
        for line, cells in rows:
            lines.append(line)
            for column, known, cell in zip(texts, shared, (*cells, *missing[len(cells) :]), strict=False):
                column.append(known.setdefault(cell, cell) if len(known) < _MOST_SHARED_TEXTS else known.get(cell, cell))
        return cls(Path(path), header, dict(zip(header, map(tuple, texts), strict=True)), tuple(lines))

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.lines)

    def texts(self, name: str) -> tuple[str, ...]:
        """The column called `name`; "" for each row where there is none."""
        return self.columns.get(name) or ("",) * len(self)


def read_rows(path: Path | str) -> Iterator[tuple[int, list[str]]]:
    """Yields (number of the line where it ends, cells) of the header and of every row that is not blank.

    Raises:
      DataError: the file cannot be read, is not in UTF-8, or is no CSV.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = next(reader, None)
            if header is not None:
                yield reader.line_num, header
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a CSV ({error})") from error


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """The text of a CSV, a line for each row of cells."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
