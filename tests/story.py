"""The story that goldens tell: three merchants in UTC+13, UTC-8 and New York, and what happened there in June 2026.

Its entries and members are in tests/golden/, beside the workbooks that come of them.
"""

import csv
from functools import cache
from typing import Any

from pipelines.settings import BalanceType, Merchant
from tests.conftest import GOLDENS
from tests.ledgers import Ledger, merchant, replayed
from tests.reported import insert_member

MERCHANTS: tuple[Merchant, ...] = (
    merchant(
        "green-acres",
        name="Green Acres CSA",
        timezone="America/New_York",
        currency="USD",
        balance_types={"winston": BalanceType(unit="TKN", decimals=0)},
    ),
    merchant(
        "pitcairn-honey",
        name="Pitcairn Honey",
        label="Shop",
        timezone="Pacific/Pitcairn",
        currency="NZD",
        refund_grace_days=7,
        balance_types={"gift": BalanceType(unit="NZD")},
    ),
    merchant(
        "tonga-market",
        name="Tonga Market",
        label="Market",
        timezone="Pacific/Tongatapu",
        currency="TOP",
        draw_order="oldest_first",
        balance_types={"points": BalanceType(unit="PTS", decimals=0)},
    ),
)


@cache
def story() -> Ledger:
    """The ledger of all three, replayed."""
    entries = [{**entry, "content_hash": f"{entry['merchant_id']}/{entry['entry_id']}"} for entry in _rows("entries")]
    ledger = replayed(entries, *MERCHANTS)
    for member in _rows("members"):
        insert_member(ledger, **member)
    return ledger


def _rows(name: str) -> list[dict[str, Any]]:
    with (GOLDENS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [{column: value or None for column, value in row.items()} for row in csv.DictReader(file)]
