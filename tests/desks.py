"""A small merchant whose people operate on its ledger: access.toml, entries from text, and operations asked for.

Operations run here as a job runs them, without Dagster: what has landed is taken, facts are brought up to date, the
operation is done, and facts again.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from pipelines import ingest, replay
from pipelines.operations import engine, untold
from pipelines.operations.catalogue import OPERATIONS
from pipelines.operations.engine import Desk, Outcome, Preview
from pipelines.operations.requests import ProcessPreview, Who
from pipelines.shards import Shard
from tests.homes import ACME, Installation, entries_csv, make_home

ACCESS = """
[actors."ann@acme.example"]
name = "Ann Lee"
role = "administrator"
merchants = ["acme"]
[actors."bo@acme.example"]
name = "Bo Sato"
role = "administrator"
merchants = ["*"]
[actors."olga@acme.example"]
name = "Olga Roth"
role = "owner"
merchants = ["acme"]
[actors."vera@acme.example"]
name = "Vera Lind"
role = "viewer"
merchants = ["acme"]
[actors."eve@elsewhere.example"]
name = "Eve Stone"
role = "owner"
merchants = ["elsewhere"]
"""
ANN, BO, OLGA = "ann@acme.example", "bo@acme.example", "olga@acme.example"
VERA, EVE = "vera@acme.example", "eve@elsewhere.example"


@dataclass
class Office:
    """Acme, and what is asked of it."""

    installation: Installation

    @property
    def home(self) -> Path:
        return self.installation.home.path

    def settings(self, text: str) -> None:
        """More of merchants.toml, in acme's table."""
        self.installation.configure(ACME.replace('currency = "USD"', f'currency = "USD"\n{text}'))

    def land(self, entries: str, name: str = "entries") -> None:
        """Put entries from aligned text into landing/."""
        self.installation.land(f"acme/entries/{name}.csv", entries_csv(entries))

    @contextmanager
    def desk(self, request: Who, kind: str, run_id: str | None = None) -> Iterator[Desk]:
        """The ledger, up to date before and after."""
        run_id = run_id or str(uuid4())
        with self.installation.opened() as shard:
            known = shard.connection.execute("select coalesce(max(event), 0) from ledger.operations").fetchone()
            assert known is not None
            ingest.ingest(shard, say=self.installation.said.append)
            replay.replay(shard.connection, shard.merchants)
            yield engine.desk_for(
                self.installation.home,
                shard,
                request,
                interface="cli",
                run_id=run_id,
                root_run_id=run_id,
                kind=kind,
                known_event=known[0],
            )
            replay.replay(shard.connection, shard.merchants)

    def do(self, kind: str, *, actor: str = ANN, run_id: str | None = None, **asked: Any) -> Outcome:
        """Perform an operation. Raises RefusedError."""
        operation = OPERATIONS[kind]
        request = operation.request(merchant="acme", actor=actor, **asked)
        with self.desk(request, kind, run_id) as desk:
            outcome = engine.perform(desk, operation, request)
        untold.forget(self.installation.home, "acme", outcome.operation_id)
        return outcome

    def preview(self, kind: str, *, actor: str = OLGA, **asked: Any) -> Preview:
        """Preview an operation. Raises RefusedError."""
        operation = OPERATIONS[kind]
        request = operation.request(merchant="acme", actor=actor, **asked)
        with self.desk(request, kind) as desk:
            return engine.preview(desk, operation, request)

    def process(
        self,
        preview: Preview | str,
        *,
        kind: str = "",
        actor: str = OLGA,
        exclude: Sequence[str] = (),
        approved_by: str = "",
    ) -> Outcome:
        """Process a preview, as one of its own kind unless another is given. Raises RefusedError."""
        preview_id = preview if isinstance(preview, str) else preview.preview_id
        request = ProcessPreview(
            merchant="acme", actor=actor, approved_by=approved_by, preview_id=preview_id, exclude=[*exclude]
        )
        with self.desk(request, "process") as desk:
            operation = OPERATIONS[kind or preview_id.rpartition("-")[0]]
            return engine.process(desk, operation, preview_id, exclude, request)

    @contextmanager
    def shard(self) -> Iterator[Shard]:
        """The shard, with what has landed taken and replayed."""
        with self.installation.opened() as shard:
            ingest.ingest(shard, say=self.installation.said.append)
            replay.replay(shard.connection, shard.merchants)
            yield shard

    def rows(self, select: str) -> list[dict[str, Any]]:
        """What the ledger says."""
        with self.shard() as shard:
            return shard.connection.execute(select).pl().to_dicts()

    def balance(self, member: str, balance_type: str = "default") -> str:
        """What a member has now, as text."""
        (row,) = self.rows(
            "select coalesce(sum(signed_amount), 0)::varchar as balance from facts.movements"
            f" where member_id = '{member}' and balance_type = '{balance_type}' and occurred_at <= now()"
        )
        return f"{float(row['balance']):.2f}"


def make_office(folder: Path) -> Office:
    """Acme with Ann, Bo (administrators), Olga (owner), Vera (viewer), and no entries."""
    office = Office(make_home(folder))
    office.installation.home.access_file.write_text(ACCESS, encoding="utf-8")
    return office


def end_of_process() -> None:
    """What the kernel does where the process of an operation is gone: its locks are free."""
    for file in untold._held.values():
        os.close(file)
    untold._held.clear()
