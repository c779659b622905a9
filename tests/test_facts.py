"""The replay, rule by rule of the domain, each with a ledger small enough to check by hand.

Times without offset are UTC; the merchant acme is in New York and the member is ada unless a row says otherwise.
"""

import random
from typing import Any

import duckdb
import pytest

from pipelines import replay as replays
from pipelines.promises import BrokenPromiseError
from pipelines.settings import BalanceType
from tests.ledgers import Ledger, Rows, instant, merchant, open_ledger, replayed
from tests.tables import assert_rows, rows


def movements(text: str, **policies: Any) -> Rows:
    """The movements of a ledger that gives rise to no finding."""
    ledger = replayed(rows(text), merchant(**policies))
    assert ledger.findings.all == []
    return ledger.movements


# Order


def test_at_one_instant_entries_take_effect_in_the_order_of_their_types() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type       occurred_at       amount  credit_id  redemption_id  expires_at        transfer_id
        old       created          2026-01-01T12:00   50.00
        before    redeemed         2026-01-02T12:00    5.00
        a         expired          2026-01-03T12:00    1.00  old
        b         reversed         2026-01-03T12:00    1.00  old
        c         transferred_out  2026-01-03T12:00    1.00                                              move
        d         deducted         2026-01-03T12:00    1.00
        e         refunded         2026-01-03T12:00    1.00             now
        f         redeemed         2026-01-03T12:00    1.00             now
        g         refunded         2026-01-03T12:00    1.00             before
        h         expiry_changed   2026-01-03T12:00          old                       2026-12-31T12:00
        i         transferred_in   2026-01-03T12:00    1.00                                              move
        j         created          2026-01-03T12:00    1.00
        k         opening          2026-01-03T12:00    1.00
    """)
    )
    assert [row["entry_id"] for row in ledger.movements][2:13] == list("ijkhgfedcba")


def test_entries_of_one_instant_and_type_go_by_id_as_text() -> None:
    assert_rows(
        movements("""
        entry_id  entry_type  occurred_at       amount
        lot       created     2026-01-01T12:00   10.00
        b         redeemed    2026-01-02T12:00    1.00
        B         redeemed    2026-01-02T12:00    1.00
        10        redeemed    2026-01-02T12:00    1.00
        9         redeemed    2026-01-02T12:00    1.00
        é         redeemed    2026-01-02T12:00    1.00
    """),
        """
        entry_id  remaining  sequence
        lot           10.00         1
        10             9.00         2
        9              8.00         3
        B              7.00         4
        b              6.00         5
        é              5.00         6
    """,
    )


def test_each_balance_type_is_an_account_of_its_own() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  balance_type  member_id
        lot       created     2026-01-01T12:00   10.00  default       ada
        gift      created     2026-01-01T12:00   10.00  gift          ada
        bobs      created     2026-01-01T12:00   10.00  default       bob
        buy       redeemed    2026-01-02T12:00   15.00  default       ada
    """)
    )
    assert_rows(
        ledger.movements,
        """
        member_id  balance_type  unit  movement_id  credit_id  amount  sequence
        ada        default       USD   lot          lot         10.00         1
        ada        default       USD   buy.1        lot         10.00         2
        ada        default       USD   buy.2                     5.00         3
        ada        gift          USD   gift         gift        10.00         1
        bob        default       USD   bobs         bobs        10.00         1
    """,
    )


# Draw order


def test_what_expires_first_is_drawn_first_and_what_never_expires_last() -> None:
    assert_rows(
        movements("""
        entry_id  entry_type  occurred_at       amount  expires_at
        never     created     2026-01-01T12:00   10.00
        late      created     2026-01-02T12:00   10.00  2026-12-01T12:00
        soon      created     2026-01-03T12:00   10.00  2026-06-01T12:00
        buy       redeemed    2026-01-04T12:00   25.00
    """).of("buy"),
        """
        movement_id  credit_id  amount
        buy.1        soon        10.00
        buy.2        late        10.00
        buy.3        never        5.00
    """,
    )


def test_priority_comes_before_expiry_and_zero_is_a_priority() -> None:
    assert_rows(
        movements("""
        entry_id  entry_type  occurred_at       amount  expires_at        priority
        soon      created     2026-01-01T12:00   10.00  2026-06-01T12:00
        low       created     2026-01-02T12:00   10.00                    49
        zero      created     2026-01-03T12:00   10.00                    0
        minus     created     2026-01-03T12:00   10.00                    -1
        buy       redeemed    2026-01-04T12:00   31.00
    """).of("buy"),
        """
        credit_id  amount
        minus       10.00
        zero        10.00
        low         10.00
        soon         1.00
    """,
    )


def test_among_credits_of_one_expiry_the_first_issued_is_drawn_first_then_by_id() -> None:
    assert_rows(
        movements("""
        entry_id  entry_type  occurred_at       amount  issued_at         credit_id
        b         created     2026-01-02T12:00   10.00                    same-b
        a         created     2026-01-02T12:00   10.00                    same-a
        carried   opening     2026-01-03T12:00   10.00  2025-01-01T12:00  carried
        later     created     2026-01-03T12:00   10.00  2020-01-01T12:00  later
        buy       redeemed    2026-01-04T12:00   31.00
    """).of("buy"),
        """
        credit_id  amount
        carried     10.00
        same-a      10.00
        same-b      10.00
        later        1.00
    """,
    )


def test_oldest_first_looks_at_priority_and_age_only() -> None:
    text = """
        entry_id  entry_type  occurred_at       amount  expires_at        priority
        never     created     2026-01-01T12:00   10.00
        soon      created     2026-01-02T12:00   10.00  2026-06-01T12:00
        first     created     2026-01-03T12:00   10.00                    1
        buy       redeemed    2026-01-04T12:00   21.00
    """
    assert_rows(
        movements(text, draw_order="oldest_first").of("buy"),
        """
        credit_id  amount
        first       10.00
        never       10.00
        soon         1.00
    """,
    )


def test_a_changed_expiry_changes_the_order_of_draws() -> None:
    text = """
        entry_id  entry_type      occurred_at       amount  expires_at        credit_id
        soon      created         2026-01-01T12:00   10.00  2026-06-01T12:00
        late      created         2026-01-02T12:00   10.00  2026-07-01T12:00
        change    expiry_changed  2026-01-03T12:00          2026-05-01T12:00  late
        buy       redeemed        2026-01-04T12:00    5.00
    """
    assert [row["credit_id"] for row in movements(text).of("buy")] == ["late"]
    assert [row["credit_id"] for row in movements(text, draw_order="oldest_first").of("buy")] == ["soon"]


@pytest.mark.parametrize("draw", ["deducted", "transferred_out"])
def test_deductions_and_transfers_draw_in_the_same_order(draw: str) -> None:
    ledger = replayed(
        rows(f"""
        entry_id  entry_type        occurred_at       amount  expires_at
        never     created           2026-01-01T12:00   10.00
        soon      created           2026-01-02T12:00   10.00  2026-06-01T12:00
        out       {draw:15}   2026-01-03T12:00   15.00
    """)
    )
    assert_rows(
        ledger.movements.of("out"),
        """
        movement_id  credit_id  amount  signed_amount  remaining
        out.1        soon        10.00         -10.00       0.00
        out.2        never        5.00          -5.00       5.00
    """,
    )


# Named credits


def test_a_draw_that_names_a_credit_takes_from_no_other() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  credit_id
        may       created     2026-05-01T12:00   10.00
        june      created     2026-06-01T12:00   10.00
        buy       redeemed    2026-06-02T12:00   15.00  june
    """)
    )
    assert_rows(
        ledger.movements.of("buy"),
        """
        movement_id  credit_id  amount  remaining
        buy.1        june        10.00       0.00
        buy.2                     5.00
    """,
    )
    assert_rows(
        ledger.findings,
        """
        finding         entry_id  credit_id  amount  unmoved
        uncovered_draw  buy       june         5.00     0.00
    """,
    )


def test_a_credit_of_another_member_is_not_touched() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type      occurred_at       amount  credit_id  member_id
        lot       created         2026-01-01T12:00   10.00             ada
        bobs      created         2026-09-01T12:00   10.00             bob
        buy       redeemed        2026-01-02T12:00    4.00  bobs       ada
        take      reversed        2026-01-03T12:00    3.00  bobs       ada
        later     expiry_changed  2026-01-03T12:00          bobs       ada
    """)
    )
    assert ledger.movements.of("buy", "take", "later").all == []
    assert_rows(
        ledger.findings,
        """
        finding                  member_id  entry_id  credit_id  amount  unmoved
        credit_of_other_account  ada        buy       bobs         4.00     4.00
        credit_of_other_account  ada        later     bobs         0.00     0.00
        credit_of_other_account  ada        take      bobs         3.00     3.00
    """,
    )


def test_a_credit_of_another_balance_type_than_stated_is_not_touched() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  credit_id  balance_type
        lot       created     2026-01-01T12:00   10.00             gift
        stated    redeemed    2026-01-02T12:00    4.00  lot        default
        right     redeemed    2026-01-02T12:00    4.00  lot        gift
        blank     redeemed    2026-01-03T12:00    4.00  lot
    """)
    )
    assert_rows(
        ledger.movements,
        """
        balance_type  entry_id  credit_id  remaining
        gift          lot       lot            10.00
        gift          right     lot             6.00
        gift          blank     lot             2.00
    """,
    )
    assert_rows(
        ledger.findings,
        """
        finding                  balance_type  entry_id  amount  unmoved
        credit_of_other_account  default       stated      4.00     4.00
    """,
    )


def test_a_draw_from_a_credit_not_known_by_then_is_uncovered_and_the_rest_move_nothing() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type      occurred_at       amount  credit_id  redemption_id
        lot       created         2026-01-01T12:00   10.00
        late      created         2026-02-01T12:00   10.00
        buy       redeemed        2026-01-02T12:00    4.00  late
        cut       deducted        2026-01-03T12:00    3.00  nowhere
        take      reversed        2026-01-04T12:00    2.00  late
        gone      expired         2026-01-05T12:00    1.00  nowhere
        change    expiry_changed  2026-01-06T12:00          late
        buy2      redeemed        2026-01-07T12:00    1.00
        back      refunded        2026-01-08T12:00    1.00  late       buy2
    """)
    )
    assert_rows(
        ledger.movements,
        """
        movement_id  credit_id  amount
        lot          lot         10.00
        buy                       4.00
        cut                       3.00
        buy2         lot          1.00
        late         late        10.00
    """,
    )
    assert_rows(
        ledger.findings,
        """
        finding         entry_id  credit_id  amount  unmoved
        uncovered_draw  buy       late         4.00     0.00
        unknown_credit  buy       late         4.00     0.00
        uncovered_draw  cut       nowhere      3.00     0.00
        unknown_credit  cut       nowhere      3.00     0.00
        unknown_credit  take      late         2.00     2.00
        unknown_credit  gone      nowhere      1.00     1.00
        unknown_credit  change    late         0.00     0.00
        unknown_credit  back      late         1.00     1.00
    """,
    )


def test_a_redemption_that_moved_nothing_has_been_had_with_nothing_to_refund() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  credit_id  redemption_id  member_id
        bobs      created     2026-01-01T12:00   10.00                            bob
        buy       redeemed    2026-01-02T12:00    4.00  bobs                      ada
        back      refunded    2026-01-03T12:00    4.00             buy            ada
    """)
    )
    assert_rows(
        ledger.findings.of("back"),
        """
        finding                    amount  unmoved
        refund_exceeds_redemption    4.00     4.00
    """,
    )


def test_a_blank_balance_type_follows_from_the_credit_else_from_the_redemption() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  balance_type  credit_id  redemption_id  member_id
        gift      created     2026-01-01T12:00   10.00  gift                                    ada
        bobs      created     2026-01-01T12:00   10.00  gift                                    bob
        by-lot    redeemed    2026-01-02T12:00    4.00                gift                      ada
        by-buy    refunded    2026-01-03T12:00    1.00                           by-lot         ada
        of-bob    redeemed    2026-01-04T12:00    1.00                bobs                      ada
        to-bob    refunded    2026-01-05T12:00    1.00                           by-lot         bob
        nowhere   redeemed    2026-01-06T12:00    1.00                nothing                   ada
    """)
    )
    assert_rows(
        ledger.movements.of("by-lot", "by-buy"),
        """
        entry_id  balance_type  credit_id  remaining
        by-lot    gift          gift            6.00
        by-buy    gift          gift            7.00
    """,
    )
    assert_rows(
        ledger.findings,
        """
        finding                       member_id  balance_type  entry_id
        credit_of_other_account       ada        default       of-bob
        uncovered_draw                ada        default       nowhere
        unknown_credit                ada        default       nowhere
        refund_of_unknown_redemption  bob        default       to-bob
    """,
    )


def test_an_amount_finer_than_its_unit_moves_nothing() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  balance_type  credit_id  redemption_id
        coins     created     2026-01-01T12:00      10  winston
        buy       redeemed    2026-01-02T12:00     1.5                coins
        back      refunded    2026-01-03T12:00       1                           buy
        whole     redeemed    2026-01-04T12:00    2.00                coins
    """)
    )
    assert_rows(
        ledger.movements.of("buy", "back", "whole"),
        """
        movement_id  unit  credit_id  amount  remaining
        whole        TKN   coins        2.00       8.00
    """,
    )
    assert_rows(
        ledger.findings,
        """
        finding                    entry_id  unit  credit_id  amount  unmoved
        unit_mismatch              buy       TKN   coins        1.50     1.50
        refund_exceeds_redemption  back      TKN                1.00     1.00
    """,
    )


# Expiry


def test_a_credit_can_be_drawn_until_just_before_it_expires() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at                amount  expires_at
        lot       created     2026-01-01T12:00            10.00  2026-02-01T12:00
        just      redeemed    2026-02-01T11:59:59.999999   4.00
        late      redeemed    2026-02-01T12:00             1.00
    """)
    )
    assert_rows(
        ledger.movements,
        """
        movement_id  entry_id  movement_type  credit_id  amount  remaining  derived  sequence
        lot          lot       created        lot         10.00      10.00  false           1
        just         just      redeemed       lot          4.00       6.00  false           2
        lot.expired            expired        lot          6.00       0.00  true            3
        late         late      redeemed                    1.00             false           4
    """,
    )


def test_expiries_are_told_ahead_of_time_each_as_if_nothing_else_happened() -> None:
    assert_rows(
        movements("""
        entry_id  entry_type  occurred_at       amount  expires_at        priority
        z         created     2026-01-01T12:00   10.00  2099-01-01T12:00
        a         created     2026-01-01T12:00   10.00  2099-01-01T12:00
        first     created     2026-01-01T12:00   10.00  2099-01-01T12:00  1
        sooner    created     2026-01-01T12:00   10.00  2098-01-01T12:00
        never     created     2026-01-01T12:00   10.00
        used      created     2026-01-01T12:00   10.00  2097-01-01T12:00  0
        buy       redeemed    2026-01-02T12:00   10.00
    """).where(derived=True),
        """
        movement_id     occurred_at       amount  signed_amount
        sooner.expired  2098-01-01T12:00   10.00         -10.00
        first.expired   2099-01-01T12:00   10.00         -10.00
        a.expired       2099-01-01T12:00   10.00         -10.00
        z.expired       2099-01-01T12:00   10.00         -10.00
    """,
    )


def test_a_credit_that_comes_expired_expires_as_it_comes() -> None:
    assert_rows(
        movements("""
        entry_id  entry_type  occurred_at       amount  expires_at
        lot       created     2026-01-01T12:00   10.00
        past      created     2026-01-02T12:00    5.00  2025-01-01T12:00
        same      created     2026-01-02T12:00    6.00  2026-01-02T12:00
        buy       redeemed    2026-01-02T12:00    1.00
    """),
        """
        movement_id   occurred_at       credit_id  amount  remaining  expires_at        valid_until
        lot           2026-01-01T12:00  lot         10.00      10.00                    2026-01-02T12:00
        past          2026-01-02T12:00  past         5.00       5.00  2025-01-01T12:00  2026-01-02T12:00
        past.expired  2026-01-02T12:00  past         5.00       0.00  2025-01-01T12:00
        same          2026-01-02T12:00  same         6.00       6.00  2026-01-02T12:00  2026-01-02T12:00
        same.expired  2026-01-02T12:00  same         6.00       0.00  2026-01-02T12:00
        buy           2026-01-02T12:00  lot          1.00       9.00
    """,
    )


def test_a_changed_expiry_holds_from_then_on() -> None:
    assert_rows(
        movements("""
        entry_id  entry_type      occurred_at       amount  expires_at        credit_id
        lot       created         2026-01-01T12:00   10.00  2026-02-01T12:00
        longer    expiry_changed  2026-01-10T12:00          2026-04-01T12:00  lot
        buy       redeemed        2026-03-01T12:00    1.00
        forever   expiry_changed  2026-03-02T12:00                            lot
        again     expiry_changed  2026-03-03T12:00          2026-05-01T12:00  lot
    """),
        """
        movement_id  movement_type   amount  signed_amount  remaining  expires_at        valid_until
        lot          created          10.00          10.00      10.00  2026-02-01T12:00  2026-01-10T12:00
        longer       expiry_changed    0.00           0.00      10.00  2026-04-01T12:00  2026-03-01T12:00
        buy          redeemed          1.00          -1.00       9.00  2026-04-01T12:00  2026-03-02T12:00
        forever      expiry_changed    0.00           0.00       9.00                    2026-03-03T12:00
        again        expiry_changed    0.00           0.00       9.00  2026-05-01T12:00  2026-05-01T12:00
        lot.expired  expired           9.00          -9.00       0.00  2026-05-01T12:00
    """,
    )


def test_an_expiry_moved_to_the_past_is_at_once_and_nothing_brings_it_back() -> None:
    assert_rows(
        movements("""
        entry_id  entry_type      occurred_at       amount  expires_at        credit_id
        lot       created         2026-01-01T12:00   10.00
        other     created         2026-01-01T12:00   10.00  2026-12-01T12:00
        past      expiry_changed  2026-03-02T12:00          2026-01-05T12:00  lot
        revive    expiry_changed  2026-03-03T12:00          2027-01-01T12:00  lot
        buy       redeemed        2026-03-04T12:00    5.00
    """),
        """
        movement_id    occurred_at       credit_id  amount  remaining  expires_at
        lot            2026-01-01T12:00  lot         10.00      10.00
        other          2026-01-01T12:00  other       10.00      10.00  2026-12-01T12:00
        past           2026-03-02T12:00  lot          0.00      10.00  2026-01-05T12:00
        lot.expired    2026-03-02T12:00  lot         10.00       0.00  2026-01-05T12:00
        revive         2026-03-03T12:00  lot          0.00       0.00  2027-01-01T12:00
        buy            2026-03-04T12:00  other        5.00       5.00  2026-12-01T12:00
        other.expired  2026-12-01T12:00  other        5.00       0.00  2026-12-01T12:00
    """,
    )


def test_a_credit_with_nothing_left_can_have_its_expiry_changed_for_what_comes_back() -> None:
    assert_rows(
        movements("""
        entry_id  entry_type      occurred_at       amount  expires_at        credit_id  redemption_id
        lot       created         2026-01-01T12:00   10.00  2026-02-01T12:00
        buy       redeemed        2026-01-02T12:00   10.00
        longer    expiry_changed  2026-03-01T12:00          2026-04-01T12:00  lot
        back      refunded        2026-03-02T12:00    3.00                               buy
    """).of("back", None),
        """
        movement_id  occurred_at       amount  remaining  expires_at
        back         2026-03-02T12:00    3.00       3.00  2026-04-01T12:00
        lot.expired  2026-04-01T12:00    3.00       0.00  2026-04-01T12:00
    """,
    )


def test_an_expiry_stated_early_takes_what_it_says_and_at_most_what_remains() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  expires_at        credit_id
        lot       created     2026-01-01T12:00   10.00  2026-12-01T12:00
        never     created     2026-01-01T12:00   10.00
        some      expired     2026-02-01T12:00    4.00                    lot
        more      expired     2026-03-01T12:00    9.00                    lot
        nevers    expired     2026-03-01T12:00    1.00                    never
    """)
    )
    assert_rows(
        ledger.movements.of("some", "more", "nevers"),
        """
        movement_id  movement_type  credit_id  amount  remaining  derived
        some         expired        lot          4.00       6.00  false
        more         expired        lot          6.00       0.00  false
        nevers       expired        never        1.00       9.00  false
    """,
    )
    assert_rows(
        ledger.findings,
        """
        finding          entry_id  credit_id  amount  unmoved
        expiry_mismatch  more      lot          3.00     3.00
    """,
    )


def test_an_expiry_stated_on_time_only_asserts_what_is_derived() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  expires_at        credit_id
        right     created     2026-01-01T12:00   10.00  2026-02-01T12:00
        wrong     created     2026-01-01T12:00   10.00  2026-02-01T12:00
        half-a    expired     2026-02-01T12:00    4.00                    right
        half-b    expired     2026-03-01T12:00    6.00                    right
        less-a    expired     2026-02-01T12:00    4.00                    wrong
        less-b    expired     2026-03-01T12:00    5.00                    wrong
    """)
    )
    assert ledger.movements.of("half-a", "half-b", "less-a", "less-b").all == []
    assert_rows(
        ledger.findings,
        """
        finding          entry_id  credit_id  amount  unmoved
        expiry_mismatch  less-b    wrong        1.00     0.00
    """,
    )


def test_what_expires_after_the_accounts_last_entry_is_not_held_against_what_is_asserted() -> None:
    movements("""
        entry_id  entry_type      occurred_at       amount  expires_at        credit_id  redemption_id
        lot       created         2026-01-01T12:00   10.00  2026-02-01T12:00
        buy       redeemed        2026-01-02T12:00    4.00
        said      expired         2026-02-01T12:00    6.00                    lot
        longer    expiry_changed  2026-02-02T12:00          2026-06-01T12:00  lot
        back      refunded        2026-02-03T12:00    4.00                               buy
    """)


def test_what_has_expired_by_the_accounts_last_entry_counts_even_if_that_moves_nothing() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  expires_at        credit_id  redemption_id
        lot       created     2026-01-01T12:00   10.00  2026-02-01T12:00
        buy       redeemed    2026-01-02T12:00    4.00
        said      expired     2026-02-01T12:00    6.00                    lot
        back      refunded    2026-02-03T12:00    4.00                               buy
        nothing   reversed    2026-02-04T12:00    4.00                    lot
    """)
    )
    assert_rows(
        ledger.findings,
        """
        finding          entry_id  amount  unmoved
        expiry_mismatch  said        4.00     0.00
        reversal_short   nothing     4.00     4.00
    """,
    )


# Refunds


def test_a_refund_goes_back_to_the_credit_drawn_last() -> None:
    assert_rows(
        movements("""
        entry_id  entry_type  occurred_at       member_id  amount  redemption_id
        may       created     2026-05-01T12:00  ada         10.00
        june      created     2026-06-01T12:00  ada         10.00
        buy       redeemed    2026-06-02T12:00  ada         15.00  buy
        back      refunded    2026-06-03T12:00  ada          7.00  buy
    """).of("back"),
        """
        movement_id  credit_id  amount  signed_amount  remaining  redemption_id  redemption_movement_id
        back.1       june         5.00           5.00      10.00  buy            buy.2
        back.2       may          2.00           2.00       2.00  buy            buy.1
    """,
    )


def test_refunds_of_one_redemption_go_on_where_the_last_one_ended() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  redemption_id
        may       created     2026-05-01T12:00   10.00
        june      created     2026-06-01T12:00   10.00
        buy       redeemed    2026-06-02T12:00   15.00  order
        one       refunded    2026-06-03T12:00    4.00  order
        two       refunded    2026-06-04T12:00    4.00  order
        three     refunded    2026-06-05T12:00    9.00  order
        four      refunded    2026-06-06T12:00    1.00  order
    """)
    )
    assert_rows(
        ledger.movements.of("one", "two", "three", "four"),
        """
        movement_id  credit_id  amount  remaining  redemption_movement_id
        one          june         4.00       9.00  order.2
        two.1        june         1.00      10.00  order.2
        two.2        may          3.00       3.00  order.1
        three        may          7.00      10.00  order.1
    """,
    )
    assert_rows(
        ledger.findings,
        """
        finding                    entry_id  amount  unmoved
        refund_exceeds_redemption  three       2.00     2.00
        refund_exceeds_redemption  four        1.00     1.00
    """,
    )


def test_what_was_uncovered_counts_as_drawn_last_and_comes_back_without_a_credit() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  redemption_id
        lot       created     2026-05-01T12:00   10.00
        buy       redeemed    2026-06-02T12:00   15.00
        back      refunded    2026-06-03T12:00    7.00  buy
    """)
    )
    assert_rows(
        ledger.movements.of("back"),
        """
        movement_id  credit_id  amount  signed_amount  remaining  redemption_movement_id
        back.1                    5.00           5.00             buy.2
        back.2       lot          2.00           2.00       2.00  buy.1
    """,
    )


def test_a_refund_that_names_a_credit_gives_back_only_what_came_from_it() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  redemption_id  credit_id
        may       created     2026-05-01T12:00   10.00
        june      created     2026-06-01T12:00   10.00
        july      created     2026-06-01T13:00   10.00
        buy       redeemed    2026-06-02T12:00   15.00
        named     refunded    2026-06-03T12:00   12.00  buy            may
        none      refunded    2026-06-04T12:00    1.00  buy            july
        rest      refunded    2026-06-05T12:00    6.00  buy
    """)
    )
    assert_rows(
        ledger.movements.of("named", "none", "rest"),
        """
        movement_id  credit_id  amount  remaining
        named        may         10.00      10.00
        rest         june         5.00      10.00
    """,
    )
    assert_rows(
        ledger.findings,
        """
        finding                    entry_id  credit_id  amount  unmoved
        refund_exceeds_redemption  named     may          2.00     2.00
        refund_exceeds_redemption  none      july         1.00     1.00
        refund_exceeds_redemption  rest                   1.00     1.00
    """,
    )


def test_naming_credits_of_a_redemption_with_many_parts_finds_each() -> None:
    lots = [
        {"entry_id": f"lot-{n:02}", "entry_type": "created", "occurred_at": f"2026-01-{n:02}T12:00", "amount": "1"}
        for n in range(1, 31)
    ]
    buy = {"entry_id": "buy", "entry_type": "redeemed", "occurred_at": "2026-02-01T12:00", "amount": "31"}
    backs = [
        {
            "entry_id": f"back-{n:02}",
            "entry_type": "refunded",
            "occurred_at": "2026-03-01T12:00",
            "amount": "1",
            "redemption_id": "buy",
            "credit_id": f"lot-{n:02}",
        }
        for n in range(1, 31)
    ]
    rest = {
        "entry_id": "rest",
        "entry_type": "refunded",
        "occurred_at": "2026-04-01T12:00",
        "amount": "1",
        "redemption_id": "buy",
    }
    ledger = replayed([*lots, buy, *backs, rest])
    named = [row for row in ledger.movements if row["entry_id"] and row["entry_id"].startswith("back-")]
    assert [row["redemption_movement_id"] for row in named] == [f"buy.{n}" for n in range(1, 31)]
    assert [row["redemption_movement_id"] for row in ledger.movements.of("rest")] == ["buy.31"]
    assert [row["finding"] for row in ledger.findings] == ["uncovered_draw"]


def test_a_refund_of_a_redemption_the_account_has_not_had_moves_nothing() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  redemption_id  credit_id  member_id  balance_type
        lot       created     2026-01-01T12:00   10.00                            ada
        bobs      created     2026-01-01T12:00   10.00                            bob
        early     refunded    2026-01-02T12:00    1.00  buy                       ada
        buy       redeemed    2026-01-03T12:00    5.00                            ada
        other     refunded    2026-01-04T12:00    2.00  buy                       ada        gift
        strange   refunded    2026-01-05T12:00    3.00  buy            bobs       bob
        unknown   refunded    2026-01-06T12:00    4.00  nothing                   ada
    """)
    )
    assert ledger.movements.of("early", "other", "strange", "unknown").all == []
    assert_rows(
        ledger.findings,
        """
        finding                       member_id  balance_type  entry_id  credit_id  amount  unmoved
        refund_of_unknown_redemption  ada        default       early                  1.00     1.00
        refund_of_unknown_redemption  ada        gift          other                  2.00     2.00
        refund_of_unknown_redemption  ada        default       unknown                4.00     4.00
        refund_of_unknown_redemption  bob        default       strange   bobs         3.00     3.00
    """,
    )


def test_a_refund_that_names_a_credit_of_another_account_moves_nothing() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  redemption_id  credit_id  member_id
        lot       created     2026-01-01T12:00   10.00                            ada
        bobs      created     2026-01-01T12:00   10.00                            bob
        buy       redeemed    2026-01-03T12:00    5.00                            ada
        back      refunded    2026-01-04T12:00    2.00  buy            bobs       ada
    """)
    )
    assert_rows(
        ledger.findings,
        """
        finding                  entry_id  credit_id  amount  unmoved
        credit_of_other_account  back      bobs         2.00     2.00
    """,
    )


def test_a_redemption_that_names_a_credit_of_another_balance_type_was_had_in_the_one_it_states() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  balance_type  credit_id  redemption_id
        lot       created     2026-01-01T12:00   10.00  gift
        buy       redeemed    2026-02-01T12:00    4.00  default       lot
        back      refunded    2026-03-01T12:00    4.00                           buy
    """)
    )
    assert_rows(
        ledger.findings,
        """
        finding                    balance_type  entry_id  amount
        credit_of_other_account    default       buy        4.00
        refund_exceeds_redemption  default       back       4.00
    """,
    )


def test_a_refund_to_an_expired_credit_expires_again_at_once_part_by_part() -> None:
    assert_rows(
        movements("""
        entry_id  entry_type  occurred_at       amount  expires_at        redemption_id
        a         created     2026-01-01T12:00   10.00  2026-02-01T12:00
        b         created     2026-01-01T12:00   10.00  2026-02-02T12:00
        c         created     2026-01-01T12:00    1.00
        buy       redeemed    2026-01-02T12:00   15.00
        back      refunded    2026-03-01T12:00    7.00                    buy
        more      refunded    2026-03-02T12:00    1.00                    buy
    """),
        """
        movement_id  id         part  occurred_at       entry_id  credit_id  amount  remaining  sequence
        a            a             1  2026-01-01T12:00  a         a           10.00      10.00         1
        b            b             1  2026-01-01T12:00  b         b           10.00      10.00         2
        c            c             1  2026-01-01T12:00  c         c            1.00       1.00         3
        buy.1        buy           1  2026-01-02T12:00  buy       a           10.00       0.00         4
        buy.2        buy           2  2026-01-02T12:00  buy       b            5.00       5.00         5
        b.expired    b.expired     1  2026-02-02T12:00            b            5.00       0.00         6
        back.1       back          1  2026-03-01T12:00  back      b            5.00       5.00         7
        b.expired.2  b.expired     2  2026-03-01T12:00            b            5.00       0.00         8
        back.2       back          2  2026-03-01T12:00  back      a            2.00       2.00         9
        a.expired    a.expired     1  2026-03-01T12:00            a            2.00       0.00        10
        more         more          1  2026-03-02T12:00  more      a            1.00       1.00        11
        a.expired.2  a.expired     2  2026-03-02T12:00            a            1.00       0.00        12
    """,
    )


@pytest.mark.parametrize(
    ("timezone", "refunded_at", "days", "lives_until"),
    [
        ("America/New_York", "2026-03-06T20:00-05:00", 7, "2026-03-13T23:59:59-04:00"),
        ("America/New_York", "2026-10-31T20:00-04:00", 1, "2026-11-01T23:59:59-05:00"),
        ("America/New_York", "2028-02-28T00:00-05:00", 1, "2028-02-29T23:59:59-05:00"),
        ("Pacific/Auckland", "2026-04-04T23:30+13:00", 1, "2026-04-05T23:59:59+12:00"),
        # There was no 30 December 2011 in Samoa.
        ("Pacific/Apia", "2011-12-29T12:00-10:00", 1, "2011-12-31T23:59:59+14:00"),
        # Santiago goes back at midnight: 23:59:59 comes twice, and the first one counts.
        ("America/Santiago", "2026-04-03T12:00-03:00", 1, "2026-04-04T23:59:59-03:00"),
        # In Havana it is 0:59:59 that comes twice.
        ("America/Havana", "2024-11-02T12:00-04:00", 1, "2024-11-03T23:59:59-05:00"),
        ("Asia/Kolkata", "2026-01-31T23:59:59.999999+05:30", 1, "2026-02-01T23:59:59+05:30"),
    ],
)
def test_with_grace_days_a_refunded_credit_lives_to_the_end_of_a_local_day(
    timezone: str, refunded_at: str, days: int, lives_until: str
) -> None:
    text = f"""
        entry_id  entry_type  occurred_at                       amount  expires_at        redemption_id
        lot       created     2010-01-01T12:00                   10.00  2010-02-01T12:00
        buy       redeemed    2010-01-02T12:00                   10.00
        back      refunded    {refunded_at:32}    4.00                    buy
    """
    moved = movements(text, timezone=timezone, refund_grace_days=days)
    back, expired = moved.all[2:]
    assert back["expires_at"].isoformat() == expired["occurred_at"].isoformat()
    assert_rows(
        [back],
        f"""
        movement_id  amount  remaining  expires_at
        back           4.00       4.00  {_utc(lives_until)}
    """,
    )


def test_without_grace_days_a_refund_of_before_1970_expires_again_at_once_too() -> None:
    """The first of January 1970 begins in 1969 in Auckland, and instants before 1970 are numbers below zero."""
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  redemption_id  expires_at
        lot       created     1969-12-31T12:00   10.00                 1969-12-31T13:00
        buy       redeemed    1969-12-31T12:30   10.00
        back      refunded    1969-12-31T14:00    8.00  buy
    """),
        merchant(timezone="Pacific/Auckland"),
    )
    assert_rows(
        ledger.movements,
        """
        movement_id  occurred_at       remaining  expires_at
        lot          1969-12-31T12:00  10.00      1969-12-31T13:00
        buy          1969-12-31T12:30  0.00       1969-12-31T13:00
        back         1969-12-31T14:00  8.00       1969-12-31T13:00
        lot.expired  1969-12-31T14:00  0.00       1969-12-31T13:00
    """,
    )


def test_grace_is_only_for_credits_that_have_expired() -> None:
    assert_rows(
        movements(
            """
        entry_id  entry_type  occurred_at       amount  expires_at        redemption_id
        lot       created     2026-01-01T12:00   10.00  2026-02-01T12:00
        buy       redeemed    2026-01-02T12:00   10.00
        back      refunded    2026-01-03T12:00    4.00                    buy
        again     redeemed    2026-01-04T12:00    4.00
        late      refunded    2026-02-01T12:00    4.00                    again
        spend     redeemed    2026-02-05T12:00    1.00
    """,
            refund_grace_days=30,
        ),
        """
        movement_id  occurred_at          credit_id  amount  remaining  expires_at
        lot          2026-01-01T12:00     lot         10.00      10.00  2026-02-01T12:00
        buy          2026-01-02T12:00     lot         10.00       0.00  2026-02-01T12:00
        back         2026-01-03T12:00     lot          4.00       4.00  2026-02-01T12:00
        again        2026-01-04T12:00     lot          4.00       0.00  2026-02-01T12:00
        late         2026-02-01T12:00     lot          4.00       4.00  2026-03-04T04:59:59
        spend        2026-02-05T12:00     lot          1.00       3.00  2026-03-04T04:59:59
        lot.expired  2026-03-04T04:59:59  lot          3.00       0.00  2026-03-04T04:59:59
    """,
    )


def test_a_refund_to_a_credit_that_was_reversed_or_deducted_stays_and_is_told() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  redemption_id  credit_id
        a         created     2026-01-01T12:00   10.00
        b         created     2026-01-02T12:00   10.00
        c         created     2026-01-03T12:00   10.00
        buy       redeemed    2026-01-04T12:00   25.00
        take      reversed    2026-01-05T12:00    1.00                 c
        cut       deducted    2026-01-06T12:00    2.00
        short     reversed    2026-01-06T12:00    2.00                 a
        back      refunded    2026-01-07T12:00   25.00  buy
    """)
    )
    assert_rows(
        ledger.movements.of("back"),
        """
        movement_id  credit_id  amount  remaining
        back.1       c            5.00       7.00
        back.2       b           10.00      10.00
        back.3       a           10.00      10.00
    """,
    )
    assert_rows(
        ledger.findings,
        """
        finding                entry_id  credit_id  amount  unmoved
        reversal_short         short     a            2.00     2.00
        refund_after_reversal  back      c            5.00     0.00
    """,
    )


def test_a_refund_comes_before_redemptions_of_its_instant_unless_it_gives_one_of_them_back() -> None:
    assert_rows(
        movements("""
        entry_id  entry_type  occurred_at       amount  redemption_id
        lot       created     2026-01-01T12:00   10.00
        buy       redeemed    2026-01-02T12:00   10.00
        a-now     refunded    2026-01-03T12:00    3.00  now
        now       redeemed    2026-01-03T12:00    5.00
        z-before  refunded    2026-01-03T12:00    5.00  buy
    """),
        """
        movement_id  amount  remaining
        lot           10.00      10.00
        buy           10.00       0.00
        z-before       5.00       5.00
        now            5.00       0.00
        a-now          3.00       3.00
    """,
    )


# Uncovered


def test_later_credits_do_not_repay_what_was_overdrawn() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type       occurred_at       amount  transfer_id
        lot       created          2026-01-01T12:00   10.00
        buy       redeemed         2026-01-02T12:00   12.00
        cut       deducted         2026-01-02T12:00    1.00
        out       transferred_out  2026-01-02T12:00    2.00  t
        more      transferred_in   2026-01-03T12:00    2.00  t
        buy2      redeemed         2026-01-04T12:00    1.00
    """)
    )
    assert_rows(
        ledger.movements,
        """
        movement_id  movement_type    credit_id  amount  remaining  valid_until
        lot          created          lot         10.00      10.00  2026-01-02T12:00
        buy.1        redeemed         lot         10.00       0.00
        buy.2        redeemed                      2.00
        cut          deducted                      1.00
        out          transferred_out               2.00
        more         transferred_in   more         2.00       2.00  2026-01-04T12:00
        buy2         redeemed         more         1.00       1.00
    """,
    )
    assert_rows(
        ledger.findings,
        """
        finding         entry_id  amount  unmoved
        uncovered_draw  buy         2.00     0.00
        uncovered_draw  cut         1.00     0.00
        uncovered_draw  out         2.00     0.00
    """,
    )


# Reversal


def test_a_reversal_takes_at_most_what_remains_of_its_credit() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  credit_id
        lot       created     2026-01-01T12:00   10.00
        other     created     2026-01-01T12:00   10.00
        buy       redeemed    2026-01-02T12:00    4.00
        take      reversed    2026-01-03T12:00   10.00  lot
    """)
    )
    assert_rows(
        ledger.movements.of("take"),
        """
        movement_id  movement_type  credit_id  amount  signed_amount  remaining
        take         reversed       lot          6.00          -6.00       0.00
    """,
    )
    assert_rows(
        ledger.findings,
        """
        finding         entry_id  credit_id  amount  unmoved
        reversal_short  take      lot          4.00     4.00
    """,
    )


# Transfers


def test_each_source_credit_of_a_transfer_has_a_pair_and_the_new_credit_says_what_it_is() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type       occurred_at  amount  transfer_id  credit_id  member_id  issued_at   expires_at
        soon      created          2026-01-01    10.00                          ada                    2026-09-01
        never     created          2026-01-02    10.00                          ada
        out-1     transferred_out  2026-02-01    10.00  t-1          soon       ada
        out-2     transferred_out  2026-02-01    10.00  t-2          never      ada
        in-1      transferred_in   2026-02-01    10.00  t-1                     bob        2026-01-01  2026-09-01
        in-2      transferred_in   2026-02-01    10.00  t-2                     bob        2025-01-02
        buy       redeemed         2026-02-02    11.00                          bob
    """)
    )
    assert ledger.findings.all == []
    assert_rows(
        ledger.movements.of("buy"),
        """
        movement_id  credit_id  amount  expires_at
        buy.1        in-1        10.00  2026-09-01T00:00
        buy.2        in-2         1.00
    """,
    )
    assert_rows(
        ledger.credits.of("in-1", "in-2"),
        """
        credit_id  entry_type      transfer_id  opened_at         issued_at         original_amount
        in-1       transferred_in  t-1          2026-02-01T00:00  2026-01-01T00:00            10.00
        in-2       transferred_in  t-2          2026-02-01T00:00  2025-01-02T00:00            10.00
    """,
    )


def test_transfers_whose_halves_differ_or_are_missing_are_told_and_move_all_the_same() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type       occurred_at       amount  transfer_id  member_id  balance_type
        lot       created          2026-01-01T12:00   99.00               ada        default
        out-a     transferred_out  2026-02-01T12:00   10.00  less         ada        default
        in-a      transferred_in   2026-02-01T12:00    9.00  less         bob        default
        out-b     transferred_out  2026-02-02T12:00    8.00  units        ada        default
        in-b      transferred_in   2026-02-02T12:00    8.00  units        bob        winston
        out-c     transferred_out  2026-02-03T12:00    7.00  alone        ada        default
        in-d      transferred_in   2026-02-04T12:00    6.00  lonely       bob        default
        in-e      transferred_in   2026-02-05T12:00    5.00               bob        default
        out-f1    transferred_out  2026-02-06T12:00    1.00  twice        ada        default
        out-f2    transferred_out  2026-02-07T12:00    2.00  twice        ada        default
        out-f3    transferred_out  2026-02-08T12:00    3.00  twice        ada        default
        in-f1     transferred_in   2026-02-07T12:00    2.00  twice        bob        default
        in-f2     transferred_in   2026-02-06T12:00    1.00  twice        bob        default
    """)
    )
    assert_rows(
        ledger.findings,
        """
        finding            member_id  balance_type  entry_id  credit_id  amount  unmoved
        unequal_transfer   ada        default       out-a                  1.00     0.00
        unequal_transfer   ada        default       out-b                  0.00     0.00
        unpaired_transfer  ada        default       out-c                  7.00     0.00
        unpaired_transfer  ada        default       out-f3                 3.00     0.00
        unpaired_transfer  bob        default       in-d      in-d         6.00     0.00
        unpaired_transfer  bob        default       in-e      in-e         5.00     0.00
    """,
    )
    assert [row["movement_id"] for row in ledger.movements.where(member_id="bob", balance_type="winston")] == ["in-b"]
    # More of one who has the other half of some of them does not tell these again.
    told = ledger.findings.all
    more = "entry_id  entry_type  occurred_at  amount  member_id\nmore      created     2026-03-01     1.00  bob"
    ledger.add(rows(more)).replay()
    assert ledger.findings.all == told


def test_half_a_transfer_is_told_in_its_credits_unit_and_beside_what_else_is_wrong_but_for_its_unit() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type       occurred_at       amount  credit_id
        lot       created          2026-01-01T12:00    5.00
        out-a     transferred_out  2026-02-01T12:00    1.00  chips
        out-b     transferred_out  2026-02-02T12:00    0.50  chips
        out-c     transferred_out  2026-02-03T12:00    8.00
    """)
        + rows("""
        entry_id  entry_type       occurred_at       amount  balance_type
        chips     created          2026-01-01T12:00    9.00  winston
    """)
    )
    assert_rows(
        ledger.findings,
        """
        finding            balance_type  unit  entry_id  credit_id  amount  unmoved
        unpaired_transfer  winston       TKN   out-a     chips       1.00     0.00
        unit_mismatch      winston       TKN   out-b     chips       0.50     0.50
        uncovered_draw     default       USD   out-c                 3.00     0.00
        unpaired_transfer  default       USD   out-c                 8.00     0.00
    """,
    )


def test_halves_of_different_units_are_each_told_in_their_own() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type       occurred_at       amount  transfer_id  member_id  balance_type
        lot       created          2026-01-01T12:00   99.00               ada        default
        chips     created          2026-01-01T12:00      99               ada        winston
        out-a     transferred_out  2026-02-01T12:00    8.00  same         ada        default
        in-a      transferred_in   2026-02-01T12:00       8  same         bob        winston
        out-b     transferred_out  2026-02-02T12:00       8  other        ada        winston
        in-b      transferred_in   2026-02-02T12:00   10.50  other        bob        default
    """)
    )
    assert [row["explanation"] for row in ledger.findings] == [
        "Transfer same on 2026-02-01 takes out 8.00 USD (out-a) but brings in 8 TKN (in-a); the units differ.",
        "Transfer other on 2026-02-02 takes out 8 TKN (out-b) but brings in 10.50 USD (in-b); the units differ.",
    ]


# Ids


def test_a_movement_bears_its_entry_s_id_numbered_where_there_are_several() -> None:
    lots = "\n".join(f"        lot-{n:02}    created     2026-01-{n:02}T12:00    1.00" for n in range(1, 13))
    ledger = replayed(
        rows(f"""
        entry_id  entry_type  occurred_at       amount  redemption_id
{lots}
        entry     redeemed    2026-02-01T12:00   11.00  order-7
        last      redeemed    2026-02-02T12:00    1.00
    """)
    )
    bought = ledger.movements.of("entry")
    assert {row["id"] for row in bought} == {"order-7"}
    assert [row["movement_id"] for row in bought] == [f"order-7.{part}" for part in range(1, 12)]
    assert [row["part"] for row in bought] == list(range(1, 12))
    assert_rows(
        ledger.movements.of("last"),
        """
        movement_id  id    part
        last         last     1
    """,
    )


# What findings say


def test_findings_say_what_does_not_add_up_with_both_amounts_and_the_gap() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type       occurred_at       amount  balance_type  credit_id  redemption_id  expires_at
        lot       created          2026-06-01T12:00  1012.5  default                                 2026-07-01
        gift      created          2026-06-01T12:00       5  winston
        e-17      redeemed         2026-06-03T12:00   1.567  default                  r-16
        e-18      redeemed         2026-06-03T12:00    2020  default                  r-17
        gone      redeemed         2026-06-04T12:00       9  default       lot        r-18
        over      refunded         2026-06-05T12:00    2030                           r-17
        what      refunded         2026-06-05T12:00       1  default                  r-1
        take      reversed         2026-06-06T12:00    1020  default       lot
        past      reversed         2026-06-06T12:00       1  default       none
        cross     deducted         2026-06-06T12:00       1  default       gift
        soon      deducted         2026-06-06T12:00       1  default       late
        late      created          2026-06-07T12:00       1  default                                 2026-07-01
        half      redeemed         2026-06-07T12:00     0.5  winston                  half
        lost      transferred_out  2026-06-09T12:00       1  winston
        said      expired          2026-08-08T12:00     1.5  default       late
        change    expiry_changed   2026-08-09T12:00          default       never
    """)
    )
    ledger.add(
        rows("""
        entry_id  entry_type       occurred_at       amount  balance_type  transfer_id
        move      transferred_out  2026-06-08T12:00       1  winston       t
        arrive    transferred_in   2026-06-08T12:00       3  winston       t
    """)
    ).replay()
    sentences = """
        Redemption r-16 on 2026-06-03 says 1.567, but USD has 2 decimals; it moves nothing.
        Redemption r-17 takes 2,020.00 USD on 2026-06-03 but only 1,012.50 USD was left;
            1,007.50 USD is not covered by any credit.
        Redemption r-18 takes 9.00 USD on 2026-06-04 but nothing was left of credit lot;
            9.00 USD is not covered by any credit.
        Refund over gives back 2,030.00 USD on 2026-06-05 but only 2,020.00 USD of redemption r-17 was left to
            give back; 10.00 USD moves nothing.
        Refund what on 2026-06-05 gives back redemption r-1, which this account has not had by then;
            1.00 USD moves nothing.
        Deduction cross on 2026-06-06 names credit gift, which is in another account (member ada, winston);
            1.00 USD moves nothing.
        Reversal past on 2026-06-06 names credit none, which is not in the ledger; 1.00 USD moves nothing.
        Deduction soon takes 1.00 USD on 2026-06-06 but nothing was left of credit late;
            1.00 USD is not covered by any credit.
        Deduction soon on 2026-06-06 names credit late, which this account has only from 2026-06-07 on;
            1.00 USD is drawn from no credit.
        Reversal take takes back 1,020.00 USD on 2026-06-06 but only 1,012.50 USD was left of credit lot;
            7.50 USD moves nothing.
        Redemption half on 2026-06-07 says 0.5, but TKN has no decimals; it moves nothing.
        Transfer t on 2026-06-08 takes out 1 TKN (move) but brings in 3 TKN (arrive); 2 TKN came on top on the way.
        Transfer lost of 1 TKN on 2026-06-09 has no transfer_id to find its other half by;
            1 TKN went out and came in nowhere.
        The source says, last with expiry said on 2026-08-08, that 1.50 USD of credit late expired, but 1.00 USD did;
            that is 0.50 USD too much.
        Expiry change change on 2026-08-09 names credit never, which is not in the ledger; it changes nothing.
    """
    assert " ".join(row["explanation"] for row in ledger.findings) == " ".join(sentences.split())


def test_a_credit_that_moved_nothing_is_not_said_to_come_later() -> None:
    """Its unit had a decimal when it came, and has none any more."""
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  balance_type  credit_id
        lot       created     2026-01-01T12:00     5.5  token
        buy       redeemed    2026-02-01T12:00       1  token         lot
        take      reversed    2026-02-02T12:00       1  token         lot
    """),
        merchant(balance_types={"token": BalanceType(unit="TKN", decimals=1)}),
    )
    ledger = ledger.with_merchants(merchant(balance_types={"token": BalanceType(unit="TKN", decimals=0)}))
    ledger.replay()
    assert [row["explanation"] for row in ledger.findings.where(finding="unknown_credit")] == [
        "Redemption buy on 2026-02-01 names credit lot, which moved nothing itself; 1 TKN is drawn from no credit.",
        "Reversal take on 2026-02-02 names credit lot, which moved nothing itself; 1 TKN moves nothing.",
    ]


# Arrival


def test_the_day_of_a_movement_is_the_merchants() -> None:
    assert_rows(
        movements(
            """
        entry_id  entry_type  occurred_at            amount  expires_at
        lot       created     2026-01-01T10:59:59.9   10.00  2026-02-01T11:00
    """,
            timezone="Pacific/Auckland",
        ),
        """
        movement_id  day
        lot          2026-01-01
        lot.expired  2026-02-02
    """,
    )


def in_many_orders() -> list[dict[str, str | None]]:
    """A ledger in which what an entry does depends on others, in all the ways there are."""
    return [
        *rows("""
        entry_id  entry_type       occurred_at       amount  member_id  balance_type  transfer_id  expires_at
        a-old     created          2026-01-01T12:00   10.00  ada        default                    2026-06-01T12:00
        a-gift    created          2026-01-02T12:00   10.00  ada        gift
        b-old     opening          2026-01-03T12:00   10.00  bob        default
        out       transferred_out  2026-02-04T12:00    2.00  bob        default       move
        in        transferred_in   2026-02-04T12:00    2.00  cy         default       move
        cut       deducted         2026-07-01T12:00    1.00  cy         default
    """),
        *rows("""
        entry_id  entry_type       occurred_at       amount  member_id  credit_id  redemption_id  expires_at
        buy-1     redeemed         2026-02-01T12:00   12.00  ada                   order-1
        buy-2     redeemed         2026-02-02T12:00    3.00  ada        a-gift     order-2
        buy-3     redeemed         2026-02-03T12:00    3.00  bob        a-old      order-3
        back-1    refunded         2026-03-01T12:00   11.00  ada                   order-1
        back-2    refunded         2026-03-02T12:00    1.00  ada        a-gift     order-2
        back-3    refunded         2026-02-03T12:00    1.00  bob                   order-1
        back-4    refunded         2026-02-03T12:00    1.00  bob                   order-3
        back-5    refunded         2026-03-03T12:00    1.00  ada                   order-2
        longer    expiry_changed   2026-03-03T12:00          ada        a-old                     2026-04-01T12:00
        take      reversed         2026-03-04T12:00    9.00  bob        b-old
        said      expired          2026-04-01T12:00   10.00  ada        a-old
    """),
    ]


def test_entries_that_arrive_one_by_one_in_any_order_give_what_they_give_at_once() -> None:
    entries = in_many_orders()
    at_once = _facts(replayed(entries))
    for seed in range(3):
        shuffled = random.Random(seed).sample(entries, len(entries))
        ledger = open_ledger()
        while shuffled:
            count = random.Random(seed + len(shuffled)).randint(1, 3)
            ledger.add(shuffled[:count]).replay()
            shuffled = shuffled[count:]
        assert _facts(ledger) == at_once


def test_a_late_credit_changes_the_draws_after_it() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount
        june      created     2026-06-01T12:00   10.00
        buy       redeemed    2026-06-02T12:00   15.00
    """)
    )
    assert [row["credit_id"] for row in ledger.movements.of("buy")] == ["june", None]
    late = rows("""
        entry_id  entry_type  occurred_at       amount
        may       created     2026-05-01T12:00   10.00
    """)
    result = ledger.add(late).replay()
    assert (result.members, result.entries, result.movements, result.findings) == (1, 3, 4, 0)
    assert [row["credit_id"] for row in ledger.movements.of("buy")] == ["may", "june"]
    assert ledger.findings.all == []


def test_only_members_that_new_entries_concern_are_replayed() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type       occurred_at       amount  member_id  credit_id  redemption_id  transfer_id
        a         created          2026-01-01T12:00   10.00  ada
        b         created          2026-01-01T12:00   10.00  bob
        c         created          2026-01-01T12:00   10.00  cy
        d         created          2026-01-01T12:00   10.00  dee
        naming    redeemed         2026-01-02T12:00    1.00  bob        late
        naming-o  redeemed         2026-01-02T12:00    1.00  bob        late-o
        naming-t  redeemed         2026-01-02T12:00    1.00  bob        late-t
        back      refunded         2026-01-02T12:00    1.00  cy                    later
        out       transferred_out  2026-01-02T12:00    1.00  dee                                  move
    """)
    )
    nothing = ledger.replay()
    assert (nothing.merchants, nothing.members, nothing.movements) == ((), 0, 0)
    news = """
        entry_id  entry_type      occurred_at       amount  member_id  credit_id  redemption_id  transfer_id
        x         {0:14}  2026-02-01T12:00    1.00  ada        {1:9}  {2:13}  {3}
    """
    arrivals = [
        (("deducted", "", "", ""), 1),
        (("created", "late", "", ""), 2),
        (("opening", "late-o", "", ""), 2),
        (("transferred_in", "late-t", "", ""), 2),
        (("redeemed", "", "later", ""), 2),
        (("transferred_in", "", "", "move"), 2),
    ]
    for place, (arrival, members) in enumerate(arrivals):
        entry = {**rows(news.format(*arrival))[0], "entry_id": f"x-{place}"}
        assert ledger.add([entry]).replay().members == members
    assert [row["finding"] for row in ledger.findings.of("naming", "out")] == ["credit_of_other_account"]


def test_a_merchant_whose_policies_change_is_replayed_from_the_start() -> None:
    text = """
        entry_id  entry_type  occurred_at       amount  expires_at
        never     created     2026-01-01T03:00   10.00
        soon      created     2026-01-02T03:00   10.00  2026-06-01T12:00
        buy       redeemed    2026-01-03T03:00   15.00
    """
    before = replayed(rows(text), merchant(), merchant("other"))
    before.add(rows(text), merchant_id="other").replay()
    changed = before.with_merchants(merchant(draw_order="oldest_first", timezone="Asia/Tokyo"), merchant("other"))
    result = changed.replay()
    assert (result.merchants, result.members) == (("acme",), 1)
    assert_rows(
        changed.movements.of("buy").where(merchant_id="acme"),
        """
        movement_id  credit_id  amount  day
        buy.1        never       10.00  2026-01-03
        buy.2        soon         5.00  2026-01-03
    """,
    )
    afresh = replayed(rows(text), merchant(draw_order="oldest_first", timezone="Asia/Tokyo"), merchant("other"))
    afresh.add(rows(text), merchant_id="other").replay()
    assert _facts(changed) == _facts(afresh)
    assert changed.replay().merchants == ()


def test_a_balance_type_that_is_no_longer_declared_stops_the_replay() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  balance_type
        lot       created     2026-01-01T12:00   10.00  gift
    """)
    )
    changed = ledger.with_merchants(merchant(balance_types={}))
    with pytest.raises(replays.UndeclaredBalanceTypeError, match='"gift" of merchant "acme", but 1 entry has it'):
        changed.replay()
    assert len(changed.movements.all) == 1


def test_merchants_do_not_know_each_others_credits() -> None:
    ledger = open_ledger(merchant(), merchant("other"))
    text = rows("""
        entry_id  entry_type  occurred_at       amount  credit_id  redemption_id
        lot       created     2026-01-01T12:00   10.00
        buy       redeemed    2026-01-02T12:00    4.00  lot
        back      refunded    2026-01-03T12:00    1.00             buy
    """)
    ledger.add(text)
    ledger.add(text, merchant_id="other")
    assert ledger.replay().merchants == ("acme", "other")
    for one in ("acme", "other"):
        assert_rows(
            ledger.movements.where(merchant_id=one),
            """
            movement_id  credit_id  remaining
            lot          lot            10.00
            buy          lot             6.00
            back         lot             7.00
        """,
        )


def test_movements_do_not_depend_on_how_accounts_are_put_into_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = in_many_orders()
    whole = _facts(replayed(entries))
    monkeypatch.setattr(replays, "CHUNK_ENTRIES", 1)
    monkeypatch.setattr(replays, "SLICE_ENTRIES", 2)
    assert _facts(replayed(entries)) == whole
    monkeypatch.setattr(replays, "FEW_ENTRIES", -1)
    assert _facts(replayed(entries)) == whole


# Daily totals


def test_daily_totals_sum_by_local_day_and_origin_of_the_credit() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  reason  credit_type  creator_name  creator_email
        a         created     2026-06-02T03:59   10.00  Delay   Promotional  Ann Lee       ann@acme.example
        b         created     2026-06-02T04:00    5.00  Delay   Promotional  Ann Lee       ann@acme.example
        c         created     2026-06-02T05:00    5.00  Delay   Promotional  Ann Lee       ann@acme.example
        buy       redeemed    2026-06-03T12:00   21.00
    """)
    )
    assert_rows(
        ledger.daily_totals,
        """
        day         balance_type  movement_type  overdrawn  reason  creator                     amount  movements
        2026-06-01  default       created        false      Delay   Ann Lee <ann@acme.example>   10.00          1
        2026-06-02  default       created        false      Delay   Ann Lee <ann@acme.example>   10.00          2
        2026-06-03  default       redeemed       false      Delay   Ann Lee <ann@acme.example>  -20.00          3
        2026-06-03  default       redeemed       true                                            -1.00          1
    """,
    )
    ledger.add(
        rows("""
        entry_id  entry_type  occurred_at       amount
        late      created     2026-06-03T11:00    1.00
    """)
    ).replay()
    assert_rows(
        ledger.daily_totals.where(movement_type="redeemed"),
        """
        day         overdrawn  reason  amount  movements
        2026-06-03  false      Delay   -20.00          3
        2026-06-03  false               -1.00          1
    """,
    )


# Invariants


BROKEN = (
    ("remaining_within_amount", "update facts.movements set remaining = 11 where movement_id = 'buy'"),
    ("remaining_within_amount", "update facts.movements set remaining = -1 where movement_id = 'buy'"),
    ("remaining_within_amount", "delete from facts.credits"),
    ("movements_explain_entries", "delete from facts.movements where movement_id = 'buy'"),
    ("movements_explain_entries", "delete from facts.movements where movement_id = 'lot'"),
    ("movements_explain_entries", "delete from facts.movements"),
    (
        "movements_explain_entries",
        "insert into facts.movements select * replace ('spare' as balance_type) from facts.movements",
    ),
    ("periods_tie", "update facts.daily_totals set amount = amount + 0.01 where movement_type = 'created'"),
    ("periods_tie", "update facts.daily_totals set movements = movements + 1 where movement_type = 'created'"),
    ("periods_tie", "update facts.movements set signed_amount = -signed_amount where movement_id = 'lot'"),
    ("periods_tie", "delete from facts.daily_totals where movement_type = 'created'"),
    (
        "periods_tie",
        "insert into facts.daily_totals select * replace ('spare' as balance_type) from facts.daily_totals",
    ),
    ("balances_are_credits", "update facts.movements set remaining = 5 where movement_id = 'buy'"),
    ("balances_are_credits", "update facts.movements set remaining = 7 where movement_id = 'buy'"),
    ("balances_are_credits", "update facts.movements set valid_until = null where movement_id = 'lot'"),
    ("movement_ids_are_unique", "insert into facts.movements from facts.movements where movement_id = 'lot'"),
)


@pytest.mark.parametrize(("name", "corruption"), BROKEN)
def test_an_invariant_notices_what_breaks_it(name: str, corruption: str) -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount
        lot       created     2026-01-01T12:00   10.00
        buy       redeemed    2026-01-02T12:00    4.00
    """)
    )
    assert all(result.holds for result in replays.check_invariants(ledger.connection, ["acme"]))
    ledger.connection.execute(corruption)
    broken = [result.name for result in replays.check_invariants(ledger.connection, ["acme"]) if not result.holds]
    assert name in broken


def test_every_invariant_is_tried() -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at  amount
        lot       created     2026-01-01    10.00
    """)
    )
    assert {result.name for result in replays.check_invariants(ledger.connection, ["acme"])} == {
        name for name, _ in BROKEN
    }


def test_a_replay_that_breaks_an_invariant_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount
        lot       created     2026-01-01T12:00   10.00
    """)
    )
    before = _facts(ledger)
    ledger.add(
        rows("""
        entry_id  entry_type  occurred_at       amount
        buy       redeemed    2026-01-02T12:00    4.00
    """)
    )
    with monkeypatch.context() as patch:
        patch.setattr(replays, "_update_daily_totals", lambda _: None)
        with pytest.raises(replays.BrokenInvariantError, match="Each day takes its opening balance") as broken:
            ledger.replay()
        assert broken.value.invariant == "periods_tie"
        assert isinstance(broken.value, BrokenPromiseError)
    assert _facts(ledger) == before
    assert ledger.replay().movements == 2


def test_a_day_that_movements_have_left_is_held_against_its_total(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = replayed(
        rows("""
        entry_id  entry_type  occurred_at       amount  expires_at
        lot       created     2026-01-01T12:00   10.00  2026-01-31T12:00
    """)
    ).add(
        rows("""
        entry_id  entry_type  occurred_at       amount
        buy       redeemed    2026-01-02T12:00   10.00
    """)
    )
    update = replays._update_daily_totals

    def forget_to_take_away_what_no_longer_expires(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("create temp table expired as from facts.daily_totals where movement_type = 'expired'")
        update(connection)
        connection.execute("insert into facts.daily_totals by name from expired")

    monkeypatch.setattr(replays, "_update_daily_totals", forget_to_take_away_what_no_longer_expires)
    with pytest.raises(replays.BrokenInvariantError, match=r"day 2026-01-31.*carried_forward -10\.0000"):
        ledger.replay()


def test_a_movement_with_the_id_of_another_members_is_noticed() -> None:
    ledger = replayed(
        rows("""
        entry_id  member_id  entry_type  occurred_at       amount
        lot       m1         created     2026-01-01T12:00   10.00
    """)
    )
    ledger.connection.execute("update facts.movements set id = 'other'")
    ledger.add(
        rows("""
        entry_id  member_id  entry_type  occurred_at       amount
        other     m2         created     2026-01-02T12:00    4.00
    """)
    )
    with pytest.raises(replays.BrokenInvariantError, match=r"No two movements.*id other, part 1, movements 2"):
        ledger.replay()


def test_a_replay_is_part_of_its_callers_transaction() -> None:
    ledger = open_ledger()
    ledger.connection.execute("begin")
    ledger.add(
        rows("""
        entry_id  entry_type  occurred_at       amount
        lot       created     2026-01-01T12:00   10.00
    """)
    )
    assert replays.replay_within(ledger.connection, ["acme"]).movements == 1
    ledger.connection.execute("rollback")
    assert ledger.movements.all == []
    assert ledger.replay().movements == 0


def _facts(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """All that the replay makes, but for when things were learnt."""
    return {
        table: [
            {name: value for name, value in row.items() if name != "event"}
            for row in ledger.rows(f"facts.{table}", "all")
        ]
        for table in ("credits", "movements", "findings", "daily_totals")
    }


def _utc(text: str) -> str:
    return instant(text).replace(tzinfo=None).isoformat()
