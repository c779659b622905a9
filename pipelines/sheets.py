"""Sheets: what all of them share. Which column is written as what, and how cells look that are laid out by hand.

Which sheets there are, and what stands where on them, does not belong here.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import polars as pl
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from pipelines.worksheets import FORMULA_LIKE, NUMBER_FORMATS, Column, FrameWorkbook, Kind
from schemas.table import Table

NOT_SHOWN = ("merchant_id", "period", "position", "decimals")
LABEL_CHARACTERS = 120
FOOTER = "&L&A&RPage &P of &N"


def columns_of(promise: type[Table]) -> list[Column]:
    """A table's columns as the sheet shows them: in its order, by its names."""
    return [
        Column(name, kind_of(column.dtype.type), "decimals" if is_amount(name, column.dtype.type) else None)
        for name, column in promise.to_schema().columns.items()
        if name not in NOT_SHOWN
    ]


def kind_of(dtype: pl.DataType) -> Kind:
    """What cells of this type are written as."""
    if isinstance(dtype, pl.Decimal):
        return "amount"
    if isinstance(dtype, pl.Datetime):
        return "datetime"
    kinds: dict[type[pl.DataType], Kind] = {pl.Boolean: "boolean", pl.Int64: "integer", pl.Date: "date"}
    return kinds.get(dtype.base_type(), "text")


def is_amount(name: str, dtype: pl.DataType) -> bool:
    """Whether a column has amounts of its rows' units: a percentage is none."""
    return isinstance(dtype, pl.Decimal) and name != "percent_used"


Look = Mapping[str, Any]
PLAIN: Look = {}
STRONG: Look = {"bold": True}
HEADING: Look = {"bold": True, "font_size": 12, "font_color": "#1F4E78"}
HEADER: Look = {"bold": True, "bg_color": "#EDEDED", "bottom": 1, "bottom_color": "#A6A6A6"}
HEADER_RIGHT: Look = {**HEADER, "align": "right", "text_wrap": True}
RIGHT: Look = {"align": "right"}
CENTERED: Look = {"align": "center"}
INDENTED: Look = {"indent": 1}
NOTE: Look = {"italic": True, "font_color": "#7F7F7F"}
DAY: Look = {"num_format": "yyyy-mm-dd", "align": "right"}
MONTH: Look = {"num_format": "yyyy-mm", "align": "left"}
TIME: Look = {"num_format": "yyyy-mm-dd hh:mm:ss", "align": "right"}
GOOD: Look = {"bold": True, "align": "right", "font_color": "#006100", "bg_color": "#C6EFCE"}
BAD: Look = {"bold": True, "align": "right", "font_color": "#9C0006", "bg_color": "#FFC7CE"}
TOTAL: Look = {"bold": True, "top": 1}
ALERT: Look = {"bold": True, "font_color": "#9C0006"}


class Styles:
    """The formats of the sheets that are laid out by hand: one object for all cells that look alike."""

    def __init__(self, book: FrameWorkbook) -> None:
        self._book = book
        self._formats: dict[str, Format] = {}

    def __call__(self, look: Look) -> Format:
        known = str(sorted(look.items()))
        if known not in self._formats:
            self._formats[known] = self._book.add_format(dict(look))
        return self._formats[known]

    def amount(self, decimals: int, look: Look = PLAIN) -> Format:
        """An amount with that many decimals."""
        return self({**look, "num_format": NUMBER_FORMATS[decimals]})

    def write(self, sheet: Worksheet, row: int, column: int, text: str, look: Look = PLAIN) -> None:
        """Text from people: what looks like a formula stays text, what a cell cannot show is left out."""
        shown = _one_line(text)
        quoted = {"quote_prefix": True} if re.match(FORMULA_LIKE, shown) else {}
        sheet.write_string(row, column, shown, self({**look, **quoted}))


def _one_line(text: str) -> str:
    """`text` as a label can show it: on one line, without what XML cannot hold, and not too long."""
    shown = "".join(" " if c.isspace() else c for c in text if c not in "\ufffe\uffff")
    shown = "".join(c for c in shown if unicodedata.category(c) != "Cc")
    return shown if len(shown) <= LABEL_CHARACTERS else f"{shown[:LABEL_CHARACTERS]} …"
