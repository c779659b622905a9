"""Small ledgers straight through the kernel, where a slip of one would go unnoticed: each was written for a mutant of
it that every other test let live (`make mutants`).

Amounts are in the smallest there are, 1/10000; instants in days; a credit, redemption or entry is named by its row.
"""

from typing import Any

import numpy as np
import pytest

from pipelines import kernel
from tests.tables import assert_rows, rows

NEVER = kernel.NEVER
# More than a float holds exactly.
HUGE = 2**53 + 1


def replay(text: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Movements and findings of entries from aligned text; a new account begins where `account` says so.

    What is not said of an entry: it is of the first account, one day after the one before, expires never, names
    nothing, and has priority 50. One that is `wrong` has too many decimals for its unit.
    """
    entries = [{name: value for name, value in row.items() if value is not None} for row in rows(text)]
    names = [row["entry"] for row in entries]

    def column(name: str, otherwise: Any, read: Any = int) -> np.ndarray:
        return np.array([read(row[name]) if name in row else otherwise for row in entries], np.int64)

    accounts = [row.get("account", "1") for row in entries]
    begins = [at for at in range(len(entries)) if at == 0 or accounts[at] != accounts[at - 1]]
    days = [int(row.get("day", at + 1)) for at, row in enumerate(entries)]
    moved, found, _ = kernel.replay(
        np.array([*begins, len(entries)]),
        np.array([kernel.KINDS.index(row["kind"]) for row in entries], np.int8),
        np.array(days, np.int64),
        column("amount", 0),
        column("expires", NEVER),
        column("priority", 50),
        column("rank", 0) if "rank" in entries[0] else np.arange(len(entries)),
        column("credit", kernel.NONE, names.index),
        column("redemption", kernel.NONE, names.index),
        np.array([kernel.WRONG_UNIT if "wrong" in row else kernel.FREE for row in entries], np.int8),
        column("grace", kernel.NO_GRACE),
        np.zeros(len(begins), np.bool_),
        0,
    )
    assert {table.dtype for table in (moved, found)} == {np.dtype(np.int64)}

    def named(at: int) -> str | None:
        return names[at] if at >= 0 else None

    movements = [
        {
            "entry": named(row[kernel.ENTRY]),
            "kind": kernel.KINDS[row[kernel.KIND]],
            "credit": named(row[kernel.CREDIT]),
            "day": row[kernel.OCCURRED_AT],
            "amount": row[kernel.AMOUNT],
            "remaining": row[kernel.REMAINING],
            "expires": None if row[kernel.EXPIRES_AT] == NEVER else row[kernel.EXPIRES_AT],
        }
        for row in moved.T.tolist()
    ]
    findings = [
        {
            "finding": kernel.FINDINGS[row[kernel.FINDING]],
            "entry": named(row[kernel.FINDING_ENTRY]),
            "credit": named(row[kernel.FINDING_CREDIT]),
            "amount": row[kernel.CONCERNED],
            "unmoved": row[kernel.UNMOVED],
            "asserted": row[kernel.ASSERTED] if row[kernel.ASSERTED] >= 0 else None,
            "derived": row[kernel.DERIVED] if row[kernel.ASSERTED] >= 0 else None,
        }
        for row in found.T.tolist()
    ]
    return movements, findings


def test_the_smallest_amount_is_drawn_given_back_taken_back_and_expires() -> None:
    movements, findings = replay("""
        entry  kind       amount  credit  redemption  expires
        may    created         1                           99
        buy    redeemed        1
        back   refunded        1          buy
        june   created         1                           50
        take   reversed        1  june
        more   redeemed        2
    """)
    assert_rows(
        movements,
        """
        entry  kind      credit  day  amount  remaining
        may    created   may       1       1          1
        buy    redeemed  may       2       1          0
        back   refunded  may       3       1          1
        june   created   june      4       1          1
        take   reversed  june      5       1          0
        more   redeemed  may       6       1          0
        more   redeemed            6       1          0
    """,
    )
    assert_rows(findings, "finding         entry  amount\nuncovered_draw  more        1")


def test_the_smallest_amount_expires_on_its_day() -> None:
    movements, _ = replay("""
        entry  kind     amount  expires
        may    created       1       10
        june   created       2
    """)
    assert_rows(
        movements,
        """
        entry  kind     credit  day  amount  remaining
        may    created  may       1       1          1
        june   created  june      2       2          2
               expired  may      10       1          0
    """,
    )


def test_the_smallest_amount_too_much_is_found_in_each_kind_of_entry() -> None:
    _, findings = replay("""
        entry   kind      day  amount  credit  redemption  expires
        may     created     1       5
        june    created     2       5                           20
        buy     redeemed    3       5
        back    refunded    4       6          buy
        take    reversed    5       6  may
        said    expired    30       6  june
    """)
    assert_rows(
        findings,
        """
        finding                    entry  amount  unmoved  asserted  derived
        refund_exceeds_redemption  back        1        1
        reversal_short             take        1        1
        expiry_mismatch            said        1        0         6        5
    """,
    )


def test_an_expiry_that_is_asserted_as_it_was_is_no_finding() -> None:
    movements, findings = replay("""
        entry  kind     day  amount  credit  expires
        may    created    1       5               10
        said   expired   12       2  may
        rest   expired   13       3  may
    """)
    assert len(movements) == 2
    assert findings == []


def test_what_comes_back_to_a_credit_that_was_taken_back_is_found_and_to_one_that_was_expired_early_is_not() -> None:
    _, findings = replay("""
        account  entry  kind      day  amount  credit  redemption
        1        other  created     1       1
        2        may    created     1       9
        2        buy    redeemed    2       4
        2        take   reversed    3       1  may
        2        back   refunded    4       3          buy
        3        june   created     1       9
        3        more   redeemed    2       4
        3        early  expired     3       1  june
        3        give   refunded    4       3          more
        4        july   created     1       9
        4        spend  redeemed    2       4
        4        fee    deducted    3       1
        4        undo   refunded    4       3          spend
    """)
    assert_rows(
        findings,
        """
        finding                entry  credit  amount  unmoved
        refund_after_reversal  back   may          3        0
        refund_after_reversal  undo   july         3        0
    """,
    )


def test_a_credit_whose_expiry_is_taken_away_never_expires_and_holds_up_no_other() -> None:
    movements, _ = replay("""
        entry  kind            day  amount  credit  expires
        may    created           1       5               10
        june   created           2       5               20
        keep   expiry_changed    3       0  may
    """)
    assert_rows(
        movements,
        """
        entry  kind            credit  day  amount  remaining  expires
        may    created         may       1       5          5  10
        june   created         june      2       5          5  20
        keep   expiry_changed  may       3       0          5
               expired         june     20       5          0  20
    """,
    )


def test_a_credit_with_too_many_decimals_is_unknown_to_what_names_it() -> None:
    movements, findings = replay("""
        entry  kind      amount  credit  wrong
        may    created        5          yes
        take   reversed       5  may
    """)
    assert movements == []
    assert_rows(
        findings,
        """
        finding         entry  amount  unmoved
        unit_mismatch   may         5        5
        unknown_credit  take        5        5
    """,
    )


def test_credits_that_expire_together_do_so_in_the_order_in_which_they_came() -> None:
    movements, _ = replay("""
        entry   kind     amount  expires  rank
        second  created       1       30     2
        fifth   created       1       30     5
        first   created       1       30     1
        fourth  created       1       30     4
        third   created       1       30     3
    """)
    assert [row["credit"] for row in movements[5:]] == ["first", "second", "third", "fourth", "fifth"]


def test_a_used_up_credit_that_expires_later_than_it_did_gives_way_to_those_that_expire_sooner() -> None:
    movements, _ = replay("""
        entry   kind            amount  credit  expires
        first   created              1               10
        second  created              1               30
        third   created              1               50
        buy     redeemed             1
        later   expiry_changed       0  first        99
        sooner  created              1               20
        never   created              1
        fourth  created              1               60
        more    redeemed             3
    """)
    assert [row["credit"] for row in movements if row["kind"] == "redeemed"] == ["first", "sooner", "second", "third"]


def test_a_used_up_credit_that_expires_later_than_it_did_lets_others_expire_in_their_order() -> None:
    movements, _ = replay("""
        entry   kind            amount  credit  expires
        first   created              1               10
        second  created              1               30
        buy     redeemed             1
        later   expiry_changed       0  first        99
        third   created              1               40
    """)
    assert [(row["credit"], row["day"]) for row in movements if row["kind"] == "expired"] == [
        ("second", 30),
        ("third", 40),
    ]


def test_each_part_of_a_refund_to_credits_that_expire_at_that_instant_is_followed_by_its_own_expiry() -> None:
    movements, _ = replay("""
        entry  kind      day  amount  redemption  expires
        may    created     1       1                   10
        june   created     2       1                   10
        buy    redeemed    3       2
        back   refunded   10       2  buy
    """)
    assert_rows(
        movements[4:],
        """
        entry  kind      credit  day  amount  remaining
        back   refunded  june     10       1          1
               expired   june     10       1          0
        back   refunded  may      10       1          1
               expired   may      10       1          0
    """,
    )


@pytest.mark.parametrize(("grace", "expires"), [(20, 10), (21, 21)])
def test_grace_that_ends_with_the_refund_itself_is_none(grace: int, expires: int) -> None:
    movements, _ = replay(f"""
        entry  kind      day  amount  redemption  expires  grace
        may    created     1       5                   10
        buy    redeemed    3       5
        back   refunded   20       5  buy                     {grace}
    """)
    assert movements[2]["expires"] == expires


def test_amounts_that_no_float_holds_stay_what_they_are() -> None:
    movements, findings = replay(f"""
        account  entry  kind      day  amount              credit  redemption  expires
        1        may    created     1  {HUGE}
        1        buy    redeemed    2  1
        2        june   created     1  {HUGE:<18}                      10
        2        july   created     2  {HUGE}
        2        said   expired    20  {HUGE + 2:<18}  june
        2        over   redeemed   21  {2 * HUGE + 1}
    """)
    assert_rows(
        movements,
        f"""
        entry  kind      credit  amount              remaining
        may    created   may     {HUGE}    {HUGE}
        buy    redeemed  may     1                   {HUGE - 1}
        june   created   june    {HUGE}    {HUGE}
        july   created   july    {HUGE}    {HUGE}
               expired   june    {HUGE}    0
        over   redeemed  july    {HUGE}    0
        over   redeemed          {HUGE + 1}    0
    """,
    )
    assert_rows(
        findings,
        f"""
        finding          entry  amount            asserted          derived
        uncovered_draw   over   {HUGE + 1}
        expiry_mismatch  said   2                 {HUGE + 2}  {HUGE}
    """,
    )


def test_priorities_that_no_float_tells_apart_are_still_in_order() -> None:
    movements, _ = replay(f"""
        entry  kind      amount  expires  priority
        late   created        1        9  {HUGE}
        soon   created        1       99  {HUGE - 1}
        buy    redeemed       1           50
    """)
    assert movements[2]["credit"] == "soon"


def many(prefix: str, kind: str, count: int) -> str:
    return "\n".join(f"{prefix + str(number):<6} {kind:<9}{1:>6}" for number in range(count))


HEADER = "entry  kind     amount  credit  redemption\n"


@pytest.mark.parametrize("named", [0, 1, 7, 15, 16, 17])
def test_of_a_redemption_of_many_parts_each_can_be_given_back_by_name_and_once(named: int) -> None:
    movements, findings = replay(
        HEADER
        + many("c", "created", 18)
        + f"""
buy    redeemed     18
back   refunded      1  c{named:<7}buy
again  refunded      1  c{named:<7}buy
"""
    )
    assert [(row["entry"], row["credit"], row["amount"]) for row in movements if row["kind"] == "refunded"] == [
        ("back", f"c{named}", 1)
    ]
    assert_rows(findings, "finding                    entry  amount\nrefund_exceeds_redemption  again       1")


def test_of_a_redemption_of_many_parts_no_credit_that_it_did_not_draw_from_is_given_back() -> None:
    """Neither one before them all, nor one after them all that the redemption next to it did draw from."""
    movements, findings = replay(
        HEADER
        + many("c", "created", 18)
        + "\n"
        + many("d", "created", 17)
        + """
small  redeemed      1
buy    redeemed     17
more   redeemed     17
right  refunded      1  d1      more
after  refunded      1  d0      buy
front  refunded      1  c0      buy
"""
    )
    assert [(row["entry"], row["credit"]) for row in movements if row["kind"] == "refunded"] == [("right", "d1")]
    assert [(row["finding"], row["entry"]) for row in findings] == [
        ("refund_exceeds_redemption", "after"),
        ("refund_exceeds_redemption", "front"),
    ]


def test_parts_are_found_by_name_whatever_the_order_in_which_they_were_drawn() -> None:
    """The credits drawn first are those that came last, as they expire first."""
    created = "\n".join(f"{'c' + str(n):<6} created       1                      {100 - n}" for n in range(20))
    movements, findings = replay(
        "entry  kind     amount  credit  redemption  expires\n"
        + created
        + """
buy    redeemed     20
one    refunded      1  c3      buy
two    refunded      1  c18     buy
three  refunded      1  c0      buy
four   refunded      1  c19     buy
"""
    )
    assert [row["credit"] for row in movements if row["kind"] == "refunded"] == ["c3", "c18", "c0", "c19"]
    assert findings == []
