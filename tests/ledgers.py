"""Small ledgers for tests: entries from aligned text in a DuckDB in memory, replayed.

What a test does not say is filled in: merchant acme, member ada, everything recorded as event 1.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl

from pipelines import database
from pipelines.replay import ReplayResult, replay
from pipelines.settings import BalanceType, Merchant
from pipelines.shards import prepare, tell_settings
from schemas import ledger
from schemas.table import duckdb_columns
from tests.oracle import Policy

DEFAULTS: dict[str, Any] = {
    "merchant_id": "acme",
    "member_id": "ada",
    "amount": "0",
    "priority": 50,
    "system": "balance_credit",
    "source_file": "acme/entries/test.csv",
    "source_row": 2,
    "content_hash": "hash",
    "event": 1,
    "recorded_at": "2030-01-01T00:00",
}
_INSTANTS = ("occurred_at", "recorded_at", "expires_at", "issued_at")


def merchant(merchant_id: str = "acme", **policies: Any) -> Merchant:
    """A merchant in New York that has dollars, gift dollars and the token winston, unless `policies` say otherwise."""
    said = {
        "name": merchant_id.title(),
        "timezone": "America/New_York",
        "currency": "USD",
        "balance_types": {
            "gift": BalanceType(unit="USD"),
            "winston": BalanceType(unit="TKN", decimals=0),
        },
    }
    return Merchant(id=merchant_id, **(said | policies))


def as_merchant(policy: Policy) -> Merchant:
    """The oracle's policy as merchants.toml would say it."""
    return Merchant(
        id=policy.merchant_id,
        name=policy.merchant_id,
        timezone=policy.timezone,
        currency=policy.currency,
        draw_order=policy.draw_order,
        refund_grace_days=policy.refund_grace_days,
        balance_types={
            name: BalanceType(unit=unit, decimals=decimals)
            for name, (unit, decimals) in policy.balance_types.items()
            if name != "default"
        },
    )


def as_policy(merchant: Merchant) -> Policy:
    """What merchants.toml says, as the oracle takes it."""
    currency, decimals = merchant.units["default"]
    days, order = merchant.refund_grace_days, merchant.draw_order
    return Policy(merchant.id, merchant.timezone, currency, decimals, order, days, merchant.units)


@dataclass(frozen=True)
class Rows(Iterable[dict[str, Any]]):
    """Rows of a table of facts, to be narrowed down."""

    all: list[dict[str, Any]]

    def __iter__(self) -> Any:
        return iter(self.all)

    def of(self, *entry_ids: str | None) -> "Rows":
        """Those of these entries; derived expiries are of None."""
        return Rows([row for row in self.all if row["entry_id"] in entry_ids])

    def where(self, **values: Any) -> "Rows":
        """Those that have these values."""
        return Rows([row for row in self.all if all(row[name] == value for name, value in values.items())])


@dataclass(frozen=True)
class Ledger:
    """An open ledger with its merchants."""

    connection: duckdb.DuckDBPyConnection
    merchants: Mapping[str, Merchant]

    def add(self, entries: Iterable[Mapping[str, Any]], **values: Any) -> "Ledger":
        """Put entries in, as their next event."""
        insert(self.connection, entries, **({"event": self._last_event() + 1} | values))
        return self

    def with_merchants(self, *merchants: Merchant) -> "Ledger":
        """The same ledger after merchants.toml has changed."""
        declared = {one.id: one for one in merchants}
        tell_settings(self.connection, declared)
        return Ledger(self.connection, declared)

    def replay(self) -> ReplayResult:
        return replay(self.connection, self.merchants)

    def rows(self, table: str, order: str) -> Rows:
        frame = self.connection.execute(f"select * from {table} order by {order}").pl()
        return Rows(frame.to_dicts())

    @property
    def movements(self) -> Rows:
        return self.rows("facts.movements", "merchant_id, member_id, balance_type, sequence")

    @property
    def findings(self) -> Rows:
        return self.rows("facts.findings", "merchant_id, member_id, occurred_at, entry_id, finding, credit_id")

    @property
    def daily_totals(self) -> Rows:
        return self.rows("facts.daily_totals", "all")

    @property
    def credits(self) -> Rows:
        return self.rows("facts.credits", "merchant_id, credit_id")

    def _last_event(self) -> int:
        row = self.connection.execute("select coalesce(max(event), 0) from ledger.entries").fetchone()
        assert row is not None
        return int(row[0])


def open_ledger(*merchants: Merchant) -> Ledger:
    """A ledger in memory, without entries."""
    declared = {one.id: one for one in merchants or (merchant(),)}
    connection = database.connect()
    prepare(connection, declared)
    return Ledger(connection, declared)


def replayed(entries: Iterable[Mapping[str, Any]], *merchants: Merchant, **values: Any) -> Ledger:
    """A ledger with these entries, replayed at once."""
    opened = open_ledger(*merchants)
    opened.add(entries, **values)
    opened.replay()
    return opened


def insert(connection: duckdb.DuckDBPyConnection, entries: Iterable[Mapping[str, Any]], **values: Any) -> None:
    """Put entries into ledger.entries as ingest would: with the defaults that it applies."""
    filled = [
        _filled({**values, **{name: value for name, value in entry.items() if value is not None}}) for entry in entries
    ]
    types = duckdb_columns(ledger.Entries)
    frame = pl.DataFrame(
        {name: [entry.get(name) for entry in filled] for name in types},
        schema_overrides={name: pl.String for name, kind in types.items() if kind == "VARCHAR"},
        strict=False,
    )
    connection.register("_entries", frame.to_arrow())
    casts = ", ".join(f'"{name}"::{kind} as "{name}"' for name, kind in types.items())
    connection.execute(f"insert into ledger.entries select {casts} from _entries")
    connection.unregister("_entries")


def _filled(entry: dict[str, Any]) -> dict[str, Any]:
    filled = {**DEFAULTS, **entry}
    opens = filled["entry_type"] in ledger.OPENING_TYPES
    if opens:
        filled.setdefault("credit_id", filled["entry_id"])
    if filled["entry_type"] == "redeemed":
        filled.setdefault("redemption_id", filled["entry_id"])
    names = "credit_id" in filled and not opens
    if not names and filled["entry_type"] != "refunded":
        filled.setdefault("balance_type", "default")
    for name in _INSTANTS:
        if isinstance(filled.get(name), str):
            filled[name] = instant(filled[name])
    filled["amount"] = str(Decimal(filled["amount"]))
    if filled.get("original_amount") is not None:
        filled["original_amount"] = str(Decimal(filled["original_amount"]))
    filled["priority"] = int(filled["priority"])
    return filled


def instant(text: str) -> datetime:
    """As tests write it: UTC where it says no offset."""
    said = datetime.fromisoformat(text)
    return said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)
