"""Reports: which rows are in which sheet, what stands in them as of when, and what must tie.

Amounts of movements come from the replay, which has tests of its own; how a sheet looks in Excel is tested with the
workbook.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import periods, reports, shards
from pipelines.periods import Period, PeriodError
from pipelines.promises import BrokenPromiseError
from pipelines.replay import RestatementError
from pipelines.settings import Merchant
from pipelines.workbook import contents_of
from tests import oracle, random_ledgers
from tests.ledgers import Ledger, as_merchant, insert, merchant, open_ledger
from tests.oracle import Policy
from tests.reported import NOW, build, dates, ledger_of, month, report
from tests.tables import assert_rows
from tests.zones import former_rules

UTC_FARM = merchant(timezone="UTC")
TONGA = merchant(timezone="Pacific/Tongatapu")  # UTC+13
PITCAIRN = merchant(timezone="Pacific/Pitcairn")  # UTC-8


# Which movements are in the period


def test_in_utc_plus_13_june_begins_at_eleven_on_the_last_of_may() -> None:
    june = report(
        """
        entry_id  entry_type  occurred_at          amount  expires_at
        may       created     2026-05-31T10:59:59    1.00
        first     created     2026-05-31T11:00:00    2.00
        last      created     2026-06-30T10:59:59    4.00  2026-07-30T11:30
        july      created     2026-06-30T11:00:00    8.00
        """,
        TONGA,
    )
    for name in ("credits_created", "extant_credits"):
        assert_rows(
            [row for row in june[name] if row["credit_id"] != "may"],
            """
            credit_id  created_at           created_at_utc       expires_at
            first      2026-06-01T00:00     2026-05-31T11:00
            last       2026-06-30T23:59:59  2026-06-30T10:59:59  2026-07-31T00:30
        """,
        )
    assert june.total("opening_balance") == Decimal("1.00")
    assert june.total("closing_balance") == Decimal("7.00")


def test_in_utc_minus_8_june_ends_at_eight_on_the_first_of_july() -> None:
    june = report(
        """
        entry_id  entry_type  occurred_at          amount
        may       created     2026-06-01T07:59:59    1.00
        first     created     2026-06-01T08:00:00    2.00
        last      created     2026-07-01T07:59:59    4.00
        july      created     2026-07-01T08:00:00    8.00
        """,
        PITCAIRN,
    )
    assert_rows(
        june["credits_created"],
        """
        credit_id  created_at           created_at_utc
        first      2026-06-01T00:00     2026-06-01T08:00
        last       2026-06-30T23:59:59  2026-07-01T07:59:59
    """,
    )
    assert june.total("opening_balance") == Decimal("1.00")
    assert june.total("closing_balance") == Decimal("7.00")


def test_credit_that_expires_as_the_month_ends_expires_in_the_next_month() -> None:
    ledger = ledger_of("""
        entry_id   entry_type  occurred_at       amount  expires_at
        at_end     created     2026-06-02T00:00    1.00  2026-07-01T00:00:00
        good_till  created     2026-06-02T00:00    2.00  2026-06-30T23:59:59
    """)
    june, july = build(ledger, month(ledger, "2026-06"), month(ledger, "2026-07"))
    assert_rows(
        june["credit_expirations"],
        """
        source_credit_id  amount  expired_at
        good_till           2.00  2026-06-30T23:59:59
    """,
    )
    assert_rows(
        june["extant_credits"],
        """
        credit_id  amount_remaining  expires_at        is_expired
        at_end                 1.00  2026-07-01T00:00  false
    """,
    )
    assert_rows(
        july["credit_expirations"],
        """
        source_credit_id  amount  expired_at
        at_end              1.00  2026-07-01T00:00
    """,
    )


def test_credit_that_expires_at_as_of_is_still_there_and_a_second_later_is_not() -> None:
    ledger = ledger_of("""
        entry_id  entry_type  occurred_at       amount  expires_at
        credit    created     2026-06-02T00:00    1.00  2026-06-15T12:00:00
    """)
    at, after = build(
        ledger,
        month(ledger, "2026-06", as_of="2026-06-15T12:00:00Z"),
        month(ledger, "2026-06", as_of="2026-06-15T12:00:01Z"),
    )
    assert_rows(
        at["credits_created"],
        """
        credit_id  amount_remaining  is_expired
        credit                 1.00  false
    """,
    )
    assert (at.total("total_credit_extant"), at.total("total_credit_expired")) == (Decimal(1), Decimal(0))
    assert_rows(
        after["credits_created"],
        """
        credit_id  amount_remaining  is_expired
        credit                 0.00  true
    """,
    )
    assert (after.total("total_credit_extant"), after.total("total_credit_expired")) == (Decimal(0), Decimal(1))


def test_a_movement_at_as_of_itself_does_not_count() -> None:
    ledger = ledger_of("""
        entry_id  entry_type  occurred_at       amount  redemption_id
        may       created     2026-05-02T00:00   10.00
        early     redeemed    2026-06-01T00:00    3.00
        buy       redeemed    2026-06-15T12:00    4.00
        back      refunded    2026-06-15T12:00    1.00  early
        less      deducted    2026-06-15T12:00    2.00
    """)
    told = build(
        ledger,
        month(ledger, "2026-06", as_of="2026-06-15T12:00:00Z"),
        month(ledger, "2026-06", as_of="2026-06-15T12:00:01Z"),
    )
    names = ("redeemed", "redemption_refunded", "adjusted", "extant")
    at, after = ([int(built.total(f"total_credit_{name}")) for name in names] for built in told)
    assert (at, after) == ([3, 0, 0, 7], [7, 1, -2, 2])
    rests_on = [(row["entries"], row["movements"]) for built in told for row in built["provenance"]]
    assert rests_on == [(2, 2), (5, 5)]


def test_an_expiry_that_lies_ahead_is_no_expiry_yet() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  expires_at
        credit    created     2026-06-02T00:00    1.00  2026-06-20T00:00
    """, as_of="2026-06-10")  # fmt: skip
    assert list(june["credit_expirations"]) == []
    assert june.total("closing_balance") == Decimal("1.00")


def test_a_refund_after_expiry_comes_back_and_expires_again() -> None:
    ledger = ledger_of("""
        entry_id  entry_type  occurred_at       amount  expires_at        redemption_id
        credit    created     2026-05-02T00:00   10.00  2026-06-10T00:00
        buy       redeemed    2026-05-20T00:00    4.00                    buy
        back      refunded    2026-06-15T00:00    4.00                    buy
    """)
    (june,) = build(ledger, month(ledger, "2026-06"))
    assert_rows(
        june["credit_redemption_refunds"],
        """
        refund_id  redemption_id  source_credit_id  amount  refunded_at
        back       buy            credit              4.00  2026-06-15T00:00
    """,
    )
    assert_rows(
        june["credit_expirations"],
        """
        source_credit_id  amount  expired_at
        credit              6.00  2026-06-10T00:00
        credit              4.00  2026-06-15T00:00
    """,
    )
    assert june.total("total_credit_extant") == Decimal(0)


def test_a_month_without_movements_has_empty_sheets_and_carries_its_balance() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount
        may       created     2026-05-02T00:00   10.00
        july      created     2026-07-02T00:00    5.00
    """)
    for name in ("credits_created", "credit_redemptions", "credit_redemption_refunds", "credit_expirations",
                 "credit_adjustments"):  # fmt: skip
        assert list(june[name]) == [], name
    assert june.total("opening_balance") == june.total("closing_balance") == Decimal(10)
    assert june.total("total_credit_change") == Decimal(0)
    assert_rows(
        june["extant_credits"],
        """
        credit_id  amount_remaining
        may                   10.00
    """,
    )


def test_a_merchant_with_nothing_has_a_total_of_0_in_each_of_its_units() -> None:
    june = report([])
    assert_rows(
        june["summary_statistics"].all,
        """
        unit  is_currency  total_credit_created  total_credit_extant  decimals
        TKN   false                        0.00                 0.00         0
        USD   true                         0.00                 0.00         2
    """,
    )
    assert_rows(
        june["roll_forward"],
        """
        unit  balance_type  opening_balance  closing_balance  difference
        TKN   winston                  0.00             0.00        0.00
        USD   default                  0.00             0.00        0.00
        USD   gift                     0.00             0.00        0.00
    """,
    )
    assert all(row["ties"] for row in june["checks"])
    assert len(june["trend"].where(unit="USD").all) == 12
    assert june["breakdowns"].all == []


def test_each_merchant_has_its_own_rows() -> None:
    farm, gym = merchant("farm", timezone="UTC"), merchant("gym", timezone="UTC", balance_types={})
    ledger = ledger_of(
        """
        merchant_id  entry_id  entry_type  occurred_at       amount  expires_at        credit_id  redemption_id  reason
        farm         kept      created     2026-05-06T00:00    5.00                                              Harvest
        farm         credit    created     2026-06-02T00:00   10.00  2026-06-20T00:00                            Harvest
        farm         buy       redeemed    2026-06-03T00:00    4.00
        farm         back      refunded    2026-06-04T00:00    1.00                               buy
        farm         less      deducted    2026-06-05T00:00    2.00
        gym          kept      created     2026-05-06T00:00    6.00                                              Weather
        gym          credit    created     2026-06-02T00:00   20.00  2026-06-20T00:00                            Weather
        gym          buy       redeemed    2026-06-03T00:00    8.00
        gym          back      refunded    2026-06-04T00:00    2.00                               buy
        gym          less      deducted    2026-06-05T00:00    4.00
        gym          odd       reversed    2026-06-06T00:00    1.00                    unknown
        """,
        farm,
        gym,
        members="""
        merchant_id  member_id  first_name
        farm         ada        Ada
        gym          ada        Adele
        """,
    )
    told = [month(ledger, "2026-06", merchant_id=name) for name in ("farm", "gym")]
    of_farm, of_gym = build(ledger, *told)
    assert (of_farm.total("opening_balance"), of_farm.total("total_credit_created")) == (Decimal(5), Decimal(10))
    assert (of_gym.total("opening_balance"), of_gym.total("total_credit_created")) == (Decimal(6), Decimal(20))
    for built, reason, first_name in ((of_farm, "Harvest", "Ada"), (of_gym, "Weather", "Adele")):
        for name in ("credits_created", "extant_credits"):
            assert [(row["reason"], row["first_name"]) for row in built[name]] == [(reason, first_name)], name
        for name in ("credit_redemptions", "credit_redemption_refunds", "credit_expirations", "credit_adjustments"):
            found = [(row["source_credit_reason"], row["first_name"]) for row in built[name]]
            assert found == [(reason, first_name)], name
    rests_on = [row for built in (of_farm, of_gym) for row in built["provenance"]]
    assert [(row["entries"], row["movements"], row["findings"]) for row in rests_on] == [(5, 6, 0), (6, 6, 1)]


# What stands in the rows of credits


def test_a_row_of_credits_created_says_who_what_when_and_why() -> None:
    entry = {
        "entry_id": "e-1", "entry_type": "created", "occurred_at": "2026-06-02T12:30:15.999999", "amount": "10.00",
        "credit_id": "0012", "reason": "Goodwill", "reason_details": "late van", "internal_note": "third time",
        "creator_name": "Ann Lee", "creator_email": "ann@acme.example", "credit_type": "Service Recovery",
        "batch_id": "b-7", "location": "Barn",
    }  # fmt: skip
    members = """
        member_id  email             first_name  last_name
        ada        ada@acme.example  Ada         Byron
    """
    june = report([entry], merchant(timezone="America/New_York"), members=members)
    (row,) = june["credits_created"]
    assert row == {
        "position": 1,
        "credit_id": "0012",
        "type": "balance_credit",
        "user_id": "ada",
        "email": "ada@acme.example",
        "first_name": "Ada",
        "last_name": "Byron",
        "amount": Decimal("10.00"),
        "created_at": datetime(2026, 6, 2, 8, 30, 15, 999999),  # noqa: DTZ001 - local
        "created_at_utc": datetime(2026, 6, 2, 12, 30, 15, 999999),  # noqa: DTZ001 - as UTC shows it
        "reason": "Goodwill",
        "reason_details": "late van",
        "internal_note": "third time",
        "creator": "Ann Lee <ann@acme.example>",
        "is_expired": False,
        "expires_at": None,
        "amount_remaining": Decimal("10.00"),
        "unit": "USD",
        "balance_type": "default",
        "credit_type": "Service Recovery",
        "batch_id": "b-7",
        "location": "Barn",
        "decimals": 2,
    }
    assert june["extant_credits"].all == [row]


def test_a_creator_is_a_name_with_an_email_or_whichever_is_known() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  creator_name  creator_email
        both      created     2026-06-01T00:00    1.00  Ann Lee       ann@acme.example
        email     created     2026-06-02T00:00    1.00                ann@acme.example
        name      created     2026-06-03T00:00    1.00  Ann Lee
        neither   created     2026-06-04T00:00    1.00
    """)
    assert_rows(
        june["credits_created"],
        """
        credit_id  creator
        both       Ann Lee <ann@acme.example>
        email      ann@acme.example
        name       Ann Lee
        neither
    """,
    )


def test_a_member_in_no_members_file_is_a_user_id_without_a_name() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  member_id
        credit    created     2026-06-01T00:00    1.00  nobody
    """)
    assert_rows(
        june["credits_created"],
        """
        user_id  email  first_name  last_name
        nobody
    """,
    )


def test_legacy_credit_is_told_apart_wherever_it_shows() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  system         redemption_id
        old       created     2026-06-01T00:00   10.00  legacy_credit
        buy       redeemed    2026-06-02T00:00    4.00                 buy
        back      refunded    2026-06-03T00:00    1.00                 buy
    """)
    assert [row["type"] for row in june["credits_created"]] == ["legacy_credit"]
    assert [row["type"] for row in june["extant_credits"]] == ["legacy_credit"]
    for name in ("credit_redemptions", "credit_redemption_refunds"):
        assert [row["source_credit_type"] for row in june[name]] == ["legacy_credit"], name


def test_amounts_and_expiry_of_a_credit_are_stated_as_of_as_of() -> None:
    ledger = ledger_of("""
        entry_id  entry_type      occurred_at       amount  expires_at        credit_id
        credit    created         2026-06-02T00:00   10.00  2026-06-20T00:00  credit
        longer    expiry_changed  2026-06-10T00:00          2026-07-31T00:00  credit
        buy       redeemed        2026-06-12T00:00    4.00
        never     expiry_changed  2026-06-25T00:00                            credit
    """)
    told = [month(ledger, "2026-06", as_of=f"{day}T00:00:00Z")
            for day in ("2026-06-10", "2026-06-11", "2026-06-13", "2026-06-26")]  # fmt: skip
    shown = [row for built in build(ledger, *told) for row in built["credits_created"]]
    assert_rows(
        shown,
        """
        amount  amount_remaining  expires_at        is_expired
         10.00             10.00  2026-06-20T00:00  false
         10.00             10.00  2026-07-31T00:00  false
         10.00              6.00  2026-07-31T00:00  false
         10.00              6.00                    false
    """,
    )


def test_a_credit_created_in_june_shows_what_had_become_of_it_by_november() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  expires_at
        credit    created     2026-06-02T00:00   10.00  2026-10-01T00:00
        buy       redeemed    2026-09-12T00:00    4.00
    """, as_of="2026-11-15")  # fmt: skip
    assert_rows(
        june["credits_created"],
        """
        credit_id  amount  amount_remaining  is_expired
        credit      10.00              0.00  true
    """,
    )
    assert june["credit_redemptions"].all == june["credit_expirations"].all == june["extant_credits"].all == []


def test_the_amount_of_a_credit_that_came_from_elsewhere_is_what_it_was_issued_for() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  original_amount  issued_at
        opened    opening     2026-06-02T00:00   10.00            25.00  2025-01-31T09:00
    """)
    assert_rows(
        june["extant_credits"],
        """
        credit_id  amount  created_at        amount_remaining
        opened      25.00  2025-01-31T09:00             10.00
    """,
    )
    assert june.total("total_credit_extant") == Decimal(10)


def test_extant_credits_are_there_whenever_they_were_created_but_not_those_created_after_as_of() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount
        early     created     2019-01-01T00:00    1.00
        used      created     2026-06-01T00:00    2.00
        buy       redeemed    2026-06-02T00:00    3.00
        late      created     2026-06-30T00:00    4.00
        july      created     2026-07-01T00:00    8.00
    """)
    assert_rows(
        june["extant_credits"],
        """
        credit_id  amount_remaining
        late                   4.00
    """,
    )


# Adjustments


def test_opening_and_transferred_in_are_adjustments_and_never_created() -> None:
    june = report("""
        entry_id  entry_type       occurred_at       amount  balance_type  transfer_id  reason
        opened    opening          2026-06-01T00:00   10.00  default                    Migration
        out       transferred_out  2026-06-02T00:00    4.00  default       t            Merge
        in        transferred_in   2026-06-02T00:00    4.00  gift          t            Migration
    """)
    assert june["credits_created"].all == []
    assert_rows(
        june["credit_adjustments"],
        """
        movement_id  movement_type    source_credit_id  amount  balance_type  reason
        opened       opening          opened             10.00  default       Migration
        in           transferred_in   in                  4.00  gift          Migration
        out          transferred_out  opened             -4.00  default       Merge
    """,
    )
    assert june.total("total_credit_created") == Decimal(0)
    assert june.total("total_credit_adjusted") == Decimal(10)
    assert june.total("total_change_including_adjustments") == june.total("closing_balance") == Decimal(10)


def test_an_adjustment_has_its_own_reason_beside_its_credits() -> None:
    entries = [
        {"entry_id": "credit", "entry_type": "created", "occurred_at": "2026-05-01T00:00", "amount": "10.00",
         "reason": "Goodwill", "creator_name": "Ann Lee"},
        {"entry_id": "less", "entry_type": "deducted", "occurred_at": "2026-06-01T00:00", "amount": "4.00",
         "reason": "Flagged Deduction", "internal_note": "issued twice", "creator_name": "Bo Ek",
         "creator_email": "bo@acme.example"},
        {"entry_id": "back", "entry_type": "reversed", "occurred_at": "2026-06-02T00:00", "amount": "6.00",
         "credit_id": "credit", "reason": "Batch Reversed"},
    ]  # fmt: skip
    june = report(entries)
    assert_rows(
        june["credit_adjustments"],
        """
        movement_id  movement_type  source_credit_reason  source_credit_creator  amount  reason
        less         deducted       Goodwill              Ann Lee                 -4.00  Flagged Deduction
        back         reversed       Goodwill              Ann Lee                 -6.00  Batch Reversed
    """,
    )
    assert_rows(
        june["credit_adjustments"].where(movement_id="less"),
        """
        internal_note  creator                  adjusted_at
        issued twice   Bo Ek <bo@acme.example>  2026-06-01T00:00
    """,
    )


def test_a_deduction_that_no_credit_covers_is_an_adjustment_without_source_credit() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount
        credit    created     2026-06-01T00:00    3.00
        less      deducted    2026-06-02T00:00    5.00
    """)
    assert_rows(
        june["credit_adjustments"],
        """
        movement_id  source_credit_id  amount
        less.1       credit             -3.00
        less.2                          -2.00
    """,
    )
    assert (june.total("overdrawn"), june.total("closing_balance")) == (Decimal(2), Decimal(-2))


def test_a_change_of_expiry_is_in_no_sheet() -> None:
    june = report("""
        entry_id  entry_type      occurred_at       amount  expires_at        credit_id
        credit    created         2026-05-02T00:00   10.00                    credit
        shorter   expiry_changed  2026-06-10T00:00          2026-07-31T00:00  credit
    """)
    assert june["credit_adjustments"].all == []
    assert [row["amount"] for row in june["flows"].where(flow="within")] == []


# Redemptions and refunds


def test_what_no_credit_covers_is_a_redemption_without_source_credit() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  reason
        credit    created     2026-06-01T00:00    3.00  Goodwill
        buy       redeemed    2026-06-02T00:00    5.00
    """)
    assert_rows(
        june["credit_redemptions"],
        """
        redemption_id  source_credit_id  source_credit_reason  amount  balance_type
        buy.1          credit            Goodwill                3.00  default
        buy.2                                                    2.00  default
    """,
    )
    assert_rows(
        june["breakdowns"].where(dimension="reason"),
        """
        value      created  redeemed  closing_balance
        Goodwill      3.00     -3.00             0.00
        Overdrawn     0.00     -2.00            -2.00
    """,
    )
    assert june.total("total_credit_extant") - june.total("overdrawn") == june.total("closing_balance")


def test_a_refund_names_the_row_of_credit_redemptions_that_it_gives_back() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  redemption_id
        one       created     2026-06-01T00:00    3.00
        two       created     2026-06-02T00:00    3.00
        buy       redeemed    2026-06-03T00:00    7.00  r-1
        all       refunded    2026-06-04T00:00    6.00  r-1
        single    redeemed    2026-06-05T00:00    1.00  r-2
        back      refunded    2026-06-06T00:00    1.00  r-2
    """)
    assert_rows(
        june["credit_redemptions"],
        """
        redemption_id  source_credit_id  amount
        r-1.1          one                 3.00
        r-1.2          two                 3.00
        r-1.3                              1.00
        r-2            one                 1.00
    """,
    )
    assert_rows(
        june["credit_redemption_refunds"],
        """
        refund_id  redemption_id  source_credit_id  amount
        all.1      r-1.3                              1.00
        all.2      r-1.2          two                 3.00
        all.3      r-1.1          one                 2.00
        back       r-2            one                 1.00
    """,
    )


def test_a_refund_may_give_back_a_redemption_of_an_earlier_month() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  redemption_id
        credit    created     2026-05-01T00:00    3.00
        buy       redeemed    2026-05-03T00:00    3.00  r-1
        back      refunded    2026-06-04T00:00    3.00  r-1
    """)
    assert june["credit_redemptions"].all == []
    assert_rows(
        june["credit_redemption_refunds"],
        """
        refund_id  redemption_id  amount
        back       r-1              3.00
    """,
    )


def test_rows_are_sorted_by_time_then_by_id_and_part_never_by_the_text() -> None:
    credits = [
        {"entry_id": f"c{n:02}", "entry_type": "created", "occurred_at": f"2026-06-01T00:00:{n:02}", "amount": "1"}
        for n in range(11)
    ]
    draws = [
        {"entry_id": "b", "entry_type": "redeemed", "occurred_at": "2026-06-02T00:00", "amount": "11"},
        {
            "entry_id": "a",
            "entry_type": "redeemed",
            "occurred_at": "2026-06-02T00:00",
            "amount": "1",
            "member_id": "bo",
        },
        {
            "entry_id": "z",
            "entry_type": "redeemed",
            "occurred_at": "2026-06-01T12:00",
            "amount": "1",
            "member_id": "bo",
        },
        {
            "entry_id": "y",
            "entry_type": "refunded",
            "occurred_at": "2026-06-03T00:00",
            "amount": "11",
            "redemption_id": "b",
        },
        {"entry_id": "x", "entry_type": "deducted", "occurred_at": "2026-06-04T00:00", "amount": "11"},
    ]
    june = report(credits + draws)
    assert [row["redemption_id"] for row in june["credit_redemptions"]] == [
        "z", "a", "b.1", "b.2", "b.3", "b.4", "b.5", "b.6", "b.7", "b.8", "b.9", "b.10", "b.11",
    ]  # fmt: skip
    assert [row["position"] for row in june["credit_redemptions"]] == list(range(1, 14))
    assert [row["refund_id"] for row in june["credit_redemption_refunds"]] == [f"y.{part}" for part in range(1, 12)]
    assert [row["movement_id"] for row in june["credit_adjustments"]] == [f"x.{part}" for part in range(1, 12)]


def test_two_expiries_of_one_id_and_instant_have_one_order() -> None:
    entries = """
        entry_id   entry_type  occurred_at       amount  expires_at        credit_id
        a          created     2026-06-01T00:00    1.00  2026-06-10T00:00
        b          created     2026-06-01T00:00    2.00
        a.expired  expired     2026-06-10T00:00    2.00                    b
    """
    for _ in range(3):
        assert [row["source_credit_id"] for row in report(entries)["credit_expirations"]] == ["b", "a"]


def test_credits_are_sorted_by_when_they_were_first_issued() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  issued_at
        new       created     2026-05-01T00:00    1.00
        b_old     opening     2026-06-01T00:00    1.00  2024-01-01T00:00
        a_old     opening     2026-06-01T00:00    1.00  2024-01-01T00:00
    """)
    assert [row["credit_id"] for row in june["extant_credits"]] == ["a_old", "b_old", "new"]


# as_of before, within and after the period


LATER = """
    entry_id  entry_type  occurred_at       amount  expires_at        redemption_id
    may       created     2026-05-20T00:00   10.00
    june      created     2026-06-05T00:00   20.00  2026-07-20T00:00
    buy       redeemed    2026-06-10T00:00    4.00                    buy
    late      created     2026-06-25T00:00    1.00
    july      created     2026-07-05T00:00    7.00
    shop      redeemed    2026-07-10T00:00    2.00                    shop
    back      refunded    2026-07-25T00:00    3.00                    buy
"""


def test_as_of_within_the_period_cuts_it_short() -> None:
    june = report(LATER, as_of="2026-06-15")
    assert june.total("total_credit_created") == Decimal(20)
    assert june.total("closing_balance") == june.total("total_credit_extant") == Decimal(26)
    assert june.total("movements_after_period") == Decimal(0)


def test_as_of_after_the_period_leaves_the_sheets_as_they_are_and_says_what_moved_since() -> None:
    june = report(LATER, as_of="2026-07-31")
    assert june.total("total_credit_created") == Decimal(21)
    assert june.total("total_credit_redeemed") == Decimal(4)
    assert june.total("total_credit_redemption_refunded") == june.total("total_credit_expired") == Decimal(0)
    assert june.total("closing_balance") == Decimal(27)
    # July: 7 created, 2 redeemed, 14 expired; the refund of 3 went back to what had expired, and expired again.
    assert june.total("movements_after_period") == Decimal("-9.00")
    assert june.total("total_credit_extant") == Decimal(18)
    (check,) = june["checks"].where(side="Closing balance + movements after the period", unit="USD")
    assert (check["amount"], check["other_amount"], check["ties"]) == (Decimal(18), Decimal(18), True)


def test_as_of_at_the_start_of_the_period_is_refused() -> None:
    with pytest.raises(PeriodError):
        report(LATER, as_of="2026-05-31")


def test_an_overdraft_after_the_period_ties_too() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  redemption_id
        credit    created     2026-06-01T00:00    3.00
        buy       redeemed    2026-07-02T00:00    5.00  buy
        back      refunded    2026-07-03T00:00    1.00  buy
    """, as_of="2026-07-31")  # fmt: skip
    assert june.total("closing_balance") == Decimal(3)
    assert june.total("movements_after_period") == Decimal(-4)
    assert (june.total("total_credit_extant"), june.total("overdrawn")) == (Decimal(0), Decimal(1))


# Units


def test_two_units_are_never_summed() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  balance_type
        dollars   created     2026-06-01T00:00   10.00  default
        gift      created     2026-06-02T00:00    5.50  gift
        tokens    created     2026-06-03T00:00     300  winston
        buy       redeemed    2026-06-04T00:00     100  winston
    """)
    assert_rows(
        june["summary_statistics"],
        """
        unit  is_currency  total_credit_created  total_credit_redeemed  total_credit_extant
        TKN   false                      300.00                 100.00               200.00
        USD   true                        15.50                   0.00                15.50
    """,
    )
    assert [(row["credit_id"], row["unit"], row["decimals"]) for row in june["credits_created"]] == [
        ("dollars", "USD", 2), ("gift", "USD", 2), ("tokens", "TKN", 0),
    ]  # fmt: skip
    assert_rows(
        june["roll_forward"],
        """
        unit  balance_type  created  closing_balance
        TKN   winston        300.00           200.00
        USD   default         10.00            10.00
        USD   gift             5.50             5.50
    """,
    )


def test_a_transfer_between_balance_types_shows_in_each_and_not_in_the_total() -> None:
    june = report("""
        entry_id  entry_type       occurred_at       amount  balance_type  transfer_id
        credit    created          2026-05-01T00:00   10.00  default
        out       transferred_out  2026-06-02T00:00    4.00  default       t
        in        transferred_in   2026-06-02T00:00    4.00  gift          t
    """)
    assert_rows(
        june["roll_forward"].where(unit="USD"),
        """
        balance_type  opening_balance  transferred_in  transferred_out  closing_balance
        default                 10.00            0.00            -4.00             6.00
        gift                     0.00            4.00             0.00             4.00
    """,
    )
    assert june.total("total_credit_adjusted") == Decimal(0)


def test_the_seeds_formula_for_total_credit_change() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  expires_at        redemption_id
        may       created     2026-05-01T00:00    7.00
        one       created     2026-06-01T00:00   10.00  2026-06-20T00:00
        buy       redeemed    2026-06-02T00:00    6.00                    buy
        back      refunded    2026-06-03T00:00    1.00                    buy
        less      deducted    2026-06-21T00:00    2.00
    """)
    assert june.total("total_credit_change") == Decimal(10) + Decimal(1) - Decimal(6) - Decimal(5) == Decimal(0)
    assert june.total("total_change_including_adjustments") == Decimal(-2)
    assert june.total("closing_balance") == Decimal(5)


# What explains the totals


def test_every_movement_type_has_a_row_of_its_own_in_the_roll_forward() -> None:
    june = report("""
        entry_id  entry_type       occurred_at       amount  credit_id  redemption_id  transfer_id  expires_at
        start     created          2026-05-01T00:00  100.00  start
        opened    opening          2026-06-01T00:00    1.00  opened
        new       created          2026-06-01T00:00    2.00  new                                    2026-06-30T00:00
        buy       redeemed         2026-06-02T00:00   40.00  start      buy
        back      refunded         2026-06-03T00:00    8.00             buy
        less      deducted         2026-06-04T00:00   16.00  start
        reverse   reversed         2026-06-05T00:00   32.00  start
        out       transferred_out  2026-06-06T00:00    3.00  start                     t
        in        transferred_in   2026-06-06T00:00    3.00  in                        t
    """)
    (line,) = june["roll_forward"].where(balance_type="default")
    assert_rows(
        [line],
        """
        opening_balance  opening_entries  created  refunded  transferred_in  redeemed  expired  deducted
                 100.00             1.00     2.00      8.00            3.00    -40.00    -2.00    -16.00
    """,
    )
    assert_rows(
        [line],
        """
        reversed  transferred_out  closing_balance  extant  overdrawn  difference
          -32.00            -3.00            21.00   21.00       0.00        0.00
    """,
    )


BREAKDOWNS = """
    entry_id  entry_type  occurred_at       amount  reason    credit_type  creator_name  redemption_id
    may       created     2026-05-01T00:00   10.00  Goodwill  Refund       Ann
    one       created     2026-06-01T00:00   20.00  Goodwill  Promotional  Bo
    two       created     2026-06-02T00:00    5.00  Promo     Promotional
    three     created     2026-06-03T00:00    1.00
    buy       redeemed    2026-06-04T00:00   40.00                                       buy
    back      refunded    2026-06-05T00:00    6.00                                       buy
    less      deducted    2026-06-06T00:00    1.00
"""


def test_the_opening_balance_is_held_against_what_its_own_merchant_first_published_of_the_month_before() -> None:
    text = """
        entry_id  entry_type  occurred_at       amount  balance_type
        may       created     2026-05-01T12:00   10.00
        gift      created     2026-05-02T12:00    5.00  gift
    """
    ledger = ledger_of(text, UTC_FARM, merchant("beta", timezone="UTC"))
    for merchant_id, name, version, is_final, closing in (
        ("acme", "2026-05", 1, True, "8.00"),
        ("acme", "2026-05", 2, True, "9.00"),
        ("acme", "2026-05@20260520T000000Z", 1, False, "1.00"),
        ("acme", "2026-04", 1, True, "2.00"),
        ("beta", "2026-05", 1, True, "3.00"),
    ):
        ledger.connection.execute(
            "insert into ledger.published by name select $1 as merchant_id, 1 as event, $2 as period, $3 as version,"
            " $4 as is_final, $5 as closing_balances, now() as recorded_at",
            [merchant_id, name, version, is_final, f'{{"default": "{closing}"}}'],
        )
    june, july, beta = build(
        ledger, month(ledger, "2026-06"), month(ledger, "2026-07"), month(ledger, "2026-06", merchant_id="beta")
    )
    # Of gift nothing was published, so that all of it came late; of June nothing was, so that July has nothing late.
    assert_rows(
        june["opening_balances"].where(unit="USD"),
        """
        balance_type  opening_as_published  late_entries  opening_balance
        default        8.00                  2.00         10.00
        gift           0.00                  5.00          5.00
    """,
    )
    assert_rows(
        july["opening_balances"].where(unit="USD"),
        """
        balance_type  opening_as_published  late_entries  opening_balance
        default       10.00                  0.00         10.00
        gift           5.00                  0.00          5.00
    """,
    )
    (default,) = beta["opening_balances"].where(balance_type="default")
    assert (default["opening_as_published"], default["late_entries"]) == (Decimal(3), Decimal(-3))


def test_where_a_country_has_changed_its_clocks_each_movement_is_of_the_month_that_it_now_has() -> None:
    farm = merchant(timezone="America/Puerto_Rico")  # UTC-4 all year; formerly, here, UTC-5 in winter
    with former_rules("America/Puerto_Rico", those_of="America/New_York"):
        former = ledger_of(
            """
            entry_id  entry_type  occurred_at       amount  expires_at
            stays     created     2026-08-01T12:00    5.00
            lapses    created     2026-08-01T12:00   10.00  2026-12-01T04:59:59
        """,
            farm,
        )
    ledger = former.with_merchants(farm)
    ledger.replay()
    november, december = build(ledger, month(ledger, "2026-11"), month(ledger, "2026-12"))
    assert (november.total("closing_balance"), november.total("total_credit_expired")) == (Decimal(15), Decimal(0))
    assert (december.total("opening_balance"), december.total("total_credit_expired")) == (Decimal(15), Decimal(10))
    assert december.total("closing_balance") == Decimal(5)


def test_a_change_of_clocks_that_would_restate_published_months_is_refused_in_words() -> None:
    farm = merchant(timezone="America/Puerto_Rico")
    with former_rules("America/Puerto_Rico", those_of="America/New_York"):
        former = ledger_of(
            """
            entry_id  entry_type  occurred_at       amount
            night     created     2026-12-01T04:30   10.00
        """,
            farm,
        )
    former.connection.execute(
        "insert into ledger.published by name select 'acme' as merchant_id, 1 as event, '2026-11' as period,"
        " 1 as version, true as is_final, '2026-12-01 05:00:00+00'::timestamptz as as_of, now() as recorded_at"
    )
    ledger = former.with_merchants(farm)
    said = r"\(America/Puerto_Rico has other rules in this release of tzdata\).*`rollforward rebuild` reads them again"
    with pytest.raises(RestatementError, match=said):
        ledger.replay()


def test_breakdowns_are_by_origin_of_the_credit_and_foot_to_the_totals() -> None:
    june = report(BREAKDOWNS)
    assert_rows(
        june["breakdowns"].where(dimension="reason"),
        """
        value      opening_balance  created  redeemed  refunded  expired  adjusted  closing_balance
        (none)                0.00     1.00     -1.00      1.00     0.00      0.00             1.00
        Goodwill             10.00    20.00    -30.00      0.00     0.00      0.00             0.00
        Overdrawn             0.00     0.00     -4.00      4.00     0.00      0.00             0.00
        Promo                 0.00     5.00     -5.00      1.00     0.00     -1.00             0.00
    """,
    )
    totals = {
        "opening_balance": june.total("opening_balance"),
        "created": june.total("total_credit_created"),
        "redeemed": -june.total("total_credit_redeemed"),
        "refunded": june.total("total_credit_redemption_refunded"),
        "expired": -june.total("total_credit_expired"),
        "adjusted": june.total("total_credit_adjusted"),
        "closing_balance": june.total("closing_balance"),
    }
    for dimension in ("reason", "credit_type", "balance_type", "creator"):
        parts = june["breakdowns"].where(dimension=dimension, unit="USD")
        assert {name: sum(row[name] for row in parts) for name in totals} == totals, dimension


def test_a_credit_whose_reason_is_overdrawn_is_not_summed_with_what_is_overdrawn() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  reason     credit_type
        buy       redeemed    2026-06-01T00:00    5.00
        makes-up  created     2026-06-02T00:00    5.00  Overdrawn  Overdrawn
    """)
    for dimension in ("reason", "credit_type"):
        assert_rows(
            june["breakdowns"].where(dimension=dimension),
            """
            value        created  redeemed  closing_balance
            "Overdrawn"     5.00      0.00             5.00
            Overdrawn       0.00     -5.00            -5.00
        """,
        )


def test_what_had_nothing_and_did_not_move_is_left_out_of_breakdowns() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  reason
        spent     created     2026-04-01T00:00   10.00  Forgotten
        buy       redeemed    2026-05-01T00:00   10.00
        kept      created     2026-05-02T00:00    1.00  Promo
    """)
    assert [row["value"] for row in june["breakdowns"].where(dimension="reason")] == ["Promo"]


def buckets(entries: str, table: str, as_of: str, *merchants: Merchant) -> dict[str, int]:
    """How many of June's credits are in each bucket that has any."""
    june = report(entries, *merchants, as_of=as_of)
    return {row["bucket"]: row["credits"] for row in june[table].where(unit="USD") if row["credits"]}


DAYS = (0, 30, 31, 60, 61, 90, 91, 180, 181, 365, 366, 10_000)


def test_ageing_counts_local_days_since_issue() -> None:
    entries = "entry_id  entry_type  occurred_at          amount\n" + "\n".join(
        f"{days:8}  created     {date(2026, 6, 30) - timedelta(days=days)}T23:59:59    1.00" for days in DAYS
    )
    assert buckets(entries, "ageing", "2026-06-30") == {
        "0-30 days": 2, "31-60 days": 2, "61-90 days": 2, "91-180 days": 2, "181-365 days": 2, "Over 365 days": 2,
    }  # fmt: skip
    # The same credits a day later: those that were the last in their buckets have moved on.
    assert buckets(entries, "ageing", "2026-07-01") == {
        "0-30 days": 1, "31-60 days": 2, "61-90 days": 2, "91-180 days": 2, "181-365 days": 2, "Over 365 days": 3,
    }  # fmt: skip


def test_the_expiry_schedule_counts_local_days_until_expiry() -> None:
    entries = "entry_id  entry_type  occurred_at       amount  expires_at\n" + "\n".join(
        f"{days:8}  created     1999-01-01T00:00    1.00  {date(2026, 6, 29) + timedelta(days=days)}T23:59:59"
        for days in DAYS
    )
    assert buckets(entries, "expiry_schedule", "2026-06-29T12:00") == {
        "0-30 days": 2, "31-60 days": 2, "61-90 days": 2, "91-180 days": 2, "181-365 days": 2, "Later": 2,
    }  # fmt: skip
    # A day earlier those that were the last in their buckets are still in the next.
    assert buckets(entries, "expiry_schedule", "2026-06-28T12:00") == {
        "0-30 days": 1, "31-60 days": 2, "61-90 days": 2, "91-180 days": 2, "181-365 days": 2, "Later": 3,
    }  # fmt: skip


def test_credit_that_never_expires_has_a_bucket_of_its_own() -> None:
    assert buckets("""
        entry_id  entry_type  occurred_at       amount  expires_at
        never     created     2026-06-01T00:00    1.00
        later     created     2026-06-01T00:00    1.00  2199-12-31T00:00
    """, "expiry_schedule", "2026-06-30") == {"Never": 1, "Later": 1}  # fmt: skip


def test_ages_are_days_of_the_merchant() -> None:
    # 30 May 23:30 in Tonga is 30 days before 29 June there, and 31 before 30 June; in UTC it is the morning.
    # 31 July 00:30 there is 31 days after 30 June; in UTC it is 30 July.
    entries = """
        entry_id  entry_type  occurred_at       amount  expires_at
        credit    created     2026-05-30T10:30    1.00  2026-07-30T11:30
    """
    assert buckets(entries, "ageing", "2026-06-29", TONGA) == {"0-30 days": 1}
    assert buckets(entries, "ageing", "2026-06-30", TONGA) == {"31-60 days": 1}
    assert buckets(entries, "expiry_schedule", "2026-06-30", TONGA) == {"31-60 days": 1}


def test_ageing_is_from_when_the_credit_was_first_issued_and_by_what_is_left() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  issued_at
        opened    opening     2026-06-01T00:00   10.00  2025-01-01T00:00
        new       created     2026-06-01T00:00    5.00
        buy       redeemed    2026-06-02T00:00    4.00
    """)
    assert_rows(
        [row for row in june["ageing"].where(unit="USD") if row["credits"]],
        """
        bucket         credits  amount
        0-30 days            1    5.00
        Over 365 days        1    6.00
    """,
    )


def test_the_trend_is_the_twelve_months_up_to_the_period() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  expires_at
        old       created     2024-01-01T00:00    1.00
        first     created     2025-07-01T00:00    2.00
        one       created     2026-04-10T00:00   10.00  2026-05-10T00:00
        buy       redeemed    2026-04-20T00:00    3.00
        june      created     2026-06-30T23:59    4.00
        july      created     2026-07-01T00:00    8.00
    """)
    shown = june["trend"].where(unit="USD")
    assert [row["month"] for row in shown][0::11] == [date(2025, 7, 1), date(2026, 6, 1)]
    assert_rows(
        [row for row in shown if row["month"] in {date(2025, 7, 1), *(date(2026, m, 1) for m in range(3, 7))}],
        """
        month       created  redeemed  expired  closing_balance
        2025-07-01     2.00      0.00     0.00             3.00
        2026-03-01     0.00      0.00     0.00             3.00
        2026-04-01    10.00      3.00     0.00            10.00
        2026-05-01     0.00      0.00     7.00             3.00
        2026-06-01     4.00      0.00     0.00             7.00
    """,
    )


def test_the_trends_last_month_is_cut_short_by_as_of() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount
        before    created     2026-06-15T11:59    1.00
        at        created     2026-06-15T12:00    2.00
    """, as_of="2026-06-15T12:00:00Z")  # fmt: skip
    (last,) = june["trend"].where(unit="USD", month=date(2026, 6, 1))
    assert (last["created"], last["closing_balance"]) == (Decimal(1), Decimal(1))


def test_the_trend_of_dates_that_reach_into_the_future_ends_with_the_month_of_as_of() -> None:
    ledger = ledger_of(LATER)
    (built,) = build(ledger, dates(ledger, "2026-06-01", "2027-12-31", as_of="2026-08-15"))
    assert max(row["month"] for row in built["trend"]) == date(2026, 8, 1)


# Where local days are odd


@pytest.mark.parametrize(
    ("timezone", "day", "before", "within", "after"),
    [
        # Midnight happens twice on 2 November: the day begins with the first.
        ("America/Havana", "2025-11-02", "2025-11-02T03:59:59", "2025-11-02T04:30:00", "2025-11-03T05:00:00"),
        # Midnight does not exist on 6 September: the day begins at 01:00.
        ("America/Santiago", "2026-09-06", "2026-09-06T03:59:59", "2026-09-06T04:00:00", "2026-09-07T03:00:00"),
        # The 30th does not exist: the 31st follows the 29th.
        ("Pacific/Apia", "2011-12-31", "2011-12-30T09:59:59", "2011-12-30T10:00:00", "2011-12-31T10:00:00"),
        ("UTC", "2024-02-29", "2024-02-28T23:59:59", "2024-02-29T12:00:00", "2024-03-01T00:00:00"),
    ],
)
def test_a_day_has_what_moved_from_its_first_instant_on(
    timezone: str, day: str, before: str, within: str, after: str
) -> None:
    ledger = ledger_of(
        f"""
        entry_id  entry_type  occurred_at          amount
        before    created     {before}  1.00
        within    created     {within}  2.00
        after     created     {after}  4.00
        """,
        merchant(timezone=timezone),
    )
    (built,) = build(ledger, dates(ledger, day, day, as_of=f"{after}Z"))
    assert [row["credit_id"] for row in built["credits_created"]] == ["within"]
    assert (built.total("opening_balance"), built.total("closing_balance")) == (Decimal(1), Decimal(3))


def test_a_day_that_does_not_exist_has_no_movements() -> None:
    ledger = ledger_of(
        """
        entry_id  entry_type  occurred_at          amount
        before    created     2011-12-30T09:59:59    1.00
        after     created     2011-12-30T10:00:00    2.00
        """,
        merchant(timezone="Pacific/Apia"),
    )
    (built,) = build(ledger, dates(ledger, "2011-12-30", "2011-12-30"))
    assert built["credits_created"].all == []
    assert built.total("opening_balance") == built.total("closing_balance") == Decimal(1)


def test_a_day_has_begun_also_where_the_clock_is_set_back_over_its_midnight() -> None:
    # St John's, at 00:01 on 7 November 2010: until midnight comes again, clocks show the 6th.
    ledger = ledger_of(
        """
        entry_id  entry_type  occurred_at          amount
        sixth     created     2010-11-07T02:29:59    1.00
        twice     created     2010-11-07T03:00:00    2.00
        """,
        merchant(timezone="America/St_Johns"),
    )
    sixth, seventh = build(ledger, dates(ledger, "2010-11-06", "2010-11-06"), dates(ledger, "2010-11-07", "2010-11-07"))
    assert [row["credit_id"] for row in sixth["credits_created"]] == ["sixth"]
    assert [row["credit_id"] for row in seventh["credits_created"]] == ["twice"]
    assert seventh.total("opening_balance") == Decimal(1)


# Building


def test_a_rerun_replaces_its_periods_and_nothing_else() -> None:
    ledger = ledger_of(LATER)
    build(ledger, month(ledger, "2026-06"))
    build(ledger, month(ledger, "2026-07"))
    build(ledger, month(ledger, "2026-06"))
    kept = ledger.connection.execute(
        "select period, count(*) from reports.credits_created group by period order by period"
    ).fetchall()
    assert kept == [("2026-06", 2), ("2026-07", 1)]


def test_an_interim_month_gives_way_to_the_final_one() -> None:
    ledger = ledger_of(LATER)
    build(ledger, month(ledger, "2026-06", as_of="2026-06-15"))
    build(ledger, month(ledger, "2026-06"))
    assert ledger.connection.execute("select distinct period from reports.checks").fetchall() == [("2026-06",)]


def test_a_final_month_stays_beside_an_interim_one() -> None:
    ledger = ledger_of(LATER)
    (final,) = build(ledger, month(ledger, "2026-06"))
    build(ledger, month(ledger, "2026-06", as_of="2026-06-15"))
    build(ledger, month(ledger, "2026-06", as_of="2026-06-16"))
    kept = ledger.connection.execute("select distinct period from reports.checks order by period").fetchall()
    assert kept == [("2026-06",), ("2026-06@20260617T000000Z",)]
    again = contents_of(ledger.connection, final.contents.period)
    assert all(again.tables[name].equals(table) for name, table in final.contents.tables.items())


def test_several_periods_in_one_build_are_each_as_if_built_alone() -> None:
    ledger = ledger_of(LATER)
    told = [
        month(ledger, "2026-05"),
        month(ledger, "2026-06"),
        month(ledger, "2026-06", as_of="2026-07-12T12:00:00Z"),
        month(ledger, "2026-07", as_of="2026-07-12T12:00:00Z"),
        dates(ledger, "2026-05-25", "2026-07-06"),
    ]
    together = build(ledger, *told)
    for period, built in zip(told, together, strict=True):
        (alone,) = build(ledger, period)
        for name in reports.names():
            assert alone.contents.tables[name].equals(built.contents.tables[name]), (period.name, name)


def test_a_tie_that_does_not_hold_stops_the_build_and_says_what_and_by_how_much() -> None:
    ledger = ledger_of(LATER)
    before = build(ledger, month(ledger, "2026-06"))
    ledger.connection.execute(
        "update facts.daily_totals set amount = amount + 2.50 where movement_type = 'created' and day = '2026-05-20'"
    )
    with pytest.raises(BrokenPromiseError) as broken:
        build(ledger, month(ledger, "2026-06"))
    assert str(broken.value) == (
        "acme, 2026-06: Opening balance is 12.50 USD, but Every movement before the period is 10.00 USD, which is"
        " 2.50 USD less; acme, 2026-06: Closing balance + movements after the period is 29.50 USD, but Total Credit"
        " Extant - overdrawn is 27.00 USD, which is 2.50 USD less; acme, 2026-06: Closing balance + movements after the"
        " period + overdrawn, default is 29.50 USD, but Extant Credits of default is 27.00 USD, which is 2.50 USD less."
        " Nothing of this step was kept; please report it as a defect."
    )
    # The former rows are as they were.
    (kept,) = ledger.connection.execute("select sum(amount) from reports.credits_created").fetchall()
    assert kept == (before[0].total("total_credit_created"),)


@pytest.mark.parametrize(
    ("corruption", "side"),
    [
        ("update facts.daily_totals set amount = amount + 1 where day < '2026-06-01'", "Opening balance"),
        ("delete from facts.movements where movement_id = 'may'", "Opening balance"),
        ("update facts.movements set remaining = remaining - 1 where movement_id = 'late'", "Closing balance"),
        ("update facts.credits set balance_type = 'gift' where credit_id = 'late'", "Closing balance"),
        ("update facts.movements set amount = amount + 1 where movement_id = 'buy'", "Total Credit Redeemed"),
        ("update facts.credits set original_amount = 3 where credit_id = 'june'", "Total Credit Created"),
        ("delete from facts.credits where credit_id = 'june'", "Total Credit Created"),
    ],
)  # fmt: skip
def test_corrupt_facts_are_noticed_before_anyone_sees_a_workbook(corruption: str, side: str) -> None:
    ledger = ledger_of(LATER)
    ledger.connection.execute(corruption)
    with pytest.raises(BrokenPromiseError, match=rf"^acme, 2026-06: {re.escape(side)}"):
        build(ledger, month(ledger, "2026-06"))


def test_an_error_in_one_balance_type_is_noticed_also_where_another_makes_up_for_it() -> None:
    ledger = ledger_of("""
        entry_id  entry_type  occurred_at       amount  balance_type
        dollars   created     2026-05-01T00:00   10.00  default
        gift      created     2026-05-01T00:00   10.00  gift
    """)
    ledger.connection.execute("update facts.daily_totals set amount = amount + if(balance_type = 'gift', 1, -1)")
    with pytest.raises(
        BrokenPromiseError,
        match=r"overdrawn, default is 9\.00 USD, but Extant Credits of default is 10\.00 USD, which is 1\.00 USD more",
    ):
        build(ledger, month(ledger, "2026-06"))


def test_every_total_is_held_against_every_table_that_adds_up_to_it() -> None:
    june = report(BREAKDOWNS)
    checks = june["checks"].where(unit="USD")
    assert [(check["side"], check["other_side"]) for check in checks] == CHECKS
    assert all(check["ties"] and check["difference"] == 0 for check in checks)


CHECKS = [
    ("Total Credit Created", "Rows of Credits Created"),
    ("Total Credit Redeemed", "Rows of Credit Redemptions"),
    ("Total Credit Redemption Refunded", "Rows of Credit Redemption Refunds"),
    ("Total Credit Expired", "Rows of Credit Expirations"),
    ("Total Credit Extant", "Rows of Extant Credits"),
    ("Total Credit Adjusted", "Rows of Credit Adjustments"),
    ("Opening balance", "Every movement before the period"),
    ("Opening balance + Total Change including adjustments", "Closing balance"),
    ("Closing balance + movements after the period", "Total Credit Extant - overdrawn"),
    ("Closing balance + movements after the period + overdrawn, default", "Extant Credits of default"),
    ("Closing balance + movements after the period + overdrawn, gift", "Extant Credits of gift"),
    ("Closing balance", "Closing balance of the last of twelve months"),
    ("Total Credit Extant", "Ageing"),
    ("Total Credit Extant", "Expiry schedule"),
    *(
        (side, f"By {dimension}")
        for dimension in ("reason", "credit type", "balance type", "creator")
        for side in (
            "Opening balance",
            "Total Credit Created",
            "Total Credit Redeemed",
            "Total Credit Redemption Refunded",
            "Total Credit Expired",
            "Total Credit Adjusted",
            "Closing balance",
        )
    ),
]


# What the report rests on


def test_provenance_is_of_content_alone_whenever_and_however_it_was_loaded() -> None:
    entries = [{"entry_id": f"c{n}", "entry_type": "created", "occurred_at": "2026-06-02T00:00", "amount": "1",
                "content_hash": f"hash {n}"} for n in range(3)]  # fmt: skip
    one = report(entries)
    other_ledger = open_ledger(UTC_FARM)
    for entry in reversed(entries):
        other_ledger.add([{**entry, "recorded_at": "2026-12-01T00:00", "source_file": "elsewhere.jsonl"}])
    other_ledger.replay()
    (other,) = build(other_ledger, month(other_ledger, "2026-06"))
    columns = ("entries", "entries_hash", "movements", "findings", "rejected_rows")
    said = [[row[name] for name in columns] for built in (one, other) for row in built["provenance"]]
    assert said[0] == said[1]
    assert said[0][0] == said[0][2] == 3


def test_provenance_counts_what_was_there_before_as_of() -> None:
    ledger = ledger_of(LATER)
    june, later = build(ledger, month(ledger, "2026-06"), month(ledger, "2026-06", as_of="2026-07-31"))
    assert [(row["entries"], row["movements"]) for built in (june, later) for row in built["provenance"]] == [
        (4, 4),
        (7, 9),
    ]
    hashes = {row["entries_hash"] for built in (june, later) for row in built["provenance"]}
    assert len(hashes) == 2 or hashes == {"0" * 32}


def test_building_a_month_leaves_the_rows_of_other_months_as_they_are() -> None:
    ledger = ledger_of("""
        entry_id  entry_type  occurred_at       amount
        may       created     2026-05-10T12:00   5.00
        june      created     2026-06-10T12:00   7.00
    """)
    build(ledger, month(ledger, "2026-05"))

    def rows_of_may() -> dict[str, int]:
        counts = {}
        for name in reports.names():
            found = ledger.connection.execute(f"select count(*) from {name} where period = '2026-05'").fetchone()
            counts[name] = found[0] if found else 0
        return counts

    before = rows_of_may()
    build(ledger, month(ledger, "2026-06"))
    assert rows_of_may() == before


def test_findings_of_the_period_are_counted() -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount
        may       redeemed    2026-05-02T00:00    1.00
        june      redeemed    2026-06-01T00:00    1.00
        july      redeemed    2026-07-01T00:00    1.00
    """)
    assert [row["findings"] for row in june["provenance"]] == [1]


# Random ledgers: the sheets are what a plain computation over the oracle's movements gives


@dataclass(frozen=True)
class Asked:
    """A month or free dates, where the entries are, and as of which of their instants."""

    is_month: bool
    offset_days: int
    length_days: int
    as_of_at: int | None
    as_of_later_s: int


asked_for = st.builds(
    Asked,
    is_month=st.booleans(),
    offset_days=st.integers(-2, 6),
    length_days=st.integers(1, 4),
    as_of_at=st.none() | st.integers(0, 40),
    as_of_later_s=st.sampled_from((0, 0, 1, 3600)),
)


drawn_ledgers = random_ledgers.ledgers()
drawn_periods = st.lists(asked_for, min_size=1, max_size=2)
LIKE_ALWAYS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(LIKE_ALWAYS, max_examples=10)
@given(drawn_ledgers, drawn_periods)
def test_every_sheet_is_what_plain_python_makes_of_the_oracles_movements(
    drawn: tuple[list[random_ledgers.Entry], dict[str, Policy]], asked: list[Asked]
) -> None:
    assert_reported(*drawn, asked)


@pytest.mark.slow
@settings(LIKE_ALWAYS, max_examples=1_000)
@given(drawn_ledgers, drawn_periods)
def test_every_sheet_is_what_plain_python_makes_of_very_many_ledgers(
    drawn: tuple[list[random_ledgers.Entry], dict[str, Policy]], asked: list[Asked]
) -> None:
    assert_reported(*drawn, asked)


def assert_reported(entries: list[random_ledgers.Entry], policies: dict[str, Policy], asked: list[Asked]) -> None:
    """Every sheet and total is what Plain makes of it, and a period's closing is the next one's opening."""
    movements, _ = oracle.replay(entries, policies)
    ledger = reopened(entries, policies)
    told = [
        period for merchant_id in policies for one in asked for period in chain_of(one, ledger, merchant_id, movements)
    ]
    unique = {(period.merchant.id, period.name): period for period in told}
    built = dict(zip(unique, build(ledger, *unique.values()), strict=True))
    for (merchant_id, name), of_period in built.items():
        own = [entry for entry in entries if entry["merchant_id"] == merchant_id]
        moved = [row for row in movements if row["merchant_id"] == merchant_id]
        plain = Plain(unique[merchant_id, name], policies[merchant_id], own, moved)
        for sheet, expected in plain.sheets().items():
            columns = list(expected[0]) if expected else []
            assert [{column: row[column] for column in columns} for row in of_period[sheet]] == expected, (name, sheet)
        for unit, totals in plain.totals().items():
            assert {total: of_period.total(total, unit) for total in totals} == totals, (name, unit)
        assert all(check["ties"] for check in of_period["checks"])
    for one, other in pairwise(told):
        if one.merchant == other.merchant and one.ends_at == other.starts_at and one.as_of >= one.ends_at:
            closing, opening = built[one.merchant.id, one.name], built[other.merchant.id, other.name]
            for unit in {unit for unit, _ in one.merchant.units.values()}:
                assert closing.total("closing_balance", unit) == opening.total("opening_balance", unit)


@cache
def _ledger() -> Ledger:
    """One ledger in memory for all examples: opening one takes longer than building its reports."""
    return open_ledger()


def reopened(entries: list[random_ledgers.Entry], policies: Mapping[str, Policy]) -> Ledger:
    connection = _ledger().connection
    for schema in ("ledger", "facts", "reports"):
        tables = connection.execute(
            "select table_name from information_schema.tables"
            " where table_schema = $1 and table_catalog = 'memory' and table_type = 'BASE TABLE'",
            [schema],
        ).fetchall()
        for (table,) in tables:
            connection.execute(f"delete from {schema}.{table}")
    ledger = Ledger(connection, {merchant_id: as_merchant(policy) for merchant_id, policy in policies.items()})
    shards.tell_settings(connection, ledger.merchants)
    if entries:
        insert(connection, entries)
    ledger.replay()
    return ledger


def chain_of(asked: Asked, ledger: Ledger, merchant_id: str, movements: Sequence[Mapping[str, Any]]) -> list[Period]:
    """The period asked for, and the one after it, which opens with what the first closes with."""
    of = ledger.merchants[merchant_id]
    instants = sorted({row["occurred_at"] for row in movements if row["occurred_at"] < NOW})
    around = instants[len(instants) // 2] if instants else datetime(2026, 6, 15, tzinfo=UTC)
    first = around.date() + timedelta(days=asked.offset_days)
    last = first + timedelta(days=asked.length_days)
    as_of = None
    if asked.as_of_at is not None and instants:
        instant = instants[asked.as_of_at % len(instants)] + timedelta(seconds=asked.as_of_later_s)
        as_of = instant.strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        if asked.is_month:
            months = periods.months_between(first.replace(day=1), (first + timedelta(days=31)).replace(day=1))
            return [periods.month_of(of, begins, now=NOW, as_of=as_of) for begins in months]
        ranges = ((first, last), (last + timedelta(days=1), last + timedelta(days=3)))
        return [periods.range_of(of, begins, ends, now=NOW, as_of=as_of) for begins, ends in ranges]
    except PeriodError:
        return []  # as_of is not after the start: refused, as it should be


class Plain:
    """The sheets, as sheets.md says them, of one merchant and period."""

    def __init__(
        self,
        period: Period,
        policy: Policy,
        entries: Sequence[random_ledgers.Entry],
        movements: Sequence[Mapping[str, Any]],
    ) -> None:
        self.period, self.policy, self.movements = period, policy, movements
        self.zone = ZoneInfo(policy.timezone)
        self.entries = {entry["entry_id"]: entry for entry in entries}
        self.credits = {
            row["credit_id"]: self.entries[row["entry_id"]]
            for row in movements
            if row["movement_type"] in oracle.CREDIT_TYPES
        }
        self.states: dict[str, Mapping[str, Any]] = {}
        for row in sorted(movements, key=lambda row: (row["member_id"], row["balance_type"], row["sequence"])):
            if row["credit_id"] is not None and row["occurred_at"] < period.as_of:
                self.states[row["credit_id"]] = row

    def within(self, *movement_types: str) -> list[Mapping[str, Any]]:
        ends = min(self.period.ends_at, self.period.as_of)
        rows = [
            row
            for row in self.movements
            if row["movement_type"] in movement_types and self.period.starts_at <= row["occurred_at"] < ends
        ]
        return sorted(rows, key=lambda row: (row["occurred_at"], row["id"], row["part"], row["derived"]))

    def local(self, instant: datetime | None) -> datetime | None:
        return None if instant is None else instant.astimezone(self.zone).replace(tzinfo=None)

    def sheets(self) -> dict[str, list[dict[str, Any]]]:
        created = [row["credit_id"] for row in self.within("created")]
        extant = [credit_id for credit_id, state in self.states.items() if state["remaining"] > 0]
        return {
            "credits_created": self.credit_rows(created),
            "extant_credits": self.credit_rows(extant),
            "credit_redemptions": [self.row(row, "redemption_id", "redeemed_at") for row in self.within("redeemed")],
            "credit_redemption_refunds": [
                {**self.row(row, "refund_id", "refunded_at"), "redemption_id": row["redemption_movement_id"]}
                for row in self.within("refunded")
            ],
            "credit_expirations": [self.row(row, None, "expired_at") for row in self.within("expired")],
            "credit_adjustments": [
                {
                    **self.row(row, "movement_id", "adjusted_at"),
                    "movement_type": row["movement_type"],
                    "amount": row["signed_amount"],
                }
                for row in self.within("opening", "deducted", "reversed", "transferred_out", "transferred_in")
            ],
        }

    def credit_rows(self, credit_ids: list[str]) -> list[dict[str, Any]]:
        return [self.credit_row(credit_id) for credit_id in sorted(credit_ids, key=lambda i: (self.issued_at(i), i))]

    def issued_at(self, credit_id: str) -> datetime:
        entry = self.credits[credit_id]
        issued_at = None if entry["entry_type"] == "created" else entry["issued_at"]
        instant = issued_at or entry["occurred_at"]
        assert isinstance(instant, datetime)
        return instant

    def credit_row(self, credit_id: str) -> dict[str, Any]:
        entry, state = self.credits[credit_id], self.states[credit_id]
        original = None if entry["entry_type"] == "created" else entry["original_amount"]
        return {
            "credit_id": credit_id,
            "user_id": entry["member_id"],
            "amount": original or entry["amount"],
            "created_at": self.local(self.issued_at(credit_id)),
            "created_at_utc": self.issued_at(credit_id).replace(tzinfo=None),
            "is_expired": state["expires_at"] is not None and state["expires_at"] < self.period.as_of,
            "expires_at": self.local(state["expires_at"]),
            "amount_remaining": state["remaining"],
            "balance_type": state["balance_type"],
            "unit": self.policy.balance_types[state["balance_type"]][0],
        }

    def row(self, row: Mapping[str, Any], own_id: str | None, at: str) -> dict[str, Any]:
        return {
            **({own_id: row["movement_id"]} if own_id else {}),
            "source_credit_id": row["credit_id"],
            "user_id": row["member_id"],
            "amount": row["amount"],
            at: self.local(row["occurred_at"]),
            f"{at}_utc": row["occurred_at"].replace(tzinfo=None),
            "balance_type": row["balance_type"],
            "unit": self.policy.balance_types[row["balance_type"]][0],
        }

    def totals(self) -> dict[str, dict[str, Decimal]]:
        period, totals = self.period, {}
        for unit in {unit for unit, _ in self.policy.balance_types.values()}:
            sums: dict[str, Decimal] = defaultdict(Decimal)
            for row in self.movements:
                if self.policy.balance_types[row["balance_type"]][0] != unit or row["occurred_at"] >= period.as_of:
                    continue
                sums["opening"] += row["signed_amount"] if row["occurred_at"] < period.starts_at else 0
                sums["closing"] += row["signed_amount"] if row["occurred_at"] < period.ends_at else 0
                sums["after"] += row["signed_amount"] if row["occurred_at"] >= period.ends_at else 0
                sums["overdrawn"] -= row["signed_amount"] if row["credit_id"] is None else 0
            of_unit = {name: [row for row in rows if row["unit"] == unit] for name, rows in self.sheets().items()}
            totals[unit] = {
                "total_credit_created": _sum(of_unit["credits_created"], "amount"),
                "total_credit_redeemed": _sum(of_unit["credit_redemptions"], "amount"),
                "total_credit_redemption_refunded": _sum(of_unit["credit_redemption_refunds"], "amount"),
                "total_credit_expired": _sum(of_unit["credit_expirations"], "amount"),
                "total_credit_extant": _sum(of_unit["extant_credits"], "amount_remaining"),
                "total_credit_adjusted": _sum(of_unit["credit_adjustments"], "amount"),
                "opening_balance": sums["opening"],
                "closing_balance": sums["closing"],
                "movements_after_period": sums["after"],
                "overdrawn": sums["overdrawn"],
            }
        return totals


def _sum(rows: Sequence[Mapping[str, Any]], column: str) -> Decimal:
    return sum((Decimal(row[column]) for row in rows), Decimal(0))
