"""The workbook: its sheets, columns, cells and formulas, read back by readers that know nothing of what wrote it.

How a frame becomes cells is tested with the worksheets; what the numbers should be, with the reports.
"""

import hashlib
import inspect
import os
import re
import subprocess
import sys
import time as clock
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
import python_calamine
from openpyxl.cell import Cell
from openpyxl.utils.escape import unescape
from openpyxl.workbook import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from pipelines import audit_sheets, workbook
from pipelines.settings import BalanceType
from pipelines.workbook import Contents
from tests.audited import audit, store
from tests.conftest import Golden
from tests.ledgers import merchant
from tests.office import convert, stale_formulas
from tests.reported import Report, build, dates, ledger_of, month, report
from tests.story import MERCHANTS, story

SEED = {
    "Credits Created": (
        "credit_id", "type", "user_id", "email", "first_name", "last_name", "amount", "created_at", "created_at_utc",
        "reason", "reason_details", "internal_note", "creator", "is_expired", "expires_at", "amount_remaining",
    ),
    "Credit Redemptions": (
        "redemption_id", "source_credit_id", "source_credit_reason", "source_credit_creator", "source_credit_type",
        "user_id", "email", "first_name", "last_name", "amount", "redeemed_at", "redeemed_at_utc",
    ),
    "Credit Redemption Refunds": (
        "refund_id", "redemption_id", "source_credit_id", "source_credit_reason", "source_credit_creator",
        "source_credit_type", "user_id", "email", "first_name", "last_name", "amount", "refunded_at", "refunded_at_utc",
    ),
    "Credit Expirations": (
        "source_credit_id", "source_credit_reason", "source_credit_creator", "source_credit_type", "user_id", "email",
        "first_name", "last_name", "amount", "expired_at", "expired_at_utc",
    ),
    "Extant Credits": (
        "credit_id", "type", "user_id", "email", "first_name", "last_name", "amount", "created_at", "created_at_utc",
        "reason", "reason_details", "internal_note", "creator", "is_expired", "expires_at", "amount_remaining",
    ),
}  # fmt: skip
OURS = {
    "Credits Created": ("unit", "balance_type", "credit_type", "batch_id", "location"),
    "Credit Redemptions": ("unit", "balance_type"),
    "Credit Redemption Refunds": ("unit", "balance_type"),
    "Credit Expirations": ("unit", "balance_type"),
    "Extant Credits": ("unit", "balance_type", "credit_type", "batch_id", "location"),
    "Credit Adjustments": (
        "movement_id", "movement_type", "source_credit_id", "source_credit_reason", "source_credit_creator",
        "source_credit_type", "user_id", "email", "first_name", "last_name", "amount", "adjusted_at", "adjusted_at_utc",
        "reason", "internal_note", "creator", "unit", "balance_type",
    ),
}  # fmt: skip
SUMMARY = "Summary Statistics"
MOST_ROWS = 1_048_575


@cache
def reported(merchant_id: str) -> Report:
    """The story's June of one merchant."""
    (built,) = build(story(), month(story(), "2026-06", merchant_id=merchant_id))
    return built


def written(contents: Contents, folder: Path, name: str = "book.xlsx", **options: Any) -> Path:
    workbook.write(contents, folder / name, **options)
    return folder / name


@pytest.fixture(scope="module")
def green_acres(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(reported("green-acres").contents, tmp_path_factory.mktemp("green-acres"))


@pytest.fixture(scope="module")
def book(green_acres: Path) -> Workbook:
    """With formulas."""
    return openpyxl.load_workbook(green_acres)


@pytest.fixture(scope="module")
def cached(green_acres: Path) -> Workbook:
    """With the values that formulas came to when the file was written."""
    return openpyxl.load_workbook(green_acres, data_only=True)


def header(sheet: Worksheet) -> tuple[Any, ...]:
    return tuple(cell.value for cell in sheet[1])


def cell_of(sheet: Worksheet, row: int, column: str) -> Cell:
    cell = sheet.cell(row, header(sheet).index(column) + 1)
    assert isinstance(cell, Cell)
    return cell


# Sheets and columns


def test_the_seeds_six_sheets_come_first_in_its_order_and_ours_behind(green_acres: Path, book: Workbook) -> None:
    audits = ["Credits Batches", "Batch Recipients", "Anomaly Flags"]
    expected = [*SEED, SUMMARY, "Credit Adjustments", *audits, "Checks", "About"]
    assert book.sheetnames == expected
    assert python_calamine.load_workbook(str(green_acres)).sheet_names == expected


def test_each_sheet_has_the_seeds_columns_in_its_order_and_ours_to_their_right(
    green_acres: Path, book: Workbook
) -> None:
    calamine = python_calamine.load_workbook(str(green_acres))
    for name, ours in OURS.items():
        expected = (*SEED.get(name, ()), *ours)
        assert header(book[name]) == expected, name
        assert tuple(calamine.get_sheet_by_name(name).to_python()[0]) == expected, name


def test_every_row_is_there_for_both_readers(green_acres: Path, cached: Workbook) -> None:
    calamine = python_calamine.load_workbook(str(green_acres))
    for name, table in workbook.DATA_SHEETS.items():
        frame = reported("green-acres").contents.tables[table].drop("decimals", "position")
        expected = [tuple(map(_in_excel, row)) for row in frame.rows()]
        assert expected, f"the story has nothing for {name}"
        assert list(cached[name].iter_rows(min_row=2, values_only=True)) == expected, name
        by_calamine = calamine.get_sheet_by_name(name).to_python()[1:]
        assert [tuple(map(_as_openpyxl_says, row)) for row in by_calamine] == expected, name


def _in_excel(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value.replace(microsecond=0) if isinstance(value, datetime) else value


def _as_openpyxl_says(value: Any) -> Any:
    """Calamine has "" for a blank, and a date where the time is midnight."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time.min)
    return None if value == "" else value


def test_data_sheets_can_be_filtered_scrolled_and_printed(book: Workbook) -> None:
    for name in workbook.DATA_SHEETS:
        sheet = book[name]
        assert sheet.auto_filter.ref == sheet.dimensions, name
        assert (sheet.freeze_panes, sheet.print_title_rows, sheet.print_title_cols) == ("A2", "$1:$1", "$A:$A"), name
        assert not sheet.merged_cells.ranges, name
        assert (sheet.page_setup.fitToHeight, sheet.page_setup.orientation) == (0, "landscape"), name
        assert sheet.oddFooter.left.text == "&A", name


def test_the_workbook_opens_on_the_summary(book: Workbook) -> None:
    assert book.active is not None
    assert book.active.title == SUMMARY


def test_sheets_without_rows_have_their_header_and_their_total_is_0(tmp_path: Path) -> None:
    path = written(report([]).contents, tmp_path)
    book, cached = openpyxl.load_workbook(path), openpyxl.load_workbook(path, data_only=True)
    for name, ours in OURS.items():
        assert list(book[name].iter_rows(values_only=True)) == [(*SEED.get(name, ()), *ours)], name
    assert [cached[SUMMARY].cell(row, 2).value for row in range(5, 13)] == [0] * 8
    assert cached["Checks"]["B1"].value == "OK"


# Cells


def test_cells_are_what_they_say_they_are(book: Workbook) -> None:
    created = book["Credits Created"]
    ids = [row[0] for row in created.iter_rows(min_row=2, values_only=True)]
    box = 2 + ids.index("ga-box")
    assert cell_of(created, box, "created_at").value == datetime(2026, 6, 3, 9, 5, 10)  # noqa: DTZ001 - local
    assert cell_of(created, box, "created_at_utc").value == datetime(2026, 6, 3, 13, 5, 10)  # noqa: DTZ001 - as shown
    assert cell_of(created, box, "created_at").number_format == "yyyy-mm-dd hh:mm:ss"
    assert cell_of(created, box, "is_expired").value is False
    assert cell_of(created, box, "is_expired").data_type == "b"
    assert (cell_of(created, box, "amount").value, cell_of(created, box, "amount").data_type) == (4.5, "n")
    assert cell_of(created, box, "amount").number_format == "#,##0.00"
    tokens = 2 + ids.index("ga-tokens")
    assert cell_of(created, tokens, "amount").number_format == "#,##0"
    assert cell_of(created, box, "expires_at").value is None
    extant = book["Extant Credits"]
    assert [cell_of(extant, 2, name).value for name in ("credit_id", "user_id")] == ["0000012345", "0007"]
    assert cell_of(extant, 2, "credit_id").data_type == "s"


def test_is_expired_is_excels_true_where_the_credit_has_expired(tmp_path: Path) -> None:
    june = report("""
        entry_id  entry_type  occurred_at       amount  expires_at
        gone      created     2026-06-01T00:00    1.00  2026-06-10T00:00
    """)
    sheet = openpyxl.load_workbook(written(june.contents, tmp_path))["Credits Created"]
    assert (cell_of(sheet, 2, "is_expired").value, cell_of(sheet, 2, "is_expired").data_type) == (True, "b")


HOSTILE = (
    "=cmd|' /C calc'!A0", "+1+1", "-2", "@SUM(A1)", "\t=1", '"quoted", and; separated', "<b>&amp;</b>", "0012", "1e5",
    "TRUE", "2026-06-01", " spaces  kept ", "two\nlines", "für Zoë 🎂 中村 שלום", "_x000D_", "'apostrophe",
    "x" * 40_000,
)  # fmt: skip
HOSTILE_COLUMNS = ("entry_id", "member_id", "reason", "reason_details", "internal_note", "creator_name",
                   "creator_email", "credit_type", "batch_id", "location")  # fmt: skip


def test_hostile_text_is_the_same_text_in_every_text_column_and_never_a_formula(tmp_path: Path) -> None:
    entries: list[dict[str, Any]] = []
    for at, text in enumerate(HOSTILE):
        hostile = dict.fromkeys(HOSTILE_COLUMNS, text)
        moment = {"occurred_at": f"2026-06-02T00:{at:02}", "amount": "9"}
        entries += [
            {**hostile, **moment, "entry_type": "created"},
            {**hostile, **moment, "entry_type": "redeemed", "entry_id": f"{text}2", "amount": "1"},
            {**hostile, **moment, "entry_type": "refunded", "entry_id": f"{text}3", "amount": "1",
             "redemption_id": f"{text}2", "balance_type": "default"},
            {**hostile, **moment, "entry_type": "deducted", "entry_id": f"{text}4", "amount": "1"},
            {**hostile, **moment, "entry_type": "expired", "entry_id": f"{text}5", "amount": "1", "credit_id": text},
        ]  # fmt: skip
    ledger = ledger_of(entries)
    for text in HOSTILE:
        ledger.connection.execute(
            "insert into ledger.members by name select 'acme' as merchant_id, $1 as member_id, $1 as email,"
            " $1 as first_name, $1 as last_name, 'm' as source_file, 2 as source_row, 1 as file_event, 1 as event",
            [text],
        )
    (june,) = build(ledger, month(ledger, "2026-06"))
    path = written(june.contents, tmp_path)
    book, calamine = openpyxl.load_workbook(path), python_calamine.load_workbook(str(path))
    seen: set[str] = set()
    for name, table in workbook.DATA_SHEETS.items():
        frame = june.contents.tables[table]
        sheet, by_calamine = book[name], calamine.get_sheet_by_name(name).to_python()
        for at, column in enumerate(header(sheet)):
            if frame.schema[column] != pl.String:
                continue
            for row, text in enumerate(frame[column], start=2):
                cell = sheet.cell(row, at + 1)
                expected = text if text is None or len(text) < 32_768 else f"{text[:32_759]} … [cut]"
                # Of text in the cell itself openpyxl leaves Excel's escapes as they are.
                read = None if cell.value is None else unescape(str(cell.value))
                assert (read, by_calamine[row - 1][at] or None) == (expected, expected), (name, column)
                assert cell.data_type != "f", (name, column)
                assert cell.quotePrefix == (text is not None and text[0] in "=+-@\t"), (name, column, text)
                seen.add(text)
    assert set(HOSTILE) <= seen
    for sheet in book.worksheets:
        for found in (cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f"):
            ours = ("=ROUND(", "=IF(", "=COUNTA(", '="Errors "&', "='Summary Statistics'!", "='Checks'!")
            assert str(found.value).startswith(ours), found.coordinate


def test_text_from_people_in_the_summary_stays_text_on_one_line(tmp_path: Path) -> None:
    entries = [
        {"entry_id": f"{at}", "entry_type": "created", "occurred_at": "2026-06-02T00:00", "amount": "1", "reason": text}
        for at, text in enumerate(("=1+1", "two\nlines\x07", "z" * 40_000, "\uffff?", "🎂" * 200))
    ]
    farm = merchant(timezone="UTC", name="=HYPERLINK(1)", label="-Farm")
    book = openpyxl.load_workbook(written(report(entries, farm).contents, tmp_path))
    sheet = book[SUMMARY]
    labels = {cell.value: cell for cell in sheet["A"] if cell.value}
    assert {"=1+1", "two lines", f"{'z' * 120} …", "?", f"{'🎂' * 120} …"} <= set(labels)
    assert (labels["=1+1"].data_type, labels["=1+1"].quotePrefix) == ("s", True)
    assert (sheet["A2"].value, sheet["B2"].value, sheet["B2"].data_type) == ("-Farm", "=HYPERLINK(1)", "s")
    assert sheet["B2"].quotePrefix
    assert not labels["Start Date"].quotePrefix


# Summary Statistics


def test_the_seeds_ten_rows_and_ours_stand_in_fixed_cells(book: Workbook, cached: Workbook) -> None:
    assert [book[SUMMARY].cell(row, 1).value for row in range(1, 14)] == [
        "Summary", "Farm", "Start Date", "End Date", "Total Credit Created", "Total Credit Redeemed",
        "Total Credit Redemption Refunded", "Total Credit Expired", "Total Credit Change", "Total Credit Extant",
        "Total Credit Adjusted", "Total Change including adjustments", "As Of",
    ]  # fmt: skip
    day = datetime.fromisoformat
    assert [cached[SUMMARY].cell(row, 2).value for row in range(1, 14)] == [
        "USD", "Green Acres CSA", day("2026-06-01"), day("2026-06-30"), 34.5, 38, 13, 0.5, 9, 37.75, -11.25, -2.25,
        day("2026-07-01"),
    ]  # fmt: skip
    assert [cached[SUMMARY].cell(row, 3).value for row in range(1, 14)] == [
        "TKN", None, None, None, 300, 120, 0, 0, 180, 180, 0, 180, None,
    ]  # fmt: skip


def test_totals_are_live_formulas_over_the_sheets(book: Workbook) -> None:
    def sum_of(name: str, amount: str, unit: str) -> str:
        last = book[name].max_row
        amounts, units = (f"'{name}'!${c}$2" + (f":${c}${last}" if last > 2 else "") for c in (amount, unit))
        return f"=ROUND(SUMIFS({amounts},{units},B$1),2)"

    assert [book[SUMMARY].cell(row, 2).value for row in range(5, 13)] == [
        sum_of("Credits Created", "G", "Q"),
        sum_of("Credit Redemptions", "J", "M"),
        sum_of("Credit Redemption Refunds", "K", "N"),
        sum_of("Credit Expirations", "I", "L"),
        "=ROUND(B5+B7-B6-B8,2)",
        sum_of("Extant Credits", "P", "Q"),
        sum_of("Credit Adjustments", "K", "Q"),
        "=ROUND(B9+B11,2)",
    ]
    assert str(book[SUMMARY]["C5"].value).endswith(",C$1),0)")


def test_cached_totals_are_the_ledgers_own_decimals(cached: Workbook) -> None:
    for column, unit in ((2, "USD"), (3, "TKN")):
        for row, (_, name, _, _) in enumerate(workbook.TOTALS, start=5):
            told = cached[SUMMARY].cell(row, column).value
            assert Decimal(repr(told)) == reported("green-acres").total(name, unit), (name, unit)


def test_totals_have_names(book: Workbook) -> None:
    names = {name: defined.attr_text for name, defined in book.defined_names.items()}
    assert names["TotalCreditCreated"] == "'Summary Statistics'!$B$5"
    assert names["TotalChangeIncludingAdjustments"] == "'Summary Statistics'!$B$12"
    assert names["TotalCreditExtant_TKN"] == "'Summary Statistics'!$C$10"
    assert len(names) == 16


def test_the_merchants_currency_is_in_b_whatever_the_alphabet_says(tmp_path: Path) -> None:
    farm = merchant(
        timezone="UTC", currency="USD", label="Shop",
        balance_types={
            "a": BalanceType(unit="AAA", decimals=3),
            "bonus": BalanceType(unit="USD"),
            **{name: BalanceType(unit=name, decimals=0) for name in ("P_Q", "p-q")},
        },
    )  # fmt: skip
    book = openpyxl.load_workbook(written(report([], farm).contents, tmp_path))
    sheet = book[SUMMARY]
    assert [sheet.cell(1, column).value for column in range(2, 6)] == ["USD", "AAA", "P_Q", "p-q"]
    (types,) = [row for row in range(30, 60) if sheet.cell(row, 1).value == "Balance type"]
    assert [sheet.cell(types, column).value for column in (2, 3, 4)] == ["default (USD)", "bonus (USD)", "a (AAA)"]
    # Excel holds names for the same whatever their case.
    names = [name.casefold() for name in book.defined_names]
    assert "totalcreditcreated_p_q" in names
    assert len({*names}) == len(names)
    assert sheet["A2"].value == "Shop"
    assert sheet["C5"].number_format == "#,##0.000"


def test_an_interim_report_says_so(tmp_path: Path) -> None:
    ledger = ledger_of([])
    interim = "Interim: not a month as of its end. Times are those of UTC."
    for period, note in (
        (month(ledger, "2026-06"), "Times are those of UTC."),
        (month(ledger, "2026-06", as_of="2026-06-15"), interim),
        # The end of a month, but not of this one; and dates that are those of a month, but no month.
        (month(ledger, "2026-06", as_of="2026-07-31"), interim),
        (dates(ledger, "2026-06-01", "2026-06-30", as_of="2026-06-30"), interim),
    ):
        (built,) = build(ledger, period)
        assert openpyxl.load_workbook(written(built.contents, tmp_path))[SUMMARY]["A16"].value == note


def test_there_are_two_native_charts(green_acres: Path) -> None:
    with zipfile.ZipFile(green_acres) as archive:
        charts = {name: archive.read(name).decode() for name in archive.namelist() if "charts/chart" in name}
    assert len(charts) == 2
    texts = [" ".join(re.findall(r"<(?:a:t|c:f)>([^<]*)<", xml)) for xml in charts.values()]
    assert any("Created, redeemed, expired and closing balance, USD" in text for text in texts)
    (reasons,) = [text for text in texts if "Created by reason, USD" in text]
    # Not those of tokens, which come below.
    sheet = openpyxl.load_workbook(green_acres)[SUMMARY]
    (heading,) = [row for row in range(30, sheet.max_row) if sheet.cell(row, 1).value == "By reason, USD"]
    assert f"!$A${heading + 2}:" in reasons


def test_a_merchant_without_new_credit_has_no_chart_of_reasons(tmp_path: Path) -> None:
    path = written(report([]).contents, tmp_path)
    with zipfile.ZipFile(path) as archive:
        assert len([name for name in archive.namelist() if "charts/chart" in name]) == 1


def test_amounts_too_long_for_an_ordinary_column_widen_it(tmp_path: Path) -> None:
    entry = {"entry_id": "e", "entry_type": "created", "occurred_at": "2026-06-01T00:00", "amount": "99999999999999.99"}
    sheet = openpyxl.load_workbook(written(report([entry]).contents, tmp_path))[SUMMARY]
    assert sheet.column_dimensions["B"].width > len("99,999,999,999,999.99")
    (row,) = [row for row in range(30, 60) if sheet.cell(row, 1).value == "Closing balance"]
    assert str(sheet.cell(row, 2).value).startswith("=ROUND(SUM(")


# Batches and flags


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A month with two batches, one declared otherwise, and a draw that nothing covers."""
    june = audit(
        """
        entry_id  entry_type  occurred_at       member_id  amount  batch_id  credit_type  reason
        s1        created     2026-06-01T09:00  ada        10.00   sale      Promotional  Promotion
        s2        created     2026-06-01T09:00  bob        10.00   sale      Promotional  Promotion
        r1        created     2026-06-02T09:00  ada         5.00   route     Refund       Late
        c1        created     2026-06-03T09:00  cy          1.25             Refund       Late
        order     redeemed    2026-06-05T12:00  cy          2.00
    """,
        members="member_id  email\nada        a@a.ex\nbob        b@b.ex\ncy         c@c.ex",
        batches="batch_id  declared_recipients\nsale      3",
    )
    return written(june.contents, tmp_path_factory.mktemp("audited"))


def test_the_batches_stand_below_their_panel_under_the_seeds_columns(audited: Path) -> None:
    sheet = openpyxl.load_workbook(audited, data_only=True)["Credits Batches"]
    labels = {sheet.cell(row, 1).value: row for row in range(sheet.max_row, 0, -1)}
    top = labels["Batch ID"]
    assert [cell.value for cell in sheet[top]][:9] == [
        "Batch ID", "Issue Date", "Issued By", "Credit Type", "Reason", "Recipient Count", "Amount Per Customer",
        "Total Amount", "Status",
    ]  # fmt: skip
    rows = {row[0]: row for row in sheet.iter_rows(min_row=top + 1, values_only=True)}
    assert (rows["sale"][5:9], rows["route"][5:9]) == ((2, 10, 20, "Active"), (1, 5, 5, "Active"))
    panel = {label: sheet.cell(row, 2).value for label, row in labels.items() if label and row < top}
    assert panel["Batches issued in the period"] == "USD"
    assert (panel["Total credits issued"], panel["Total customers affected"]) == (25, 2)
    assert panel["Average credit amount"] == 8.33
    assert (panel["Promotional"], panel["Refund"], panel["Total"]) == (20, 5, 26.25)
    assert sheet.auto_filter.ref == f"A{top}:AF{top + 2}"


def test_the_panels_totals_are_formulas_over_the_batches_below(audited: Path) -> None:
    sheet = openpyxl.load_workbook(audited)["Credits Batches"]
    labels = {sheet.cell(row, 1).value: row for row in range(1, sheet.max_row + 1)}
    issued = str(sheet.cell(labels["Total credits issued"], 2).value)
    assert issued.startswith("=ROUND(SUMIFS('Credits Batches'!$H$")
    assert ",B$1," in issued
    assert str(sheet.cell(labels["Total"], 2).value).startswith("=ROUND(SUM(B")


def test_flags_lead_to_the_rows_that_are_their_evidence(audited: Path) -> None:
    book = openpyxl.load_workbook(audited)
    flags = book["Anomaly Flags"]
    names = header(flags)
    assert names[:4] == ("rule", "severity", "explanation", "evidence")
    seen = {}
    for row in range(2, flags.max_row + 1):
        rule, evidence = flags.cell(row, 1).value, flags.cell(row, 4)
        assert evidence.hyperlink is not None, rule
        sheet, _, cell = str(evidence.hyperlink.location).partition("!")
        seen[rule] = book[sheet.strip("'")][cell].value
        assert str(evidence.value) == f"{sheet.strip(chr(39))}, row {cell[1:]}"
    assert seen == {"batch_count_mismatch": "sale", "uncovered_draw": "order.1"}
    rules = [rule for cells in flags.conditional_formatting for rule in cells.rules]
    assert [rule.formula for rule in rules if rule.formula][:3] == [['"error"'], ['"warning"'], ['"info"']]


def test_links_lead_to_the_right_sheet_where_the_evidence_continues_on_a_second_one(tmp_path: Path) -> None:
    entries = "entry_id  entry_type  occurred_at       amount\n" + "\n".join(
        f"c{place}        created     2026-06-0{place}T12:00  {place}.00" for place in range(1, 6)
    )
    book = openpyxl.load_workbook(written(audit(entries).contents, tmp_path, rows_per_sheet=2))
    links = []
    for name in [name for name in book.sheetnames if name.startswith("Anomaly Flags")]:
        for row in range(2, book[name].max_row + 1):
            evidence = book[name].cell(row, 4)
            if book[name].cell(row, 1).value == "missing_reason":
                assert evidence.hyperlink is not None
                links.append(evidence.hyperlink.location)
    assert sorted(map(str, links)) == [
        "'Credits Created (2)'!A2", "'Credits Created (2)'!A3", "'Credits Created (3)'!A2", "'Credits Created'!A2",
        "'Credits Created'!A3",
    ]  # fmt: skip


def test_no_more_links_than_excel_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_sheets, "MOST_LINKS", 1)
    entries = "entry_id  entry_type  occurred_at       amount\na         created     2026-06-01T12:00  1.00"
    flags = openpyxl.load_workbook(
        written(audit(f"{entries}\n{entries.splitlines()[1].replace('a', 'b', 1)}").contents, tmp_path)
    )
    cells = [flags["Anomaly Flags"].cell(row, 4) for row in (2, 3)]
    assert [cell.hyperlink is not None for cell in cells] == [True, False]
    assert all(str(cell.value).startswith("Credits Created, row") for cell in cells)


def test_the_summary_says_how_many_flags_there_are_and_whether_something_is_missing(tmp_path: Path) -> None:
    june = audit(
        "entry_id  entry_type  occurred_at       amount\nb         redeemed    2026-06-01T12:00  1.00",
        store(complete_through="entries"),
    )
    path = written(june.contents, tmp_path)
    summary = openpyxl.load_workbook(path, data_only=True)[SUMMARY]
    assert (summary["A15"].value, summary["B15"].value) == ("Anomaly Flags", "Errors 2, warnings 1, info 0")
    said = "Incomplete: the newest row of entries is dated 2026-06-01 12:00; one dated 2026-07-01 or later says that"
    assert summary["A17"].value == f"{said} 2026-06-30 is over."
    assert openpyxl.load_workbook(path)["Checks"]["A2"].value == summary["A17"].value
    assert str(openpyxl.load_workbook(path)[SUMMARY]["B15"].value).startswith('="Errors "&(COUNTIF(')


# Long sheets


def test_a_sheet_continues_on_the_next_and_totals_span_both(tmp_path: Path) -> None:
    contents = reported("green-acres").contents
    path = written(contents, tmp_path, rows_per_sheet=2)
    book, cached = openpyxl.load_workbook(path), openpyxl.load_workbook(path, data_only=True)
    created = [name for name in book.sheetnames if name.startswith("Credits Created")]
    assert created == ["Credits Created", "Credits Created (2)", "Credits Created (3)"]
    assert [book[name].max_row for name in created] == [3, 3, 2]
    assert {header(book[name]) for name in created} == {(*SEED["Credits Created"], *OURS["Credits Created"])}
    assert book.sheetnames.index(SUMMARY) < book.sheetnames.index("Credit Adjustments")
    assert str(book[SUMMARY]["B5"].value) == (
        "=ROUND(SUMIFS('Credits Created'!$G$2:$G$3,'Credits Created'!$Q$2:$Q$3,B$1)"
        "+SUMIFS('Credits Created (2)'!$G$2:$G$3,'Credits Created (2)'!$Q$2:$Q$3,B$1)"
        "+SUMIFS('Credits Created (3)'!$G$2,'Credits Created (3)'!$Q$2,B$1),2)"
    )
    assert cached[SUMMARY]["B5"].value == 34.5
    rows = [row[0] for name in created for row in book[name].iter_rows(min_row=2, values_only=True)]
    assert rows == contents["credits_created"]["credit_id"].to_list()


def test_a_sheet_holds_as_many_rows_as_excel_has() -> None:
    assert inspect.signature(workbook.write).parameters["rows_per_sheet"].default == MOST_ROWS


# Checks and About


def test_one_cell_says_whether_everything_ties(book: Workbook, cached: Workbook) -> None:
    checks = cached["Checks"]
    assert (checks["A1"].value, checks["B1"].value, cached[SUMMARY]["B14"].value) == ("All checks", "OK", "OK")
    rows = list(checks.iter_rows(min_row=4, values_only=True))
    contents = reported("green-acres").contents
    assert len(rows) == contents["checks"].height + contents.tables["audits.checks"].height
    assert {row[6] for row in rows} == {"OK"}
    assert {row[5] for row in rows} == {0}
    last = 3 + len(rows)
    assert book["Checks"]["B1"].value == f'=IF(COUNTIF($G$4:$G${last},"OK")=ROWS($G$4:$G${last}),"OK","NOT OK")'
    assert book["Checks"]["E4"].value == "='Summary Statistics'!$B$5"
    assert book["Checks"]["F4"].value == "=ROUND(C4-E4,2)"
    assert book["Checks"]["G4"].value == '=IF(F4=0,"OK","NOT OK")'


def test_what_does_not_tie_is_not_ok_here_and_on_the_summary(tmp_path: Path) -> None:
    contents = reported("green-acres").contents
    off = contents["checks"].with_columns(
        ties=pl.col("position") != 7,
        amount=pl.when(pl.col("position") == 7).then(pl.col("amount") + 1).otherwise("amount").cast(pl.Decimal(18, 4)),
        difference=pl.when(pl.col("position") == 7).then(1).otherwise(0).cast(pl.Decimal(18, 4)),
    )
    path = written(replace(contents, tables={**contents.tables, "reports.checks": off}), tmp_path)
    cached = openpyxl.load_workbook(path, data_only=True)
    assert cached["Checks"]["B1"].value == cached[SUMMARY]["B14"].value == "NOT OK"
    assert [row[6] for row in cached["Checks"].iter_rows(min_row=4, values_only=True)].count("NOT OK") == 2


def test_about_tells_every_sheet_and_every_column(book: Workbook) -> None:
    told = {row[:2]: row[2] for row in book["About"].iter_rows(min_row=2, values_only=True)}
    for sheet in book.sheetnames:
        assert told[sheet, None], sheet
    for sheet in workbook.DATA_SHEETS:
        for column in header(book[sheet]):
            assert told[sheet, column], (sheet, column)
    for row in range(5, 14):
        assert told[SUMMARY, book[SUMMARY].cell(row, 1).value], row


def test_about_tells_policies_and_what_the_numbers_rest_on(book: Workbook) -> None:
    told = {row[:2]: row[2] for row in book["About"].iter_rows(min_row=2, values_only=True)}
    (behind,) = reported("green-acres")["provenance"]
    assert told["This workbook", "As of"] == "2026-07-01 04:00:00 UTC"
    assert told["This workbook", "Entries behind it"] == str(behind["entries"])
    assert told["This workbook", "Hash over their content"] == behind["entries_hash"]
    assert told["This workbook", "Movements behind it"] == str(behind["movements"])
    assert told["This workbook", "Findings in the period"] == str(behind["findings"])
    assert told["This workbook", "Rows of files set aside"] == "0"
    assert told["Policies in force", "Draw order"] == "expiring_first"
    assert told["Policies in force", "Balance type winston"] == "TKN, 0 decimals"


def test_about_tells_nothing_of_when_or_by_what_it_was_loaded(green_acres: Path) -> None:
    with zipfile.ZipFile(green_acres) as archive:
        everything = b" ".join(archive.read(name) for name in archive.namelist()).decode()
    assert "2030-01-01" not in everything  # recorded_at of every entry
    assert "newest_recorded_at" not in everything


# The same contents, the same bytes


def test_the_same_contents_are_the_same_bytes_wherever_and_whenever_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = set()
    for folder, timezone in (("a", "UTC"), ("elsewhere", "Pacific/Apia")):
        monkeypatch.setenv("TZ", timezone)
        clock.tzset()
        (tmp_path / folder).mkdir()
        path = written(reported("green-acres").contents, tmp_path / folder, f"{folder}.xlsx")
        hashes.add(hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.undo()
    clock.tzset()
    # Starting another process takes longer than the two seconds that a zip file tells apart.
    environment = {**os.environ, "TZ": "America/Havana", "PYTHONHASHSEED": "7", "LC_ALL": "C"}
    code = (
        "import sys, pathlib; from tests.test_workbook import reported, written;"
        f"written(reported('green-acres').contents, pathlib.Path({str(tmp_path)!r}), 'other-process.xlsx')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=Path(__file__).parents[1])
    hashes.add(hashlib.sha256((tmp_path / "other-process.xlsx").read_bytes()).hexdigest())
    assert len(hashes) == 1


# Goldens


@pytest.mark.parametrize("merchant_id", [one.id for one in MERCHANTS])
def test_the_storys_june_is_the_golden_workbook(merchant_id: str, tmp_path: Path, golden: Golden) -> None:
    path = written(reported(merchant_id).contents, tmp_path)
    golden(f"credits-{merchant_id}-2026-06.txt", as_text(path))


def test_the_storys_free_dates_are_the_golden_workbook(tmp_path: Path, golden: Golden) -> None:
    (built,) = build(story(), dates(story(), "2026-05-12", "2026-06-11", as_of="2026-06-22T08:30:00"))
    golden("credits-green-acres-2026-05-12_2026-06-11@20260622T123000Z.txt", as_text(written(built.contents, tmp_path)))


def as_text(path: Path) -> str:
    """Every sheet and every cell: its value, and before it the formula whose cached value it is."""
    cached, lines = openpyxl.load_workbook(path, data_only=True), []
    for sheet in openpyxl.load_workbook(path).worksheets:
        lines.append(f"==== {sheet.title}")
        for row in sheet.iter_rows():
            cells = [_cell_as_text(cell, cached[sheet.title][cell.coordinate].value) for cell in row]
            while cells and not cells[-1]:
                cells.pop()
            lines.append(" | ".join(cells).rstrip())
        lines.append("")
    return "\n".join(lines)


def _cell_as_text(cell: Any, cached: Any) -> str:
    if cached is None:
        return ""
    if isinstance(cached, bool):
        shown = str(cached).upper()
    elif isinstance(cached, datetime):
        shown = f"{cached:%Y-%m-%d %H:%M:%S}"
    elif isinstance(cached, int | float):
        decimals = re.sub(r"[^0]", "", cell.number_format.partition(".")[2])
        shown = f"{cached:,.{len(decimals)}f}"
        assert float(shown.replace(",", "")) == cached, f"{cell.coordinate} shows {shown} for {cached}"
    else:
        shown = str(cached).replace("\\", "\\\\").replace("\n", "\\n").replace("|", "\\|")
    return f"{cell.value} → {shown}" if cell.data_type == "f" else shown


# LibreOffice


@pytest.fixture(scope="module")
def long_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sheets that continue, two units, an overdraft."""
    return written(reported("green-acres").contents, tmp_path_factory.mktemp("long"), rows_per_sheet=2)


@pytest.mark.office
def test_formulas_come_to_their_cached_values_when_calculated_anew(
    green_acres: Path, long_book: Path, tmp_path: Path
) -> None:
    for name, path in (("whole", green_acres), ("continued", long_book)):
        assert stale_formulas(path, tmp_path / name) == {}


@pytest.mark.office
def test_a_wrong_cached_value_is_noticed(green_acres: Path, tmp_path: Path) -> None:
    path = corrupted(green_acres, tmp_path / "corrupted.xlsx", {"B5": "34.51"})
    assert openpyxl.load_workbook(path, data_only=True)[SUMMARY]["B5"].value == 34.51
    assert stale_formulas(path, tmp_path) == {"Summary Statistics!B5": (34.51, 34.5)}


@pytest.mark.office
def test_an_amount_changed_by_hand_shows_in_the_checks(green_acres: Path, tmp_path: Path) -> None:
    book = openpyxl.load_workbook(green_acres)
    cell_of(book["Credits Created"], 2, "amount").value = 110
    book.save(tmp_path / "edited.xlsx")
    calculated = openpyxl.load_workbook(
        convert(tmp_path / "edited.xlsx", "xlsx", tmp_path, recalculate=True), data_only=True
    )
    assert calculated[SUMMARY]["B5"].value == 134.5
    assert calculated["Checks"]["B1"].value == calculated[SUMMARY]["B14"].value == "NOT OK"
    assert [cell.value for cell in calculated["Checks"][4]][4:] == [134.5, -100, "NOT OK"]


@pytest.mark.office
def test_it_prints_as_pdf_with_all_its_sheets(green_acres: Path, tmp_path: Path) -> None:
    pdf = convert(green_acres, "pdf", tmp_path)
    text = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
    for sheet in (*OURS, SUMMARY, "Checks", "About"):
        assert sheet in text, sheet
    for shown in ("Total Credit Extant", "37.75", "Roll-forward, by balance type", "Green Acres CSA", "0000012345"):
        assert shown in text, shown
    assert "###" not in text, "a column is too narrow for what is in it"


def corrupted(path: Path, into: Path, values: Mapping[str, str]) -> Path:
    """A copy whose summary has other cached values."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as copy:
        for item in source.infolist():
            content = source.read(item)
            if item.filename == "xl/worksheets/sheet6.xml":
                xml = content.decode()
                for cell, value in values.items():
                    xml, found = re.subn(rf'(<c r="{cell}"[^>]*><f>[^<]*</f><v>)[^<]*', rf"\g<1>{value}", xml)
                    assert found == 1, cell
                content = xml.encode()
            copy.writestr(item, content)
    return into
