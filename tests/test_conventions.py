"""Conventions: what architecture and style promise of the code itself, held against every file there is."""

import ast
import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import dagster as dg
import pytest

from assets import audits as audit_assets
from assets import reports as report_assets
from pipelines import anomalies, models, shards, views
from pipelines.definitions import defs
from pipelines.models import Model
from pipelines.reports import names as report_tables
from schemas.table import Table, duckdb_columns

PROJECT = Path(__file__).parents[1]
CODE = ("pipelines", "assets", "schemas", "tests")
LAYERS = ("settings", "staging", "ledger", "facts", "reports", "audits")
READ_ALL = ("listings", "invariants", "anomalies", "operations", "portal")
SQL_LAYERS = tuple(sorted(folder.name for folder in (PROJECT / "sql").iterdir() if any(folder.glob("*.sql"))))
MODELS = [model for layer in SQL_LAYERS for model in models.load_all(layer)]

# Queries that only pass something on within a run, to no table that stays.
PASSED_ON = {
    *("facts.stale_members", "facts.counted_members"),
    *(f"ledger.{row}_verdicts" for row in ("entry", "member", "batch", "balance", "student", "enrollment", "charge")),
}
# Tables that the machinery keeps for itself: nobody builds upon them, so they are no assets.
OWN_BOOKS = {
    *("ledger.published", "ledger.landing", "ledger.readings", "facts.replayed"),
    *("ledger.previews", "ledger.preview_recipients"),
}

STRING_OR_COMMENT = re.compile(r"'(?:[^']|'')*'|--[^\n]*")
FIRST_LINE = re.compile(r"-- [A-Z].*: one row per .+\.")
# What only the machine that something was written on has; not where docs/operating.md installs the service.
INSTALLED = r"(?!(?:opt|var/lib)/rollforward\b)"
ABSOLUTE = re.compile(rf"(?<![\w.~$}})\]*>-])/{INSTALLED}(?:home|root|Users|work|workspace|tmp|mnt|opt|srv|var)/[\w.]")
TEXT = {".py", ".sql", ".md", ".toml", ".yaml", ".yml", ".txt", ".csv", ".cfg", ".css", ".js", ".html", ""}
NOT_OURS = {"__pycache__", "build", "dist", "demo", "data", "node_modules"}


# One name everywhere


def schema_classes() -> Iterator[tuple[str, type[Table]]]:
    """`facts.credits` and its promise, for every table that a schema module promises something of."""
    for layer in LAYERS:
        if (PROJECT / "schemas" / f"{layer}.py").is_file():
            module = import_module(f"schemas.{layer}")
            for name, promise in inspect.getmembers(module, inspect.isclass):
                if not issubclass(promise, Table) or promise.__module__ != module.__name__:
                    continue
                if (promise.__doc__ or "").startswith("One row per "):
                    yield f"{layer}.{re.sub(r'(?<!^)(?=[A-Z])', '_', name).lower()}", promise


def test_every_table_is_promised_something_by_the_schema_of_its_name() -> None:
    made = shards.LEDGER_TABLES | views.VIEWS
    assert {*made, *report_tables()} == {name for name, _ in schema_classes()}
    for name, promise in made.items():
        assert promise is dict(schema_classes())[name], name


def test_every_table_is_an_asset_of_its_name_but_for_the_machinerys_own() -> None:
    keys = {".".join(key.path) for key in defs.resolve_asset_graph().get_all_asset_keys()}
    tables = {name for name, _ in schema_classes()}
    assert keys - tables == {"workbook.credits_workbook"}
    assert tables - keys == OWN_BOOKS


def test_every_sql_file_of_these_layers_has_the_name_of_its_table() -> None:
    tables = {name for name, _ in schema_classes()}
    files = {model.name for model in MODELS if model.name.partition(".")[0] in ("ledger", "facts", "reports", "audits")}
    assert files - tables == PASSED_ON
    assert {name for name in tables if name.startswith(("reports.", "audits."))} <= files


def test_every_report_asset_is_a_variable_of_its_name() -> None:
    for name in report_tables():
        layer, _, table = name.partition(".")
        asset = getattr({"reports": report_assets, "audits": audit_assets}[layer], table)
        assert asset.key == dg.AssetKey(name.split(".")), name


def test_a_table_is_where_its_layer_is_in_every_test_module_too() -> None:
    for layer in ("facts", "reports", "audits"):
        assert (PROJECT / "tests" / f"test_{layer}.py").is_file(), layer


# SQL


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_sql_file_is_one_select_that_says_what_it_is_and_its_grain(model: Model) -> None:
    assert model.reads is not None, "it raises where it is not one SELECT"
    first = model.sql.splitlines()[0]
    assert FIRST_LINE.fullmatch(first), first
    assert len(first) <= 120


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_sql_file_takes_parameters_never_text(model: Model) -> None:
    code = STRING_OR_COMMENT.sub("''", model.sql)
    for template in ("{", "}", "%s", "%("):
        assert template not in code, template
    unquoted = re.sub(r'"[^"]*"', "", code)
    assert unquoted == unquoted.lower()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_sql_file_reads_only_its_own_layer_and_those_to_its_left(model: Model) -> None:
    layer = model.name.partition(".")[0]
    read = {table.partition(".")[0] for table in model.reads}
    if layer in READ_ALL:
        assert read <= set(LAYERS)
    else:
        assert read <= set(LAYERS[: LAYERS.index(layer) + 1]), model.reads


def test_each_report_table_reads_only_tables_that_there_are() -> None:
    known = {name for name, _ in schema_classes()} | {
        f"settings.{t}" for t in ("merchants", "balance_types", "periods", "thresholds", "published")
    }
    for model in MODELS:
        if model.name.startswith(("reports.", "audits.", "anomalies.")):
            assert set(model.reads) <= known, model.name


# Modules


@cache
def python_files() -> list[Path]:
    return sorted(
        path for folder in CODE for path in (PROJECT / folder).rglob("*.py") if "__pycache__" not in path.parts
    )


def test_every_module_says_what_belongs_there() -> None:
    for path in python_files():
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert docstring, path.relative_to(PROJECT)
        assert docstring.splitlines()[0][-1] in ".:,?" or len(docstring.splitlines()) > 1, path.relative_to(PROJECT)


def test_no_module_is_a_drawer_for_whatever_fits_nowhere() -> None:
    drawers = {"utils", "util", "common", "helpers", "helper", "constants", "misc", "shared", "lib"}
    found = [path for path in (*python_files(), *(PROJECT / "sql").rglob("*")) if path.stem in drawers]
    assert found == []


def test_layers_import_to_the_left_only() -> None:
    """Schemas know nothing of pipelines and assets, pipelines but for definitions nothing of assets."""
    for path in python_files():
        imported = {name.partition(".")[0] for name in imports_of(path)}
        if path.parent.name == "schemas":
            assert not imported & {"pipelines", "assets", "tests"}, path.name
        elif path.is_relative_to(PROJECT / "pipelines") and path.stem != "definitions":
            assert not imported & {"assets", "tests"}, path.name
        elif path.parent.name == "assets":
            assert "tests" not in imported, path.name


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_duckdb_is_opened_in_one_place_but_by_those_that_join_nothing() -> None:
    opening = {path.name for path in (PROJECT / "pipelines").rglob("*.py") if "duckdb.connect(" in path.read_text()}
    assert opening == {"database.py", "models.py", "parquet_child.py"}


def test_definitions_only_list() -> None:
    tree = ast.parse((PROJECT / "pipelines" / "definitions.py").read_text(encoding="utf-8"))
    kinds = {type(node) for node in tree.body}
    assert kinds <= {ast.Expr, ast.Import, ast.ImportFrom, ast.Assign}, kinds


WATCH = """
import os, sys

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        flags = arguments[2] or 0
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or set(str(arguments[1])) & set("wax+")
        if writes and os.fsdecode(arguments[0]) != os.devnull:
            print("writes", arguments[0])
    if event in ("socket.connect", "os.mkdir"):
        print(event, arguments)

sys.addaudithook(watch)
import duckdb
connect = duckdb.connect
def connected(*arguments, **options):
    if arguments or options:
        print("database", arguments, options)
    return connect(*arguments, **options)
duckdb.connect = connected
import pipelines.definitions
if "numba" in sys.modules:
    print("numba is imported before anything is replayed")
"""


def test_importing_the_definitions_does_no_work(tmp_path: Path) -> None:
    environment = {**os.environ, "ROLLFORWARD_HOME": str(tmp_path / "home"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHONPATH"] = str(PROJECT)
    done = subprocess.run(
        [sys.executable, "-c", WATCH], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


# The project's files


def text_files() -> Iterator[Path]:
    for path in PROJECT.rglob("*"):
        parts = path.relative_to(PROJECT).parts
        if any(part in NOT_OURS or (part.startswith(".") and part not in (".ci", ".pre-commit-config.yaml"))
               or part.endswith(".egg-info") for part in parts):  # fmt: skip
            continue
        if path.is_file() and path.suffix in TEXT:
            yield path


def test_no_text_names_a_path_of_somebodys_machine() -> None:
    found = []
    for path in text_files():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if ABSOLUTE.search(line):
                found.append(f"{path.relative_to(PROJECT)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_such_a_path_would_be_noticed() -> None:
    for path in ("/ho" + "me/ann/x", "see /" + "work/main", '"/' + 'tmp/x"'):
        assert ABSOLUTE.search(path), path
    for path in ("landing/home/x", "https://example.org/home/", "$HOME/x", "./data/tmp/x", "file://{home}/tmp/x"):
        assert not ABSOLUTE.search(path), path


def test_every_dependency_says_why_it_is_here() -> None:
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    declared = tomllib.loads(text)["project"]
    requirements = [
        *declared["dependencies"],
        *(one for extra in declared["optional-dependencies"].values() for one in extra),
    ]
    for requirement in requirements:
        lines = [line for line in text.splitlines() if line.strip().startswith(f'"{requirement}"')]
        assert lines, requirement
        for line in lines:
            assert re.search(r"#\s+\S+\s+\S+", line), line


def test_the_workspace_loads_the_definitions() -> None:
    from dagster._core.workspace.load_target import WorkspaceFileTarget

    (origin,) = WorkspaceFileTarget(paths=[str(PROJECT / "workspace.yaml")]).create_origins()
    assert origin.location_name == "rollforward"
    module = import_module(origin.loadable_target_origin.module_name or "")
    assert isinstance(module, ModuleType)
    found = [name for name, value in vars(module).items() if isinstance(value, dg.Definitions)]
    assert found == ["defs"]
    dg.Definitions.validate_loadable(defs)


# Assets


GRAPH = defs.resolve_asset_graph()
ASSETS = sorted(GRAPH.get_all_asset_keys())
TABLES = [key for key in ASSETS if key.path[0] != "workbook"]


@pytest.mark.parametrize("key", ASSETS, ids=lambda key: key.to_user_string())
def test_an_asset_says_what_it_is_whose_and_where_it_belongs(key: dg.AssetKey) -> None:
    asset = GRAPH.get(key)
    assert len(asset.description or "") > 20, asset.description
    assert asset.group_name == key.path[0]
    assert asset.kinds
    assert asset.owners == ["team:finance"]


@pytest.mark.parametrize("key", TABLES, ids=lambda key: key.to_user_string())
def test_a_table_shows_its_columns_with_their_meaning_and_has_a_blocking_check_of_them(key: dg.AssetKey) -> None:
    promise = dict(schema_classes())[".".join(key.path)]
    shown = GRAPH.get(key).metadata["dagster/column_schema"]
    schema = getattr(shown, "schema", shown)
    assert isinstance(schema, dg.TableSchema)
    columns = schema.columns
    assert [column.name for column in columns] == list(duckdb_columns(promise))
    assert all(column.description for column in columns)
    check = GRAPH.get_check_spec(dg.AssetCheckKey(key, "schema"))
    assert check.blocking
    assert check.description


def test_lineage_is_read_from_the_sql() -> None:
    for name in views.VIEWS:
        parents = {".".join(parent.path) for parent in GRAPH.get(dg.AssetKey(name.split("."))).parent_keys}
        assert parents == set(models.load(name).reads), name
    for name in report_tables():
        parents = {".".join(parent.path) for parent in GRAPH.get(dg.AssetKey(name.split("."))).parent_keys}
        # Nobody builds upon ledger.published; and what the flags read is what their rules read.
        read = {*models.load(name).reads, *(anomalies.reads() if name == "audits.anomaly_flags" else ())}
        assert parents == {table for table in read if not table.startswith("settings.")} - OWN_BOOKS, name


def test_every_fault_of_the_matrix_has_its_test_and_every_test_its_fault() -> None:
    matrix = (PROJECT / "docs/faults.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)\.py::(test_\w+)`", matrix))
    written = {
        (path.stem, name)
        for path in (PROJECT / "tests").glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named - written == set()
    assert {one for one in written - named if one[0] == "test_faults"} == set()
