"""Keeping promises: transactions that hold or leave nothing, and rows checked against their schema.

A broken promise is a defect of ours, never of the data: it stops the run and rolls back. Bad data is rows
(ledger.rejected_rows) or findings (facts.findings), and does not come here.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import duckdb
import polars as pl
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaErrors
from pandera.polars import DataFrameSchema

from pipelines.errors import ForPeopleError
from schemas.table import Table, never_blank, promised_values

SLICE_ROWS = 1_000_000


class BrokenPromiseError(ForPeopleError):
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
    others that may not be blank, whether they are.
    Raises BrokenPromiseError with the first values that break it.
    """
    check(promise, connection.execute(f"from ({select}) limit 0", parameters).pl(), name)
    values = promised_values(promise).columns
    columns = ", ".join(
        [
            *(f'"{column}"' for column in values),
            *(
                f'if("{column}" is null, null, true) as "{column}"'
                for column in never_blank(promise)
                if column not in values
            ),
        ]
    )
    rows = 0
    for batch in connection.execute(f"select {columns} from ({select})", parameters).to_arrow_reader(SLICE_ROWS):  # noqa: S608 - names of ours
        frame = pl.DataFrame(pl.from_arrow(batch))
        rows += frame.height
        _check_values(promise, frame, name)
    return rows


def check(promise: type[Table], frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """`frame`, if it keeps `promise`. Raises BrokenPromiseError with the first values that break it."""
    _check_columns(promise, name, *frame.schema.items())
    _check_values(promise, frame, name)
    return frame


@cache
def _check_columns(promise: type[Table], name: str, *columns: tuple[str, pl.DataType]) -> None:
    """The columns and their types: what is right once is so for all rows that have them."""
    _hold_to(promise.to_schema(), pl.DataFrame(schema=dict(columns)), ValidationDepth.SCHEMA_ONLY, name)


def _check_values(promise: type[Table], frame: pl.DataFrame, name: str) -> None:
    """Blanks, of all columns at once (pandera asks a query for each, however few rows there are), then values."""
    filled = never_blank(promise)
    if any(frame.select(filled).null_count().row(0)):
        _hold_to(promise.to_schema().select_columns(filled), frame.select(filled), ValidationDepth.DATA_ONLY, name)
    values = promised_values(promise)
    if frame.height and values.columns:
        _hold_to(values, frame.select([*values.columns]), ValidationDepth.DATA_ONLY, name)


def _hold_to(promise: DataFrameSchema, frame: pl.DataFrame, depth: ValidationDepth, name: str) -> None:
    try:
        with config_context(validation_depth=depth):
            promise.validate(frame, lazy=True)
    except SchemaErrors as broken:
        cases = broken.failure_cases.head(3).select("column", "check", "failure_case").rows()
        said = "; ".join(f"{column} {failure!r} breaks {rule}" for column, rule, failure in cases)
        raise BrokenPromiseError(
            f"{name}: {said}. Nothing of this step was kept; please report it as a defect."
        ) from None
