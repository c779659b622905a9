"""One phase or another, timed inside, its figures as JSON on stdout: `python -m tests.benchmarks.phases WHAT ...`.

cold HOME [MONTH]: ingest and replay on an empty ledger, and the month's report. backfill HOME FIRST LAST: the report of
these months. bare CSV DATABASE: the file's cells as text in a table. stored LEDGER DATABASE: what a ledger's tables
hold, into a new file, as they are. statements HOME: the SQL that ingest and replay spend most of their time in, with
seconds of the clock and of the CPU. touched HOME MONTH: the rows that the ingest of what is new, its replay and the
month's tables look through, read and write (tests/touched.py says what that means).
`python -m tests.benchmarks.phases landing HOME ENTRIES` writes files to try it on.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb


def cold(home: str, month: str = "") -> dict[str, float]:
    """Seconds of the ingest, all of it and that of entries, of the replay and its kernel, and of the month's report.

    In one run of the job, as the command line runs it, so that this process's memory is a user's.
    """
    from assets import ledger
    from pipelines import ingest, kernel, replay

    taken: dict[str, float] = {}
    files = _timed_calls(ingest, "_take", taken, lambda arguments: f"ingest_of_{arguments[3].dataset.name}")
    kernels = _timed_calls(kernel, "replay", taken, lambda _: "kernel")
    ingests = _timed_calls(ledger, "ingest", taken, lambda _: "ingest")
    replays = _timed_calls(replay, "replay", taken, lambda _: "replay")
    with files, kernels, ingests, replays:
        seconds = _job(home, "monthly_report" if month else "ingest", month, month)
    if month:
        taken["report"] = seconds - taken["ingest"] - taken["replay"]
    return taken


class _Watched:
    """A connection that notes what each statement takes, by its beginning."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, taken: dict[str, list[float]]) -> None:
        self._connection, self._taken = connection, taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, parameters: Any = None) -> Any:
        seconds, cpu_seconds = time.perf_counter(), time.process_time()
        try:
            return self._connection.execute(sql, parameters)
        finally:
            spent = (time.perf_counter() - seconds, time.process_time() - cpu_seconds)
            known = self._taken.get(beginning := " ".join(sql.split())[:100], [0.0, 0.0])
            self._taken[beginning] = [sum(pair) for pair in zip(known, spent, strict=True)]


def statements(home: str) -> dict[str, list[float]]:
    """The twenty statements of ingest and replay that take most."""
    from pipelines import ingest, replay
    from pipelines.settings import find_home, read_merchants
    from pipelines.shards import open_shard

    found, taken = find_home(home), dict[str, list[float]]()
    merchants = read_merchants(found)
    with open_shard(found, "main", merchants, say=_quiet) as shard:
        watched: Any = _Watched(shard.connection, taken)
        ingest.ingest(dataclasses.replace(shard, connection=watched), say=_quiet)
        replay.replay(watched, merchants)
    most = sorted(taken.items(), key=lambda one: -one[1][1])[:20]
    return {beginning: [round(seconds, 2) for seconds in spent] for beginning, spent in most}


def touched(home: str, month: str) -> dict[str, dict[str, list[int]]]:
    """By phase and table: rows looked through, read and written, where there are any."""
    from pipelines import ingest, periods, promises, replay, reports
    from pipelines.settings import find_home, read_merchants
    from pipelines.shards import open_shard
    from tests.touched import Touched, written

    found = find_home(home)
    merchants, now = read_merchants(found), datetime.now(UTC)
    told = [periods.month_of(merchant, periods.parse_month(month), now=now) for merchant in merchants.values()]
    counted: dict[str, dict[str, list[int]]] = {}
    with open_shard(found, "main", merchants, say=_quiet) as shard:
        connection = shard.connection

        def count(phase: str, work: Callable[[Any], object]) -> None:
            before, watched = written(connection), Touched(connection)
            work(watched)
            connection.execute("pragma disable_profiling")
            after = written(connection)
            counted[phase] = {
                table: [watched.looked_through[table], watched.read[table], after[table] - before[table]]
                for table in sorted({*watched.read, *after})
                if watched.looked_through[table] or after[table] != before[table]
            }

        def build(name: str, watched: Any) -> None:
            with promises.transaction(watched):
                reports.build(watched, name)

        count("ingest", lambda watched: ingest.ingest(dataclasses.replace(shard, connection=watched), say=_quiet))
        count("replay", lambda watched: replay.replay(watched, merchants))
        periods.tell(connection, told)
        for name in reports.names():
            count(name, partial(build, name))
    return counted


def landing(home: str, entries: str) -> dict[str, str]:
    """A home with files of so many entries."""
    from tests.benchmarks.landing import write_landing

    write_landing(Path(home), int(entries), files="one")
    return {"home": home}


def backfill(home: str, first: str, last: str) -> dict[str, float]:
    """Seconds of the run, start-up excepted, and of them those that workbooks were being written."""
    from pipelines import workbook

    taken = {"writing": 0.0}
    with _timed_calls(workbook, "write", taken, lambda _: "writing"):
        taken["seconds"] = _job(home, "monthly_report", first, last)
    return taken


def _job(home: str, name: str, first: str, last: str) -> float:
    """Seconds of a run of the job over these months, if any."""
    from pipelines import runs
    from pipelines.resources import Voice
    from pipelines.settings import find_home

    months = [f"{first}-01", f"{last}-01"] if first else []
    return _seconds(lambda: runs.run(find_home(home), name, speaks=Voice(_quiet, _quiet), resource={}, months=months))


def bare(path: str, database: str) -> dict[str, float]:
    """Seconds that DuckDB takes to put a CSV into a table, as text, in a file."""
    connection = duckdb.connect(database, config={"storage_compatibility_version": "latest"})

    def create() -> None:
        connection.execute("create table bare as select * from read_csv($1, all_varchar = true)", [path])
        connection.execute("checkpoint")

    return {"seconds": _seconds(create)}


def stored(ledger: str, database: str) -> dict[str, float]:
    """Seconds that DuckDB takes to put the rows of a ledger's tables, which are in memory, into a file."""
    connection = duckdb.connect(config={"storage_compatibility_version": "latest"})
    connection.execute(f"attach '{ledger}' as ledger (read_only)")
    connection.execute(f"attach '{database}' as file")
    tables = connection.execute("select schema_name, table_name from duckdb_tables() where database_name = 'ledger'")
    names = [f'"{schema}"."{name}"' for schema, name in tables.fetchall()]
    for number, name in enumerate(names):
        connection.execute(f"create table memory.t{number} as from ledger.{name}")

    def store() -> None:
        for number in range(len(names)):
            connection.execute(f"create table file.t{number} as from memory.t{number}")
        connection.execute("checkpoint file")

    return {"seconds": _seconds(store)}


class _timed_calls:  # noqa: N801 - reads as what it does
    """Within it, what calls of a module's function take is added up under a name."""

    def __init__(self, module: ModuleType, name: str, taken: dict[str, float], key: Callable[[Any], str]) -> None:
        self.module, self.name, self.taken, self.key = module, name, taken, key
        self.function = getattr(module, name)

    def __enter__(self) -> None:
        def timed(*arguments: Any, **more: Any) -> Any:
            started = time.perf_counter()
            try:
                return self.function(*arguments, **more)
            finally:
                key = self.key(arguments)
                self.taken[key] = self.taken.get(key, 0) + time.perf_counter() - started

        setattr(self.module, self.name, timed)

    def __exit__(self, *_: object) -> None:
        setattr(self.module, self.name, self.function)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _quiet(_said: str) -> None:
    pass


if __name__ == "__main__":
    phases: dict[str, Callable[..., object]] = {
        one.__name__: one for one in (cold, backfill, bare, stored, statements, touched, landing)
    }
    print(json.dumps(phases[sys.argv[1]](*sys.argv[2:]), indent=1))
