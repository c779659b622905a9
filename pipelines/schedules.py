"""When what runs by the clock."""

import dagster as dg

from pipelines import due, jobs
from pipelines.resources import unwatched


@dg.schedule(
    name="monthly_credit_reports",
    job=jobs.monthly_report,
    cron_schedule="0 13 1 * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="On the 1st of each month at 13:00 UTC, when the month has ended in every timezone: ingest, replay,"
    " and publish each merchant's workbook of the month that has just ended.",
)
def monthly_credit_reports(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """The month that has just ended; Dagster's own monthly schedules would ask for the one that has just begun."""
    month = due.month_just_ended(context.scheduled_execution_time)
    return dg.RunRequest(run_key=f"{month:%Y-%m}", partition_key=month.isoformat(), run_config=unwatched())
