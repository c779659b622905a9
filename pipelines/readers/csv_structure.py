"""How many records a CSV file has, counted apart from who reads it.

DuckDB's reader is trusted with a file only where nothing is in doubt: it has been seen to lose records, and say
nothing, where a broken quote stands in a row with too many cells, and where lines end in different ways. So quotes and
line ends are looked at first, in arrays of bytes; what cells hold is not looked at.
"""

import codecs
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

CHUNK_BYTES = 1_000_000
FEED, RETURN, QUOTE = b'\n\r"'

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Counts:
    """Records, the header and those of nothing but whitespace included, empty lines not; delimiters between cells."""

    records: int
    delimiters: int


def count(path: Path, delimiter: str) -> Counts | None:
    r"""What there is in the file.

    None if that is in doubt: a quote that opens elsewhere than at a cell's start, or closes elsewhere than at its end;
    empty lines before the last record; lines that end in \n here and \r\n there, or in \r; lines of a megabyte.
    """
    sign = ord(delimiter)
    quoted = 0  # 1 where a chunk begins inside quotes
    records = delimiters = at = 0
    ends: set[bool] = set()  # of records: in \r\n?
    content = _content_bytes(path)
    with path.open("rb") as file:
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        at = file.tell()
        while at < content:
            chunk = file.read(CHUNK_BYTES)
            if not chunk.endswith(b"\n"):
                chunk += file.readline(CHUNK_BYTES)
            if not chunk.endswith(b"\n") and file.tell() < path.stat().st_size:
                return None
            # One byte before the chunk and one after it, so that every byte has both neighbours.
            around = np.frombuffer(b"\n" + chunk + b"\n", dtype=np.uint8)
            inner = around[1:-1]
            if b'"' in chunk:
                signs = np.flatnonzero((inner == FEED) | (inner == QUOTE))
                is_quote = inner[signs] == QUOTE
                quotes = signs[is_quote]
                before, after = around[quotes[quoted::2]], around[quotes[1 - quoted :: 2] + 2]
                if not (_any_of(before, sign, FEED, QUOTE) and _any_of(after, sign, FEED, RETURN, QUOTE)):
                    return None
                between = np.searchsorted(quotes, np.flatnonzero(inner == sign))
                delimiters += int(np.count_nonzero((between + quoted) % 2 == 0))
                inside = (np.cumsum(is_quote) + quoted) % 2 == 1
                feeds = signs[~(is_quote | inside)]
                quoted = (quoted + len(quotes)) % 2
            else:
                delimiters += 0 if quoted else chunk.count(delimiter.encode())
                feeds = np.flatnonzero(inner == FEED)[: 0 if quoted else None]
            if b"\r" in chunk:
                returns = np.flatnonzero(around == RETURN)
                if not _any_of(around[returns + 1], FEED):
                    return None
            feeds = feeds[feeds < content - at]
            before = around[feeds]
            returned = before == RETURN
            if (before == FEED).any() or (around[feeds[returned] - 1] == FEED).any():
                return None
            ends.update(np.unique(returned).tolist())
            if len(ends) > 1:
                return None
            records += len(feeds)
            at += len(chunk)
    if quoted:
        return None
    # The last record, and lines after it that are whitespace, but not empty.
    with path.open("rb") as file:
        file.seek(content)
        after = sum(1 for line in file.read().split(b"\n")[1:] if line.rstrip(b"\r"))
    return Counts(records + 1 + after, delimiters)


def _any_of(found: Bytes, *wanted: int) -> bool:
    """Whether each byte is one of those wanted."""
    fits = found == wanted[0]
    for byte in wanted[1:]:
        fits |= found == byte
    return bool(fits.all())


def _content_bytes(path: Path) -> int:
    """How many bytes there are without the whitespace at the end (of which a megabyte is looked at)."""
    with path.open("rb") as file:
        file.seek(max(file.seek(0, 2) - CHUNK_BYTES, 0))
        tail = file.read()
        return file.tell() - len(tail) + len(tail.rstrip())
