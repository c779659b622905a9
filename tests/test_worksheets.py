"""Worksheets: a frame goes in, and two readers that know nothing of us, and LibreOffice, find it in the file.

What the sheets of the real workbook hold is tested with the workbook, not here.
"""

import csv
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
import python_calamine
import xlsxwriter

from pipelines import worksheets
from pipelines.worksheets import CUT_MARK, Column, FrameSheet, FrameWorkbook

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"

COLUMNS = [
    Column("credit_id", "text"),
    Column("reason", "text"),
    Column("amount", "amount", decimals_from="decimals"),
    Column("created_at", "datetime"),
    Column("good_through", "date"),
    Column("is_expired", "boolean"),
    Column("part", "integer"),
]


local = datetime.fromisoformat  # without an offset: the merchant's clock


def credits_of(rows: int) -> pl.DataFrame:
    """Credits of many kinds: plain and odd text, three units, a blank in every column now and then."""
    reasons = ["Goodwill", "Late & <cold>", None, "=cmd|' /C calc'!A0", " two  spaces ", "für Zoë 🎂", "a\nb"]
    at = list(range(rows))
    return pl.DataFrame({
        "credit_id": [f"{n:013d}" for n in at],
        "reason": [reasons[n % len(reasons)] for n in at],
        "amount": [None if n % 11 == 10 else Decimal(n * 7919) / 10_000 for n in at],
        "decimals": [(2, 0, 4)[n % 3] for n in at],
        "created_at": [None if n % 13 == 12 else local("2026-06-01T00:00:01") + timedelta(seconds=n * 977) for n in at],
        "good_through": [None if n % 5 == 4 else date(2024, 2, 29) + timedelta(days=n) for n in at],
        "is_expired": [(True, False, None)[n % 3] for n in at],
        "part": [None if n % 17 == 16 else n - 3 for n in at],
    }, schema={
        "credit_id": pl.String,
        "reason": pl.String,
        "amount": pl.Decimal(18, 4),
        "decimals": pl.Int16,
        "created_at": pl.Datetime("us"),
        "good_through": pl.Date,
        "is_expired": pl.Boolean,
        "part": pl.Int64,
    })  # fmt: skip


def write(path: Path, frame: pl.DataFrame, columns: Sequence[Column], **options: Any) -> list[FrameSheet]:
    with FrameWorkbook(path) as book:
        return book.add_frame("Credits Created", frame, columns, **options)


def write_texts(path: Path, *texts: str | None) -> None:
    write(path, pl.DataFrame({"reason": texts}, schema={"reason": pl.String}), [Column("reason", "text")])


def parts(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def sheet_xml(path: Path, number: int = 1) -> str:
    return parts(path)[f"xl/worksheets/sheet{number}.xml"]


def cell_xml(path: Path, reference: str) -> ET.Element | None:
    root = ET.fromstring(sheet_xml(path))  # noqa: S314 - our own file
    return root.find(f".//{MAIN}c[@r='{reference}']")


def value_xml(path: Path, reference: str) -> str:
    cell = cell_xml(path, reference)
    assert cell is not None, f"{reference} is blank"
    return "".join(cell.itertext())


def by_openpyxl(path: Path, sheet: str = "Credits Created") -> list[tuple[Any, ...]]:
    return list(openpyxl.load_workbook(path, data_only=True)[sheet].iter_rows(values_only=True))


def by_calamine(path: Path, sheet: str = "Credits Created") -> list[list[Any]]:
    rows = python_calamine.load_workbook(str(path)).get_sheet_by_name(sheet).to_python()
    return [list(row) for row in rows]


def expected(frame: pl.DataFrame, columns: Sequence[Column], blank: Any) -> list[list[Any]]:
    """The sheet's rows as a reader of Excel files has them: numbers are floats, empty text is a blank."""
    names = [column.name for column in columns]
    rows = [
        [blank if value in (None, "") else float(value) if isinstance(value, Decimal) else value for value in row]
        for row in frame.select(names).rows()
    ]
    return [names, *rows]


# Every cell, by two readers


def test_every_cell_is_read_back_by_two_readers_as_it_is_in_the_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worksheets, "SLICE_ROWS", 64)
    frame = pl.concat([credits_of(1000).head(333), credits_of(1000).tail(667)], rechunk=False)
    write(tmp_path / "book.xlsx", frame, COLUMNS)

    read = [list(row) for row in by_openpyxl(tmp_path / "book.xlsx")]
    for row in read[1:]:
        row[4] = row[4] and row[4].date()  # openpyxl has datetimes only
    assert read == expected(frame, COLUMNS, blank=None)
    assert by_calamine(tmp_path / "book.xlsx") == expected(frame, COLUMNS, blank="")


def test_the_parts_are_what_plain_xlsxwriter_writes_cell_by_cell(tmp_path: Path) -> None:
    frame = pl.DataFrame({
        "credit_id": ["=1", "0002", "three & more"],
        "amount": pl.Series([Decimal("1234.5"), Decimal("-0.25"), Decimal(7)], dtype=pl.Decimal(18, 4)),
        "decimals": [2, 2, 2],
        "created_at": [local(f"2026-06-0{day}T{6 * day:02}:00") for day in (1, 2, 3)],
        "good_through": [date(2026, 6, 30), date(2024, 2, 29), date(9999, 12, 31)],
        "is_expired": [True, False, True],
        "part": [1, 2, -3],
    })  # fmt: skip
    columns = [column for column in COLUMNS if column.name != "reason"]
    write(tmp_path / "ours.xlsx", frame, columns)

    with xlsxwriter.Workbook(tmp_path / "plain.xlsx") as book:
        book.set_properties({"created": datetime(2000, 1, 1, tzinfo=UTC)})
        sheet = book.add_worksheet("Credits Created")
        header = book.add_format({"bold": True, "bg_color": "#EDEDED", "bottom": 1, "bottom_color": "#A6A6A6"})
        quoted = book.add_format({"quote_prefix": True})
        money = book.add_format({"num_format": "#,##0.00", "align": "right", "indent": 1})
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss", "align": "left"})
        day = book.add_format({"num_format": "yyyy-mm-dd", "align": "left"})
        for at, (column, width) in enumerate(zip(columns, [14, 11, 19, 16, 14, 8], strict=True)):
            sheet.write_string(0, at, column.name, header)
            sheet.set_column(at, at, width)
        for at, (credit_id, amount, _, created_at, good_through, is_expired, part) in enumerate(frame.rows(), start=1):
            sheet.write_string(at, 0, credit_id, quoted if credit_id.startswith("=") else None)
            sheet.write_number(at, 1, float(amount), money)
            sheet.write_datetime(at, 2, created_at, moment)
            sheet.write_datetime(at, 3, good_through, day)
            sheet.write_boolean(at, 4, is_expired)
            sheet.write_number(at, 5, part)
        sheet.autofilter(0, 0, 3, 5)
        sheet.freeze_panes(1, 0)
        sheet.repeat_rows(0)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        sheet.ignore_errors({"number_stored_as_text": "A2:A4"})

    ours, plain = parts(tmp_path / "ours.xlsx"), parts(tmp_path / "plain.xlsx")
    sheet_part, strings_part = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
    assert list(ours) == list(plain)
    for name in ours.keys() - {sheet_part, strings_part}:
        assert ours[name] == plain[name], name
    rows = re.compile("<sheetData>.*</sheetData>", re.DOTALL)
    assert rows.sub("", ours[sheet_part]) == rows.sub("", plain[sheet_part])
    assert cells(ours) == cells(plain)


def cells(book: dict[str, str]) -> list[tuple[str | None, str | None, str, str]]:
    """Reference, style, type and value of each cell; a shared and an inline string are the same."""
    shared = [
        "".join(item.itertext())
        for item in ET.fromstring(book["xl/sharedStrings.xml"])  # noqa: S314 - our own file
    ]
    found = []
    for cell in ET.fromstring(book["xl/worksheets/sheet1.xml"]).iter(f"{MAIN}c"):  # noqa: S314 - our own file
        kind, value = cell.get("t", "n"), "".join(cell.itertext())
        if kind == "s":
            kind, value = "inlineStr", shared[int(value)]
        found.append((cell.get("r"), cell.get("s"), kind, value))
    return found


def test_each_row_and_cell_says_where_it_is(tmp_path: Path) -> None:
    write(tmp_path / "book.xlsx", credits_of(3), COLUMNS)
    root = ET.fromstring(sheet_xml(tmp_path / "book.xlsx"))  # noqa: S314 - our own file
    for number, row in enumerate(root.iter(f"{MAIN}row"), start=1):
        assert row.get("r") == str(number)
        assert all(re.fullmatch(rf"[A-G]{number}", cell.get("r", "")) for cell in row)


def test_a_column_may_have_any_name(tmp_path: Path) -> None:
    names = ["row", "A", "B", "A decimals", "self", "", "len", "=1", 'Zoë\'s "<&>"']
    frame = pl.DataFrame({name: [f"value of {name}"] for name in names})
    write(tmp_path / "book.xlsx", frame, [Column(name, "text") for name in reversed(names)])
    header, row = by_calamine(tmp_path / "book.xlsx")
    assert header == names[::-1]
    assert row == [f"value of {name}" for name in reversed(names)]


def test_columns_past_z_have_two_letters(tmp_path: Path) -> None:
    names = [f"column {n}" for n in range(60)]
    frame = pl.DataFrame({name: [at, -at] for at, name in enumerate(names)})
    (sheet,) = write(tmp_path / "book.xlsx", frame, [Column(name, "integer") for name in names])
    assert by_calamine(tmp_path / "book.xlsx")[1] == list(range(60))
    assert sheet.range_of("column 59") == "'Credits Created'!$BH$2:$BH$3"


# Text


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "1 < 2 > 0 & so on",
        "]]>",
        "<![CDATA[x]]>",
        "&amp; &lt; &#65;",
        """ "double" and 'single' """,
        " leading",
        "trailing ",
        "two  spaces",
        "\tx\t",
        "line\nbreak",
        "line\r\nbreak\r",
        "\n",
        " ",
        "\u00a0no-break\u00a0",
        "line\u2028separator \u0085",
        "שלום, עליכם (123)",
        "\u202eright to left\u202c",
        "السلام عليكم",
        "e\u0301 and é, Z\u0338\u0327\u030a",
        "👩‍👩‍👧‍👦 🏳️‍🌈 🇦🇶 𝒳",
        "日本語のテキスト",
        "\ufffd \ufdd0 \U0001fffe",
        "\ufeffmark",
        "\x7f\x80\x9f",
        "#REF!",
        "TRUE",
    ],
)
def test_text_survives(tmp_path: Path, text: str) -> None:
    write_texts(tmp_path / "book.xlsx", text, f"{text}|", f"|{text}")
    assert [row[0] for row in by_openpyxl(tmp_path / "book.xlsx")] == ["reason", text, f"{text}|", f"|{text}"]
    assert [row[0] for row in by_calamine(tmp_path / "book.xlsx")] == ["reason", text, f"{text}|", f"|{text}"]


@pytest.mark.parametrize("text", ["_x000D_", "_x000d_", "a_x0041_x0042_b", "_x005F_", "__x0009__", "_xABCD", "_x00_"])
def test_text_that_looks_like_an_escape_of_excels_survives(tmp_path: Path, text: str) -> None:
    write_texts(tmp_path / "book.xlsx", text)
    written = value_xml(tmp_path / "book.xlsx", "A2")
    assert re.sub("_x([0-9A-Fa-f]{4})_", lambda escape: chr(int(escape[1], 16)), written) == text
    assert by_calamine(tmp_path / "book.xlsx")[1] == [text]


def test_characters_that_xml_cannot_hold_are_left_out(tmp_path: Path) -> None:
    forbidden = "".join(map(chr, [*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF]))
    write_texts(tmp_path / "book.xlsx", f"be{forbidden}fore", forbidden, "after")
    assert [row[0] for row in by_openpyxl(tmp_path / "book.xlsx")] == ["reason", "before", None, "after"]
    assert [row[0] for row in by_calamine(tmp_path / "book.xlsx")] == ["reason", "before", "", "after"]


def test_null_and_empty_text_are_blank_cells(tmp_path: Path) -> None:
    write_texts(tmp_path / "book.xlsx", None, "", "x")
    assert cell_xml(tmp_path / "book.xlsx", "A2") is None
    assert cell_xml(tmp_path / "book.xlsx", "A3") is None
    assert [row[0] for row in by_openpyxl(tmp_path / "book.xlsx")] == ["reason", None, None, "x"]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x","y")', "-", "\x00=1", "\x1f@x"]
)
def test_text_that_looks_like_a_formula_stays_text_with_the_quote_prefix(tmp_path: Path, text: str) -> None:
    write_texts(tmp_path / "book.xlsx", "harmless", text)
    sheet = openpyxl.load_workbook(tmp_path / "book.xlsx")["Credits Created"]
    assert sheet["A3"].value == text.lstrip("\x00\x1f")
    assert sheet["A3"].data_type in ("s", "inlineStr")
    assert sheet["A3"].quotePrefix
    assert not sheet["A2"].quotePrefix
    assert "<f>" not in sheet_xml(tmp_path / "book.xlsx")


def test_a_sentence_reads_from_the_left_whatever_name_it_begins_with(tmp_path: Path) -> None:
    said = ["משה לוי, an employee, was credited 15.05 USD.", "ليلى, an employee, was credited 9.00 USD.", "=1, too"]
    frame = pl.DataFrame({"explanation": said})
    write(tmp_path / "book.xlsx", frame, [Column("explanation", "text", wraps_at=20)])
    sheet = openpyxl.load_workbook(tmp_path / "book.xlsx")["Credits Created"]
    for row in (2, 3, 4):
        alignment = sheet.cell(row, 1).alignment
        assert (alignment.horizontal, alignment.readingOrder, alignment.wrap_text) == ("left", 1, True)


def test_ids_that_look_like_numbers_stay_text(tmp_path: Path) -> None:
    ids = ["1200000000000", "0000123", "1.2E+12", "1e5", "0x1F", "2026-06-30", "12345678901234567890"]
    write_texts(tmp_path / "book.xlsx", *ids)
    assert [row[0] for row in by_openpyxl(tmp_path / "book.xlsx")[1:]] == ids
    assert [row[0] for row in by_calamine(tmp_path / "book.xlsx")[1:]] == ids
    # And without Excel's green corner on each.
    assert '<ignoredError sqref="A2:A8" numberStoredAsText="1"/>' in sheet_xml(tmp_path / "book.xlsx")


def test_text_longer_than_a_cell_holds_is_cut_with_a_mark(tmp_path: Path) -> None:
    write_texts(tmp_path / "book.xlsx", "x" * 32_767, "x" * 32_768, "&" * 40_000, "\x00" + "y" * 32_767)
    for read in (by_openpyxl, by_calamine):
        full, cut, escaped, cleaned = (row[0] for row in read(tmp_path / "book.xlsx")[1:])
        assert full == "x" * 32_767
        assert cut == "x" * (32_767 - len(CUT_MARK)) + CUT_MARK
        assert escaped == "&" * (32_767 - len(CUT_MARK)) + CUT_MARK
        assert cleaned == "y" * 32_767


def test_length_is_counted_as_excel_counts_it_and_no_emoji_is_cut_in_half(tmp_path: Path) -> None:
    write_texts(tmp_path / "book.xlsx", "😀" * 16_383, "😀" * 16_384, "x" + "😀" * 16_384, "é" * 32_767)
    for read in (by_openpyxl, by_calamine):
        full, even, uneven, accented = (row[0] for row in read(tmp_path / "book.xlsx")[1:])
        assert full == "😀" * 16_383
        assert accented == "é" * 32_767
        for text in (even, uneven):
            assert re.fullmatch("x?(😀)+", text.removesuffix(CUT_MARK))
            assert text.endswith(CUT_MARK)
            assert 32_765 <= len(text.encode("utf-16-le")) // 2 <= 32_767


# Amounts, times, truth


def test_amounts_are_written_digit_for_digit(tmp_path: Path) -> None:
    amounts = ["12345678901234.5678", "-99999999999999.9999", "0.0001", "-0.5", "12.50", "100", "0", "1000000"]
    frame = pl.DataFrame({"amount": pl.Series([Decimal(text) for text in amounts], dtype=pl.Decimal(18, 4))})
    write(tmp_path / "book.xlsx", frame, [Column("amount", "amount")])
    written = [value_xml(tmp_path / "book.xlsx", f"A{row}") for row in range(2, 2 + len(amounts))]
    assert written == ["12345678901234.5678", "-99999999999999.9999", "0.0001", "-0.5", "12.5", "100", "0", "1000000"]


def test_an_amount_is_shown_with_the_decimals_of_its_rows_unit(tmp_path: Path) -> None:
    frame = pl.DataFrame({
        "amount": pl.Series([Decimal("1234.5")] * 6, dtype=pl.Decimal(18, 4)),
        "decimals": [0, 2, 4, 3, 1, None],
    })  # fmt: skip
    write(tmp_path / "book.xlsx", frame, [Column("amount", "amount", decimals_from="decimals")])
    sheet = openpyxl.load_workbook(tmp_path / "book.xlsx")["Credits Created"]
    shown = [sheet.cell(row, 1).number_format for row in range(2, 8)]
    assert shown == ["#,##0", "#,##0.00", "#,##0.0000", "#,##0.000", "#,##0.0", "#,##0.00##"]


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (local("2026-05-31T23:59:59.999999"), local("2026-05-31T23:59:59")),
        (local("2026-06-01"), local("2026-06-01")),
        (local("2024-02-29T12:00:00.500000"), local("2024-02-29T12:00:00")),
        (local("1970-01-01T00:00:00.000001"), local("1970-01-01")),
        (local("9999-12-31T23:59:59.999999"), local("9999-12-31T23:59:59")),
    ],
)
def test_a_moment_is_shown_as_its_second_never_the_next(tmp_path: Path, moment: datetime, shown: datetime) -> None:
    frame = pl.DataFrame({"created_at": [moment]})
    write(tmp_path / "book.xlsx", frame, [Column("created_at", "datetime")])
    assert by_openpyxl(tmp_path / "book.xlsx")[1] == (shown,)
    (read,) = by_calamine(tmp_path / "book.xlsx")[1]
    assert read == (shown if shown.time() != time() else shown.date())  # calamine shows midnight as its day
    serial = Decimal(value_xml(tmp_path / "book.xlsx", "A2"))
    seconds = (shown - local("1899-12-30")) // timedelta(seconds=1)
    assert abs(serial * 86_400 - seconds) < Decimal("0.0001")


def test_every_second_of_a_day_is_that_second(tmp_path: Path) -> None:
    day = pl.datetime_range(local("2026-06-01"), local("2026-06-01T23:59:59"), "1s", time_unit="us", eager=True)
    write(tmp_path / "book.xlsx", day.alias("at").to_frame(), [Column("at", "datetime")])
    midnight, *read = [row[0] for row in by_calamine(tmp_path / "book.xlsx")[1:]]
    assert midnight == date(2026, 6, 1)
    assert read == day.to_list()[1:]


def test_times_and_dates_are_shown_as_such(tmp_path: Path) -> None:
    write(tmp_path / "book.xlsx", credits_of(1), COLUMNS)
    sheet = openpyxl.load_workbook(tmp_path / "book.xlsx")["Credits Created"]
    assert sheet["D2"].number_format == "yyyy-mm-dd hh:mm:ss"
    assert sheet["E2"].number_format == "yyyy-mm-dd"


def test_booleans_are_excels_own(tmp_path: Path) -> None:
    write(tmp_path / "book.xlsx", pl.DataFrame({"ok": [True, None, False]}), [Column("ok", "boolean")])
    assert '<c r="A2" t="b"><v>1</v></c>' in sheet_xml(tmp_path / "book.xlsx")
    assert [row[0] for row in by_openpyxl(tmp_path / "book.xlsx")] == ["ok", True, None, False]


@pytest.mark.parametrize(
    ("values", "column", "problem"),
    [
        (pl.Series("x", ["12.50"]), Column("x", "amount"), "'x' is String, not amount"),
        (pl.Series("x", [12.5]), Column("x", "amount"), "'x' is Float64, not amount"),
        (pl.Series("x", [1]), Column("x", "text"), "'x' is Int64, not text"),
        (pl.Series("x", [datetime(2026, 6, 1, tzinfo=UTC)]), Column("x", "datetime"), "not datetime"),
        (pl.Series("x", [date(2026, 6, 1)]), Column("x", "datetime"), "'x' is Date, not datetime"),
        (pl.Series("x", [1]), Column("x", "boolean"), "'x' is Int64, not boolean"),
    ],
)
def test_a_column_that_is_not_of_its_kind_is_refused(
    tmp_path: Path, values: pl.Series, column: Column, problem: str
) -> None:
    with pytest.raises(TypeError, match=problem):
        write(tmp_path / "book.xlsx", values.to_frame(), [column])


def test_what_excel_cannot_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'x' has 1850-01-01; Excel's dates are"):
        write(tmp_path / "book.xlsx", pl.DataFrame({"x": [date(1850, 1, 1)]}), [Column("x", "date")])
    frame = pl.DataFrame({"x": pl.Series([Decimal(1)], dtype=pl.Decimal(18, 4)), "d": [7]})
    with pytest.raises(ValueError, match=r"'d' has \[7\]; decimals are 0 to 4"):
        write(tmp_path / "book.xlsx", frame, [Column("x", "amount", decimals_from="d")])


# The sheet around the rows


def test_a_sheet_can_be_read_filtered_and_printed(tmp_path: Path) -> None:
    write(tmp_path / "book.xlsx", credits_of(20), COLUMNS)
    sheet = openpyxl.load_workbook(tmp_path / "book.xlsx")["Credits Created"]
    assert sheet.dimensions == "A1:G21"
    assert sheet["A1"].font.bold
    assert sheet["A1"].fill.fgColor.rgb == "FFEDEDED"
    assert not sheet["A2"].font.bold
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:G21"
    assert sheet.print_title_rows == "$1:$1"
    assert sheet.page_setup.orientation == "landscape"
    assert sheet.sheet_properties.pageSetUpPr.fitToPage
    assert sheet.page_setup.fitToHeight == 0


def test_columns_are_as_wide_as_their_content_within_reason(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "id": ["1"],
            "rule": ["unknown_member"],
            "reason": ["r" * 30],
            "reason_details": ["d" * 200],
            "a_rather_long_header": ["x"],
        }
    )
    write(tmp_path / "book.xlsx", frame, [Column(name, "text") for name in frame.columns])
    sheet = openpyxl.load_workbook(tmp_path / "book.xlsx")["Credits Created"]
    assert [int(sheet.column_dimensions[letter].width) for letter in "ABCDE"] == [8, 17, 35, 48, 24]


def test_a_frame_with_no_rows_still_has_its_header(tmp_path: Path) -> None:
    (sheet,) = write(tmp_path / "book.xlsx", credits_of(0), COLUMNS)
    names = [column.name for column in COLUMNS]
    assert [list(row) for row in by_openpyxl(tmp_path / "book.xlsx")] == [names]
    assert by_calamine(tmp_path / "book.xlsx") == [names]
    assert '<autoFilter ref="A1:G1"/>' in sheet_xml(tmp_path / "book.xlsx")
    assert (sheet.rows, sheet.range_of("amount")) == (0, "'Credits Created'!$C$2")


def test_a_panel_stands_above_the_table(tmp_path: Path) -> None:
    frame = credits_of(4)
    with FrameWorkbook(tmp_path / "book.xlsx") as book:
        (sheet,) = book.add_frame("Credits Batches", frame, COLUMNS, first_row=3)
        # After the frame was added, and lowest first: the rows are in order all the same.
        sheet.worksheet.write_formula("B2", f"=SUM({sheet.range_of('amount')})", None, 4.7514)
        sheet.worksheet.write_string("A1", "Batch")
    rows = [re.search('r="([0-9]+)"', row) for row in re.findall("<row [^>]*>", sheet_xml(tmp_path / "book.xlsx"))]
    assert [row and row[1] for row in rows] == ["1", "2", "4", "5", "6", "7", "8"]
    read = by_openpyxl(tmp_path / "book.xlsx", "Credits Batches")
    assert read[0][0] == "Batch"
    assert read[1][1] == 4.7514
    assert list(read[3]) == [column.name for column in COLUMNS]
    assert [row[0] for row in read[4:]] == frame["credit_id"].to_list()
    assert (sheet.first_row, sheet.last_row) == (5, 8)
    book = openpyxl.load_workbook(tmp_path / "book.xlsx")
    assert book["Credits Batches"].auto_filter.ref == "A4:G8"
    assert book["Credits Batches"].print_title_rows == "$4:$4"
    assert book["Credits Batches"].freeze_panes == "A5"


def test_cells_below_the_header_are_refused(tmp_path: Path) -> None:
    book = FrameWorkbook(tmp_path / "book.xlsx")
    (sheet,) = book.add_frame("Credits Created", credits_of(4), COLUMNS)
    sheet.worksheet.write_string("A9", "Total")
    with pytest.raises(
        ValueError, match="'Credits Created': something was written to row 9, but below the header in row 1"
    ):
        book.close()
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_on_a_sheet_continues_on_the_next(tmp_path: Path) -> None:
    frame = credits_of(25)
    with FrameWorkbook(tmp_path / "book.xlsx") as book:
        sheets = book.add_frame("Credits Created", frame, COLUMNS, rows_per_sheet=10)
        summary = book.add_worksheet("Summary")
        summary.write_formula("A1", "=" + "+".join(f"SUM({sheet.range_of('amount')})" for sheet in sheets), None, 1)
    assert [sheet.worksheet.name for sheet in sheets] == [
        "Credits Created",
        "Credits Created (2)",
        "Credits Created (3)",
    ]
    assert [(sheet.rows, sheet.first_row, sheet.last_row) for sheet in sheets] == [(10, 2, 11), (10, 2, 11), (5, 2, 6)]
    assert sheets[2].range_of("amount") == "'Credits Created (3)'!$C$2:$C$6"
    names, *rows = expected(frame, COLUMNS, blank="")
    for number, sheet in enumerate(sheets):
        assert by_calamine(tmp_path / "book.xlsx", sheet.worksheet.name) == [
            names,
            *rows[number * 10 : number * 10 + 10],
        ]


def test_a_full_sheet_has_no_continuation(tmp_path: Path) -> None:
    assert len(write(tmp_path / "book.xlsx", credits_of(10), COLUMNS, rows_per_sheet=10)) == 1


def test_a_panel_leaves_fewer_rows_to_its_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worksheets, "SHEET_ROWS", 10)
    sheets = write(tmp_path / "book.xlsx", credits_of(15), COLUMNS, first_row=4)
    assert [(sheet.first_row, sheet.last_row) for sheet in sheets] == [(6, 10), (2, 10), (2, 2)]


def test_a_long_name_makes_room_for_its_number(tmp_path: Path) -> None:
    with FrameWorkbook(tmp_path / "book.xlsx") as book:
        sheets = book.add_frame("A name of thirty-one characters", credits_of(3), COLUMNS, rows_per_sheet=2)
    assert [sheet.worksheet.name for sheet in sheets] == [
        "A name of thirty-one characters",
        "A name of thirty-one charac (2)",
    ]


# The workbook


def everything(path: Path) -> None:
    """A workbook of frames and of all that XlsxWriter does beside them."""
    with FrameWorkbook(path) as book:
        book.set_properties({"title": "Credits"})
        summary = book.add_worksheet("Summary Statistics")
        (created,) = book.add_frame("Credits Created", credits_of(50), COLUMNS)
        book.add_frame("Credit Redemptions", credits_of(0), COLUMNS)
        total = sum(amount for amount in credits_of(50)["amount"] if amount is not None)
        bold = book.add_format({"bold": True, "num_format": "#,##0.00"})
        summary.write_string("A1", "Total Credit Created", bold)
        summary.write_formula("B1", f"=SUM({created.range_of('amount')})", bold, float(total))
        summary.write("A2", "=1+1")
        book.define_name("total_credit_created", "='Summary Statistics'!$B$1")
        chart = book.add_chart({"type": "column"})
        chart.add_series({"values": "='Summary Statistics'!$B$1:$B$1", "name": "created"})
        summary.insert_chart("D2", chart)


def test_frames_and_ordinary_sheets_share_a_workbook(tmp_path: Path) -> None:
    everything(tmp_path / "book.xlsx")
    book = openpyxl.load_workbook(tmp_path / "book.xlsx")
    assert book.sheetnames == ["Summary Statistics", "Credits Created", "Credit Redemptions"]
    assert book["Summary Statistics"]["B1"].value == "=SUM('Credits Created'!$C$2:$C$51)"
    assert book["Summary Statistics"]["B1"].number_format == "#,##0.00"
    assert book.defined_names["total_credit_created"].value == "'Summary Statistics'!$B$1"
    assert len(book["Summary Statistics"]._charts) == 1
    assert book["Credits Created"]["C2"].number_format == "#,##0.00"
    assert by_openpyxl(tmp_path / "book.xlsx", "Summary Statistics")[0][1] == 886.1361
    assert by_calamine(tmp_path / "book.xlsx") == expected(credits_of(50), COLUMNS, blank="")


def test_write_never_makes_a_formula_of_text(tmp_path: Path) -> None:
    everything(tmp_path / "book.xlsx")
    assert openpyxl.load_workbook(tmp_path / "book.xlsx")["Summary Statistics"]["A2"].data_type == "s"


def test_the_same_content_is_the_same_bytes_wherever_and_whenever_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    everything(tmp_path / "book.xlsx")
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setattr(worksheets, "DEFLATE_THREADS", 5)
    everything(tmp_path / "elsewhere" / "another name.xlsx")
    assert (tmp_path / "book.xlsx").read_bytes() == (tmp_path / "elsewhere" / "another name.xlsx").read_bytes()
    with zipfile.ZipFile(tmp_path / "book.xlsx") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    core = parts(tmp_path / "book.xlsx")["docProps/core.xml"]
    assert set(re.findall("[0-9]{4}-[0-9]{2}-[0-9T:]+Z", core)) == {"2000-01-01T00:00:00Z"}
    assert "Credits" in core


def test_an_error_leaves_the_workbook_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "book.xlsx").write_text("the former one")

    def fail() -> None:
        with FrameWorkbook(tmp_path / "book.xlsx") as book:
            book.add_frame("Credits Created", credits_of(3), COLUMNS)
            raise LookupError("half way")

    with pytest.raises(LookupError):
        fail()
    assert [file.name for file in tmp_path.iterdir()] == ["book.xlsx"]
    assert (tmp_path / "book.xlsx").read_text() == "the former one"


def test_a_failure_while_writing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(worksheets.FrameWorksheet, "_slice", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "book.xlsx", credits_of(3), COLUMNS)
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_might_be_over_two_gigabytes_is_read_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worksheets, "ZIP64_LIMIT", 1000)
    frame = credits_of(30)
    write(tmp_path / "book.xlsx", frame, COLUMNS)
    assert by_calamine(tmp_path / "book.xlsx") == expected(frame, COLUMNS, blank="")
    assert len(by_openpyxl(tmp_path / "book.xlsx")) == 31


# LibreOffice


def by_libreoffice(path: Path, kind: str, folder: Path) -> list[Path]:
    """The files that LibreOffice makes of the workbook; each run has a profile of its own."""
    program = shutil.which("soffice")
    assert program, "LibreOffice is not installed: apt-get install libreoffice-calc"
    profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    made = folder / kind.partition(":")[0]
    result = subprocess.run(
        [program, profile, "--headless", "--convert-to", kind, "--outdir", made, path],
        capture_output=True, text=True, timeout=180, check=True,
    )  # fmt: skip
    assert "rror" not in result.stdout + result.stderr, result.stdout + result.stderr
    return sorted(made.iterdir())


# Comma, double quote, UTF-8, from line 1, and (the last) every sheet into a file of its own.
CSV = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1"


@pytest.mark.office
def test_libreoffice_shows_every_cell_of_the_frame(tmp_path: Path) -> None:
    frame = credits_of(200).with_columns(
        reason=pl.when(pl.col("part") == 7).then(pl.lit("_x000D_ שלום 👩‍👩‍👧 ]]>")).otherwise("reason")
    )
    with FrameWorkbook(tmp_path / "book.xlsx") as book:
        book.add_frame("Credits Created", frame, COLUMNS, rows_per_sheet=150)
        book.add_frame("Empty", frame.clear(), COLUMNS)
    second, first, empty = by_libreoffice(tmp_path / "book.xlsx", CSV, tmp_path)
    assert (first.name, second.name) == ("book-Credits Created.csv", "book-Credits Created (2).csv")
    assert empty.read_text(encoding="utf-8").strip() == ",".join(column.name for column in COLUMNS)
    shown = []
    for file in (first, second):
        with file.open(encoding="utf-8", newline="") as lines:
            shown += list(csv.reader(lines))[1:]
    assert len(shown) == 200
    for row, read in zip(frame.select(column.name for column in COLUMNS).rows(), shown, strict=True):
        credit_id, reason, amount, created_at, good_through, is_expired, part = row
        assert read[:2] == [credit_id, reason or ""]
        assert (Decimal(read[2].replace(",", "")) if read[2] else None) == amount
        assert read[3] == (f"{created_at}" if created_at else "")
        assert read[4] == (f"{good_through}" if good_through else "")
        assert read[5] == ("" if is_expired is None else str(is_expired).upper())
        assert read[6] == ("" if part is None else str(part))


@pytest.mark.office
def test_libreoffice_prints_the_whole_workbook(tmp_path: Path) -> None:
    everything(tmp_path / "book.xlsx")
    (pdf,) = by_libreoffice(tmp_path / "book.xlsx", "pdf", tmp_path)
    assert pdf.read_bytes().startswith(b"%PDF")
    assert pdf.stat().st_size > 10_000


@pytest.mark.office
def test_libreoffice_shows_the_second_before_midnight_on_its_own_day(tmp_path: Path) -> None:
    moments = [local("2026-05-31T23:59:59.999999"), local("9999-12-31T23:59:59.999999")]
    write(tmp_path / "book.xlsx", pl.DataFrame({"at": moments}), [Column("at", "datetime")])
    (file,) = by_libreoffice(tmp_path / "book.xlsx", CSV, tmp_path)
    assert file.read_text().split("\n")[1:3] == ["2026-05-31 23:59:59", "9999-12-31 23:59:59"]
