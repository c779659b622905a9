"""Anomaly rules: each fires in a small ledger where it should, and not on its nearest neighbours."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines import anomalies, models, reports
from pipelines.anomalies import Rule
from pipelines.models import ModelError
from pipelines.settings import Anomalies, Merchant
from tests.audited import audit, audited_ledger, flags, insert, store, table
from tests.ledgers import Ledger, Rows, instant, merchant, open_ledger
from tests.reported import Report, build, dates, insert_member, month
from tests.tables import assert_rows, rows

ANN, BOB = "Ann Lee", "Bob Ray"
CREATED: dict[str, Any] = {"entry_type": "created", "reason": "Goodwill"}


def credit(entry_id: str, at: str = "2026-06-10T12:00", amount: str = "10.00", **more: Any) -> dict[str, Any]:
    """A credit of June, for a reason."""
    return {**CREATED, "entry_id": entry_id, "occurred_at": at, "amount": amount, **more}


def by(name: str, **more: Any) -> dict[str, Any]:
    return {"creator_name": name, "creator_email": f"{name.split(maxsplit=1)[0].lower()}@acme.example", **more}


# ---- What the header of a rule says


def test_each_rule_says_what_it_means_and_what_to_do() -> None:
    for rule in anomalies.rules():
        assert rule.means.endswith("."), rule.name
        assert rule.do.endswith((".", "?")), rule.name
        assert rule.version >= 1


AGREED_ON = {
    "error": {
        "uncovered_draw", "refund_exceeds_redemption", "refund_of_unknown_redemption", "credit_of_other_account",
        "unknown_credit", "unit_mismatch", "expiry_mismatch", "reversal_short", "unpaired_transfer", "unequal_transfer",
        "entry_changed", "balance_mismatch", "self_credit", "batch_count_mismatch", "batch_total_mismatch",
        "zero_recipient_batch", "duplicate_batch", "reversal_outside_window", "unapproved_over_limit",
        "source_incomplete",
    },
    "warning": {
        "refund_after_reversal", "late_entry", "unknown_member", "missing_reason", "batch_repeats_recipient",
        "duplicate_credit", "reversal_after_use", "just_under_limit", "split_under_limit", "recovery_over_budget",
        "repeat_pairing", "systemic_reason", "unusual_amount", "unusual_creator_volume",
    },
    "info": {"employee_credit", "off_hours"},
}  # fmt: skip


def test_each_rule_that_was_agreed_on_is_there_with_its_severity() -> None:
    assert sum(len(names) for names in AGREED_ON.values()) == 36
    for severity, names in AGREED_ON.items():
        assert names <= {rule.name for rule in anomalies.rules() if rule.severity == severity}, severity


def test_the_thresholds_that_headers_name_are_those_of_the_settings_with_their_defaults() -> None:
    defaults = Anomalies().model_dump()
    named = set()
    for rule in anomalies.rules():
        for name, said in rule.thresholds:
            default = defaults[name]
            told = (
                str(list(default)).replace("'", '"') if isinstance(default, tuple)
                else f'"{default}"' if isinstance(default, str) else str(default)
            )  # fmt: skip
            assert said == told, f"{rule.name}: {name}"
            named.add(name)
    assert named == set(defaults)


def test_a_threshold_is_what_the_merchant_says_also_after_a_hundred_others() -> None:
    narrow = Anomalies(just_under_band_percent=Decimal("0.5"), robust_z=Decimal("3.75"))
    ledger = open_ledger(*[merchant(f"m{number}") for number in range(100)], merchant("last", anomalies=narrow))
    asked = "select just_under_band_percent, robust_z from settings.thresholds where merchant_id = 'last'"
    assert ledger.connection.execute(asked).fetchone() == (Decimal("0.5"), Decimal("3.75"))


def test_the_document_is_what_the_headers_say() -> None:
    written = anomalies.DOCUMENT.read_text(encoding="utf-8")
    assert written == anomalies.document(), "run `python -m pipelines.anomalies`"


def test_a_header_that_lacks_something_is_refused() -> None:
    model = models.Model("anomalies.half", "-- Half a rule: one row per nothing.\n--\n-- severity: error\nselect 1\n")
    with pytest.raises(ModelError, match="does not say do, means, version"):
        anomalies._rule(model)


def test_a_rule_that_fails_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = models.Model(
        "anomalies.broken", "-- Broken: one row per nothing.\nselect no_such_column from settings.periods"
    )
    rule = Rule(broken, "error", 1, "", "", (), ())
    reports.names()  # remembered, and in the order of the rules that there are
    monkeypatch.setattr(anomalies, "rules", lambda: (rule,))
    ledger = audited_ledger([credit("one")])
    with pytest.raises(Exception, match="no_such_column"):
        build(ledger, month(ledger, "2026-06"))


# ---- Wrong data, and controls that failed


def test_each_finding_of_the_replay_is_a_flag_of_its_name_in_its_period() -> None:
    june = audit(
        """
        entry_id  entry_type  occurred_at       amount  redemption_id  credit_id
        may       created     2026-05-01T12:00   10.00
        early     redeemed    2026-05-20T12:00   12.00
        late      redeemed    2026-06-20T12:00    3.00
        back      refunded    2026-06-21T12:00    1.00  nothing
        named     reversed    2026-06-22T12:00    1.00                 nobody
    """
    )
    assert_rows(
        sorted(flags(june).where(severity="error"), key=lambda row: str(row["rule"])),
        """
        rule                          entry_ids  amount_at_risk  evidence_sheet
        refund_of_unknown_redemption  back       1.00
        uncovered_draw                late       3.00            Credit Redemptions
        unknown_credit                named      1.00
    """,
    )


def test_every_kind_of_finding_has_a_rule() -> None:
    kinds = {
        *("uncovered_draw", "refund_exceeds_redemption", "refund_of_unknown_redemption", "credit_of_other_account"),
        *("unknown_credit", "unit_mismatch", "expiry_mismatch", "reversal_short", "unpaired_transfer"),
        *("unequal_transfer", "refund_after_reversal"),
    }
    assert kinds <= {rule.name for rule in anomalies.rules()}


def test_the_evidence_of_a_flag_is_a_row_in_its_own_unit() -> None:
    """Dollars stand first among the member's credits, and tokens in the batch's rows."""
    june = audit(
        """
        entry_id  entry_type      occurred_at       member_id  amount  balance_type  batch_id
        dollars   created         2026-05-01T12:00  ada         10.00  default
        loyalty   created         2026-05-02T12:00  ada         40.00  winston
        of-usd    created         2026-06-01T12:00  bob         10.00  default       mixed
        of-tkn    transferred_in  2026-06-01T12:00  bob          7.00  winston       mixed
        """,
        balances="member_id  balance_type  as_of       balance\nada        winston       2026-06-10  41.00",
        batches="batch_id  issued_at         declared_total\nmixed     2026-06-01T12:00  9.00",
    )
    places = {"Extant Credits": june["extant_credits"], "Credits Batches": table(june, "credits_batches")}
    found = [*flags(june, "balance_mismatch"), *flags(june, "batch_total_mismatch")]
    assert [(row["evidence_sheet"], row["unit"]) for row in found] == [*zip(places, ("TKN", "USD"), strict=True)]
    for row in found:
        (place,) = places[row["evidence_sheet"]].where(position=row["evidence_position"])
        assert place["unit"] == row["unit"]


def test_the_evidence_of_a_member_who_has_no_credit_left_in_the_unit_is_what_moved_in_it() -> None:
    """A token's balance is not shown by the dollars that are left; a refund of too much, by what it gives back."""
    june = audit(
        """
        entry_id  entry_type  occurred_at       amount  balance_type  redemption_id
        dollars   created     2026-05-01T12:00   10.00  default
        loyalty   opening     2026-05-02T12:00   40.00  winston
        other     redeemed    2026-06-03T12:00    1.00  winston
        spent     redeemed    2026-06-04T12:00   39.00  winston
        back      refunded    2026-06-05T12:00   39.00  winston       spent
        again     refunded    2026-06-06T12:00    7.00  winston       spent
        gone      redeemed    2026-06-07T12:00   39.00  winston
        """,
        balances="member_id  balance_type  as_of       balance\nada        winston       2026-06-02  41.00",
    )
    found = {row["rule"]: row for row in flags(june).where(evidence_sheet="Credit Redemptions")}
    place = {row["redemption_id"]: row["position"] for row in june["credit_redemptions"]}
    assert found["balance_mismatch"]["evidence_position"] == place["other"]
    assert found["refund_exceeds_redemption"]["evidence_position"] == place["spent"]


def test_an_entry_that_was_told_otherwise_is_flagged_in_the_period_in_which_that_came() -> None:
    ledger = audited_ledger([credit("one", "2026-05-03T12:00"), credit("two", "2026-05-03T12:00", "5.00")])
    for row, entry_id, reason, at in (
        (2, "one", "entry_changed", "2026-06-05"),
        (3, "one", "missing", "2026-06-05"),
        (4, "one", "entry_changed", "2026-07-01"),
        (5, "two", "entry_changed", "2026-06-30"),
    ):
        ledger.connection.execute(
            "insert into ledger.rejected_rows by name select 'acme' as merchant_id, 1 as event, 'entries' as dataset,"
            " 'a.csv' as source_file, $1 as source_row, $2 as reason, '' as explanation, $3 as row_id, '' as sha256,"
            " $4::timestamptz as rejected_at",
            [row, reason, entry_id, at],
        )
    (june,) = build(ledger, month(ledger, "2026-06"))
    assert_rows(flags(june, "entry_changed"), "entry_ids  amount_at_risk\none        10.00\ntwo         5.00")


def test_what_a_run_of_a_month_that_goes_on_takes_in_is_flagged_in_that_run() -> None:
    """Files are taken after as_of, which is when the run began."""
    ledger = audited_ledger([credit("one", "2026-06-03T12:00")])
    ledger.connection.execute(
        "insert into ledger.rejected_rows by name select 'acme' as merchant_id, 1 as event, 'entries' as dataset,"
        " 'a.csv' as source_file, 2 as source_row, 'entry_changed' as reason, '' as explanation, 'one' as row_id,"
        " '' as sha256, '2026-06-15T12:00:03Z'::timestamptz as rejected_at"
    )
    (june,) = build(ledger, month(ledger, "2026-06", as_of="2026-06-15T12:00"))
    assert_rows(flags(june, "entry_changed"), "entry_ids  amount_at_risk\none        10.00")


def test_a_stated_balance_that_the_ledger_does_not_have() -> None:
    june = audit(
        """
        entry_id  entry_type  occurred_at       member_id  amount
        a1        created     2026-05-01T12:00  ada         10.00
        a2        redeemed    2026-06-20T00:00  ada          4.00
        b1        created     2026-06-01T12:00  bob          5.00
    """,
        balances="""
        member_id  as_of       balance
        ada        2026-06-20  10.00
        ada        2026-06-21   6.01
        bob        2026-07-01   5.00
        cy         2026-06-30   2.00
        ada        2026-06-01   7.00
        bob        2026-07-02   9.00
    """,
    )
    # The order of 20 June counts from the next day on; 1 June is May's, and 2 July is July's.
    assert_rows(
        sorted(flags(june, "balance_mismatch"), key=lambda row: str(row["member_id"])),
        """
        member_id  observed  threshold  amount_at_risk  evidence_sheet
        ada        6.01      6.00        0.01           Credit Redemptions
        cy         2.00      0.00        2.00
    """,
    )


def test_a_stated_balance_from_before_what_expired_is_found_with_what_expired() -> None:
    june = audit(
        [
            credit("c", "2026-05-01T12:00", expires_at="2026-06-10T23:59:59"),
            credit("d", "2026-05-01T12:00", member_id="bob", expires_at="2026-05-31T23:59:59"),
            credit("e", "2026-05-01T12:00", "1.00", member_id="bob"),
        ],
        balances="""
        member_id  as_of       balance
        ada        2026-06-20  10.00
        bob        2026-06-20  10.00
    """,
    )
    assert_rows(
        sorted(flags(june, "balance_mismatch"), key=lambda row: str(row["member_id"])),
        """
        member_id  credit_id  entry_ids  amount_at_risk  evidence_sheet
        ada        c                     10.00           Credit Expirations
        bob                              9.00            Extant Credits
    """,
    )


def test_an_entry_that_came_after_its_month_was_published_is_late_and_an_interim_workbook_is_no_publication() -> None:
    ledger = audited_ledger(
        [
            credit("on-time", recorded_at="2026-07-02"),
            credit("late", recorded_at="2026-07-03"),
            credit("july", "2026-07-01", recorded_at="2026-07-03"),
        ]
    )

    def published(at: str, *, is_final: bool) -> None:
        ledger.connection.execute(
            "insert into ledger.published by name select 'acme' as merchant_id, 1 as event, '2026-06' as period,"
            " '2026-06-01'::timestamptz as starts_at, '2026-07-01'::timestamptz as ends_at, $1 as is_final,"
            " $2::timestamptz as recorded_at",
            [is_final, at],
        )

    published("2026-06-15", is_final=False)
    (june,) = build(ledger, month(ledger, "2026-06"))
    assert not list(flags(june, "late_entry"))
    published("2026-07-02", is_final=True)
    published("2026-07-04", is_final=True)
    june, july = build(ledger, month(ledger, "2026-06"), month(ledger, "2026-07"))
    assert_rows(flags(june, "late_entry"), "entry_ids  credit_id\nlate       late")
    assert not list(flags(july, "late_entry"))


def test_an_entry_without_a_balance_type_is_in_the_unit_of_the_credit_or_redemption_that_it_names() -> None:
    ledger = audited_ledger(
        """
        entry_id  entry_type  occurred_at       amount  credit_id  balance_type  redemption_id  expires_at  recorded_at
        tokens    created     2026-05-01T12:00  10                 winston                      2026-06-10  2026-05-02
        order     redeemed    2026-06-02T12:00   4      tokens                   order                      2026-07-09
        back      refunded    2026-06-03T12:00   4                               order                      2026-07-09
        too-much  refunded    2026-06-04T12:00   1                               order                      2026-07-09
        gone      expired     2026-06-10T12:00  10      tokens                                              2026-07-09
    """,
        members="member_id\nbob",
    )
    ledger.connection.execute(
        "insert into ledger.published by name select 'acme' as merchant_id, 1 as event, '2026-06' as period, true as"
        " is_final, '2026-06-01'::timestamptz as starts_at, '2026-07-01'::timestamptz as ends_at,"
        " '2026-07-02'::timestamptz as recorded_at"
    )
    ledger.connection.execute(
        "insert into ledger.rejected_rows by name select 'acme' as merchant_id, 1 as event, 'entries' as dataset,"
        " 'a.csv' as source_file, 2 as source_row, 'entry_changed' as reason, '' as explanation, 'back' as row_id,"
        " '' as sha256, '2026-06-05'::timestamptz as rejected_at"
    )
    (june,) = build(ledger, month(ledger, "2026-06"))
    assert {(row["rule"], row["unit"]) for row in flags(june).where(severity="warning")} == {
        ("late_entry", "TKN"),
        ("unknown_member", "TKN"),
    }
    assert len(list(flags(june, "late_entry"))) == 4
    (changed,) = flags(june, "entry_changed")
    assert "the ledger keeps 4 TKN of 2026-06-03" in changed["explanation"]


def test_a_member_whom_no_members_file_has() -> None:
    entries = [credit("a", member_id="ada"), credit("b", member_id="bob"),
               credit("c", member_id="bob", amount="5.00", entry_type="opening")]  # fmt: skip
    known = audit(entries, members="member_id  email\nada        a@a.example")
    assert_rows(flags(known, "unknown_member"), "member_id  entry_ids  amount_at_risk\nbob        b; c       15.00")
    # Where no file has come at all, that is one thing, and not as many as there are members.
    (nobody,) = flags(audit(entries), "unknown_member")
    assert nobody["member_id"] is None
    assert nobody["explanation"].startswith("No members file has come: 2 members with 3 entries")


def test_a_credit_to_oneself_case_and_spaces_aside() -> None:
    june = audit(
        [
            credit("self", creator_name="Ada", creator_email=" ADA@acme.example"),
            credit("other", **by(ANN)),
            credit("alike", member_id="bob", creator_name="ada@acme.example.org", creator_email="x@acme.example"),
            credit("taken", entry_type="deducted", creator_email="ada@acme.example", amount="1.00"),
            credit("friend", member_id="bob", creator_name="Ada", creator_email="ada@acme.example"),
        ],
        members="member_id  email\nada        Ada@Acme.example\nbob        bob@acme.example",
    )
    assert_rows(flags(june, "self_credit"), "credit_id  severity\nself       error")


def test_employees_are_told_one_by_one_and_in_a_batch_together() -> None:
    ledger = audited_ledger(
        [
            credit("one"),
            credit("two", member_id="bob"),
            *(credit(f"b-{who}", member_id=who, batch_id="b") for who in ("ada", "bob", "cy")),
            credit("b-two", member_id="ada", batch_id="b"),
        ],
        members="member_id\nada\nbob\ncy",
    )
    ledger.connection.execute("update ledger.members set is_employee = member_id <> 'bob'")
    (june,) = build(ledger, month(ledger, "2026-06"))
    assert_rows(
        sorted(flags(june, "employee_credit"), key=lambda row: str(row["credit_id"])),
        """
        credit_id  batch_id  entry_ids           amount_at_risk
                   b         b-ada; b-cy; b-two  30.00
        one                  one                 10.00
    """,
    )
    (together,) = flags(june, "employee_credit").where(batch_id="b")
    assert together["explanation"] == "Batch b went to 2 employees too, with 30.00 USD."


def test_a_credit_without_a_reason() -> None:
    june = audit(
        [
            credit("none", reason=None), credit("blank", reason=" "), credit("some"),
            {"entry_id": "old", "entry_type": "opening", "occurred_at": "2026-06-01", "amount": "1.00"},
        ]
    )  # fmt: skip
    assert {row["credit_id"] for row in flags(june, "missing_reason")} == {"none", "blank"}


def recipients(batch_id: str, *members: str, at: str = "2026-06-10T12:00", **more: Any) -> Iterator[dict[str, Any]]:
    for place, member in enumerate(members):
        yield credit(f"{batch_id}-{place}", at, member_id=member, batch_id=batch_id, **more)


def test_a_batch_is_held_against_what_it_declares() -> None:
    june = audit(
        [*recipients("right", "a", "b"), *recipients("count", "a", "b"), *recipients("total", "a", "b"),
         *recipients("silent", "a"), *recipients("twice", "a", "a"),
         *recipients("april", "d", at="2026-04-10T12:00"),
         credit("order", "2026-06-12T12:00", entry_type="redeemed", member_id="d", credit_id="april-0"),
         credit("in", "2026-06-12T12:00", entry_type="transferred_in", member_id="c", batch_id="right"),
         credit("out", "2026-06-12T12:00", entry_type="transferred_out", member_id="c", transfer_id="x")],
        batches="""
        batch_id  issued_at         declared_recipients  declared_total
        right     2026-06-10T12:00  2                    20.00
        count     2026-06-10T12:00  3                    20.00
        total     2026-06-10T12:00  2                    20.01
        twice     2026-06-10T12:00  1                    20.00
        april     2026-04-10T12:00  2                    20.00
        nobody    2026-06-11T12:00  4                    40.00
        may       2026-05-11T12:00  4                    40.00
    """,
    )  # fmt: skip
    assert_rows(flags(june, "batch_count_mismatch"), "batch_id  observed  threshold\ncount     2         3")
    assert_rows(flags(june, "batch_total_mismatch"), "batch_id  observed  threshold\ntotal     20.00     20.01")
    # One without anybody is one flag, and no mismatch beside it.
    assert_rows(
        flags(june, "zero_recipient_batch"), "batch_id  threshold  evidence_sheet\nnobody    4          Credits Batches"
    )


def test_a_batch_that_goes_on_in_the_next_month_is_held_against_what_it_declares_there_too() -> None:
    credits = [
        *recipients("grows", "a", "b"),
        credit("grows-later", "2026-07-01T00:00", member_id="c", batch_id="grows"),
        *recipients("again", "a"),
        credit("again-later", "2026-07-01T00:00", member_id="a", batch_id="again"),
        credit("again-other", "2026-08-01T00:00", member_id="b", batch_id="again"),
        *recipients("late", "a", at="2026-07-01T00:00"),
        *recipients("few", "a", "b"),
        {**credit("order", "2026-07-02T12:00", "1.00", member_id="b"), "entry_type": "redeemed"},
    ]
    batches = """
        batch_id  issued_at         declared_recipients  declared_total
        grows     2026-06-10T12:00  2                    20.00
        again     2026-06-10T12:00  1                    10.00
        late      2026-06-30T12:00  2                    20.00
        few       2026-06-10T12:00  3                    30.00
    """
    ledger = audited_ledger(credits, batches=batches)
    june, july, august = build(ledger, *(month(ledger, f"2026-0{number}") for number in (6, 7, 8)))
    assert_rows(flags(june, "batch_count_mismatch"), "batch_id  observed  threshold\nfew       2         3")
    assert_rows(
        flags(july, "batch_count_mismatch"),
        "batch_id  observed  threshold\ngrows     3         2\nlate      1         2",
    )
    assert_rows(
        flags(july, "batch_total_mismatch"),
        """
        batch_id  observed  threshold
        again     20.00     10.00
        grows     30.00     20.00
        late      10.00     20.00
    """,
    )
    assert not list(flags(june, "batch_repeats_recipient"))
    assert_rows(
        flags(july, "batch_repeats_recipient"),
        "batch_id  member_id  entry_ids\nagain     a          again-0; again-later",
    )
    assert not list(flags(august, "batch_repeats_recipient"))


def test_a_batch_that_is_dated_in_the_month_after_its_credits_is_held_against_what_it_declares_once() -> None:
    ledger = audited_ledger(
        recipients("b", "a", "a", at="2026-06-30T23:50"),
        batches="""
        batch_id  issued_at         declared_recipients  declared_total
        b         2026-07-01T00:05  2                    20.01
    """,
    )
    june, july = build(ledger, month(ledger, "2026-06"), month(ledger, "2026-07"))
    for rule in ("batch_count_mismatch", "batch_total_mismatch", "batch_repeats_recipient"):
        assert_rows(flags(june, rule), "batch_id\nb")
        assert not list(flags(july, rule)), rule


def test_several_credits_of_a_batch_per_student_are_meant() -> None:
    credits = [*recipients("list", "a", "a", "b"), *recipients("students", "a", "a"), *recipients("lessons", "a", "a")]
    credits.append(credit("list-3", amount="4.00", member_id="a", batch_id="list"))
    moved = [
        credit(f"list-{kind}", "2026-06-12T12:00", entry_type=f"transferred_{kind}", member_id="b", transfer_id="x",
               batch_id="list" if kind == "in" else None)
        for kind in ("out", "in")
    ]  # fmt: skip
    june = audit(
        [*credits, *moved],
        batches="batch_id  issued_as\nstudents  student\nlessons   enrollment\nlist      csv",
    )
    assert_rows(
        flags(june, "batch_repeats_recipient"),
        """
        batch_id  member_id  entry_ids               amount_at_risk
        list      a          list-0; list-1; list-3  14.00
        """,
    )


def test_a_batch_that_was_raised_afterwards_neither_repeats_its_recipients_nor_misses_its_total() -> None:
    ledger = audited_ledger(
        [
            *recipients("b", "a", "b"),
            *(
                credit(f"more-{who}", "2026-06-12T12:00", "5.00", member_id=who, batch_id="b", operation_id="raise")
                for who in ("a", "b")
            ),
            *recipients("list", "c", "c", at="2026-06-11T12:00", operation_id="issue"),
        ],
        batches="""
        batch_id  issued_at         issued_as  declared_recipients  declared_total
        b         2026-06-10T12:00  family     2                    20.00
        list      2026-06-11T12:00  csv        1                    10.00
    """,
    )
    for operation_id, kind, batch_id, day in (
        ("raise", "adjust-batch", "b", "2026-06-12"),
        ("issue", "credits-csv", "list", "2026-06-11"),
        ("again", "adjust-batch", "b", "2026-07-12"),
    ):
        ledger.connection.execute(
            "insert into ledger.operations by name select 'acme' as merchant_id, $1 as operation_id, $2 as kind,"
            " 'processed' as status, $3 as batch_id, $4::timestamptz as finished_at",
            [operation_id, kind, batch_id, instant(f"{day}T00:00")],
        )
    before, june = build(ledger, month(ledger, "2026-06", as_of="2026-06-12T00:00:00Z"), month(ledger, "2026-06"))
    assert_rows(table(before, "credits_batches"), "status  total_amount\nActive  20.00\nActive  20.00")
    assert_rows(table(june, "credits_batches"), "status    total_amount\nAdjusted  30.00\nActive    20.00")
    assert_rows(flags(june, "batch_repeats_recipient"), "batch_id  member_id\nlist      c")
    assert_rows(flags(june, "batch_total_mismatch"), "batch_id  observed  threshold\nlist      20.00     10.00")


def test_a_total_that_is_declared_of_a_batch_of_several_units_is_held_against_none_of_them() -> None:
    june = audit(
        [credit("usd", batch_id="b"), credit("tokens", amount="5", balance_type="winston", batch_id="b")],
        batches="batch_id  issued_at         declared_total\nb         2026-06-10T12:00  10.00",
    )
    assert not list(flags(june, "batch_total_mismatch"))


def test_an_amount_with_more_decimals_than_its_unit_has_is_told_with_them() -> None:
    tokens: dict[str, Any] = {"balance_type": "winston"}
    june = audit(recipients("b", "a", "b", amount="6", **tokens), batches="batch_id  declared_total\nb         12.50")
    (total,) = flags(june, "batch_total_mismatch")
    assert (total["observed"], total["threshold"]) == ("12", "12.5")
    assert total["explanation"] == "Batch b declares 12.5 TKN, and its credits come to 12 TKN; that is 0.5 TKN less."
    fewer = audit([*many("usual", ["1"] * 10 + ["2"] * 9, **tokens), credit("high", amount="400", **tokens)])
    (high,) = flags(fewer, "unusual_amount")
    assert high["explanation"].endswith("the median of 20 in twelve months is 1.5 TKN.")


def test_the_same_batch_again_within_a_week() -> None:
    june = audit(
        [
            *recipients("first", "a", "b", at="2026-05-30T12:00"),
            *recipients("again", "b", "a", at="2026-06-06T12:00"),
            *recipients("after-a-week", "a", "b", at="2026-06-14T12:00"),
            *recipients("other-reason", "a", "b", at="2026-06-15T12:00", reason="Closure"),
            *recipients("other-amount", "a", "b", at="2026-06-15T12:00", amount="9.00"),
            *recipients("other-members", "a", "c", at="2026-06-15T12:00"),
            *recipients("fewer", "a", at="2026-06-15T12:00"),
        ]
    )
    assert_rows(
        flags(june, "duplicate_batch"),
        """
        batch_id      amount_at_risk  observed  evidence_sheet
        again; first  20.00           7         Credits Batches
    """,
    )


def test_the_same_batch_again_whose_credits_come_in_the_next_month_is_looked_at_there() -> None:
    """Until they come, a month knows nothing of it but its date."""
    credits = [
        *recipients("first", "a", "b", at="2026-06-25T12:00"),
        *recipients("again", "a", "b", at="2026-07-01T00:10"),
        *recipients("after-a-week", "a", "b", at="2026-07-01T00:10"),
    ]
    batches = """
        batch_id      issued_at
        again         2026-06-30T23:50
        after-a-week  2026-07-09T12:00
    """
    ledger = audited_ledger(credits, batches=batches)
    june, july = build(ledger, month(ledger, "2026-06"), month(ledger, "2026-07"))
    assert not list(flags(june, "duplicate_batch"))
    assert_rows(
        flags(july, "duplicate_batch"),
        """
        batch_id      amount_at_risk  observed  evidence_sheet
        again; first  20.00           5         Credits Batches
    """,
    )


def test_a_batch_whose_credits_come_in_the_next_month_is_seen_to_be_that_of_a_later_one_of_before() -> None:
    """In May the earlier has no credits; in June the later, all of May, has moved no more."""
    credits = [
        *recipients("one", "a", "b", at="2026-06-02T12:00"),
        *recipients("two", "a", "b", at="2026-05-31T12:00"),
    ]
    ledger = audited_ledger(credits, batches="batch_id  issued_at\none       2026-05-30T12:00")
    may, june, july = build(ledger, *(month(ledger, f"2026-0{number}") for number in (5, 6, 7)))
    assert not list(flags(may, "duplicate_batch"))
    assert_rows(
        flags(june, "duplicate_batch"),
        """
        batch_id  amount_at_risk  observed  evidence_sheet
        one; two  20.00           1         Credits Batches
    """,
    )
    assert not list(flags(july, "duplicate_batch"))


def test_what_a_batch_is_given_after_the_month_does_not_make_it_another_than_it_was() -> None:
    twice = [
        *recipients("first", "a", "b", at="2026-06-01T12:00"),
        *recipients("again", "a", "b", at="2026-06-03T12:00"),
    ]
    raised = credit("raise", "2026-07-05T12:00", "5.00", member_id="a", batch_id="again")
    same = "batch_id      amount_at_risk\nagain; first  20.00"
    assert_rows(flags(audit(twice), "duplicate_batch"), same)
    assert_rows(flags(audit([*twice, raised]), "duplicate_batch"), same)


def test_batches_whose_credits_have_reasons_of_their_own_are_the_same_where_each_of_them_is() -> None:
    def of(batch_id: str, day: int, *reasons: str | None) -> list[dict[str, Any]]:
        return [
            credit(f"{batch_id}-{who}", f"2026-06-{day:02d}T12:00", member_id=who, batch_id=batch_id, reason=reason)
            for who, reason in zip("ab", reasons, strict=True)
        ]

    june = audit(
        [*of("one", 1, "Late", "Broken"), *of("other", 2, "Rain", "Refer a friend"), *of("turned", 3, "Broken", "Late"),
         *of("none", 4, None, None), *of("again", 5, "Late", "Broken")]
    )  # fmt: skip
    assert [row["batch_id"] for row in flags(june, "duplicate_batch")] == ["again; one"]


def test_the_same_credit_again_within_a_day() -> None:
    june = audit(
        [
            credit("one", "2026-05-31T20:00"),
            credit("again", "2026-06-01T20:00"),
            credit("next-day", "2026-06-02T20:01"),
            credit("other-reason", "2026-06-02T20:02", reason="Closure"),
            credit("other-amount", "2026-06-02T20:02", amount="9.00"),
            credit("other-member", "2026-06-02T20:02", member_id="bob"),
            credit("tokens", "2026-06-02T20:02", balance_type="winston"),
            *recipients("family", "cy", "cy"),
            *recipients("b1", "dan", reason="Closure"),
            *recipients("b2", "dan", reason="Closure"),
        ]
    )
    assert_rows(
        sorted(flags(june, "duplicate_credit"), key=lambda row: str(row["credit_id"])),
        "credit_id  entry_ids   amount_at_risk\nagain      again; one  10.00\nb2-0       b1-0; b2-0  10.00",
    )


def test_each_credit_of_a_batch_per_student_is_the_same_as_one_before_the_batch() -> None:
    june = audit(
        [
            credit("alone", "2026-06-10T10:00", member_id="a"),
            *recipients("s", "a", "a"),
            *recipients("b-only", "b", "b"),
        ],
        batches="batch_id  issued_as\ns         student\nb-only    student",
    )
    assert_rows(
        sorted(flags(june, "duplicate_credit"), key=lambda row: str(row["credit_id"])),
        "credit_id  batch_id  entry_ids   amount_at_risk\ns-0        s         alone; s-0  10.00\n"
        "s-1        s         alone; s-1  10.00",
    )


REVERSALS = """
    entry_id  entry_type  occurred_at       member_id  amount  credit_id  redemption_id  batch_id
    u1        created     2026-06-01T12:00  ada         10.00                            used
    u2        created     2026-06-01T12:00  bob         10.00                            used
    order     redeemed    2026-06-02T12:00  ada          4.00
    ru1       reversed    2026-06-03T12:00  ada          6.00  u1
    ru2       reversed    2026-06-03T12:00  bob         10.00  u2
    back      created     2026-06-01T12:00  cy          10.00
    order2    redeemed    2026-06-02T12:00  cy           4.00
    refund    refunded    2026-06-02T13:00  cy           4.00             order2
    rback     reversed    2026-06-03T12:00  cy          10.00  back
    w1        created     2026-04-03T23:59  dan         10.00                            window
    w2        created     2026-04-02T23:59  eve         10.00
    rw1       reversed    2026-06-02T23:59  dan         10.00  w1
    rw2       reversed    2026-06-02T00:01  eve         10.00  w2
"""


def test_a_reversal_after_some_of_it_was_used() -> None:
    # What was used and given back is as if it had not been.
    assert_rows(
        flags(audit(REVERSALS), "reversal_after_use"),
        "batch_id  entry_ids  amount_at_risk  evidence_sheet\nused      ru1; ru2   4.00            Credit Adjustments",
    )


def test_what_was_used_of_a_credit_that_is_taken_back_in_parts_counts_once() -> None:
    june = audit(
        """
        entry_id  entry_type  occurred_at       amount  credit_id
        c         created     2026-06-01T12:00   10.00
        order     redeemed    2026-06-02T12:00    4.00
        r1        reversed    2026-06-03T12:00    3.00  c
        r2        reversed    2026-06-04T12:00    3.00  c
    """
    )
    (flag,) = flags(june, "reversal_after_use")
    assert (flag["entry_ids"], flag["amount_at_risk"]) == ("r1; r2", Decimal(4))
    assert flag["explanation"] == "6.00 USD was taken back from credit c after 1 member had used 4.00 USD of it."


def test_those_who_had_spent_all_of_theirs_kept_the_most_of_a_batch_that_is_taken_back() -> None:
    entries = """
        entry_id  entry_type  occurred_at       member_id  amount  credit_id  batch_id
        a1        created     2026-06-01T12:00  ada        10.00              whole
        b1        created     2026-06-01T12:00  bob        10.00              whole
        c1        created     2026-06-01T12:00  cy         10.00              whole
        g1        created     2026-06-01T12:00  gus         1.00              whole
        a-buys    redeemed    2026-06-02T12:00  ada        10.00
        b-buys    redeemed    2026-06-02T12:00  bob         4.00
        b-back    reversed    2026-06-03T12:00  bob         6.00  b1
        c-back    reversed    2026-07-03T12:00  cy         10.00  c1
        g-buys    redeemed    2026-07-03T12:00  gus         1.00
        d1        created     2026-06-01T12:00  dan        10.00              apart
        e1        created     2026-06-01T12:00  eve        10.00              apart
        f1        created     2026-06-01T12:00  fay        10.00              apart
        d-buys    redeemed    2026-06-02T12:00  dan        10.00
        e-back    reversed    2026-06-03T12:00  eve        10.00  e1
        f-buys    redeemed    2026-08-02T12:00  fay        10.00
    """
    ledger = audited_ledger(entries)
    june, july, august = build(ledger, *(month(ledger, f"2026-0{number}") for number in (6, 7, 8)))
    # What is left to others is taken back from one alone, and from the batch once nothing is left of it.
    assert_rows(flags(june, "reversal_after_use"), "batch_id  entry_ids  amount_at_risk\nwhole     b-back     4.00")
    assert_rows(
        flags(july, "reversal_after_use"),
        "batch_id  entry_ids  amount_at_risk  evidence_sheet\nwhole     c-back     11.00           Credit Adjustments",
    )
    (flag,) = flags(july, "reversal_after_use")
    assert flag["explanation"] == "10.00 USD was taken back from batch whole after 2 members had used 11.00 USD of it."
    assert not list(flags(august, "reversal_after_use"))


def test_a_reversal_on_the_windows_last_day_is_within_it() -> None:
    assert_rows(
        flags(audit(REVERSALS), "reversal_outside_window"),
        "credit_id  batch_id  entry_ids  observed  threshold\nw2                   rw2        61        60",
    )


def test_a_batch_has_one_window_for_all_of_its_credits() -> None:
    ledger = audited_ledger(
        """
        entry_id  entry_type  occurred_at       member_id  amount  credit_id  batch_id
        first     created     2026-04-03T12:00  ada        10.00              b
        later     created     2026-05-03T12:00  bob        10.00              b
        in-time   reversed    2026-06-02T12:00  ada         4.00  first
        ada-back  reversed    2026-06-03T12:00  ada         6.00  first
        bob-back  reversed    2026-06-04T12:00  bob        10.00  later
        """
    )
    (june,) = build(ledger, month(ledger, "2026-06"))
    assert [str(row["window_last_day"]) for row in table(june, "credits_batches")] == ["2026-06-02"]
    assert_rows(
        flags(june, "reversal_outside_window"),
        "batch_id  entry_ids           amount_at_risk  observed  threshold\n"
        "b         ada-back; bob-back  16.00           62        60",
    )


def test_a_credit_above_the_limit_that_nobody_else_approved() -> None:
    june = audit(
        [
            credit("nobody", amount="100.01", **by(ANN)),
            credit("self", amount="150.00", **by(ANN, approved_by="ANN@acme.example ")),
            credit("self-by-both", amount="150.00", **by(ANN, approved_by="A. Lee <ann@acme.example>")),
            credit("self-by-name", amount="150.00", **by(ANN, approved_by=" ann lee")),
            credit("other", amount="150.00", **by(ANN, approved_by="bob@acme.example")),
            credit("other-by-name", amount="150.00", **by(ANN, approved_by="Bob Ray")),
            credit("other-of-a-schedule", amount="150.00", approved_by="bob@acme.example"),
            credit("other-of-a-name", amount="150.00", creator_name=ANN, approved_by="bob@acme.example"),
            credit("at-limit", amount="100.00", **by(ANN)),
            credit("tokens", amount="500", balance_type="winston", **by(ANN)),
        ],
        store(approval_limit=Decimal(100)),
    )
    assert {row["credit_id"] for row in flags(june, "unapproved_over_limit")} == {
        "nobody", "self", "self-by-both", "self-by-name",
    }  # fmt: skip


def test_a_name_and_a_reason_are_the_same_whatever_their_accents_and_spaces_are_made_of() -> None:
    composed, decomposed = "Zo\u00eb  Roux", "Zoe\u0308\u00a0roux"
    june = audit(
        [
            credit("self", amount="150.00", **by(composed, approved_by=decomposed)),
            credit("other", amount="150.00", **by("Zoe Roux", approved_by=decomposed)),
            *recipients("r1", "a", reason="D\u00e9lai 1"),
            *recipients("r2", "b", reason="De\u0301lai\u00a02"),
            *recipients("r3", "c", reason="d\u00c9lai  \u0663"),
        ],
        store(approval_limit=Decimal(100)),
    )
    assert [row["credit_id"] for row in flags(june, "unapproved_over_limit")] == ["self"]
    assert_rows(flags(june, "systemic_reason"), "batch_id    amount_at_risk\nr1; r2; r3  30.00")


def test_without_a_limit_nothing_needs_approval() -> None:
    june = audit([credit("large", amount="100000.00"), credit("larger", amount="200000.00")])
    for rule in ("unapproved_over_limit", "split_under_limit", "just_under_limit"):
        assert not list(flags(june, rule)), rule


def test_a_period_is_complete_when_a_row_is_dated_at_or_after_its_end() -> None:
    entries = [credit("june", "2026-06-30T23:59")]
    complete = [*entries, credit("july", "2026-07-01T00:00")]
    assert not list(flags(audit(entries), "source_incomplete"))
    (incomplete,) = flags(audit(entries, store(complete_through="entries")), "source_incomplete")
    assert (incomplete["observed"], incomplete["threshold"]) == ("2026-06-30", "2026-07-01")
    assert not list(flags(audit(complete, store(complete_through="entries")), "source_incomplete"))
    told = "member_id  as_of       balance\nada        2026-07-01  10.00\nada        2026-06-01   0.00"
    assert not list(flags(audit(entries, store(complete_through="balances"), balances=told), "source_incomplete"))
    assert list(flags(audit(complete, store(complete_through="balances")), "source_incomplete"))


def test_what_an_operation_posts_does_not_make_the_sources_month_complete() -> None:
    june, adjusted = credit("june", "2026-06-28T10:00"), credit("a1", "2026-07-01T09:00", operation_id="a1")
    (incomplete,) = flags(audit([june, adjusted], store(complete_through="entries")), "source_incomplete")
    assert incomplete["observed"] == "2026-06-28"


# ---- Patterns


LIMIT = store(approval_limit=Decimal(100))


def test_credits_that_exceed_the_limit_only_together() -> None:
    june = audit(
        [
            credit("a1", "2026-05-31T12:00", "60.00", **by(ANN)),
            credit("a2", "2026-06-07T12:00", "60.00", **by(ANN)),
            credit("b1", "2026-06-01T12:00", "60.00", member_id="bob", **by(ANN)),
            credit("b2", "2026-06-08T12:01", "60.00", member_id="bob", **by(ANN)),
            credit("c1", "2026-06-01T12:00", "60.00", member_id="cy", **by(ANN)),
            credit("c2", "2026-06-02T12:00", "60.00", member_id="cy", **by(BOB)),
            credit("d1", "2026-06-01T12:00", "40.00", member_id="dan", **by(ANN)),
            credit("d2", "2026-06-02T12:00", "60.00", member_id="dan", **by(ANN)),
            credit("e1", "2026-06-01T12:00", "120.00", member_id="eve", **by(ANN)),
            *recipients("students", "fay", "fay", amount="60.00", **by(ANN)),
            credit("g1", "2026-06-01T12:00", "100.00", member_id="gus", **by(ANN)),
            credit("g2", "2026-06-02T12:00", "0.01", member_id="gus", **by(ANN)),
            credit("g3", "2026-06-02T12:00", "60.00", member_id="gus", **by(BOB)),
            credit("g4", "2026-06-20T12:00", "60.00", member_id="gus", **by(ANN)),
            *(credit(f"h{day}", f"2026-06-0{day}T12:00", "60.00", member_id="hal") for day in (1, 2)),
            *(credit(f"i{day}", amount="60", member_id="ida", balance_type="winston", **by(ANN)) for day in (1, 2)),
        ],
        LIMIT,
        batches="batch_id  issued_as\nstudents  student",
    )
    # Eight days apart, by two people, at the limit, one above it, per student, by nobody, and in tokens are none.
    assert_rows(
        sorted(flags(june, "split_under_limit"), key=lambda row: str(row["member_id"])),
        """
        member_id  entry_ids  amount_at_risk  credit_id
        ada        a1; a2     120.00          a2
        gus        g1; g2     100.01          g2
    """,
    )


def test_the_largest_sum_of_days_stands_for_a_member() -> None:
    june = audit(
        [credit(f"c{day:02d}", f"2026-06-{day:02d}T12:00", "40.00", **by(ANN)) for day in (1, 4, 7, 20, 21, 22, 23)],
        LIMIT,
    )
    (flag,) = flags(june, "split_under_limit")
    assert (flag["entry_ids"], flag["amount_at_risk"]) == ("c20; c21; c22; c23", Decimal(160))


def test_a_person_of_two_names_is_called_by_the_same_one_whichever_came_first() -> None:
    told = [
        credit(f"{number}", f"2026-06-{number:02d}T12:00", "40.00", creator_name=name, creator_email="ann@acme.example")
        for number, name in enumerate(["Ann Lee", "Lee, Ann", "Ann"] * 3, 1)
    ]
    watching = store(approval_limit=Decimal(42), just_under_credits=2, minimum_observations=2, robust_z=Decimal("0.1"))
    before = credit("may", "2026-05-10T12:00", "1.00", creator_name="Bob")

    def explained(entries: list[dict[str, Any]]) -> dict[str, str]:
        return {row["rule"]: row["explanation"] for row in flags(audit([before, *entries], watching))}

    forward, backward = explained(told), explained(told[1:][::-1] + told[:1])
    assert {"just_under_limit", "repeat_pairing", "split_under_limit", "unusual_creator_volume"} <= forward.keys()
    assert forward == backward


def many(name: str, amounts: list[str], start: str = "2026-06-01T12:00", **more: Any) -> Iterator[dict[str, Any]]:
    at = datetime.fromisoformat(start)
    for place, amount in enumerate(amounts):
        when = (at + timedelta(hours=place)).isoformat()
        yield credit(f"{name}-{place}", when, amount, **{"member_id": f"m{place}", **more})


def test_many_credits_just_under_the_limit() -> None:
    june = audit(
        [
            *many("ann", ["95.00", "99.99", "100.00"] + ["10.00"] * 7, **by(ANN)),
            *many("bob", ["95.00", "99.99", "94.99"] + ["10.00"] * 7, **by(BOB)),
            *many("cy", ["99.00"] * 9, **by("Cy Fox")),
        ],
        LIMIT,
    )
    # Three of ten; two of ten; all of nine, which are too few to tell.
    assert_rows(
        flags(june, "just_under_limit"),
        "entry_ids            observed  threshold  amount_at_risk\nann-0; ann-1; ann-2  30 %      30 %       294.99",
    )


def test_the_band_below_the_limit_begins_at_exactly_its_percent() -> None:
    def june(amount: str) -> Rows:
        limit = store(approval_limit=Decimal("33.20"))
        return flags(audit([*many("ann", [amount] * 10, **by(ANN))], limit), "just_under_limit")

    assert [row["amount_at_risk"] for row in june("31.54")] == [Decimal("315.40")]
    assert not list(june("31.53"))


def test_one_member_gets_far_more_of_a_person_than_the_others() -> None:
    def pairing(who: str, share: str, others: int) -> list[dict[str, Any]]:
        return [
            *many(who, [share] * 5, member_id=f"{who}s-friend", **by(who)),
            *many(f"{who}-else", ["10.00"] * others, **by(who)),
        ]

    june = audit(
        [
            *pairing("Ann", "10.00", 15),  # 25 % of 200, and 5 times the others' 5 %
            *pairing("Bob", "10.00", 16),  # 23.8 %
            *pairing("Cy", "10.00", 1),  # 83 %, five times the other's
            *many("dan", ["10.00"] * 4, member_id="x", **by("Dan")),  # four credits
            *many("eve", ["10.00"] * 5, member_id="x", **by("Eve")),
            *many("eve2", ["10.00"] * 5, member_id="y", **by("Eve")),  # as much as the other
            *many("fay", ["10.00"] * 5, member_id="x"),  # nobody's
            # Another month's, and tokens, are beside the point.
            *(credit(f"cy-{at}", at, member_id="Cys-friend", **by("Cy")) for at in ("2026-05-31", "2026-07-01")),
            credit("cy-token", amount="1", member_id="Cys-friend", balance_type="winston", **by("Cy")),
            credit("cy-tokens", amount="500", member_id="z", balance_type="winston", **by("Cy")),
        ]
    )
    evidence = {row["member_id"]: row["entry_ids"] for row in flags(june, "repeat_pairing")}
    assert set(evidence) == {"Anns-friend", "Cys-friend"}
    assert evidence["Cys-friend"] == "; ".join(f"Cy-{place}" for place in range(5))


def test_exactly_three_times_the_median_is_three_times_the_median() -> None:
    def paired(friend: str, other: str) -> Rows:
        five, others = many("friend", [friend] * 5, member_id="friend", **by(ANN)), many("else", [other] * 7, **by(ANN))
        return flags(audit([*five, *others]), "repeat_pairing")

    assert [row["observed"] for row in paired("6.00", "10.00")] == ["30 %"]
    assert [row["observed"] for row in paired("0.06", "0.10")] == ["30 %"]
    assert not list(paired("5.99", "10.00"))


USUAL = ["9.00", "10.00", "10.00", "11.00", "12.00"] * 4


def test_an_amount_far_above_what_is_usual_for_its_reason() -> None:
    june = audit(
        [
            *many("usual", USUAL, "2026-05-01T12:00"),
            *many("few", ["10.00"] * 15, reason="Closure"),
            credit("high", amount="40.00"),
            credit("low", amount="0.01"),
            credit("within", amount="14.00"),
            credit("few-high", amount="500.00", reason="Closure"),
            credit("may", "2026-05-10T12:00", reason="Flood"),
        ]
    )
    assert_rows(flags(june, "unusual_amount"), "credit_id  observed  amount_at_risk\nhigh       z 20.2    40.00")
    (silent,) = table(june, "not_assessable").where(rule="unusual_amount")
    assert (silent["concerned"], silent["observations"], silent["needed"]) == ("Closure", 16, 20)


def test_where_most_are_equal_the_mean_deviation_stands_in_and_where_all_are_nothing_is_unusual() -> None:
    equal = [f"{place}" for place in range(2000)]
    june = audit(
        [*recipients("sale", *equal), credit("fifteen", amount="15.00"), *recipients("two", "a", "b", amount="20.00")]
    )
    assert_rows(
        sorted(flags(june, "unusual_amount"), key=lambda row: str(row["credit_id"])),
        """
        credit_id  batch_id  entry_ids     amount_at_risk
                   two       two-0; two-1  40.00
        fifteen              fifteen       15.00
    """,
    )
    assert not list(flags(audit(list(recipients("sale", *equal))), "unusual_amount"))


def test_amounts_of_more_than_a_year_ago_are_not_looked_at() -> None:
    old = audit([*many("usual", USUAL, "2025-06-29T12:00"), credit("high", amount="40.00")])
    assert not list(flags(old, "unusual_amount"))
    enough = store(minimum_observations=len(USUAL) + 1)
    new = audit([*many("usual", USUAL, "2025-07-01T00:00"), credit("high", amount="40.00")], enough)
    assert [row["credit_id"] for row in flags(new, "unusual_amount")] == ["high"]


def test_a_month_in_which_somebody_issued_far_more_than_people_do() -> None:
    months = [
        f"{year}-{number:02d}" for year, numbers in ((2025, range(8, 13)), (2026, range(1, 6))) for number in numbers
    ]

    def year(high: str, months: list[str]) -> list[dict[str, Any]]:
        return [
            *(
                credit(f"{who}-{name}", f"{name}-10T12:00", f"{100 + place}.00", **by(who))
                for place, name in enumerate(months) for who in (ANN, BOB)
            ),
            credit("june", amount=high, **by(ANN)),
        ]  # fmt: skip

    first = credit("first", "2025-07-01T00:00", "100.00", **by(ANN))
    enough = audit([first, *year("500.00", months[:9])])
    assert not list(table(enough, "not_assessable").where(rule="unusual_creator_volume"))
    (flag,) = flags(enough, "unusual_creator_volume")
    assert (flag["entry_ids"], flag["amount_at_risk"]) == ("june", Decimal(500))
    assert not list(flags(audit(year("110.00", months)), "unusual_creator_volume"))
    few = audit(year("500.00", months[:9]))
    assert not list(flags(few, "unusual_creator_volume"))
    assert table(few, "not_assessable").where(rule="unusual_creator_volume").all[0]["observations"] == 19
    # A month of long ago that was as unusual is not the period's.
    before = [
        {**row, "amount": "900.00"} if row["entry_id"] == "Ann Lee-2026-03" else row for row in year("110.00", months)
    ]
    assert not list(flags(audit(before), "unusual_creator_volume"))


def test_a_leap_day_of_the_year_before_is_no_month_of_its_own() -> None:
    credits = [
        *(
            credit(f"{who}-{number}", f"2024-{number:02d}-10T12:00", "100.00", **by(who))
            for number in range(4, 13) for who in (ANN, BOB)
        ),
        credit("leap", "2024-02-29T12:00", "100.00", **by(ANN)),
        credit("high", "2025-02-10T12:00", "500.00", **by(ANN)),
    ]  # fmt: skip
    february = audit(credits, name="2025-02")
    assert not list(flags(february, "unusual_creator_volume"))
    assert observed_months(february) == [19]


def observed_months(report: Report) -> list[int]:
    return [row["observations"] for row in table(report, "not_assessable").where(rule="unusual_creator_volume")]


def test_whether_months_are_too_few_is_told_of_the_same_months_that_are_judged() -> None:
    months = [*(f"2025-{number:02d}" for number in range(8, 13)), "2026-01", "2026-02"]
    days = ["2025-07-01", *(f"{name}-{day}" for name in months for day in ("05", "20"))]
    names = {"20": "Lee, Ann"}  # by which she goes in the second half of a month
    ledger = audited_ledger(
        [
            *(credit(day, f"{day}T00:00", **by(ANN) | {"creator_name": names.get(day[-2:], ANN)}) for day in days),
            credit("june", "2026-06-20T12:00", **by(ANN)),
        ],
        store(minimum_observations=9),
    )
    free, early, whole = build(
        ledger,
        dates(ledger, "2026-05-12", "2026-06-11"),
        month(ledger, "2026-06", as_of="2026-06-20T12:00:00Z"),
        month(ledger, "2026-06"),
    )
    # Counted back from 11 June they are nine: 12 June to 11 July, …, 12 February to 11 March. In the calendar they are
    # eight, and nine once June is there.
    assert (observed_months(free), observed_months(early), observed_months(whole)) == ([], [8], [])


def test_the_evidence_of_an_unusual_month_is_of_that_month_alone() -> None:
    credits = [
        credit(f"{who}-{n}", f"{2025 + n // 12}-{n % 12 + 1:02d}-10T12:00", f"{100 + n}.00", **by(who))
        for n in range(6, 17) for who in (ANN, BOB)
    ]  # fmt: skip
    ledger = audited_ledger([*credits, credit("june", amount="900.00", **by(ANN))])
    (both,) = build(ledger, dates(ledger, "2026-05-01", "2026-06-30"))
    assert [row["entry_ids"] for row in flags(both, "unusual_creator_volume")] == ["june"]


def test_hours_are_those_of_the_merchant_also_on_the_day_the_clock_is_set_forward() -> None:
    new_york = store(timezone="America/New_York", business_days=("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
    march = audit(
        [
            credit("opens", "2026-03-08T11:00", **by(ANN)),  # 07:00 EDT: an hour earlier it would be 06:00 EST
            credit("before", "2026-03-08T10:59", **by(ANN)),
            credit("evening", "2026-03-07T23:59", **by(ANN)),  # 18:59 EST
            credit("closes", "2026-03-09T00:00", **by(ANN)),  # 20:00 EDT
            credit("in-a-batch", "2026-03-08T08:00", batch_id="b", **by(ANN)),
            credit("by-a-schedule", "2026-03-08T08:00"),
            credit("a-day-alone", "2026-03-08T05:00", **by(ANN)),
        ],
        new_york,
        name="2026-03",
    )
    assert {row["credit_id"] for row in flags(march, "off_hours")} == {"before", "closes"}


def test_a_day_alone_is_no_hour_also_where_the_day_begins_at_one() -> None:
    cairo = store(timezone="Africa/Cairo")
    april = audit(
        [
            credit("a-day-alone", "2026-04-23T22:00", **by(ANN)),  # Friday, 01:00: midnight is skipped
            credit("later", "2026-04-23T22:01", **by(ANN)),
        ],
        cairo,
        name="2026-04",
    )
    assert_rows(flags(april, "off_hours"), "credit_id  observed\nlater      fri 01:01")


def test_days_off_are_off_at_any_hour() -> None:
    june = audit([credit("sunday", "2026-06-07T12:00", **by(ANN)), credit("saturday", "2026-06-06T12:00", **by(ANN))])
    assert_rows(
        flags(june, "off_hours"), "credit_id  observed   threshold\nsunday     sun 12:00  mon tue wed thu fri sat"
    )


def test_a_reason_that_several_batches_share() -> None:
    route = {"credit_type": "Service Recovery", "reason": "Late Delivery"}
    june = audit(
        [
            *recipients("r1", "a", "b", reason_details="Delays Route 5", **{**CREATED, **route}),
            *recipients("r2", "a", at="2026-06-12T12:00", reason_details="Delays  route 5", **route),
            *recipients("r3", "a", at="2026-06-19T12:00", reason_details="Delays Route 17", **route),
            *recipients("e1", "a", at="2026-06-19T13:00", reason_details="Egg shortage", **route),
            *recipients("e2", "a", at="2026-06-20T13:00", reason_details="Egg shortage", **route),
            *recipients("e3", "a", at="2026-05-20T13:00", reason_details="Egg shortage", **route),
            credit("used", entry_type="redeemed", at="2026-06-21T12:00", member_id="a", credit_id="e3-0"),
            credit("alone", credit_type="Service Recovery"),
        ],
        batches="""
        batch_id  issued_at         reason         description
        nobody    2026-06-22T12:00  Late Delivery  Egg shortage
        """,
    )
    (failed,) = flags(june, "zero_recipient_batch")
    assert failed["explanation"] == "Batch nobody (Egg shortage) has no recipients."
    (flag,) = flags(june, "systemic_reason")
    assert (flag["batch_id"], flag["amount_at_risk"]) == ("r1; r2; r3", Decimal(40))
    assert "together 40.00 USD of the 70.00 USD that Service Recovery came to" in flag["explanation"]


def test_reasons_that_are_nothing_but_digits_are_not_all_the_same() -> None:
    codes = {"a": "101", "b": "202", "c": "303", "d": "101", "e": "101"}
    june = audit([entry for one, code in codes.items() for entry in recipients(one, one, reason=code)])
    assert_rows(flags(june, "systemic_reason"), "batch_id  amount_at_risk\na; d; e   30.00")


def test_batches_that_are_dated_before_the_month_of_their_first_credits_share_their_reason_in_that_month() -> None:
    ids = ("r1", "r2", "r3")
    credits = [
        *(entry for one in ids for entry in recipients(one, one, at="2026-06-01T00:10")),
        *(credit(f"more-{one}", "2026-07-01T12:00", member_id="late", batch_id=one) for one in ids),
    ]
    dated = "batch_id  issued_at\n" + "\n".join(f"{one}        2026-05-31T23:50" for one in ids)
    ledger = audited_ledger(credits, batches=dated)
    may, june, july = build(ledger, *(month(ledger, f"2026-0{number}") for number in (5, 6, 7)))
    assert not list(flags(may, "systemic_reason"))
    assert_rows(flags(june, "systemic_reason"), "batch_id    amount_at_risk\nr1; r2; r3  30.00")
    assert not list(flags(july, "systemic_reason"))


def test_batches_whose_credits_are_for_various_things_have_no_reason_in_common() -> None:
    june = audit(
        [
            credit(f"{batch_id}-{what}", member_id=what, batch_id=batch_id, reason_details=f"{batch_id} {what}")
            for batch_id in ("oak", "elm", "ash") for what in ("apples", "pears")
        ]
    )  # fmt: skip
    assert not list(flags(june, "systemic_reason"))


def test_what_batches_came_to_is_a_part_of_their_credit_type_only_where_all_of_it_is() -> None:
    """A batch without a type, or whose file says another than its credits, is no part of what the type came to."""
    recovery = {"credit_type": "Service Recovery"}
    june = audit(
        [
            *recipients("r1", "a", reason="Route", **recovery),
            *recipients("r2", "a", at="2026-06-12T12:00", reason="Route", **recovery),
            *recipients("r3", "a", at="2026-06-14T12:00", reason="Route", amount="30.00"),
            *(entry for one in ("e1", "e2", "e3") for entry in recipients(one, one, reason="Eggs")),
        ],
        batches="\n".join(["batch_id  credit_type", *(f"{one}        Service Recovery" for one in ("e1", "e2", "e3"))]),
    )
    told = {row["batch_id"]: row["explanation"] for row in flags(june, "systemic_reason")}
    assert told == {
        "r1; r2; r3": '3 batches of the period are for "Route", together 50.00 USD.',
        "e1; e2; e3": '3 batches of the period are for "Eggs", together 30.00 USD.',
    }


def test_service_recovery_over_its_budget() -> None:
    budget = store(recovery_budget=Decimal(20))
    recovery = {"credit_type": "service recovery"}
    over = audit([credit("one", amount="20.01", **recovery), credit("other", credit_type="Refund")], budget)
    assert_rows(
        flags(over, "recovery_over_budget"), "amount_at_risk  observed  threshold\n0.01            20.01     20.00"
    )
    at = audit(
        [credit("one", amount="20.00", **recovery), credit("t", balance_type="winston", amount="50", **recovery)],
        budget,
    )
    assert not list(flags(at, "recovery_over_budget"))


# ---- All of them


def test_flags_asked_for_by_month_are_those_of_its_final_report_else_those_of_an_interim_one() -> None:
    told = {"may": "2026-05-02T12:00", "early": "2026-06-02T12:00", "late": "2026-06-20T12:00"}
    ledger = audited_ledger([credit(name, at=at, reason=None) for name, at in told.items()])

    def listed(period: str) -> list[str]:
        listing = models.load("listings.anomaly_flags")
        asked = dict.fromkeys(listing.parameters) | {"merchants": ["acme"], "period": period, "rule": "missing_reason"}
        return [str(row["credit_id"]) for row in ledger.connection.execute(listing.sql, asked).pl().to_dicts()]

    build(ledger, month(ledger, "2026-05", as_of="2026-05-15"), month(ledger, "2026-06", as_of="2026-06-15"))
    assert listed("2026-06") == ["early"]
    build(ledger, month(ledger, "2026-06"))
    assert listed("2026-06") == ["early", "late"]
    build(ledger, month(ledger, "2026-06", as_of="2026-06-15"))
    assert listed("2026-06") == ["early", "late"]
    assert listed("2026-06@20260616T000000Z") == ["early"]


def test_errors_come_first_and_each_flag_has_a_place() -> None:
    june = audit(REVERSALS, LIMIT)
    severities = [row["severity"] for row in flags(june)]
    assert severities == sorted(severities, key=["error", "warning", "info"].index)
    assert [row["position"] for row in flags(june)] == list(range(1, len(severities) + 1))


def test_the_document_is_where_readers_look() -> None:
    assert Path(anomalies.DOCUMENT).name == "anomalies.md"


# ---- Every rule at once


def everything(at: str, merchant_id: str = "acme") -> list[dict[str, Any]]:
    """Entries of which each rule finds something at exactly that instant; what leads to it was before."""
    told: list[dict[str, Any]] = []

    def tell(entry_id: str, entry_type: str, amount: str, when: str = at, **more: Any) -> None:
        told.append({"entry_id": entry_id, "entry_type": entry_type, "amount": amount, "occurred_at": when,
                     "merchant_id": merchant_id, "member_id": "ada", **more})  # fmt: skip

    def had(entry_id: str, amount: str, when: str = "2026-04-02T12:00", **more: Any) -> None:
        tell(entry_id, "created", amount, when, reason=f"For {entry_id}", **more)

    # Findings of the replay.
    for name in ("short", "used", "spent", "gone", "taken", "half", "old"):
        had(name, "10.00", member_id=name)
    had("tokens", "5", member_id="tokens", balance_type="winston")
    tell("uncovered", "redeemed", "1.00", member_id="poor", batch_id="ghost")
    tell("unknown-refund", "refunded", "1.00", redemption_id="nothing")
    tell("spent-order", "redeemed", "4.00", "2026-04-03T12:00", member_id="spent")
    tell("too-much-back", "refunded", "5.00", member_id="spent", redemption_id="spent-order")
    tell("nobodys", "reversed", "1.00", credit_id="nobody")
    tell("anothers", "deducted", "1.00", credit_id="short")
    tell("fraction", "deducted", "0.50", member_id="tokens", credit_id="tokens", balance_type=None)
    tell("expires-too-much", "expired", "11.00", member_id="gone", credit_id="gone")
    tell("takes-too-much", "reversed", "11.00", member_id="short", credit_id="short")
    tell("taken-order", "redeemed", "4.00", "2026-04-03T12:00", member_id="taken")
    tell("taken-away", "deducted", "1.00", "2026-04-04T12:00", member_id="taken", credit_id="taken")
    tell("given-back", "refunded", "4.00", member_id="taken", redemption_id="taken-order")
    tell("out", "transferred_out", "1.00", member_id="half", transfer_id="lone")
    tell("out2", "transferred_out", "2.00", member_id="half", transfer_id="pair")
    tell("in2", "transferred_in", "1.00", member_id="half", transfer_id="pair")
    # Reversals.
    tell("used-order", "redeemed", "4.00", "2026-04-03T12:00", member_id="used")
    tell("used-back", "reversed", "6.00", member_id="used", credit_id="used")
    had("window", "10.00", "2026-03-01T12:00", member_id="old")
    tell("window-back", "reversed", "10.00", member_id="old", credit_id="window")
    # Credits.
    service = {"credit_type": "Service Recovery", "creator_name": "Ada", "creator_email": "ada@acme.example"}
    tell("self", "created", "100.01", **service)
    tell("stranger", "created", "3.00", member_id="stranger", reason="Welcome")
    day_before = (datetime.fromisoformat(at) - timedelta(days=1)).isoformat()
    tell("same", "created", "7.00", day_before, member_id="bob", reason="Late")
    tell("same-again", "created", "7.00", member_id="bob", reason="Late")
    for number in range(2):
        tell(f"just-{number}", "created", "99.00", member_id="bob", reason=f"Case {number}", **by(BOB))
    for number in range(5):
        had(f"usual-{number}", f"{number % 3 + 1}.00", f"2026-04-{number + 1:02}T12:00", **by(f"P{number} X"))
        told[-1]["reason"] = "Usual"
    tell("unusual", "created", "50.00", member_id="bob", reason="Usual")
    # Batches.
    for batch_id in ("b1", "b2", "b3"):
        told.extend(
            {**row, "merchant_id": merchant_id, "reason": "Route", "reason_details": f"Route {batch_id[1]}"}
            for row in recipients(batch_id, "ada", "ada", at=at)
        )
    return told


EVERY_BATCH = """
    batch_id  issued_at         recorded_at       issued_as  declared_recipients  declared_total
    b1        {at}  {at}  csv        2                    20.01
    nobody    {at}                    csv        1                    10.00
    undated                     {at}  csv        1                    10.00
"""


def ledger_of_everything(*told: tuple[Merchant, str]) -> Ledger:
    """A ledger of these merchants in which each rule finds something at exactly the merchant's instant."""
    ledger = audited_ledger([entry for one, at in told for entry in everything(at, one.id)], *(one for one, _ in told))
    for one, at in told:
        insert(ledger, "balances", [{"merchant_id": one.id, "member_id": "bob", "as_of": at[:10], "balance": "9.99"}])
        for member_id in sorted({row["member_id"] for row in everything(at)} - {"stranger"}):
            insert_member(ledger, merchant_id=one.id, member_id=member_id, email=f"{member_id}@acme.example")
        insert(ledger, "batches", [{**row, "merchant_id": one.id} for row in rows(EVERY_BATCH.format(at=at))])
        ledger.connection.execute(
            "insert into ledger.rejected_rows by name select $1 as merchant_id, 1 as event, 'entries' as dataset,"
            " 'a.csv' as source_file, 2 as source_row, 'entry_changed' as reason, '' as explanation,"
            " 'self' as row_id, '' as sha256, $2::timestamptz as rejected_at",
            [one.id, instant(at)],
        )
        ledger.connection.execute(
            "insert into ledger.published by name select $1 as merchant_id, 1 as event, $2 as period,"
            " '2026-06-01'::timestamptz as starts_at, '2026-07-01'::timestamptz as ends_at, true as is_final,"
            " '2026-07-02'::timestamptz as recorded_at",
            [one.id, at[:7]],
        )
    ledger.connection.execute("update ledger.members set is_employee = member_id = 'ada'")
    return ledger


# Mondays are days off, since a day's first instant is no hour.
WATCHED: dict[str, Any] = {
    "approval_limit": Decimal(100), "recovery_budget": Decimal(100), "complete_through": "entries",
    "business_days": ("tue", "wed", "thu"), "minimum_observations": 5,
    "just_under_credits": 2, "just_under_percent": Decimal(10), "pairing_credits": 2,
}  # fmt: skip


def test_what_happens_at_a_months_first_instant_is_flagged_in_that_month_alone() -> None:
    ledger = ledger_of_everything((store(**WATCHED), "2026-06-01T00:00"))
    reports = build(
        ledger, month(ledger, "2026-05", as_of="2026-06-30"), month(ledger, "2026-06"), month(ledger, "2026-07")
    )
    may, june, july = ({str(row["rule"]) for row in flags(report)} for report in reports)
    # What an account held as a day began was to be there the day before; and nothing has come of June's end.
    assert may == {"balance_mismatch"}
    assert june == {rule.name for rule in anomalies.rules()} - {"balance_mismatch"}
    assert july == {"source_incomplete"}
    assert not list(table(reports[0], "credits_batches"))
    failed = {str(row["batch_id"]) for row in flags(reports[1], "zero_recipient_batch")}
    assert failed == {"nobody", "undated", "ghost"}


def test_a_merchants_month_is_the_same_beside_another_that_has_the_same_ids() -> None:
    acme = store(**WATCHED), "2026-06-01T00:00"
    beta = store(merchant_id="beta", **WATCHED), "2026-06-12T12:00"

    def built(ledger: Ledger, *merchants: str) -> list[Report]:
        return build(ledger, *(month(ledger, "2026-06", merchant_id=one) for one in merchants))

    def tables(report: Report) -> dict[str, Any]:
        return {name: rows.to_dicts() for name, rows in report.contents.tables.items()}

    both = ledger_of_everything(acme, beta)
    insert_member(both, merchant_id="beta", member_id="stranger")
    beside, of_beta = built(both, "acme", "beta")
    (alone,) = built(ledger_of_everything(acme), "acme")
    assert tables(beside) == tables(alone)
    assert {flag["rule"] for flag in flags(of_beta)} == {rule.name for rule in anomalies.rules()} - {"unknown_member"}
    # As of the instant at which it all happened, none of it has; what is found is of before, or of when files came.
    (before,) = build(both, month(both, "2026-06", merchant_id="beta", as_of="2026-06-12T12:00:00Z"))
    assert {flag["rule"] for flag in flags(before)} == {
        "balance_mismatch", "entry_changed", "late_entry", "source_incomplete",
    }  # fmt: skip


def test_credits_that_were_there_before_are_no_persons_doing_of_the_month() -> None:
    told = everything("2026-06-01T00:00")
    june = audit(
        [{**entry, "entry_type": "opening"} for entry in told if entry["entry_type"] == "created"], store(**WATCHED),
        members="\n".join(["member_id  email", *(f"{who}        {who}@acme.example" for who in ("ada", "bob"))]),
    )  # fmt: skip
    assert {flag["rule"] for flag in flags(june)} == {
        "batch_repeats_recipient", "duplicate_batch", "source_incomplete", "systemic_reason", "unknown_member",
    }  # fmt: skip
