"""Rows that a run touches, counted table by table: what its statements look through, read and write.

A statement *looks through* the rows whose columns it compares, and *reads* those that pass: of a table without an index
all rows may be looked through for the few that are read. Rows that cannot pass, by the least and the greatest that
DuckDB notes of every 122,880, are not looked through either.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb

from pipelines import database

_COUNTED = ("OPERATOR_TYPE", "OPERATOR_ROWS_SCANNED", "OPERATOR_CARDINALITY", "EXTRA_INFO")


@dataclass
class Touched:
    """A connection whose statements are counted. Of each table of the ledger: rows looked through, and rows read."""

    connection: duckdb.DuckDBPyConnection
    looked_through: Counter[str] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.connection.execute("pragma enable_profiling = 'no_output'")
        self.connection.execute(
            "pragma custom_profiling_settings = '" + json.dumps(dict.fromkeys(_COUNTED, "true")) + "'"
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def execute(self, sql: str, parameters: Any = None) -> Any:
        result = self.connection.execute(sql, parameters)
        if profile := self.connection.get_profiling_information():
            self._count(json.loads(profile))
        return result

    def _count(self, operator: Mapping[str, Any]) -> None:
        table = operator.get("extra_info", {}).get("Table", "")
        owner, _, name = table.partition(".")
        if name and operator.get("operator_type") == "TABLE_SCAN" and owner not in ("staging", "settings", '"temp"'):
            self.looked_through[name] += operator["operator_rows_scanned"]
            self.read[name] += operator["operator_cardinality"]
        for child in operator.get("children", ()):
            self._count(child)


def written(connection: duckdb.DuckDBPyConnection) -> Counter[str]:
    """How many rows have ever been written to each table, since its file was cleaned up.

    A row that DuckDB writes gets the next number of its table, and keeps it until then.
    """
    return Counter(
        {
            name: next(iter(connection.execute(f"select coalesce(max(rowid) + 1, 0) from {name}").fetchone() or ()))
            for name in database.tables(connection)
        }
    )
