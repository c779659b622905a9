"""The sample: what it tells, that it tells it alike every time, and that it fits whatever size is asked for."""

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest

from pipelines import clock
from pipelines.datasets import DATASETS
from pipelines.sample import SampleError, SampleResult, world, write_sample
from pipelines.settings import Home, Merchant, read_merchants
from schemas.ledger import ENTRY_TYPES
from tests import oracle
from tests.ledgers import as_policy

MADE_UP_BADLY = "-bad-"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, SampleResult]:
    home = Home(tmp_path_factory.mktemp("sample"))
    return home, write_sample(home)


@pytest.fixture(scope="module")
def home(written: tuple[Home, SampleResult]) -> Home:
    return written[0]


@pytest.fixture(scope="module")
def green_acres(home: Home) -> pl.DataFrame:
    return good(entries(home, "green-acres"))


@pytest.fixture(scope="module")
def harbor_gym(home: Home) -> pl.DataFrame:
    return good(entries(home, "harbor-gym"))


@pytest.fixture(scope="module")
def kiwi_grocer(home: Home) -> pl.DataFrame:
    return good(entries(home, "kiwi-grocer"))


def read(path: Path, merchant: Merchant) -> pl.DataFrame:
    """A landing file as text, a time as the file says it; and where each row stands."""
    if path.suffix == ".csv":
        separator = ";" if merchant.decimal_comma else ","
        rows = pl.read_csv(path, infer_schema=False, separator=separator, truncate_ragged_lines=True)
    elif path.suffix == ".jsonl":
        rows = pl.read_ndjson(path, infer_schema_length=None)
    elif path.suffix == ".parquet":
        rows = pl.read_parquet(path)
    else:
        sheet = openpyxl.load_workbook(path).active
        assert sheet is not None
        header, *cells = sheet.iter_rows(values_only=True)
        texts = [[None if cell is None else str(cell).replace(" 00:00:00", "") for cell in row] for row in cells]
        rows = pl.DataFrame(texts, schema=[str(name) for name in header], orient="row")
    times = [name for name, kind in rows.schema.items() if kind.is_temporal()]
    return rows.with_columns(pl.col(times).dt.strftime("%Y-%m-%dT%H:%M:%SZ")).with_columns(
        pl.all().cast(pl.String), file=pl.lit(path.name)
    )


def entries(home: Home, merchant_id: str) -> pl.DataFrame:
    """Every row of a merchant's entries, in order of files and rows, with `day`, local, and `value`."""
    merchant = read_merchants(home)[merchant_id]
    files = sorted((home.landing / merchant_id / "entries").iterdir())
    rows = pl.concat([read(path, merchant) for path in files], how="diagonal")
    missing = [name for name in DATASETS["entries"].columns if name not in rows.columns]
    return rows.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)


def good(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows as ingest would accept them: without those that go wrong on purpose, and without repeated ids."""
    is_number = pl.col("amount").is_null() | pl.col("amount").str.contains(r"^\d+(\.\d+)?$")
    kept = rows.filter(~pl.col("entry_id").str.contains(MADE_UP_BADLY), is_number)
    return kept.unique("entry_id", keep="first", maintain_order=True).with_columns(
        value=pl.col("amount").cast(pl.Decimal(18, 4))
    )


def created(rows: pl.DataFrame, timezone: str, month: str) -> pl.DataFrame:
    """Credits created in a local month."""
    instants = [said_instant(text, timezone) for text in rows["occurred_at"]]
    months = [f"{clock.local_from_utc(instant, timezone):%Y-%m}" for instant in instants]
    return rows.filter(pl.col("entry_type") == "created", pl.Series(months) == month)


def said_instant(text: str, timezone: str, *, ends_day: bool = False) -> datetime:
    said = datetime.fromisoformat(text)
    if len(text) == 10 and ends_day:
        return clock.end_of_day(said.date(), timezone)
    return said.astimezone(UTC) if said.tzinfo else clock.utc_from_local(said, timezone)


def total(rows: pl.DataFrame) -> Decimal:
    return Decimal(str(rows["value"].sum()))


def digests(home: Home) -> dict[str, str]:
    return {
        str(path.relative_to(home.path)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.path.rglob("*"))
        if path.is_file()
    }


# ---- Alike every time -------------------------------------------------------------------------------------------


def test_the_same_arguments_write_the_same_bytes(home: Home, tmp_path: Path) -> None:
    again = Home(tmp_path)
    write_sample(again)
    assert digests(again) == digests(home)
    write_sample(again)
    assert digests(again) == digests(home)


def test_another_seed_writes_other_entries(tmp_path: Path) -> None:
    one, other = Home(tmp_path / "one"), Home(tmp_path / "other")
    write_sample(one, entries=500, seed=1)
    write_sample(other, entries=500, seed=2)
    june = "landing/green-acres/entries/2026-06.csv"
    assert digests(one)[june] != digests(other)[june]


def test_nothing_unfinished_is_left_behind(home: Home) -> None:
    assert not [path for path in digests(home) if path.endswith(".part")]


# ---- The settings -----------------------------------------------------------------------------------------------


def test_the_merchants_are_in_three_timezones_one_of_them_at_utc_plus_13(home: Home) -> None:
    merchants = read_merchants(home)
    assert list(merchants) == ["green-acres", "harbor-gym", "kiwi-grocer"]
    noons = [
        clock.utc_from_local(datetime.fromisoformat("2026-06-01T12:00"), merchant.timezone)
        for merchant in merchants.values()
    ]
    assert [instant.isoformat()[:13] for instant in noons] == ["2026-06-01T16", "2026-06-01T19", "2026-05-31T23"]


def test_merchants_toml_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "merchants.toml").write_text('[merchants.ours]\nname = "Ours"\n')
    with pytest.raises(SampleError, match=r"merchants\.toml exists, and is not what this sample"):
        write_sample(Home(tmp_path), entries=500)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["merchants.toml"]


def test_two_samples_are_never_mixed(tmp_path: Path) -> None:
    write_sample(Home(tmp_path), entries=500)
    before = digests(Home(tmp_path))
    with pytest.raises(SampleError, match="seed = 2"):
        write_sample(Home(tmp_path), entries=500, seed=2)
    assert digests(Home(tmp_path)) == before


def test_files_of_somebody_else_are_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "landing" / "green-acres" / "entries" / "2026-06.csv"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    with pytest.raises(SampleError, match="holds files of somebody else"):
        write_sample(Home(tmp_path), entries=500)
    assert digests(Home(tmp_path)).keys() == {"landing/green-acres/entries/2026-06.csv"}


@pytest.mark.parametrize("arguments", [{"entries": 0}, {"merchants": 0}, {"months": 0}, {"entries": 2}, {"seed": -1}])
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path: Path, arguments: dict[str, int]) -> None:
    with pytest.raises(SampleError, match="it can be"):
        write_sample(Home(tmp_path / "home"), **arguments)
    assert not (tmp_path / "home").exists()


# ---- The files --------------------------------------------------------------------------------------------------


def test_each_merchant_sends_files_of_its_own_kind_a_month_at_a_time(home: Home) -> None:
    kinds = {
        merchant_id: Counter(path.suffix for path in (home.landing / merchant_id / "entries").iterdir())
        for merchant_id in read_merchants(home)
    }
    # Twelve months, and one of opening balances.
    assert kinds == {
        "green-acres": {".csv": 13},
        "harbor-gym": {".parquet": 13, ".xlsx": 1},
        "kiwi-grocer": {".jsonl": 13},
    }


def test_files_have_no_columns_but_those_of_their_dataset(home: Home) -> None:
    for merchant_id, merchant in read_merchants(home).items():
        for name, dataset in DATASETS.items():
            paths = [*(home.landing / merchant_id / name).iterdir()]
            # Only the gym has classes.
            assert paths or (dataset.snapshot and merchant_id != "harbor-gym"), (merchant_id, name)
            for path in paths:
                columns = set(read(path, merchant).columns) - {"file"}
                assert columns <= set(dataset.columns), path
                assert dataset.required <= columns, path


def test_the_result_counts_every_row(written: tuple[Home, SampleResult]) -> None:
    home, result = written
    merchants = read_merchants(home)
    rows = {
        name: sum(
            read(path, merchants[path.relative_to(home.landing).parts[0]]).height
            for path in result.files
            if path.parent.name == name
        )
        for name in DATASETS
    }
    assert rows == {"entries": result.rows, **result.others}
    assert all(rows.values())
    assert result.rows == 20_000
    assert {str(path.relative_to(home.path)) for path in result.files} == {
        path for path in digests(home) if path.startswith("landing/")
    }


def test_times_are_local_at_one_merchant_and_utc_at_another(
    green_acres: pl.DataFrame, harbor_gym: pl.DataFrame, kiwi_grocer: pl.DataFrame
) -> None:
    assert not green_acres["occurred_at"].str.ends_with("Z").any()
    assert kiwi_grocer["occurred_at"].str.contains("T.*Z$").sum() > 3_900
    assert green_acres["expires_at"].drop_nulls().str.contains(r"^\d{4}-\d\d-\d\d$").sum() > 3_000
    assert harbor_gym["occurred_at"].str.len_chars().max() == 20


def test_members_have_names_of_many_scripts_and_addresses_that_reach_nobody(home: Home) -> None:
    merchant = read_merchants(home)["green-acres"]
    folder = home.landing / "green-acres" / "members"
    members = read(folder / "2025-11.csv", merchant)
    assert members["member_id"].is_unique().all()
    assert members["email"].is_unique().all()
    assert members["email"].str.contains(r"^[a-z.-]+\.\d+@[a-z-]+\.example$").all()
    names = members["first_name"]
    for script in (r"\p{Arabic}", r"\p{Hebrew}", r"\p{Han}", "[éíöøŁĐ]", "^[A-Za-z]+$"):
        assert names.str.contains(script).sum() > 20, script
    assert set(members["is_employee"]) == {"true", "false"}
    assert members["keywords"].str.contains("wholesale").sum() == 18
    assert read(folder / "2026-08.csv", merchant)["member_id"].is_in(members["member_id"].to_list()).all()


def test_one_member_with_credit_is_in_no_file_of_members(home: Home, green_acres: pl.DataFrame) -> None:
    members = read(home.landing / "green-acres" / "members" / "2025-11.csv", read_merchants(home)["green-acres"])
    unknown = green_acres.join(members, on="member_id", how="anti")
    assert unknown["entry_id"].to_list() == ["ga-nobody"]


# ---- The stories ------------------------------------------------------------------------------------------------


def test_all_ten_entry_types_occur(
    green_acres: pl.DataFrame, harbor_gym: pl.DataFrame, kiwi_grocer: pl.DataFrame
) -> None:
    assert set(green_acres["entry_type"]) == set(ENTRY_TYPES)
    assert set(kiwi_grocer["entry_type"]) == set(ENTRY_TYPES)
    # One balance type: nothing to transfer between.
    assert set(harbor_gym["entry_type"]) == set(ENTRY_TYPES) - {"transferred_in", "transferred_out"}
    assert green_acres.filter(pl.col("entry_type") == "opening")["system"].is_in(["legacy_credit"]).sum() > 20


def test_the_summer_sale_went_to_1247_members_at_10_each(green_acres: pl.DataFrame) -> None:
    sale = green_acres.filter(pl.col("batch_id") == "ga-batch-summer-sale-2026-06", pl.col("entry_type") == "created")
    assert (sale.height, sale["member_id"].n_unique(), total(sale)) == (1247, 1247, Decimal(12470))
    assert set(sale["reason_details"]) == {"Summer Sale $10 Credit"}
    assert set(sale["occurred_at"].str.slice(0, 10)) == {"2026-06-01"}
    assert set(sale["credit_type"]) == {"Promotional"}


def test_route_5_took_2200_of_the_4500_that_service_recovery_cost_in_may(green_acres: pl.DataFrame) -> None:
    may = created(green_acres, "America/New_York", "2026-05").filter(pl.col("credit_type") == "Service Recovery")
    route = may.filter(pl.col("reason_details") == "Delivery Delays Route 5")
    assert total(may) == Decimal(4500)
    assert (total(route), route["batch_id"].n_unique()) == (Decimal(2200), 3)


def test_the_credit_of_may_10_says_which_order_it_was_for(green_acres: pl.DataFrame) -> None:
    credit = green_acres.filter(pl.col("reason_details") == "Service Recovery - Missing Items May 9 Orders")
    assert credit.select("amount", "occurred_at", "batch_id", "reason").rows() == [
        ("15.00", "2026-05-10T09:12:00", "ga-batch-missing-items-may-9", "Missing Items")
    ]


def test_june_at_the_gym_is_18850_of_three_types(harbor_gym: pl.DataFrame) -> None:
    june = created(harbor_gym, "America/Los_Angeles", "2026-06")
    by_type = {str(kind): total(rows) for (kind,), rows in june.group_by("credit_type")}
    assert by_type == {
        "Promotional": Decimal(12450),
        "Service Recovery": Decimal(4100),
        "Refund": Decimal(2300),
    }
    assert total(june) == Decimal(18850)


def test_a_batch_is_reversed_whole_and_issued_again_to_others(green_acres: pl.DataFrame) -> None:
    batch = green_acres.filter(pl.col("batch_id") == "ga-batch-spring-market-2026-03")
    issued, reversed_ = (batch.filter(pl.col("entry_type") == kind) for kind in ("created", "reversed"))
    assert (issued.height, total(issued)) == (18, Decimal(450))
    assert sorted(reversed_["credit_id"]) == sorted(issued["entry_id"])
    again = green_acres.filter(pl.col("batch_id") == "ga-batch-spring-market-2026-03-corrected")
    assert not set(again["member_id"]) & set(issued["member_id"])


def test_transfers_come_in_pairs_of_one_amount(green_acres: pl.DataFrame, kiwi_grocer: pl.DataFrame) -> None:
    for rows in (green_acres, kiwi_grocer):
        sides = [rows.filter(pl.col("entry_type") == kind) for kind in ("transferred_out", "transferred_in")]
        out, into = (dict(zip(side["transfer_id"], side["value"], strict=True)) for side in sides)
        assert out == into
        assert len(out) >= 9


def test_every_name_of_a_credit_or_redemption_is_known_except_where_a_story_says(
    green_acres: pl.DataFrame, harbor_gym: pl.DataFrame, kiwi_grocer: pl.DataFrame
) -> None:
    for rows in (green_acres, harbor_gym, kiwi_grocer):
        is_credit = pl.col("entry_type").is_in(["opening", "created", "transferred_in"])
        credits = rows.filter(is_credit).select(pl.coalesce("credit_id", "entry_id"))
        named = rows.filter(~is_credit, pl.col("credit_id").is_not_null())
        assert named.join(credits, on="credit_id", how="anti").is_empty()
        is_redemption = pl.col("entry_type") == "redeemed"
        redemptions = rows.filter(is_redemption).select(pl.coalesce("redemption_id", "entry_id"))
        refunds = rows.filter(pl.col("entry_type") == "refunded")
        unknown = refunds.join(redemptions, on="redemption_id", how="anti")
        assert unknown["entry_id"].to_list() in ([], ["kg-no-such-order"])


def test_the_rows_that_go_wrong_are_a_dozen_of_as_many_kinds(home: Home) -> None:
    wrong = {
        "ga-bad-1": ("2026-06.csv", "amount", "12.345"),
        "ga-bad-2": ("2026-06.csv", "occurred_at", "31.06.2026"),
        "ga-bad-3": ("2026-02.csv", "entry_type", "adjusted"),
        "ga-bad-4": ("2026-09.csv", "member_id", None),
        "ga-bad-6": ("2026-07.csv", "credit_id", "ga-parts-b"),
        "hg-desk-6": ("2026-10-front-desk.xlsx", "amount", "twenty"),
        "kg-bad-1": ("2026-03.jsonl", "balance_type", "stars"),
        "kg-bad-2": ("2026-05.jsonl", "amount", "-5.00"),
        "kg-bad-3": ("2026-08.jsonl", "occurred_at", "2199-12-31T00:00:00Z"),
        "kg-bad-4": ("2026-10.jsonl", "expires_at", "when used up"),
    }
    rows = pl.concat([entries(home, merchant_id) for merchant_id in read_merchants(home)], how="diagonal")
    found = {row["entry_id"]: row for row in rows.filter(pl.col("entry_id").is_in(list(wrong))).to_dicts()}
    assert {key: (found[key]["file"], column, found[key][column]) for key, (_, column, _) in wrong.items()} == wrong

    # A line with a comma too many.
    (ragged,) = rows.filter(pl.col("entry_id") == "ga-bad-5")["file"]
    line = (home.landing / "green-acres" / "entries" / ragged).read_text().splitlines()[-2]
    assert line.startswith("ga-bad-5,")
    assert line.count(",") == 23

    # One entry told twice, otherwise the second time; and one row told twice, letter for letter.
    twice = rows.filter(pl.col("entry_id").is_duplicated()).select("file", "entry_id", "amount").rows()
    assert sorted(twice) == [
        ("2026-03.csv", "ga-spring-order", "4.00"),
        ("2026-04.csv", "ga-spring-order", "5.00"),
        ("2026-06.csv", "ga-parts-c", "10.00"),
        ("2026-07.csv", "ga-parts-c", "10.00"),
    ]
    lines = Counter(
        line
        for path in (home.landing / "green-acres" / "entries").iterdir()
        for line in path.read_text().splitlines()
        if line.startswith("ga-")
    )
    assert [line[:10] for line, count in lines.items() if count > 1] == ["ga-parts-c"]


def test_accounts_are_overdrawn_and_refunds_exceed_only_here_and_there(home: Home) -> None:
    found: Counter[str] = Counter()
    parts: Counter[str] = Counter()
    for merchant_id, merchant in read_merchants(home).items():
        movements, findings = oracle.replay(ledger(home, merchant), {merchant_id: as_policy(merchant)})
        found.update(finding["finding"] for finding in findings)
        parts.update(movement["entry_id"] for movement in movements if movement["movement_type"] == "redeemed")
    assert {"uncovered_draw", "refund_exceeds_redemption", "expiry_mismatch", "reversal_short"} <= found.keys()
    assert found["uncovered_draw"] < 10
    assert found.total() < 40
    assert sum(count > 1 for count in parts.values()) > 800
    assert max(parts.values()) >= 4


def ledger(home: Home, merchant: Merchant) -> Iterator[dict[str, Any]]:
    for row in good(entries(home, merchant.id)).to_dicts():
        yield {
            **row,
            "merchant_id": merchant.id,
            "amount": row["value"] or Decimal(0),
            "occurred_at": said_instant(row["occurred_at"], merchant.timezone),
            "issued_at": row["issued_at"] and said_instant(row["issued_at"], merchant.timezone),
            "expires_at": row["expires_at"] and said_instant(row["expires_at"], merchant.timezone, ends_day=True),
            "priority": int(row["priority"]) if row["priority"] else None,
        }


# ---- Any size ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "merchants", "months", "first"),
    [
        (500, 3, 12, "2025-11"),
        (500, 1, 12, "2025-11"),
        (500, 5, 12, "2025-11"),
        (500, 3, 1, "2026-10"),
        (500, 3, 3, "2026-08"),
        (2_000, 8, 24, "2024-11"),
        (40, 1, 6, "2026-05"),
        (3, 3, 1, "2026-10"),
    ],
)
def test_a_small_sample_is_still_one(tmp_path: Path, size: int, merchants: int, months: int, first: str) -> None:
    home = Home(tmp_path)
    result = write_sample(home, entries=size, merchants=merchants, months=months)
    settings = read_merchants(home)
    assert (result.rows, len(settings)) == (size, merchants)
    rows = [
        read(path, settings[path.relative_to(home.landing).parts[0]]).height
        for path in result.files
        if path.parent.name == "entries"
    ]
    assert sum(rows) == size
    named = {path.name[:7] for path in result.files if path.parent.name in ("entries", "members")}
    assert (min(named), max(named)) == (first, "2026-10")
    assert len(named) <= months


def test_a_merchant_beyond_the_three_has_decimals_of_its_own(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_sample(home, entries=2_000, merchants=7)
    havana, auckland = (home.landing / shop / "entries" / "2026-06.csv" for shop in ("shop-004", "shop-007"))
    assert read_merchants(home)["shop-004"].decimal_comma
    assert ";created;" in havana.read_text()
    assert read(havana, read_merchants(home)["shop-004"])["amount"].str.contains(r"^\d+,\d\d$").all()
    assert read(auckland, read_merchants(home)["shop-007"])["amount"].str.contains(r"^\d+\.\d\d$").all()
    tunis = read(home.landing / "shop-006" / "entries" / "2026-06.csv", read_merchants(home)["shop-006"])
    assert tunis["amount"].str.contains(r"^\d+\.\d{3}$").all()


def test_a_large_sample_is_written_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "BLOCK_ROWS", 30_000)
    home = Home(tmp_path)
    started = time.monotonic()
    result = write_sample(home, entries=200_000, merchants=1)
    assert time.monotonic() - started < 30
    rows = entries(home, "green-acres")
    assert rows.height == result.rows == 200_000
    assert rows["entry_id"].n_unique() == 200_000 - 2
    assert result.others["members"] == pytest.approx(200_000 / 12, rel=0.01)
    assert set(good(rows)["entry_type"]) == set(ENTRY_TYPES)
    sale = rows.filter(pl.col("batch_id") == "ga-batch-summer-sale-2026-06", pl.col("entry_type") == "created")
    assert sale.height == 1247
    transfers = rows.filter(pl.col("entry_type") == "transferred_in")["transfer_id"]
    assert transfers.is_unique().all()
