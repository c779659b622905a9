"""Small homes for tests: merchants.toml and landing files from text, a shard opened, files taken in.

What the ledger then holds is asked of it in SQL.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines import ingest
from pipelines.ingest import IngestResult
from pipelines.reading import FileOutcome
from pipelines.settings import Home, read_merchants
from pipelines.shards import Shard, by_shard, open_shard
from tests.tables import rows

ACME = """
[merchants.acme]
name = "Acme"
timezone = "America/New_York"
currency = "USD"
[merchants.acme.balance_types]
gift = { unit = "USD" }
winston = { unit = "TKN", decimals = 0 }
"""
ENTRY = {"entry_type": "created", "occurred_at": "2026-06-01T12:00Z", "member_id": "ada", "amount": "10.00"}


@dataclass
class Installation:
    """A home below a test's tmp_path."""

    home: Home
    said: list[str] = field(default_factory=list)

    def configure(self, text: str) -> None:
        """Write merchants.toml."""
        self.home.merchants_file.write_text(text, encoding="utf-8")

    def land(self, path: str, content: str | bytes) -> Path:
        """Put a file below landing/."""
        file = self.home.landing / path
        file.parent.mkdir(parents=True, exist_ok=True)
        former = file.stat().st_mtime_ns if file.exists() else 0
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        # A filesystem's clock may stand still between two writes, and a change must be seen.
        if former:
            os.utime(file, ns=(former + 1_000_000, former + 1_000_000))
        return file

    @contextmanager
    def opened(self, name: str = "main") -> Iterator[Shard]:
        """The shard `name`, as a run has it."""
        merchants = by_shard(read_merchants(self.home))[name]
        with open_shard(self.home, name, merchants, wait_s=0, say=self.said.append) as shard:
            yield shard

    def ingest(self, *, retry: bool = False) -> "Ingested":
        """Run an ingest on the shard `main`, and keep what its ledger then says."""
        with self.opened() as shard:
            result = ingest.ingest(shard, retry=retry, say=self.said.append)
            tables = {
                name: shard.connection.execute(f"select * from ledger.{name} order by {order}").pl().to_dicts()
                for name, order in ORDERS.items()
            }
        return Ingested(result, tables)


ORDERS = {
    "entries": "merchant_id, event, source_row",
    "members": "merchant_id, member_id",
    "files": "merchant_id, event",
    "rejected_rows": "merchant_id, event, source_row",
    "landing": "merchant_id, path",
}


@dataclass(frozen=True)
class Ingested:
    """What an ingest did, and the ledger after it."""

    result: IngestResult
    tables: Mapping[str, list[dict[str, Any]]]

    @property
    def counts(self) -> list[tuple[int, int, int, int]]:
        """Of each file taken: read, accepted, duplicates, rejected."""
        return [counts(outcome) for outcome in self.result.files]

    @property
    def entries(self) -> list[dict[str, Any]]:
        return self.tables["entries"]

    @property
    def members(self) -> list[dict[str, Any]]:
        return self.tables["members"]

    @property
    def rejected(self) -> list[dict[str, Any]]:
        """Every row that was ever set aside."""
        return self.tables["rejected_rows"]

    @property
    def open(self) -> list[dict[str, Any]]:
        """Rows that are still set aside."""
        return [row for row in self.rejected if row["closed_event"] is None]

    @property
    def reasons(self) -> list[tuple[int, str | None, str]]:
        """Of each row that is still set aside: its number, the column and the reason."""
        return [(row["source_row"], row["column_name"], row["reason"]) for row in self.open]

    @property
    def explanation(self) -> str:
        """Of the only row that is set aside."""
        (row,) = self.open
        return str(row["explanation"])


def counts(outcome: FileOutcome) -> tuple[int, int, int, int]:
    """Read, accepted, duplicates, rejected."""
    return outcome.rows_read, outcome.accepted, outcome.duplicates, outcome.rejected


def make_home(folder: Path, merchants: str = ACME) -> Installation:
    """A home with these merchants and nothing landed."""
    made = Installation(Home(folder / "home"))
    made.home.path.mkdir(parents=True)
    made.configure(merchants)
    return made


def entries_csv(text: str) -> str:
    """An entries file from aligned text. What it does not say of a row: ada's 10.00, created on 1 June 2026."""
    return csv({**ENTRY, **{name: value for name, value in row.items() if value is not None}} for row in rows(text))


def csv(table: Any) -> str:
    """A CSV file of mappings; a value with a delimiter, a quote or a line end in it is quoted."""
    written = [dict(row) for row in table]
    columns = list(dict.fromkeys(name for row in written for name in row))
    lines = [columns, *([row.get(name) or "" for name in columns] for row in written)]
    return "".join(",".join(_cell(str(value)) for value in line) + "\n" for line in lines)


def _cell(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if set(value) & set(',"\n\r') else value
