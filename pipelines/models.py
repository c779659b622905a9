"""A SQL file as an object: what it says of itself, which parameters it takes, which tables it reads.

A model is one SELECT in `sql/<layer>/<table>.sql`, and its first line says what it is. What becomes of its rows is
not known here.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any

import duckdb

_STRING_OR_COMMENT = re.compile(r"'(?:[^']|'')*'|--[^\n]*")
_PARAMETER = re.compile(r"\$([a-z_][a-z0-9_]*)")


class ModelError(Exception):
    """A SQL file that is not there, or is not one SELECT with a first line that says what it is."""


@dataclass(frozen=True)
class Model:
    """One SQL file."""

    name: str
    sql: str

    @property
    def summary(self) -> str:
        """What it is, as its first line says."""
        return self.sql.partition("\n")[0].removeprefix("-- ").strip()

    @cached_property
    def parameters(self) -> frozenset[str]:
        """The names it takes values for, without the $."""
        return frozenset(_PARAMETER.findall(_STRING_OR_COMMENT.sub("", self.sql)))

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """The tables it selects from, as `schema.table`, sorted; temporary ones, which have no schema, are left out.

        Raises ModelError where it is not one SELECT.
        """
        # json_serialize_sql only parses; get_table_names would want the tables to exist.
        row = _parser().cursor().execute("select json_serialize_sql($sql::varchar)", {"sql": self.sql}).fetchone()
        tree: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
        if tree["error"] or len(tree["statements"]) != 1:
            file = f"sql/{self.name.replace('.', '/')}.sql"
            raise ModelError(f"{file} is not one SELECT: {tree.get('error_message', 'more than one statement')}")
        return tuple(sorted({f"{node['schema_name']}.{node['table_name']}" for node in _tables(tree)}))

    def bind(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Of `values` those that it takes: DuckDB refuses a parameter that the query does not use."""
        return {name: values[name] for name in sorted(self.parameters)}


@cache
def load(name: str) -> Model:
    """The model `<layer>.<table>`. Raises ModelError where there is no such file, or it does not say what it is."""
    layer, _, table = name.partition(".")
    file = resources.files("sql").joinpath(layer, f"{table}.sql")
    if not file.is_file():
        raise ModelError(f"There is no sql/{layer}/{table}.sql.")
    model = Model(name, file.read_text(encoding="utf-8"))
    if not model.sql.startswith("-- ") or not model.summary:
        raise ModelError(f"sql/{layer}/{table}.sql must begin with a comment that says what it is.")
    return model


def load_all(layer: str) -> list[Model]:
    """Every model of a layer, by name."""
    folder = resources.files("sql").joinpath(layer)
    names = sorted(file.name.removesuffix(".sql") for file in folder.iterdir() if file.name.endswith(".sql"))
    return [load(f"{layer}.{name}") for name in names]


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """One for all models: opening a database takes longer than parsing a file."""
    return duckdb.connect()


def _tables(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if node.get("type") == "BASE_TABLE" and node["schema_name"]:
            yield node
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _tables(child)
