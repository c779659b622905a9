"""Ingest of batches and of stated balances: the same promises as for entries and members."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.homes import ACME, Installation, csv, make_home
from tests.tables import assert_rows, rows


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return make_home(tmp_path)


def land(home: Installation, path: str, text: str) -> None:
    home.land(f"acme/{path}", csv({key: value or "" for key, value in row.items()} for row in rows(text)))


def ledger(home: Installation, table: str) -> list[dict[str, Any]]:
    with home.opened() as shard:
        return shard.connection.execute(f"select * from ledger.{table} order by all").pl().to_dicts()


BATCH = """
    batch_id  issued_at         issued_by_name  issued_as  declared_recipients  declared_total  reason
    sale      2026-06-01T09:00  Ann Lee         family     1247                 12,470.00       Promotion
"""


def test_a_batch_is_taken_with_its_time_local_and_its_figures_exact(home: Installation) -> None:
    home.land("acme/batches/june.csv", csv(rows(BATCH)))
    assert home.ingest().counts == [(1, 1, 0, 0)]
    (sale,) = ledger(home, "batches")
    assert sale["issued_at"].isoformat() == "2026-06-01T13:00:00+00:00"
    assert (sale["declared_recipients"], sale["declared_total"]) == (1247, Decimal(12470))


def test_a_later_row_of_a_batch_replaces_the_earlier_one_and_the_same_file_changes_nothing(home: Installation) -> None:
    land(home, "batches/1.csv", "batch_id  reason\nsale      first\nsale      second\nother     kept")
    assert home.ingest().counts == [(3, 3, 0, 0)]
    assert_rows(ledger(home, "batches"), "batch_id  reason\nother     kept\nsale      second")
    assert home.ingest().counts == []
    land(home, "batches/2.csv", "batch_id  description\nsale      third")
    home.ingest()
    assert_rows(ledger(home, "batches"), "batch_id  reason  description\nother     kept\nsale              third")


def test_a_batch_that_is_told_again_is_known_since_it_was_first_told(home: Installation) -> None:
    land(home, "batches/1.csv", "batch_id  reason\nsale      first")
    home.ingest()
    (first,) = ledger(home, "batches")
    land(home, "batches/2.csv", "batch_id  reason\nsale      second\nother     new")
    home.ingest()
    other, second = ledger(home, "batches")
    assert (second["reason"], second["recorded_at"]) == ("second", first["recorded_at"])
    assert other["recorded_at"] > first["recorded_at"]


def test_each_wrong_value_of_a_batch_sets_its_row_aside_with_a_reason(home: Installation) -> None:
    wrong = {
        "batch_id": ("", "batch_id:missing"),
        "issued_at": ("June", "issued_at:not_a_time"),
        "issued_as": ("household", "issued_as:unknown_issued_as"),
        "declared_recipients": ("1,247", "declared_recipients:not_a_whole_number"),
        "declared_total": ("12.345", "declared_total:finer_than_any_unit"),
    }
    good = {
        "batch_id": "b",
        "issued_at": "2026-06-01",
        "issued_as": "csv",
        "declared_recipients": "3",
        "declared_total": "1",
    }
    told = [{**good, column: value} for column, (value, _) in wrong.items()]
    told += [{**good, "declared_total": "-1.00"}, {**good, "declared_total": "ten"}, good]
    home.land("acme/batches/b.csv", csv(told))
    taken = home.ingest()
    assert taken.counts == [(8, 1, 0, 7)]
    assert [f"{row['column_name']}:{row['reason']}" for row in taken.rejected] == [
        *(reason for _, reason in wrong.values()), "declared_total:negative_total", "declared_total:not_an_amount",
    ]  # fmt: skip
    assert all(row["explanation"] for row in taken.rejected)


def test_a_batch_that_comes_right_later_closes_the_row_that_was_set_aside(home: Installation) -> None:
    land(home, "batches/1.csv", "batch_id  declared_total\nsale      lots")
    assert len(home.ingest().open) == 1
    land(home, "batches/2.csv", "batch_id  declared_total\nsale      5.00")
    assert not home.ingest().open


BALANCE = """
    member_id  balance_type  as_of       balance
    ada                      2026-06-01   10.00
    ada        winston       2026-06-01       3
    bob                      2026-06-01   -2.50
"""


def test_a_stated_balance_is_of_the_local_days_start_and_may_be_overdrawn(home: Installation) -> None:
    land(home, "balances/june.csv", BALANCE)
    assert home.ingest().counts == [(3, 3, 0, 0)]
    assert_rows(
        ledger(home, "balances"),
        """
        member_id  balance_type  as_of_day   as_of             balance
        ada        default       2026-06-01  2026-06-01T04:00  10.00
        ada        winston       2026-06-01  2026-06-01T04:00  3.00
        bob        default       2026-06-01  2026-06-01T04:00  -2.50
    """,
    )


def test_the_same_balance_again_is_a_duplicate_and_another_for_that_day_is_set_aside(home: Installation) -> None:
    land(home, "balances/1.csv", BALANCE)
    home.ingest()
    land(home, "balances/2.csv", BALANCE.replace("10.00", "11.00"))
    taken = home.ingest()
    assert taken.counts == [(3, 0, 2, 1)]
    assert taken.reasons == [(2, "balance", "balance_changed")]
    assert 'balance "11.00" is not what this account was said to hold' in taken.explanation
    land(
        home,
        "balances/3.csv",
        "member_id  as_of       balance\ncy         2026-06-01  1.00\ncy         2026-06-01  2.00",
    )
    assert home.ingest().counts == [(2, 1, 0, 1)]


def test_balances_whose_member_and_type_read_alike_together_are_two(home: Installation) -> None:
    home.configure(ACME + '"gift card" = { unit = "USD" }\ncard = { unit = "USD" }\n')
    rows = [("ann", "gift card", "1.00"), ("ann gift", "card", "2.00")]
    home.land(
        "acme/balances/b.csv",
        csv([{"member_id": m, "balance_type": b, "as_of": "2026-06-01", "balance": a} for m, b, a in rows]),
    )
    assert home.ingest().counts == [(2, 2, 0, 0)]


def test_each_wrong_value_of_a_balance_sets_its_row_aside_with_a_reason(home: Installation) -> None:
    good = {"member_id": "ada", "balance_type": "", "as_of": "2026-06-01", "balance": "1.00"}
    wrong = [
        ({"member_id": ""}, "member_id:missing"),
        ({"balance_type": "stars"}, "balance_type:unknown_balance_type"),
        ({"as_of": ""}, "as_of:missing"),
        ({"as_of": "2026-06-01T12:00"}, "as_of:not_a_date"),
        ({"as_of": "2026-06-31"}, "as_of:not_a_date"),
        ({"as_of": "2199-06-01"}, "as_of:in_the_future"),
        ({"balance": ""}, "balance:missing"),
        ({"balance": "1e2"}, "balance:not_an_amount"),
        ({"balance": "1.001"}, "balance:too_many_decimals"),
        ({"balance_type": "winston", "balance": "1.5"}, "balance:too_many_decimals"),
    ]
    home.land("acme/balances/b.csv", csv([*({**good, **change} for change, _ in wrong), good]))
    taken = home.ingest()
    assert taken.counts == [(11, 1, 0, 10)]
    assert [f"{row['column_name']}:{row['reason']}" for row in taken.rejected] == [reason for _, reason in wrong]
    assert all(row["explanation"] for row in taken.rejected)


def test_a_balance_that_comes_right_later_closes_the_row_that_was_set_aside(home: Installation) -> None:
    land(
        home,
        "balances/1.csv",
        "member_id  as_of       balance\nada        2026-06-01  lots\nbob        2026-06-01  many",
    )
    assert len(home.ingest().open) == 2
    land(home, "balances/2.csv", "member_id  as_of       balance\nada        2026-06-01  5.00")
    assert [row["row_id"] for row in home.ingest().open] == ["bob 2026-06-01 default"]


def test_once_a_balance_type_is_declared_the_rows_that_waited_for_it_go_in(home: Installation) -> None:
    land(home, "balances/1.csv", "member_id  balance_type  as_of       balance\nada        stars         2026-06-01  5")
    assert len(home.ingest().open) == 1
    home.configure(ACME + 'stars = { unit = "STR", decimals = 0 }\n')
    assert not home.ingest().open
    assert len(ledger(home, "balances")) == 1
