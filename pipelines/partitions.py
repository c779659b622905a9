"""Months are partitions; merchants are not: a backfill of many months of all merchants is one run, set-based."""

import warnings

import dagster as dg

# Dagster says at every asset that backfill policies may still change; requirements.lock pins the version that we run.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

# The month begins here before it begins anywhere else, so that the current month exists for every merchant.
EARLIEST_TIMEZONE = "Pacific/Kiritimati"

MONTHS = dg.MonthlyPartitionsDefinition(start_date="1970-01-01", timezone=EARLIEST_TIMEZONE, end_offset=1)
ONE_RUN = dg.BackfillPolicy.single_run()
