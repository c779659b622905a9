"""Tables as people write them in tests: rows from aligned text, and a comparison that shows both sides as text.

What the rows mean is not known here.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

Row = Mapping[str, Any]


def rows(text: str) -> list[dict[str, str | None]]:
    """A row for each line below the header line. A cell stands below its column's name; one left blank is None.

    A cell may be longer than its column's name, and stand to the left of it, as numbers do: two spaces end it.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    columns = [(name.group(), name.start(), name.end()) for name in re.finditer(r"\S+", lines[0])]
    for one, other in pairwise(columns):
        assert other[1] - one[2] >= 1, f"columns {one[0]} and {other[0]} need a space between them"
    return [_row(line, columns) for line in lines[1:]]


def _row(line: str, columns: Sequence[tuple[str, int, int]]) -> dict[str, str | None]:
    row: dict[str, str | None] = {name: None for name, _, _ in columns}
    for cell in re.finditer(r"\S+(?: \S+)*", line):
        below = [name for name, start, end in columns if start < cell.end() and cell.start() < end]
        assert len(below) == 1, f'"{cell.group()}" stands below {below or "no column"} in: {line.strip()}'
        assert row[below[0]] is None, f'"{cell.group()}" is the second below {below[0]} in: {line.strip()}'
        row[below[0]] = cell.group()
    return row


def assert_rows(actual: Iterable[Row], text: str) -> None:
    """`actual` has just these rows, in this order; only the columns that `text` names are compared."""
    expected = rows(text)
    header = next(line for line in text.splitlines() if line.strip()).split()
    said = _shown(({name: _as_text(row[name]) for name in header} for row in actual), header)
    wanted = _shown(expected, header)
    assert said == wanted, f"there are\n{said}\n\nand there should be\n{wanted}"


def _as_text(value: Any) -> str | None:
    """As a test would write it: 10.00, 2026-06-01T12:00, true; None for what is blank."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        whole, _, decimals = f"{value:f}".partition(".")
        return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
    if isinstance(value, datetime):
        said = value.replace(tzinfo=None).isoformat()
        return said.removesuffix(":00") if value.microsecond == 0 else said
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def _shown(table: Iterable[Row], header: Sequence[str]) -> str:
    lines = [header, *([row[name] or "" for name in header] for row in table)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
