"""What a reader leaves behind: `staging.raw`, `staging.malformed`, and the counts of both.

How a kind of file is taken apart is its own module's; why a row of it is malformed is said here, in one list.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from pipelines import database

# What Unicode calls separators (SQL's trim(text) takes those away), and tab, line feed and carriage return.
WHITESPACE = "\t\n\r \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u202f\u205f\u3000"
MOST_CHARACTERS = 32_000_000  # of a row; so that a file without line ends takes a bounded amount of memory
MOST_TEXT = 64 * 1024  # characters of a malformed row that are kept
CUT = " … (the rest of this row is in the archived file)"

EXPLANATIONS = {
    "too_few_cells": "The row has fewer cells than the header has columns: a delimiter is missing, or it was cut off.",
    "too_many_cells": "The row has more cells than the header has columns: text with the delimiter in it needs quotes.",
    "broken_quotes": 'A quote opens a cell of this row and does not close it: within quotes, write a quote twice ("").',
    "formula_without_result": "A formula of this row has no result: a program wrote it that does not compute. Open the"
    " workbook in a spreadsheet program and save it there.",
    "nul_byte": "The row holds a NUL character, which no text has: it was damaged on its way here.",
    "too_long": "The row is longer than 32 million characters. A line break or a closing quote is missing.",
    "invalid_json": "The line is not valid JSON: it was cut off, or text in it lacks its quotes.",
    "not_an_object": 'The line is JSON, but not an object of column names and values such as {"entry_id": "e1"}.',
    "nested_value": 'The value of "{detail}" is a list or an object. A cell is text, a number, true, false or null.',
    "impossible_number": 'The value of "{detail}" is no number that an amount can be. Write it in plain digits.',
}
NEXT_STEP = " Correct it at the source and send the row again."


@dataclass(frozen=True)
class Read:
    """How a file came out. Its rows are in `staging.raw` and `staging.malformed`.

    `rows_read` counts the rows of both tables; blank rows are not rows.
    """

    rows_read: int
    malformed: int


def trimmed(cell: str) -> str:
    """SQL: the column `cell` without whitespace around it, null if nothing is left.

    Hardly any cell has some, and to trim takes ten times as long as these tests, the last of which is whether all of
    the cell is ASCII. The spaces stand there as they are: to put them together takes DuckDB longer than a small file.
    """
    tests = [f"{cell} < '!'", *(f"ends_with({cell}, '{space}')" for space in " \t\n\r")]
    tests.append(f"strlen({cell}) <> length({cell})")
    return f"nullif(case when {' or '.join(tests)} then trim({cell}, '{WHITESPACE}') else {cell} end, '')"


def literally(path: Path) -> str:
    """The path as DuckDB's readers of files want it, who take it for a pattern."""
    return re.sub(r"[\[*?]", r"[\g<0>]", str(path))


def clear(con: duckdb.DuckDBPyConnection) -> None:
    """Remove what an earlier file left behind."""
    database.drop(con, "staging", "raw", "cells", "shifts", "malformed")


@contextmanager
def streamed(con: duckdb.DuckDBPyConnection, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[None]:
    """SQL inside can read the `batches` as a relation of that name, once; they are made as it goes.

    An exception of their maker, or of a signal while it is at work, is raised as it is, not as what DuckDB makes of it.
    """
    raised: list[BaseException] = []

    def watched() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except GeneratorExit:
            raise
        except BaseException as problem:
            raised.append(problem)
            raise

    con.register("batches", pa.RecordBatchReader.from_batches(schema, watched()))
    try:
        yield
    except duckdb.Error:
        if raised:
            raise raised[0] from None
        raise
    finally:
        con.unregister("batches")


def finish(
    con: duckdb.DuckDBPyConnection,
    held: Mapping[str, str],
    columns: Sequence[str],
    *,
    source_row: str = "source_row",
    rows: str = "staging.cells",
    where: str = "reason is null",
    malformed: Sequence[tuple[int, str, str | None, Sequence[str | None]]] | None = None,
) -> Read:
    """Make `staging.malformed` and the view `staging.raw`, and count.

    `held` names the column of `staging.cells` in which each known column is that the file has. The `malformed` are
    (source_row, text, reason, cells in the order of `held`), or None where they are in `staging.cells` with a reason
    and a detail.
    """
    if malformed is None:
        told = ", ".join(f"'{name}', {cell}" for name, cell in held.items())
        _explain(
            con,
            f"select source_row, text, reason, detail, json_object({told})::varchar as cells"  # noqa: S608 - names of ours
            " from staging.cells where reason is not null",
            {},
        )
    else:
        told = ", ".join(f"'{name}', told[{place}]" for place, name in enumerate(held, 1))
        _explain(
            con,
            f"select source_row, text, reason, null as detail, json_object({told})::varchar as cells"  # noqa: S608 - names of ours
            " from (select unnest($rows) as source_row, unnest($texts) as text, unnest($found) as reason,"
            " unnest($told::varchar[][]) as told)",
            {
                "rows": [row for row, _, _, _ in malformed],
                "texts": [text for _, text, _, _ in malformed],
                "found": [reason for _, _, reason, _ in malformed],
                "told": [cells for _, _, _, cells in malformed],
            },
        )
    listed = ", ".join(f'{held.get(name, "null::varchar")} as "{name}"' for name in columns)
    con.execute(
        f"create view staging.raw as select ({source_row})::bigint as source_row, {listed} from {rows} where {where}"  # noqa: S608 - names of ours
    )
    counts = con.execute(
        "select (select count(*) from staging.raw), (select count(*) from staging.malformed)"
    ).fetchone()
    assert counts
    return Read(counts[0] + counts[1], counts[1])


def _explain(con: duckdb.DuckDBPyConnection, found: str, parameters: dict[str, list[Any]]) -> None:
    """Make `staging.malformed` of the rows of `found`, in words."""
    con.execute(
        "create table staging.malformed"
        " (source_row bigint, text varchar, reason varchar, explanation varchar, cells varchar)"
    )
    # Most files have none, and to plan what follows takes longer than to read a small one.
    if not con.execute(f"from ({found}) limit 1", parameters).fetchone():
        return
    con.execute(
        f"""
        insert into staging.malformed
        select
            source_row,
            case when length(text) <= {MOST_TEXT} then text else left(text, {MOST_TEXT}) || $cut end,
            reason,
            replace(map($reasons, $explanations)[reason], '{{detail}}', coalesce(detail, '')) || $next_step,
            cells
        from ({found})
        order by source_row
        """,  # noqa: S608 - names of ours
        {
            "cut": CUT,
            "reasons": list(EXPLANATIONS),
            "explanations": list(EXPLANATIONS.values()),
            "next_step": NEXT_STEP,
            **parameters,
        },
    )
