"""What a table's promise is made of: the base class of all schemas, and the few kinds of columns there are.

A schema is the one place where a table's columns are named: the DuckDB table, the pandera check, the column
schema in Dagster and the About sheet are all made from it. What a single table promises does not belong here.
"""

from functools import cache
from typing import Any, cast

import pandera.engines.polars_engine as engine
import pandera.polars as pa
import polars as pl

MONEY_PRECISION, TOTAL_PRECISION, MONEY_SCALE = 18, 38, 4

Money = engine.Decimal
Total = engine.Decimal
Instant = engine.DateTime
LocalTime = engine.DateTime
Text = pl.String
Whole = pl.Int64
Flag = pl.Boolean
Day = pl.Date


class Table(pa.DataFrameModel):
    """A table's columns, in order, with their types, nullability, ranges and meaning."""

    class Config:
        """Exactly these columns, in this order, as these types: nothing is coerced on the way in."""

        strict = True
        ordered = True
        coerce = False


def text(description: str, **promise: Any) -> Any:
    """A text column."""
    return _column(description, promise)


def whole(description: str, **promise: Any) -> Any:
    """A whole number."""
    return _column(description, promise)


def flag(description: str, **promise: Any) -> Any:
    """True or false."""
    return _column(description, promise)


def day(description: str, **promise: Any) -> Any:
    """A date in the merchant's timezone."""
    return _column(description, promise)


def money(description: str, **promise: Any) -> Any:
    """An exact decimal amount, DECIMAL(18,4), in the row's unit."""
    return _column(description, promise, precision=MONEY_PRECISION, scale=MONEY_SCALE)


def total(description: str, **promise: Any) -> Any:
    """A sum of amounts, DECIMAL(38,4): however many of the largest there are, it is exact."""
    return _column(description, promise, precision=TOTAL_PRECISION, scale=MONEY_SCALE)


def instant(description: str, **promise: Any) -> Any:
    """A moment in UTC, to the microsecond."""
    return _column(description, promise, time_unit="us", time_zone="UTC")


def local_time(description: str, **promise: Any) -> Any:
    """A wall-clock time in the merchant's timezone, without offset."""
    return _column(description, promise, time_unit="us", time_zone=None)


def _column(description: str, promise: dict[str, Any], **dtype_kwargs: Any) -> Any:
    if dtype_kwargs:
        promise["dtype_kwargs"] = dtype_kwargs
    return cast(Any, pa.Field(description=description, **promise))


def duckdb_columns(table: type[Table]) -> dict[str, str]:
    """DuckDB type of each column of `table`, in order."""
    return {name: _duckdb_type(column.dtype) for name, column in table.to_schema().columns.items()}


def descriptions(table: type[Table]) -> dict[str, str]:
    """What each column of `table` means, in order."""
    return {name: column.description or "" for name, column in table.to_schema().columns.items()}


@cache
def never_blank(table: type[Table]) -> list[str]:
    """The columns in which every row has something."""
    return [name for name, column in table.to_schema().columns.items() if not column.nullable]


@cache
def promised_values(table: type[Table]) -> pa.DataFrameSchema:
    """What `table` promises of values, beyond that its columns are there, have their types, and are not blank."""
    schema = table.to_schema()
    promised = {name: {"nullable": True} for name, column in schema.columns.items() if column.checks}
    return schema.select_columns([*promised]).update_columns(promised)


def create_statement(qualified_name: str, table: type[Table]) -> str:
    """`create table if not exists` for `qualified_name`, which is a name of ours, never of data."""
    columns = ",\n  ".join(f'"{name}" {kind}' for name, kind in duckdb_columns(table).items())
    return f"create table if not exists {qualified_name} (\n  {columns}\n)"


def _duckdb_type(dtype: Any) -> str:
    kind = dtype.type
    if isinstance(kind, pl.Decimal):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if isinstance(kind, pl.Datetime):
        return "TIMESTAMPTZ" if kind.time_zone else "TIMESTAMP"
    return {pl.String: "VARCHAR", pl.Int64: "BIGINT", pl.Boolean: "BOOLEAN", pl.Date: "DATE"}[kind.base_type()]
