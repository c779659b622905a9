"""Cost against size: entries, months and merchants; and what a day's 10,000 entries cost on top of all there is.

Phases are timed inside a process of their own, without start-up (`tests.benchmarks.phases`); commands from their start
to their end. "Beyond start-up" takes off what the same command takes with nothing to do. The peer of the ingest is the
least that DuckDB could do with the same file: a table of its cells as text, in a file, as ours is.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from tests.benchmarks import Goal, Plot
from tests.benchmarks.commands import rollforward, timed
from tests.benchmarks.landing import LAST_MONTH, MERCHANT, MERCHANTS_TOML, write_landing

SIZES, QUICK_SIZES = (100_000, 1_000_000, 10_000_000), (2_000, 20_000)
MONTHS, MERCHANTS = (1, 12, 36), (1, 20, 200)
NEW_ENTRIES = 10_000
# At the largest size 30,000 credits are created in the last month and some 200,000 are extant at its end.
LAST_CREATED, SHORT_LIVES = 30_000, {0: 0.015, 45: 0.985}
REJECTED = 3 / 10_000
# More than a sheet has rows; all of them are extant, too.
TWO_SHEETS = 1_100_000

BARE_RATIO = "cold ingest, times as long as DuckDB's bare table of the same file"
KERNEL, REPLAY = "kernel, s", "replay with sorting and writing, s"
NEW_DAY = f"ingest, replay and month report after {NEW_ENTRIES:,} new entries, beyond start-up, s"
MONTH_RATIO = "each further month, times as long as the writing of its own cells"
NOTHING, HELP = "a run with nothing to do, s", "--help, s"
LARGEST, SMALLER = "peak memory at 10,000,000 entries, MB", "peak memory at 1,000,000 entries, MB"
SECOND_SHEET = f"peak memory of a month with {TWO_SHEETS:,} created credits, MB"
GOALS = {
    BARE_RATIO: Goal("under", 3),
    KERNEL: Goal("under", 3),
    REPLAY: Goal("under", 25),
    NEW_DAY: Goal("under", 15),
    MONTH_RATIO: Goal("under", 1.3),
    LARGEST: Goal("under", 4_096),
    SMALLER: Goal("under", 1_536),
    SECOND_SHEET: Goal("under", 1_536),
    NOTHING: Goal("under", 6),
    HELP: Goal("under", 0.3),
}
PHASES = ("ingest", "replay", "report")
PLOTS = [
    Plot("Cold run by entries", "entries", {phase: {size: f"{phase}, {size:,} entries, s" for size in SIZES}
                                            for phase in PHASES}),
    Plot("Peak memory by entries", "entries", {"MB": {size: f"peak memory, {size:,} entries, MB" for size in SIZES}}),
    Plot("Backfill by months", "months", {"s": {months: f"report of {months} months, s" for months in MONTHS}}),
    Plot("Report by merchants", "merchants", {"s": {count: f"report of {count} merchants, s" for count in MERCHANTS}}),
]  # fmt: skip


def run(quick: bool) -> dict[str, float]:
    """Figures by size; those with a goal are of the largest."""
    sizes = QUICK_SIZES if quick else SIZES
    figures: dict[str, float] = {}
    for size in sizes:
        with _copy(_of_entries(size)) as home:
            export = str(home / "landing" / MERCHANT / "entries" / "export.csv")
            bare = json.loads(_phases("bare", export, str(home / "bare.duckdb")).output)
            (home / "bare.duckdb").unlink()
            cold = _phases("cold", str(home), LAST_MONTH)
            phases = json.loads(cold.output)
            for phase in PHASES:
                figures[f"{phase}, {size:,} entries, s"] = phases[phase]
            figures[f"bare table, {size:,} entries, s"] = bare["seconds"]
            figures[f"peak memory, {size:,} entries, MB"] = cold.peak_megabytes
            if size == sizes[-1]:
                figures[BARE_RATIO] = phases["ingest_of_entries"] / bare["seconds"]
                figures[KERNEL], figures[REPLAY] = phases["kernel"], phases["replay"]
                figures |= _a_new_day(home)
    figures[SMALLER] = figures[f"peak memory, {sizes[-2]:,} entries, MB"]
    figures[LARGEST] = figures[f"peak memory, {sizes[-1]:,} entries, MB"]
    figures[SECOND_SHEET] = _second_sheet(QUICK_SIZES[1] if quick else TWO_SHEETS)
    return figures | _backfills(QUICK_SIZES[0] if quick else 1_000_000) | _many(200 if quick else 2_000)


def _a_new_day(home: Path) -> dict[str, float]:
    """What comes on top of a ledger that has everything: nothing; then a day's entries."""
    nothing = timed([rollforward(), "--home", str(home), "ingest"]).seconds
    _land_a_day(home)
    day = timed([rollforward(), "--home", str(home), "report", "--month", LAST_MONTH]).seconds
    shown = timed([rollforward(), "--help"]).seconds
    return {NOTHING: nothing, NEW_DAY: day - nothing, HELP: shown}


def _land_a_day(home: Path) -> None:
    """A day's file: credits for members all over the ledger, and redemptions of as many others."""
    count = NEW_ENTRIES // 2
    landing = home / "landing" / MERCHANT
    members = pl.read_csv(landing / "members" / "members.csv")["member_id"].sample(
        2 * count, seed=1, with_replacement=True
    )
    rows = pl.DataFrame(
        {
            "entry_id": [f"day{number}" for number in range(2 * count)],
            "entry_type": ["created", "redeemed"] * count,
            "occurred_at": [f"{LAST_MONTH}-20T12:00:00Z"] * (2 * count),
            "member_id": members,
            "amount": ["5.00", "1.00"] * count,
        }
    )
    rows.write_csv(landing / "entries" / "new-day.csv")


def _second_sheet(created: int) -> float:
    """What the report of a month takes in which so many credits were created, and nothing else has happened."""
    with _copy(_of_created(created)) as home:
        return timed([rollforward(), "--home", str(home), "report", "--month", LAST_MONTH]).peak_megabytes


def _backfills(entries: int) -> dict[str, float]:
    """One run over so many months, and what a further month costs beside the writing of its cells."""
    figures, writing = {}, {}
    for months in MONTHS:
        with _copy(_of_months(entries)) as home:
            year, month = (int(part) for part in LAST_MONTH.split("-"))
            first = year * 12 + month - months
            told = json.loads(_phases("backfill", str(home), f"{first // 12}-{first % 12 + 1:02d}", LAST_MONTH).output)
            figures[f"report of {months} months, s"], writing[months] = told["seconds"], told["writing"]
    one, most = MONTHS[0], MONTHS[-1]
    further = figures[f"report of {most} months, s"] - figures[f"report of {one} months, s"]
    return figures | {
        "each further month, s": further / (most - one),
        MONTH_RATIO: further / (writing[most] - writing[one]),
    }


def _many(entries: int) -> dict[str, float]:
    """One month of so many merchants, from files to workbooks."""
    figures = {}
    for merchants in MERCHANTS:
        with _copy(_of_merchants(merchants, entries)) as home:
            took = timed([rollforward(), "--home", str(home), "report", "--month", LAST_MONTH])
            figures[f"report of {merchants} merchants, s"] = took.seconds
    return figures


def _phases(*what: str) -> Any:
    return timed([sys.executable, "-m", "tests.benchmarks.phases", *what])


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """For the landing files, which are made once however often they are measured."""
    return tempfile.TemporaryDirectory(prefix="rollforward-bench-")


@contextmanager
def _copy(home: Path) -> Iterator[Path]:
    """A home with the same content; of its landing files not one byte is copied."""
    with tempfile.TemporaryDirectory(prefix="home-", dir=_folder().name) as copy:
        shutil.copytree(home, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("landing"))
        shutil.copytree(home / "landing", Path(copy) / "landing", copy_function=os.link)
        yield Path(copy)


@cache
def _of_entries(entries: int) -> Path:
    home = Path(_folder().name) / f"entries-{entries}"
    largest = entries == SIZES[-1]
    more = {"last": LAST_CREATED, "lives": SHORT_LIVES} if largest else {}
    write_landing(home, entries, files="one", **more)  # type: ignore[arg-type]
    export = home / "landing" / MERCHANT / "entries" / "export.csv"
    with export.open("a", encoding="utf-8") as file:
        for number in range(round(entries * REJECTED)):
            file.write(f"bad{number},created,{LAST_MONTH}-01,m0000001,-1.00{',' * 11}\n")
    return home


@cache
def _of_created(count: int) -> Path:
    """A home with so many credits of the last month, four a member, two seconds from each to the next."""
    home = Path(_folder().name) / f"created-{count}"
    landing = home / "landing" / MERCHANT / "entries"
    landing.mkdir(parents=True)
    (home / "merchants.toml").write_text(MERCHANTS_TOML, encoding="utf-8")
    year, month = (int(part) for part in LAST_MONTH.split("-"))
    number = pl.int_range(count)
    pl.select(
        entry_id=pl.format("c{}", number),
        entry_type=pl.lit("created"),
        occurred_at=(pl.datetime(year, month, 2) + pl.duration(seconds=2 * number)).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        member_id=pl.format("m{}", number // 4),
        amount=((number % 97 + 4) / 4).round(2).cast(pl.Decimal(18, 2)).cast(pl.String),
        credit_type=pl.lit("Promotional"),
        reason=pl.lit("Holiday promotion"),
        creator_name=pl.lit("Ann Lee"),
        creator_email=pl.lit("ann@bench.example"),
        location=pl.lit("East"),
    ).write_csv(landing / "export.csv")
    return home


@cache
def _of_months(entries: int) -> Path:
    home = Path(_folder().name) / f"months-{entries}"
    write_landing(home, entries, files="one", months=MONTHS[-1])
    _phases("cold", str(home))
    return home


@cache
def _of_merchants(merchants: int, entries: int) -> Path:
    home = Path(_folder().name) / f"merchants-{merchants}"
    for number in range(merchants):
        write_landing(home, entries, seed=number, files="one", merchant=f"shop-{number:03d}")
    return home
