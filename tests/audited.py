"""Audits of small ledgers: entries, members, batches and stated balances as aligned text, and what comes of them.

What the rules should find is for the tests to say.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.settings import Anomalies, Merchant
from schemas import ledger as schemas
from schemas.table import duckdb_columns
from tests.ledgers import Ledger, Rows, instant, merchant
from tests.reported import Report, ledger_of, month, report_of
from tests.tables import rows

Told = str | Iterable[Mapping[str, Any]]
DEFAULTS: dict[str, Any] = {
    "merchant_id": "acme",
    "recorded_at": "2026-07-02T00:00",
    "balance_type": "default",
    "source_file": "test.csv",
    "source_row": 2,
    "file_event": 1,
    "event": 1,
}


def store(**settings: Any) -> Merchant:
    """A merchant in UTC; thresholds by their names."""
    thresholds = {name: settings.pop(name) for name in Anomalies.model_fields if name in settings}
    return merchant(**{"timezone": "UTC", "anomalies": Anomalies(**thresholds), **settings})


def audited_ledger(
    entries: Told, *merchants: Merchant, members: str = "", batches: str = "", balances: str = ""
) -> Ledger:
    """A ledger with all of these, replayed."""
    ledger = ledger_of(entries, *(merchants or (store(),)), members=members)
    insert(ledger, "batches", rows(batches))
    insert(ledger, "balances", rows(balances))
    return ledger


def audit(
    entries: Told, *merchants: Merchant, name: str = "2026-06", as_of: str | None = None, **datasets: str
) -> Report:
    """What the tables hold of a month of the first merchant."""
    ledger = audited_ledger(entries, *merchants, **datasets)
    return report_of(ledger, month(ledger, name, as_of=as_of))


def table(report: Report, name: str) -> Rows:
    """The rows of a table of audits."""
    return Rows(report.contents.tables[f"audits.{name}"].to_dicts())


def flags(report: Report, rule: str | None = None) -> Rows:
    """The flags of a rule, or all."""
    found = table(report, "anomaly_flags")
    return found.where(rule=rule) if rule else found


def insert(ledger: Ledger, dataset: str, told: Iterable[Mapping[str, Any]]) -> None:
    """Put rows into ledger.batches or ledger.balances as ingest would."""
    promise = {"batches": schemas.Batches, "balances": schemas.Balances}[dataset]
    for row in told:
        said = {**DEFAULTS, **{name: value for name, value in row.items() if value is not None}}
        if dataset == "balances":
            said["as_of_day"] = said["as_of"]
            said["balance_id"] = f"{said['member_id']} {said['balance_type']} {said['as_of']}"
        values = {
            name: instant(said[name]) if kind == "TIMESTAMPTZ" and name in said else said.get(name)
            for name, kind in duckdb_columns(promise).items()
        }
        marks = ", ".join(f"${name}::{kind}" for name, kind in duckdb_columns(promise).items())
        ledger.connection.execute(f"insert into ledger.{dataset} select {marks}", values)
