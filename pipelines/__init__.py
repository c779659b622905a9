"""How Rollforward runs: ingest, replay, reports, workbooks, and the Dagster and command-line doors to them."""
