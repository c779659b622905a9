"""Amounts as people write and read them. What they are of, and how many decimals a unit has, is not known here."""

import re
from decimal import Decimal

import polars as pl

from schemas.table import MONEY_SCALE

# What a filter may be given; the amounts of files have a grammar of their own (`pipelines.grammar`).
WRITTEN = re.compile(r"-?\d{1,13}(\.\d{1,4})?")


def shown(amount: Decimal | int, decimals: int) -> str:
    """1,234.50; with more decimals than its unit has where it has them."""
    whole, _, places = f"{Decimal(amount):,.{MONEY_SCALE}f}".partition(".")
    places = places[:decimals] + places[decimals:].rstrip("0")
    return f"{whole}{'.' if places else ''}{places}"


def plain(amount: Decimal | int, decimals: int) -> str:
    """The same as programs read it: 1234.50."""
    return shown(amount, decimals).replace(",", "")


def plain_column(name: str, decimals: pl.Expr) -> pl.Expr:
    """The same of a column of exact amounts, with the decimals of each row."""
    digits = pl.col(name).cast(pl.Decimal(38, MONEY_SCALE)).cast(pl.String)
    whole, places = digits.str.head(-MONEY_SCALE - 1), digits.str.tail(MONEY_SCALE)
    places = places.str.head(decimals) + places.str.slice(decimals).str.strip_chars_end("0")
    return pl.when(places == "").then(whole).otherwise(whole + "." + places).alias(name)
