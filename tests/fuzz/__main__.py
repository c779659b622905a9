"""Fuzzing: `python -m tests.fuzz [TARGET …]`, one target after the other, in processes of their own.

FUZZ_SECONDS says how long all of them take together (default: 3600). Each starts from the files in tests/hostile. Stops
at the first finding, with exit code 1, and says where it kept the input that did it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.seeds import write_seeds

TARGETS = ("csv", "jsonl", "parquet", "xlsx", "values")
FOUND = Path(__file__).with_name("found")
SECONDS_A_INPUT = 60
MEGABYTES = 4_000
LONGEST_BYTES = 20_000


def main(names: Sequence[str]) -> int:
    """How it went: 0, or 1 where something was found."""
    if unknown := set(names) - set(TARGETS):
        print(f"There is no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}.", file=sys.stderr)
        return 2
    chosen = names or TARGETS
    seconds = int(os.environ.get("FUZZ_SECONDS", "3600"))
    for name in chosen:
        if not _run(name, seconds // len(chosen)):
            return 1
    return 0


def _run(name: str, seconds: int) -> bool:
    FOUND.mkdir(exist_ok=True)
    before = {*FOUND.iterdir()}
    with TemporaryDirectory(prefix="rollforward-corpus-") as folder:
        corpus = Path(folder)
        seeds = write_seeds(name, corpus)
        started = time.monotonic()
        print(f"{name}: {seconds:,} s, from {seeds} files", flush=True)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.one", name, str(corpus)),
                f"-max_total_time={seconds}",
                f"-timeout={SECONDS_A_INPUT}",
                f"-rss_limit_mb={MEGABYTES}",
                f"-max_len={LONGEST_BYTES}",
                f"-artifact_prefix={FOUND}/{name}-",
                "-print_final_stats=1",
            ],
            check=False,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        took = time.monotonic() - started
    kept = sorted({*FOUND.iterdir()} - before)
    if done.returncode or kept:
        print(done.stderr[-6_000:], file=sys.stderr)
        print(f"{name}: found something after {took:,.0f} s. The input is in:", *kept, sep="\n  ", file=sys.stderr)
        print("Fix what it shows, and keep the file in tests/hostile (CONTRIBUTING.md says how).", file=sys.stderr)
        return False
    executed = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    print(f"{name}: nothing found in {took:,.0f} s. {' '.join(executed)}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
