"""Batches as of now, from the copies for readers: what `rollforward batches` lists, and View Details of one.

The same queries as the sheets', over one period that holds all there is. No lock is needed, nothing is written.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import polars as pl

from pipelines import clock, listings, models, periods, wording
from pipelines.settings import Home, Merchant
from pipelines.shards import NAME_AND_EMAIL

TABLES = ("audits.batch_recipients", "audits.credits_batches")
# What a list of batches shows of each: all of it is in its exports and in the workbook.
SHOWN = (
    *("merchant_id", "batch_id", "issue_date", "issued_by", "credit_type", "reason", "description"),
    *("recipient_count", "amount_per_customer", "total_amount", "unit", "status", "remaining"),
)


def read(home: Home, merchant_ids: Sequence[str], filters: Mapping[str, Any]) -> pl.DataFrame:
    """The batches that meet the filters of sql/listings/batches.sql, newest first.

    Raises SettingsError for an undeclared merchant, ListingError where nothing has been ingested yet.
    """
    return _listed(home, merchant_ids, "listings.batches", filters).sort(
        "issue_date", "merchant_id", "batch_id", descending=[True, False, False]
    )


def details(home: Home, merchant_ids: Sequence[str], batch_id: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The batch (a row for each unit and merchant that has one of this id) and its recipients.

    Raises as `read` does.
    """
    chosen = only(batch_id)
    return read(home, merchant_ids, chosen), _listed(home, merchant_ids, "listings.batch_recipients", chosen)


def only(batch_id: str) -> dict[str, Any]:
    """The filters of sql/listings/batches.sql that leave this batch."""
    return {**dict.fromkeys(("start", "end", "issuer", "credit_type", "status", "search")), "batch_id": batch_id}


def _listed(home: Home, merchant_ids: Sequence[str], name: str, filters: Mapping[str, Any]) -> pl.DataFrame:
    model = models.load(name)
    return pl.concat(
        [
            connection.execute(model.sql, model.bind(filters)).pl()
            for connection in _audited(home, merchant_ids, datetime.now(UTC))
        ]
    )


def _audited(home: Home, merchant_ids: Sequence[str], now: datetime) -> Iterator[duckdb.DuckDBPyConnection]:
    """Of each shard a connection in whose memory the batches are, as of `now`."""
    for connection, merchants in listings.copies(home, merchant_ids):
        wording.register(connection)
        connection.execute(NAME_AND_EMAIL)
        # The queries name tables by schema alone, so that theirs are views here, and the batches are new.
        connection.execute("use memory")
        for (schema,) in connection.execute(
            "select schema_name from duckdb_schemas() where database_name = 'ledger_copy' and not internal"
        ).fetchall():
            connection.execute(f'create schema if not exists "{schema}"')
        connection.execute("create schema if not exists audits")
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'ledger_copy'"
            " and schema_name in ('ledger', 'facts')"
        ).fetchall():
            connection.execute(f'create view "{schema}"."{table}" as from ledger_copy."{schema}"."{table}"')
        periods.tell(connection, [all_until(merchant, now) for merchant in merchants.values()])
        for name in TABLES:
            connection.execute(f"create table {name} as {models.load(name).sql}")
        yield connection


def all_until(merchant: Merchant, now: datetime) -> periods.Period:
    """The period that holds all there is, as of `now`."""
    tomorrow = clock.day_of(now, merchant.timezone) + timedelta(days=1)
    # Also what happens in this very moment.
    as_of = (now + timedelta(seconds=1)).isoformat()
    return periods.range_of(
        merchant, date(clock.FIRST_YEAR, 1, 2), tomorrow, now=now + timedelta(seconds=2), as_of=as_of
    )
