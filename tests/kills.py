"""Runs that are killed at a point of one's choice: what they do, where they can be killed, and what they leave.

Each is a child of its own (`tests/forks.py`), and does what a process of the command line does, down to the kill: no
handler runs, nothing is flushed. Belongs here: how to kill and what to compare. Not here: how often, what must hold.
"""

import hashlib
import json
import os
import re
import resource
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from pipelines.settings import Home
from tests.desks import ACCESS, ANN, OLGA, Office
from tests.homes import Installation, entries_csv

# Every run believes that it is this time: what it writes can then be compared to the microsecond.
NOW = datetime(2026, 11, 15, 12, tzinfo=UTC)
JUNE = date(2026, 6, 1)
MERCHANTS = """
[merchants.acme]
name = "Acme"
timezone = "America/New_York"
currency = "USD"
reversal_window_days = 9999
[merchants.acme.balance_types]
gift = { unit = "USD" }
[merchants.byte-farm]
name = "Byte Farm"
timezone = "UTC"
currency = "EUR"
"""
PROMO = 'promo = { unit = "USD" }\n'
ENTRIES = """
    entry_id  entry_type  occurred_at       member_id  balance_type  amount  batch_id  redemption_id
    may       created     2026-05-01T12:00  ada        default       20.00
    sale-1    created     2026-05-03T12:00  ada        default        5.00   sale
    sale-2    created     2026-05-03T12:00  bo         default        5.00   sale
    gift-1    created     2026-05-04T12:00  bo         gift          10.00
    buy       redeemed    2026-05-10T12:00  ada        default       22.00             buy
    june      created     2026-06-01T12:00  ada        default       10.00
    back      refunded    2026-06-02T12:00  ada        default        7.00             buy
    bad       created     2026-06-03T12:00  ada        default       1.005
    promo-1   created     2026-06-04T12:00  cy         promo          3.00
    over      redeemed    2026-06-05T12:00  cy         default        1.00             over
"""
LATE = """
    entry_id  entry_type  occurred_at       member_id  amount
    late-1    created     2026-05-20T12:00  bo          4.00
    late-2    deducted    2026-06-20T12:00  bo          2.00
"""
OTHERS = (
    "member_id,entry_id,entry_type,occurred_at,amount\nflo,f1,created,2026-05-02,7.00\nflo,f2,redeemed,2026-06-02,3\n"
)
MEMBERS = "member_id,email,first_name\nada,ada@acme.example,Ada\nbo,bo@acme.example,Bo\ncy,cy@acme.example,Cy\n"
STUDENTS = "student_id,member_id,first_name\nmia,ada,Mia\ntom,bo,Tom\n"
ENROLLMENTS = "enrollment_id,student_id,kind,name,status\nm1,mia,class,Tumbling,active\nt1,tom,class,Tumbling,active\n"
SNOW_DAY = {
    "description": "Snow day",
    "date": "2026-11-15",
    "credit_type": "Service Recovery",
    "amount": "12.50",
    "issue_per": "student",
    "enrollment_filters": [{"classes": ["Tumbling"]}],
}

# What differs between two runs that do the same: the run, and when a home's files were put there.
OF_THE_RUN = ("run_id", "modified_ns")
FOLDERS = ("archive", "journal", "reports", "previews", "operations", "saved")


@dataclass(frozen=True)
class Point:
    """Where a run is killed.

    effect    before its `at`-th effect on the disk, or just after that: a file opened to be written, renamed, removed,
              put on disk, and what a statement of DuckDB writes
    bytes     when it has written a file up to the `at`-th byte, in the middle of whatever writes it
    share     after that share of its time, wherever it is by then
    """

    kind: Literal["effect", "bytes", "share"]
    at: float


@dataclass(frozen=True)
class Told:
    """How a run that came to its end went: the points that it had."""

    effects: int
    largest_bytes: int
    seconds: float


@dataclass(frozen=True)
class Scenario:
    """Something that people do: what there must be before, and what is done (again, where it was killed)."""

    before: tuple[str, ...]
    act: Callable[[Path], object]
    # An operation without a preview has the name of the run that did it: the one that was killed, or a later one.
    is_named_by_its_run: bool = False


def cli(*arguments: str) -> Callable[[Path], object]:
    """What the command line does, Dagster's run and all. PREVIEW stands for the id of the home's preview."""

    def act(home: Path) -> None:
        from pipelines.cli import main

        told = [_preview(home) if argument == "PREVIEW" else argument for argument in arguments]
        main.main(["--home", str(home), *told], standalone_mode=False)

    return act


def perform(kind: str, actor: str, **asked: Any) -> Callable[[Path], object]:
    """What an operation's job does, without Dagster around it."""
    return lambda home: _office(home).do(kind, actor=actor, **asked)


def preview(kind: str, actor: str, **asked: Any) -> Callable[[Path], object]:
    return lambda home: _office(home).preview(kind, actor=actor, **asked)


def process(actor: str) -> Callable[[Path], object]:
    return lambda home: _office(home).process(_preview(home), actor=actor)


def _office(home: Path) -> Office:
    return Office(Installation(Home(home)))


def _preview(home: Path) -> str:
    # What was processed has a list of its own beside it.
    (made,) = {path.name.partition(".")[0] for path in (home / "previews").rglob("[!.]*.csv")}
    return made


def furnish(home: Path) -> None:
    """Two merchants, and what has landed of them."""
    home.mkdir(parents=True)
    (home / "merchants.toml").write_text(MERCHANTS, encoding="utf-8")
    (home / "access.toml").write_text(ACCESS, encoding="utf-8")
    for name, text in {
        "acme/entries/1.csv": entries_csv(ENTRIES),
        "acme/members/1.csv": MEMBERS,
        "acme/students/1.csv": STUDENTS,
        "acme/enrollments/1.csv": ENROLLMENTS,
        "byte-farm/entries/1.csv": OTHERS,
    }.items():
        land(home, name, text)


def land(home: Path, name: str, text: str) -> None:
    path = home / "landing" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def land_late(home: Path) -> None:
    land(home, "acme/entries/2.csv", entries_csv(LATE))


def declare(home: Path) -> None:
    """A balance type more: what was set aside for want of it goes in."""
    text = (home / "merchants.toml").read_text(encoding="utf-8")
    (home / "merchants.toml").write_text(text.replace("[merchants.byte-farm]", f"{PROMO}[merchants.byte-farm]"))


def take_in(home: Path) -> None:
    """Ingest, and no replay."""
    from pipelines import ingest

    with _opened(home) as shard:
        ingest.ingest(shard, say=print)


def replay(home: Path) -> None:
    """Ingest and replay, as every job begins."""
    from pipelines import ingest
    from pipelines import replay as replaying

    with _opened(home) as shard:
        ingest.ingest(shard, say=print)
        replaying.replay(shard.connection, shard.merchants)


def report(home: Path) -> None:
    """What the job of the monthly report does, without Dagster's steps between the tables."""
    from pipelines import ingest, periods, promises, publish, reports, workbook
    from pipelines import replay as replaying

    with _opened(home) as shard:
        ingest.ingest(shard, say=print)
        replaying.replay(shard.connection, shard.merchants)
        told = [periods.month_of(one, JUNE, now=NOW) for one in shard.merchants.values()]
        periods.tell(shard.connection, told)
        for name in reports.names():
            with promises.transaction(shard.connection):
                reports.build(shard.connection, name)
        for period in told:
            publish.publish(shard, workbook.contents_of(shard.connection, period), "run")


@contextmanager
def _opened(home: Path) -> Iterator[Any]:
    from pipelines.settings import read_merchants
    from pipelines.shards import by_shard, open_shard

    place = Home(home)
    with open_shard(place, "main", by_shard(read_merchants(place))["main"], wait_s=0, say=print) as shard:
        yield shard


def back_up(home: Path) -> None:
    from pipelines.backup import backup

    backup(Home(home), saved(home), wait_s=0, say=print)


def restore(home: Path) -> None:
    from pipelines.backup import restore as make_home

    make_home(Home(home), saved(home), say=print)


def rebuild(home: Path) -> None:
    from pipelines.rebuild import rebuild as make_ledger

    (made,) = make_ledger(Home(home), wait_s=0, say=print)
    assert not made.differences, made


ADJUST = {"member": "ada", "amount": "3.50", "reason": "Other reason", "other_reason": "Any"}
MERGE = {"sources": ["gift"], "destination": "default"}
STEPS: Mapping[str, Callable[[Path], object]] = {
    "furnish": furnish,
    "land late": land_late,
    "declare": declare,
    "take in": take_in,
    "replay": replay,
    "report": report,
    "preview a mass credit": preview("mass-credits", ANN, **SNOW_DAY),
    "preview a reversal": preview("reverse-batch", OLGA, batch="sale", reason="Any", unused_only=True),
    "preview an adjustment": preview("adjust-batch", OLGA, batch="sale", amount="9.00", reason="Any"),
    "back up": back_up,
    "lose the home": shutil.rmtree,
    "run Dagster": cli("ingest"),
}
REPLAYED = ("furnish", "replay")
SCENARIOS: Mapping[str, Scenario] = {
    "ingest": Scenario(("furnish",), replay),
    "replay": Scenario(("furnish", "take in"), replay),
    "retry": Scenario((*REPLAYED, "declare"), replay),
    "report": Scenario(REPLAYED, report),
    "report again": Scenario((*REPLAYED, "report", "land late"), report),
    "mass credits preview": Scenario(REPLAYED, STEPS["preview a mass credit"]),
    "mass credits": Scenario((*REPLAYED, "preview a mass credit"), process(ANN)),
    "reverse": Scenario((*REPLAYED, "preview a reversal"), process(OLGA)),
    "adjust batch": Scenario((*REPLAYED, "preview an adjustment"), process(OLGA)),
    "adjust": Scenario(REPLAYED, perform("adjust", ANN, **ADJUST), is_named_by_its_run=True),
    "merge": Scenario(REPLAYED, perform("merge-balance-types", OLGA, **MERGE), is_named_by_its_run=True),
    "rebuild": Scenario((*REPLAYED, "report"), rebuild),
    "backup": Scenario((*REPLAYED, "report"), back_up),
    "restore": Scenario((*REPLAYED, "report", "back up", "lose the home"), restore),
    "first command": Scenario(("furnish",), cli("ingest")),
    "ingest command": Scenario((*REPLAYED, "run Dagster", "land late"), cli("ingest")),
    "report command": Scenario(
        (*REPLAYED, "run Dagster"),
        cli("report", "--start", "2026-05-04", "--end", "2026-06-03", "--as-of", "2026-07-01"),
    ),
    "mass credits command": Scenario(
        (*REPLAYED, "run Dagster", "preview a mass credit"),
        cli("mass-credits", "process", "PREVIEW", "--merchant", "acme", "--actor", ANN),
    ),
    "merge command": Scenario(
        (*REPLAYED, "run Dagster"),
        cli(
            *("merge-balance-types", "--source", "gift", "--destination", "default"),
            *("--merchant", "acme", "--actor", OLGA),
        ),
        is_named_by_its_run=True,
    ),
    "rebuild command": Scenario((*REPLAYED, "report"), cli("rebuild")),
}


class _Clock(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "_Clock":
        return cls.fromtimestamp(NOW.timestamp(), tz)


def _stop_the_clock(attempt: int) -> None:
    """Give this run the time that all runs have, and ids of its own."""
    from pipelines import backup, journal, resources, runs
    from tests import desks

    for module in (journal, resources, backup):
        setattr(module, "datetime", _Clock)  # noqa: B010 - to mypy it may be nothing else
    made = iter(range(1_000))

    def name() -> uuid.UUID:
        return uuid.UUID(int=(attempt << 112) + (next(made) << 64))

    setattr(runs, "uuid", SimpleNamespace(uuid4=name))  # noqa: B010 - to mypy it may be nothing else
    setattr(desks, "uuid4", name)  # noqa: B010 - to mypy it may be nothing else


class Effects:
    """Counts what this process does to the disk below `folder`, and kills it before the `last`-th."""

    WRITES = re.compile(
        r"\s*(commit|checkpoint|(insert into|delete from|update|alter table|create table)"
        r"( if not exists)? (ledger|facts|reports|audits)\b)",
        re.IGNORECASE,
    )
    CALLS = frozenset(
        {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "os.utime", "os.chmod"}
    )

    def __init__(self, folder: Path, last: float) -> None:
        self.folder, self.last, self.count = str(folder), last, 0

    def watch(self) -> None:
        import duckdb

        sys.addaudithook(self._hear)
        sync = os.fsync

        def fsync(file: Any) -> None:
            self._one()
            sync(file)
            self._one()

        setattr(os, "fsync", fsync)  # noqa: B010 - to mypy it may be nothing else
        for owner, name in ((duckdb.DuckDBPyConnection, "execute"), (duckdb.DuckDBPyRelation, "insert_into")):
            setattr(owner, name, self._around(getattr(owner, name)))

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or not self._is_ours(path):
                return
        elif event not in self.CALLS or not self._is_ours(arguments[0]):
            return
        self._one()

    def _is_ours(self, path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self.folder)

    def _around(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def done(of: Any, statement: Any, *arguments: Any, **named: Any) -> Any:
            writes = self.WRITES.match(str(statement)) or work.__name__ == "insert_into"
            if writes:
                self._one()
            result = work(of, statement, *arguments, **named)
            if writes:
                self._one()
            return result

        return done

    def _one(self) -> None:
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


def act(home: str, scenario: str, attempt: int, point: Mapping[str, Any] | None, seconds: float) -> dict[str, Any]:
    """In a child: run the scenario, to the end or to the point; how it went."""
    killed = point and Point(**point)
    _stop_the_clock(attempt)
    effects = Effects(Path(home), killed.at if killed and killed.kind == "effect" else 0)
    effects.watch()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if killed and killed.kind == "bytes":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(killed.at), resource.RLIM_INFINITY))
    if killed and killed.kind == "share":
        signal.setitimer(signal.ITIMER_REAL, killed.at * seconds)
    started = time.perf_counter()
    SCENARIOS[scenario].act(Path(home))
    took = time.perf_counter() - started
    signal.setitimer(signal.ITIMER_REAL, 0)
    sizes = [path.stat().st_size for path in Path(home).rglob("*") if path.is_file()]
    return asdict(Told(effects.count, max(sizes), took))


def prepare(home: str, step: str) -> bool:
    """In a child: do a step that scenarios begin with."""
    _stop_the_clock(100)
    STEPS[step](Path(home))
    return True


def left(home: str) -> dict[str, Any]:
    """In a child: all that a home holds but for which run made it: rows of each table, what each file holds or says.

    Files whose names begin with a dot are none: what a killed run was writing has such a name.
    Raises AssertionError where readers see something else.
    """
    import duckdb

    from pipelines.shards import ledger_path, read_copy_is_current

    told: dict[str, Any] = {}
    place = Home(Path(home))
    assert read_copy_is_current(place, "main"), "readers see something else"
    with duckdb.connect(str(ledger_path(place, "main")), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_tables() where not temporary order by all"
        ).fetchall():
            columns = [name for name in connection.table(f"{schema}.{table}").columns if name not in OF_THE_RUN]
            found = connection.execute(f"select {', '.join(columns)} from {schema}.{table}").fetchall()
            said = [str(row) for row in found]
            # A preview that is made again is another one, by its instant; here both are of the same.
            told[f"{schema}.{table}"] = sorted(set(said) if table.startswith("preview") else said)
    return told | files(place.path)


def files(home: Path) -> dict[str, str]:
    """Each file of people's: a hash of its bytes, of the journal's and a backup's list what it says."""
    told = {}
    for path in sorted([*home.rglob("*"), *saved(home).rglob("*")]):
        in_home = path.is_relative_to(home)
        name = str(path.relative_to(home) if in_home else "saved" / path.relative_to(saved(home)))
        if path.is_file() and not path.name.startswith(".") and name.partition("/")[0] in FOLDERS:
            content = path.read_bytes()
            told[name] = hashlib.sha256(content).hexdigest()
            if path.suffix == ".json":
                said = {key: value for key, value in json.loads(content).items() if key != "files"}
                told[name] = re.sub(r'"run_id": "[^"]*"', "", json.dumps(said, sort_keys=True))
    return told


def saved(home: Path) -> Path:
    """Where the home's backup goes."""
    return home.with_name(f"{home.name}.saved")
