"""What the values of a request mean: amounts and their units, days until an expiry, and text that must be there."""

import re
from datetime import date, datetime, timedelta
from decimal import Decimal

from pipelines import clock
from pipelines.operations.engine import Desk, unknown
from pipelines.operations.requests import Amount, RefusedError
from schemas.table import MONEY_PRECISION, MONEY_SCALE

_MOST_DAYS = 36_500
# Thousands set off by dots, as files of a merchant with decimal commas have them.
_GROUP = 3
_GROUPED = re.compile(r"[+-]?\d{1,3}(\.\d{3})+")
_AMOUNT = re.compile(r"([+-]?)(\d+)(?:\.(\d+))?")


def unit_of(desk: Desk, balance_type: str, field: str = "balance_type") -> tuple[str, int]:
    """The unit and decimals of a balance type. Raises RefusedError for one that is not declared."""
    units = desk.merchant.units
    if balance_type not in units:
        raise unknown(field, balance_type, f"is not declared in merchants.toml; there are {', '.join(units)}.")
    return units[balance_type]


def signed_amount(desk: Desk, field: str, value: Amount, balance_type: str) -> Decimal:
    """A request's amount as an exact decimal, not 0. Raises RefusedError, naming field and value."""
    unit, decimals = unit_of(desk, balance_type)
    text = value.strip() if isinstance(value, str) else str(value)
    if desk.merchant.decimal_comma:
        # Files say 1.500 for fifteen hundred there. Zeros do not count as decimals, so that it would pass for 1.50.
        if decimals < _GROUP and _GROUPED.fullmatch(text):
            plain = text.replace(".", "")
            raise unknown(field, value, f"can be read in two ways: write it without dots, like {plain} or {plain},00.")
        text = text.replace(",", ".")
    found = _AMOUNT.fullmatch(text)
    if isinstance(value, bool) or not found:
        raise unknown(field, value, "is not an amount; write it like 12.50.")
    if len(found[2].lstrip("0")) > MONEY_PRECISION - MONEY_SCALE:
        raise unknown(field, value, "has more than 14 digits before the decimal point.")
    if len((found[3] or "").rstrip("0")) > decimals:
        raise unknown(field, value, f"has too many decimals; {unit} has {decimals}.")
    amount = Decimal(text)
    if not amount:
        raise unknown(field, value, "is nothing.")
    return amount


def positive_amount(desk: Desk, field: str, value: Amount, balance_type: str) -> Decimal:
    """The same, without sign."""
    amount = signed_amount(desk, field, value, balance_type)
    if amount < 0:
        raise unknown(field, value, "has a minus sign; this operation says itself which way it counts.")
    return amount


def said(field: str, value: str) -> str:
    """The reason of an operation. Raises RefusedError where there is none."""
    return needed(field, value, why=": an operation says why it was done")


def needed(field: str, value: str, *, why: str = "") -> str:
    """Text that must be there. Raises RefusedError where it is not, saying `why`."""
    if not value.strip():
        raise RefusedError(f"{field} is missing{why}.")
    return value.strip()


def end_of_expiry(desk: Desk, day: date, in_days: int) -> datetime | None:
    """23:59:59 of the local day so many days after `day`; None for 0 days, which is never.

    Raises RefusedError, naming field and value.
    """
    if not 0 <= in_days <= _MOST_DAYS:
        raise unknown("expires_in_days", in_days, f"is not between 0 and {_MOST_DAYS:,}.")
    return clock.end_of_day(day + timedelta(days=in_days), desk.merchant.timezone) if in_days else None
