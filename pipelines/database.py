"""DuckDB as the whole project opens it."""

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
