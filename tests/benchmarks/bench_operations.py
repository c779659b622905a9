"""Mass credits as their users run them: the preview over a large roster, and the processing of many credits.

Each command is a process of its own. What the same command takes on a home with hardly anything in it is start-up, and
is taken off. A machine that does other things too shows in the seconds, less in the CPU's.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from tests.benchmarks import Goal

MERCHANT, ACTOR = "bench", "ann@bench.example"
PREVIEW = "preview over 200,000 families and 400,000 enrollments, beyond start-up, s"
PROCESS = "processing 100,000 credits, ledger and replay included, beyond start-up, s"
GOALS = {PREVIEW: Goal("under", 3), PROCESS: Goal("under", 5)}
RUNS = 3

MERCHANTS_TOML = f'[merchants.{MERCHANT}]\nname = "Bench"\ntimezone = "America/New_York"\ncurrency = "USD"\n'
ACCESS_TOML = f'[actors."{ACTOR}"]\nname = "Ann Lee"\nrole = "administrator"\nmerchants = ["{MERCHANT}"]\n'
# Three filters: on the family's autopay, on its charges, and on its enrollments.
FILTERED = """
issue_per = "family"
only_with_outstanding_charges = true
autopay_methods = ["card"]
[[enrollment_filters]]
classes = ["Class 1", "Class 2"]
days = ["mon"]
"""
EVERYONE = 'issue_per = "family"\nfamily_keywords = ["half"]\n'


class Took(NamedTuple):
    """What a command took, and what it said on stdout."""

    seconds: float
    cpu_seconds: float
    output: str


def run(quick: bool) -> dict[str, float]:
    """Seconds of each, and of the CPU."""
    families = 2_000 if quick else 200_000
    with tempfile.TemporaryDirectory(prefix="rollforward-bench-") as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        for home, size in ((small, 10), (large, families)):
            write_rosters(home, size)
            _took(home, "ingest")
        previews = {home: [_preview(home, FILTERED)[1] for _ in range(RUNS)] for home in (small, large)}
        processed: dict[Path, list[Took]] = {}
        for home in (small, large):
            processed[home] = []
            for _ in range(RUNS):
                preview_id, _shown = _preview(home, EVERYONE)
                processed[home].append(_took(home, "mass-credits", "process", preview_id, *_who()))
        credits = json.loads(processed[large][-1].output)["entries"]
        if credits != families // 2:
            raise AssertionError(f"{credits} credits were issued, not {families // 2}")
        return {
            PREVIEW: _beyond(previews[large], previews[small], "seconds"),
            "the preview, of the CPU, s": _beyond(previews[large], previews[small], "cpu_seconds"),
            PROCESS: _beyond(processed[large], processed[small], "seconds"),
            "the processing, of the CPU, s": _beyond(processed[large], processed[small], "cpu_seconds"),
            "start-up, s": min(took.seconds for took in previews[small]),
        }


def write_rosters(home: Path, families: int, seed: int = 1) -> None:
    """Settings, families with a student and a half each, two enrollments and a charge and a quarter a family."""
    rng = np.random.default_rng(seed)
    home.mkdir()
    (home / "merchants.toml").write_text(MERCHANTS_TOML, encoding="utf-8")
    (home / "access.toml").write_text(ACCESS_TOML, encoding="utf-8")
    member = pl.Series("member_id", np.arange(families)).cast(pl.String)
    members = pl.DataFrame(
        {
            "member_id": "m" + member,
            "email": "m" + member + "@family.example",
            "first_name": "First" + member,
            "last_name": "Last" + member,
            "keywords": pl.Series(np.where(np.arange(families) % 2 == 0, "half;new", "old")),
            "autopay_methods": pl.Series(rng.choice(["card", "bank", "card;bank", ""], families)),
        }
    )
    students = families * 3 // 2
    student = pl.Series("student_id", np.arange(students)).cast(pl.String)
    pupils = pl.DataFrame(
        {
            "student_id": "s" + student,
            "member_id": "m" + pl.Series(np.arange(students) % families).cast(pl.String),
            "first_name": "Child" + student,
            "last_name": "Last" + student,
            "keywords": pl.Series(rng.choice(["team", "beginner", ""], students)),
        }
    )
    count = families * 2
    enrollments = pl.DataFrame(
        {
            "enrollment_id": "e" + pl.Series(np.arange(count)).cast(pl.String),
            "student_id": "s" + pl.Series(rng.integers(0, students, count)).cast(pl.String),
            "kind": pl.Series(rng.choice(["class", "camp"], count, p=[0.9, 0.1])),
            "name": "Class " + pl.Series(rng.integers(1, 4, count)).cast(pl.String),
            "program": "Program " + pl.Series(rng.integers(1, 6, count)).cast(pl.String),
            "location": pl.Series(rng.choice(["East", "West"], count)),
            "days": pl.Series(rng.choice(["mon;wed", "mon", "tue;thu", "fri"], count)),
            "keywords": pl.Series(rng.choice(["beg", "int;adv"], count)),
            "program_keywords": pl.Series(rng.choice(["fall", "spring"], count)),
            "status": pl.Series(rng.choice(["active", "ended"], count, p=[0.8, 0.2])),
        }
    )
    count = families * 5 // 4
    charges = pl.DataFrame(
        {
            "charge_id": "c" + pl.Series(np.arange(count)).cast(pl.String),
            "member_id": "m" + pl.Series(rng.integers(0, families, count)).cast(pl.String),
            "category": pl.Series(rng.choice(["Tuition", "Shop"], count)),
            "amount": pl.Series(np.full(count, "80.00")),
            "outstanding": pl.Series(rng.choice(["0.00", "80.00"], count)),
        }
    )
    for name, frame in (
        ("members", members), ("students", pupils), ("enrollments", enrollments), ("charges", charges),
    ):  # fmt: skip
        folder = home / "landing" / MERCHANT / name
        folder.mkdir(parents=True)
        frame.write_csv(folder / "all.csv")


def _beyond(large: list[Took], small: list[Took], what: str) -> float:
    """The fastest of each: what else the machine does only ever adds."""
    took, start_up = (min(float(getattr(one, what)) for one in runs) for runs in (large, small))
    return took - start_up


def _preview(home: Path, filters: str) -> tuple[str, Took]:
    """A preview's id, and what it took. The preview says so for people, so that no JSON of thousands is made."""
    day = datetime.now(UTC).date() - timedelta(days=1)
    request = home / "request.toml"
    said = f'description = "Bench"\ncredit_type = "Promotional"\ndate = {day}\namount = 5\n'
    request.write_text(said + filters, encoding="utf-8")
    took = _took(home, "mass-credits", "preview", str(request), *_who(), as_json=False)
    newest = max((home / "previews" / MERCHANT).glob("*.csv"), key=lambda path: path.stat().st_mtime_ns)
    return newest.name.removesuffix(".csv"), took


def _who() -> list[str]:
    return ["--merchant", MERCHANT, "--actor", ACTOR]


def _took(home: Path, *arguments: str, as_json: bool = True) -> Took:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    rollforward = str(Path(sys.executable).with_name("rollforward"))
    command = [rollforward, "--home", str(home), *(["--json"] if as_json else []), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Took(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout)
