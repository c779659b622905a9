"""Running Rollforward as its users do: the command, in a process of its own, on a home of its own."""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

import duckdb

from pipelines import cli
from pipelines.settings import find_home
from pipelines.shards import ledger_path
from tests import forks

COMMAND = [sys.executable, "-m", "pipelines.cli"]
# What may differ between two ledgers of the same files: when and by which run something was noted.
WHEN = "recorded_at", "rejected_at", "run_id", "newest_recorded_at"
TABLES = (
    *("ledger.entries", "ledger.members", "ledger.files", "ledger.rejected_rows", "ledger.published"),
    *("facts.credits", "facts.movements", "facts.findings", "facts.daily_totals"),
)


def environment() -> dict[str, str]:
    """Ours, with warnings as warnings: other people's code warns in its own process as it likes."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONWARNINGS", "DAGSTER_HOME"}}


def rollforward(home: Path, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command and expect it to end with `status`. A process of its own, in which all has been loaded."""
    asked = ["--home", str(home), *arguments]
    with tempfile.TemporaryDirectory(prefix="rollforward-test-") as folder:
        stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
        ended = forks.ask(
            "tests.processes:command", stdout=stdout, stderr=stderr, arguments=asked, environment=environment()
        )
        done = subprocess.CompletedProcess(
            asked, ended, stdout.read_text(encoding="utf-8"), stderr.read_text(encoding="utf-8")
        )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


def command(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """In a child: what the command does with these arguments; its exit code."""
    os.environ.clear()
    os.environ.update(environment)
    status = 0
    try:
        cli.main([*arguments])
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def start(home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start the command in the background."""
    return subprocess.Popen(
        [*COMMAND, "--home", str(home), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )


def content(home: Path, shard: str = "main") -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the ledger, but for when they were noted."""
    with duckdb.connect(str(ledger_path(find_home(home), shard)), read_only=True) as connection:
        told = {}
        for table in TABLES:
            columns = [column for column in connection.table(table).columns if column not in WHEN]
            told[table] = sorted(
                connection.execute(f"select {', '.join(columns)} from {table}").fetchall(),
                key=lambda row: tuple(str(value) for value in row),
            )
        return told


def workbooks(home: Path) -> dict[str, bytes]:
    """Every workbook's bytes, by its name below reports/."""
    folder = home / "reports"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.xlsx"))}


def wait_for(url: str, within_s: float) -> None:
    """Until the page answers."""
    until = time.monotonic() + within_s
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own page
                if answer.status == 200:
                    return
        except (URLError, OSError):
            pass
        assert time.monotonic() < until, f"{url} does not answer"
        time.sleep(0.5)
