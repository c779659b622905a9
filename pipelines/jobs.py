"""The jobs: what is run together, by whom, with which choices."""

import dagster as dg
from pydantic import Field

from assets.workbook import shown
from pipelines import ingest as ingesting
from pipelines import periods, replay, reports
from pipelines.publish import publish
from pipelines.resources import Rollforward, for_people
from pipelines.workbook import contents_of

ingest = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.groups("ledger", "facts"),
    description="Take what is new in landing/ and replay the members that it concerns.",
)
monthly_report = dg.define_asset_job(
    "monthly_report",
    selection=dg.AssetSelection.groups("ledger", "facts", "reports", "workbook"),
    description="Ingest, replay, and publish each merchant's workbook of the months chosen.",
)


class FreeDates(dg.Config):
    """The dates of a credit report."""

    start: str = Field(description="First day of the report, like 2026-05-12, in each merchant's timezone.")
    end: str = Field(description="Last day of the report, like 2026-06-11, included.")


@dg.op(description="Ingest, replay, and write the workbook of these dates for each merchant. Interim: not published.")
def report_free_dates(context: dg.OpExecutionContext, config: FreeDates, rollforward: Rollforward) -> None:
    """Build the report tables, read them, and take them back: only a month's tables are kept."""
    session = rollforward.session
    publications = []
    with for_people():
        first, last = periods.parse_day(config.start), periods.parse_day(config.end)
        session.tell(lambda merchant: [periods.range_of(merchant, first, last, now=session.now, as_of=session.as_of)])
        for shard in session.shards:
            ingesting.ingest(shard, say=session.say)
            replay.replay(shard.connection, shard.merchants)
            shard.connection.execute("begin")
            try:
                for name in reports.names():
                    reports.build(shard.connection, name)
                contents = [contents_of(shard.connection, period) for period in session.periods[shard.name]]
            finally:
                shard.connection.execute("rollback")
            for content in contents:
                publications.append(publish(shard, content, session.run_id))
                session.say(str(publications[-1]))
    context.log_event(dg.AssetObservation(asset_key=["workbook", "credits_workbook"], metadata=shown(publications)))


@dg.job(description="A workbook for free dates, for each merchant, as of now or of the time you say.")
def credit_report() -> None:
    """Seed 004's report: choose a start date and an end date."""
    report_free_dates()
