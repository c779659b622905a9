"""What Dagster loads: the assets, the jobs and the resource. Only a list."""

import dagster as dg

from assets import audits, facts, ledger, reports, workbook
from pipelines import batch_details, jobs, schedules, sensors
from pipelines.operations.jobs import all_jobs
from pipelines.resources import Rollforward

defs = dg.Definitions(
    assets=dg.load_assets_from_modules([ledger, facts, reports, audits, workbook]),
    asset_checks=[workbook.months_are_published],
    schedules=[schedules.monthly_credit_reports],
    sensors=[sensors.files_have_landed, sensors.months_without_workbook, sensors.failed_runs],
    jobs=[jobs.ingest, jobs.monthly_report, jobs.credit_report, batch_details.batch_details, *all_jobs()],
    resources={"rollforward": Rollforward()},
    # One process: the ledger has one writer, and starting one for each step takes longer than the steps.
    executor=dg.in_process_executor,
)
