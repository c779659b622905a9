"""The oracle against domain.md: a small ledger worked by hand for each rule, and the invariants on random ledgers.

Belongs here: what the oracle must say. The fast replay is compared with the oracle elsewhere.
"""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle import CREDIT_TYPES, SIGN, Policy, replay
from tests.random_ledgers import ledgers

Row = dict[str, Any]
LIGHT = settings(max_examples=120, deadline=None, database=None)


# ---- Small ledgers, as text -------------------------------------------------------------------------------------


def rows(text: str) -> list[Row]:
    """A row for each line below the header; `-` is absent. Times are UTC, the merchant is `farm`, the member `ada`."""
    header, *lines = [line.split() for line in text.strip().splitlines()]
    entries = []
    for line in lines:
        cells = {name: cell for name, cell in zip(header, line, strict=True) if cell != "-"}
        entry: Row = {"merchant_id": "farm", "member_id": "ada", **cells}
        for name in ("occurred_at", "expires_at", "issued_at"):
            if name in entry:
                entry[name] = datetime.fromisoformat(entry[name]).replace(tzinfo=UTC)
        if "amount" in entry:
            entry["amount"] = Decimal(entry["amount"])
        if "priority" in entry:
            entry["priority"] = int(entry["priority"])
        entries.append(entry)
    return entries


def farm(**changes: Any) -> dict[str, Policy]:
    types = {"default": ("USD", 2), "gift": ("USD", 2), "token": ("TKN", 0)}
    return {"farm": Policy(**({"merchant_id": "farm", "timezone": "UTC", "balance_types": types} | changes))}


def cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.strftime("%m-%dT%H:%M:%S").removesuffix(":00")
        case Decimal():
            return f"{value:.2f}"
    return str(value)


def assert_rows(actual: list[Row], expected: str) -> None:
    header, *lines = [line.split() for line in expected.strip().splitlines()]
    assert [[cell(row[name]) for name in header] for row in actual] == lines


def movements_of(entries: list[Row], **policy: Any) -> list[Row]:
    return replay(entries, farm(**policy))[0]


NO_FINDINGS = "finding  entry_id  credit_id  amount  unmoved"


# ---- Rule 1: order ----------------------------------------------------------------------------------------------


def test_at_one_instant_the_type_decides_the_order_and_then_the_entry_id() -> None:
    movements = movements_of(
        rows("""
        entry_id  entry_type       occurred_at       amount  credit_id  redemption_id  transfer_id
        z         created          2026-05-01T12:00   50.00  -          -              -
        first     redeemed         2026-05-01T12:00    5.00  -          first          -
        a-exp     expired          2026-05-02T12:00    1.00  z          -              -
        b-rev     reversed         2026-05-02T12:00    1.00  z          -              -
        c-out     transferred_out  2026-05-02T12:00    1.00  -          -              t
        d-ded     deducted         2026-05-02T12:00    1.00  -          -              -
        e-now     refunded         2026-05-02T12:00    1.00  -          g-buy          -
        f-buy     redeemed         2026-05-02T12:00    1.00  -          -              -
        g-buy     redeemed         2026-05-02T12:00    1.00  -          -              -
        h-old     refunded         2026-05-02T12:00    1.00  -          first          -
        i-chg     expiry_changed   2026-05-02T12:00    0     z          -              -
        j-in      transferred_in   2026-05-02T12:00    1.00  -          -              t
        k-open    opening          2026-05-02T12:00    1.00  -          -              -
        """)
    )
    order = "z first j-in k-open i-chg h-old f-buy g-buy e-now d-ded c-out b-rev a-exp"
    assert [row["entry_id"] for row in movements] == order.split()
    assert [row["sequence"] for row in movements] == list(range(1, 14))


def test_ids_sort_by_code_point() -> None:
    movements = movements_of(
        rows("""
        entry_id  entry_type  occurred_at       amount
        ä         created     2026-05-01T12:00    1.00
        b         created     2026-05-01T12:00    1.00
        B         created     2026-05-01T12:00    1.00
        10        created     2026-05-01T12:00    1.00
        9         created     2026-05-01T12:00    1.00
        """)
    )
    assert [row["entry_id"] for row in movements] == ["10", "9", "B", "b", "ä"]


# ---- Rule 2: draw order -----------------------------------------------------------------------------------------

FIVE_CREDITS = """
    entry_id  entry_type  occurred_at       amount  priority  expires_at        issued_at
    never     opening     2026-05-04T12:00    1.00  50        -                 2026-01-01T00:00
    late      created     2026-05-02T12:00    1.00  50        2026-12-01T00:00  -
    soon      created     2026-05-03T12:00    1.00  50        2026-11-01T00:00  -
    zero      created     2026-05-03T12:00    1.00  0         -                 -
    also      created     2026-05-02T12:00    1.00  50        2026-12-01T00:00  -
    buy       redeemed    2026-06-01T12:00    5.00  -         -                 -
"""


def test_what_expires_first_is_drawn_first_within_a_priority() -> None:
    movements = movements_of(rows(FIVE_CREDITS))
    assert_rows(
        [row for row in movements if row["entry_id"] == "buy"],
        """
        movement_id  id   part  credit_id  amount  signed_amount  remaining  redemption_id
        buy.1        buy  1     zero         1.00          -1.00       0.00  buy
        buy.2        buy  2     soon         1.00          -1.00       0.00  buy
        buy.3        buy  3     also         1.00          -1.00       0.00  buy
        buy.4        buy  4     late         1.00          -1.00       0.00  buy
        buy.5        buy  5     never        1.00          -1.00       0.00  buy
        """,
    )


def test_oldest_first_goes_by_issued_at_and_not_by_expiry() -> None:
    movements = movements_of(rows(FIVE_CREDITS), draw_order="oldest_first")
    drawn = [row["credit_id"] for row in movements if row["entry_id"] == "buy"]
    assert drawn == ["zero", "never", "also", "late", "soon"]


def test_parts_are_numbered_beyond_nine() -> None:
    lots = [f"c{number:02}  created  2026-05-01T12:00  1.00" for number in range(12)]
    text = ["entry_id  entry_type  occurred_at  amount", *lots, "buy  redeemed  2026-05-02T12:00  12.00"]
    movements = movements_of(rows("\n".join(text)))
    drawn = [row for row in movements if row["entry_id"] == "buy"]
    assert [row["movement_id"] for row in drawn] == [f"buy.{part}" for part in range(1, 13)]
    assert [row["credit_id"] for row in drawn] == [f"c{number:02}" for number in range(12)]


# ---- Rule 3: named credits --------------------------------------------------------------------------------------


def test_a_named_credit_is_the_only_one_drawn_from() -> None:
    movements, findings = replay(
        rows("""
        entry_id  entry_type  occurred_at       amount  credit_id
        a         created     2026-05-01T12:00   10.00  -
        b         created     2026-05-01T12:00    3.00  -
        buy       redeemed    2026-05-02T12:00    5.00  b
        """),
        farm(),
    )
    assert_rows(
        movements,
        """
        movement_id  movement_type  credit_id  amount  remaining  valid_until
        a            created        a           10.00      10.00  -
        b            created        b            3.00       3.00  05-02T12:00
        buy.1        redeemed       b            3.00       0.00  -
        buy.2        redeemed       -            2.00          -  -
        """,
    )
    assert_rows(
        findings,
        """
        finding         entry_id  credit_id  amount  unmoved
        uncovered_draw  buy       b            2.00     0.00
        """,
    )


def test_an_entry_that_names_a_credit_of_another_account_moves_nothing_and_its_redemption_counts_as_had() -> None:
    movements, findings = replay(
        rows("""
        entry_id  entry_type  occurred_at       member_id  balance_type  amount  credit_id  redemption_id
        hers      created     2026-05-09T12:00  bea        -              10.00  -          -
        gift      created     2026-05-01T12:00  ada        gift           10.00  -          -
        buy       redeemed    2026-05-02T12:00  ada        -               4.00  hers       buy
        cut       deducted    2026-05-02T12:00  ada        default         3.00  gift       -
        end       expired     2026-05-02T12:00  ada        default         2.00  gift       -
        back      refunded    2026-05-03T12:00  ada        -               1.00  -          buy
        """),
        farm(),
    )
    assert [row["entry_id"] for row in movements] == ["gift", "hers"]
    assert_rows(
        findings,
        """
        finding                    balance_type  entry_id  credit_id  amount  unmoved
        refund_exceeds_redemption  default       back      -            1.00     1.00
        credit_of_other_account    default       buy       hers         4.00     4.00
        credit_of_other_account    default       cut       gift         3.00     3.00
        credit_of_other_account    default       end       gift         2.00     2.00
        """,
    )


def test_a_draw_from_an_unknown_or_later_credit_is_uncovered_and_the_others_move_nothing() -> None:
    movements, findings = replay(
        rows("""
        entry_id  entry_type       occurred_at       amount  credit_id
        have      created          2026-05-01T12:00   10.00  -
        buy       redeemed         2026-05-02T12:00    4.00  later
        out       transferred_out  2026-05-02T12:00    3.00  nowhere
        rev       reversed         2026-05-02T12:00    2.00  later
        exp       expired          2026-05-02T12:00    1.00  nowhere
        chg       expiry_changed   2026-05-02T12:00    0     later
        later     created          2026-05-03T12:00    5.00  -
        """),
        farm(),
    )
    assert_rows(
        movements,
        """
        movement_id  credit_id  amount  remaining
        have         have        10.00      10.00
        buy          -            4.00          -
        out          -            3.00          -
        later        later        5.00       5.00
        """,
    )
    assert_rows(
        findings,
        """
        finding            entry_id  credit_id  amount  unmoved
        uncovered_draw     buy       later        4.00     0.00
        unknown_credit     buy       later        4.00     0.00
        unknown_credit     chg       later        0.00     0.00
        unknown_credit     exp       nowhere      1.00     1.00
        uncovered_draw     out       nowhere      3.00     0.00
        unknown_credit     out       nowhere      3.00     0.00
        unpaired_transfer  out       nowhere      3.00     0.00
        unknown_credit     rev       later        2.00     2.00
        """,
    )


def test_a_blank_balance_type_is_the_credits_or_for_a_refund_its_redemptions() -> None:
    movements, findings = replay(
        rows("""
        entry_id  entry_type  occurred_at       member_id  balance_type  amount  credit_id  redemption_id
        g         created     2026-05-01T12:00  ada        gift           10.00  -          -
        t         created     2026-05-01T12:00  ada        token          10     -          -
        hers      created     2026-05-01T12:00  bea        token          10     -          -
        buy       redeemed    2026-05-02T12:00  ada        -               4.00  g          buy
        spend     redeemed    2026-05-02T12:00  ada        token           4     -          spend
        back      refunded    2026-05-03T12:00  ada        -               1.00  -          buy
        to-g      refunded    2026-05-03T12:00  ada        -               1.00  g          spend
        to-hers   refunded    2026-05-03T12:00  ada        -               1     hers       spend
        by-bea    refunded    2026-05-03T12:00  bea        -               1.00  -          buy
        """),
        farm(),
    )
    assert_rows(
        [row for row in movements if row["entry_id"] in ("buy", "back")],
        """
        movement_id  balance_type  credit_id  amount  remaining
        buy          gift          g            4.00       6.00
        back         gift          g            1.00       7.00
        """,
    )
    assert_rows(
        findings,
        """
        finding                       member_id  balance_type  entry_id  credit_id  amount  unmoved
        refund_of_unknown_redemption  ada        gift          to-g      g            1.00     1.00
        credit_of_other_account       ada        token         to-hers   hers         1.00     1.00
        refund_of_unknown_redemption  bea        default       by-bea    -            1.00     1.00
        """,
    )


def test_more_decimals_than_the_resolved_unit_has_move_nothing_and_trailing_zeros_do_not_count() -> None:
    movements, findings = replay(
        rows("""
        entry_id  entry_type       occurred_at       balance_type  amount  credit_id  redemption_id
        t         created          2026-05-01T12:00  token         10.000  -          -
        buy       redeemed         2026-05-02T12:00  -              2.50   t          buy
        fits      redeemed         2026-05-02T12:00  -              2.00   t          fits
        out       transferred_out  2026-05-02T12:00  -              0.50   t          -
        back      refunded         2026-05-03T12:00  -              1      -          buy
        """),
        farm(),
    )
    assert [row["movement_id"] for row in movements] == ["t", "fits"]
    assert_rows(
        findings,
        """
        finding                    entry_id  credit_id  amount  unmoved
        refund_exceeds_redemption  back      -            1.00     1.00
        unit_mismatch              buy       t            2.50     2.50
        unit_mismatch              out       t            0.50     0.50
        """,
    )


# ---- Rule 4: expiry ---------------------------------------------------------------------------------------------


def test_a_credit_can_be_drawn_strictly_before_its_expiry_and_the_rest_expires_before_what_happens_then() -> None:
    movements = movements_of(
        rows("""
        entry_id  entry_type  occurred_at          amount  expires_at
        a         created     2026-06-01T12:00      10.00  2026-06-30T23:59:59
        just      redeemed    2026-06-30T23:59:58    4.00  -
        then      redeemed    2026-06-30T23:59:59    1.00  -
        """)
    )
    assert_rows(
        movements,
        """
        movement_id  id         part  entry_id  movement_type  credit_id  amount  signed_amount  occurred_at     derived  remaining  valid_until
        a            a          1     a         created        a           10.00          10.00  06-01T12:00     no           10.00  06-30T23:59:58
        just         just       1     just      redeemed       a            4.00          -4.00  06-30T23:59:58  no            6.00  06-30T23:59:59
        a.expired    a.expired  1     -         expired        a            6.00          -6.00  06-30T23:59:59  yes           0.00  -
        then         then       1     then      redeemed       -            1.00          -1.00  06-30T23:59:59  no               -  -
        """,  # noqa: E501
    )


def test_future_expiries_are_forecast_in_draw_order() -> None:
    movements = movements_of(
        rows("""
        entry_id  entry_type  occurred_at       amount  priority  expires_at
        b         created     2026-06-01T12:00   10.00  50        2199-12-31T23:59:59
        a         created     2026-06-01T12:00    5.00  50        2199-12-31T23:59:59
        first     created     2026-06-01T12:00    1.00  0         2199-12-31T23:59:59
        sooner    created     2026-06-01T12:00    2.00  99        2199-12-30T23:59:59
        never     created     2026-06-01T12:00    7.00  50        -
        spent     created     2026-06-01T12:00    3.00  50        2199-12-31T23:59:59
        buy       deducted    2026-06-02T12:00    1.00  -         -
        """)
    )
    derived = [row["movement_id"] for row in movements if row["derived"]]
    assert derived == ["sooner.expired", "a.expired", "b.expired", "spent.expired"]


def test_a_credit_whose_expiry_is_not_after_its_start_expires_directly_after_it() -> None:
    movements = movements_of(
        rows("""
        entry_id  entry_type      occurred_at       amount  expires_at        issued_at
        a         created         2026-06-01T12:00   10.00  2026-06-01T12:00  -
        b         transferred_in  2026-06-01T12:00    5.00  2026-03-01T12:00  2026-01-01T00:00
        buy       redeemed        2026-06-01T12:00    1.00  -                 -
        """)
    )
    assert_rows(
        movements,
        """
        sequence  movement_id  amount  occurred_at  remaining  expires_at   valid_until
        1         a             10.00  06-01T12:00      10.00  06-01T12:00  06-01T12:00
        2         a.expired     10.00  06-01T12:00       0.00  06-01T12:00  -
        3         b              5.00  06-01T12:00       5.00  03-01T12:00  06-01T12:00
        4         b.expired      5.00  06-01T12:00       0.00  03-01T12:00  -
        5         buy            1.00  06-01T12:00          -  -            -
        """,
    )


def test_a_changed_expiry_counts_from_then_on_and_brings_nothing_back() -> None:
    movements, findings = replay(
        rows("""
        entry_id  entry_type      occurred_at       amount  credit_id  expires_at
        a         created         2026-06-01T12:00   10.00  -          2026-06-05T00:00
        b         created         2026-06-01T12:00    5.00  -          2026-06-05T00:00
        c         created         2026-06-01T12:00    2.00  -          -
        a-later   expiry_changed  2026-06-04T12:00    0     a          -
        b-late    expiry_changed  2026-06-05T00:00    0     b          2026-06-09T00:00
        c-now     expiry_changed  2026-06-06T00:00    0     c          2026-06-06T00:00
        """),
        farm(),
    )
    assert_rows(
        movements,
        """
        movement_id  movement_type   amount  signed_amount  occurred_at  remaining  expires_at   valid_until
        a            created          10.00          10.00  06-01T12:00      10.00  06-05T00:00  06-04T12:00
        b            created           5.00           5.00  06-01T12:00       5.00  06-05T00:00  06-05T00:00
        c            created           2.00           2.00  06-01T12:00       2.00  -            06-06T00:00
        a-later      expiry_changed    0.00           0.00  06-04T12:00      10.00  -            -
        b.expired    expired           5.00          -5.00  06-05T00:00       0.00  06-05T00:00  06-05T00:00
        b-late       expiry_changed    0.00           0.00  06-05T00:00       0.00  06-09T00:00  -
        c-now        expiry_changed    0.00           0.00  06-06T00:00       2.00  06-06T00:00  06-06T00:00
        c.expired    expired           2.00          -2.00  06-06T00:00       0.00  06-06T00:00  -
        """,
    )
    assert_rows(findings, NO_FINDINGS)


def test_a_stated_expiry_before_the_credits_own_takes_at_most_what_remains() -> None:
    movements, findings = replay(
        rows("""
        entry_id  entry_type  occurred_at       amount  credit_id  expires_at
        a         created     2026-06-01T12:00   10.00  -          2026-06-05T00:00
        b         created     2026-06-01T12:00    3.00  -          -
        a-some    expired     2026-06-04T23:59    4.00  a          -
        b-all     expired     2026-06-04T23:59    5.00  b          -
        """),
        farm(),
    )
    assert_rows(
        movements,
        """
        movement_id  entry_id  credit_id  amount  derived  remaining
        a            a         a           10.00  no           10.00
        b            b         b            3.00  no            3.00
        a-some       a-some    a            4.00  no            6.00
        b-all        b-all     b            3.00  no            0.00
        a.expired    -         a            6.00  yes           0.00
        """,
    )
    assert_rows(
        findings,
        """
        finding          entry_id  credit_id  amount  unmoved
        expiry_mismatch  b-all     b            2.00     2.00
        """,
    )


def test_a_stated_expiry_at_or_after_the_credits_own_only_asserts_what_expired() -> None:
    movements, findings = replay(
        rows("""
        entry_id  entry_type  occurred_at       amount  credit_id  expires_at
        a         created     2026-06-01T12:00   10.00  -          2026-06-05T00:00
        b         created     2026-06-01T12:00    3.00  -          2026-06-05T00:00
        a-1       expired     2026-06-05T00:00    4.00  a          -
        a-2       expired     2026-06-07T00:00    6.00  a          -
        b-1       expired     2026-06-05T00:00    1.00  b          -
        b-2       expired     2026-06-06T00:00    5.00  b          -
        """),
        farm(),
    )
    assert [row["movement_id"] for row in movements] == ["a", "b", "a.expired", "b.expired"]
    assert_rows(
        findings,
        """
        finding          entry_id  credit_id  amount  unmoved
        expiry_mismatch  b-2       b            3.00     0.00
        """,
    )


def test_an_assertion_is_compared_with_what_expired_by_the_accounts_last_entry() -> None:
    """The refund that expires at once adds to the derived sum; the forecast of the extended credit does not."""
    _, findings = replay(
        rows("""
        entry_id  entry_type      occurred_at       amount  credit_id  redemption_id  expires_at
        a         created         2026-06-01T12:00   10.00  -          -              2026-06-05T00:00
        buy       redeemed        2026-06-02T12:00    4.00  -          buy            -
        said      expired         2026-06-05T00:00    6.00  a          -              -
        back      refunded        2026-06-06T00:00    1.00  -          buy            -
        longer    expiry_changed  2026-06-07T00:00    0     a          -              2026-06-09T00:00
        more      refunded        2026-06-08T00:00    3.00  -          buy            -
        """),
        farm(),
    )
    assert_rows(
        findings,
        """
        finding          entry_id  credit_id  amount  unmoved
        expiry_mismatch  said      a            1.00     0.00
        """,
    )


# ---- Rule 5: refund ---------------------------------------------------------------------------------------------

UNCOVERED_AND_BACK = """
    entry_id  entry_type  occurred_at       amount  redemption_id
    may       created     2026-05-01T12:00   10.00  -
    june      created     2026-06-01T12:00   10.00  -
    buy       redeemed    2026-06-02T12:00   23.00  order-7
    back-1    refunded    2026-06-03T12:00    5.00  order-7
    back-2    refunded    2026-06-03T12:00    9.00  order-7
    back-3    refunded    2026-06-03T12:00   10.00  order-7
"""


def test_a_refund_goes_back_last_drawn_first_and_the_uncovered_part_was_drawn_last() -> None:
    movements, findings = replay(rows(UNCOVERED_AND_BACK), farm())
    assert_rows(
        movements[2:],
        """
        movement_id  id       part  credit_id  amount  signed_amount  remaining  redemption_id  redemption_movement_id
        order-7.1    order-7  1     may         10.00         -10.00       0.00  order-7        -
        order-7.2    order-7  2     june        10.00         -10.00       0.00  order-7        -
        order-7.3    order-7  3     -            3.00          -3.00          -  order-7        -
        back-1.1     back-1   1     -            3.00           3.00          -  order-7        order-7.3
        back-1.2     back-1   2     june         2.00           2.00       2.00  order-7        order-7.2
        back-2.1     back-2   1     june         8.00           8.00      10.00  order-7        order-7.2
        back-2.2     back-2   2     may          1.00           1.00       1.00  order-7        order-7.1
        back-3       back-3   1     may          9.00           9.00      10.00  order-7        order-7.1
        """,
    )
    assert_rows(
        findings,
        """
        finding                    entry_id  credit_id  amount  unmoved
        refund_exceeds_redemption  back-3    -            1.00     1.00
        uncovered_draw             buy       -            3.00     0.00
        """,
    )


def test_a_refund_that_names_a_credit_gives_back_only_what_came_from_it() -> None:
    movements, findings = replay(
        rows("""
        entry_id  entry_type  occurred_at       amount  credit_id  redemption_id
        may       created     2026-05-01T12:00   10.00  -          -
        june      created     2026-06-01T12:00   10.00  -          -
        july      created     2026-06-01T12:01   10.00  -          -
        buy       redeemed    2026-06-02T12:00   15.00  -          buy
        back-1    refunded    2026-06-03T12:00   12.00  may        buy
        back-2    refunded    2026-06-03T12:00    1.00  july       buy
        back-3    refunded    2026-06-03T12:00    1.00  nowhere    buy
        back-4    refunded    2026-06-03T12:00    1.00  nowhere    what
        back-5    refunded    2026-06-03T12:00    6.00  -          buy
        """),
        farm(),
    )
    assert_rows(
        [row for row in movements if row["movement_type"] == "refunded"],
        """
        movement_id  credit_id  amount  redemption_movement_id
        back-1       may         10.00  buy.1
        back-5       june         5.00  buy.2
        """,
    )
    assert_rows(
        findings,
        """
        finding                       entry_id  credit_id  amount  unmoved
        refund_exceeds_redemption     back-1    may          2.00     2.00
        refund_exceeds_redemption     back-2    july         1.00     1.00
        unknown_credit                back-3    nowhere      1.00     1.00
        refund_of_unknown_redemption  back-4    nowhere      1.00     1.00
        refund_exceeds_redemption     back-5    -            1.00     1.00
        """,
    )


def test_a_refund_of_a_redemption_that_the_account_has_not_had_by_then_moves_nothing() -> None:
    movements, findings = replay(
        rows("""
        entry_id  entry_type  occurred_at       member_id  amount  redemption_id
        a         created     2026-06-01T12:00  ada         10.00  -
        early     refunded    2026-06-02T12:00  ada          1.00  buy
        buy       redeemed    2026-06-03T12:00  ada          5.00  buy
        hers      refunded    2026-06-04T12:00  bea          1.00  buy
        """),
        farm(),
    )
    assert [row["movement_id"] for row in movements] == ["a", "buy"]
    assert_rows(
        findings,
        """
        finding                       member_id  balance_type  entry_id  amount  unmoved
        refund_of_unknown_redemption  ada        default       early       1.00     1.00
        refund_of_unknown_redemption  bea        default       hers        1.00     1.00
        """,
    )


EXPIRED_AND_BACK = """
    entry_id  entry_type  occurred_at       amount  redemption_id  expires_at
    a         created     2026-06-01T12:00   10.00  -              2026-06-05T00:00
    b         created     2026-06-01T12:00   10.00  -              2026-06-06T00:00
    buy       redeemed    2026-06-02T12:00   13.00  buy            -
    back      refunded    2026-06-06T00:00    5.00  buy            -
"""


def test_a_refund_to_an_expired_credit_comes_back_and_expires_again_at_once() -> None:
    movements = movements_of(rows(EXPIRED_AND_BACK))
    assert_rows(
        movements[4:],
        """
        movement_id  id         part  credit_id  signed_amount  occurred_at  remaining  expires_at   valid_until
        b.expired    b.expired  1     b                  -7.00  06-06T00:00       0.00  06-06T00:00  06-06T00:00
        back.1       back       1     b                   3.00  06-06T00:00       3.00  06-06T00:00  06-06T00:00
        b.expired.2  b.expired  2     b                  -3.00  06-06T00:00       0.00  06-06T00:00  -
        back.2       back       2     a                   2.00  06-06T00:00       2.00  06-05T00:00  06-06T00:00
        a.expired    a.expired  1     a                  -2.00  06-06T00:00       0.00  06-05T00:00  -
        """,
    )


def test_with_grace_it_lives_to_the_end_of_the_local_day_that_many_days_later() -> None:
    """In New York the refund is on 5 June at 20:00, so that three days later is the 8th, which ends at 03:59:59 UTC."""
    movements = movements_of(rows(EXPIRED_AND_BACK), refund_grace_days=3, timezone="America/New_York")
    assert_rows(
        movements[4:],
        """
        movement_id  signed_amount  occurred_at     remaining  expires_at      valid_until
        b.expired            -7.00  06-06T00:00          0.00  06-06T00:00     06-06T00:00
        back.1                3.00  06-06T00:00          3.00  06-09T03:59:59  06-09T03:59:59
        back.2                2.00  06-06T00:00          2.00  06-09T03:59:59  06-09T03:59:59
        a.expired            -2.00  06-09T03:59:59       0.00  06-09T03:59:59  -
        b.expired.2          -3.00  06-09T03:59:59       0.00  06-09T03:59:59  -
        """,
    )


def test_grace_that_ends_on_a_day_that_does_not_exist_is_shifted_by_the_gap() -> None:
    """Apia had no 30 December 2011: 23:59:59 of it, at the offset of before, is 09:59:59 UTC on the 31st."""
    movements = movements_of(
        rows("""
        entry_id  entry_type  occurred_at       amount  redemption_id  expires_at
        a         created     2011-12-26T12:00   10.00  -              2011-12-28T00:00
        buy       redeemed    2011-12-27T12:00   10.00  buy            -
        back      refunded    2011-12-28T12:00    1.00  buy            -
        """),
        refund_grace_days=2,
        timezone="Pacific/Apia",
    )
    assert movements[-2]["expires_at"] == datetime(2011, 12, 31, 9, 59, 59, tzinfo=UTC)


def test_grace_does_not_lengthen_a_credit_that_has_not_expired() -> None:
    movements = movements_of(
        rows("""
        entry_id  entry_type  occurred_at       amount  redemption_id  expires_at
        a         created     2026-06-01T12:00   10.00  -              2026-06-05T00:00
        buy       redeemed    2026-06-02T12:00   10.00  buy            -
        back      refunded    2026-06-04T23:59    1.00  buy            -
        """),
        refund_grace_days=3,
    )
    assert_rows(
        movements[2:],
        """
        movement_id  occurred_at  expires_at
        back         06-04T23:59  06-05T00:00
        a.expired    06-05T00:00  06-05T00:00
        """,
    )


def test_a_refund_to_a_credit_that_was_reversed_or_deducted_stays_and_is_found() -> None:
    """A reversal that found nothing to take, as of `a` here, has not reversed anything."""
    movements, findings = replay(
        rows("""
        entry_id  entry_type       occurred_at       amount  credit_id  redemption_id  transfer_id
        a         created          2026-06-01T12:00   10.00  -          -              -
        b         created          2026-06-01T12:01   10.00  -          -              -
        c         created          2026-06-01T12:02   10.00  -          -              -
        d         created          2026-06-01T12:03   10.00  -          -              -
        e         created          2026-06-01T12:04   10.00  -          -              -
        buy       redeemed         2026-06-02T12:00   20.00  -          buy            -
        for-c     redeemed         2026-06-02T12:00    4.00  c          for-c          -
        for-d     redeemed         2026-06-02T12:00    4.00  d          for-d          -
        for-e     redeemed         2026-06-02T12:00    4.00  e          for-e          -
        rev-a     reversed         2026-06-03T12:00    1.00  a          -              -
        rev-c     reversed         2026-06-03T12:00    1.00  c          -              -
        ded-d     deducted         2026-06-03T12:00    2.00  d          -              -
        out-e     transferred_out  2026-06-03T12:00    2.00  e          -              t
        in-e      transferred_in   2026-06-03T12:00    2.00  -          -              t
        back      refunded         2026-06-04T12:00   20.00  -          buy            -
        back-c    refunded         2026-06-04T12:00    4.00  -          for-c          -
        back-d    refunded         2026-06-04T12:00    3.00  -          for-d          -
        back-e    refunded         2026-06-04T12:00    4.00  -          for-e          -
        """),
        farm(),
    )
    assert_rows(
        [row for row in movements if row["movement_type"] == "refunded"],
        """
        movement_id  credit_id  amount  remaining
        back.1       b           10.00      10.00
        back.2       a           10.00      10.00
        back-c       c            4.00       9.00
        back-d       d            3.00       7.00
        back-e       e            4.00       8.00
        """,
    )
    assert_rows(
        findings,
        """
        finding                entry_id  credit_id  amount  unmoved
        refund_after_reversal  back-c    c            4.00     0.00
        refund_after_reversal  back-d    d            3.00     0.00
        reversal_short         rev-a     a            1.00     1.00
        """,
    )


# ---- Rules 6 and 7: uncovered, reversal -------------------------------------------------------------------------


def test_later_credits_do_not_repay_what_was_uncovered() -> None:
    movements, findings = replay(
        rows("""
        entry_id  entry_type  occurred_at       amount
        a         created     2026-06-01T12:00    3.00
        cut       deducted    2026-06-02T12:00    5.00
        b         created     2026-06-03T12:00   10.00
        """),
        farm(),
    )
    assert_rows(
        movements,
        """
        movement_id  movement_type  credit_id  amount  signed_amount  remaining  redemption_id  expires_at  valid_until
        a            created        a            3.00           3.00       3.00  -              -           06-02T12:00
        cut.1        deducted       a            3.00          -3.00       0.00  -              -           -
        cut.2        deducted       -            2.00          -2.00          -  -              -           -
        b            created        b           10.00          10.00      10.00  -              -           -
        """,
    )
    assert_rows(
        findings,
        """
        finding         entry_id  credit_id  amount  unmoved
        uncovered_draw  cut       -            2.00     0.00
        """,
    )


def test_a_reversal_takes_at_most_what_remains() -> None:
    movements, findings = replay(
        rows("""
        entry_id  entry_type  occurred_at       amount  credit_id
        a         created     2026-06-01T12:00   10.00  -
        buy       redeemed    2026-06-02T12:00    4.00  -
        rev-1     reversed    2026-06-03T12:00   10.00  a
        rev-2     reversed    2026-06-04T12:00    1.00  a
        """),
        farm(),
    )
    assert_rows(
        movements[2:],
        """
        movement_id  movement_type  credit_id  amount  remaining
        rev-1        reversed       a            6.00       0.00
        """,
    )
    assert_rows(
        findings,
        """
        finding         entry_id  credit_id  amount  unmoved
        reversal_short  rev-1     a            4.00     4.00
        reversal_short  rev-2     a            1.00     1.00
        """,
    )


# ---- Rule 8: transfers ------------------------------------------------------------------------------------------


def test_halves_and_unequal_pairs_of_transfers_are_found_and_still_move() -> None:
    movements, findings = replay(
        rows("""
        entry_id  entry_type       occurred_at       member_id  balance_type  amount  transfer_id
        a         created          2026-06-01T12:00  ada        default        50.00  -
        good-out  transferred_out  2026-06-02T12:00  ada        default         5.00  good
        good-in   transferred_in   2026-06-02T12:00  bea        gift            5.00  good
        gap-out   transferred_out  2026-06-02T12:00  ada        default         5.00  gap
        gap-in    transferred_in   2026-06-02T12:00  bea        default         7.00  gap
        unit-out  transferred_out  2026-06-02T12:00  ada        default         5.00  unit
        unit-in   transferred_in   2026-06-02T12:00  bea        token           5     unit
        many-o1   transferred_out  2026-06-02T12:00  ada        default         1.00  many
        many-o2   transferred_out  2026-06-03T12:00  ada        default         2.00  many
        many-i2   transferred_in   2026-06-02T12:00  bea        default         2.00  many
        many-i1   transferred_in   2026-06-02T12:00  bea        default         1.00  many
        many-i0   transferred_in   2026-06-03T12:00  bea        default         4.00  many
        no-id-o   transferred_out  2026-06-02T12:00  ada        default         1.00  -
        no-id-i   transferred_in   2026-06-02T12:00  ada        default         1.00  -
        """),
        farm(),
    )
    assert len(movements) == 14
    assert_rows(
        findings,
        """
        finding            member_id  balance_type  entry_id  credit_id  amount  unmoved
        unequal_transfer   ada        default       gap-out   -            2.00     0.00
        unpaired_transfer  ada        default       no-id-i   no-id-i      1.00     0.00
        unpaired_transfer  ada        default       no-id-o   -            1.00     0.00
        unequal_transfer   ada        default       unit-out  -            0.00     0.00
        unpaired_transfer  bea        default       many-i0   many-i0      4.00     0.00
        """,
    )


def test_a_half_with_too_many_decimals_has_that_finding_only_and_its_partner_none() -> None:
    movements, findings = replay(
        rows("""
        entry_id  entry_type       occurred_at       balance_type  amount  credit_id  transfer_id
        t         created          2026-06-01T12:00  token          5      -          -
        out       transferred_out  2026-06-02T12:00  -              0.50   t          pair
        in        transferred_in   2026-06-02T12:00  default        0.50   -          pair
        """),
        farm(),
    )
    assert [row["movement_id"] for row in movements] == ["in", "t"]
    assert_rows(
        findings,
        """
        finding        entry_id  credit_id  amount  unmoved
        unit_mismatch  out       t            0.50     0.50
        """,
    )


def test_transfers_are_paired_within_a_merchant() -> None:
    entries = rows("""
        entry_id  entry_type       occurred_at       amount  transfer_id
        out       transferred_out  2026-06-02T12:00    5.00  t
        in        transferred_in   2026-06-02T12:00    5.00  t
    """)
    entries[1]["merchant_id"] = "mill"
    policies = farm() | {"mill": Policy("mill", "UTC")}
    _, findings = replay(entries, policies)
    assert [(row["finding"], row["merchant_id"]) for row in findings] == [
        ("uncovered_draw", "farm"),
        ("unpaired_transfer", "farm"),
        ("unpaired_transfer", "mill"),
    ]


# ---- The invariants, on random ledgers --------------------------------------------------------------------------

World = tuple[list[Row], dict[str, Policy]]


def account(row: Row) -> tuple[str, str, str]:
    return (row["merchant_id"], row["member_id"], row["balance_type"])


def by_account(movements: list[Row]) -> list[list[Row]]:
    return [list(group) for _, group in itertools.groupby(movements, key=account)]


@LIGHT
@given(ledgers())
def test_a_random_ledger_is_one_that_ingest_accepts(world: World) -> None:
    entries, policies = world
    for merchant_id, policy in policies.items():
        mine = [entry for entry in entries if entry["merchant_id"] == merchant_id]
        lots = [entry for entry in mine if entry["entry_type"] in CREDIT_TYPES]
        redemptions = [entry for entry in mine if entry["entry_type"] == "redeemed"]
        assert len({entry["entry_id"] for entry in mine}) == len(mine)
        assert len({entry["credit_id"] for entry in lots} - {None}) == len(lots)
        assert len({entry["redemption_id"] for entry in redemptions} - {None}) == len(redemptions)
        for entry in mine:
            entry_type, balance_type = entry["entry_type"], entry["balance_type"]
            assert entry_type in SIGN
            assert entry["occurred_at"] < datetime.now(UTC)
            assert (entry["amount"] > 0) == (entry_type != "expiry_changed")
            assert entry_type not in ("reversed", "expired", "expiry_changed") or entry["credit_id"]
            assert entry_type != "refunded" or entry["redemption_id"]
            if balance_type is None:
                assert entry_type not in CREDIT_TYPES
                assert entry["credit_id"] or entry_type == "refunded"
                decimals = max(decimals for _, decimals in policy.balance_types.values())
            else:
                _, decimals = policy.balance_types[balance_type]
            assert round(entry["amount"], decimals) == entry["amount"]


@LIGHT
@given(ledgers())
def test_what_remains_of_a_credit_is_never_negative_nor_above_its_amount(world: World) -> None:
    entries, policies = world
    movements, _ = replay(entries, policies)
    amounts = {(e["merchant_id"], e["credit_id"]): e["amount"] for e in entries if e["entry_type"] in CREDIT_TYPES}
    for row in movements:
        if row["credit_id"] is not None:
            assert 0 <= row["remaining"] <= amounts[row["merchant_id"], row["credit_id"]]
        assert row["amount"] > 0 or row["movement_type"] == "expiry_changed"
        assert row["signed_amount"] == SIGN[row["movement_type"]] * row["amount"]


@LIGHT
@given(ledgers())
def test_what_an_entry_says_either_moves_or_is_in_a_finding(world: World) -> None:
    entries, policies = world
    movements, findings = replay(entries, policies)
    for entry in entries:
        key = (entry["merchant_id"], entry["entry_id"])
        moved = sum(m["amount"] for m in movements if (m["merchant_id"], m["entry_id"]) == key)
        unmoved = sum(f["unmoved"] for f in findings if (f["merchant_id"], f["entry_id"]) == key)
        asserts = entry["entry_type"] == "expired" and moved == unmoved == 0
        assert asserts or moved + unmoved == entry["amount"]


@LIGHT
@given(ledgers())
def test_at_every_movement_the_balance_is_what_remains_less_what_was_overdrawn(world: World) -> None:
    movements, _ = replay(*world)
    for rows_of_account in by_account(movements):
        assert [row["sequence"] for row in rows_of_account] == list(range(1, len(rows_of_account) + 1))
        instants = [row["occurred_at"] for row in rows_of_account]
        assert instants == sorted(instants)
        for instant in instants:
            so_far = [row for row in rows_of_account if row["occurred_at"] <= instant]
            balance = sum(row["signed_amount"] for row in so_far)
            overdrawn = -sum(row["signed_amount"] for row in so_far if row["credit_id"] is None)
            # A credit's state as of an instant is a range filter.
            extant = [r for r in so_far if r["credit_id"] and (r["valid_until"] is None or instant < r["valid_until"])]
            assert len({row["credit_id"] for row in extant}) == len(extant)
            assert balance == sum(row["remaining"] for row in extant) - overdrawn
            assert overdrawn >= 0


@LIGHT
@given(ledgers())
def test_nothing_is_drawn_from_or_left_in_an_expired_credit(world: World) -> None:
    movements, _ = replay(*world)
    for row in movements:
        if row["movement_type"] in ("redeemed", "deducted", "transferred_out", "reversed") and row["credit_id"]:
            assert row["expires_at"] is None or row["occurred_at"] < row["expires_at"]
        if row["valid_until"] is None and row["expires_at"] is not None:
            assert row["remaining"] == 0


@LIGHT
@given(ledgers())
def test_no_more_of_a_redemption_is_given_back_than_it_drew_from_each_credit(world: World) -> None:
    movements, _ = replay(*world)
    drawn = {
        (row["merchant_id"], row["redemption_id"], row["movement_id"]): row
        for row in movements
        if row["movement_type"] == "redeemed"
    }
    given_back: dict[tuple[str, str, str], Decimal] = {}
    for row in movements:
        if row["movement_type"] == "refunded":
            key = (row["merchant_id"], row["redemption_id"], row["redemption_movement_id"])
            given_back[key] = given_back.get(key, Decimal(0)) + row["amount"]
            assert (account(row), row["credit_id"]) == (account(drawn[key]), drawn[key]["credit_id"])
            assert given_back[key] <= drawn[key]["amount"]


@LIGHT
@given(ledgers())
def test_ids_of_movements_are_unique(world: World) -> None:
    movements, _ = replay(*world)
    keys = [(r["merchant_id"], r["movement_type"], r["derived"], r["id"], r["part"]) for r in movements]
    assert len(set(keys)) == len(keys)


@LIGHT
@given(ledgers(), st.randoms(use_true_random=False))
def test_the_order_in_which_entries_arrive_changes_nothing(world: World, randomness: random.Random) -> None:
    entries, policies = world
    shuffled = list(entries)
    randomness.shuffle(shuffled)
    assert replay(shuffled, policies) == replay(entries, policies)


@LIGHT
@given(ledgers())
def test_a_merchant_alone_gives_the_same_as_among_others(world: World) -> None:
    entries, policies = world
    movements, findings = replay(entries, policies)
    for merchant_id in policies:
        alone = replay([entry for entry in entries if entry["merchant_id"] == merchant_id], policies)
        assert alone[0] == [row for row in movements if row["merchant_id"] == merchant_id]
        assert alone[1] == [row for row in findings if row["merchant_id"] == merchant_id]
