"""The audits' sheets: Credits Batches with its panel, Batch Recipients, and Anomaly Flags with links to the evidence.

Where they stand in the workbook is for `pipelines.workbook` to say, what the numbers are for sql/audits and
sql/anomalies.
"""

from collections.abc import Mapping, Sequence

import polars as pl
from xlsxwriter.utility import xl_col_to_name

from pipelines import anomalies
from pipelines.counts import counted
from pipelines.settings import Merchant
from pipelines.sheets import FOOTER, HEADER, HEADER_RIGHT, INDENTED, PLAIN, TOTAL, Look, Styles, is_amount, kind_of
from pipelines.worksheets import Column, FrameSheet, FrameWorkbook
from schemas import audits
from schemas.table import Table, descriptions

BATCHES, RECIPIENTS, FLAGS = "Credits Batches", "Batch Recipients", "Anomaly Flags"
# Excel's own limit of links on a sheet.
MOST_LINKS = 65_530
FLAG_COLUMNS = (
    *("rule", "severity", "explanation", "evidence", "amount_at_risk", "unit", "observed", "threshold", "member_id"),
    *("credit_id", "batch_id", "entry_ids", "rule_version"),
)
EVIDENCE_MEANING = "Where the evidence stands: a link to its row. Blank: what is concerned has no row of its own."
NOT_SHOWN = {
    *("merchant_id", "period", "position", "decimals", "credited_in_period", "issued_at_utc"),
    *("evidence_sheet", "evidence_position"),
}
LABEL_WIDTH, AMOUNT_WIDTH, EXPLANATION_WIDTH = 44, 20, 88
FLAG_WIDTHS = {"explanation": EXPLANATION_WIDTH + 2, "evidence": 36, "observed": 18, "threshold": 18, "entry_ids": 36}
SEVERITY_LOOKS: Mapping[str, Look] = {
    "error": {"font_color": "#9C0006", "bg_color": "#FFC7CE"},
    "warning": {"font_color": "#7F6000", "bg_color": "#FFEB9C"},
    "info": {"font_color": "#1F4E78", "bg_color": "#DDEBF7"},
}
STATUS_LOOKS: Mapping[str, Look] = {
    "Failed": SEVERITY_LOOKS["error"],
    "Reversed": {"font_color": "#7F7F7F", "bg_color": "#EDEDED"},
    "Partially Reversed": SEVERITY_LOOKS["warning"],
    "Adjusted": SEVERITY_LOOKS["info"],
}
LINKED: Look = {"font_color": "#0563C1", "underline": 1}

Tables = Mapping[str, pl.DataFrame]
Sheets = dict[str, list[FrameSheet]]


def add(
    book: FrameWorkbook, styles: Styles, tables: Tables, data: Mapping[str, Sequence[FrameSheet]], rows_per_sheet: int
) -> Sheets:
    """Add the three sheets; `data` are those that evidence may stand on."""
    added: Sheets = {BATCHES: _add_batches(book, styles, tables, rows_per_sheet)}
    recipients, columns = _titled(audits.BatchRecipients, tables["audits.batch_recipients"])
    added[RECIPIENTS] = book.add_frame(RECIPIENTS, recipients, columns, rows_per_sheet=rows_per_sheet)
    added[FLAGS] = _add_flags(book, styles, tables, {**data, **added}, rows_per_sheet)
    for parts in added.values():
        for part in parts:
            part.worksheet.set_footer(FOOTER)
            part.worksheet.fit_to_pages(3 if parts is added[BATCHES] else 2, 0)
            part.worksheet.repeat_columns(0)
    return added


def counts_by_severity(tables: Tables, parts: Sequence[FrameSheet]) -> tuple[str, str]:
    """`Errors 3, warnings 12, info 5` as a formula over the sheet, and what it comes to."""
    said = tables["audits.anomaly_flags"]["severity"]
    formula, text = [], []
    for severity, word in (("error", "Errors"), ("warning", "warnings"), ("info", "info")):
        counted = "+".join(f'COUNTIF({part.range_of("severity")},"{severity}")' for part in parts)
        formula.append(f'"{word} "&({counted})')
        text.append(f"{word} {(said == severity).sum()}")
    return "=" + '&", "&'.join(formula), ", ".join(text)


def policies(merchant: Merchant) -> list[tuple[str, str]]:
    """What About says of the settings that batches and flags go by."""
    limit = "none" if merchant.approval_limit is None else f"{merchant.approval_limit:,} {merchant.currency}"
    thresholds = merchant.anomalies.model_dump()
    return [
        ("Approval limit", limit),
        ("Reversal window days", str(merchant.reversal_window_days)),
        ("Complete through", merchant.complete_through),
        ("Block on errors", "yes" if merchant.block_on_errors else "no"),
        *(
            (f"Threshold {name}", " ".join(value) if isinstance(value, tuple) else str(value))
            for name, value in thresholds.items()
        ),
    ]


def meanings(tables: Tables) -> list[tuple[str, str, str]]:
    """What About says of the sheets, their columns and rules, and of what could not be judged."""
    lines = []
    for sheet, promise in ((BATCHES, audits.CreditsBatches), (RECIPIENTS, audits.BatchRecipients)):
        lines.append((sheet, "", _first_line(promise)))
        lines += [(sheet, _title(name), said) for name, said in descriptions(promise).items() if name not in NOT_SHOWN]
    said_of = {**descriptions(audits.AnomalyFlags), "evidence": EVIDENCE_MEANING}
    lines.append((FLAGS, "", _first_line(audits.AnomalyFlags)))
    lines += [(FLAGS, name, said_of[name]) for name in FLAG_COLUMNS]
    found = {*tables["audits.anomaly_flags"]["rule"]}
    lines += [
        (FLAGS, f"Rule {rule.name}", f"{rule.means} What to do: {rule.do}")
        for rule in anomalies.rules()
        if rule.name in found
    ]
    for row in tables["audits.not_assessable"].iter_rows(named=True):
        group = f"{row['concerned']}, {row['unit']}"
        seen = counted(row["observations"], "observation", "observations")
        seen = f"Not assessable: {seen} in twelve months, and it takes {row['needed']}."
        lines.append((FLAGS, f"Rule {row['rule']}", f"{group}. {seen}"))
    return lines


def _add_batches(book: FrameWorkbook, styles: Styles, tables: Tables, rows_per_sheet: int) -> list[FrameSheet]:
    frame, columns = _titled(audits.CreditsBatches, tables["audits.credits_batches"])
    panel = _Panel(tables)
    parts = book.add_frame(BATCHES, frame, columns, first_row=len(panel.rows) + 1, rows_per_sheet=rows_per_sheet)
    sheet = parts[0].worksheet
    panel.write(parts, styles)
    # Frozen with the table's header, the panel would fill the window.
    sheet.freeze_panes(0, 1)
    for part in parts:
        part.worksheet.set_column(0, 0, LABEL_WIDTH)
        part.worksheet.set_column(1, 1, AMOUNT_WIDTH)
        _color(part, styles, "Status", STATUS_LOOKS)
    return parts


class _Panel:
    """What stands above the batches: their totals, and what all credits of the period cost, a column for each unit."""

    def __init__(self, tables: Tables) -> None:
        totals = tables["reports.summary_statistics"].sort(["is_currency", "unit"], descending=[True, False])
        self.decimals: dict[str, int] = dict(totals.select("unit", "decimals").iter_rows())
        self.summary = tables["audits.batch_summary"]
        self.rows: list[tuple[str, Look, str, str | None, str]] = []  # label, look, section, credit type, measure
        self._add("Batches issued in the period", HEADER, "", None, "unit")
        for label, measure in (
            ("Total credits issued", "amount"),
            ("Total customers affected", "customers"),
            ("Average credit amount", "average"),
            ("Batches", "batches"),
            ("Credits", "credits"),
        ):
            self._add(label, PLAIN, "issued", None, measure)
        if self._types("issued"):
            self._add("By credit type", {"bold": True}, "", None, "")
        for credit_type in self._types("issued"):
            self._add(credit_type, PLAIN, "issued", credit_type, "amount")
            self._add("Batches", INDENTED, "issued", credit_type, "batches")
            self._add("Credits", INDENTED, "issued", credit_type, "credits")
        self._add("", PLAIN, "", None, "")
        self._add("Credit expense by type: all credits created", HEADER, "", None, "unit")
        for credit_type in self._types("expense"):
            self._add(credit_type, PLAIN, "expense", credit_type, "amount")
        self._add("Total", {"bold": True}, "expense", None, "amount")

    def _add(self, label: str, look: Look, section: str, credit_type: str | None, measure: str) -> None:
        self.rows.append((label, look, section, credit_type, measure))

    def _types(self, section: str) -> list[str]:
        """The credit types of a section, the costliest first; by name where they are equal."""
        rows = self.summary.filter(pl.col("section") == section, pl.col("credit_type").is_not_null())
        currency = pl.col("unit") == next(iter(self.decimals))
        by_type = rows.group_by("credit_type").agg(amount=pl.col("amount").filter(currency).sum())
        return by_type.sort(["amount", "credit_type"], descending=[True, False])["credit_type"].to_list()

    def write(self, parts: Sequence[FrameSheet], styles: Styles) -> None:
        """Write the panel above the first of the sheet's parts."""
        sheet = parts[0].worksheet
        for row, (label, look, section, credit_type, measure) in enumerate(self.rows):
            styles.write(sheet, row, 0, label, look)
            for column, (unit, decimals) in enumerate(self.decimals.items(), start=1):
                if measure == "unit":
                    styles.write(sheet, row, column, unit, HEADER_RIGHT)
                    continue
                if not measure:
                    continue
                value = self._value(unit, section, credit_type, measure)
                whole = measure in ("customers", "batches", "credits")
                is_total = section == "expense" and credit_type is None
                style = styles.amount(0 if whole else decimals, TOTAL if is_total else PLAIN)
                if is_total or (credit_type is None and measure == "amount"):
                    formula = self._total(column, row, decimals) if is_total else _issued(parts, column, decimals)
                    sheet.write_formula(row, column, formula, style, value or 0)
                elif value is not None:
                    sheet.write_number(row, column, value, style)

    def _value(self, unit: str, section: str, credit_type: str | None, measure: str) -> float | None:
        found = self.summary.filter(
            pl.col("unit") == unit,
            pl.col("section") == section,
            pl.col("credit_type").eq_missing(pl.lit(credit_type, pl.String)),
        )
        value = found[measure][0] if found.height else None
        return float(value) if value is not None else None

    def _total(self, column: int, row: int, decimals: int) -> str:
        """The sum of the lines above, up to the section's heading; 0 where there is none."""
        lines = len(self._types("expense"))
        letter = xl_col_to_name(column)
        return f"=ROUND(SUM({letter}{row - lines + 1}:{letter}{row}),{decimals})" if lines else "=0"


def _issued(parts: Sequence[FrameSheet], column: int, decimals: int) -> str:
    """Of the batches below, those of the column's unit that were issued in the period."""
    terms = "+".join(
        f"SUMIFS({part.range_of('Total Amount')},{part.range_of('Unit')},{xl_col_to_name(column)}$1,"
        f"{part.range_of('Issued In Period')},TRUE)"
        for part in parts
    )
    return f"=ROUND({terms},{decimals})"


def _add_flags(
    book: FrameWorkbook,
    styles: Styles,
    tables: Tables,
    evidence: Mapping[str, Sequence[FrameSheet]],
    rows_per_sheet: int,
) -> list[FrameSheet]:
    flags = _with_places(tables["audits.anomaly_flags"], evidence)
    shown = flags.with_columns(
        evidence=pl.when(pl.col("place").is_not_null()).then(
            pl.col("on_sheet") + ", row " + pl.col("place").cast(pl.String)
        )
    )
    columns = [
        Column(
            name,
            kind_of(shown.schema[name]),
            "decimals" if is_amount(name, shown.schema[name]) else None,
            wraps_at=EXPLANATION_WIDTH + 6 if name == "explanation" else 0,
        )
        for name in FLAG_COLUMNS
    ]
    parts = book.add_frame(FLAGS, shown, columns, rows_per_sheet=rows_per_sheet)
    first, at = 0, FLAG_COLUMNS.index("evidence")
    for part in parts:
        rows = shown.slice(first, part.rows).select("on_sheet", "place").head(MOST_LINKS)
        for row, (sheet, place) in enumerate(rows.iter_rows(), start=part.first_row - 1):
            if place is not None:
                part.worksheet.link(row, at, f"'{sheet}'!A{place}")
        first += part.rows
        _color(part, styles, "severity", SEVERITY_LOOKS)
        for name, width in FLAG_WIDTHS.items():
            part.worksheet.set_column(FLAG_COLUMNS.index(name), FLAG_COLUMNS.index(name), width)
        linked = part.first_row - 1, at, min(part.last_row, part.first_row - 1 + MOST_LINKS) - 1, at
        part.worksheet.conditional_format(*linked, {"type": "no_blanks", "format": styles(LINKED)})
        part.worksheet.freeze_panes(part.first_row - 1, 2)
    return parts


def _with_places(flags: pl.DataFrame, evidence: Mapping[str, Sequence[FrameSheet]]) -> pl.DataFrame:
    """The flags with the sheet and the row of it that their evidence is in: a sheet may continue on a second one."""
    # Of each part of each sheet: its name, the position of its first row, the row that this is in.
    starts = []
    for sheet, parts in evidence.items():
        before = 0
        for part in parts:
            starts.append((sheet, before + 1, part.worksheet.name, part.first_row))
            before += part.rows
    schema = {"evidence_sheet": pl.String, "starts": pl.Int64, "on_sheet": pl.String, "at": pl.Int64}
    known = pl.DataFrame(starts, schema=schema, orient="row").sort("starts")
    placed = (
        flags.with_row_index("flag")
        .sort("evidence_position")
        .join_asof(
            known,
            left_on="evidence_position",
            right_on="starts",
            by="evidence_sheet",
            strategy="backward",
            check_sortedness=False,
        )
        .sort("flag")
    )
    return placed.with_columns(place=pl.col("at") + pl.col("evidence_position") - pl.col("starts"))


def _color(part: FrameSheet, styles: Styles, column: str, looks: Mapping[str, Look]) -> None:
    at = part.columns.index(column)
    for value, look in looks.items():
        rule = {"type": "cell", "criteria": "==", "value": f'"{value}"', "format": styles(look)}
        part.worksheet.conditional_format(part.first_row - 1, at, part.last_row - 1, at, rule)


def _titled(promise: type[Table], frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Column]]:
    """The frame under the titles that people read, and its columns."""
    names = [name for name in promise.to_schema().columns if name not in NOT_SHOWN]
    columns = [
        Column(_title(name), kind_of(frame.schema[name]), "decimals" if is_amount(name, frame.schema[name]) else None)
        for name in names
    ]
    return frame.rename({name: _title(name) for name in names}), columns


def _title(name: str) -> str:
    """`batch_id` -> `Batch ID`."""
    return {"percent_used": "% Used"}.get(name, name.replace("_", " ").title().replace("Id", "ID"))


def _first_line(promise: type[Table]) -> str:
    return (promise.__doc__ or "").partition("\n")[0]
