"""The jobs: what is run together, by whom, with which choices."""

from datetime import date
from typing import Any

import dagster as dg
from pydantic import BaseModel, Field

from pipelines import clock, periods, reports
from pipelines.publications import publish_unless_blocked, shown
from pipelines.resources import Rollforward, Session, for_people
from pipelines.settings import Merchant
from pipelines.shards import Shard
from pipelines.tables import WORKBOOK
from pipelines.workbook import Contents, contents_of

ingest = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.groups("ledger", "facts"),
    description="Take what is new in landing/ and replay the members that it concerns.",
)
monthly_report = dg.define_asset_job(
    "monthly_report",
    selection=dg.AssetSelection.groups("ledger", "facts", "reports", "audits", "workbook"),
    description="Ingest, replay, and publish each merchant's workbook of the months chosen.",
)


class FreeDates(dg.Config):
    """The dates of a credit report."""

    start: str = Field(
        default="",
        description="First day of the report, like 2026-05-12, in each merchant's timezone. Blank: the first day of"
        " last month.",
    )
    end: str = Field(
        default="",
        description="Last day of the report, like 2026-06-11, included. Blank: the last day of last month.",
    )

    def days(self, today: date) -> tuple[date, date]:
        """The first and the last day, where it is `today`. Raises PeriodError."""
        ended = today.replace(day=1) - periods.ONE_DAY
        return (
            periods.parse_day(self.start) if self.start else ended.replace(day=1),
            periods.parse_day(self.end) if self.end else ended,
        )


@dg.op(description="Ingest, replay, and write the workbook of these dates for each merchant. Interim: not published.")
def report_free_dates(context: dg.OpExecutionContext, config: FreeDates, rollforward: Rollforward) -> None:
    """Build the report tables, read them, and take them back: only a month's tables are kept."""
    session = rollforward.session
    with for_people():

        def dates_of(merchant: Merchant) -> list[periods.Period]:
            first, last = config.days(clock.day_of(session.now, merchant.timezone))
            return [periods.range_of(merchant, first, last, now=session.now, as_of=session.as_of)]

        session.tell(dates_of)
        contents = []
        session.bring_in()
        for shard in session.shards:
            session.replay_shard(shard)
        for shard in session.shards:
            contents += [
                (shard, content)
                for read in session.held_back.together_or_apart(shard, lambda some: _contents(session, some))
                for content in read
            ]
        session.stop_if_nobody_is_left()
        for shard, content in contents:
            with session.held_back.by(content.period.merchant.id):
                publish_unless_blocked(session, shard, content)
        session.stop_if_nobody_is_left()
    told = {
        **shown(session.publications, session.blocked),
        "warnings": dg.MetadataValue.json(session.warnings),
    }
    context.log_event(dg.AssetObservation(asset_key=WORKBOOK, metadata=told))
    session.end()


def _contents(session: Session, shard: Shard) -> list[Contents]:
    """What the workbooks of the shard's merchants say: the report tables, built, read, and taken back."""
    session.ask(shard, session.periods_of(shard))
    shard.connection.execute("begin")
    try:
        for name in reports.names():
            reports.build(shard.connection, name)
        return [contents_of(shard.connection, period) for period in session.periods_of(shard)]
    finally:
        shard.connection.execute("rollback")


def _left_alone(form: type[BaseModel]) -> dict[str, Any]:
    """Every field of a form, as it is when it is left alone."""
    return {name: field.get_default(call_default_factory=True) for name, field in form.model_fields.items()}


# What the launchpad opens with.
DEFAULTS = {
    "resources": {"rollforward": {"config": _left_alone(Rollforward)}},
    "ops": {"report_free_dates": {"config": _left_alone(FreeDates)}},
}


@dg.job(
    description="A workbook for free dates, for each merchant, as of now or of the time you say. Open the launchpad,"
    " fill in start and end (blank: last month), and launch; the workbooks' paths are in the run's observation of"
    " workbook/credits_workbook.",
    config=DEFAULTS,
)
def credit_report() -> None:
    """Seed 004's report: choose a start date and an end date."""
    report_free_dates()
