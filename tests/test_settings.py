"""merchants.toml: what it may say, and that each mistake names the file, the merchant and the key."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from pipelines import settings
from pipelines.settings import HOME_VARIABLE, Anomalies, Home, Merchant, SettingsError, find_home, read_merchants

ACME = """\
[merchants.acme]
name = "Acme"
timezone = "America/New_York"
currency = "USD"
"""
TYPES = "[merchants.acme.balance_types]\n"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def read(home: Home, text: str) -> dict[str, Merchant]:
    home.merchants_file.write_text(text, encoding="utf-8")
    return read_merchants(home)


def test_the_operating_guide_has_every_key_of_a_merchant() -> None:
    guide = (Path(__file__).parents[1] / "docs/operating.md").read_text(encoding="utf-8")
    keys = guide.partition("## merchants.toml")[2].partition("\n## ")[0]
    firsts = [line.split("|")[1] for line in keys.splitlines() if line.startswith("| `")]
    assert {key for cell in firsts for key in re.findall(r"`(\w+)`", cell)} == Merchant.model_fields.keys() - {"id"}


def refusal(home: Home, text: str) -> str:
    """What is said of the file, which names it first."""
    with pytest.raises(SettingsError) as refused:
        read(home, text)
    said = str(refused.value)
    assert said.startswith(str(home.merchants_file))
    assert "Value error" not in said
    assert said.endswith(".")
    assert not said.endswith(("..", "?."))
    return said.removeprefix(str(home.merchants_file)).removeprefix(": ").strip()


def test_a_merchant_has_defaults_for_all_but_name_timezone_and_currency(home: Home) -> None:
    acme = read(home, ACME)["acme"]
    assert acme.model_dump() == {
        "id": "acme",
        "name": "Acme",
        "timezone": "America/New_York",
        "currency": "USD",
        "label": "Farm",
        "draw_order": "expiring_first",
        "refund_grace_days": 0,
        "reversal_window_days": 60,
        "reversal_limit": None,
        "approval_limit": None,
        "decimal_comma": False,
        "ignore_columns": (),
        "encoding": "utf-8",
        "reasons": (),
        "complete_through": "auto",
        "block_on_errors": False,
        "shard": "main",
        "balance_types": {},
        "anomalies": Anomalies().model_dump(),
    }
    assert acme.units == {"default": ("USD", 2)}


def test_every_key_can_be_set(home: Home) -> None:
    merchants = read(
        home,
        ACME
        + """
label = "Store"
draw_order = "oldest_first"
refund_grace_days = 14
reversal_window_days = 30
reversal_limit = 50000.00
approval_limit = 100
decimal_comma = true
ignore_columns = ["till", "shift"]
encoding = "cp1252"
reasons = ["spoiled"]
complete_through = "balances"
block_on_errors = true
shard = "east"
[merchants.acme.balance_types]
winston = { unit = "TKN", decimals = 0 }
gift    = { unit = "USD" }
travel  = { unit = "EUR" }
[merchants.acme.anomalies]
business_hours = "09:30-24:00"
business_days = ["tue", "sun"]
robust_z = 4
systemic_batches = 2
[merchants.bolt]
name = "Bolt"
timezone = "Asia/Tokyo"
currency = "JPY"
""",
    )
    acme, bolt = merchants["acme"], merchants["bolt"]
    assert (acme.reversal_limit, acme.approval_limit) == (Decimal("50000.00"), Decimal(100))
    assert (acme.ignore_columns, acme.encoding, acme.shard) == (("till", "shift"), "cp1252", "east")
    assert acme.units == {"default": ("USD", 2), "winston": ("TKN", 0), "gift": ("USD", 2), "travel": ("EUR", 2)}
    thresholds = acme.anomalies
    assert (thresholds.opens_minute, thresholds.closes_minute) == (570, 1440)
    assert (thresholds.business_days, thresholds.robust_z) == (("tue", "sun"), Decimal(4))
    assert (thresholds.systemic_batches, thresholds.recovery_budget) == (2, Decimal(5000))
    assert bolt.units == {"default": ("JPY", 0)}
    assert bolt.anomalies == Anomalies()


def test_the_default_balance_type_can_be_a_token(home: Home) -> None:
    acme = read(home, ACME + TYPES + 'default = { unit = "PTS", decimals = 1 }\ngift = { unit = "USD" }\n')["acme"]
    assert acme.units == {"default": ("PTS", 1), "gift": ("USD", 2)}


def test_a_byte_order_mark_of_a_windows_editor_is_no_mistake(home: Home) -> None:
    assert [*read(home, "\ufeff" + ACME)] == ["acme"]


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ('colour = "red"', 'key "colour" is unknown'),
        ('draw_ordr = "expiring_first"', 'key "draw_ordr" is unknown (did you mean "draw_order"?)'),
        ('draw_order = "fifo"', """key "draw_order": "fifo" should be 'expiring_first' or 'oldest_first'"""),
        ("draw_order = 1", """key "draw_order": 1 should be 'expiring_first' or 'oldest_first'"""),
        ('complete_through = "all"', """key "complete_through": "all" should be 'auto', 'entries' or 'balances'"""),
        ("refund_grace_days = -1", 'key "refund_grace_days": -1 should be greater than or equal to 0'),
        ("refund_grace_days = 1.5", 'key "refund_grace_days": "1.5" should be a whole number'),
        ('refund_grace_days = "14"', 'key "refund_grace_days": "14" should be a whole number'),
        ("reversal_limit = -5.00", 'key "reversal_limit": "-5.00" should be greater than or equal to 0'),
        ("approval_limit = inf", 'key "approval_limit": "Infinity" should be a finite number'),
        # Finer than any amount, it would be rounded where rules compare amounts with it: this one to 0.
        ("approval_limit = 0.00001", 'key "approval_limit": "0.00001" should be a number of at most 4 decimals'),
        ("reversal_limit = 0.00001", 'key "reversal_limit": "0.00001" should be a number of at most 4 decimals'),
        ("approval_limit = true", 'key "approval_limit": true should be a number such as 12.50, without quotes'),
        ('approval_limit = "100"', 'key "approval_limit": "100" should be a number such as 12.50, without quotes'),
        (
            'anomalies = { robust_z = "3" }',
            'key "anomalies.robust_z": "3" should be a number such as 12.50, without quotes',
        ),
        ('decimal_comma = "yes"', 'key "decimal_comma": "yes" should be true or false'),
        ('ignore_columns = "till"', 'key "ignore_columns": "till" should be a list such as ["one", "two"]'),
        ("ignore_columns = [1]", 'key "ignore_columns.0": 1 should be text in quotes'),
        ('encoding = "utf-9"', 'key "encoding": "utf-9" is not an encoding that Python knows; write it like "cp1252"'),
        ('encoding = "base64"', 'key "encoding": "base64" is not an encoding that Python knows'),
        ('encoding = ""', 'key "encoding": "" is not an encoding that Python knows'),
        ("anomalies = { robust = 3 }", 'key "anomalies.robust" is unknown (did you mean "robust_z"?)'),
        (
            'anomalies = { business_hours = "20:00-07:00" }',
            'key "anomalies.business_hours": "20:00-07:00" are no hours',
        ),
        ('anomalies = { business_hours = "7-20" }', 'key "anomalies.business_hours": "7-20" are no hours; write'),
        ('anomalies = { business_days = ["monday"] }', 'key "anomalies.business_days.0": "monday" should be'),
        ("anomalies = { split_days = 0 }", 'key "anomalies.split_days": 0 should be greater than or equal to 1'),
        ("reversal_window_days = 100_001", 'key "reversal_window_days": 100001 should be less than or equal to 100000'),
        ("approval_limit = 1e40", 'key "approval_limit": "1E+40" should be less than 100000000000000'),
        (
            "anomalies = { minimum_observations = 99_999_999_999_999_999_999 }",
            'key "anomalies.minimum_observations": 99999999999999999999 should be less than or equal to 100000',
        ),
        ("anomalies = { recovery_budget = 1e40 }", 'key "anomalies.recovery_budget": "1E+40" should'),
        ("anomalies = { robust_z = 1e-40 }", 'key "anomalies.robust_z": "1E-40" should be a number of at most 4'),
        ("anomalies = 3", 'key "anomalies": 3 should be a table'),
        ('label = ""', 'key "label": "" must be text without space around it, on one line'),
        ('shard = "../east"', 'key "shard": "../east" may only have letters, digits, - and _, 63 at most'),
        ('shard = "main-read"', 'key "shard": "main-read" may not end in -read'),
        ("shard = 1", 'key "shard": 1 should be text in quotes'),
        ("balance_types = 5", 'key "balance_types": 5 should be a table'),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_merchant(home: Home, added: str, said: str) -> None:
    assert refusal(home, f"{ACME}{added}\n").startswith(f'merchant "acme": {said}')


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ('win = { unit = "TKN" }', 'key "balance_types.win": "TKN" is no currency; say how many decimals it has'),
        ('win = { unit = "XAU" }', 'key "balance_types.win": "XAU" is no currency; say how many decimals it has'),
        (
            'win = { unit = "TKN", decimals = 5 }',
            'key "balance_types.win.decimals": 5 should be less than or equal to 4',
        ),
        ('win = { unit = "TKN", decimals = -1 }', 'key "balance_types.win.decimals": -1 should be greater than'),
        ('win = { unit = "USD", decimals = 3 }', 'key "balance_types.win": "USD" has 3 decimals here and 2 elsewhere'),
        (
            'a = { unit = "TKN", decimals = 0 }\nb = { unit = "TKN", decimals = 2 }',
            'key "balance_types.b": "TKN" has 2 decimals here and 0 elsewhere',
        ),
        ('win = { unit = "usd", decimals = 2 }', 'key "balance_types.win": "usd" is written "USD" elsewhere'),
        ('win = { unt = "TKN" }', 'key "balance_types.win.unit" is missing'),
        ('win = { unit = "TKN", decimals = 0, name = "Winston" }', 'key "balance_types.win.name" is unknown'),
        (
            'win = { unit = "TKN", decimal = 0 }',
            'key "balance_types.win.decimal" is unknown (did you mean "decimals"?)',
        ),
        ('win = "TKN"', 'key "balance_types.win": "TKN" should be a table such as { unit = "TKN", decimals = 0 }'),
        ('" win" = { unit = "USD" }', 'key "balance_types. win": " win" must be text without space around it'),
        ('"" = { unit = "USD" }', 'key "balance_types.": "" must be text without space around it'),
    ],
)
def test_a_wrong_balance_type_is_named(home: Home, declared: str, said: str) -> None:
    assert refusal(home, f"{ACME}{TYPES}{declared}\n").startswith(f'merchant "acme": {said}')


# A unit becomes a criterion of SUMIFS, where some characters have a meaning of their own.
@pytest.mark.parametrize("unit", ["T*N", "T?N", "~", ">5", "=TKN", "<>", "T N", "", "Tökn", 'T"N', "TKN\\n", "x" * 17])
def test_a_unit_has_only_letters_digits_hyphen_and_underscore(home: Home, unit: str) -> None:
    quoted = unit.replace('"', '\\"')
    said = refusal(home, f'{ACME}{TYPES}win = {{ unit = "{quoted}", decimals = 0 }}\n')
    assert said.startswith('merchant "acme": key "balance_types.win.unit": ')


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("timezone", "EST5", 'key "timezone": "EST5" is not an IANA timezone; write it like "America/New_York"'),
        ("timezone", "america/new_york", 'key "timezone": "america/new_york" is not an IANA timezone'),
        ("timezone", "../../etc/localtime", 'key "timezone": "../../etc/localtime" is not an IANA timezone'),
        ("currency", "usd", 'key "currency": "usd" is not an ISO 4217 currency; write it like "USD"'),
        ("currency", "BTC", 'key "currency": "BTC" is not an ISO 4217 currency'),
        ("currency", "XAU", 'key "currency": "XAU" has no minor unit in ISO 4217'),
        ("currency", "XXX", 'key "currency": "XXX" has no minor unit in ISO 4217'),
        ("name", "", 'key "name": "" must be text'),
    ],
)
def test_a_timezone_a_currency_and_a_name_must_be_real(home: Home, key: str, value: str, said: str) -> None:
    lines = [line if not line.startswith(key) else f'{key} = "{value}"' for line in ACME.splitlines()]
    assert refusal(home, "\n".join(lines)).startswith(f'merchant "acme": {said}')


@pytest.mark.parametrize("key", ["name", "timezone", "currency"])
def test_what_has_no_default_must_be_there(home: Home, key: str) -> None:
    text = "".join(line + "\n" for line in ACME.splitlines() if not line.startswith(key))
    assert refusal(home, text) == f'merchant "acme": key "{key}" is missing.'


@pytest.mark.parametrize("merchant_id", ["Acme", "a/b", "..", "", "a b", "ä", "x" * 64, "a_b", "a.b"])
def test_a_merchant_id_becomes_a_path_so_it_has_few_characters(home: Home, merchant_id: str) -> None:
    said = refusal(home, ACME.replace("[merchants.acme]", f'[merchants."{merchant_id}"]'))
    assert said == f'merchant "{merchant_id}": an id has only a-z, 0-9 and -, 63 at most.'


def test_an_id_is_the_name_of_its_table_and_no_key(home: Home) -> None:
    assert refusal(home, ACME + 'id = "bolt"\n') == (
        'merchant "acme": write its settings as a table, without a key "id".'
    )
    assert refusal(home, '[merchants]\nacme = "Acme"\n') == (
        'merchant "acme": write its settings as a table, without a key "id".'
    )


@pytest.mark.parametrize("text", ["", "[merchants]\n", "merchants = 5\n", "# nothing yet\n"])
def test_a_file_that_declares_no_merchant_says_how_to(home: Home, text: str) -> None:
    assert refusal(home, text) == "declares no merchant; write a table such as [merchants.green-acres]."


def test_an_unknown_key_beside_the_merchants_is_named(home: Home) -> None:
    assert refusal(home, f'timezone = "UTC"\n{ACME}') == (
        'key "timezone" is unknown; merchants are tables such as [merchants.green-acres].'
    )


def test_a_key_that_is_there_twice_is_shown_with_its_merchant(home: Home) -> None:
    said = refusal(home, ACME + 'currency = "EUR"\n')
    assert said.startswith("cannot be read as TOML: Cannot overwrite a value (at line 5, column")
    assert said.endswith('currency = "EUR", in [merchants.acme].')
    assert "[merchants.acme]" in refusal(home, ACME + ACME)


def test_what_is_no_toml_is_shown(home: Home) -> None:
    said = refusal(home, ACME + "label = Farm\n")
    assert said.startswith("cannot be read as TOML: Invalid value (at line 5")
    assert said.endswith("label = Farm, in [merchants.acme].")


def test_a_file_that_is_not_utf_8_says_so(home: Home) -> None:
    home.merchants_file.write_bytes(ACME.replace("Acme", "Akmé").encode("cp1252"))
    with pytest.raises(SettingsError, match=r"merchants\.toml is not UTF-8 \(see byte 28\)\. Save it as UTF-8\."):
        read_merchants(home)


def test_a_file_that_is_not_there_says_what_to_do(home: Home) -> None:
    with pytest.raises(SettingsError, match=r"merchants\.toml does not exist\. Declare your merchants there, or run"):
        read_merchants(home)
    home.merchants_file.mkdir()
    with pytest.raises(SettingsError, match=r"merchants\.toml cannot be read: Is a directory"):
        read_merchants(home)


@pytest.mark.parametrize(("code", "decimals"), [("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)])
def test_a_currency_has_the_decimals_of_iso_4217(code: str, decimals: int) -> None:
    assert settings.currency_decimals(code) == decimals


def test_a_home_is_what_is_stated_else_the_environments_else_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    assert find_home().path == tmp_path / "data"
    monkeypatch.setenv(HOME_VARIABLE, "elsewhere")
    assert find_home().path == tmp_path / "elsewhere"
    assert find_home("stated").path == tmp_path / "stated"
    monkeypatch.setenv(HOME_VARIABLE, "")
    assert find_home(None).path == tmp_path / "data"
