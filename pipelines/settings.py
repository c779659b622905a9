"""What a person configures: the home folder and `merchants.toml`, read and checked.

Every mistake is an error that names the file, the merchant and the key. What the settings are used for is not here.
"""

import json
import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import iso4217
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from pipelines import clock
from pipelines.errors import ForPeopleError

HOME_VARIABLE = "ROLLFORWARD_HOME"
DEFAULT_HOME = Path("data")
DEFAULT_BALANCE_TYPE = "default"
USUAL_DECIMALS, MOST_DECIMALS = 2, 4
# No amount of the ledger is as large; and in days, some 270 years.
TOO_MUCH, MOST_WHOLE = 10**14, 100_000
MERCHANT_ID = re.compile(r"[a-z0-9-]{1,63}")
NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)")
_NO_PATH_OF_A_URL = re.compile(r"\?|%[0-9a-fA-F]{2}")


class SettingsError(ForPeopleError):
    """What is wrong with the settings, for the person who wrote them."""


@dataclass(frozen=True)
class Home:
    """Where everything of one installation lives."""

    path: Path

    @property
    def merchants_file(self) -> Path:
        return self.path / "merchants.toml"

    @property
    def access_file(self) -> Path:
        return self.path / "access.toml"

    @property
    def previews(self) -> Path:
        return self.path / "previews"

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
    def alerts(self) -> Path:
        return self.path / "alerts"

    @property
    def notices(self) -> Path:
        return self.path / "notices"

    @property
    def dagster(self) -> Path:
        return self.path / ".dagster"


def see_that_texts_are_kept() -> None:
    """Raises SettingsError where Python was told to drop docstrings: the About sheet and --help are made of them."""
    if sys.flags.optimize > 1:
        raise SettingsError(
            "Python was told to leave out texts that workbooks and help are made of (PYTHONOPTIMIZE=2, or python -OO)."
            " Take that away, or set PYTHONOPTIMIZE=1, and start again."
        )


def find_home(stated: str | os.PathLike[str] | None = None) -> Home:
    """The stated home, else $ROLLFORWARD_HOME, else ./data; as an absolute path.

    Raises SettingsError where no home can be.
    """
    path = Path(stated or os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).absolute()
    if _NO_PATH_OF_A_URL.search(str(path)):
        # Dagster makes a URL of where its records are, and does not quote it: they would be in another place.
        raise SettingsError(
            f'The home {path} cannot be used: in its path is a "?", or a "%" before two digits, behind which Dagster'
            " does not find its records of runs. Give the folder another name."
        )
    return Home(path)


def _known_timezone(name: str) -> str:
    if name not in clock.known_timezones():
        raise ValueError(f'"{name}" is not an IANA timezone; write it like "America/New_York"')
    return name


def _known_currency(code: str) -> str:
    if code not in _currencies():
        raise ValueError(f'"{code}" is not an ISO 4217 currency; write it like "USD"')
    if _currencies()[code] is None:
        raise ValueError(f'"{code}" has no minor unit in ISO 4217, so it cannot be what a merchant sells in')
    return code


def _known_encoding(name: str) -> str:
    try:
        # Not codecs.lookup: that knows codecs such as base64, which are not of text.
        "a".encode(name)
    except (LookupError, ValueError):
        raise ValueError(f'"{name}" is not an encoding that Python knows; write it like "cp1252"') from None
    return name


def _plain_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(f'"{name}" may only have letters, digits, - and _, 63 at most')
    return name


def _shard_name(name: str) -> str:
    if name.endswith("-read"):
        raise ValueError(f'"{name}" may not end in -read: that is how the copies for readers are named')
    return _plain_name(name)


def _as_in_a_cell(name: str) -> str:
    """Cells are read without the space around them, so a name with some would never be found."""
    if not name or name != name.strip() or not name.isprintable():
        raise ValueError(f'"{name}" must be text without space around it, on one line')
    return name


def _minute(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return 60 * int(hours) + int(minutes)


def _hours(text: str) -> str:
    opens, _, closes = text.partition("-")
    if not _HOURS.fullmatch(text) or _minute(opens) >= _minute(closes):
        raise ValueError(f'"{text}" are no hours; write them like "07:00-20:00"')
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class BalanceType(_Strict):
    """A bucket of credit within a member, and what it is counted in."""

    # A unit becomes a criterion of Excel's SUMIFS, where *, ?, ~, <, > and = have a meaning of their own.
    unit: Annotated[str, AfterValidator(_plain_name)] = Field(max_length=16)
    decimals: int | None = Field(default=None, ge=0, le=MOST_DECIMALS)


class Anomalies(_Strict):
    """Thresholds of the rules in sql/anomalies, which read them from settings.thresholds under these names."""

    business_hours: Annotated[str, AfterValidator(_hours)] = "07:00-20:00"
    business_days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = WEEKDAYS[:6]
    recovery_budget: Decimal = Field(default=Decimal(5000), ge=0, lt=TOO_MUCH, decimal_places=MOST_DECIMALS)
    robust_z: Decimal = Field(default=Decimal("3.5"), gt=0, le=MOST_WHOLE, decimal_places=MOST_DECIMALS)
    minimum_observations: int = Field(default=20, ge=2, le=MOST_WHOLE)
    duplicate_credit_hours: int = Field(default=24, ge=1, le=MOST_WHOLE)
    duplicate_batch_days: int = Field(default=7, ge=1, le=MOST_WHOLE)
    split_days: int = Field(default=7, ge=1, le=MOST_WHOLE)
    just_under_credits: int = Field(default=10, ge=1, le=MOST_WHOLE)
    just_under_percent: Decimal = Field(default=Decimal(30), gt=0, le=100, decimal_places=MOST_DECIMALS)
    just_under_band_percent: Decimal = Field(default=Decimal(5), gt=0, lt=100, decimal_places=MOST_DECIMALS)
    pairing_credits: int = Field(default=5, ge=1, le=MOST_WHOLE)
    pairing_percent: Decimal = Field(default=Decimal(25), gt=0, le=100, decimal_places=MOST_DECIMALS)
    pairing_times_median: Decimal = Field(default=Decimal(3), ge=1, le=MOST_WHOLE, decimal_places=MOST_DECIMALS)
    systemic_batches: int = Field(default=3, ge=2, le=MOST_WHOLE)

    @property
    def opens_minute(self) -> int:
        """When the business opens, in minutes since midnight."""
        return _minute(self.business_hours.partition("-")[0])

    @property
    def closes_minute(self) -> int:
        """When it closes; 24:00 is the day's end."""
        return _minute(self.business_hours.partition("-")[2])


class Merchant(_Strict):
    """One merchant's table in merchants.toml. The field names are the keys."""

    id: str
    name: Annotated[str, AfterValidator(_as_in_a_cell)]
    timezone: Annotated[str, AfterValidator(_known_timezone)]
    currency: Annotated[str, AfterValidator(_known_currency)]
    label: Annotated[str, AfterValidator(_as_in_a_cell)] = "Farm"
    draw_order: Literal["expiring_first", "oldest_first"] = "expiring_first"
    refund_grace_days: int = Field(default=0, ge=0, le=3660)
    reversal_window_days: int = Field(default=60, ge=0, le=MOST_WHOLE)
    reversal_limit: Decimal | None = Field(default=None, ge=0, lt=TOO_MUCH, decimal_places=MOST_DECIMALS)
    approval_limit: Decimal | None = Field(default=None, ge=0, lt=TOO_MUCH, decimal_places=MOST_DECIMALS)
    decimal_comma: bool = False
    ignore_columns: tuple[str, ...] = ()
    encoding: Annotated[str, AfterValidator(_known_encoding)] = "utf-8"
    reasons: tuple[str, ...] = ()
    complete_through: Literal["auto", "entries", "balances"] = "auto"
    block_on_errors: bool = False
    shard: Annotated[str, AfterValidator(_shard_name)] = "main"
    balance_types: Mapping[Annotated[str, AfterValidator(_as_in_a_cell)], BalanceType] = Field(default_factory=dict)
    anomalies: Anomalies = Anomalies()

    @model_validator(mode="after")
    def _units_agree(self) -> "Merchant":
        decimals: dict[str, int] = {}
        for name, kind in self.balance_types.items():
            if kind.decimals is None and _currencies().get(kind.unit) is None:
                raise ValueError(
                    f'key "balance_types.{name}": "{kind.unit}" is no currency; say how many decimals it has'
                )
        written: dict[str, str] = {}
        for name, (unit, places) in self.units.items():
            # Excel sums by unit, and does not tell cases apart.
            if written.setdefault(unit.casefold(), unit) != unit:
                raise ValueError(
                    f'key "balance_types.{name}": "{unit}" is written "{written[unit.casefold()]}" elsewhere'
                )
            if decimals.setdefault(unit, places) != places:
                raise ValueError(
                    f'key "balance_types.{name}": "{unit}" has {places} decimals here and {decimals[unit]} elsewhere'
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

    @property
    def decimals(self) -> dict[str, int]:
        """The decimals of each unit."""
        return dict(self.units.values())

    def decimals_of(self, unit: str | None) -> int:
        """The decimals of a unit; for one that is not declared any more, what most have."""
        return self.decimals.get(unit or "", USUAL_DECIMALS)


@lru_cache(maxsize=1)
def _currencies() -> dict[str, int | None]:
    """ISO 4217: the decimals of each currency. Metals, funds and the like have none."""
    return {currency.code: currency.exponent for currency in iso4217.Currency}


def currency_decimals(code: str) -> int:
    """The minor unit of a currency that ISO 4217 gives one: how many decimals its amounts have."""
    decimals = _currencies()[code]
    assert decimals is not None
    return decimals


def read_merchants(home: Home) -> dict[str, Merchant]:
    """Every merchant of `merchants.toml`, by id.

    Raises SettingsError, naming the file, the merchant and the key.
    """
    path = home.merchants_file
    return {merchant_id: _merchant(path, merchant_id, keys) for merchant_id, keys in _declared(home).items()}


def read_each_merchant(home: Home) -> tuple[dict[str, Merchant], dict[str, str]]:
    """The merchants whose settings are right, and what is wrong with those of the others; both by id.

    Raises SettingsError where the file cannot be read, or no merchant's settings are right.
    """
    right: dict[str, Merchant] = {}
    wrong: dict[str, str] = {}
    for merchant_id, keys in _declared(home).items():
        try:
            right[merchant_id] = _merchant(home.merchants_file, merchant_id, keys)
        except SettingsError as problem:
            wrong[merchant_id] = str(problem)
    if not right:
        raise SettingsError("\n".join(wrong.values()))
    return right, wrong


def _declared(home: Home) -> dict[str, Any]:
    """What merchants.toml says of each merchant. Raises SettingsError."""
    path = home.merchants_file
    try:
        tables = read_toml(path, parse_float=Decimal)
    except FileNotFoundError:
        raise SettingsError(
            f"{path} does not exist. Declare your merchants there, or run `rollforward sample` to see an example."
        ) from None
    for key in tables.keys() - {"merchants"}:
        raise SettingsError(f'{path}: key "{key}" is unknown; merchants are tables such as [merchants.green-acres].')
    declared = tables.get("merchants", {})
    if not isinstance(declared, dict) or not declared:
        raise SettingsError(f"{path} declares no merchant; write a table such as [merchants.green-acres].")
    return declared


def read_toml(path: Path, *, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """What a TOML file says. Raises FileNotFoundError, and SettingsError where it is there and cannot be read."""
    try:
        # Windows editors put a mark before UTF-8.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as problem:
        raise SettingsError(f"{path} is not UTF-8 (see byte {problem.start:,}). Save it as UTF-8.") from None
    except OSError as problem:
        raise SettingsError(f"{path} cannot be read: {problem.strerror}.") from None
    try:
        return tomllib.loads(text, parse_float=parse_float)
    except (ValueError, RecursionError) as problem:
        said = f"{_why_not_toml(problem)}{_line_at(text, problem)}"
        raise SettingsError(f"{path} cannot be read as TOML: {said}.") from None


def _why_not_toml(problem: ValueError | RecursionError) -> str:
    """What Python's reader of TOML has stopped at, for whoever wrote the file."""
    if isinstance(problem, RecursionError):
        return "lists or tables in it are nested too deeply"
    return str(problem) if isinstance(problem, tomllib.TOMLDecodeError) else "a number in it has thousands of digits"


def _line_at(text: str, problem: Exception) -> str:
    """What stands in the line that a problem names, so that it also says which key and whose."""
    if not (found := re.search(r"at line (\d+)", str(problem))):
        return ""
    above = text.splitlines()[: int(found[1])]
    table = next((line.strip() for line in reversed(above) if line.strip().startswith("[")), "")
    said = above[-1].strip()
    return f": {said}" + (f", in {table}" if table and table != said else "")


def see_that_declared(declared: Mapping[str, Merchant], asked: Sequence[str]) -> None:
    """Raises SettingsError for a merchant asked for that is not declared."""
    for merchant_id in asked:
        if merchant_id not in declared:
            raise SettingsError(
                f'merchant "{merchant_id}" is not declared in merchants.toml; declared are {", ".join(declared)}.'
            )


def choose_merchants(home: Home, asked: Sequence[str]) -> tuple[dict[str, Merchant], dict[str, str]]:
    """Of the merchants asked for, or all where none is: those whose settings are right, and what is wrong with others.

    Raises SettingsError where one is not declared, or none is right.
    """
    right, wrong = read_each_merchant(home)
    see_that_declared(right, [merchant_id for merchant_id in asked if merchant_id not in wrong])
    chosen = {merchant_id: right[merchant_id] for merchant_id in right if not asked or merchant_id in asked}
    wrong = {merchant_id: why for merchant_id, why in wrong.items() if not asked or merchant_id in asked}
    if not chosen:
        raise SettingsError("\n".join(wrong.values()))
    return chosen, wrong


def _merchant(path: Path, merchant_id: str, keys: object) -> Merchant:
    if not MERCHANT_ID.fullmatch(merchant_id):
        raise SettingsError(f'{path}: merchant "{merchant_id}": an id has only a-z, 0-9 and -, 63 at most.')
    if not isinstance(keys, dict) or "id" in keys:
        raise SettingsError(f'{path}: merchant "{merchant_id}": write its settings as a table, without a key "id".')
    try:
        return Merchant.model_validate({"id": merchant_id, **_tuples(keys)})
    except ValidationError as problems:
        raise SettingsError(f'{path}: merchant "{merchant_id}": {_told(problems.errors()[0])}.') from None


# Where pydantic speaks of Python's types, what TOML calls them.
_SHOULD_BE = {
    "tuple_type": 'a list such as ["one", "two"]',
    "model_type": 'a table such as { unit = "TKN", decimals = 0 }',
    "dict_type": "a table",
    "bool_type": "true or false",
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "is_instance_of": "a number such as 12.50, without quotes",
    "decimal_max_places": f"a number of at most {MOST_DECIMALS} decimals",
}


def _told(problem: ErrorDetails) -> str:
    """A problem in words for whoever wrote the file: the key, what it says, what it should."""
    *above, name = [str(part) for part in problem["loc"] if part != "[key]"] or [""]
    key = f'key "{".".join([*above, name])}"'
    if problem["type"] == "missing":
        return f"{key} is missing"
    if problem["type"] == "extra_forbidden":
        tables = {"anomalies": Anomalies.model_fields, "balance_types": BalanceType.model_fields}
        known = tables[above[0]] if above else Merchant.model_fields.keys() - {"id"}
        near = get_close_matches(name, known, n=1)
        return f"{key} is unknown" + (f' (did you mean "{near[0]}"?)' if near else "")
    if problem["type"] in _SHOULD_BE:
        return f"{key}: {_shown(problem['input'])} should be {_SHOULD_BE[problem['type']]}"
    # Our own validators say all of it; pydantic's say "Input should be …".
    said = str(problem.get("ctx", {}).get("error", "")) or problem["msg"].replace("Input", _shown(problem["input"]), 1)
    return f"{key}: {said}" if problem["loc"] else said


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str | Decimal) else json.dumps(value, default=str)


def _tuples(keys: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has lists and whole numbers where a strict Merchant wants tuples and decimals."""
    made: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in keys.items()}
    for key in ("reversal_limit", "approval_limit", *_DECIMAL_THRESHOLDS):
        if isinstance(made.get(key), int) and not isinstance(made[key], bool):
            made[key] = Decimal(made[key])
    if isinstance(made.get("anomalies"), dict):
        made["anomalies"] = _tuples(made["anomalies"])
    return made


_DECIMAL_THRESHOLDS = tuple(name for name, key in Anomalies.model_fields.items() if key.annotation is Decimal)
