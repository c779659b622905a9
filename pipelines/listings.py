"""Listings: what the ledger holds, as tables for people and files. Read from the shards' copies for readers.

The queries are in sql/listings. No lock is needed here, and nothing is ever written to a ledger.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipelines import amounts, clock, database, models, shards, views
from pipelines.journal import Journal
from pipelines.settings import USUAL_DECIMALS, Home, Merchant, choose_merchants
from pipelines.sheets import is_amount, kind_of
from pipelines.worksheets import Column, FrameWorkbook
from schemas.table import Table, descriptions

# What spreadsheets run: also behind a tab or a line end, and in the wide forms of East Asian keyboards.
FORMULA_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class ListingError(Exception):
    """Why there is nothing to list, and what to do."""


def read(home: Home, name: str, merchant_ids: Sequence[str], filters: Mapping[str, Any]) -> pl.DataFrame:
    """The rows of listing `name` over the merchants' shards, as of now.

    Raises SettingsError for an undeclared merchant, ListingError where nothing has been ingested yet.
    """
    model = models.load(f"listings.{name}")
    frames = []
    for connection, merchants in copies(home, merchant_ids):
        values = {"merchants": [*merchants], "now": datetime.now(UTC), **filters}
        try:
            frames.append(connection.execute(model.sql, model.bind(values)).pl())
        except duckdb.CatalogException:
            continue
    if not frames:
        raise ListingError(
            "Nothing has been reported yet, or not since the ledger was made again. Run `rollforward report --month`"
            " first: a month that was published stays as it is."
        )
    return pl.concat(frames)


def see_version(columns: Mapping[str, Collection[str]]) -> None:
    """See that a copy, whose tables have these columns, has what queries count on, but for what each report makes anew.

    Raises ListingError where another version of the software wrote it.
    """
    for name, promised in _promised().items():
        if not promised <= {*columns.get(name, ())}:
            raise ListingError(
                "The ledger was last written by another version of Rollforward. Run `rollforward ingest`, which brings"
                " it up to date, or says what does."
            )


@cache
def _promised() -> dict[str, frozenset[str]]:
    tables: dict[str, type[Table]] = {**shards.LEDGER_TABLES, **views.VIEWS}
    return {name: frozenset(descriptions(promise)) for name, promise in tables.items()}


def copies(
    home: Home, merchant_ids: Sequence[str]
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Mapping[str, Merchant]]]:
    """Of each shard a connection to its copy for readers, attached as ledger_copy, and which merchants are asked for.

    Raises as `read` does.
    """
    chosen, _ = choose_merchants(home, merchant_ids)
    for shard, merchants in shards.by_shard(chosen).items():
        path = shards.read_copy_path(home, shard)
        if not path.is_file():
            raise ListingError(f"There is no ledger in {home.path} yet. Run `rollforward ingest` or `report` first.")
        with database.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            clock.register(connection)
            try:
                shards.attach(connection, str(path), "ledger_copy", read_only=True)
            except duckdb.Error:
                raise ListingError(
                    f"{path} cannot be read. It is a copy of the ledger for readers: delete it, and run `rollforward"
                    " ingest`, which makes it again."
                ) from None
            columns: dict[str, set[str]] = {}
            for table, column in connection.execute(
                "select schema_name || '.' || table_name, column_name from duckdb_columns()"
                " where database_name = 'ledger_copy'"
            ).fetchall():
                columns.setdefault(table, set()).add(column)
            see_version(columns)
            connection.execute("use ledger_copy")
            shards.tell_settings(connection, merchants)
            yield connection, merchants


def behind(home: Home, merchant_ids: Sequence[str]) -> str | None:
    """What to tell whoever reads a listing, where ledger or journal hold more than the copy that it is read from."""
    chosen, _ = choose_merchants(home, merchant_ids)
    journal = Journal(home)
    for shard, merchants in shards.by_shard(chosen).items():
        if not shards.read_copy_is_current(home, shard):
            copied_at = datetime.fromtimestamp(shards.read_copy_path(home, shard).stat().st_ctime, UTC)
            return (
                f'The ledger "{shard}" is being changed, or its last run did not end well: this is how it was at'
                f" {copied_at:%Y-%m-%d %H:%M} UTC. `rollforward ingest` brings it up to date."
            )
        # Who lists may be allowed to read no more than the copies.
        with (
            suppress(OSError, duckdb.Error),
            database.connect(shards.read_copy_path(home, shard), read_only=True) as connection,
        ):
            newest = f"select merchant_id, max(event) from ({shards.known_events()}) group by merchant_id"  # noqa: S608 - names of ours
            known = dict(connection.execute(newest).fetchall())
            for merchant_id in merchants:
                if max(journal.numbers(merchant_id), default=0) > known.get(merchant_id, 0):
                    return (
                        f'The ledger "{shard}" lacks what the journal has of {merchant_id}, which was given to another'
                        " shard, or whose last run did not end well. `rollforward ingest` brings it up to date."
                    )
    return None


def worded(home: Home, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows as they are read: each amount as text with its unit's decimals, a percentage with two."""
    decimal = {name: kind for name, kind in rows.schema.items() if isinstance(kind, pl.Decimal)}
    if not decimal:
        return rows
    merchants, _ = choose_merchants(home, ())
    units = pl.DataFrame(
        [(merchant.id, *unit) for merchant in merchants.values() for unit in merchant.decimals.items()],
        schema={"merchant_id": pl.String, "unit": pl.String, "decimals": pl.Int64},
        orient="row",
    )
    decimals = pl.col("decimals").fill_null(USUAL_DECIMALS)
    return (
        rows.join(units, on=["merchant_id", "unit"], how="left", maintain_order="left")
        .with_columns(
            amounts.plain_column(name, decimals if is_amount(name, kind) else pl.lit(2))
            for name, kind in decimal.items()
        )
        .drop("decimals")
    )


def as_json(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Objects keyed by the columns, instants as ISO 8601."""
    return [
        {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
        for row in rows.iter_rows(named=True)
    ]


def write_csv(rows: pl.DataFrame, path: Path) -> None:
    """As CSV; text that a spreadsheet might take for a formula is quoted with an apostrophe."""
    rows.select(_as_cell(name, kind) for name, kind in rows.schema.items()).write_csv(path, line_terminator="\r\n")


def _as_cell(name: str, kind: pl.DataType) -> pl.Expr:
    """A column as the text of a CSV's cells; nothing, too, is a blank cell."""
    column = pl.col(name)
    if isinstance(kind, pl.Datetime):
        offset = "" if kind.time_zone is None else "+00:00"
        to_the_second = column.dt.microsecond() == 0
        return (
            pl.when(to_the_second)
            .then(column.dt.strftime(f"%Y-%m-%d %H:%M:%S{offset}"))
            .otherwise(column.dt.strftime(f"%Y-%m-%d %H:%M:%S%.6f{offset}"))
            .alias(name)
        )
    if kind != pl.String:
        return column
    is_formula = pl.any_horizontal(column.str.starts_with(one) for one in FORMULA_BEGINNINGS)
    return pl.when(is_formula).then("'" + column).when(column != "").then(column).alias(name)


def write_xlsx(rows: pl.DataFrame, path: Path) -> None:
    """As a workbook of one sheet."""
    naive = rows.with_columns(pl.col(pl.Datetime("us", "UTC")).dt.replace_time_zone(None))
    columns = [Column(name, kind_of(dtype)) for name, dtype in naive.schema.items()]
    with FrameWorkbook(path) as book:
        book.add_frame("Rows", naive, columns)
