"""The workbook: which sheets it has, in which order, and what stands where on those that are no plain table.

Every total is a live formula over the rows of the data sheets, with the ledger's own exact figure as its cached
value: two computations that a reader can hold against each other. The numbers themselves come from sql/reports.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from xlsxwriter.utility import xl_col_to_name, xl_rowcol_to_cell
from xlsxwriter.worksheet import Worksheet

from pipelines import audit_sheets, clock, reports
from pipelines.periods import ONE_DAY, Period
from pipelines.settings import DEFAULT_BALANCE_TYPE
from pipelines.sheets import (
    ALERT,
    BAD,
    CENTERED,
    DAY,
    FOOTER,
    GOOD,
    HEADER,
    HEADER_RIGHT,
    HEADING,
    INDENTED,
    MONTH,
    NOT_SHOWN,
    NOTE,
    PLAIN,
    RIGHT,
    STRONG,
    TIME,
    TOTAL,
    Look,
    Styles,
    columns_of,
)  # fmt: skip
from pipelines.worksheets import SHEET_ROWS, Column, FrameSheet, FrameWorkbook
from schemas.table import descriptions

MEANING_WIDTH = 100
SUMMARY, CHECKS, ABOUT = "Summary Statistics", "Checks", "About"
# The seed's sheets, then ours. The summary and what stands behind the data sheets is laid out below.
DATA_SHEETS = {
    "Credits Created": "reports.credits_created",
    "Credit Redemptions": "reports.credit_redemptions",
    "Credit Redemption Refunds": "reports.credit_redemption_refunds",
    "Credit Expirations": "reports.credit_expirations",
    "Extant Credits": "reports.extant_credits",
    "Credit Adjustments": "reports.credit_adjustments",
}
ADJUSTMENTS = "Credit Adjustments"
TOTALS = (
    # label, defined name, column of reports.summary_statistics, sheet and column that it sums
    ("Total Credit Created", "total_credit_created", "Credits Created", "amount"),
    ("Total Credit Redeemed", "total_credit_redeemed", "Credit Redemptions", "amount"),
    ("Total Credit Redemption Refunded", "total_credit_redemption_refunded", "Credit Redemption Refunds", "amount"),
    ("Total Credit Expired", "total_credit_expired", "Credit Expirations", "amount"),
    ("Total Credit Change", "total_credit_change", None, "=ROUND({c}5+{c}7-{c}6-{c}8,{d})"),
    ("Total Credit Extant", "total_credit_extant", "Extant Credits", "amount_remaining"),
    ("Total Credit Adjusted", "total_credit_adjusted", ADJUSTMENTS, "amount"),
    ("Total Change including adjustments", "total_change_including_adjustments", None, "=ROUND({c}9+{c}11,{d})"),
)
FIRST_TOTAL_ROW = 4
AS_OF_ROW = FIRST_TOTAL_ROW + len(TOTALS)
CHARTS_ROW, CHARTS_HEIGHT_ROWS, ROW_PIXELS = AS_OF_ROW + 5, 14, 20
ROLL_FORWARD = (
    ("Opening balance", "opening_balance"),
    ("Opening entries", "opening_entries"),
    ("Created", "created"),
    ("Refunded", "refunded"),
    ("Transferred in", "transferred_in"),
    ("Redeemed", "redeemed"),
    ("Expired", "expired"),
    ("Deducted", "deducted"),
    ("Reversed", "reversed"),
    ("Transferred out", "transferred_out"),
)
DIMENSIONS = ("reason", "credit_type", "balance_type", "creator")
BREAKDOWN_COLUMNS = ("opening_balance", "created", "redeemed", "refunded", "expired", "adjusted", "closing_balance")
TREND_COLUMNS = {"created": "#5B9BD5", "redeemed": "#ED7D31", "expired": "#A5A5A5", "closing_balance": "#1F4E78"}
CHART_REASONS = 12
COLUMNS_ON_A_PAGE = 12
LABEL_WIDTH, FIRST_AMOUNT_WIDTH, AMOUNT_WIDTH = 40, 20, 15
SUMMARY_MEANINGS = {
    "": "The period and its totals, as formulas over the sheets, a column for each unit; below, what explains them.",
    "Total Credit Created": "Sum of amount in Credits Created.",
    "Total Credit Redeemed": "Sum of amount in Credit Redemptions.",
    "Total Credit Redemption Refunded": "Sum of amount in Credit Redemption Refunds.",
    "Total Credit Expired": "Sum of amount in Credit Expirations.",
    "Total Credit Change": "Created + Redemption Refunded - Redeemed - Expired.",
    "Total Credit Extant": "Sum of amount_remaining in Extant Credits: what is left at as of, not at the period's end.",
    "Total Credit Adjusted": "Sum of amount in Credit Adjustments, opening entries and transfers included.",
    "Total Change including adjustments": "Total Credit Change + Total Credit Adjusted.",
    "Anomaly Flags": "How many there are on Anomaly Flags, by severity.",
    "As Of": "The moment at which amount_remaining, expires_at, is_expired and Extant Credits are stated.",
    "Roll-forward": "Opening balance and every kind of movement, those that reduce it with a minus, add up to closing.",
    "Opening balance as published": "Closing balance of the month before in its first workbook; with what came late,"
    " after it, it comes to the opening balance, restated. Told where something did.",
    "Overdrawn": "Drawn without a credit to cover it: rows of Credit Redemptions or Adjustments without source credit.",
    "Ageing": "What is left, by local days from issue to as of.",
    "Expiry schedule": "What is left, by local days from as of to expiry.",
    "Twelve months": "Up to the period's last month; of a month that as of cuts short, what came before as of.",
    "By reason, credit type, …": "The roll-forward by origin of the credit; (none) where it says nothing.",
}


@dataclass(frozen=True)
class Contents:
    """All that a workbook says, as frames by table name."""

    period: Period
    tables: Mapping[str, pl.DataFrame]

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self.tables[f"reports.{name}"]


def contents_of(connection: duckdb.DuckDBPyConnection, period: Period) -> Contents:
    """Read what the report tables hold of `period`."""
    return Contents(
        period,
        {name: reports.read(connection, name, period.merchant.id, period.name) for name in reports.names()},
    )


def incomplete(contents: Contents) -> str | None:
    """That the period's data has not all arrived, in a sentence; None where it has, or nobody wants it checked."""
    (said,) = contents["completeness"].iter_rows(named=True)
    if said["is_complete"]:
        return None
    period, dataset = contents.period, said["complete_through"]
    wanted = f"one dated {period.last_day + ONE_DAY} or later says that {period.last_day} is over"
    if said["reached_at"] is None:
        return f"Incomplete: no row of {dataset} has arrived; {wanted}."
    newest = clock.local_from_utc(said["reached_at"], period.merchant.timezone)
    return f"Incomplete: the newest row of {dataset} is dated {newest:%Y-%m-%d %H:%M}; {wanted}."


def write(contents: Contents, path: Path, *, rows_per_sheet: int = SHEET_ROWS - 1) -> None:
    """Write the workbook to `path`, whole or not at all. The same contents always give the same bytes.

    A data sheet with more than `rows_per_sheet` rows continues on a second one.
    """
    with FrameWorkbook(path) as book:
        book.set_properties({"title": f"Credit report of {contents.period.merchant.name}, {contents.period.name}"})
        data: dict[str, list[FrameSheet]] = {}
        summary = None
        for name, table in DATA_SHEETS.items():
            if name == ADJUSTMENTS:
                summary = book.add_worksheet(SUMMARY)
            data[name] = book.add_frame(
                name, contents.tables[table], columns_of(reports.promise_of(table)), rows_per_sheet=rows_per_sheet
            )
            for part in data[name]:
                # On paper one page would hold these columns only in letters too small to read.
                part.worksheet.fit_to_pages(1 + (len(part.columns) > COLUMNS_ON_A_PAGE), 0)
                part.worksheet.repeat_columns(0)
                part.worksheet.set_footer(FOOTER)
        assert summary is not None
        styles = Styles(book)
        data |= audit_sheets.add(book, styles, contents.tables, data, rows_per_sheet)
        _Summary(book, summary, styles, contents, data).write()
        _write_checks(book, styles, contents, data)
        _write_about(book, contents)
        summary.activate()


AMOUNTS_AXIS: Look = {
    "num_format": "#,##0",
    "num_font": {"size": 8},
    "major_gridlines": {"visible": True, "line": {"color": "#E0E0E0"}},
}


class _Summary:
    """Summary Statistics: the seed's ten rows on top, in fixed cells, and below what explains them."""

    def __init__(
        self,
        book: FrameWorkbook,
        sheet: Worksheet,
        styles: Styles,
        contents: Contents,
        data: Mapping[str, Sequence[FrameSheet]],
    ) -> None:
        self.book, self.sheet, self.styles, self.contents, self.data = book, sheet, styles, contents, data
        self.totals = _currency_first(contents["summary_statistics"])
        self.decimals = dict(self.totals.select("unit", "decimals").iter_rows())
        self.row = 0

    def write(self) -> None:
        sheet, width = self.sheet, self._amount_width()
        columns = max(2 * len(self.decimals), self.contents["roll_forward"].height, len(BREAKDOWN_COLUMNS))
        sheet.set_column(0, 0, LABEL_WIDTH)
        sheet.set_column(1, columns, width)
        # Also for the time of As Of.
        first_width = max(width, FIRST_AMOUNT_WIDTH)
        sheet.set_column(1, 1, first_width)
        self._write_totals()
        self.row = CHARTS_ROW + CHARTS_HEIGHT_ROWS
        self._write_roll_forward()
        self._write_buckets("Ageing of extant credit, by days since it was issued", "ageing")
        self._write_buckets("Expiry schedule of extant credit, by days until it expires", "expiry_schedule")
        trend = self._write_trend()
        reasons = self._write_breakdowns()
        # Side by side, as wide as the widest table below.
        widths = (LABEL_WIDTH, first_width, *[width] * (len(BREAKDOWN_COLUMNS) - 1))
        chart_pixels = (sum(each * 7 + 5 for each in widths) - 10) // 2
        charts = [self._trend_chart(*trend), *([self._reasons_chart(*reasons)] if reasons else [])]
        for at, chart in enumerate(charts):
            chart.set_size({"width": chart_pixels, "height": (CHARTS_HEIGHT_ROWS - 1) * ROW_PIXELS})
            sheet.insert_chart(CHARTS_ROW, 0, chart, {"x_offset": at * (chart_pixels + 10)})
        sheet.fit_to_pages(1, 0)
        sheet.hide_gridlines(2)
        sheet.set_footer(FOOTER)

    def _amount_width(self) -> int:
        """Of all columns of amounts: that of the longest, should there be one that an ordinary column cannot show."""
        amounts = [
            frame[column.name].abs().max()
            for frame in (self.contents[name] for name in ("roll_forward", "breakdowns", "trend"))
            for column in frame.iter_columns()
            if isinstance(column.dtype, pl.Decimal)
        ]
        longest = max((amount for amount in amounts if isinstance(amount, Decimal)), default=Decimal(0))
        return max(AMOUNT_WIDTH, len(f"-{longest:,.{max(self.decimals.values())}f} "))

    def _write_totals(self) -> None:
        period, sheet, styles = self.contents.period, self.sheet, self.styles
        styles.write(sheet, 0, 0, "Summary", HEADER)
        for at, label in enumerate((period.merchant.label, "Start Date", "End Date"), start=1):
            styles.write(sheet, at, 0, label)
        for offset, (label, _, _, _) in enumerate(TOTALS):
            styles.write(sheet, FIRST_TOTAL_ROW + offset, 0, label)
        styles.write(sheet, AS_OF_ROW, 0, "As Of")
        styles.write(sheet, AS_OF_ROW + 1, 0, "All checks")
        styles.write(sheet, AS_OF_ROW + 2, 0, audit_sheets.FLAGS)
        # A long name would be cut on the left by its label.
        name_look = RIGHT if len(period.merchant.name) < FIRST_AMOUNT_WIDTH else PLAIN
        styles.write(sheet, 1, 1, period.merchant.name, name_look)
        sheet.write_datetime(2, 1, period.first_day, styles(DAY))
        sheet.write_datetime(3, 1, period.last_day, styles(DAY))
        as_of = clock.local_from_utc(period.as_of, period.merchant.timezone)
        sheet.write_datetime(AS_OF_ROW, 1, as_of, styles(TIME))
        said = "OK" if _checks(self.contents)["ties"].all() else "NOT OK"
        sheet.write_formula(AS_OF_ROW + 1, 1, f"='{CHECKS}'!$B$1", styles(GOOD if said == "OK" else BAD), said)
        formula, counts = audit_sheets.counts_by_severity(self.contents.tables, self.data[audit_sheets.FLAGS])
        sheet.write_formula(
            AS_OF_ROW + 2, 1, formula, styles(RIGHT if len(counts) < FIRST_AMOUNT_WIDTH else PLAIN), counts
        )
        interim = "" if period.is_final else "Interim: not a month as of its end. "
        styles.write(sheet, AS_OF_ROW + 3, 0, f"{interim}Times are those of {period.merchant.timezone}.", NOTE)
        if missing := incomplete(self.contents):
            sheet.write_string(AS_OF_ROW + 4, 0, missing, styles(ALERT))  # whole, which a label may not be
        names: set[str] = set()
        for column, total in enumerate(self.totals.iter_rows(named=True), start=1):
            unit, decimals, letter = total["unit"], total["decimals"], xl_col_to_name(column)
            styles.write(sheet, 0, column, unit, HEADER_RIGHT)
            for offset, (_, name, summed, of) in enumerate(TOTALS):
                formula = of.format(c=letter, d=decimals) if summed is None else self._sum(summed, of, letter, decimals)
                row = FIRST_TOTAL_ROW + offset
                sheet.write_formula(row, column, formula, styles.amount(decimals), _number(total[name]))
                defined = "".join(word.title() for word in name.split("_"))
                if column > 1:
                    defined += "_" + re.sub(r"\W", "_", unit, flags=re.ASCII)
                # Two units may be alike but for what a name cannot have; the first keeps it.
                if defined.casefold() not in names:
                    names.add(defined.casefold())
                    self.book.define_name(defined, f"='{SUMMARY}'!${letter}${row + 1}")

    def _sum(self, sheet_name: str, column: str, letter: str, decimals: int) -> str:
        terms = "+".join(
            f"SUMIFS({part.range_of(column)},{part.range_of('unit')},{letter}$1)" for part in self.data[sheet_name]
        )
        return f"=ROUND({terms},{decimals})"

    def _write_roll_forward(self) -> None:
        lines = self.contents["roll_forward"].sort(
            # The merchant's currency first, as everywhere, and in it the default balance type.
            pl.col("unit").replace_strict({unit: at for at, unit in enumerate(self.decimals)}),
            pl.col("balance_type") != DEFAULT_BALANCE_TYPE,
            "balance_type",
        )
        self._heading("Roll-forward, by balance type")
        top = self.row
        self._label("Balance type", HEADER)
        late = self._late_entries()
        if late:
            for label in ("Opening balance as published", "Late entries"):
                self._label(label, INDENTED)
        for label, _ in ROLL_FORWARD:
            self._label("Opening balance, restated" if late and label == ROLL_FORWARD[0][0] else label)
        closing = self.row
        self._label("Closing balance", STRONG)
        for label in ("Movements after the period, until as of", "Extant", "Overdrawn"):
            self._label(label)
        self._label("Difference (must be 0)", STRONG)
        for column, line in enumerate(lines.iter_rows(named=True), start=1):
            decimals = line["decimals"]
            amount = self.styles.amount(decimals)
            title = f"{line['balance_type']} ({line['unit']})"
            self.styles.write(self.sheet, top, column, title, HEADER_RIGHT)
            opening = top + 1
            if late:
                for offset, was in enumerate(late[line["balance_type"]]):
                    self.sheet.write_number(opening + offset, column, _number(was), amount)
                opening += 2
            for offset, (_, name) in enumerate(ROLL_FORWARD):
                self.sheet.write_number(opening + offset, column, _number(line[name]), amount)
            if late:
                restated = f"{xl_rowcol_to_cell(top + 1, column)}:{xl_rowcol_to_cell(top + 2, column)}"
                formula = f"=ROUND(SUM({restated}),{decimals})"
                self.sheet.write_formula(opening, column, formula, amount, _number(line["opening_balance"]))
            self._total(opening, closing - 1, column, decimals, line["closing_balance"])
            for offset, name in enumerate(("after_period", "extant", "overdrawn"), start=1):
                self.sheet.write_number(closing + offset, column, _number(line[name]), amount)
            cells = [xl_rowcol_to_cell(closing + offset, column) for offset in range(4)]
            self.sheet.write_formula(
                closing + 4,
                column,
                f"=ROUND({cells[0]}+{cells[1]}-{cells[2]}+{cells[3]},{decimals})",
                self.styles.amount(decimals, TOTAL),
                _number(line["difference"]),
            )
        self.row += 1

    def _late_entries(self) -> dict[str, tuple[Decimal, Decimal]]:
        """By balance type the opening balance as published, and what came late; empty where nothing did."""
        openings = self.contents["opening_balances"]
        if not (openings["late_entries"] != 0).any():
            return {}
        return {row["balance_type"]: (row["opening_as_published"], row["late_entries"]) for row in openings.to_dicts()}

    def _write_buckets(self, title: str, table: str) -> None:
        self._heading(title)
        rows = self.contents[table]
        top = self.row
        self._label("Days", HEADER)
        for bucket in rows.filter(pl.col("unit") == self.totals["unit"][0])["bucket"]:
            self._label(bucket)
        for at, (unit, decimals) in enumerate(self.decimals.items()):
            column = 1 + 2 * at
            self.styles.write(self.sheet, top, column, unit, HEADER_RIGHT)
            self.styles.write(self.sheet, top, column + 1, "Credits", HEADER_RIGHT)
            mine = rows.filter(pl.col("unit") == unit)
            for offset, (amount, credits) in enumerate(mine.select("amount", "credits").iter_rows(), start=1):
                self.sheet.write_number(top + offset, column, _number(amount), self.styles.amount(decimals))
                self.sheet.write_number(top + offset, column + 1, credits, self.styles.amount(0))
            self._total(top + 1, self.row - 1, column, decimals, mine["amount"].sum())
            self._total(top + 1, self.row - 1, column + 1, 0, mine["credits"].sum())
        self._label("Total", STRONG)
        self.row += 1

    def _write_trend(self) -> tuple[int, int]:
        """The twelve months; the first and the last of their rows, of the merchant's currency."""
        placed = []
        for unit, decimals in self.decimals.items():
            self._heading(f"Twelve months, {unit}")
            self._headers(("month", *TREND_COLUMNS))
            first = self.row
            for month in self.contents["trend"].filter(pl.col("unit") == unit).sort("month").iter_rows(named=True):
                self.sheet.write_datetime(self.row, 0, month["month"], self.styles(MONTH))
                for column, name in enumerate(TREND_COLUMNS, start=1):
                    self.sheet.write_number(self.row, column, _number(month[name]), self.styles.amount(decimals))
                self.row += 1
            placed.append((first, self.row - 1))
            self.row += 1
        return placed[0]

    def _write_breakdowns(self) -> tuple[int, int] | None:
        """The totals by origin; of those by reason the first and last row for the chart, in the merchant's currency."""
        charted = None
        for dimension in DIMENSIONS:
            for at, (unit, decimals) in enumerate(self.decimals.items()):
                values = self.contents["breakdowns"].filter(
                    (pl.col("unit") == unit) & (pl.col("dimension") == dimension)
                )
                if values.is_empty():
                    continue
                values = values.sort(["created", "value"], descending=[True, False])
                self._heading(f"By {dimension.replace('_', ' ')}, {unit}")
                self._headers((dimension, *BREAKDOWN_COLUMNS))
                first = self.row
                for value in values.iter_rows(named=True):
                    for column, name in enumerate(BREAKDOWN_COLUMNS, start=1):
                        self.sheet.write_number(self.row, column, _number(value[name]), self.styles.amount(decimals))
                    self._label(value["value"])
                for column, name in enumerate(BREAKDOWN_COLUMNS, start=1):
                    self._total(first, self.row - 1, column, decimals, values[name].sum())
                self._label("Total", STRONG)
                created = values.filter(pl.col("created") > 0).height
                if dimension == DIMENSIONS[0] and at == 0 and created:
                    charted = (first, first + min(created, CHART_REASONS) - 1)
                self.row += 1
        return charted

    def _trend_chart(self, first: int, last: int) -> Any:
        columns, line = self.book.add_chart({"type": "column"}), self.book.add_chart({"type": "line"})
        for column, (name, color) in enumerate(TREND_COLUMNS.items(), start=1):
            (line if name == "closing_balance" else columns).add_series(
                {
                    "name": _title(name),
                    "categories": [SUMMARY, first, 0, last, 0],
                    "values": [SUMMARY, first, column, last, column],
                    "fill": {"color": color},
                    "line": {"color": color, "width": 2.25} if name == "closing_balance" else {"none": True},
                }
            )
        columns.combine(line)
        columns.set_title(self._title_of("Created, redeemed, expired and closing balance"))
        columns.set_y_axis(AMOUNTS_AXIS)
        columns.set_x_axis({"num_format": "mmm yy", "text_axis": True, "num_font": {"size": 8}})
        columns.set_legend({"position": "bottom"})
        return columns

    def _reasons_chart(self, first: int, last: int) -> Any:
        bars = self.book.add_chart({"type": "bar"})
        column = 1 + BREAKDOWN_COLUMNS.index("created")
        bars.add_series(
            {
                "name": "Created",
                "categories": [SUMMARY, first, 0, last, 0],
                "values": [SUMMARY, first, column, last, column],
                "fill": {"color": TREND_COLUMNS["created"]},
                "gap": 60,
            }
        )
        bars.set_title(self._title_of("Created by reason"))
        # The largest on top: a bar chart otherwise begins below, where its amounts stay.
        bars.set_y_axis({"reverse": True, "crossing": "max", "num_font": {"size": 8}})
        bars.set_x_axis(AMOUNTS_AXIS)
        bars.set_legend({"none": True})
        return bars

    def _title_of(self, what: str) -> Look:
        """In the merchant's currency: units do not share an axis."""
        return {"name": f"{what}, {self.totals['unit'][0]}", "name_font": {"size": 11}}

    def _heading(self, title: str) -> None:
        self._label(title, HEADING)

    def _headers(self, names: Sequence[str]) -> None:
        for column, name in enumerate(names[1:], start=1):
            self.styles.write(self.sheet, self.row, column, _title(name), HEADER_RIGHT)
        self._label(_title(names[0]), HEADER)

    def _label(self, text: str, look: Look = PLAIN) -> None:
        """Write the label of this row, and go on to the next."""
        self.styles.write(self.sheet, self.row, 0, text, look)
        self.row += 1

    def _total(self, first: int, last: int, column: int, decimals: int, cached: Any) -> None:
        cells = f"{xl_rowcol_to_cell(first, column)}:{xl_rowcol_to_cell(last, column)}"
        style = self.styles.amount(decimals, TOTAL)
        self.sheet.write_formula(last + 1, column, f"=ROUND(SUM({cells}),{decimals})", style, _number(cached))


def _checks(contents: Contents) -> pl.DataFrame:
    """What must tie: of the reports, then of batches and flags."""
    return pl.concat([contents["checks"], contents.tables["audits.checks"]])


def _write_checks(
    book: FrameWorkbook, styles: Styles, contents: Contents, data: Mapping[str, Sequence[FrameSheet]]
) -> None:
    """Every tie with both sides; those against a data sheet look at the summary's live formula over its rows."""
    sheet = book.add_worksheet(CHECKS)
    units = {unit: at for at, unit in enumerate(_currency_first(contents["summary_statistics"])["unit"])}
    # What is counted and not in a unit comes last.
    checks = _checks(contents).sort(pl.col("unit").replace_strict(units, default=len(units)), "position")
    header_row, first = 2, 3
    last = first + checks.height - 1
    results = f"$G${first + 1}:$G${last + 1}"
    said = "OK" if checks["ties"].all() else "NOT OK"
    styles.write(sheet, 0, 0, "All checks", HEADING)
    master = f'=IF(COUNTIF({results},"OK")=ROWS({results}),"OK","NOT OK")'
    sheet.write_formula(0, 1, master, styles(GOOD if said == "OK" else BAD), said)
    if missing := incomplete(contents):
        sheet.write_string(1, 0, missing, styles(ALERT))
    looks = {"Amount": HEADER_RIGHT, "Against": {**HEADER, **INDENTED}, "Difference": HEADER_RIGHT}
    looks |= {"Result": {**HEADER, **CENTERED}}
    for column, name in enumerate(("What", "Unit", "Amount", "Against", "Amount", "Difference", "Result")):
        styles.write(sheet, header_row, column, name, looks.get(name, HEADER))
    totals = {label: FIRST_TOTAL_ROW + offset for offset, (label, _, _, _) in enumerate(TOTALS)}
    for row, check in enumerate(checks.iter_rows(named=True), start=first):
        decimals, amount = check["decimals"], styles.amount(check["decimals"])
        styles.write(sheet, row, 0, check["side"])
        styles.write(sheet, row, 1, check["unit"])
        sheet.write_number(row, 2, _number(check["amount"]), amount)
        styles.write(sheet, row, 3, check["other_side"], INDENTED)
        if check["side"] == audit_sheets.FLAGS:
            formula = "=" + "+".join(f"COUNTA({part.range_of('rule')})" for part in data[audit_sheets.FLAGS])
            sheet.write_formula(row, 4, formula, amount, _number(check["other_amount"]))
        elif check["other_side"].startswith("Rows of "):
            cell = xl_rowcol_to_cell(totals[check["side"]], 1 + units[check["unit"]], row_abs=True, col_abs=True)
            sheet.write_formula(row, 4, f"='{SUMMARY}'!{cell}", amount, _number(check["other_amount"]))
        else:
            sheet.write_number(row, 4, _number(check["other_amount"]), amount)
        difference = f"=ROUND(C{row + 1}-E{row + 1},{decimals})"
        sheet.write_formula(row, 5, difference, amount, _number(check["difference"]))
        result = f'=IF(F{row + 1}=0,"OK","NOT OK")'
        sheet.write_formula(row, 6, result, styles(CENTERED), "OK" if check["ties"] else "NOT OK")
    for result, look in (("OK", GOOD), ("NOT OK", BAD)):
        for cells in (results.replace("$", ""), "B1"):
            rule = {"type": "cell", "criteria": "==", "value": f'"{result}"', "format": styles(look)}
            sheet.conditional_format(cells, rule)
    for column, width in enumerate((58, 8, 18, 42, 18, 14, 10)):
        sheet.set_column(column, column, width)
    sheet.freeze_panes(first, 0)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(header_row)
    sheet.set_footer(FOOTER)


def _write_about(book: FrameWorkbook, contents: Contents) -> None:
    """What the workbook rests on, which policies were in force, and what every sheet and column means."""
    period, merchant = contents.period, contents.period.merchant
    behind = contents["provenance"].row(0, named=True)
    this, policies = "This workbook", "Policies in force"
    lines = [
        (this, "Merchant", f"{merchant.name} ({merchant.id})"),
        (this, "Period", f"{period.first_day} to {period.last_day}, both included, in {merchant.timezone}"),
        (this, "As of", f"{period.as_of:%Y-%m-%d %H:%M:%S} UTC"),
        (this, "State", "final" if period.is_final else "interim: not a month as of its end"),
        *((this, "State", said) for said in filter(None, [incomplete(contents)])),
        (this, "Entries behind it", f"{behind['entries']:,}"),
        (this, "Hash over their content", behind["entries_hash"]),
        (this, "Movements behind it", f"{behind['movements']:,}"),
        (this, "Findings in the period", f"{behind['findings']:,}"),
        (this, "Rows of files set aside", f"{behind['rejected_rows']:,}"),
        (policies, "Draw order", merchant.draw_order),
        (policies, "Refund grace days", str(merchant.refund_grace_days)),
        *(
            (policies, f"Balance type {name}", f"{unit}, {decimals} decimals")
            for name, (unit, decimals) in merchant.units.items()
        ),
        *((policies, name, said) for name, said in audit_sheets.policies(merchant)),
    ]
    for sheet, table in DATA_SHEETS.items():
        promise = reports.promise_of(table)
        if sheet == ADJUSTMENTS:
            lines += [(SUMMARY, what, meaning) for what, meaning in SUMMARY_MEANINGS.items()]
        lines.append((sheet, "", (promise.__doc__ or "").partition("\n")[0]))
        lines += [(sheet, name, said) for name, said in descriptions(promise).items() if name not in NOT_SHOWN]
    lines += audit_sheets.meanings(contents.tables)
    lines += [(CHECKS, "", "Every tie with both sides, their difference, and OK or NOT OK; B1 says OK if all are.")]
    lines += [(ABOUT, "", "What each sheet and column is, which policies were in force, what is behind the numbers.")]
    frame = pl.DataFrame(lines, schema={"about": pl.String, "what": pl.String, "meaning": pl.String}, orient="row")
    # Text that ran on beyond its cell would be part of the page, and all of it would be made small enough to fit.
    columns = [Column("about", "text"), Column("what", "text"), Column("meaning", "text", wraps_at=MEANING_WIDTH + 6)]
    (about,) = book.add_frame(ABOUT, frame, columns)
    about.worksheet.set_column(2, 2, MEANING_WIDTH)
    about.worksheet.set_footer(FOOTER)


def _currency_first(totals: pl.DataFrame) -> pl.DataFrame:
    """The merchant's currency, then the other units by name."""
    return totals.sort(["is_currency", "unit"], descending=[True, False])


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _number(amount: Decimal | int) -> float:
    """A cached or constant value as Excel holds numbers; the exact decimals are in the ledger and the data sheets."""
    return float(amount)
