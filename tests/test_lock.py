"""Many at once on one home, each a process of its own: runs wait for one another, readers never wait."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from pipelines import shards
from pipelines.runs import instance_of
from pipelines.settings import Home, find_home
from tests.acme import furnish, land
from tests.processes import COMMAND, content, environment, rollforward, workbooks

# What an analyst's session does for as long as runs go on: open the copy, look, look again, and tell what did not fit.
ANALYST = """
import sys, time, duckdb
copy, looks = sys.argv[1], set()
print("looking", flush=True)
while not sys.stdin.closed and looks is not None:
    with duckdb.connect(copy, read_only=True) as session:
        for _ in range(3):
            look = session.execute(
                "select (select count(*) from ledger.entries), (select sum(signed_amount) from facts.movements),"
                " (select sum(amount) from facts.daily_totals),"
                " (select count(*) from (from ledger.files where rows_read <> accepted + duplicates + rejected))"
            ).fetchone()
            looks.add(look)
            time.sleep(0.05)
        entries, moved, totals, torn = look
        if torn:
            print("torn", look, flush=True)
    import select
    if select.select([sys.stdin], [], [], 0)[0]:
        break
print(len(looks), max(look[0] for look in looks), flush=True)
"""


@pytest.mark.service
@pytest.mark.slow
def test_backfills_a_sensors_run_a_report_and_an_analyst_at_once_all_finish_and_see_nothing_torn(
    tmp_path: Path,
) -> None:
    home = furnish(tmp_path / "home")
    rollforward(home, "ingest")
    for number in range(6):
        land(home, f"entries/extra-{number}.csv", "entry_id,entry_type,occurred_at,member_id,amount\n" + "".join(
            f"x{number}-{n},created,2026-0{1 + number}-02T12:00,ada,1.00\n" for n in range(50)
        ))  # fmt: skip
    copy = shards.read_copy_path(find_home(home), "main")
    analyst = subprocess.Popen(
        [sys.executable, "-c", ANALYST, str(copy)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    # A session that stays open over all of it keeps what it saw when it began.
    with duckdb.connect(str(copy), read_only=True) as session:
        before = session.execute("select count(*) from ledger.entries").fetchone()
        dagster = environment() | {"DAGSTER_HOME": str(home / ".dagster"), "ROLLFORWARD_HOME": str(home)}
        runs = [
            *(
                subprocess.Popen(
                    [*COMMAND, "--home", str(home), "report", "--month", first, "--to", last],
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
                )
                for first, last in (
                    ("2026-01", "2026-02"), ("2026-02", "2026-03"), ("2026-03", "2026-04"), ("2026-05", "2026-06"),
                    ("2026-06", "2026-06"),
                )
            ),
            subprocess.Popen(
                [sys.executable, "-m", "dagster", "job", "execute", "-m", "pipelines.definitions", "-j", "ingest"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dagster,
            ),
        ]  # fmt: skip
        ended = [(*run.communicate(), run.returncode) for run in runs]
        assert session.execute("select count(*) from ledger.entries").fetchone() == before
    saw, complaints = analyst.communicate("enough\n")
    assert analyst.returncode == 0, complaints
    for _, said, status in ended:
        assert status == 0, said
        assert "Traceback" not in said
        assert "lock on file" not in said
        assert "database is locked" not in said
    assert any("Waiting for the ledger" in said for _, said, _ in ended)
    assert "torn" not in saw
    assert int(saw.split()[-1]) >= 5
    with instance_of(find_home(home)) as instance:
        assert [run.status.value for run in instance.get_runs()] == ["SUCCESS"] * 7
    assert len(content(home)["ledger.entries"]) == 5 + 300
    assert len([name for name in workbooks(home) if "-v" not in name]) == 6
    assert shards.read_copy_is_current(find_home(home), "main")
    # Whatever the order was, it is what the archive and the journal say.
    assert "the same as before" in rollforward(home, "rebuild").stdout


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.ledgers.mkdir(parents=True)
    with duckdb.connect(str(shards.ledger_path(made, "main"))) as ledger:
        ledger.execute("create table t as select 1 as a")
    return made


def looked(home: Home) -> list[tuple[int]]:
    with duckdb.connect(str(shards.read_copy_path(home, "main")), read_only=True) as connection:
        return connection.execute("from t order by a").fetchall()


def test_a_copy_is_put_in_place_whole_and_who_has_the_former_one_open_keeps_it(home: Home) -> None:
    shards.refresh_read_copy(home, "main")
    with duckdb.connect(str(shards.read_copy_path(home, "main")), read_only=True) as session:
        with duckdb.connect(str(shards.ledger_path(home, "main"))) as ledger:
            ledger.execute("insert into t values (2)")
        shards.refresh_read_copy(home, "main")
        assert session.execute("from t").fetchall() == [(1,)]
    assert looked(home) == [(1,), (2,)]
    assert sorted(path.name for path in home.ledgers.iterdir()) == ["main-read.duckdb", "main.duckdb"]


def test_a_copy_that_is_current_is_left_alone(home: Home) -> None:
    shards.refresh_read_copy(home, "main")
    before = shards.read_copy_path(home, "main").stat().st_ino
    shards.refresh_read_copy(home, "main")
    assert shards.read_copy_path(home, "main").stat().st_ino == before


def test_what_someone_writes_to_a_copy_does_not_spoil_the_next_one(home: Home) -> None:
    shards.refresh_read_copy(home, "main")
    copy = shards.read_copy_path(home, "main")
    assert copy.stat().st_mode & 0o222 == 0
    copy.chmod(0o644)  # as the superuser, whom rights do not stop
    careless = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); c.execute('create table b as select 1'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", careless, str(copy)], check=True)
    assert copy.with_name(f"{copy.name}.wal").exists()
    with duckdb.connect(str(shards.ledger_path(home, "main"))) as ledger:
        ledger.execute("insert into t values (2)")
    shards.refresh_read_copy(home, "main")
    assert looked(home) == [(1,), (2,)]


def test_a_lock_that_is_held_says_by_whom_and_since_when(home: Home) -> None:
    with (
        shards.lock(home, "main", wait_s=0, say=print, who="run 12345678 (monthly_report)"),
        pytest.raises(shards.LedgerUnavailableError, match=r"in use by run 12345678 \(monthly_report\) \(process"),
        shards.lock(home, "main", wait_s=0, say=print),
    ):
        pass
    with shards.lock(home, "main", wait_s=0, say=print):
        pass
