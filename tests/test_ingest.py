"""From landing files to the ledger: what is taken, what is set aside and why; nothing is lost, nothing counts twice.

How each kind of file is taken apart is tested in test_readers.py; here most files are plain CSV.
"""

import errno
import io
import json
import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines import ingest, landing, models
from pipelines.datasets import DATASETS
from pipelines.settings import read_merchants
from pipelines.shards import LedgerUnavailableError
from tests.homes import ACME, ENTRY, Ingested, Installation, csv, entries_csv, make_home
from tests.ledgers import merchant, open_ledger
from tests.tables import assert_rows, rows

COMMA = ACME.replace('currency = "USD"', 'currency = "USD"\ndecimal_comma = true')


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return make_home(tmp_path)


def judged(home: Installation, column: str, values: Iterable[str], **other: str) -> dict[str, Any]:
    """For each value of a column, in a row with nothing else unusual: what the ledger has, or why it has nothing."""
    said = {f"{column}-{place}": value for place, value in enumerate(values)}
    entries = [{**ENTRY, **other, "entry_id": entry_id, column: value} for entry_id, value in said.items()]
    home.land(f"acme/entries/{column}.csv", csv(entries))
    taken = home.ingest()
    assert taken.counts[0][0] == len(said)
    accepted = {row["entry_id"]: row[column] for row in taken.entries}
    refused = {row["row_id"]: f"{row['column_name']}:{row['reason']}" for row in taken.rejected}
    return {value: {**accepted, **refused}[entry_id] for entry_id, value in said.items()}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# ---- amounts


def test_an_amount_is_written_with_a_point_and_may_have_commas_between_thousands(home: Installation) -> None:
    assert judged(home, "amount", ["10", "10.5", "1234.50", "1,234.50", "1,234,567", "007.10", "0.01"]) == {
        "10": Decimal(10),
        "10.5": Decimal("10.5"),
        "1234.50": Decimal("1234.5"),
        "1,234.50": Decimal("1234.5"),
        "1,234,567": Decimal(1234567),
        "007.10": Decimal("7.1"),
        "0.01": Decimal("0.01"),
    }


def test_what_a_cast_would_take_for_a_number_is_no_amount(home: Installation) -> None:
    values = [
        *("1e2", "infinity", "NaN", "+5", ".5", "5.", "1_000", "0x10", "1,23", "1234,567", "1,234,5", ",5", "1.2.3"),
        *("$5", "5 USD", "1 000", "(5.00)", "١٢", "5-", "--5", "ten", "12.5.", "1.234,50"),
    ]
    assert judged(home, "amount", values) == dict.fromkeys(values, "amount:not_an_amount")


def test_a_sign_is_an_error_because_the_entry_type_gives_it(home: Installation) -> None:
    assert judged(home, "amount", ["-5", "-1,000.00", "-0"]) == {
        "-5": "amount:negative",
        "-1,000.00": "amount:negative",
        "-0": "amount:negative",
    }


def test_an_amount_is_more_than_nothing(home: Installation) -> None:
    assert judged(home, "amount", ["", "0", "0.00", "00"]) == {
        "": "amount:missing",
        "0": "amount:not_positive",
        "0.00": "amount:not_positive",
        "00": "amount:not_positive",
    }


def test_more_decimals_than_the_unit_has_are_an_error_and_trailing_zeros_are_none(home: Installation) -> None:
    assert judged(home, "amount", ["12.345", "12.340", "12.3400000", "0.001", "0.00001", "12.999999999"]) == {
        "12.345": "amount:too_many_decimals",
        "12.340": Decimal("12.34"),
        "12.3400000": Decimal("12.34"),
        "0.001": "amount:too_many_decimals",
        "0.00001": "amount:too_many_decimals",
        "12.999999999": "amount:too_many_decimals",
    }


def test_a_token_has_its_own_number_of_decimals(home: Installation) -> None:
    assert judged(home, "amount", ["3", "3.0", "3.5"], balance_type="winston") == {
        "3": Decimal(3),
        "3.0": Decimal(3),
        "3.5": "amount:too_many_decimals",
    }


def test_a_currency_has_the_decimals_that_iso_4217_gives_it(tmp_path: Path) -> None:
    finest = {"JPY": "1000", "USD": "10.25", "KWD": "1.125", "CLF": "1.1255"}
    home = make_home(
        tmp_path,
        "".join(f'[merchants.{code.lower()}]\nname = "A"\ntimezone = "UTC"\ncurrency = "{code}"\n' for code in finest),
    )
    for code, most in finest.items():
        finer = f"{most}1" if "." in most else f"{most}.1"
        home.land(f"{code.lower()}/entries/a.csv", csv([{**ENTRY, "entry_id": e, "amount": e} for e in (most, finer)]))
    taken = home.ingest()
    assert {row["merchant_id"].upper(): row["entry_id"] for row in taken.entries} == finest
    assert taken.reasons == [(3, "amount", "too_many_decimals")] * 4


def test_a_blank_balance_type_that_the_replay_resolves_is_held_against_the_finest_unit(tmp_path: Path) -> None:
    home = make_home(tmp_path, ACME + 'grain = { unit = "GRN", decimals = 3 }\n')
    values = ["1.125", "1.1255"]
    assert judged(home, "amount", values, entry_type="redeemed", credit_id="c1") == {
        "1.125": Decimal("1.125"),
        "1.1255": "amount:finer_than_any_unit",
    }
    entry = {**ENTRY, "entry_id": "other", "entry_type": "redeemed", "amount": "1.125"}
    home.land("acme/entries/of-default.csv", csv([entry]))
    assert ("amount", "too_many_decimals") in [reason[1:] for reason in home.ingest().reasons]


def test_fourteen_digits_fit_and_fifteen_do_not(home: Installation) -> None:
    values = ["99999999999999.99", "100000000000000", "99,999,999,999,999.99", "9" * 40, "0" * 30 + "1"]
    assert judged(home, "amount", values) == {
        values[0]: Decimal("99999999999999.99"),
        values[1]: "amount:too_large",
        values[2]: Decimal("99999999999999.99"),
        values[3]: "amount:too_large",
        values[4]: Decimal(1),
    }


def test_decimals_beyond_what_fits_are_told_as_decimals(home: Installation) -> None:
    value = "99999999999999.99999"
    assert judged(home, "amount", [value]) == {value: "amount:too_many_decimals"}


def test_a_merchant_with_decimal_commas_writes_points_between_thousands(tmp_path: Path) -> None:
    values = ["10", "10,5", "1.234,50", "1234,5", "1.234", "12.5", "1,234.50", "1,5,5"]
    assert judged(make_home(tmp_path, COMMA), "amount", values) == {
        "10": Decimal(10),
        "10,5": Decimal("10.5"),
        "1.234,50": Decimal("1234.5"),
        "1234,5": Decimal("1234.5"),
        "1.234": Decimal(1234),
        "12.5": "amount:not_an_amount",
        "1,234.50": "amount:not_an_amount",
        "1,5,5": "amount:not_an_amount",
    }


def test_numbers_are_numbers_also_where_text_has_decimal_commas(tmp_path: Path) -> None:
    home = make_home(tmp_path, COMMA)
    said = {**ENTRY, "entry_type": "opening", "original_amount": 20.25, "priority": 7}
    home.land(
        "acme/entries/numbers.jsonl",
        "".join(
            json.dumps({**said, "entry_id": entry_id, "amount": amount}) + "\n"
            for entry_id, amount in {"json": 12.5, "whole": 1234, "text": "1.234,5", "wrong": "12.5"}.items()
        ),
    )
    frame = pl.DataFrame(
        [{**said, "entry_id": "double", "amount": 12.5}, {**said, "entry_id": "big", "amount": 1234.0}]
    )
    folder = home.home.landing / "acme/entries"
    frame.write_parquet(folder / "numbers.parquet")
    frame.with_columns(pl.col("entry_id") + "-decimal", pl.col("amount").cast(pl.Decimal(18, 4))).write_parquet(
        folder / "decimals.parquet"
    )
    frame.with_columns(pl.col("entry_id") + "-cell").write_excel(folder / "numbers.xlsx")
    taken = home.ingest()
    assert {row["entry_id"]: row["amount"] for row in taken.entries} == {
        "json": Decimal("12.5"),
        "whole": Decimal(1234),
        "text": Decimal("1234.5"),
        "double": Decimal("12.5"),
        "big": Decimal(1234),
        "double-decimal": Decimal("12.5"),
        "big-decimal": Decimal(1234),
        "double-cell": Decimal("12.5"),
        "big-cell": Decimal(1234),
    }
    assert {row["original_amount"] for row in taken.entries} == {Decimal("20.25")}
    assert {row["priority"] for row in taken.entries} == {7}
    assert taken.reasons == [(4, "amount", "not_an_amount")]


def test_an_original_amount_is_read_like_an_amount(home: Installation) -> None:
    values = ["1,234.50", "-5", "12.345", "9" * 15, "x"]
    assert judged(home, "original_amount", values, entry_type="opening") == {
        "1,234.50": Decimal("1234.5"),
        "-5": "original_amount:negative",
        "12.345": "original_amount:too_many_decimals",
        "9" * 15: "original_amount:too_large",
        "x": "original_amount:not_an_amount",
    }


# ---- times


def test_an_instant_may_have_seconds_a_fraction_and_any_form_of_offset(home: Installation) -> None:
    assert judged(
        home,
        "occurred_at",
        [
            *("2026-06-01T12:00Z", "2026-06-01 12:00Z", "2026-06-01T12:00:07Z", "2026-06-01T12:00+05"),
            *("2026-06-01T12:00-0530", "2026-06-01T12:00:07.5+05:45", "2026-06-01T12:00-00:30", "2024-02-29T00:00Z"),
        ],
    ) == {
        "2026-06-01T12:00Z": instant("2026-06-01T12:00"),
        "2026-06-01 12:00Z": instant("2026-06-01T12:00"),
        "2026-06-01T12:00:07Z": instant("2026-06-01T12:00:07"),
        "2026-06-01T12:00+05": instant("2026-06-01T07:00"),
        "2026-06-01T12:00-0530": instant("2026-06-01T17:30"),
        "2026-06-01T12:00:07.5+05:45": instant("2026-06-01T06:15:07.500000"),
        "2026-06-01T12:00-00:30": instant("2026-06-01T12:30"),
        "2024-02-29T00:00Z": instant("2024-02-29T00:00"),
    }


def test_a_fraction_has_up_to_nine_digits_and_is_cut_to_microseconds_never_rounded(home: Installation) -> None:
    fractions = ["1", "12", "123", "1234", "12345", "123456", "1234569", "12345699", "123456999", "999999999"]
    values = [f"2026-06-01T12:00:00.{fraction}Z" for fraction in fractions]
    assert judged(home, "occurred_at", values) == {
        value: instant("2026-06-01T12:00:00") + timedelta(microseconds=int(fraction.ljust(9, "0")[:6]))
        for value, fraction in zip(values, fractions, strict=True)
    }


def test_what_a_cast_would_take_for_a_time_is_none(home: Installation) -> None:
    values = [
        *("2026-06-01T24:00:00", "2026-02-30", "2026-02-29", "2100-02-29", "2026-13-01", "2026-00-10", "2026-06-31"),
        *("2026-06-00", "2026-06-01T12", "2026-06-01T12:60", "2026-06-01T23:59:60Z", "2026-06-01T12:00:00.Z"),
        *("epoch", "infinity", "now", "today", "20260601", "2026-6-1", "1/6/2026", "06/01/2026", "2026-06-01T12:00 Z"),
        *("2026-06-01T12:00+24:00", "2026-06-01T12:00+5", "2026-06-01T12:00EST", "2026-06-01  12:00", "46174"),
        *(
            "2026-06-01T12:00:00z",
            "2026-06-01T12:00:00.1234567890Z",
            "2026-06-01Z",
            "2026-W23-1",
            "-2026-06-01",
            "2026-06-01T12:00+05:60",
            "0",
        ),
    ]
    assert judged(home, "occurred_at", values) == dict.fromkeys(values, "occurred_at:not_a_time")


def test_years_are_1970_to_2199(home: Installation) -> None:
    assert judged(home, "issued_at", ["1969-12-31", "1970-01-01", "2199-12-31T23:59:59Z", "2200-01-01"]) == {
        "1969-12-31": "issued_at:year_out_of_range",
        "1970-01-01": instant("1970-01-01T05:00"),
        "2199-12-31T23:59:59Z": instant("2199-12-31T23:59:59"),
        "2200-01-01": "issued_at:year_out_of_range",
    }
    years = ["0000-01-01", "1969-12-31T23:59:59Z", "1970-01-01T00:00Z", "2200-01-01", "9999-12-31"]
    assert judged(home, "occurred_at", years) == {
        "0000-01-01": "occurred_at:year_out_of_range",
        "1969-12-31T23:59:59Z": "occurred_at:year_out_of_range",
        "1970-01-01T00:00Z": instant("1970-01-01T00:00"),
        "2200-01-01": "occurred_at:year_out_of_range",
        "9999-12-31": "occurred_at:year_out_of_range",
    }


def test_an_expiry_is_never_where_it_is_blank_or_0_or_in_a_year_after_2199(home: Installation) -> None:
    assert judged(
        home,
        "expires_at",
        ["", "0", "2200-01-01", "9999-12-31T23:59:59Z", "2199-12-31T12:00Z", "1969-12-31", "2200-02-30", "never", "00"],
    ) == {
        "": None,
        "0": None,
        "2200-01-01": None,
        "9999-12-31T23:59:59Z": None,
        "2199-12-31T12:00Z": instant("2199-12-31T12:00"),
        "1969-12-31": "expires_at:year_out_of_range",
        "2200-02-30": "expires_at:not_a_time",
        "never": "expires_at:not_a_time",
        "00": "expires_at:not_a_time",
    }


def test_a_date_alone_is_the_first_instant_of_the_local_day_and_as_an_expiry_its_last_second(
    home: Installation,
) -> None:
    home.land("acme/entries/a.csv", entries_csv("""
        entry_id  entry_type  occurred_at  expires_at
        e1        opening     2026-06-01   2026-06-30
    """))  # fmt: skip
    assert_rows(home.ingest().entries, """
        entry_id  occurred_at       expires_at
        e1        2026-06-01T04:00  2026-07-01T03:59:59
    """)  # fmt: skip


# Where midnight happens twice, where it does not happen, where a whole day was left out, and a leap day.
LOCAL_TIMES = """
    timezone             occurred_at       is
    America/New_York     2025-11-02T01:30  2025-11-02T05:30
    America/New_York     2025-03-09T02:30  2025-03-09T07:30
    America/Havana       2025-11-02        2025-11-02T04:00
    America/Havana       2025-11-02T00:30  2025-11-02T04:30
    America/Havana       2025-03-09        2025-03-09T05:00
    America/Santiago     2024-09-08        2024-09-08T04:00
    America/Santiago     2024-09-08T00:30  2024-09-08T04:30
    America/Santiago     2025-04-05T23:30  2025-04-06T02:30
    Pacific/Auckland     2025-04-06T02:30  2025-04-05T13:30
    Pacific/Auckland     2025-09-28T02:30  2025-09-27T14:30
    Pacific/Apia         2011-12-30        2011-12-30T10:00
    Pacific/Apia         2011-12-31        2011-12-30T10:00
    America/New_York     2024-02-29        2024-02-29T05:00
    Australia/Lord_Howe  2025-04-06T01:45  2025-04-05T14:45
"""


def test_a_time_without_offset_is_local_the_earlier_of_two_and_shifted_over_a_gap(tmp_path: Path) -> None:
    said = rows(LOCAL_TIMES)
    zones = sorted({str(row["timezone"]) for row in said})
    ids = {zone: zone.split("/")[1].lower().replace("_", "-") for zone in zones}
    home = make_home(
        tmp_path,
        "".join(f'[merchants.{ids[z]}]\nname = "A"\ntimezone = "{z}"\ncurrency = "USD"\n' for z in zones),
    )
    for zone in zones:
        entries = [
            {**ENTRY, "entry_id": str(number), "occurred_at": str(row["occurred_at"])}
            for number, row in enumerate(said)
            if row["timezone"] == zone
        ]
        home.land(f"{ids[zone]}/entries/a.csv", csv(entries))
    found = {row["entry_id"]: row["occurred_at"] for row in home.ingest().entries}
    told = [{**row, "is": found[str(number)]} for number, row in enumerate(said)]
    assert_rows(told, LOCAL_TIMES)


def test_an_entry_that_has_not_happened_yet_is_set_aside_until_it_has(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    home.land("acme/entries/a.csv", csv([{**ENTRY, "entry_id": "e1", "occurred_at": tomorrow.isoformat()[:19] + "Z"}]))
    taken = home.ingest()
    assert taken.counts == [(1, 0, 0, 1)]
    assert taken.reasons == [(2, "occurred_at", "in_the_future")]
    assert "had not come" in taken.explanation

    assert home.ingest().counts == []
    still_early = home.ingest(retry=True)
    assert still_early.counts == [(1, 0, 0, 1)]
    assert still_early.reasons == taken.reasons

    in_two_days = datetime.now(UTC) + timedelta(days=2)
    clock = type("clock", (datetime,), {"now": staticmethod(lambda _: in_two_days)})
    monkeypatch.setattr("pipelines.journal.datetime", clock)
    taken = home.ingest()
    assert taken.counts == [(1, 1, 0, 0)], "whoever set its clock right should not have to ask for what it had missed"
    assert taken.open == []
    assert [row["recorded_at"] for row in taken.entries] == [in_two_days]
    assert home.ingest().counts == []


def test_an_entry_of_this_moment_is_not_in_the_future(home: Installation) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    home.land("acme/entries/a.csv", csv([{**ENTRY, "entry_id": "e1", "occurred_at": now}]))
    assert home.ingest().counts == [(1, 1, 0, 0)]


# ---- defaults


def test_what_a_row_leaves_blank_has_its_default(home: Installation) -> None:
    home.land("acme/entries/a.csv", entries_csv("""
        entry_id  entry_type       credit_id  redemption_id  priority  balance_type  system         transfer_id
        e1        created
        e2        opening          c2                        0         gift          legacy_credit
        e3        transferred_in                             -3                                     t1
        e4        redeemed
        e5        redeemed         c2         r5
        e6        refunded                    r5
        e7        refunded         c2         r5                       gift
        e8        deducted         c2
        e9        deducted
        e10       transferred_out                            50                                     t1
        e11       reversed         c2
        e12       expired          c2
    """))  # fmt: skip
    assert_rows(home.ingest().entries, """
        entry_id  credit_id  redemption_id  priority  balance_type  system
        e1        e1                        50        default       balance_credit
        e2        c2                        0         gift          legacy_credit
        e3        e3                        -3        default       balance_credit
        e4                   e4             50        default       balance_credit
        e5        c2         r5             50                      balance_credit
        e6                   r5             50                      balance_credit
        e7        c2         r5             50        gift          balance_credit
        e8        c2                        50                      balance_credit
        e9                                  50        default       balance_credit
        e10                                 50        default       balance_credit
        e11       c2                        50                      balance_credit
        e12       c2                        50                      balance_credit
    """)  # fmt: skip


def test_every_column_reaches_the_ledger_under_its_name(home: Installation) -> None:
    said = {
        **{name: f"the {name}" for name in DATASETS["entries"].columns},
        **ENTRY,
        "merchant_id": "acme",
        "entry_id": "e1",
        "entry_type": "transferred_in",
        "balance_type": "gift",
        "priority": "7",
        "expires_at": "2027-01-01T00:00Z",
        "issued_at": "2025-01-01T00:00Z",
        "original_amount": "20.00",
        "system": "legacy_credit",
    }
    home.land("acme/entries/a.csv", csv([said]))
    (entry,) = home.ingest().entries
    typed = {
        **said,
        "occurred_at": instant("2026-06-01T12:00"),
        "expires_at": instant("2027-01-01T00:00"),
        "issued_at": instant("2025-01-01T00:00"),
        "amount": Decimal(10),
        "original_amount": Decimal(20),
        "priority": 7,
    }
    assert {name: entry[name] for name in said} == typed
    assert (entry["source_file"], entry["source_row"], entry["event"]) == ("acme/entries/a.csv", 2, 1)
    assert entry["operation_id"] is None
    assert datetime.now(UTC) - entry["recorded_at"] < timedelta(minutes=1)


# ---- what each entry type needs


def test_a_row_without_what_its_entry_type_needs_is_set_aside(home: Installation) -> None:
    home.land("acme/entries/a.csv", csv([
        {**ENTRY, "entry_id": ""},
        {**ENTRY, "entry_id": "e3", "entry_type": ""},
        {**ENTRY, "entry_id": "e4", "entry_type": "Created"},
        {**ENTRY, "entry_id": "e5", "occurred_at": ""},
        {**ENTRY, "entry_id": "e6", "member_id": ""},
        {**ENTRY, "entry_id": "e7", "amount": ""},
        {**ENTRY, "entry_id": "e8", "entry_type": "reversed"},
        {**ENTRY, "entry_id": "e9", "entry_type": "expired"},
        {**ENTRY, "entry_id": "e10", "entry_type": "expiry_changed", "amount": ""},
        {**ENTRY, "entry_id": "e11", "entry_type": "refunded", "credit_id": "c1"},
        {**ENTRY, "entry_id": "e12", "entry_type": "hold"},
    ]))  # fmt: skip
    taken = home.ingest()
    assert taken.reasons == [
        (2, "entry_id", "missing"),
        (3, "entry_type", "missing"),
        (4, "entry_type", "unknown_entry_type"),
        (5, "occurred_at", "missing"),
        (6, "member_id", "missing"),
        (7, "amount", "missing"),
        (8, "credit_id", "missing"),
        (9, "credit_id", "missing"),
        (10, "credit_id", "missing"),
        (11, "redemption_id", "missing"),
        (12, "entry_type", "unknown_entry_type"),
    ]
    assert taken.entries == []


def test_an_expiry_change_moves_nothing_so_it_has_no_amount(home: Installation) -> None:
    values = ["", "0", "0.00", "5.00", "-1"]
    assert judged(home, "amount", values, entry_type="expiry_changed", credit_id="c1") == {
        "": Decimal(0),
        "0": Decimal(0),
        "0.00": Decimal(0),
        "5.00": "amount:must_be_zero",
        "-1": "amount:negative",
    }


def test_a_priority_is_a_whole_number_and_0_is_one(home: Installation) -> None:
    assert judged(home, "priority", ["0", "-5", "999999999", "1.5", "high", "9999999999", "1e3"]) == {
        "0": 0,
        "-5": -5,
        "999999999": 999999999,
        "1.5": "priority:not_a_whole_number",
        "high": "priority:not_a_whole_number",
        "9999999999": "priority:not_a_whole_number",
        "1e3": "priority:not_a_whole_number",
    }


def test_a_system_is_balance_credit_or_legacy_credit(home: Installation) -> None:
    assert judged(home, "system", ["", "legacy_credit", "old"]) == {
        "": "balance_credit",
        "legacy_credit": "legacy_credit",
        "old": "system:unknown_system",
    }


def test_a_row_of_another_merchant_is_set_aside_and_one_of_this_merchant_goes_in(home: Installation) -> None:
    assert judged(home, "merchant_id", ["acme", "", "Acme", "bolt"]) == {
        "acme": "acme",
        "": "acme",
        "Acme": "merchant_id:other_merchant",
        "bolt": "merchant_id:other_merchant",
    }


# ---- nothing counts twice


def test_the_same_entry_again_is_a_duplicate_within_a_file_and_across_files(home: Installation) -> None:
    home.land("acme/entries/a.csv", entries_csv("""
        entry_id  amount
        e1        5.00
        e2        6.00
        e1        5.00
        e1        5.0
    """))  # fmt: skip
    home.land("acme/entries/b.csv", entries_csv("""
        entry_id  amount
        e2        6.00
        e3        7.00
        e3        7
    """))  # fmt: skip
    taken = home.ingest()
    assert taken.counts == [(4, 2, 2, 0), (3, 1, 2, 0)]
    assert_rows(taken.entries, """
        entry_id  amount  source_file         source_row
        e1        5.00    acme/entries/a.csv  2
        e2        6.00    acme/entries/a.csv  3
        e3        7.00    acme/entries/b.csv  3
    """)  # fmt: skip


def test_the_same_entry_with_other_content_is_refused_within_a_file_and_across_files(home: Installation) -> None:
    home.land("acme/entries/a.csv", entries_csv("""
        entry_id  amount
        e1        5.00
        e1        6.00
        e1        5.00
    """))  # fmt: skip
    home.land("acme/entries/b.csv", entries_csv("""
        entry_id  amount  reason
        e1        5.00    gift
        e1        5.00
    """))  # fmt: skip
    taken = home.ingest()
    assert taken.counts == [(3, 1, 1, 1), (2, 0, 1, 1)]
    assert taken.reasons == [(3, "entry_id", "entry_changed"), (2, "entry_id", "entry_changed")]
    assert_rows(taken.entries, """
        entry_id  amount  reason
        e1        5.00
    """)  # fmt: skip


def test_a_good_row_stands_for_its_entry_though_a_bad_one_came_before_it(home: Installation) -> None:
    home.land("acme/entries/a.csv", entries_csv("""
        entry_id  amount
        e1        five
        e1        5.00
        e1        6.00
    """))  # fmt: skip
    taken = home.ingest()
    assert taken.counts == [(3, 1, 0, 2)]
    assert taken.reasons == [(4, "entry_id", "entry_changed")]
    assert [(row["source_row"], row["closed_event"]) for row in taken.rejected] == [(2, 1), (4, None)]


def test_a_second_credit_with_an_id_is_refused_with_its_copies(home: Installation) -> None:
    home.land("acme/entries/a.csv", entries_csv("""
        entry_id  entry_type      credit_id
        e1        created         c1
        e2        opening         c1
        e2        opening         c1
        c1        transferred_in
        e4        created         e5
        e5        created
        e6        redeemed        c1
        e6        redeemed        c1
    """))  # fmt: skip
    home.land("acme/entries/b.csv", entries_csv("""
        entry_id  entry_type  credit_id
        e7        created     c1
        e8        created     e4
        e1        created     c1
    """))  # fmt: skip
    taken = home.ingest()
    assert taken.counts == [(8, 3, 1, 4), (3, 1, 1, 1)]
    assert taken.reasons == [
        (3, "credit_id", "duplicate_credit_id"),
        (4, "credit_id", "duplicate_credit_id"),
        (5, "credit_id", "duplicate_credit_id"),
        (7, "credit_id", "duplicate_credit_id"),
        (2, "credit_id", "duplicate_credit_id"),
    ]
    assert 'credit_id "c1" (that is the entry_id' in taken.open[2]["explanation"]


def test_a_second_redemption_with_an_id_is_refused_with_its_copies(home: Installation) -> None:
    home.land("acme/entries/a.csv", entries_csv("""
        entry_id  entry_type  redemption_id
        e1        redeemed    r1
        e2        redeemed    r1
        e2        redeemed    r1
        r1        redeemed
        e3        created     r1
        e4        refunded    r1
    """))  # fmt: skip
    home.land("acme/entries/b.csv", entries_csv("""
        entry_id  entry_type  redemption_id
        e5        redeemed    r1
        e6        redeemed    e1
    """))  # fmt: skip
    taken = home.ingest()
    assert taken.counts == [(6, 3, 0, 3), (2, 1, 0, 1)]
    assert {reason[1:] for reason in taken.reasons} == {("redemption_id", "duplicate_redemption_id")}
    assert [row["row_id"] for row in taken.open] == ["e2", "e2", "r1", "e5"]


def test_merchants_share_no_ids(tmp_path: Path) -> None:
    home = make_home(tmp_path, ACME + '[merchants.bolt]\nname = "B"\ntimezone = "UTC"\ncurrency = "USD"\n')
    file = entries_csv("""
        entry_id  credit_id
        e1        c1
    """)
    home.land("acme/entries/a.csv", file)
    home.land("bolt/entries/a.csv", file)
    taken = home.ingest()
    assert taken.counts == [(1, 1, 0, 0), (1, 1, 0, 0)]
    assert [row["event"] for row in taken.tables["files"]] == [1, 1]


# ---- the content hash


def hashes(*entries: Mapping[str, str]) -> list[str]:
    """Of entries that are otherwise alike."""
    said = [{**ENTRY, "entry_id": "e1", **entry} for entry in entries]
    columns = DATASETS["entries"].columns
    raw = pl.DataFrame(
        {"source_row": range(len(said)), **{name: [entry.get(name) or None for entry in said] for name in columns}},
        schema_overrides=dict.fromkeys(columns, pl.String),
    )
    ledger = open_ledger(merchant())
    ledger.connection.register("_raw", raw.to_arrow())
    ledger.connection.execute("create table staging.raw as from _raw")
    model = models.load("staging.entries")
    told = model.bind({"merchant_id": "acme", "decimal_comma": False, "recorded_at": datetime.now(UTC)})
    typed = ledger.connection.execute(f"from ({model.sql}) order by source_row", told).pl()
    assert typed["problem"].null_count() == len(said)
    return typed["content_hash"].to_list()


def test_the_content_of_an_entry_is_what_it_means_however_it_is_written() -> None:
    same = hashes(
        {"amount": "1234.50", "occurred_at": "2026-06-01T16:00:00Z"},
        {"amount": "1,234.5", "occurred_at": "2026-06-01T12:00"},
        {"amount": "01234.5000", "occurred_at": "2026-06-01 16:00:00.0000009+00:00"},
        {"amount": "1234.5", "occurred_at": "2026-06-01T18:00+02", "priority": "50", "system": "balance_credit"},
        {"amount": "1234.5", "occurred_at": "2026-06-01T12:00", "credit_id": "e1", "balance_type": "default"},
        {"amount": "1234.5", "occurred_at": "2026-06-01T12:00", "expires_at": "0", "merchant_id": ""},
        {"amount": "1234.5", "occurred_at": "2026-06-01T12:00", "expires_at": "9999-12-31"},
        {"amount": "1234.5", "occurred_at": "2026-06-01T12:00", "issued_at": "2026-06-01T16:00Z"},
        {"amount": "1234.5", "occurred_at": "2026-06-01T12:00", "original_amount": "1,234.50"},
    )
    assert len(set(same)) == 1


def test_entries_that_differ_in_any_column_have_different_content() -> None:
    texts = [
        *("credit_id", "redemption_id", "transfer_id", "batch_id", "credit_type", "reason", "reason_details"),
        *("internal_note", "creator_name", "creator_email", "approved_by", "location"),
    ]
    different = hashes(
        {},
        *({name: "x"} for name in texts),
        *({name: "\x1f"} for name in texts),
        {"reason": "a b", "reason_details": "c"},
        {"reason": "a", "reason_details": "b c"},
        {"reason": "a:1", "reason_details": "b"},
        {"reason": "a", "reason_details": "1:b"},
        {"entry_id": "e2"},
        {"entry_type": "opening"},
        {"entry_type": "redeemed"},
        {"member_id": "bob"},
        {"balance_type": "gift"},
        {"amount": "10.01"},
        {"occurred_at": "2026-06-01T12:00:00.000001Z"},
        {"priority": "0"},
        {"priority": "51"},
        {"expires_at": "2027-01-01"},
        {"expires_at": "1970-01-01T00:00Z"},
        {"issued_at": "2026-01-01"},
        {"original_amount": "11.00"},
        {"system": "legacy_credit"},
    )
    assert len(set(different)) == len(different)


# ---- what was set aside


def test_counts_add_up_and_every_rejected_row_is_kept_whole(home: Installation) -> None:
    home.land("acme/entries/a.csv", (
        "entry_id,entry_type,occurred_at,member_id,amount,reason\n"
        'e1,created,2026-06-01,ada,10.00,"He said ""hi"", twice"\n'
        "e2,created,2026-06-01,ada,ten,late\n"
        "e3,created,2026-06-01,ada\n"
        "\n"
        "e1,created,2026-06-01,ada,10.00,\"He said \"\"hi\"\", twice\"\n"
        "e4,created,2026-06-01,ada,10.00,a,b,c\n"
    ))  # fmt: skip
    taken = home.ingest()
    assert taken.counts == [(5, 1, 1, 3)]
    assert [row["source_row"] for row in taken.open] == [3, 4, 7]
    typed, few, many = taken.open
    assert json.loads(typed["row"]) == {
        "entry_id": "e2",
        "entry_type": "created",
        "occurred_at": "2026-06-01",
        "member_id": "ada",
        "amount": "ten",
        "reason": "late",
    }
    assert (typed["column_name"], typed["value"], typed["row_id"]) == ("amount", "ten", "e2")
    assert typed["sha256"] == taken.tables["files"][0]["sha256"]
    assert typed["explanation"] == 'amount "ten" is not an amount; write it like 1234.50.'
    assert (few["reason"], few["row"]) == ("too_few_cells", "e3,created,2026-06-01,ada")
    assert (many["reason"], many["row"]) == ("too_many_cells", "e4,created,2026-06-01,ada,10.00,a,b,c")
    for row in taken.tables["files"]:
        assert row["rows_read"] == row["accepted"] + row["duplicates"] + row["rejected"]


def test_an_explanation_names_the_column_and_what_it_says(home: Installation) -> None:
    home.land("acme/entries/a.csv", csv([
        {**ENTRY, "entry_id": "e2", "amount": "12.345"},
        {**ENTRY, "entry_id": "e3", "amount": "3.5", "balance_type": "winston"},
        {**ENTRY, "entry_id": "e4", "balance_type": "loyalty"},
        {**ENTRY, "entry_id": "e5", "entry_type": "redeemed", "amount": "3.555", "credit_id": "c"},
        {**ENTRY, "entry_id": "e6", "merchant_id": "bolt"},
        {**ENTRY, "entry_id": "e7", "occurred_at": "June 1"},
        {**ENTRY, "entry_id": "e8", "amount": "x" * 100},
        {**ENTRY, "entry_id": "e9", "priority": "very\nhigh"},
    ]))  # fmt: skip
    assert [row["explanation"] for row in home.ingest().open] == [
        'amount "12.345" has 3 decimals, USD has 2.',
        'amount "3.5" has 1 decimal, TKN has 0.',
        (
            'balance_type "loyalty" is not declared for this merchant in merchants.toml. Once it is, the next ingest'
            " takes the row."
        ),
        'amount "3.555" has 3 decimals, and no unit of this merchant has more than 2.',
        'merchant_id "bolt" is not the merchant of this folder, "acme".',
        'occurred_at "June 1" is not a time; write it like 2026-06-30 or 2026-06-30T13:45:00Z.',
        f'amount "{"x" * 79}…" is not an amount; write it like 1234.50.',
        'priority "very high" is not a whole number of at most 9 digits.',
    ]


def test_an_explanation_says_where_a_value_has_what_does_not_show(home: Installation) -> None:
    """A mark of direction, as programs in Arabic and Hebrew put it before numbers."""
    home.land("acme/entries/a.csv", csv([{**ENTRY, "entry_id": "e1", "amount": "\u200f10.00"}]))
    assert home.ingest().explanation == (
        'amount "\u200f10.00" (with characters that do not show) is not an amount; write it like 1234.50.'
    )


def test_every_reason_that_the_sql_gives_has_an_explanation() -> None:
    judging = [*models.load_all("staging"), *(m for m in models.load_all("ledger") if m.name.endswith("_verdicts"))]
    reasons = set(re.findall(r"'[a-z_]+:([a-z_]+)'", "".join(model.sql for model in judging)))
    # entry_verdicts puts two of them together.
    reasons |= {"duplicate_credit_id", "duplicate_redemption_id"}
    explained = set(re.findall(r"when '([a-z_]+)' then", models.load("ledger.rejected_rows").sql))
    assert explained == reasons


def test_a_row_set_aside_is_closed_when_a_row_with_its_id_goes_in_later(home: Installation) -> None:
    home.land("acme/entries/a.csv", entries_csv("""
        entry_id  amount
        e1        ten
        e2        ten
    """))  # fmt: skip
    home.land("acme/entries/b.csv", entries_csv("""
        entry_id  amount
        e1        10.00
        e3        10.00
    """))  # fmt: skip
    taken = home.ingest()
    assert [(row["row_id"], row["closed_event"]) for row in taken.rejected] == [("e1", 2), ("e2", None)]
    assert taken.counts == [(2, 0, 0, 2), (2, 2, 0, 0)]


def test_a_change_that_was_refused_stays_open_though_its_entry_is_in(home: Installation) -> None:
    home.land("acme/entries/a.csv", entries_csv("""
        entry_id  amount
        e1        10.00
        e1        12.00
    """))  # fmt: skip
    home.ingest()
    home.land("acme/entries/b.csv", entries_csv("""
        entry_id  amount
        e1        10.00
    """))  # fmt: skip
    taken = home.ingest(retry=True)
    assert taken.reasons == [(3, "entry_id", "entry_changed")]


def test_rows_of_an_undeclared_balance_type_go_in_once_it_is_declared(home: Installation) -> None:
    home.land("acme/entries/a.csv", entries_csv("""
        entry_id  balance_type  amount
        e1        gift          1.00
        e2        loyalty       2.00
        e3        loyalty       2.50
        e4        loyalty       two
    """))  # fmt: skip
    assert home.ingest().counts == [(4, 1, 0, 3)]
    assert home.ingest().counts == []

    home.configure(ACME + 'loyalty = { unit = "PTS", decimals = 0 }\n')
    taken = home.ingest()
    assert taken.counts == [(3, 1, 0, 2)]
    assert home.said[-1] == ("acme/entries/a.csv (rows set aside before): 3 read, 1 accepted, 0 duplicates, 2 rejected")
    assert [row["entry_id"] for row in taken.entries] == ["e1", "e2"]
    assert [(row["row_id"], row["event"], row["closed_event"]) for row in taken.rejected] == [
        ("e2", 1, 2),
        ("e3", 1, None),
        ("e4", 1, None),
    ]
    # What was wrong with them then is not what is wrong with them now.
    assert taken.reasons == [(4, "amount", "too_many_decimals"), (5, "amount", "not_an_amount")]
    assert taken.open[0]["explanation"] == 'amount "2.50" has 1 decimal, PTS has 0.'
    assert home.ingest().counts == []


def test_a_file_that_cannot_be_read_is_one_rejected_row_until_the_settings_let_it_be_read(home: Installation) -> None:
    home.land("acme/entries/a.csv", csv([
        {**ENTRY, "entry_id": "e1", "till": "4"},
        {**ENTRY, "entry_id": "e2", "till": "4", "amount": "ten"},
        {**ENTRY, "entry_id": "e3", "till": "4", "balance_type": "loyalty"},
    ]))  # fmt: skip
    taken = home.ingest()
    assert taken.counts == [(1, 0, 0, 1)]
    assert taken.reasons == [(0, None, "unknown_column")]
    assert "till" in taken.explanation

    home.configure(ACME.replace('currency = "USD"', 'currency = "USD"\nignore_columns = ["till"]'))
    taken = home.ingest()
    assert taken.counts == [(3, 1, 0, 2)]
    # Nothing is lost: the rows that are now seen to be wrong are kept, too.
    assert taken.reasons == [(3, "amount", "not_an_amount"), (4, "balance_type", "unknown_balance_type")]
    assert taken.rejected[0]["closed_event"] == 2

    home.configure(
        ACME.replace('currency = "USD"', 'currency = "USD"\nignore_columns = ["till"]') + 'loyalty = { unit = "USD" }\n'
    )
    taken = home.ingest()
    assert taken.counts == [(2, 1, 0, 1)]
    assert taken.reasons == [(3, "amount", "not_an_amount")]
    # All of its rows are known by now, so they count as such when it comes again.
    home.land("acme/entries/again.csv", (home.home.landing / "acme/entries/a.csv").read_bytes())
    assert home.ingest().counts == [(3, 0, 3, 0)]


def test_a_file_in_another_encoding_is_read_once_the_merchant_says_which(home: Installation) -> None:
    content = csv([{**ENTRY, "entry_id": "e1", "creator_name": "Zoë"}]).encode("cp1252")
    home.land("acme/entries/a.csv", content)
    assert home.ingest().reasons == [(0, None, "wrong_encoding")]
    home.configure(ACME.replace('currency = "USD"', 'currency = "USD"\nencoding = "cp1252"'))
    taken = home.ingest()
    assert taken.open == []
    assert [row["creator_name"] for row in taken.entries] == ["Zoë"]


def test_a_file_that_could_not_be_read_is_closed_when_its_path_holds_one_that_can(home: Installation) -> None:
    home.land("acme/entries/a.csv", "entry_id,amount\n")
    assert home.ingest().reasons == [(0, None, "missing_column")]
    home.land("acme/entries/a.csv", csv([{**ENTRY, "entry_id": "e1"}]))
    taken = home.ingest()
    assert taken.counts == [(1, 1, 0, 0)]
    assert taken.open == []


def test_a_row_of_a_corrected_file_at_the_same_path_closes_the_row_it_corrects(home: Installation) -> None:
    home.land("acme/entries/a.csv", csv([{**ENTRY, "entry_id": "e1"}, {**ENTRY, "entry_id": "e2", "amount": "x"}]))
    assert home.ingest().counts == [(2, 1, 0, 1)]
    home.land("acme/entries/a.csv", csv([{**ENTRY, "entry_id": "e1"}, {**ENTRY, "entry_id": "e2"}]))
    taken = home.ingest()
    assert taken.counts == [(2, 1, 1, 0)]
    assert taken.open == []


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("csv", "e1,created,2026-06-01,ada\ne2,created,2026-06-01,ada,2\n"),
        ("csv", "e1,created,2026-06-01,ada,1,000\n"),
        ("csv", 'e1,created,2026-06-01,ada,1,000\ne2,created,2026-06-01,ada,"2" "\n'),
        ("jsonl", '{"entry_id": "e1", "entry_type": "created", "occurred_at": "2026-06-01", "amount": [1]}\n'),
    ],
)
def test_a_row_that_could_not_be_taken_apart_is_closed_when_its_entry_goes_in_later(
    home: Installation, kind: str, wrong: str
) -> None:
    header = "entry_id,entry_type,occurred_at,member_id,amount\n" if kind == "csv" else ""
    if kind == "jsonl":
        wrong += json.dumps({**ENTRY, "entry_id": "e0"}) + "\n"
    home.land(f"acme/entries/a.{kind}", header + wrong)
    before = home.ingest().open
    assert "e1" in {row["row_id"] for row in before}
    home.land("acme/entries/b.csv", csv([{**ENTRY, "entry_id": "e3"}]))
    assert home.ingest().open == before, "another entry is no correction"
    home.land("acme/entries/c.csv", csv([{**ENTRY, "entry_id": "e1"}]))
    assert {row["row_id"] for row in home.ingest().open} == {row["row_id"] for row in before} - {"e1"}


@pytest.mark.parametrize("beside", ["", ',e9,redeemed,2026-06-01,ada,"2" "\n'], ids=["by DuckDB", "by ours"])
def test_a_row_whose_cells_have_slipped_is_not_closed_by_the_entry_whose_id_stands_where_its_own_should(
    home: Installation, beside: str
) -> None:
    """One comma too many in front: the redemption that it gives back stands where e8 should."""
    slipped = "redemption_id,entry_id,entry_type,occurred_at,member_id,amount\n,e7,e8,refunded,2026-06-02,ada,1\n"
    home.land("acme/entries/a.csv", slipped + beside)
    before = home.ingest().open
    home.land("acme/entries/b.csv", csv([{**ENTRY, "entry_id": "e7"}]))
    assert home.ingest().open == before


def test_a_retry_of_rows_that_are_as_wrong_as_before_changes_nothing(home: Installation) -> None:
    home.land("acme/entries/a.csv", entries_csv("""
        entry_id  amount
        e1        ten
        e2        10.00
    """))  # fmt: skip
    before = home.ingest()
    after = home.ingest(retry=True)
    assert after.counts == [(1, 0, 0, 1)]
    assert after.rejected == before.rejected
    assert after.entries == before.entries


# ---- files


def test_an_unchanged_file_is_not_read_again(home: Installation) -> None:
    home.land("acme/entries/a.csv", csv([{**ENTRY, "entry_id": "e1"}]))
    home.ingest()
    again = home.ingest()
    assert again.counts == []
    assert again.result.unchanged == 1
    # Nor is one that was only touched.
    home.land("acme/entries/a.csv", csv([{**ENTRY, "entry_id": "e1"}]))
    touched = home.ingest()
    assert touched.counts == []
    assert touched.result.unchanged == 1
    assert len(touched.tables["files"]) == 1


def test_a_corrected_file_is_read_though_it_has_the_size_and_the_time_of_the_one_before(home: Installation) -> None:
    # As files have that come out of a zip file without times of its own.
    at_1980 = (315_532_800, 315_532_800)
    for number, correct in enumerate(("1.00", "2.00"), 1):
        file = home.land("acme/entries/a.csv", csv([{**ENTRY, "entry_id": f"e{number}", "amount": correct}]))
        os.utime(file, at_1980)
        assert home.ingest().counts == [(1, 1, 0, 0)]


def test_the_same_bytes_under_another_name_are_duplicates(home: Installation) -> None:
    content = entries_csv("""
        entry_id  amount
        e1        1.00
        e2        two
    """)
    home.land("acme/entries/a.csv", content)
    before = home.ingest()
    home.land("acme/entries/b.csv", content)
    after = home.ingest()
    assert after.counts == [(2, 0, 2, 0)]
    assert home.said[-1] == "acme/entries/b.csv (seen before): 2 read, 0 accepted, 2 duplicates, 0 rejected"
    assert (after.entries, after.rejected) == (before.entries, before.rejected)


def test_a_file_that_grows_at_its_path_brings_only_what_is_new(home: Installation) -> None:
    home.land("acme/entries/a.csv", csv([{**ENTRY, "entry_id": "e1"}]))
    home.ingest()
    home.land("acme/entries/a.csv", csv([{**ENTRY, "entry_id": "e1"}, {**ENTRY, "entry_id": "e2"}]))
    taken = home.ingest()
    assert taken.counts == [(2, 1, 1, 0)]
    assert [(row["entry_id"], row["event"]) for row in taken.entries] == [("e1", 1), ("e2", 2)]


def test_files_are_taken_in_order_of_name_and_members_before_entries(home: Installation) -> None:
    for name in ("b.csv", "a.csv", "10.csv", "9.csv", "B.csv"):
        home.land(f"acme/entries/{name}", csv([{**ENTRY, "entry_id": name}]))
    home.land("acme/members/z.csv", "member_id\nada\n")
    assert [outcome.source_file for outcome in home.ingest().result.files] == [
        "acme/members/z.csv",
        "acme/entries/10.csv",
        "acme/entries/9.csv",
        "acme/entries/B.csv",
        "acme/entries/a.csv",
        "acme/entries/b.csv",
    ]


def test_a_file_with_an_unknown_ending_is_a_rejected_file_with_a_reason(home: Installation) -> None:
    content = csv([{**ENTRY, "entry_id": "e1"}])
    for name in ("june.txt", "june", "june.csv.gz"):
        home.land(f"acme/entries/{name}", content)
    taken = home.ingest()
    assert taken.counts == [(1, 0, 0, 1)] * 3
    assert set(taken.reasons) == {(0, None, "unknown_kind")}
    assert taken.open[1]["explanation"] == (
        'The name of the file ends in ".gz", which says of no kind of file that is read here: .csv, .parquet, .jsonl,'
        " .xlsx. Save it as one of these and send it again."
    )
    # Under a name that says what it is, the same bytes are read.
    home.land("acme/entries/june.csv", content)
    taken = home.ingest()
    assert taken.counts == [(1, 1, 0, 0)]
    assert taken.open == []


def test_an_ending_may_be_in_capitals(home: Installation) -> None:
    home.land("acme/entries/A.CSV", csv([{**ENTRY, "entry_id": "e1"}]))
    home.land("acme/entries/B.JsonL", json.dumps({**ENTRY, "entry_id": "e2"}) + "\n")
    assert home.ingest().counts == [(1, 1, 0, 0), (1, 1, 0, 0)]


def test_a_file_that_is_not_complete_is_left_alone(home: Installation) -> None:
    content = csv([{**ENTRY, "entry_id": "e1"}])
    for name in (".hidden.csv", "~$a.xlsx", "a.csv.part", "a.csv.tmp", ".a.csv.tmp"):
        home.land(f"acme/entries/{name}", content)
    taken = home.ingest()
    assert taken.counts == []
    assert taken.result.warnings == []


def test_a_file_may_have_any_name(home: Installation) -> None:
    names = [
        b'it\'s "June".csv',
        b"line\nbreak.csv",
        b"latin-\xe9.csv",
        b"x..%2f..%2fetc%2fpasswd.csv",
        b"$(id);--.csv",
        b"back\\slash.csv",
        "\N{RIGHT-TO-LEFT OVERRIDE}vsc.csv".encode(),
        "Zoë é.csv".encode(),
        b"%s {} $name.csv",
        b"x" * 251 + b".csv",
    ]
    folder = home.home.landing / "acme/entries"
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        path.write_text(csv([{**ENTRY, "entry_id": f"e{number}"}]))
    taken = home.ingest()
    assert taken.counts == [(1, 1, 0, 0)] * len(names)
    files = [entry["source_file"] for entry in taken.entries]
    assert len(set(files)) == len(names)
    assert all(file.isprintable() and file.count("/") == 2 for file in files)
    assert not any("\n" in said for said in home.said)
    assert home.ingest().result.unchanged == len(names)


def test_two_names_that_look_alike_when_written_out_are_two_files(home: Installation) -> None:
    home.land("acme/entries/a\n.csv", csv([{**ENTRY, "entry_id": "e1"}]))
    home.land("acme/entries/a\\n.csv", csv([{**ENTRY, "entry_id": "e2"}]))
    assert home.ingest().counts == [(1, 1, 0, 0), (1, 1, 0, 0)]
    assert home.ingest().counts == []


def test_links_and_pipes_are_left_alone_with_a_warning(home: Installation, tmp_path: Path) -> None:
    elsewhere = tmp_path / "secret.csv"
    elsewhere.write_text(csv([{**ENTRY, "entry_id": "e1"}]))
    folder = home.home.landing / "acme/entries"
    folder.mkdir(parents=True)
    (folder / "a.csv").symlink_to(elsewhere)
    os.mkfifo(folder / "b.csv")
    (folder / "c.csv").mkdir()
    (folder.parent / "members").symlink_to(folder)
    taken = home.ingest()
    assert taken.counts == []
    assert taken.result.warnings == [
        "landing/acme/members is a link and was left alone.",
        "landing/acme/entries/a.csv is no plain file and was left alone.",
        "landing/acme/entries/b.csv is no plain file and was left alone.",
        "landing/acme/entries/c.csv is no plain file and was left alone.",
    ]


def test_a_file_that_turns_into_a_link_or_goes_away_is_left_alone(
    home: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "secret.csv"
    elsewhere.write_text(csv([{**ENTRY, "entry_id": "secret"}]))
    for name in ("a.csv", "b.csv", "c.csv"):
        home.land(f"acme/entries/{name}", csv([{**ENTRY, "entry_id": name}]))
    opens = landing.open_plain

    def swapped(path: Path) -> Any:
        if path.name != "c.csv":
            path.unlink()
        if path.name == "a.csv":
            path.symlink_to(elsewhere)
        return opens(path)

    monkeypatch.setattr(landing, "open_plain", swapped)
    taken = home.ingest()
    assert [row["entry_id"] for row in taken.entries] == ["c.csv"]
    assert [warning.partition(" cannot be opened")[0] for warning in taken.result.warnings] == [
        "landing/acme/entries/a.csv",
        "landing/acme/entries/b.csv",
    ]


def test_a_file_that_the_disk_does_not_give_is_named(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise OSError(errno.ESTALE, "Stale file handle")

    path = home.land("acme/entries/a.csv", csv([{**ENTRY, "entry_id": "e1"}]))
    monkeypatch.setattr(landing, "open_plain", lambda _path: Gone())
    with pytest.raises(OSError, match="Stale file handle") as raised:
        home.ingest()
    assert raised.value.filename == str(path)


def test_a_file_that_changes_while_it_is_read_waits_for_the_next_ingest(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home.land("acme/entries/a.csv", csv([{**ENTRY, "entry_id": "e1"}]))
    opens = landing.open_plain

    def growing(path: Path) -> Any:
        opened = opens(path)
        with path.open("a") as more:
            more.write(csv([{**ENTRY, "entry_id": "e2"}]).splitlines()[1] + "\n")
        return opened

    with monkeypatch.context() as patched:
        patched.setattr(landing, "open_plain", growing)
        taken = home.ingest()
    assert taken.counts == []
    assert "changed while it was read" in taken.result.warnings[0]
    assert not [path for path in home.home.archive.iterdir() if path.name != ".main.tmp"]
    assert file.exists()
    assert home.ingest().counts == [(2, 2, 0, 0)]


def test_what_belongs_to_no_merchant_or_dataset_is_left_alone_with_a_warning(home: Installation) -> None:
    home.land("acme/sales/a.csv", csv([{**ENTRY, "entry_id": "e1"}]))
    home.land("acme/a.csv", csv([{**ENTRY, "entry_id": "e1"}]))
    home.land("bolt/entries/a.csv", csv([{**ENTRY, "entry_id": "e1"}]))
    home.land("%2e%2e%2facme/entries/a.csv", csv([{**ENTRY, "entry_id": "e1"}]))
    taken = home.ingest()
    assert taken.counts == []
    assert [warning.partition(" is no dataset")[0] for warning in taken.result.warnings] == [
        "landing/acme/a.csv",
        "landing/acme/sales",
    ]
    assert landing.undeclared_merchants(home.home, read_merchants(home.home)) == [
        "landing/%2e%2e%2facme belongs to no merchant of merchants.toml and was left alone.",
        "landing/bolt belongs to no merchant of merchants.toml and was left alone.",
    ]


def test_a_file_or_a_link_to_nowhere_in_the_place_of_a_folder_is_told_and_left_alone(
    home: Installation, tmp_path: Path
) -> None:
    folder = home.home.landing
    home.land("acme/entries", csv([{**ENTRY, "entry_id": "e1"}]))
    left_alone = " is no folder and was left alone. If it is a file of rows, move it into a folder of that name."
    assert home.ingest().result.warnings == [f"landing/acme/entries{left_alone}"]
    (folder / "acme/entries").rename(folder / "rows.csv")
    (folder / "acme").rmdir()
    (folder / "rows.csv").rename(folder / "acme")
    assert home.ingest().result.warnings == [f"landing/acme{left_alone}"]
    (folder / "acme").unlink()
    not_mounted = " is a link to a folder that is not there, so none of its files was taken. Is its disk mounted?"
    (folder / "acme").symlink_to(tmp_path / "another disk")
    assert home.ingest().result.warnings == [f"landing/acme{not_mounted}"]
    (folder / "acme").unlink()
    folder.rmdir()
    folder.symlink_to(tmp_path / "another disk")
    assert landing.undeclared_merchants(home.home, read_merchants(home.home)) == [f"landing{not_mounted}"]


def test_a_home_without_landing_files_has_nothing_to_ingest(home: Installation) -> None:
    assert home.ingest().counts == []
    assert landing.undeclared_merchants(home.home, read_merchants(home.home)) == []


def test_what_is_read_is_kept_as_it_was_under_its_hash(home: Installation) -> None:
    content = csv([{**ENTRY, "entry_id": "e1"}])
    home.land("acme/entries/a.csv", content)
    (file,) = home.ingest().tables["files"]
    assert (home.home.archive / file["sha256"]).read_text() == content
    assert file["size_bytes"] == len(content)
    assert [path.name for path in home.home.archive.iterdir()] == [file["sha256"]]


def test_a_file_without_rows_is_read_and_brings_nothing(home: Installation) -> None:
    home.land("acme/entries/a.csv", ",".join(ENTRY) + ",entry_id\n")
    assert home.ingest().counts == [(0, 0, 0, 0)]


def test_an_empty_file_is_a_rejected_row(home: Installation) -> None:
    home.land("acme/entries/a.csv", "")
    assert home.ingest().reasons == [(0, None, "empty_file")]


def test_a_header_without_a_column_that_must_be_there_rejects_the_file_and_names_it(home: Installation) -> None:
    required = sorted(DATASETS["entries"].required)
    assert required == ["amount", "entry_id", "entry_type", "member_id", "occurred_at"]
    said = {**ENTRY, "entry_id": "e1"}
    for column in required:
        content = csv([{name: value for name, value in said.items() if name != column}])
        home.land(f"acme/entries/{column}.csv", content)
    home.land("acme/members/a.csv", "first_name\nAda\n")
    taken = home.ingest()
    assert taken.reasons == [(0, None, "missing_column")] * 6
    for column, row in zip(["member_id", *required], taken.open, strict=True):
        assert f'"{column}"' in row["explanation"]


def test_a_header_with_an_unknown_column_or_one_twice_rejects_the_file_and_names_it(home: Installation) -> None:
    header = ",".join(["entry_id", *ENTRY])
    home.land("acme/entries/a.csv", f"{header},reason,reason\n")
    home.land("acme/entries/b.csv", f"{header},Reason\n")
    home.land("acme/entries/c.csv", f"{header}, reason \n")
    taken = home.ingest()
    assert [row["reason"] for row in taken.open] == ["duplicate_column", "unknown_column"]
    assert '"reason"' in taken.open[0]["explanation"]
    assert '"Reason"' in taken.open[1]["explanation"]
    assert taken.counts[2] == (0, 0, 0, 0)


def test_an_event_whose_file_is_gone_from_the_archive_stops_the_ingest_with_advice(home: Installation) -> None:
    home.land("acme/entries/a.csv", csv([{**ENTRY, "entry_id": "e1", "amount": "ten"}]))
    (file,) = home.ingest().tables["files"]
    (home.home.archive / file["sha256"]).unlink()
    with pytest.raises(LedgerUnavailableError, match=r"event 2 of acme. Put it back from a backup"):
        home.ingest(retry=True)


# ---- members


MEMBER_COLUMNS = "member_id,email,first_name,last_name,is_employee,keywords,autopay_methods,location,updated_at\n"


def test_every_column_of_a_member_reaches_the_ledger(home: Installation) -> None:
    home.land(
        "acme/members/a.csv",
        MEMBER_COLUMNS + "ada,ada@x.y,Ada,King,TRUE,vip;board,card;bank,North,2026-06-01T12:00Z\nbob,,,,,,,,\n",
    )
    taken = home.ingest()
    assert taken.counts == [(2, 2, 0, 0)]
    assert_rows(taken.members, """
        member_id  email   first_name  last_name  is_employee  keywords   autopay_methods  location  updated_at
        ada        ada@x.y  Ada        King       true         vip;board  card;bank        North     2026-06-01T12:00
        bob
    """)  # fmt: skip


def test_a_member_row_that_cannot_be_understood_is_set_aside_and_closed_by_a_better_one(home: Installation) -> None:
    home.land(
        "acme/members/a.csv",
        "member_id,is_employee,updated_at,merchant_id\n"
        ",true,,\nada,yes,,\nbob,,yesterday,\ncy,,1969-01-01,\ndee,,,bolt\neve,false,2026-01-01,acme\n",
    )
    taken = home.ingest()
    assert taken.counts == [(6, 1, 0, 5)]
    assert taken.reasons == [
        (2, "member_id", "missing"),
        (3, "is_employee", "not_true_or_false"),
        (4, "updated_at", "not_a_time"),
        (5, "updated_at", "year_out_of_range"),
        (6, "merchant_id", "other_merchant"),
    ]
    home.land("acme/members/b.csv", "member_id,is_employee\nada,true\nbob,\n")
    taken = home.ingest()
    assert [row["row_id"] for row in taken.open] == [None, "cy", "dee"]
    assert [row["member_id"] for row in taken.members] == ["ada", "bob", "eve"]


def named(taken: Ingested) -> dict[str, str]:
    return {row["member_id"]: row["first_name"] for row in taken.members}


def test_the_newest_word_on_a_member_wins_by_updated_at(home: Installation) -> None:
    home.land(
        "acme/members/a.csv",
        "member_id,first_name,updated_at\nada,New,2026-03-01\nada,Old,2026-01-01\nbob,First,2026-01-01\n",
    )
    home.land("acme/members/b.csv", "member_id,first_name,updated_at\nada,Older,2026-02-01\nbob,Second,2026-01-02\n")
    taken = home.ingest()
    assert taken.counts == [(3, 3, 0, 0), (2, 2, 0, 0)]
    assert named(taken) == {"ada": "New", "bob": "Second"}


def test_without_updated_at_the_order_of_files_and_rows_says_which_is_newest(home: Installation) -> None:
    home.land("acme/members/a.csv", "member_id,first_name\nada,One\nada,Two\nbob,One\n")
    home.land("acme/members/b.csv", "member_id,first_name\nbob,Three\n")
    assert named(home.ingest()) == {"ada": "Two", "bob": "Three"}


def test_equal_times_are_decided_by_order(home: Installation) -> None:
    home.land("acme/members/a.csv", "member_id,first_name,updated_at\nada,One,2026-01-01\nada,Two,2026-01-01\n")
    home.land("acme/members/b.csv", "member_id,first_name,updated_at\nada,Three,2026-01-01T00:00\n")
    assert named(home.ingest()) == {"ada": "Three"}


def test_order_decides_where_one_of_two_rows_does_not_say_when_it_was_updated(home: Installation) -> None:
    home.land("acme/members/a.csv", "member_id,first_name,updated_at\nada,Dated,2026-05-01\nbob,Dated,2026-05-01\n")
    home.land("acme/members/b.csv", "member_id,first_name\nada,Undated\nbob,Undated\n")
    home.land("acme/members/c.csv", "member_id,first_name,updated_at\nbob,Later,2026-01-01\n")
    assert named(home.ingest()) == {"ada": "Undated", "bob": "Later"}


def test_members_of_equal_bytes_under_a_new_path_are_applied_again(home: Installation) -> None:
    home.land("acme/members/a.csv", "member_id,first_name\nada,One\n")
    home.ingest()
    home.land("acme/members/b.csv", "member_id,first_name\nada,Two\n")
    assert named(home.ingest()) == {"ada": "Two"}
    home.land("acme/members/c.csv", "member_id,first_name\nada,One\n")
    taken = home.ingest()
    assert taken.counts == [(1, 1, 0, 0)]
    assert named(taken) == {"ada": "One"}
    # And a path that goes back to what it held before is new, too.
    home.land("acme/members/b.csv", "member_id,first_name\nada,Three\n")
    home.ingest()
    home.land("acme/members/b.csv", "member_id,first_name\nada,Two\n")
    assert named(home.ingest()) == {"ada": "Two"}


def test_a_member_set_aside_and_read_again_keeps_the_place_of_its_file(home: Installation) -> None:
    late = (datetime.now(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    home.land("acme/members/a.csv", f"member_id,first_name,till\nada,One,1\nbob,{late},1\n")
    home.ingest()
    home.land("acme/members/b.csv", "member_id,first_name\nada,Two\n")
    home.ingest()
    home.configure(ACME.replace('currency = "USD"', 'currency = "USD"\nignore_columns = ["till"]'))
    taken = home.ingest()
    assert taken.counts == [(2, 2, 0, 0)]
    assert named(taken) == {"ada": "Two", "bob": late}


def test_a_batch_set_aside_twice_keeps_the_place_of_its_file(home: Installation) -> None:
    home.land("acme/batches/1.csv", "batch_id,declared_total,till\nb1,1.234,4\n")
    home.land("acme/batches/2.csv", "batch_id,declared_total\nb1,5.00\n")
    home.ingest()
    ignoring = ACME.replace('currency = "USD"', 'currency = "USD"\nignore_columns = ["till"]')
    home.configure(ignoring)
    assert home.ingest().reasons == [(2, "declared_total", "finer_than_any_unit")]
    home.configure(ignoring.replace("USD", "KWD"))
    assert home.ingest().open == []
    with home.opened() as shard:
        assert shard.connection.execute("select declared_total from ledger.batches").fetchall() == [(Decimal(5),)]


# ---- several shards


def test_the_same_files_in_one_shard_or_three_give_the_same_rows(tmp_path: Path) -> None:
    names = ("acme", "bolt", "cord")
    found = []
    for number, shard in enumerate(("main", "s-{}")):
        home = make_home(
            tmp_path / str(number),
            "".join(
                f'[merchants.{name}]\nname = "A"\ntimezone = "UTC"\ncurrency = "USD"\nshard = "{shard.format(name)}"\n'
                for name in names
            ),
        )
        for name in names:
            said = {**ENTRY, "reason": name}
            home.land(f"{name}/entries/a.csv", csv([{**said, "entry_id": "e1"}, {**said, "entry_id": ""}]))
        held = []
        for name in sorted({declared.shard for declared in read_merchants(home.home).values()}):
            with home.opened(name) as opened:
                ingest.ingest(opened, say=home.said.append)
                held += opened.connection.execute(
                    "select * exclude (recorded_at) from ledger.entries order by all"
                ).fetchall()
        found.append(held)
    assert found[0] == found[1]
    assert len(found[0]) == 3
