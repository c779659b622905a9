"""The ledger: what files brought, as they said it. Landing files in, rows out; nothing is interpreted here."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from pipelines import models
from pipelines.resources import Rollforward, for_people, is_last
from pipelines.shards import LEDGER_TABLES
from pipelines.tables import (
    OWNERS,
    SCHEMA_CHECK,
    asset_key,
    described,
    described_columns,
    head_of,
    markdown,
    markdown_table,
    schema_check,
    sql_of,
)

# What files and operations bring. What else the ledger keeps, it keeps for itself.
TABLES = {
    name: LEDGER_TABLES[name]
    for name in (
        "ledger.files",
        "ledger.entries",
        "ledger.members",
        "ledger.students",
        "ledger.enrollments",
        "ledger.charges",
        "ledger.batches",
        "ledger.balances",
        "ledger.rejected_rows",
        "ledger.operations",
    )
}
# A file's rows are typed in staging, judged, and then put in or set aside.
SQL = {
    f"ledger.{table}": [models.load(f"{layer}.{file}") for layer, file in files]
    for table, files in {
        "entries": (("staging", "entries"), ("ledger", "entry_verdicts"), ("ledger", "entries")),
        "members": (("staging", "members"), ("ledger", "member_verdicts"), ("ledger", "members")),
        "rejected_rows": (("ledger", "rejected_rows"),),
    }.items()
}
COUNTS = ("source_file", "reading", "rows_read", "accepted", "duplicates", "rejected")


@dg.multi_asset(
    name="take_landing_files",
    specs=[
        dg.AssetSpec(
            asset_key(name),
            description=described(promise),
            metadata=described_columns(promise) | sql_of(*SQL.get(name, ())),
            group_name="ledger",
            kinds={"duckdb"},
            owners=OWNERS,
        )
        for name, promise in TABLES.items()
    ],
    check_specs=[schema_check(asset_key(name)) for name in TABLES],
)
def take_landing_files(
    context: dg.AssetExecutionContext, rollforward: Rollforward
) -> Iterator[dg.MaterializeResult[None]]:
    """Take what is new in landing/: archive it, judge every row, and commit each file as one transaction."""
    session, outcomes, unchanged = rollforward.session, [], 0
    rows, previews = dict.fromkeys(TABLES, 0), {}
    with for_people():
        for shard in session.shards:
            for result in session.ingest_shard(shard):
                outcomes += result.files
                unchanged += result.unchanged
            for name in TABLES:
                rows[name] += shard.connection.table(name).shape[0]
                previews[name] = head_of(shard.connection, name, "event desc")
        session.stop_if_nobody_is_left()
    counts = [tuple(getattr(outcome, name) for name in COUNTS) for outcome in outcomes]
    for name in TABLES:
        taken: dict[str, Any] = {
            "files": dg.MetadataValue.json([dict(zip(COUNTS, count, strict=True)) for count in counts]),
            "taken": dg.MetadataValue.md(markdown_table(COUNTS, counts) if counts else "Nothing new."),
            "unchanged_files": unchanged,
            "warnings": dg.MetadataValue.json(session.warnings),
        }
        yield dg.MaterializeResult(
            asset_key=asset_key(name),
            metadata={
                "dagster/row_count": rows[name],
                **(taken if name == "ledger.files" else {"preview": markdown(previews[name])}),
            },
            check_results=[dg.AssetCheckResult(passed=True, asset_key=asset_key(name), check_name=SCHEMA_CHECK)],
        )
    if is_last(context):
        session.end()
