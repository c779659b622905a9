"""Amounts as people read them: with their unit's decimals, and none that it has beyond those lost."""

from decimal import Decimal

import polars as pl
import pytest

from pipelines import amounts


@pytest.mark.parametrize(
    ("amount", "decimals", "shown"),
    [
        ("12.5", 2, "12.50"),
        ("1234567.8", 2, "1,234,567.80"),
        ("-0.5", 2, "-0.50"),
        ("610", 0, "610"),
        ("0", 3, "0.000"),
        ("12.3456", 2, "12.3456"),
        ("12.3400", 0, "12.34"),
        ("99999999999999.9999", 2, "99,999,999,999,999.9999"),
    ],
)
def test_an_amount_has_its_units_decimals_and_more_only_where_it_has_them(
    amount: str, decimals: int, shown: str
) -> None:
    plain = shown.replace(",", "")
    assert amounts.shown(Decimal(amount), decimals) == shown
    assert amounts.plain(Decimal(amount), decimals) == plain
    rows = pl.DataFrame(
        {"amount": [Decimal(amount), None], "decimals": [decimals, decimals]},
        schema={"amount": pl.Decimal(18, 4), "decimals": pl.Int64},
    )
    assert rows.select(amounts.plain_column("amount", pl.col("decimals")))["amount"].to_list() == [plain, None]
