"""The fast replay against the slow plain oracle, on random ledgers: the same movements and findings, always.

However the entries arrive (all at once, in any order, a few at a time) and wherever their merchants' ledgers are.
"""

import os
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import ingest, shards
from pipelines import replay as replays
from pipelines.sample import write_sample
from pipelines.settings import Home
from tests import oracle
from tests.homes import Installation
from tests.ledgers import Ledger, as_merchant, as_policy, insert, open_ledger
from tests.oracle import Policy
from tests.random_ledgers import Entry, ledgers

Row = Mapping[str, Any]
Arrivals = Sequence[Sequence[Entry]]

# `make soak` asks for more.
EXAMPLES = settings(
    max_examples=int(os.environ.get("EXAMPLES", "12")), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TABLES = (
    "ledger.entries",
    *(f"facts.{name}" for name in ("credits", "movements", "findings", "daily_totals", "replayed")),
)


@EXAMPLES
@given(ledgers())
def test_all_entries_at_once_give_what_the_oracle_says(drawn: tuple[list[Entry], dict[str, Policy]]) -> None:
    entries, policies = drawn
    assert_replayed(replay_in_turn([entries], policies), oracle.replay(entries, policies))


@EXAMPLES
@given(ledgers(), st.randoms(use_true_random=False), st.integers(2, 5))
def test_any_order_of_arrival_gives_what_the_oracle_says(
    drawn: tuple[list[Entry], dict[str, Policy]], shuffle: random.Random, times: int
) -> None:
    entries, policies = drawn
    arriving = list(entries)
    shuffle.shuffle(arriving)
    arrivals = [arriving[at::times] for at in range(times)]
    assert_replayed(replay_in_turn(arrivals, policies), oracle.replay(entries, policies))


@EXAMPLES
@given(ledgers(), st.randoms(use_true_random=False))
def test_entries_too_many_to_be_kept_at_hand_give_what_the_oracle_says(
    drawn: tuple[list[Entry], dict[str, Policy]], shuffle: random.Random
) -> None:
    """As for millions: looked up where they are, a few members in a slice, an account in a chunk."""
    entries, policies = drawn
    arriving = list(entries)
    shuffle.shuffle(arriving)
    with mock.patch.multiple(replays, FEW_ENTRIES=-1, SLICE_ENTRIES=4, CHUNK_ENTRIES=1):
        found = replay_in_turn([arriving[::2], arriving[1::2]], policies)
    assert_replayed(found, oracle.replay(entries, policies))


@EXAMPLES
@given(ledgers())
def test_merchants_in_shards_of_their_own_give_what_the_oracle_says(
    drawn: tuple[list[Entry], dict[str, Policy]],
) -> None:
    entries, policies = drawn
    movements: list[Row] = []
    findings: list[Row] = []
    for merchant_id, policy in policies.items():
        own = [entry for entry in entries if entry["merchant_id"] == merchant_id]
        moved, found = replay_in_turn([own], {merchant_id: policy})
        movements += moved
        findings += found
    assert_replayed((movements, findings), oracle.replay(entries, policies))


@EXAMPLES
@given(ledgers(), ledgers())
def test_a_changed_policy_replays_what_it_concerns(
    drawn: tuple[list[Entry], dict[str, Policy]], other: tuple[list[Entry], dict[str, Policy]]
) -> None:
    """The draw order and grace of another world's merchants, once everything has been replayed under one's own."""
    entries, policies = drawn
    changed = {
        merchant_id: replace(policy, draw_order=its.draw_order, refund_grace_days=its.refund_grace_days)
        for (merchant_id, policy), its in zip(policies.items(), [*other[1].values()] * 2, strict=False)
    }
    replay_in_turn([entries], policies)
    ledger = Ledger(_ledger().connection, {name: as_merchant(policy) for name, policy in changed.items()})
    shards.tell_settings(ledger.connection, ledger.merchants)
    ledger.replay()
    assert_replayed((list(ledger.movements), list(ledger.findings)), oracle.replay(entries, changed))


@pytest.mark.slow
def test_a_large_sample_comes_out_of_ingest_and_replay_as_the_oracle_says(tmp_path: Path) -> None:
    home = Installation(Home(tmp_path))
    write_sample(home.home, entries=60_000)
    with (
        home.opened() as shard,
        mock.patch.multiple(replays, FEW_ENTRIES=-1, SLICE_ENTRIES=25_000, CHUNK_ENTRIES=5_000),
    ):
        ingest.ingest(shard, say=home.said.append)
        replays.replay(shard.connection, shard.merchants)
        ledger = Ledger(shard.connection, shard.merchants)
        entries = ledger.rows("ledger.entries", "merchant_id, event, source_row")
        policies = {merchant_id: as_policy(merchant) for merchant_id, merchant in shard.merchants.items()}
        assert_replayed((list(ledger.movements), list(ledger.findings)), oracle.replay(entries, policies))


def replay_in_turn(arrivals: Arrivals, policies: Mapping[str, Policy]) -> tuple[list[Row], list[Row]]:
    """Movements and findings after each of `arrivals` has been ingested and replayed in turn."""
    connection = _ledger().connection
    for table in TABLES:
        connection.execute(f"delete from {table}")
    ledger = Ledger(connection, {name: as_merchant(policy) for name, policy in policies.items()})
    shards.tell_settings(connection, ledger.merchants)
    for event, entries in enumerate(arrivals, start=1):
        if entries:
            insert(connection, entries, event=event)
        ledger.replay()
    return list(ledger.movements), list(ledger.findings)


@cache
def _ledger() -> Ledger:
    """One ledger in memory for all examples: opening one takes longer than replaying one."""
    return open_ledger()


def assert_replayed(actual: tuple[Iterable[Row], Iterable[Row]], expected: tuple[list[Any], list[Any]]) -> None:
    for ours, oracles in zip(actual, expected, strict=True):
        columns = list(oracles[0]) if oracles else []
        by = sorted(columns)

        def told(rows: Iterable[Row], columns: Sequence[str] = by) -> list[tuple[str, ...]]:
            return sorted(tuple(f"{name}={row[name]!s}" for name in columns) for row in map(_plain, rows))

        assert told(ours) == told(oracles)


def _plain(row: Row) -> dict[str, Any]:
    """Decimals and instants as both sides would write them."""
    return {
        name: value.quantize(Decimal("0.0001"))
        if isinstance(value, Decimal)
        else value.astimezone(UTC).isoformat()
        if isinstance(value, datetime)
        else value
        for name, value in row.items()
    }
