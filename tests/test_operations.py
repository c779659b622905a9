"""Operations on accounts and batches: what they post, what they refuse, and what is kept of them."""

import json
import os
import pwd
import re
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipelines.journal import Event, Journal
from pipelines.operations import engine, posting
from pipelines.operations.catalogue import OPERATIONS
from pipelines.operations.requests import ProcessPreview, RefusedError
from pipelines.promises import BrokenPromiseError
from pipelines.rebuild import rebuild
from pipelines.replay import UndeclaredBalanceTypeError
from pipelines.shards import LedgerUnavailableError
from tests.desks import ANN, BO, EVE, OLGA, VERA, Office, end_of_process, make_office
from tests.homes import ACME, entries_csv


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = make_office(tmp_path)
    made.land("""
        entry_id  member_id  amount  occurred_at
        c1        ada        10.00   2026-06-01T12:00Z
        c2        ben        20.00   2026-06-02T12:00Z
    """)
    return made


def adjust(office: Office, amount: str, **asked: Any) -> engine.Outcome:
    return office.do(
        "adjust", member="ada", amount=amount, **{"reason": "Other reason", "other_reason": "Egg", **asked}
    )


def refusal(office: Office, kind: str, **asked: Any) -> str:
    with pytest.raises(RefusedError) as refused:
        office.do(kind, **asked)
    return str(refused.value)


# Adjust credit (seed 002)


def test_a_positive_adjustment_issues_a_credit_of_type_adjustment(office: Office) -> None:
    done = adjust(office, "12.50")
    assert (done.entries, done.total, done.unit) == (1, Decimal("12.50"), "USD")
    assert office.balance("ada") == "22.50"
    (entry,) = office.rows(f"from ledger.entries where operation_id = '{done.operation_id}'")
    told = ("entry_type", "credit_type", "reason", "creator_name", "creator_email", "expires_at", "source_file")
    assert [entry[name] for name in told] == [
        "created", "Adjustment", "Egg", "Ann Lee", ANN, None, f"operations/{done.operation_id}",
    ]  # fmt: skip


def test_a_negative_adjustment_deducts(office: Office) -> None:
    done = adjust(office, "-4", internal_note=" Rang twice. ")
    assert office.balance("ada") == "6.00"
    (entry,) = office.rows(f"from ledger.entries where operation_id = '{done.operation_id}'")
    told = ("entry_type", "credit_id", "credit_type", "internal_note")
    assert [entry[name] for name in told] == ["deducted", None, None, "Rang twice."]
    with pytest.raises(RefusedError, match='expires_in_days "5" is for credit that is added'):
        adjust(office, "-4", expires_in_days=5)


def test_a_deduction_of_all_that_is_there_is_done_and_of_a_cent_more_is_refused_with_the_balance(
    office: Office,
) -> None:
    with pytest.raises(RefusedError, match=r'amount "10.01 USD" is more than the balance of member ada: 10.00 USD.'):
        adjust(office, "-10.01")
    adjust(office, "-10.00")
    assert office.balance("ada") == "0.00"


def test_what_is_overdrawn_is_said_beside_what_is_left_so_that_the_balance_is_the_one_that_is_listed(
    office: Office,
) -> None:
    office.land("""
        entry_id  entry_type  member_id  amount  occurred_at
        over      redeemed    ada        15.00   2026-06-03T12:00Z
        later     created     ada        10.00   2026-06-04T12:00Z
    """, "more")  # fmt: skip
    beside = r"5\.00 USD are overdrawn beside that: the balance is 5\.00 USD\."
    with pytest.raises(RefusedError, match=rf"is more than member ada has left: 10\.00 USD\. {beside}"):
        adjust(office, "-10.01")
    assert re.search(rf"who has 10\.00 USD in it\. {beside}", refusal(office, "add-balance", member="ada", amount="1"))
    assert adjust(office, "-8.00").explanation == (
        "Took 8.00 USD from ada (default); 2.00 USD are left."
        " 5.00 USD are overdrawn beside that: the balance is -3.00 USD."
    )
    assert office.balance("ada") == "-3.00"


def test_credit_that_expires_in_five_days_is_good_through_the_fifth_day_from_today(office: Office) -> None:
    done = adjust(office, "5", expires_in_days=5)
    (entry,) = office.rows(
        "select as_local(expires_at, 'America/New_York')::time as at,"
        " as_local(expires_at, 'America/New_York')::date - as_local(occurred_at, 'America/New_York')::date as days"
        f" from ledger.entries where operation_id = '{done.operation_id}'"
    )
    assert (str(entry["at"]), entry["days"]) == ("23:59:59", 5)


def test_days_that_are_below_zero_or_beyond_a_century_are_refused_naming_field_and_value(office: Office) -> None:
    for days in (-1, 36_501):
        with pytest.raises(RefusedError, match=f'expires_in_days "{days}" is not between 0 and 36,500'):
            adjust(office, "5", expires_in_days=days)
    assert [row["status"] for row in office.rows("from ledger.operations")] == ["refused", "refused"]


def test_a_reason_is_one_of_the_merchants_list_or_other_reason_with_its_text(office: Office) -> None:
    office.settings('reasons = ["Goodwill", "Damaged"]')
    assert refusal(office, "adjust", member="ada", amount="1", reason="Egg") == (
        'reason "Egg" is none of Goodwill, Damaged, "Other reason".'
    )
    assert refusal(office, "adjust", member="ada", amount="1", reason="other reason").startswith(
        "other_reason is missing"
    )
    assert "other_reason" in refusal(office, "adjust", member="ada", amount="1", reason="Damaged", other_reason="x")
    assert "reason is missing" in refusal(office, "adjust", member="ada", amount="1", reason=" ")
    office.do("adjust", member="ada", amount="1", reason="goodwill")
    assert office.rows("select reason from ledger.entries where operation_id is not null") == [{"reason": "Goodwill"}]


def test_where_the_merchant_lists_no_reasons_those_of_the_ledger_are_offered(office: Office) -> None:
    office.land(
        """
        entry_id  member_id  amount  reason
        c3        ada        1.00    Goodwill
        """,
        "more",
    )
    assert "is none of Goodwill" in refusal(office, "adjust", member="ada", amount="1", reason="Egg")


def test_of_a_ledger_of_many_and_long_reasons_a_refusal_names_some_each_on_a_line_of_its_length(office: Office) -> None:
    lines = [f"late-{n},created,2026-06-01,ada,1.00,Order {n:04d} was late" for n in range(500)]
    lines.append(f'long,created,2026-06-01,ada,1.00,"Came\n{"l" * 5_000}ate"')
    header = "entry_id,entry_type,occurred_at,member_id,amount,reason"
    office.installation.land("acme/entries/late.csv", "\n".join([header, *lines]))
    said = refusal(office, "adjust", member="ada", amount="1", reason="Egg")
    assert said.startswith(f'reason "Egg" is none of Came {"l" * 74}…, Order 0000 was late, Order 0001 was late, ')
    assert said.endswith(', Order 0018 was late, 481 others, "Other reason".')


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("abc", 'amount "abc" is not an amount; write it like 12.50.'),
        ("1.005", 'amount "1.005" has too many decimals; USD has 2.'),
        ("0", 'amount "0" is nothing.'),
        ("123456789012345", 'amount "123456789012345" has more than 14 digits before the decimal point.'),
        ("1e3", 'amount "1e3" is not an amount; write it like 12.50.'),
    ],
)
def test_an_amount_that_is_none_is_refused_naming_field_and_value(office: Office, amount: str, said: str) -> None:
    assert refusal(office, "adjust", member="ada", amount=amount, reason="Other reason", other_reason="x") == said


def test_amounts_may_be_numbers_and_are_taken_by_their_shortest_text(office: Office) -> None:
    office.do("adjust", member="ada", amount=0.1, reason="Other reason", other_reason="x")
    office.do("adjust", member="ada", amount=3, reason="Other reason", other_reason="x")
    assert office.balance("ada") == "13.10"


def test_with_decimal_commas_fifteen_hundred_with_a_dot_is_refused_and_not_taken_for_one_and_a_half(
    office: Office,
) -> None:
    assert office.balance("ada") == "10.00"
    office.settings("decimal_comma = true")
    told = {"member": "ada", "reason": "Other reason", "other_reason": "x"}
    said = 'amount "1.500" can be read in two ways: write it without dots, like 1500 or 1500,00.'
    assert refusal(office, "adjust", amount="1.500", **told) == said
    assert "like -1000 or" in refusal(office, "adjust", amount="-1.000", balance_type="winston", **told)
    for amount in ("1500,50", "12.50", 1.5):
        office.do("adjust", amount=amount, **told)
    assert office.balance("ada") == "1524.50"


def test_an_unknown_member_balance_type_or_decimal_of_a_token_is_refused(office: Office) -> None:
    other = {"reason": "Other reason", "other_reason": "x"}
    # What another merchant of the ledger has is not acme's.
    office.installation.configure(ACME + '[merchants.bolt]\nname = "Bolt"\ntimezone = "UTC"\ncurrency = "USD"\n')
    office.installation.land(
        "bolt/entries/all.csv", entries_csv("entry_id  member_id  reason\nz         zoe        Egg")
    )
    office.installation.land("bolt/members/all.csv", "member_id\nzoe\n")
    assert (
        refusal(office, "adjust", member="ada", amount="1", reason="Egg") == 'reason "Egg" is none of "Other reason".'
    )
    assert refusal(office, "adjust", member="zoe", amount="1", **other) == (
        'member "zoe" is no member of acme, and no entry names them.'
    )
    assert 'balance_type "moon" is not declared' in refusal(
        office, "adjust", member="ada", amount="1", balance_type="moon", **other
    )
    assert "TKN has 0" in refusal(office, "adjust", member="ada", amount="1.5", balance_type="winston", **other)


# Balances (seed 003)


def test_a_manual_change_adds_and_a_flagged_deduction_takes_with_notes(office: Office) -> None:
    office.do("modify-balance", member="ada", amount="5", notes="Recount")
    office.do("modify-balance", member="ada", amount="3", change="flagged-deduction", notes="Recount")
    assert office.balance("ada") == "12.00"
    assert "notes is missing" in refusal(office, "modify-balance", member="ada", amount="5", notes="")
    assert "minus sign" in refusal(office, "modify-balance", member="ada", amount="-5", notes="x")


def test_a_first_balance_is_added_once(office: Office) -> None:
    office.do("add-balance", member="ada", amount="1000", balance_type="winston")
    assert office.balance("ada", "winston") == "1000.00"
    assert "1,000 TKN" in refusal(office, "add-balance", member="ada", amount="5", balance_type="winston")


def test_removing_a_balance_takes_all_that_remains_and_needs_an_owner(office: Office) -> None:
    assert "is administrator in access.toml, and this needs owner" in refusal(
        office, "remove-balance", member="ada", reason="Left"
    )
    office.do("remove-balance", actor=OLGA, member="ada", reason="Left")
    assert office.balance("ada") == "0.00"
    assert "has nothing left" in refusal(office, "remove-balance", actor=OLGA, member="ada", reason="Left")


def test_a_balance_of_more_than_one_entry_can_say_is_refused_in_words(office: Office) -> None:
    for _ in range(2):
        office.do(
            "adjust", actor=OLGA, member="ada", amount="60000000000000", reason="Other reason", other_reason="Egg"
        )
    assert "Take it in parts, with adjust." in refusal(
        office, "remove-balance", actor=OLGA, member="ada", reason="Left"
    )


# Merging balance types (seed 003)


def test_a_merge_moves_each_credit_with_its_expiry_and_leaves_the_liability_as_it_is(office: Office) -> None:
    office.land(
        """
        entry_id  entry_type  occurred_at  member_id  amount  balance_type  expires_at  reason
        g1        created     2026-06-01   ada        9.00    gift          2099-12-31  Gift card
        g2        created     2026-06-01   ben        3.00    gift                      Gift card
        spent     redeemed    2026-06-02   ada        2.00    gift
        """,
        "gifts",
    )
    office.do("merge-balance-types", actor=OLGA, sources=["gift"], destination="default")
    assert (office.balance("ada"), office.balance("ada", "gift")) == ("17.00", "0.00")
    assert (office.balance("ben"), office.balance("ben", "gift")) == ("23.00", "0.00")
    moved = office.rows(
        "select reason, expires_at is null as never, issued_at::date::varchar as issued,"
        " original_amount::varchar as of from facts.credits where entry_type = 'transferred_in' order by member_id"
    )
    assert moved == [
        {"reason": "Gift card", "never": False, "issued": "2026-06-01", "of": "9.0000"},
        {"reason": "Gift card", "never": True, "issued": "2026-06-01", "of": "3.0000"},
    ]
    assert office.rows("from facts.findings") == []


def test_a_copy_enlarges_what_is_owed_and_needs_that_sum_confirmed(office: Office) -> None:
    asked: dict[str, Any] = {"actor": OLGA, "sources": ["default"], "destination": "gift", "delete_from_source": False}
    told = refusal(office, "merge-balance-types", **asked)
    assert "a copy adds 30.00 USD to what is owed" in told
    # The field of the launchpad is no option of the command.
    assert "or move the balances, without --keep-source (in the launchpad: delete_from_source: true)." in told
    assert 'confirm_total "29" is not what the copy adds: 30.00 USD.' in refusal(
        office, "merge-balance-types", **asked, confirm_total="29"
    )
    office.do("merge-balance-types", **asked, confirm_total="30.00")
    assert (office.balance("ada"), office.balance("ada", "gift")) == ("10.00", "10.00")
    assert office.rows("select distinct credit_type from ledger.entries where operation_id is not null") == [
        {"credit_type": "Copy"}
    ]


def test_the_sum_that_a_copy_asks_for_confirms_it_as_it_stands_there(office: Office) -> None:
    office.land("""
        entry_id  member_id  amount
        large     ada        1234.50
    """, "large")  # fmt: skip
    asked: dict[str, Any] = {"actor": OLGA, "sources": ["default"], "destination": "gift", "delete_from_source": False}
    said = re.search(r"Say (\S+) to confirm", refusal(office, "merge-balance-types", **asked))
    assert said
    assert office.do("merge-balance-types", **asked, confirm_total=said[1]).total == Decimal(said[1])


def test_a_balance_type_that_was_merged_stays_declared(office: Office) -> None:
    office.installation.land(
        "acme/entries/g.csv",
        "entry_id,entry_type,member_id,balance_type,amount,occurred_at\ng1,created,cy,gift,10,2026-06-01\n",
    )
    office.do("merge-balance-types", actor=OLGA, sources=["gift"], destination="default")
    office.installation.configure(ACME.replace('gift = { unit = "USD" }\n', ""))
    for attempt in (lambda: office.rows("select 1"), lambda: rebuild(office.installation.home, wait_s=0, say=print)):
        with pytest.raises(UndeclaredBalanceTypeError, match=r"Declare it again: operations posted 1 of them"):
            attempt()
    office.installation.configure(ACME)
    assert office.balance("cy") == "10.00"


def test_a_merge_of_other_units_of_itself_or_of_nothing_is_refused(office: Office) -> None:
    merge = {"kind": "merge-balance-types", "actor": OLGA}
    assert "is in TKN, and default in USD" in refusal(office, **merge, sources=["winston"], destination="default")
    assert "is the destination too" in refusal(office, **merge, sources=["gift"], destination="gift")
    assert "Nobody has anything left in gift" in refusal(office, **merge, sources=["gift"], destination="default")
    assert 'members "ben" has nothing left' in refusal(
        office, **merge, sources=["gift"], destination="default", members=["ben"]
    )


# Batches (seed 000)

BATCH = """
    entry_id  member_id  amount  batch_id  expires_at  reason       occurred_at
    b1        cy         10.00   sale                  Summer Sale  {day}
    b2        di         10.00   sale      2099-12-31  Summer Sale  {day}
    b3        ed         10.00   sale                  Summer Sale  {day}
"""


@pytest.fixture
def sale(office: Office) -> Office:
    """A batch of the day before yesterday."""
    office.land(BATCH.format(day=days_ago(2)), "sale")
    return office


def use(office: Office) -> None:
    """Cy uses 4.00 of it, di all."""
    office.land(
        f"""
        entry_id  entry_type  member_id  amount  occurred_at
        u1        redeemed    cy         4.00    {days_ago(1)}
        u2        redeemed    di         10.00   {days_ago(1)}
        """,
        "used",
    )


def days_ago(days: int) -> str:
    """A local day of the merchant."""
    return (datetime.now(ZoneInfo("America/New_York")).date() - timedelta(days=days)).isoformat()


def test_a_batch_that_nobody_has_used_is_taken_back_whole(sale: Office) -> None:
    shown = sale.preview("reverse-batch", batch="sale", reason="Wrong segment")
    assert (shown.total, shown.recipients.height) == (Decimal("30.0000"), 3)
    assert sale.balance("cy") == "10.00", "a preview moves nothing"
    done = sale.process(shown)
    assert (done.entries, done.total) == (3, Decimal("30.0000"))
    assert [sale.balance(member) for member in ("cy", "di", "ed")] == ["0.00"] * 3
    assert {row["entry_type"] for row in sale.rows("from ledger.entries where operation_id is not null")} == {
        "reversed"
    }


def test_a_used_batch_is_refused_unless_only_what_remains_is_taken(sale: Office) -> None:
    use(sale)
    said = r"2 recipients have used 14.00 USD of 30.00 USD. With unused_only, the 16.00 USD"
    with pytest.raises(RefusedError, match=said):
        sale.preview("reverse-batch", batch="sale", reason="x")
    shown = sale.preview("reverse-batch", batch="sale", reason="x", unused_only=True)
    assert shown.recipients.select("member_id", "amount", "stays").rows() == [
        ("cy", Decimal("6.0000"), Decimal("4.0000")),
        ("di", Decimal("0.0000"), Decimal("10.0000")),
        ("ed", Decimal("10.0000"), Decimal("0.0000")),
    ]
    assert sale.process(shown).total == Decimal("16.0000")


def test_a_reversal_after_a_merge_tells_what_was_issued_and_who_used_only_a_part(sale: Office) -> None:
    use(sale)
    sale.do("merge-balance-types", actor=OLGA, sources=["default"], destination="gift")
    shown = sale.preview("reverse-batch", batch="sale", reason="x", unused_only=True)
    assert "30.00 USD in 3 credits." in shown.filters
    assert shown.recipients.select("member_id", "amount", "stays", "why").rows() == [
        ("cy", Decimal(0), Decimal(4), "Partly used: what was used stays, and nothing else is left."),
        ("cy", Decimal(6), Decimal(0), "Nothing of it has been used."),
        ("di", Decimal(0), Decimal(10), "All used: it stays."),
        ("ed", Decimal(10), Decimal(0), "Nothing of it has been used."),
    ]
    assert sale.process(shown).total == Decimal(16)
    assert [sale.balance(member, "gift") for member in ("cy", "ed")] == ["0.00", "0.00"]


def test_a_batch_is_reversed_once(sale: Office) -> None:
    sale.process(sale.preview("reverse-batch", batch="sale", reason="x"), exclude=["ed"])
    with pytest.raises(RefusedError, match=r"has been reversed before: 20.00 USD of 30.00 USD were taken back"):
        sale.preview("reverse-batch", batch="sale", reason="x")


def test_the_reversal_window_ends_with_its_last_day(office: Office) -> None:
    office.land(BATCH.format(day=days_ago(60)), "last")
    assert office.preview("reverse-batch", batch="sale", reason="x").recipients.height == 3
    office.land(re.sub(r"\bb(\d)", r"o\1", BATCH.format(day=days_ago(61)).replace("sale", "old ")), "past")
    with pytest.raises(RefusedError, match=r"could be reversed until .*, 60 days after"):
        office.preview("reverse-batch", batch="old", reason="x")


def test_a_member_of_two_credits_of_a_batch_is_one_who_used_it_and_it_is_as_old_as_the_first_of_them(
    sale: Office,
) -> None:
    sale.process(sale.preview("adjust-batch", batch="sale", amount="12", reason="x", members=["cy"]))
    now = datetime.now(ZoneInfo("UTC")).isoformat()
    sale.installation.land(
        "acme/entries/used.csv",
        "entry_id,entry_type,member_id,amount,occurred_at,redemption_id,credit_id\n"
        f"u,redeemed,cy,11,{now},,\nback,refunded,cy,2,{now},u,b1\n",
    )
    with pytest.raises(RefusedError, match=r"1 recipient has used 9.00 USD of 32.00 USD"):
        sale.preview("reverse-batch", batch="sale", reason="x")
    shown = sale.preview("reverse-batch", batch="sale", reason="x", unused_only=True)
    assert f"issued on {days_ago(2)}" in shown.filters
    assert sale.process(shown).explanation.endswith("from 3 members. 9.00 USD had been used by 1 member and stay.")


def test_a_reversal_over_the_limit_needs_another_owners_approval(sale: Office) -> None:
    sale.settings("reversal_limit = 0")
    shown = sale.preview("reverse-batch", batch="sale", reason="x")
    with pytest.raises(RefusedError, match=r"Taking back 30.00 USD is above reversal_limit 0: approved_by must name"):
        sale.process(shown)
    with pytest.raises(RefusedError, match="is not owner or higher"):
        sale.process(shown, approved_by=ANN)
    with pytest.raises(RefusedError, match="Another person must approve"):
        sale.process(shown, approved_by=OLGA)
    sale.settings("reversal_limit = 30.00")
    assert sale.process(shown).total == Decimal(30)


def test_a_batch_comes_down_by_what_remains_and_says_who_cannot(sale: Office) -> None:
    use(sale)
    shown = sale.preview("adjust-batch", batch="sale", amount="5", reason="Too much")
    assert shown.recipients.select("member_id", "amount", "stays").rows() == [
        ("cy", Decimal("5.0000"), Decimal("0.0000")),
        ("di", Decimal("0.0000"), Decimal("5.0000")),
        ("ed", Decimal("5.0000"), Decimal("0.0000")),
    ]
    assert shown.warnings == ("1 recipient cannot come to 5.00 USD in full: 5.00 USD stay as they are.",)
    sale.process(shown)
    assert [sale.balance(member) for member in ("cy", "di", "ed")] == ["1.00", "0.00", "5.00"]


def test_a_batch_goes_up_by_new_credits_with_its_id_and_the_old_expiry(sale: Office) -> None:
    sale.process(sale.preview("adjust-batch", batch="sale", amount="12", reason="Too little", members=["di"]))
    (credit,) = sale.rows(
        "select member_id, amount::varchar as amount, batch_id, reason, expires_at::date::varchar as expires,"
        " internal_note from facts.credits where event > 2 and member_id = 'di' and amount < 10"
    )
    assert credit == {
        "member_id": "di", "amount": "2.0000", "batch_id": "sale", "reason": "Summer Sale",
        "expires": "2100-01-01", "internal_note": "Raises credit b2",
    }  # fmt: skip


def test_a_batch_whose_credits_no_longer_expire_goes_up_by_credits_that_never_expire(office: Office) -> None:
    office.installation.land(
        "acme/entries/sale.csv",
        "entry_id,entry_type,member_id,amount,batch_id,credit_id,expires_at,occurred_at\n"
        f"b1,created,cy,10,sale,,2099-12-31,{days_ago(4)}\n"
        f"b2,created,di,10,sale,,{days_ago(1)},{days_ago(4)}\n"
        f"e1,expiry_changed,cy,,,b1,,{days_ago(2)}\n"
        f"e2,expiry_changed,di,,,b2,,{days_ago(2)}\n",
    )
    office.process(office.preview("adjust-batch", batch="sale", amount="12", reason="Too little"))
    assert [office.balance(member) for member in ("cy", "di")] == ["12.00", "12.00"]
    issued = office.rows("select expires_at from ledger.entries where operation_id is not null")
    assert issued == [{"expires_at": None}, {"expires_at": None}]


def test_a_batch_goes_up_by_credit_that_expires_as_its_credit_does_where_it_is_by_now(office: Office) -> None:
    office.land("""
        entry_id  entry_type       member_id  balance_type  occurred_at  credit_id  transfer_id  batch_id  expires_at
        a         created          ada        default       2026-06-01                           spring    2026-06-20
        b         created          ben        default       2026-06-01                           spring    2198-06-20
        a.out     transferred_out  ada        default       2026-06-02   a          a
        a.in      transferred_in   ada        gift          2026-06-02              a            spring    2198-12-31
        b.out     transferred_out  ben        default       2026-06-02   b          b
        b.in      transferred_in   ben        gift          2026-06-02              b            spring    2198-06-20
    """, "spring")  # fmt: skip
    office.land("""
        entry_id  entry_type      member_id  balance_type  amount  occurred_at  credit_id  expires_at
        b.over    expiry_changed  ben        gift          0.00    2026-06-03   b.in       2026-06-10
    """, "summer")  # fmt: skip
    made = office.preview("adjust-batch", batch="spring", amount="12", reason="Was 10")
    assert [(row["member_id"], row["amount"], row["why"]) for row in made.recipients.to_dicts()] == [
        ("ada", Decimal(2), "From 10.00 to 12.00: the difference is issued."),
        ("ben", Decimal(0), "From 10.00 to 12.00: its credit has expired, so nothing is issued."),
    ]
    done = office.process(made)
    (entry,) = office.rows(f"select expires_at from ledger.entries where operation_id = '{done.operation_id}'")
    assert entry["expires_at"].year == 2199  # the last second of 2198 in New York


def test_a_batch_adjusted_up_and_then_down_ends_where_it_was_told_to(sale: Office) -> None:
    for amount in ("12", "11", "8", "9"):
        sale.process(sale.preview("adjust-batch", batch="sale", amount=amount, reason="x"))
    assert [sale.balance(member) for member in ("cy", "di", "ed")] == ["9.00"] * 3
    with pytest.raises(RefusedError, match="is what each recipient of batch sale has already"):
        sale.preview("adjust-batch", batch="sale", amount="9", reason="x")


def test_who_had_the_batch_taken_back_gets_no_difference_when_its_amount_goes_up(sale: Office) -> None:
    back = sale.preview("reverse-batch", batch="sale", reason="Wrong segment")
    sale.process(back, exclude=["ed"])
    higher = sale.preview("adjust-batch", batch="sale", amount="12", reason="x")
    assert higher.recipients.select("member_id", "amount", "stays", "why").rows() == [
        ("cy", Decimal(0), Decimal(2), "From 10.00 to 12.00: its credit was reversed, so nothing is issued."),
        ("di", Decimal(0), Decimal(2), "From 10.00 to 12.00: its credit was reversed, so nothing is issued."),
        ("ed", Decimal(2), Decimal(0), "From 10.00 to 12.00: the difference is issued."),
    ]
    sale.process(higher)
    assert [sale.balance(member) for member in ("cy", "di", "ed")] == ["0.00", "0.00", "12.00"]


def test_a_batch_whose_credits_were_merged_comes_down_where_they_are_now_and_goes_back_up(sale: Office) -> None:
    for destination, source in (("gift", "default"), ("default", "gift"), ("gift", "default")):
        sale.do("merge-balance-types", actor=OLGA, sources=[source], destination=destination)
    sale.process(sale.preview("adjust-batch", batch="sale", amount="8", reason="x", members=["di"]))
    assert sale.balance("di", "gift") == "8.00"
    sale.process(sale.preview("adjust-batch", batch="sale", amount="9", reason="x", members=["di"]))
    assert (sale.balance("di"), sale.balance("di", "gift")) == ("0.00", "9.00")
    sale.process(sale.preview("adjust-batch", batch="sale", amount="2", reason="x", members=["di"]))
    assert sale.balance("di", "gift") == "2.00"


def test_who_had_the_batch_taken_back_after_a_merge_gets_no_difference_either(sale: Office) -> None:
    sale.do("merge-balance-types", actor=OLGA, sources=["default"], destination="gift")
    sale.process(sale.preview("reverse-batch", batch="sale", reason="x", unused_only=True))
    shown = sale.preview("adjust-batch", batch="sale", amount="12", reason="x", members=["di"])
    assert [row["why"] for row in shown.recipients.to_dicts()] == [
        "From 10.00 to 12.00: its credit was reversed, so nothing is issued."
    ]


def test_what_a_member_lost_for_another_reason_is_not_given_back_by_an_adjustment_of_the_batch(sale: Office) -> None:
    told = {"reason": "Other reason", "other_reason": "Egg"}
    sale.do("adjust", member="di", amount="-3", **told)
    sale.process(sale.preview("adjust-batch", batch="sale", amount="8", reason="x", members=["di"]))
    assert sale.balance("di") == "5.00"
    sale.do("adjust", member="di", amount="-4", **told)
    shown = sale.preview("adjust-batch", batch="sale", amount="6", reason="x", members=["di"])
    assert [row["why"] for row in shown.recipients.to_dicts()] == [
        "From 8.00 to 6.00: 1.00 of it is no longer there to take."
    ]
    sale.process(shown)
    sale.process(sale.preview("adjust-batch", batch="sale", amount="12", reason="x", members=["di"]))
    assert sale.balance("di") == "5.00"


def test_a_batch_of_which_nothing_can_be_taken_is_previewed_and_not_processed(sale: Office) -> None:
    use(sale)
    lower = sale.preview("adjust-batch", batch="sale", amount="8", reason="x", members=["di"])
    assert lower.recipients.select("member_id", "amount", "stays").rows() == [("di", Decimal(0), Decimal(2))]
    with pytest.raises(RefusedError, match="nobody has anything to take or gets anything"):
        sale.process(lower)
    back = sale.preview("reverse-batch", batch="sale", reason="x", unused_only=True)
    with pytest.raises(RefusedError, match="that are left, nobody has anything to take"):
        sale.process(back, exclude=["cy", "ed"])
    assert [row["status"] for row in sale.rows("from ledger.operations")] == ["refused", "refused"]


def test_a_batch_of_which_only_transfers_are_known_gets_no_other_amount(office: Office) -> None:
    office.installation.land(
        "acme/entries/moved.csv",
        "entry_id,entry_type,member_id,amount,batch_id,transfer_id,occurred_at\n"
        f"b1,transferred_in,cy,10,sale,t1,{days_ago(2)}\n",
    )
    with pytest.raises(RefusedError, match='batch "sale" has no credit that was issued in it'):
        office.preview("adjust-batch", batch="sale", amount="8", reason="x")


def test_what_is_kept_of_an_adjusted_batch_says_why_of_each_though_another_credit_of_it_came_between(
    sale: Office,
) -> None:
    shown = sale.preview("adjust-batch", batch="sale", amount="8", reason="x")
    sale.land(
        f"""
        entry_id  member_id  amount  batch_id  occurred_at
        b0        al         8.00    sale      {days_ago(2)}
        """,
        "more",
    )
    sale.process(shown)
    request = ProcessPreview(merchant="acme", actor=OLGA, preview_id=shown.preview_id)
    with sale.desk(request, "process") as desk:
        kept = desk.query("processed", operation_id=shown.preview_id)
    assert kept.select("member_id", "why").rows() == [
        (member, "From 10.00 to 8.00: the difference is taken.") for member in ("cy", "di", "ed")
    ]


def test_recipients_without_a_credit_in_the_batch_are_refused(sale: Office) -> None:
    with pytest.raises(RefusedError, match='members "ada" has no credit in batch sale'):
        sale.preview("adjust-batch", batch="sale", amount="9", reason="x", members=["ada"])
    with pytest.raises(RefusedError, match='batch "nope" is no batch of acme'):
        sale.preview("reverse-batch", batch="nope", reason="x")


# Previews


def test_what_was_done_is_told_without_those_who_were_left_out(sale: Office) -> None:
    use(sale)
    sale.settings("reversal_limit = 10.00")
    lower = sale.process(sale.preview("adjust-batch", batch="sale", amount="8", reason="x"), exclude=["ed"])
    assert lower.total == Decimal("2.0000")
    assert lower.explanation == (
        "Set batch sale to 8.00 USD for each recipient: issued 0.00 USD, took 2.00 USD."
        " 1 could not come all the way, by 2.00 USD. Left out: ed."
    )
    back = sale.preview("reverse-batch", batch="sale", reason="x", unused_only=True)
    with pytest.raises(RefusedError, match=r"Taking back 14.00 USD is above reversal_limit 10.00"):
        sale.process(back)
    taken = sale.process(back, exclude=["cy"])
    assert (taken.total, taken.explanation) == (
        Decimal("10.0000"),
        "Took back 10.00 USD of batch sale from 1 member. 10.00 USD had been used by 1 member and stay. Left out: cy.",
    )


def test_a_preview_processed_again_posts_nothing(sale: Office) -> None:
    shown = sale.preview("reverse-batch", batch="sale", reason="x")
    first, again = sale.process(shown), sale.process(shown)
    assert (first.already, again.already, again.operation_id) == (False, True, shown.preview_id)
    assert len(sale.rows("from ledger.entries where operation_id is not null")) == 3


def test_a_preview_whose_data_has_changed_is_refused_with_what_changed(sale: Office) -> None:
    shown = sale.preview("reverse-batch", batch="sale", reason="x", unused_only=True)
    use(sale)
    with pytest.raises(
        RefusedError, match=r"2 recipients have changed \(cy, di\). Nothing was posted. Make a new preview"
    ):
        sale.process(shown)


def test_a_preview_is_not_processed_as_another_kind_of_operation(sale: Office) -> None:
    shown = sale.preview("reverse-batch", batch="sale", reason="x")
    with pytest.raises(RefusedError, match="is a preview of reverse-batch, not of mass-credits"):
        sale.process(shown, kind="mass-credits")
    sale.process(shown)
    with pytest.raises(RefusedError, match="is a preview of reverse-batch, not of mass-credits"):
        sale.process(shown, kind="mass-credits")


def test_an_unknown_preview_and_an_exclusion_that_excludes_nobody_are_refused(sale: Office) -> None:
    with pytest.raises(RefusedError, match="is no preview of acme"):
        sale.process("reverse-batch-000000000000")
    shown = sale.preview("reverse-batch", batch="sale", reason="x")
    with pytest.raises(RefusedError, match='exclude "zoe" is no member'):
        sale.process(shown, exclude=["zoe"])
    with pytest.raises(RefusedError, match="leaves no recipient"):
        sale.process(shown, exclude=["cy", "di", "ed"])


# Who may, and who approves


def test_who_is_not_named_not_of_the_merchant_or_of_too_low_a_role_is_refused(office: Office) -> None:
    asked = {"member": "ada", "amount": "1", "reason": "Other reason", "other_reason": "x"}
    assert f"is not in access.toml. They are allowed to: {ANN}, {BO}, {OLGA}." in refusal(
        office, "adjust", actor="zoe@acme.example", **asked
    )
    assert "has no role at acme" in refusal(office, "adjust", actor=EVE, **asked)
    assert "is viewer in access.toml, and this needs administrator" in refusal(
        office, "adjust", actor="vera@acme.example", **asked
    )


def test_a_credit_over_the_limit_needs_another_persons_approval(office: Office) -> None:
    office.settings("approval_limit = 100.00")
    asked = {"member": "ada", "amount": "100.01", "reason": "Other reason", "other_reason": "x"}
    assert "A credit of 100.01 USD is above approval_limit 100.00" in refusal(office, "adjust", **asked)
    assert "Another person must approve" in refusal(office, "adjust", approved_by=ANN.upper(), **asked)
    for nobody in (VERA, EVE):
        assert "is not administrator or higher of acme" in refusal(office, "adjust", approved_by=nobody, **asked)
    office.do("adjust", approved_by=BO, **asked)
    assert office.rows("select approved_by from ledger.entries where operation_id is not null") == [{"approved_by": BO}]
    office.do("adjust", member="ada", amount="100.00", reason="Other reason", other_reason="x")


def test_without_access_toml_there_are_no_operations(office: Office) -> None:
    office.installation.home.access_file.unlink()
    assert "access.toml names nobody who may do this at acme" in refusal(
        office, "add-balance", member="ada", amount="1", balance_type="gift"
    )


# What is kept


def test_every_operation_is_recorded_with_who_what_and_how_refused_ones_too(office: Office) -> None:
    adjust(office, "5")
    with pytest.raises(RefusedError):
        adjust(office, "-99")
    done, refused = office.rows("from ledger.operations order by event")
    assert (done["status"], done["actor"], done["interface"], done["entries"]) == ("processed", ANN, "cli", 1)
    assert json.loads(done["request"])["amount"] == "5"
    assert (refused["status"], refused["entries"], str(refused["total"])) == ("refused", 0, "0.0000")
    assert "is more than the balance" in refused["explanation"]
    assert done["os_user"]


def test_the_os_user_that_is_kept_is_whose_process_it_is_and_not_what_the_environment_claims(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "somebody-else")
    adjust(office, "5")
    monkeypatch.setattr(os, "getuid", lambda: 3_000_000_000)  # a user that the system has no name for
    adjust(office, "6")
    assert office.rows("select os_user from ledger.operations order by event") == [
        {"os_user": pwd.getpwuid(os.geteuid()).pw_name},
        {"os_user": "uid 3000000000"},
    ]


def test_an_operation_killed_after_its_journal_is_completed_by_the_next_run_and_not_done_twice(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    keep = Journal.keep

    def die(journal: Journal, event: Event) -> None:
        keep(journal, event)
        if event.kind == "operation":
            raise Killed

    monkeypatch.setattr(Journal, "keep", die)
    with pytest.raises(Killed):
        adjust(office, "5")
    monkeypatch.undo()
    again = adjust(office, "5")
    assert again.already
    assert office.balance("ada") == "15.00"
    assert adjust(office, "5").already is False, "asked once more, it is done once more"
    assert office.balance("ada") == "20.00"


def test_an_operation_that_the_ledger_cannot_take_is_not_in_the_journal_and_the_next_one_is_done(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise BrokenPromiseError("No such row can be.")

    monkeypatch.setattr(posting, "_post", refuse)
    with pytest.raises(BrokenPromiseError):
        adjust(office, "5")
    monkeypatch.undo()
    assert office.rows("from ledger.operations") == []
    assert adjust(office, "3").already is False
    assert office.balance("ada") == "13.00"


def test_an_operation_killed_before_its_result_was_told_is_told_by_the_next_run_and_not_done_twice(
    office: Office,
) -> None:
    operation = OPERATIONS["adjust"]
    asked = {"member": "ada", "amount": "5", "reason": "Other reason", "other_reason": "x"}
    request = operation.request(merchant="acme", actor=ANN, **asked)
    with office.desk(request, "adjust") as desk:
        engine.perform(desk, operation, request)
    # The ledger has it, the run has ended, and nobody has been told.
    end_of_process()
    assert office.do("adjust", **asked).already
    assert office.balance("ada") == "15.00"
    assert not office.do("adjust", **asked).already, "asked once more, it is done once more"
    assert office.balance("ada") == "20.00"


def test_who_asks_the_same_while_another_is_about_to_be_told_is_not_taken_for_the_other(office: Office) -> None:
    operation = OPERATIONS["adjust"]
    asked = {"member": "ada", "amount": "5", "reason": "Other reason", "other_reason": "x"}
    request = operation.request(merchant="acme", actor=ANN, **asked)
    with office.desk(request, "adjust") as desk:
        engine.perform(desk, operation, request)
    # It has the ledger no more, and its process is still there.
    assert not office.do("adjust", **asked).already
    assert office.balance("ada") == "20.00"
    end_of_process()


def test_a_run_executed_again_does_not_repeat_its_operation(office: Office) -> None:
    asked: dict[str, Any] = {"run_id": "a" * 32}
    assert adjust(office, "5", **asked).already is False
    assert adjust(office, "5", **asked).already is True
    assert office.balance("ada") == "15.00"


def test_a_run_executed_again_with_another_request_is_refused_and_not_answered_with_the_former_one(
    office: Office,
) -> None:
    asked: dict[str, Any] = {"run_id": "a" * 32}
    adjust(office, "5", **asked)
    with pytest.raises(RefusedError, match="which did something else: Added 5"):
        adjust(office, "9", **asked)
    assert office.balance("ada") == "15.00"


def test_a_rebuild_posts_the_same_operations(sale: Office) -> None:
    adjust(sale, "5")
    sale.process(sale.preview("adjust-batch", batch="sale", amount="12", reason="x"))
    with pytest.raises(RefusedError):
        adjust(sale, "-99")
    (rebuilt,) = rebuild(sale.installation.home, wait_s=0, say=sale.installation.said.append)
    assert (rebuilt.differences, rebuilt.compared) == ((), True)
    assert len(Journal(sale.installation.home).numbers("acme")) == 5


def test_a_rebuild_whose_journal_has_lost_its_last_operation_leaves_the_ledger_as_it_is(office: Office) -> None:
    home = office.installation.home
    adjust(office, "5")
    last = home.journal / "acme" / "000000000002.json"
    event = last.read_bytes()
    last.unlink()
    with pytest.raises(LedgerUnavailableError, match=r"knows event 2 of acme, and .* ends with event 1"):
        rebuild(home, wait_s=0, say=office.installation.said.append)
    last.write_bytes(event)
    assert office.balance("ada") == "15.00"


def test_a_rebuild_that_lacks_an_operations_entries_says_whose_they_were(office: Office) -> None:
    home = office.installation.home
    done = adjust(office, "5")
    (event,) = [event for event in Journal(home).missing("acme", ()) if event.kind == "operation"]
    (home.archive / event.content["sha256"]).unlink()
    whose = f"is missing: it held the entries of operation {done.operation_id}"
    with pytest.raises(LedgerUnavailableError, match=whose):
        rebuild(home, wait_s=0, say=office.installation.said.append)
