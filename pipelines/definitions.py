"""What Dagster loads: the assets, the jobs and the resource. Only a list."""

import dagster as dg

from assets import facts, ledger, reports, workbook
from pipelines import jobs
from pipelines.resources import Rollforward

defs = dg.Definitions(
    assets=dg.load_assets_from_modules([ledger, facts, reports, workbook]),
    jobs=[jobs.ingest, jobs.monthly_report, jobs.credit_report],
    resources={"rollforward": Rollforward()},
    # One process: the ledger has one writer, and starting one for each step takes longer than the steps.
    executor=dg.in_process_executor,
)
