"""DuckDB answers as it is asked, however it goes about it."""

from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from pipelines import database, events, ingest, periods, replay, shards
from pipelines.sample import write_sample
from pipelines.settings import Home
from tests.homes import Installation
from tests.reported import build_tables

NOW = datetime(2026, 11, 15, 12, tzinfo=UTC)
MONTH = date(2026, 9, 1)
ENTRIES, MONTHS = 5_000, 3

# Its name, as a function of it: what a query makes of that does not matter here.
NAME = "substring(cat.name from -4294967296)"
TWICE = f"""
    select dog.name, cat.name from dog left join cat on true where not (not dog.tame and {NAME} <> cat.name)
    union all
    select dog.name, cat.name from dog left join cat on true where (not dog.tame and {NAME} <> cat.name) is null
"""


def tables_of(home: Installation) -> dict[str, Counter[str]]:
    """Every row of every table, once the journal's files are taken in, replayed and reported."""
    with home.opened() as shard:
        connection = shard.connection
        events.recover(shard)
        replay.replay(connection, shard.merchants)
        build_tables(connection, [periods.month_of(one, MONTH, now=NOW) for one in shard.merchants.values()])
        return {
            name: Counter(map(str, connection.execute(f"from {name}").fetchall()))
            for name in database.tables(connection)
        }


@pytest.mark.slow
def test_the_sample_comes_out_alike_with_the_optimizers_of_duckdb_and_without_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Installation(Home(tmp_path))
    write_sample(home.home, entries=ENTRIES, months=MONTHS)
    with home.opened() as shard:
        ingest.ingest(shard, say=home.said.append)
    ledger = shards.ledger_path(home.home, "main")
    ledger.unlink()
    usual = tables_of(home)
    ledger.unlink()

    with duckdb.connect() as connection:
        every = ",".join(name for (name,) in connection.execute("from duckdb_optimizers()").fetchall())
    monkeypatch.setattr(database, "DISABLED_OPTIMIZERS", every)
    plain = tables_of(home)

    assert {name for name, rows in usual.items() if not rows and not name.startswith("ledger.")} == set()
    assert {name: (usual[name] - rows, rows - usual[name]) for name, rows in plain.items() if rows != usual[name]} == {}


def test_a_join_that_a_query_has_twice_finds_its_rows_both_times() -> None:
    found = []
    for connection in (duckdb.connect(), database.connect()):
        with connection:
            connection.execute("create table dog as select 'Rex' as name, false as tame")
            connection.execute("create table cat as select 'Tom' as name")
            found.append(connection.execute(TWICE).fetchall())
    # Once DuckDB itself finds them, there is no need of DISABLED_OPTIMIZERS any more.
    assert found == [[], [("Rex", "Tom")]]


def test_a_join_that_does_not_fit_into_memory_finds_all_its_rows(tmp_path: Path) -> None:
    # DuckDB reads only rows that may have one of the ids that a query finds. What finds them must have seen all ids,
    # also where they go to disk in parts: after 1.5 it may not have (its issue 25702).
    with database.connect(tmp_path / "ledger.duckdb") as connection:
        connection.execute("set threads = 1")
        connection.execute("create table ids as select range % 2000 as id, range as place from range(1000000)")
        connection.execute("create table rows as select range % 4000 as id from range(2000000)")
        connection.execute("checkpoint")
        for limit in ("500MB", "25MB"):
            connection.execute(f"set memory_limit = '{limit}'")
            found = connection.execute(
                "select count(*) from rows where id in (select id from ids where place % 7 >= 0)"
            ).fetchone()
            assert found == (1_000_000,), limit
