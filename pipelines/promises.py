"""Keeping promises: transactions that hold or leave nothing, and rows checked against their schema.

A broken promise is a defect of ours, never of the data: it stops the run and rolls back. Bad data is rows
(ledger.rejected_rows) or findings (facts.findings), and does not come here.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import duckdb
import polars as pl
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaErrors
from pandera.polars import DataFrameSchema

from schemas.table import Table, only_whether_blank, promised_values

SLICE_ROWS = 1_000_000


class BrokenPromiseError(Exception):
    """Something that the program guarantees does not hold. Nothing of the step was kept."""


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All of what happens inside, or nothing of it."""
    connection.execute("begin")
    try:
        yield
    except BaseException:
        # Where DuckDB has given up on the whole file, there is nothing to roll back: why it has is what matters.
        with suppress(duckdb.Error):
            connection.execute("rollback")
        raise
    connection.execute("commit")


def hold(holds: bool, otherwise: str) -> None:
    """Raise BrokenPromiseError saying `otherwise` unless it `holds`."""
    if not holds:
        raise BrokenPromiseError(f"{otherwise}. Nothing of this step was kept; please report it as a defect.")


def validate(
    connection: duckdb.DuckDBPyConnection, promise: type[Table], select: str, parameters: Sequence[Any], name: str
) -> int:
    """Check the rows of `select` against `promise`, a slice at a time; how many there are.

    Columns and types are checked of all columns; values are read of those whose values are promised something, and of
    texts that may be anything but blank, whether they are.
    Raises BrokenPromiseError with the first values that break it.
    """
    check(promise, connection.execute(f"from ({select}) limit 0", parameters).pl(), name)
    values = promised_values(promise)
    columns = ", ".join(
        f"""if("{column}" is null, null, '') as "{column}\"""" if only_whether_blank(promised) else f'"{column}"'
        for column, promised in values.columns.items()
    )
    rows = 0
    for batch in connection.execute(f"select {columns} from ({select})", parameters).to_arrow_reader(SLICE_ROWS):  # noqa: S608 - names of ours
        frame = pl.DataFrame(pl.from_arrow(batch))
        rows += frame.height
        _check(values, frame, name)
    return rows


def check(promise: type[Table], frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """`frame`, if it keeps `promise`. Raises BrokenPromiseError with the first values that break it."""
    return _check(promise.to_schema(), frame, name)


def _check(promise: DataFrameSchema, frame: pl.DataFrame, name: str) -> pl.DataFrame:
    # Of no rows only the columns and types can be wrong; to look for values costs four times as much as these.
    depth = ValidationDepth.SCHEMA_ONLY if frame.is_empty() else ValidationDepth.SCHEMA_AND_DATA
    try:
        with config_context(validation_depth=depth):
            promise.validate(frame, lazy=True)
    except SchemaErrors as broken:
        cases = broken.failure_cases.head(3).select("column", "check", "failure_case").rows()
        said = "; ".join(f"{column} {failure!r} breaks {rule}" for column, rule, failure in cases)
        raise BrokenPromiseError(
            f"{name}: {said}. Nothing of this step was kept; please report it as a defect."
        ) from None
    return frame
