"""From a SQL model and a schema to a Dagster asset that builds the table, checks it, and shows what is in it.

The factory for report tables, and what all assets share: keys, column schemas, previews. Which assets there are is
listed in assets/.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import dagster as dg
import duckdb
import polars as pl

from pipelines import models, promises, reports
from pipelines.partitions import MONTHS, ONE_RUN
from pipelines.promises import BrokenPromiseError
from pipelines.resources import Rollforward, for_people
from schemas.table import Table, duckdb_columns

OWNERS = ["team:finance"]
SCHEMA_CHECK = "schema"


def table(name: str, promise: type[Table]) -> dg.AssetsDefinition:
    """The asset of report table `name`: its SELECT, run for the months of the run, checked against `promise`."""
    key, model = asset_key(name), models.load(name)

    @dg.asset(
        key=key,
        deps=[asset_key(read) for read in model.reads if not read.startswith("settings.")],
        description=described(promise, model),
        metadata=described_columns(promise) | {"sql": dg.MetadataValue.md(f"```sql\n{model.sql}\n```")},
        group_name=key.path[0],
        kinds={"duckdb", "sql"},
        owners=OWNERS,
        partitions_def=MONTHS,
        backfill_policy=ONE_RUN,
        check_specs=[schema_check(key)],
    )
    def build(
        context: dg.AssetExecutionContext, rollforward: Rollforward
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        session, rows, previews = rollforward.session, 0, []
        session.doing(f"Building {name}")
        with for_people():
            session.months(context.partition_keys)
            for shard in session.shards:
                try:
                    with promises.transaction(shard.connection):
                        built = reports.build(shard.connection, name)
                except BrokenPromiseError as broken:
                    yield dg.AssetCheckResult(
                        passed=False, check_name=SCHEMA_CHECK, asset_key=key, metadata={"what": str(broken)}
                    )
                    raise
                rows += built.rows
                previews.append(built.preview)
        preview = pl.concat(previews).head(reports.PREVIEW_ROWS)
        yield dg.MaterializeResult(
            metadata={"dagster/row_count": rows, **_sums(preview, session, name), "preview": markdown(preview)},
            check_results=[
                dg.AssetCheckResult(passed=True, check_name=SCHEMA_CHECK, asset_key=key, metadata={"rows": rows})
            ],
        )

    return build


def asset_key(name: str) -> dg.AssetKey:
    """`reports.credits_created` -> reports/credits_created."""
    return dg.AssetKey(name.split("."))


def schema_check(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """The blocking check that every table has."""
    return dg.AssetCheckSpec(
        SCHEMA_CHECK,
        asset=key,
        blocking=True,
        description="Every row keeps what schemas/ promises of the table: columns, types, nothing blank that must not"
        " be, no amount out of range. A failure is a defect of the software; the former rows are kept.",
    )


def described(promise: type[Table], model: models.Model | None = None) -> str:
    """What an asset is, for the person who sees it in the graph."""
    return model.summary if model else (promise.__doc__ or "").partition("\n")[0]


def described_columns(promise: type[Table]) -> dict[str, Any]:
    """Column schema metadata."""
    columns = promise.to_schema().columns
    return {
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(
                    name,
                    kind,
                    description=columns[name].description,
                    constraints=dg.TableColumnConstraints(nullable=columns[name].nullable),
                )
                for name, kind in duckdb_columns(promise).items()
            ]
        )
    }


def head_of(connection: duckdb.DuckDBPyConnection, name: str, order: str = "all") -> pl.DataFrame:
    """The first rows of a table, for its preview."""
    select = f"select * from {name} order by {order} limit {reports.PREVIEW_ROWS}"  # noqa: S608 - our own tables
    return connection.execute(select).pl()


def markdown(frame: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """The first rows as a table."""
    return dg.MetadataValue.md(markdown_table(frame.columns, frame.rows()) if frame.height else "No rows.")


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; what is in a cell cannot leave it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:,f}"
    return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")[:200]


def _sums(preview: pl.DataFrame, session: Any, name: str) -> dict[str, float]:
    """Totals by unit of the table's amounts, where it has any."""
    if not {"unit", "amount"} <= set(preview.columns):
        return {}
    sums: dict[str, Decimal] = {}
    for shard in session.shards:
        select = (
            f"select unit, sum(amount) from {name} semi join settings.periods using (merchant_id, period) group by 1"  # noqa: S608 - our own tables
        )
        for unit, amount in shard.connection.execute(select).fetchall():
            sums[unit] = sums.get(unit, Decimal(0)) + amount
    return {f"total_{unit}": float(amount) for unit, amount in sorted(sums.items())}
