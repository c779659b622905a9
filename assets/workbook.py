"""The workbook: one Excel file for each merchant and month, published as versions that are never written over."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from pipelines import alerts, due
from pipelines.partitions import MONTHS, ONE_RUN
from pipelines.publications import figures, publish_unless_blocked, shown
from pipelines.reports import names
from pipelines.resources import Rollforward, for_people
from pipelines.settings import SettingsError, read_each_merchant
from pipelines.tables import OWNERS, WORKBOOK, asset_key, bring_up
from pipelines.workbook import contents_of, incomplete

COMPLETE_CHECK = "months_are_complete"


@dg.asset(
    key=WORKBOOK,
    deps=[asset_key(name) for name in names()],
    description="The Excel workbook of each merchant and month: the credit report that finance closes its books on."
    " A month that is published stays; where it would now read otherwise, it becomes a new version beside the former,"
    " and the run says what changed in the totals.",
    group_name="workbook",
    kinds={"excel"},
    owners=OWNERS,
    partitions_def=MONTHS,
    backfill_policy=ONE_RUN,
    check_specs=[
        dg.AssetCheckSpec(
            COMPLETE_CHECK,
            asset=WORKBOOK,
            description="The data of every month reported has all arrived, where a merchant's complete_through asks for"
            " that. Where it has not, the workbook says Incomplete. What to do: have the source send the rest, then"
            " report the month again; it becomes a new version.",
        )
    ],
)
def credits_workbook(
    context: dg.AssetExecutionContext, rollforward: Rollforward
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Write each merchant's workbook of each month, unless the version that is there says the same."""
    session = rollforward.session
    missing: dict[str, dg.MetadataValue[Any]] = {}
    with for_people():
        session.months(context)
        bring_up(session, names())
        for shard in session.shards:
            for period in session.periods_of(shard):
                # Also of the merchant's other months: what is in the way of one is mostly in the way of all.
                if period.merchant.id in session.held_back:
                    continue
                session.doing(f"Writing the workbook of {period.merchant.id}, {period.name}")
                with session.held_back.by(period.merchant.id):
                    contents = contents_of(shard.connection, period)
                    # Also where that is what holds the workbook back.
                    if said := incomplete(contents):
                        missing[f"{period.merchant.id} {period.name}"] = dg.MetadataValue.text(said)
                    publish_unless_blocked(session, shard, contents)
    session.stop_if_nobody_is_left()
    going_on = sum(len(shard.merchants) for shard in session.shards)
    held_back = [*([session.held_back.told(going_on)] if session.held_back else []), *session.blocked]
    months = [key[: len("2026-06")] for key in context.partition_keys]
    message = alerts.of_publications(
        session.publications,
        session.run_id,
        months=months,
        held_back="\n\n".join(held_back),
        warnings=session.warnings,
    )
    if message:
        alerts.tell(session.home, message, session.say)
    for month in context.partition_keys:
        of_month = [one for one in session.publications if one.period.first_day.isoformat() == month]
        context.add_asset_metadata(figures(of_month), partition_key=month)
    yield dg.MaterializeResult(metadata=shown(session.publications, session.blocked))
    yield dg.AssetCheckResult(
        check_name=COMPLETE_CHECK, passed=not missing, severity=dg.AssetCheckSeverity.WARN, metadata=missing
    )
    session.end()


@dg.asset_check(
    name=due.FRESHNESS_CHECK,
    asset=WORKBOOK,
    description="Every month that has ended has its published workbook: the latest, and all since a merchant's first."
    " What to do: open the failed result, which names the months and merchants that lack one.",
)
def months_are_published(rollforward: Rollforward) -> dg.AssetCheckResult:
    """As the sensor months_without_workbook sees it, at the push of a button and after every report."""
    session = rollforward.session
    home = session.home
    with for_people():
        try:
            merchants, wrong = read_each_merchant(home)
        except SettingsError:
            # They were broken while the run worked, which ends with those it began with.
            merchants, wrong = {**session.merchants}, {}
        return dg.AssetCheckResult(
            **due.freshness(due.due(due.published_months(home, merchants, wrong), datetime.now(UTC)))
        )
