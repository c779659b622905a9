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
