"""Views of the ledger: tables that are worked out when they are read, so that they are always as of now.

Balances change while nobody writes, as credits expire; kept as rows they would be those of the last run, and a history
of ten million rows would be written twice. What a view says is in sql/facts, what it promises in schemas/facts.py.
"""

import hashlib
from datetime import datetime

import duckdb
import polars as pl

from pipelines import models, promises
from schemas import facts
from schemas.table import Table

VIEWS: dict[str, type[Table]] = {
    "facts.customer_balances": facts.CustomerBalances,
    "facts.balance_history": facts.BalanceHistory,
}
PREVIEW_ROWS = 10
# How many members a preview is of, the first that the table of movements happens to have: to find those with the
# first ids would mean to sort all of them. Of a history one is enough, and quicker by far than several.
_PREVIEWED = {"facts.customer_balances": PREVIEW_ROWS, "facts.balance_history": 1}
_LOOKED_AT = 1_000


def create(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the views that a ledger lacks, or has otherwise; the others are not touched, so that its file stays."""
    known = dict(
        connection.execute(
            "select schema_name || '.' || view_name, comment from duckdb_views()"
            " where database_name = current_database() and not internal"
        ).fetchall()
    )
    for name in VIEWS:
        sql = models.load(name).sql
        version = hashlib.sha256(sql.encode()).hexdigest()
        if known.get(name) != version:
            connection.execute(f"create or replace view {name} as {sql}")
            connection.execute(f"comment on view {name} is '{version}'")


def preview(connection: duckdb.DuckDBPyConnection, name: str) -> pl.DataFrame:
    """Rows of a few members, for the price of reading theirs alone; held against what the view promises.

    Raises BrokenPromiseError.
    """
    members = connection.execute(
        "select distinct merchant_id, member_id from (select merchant_id, member_id from facts.movements limit $1)"
        " qualify merchant_id = min(merchant_id) over () order by all limit $2",
        [_LOOKED_AT, _PREVIEWED[name]],
    ).fetchall()
    # Of a single member it must be "=", which DuckDB passes on to what the view joins, unlike "in".
    theirs = " or ".join("member_id = ?" for _ in members) or "false"
    rows = connection.execute(
        f"select * from {name} where merchant_id = ? and ({theirs}) order by all limit {PREVIEW_ROWS}",  # noqa: S608 - names of ours and question marks
        [members[0][0] if members else None, *(member_id for _, member_id in members)],
    ).pl()
    return promises.check(VIEWS[name], rows, name)


def figures(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> dict[str, dict[str, float]]:
    """Of each view how many rows it has as of then, and what they come to in each unit, as Dagster plots them."""
    # Each movement is a row of history, each account's first one a row of balances, and the sums are the same: so
    # neither view has to be worked out.
    by_unit = connection.execute(
        "select unit, count(*) filter (sequence = 1), count(*), sum(signed_amount) from facts.movements"
        " where occurred_at <= $1 group by unit order by unit",
        [as_of],
    ).fetchall()
    totals = {f"total_{unit}": float(total) for unit, _, _, total in by_unit}
    accounts, movements = (sum(row[place] for row in by_unit) for place in (1, 2))
    return {
        "facts.customer_balances": {"dagster/row_count": accounts, **totals},
        "facts.balance_history": {"dagster/row_count": movements, **totals},
    }
