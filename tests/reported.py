"""Reports of small ledgers: entries as aligned text, replayed in memory, and report tables built of them.

What the tables should hold is for the tests to say. Merchants are in UTC unless a test says otherwise. A report that
is all that a test has of its ledger builds the tables that the test looks at; with EVERY_TABLE=1 all of them, each of
which must then keep its promises and tie (`make soak`).
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl

from pipelines import periods, promises, reports
from pipelines.periods import Period
from pipelines.settings import Merchant
from pipelines.workbook import Contents, contents_of
from tests.ledgers import Ledger, Rows, merchant, replayed
from tests.tables import rows

NOW = datetime(2027, 1, 1, tzinfo=UTC)
MEMBER_COLUMNS = ("email", "first_name", "last_name")
EVERY_TABLE = bool(os.environ.get("EVERY_TABLE"))


@dataclass(frozen=True)
class Report:
    """What the report tables hold of one merchant and period."""

    contents: Contents

    def __getitem__(self, name: str) -> Rows:
        return Rows(self.contents[name].to_dicts())

    def total(self, name: str, unit: str = "USD") -> Decimal:
        """A total of Summary Statistics."""
        (row,) = self["summary_statistics"].where(unit=unit)
        amount = row[name]
        assert isinstance(amount, Decimal)
        return amount


@dataclass(frozen=True)
class _WhenAskedFor(Mapping[str, pl.DataFrame]):
    """The tables of a period, each built when it is first looked at, after those that it reads."""

    connection: duckdb.DuckDBPyConnection
    period: Period
    built: set[str] = field(default_factory=set)

    def __getitem__(self, name: str) -> pl.DataFrame:
        self._build(name)
        return reports.read(self.connection, name, self.period.merchant.id, self.period.name)

    def __iter__(self) -> Iterator[str]:
        return iter(reports.names())

    def __len__(self) -> int:
        return len(reports.names())

    def _build(self, name: str) -> None:
        if name not in self.built:
            self.built.add(name)
            for read in set(reports.reads(name)) & set(self):
                self._build(read)
            with promises.transaction(self.connection):
                reports.build(self.connection, name)


def ledger_of(entries: str | Iterable[Mapping[str, Any]], *merchants: Merchant, members: str = "") -> Ledger:
    """A ledger with these entries, replayed, and these members."""
    told = rows(entries) if isinstance(entries, str) else entries
    ledger = replayed(told, *(merchants or (merchant(timezone="UTC"),)))
    for member in rows(members):
        insert_member(ledger, **member)
    return ledger


def insert_member(ledger: Ledger, **member: str | None) -> None:
    """Put a member into the ledger: member_id, and of merchant_id, email, first_name, last_name what is known."""
    ledger.connection.execute(
        "insert into ledger.members by name select $merchant_id as merchant_id, $member_id as member_id,"
        " $email as email, $first_name as first_name, $last_name as last_name, false as is_employee,"
        " 'members.csv' as source_file, 2 as source_row, 1 as file_event, 1 as event",
        {"merchant_id": "acme", **dict.fromkeys(MEMBER_COLUMNS), **member},
    )


def month(ledger: Ledger, name: str, *, as_of: str | None = None, merchant_id: str = "", now: datetime = NOW) -> Period:
    """A month of the ledger's merchant, the first unless said."""
    of = ledger.merchants[merchant_id] if merchant_id else next(iter(ledger.merchants.values()))
    return periods.month_of(of, periods.parse_month(name), now=now, as_of=as_of)


def dates(ledger: Ledger, first: str, last: str, *, as_of: str | None = None, now: datetime = NOW) -> Period:
    """Free dates of the ledger's first merchant."""
    of = next(iter(ledger.merchants.values()))
    return periods.range_of(of, periods.parse_day(first), periods.parse_day(last), now=now, as_of=as_of)


def build_tables(connection: duckdb.DuckDBPyConnection, told: Sequence[Period]) -> None:
    """Build every report table for these periods, each in a transaction of its own, as a run does."""
    periods.tell(connection, told)
    for name in reports.names():
        with promises.transaction(connection):
            reports.build(connection, name)


def build(ledger: Ledger, *told: Period) -> list[Report]:
    """Build every report table for these periods at once, and read each period's."""
    periods.tell(ledger.connection, told)
    with promises.transaction(ledger.connection):
        for name in reports.names():
            reports.build(ledger.connection, name)
    return [Report(contents_of(ledger.connection, period)) for period in told]


def report(
    entries: str | Iterable[Mapping[str, Any]],
    *merchants: Merchant,
    name: str = "2026-06",
    as_of: str | None = None,
    members: str = "",
) -> Report:
    """The month `name` of the first merchant."""
    ledger = ledger_of(entries, *merchants, members=members)
    return report_of(ledger, month(ledger, name, as_of=as_of))


def report_of(ledger: Ledger, period: Period) -> Report:
    """The report of a ledger that stays as it is."""
    if EVERY_TABLE:
        (built,) = build(ledger, period)
        return built
    periods.tell(ledger.connection, [period])
    return Report(Contents(period, _WhenAskedFor(ledger.connection, period)))
