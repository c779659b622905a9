"""The workbook: one Excel file for each merchant and month, published as versions that are never written over."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from pipelines import alerts, audits, due
from pipelines.partitions import MONTHS, ONE_RUN
from pipelines.publish import Publication, publish
from pipelines.reports import names
from pipelines.resources import Rollforward, for_people
from pipelines.settings import SettingsError, read_each_merchant
from pipelines.tables import OWNERS, WORKBOOK, asset_key, bring_up, markdown_table
from pipelines.workbook import contents_of

COMPLETE_CHECK = "months_are_complete"
SHOWN_TOTALS = ("opening_balance", "total_credit_created", "total_credit_redeemed", "total_credit_expired",
                "closing_balance", "total_credit_extant")  # fmt: skip


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
    with for_people():
        session.months(context.partition_keys)
        bring_up(session, names())
        for shard in session.shards:
            for period in session.periods_of(shard):
                # Also of the merchant's other months: what is in the way of one is mostly in the way of all.
                if period.merchant.id in session.held_back:
                    continue
                session.doing(f"Writing the workbook of {period.merchant.id}, {period.name}")
                with session.held_back.by(period.merchant.id):
                    contents = contents_of(shard.connection, period)
                    if why := audits.blocked(contents):
                        session.blocked.append(why)
                        continue
                    publication = publish(shard, contents, session.run_id)
                    session.publications.append(publication)
                    session.say(str(publication))
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
    incomplete = [one for one in session.publications if one.incomplete]
    yield dg.MaterializeResult(metadata=shown(session.publications, session.blocked))
    yield dg.AssetCheckResult(
        check_name=COMPLETE_CHECK,
        passed=not incomplete,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            f"{one.period.merchant.id} {one.period.name}": dg.MetadataValue.text(one.incomplete or "")
            for one in incomplete
        },
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


def figures(publications: Sequence[Publication]) -> dict[str, Any]:
    """Of one month: each workbook's place and closing balance, the latter to be plotted over the months."""
    told: dict[str, Any] = {"workbooks": dg.MetadataValue.md(_table(publications))}
    for publication in publications:
        merchant_id = publication.period.merchant.id
        told[f"{merchant_id} workbook"] = dg.MetadataValue.path(str(publication.path))
        told[f"{merchant_id} version"] = publication.version
        for unit, totals in publication.totals.items():
            told[f"{merchant_id} closing balance {unit}"] = float(totals["closing_balance"])
    return told


def shown(publications: Sequence[Publication], blocked: Sequence[str] = ()) -> dict[str, dg.MetadataValue[Any]]:
    """All workbooks of a run, where they are and what they add up to, for the Dagster UI and the CLI."""
    return {
        "workbooks": dg.MetadataValue.md(_table(publications)),
        "held_back": dg.MetadataValue.json([*blocked]),
        "published": dg.MetadataValue.json(
            [
                {
                    "merchant_id": publication.period.merchant.id,
                    "period": publication.period.name,
                    "as_of": publication.period.as_of.isoformat(),
                    "path": str(publication.path),
                    "version": publication.version,
                    "outcome": publication.outcome,
                    "totals": publication.totals,
                    "changes": list(publication.changes),
                    "incomplete": publication.incomplete,
                }
                for publication in publications
            ]
        ),
    }


def _table(publications: Sequence[Publication]) -> str:
    """A row for each workbook and unit."""
    header = ("merchant", "period", "unit", *(name.replace("_", " ") for name in SHOWN_TOTALS),
              "version", "outcome", "what changed")  # fmt: skip
    rows = [
        (
            publication.period.merchant.id,
            publication.period.name,
            unit,
            *(totals[name] for name in SHOWN_TOTALS),
            publication.version,
            publication.outcome,
            "; ".join([*publication.changes, *filter(None, [publication.incomplete])]),
        )
        for publication in publications
        for unit, totals in publication.totals.items()
    ]
    return markdown_table(header, rows)
