"""Building the tables of reports and audits: for the periods at hand, rows replaced, checked, and counted.

What the rows are is in sql/reports and sql/audits, what they promise in schemas/. Nothing here knows of Dagster or
Excel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from graphlib import TopologicalSorter
from typing import Any

import duckdb
import polars as pl

from pipelines import amounts, anomalies, models, promises, shards
from schemas import audits, reports
from schemas.table import Table, create_statement

PREVIEW_ROWS = 10
# The layers whose tables hold rows of periods, and the schemas of each.
LAYERS = {"reports": reports, "audits": audits}
CHECKS = ("reports.checks", "audits.checks")
FLAGS = "audits.anomaly_flags"
SAID_TIES = 3


# The amounts that are worth a plot over the months. Of others a sum would mean nothing.
_TOTALS = {
    "credits_created": ("amount",),
    "credit_redemptions": ("amount",),
    "credit_redemption_refunds": ("amount",),
    "credit_expirations": ("amount",),
    "credit_adjustments": ("amount",),
    "extant_credits": ("amount_remaining",),
    "summary_statistics": (
        "total_credit_created",
        "total_credit_redeemed",
        "total_credit_redemption_refunded",
        "total_credit_expired",
        "total_credit_adjusted",
        "total_credit_extant",
        "opening_balance",
        "closing_balance",
    ),
}


class TieError(promises.BrokenPromiseError):
    """Totals that should be equal are not."""


@dataclass(frozen=True)
class Built:
    """A report table's rows of the periods at hand: how many, and the first of them."""

    name: str
    rows: int
    preview: pl.DataFrame


@cache
def names() -> tuple[str, ...]:
    """The tables of reports and audits, each after those that it reads."""
    found = [model.name for layer in LAYERS for model in models.load_all(layer)]
    reading = {name: [table for table in reads(name) if table in found] for name in found}
    return tuple(TopologicalSorter(reading).static_order())


def reads(name: str) -> list[str]:
    """The tables that `name` is made from; of the flags, those that any rule reads."""
    return [*models.load(name).reads, *(anomalies.reads() if name == FLAGS else ())]


def promise_of(name: str) -> type[Table]:
    """The schema of such a table: `reports.credits_created` promises `CreditsCreated`."""
    layer, _, table = name.partition(".")
    promise: type[Table] = getattr(LAYERS[layer], table.title().replace("_", ""))
    return promise


def build(connection: duckdb.DuckDBPyConnection, name: str) -> Built:
    """Replace the rows of `name` that belong to settings.periods. Call it in a transaction: a broken promise raises.

    Raises BrokenPromiseError; the former rows are back when the caller has rolled back. Of checks also where
    something does not tie: such a workbook is never written. Raises LedgerUnavailableError where another version of the
    software made the table.
    """
    promise = promise_of(name)
    connection.execute(create_statement(name, promise))
    shards.see_columns(connection, name, promise)
    # An interim report gives way to the next, and to the final one; the final one to itself only.
    connection.execute(
        f"delete from {name} where (merchant_id, period) in (select merchant_id, period from settings.periods)"  # noqa: S608 - names of ours
        " or contains(period, '@') and (merchant_id, split_part(period, '@', 1)) in"
        " (select merchant_id, split_part(period, '@', 1) from settings.periods)"
    )
    if name == FLAGS:
        anomalies.find(connection)
    # A model that sums up other report tables finds former periods there, whose rows are none of this run's business.
    connection.execute(
        f"insert into {name} by name select * from ({models.load(name).sql}) as built"  # noqa: S608 - names of ours
        " semi join settings.periods using (merchant_id, period)"
    )
    rows = promises.validate(connection, promise, _rows_of(name), [], name)
    if name in CHECKS:
        _hold_ties(connection, name)
    preview = connection.execute(f"{_rows_of(name)} limit {PREVIEW_ROWS}").pl()
    return Built(name, rows, preview)


def read(connection: duckdb.DuckDBPyConnection, name: str, merchant_id: str, period: str) -> pl.DataFrame:
    """The rows of one merchant and period, in the order of the sheet, without those two columns."""
    order = "position, unit" if "position" in promise_of(name).to_schema().columns else "all"
    return connection.execute(
        f"select * exclude (merchant_id, period) from {name}"  # noqa: S608 - names of ours
        f" where merchant_id = $1 and period = $2 order by {order}",
        [merchant_id, period],
    ).pl()


def figures(connection: duckdb.DuckDBPyConnection, name: str) -> list[tuple[str, str, Decimal]]:
    """Month (its first day), figure and number, for settings.periods: rows, and what amounts come to in each unit."""
    asked = {"'dagster/row_count'": "count(*)::decimal(38, 4)"}
    for column in _TOTALS.get(name.removeprefix("reports."), ()):
        asked[f"'{'total' if column.startswith('amount') else column}_' || unit"] = f"sum({column})"
    if name in CHECKS:
        asked["'not_ok'"] = "count(*) filter (not ties)"
    return [
        row
        for figure, amount in asked.items()
        for row in connection.execute(
            f"select first_day::varchar, {figure} as figure, {amount}"  # noqa: S608 - names of ours
            f" from settings.periods join {name} using (merchant_id, period) group by all order by all"
        ).fetchall()
    ]


def _hold_ties(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    broken = connection.execute(f"{_rows_of(name)} where not ties order by merchant_id, period, unit, position").pl()
    said = [
        f"{row['merchant_id']}, {row['period']}: {row['side']} is {_shown(row, 'amount')}, but {row['other_side']} is"
        f" {_shown(row, 'other_amount')}, which is {_shown(row, 'difference')}"
        f" {'more' if row['difference'] < 0 else 'less'}"
        for row in broken.head(SAID_TIES).iter_rows(named=True)
    ]
    more = [f"and {broken.height - SAID_TIES:,} more that do not tie"] if broken.height > SAID_TIES else []
    if said:
        raise TieError(f"{'; '.join([*said, *more])}. Nothing of this step was kept; please report it as a defect.")


def _shown(row: Mapping[str, Any], column: str) -> str:
    """The amount with its unit; a difference without its sign."""
    amount = abs(row[column]) if column == "difference" else row[column]
    return f"{amounts.shown(amount, row['decimals'])} {row['unit']}"


def _rows_of(name: str) -> str:
    return f"select * from {name} semi join settings.periods using (merchant_id, period)"  # noqa: S608 - names of ours
