"""Facts: what the entries mean. Which credit each draw came from, what remains, what does not add up."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from pipelines import models, replay, views
from pipelines.resources import Rollforward, for_people, is_last
from pipelines.tables import (
    DEFECT,
    OWNERS,
    SCHEMA_CHECK,
    asset_key,
    described,
    described_columns,
    failed,
    head_of,
    markdown,
    schema_check,
    sql_of,
    view_schema_check,
)
from schemas import facts

TABLES = {
    "facts.credits": facts.Credits,
    "facts.movements": facts.Movements,
    "facts.findings": facts.Findings,
    "facts.daily_totals": facts.DailyTotals,
}
INVARIANTS = models.load_all("invariants")
MOVEMENTS = asset_key("facts.movements")


@dg.multi_asset(
    name="replay_new_entries",
    specs=[
        dg.AssetSpec(
            asset_key(name),
            deps=[asset_key("ledger.entries")],
            description=described(promise),
            metadata=described_columns(promise) | sql_of(models.load(name)),
            group_name="facts",
            kinds={"duckdb", "numba"},
            owners=OWNERS,
        )
        for name, promise in TABLES.items()
    ]
    + [
        dg.AssetSpec(
            asset_key(name),
            deps=[asset_key(read) for read in models.load(name).reads],
            description=f"{described(promise, models.load(name))} A view: it is always as of the moment of reading.",
            metadata=described_columns(promise) | sql_of(models.load(name)),
            group_name="facts",
            kinds={"duckdb", "view"},
            owners=OWNERS,
        )
        for name, promise in views.VIEWS.items()
    ],
    check_specs=[
        *(schema_check(asset_key(name)) for name in TABLES),
        *(view_schema_check(asset_key(name)) for name in views.VIEWS),
        *(
            dg.AssetCheckSpec(
                invariant.name.partition(".")[2],
                asset=MOVEMENTS,
                blocking=True,
                description=f"{invariant.summary} A merchant where it does not hold gets no workbook; the others do. "
                + DEFECT,
            )
            for invariant in INVARIANTS
        ),
    ],
)
def replay_new_entries(
    context: dg.AssetExecutionContext, rollforward: Rollforward
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Replay the members that new entries concern, and hold every invariant against what comes out."""
    session = rollforward.session
    rows, previews, replayed = dict.fromkeys(TABLES, 0), {}, {"members": 0, "entries": 0, "movements": 0}
    with for_people():
        session.bring_in()
        for shard in session.shards:
            session.doing("Replaying")
            for result in session.replay_shard(shard):
                for name in replayed:
                    replayed[name] += getattr(result, name)
            for name in TABLES:
                rows[name] += shard.connection.table(name).shape[0]
                previews[name] = head_of(shard.connection, name)
    session.built |= {*TABLES}
    for invariant in INVARIANTS:
        name = invariant.name.partition(".")[2]
        broken = {
            merchant_id: str(problem)
            for merchant_id, problem in session.held_back.problems.items()
            if isinstance(problem, replay.BrokenInvariantError) and problem.invariant == name
        }
        yield dg.AssetCheckResult(
            passed=not broken,
            asset_key=MOVEMENTS,
            check_name=name,
            # The others' workbooks are made all the same: only where nobody is left does this stop the run.
            severity=dg.AssetCheckSeverity.WARN if session.shards else dg.AssetCheckSeverity.ERROR,
            metadata={"movements_checked": replayed["movements"]} | failed(broken, DEFECT),
        )
    session.stop_if_nobody_is_left()
    for name in TABLES:
        yield dg.MaterializeResult(
            asset_key=asset_key(name),
            metadata={
                "dagster/row_count": rows[name],
                "preview": markdown(previews[name]),
                **(
                    {f"replayed_{what}": count for what, count in replayed.items()} if name == "facts.movements" else {}
                ),
            },
            check_results=[dg.AssetCheckResult(passed=True, asset_key=asset_key(name), check_name=SCHEMA_CHECK)],
        )
    yield from _views(rollforward)
    if is_last(context):
        session.end()


def _views(rollforward: Rollforward) -> Iterator[dg.MaterializeResult[None]]:
    """What the views come to now. They need no building: what they say is worked out when they are read."""
    as_of = datetime.now(UTC)
    previews = dict.fromkeys(views.VIEWS, pl.DataFrame())
    figures: dict[str, dict[str, float]] = {name: {} for name in views.VIEWS}
    with for_people():
        for shard in rollforward.session.shards:
            for name, its in views.figures(shard.connection, as_of).items():
                previews[name] = views.preview(shard.connection, name)
                figures[name] |= {figure: figures[name].get(figure, 0) + amount for figure, amount in its.items()}
    for name, told in figures.items():
        yield dg.MaterializeResult(
            asset_key=asset_key(name),
            metadata={**told, "as_of": dg.MetadataValue.timestamp(as_of), "preview": markdown(previews[name])},
            check_results=[dg.AssetCheckResult(passed=True, asset_key=asset_key(name), check_name=SCHEMA_CHECK)],
        )
