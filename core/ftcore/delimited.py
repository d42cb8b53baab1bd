"""Reads records out of CSV and TSV files: the header's names with the texts of a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from ftcore.records import BOM, MAX_LINE_BYTES, UTF_16, RefusedError, no_record
from ftcore.values import Problem, Sample

TOO_LONG = f"the row is longer than {MAX_LINE_BYTES // 2**20} MiB"
SHORTER = "no model reads a sample of this length"

_CSV_ERRORS = {
    "unexpected end of data": (
        "a quote that opens in this row is never closed",
        "nothing after it was read; close it, or write a quote inside of a cell twice",
    ),
    "field larger than field limit": (TOO_LONG, f"is a closing quote missing? {SHORTER}"),
    "new-line character seen": (
        "a carriage return stands outside of quotes",
        "put the cell into quotes, or give the file LF or CRLF line ends",
    ),
    "'": ("a quote inside of a cell in quotes stands alone", 'write it twice: ""'),
}
"""What Python's csv module says, by its beginning, in words for people."""


def csv_records(file: io.BufferedIOBase, name: str) -> Iterator[Sample | Problem]:
    """Each row of a CSV file: the header's names with the row's texts.

    The cells may be separated by commas, semicolons, tabs or bars; the header tells. An empty
    cell is None, a row without any text is no record.
    """
    return _separated(file, name, ",;\t|")


def tsv_records(file: io.BufferedIOBase, name: str) -> Iterator[Sample | Problem]:
    """The same for cells that tabs separate."""
    return _separated(file, name, "\t")


def _separated(file: io.BufferedIOBase, name: str, delimiters: str) -> Iterator[Sample | Problem]:
    def problem(message: str, hint: str, line: int) -> Problem:
        return Problem(message, hint=hint, file=name, line=line)

    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    lines = _Lines(file)
    try:
        rows = csv.reader(lines, delimiter=_delimiter(lines.first(), delimiters), strict=True)
        header: list[str] | None = None
        empty = True
        while True:
            line = lines.start_row()
            try:
                row = next(rows)
            except StopIteration:
                break
            except csv.Error as error:
                empty = False
                yield problem(*_in_words(error), line)
                if header is None:
                    return
                continue
            if not any(row):
                continue
            if header is None:
                header = [cell.strip() for cell in row]
                if found := _header_fault(header):
                    yield problem(*found, line)
                    return
                continue
            empty = False
            try:
                yield Sample(_cells(header, row), name, line)
            except RefusedError as error:
                yield problem(str(error), error.hint, line)
    except RefusedError as error:  # of a line: where the next row begins cannot be told
        yield problem(str(error), error.hint, lines.row)
        return
    if empty:
        yield no_record(name, "the first row names the columns, each row after it is a record")


class _Lines(Iterator[str]):
    """The lines of a file, bounded in length, that know in which line a row of cells began."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file = file
        self._kept: str | None = None
        self._line = 0
        self._left = MAX_LINE_BYTES
        self.row = 1

    def start_row(self) -> int:
        """The line on which the next row begins."""
        self._left = MAX_LINE_BYTES
        self.row = self._line + 1
        return self.row

    def first(self) -> str:
        """The first line that is not blank; it will be given out once more."""
        line = next((line for line in self if line.strip()), None)
        if line is not None:
            self._kept = line
            self._line -= 1
        return line or ""

    def __next__(self) -> str:
        line, self._kept = self._kept, None
        if line is None:
            raw = self._file.readline(self._left + 1)
            self._left -= len(raw)
            if self._left < 0:
                raise RefusedError(
                    TOO_LONG, f"nothing after it was read; is a closing quote missing? {SHORTER}"
                )
            if self._line == 0:
                if raw.startswith(UTF_16):
                    hint = "save the file as UTF-8: iconv -f UTF-16 -t utf-8 FILE > NEW"
                    raise RefusedError("the file is UTF-16, not UTF-8", hint)
                raw = raw.removeprefix(BOM)
            # what is no UTF-8 is kept, so that only the row that holds it is refused
            line = raw.decode(errors="surrogateescape")
        if not line:
            raise StopIteration
        self._line += 1
        return line


def _delimiter(header: str, delimiters: str) -> str:
    """The one that makes the most cells of the header's first line."""

    def cells(delimiter: str) -> int:
        return len(next(csv.reader([header.rstrip("\r\n")], delimiter=delimiter), ()))

    try:
        return max(delimiters, key=cells)
    except csv.Error:  # will be found, and told, when the header is read
        return delimiters[0]


def _in_words(error: csv.Error) -> tuple[str, str]:
    text = str(error)
    return next((words for key, words in _CSV_ERRORS.items() if text.startswith(key)), (text, ""))


def _header_fault(header: Sequence[str]) -> tuple[str, str] | None:
    hint = "the first row names the columns, each with a name of its own"
    for index, name in enumerate(header):
        if not _is_utf8(name):
            return "the header is not UTF-8", _iconv()
        if name and name in header[:index]:
            return f"two columns have the name {name!r}", hint
    return None


def _cells(header: Sequence[str], row: Sequence[str]) -> dict[str, str | None]:
    """A row as an object. A first column without a name is the index that pandas writes.

    :raises RefusedError: cells are missing, too many, nameless or not UTF-8.
    """
    if len(row) != len(header):
        raise RefusedError(
            f"the row has {len(row)} cells, the header {len(header)}",
            "put cells that hold separators, quotes or line ends into quotes",
        )
    data: dict[str, str | None] = {}
    for index, (name, cell) in enumerate(zip(header, row, strict=True)):
        if not name and (index == 0 or not cell):
            continue
        if not name:
            raise RefusedError(f"column {index + 1} has no name", "name it in the first row")
        if not _is_utf8(cell):
            raise RefusedError(f"the cell of {name!r} is not UTF-8", _iconv())
        data[name] = cell or None
    return data


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # stands for a byte that was kept
        return False
    return True


def _iconv() -> str:
    return "save the file as UTF-8: iconv -f latin1 -t utf-8 FILE > NEW"
