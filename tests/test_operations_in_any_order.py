"""Operations, ingests, reports and rebuilds in any order: the invariants hold, and a rebuild gives the same ledger."""

import shutil
import tempfile
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pipelines import periods, replay, reports
from pipelines.operations.requests import RefusedError
from pipelines.publish import publish
from pipelines.rebuild import rebuild
from pipelines.workbook import contents_of
from tests.desks import BO, OLGA, Office, make_office

MEMBERS = st.sampled_from(["ada", "ben", "cy"])
TYPES = st.sampled_from(["default", "gift"])
AMOUNTS = st.integers(1, 2_000).map(lambda cents: f"{cents / 100:.2f}")
OTHER = {"reason": "Other reason", "other_reason": "Any"}


class AnyOrder(RuleBasedStateMachine):
    """One merchant, three members, two balance types, and batches. What is refused is part of the story."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="rollforward-test-"))
        self.office: Office = make_office(self.folder)
        self.files = 0
        self.previews: list[str] = []

    def teardown(self) -> None:
        try:
            self.a_rebuild_is_the_same()
        finally:
            shutil.rmtree(self.folder)

    @rule(
        member=MEMBERS, balance_type=TYPES, amount=AMOUNTS, batch=st.sampled_from(["", "sale"]), day=st.integers(1, 20)
    )
    def credits_land(self, member: str, balance_type: str, amount: str, batch: str, day: int) -> None:
        self.files += 1
        header = "entry_id,entry_type,occurred_at,member_id,balance_type,amount,batch_id"
        rows = [f"f{self.files},created,2026-10-{day:02d}T12:00Z,{member},{balance_type},{amount},{batch}"]
        rows.append(f"s{self.files},redeemed,2026-10-{day + 5:02d}T12:00Z,{member},{balance_type},0.50,")
        self.office.installation.land(f"acme/entries/{self.files}.csv", "\n".join([header, *rows]))

    @rule(member=MEMBERS, balance_type=TYPES, amount=AMOUNTS, sign=st.sampled_from(["", "-"]))
    def someone_adjusts(self, member: str, balance_type: str, amount: str, sign: str) -> None:
        self.ask("adjust", member=member, balance_type=balance_type, amount=sign + amount, **OTHER)

    @rule(member=MEMBERS, balance_type=TYPES)
    def an_owner_removes_a_balance(self, member: str, balance_type: str) -> None:
        self.ask("remove-balance", actor=OLGA, member=member, balance_type=balance_type, reason="Any")

    @rule(destination=TYPES)
    def an_owner_merges(self, destination: str) -> None:
        source = "gift" if destination == "default" else "default"
        self.ask("merge-balance-types", actor=OLGA, sources=[source], destination=destination)

    @rule(amount=AMOUNTS)
    def an_owner_previews_another_amount(self, amount: str) -> None:
        with suppress(RefusedError):
            self.previews.append(
                self.office.preview("adjust-batch", batch="sale", amount=amount, reason="Any").preview_id
            )

    @rule()
    def an_owner_previews_a_reversal(self) -> None:
        with suppress(RefusedError):
            made = self.office.preview("reverse-batch", batch="sale", reason="Any", unused_only=True)
            self.previews.append(made.preview_id)

    @precondition(lambda self: self.previews)
    @rule(data=st.data())
    def a_preview_is_processed(self, data: st.DataObject) -> None:
        preview = data.draw(st.sampled_from(self.previews))
        before = self.entries_of(preview)
        try:
            done = self.office.process(preview)
        except RefusedError:
            assert self.entries_of(preview) == before == 0
        else:
            assert self.entries_of(preview) == done.entries
            assert done.already == (before > 0)

    @rule()
    def october_is_reported(self) -> None:
        with self.office.shard() as shard:
            period = periods.month_of(shard.merchants["acme"], date(2026, 10, 1), now=datetime.now(UTC))
            periods.tell(shard.connection, [period])
            for name in reports.names():
                reports.build(shard.connection, name)
            publish(shard, contents_of(shard.connection, period), "test")

    @rule()
    def a_rebuild_is_the_same(self) -> None:
        with self.office.shard():
            pass
        (rebuilt,) = rebuild(self.office.installation.home, wait_s=0, say=self.office.installation.said.append)
        assert (rebuilt.differences, rebuilt.compared) == ((), True)
        self.previews.clear()

    @invariant()
    def every_invariant_holds(self) -> None:
        with self.office.shard() as shard:
            broken = [result for result in replay.check_invariants(shard.connection, ["acme"]) if not result.holds]
        assert not broken

    def ask(self, kind: str, **asked: Any) -> None:
        with suppress(RefusedError):
            self.office.do(kind, **{"actor": BO, **asked})

    def entries_of(self, operation_id: str) -> int:
        (row,) = self.office.rows(f"select count(*) as n from ledger.entries where operation_id = '{operation_id}'")
        return int(row["n"])


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=2, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.slow
def test_longer_histories() -> None:
    run_state_machine_as_test(
        AnyOrder,
        settings=settings(
            max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
