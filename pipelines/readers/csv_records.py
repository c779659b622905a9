r"""CSV, record by record: what DuckDB's reader does on well-formed files, and a way on where a quote is broken.

The grammar of a record. Delimiters between cells; a cell that begins with a quote (spaces may come before it) ends
with one (spaces may follow) and may hold delimiters, line ends, and quotes written twice; in any other cell a quote is
a character like any other. Lines end with \\n, \\r\\n or \\r.
A record whose quote does not close, or with text after the closing quote, is malformed as far as its first line goes;
what follows is read as if that line had not been there. What cells mean is not known here.
"""

import io
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from pipelines.readers.shape import UnreadableFileError
from pipelines.readers.staged import MOST_CHARACTERS, MOST_TEXT, WHITESPACE

DELIMITERS = ",;\t"
FREE_EFFORT = 100_000_000


@dataclass(frozen=True, slots=True)
class Record:
    """One record that is not blank. `number` counts records from 1, the header and blank ones included.

    `reason` is None for a record whose cells could be told apart.
    """

    number: int
    cells: list[str]
    text: str
    reason: str | None = None


def records(path: Path, delimiter: str) -> Iterator[Record]:
    """The records of a file in UTF-8.

    Raises UnreadableFileError (broken_quotes) where so many quotes are broken that trying again would take forever.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from _records(_Lines(file), delimiter)


def records_of(text: str, delimiter: str) -> list[Record]:
    """The records of a part of a file."""
    return list(_records(_Lines(io.StringIO(text, newline="")), delimiter))


def fit(record: Record, width: int, blank: int = 0) -> Record:
    """The record with as many cells as the header has, or with the reason why it has not.

    `blank` is how many columns without a name the header has at its end: there a row may have blank cells.
    """
    if record.reason is not None or len(record.cells) == width:
        return record
    if len(record.cells) < width:
        return replace(record, reason="too_few_cells")
    # Blank ones beyond those are too many as well: a delimiter inside text shifts every cell behind it.
    if len(record.cells) > width + blank or any(cell.strip(WHITESPACE) for cell in record.cells[width:]):
        return replace(record, reason="too_many_cells")
    return replace(record, cells=record.cells[:width])


def _records(lines: "_Lines", delimiter: str) -> Iterator[Record]:
    blank = delimiter + WHITESPACE + '"'
    number = 0
    while (line := lines.next()) is not None:
        number += 1
        if len(line) > MOST_CHARACTERS:
            yield Record(number, [], line[: MOST_TEXT + 1], "too_long")
            continue
        if '"' in line:
            split = _split(line, delimiter, lines)
            if split is None:
                yield Record(number, [], _bare(line), "broken_quotes")
                continue
            cells, text = split
        else:
            text = _bare(line)
            cells = text.split(delimiter)
        if line.strip(blank) or any(cell.strip(WHITESPACE) for cell in cells):
            yield Record(number, cells, text, "nul_byte" if "\0" in text else None)


class _Lines:
    """Lines of a file, with their ends, that can be given back."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._returned: deque[str] = deque()
        self._read = self._read_again = 0

    def next(self) -> str | None:
        """The next line; of one that is too long, its beginning."""
        if self._returned:
            return self._returned.popleft()
        line = self._file.readline(MOST_CHARACTERS + 1)
        self._read += _effort(line)
        if len(line) > MOST_CHARACTERS:
            rest = line
            while rest and not rest.endswith(("\n", "\r")):
                rest = self._file.readline(MOST_CHARACTERS)
        return line or None

    def give_back(self, lines: list[str]) -> None:
        """Let these be the next lines.

        Hardly any have to be read again, unless one quote after another does not close before the end of the file.
        """
        self._read_again += sum(map(_effort, lines))
        if self._read_again > 3 * self._read + FREE_EFFORT:
            raise UnreadableFileError(
                "broken_quotes",
                "The quotes in this file do not pair up: row after row has one that opens and never closes. Export the"
                ' file again, with a quote inside quoted text written twice (""), and send it again.',
            )
        self._returned.extendleft(reversed(lines))


def _effort(line: str) -> int:
    return len(line) + 100


def _bare(line: str) -> str:
    if line.endswith("\r\n"):
        return line[:-2]
    return line[:-1] if line.endswith(("\n", "\r")) else line


def _split(first: str, delimiter: str, lines: _Lines) -> tuple[list[str], str] | None:
    """Cells and text of the record that begins with the line `first`; None if a quote in it is broken."""
    cells: list[str] = []
    taken = [first]
    length = len(first)
    line, end = first, len(_bare(first))
    at = 0
    while True:
        start = at
        while line.startswith(" ", start):
            start += 1
        if line.startswith('"', start):
            parts = []
            at = start + 1
            while True:
                quote = line.find('"', at)
                if quote < 0:
                    parts.append(line[at:])
                    more = lines.next()
                    length += len(more or "")
                    if more is None or length > MOST_CHARACTERS:
                        lines.give_back(taken[1:] + ([more] if more else []))
                        return None
                    taken.append(more)
                    line, end, at = more, len(_bare(more)), 0
                elif line.startswith('"', quote + 1):
                    parts.append(line[at : quote + 1])
                    at = quote + 2
                else:
                    parts.append(line[at:quote])
                    at = quote + 1
                    break
            cells.append("".join(parts))
            while line.startswith(" ", at):
                at += 1
            if at < end and line[at] != delimiter:
                lines.give_back(taken[1:])
                return None
        else:
            at = line.find(delimiter, at, end)
            if at < 0:
                at = end
            cells.append(line[start:at])
        if at >= end:
            return cells, _bare("".join(taken))
        at += 1
