"""What a person configures: the home folder and `merchants.toml`, read and checked.

Every mistake is an error that names the file, the merchant and the key. What the settings are used for is not here.
"""

import codecs
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import iso4217
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipelines import clock

HOME_VARIABLE = "ROLLFORWARD_HOME"
DEFAULT_HOME = Path("data")
DEFAULT_BALANCE_TYPE = "default"
MOST_DECIMALS = 4
MERCHANT_ID = re.compile(r"[a-z0-9-]{1,63}")
NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")


class SettingsError(Exception):
    """What is wrong with the settings, for the person who wrote them."""


@dataclass(frozen=True)
class Home:
    """Where everything of one installation lives."""

    path: Path

    @property
    def merchants_file(self) -> Path:
        return self.path / "merchants.toml"

    @property
    def landing(self) -> Path:
        return self.path / "landing"

    @property
    def archive(self) -> Path:
        return self.path / "archive"

    @property
    def journal(self) -> Path:
        return self.path / "journal"

    @property
    def ledgers(self) -> Path:
        return self.path / "ledgers"

    @property
    def reports(self) -> Path:
        return self.path / "reports"

    @property
    def dagster(self) -> Path:
        return self.path / ".dagster"


def find_home(stated: str | os.PathLike[str] | None = None) -> Home:
    """The stated home, else $ROLLFORWARD_HOME, else ./data; as an absolute path."""
    return Home(Path(stated or os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).absolute())


def _known_timezone(name: str) -> str:
    if name not in clock.known_timezones():
        raise ValueError(f'"{name}" is not an IANA timezone; write it like "America/New_York"')
    return name


def _known_currency(code: str) -> str:
    if code not in _currencies():
        raise ValueError(f'"{code}" is not an ISO 4217 currency; write it like "USD"')
    return code


def _known_encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError(f'"{name}" is not an encoding that Python knows; write it like "cp1252"') from None
    return name


def _plain_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(f'"{name}" may only have letters, digits, - and _, 63 at most')
    return name


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class BalanceType(_Strict):
    """A bucket of credit within a member, and what it is counted in."""

    unit: str = Field(min_length=1, max_length=16)
    decimals: int | None = Field(default=None, ge=0, le=MOST_DECIMALS)


class Merchant(_Strict):
    """One merchant's table in merchants.toml. The field names are the keys."""

    id: str
    name: str = Field(min_length=1)
    timezone: Annotated[str, AfterValidator(_known_timezone)]
    currency: Annotated[str, AfterValidator(_known_currency)]
    label: str = "Farm"
    draw_order: Literal["expiring_first", "oldest_first"] = "expiring_first"
    refund_grace_days: int = Field(default=0, ge=0, le=3660)
    reversal_window_days: int = Field(default=60, ge=0)
    reversal_limit: Decimal | None = Field(default=None, ge=0)
    approval_limit: Decimal | None = Field(default=None, ge=0)
    decimal_comma: bool = False
    ignore_columns: tuple[str, ...] = ()
    encoding: Annotated[str, AfterValidator(_known_encoding)] = "utf-8"
    reasons: tuple[str, ...] = ()
    complete_through: Literal["auto", "entries", "balances"] = "auto"
    block_on_errors: bool = False
    shard: Annotated[str, AfterValidator(_plain_name)] = "main"
    balance_types: Mapping[str, BalanceType] = Field(default_factory=dict)
    anomalies: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _units_agree(self) -> "Merchant":
        decimals: dict[str, int] = {}
        for name, kind in self.balance_types.items():
            if kind.decimals is None and kind.unit not in _currencies():
                raise ValueError(f'balance_types.{name}: unit "{kind.unit}" is no currency; say how many decimals it has')
        for name, (unit, places) in self.units.items():
            if decimals.setdefault(unit, places) != places:
                raise ValueError(
                    f'balance_types.{name}: unit "{unit}" has {places} decimals here and {decimals[unit]} elsewhere'
                )
        return self

    @property
    def units(self) -> dict[str, tuple[str, int]]:
        """Unit and decimals of each balance type, `default` first."""
        declared = {DEFAULT_BALANCE_TYPE: BalanceType(unit=self.currency), **self.balance_types}
        return {
            name: (kind.unit, currency_decimals(kind.unit) if kind.decimals is None else kind.decimals)
            for name, kind in declared.items()
        }


@lru_cache(maxsize=1)
def _currencies() -> frozenset[str]:
    return frozenset(currency.code for currency in iso4217.Currency)


def currency_decimals(code: str) -> int:
    """The minor unit of an ISO 4217 currency: how many decimals its amounts have."""
    return iso4217.Currency(code).exponent or 0


Merchants = Mapping[str, Merchant]


def read_merchants(home: Home) -> dict[str, Merchant]:
    """Every merchant of `merchants.toml`, by id.

    Raises SettingsError, naming the file, the merchant and the key.
    """
    path = home.merchants_file
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except FileNotFoundError:
        raise SettingsError(
            f"{path} does not exist. Declare your merchants there, or run `rollforward sample` to see an example."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{path} cannot be read as TOML: {problem}.") from None
    for key in tables.keys() - {"merchants"}:
        raise SettingsError(f'{path}: key "{key}" is unknown; merchants are tables such as [merchants.green-acres].')
    declared = tables.get("merchants", {})
    if not isinstance(declared, dict) or not declared:
        raise SettingsError(f"{path} declares no merchant; write a table such as [merchants.green-acres].")
    return {merchant_id: _merchant(path, merchant_id, keys) for merchant_id, keys in declared.items()}


def _merchant(path: Path, merchant_id: str, keys: object) -> Merchant:
    if not MERCHANT_ID.fullmatch(merchant_id):
        raise SettingsError(f'{path}: merchant "{merchant_id}": an id has only a-z, 0-9 and -, 63 at most.')
    if not isinstance(keys, dict) or "id" in keys:
        raise SettingsError(f'{path}: merchant "{merchant_id}": write its settings as a table, without a key "id".')
    try:
        return Merchant.model_validate({"id": merchant_id, **_tuples(keys)})
    except ValidationError as problems:
        first = problems.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        said = {"extra_forbidden": "is unknown", "missing": "is missing"}.get(first["type"])
        message = f'key "{key}" {said}' if said else f'key "{key}": ' * bool(key) + first["msg"]
        raise SettingsError(f'{path}: merchant "{merchant_id}": {message}.') from None


def _tuples(keys: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has lists and whole numbers where a strict Merchant wants tuples and decimals."""
    made = {key: tuple(value) if isinstance(value, list) else value for key, value in keys.items()}
    for key in ("reversal_limit", "approval_limit"):
        if isinstance(made.get(key), int) and not isinstance(made[key], bool):
            made[key] = Decimal(made[key])
    return made
