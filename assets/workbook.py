"""The workbook: one Excel file for each merchant and month, published as versions that are never written over."""

import dagster as dg

from pipelines.partitions import MONTHS, ONE_RUN
from pipelines.publish import Publication, publish
from pipelines.reports import names
from pipelines.resources import Rollforward, for_people
from pipelines.tables import OWNERS, asset_key, markdown_table
from pipelines.workbook import contents_of


@dg.asset(
    key=["workbook", "credits_workbook"],
    deps=[asset_key(name) for name in names()],
    description="The Excel workbook of each merchant and month: the credit report that finance closes its books on.",
    group_name="workbook",
    kinds={"excel"},
    owners=OWNERS,
    partitions_def=MONTHS,
    backfill_policy=ONE_RUN,
)
def credits_workbook(context: dg.AssetExecutionContext, rollforward: Rollforward) -> dg.MaterializeResult[None]:
    """Write each merchant's workbook of each month, unless the version that is there says the same."""
    session = rollforward.session
    publications = []
    with for_people():
        session.months(context.partition_keys)
        for shard in session.shards:
            for period in session.periods[shard.name]:
                session.doing(f"Writing the workbook of {period.merchant.id}, {period.name}")
                publications.append(publish(shard, contents_of(shard.connection, period), session.run_id))
                session.say(str(publications[-1]))
    return dg.MaterializeResult(metadata=shown(publications))


def shown(publications: list[Publication]) -> dict[str, dg.MetadataValue]:
    """Where the workbooks are and what they add up to, for the Dagster UI and the CLI."""
    header = ("merchant", "period", "workbook", "version", "outcome", "created", "redeemed", "extant", "what changed")
    rows = [
        (
            publication.period.merchant.id,
            publication.period.name,
            publication.path,
            publication.version,
            publication.outcome,
            *(
                "; ".join(f"{totals[name]} {unit}" for unit, totals in publication.totals.items())
                for name in ("total_credit_created", "total_credit_redeemed", "total_credit_extant")
            ),
            "; ".join(publication.changes),
        )
        for publication in publications
    ]
    return {
        "workbooks": dg.MetadataValue.md(markdown_table(header, rows)),
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
                }
                for publication in publications
            ]
        ),
    }
