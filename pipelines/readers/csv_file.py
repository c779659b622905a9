"""CSV: comma, semicolon or tab, whichever makes columns of the first line.

DuckDB reads all that is well-formed, and rows with the wrong number of cells; a file with anything else is read record
by record (`pipelines.readers.csv_records`), ten times slower. Both give the same rows under the same numbers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa

from pipelines.readers import staged
from pipelines.readers.csv_records import DELIMITERS, Record, fit, records, records_of
from pipelines.readers.csv_structure import Counts, count
from pipelines.readers.shape import Shape, UnreadableFileError, match_names, shown
from pipelines.readers.staged import WHITESPACE, Read
from pipelines.readers.text_file import TextFile, not_text, open_text

BATCH_ROWS = 20_000
BATCH_CHARACTERS = 32_000_000
MOST_REJECTED = 10_000


def read(con: duckdb.DuckDBPyConnection, path: Path, shape: Shape, *, encoding: str, scratch: Path) -> Read:
    """Fill `staging` from the file.

    `source_row` counts records: the header is 1 (unless blank lines come before it), blank lines count, and text with
    line ends in quotes is one record. That is what a spreadsheet shows.
    """

    def looks_right(start: str) -> bool:
        first_line = start.lstrip().partition("\n")[0]
        return any(_score(first_line, delimiter, shape)[0] for delimiter in DELIMITERS)

    text = open_text(path, encoding, scratch, looks_right)
    header, delimiter = _header(text, shape)
    places = match_names(header.cells, shape, "the header")
    cells = [f"c{place}" for place in range(len(places))]
    held = {name: cell for name, cell in zip(places, cells, strict=True) if name is not None}
    if len(cells) > 1 and not text.nul_bytes and header.text.count(delimiter) == len(cells) - 1:
        done = _read_at_once(con, text, delimiter, cells, held, shape)
        if done is not None:
            return done
    blank = len(records_of(header.text, delimiter)[0].cells) - len(cells)
    return _read_by_record(con, text, delimiter, header.number, blank, cells, held, shape)


def _score(line: str, delimiter: str, shape: Shape) -> tuple[int, int]:
    """How much sense the delimiter makes of a header: how many known columns, of how many."""
    names = [name.strip(WHITESPACE + '"') for name in line.split(delimiter)]
    return len(set(names) & set(shape.columns)), len(names)


def _header(text: TextFile, shape: Shape) -> tuple[Record, str]:
    """The header, its cells trimmed and without the empty ones at its end, and the delimiter."""
    readings = {delimiter: next(records(text.path, delimiter), None) for delimiter in DELIMITERS}
    found = {delimiter: header for delimiter, header in readings.items() if header is not None}
    if not found:
        raise UnreadableFileError("empty_file", "The file has only blank lines. Export it again and send it again.")
    delimiter, header = max(found.items(), key=lambda reading: _score(reading[1].text, reading[0], shape))
    if header.reason == "nul_byte":
        raise not_text("header")
    if header.reason is not None:
        raise UnreadableFileError(
            header.reason,
            f"The header cannot be read: {shown(header.text)}. "
            + staged.EXPLANATIONS[header.reason].replace("row", "header")
            + " Correct it and send the file again.",
        )
    names = [cell.strip(WHITESPACE) for cell in header.cells]
    while not names[-1]:
        names.pop()
    return replace(header, cells=names), delimiter


def _read_at_once(
    con: duckdb.DuckDBPyConnection,
    text: TextFile,
    delimiter: str,
    cells: Sequence[str],
    held: dict[str, str],
    shape: Shape,
) -> Read | None:
    """By DuckDB's reader; None if this is not a file for it."""
    counts = count(text.path, delimiter)
    if counts is None:
        return None
    _forget_rejects(con)
    try:
        con.execute(
            "create table staging.cells as select "  # noqa: S608 - names of ours
            + ", ".join(f"{staged.trimmed(cell)} as {cell}" for cell in cells)
            + " from read_csv($path, auto_detect = false, hive_partitioning = false, header = true, columns = {"
            + ", ".join(f"'{cell}': 'VARCHAR'" for cell in cells)
            + f"}}, delim = chr({ord(delimiter)}), quote = '\"', escape = '\"', strict_mode = true,"
            " store_rejects = true, rejects_limit = 0, rejects_table = 'rejected_lines',"
            " rejects_scan = 'rejected_scans')",
            {"path": staged.literally(text.path)},
        )
        return _number(con, delimiter, counts, cells, held, shape)
    except duckdb.InvalidInputException:
        return None
    finally:
        _forget_rejects(con)


def _forget_rejects(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("drop table if exists temp.rejected_lines; drop table if exists temp.rejected_scans")


def _number(
    con: duckdb.DuckDBPyConnection,
    delimiter: str,
    counts: Counts,
    cells: Sequence[str],
    held: dict[str, str],
    shape: Shape,
) -> Read | None:
    """Tell each row its number, and the rejected ones why; None if something does not add up.

    Rows are in the order of the file, so a row's number follows from its place and from the rejected ones before it.
    """
    where = f"coalesce({', '.join(cells)}) is not null"
    totals = con.execute(
        "select (select count(*) from staging.cells), (select count(distinct line) from temp.rejected_lines),"  # noqa: S608 - names of ours
        " (select coalesce(sum(strlen(csv_line)), 0) from temp.rejected_lines),"
        f" (select count(*) from staging.cells where not ({where}))"
    ).fetchone()
    assert totals
    accepted, rejected, rejected_bytes, blank = totals
    if accepted + rejected != counts.records - 1 or rejected > MOST_REJECTED or rejected_bytes > BATCH_CHARACTERS:
        return None
    malformed: list[tuple[int, str, str | None, list[str | None]]] = []
    delimiters = (accepted + 1) * (len(cells) - 1)
    # A record has a line here for each cell that is missing or too many, and for each error.
    for number, text in con.execute(
        "select line, any_value(csv_line) from temp.rejected_lines group by line order by line"
    ).fetchall():
        found = [fit(record, len(cells)) for record in records_of(text.strip("\r\n"), delimiter)]
        if len(found) > 1 or any(record.reason not in ("too_few_cells", "too_many_cells") for record in found):
            return None
        malformed += [(number, record.text, record.reason, _told(record, held)) for record in found]
        delimiters += sum(len(record.cells) - 1 for record in found)
    # DuckDB lets a row end with one delimiter too many, and a delimiter inside text shifts every cell behind it.
    if delimiters != counts.delimiters:
        return None
    source_row, rows = "rowid + 2", "staging.cells"
    if rejected:
        _shift(con)
        source_row = "cells.rowid + 2 + shift"
        rows = (
            "staging.cells join staging.shifts on cells.rowid // 1024 = block"
            " and cells.rowid >= first_row and cells.rowid < next_row"
        )
    return staged.finish(
        con,
        held,
        shape.columns,
        source_row=source_row,
        rows=rows,
        where=where if blank else "true",
        malformed=malformed,
    )


def _told(record: Record, held: dict[str, str]) -> list[str | None]:
    """What the first cell of a malformed row says, in the order of `held`: the others may stand one too far on, where
    the id of one row would be taken for that of another.
    """
    return [record.cells[0].strip(WHITESPACE) or None if cell == "c0" else None for cell in held.values()]


def _shift(con: duckdb.DuckDBPyConnection) -> None:
    """Make `staging.shifts`: by how much the numbers of which rows are shifted by the rejected records before them.

    In pieces that lie within blocks of 1024 rows, so that a row finds its piece by a hash of its block.
    """
    con.execute(
        """
        create table staging.shifts as
        with rejected as (
            select line - 1 - row_number() over (order by line) as first_row, row_number() over (order by line) as shift
            from (select distinct line from temp.rejected_lines)
        ),
        starts as (
            select first_row, max(shift) as shift from rejected group by first_row
            union all
            select block * 1024, null
            from range((select count(*) // 1024 + 1 from staging.cells)) as blocks (block)
            where block * 1024 not in (select first_row from rejected)
        )
        select
            first_row // 1024 as block,
            first_row,
            lead(first_row, 1, 9223372036854775807) over (order by first_row) as next_row,
            coalesce(last_value(shift ignore nulls) over (order by first_row), 0) as shift
        from starts
        """
    )


def _read_by_record(
    con: duckdb.DuckDBPyConnection,
    text: TextFile,
    delimiter: str,
    header: int,
    blank: int,
    cells: Sequence[str],
    held: dict[str, str],
    shape: Shape,
) -> Read:
    """Record by record."""
    staged.clear(con)
    schema = pa.schema([("source_row", pa.int64()), *((name, pa.string()) for name in (*cells, "text", "reason"))])
    rows = (record for record in records(text.path, delimiter) if record.number > header)
    trimmed = ", ".join(f"{staged.trimmed(cell)} as {cell}" for cell in cells)
    with staged.streamed(con, _batches(rows, len(cells), blank, schema), schema):
        con.execute(
            "create table staging.cells as"  # noqa: S608 - names of ours
            f" select source_row, {trimmed}, text, reason, null::varchar as detail from batches"
        )
    return staged.finish(con, held, shape.columns)


def _batches(rows: Iterator[Record], width: int, blank: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    while True:
        batch, characters = [], 0
        for record in rows:
            batch.append(_row(record, width, blank))
            characters += len(record.text)
            if len(batch) == BATCH_ROWS or characters > BATCH_CHARACTERS:
                break
        if not batch:
            return
        columns = zip(*batch, strict=True)
        yield pa.record_batch(
            [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
        )


def _row(record: Record, width: int, blank: int) -> tuple[int | str | None, ...]:
    record = fit(record, width, blank)
    if record.reason is None:
        return (record.number, *record.cells, None, None)
    told = [] if record.reason == "nul_byte" else record.cells[:1]  # as in _told
    return (record.number, *told, *[None] * (width - len(told)), record.text, record.reason)
