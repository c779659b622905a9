"""`rollforward report` from files to workbook on an empty ledger, beside an analyst's pandas + openpyxl script.

One merchant, two years, a million entries in one export; both run as processes of their own, from the same CSV, and
must come to the same totals. The script runs in an environment of its own (.venv-peer, which `make bench` sets up).
"""

import json
import math
import shutil
import tempfile
from pathlib import Path

import openpyxl

from tests.benchmarks import Goal
from tests.benchmarks.commands import Run, peer_python, rollforward, timed
from tests.benchmarks.landing import LAST_MONTH, MERCHANT, MONTHS, TIMEZONE, write_landing

RATIO = "times as fast as pandas + openpyxl (to_excel)"
DEMO = "the demo, once set up, s"
GOALS = {RATIO: Goal("at least", 8), DEMO: Goal("under", 20)}


def run(quick: bool) -> dict[str, float]:
    """Figures of both, and how many times as fast ours is. The totals must agree to the cent."""
    entries = 50_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory(prefix="rollforward-bench-") as folder:
        work = Path(folder)
        export, months = work / "export", work / "months"
        write_landing(export, entries, files="one")
        write_landing(months, entries)
        asked = [str(export / "landing" / MERCHANT), LAST_MONTH, TIMEZONE, str(work / "peer.xlsx")]
        peer = timed([*_peer(), *asked])
        streaming = timed([*_peer(), *asked, "--stream"])
        totals = json.loads(peer.output)
        ours = _report(export, totals)
        size = f"{entries:,} entries"
        return {
            f"report, {size}, s": ours.seconds,
            f"report, {size}, peak MB": ours.peak_megabytes,
            f"report, {size} in {MONTHS} files, s": _report(months, totals).seconds,
            f"pandas + openpyxl (to_excel), {size}, s": peer.seconds,
            f"pandas + openpyxl (to_excel), {size}, peak MB": peer.peak_megabytes,
            RATIO: peer.seconds / ours.seconds,
            f"pandas + openpyxl (write-only rows), {size}, s": streaming.seconds,
            "times as fast as pandas + openpyxl (write-only rows)": streaming.seconds / ours.seconds,
            DEMO: _demo_seconds(work / "demo"),
        }


def _report(home: Path, totals: dict[str, str]) -> Run:
    """`rollforward report` in a copy of `home`, which must come to these totals."""
    with tempfile.TemporaryDirectory(prefix="home-", dir=home.parent) as copy:
        shutil.copytree(home, copy, dirs_exist_ok=True)
        done = timed([rollforward(), "--home", copy, "report", "--month", LAST_MONTH])
        ours = read_totals(next((Path(copy) / "reports" / MERCHANT / LAST_MONTH).glob("*.xlsx")))
    if ours != totals:
        raise AssertionError(f"the totals differ: ours {ours}, the peer's {totals}")
    return done


def read_totals(workbook: Path) -> dict[str, str]:
    """The five totals in a workbook's Summary Statistics, in cents' notation, as the peer prints them."""
    book = openpyxl.load_workbook(workbook, read_only=True, data_only=True)
    sheet = book["Summary Statistics"]
    cells = {"created": "B5", "redeemed": "B6", "refunded": "B7", "expired": "B8", "extant": "B10"}
    totals = {name: f"{sheet[cell].value:.2f}" for name, cell in cells.items()}
    book.close()
    return totals


def _demo_seconds(home: Path) -> float:
    """What `make demo` runs."""
    commands = [["sample"], ["report", "--month", "2026-06"], ["rejects"]]
    return math.fsum(timed([rollforward(), "--home", str(home), *command]).seconds for command in commands)


def _peer() -> list[str]:
    """The analyst's script."""
    return [peer_python(), str(Path(__file__).with_name("peer_pandas_openpyxl.py"))]
