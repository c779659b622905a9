"""DuckDB as the whole project opens it, and which tables there are."""

from pathlib import Path

import duckdb

# The optimizer that computes a join once which a query has twice takes different ones for the same: with DuckDB 1.5,
# rows are silently lost (its issues 24624 and 25819; the first is there in 1.5.6 still). Without it no query of ours
# takes longer.
DISABLED_OPTIMIZERS = "common_subplan"


def connect(path: Path | str = ":memory:", *, read_only: bool = False, **config: str) -> duckdb.DuckDBPyConnection:
    """Open the database at `path`, or one in memory, with these further settings of DuckDB.

    Raises duckdb.Error where it cannot be opened.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {"disabled_optimizers": DISABLED_OPTIMIZERS, **config}
    return duckdb.connect(str(path), read_only=read_only, config=settings)


def tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The tables of the connection's own database, each with its schema; those of attached ones are not among them."""
    found = connection.execute(
        "select schema_name || '.' || table_name from duckdb_tables()"
        " where database_name = current_database() and not temporary"
    ).fetchall()
    return [name for (name,) in found]


def drop(connection: duckdb.DuckDBPyConnection, owner: str, *names: str) -> None:
    """Drop the tables and views of the database `owner` that have these names; all where none is given."""
    found = connection.execute(
        "select 'view' as kind, view_name from duckdb_views() where database_name = $1 and not internal"
        " union all select 'table', table_name from duckdb_tables() where database_name = $1 order by kind desc",
        [owner],
    ).fetchall()
    # Views first: they are made of tables.
    for kind, name in found:
        if not names or name in names:
            connection.execute(f"drop {kind} {owner}.{name}")
