-- Rows of files that were set aside: one row per rejected row.
select
  merchant_id,
  dataset,
  source_file,
  source_row,
  column_name,
  value,
  reason,
  explanation,
  row,
  rejected_at,
  closed_event is not null as accepted_since
from ledger.rejected_rows
where list_contains($merchants, merchant_id)
  and ($everything or closed_event is null)
order by merchant_id, event, source_row
