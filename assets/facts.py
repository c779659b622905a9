"""Facts: what the entries mean. Which credit each draw came from, what remains, what does not add up."""

from collections.abc import Iterator

import dagster as dg

from pipelines import models, replay
from pipelines.resources import Rollforward, for_people
from pipelines.tables import OWNERS, asset_key, described, described_columns, head_of, markdown, schema_check
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
            metadata=described_columns(promise),
            group_name="facts",
            kinds={"duckdb", "numba"},
            owners=OWNERS,
        )
        for name, promise in TABLES.items()
    ],
    check_specs=[
        *(schema_check(asset_key(name)) for name in TABLES),
        *(
            dg.AssetCheckSpec(
                invariant.name.partition(".")[2], asset=MOVEMENTS, blocking=True, description=invariant.summary
            )
            for invariant in INVARIANTS
        ),
    ],
)
def replay_new_entries(rollforward: Rollforward) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Replay the members that new entries concern, and hold every invariant against what comes out."""
    session = rollforward.session
    rows, previews, replayed = dict.fromkeys(TABLES, 0), {}, {"members": 0, "entries": 0, "movements": 0}
    with for_people():
        for shard in session.shards:
            session.doing("Replaying")
            try:
                result = replay.replay(shard.connection, shard.merchants)
            except replay.BrokenInvariantError as broken:
                yield dg.AssetCheckResult(
                    passed=False,
                    asset_key=MOVEMENTS,
                    check_name=broken.invariant,
                    metadata={"what": str(broken)},
                )
                raise
            for name in replayed:
                replayed[name] += getattr(result, name)
            for name in TABLES:
                rows[name] += shard.connection.table(name).shape[0]
                previews[name] = head_of(shard.connection, name)
    for invariant in INVARIANTS:
        yield dg.AssetCheckResult(
            passed=True,
            asset_key=MOVEMENTS,
            check_name=invariant.name.partition(".")[2],
            metadata={"movements_checked": replayed["movements"]},
        )
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
            check_results=[dg.AssetCheckResult(passed=True, asset_key=asset_key(name), check_name="schema")],
        )
