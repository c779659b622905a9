"""The workbooks of a run: each published or held back, and what Dagster and the command line are told of them.

How one gets into its place is in `pipelines.publish`; what is told to people who did not watch, in `pipelines.alerts`.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from pipelines.audits import blocked
from pipelines.publish import Publication, publish
from pipelines.resources import Session
from pipelines.shards import Shard
from pipelines.tables import markdown_table
from pipelines.workbook import Contents

SHOWN_TOTALS = ("opening_balance", "total_credit_created", "total_credit_redeemed", "total_credit_expired",
                "closing_balance", "total_credit_extant")  # fmt: skip


def publish_unless_blocked(session: Session, shard: Shard, contents: Contents) -> None:
    """Publish a workbook, unless its merchant blocks on errors and there are some."""
    if why := blocked(contents):
        session.blocked.append(why)
        return
    publication = publish(shard, contents, session.run_id)
    session.publications.append(publication)
    session.say(str(publication))


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


def shown(publications: Sequence[Publication], held_back: Sequence[str]) -> dict[str, dg.MetadataValue[Any]]:
    """All workbooks of a run, where they are and what they add up to, for the Dagster UI and the CLI."""
    return {
        "workbooks": dg.MetadataValue.md(_table(publications)),
        "held_back": dg.MetadataValue.json([*held_back]),
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
