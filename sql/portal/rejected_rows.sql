-- Rows of files that were set aside and meet the filters, newest first: one row per rejected row.
select
  rejected_at,
  dataset,
  source_file,
  source_row,
  column_name,
  value,
  reason,
  explanation,
  row,
  closed_event is not null as accepted_since
from ledger.rejected_rows
where ($everything::varchar is not null or closed_event is null)
  and ($dataset::varchar is null or dataset = $dataset)
  and ($reason::varchar is null or reason = $reason)
  and (
    $search::varchar is null
    or contains(lower(source_file), lower($search))
    or contains(lower(explanation), lower($search))
    or contains(lower(row_id), lower($search))
  )
order by event desc, source_row
