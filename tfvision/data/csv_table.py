"""Tables of delimited text, whoever wrote them: encoding, delimiter and quotes are found out here, and nothing is lost without a word.

What a table has that a careful reader would stumble over (a quote that is never closed, a field that runs over lines, bytes in
another encoding, cells beyond the header) is told as a DataWarning with the line where it is first and how often it is.
"""

import codecs
import contextlib
import csv
import dataclasses
import io
import re
import typing
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from tfvision.errors import DataError, DataWarning

TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
HEAD_BYTES = 2**16  # of these a file's dialect is judged
MAX_LINE_CHARACTERS = 16 * 2**20  # a line or a quoted field beyond that is no table's
_MOST_SHARED_TEXTS = 1 << 12  # of a column: a name that stands in many rows is kept once, addresses are not looked up in vain
_MOST_STRAY_QUOTES = 20  # of one line
_DELIMITERS = ",;\t|"
_FIRST_DELIMITERS = re.compile(rf'(?:"(?:[^"]|"")*"|[^"{_DELIMITERS}])*([{_DELIMITERS}])')
_NAMED_DELIMITER = re.compile(rf'"?sep=([{_DELIMITERS}])"?[{_DELIMITERS}]*\r?\n', re.IGNORECASE)  # Excel's own first line
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_END_OF_FILE = "\x1a"  # of DOS
_CONTROLS = bytes({*range(1, 32)} - {*b"\t\n\f\r\x1a"})  # zeros are what a crash leaves
_ESCAPED_BYTES = re.compile("[\udc80-\udcff]+")  # as "surrogateescape" keeps bytes that are no UTF-8


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How a table is written.

    Attributes:
      delimiter, quote: one character; quote "" where fields are never quoted.
      has_lines_as_rows: whether a quoted field ends with its line at the latest, so that a stray quote takes no other row along.
      line_end: of tables whose lines are rows; others take any.
      first_line: where the header is.
      has_spaces_before_quotes: whether space may stand between a delimiter and a quote.
    """

    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8-sig"
    has_lines_as_rows: bool = False
    line_end: str = "\n"
    first_line: int = 1
    has_spaces_before_quotes: bool = False

    @classmethod
    def of(cls, head: bytes, where: str) -> "Dialect":
        """Finds out how a file is written by its first HEAD_BYTES. Raises DataError where it is no text."""
        encoding = encoding_of(head)
        if encoding == "utf-8-sig" and sum(map(head.count, _CONTROLS)) > 0.05 * (len(head) - head.count(0)):
            what = " but a zip or an Excel workbook: save the sheet as CSV" if head.startswith(b"PK") else ""
            raise DataError(f"{where} is no table of text{what}")
        text = head.decode(encoding, "replace")
        named = _NAMED_DELIMITER.match(text)
        delimiter = named[1] if named else _likeliest_delimiter(text)
        # Tables with tabs are rarely quoted at all, and where they are, a tab or a line break is in no field.
        is_old_mac = "\r" in text and "\n" not in text
        line_end, first_line = "\r" if is_old_mac else "\n", 2 if named else 1
        return cls(delimiter, '"', encoding, delimiter == "\t", line_end, first_line, re.search(re.escape(delimiter) + ' +"', text) is not None)

    def reader(self, lines: Iterable[str]) -> "typing.Any":
        """A csv.reader."""
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, skipinitialspace=self.has_spaces_before_quotes)


@dataclasses.dataclass(frozen=True)
class CsvTable:
    """A table by its columns.

    Attributes:
      path: where it was read.
      header: names in order, without the space around them; one may stand twice, or be "".
      columns: {name: text of each row}, as it stands; "" where a row ends before. Of columns of one name the last.
      lines: the number of the line where each row ends; blank rows are none.
    """

    path: Path
    header: tuple[str, ...]
    columns: dict[str, tuple[str, ...]]
    lines: tuple[int, ...]

    @classmethod
    def read(cls, path: Path | str, known: Collection[str] = ()) -> "CsvTable":
        """Reads a whole table.

        Args:
          known: names of columns that are found in any case and with any spaces or underscores.

        Raises:
          DataError: the file cannot be read, or is no table.
        """
        rows = read_rows(path)
        _, names = next(rows, (0, []))
        header = column_names(names, known)
        texts: list[list[str]] = [[] for _ in header]
        shared: list[dict[str, str]] = [{} for _ in header]
        lines: list[int] = []
        missing = ("",) * len(header)
        for line, cells in rows:
            lines.append(line)
            for column, known_texts, cell in zip(texts, shared, (*cells, *missing[len(cells) :]), strict=False):
                column.append(known_texts.setdefault(cell, cell) if len(known_texts) < _MOST_SHARED_TEXTS else known_texts.get(cell, cell))
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
      DataError: the file cannot be read, or is no table.
    """
    try:
        with open(path, "rb") as file:
            dialect = Dialect.of(file.read(HEAD_BYTES), str(path))
            file.seek(0)
            yield from delimited_rows(file, dialect, str(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read as a CSV ({error})") from error


def delimited_rows(stream: typing.BinaryIO, dialect: Dialect, where: str, has_header: bool = True) -> Iterator[tuple[int, list[str]]]:
    """Yields (number of the line where it ends, cells) of every row of a binary stream that is not blank, the header included.

    What would be lost in silence is told at the end, as a DataWarning.

    Args:
      where: what messages name.
      has_header: whether the first row says how many cells a row has at most.

    Raises:
      DataError: a line without end, or an encoding that does not exist.
    """
    faults = _Faults(where)
    width, advice = None, "" if dialect.has_lines_as_rows else f"; put quotes around a cell that holds {dialect.delimiter!r}"
    with _Lines(stream, dialect, faults) as lines:
        for cells in _rows_of_lines(lines, dialect) if dialect.has_lines_as_rows else _quoted_rows(lines, dialect, faults):
            if lines.number < dialect.first_line or not any(map(str.strip, cells)) or cells == [_END_OF_FILE]:
                continue
            if width is None:
                width = faults.width = len(cells)
                if has_header:
                    faults.check_header(cells)
            elif has_header and len(cells) > width and any(map(str.strip, cells[width:])):
                faults.add("beyond", lines.number, f"has {len(cells)} cells, the header {width}: what is beyond is left out{advice}")
            yield lines.number, cells
    faults.tell()


def column_names(cells: Iterable[str], known: Collection[str] = ()) -> tuple[str, ...]:
    """The names in a header; those that are as good as one of `known`, and do not stand there beside it, in its spelling."""
    names = tuple(cell.strip("\ufeff \t\r\n\xa0") for cell in cells)
    spelling = {plain_column(name): name for name in known if name not in names}
    found = [name if name in known else spelling.get(plain_column(name), name) for name in names]
    return tuple(name if found.count(new) > 1 else new for name, new in zip(names, found, strict=True))


def plain_column(name: str) -> str:
    """A column's name as it is compared: "scientific_name", "scientificName" and "Scientific name" are one."""
    return re.sub(r"[\W_]", "", name.lower())


def encoding_of(head: bytes) -> str:
    """The encoding of a text by its byte-order mark or its zeros, else "utf-8-sig"; bytes that are none are read as cp1252."""
    marked = next((encoding for mark, encoding in _BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)
    if marked:
        return marked
    even, odd = head[::2].count(0), head[1::2].count(0)  # of a text in Latin letters every second byte is zero
    if max(even, odd) > 0.8 * len(head) / 2 and min(even, odd) < 0.1 * len(head):
        return "utf-16-le" if odd > even else "utf-16-be"
    return "utf-8-sig"


def read_text(path: Path | str) -> str:
    """The text of a small file in any encoding that tables may have. Raises DataError."""
    try:
        encoded = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error})") from error
    faults = _Faults(str(path))
    with _Lines(io.BytesIO(encoded), Dialect(encoding=encoding_of(encoded[:HEAD_BYTES])), faults) as lines:
        text = "".join(lines)
    faults.tell()
    return text


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """The text of a CSV, a line for each row of cells."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


class _Faults:
    """What a table has that is not as it should be: of each kind the first line, what is wrong there, and how often.

    Attributes:
      width: the number of cells of the header.
    """

    def __init__(self, where: str) -> None:
        self.where, self.width = where, 0
        self._found: dict[str, tuple[int, str, int]] = {}  # kind -> line, what is wrong there, lines of this kind
        self._long_fields: list[tuple[int, int, int]] = []  # first line, last line, lines that look like rows

    def add(self, kind: str, line: int, text: str) -> None:
        first, known, count = self._found.get(kind, (line, text, 0))
        self._found[kind] = first, known, count + 1

    def add_long_field(self, first: int, last: int, rows: int) -> None:
        """A quoted field that runs over lines, `rows` of which look like rows of their own."""
        self._long_fields.append((first, last, rows))

    def check_header(self, names: Sequence[str]) -> None:
        names = [name.strip() for name in names]
        if twice := [name for name in names if name and names.count(name) > 1]:
            self._warn(f": the column {twice[0]!r} stands twice: the last one counts")

    def tell(self) -> None:
        """Warns of each kind."""
        if self._long_fields:
            (first, last, _), *others = self._long_fields
            more = f", as {'do' if others[1:] else 'does'} {len(others)} more" if others else ""
            rows = sum(rows for *_, rows in self._long_fields)
            swallowed = f"{rows} lines that look like rows" if rows > 1 else "1 line that looks like a row"
            went = f"{swallowed} went into {'them' if others else 'it'}: remove the stray quote" if rows else "none looks like a row"
            self._warn(f", line {first} has a quoted field that runs on to line {last}{more}; {went}")
        for line, text, count in self._found.values():
            self._warn(f", line {line} {text}" + (f" ({count - 1} more such line{'s' if count > 2 else ''})" if count > 1 else ""))

    def _warn(self, text: str) -> None:
        warnings.warn(self.where + text, DataWarning, stacklevel=2)


class _Lines:
    """The lines of a text, numbered; what no text of a table has is replaced and noted.

    Attributes:
      number: of the line that was given last.
      taken: lines since it was cleared.
      is_over: whether more lines were asked for than there are.
    """

    def __init__(self, stream: typing.BinaryIO, dialect: Dialect, faults: _Faults) -> None:
        self._is_utf8 = dialect.encoding.lower().startswith(("utf-8", "utf8"))
        newline, errors = dialect.line_end if dialect.has_lines_as_rows else "", "surrogateescape" if self._is_utf8 else "replace"
        try:
            text = io.TextIOWrapper(stream, dialect.encoding, errors, newline)
        except LookupError:
            raise DataError(f"{faults.where} is said to be in the encoding {dialect.encoding!r}, which does not exist") from None
        self._text, self._readline, self._faults = text, text.readline, faults
        self._again: list[str] = []
        self.number, self.taken, self.is_over = 0, [], False

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(ValueError):  # closed already
            self._text.detach()  # else it would close the stream, which is not its own

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if self._again:
            line = self._again.pop()
            self.number += 1
        else:
            line = self._readline(MAX_LINE_CHARACTERS)
            if not line:
                self.is_over = True
                raise StopIteration
            self.number += 1
            if not line.isascii() or "\0" in line or len(line) == MAX_LINE_CHARACTERS:
                line = self._sound(line)
        self.taken.append(line)
        return line

    def give_back(self, lines: Sequence[str]) -> None:
        """Puts the last lines back, to be given again."""
        self._again = [*reversed(lines), *self._again]
        self.number -= len(lines)
        self.is_over = False

    def _sound(self, line: str) -> str:
        if len(line) == MAX_LINE_CHARACTERS:
            raise DataError(f"{self._faults.where} has a line of more than {MAX_LINE_CHARACTERS >> 20} million characters: it is no table")
        if "\0" in line:
            self._faults.add("zero", self.number, "has characters of value zero, which are left out")
            line = line.replace("\0", "")
        if self._is_utf8 and _ESCAPED_BYTES.search(line):
            self._faults.add("bytes", self.number, "is not in UTF-8: its bytes are read as Windows' (cp1252)")
            line = _ESCAPED_BYTES.sub(lambda found: found[0].encode("utf-8", "surrogateescape").decode("cp1252", "replace"), line)
        return line


def _rows_of_lines(lines: _Lines, dialect: Dialect) -> Iterator[list[str]]:
    delimiter, quote = dialect.delimiter, dialect.quote
    for line in lines:
        lines.taken.clear()
        cells = line.rstrip("\r\n").split(delimiter)
        if quote and quote in line:
            cells = [cell[1:-1].replace(quote * 2, quote) if len(cell) > 1 and cell[0] == cell[-1] == quote else cell for cell in cells]
        yield cells


def _quoted_rows(lines: _Lines, dialect: Dialect, faults: _Faults) -> Iterator[list[str]]:
    """Rows of csv.reader; one whose quote is never closed is read without it, and what it swallowed again."""
    csv.field_size_limit(MAX_LINE_CHARACTERS)  # of the whole process: descriptions outgrow its 128 KiB
    reader = dialect.reader(lines)
    taken = lines.taken
    while True:
        taken.clear()
        try:
            cells = next(reader)
            is_closed = not lines.is_over
        except StopIteration:
            return
        except csv.Error as error:  # a field without end
            if len(taken) < 2:
                raise DataError(f"{faults.where}, line {lines.number} cannot be read as a row ({error})") from error
            is_closed = False
        if not is_closed:
            first, *rest = taken
            lines.give_back(rest)
            faults.add("open", lines.number, "opens a quote that is never closed: it is passed over; remove it")
            cells = _without_stray_quote(first, dialect)
            reader = dialect.reader(lines)
        elif len(taken) > 1:
            rows = sum(len(_closed_row(line, dialect) or ()) == faults.width for line in taken[1:])
            faults.add_long_field(lines.number - len(taken) + 1, lines.number, rows)
        yield cells


def _without_stray_quote(line: str, dialect: Dialect) -> list[str]:
    places = [place for place, letter in enumerate(line) if letter == dialect.quote]
    for place in reversed(places[-_MOST_STRAY_QUOTES:]):
        if cells := _closed_row(line[:place] + line[place + 1 :], dialect):
            return cells
    return line.rstrip("\r\n").split(dialect.delimiter)


def _closed_row(line: str, dialect: Dialect) -> list[str] | None:
    """The cells of a line by itself; None where one of its quotes is not closed."""
    cells = next(dialect.reader([line, "\0"]))
    return None if cells and cells[-1].endswith("\0") else cells


def _likeliest_delimiter(text: str) -> str:
    """The first in the header that parts other lines alike, else the first: names of columns rarely begin with another's delimiter."""
    lines = [line for line in text.splitlines()[:50] if line.strip()]
    if not lines or not (first := _FIRST_DELIMITERS.match(lines[0])):
        return ","
    candidates = dict.fromkeys([first[1], *(letter for letter in lines[0] if letter in _DELIMITERS)])
    alike = lambda delimiter: sum(line.count(delimiter) >= lines[0].count(delimiter) for line in lines[1:-1])  # the last may be cut
    return max(candidates, key=alike)
