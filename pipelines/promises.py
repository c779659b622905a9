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

from schemas.table import Table, never_blank, promised_values

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
    """Check the rows of `select` against `promise`; how many there are.

    What may not be blank is counted where it lies; only columns whose values are promised more are read, a slice at a
    time. Raises BrokenPromiseError with the first values that break it.
    """
    check(promise, connection.execute(f"from ({select}) limit 0", parameters).pl(), name)
    filled = [f'"{column}"' for column in never_blank(promise)]
    counts = connection.execute(
        f"select {', '.join(['count(*)', *(f'count({column})' for column in filled)])} from ({select})",  # noqa: S608 - names of ours
        parameters,
    ).fetchone()
    assert counts
    if min(counts) < counts[0]:
        blank = " or ".join(f"{column} is null" for column in filled)
        check(promise, connection.execute(f"from ({select}) where {blank} limit 1", parameters).pl(), name)
    values = promised_values(promise)
    if counts[0] and values.columns:
        read = ", ".join(f'"{column}"' for column in values.columns)
        for batch in connection.execute(f"select {read} from ({select})", parameters).to_arrow_reader(SLICE_ROWS):  # noqa: S608 - names of ours
            _hold_to(values, pl.DataFrame(pl.from_arrow(batch)), ValidationDepth.DATA_ONLY, name)
    return int(counts[0])


def check(promise: type[Table], frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """`frame`, if it keeps `promise`. Raises BrokenPromiseError with the first values that break it."""
    _check_columns(promise, name, *frame.schema.items())
    # All columns at once: for pandera each is a query of its own, however few rows there are.
    if any(frame.select(never_blank(promise)).null_count().row(0)):
        _hold_to(promise.to_schema(), frame, ValidationDepth.DATA_ONLY, name)
    values = promised_values(promise)
    if frame.height and values.columns:
        _hold_to(values, frame.select([*values.columns]), ValidationDepth.DATA_ONLY, name)
    return frame


@cache
def _check_columns(promise: type[Table], name: str, *columns: tuple[str, pl.DataType]) -> None:
    """The columns and their types: what is right once is so for all rows that have them."""
    _hold_to(promise.to_schema(), pl.DataFrame(schema=dict(columns)), ValidationDepth.SCHEMA_ONLY, name)


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
