"""A run that is killed at any moment, then run again: the same ledger, the same workbooks, nothing twice, no half."""

import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import content, rollforward, start, workbooks

REPORT = ("report", "--month", "2026-05", "--to", "2026-06")


@dataclass(frozen=True)
class Undisturbed:
    """A home in which nothing went wrong, and how long its report took."""

    home: Path
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    rollforward(home, "sample", "--entries", "3000")
    started = time.monotonic()
    rollforward(home, *REPORT)
    return Undisturbed(home, time.monotonic() - started)


def assert_a_killed_report_ends_like_an_undisturbed_one(undisturbed: Undisturbed, home: Path, seed: int) -> None:
    """Kill up to three runs, each at a moment drawn from its whole length; then let one finish."""
    draw = random.Random(seed)
    home.mkdir()
    for name in ("merchants.toml", "access.toml"):
        shutil.copy2(undisturbed.home / name, home / name)
    shutil.copytree(undisturbed.home / "landing", home / "landing")
    for _ in range(draw.randint(1, 3)):
        process = start(home, *REPORT)
        time.sleep(draw.uniform(0.3, 1.0) * undisturbed.seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for path in (home / "reports").rglob("*.xlsx"):
            assert path.name.startswith(".") or path.read_bytes()[-22:-18] == b"PK\x05\x06", (
                f"{path} is half a workbook"
            )
    rollforward(home, *REPORT)
    assert content(home) == content(undisturbed.home)
    assert workbooks(home) == workbooks(undisturbed.home)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_report_run_again_ends_like_an_undisturbed_one(
    undisturbed: Undisturbed, tmp_path: Path, seed: int
) -> None:
    assert_a_killed_report_ends_like_an_undisturbed_one(undisturbed, tmp_path / "home", seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 150))
def test_many_killed_reports_end_like_an_undisturbed_one(undisturbed: Undisturbed, tmp_path: Path, seed: int) -> None:
    assert_a_killed_report_ends_like_an_undisturbed_one(undisturbed, tmp_path / "home", seed)
