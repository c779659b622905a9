"""Anomaly rules over two years in one backfill: each rule's time at 100,000 and at 1,000,000 entries.

The peer is our own work that the rules come on top of: replaying the same entries and building the tables of the same
24 months' sheets. Ten times the entries should take a rule about ten times as long; one that is quadratic in something
would take a hundred times.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pipelines import anomalies, ingest, periods, promises, replay, reports
from pipelines.settings import find_home, read_merchants
from pipelines.shards import open_shard
from tests.benchmarks import Goal
from tests.benchmarks.landing import LAST_MONTH, MERCHANT, MERCHANTS_TOML, MONTHS, write_landing

SHARE = "all rules, against replay and sheets together, times as long"
GROWTH = "the slowest rule to grow, 10 times the entries, times as long"
GOALS = {SHARE: Goal("under", 1), GROWTH: Goal("under", 30)}
# A rule that takes less is as fast as it is: its growth would be noise.
NOTICEABLE_S = 0.2


def run(quick: bool) -> dict[str, float]:
    """Seconds of each step and rule at both sizes, and how they compare."""
    sizes = (10_000, 50_000) if quick else (100_000, 1_000_000)
    steps = {size: _measure(size) for size in sizes}
    small, large = (steps[size] for size in sizes)
    figures: dict[str, float] = {}
    for name in large:
        for size in sizes:
            figures[f"{name}, {size:,} entries, s"] = steps[size][name]
    rules = [rule.name for rule in anomalies.rules()]
    figures[SHARE] = sum(large[name] for name in rules) / (large["replay"] + large["sheets' tables"])
    figures[GROWTH] = max(large[name] / max(small[name], NOTICEABLE_S) for name in rules)
    return figures


def _measure(entries: int) -> dict[str, float]:
    """Seconds of the replay, of the sheets' tables of 24 months, of the batches' tables, and of each rule."""
    taken: dict[str, float] = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        started = time.perf_counter()
        work()
        taken[name] = taken.get(name, 0) + time.perf_counter() - started

    with tempfile.TemporaryDirectory(prefix="rollforward-bench-") as folder:
        home = find_home(Path(folder) / "home")
        write_landing(home.path, entries)
        home.merchants_file.write_text(MERCHANTS_TOML + "approval_limit = 50.00\n", encoding="utf-8")
        merchants = read_merchants(home)
        with open_shard(home, "main", merchants, say=lambda _said: None) as shard:
            connection = shard.connection
            ingest.ingest(shard, say=lambda _said: None)
            timed("replay", lambda: replay.replay(connection, merchants))
            last = periods.parse_month(LAST_MONTH)
            first = last.replace(year=last.year - MONTHS // 12, month=last.month % 12 + 1)
            now = datetime.now(UTC)
            months = [
                periods.month_of(merchants[MERCHANT], day, now=now)
                for day in periods.months_between(first.replace(year=first.year + (last.month == 12)), last)
            ]
            assert len(months) == MONTHS
            periods.tell(connection, months)
            for name in reports.names():
                layer = "sheets' tables" if name.startswith("reports.") else "batches' and flags' tables"
                with promises.transaction(connection):
                    if name == reports.FLAGS:
                        taken |= anomalies.find(connection)
                    timed(layer, lambda name=name: reports.build(connection, name))  # type: ignore[misc]
            flags = connection.execute("select count(*) from audits.anomaly_flags").fetchone()
            print(f"{entries:,} entries: {flags} flags", file=sys.stderr)
    taken["batches' and flags' tables"] -= sum(taken[rule.name] for rule in anomalies.rules())
    return taken
