-- Rows of files that were set aside and meet the filters, newest first: one row per rejected row.
--
-- Of one reading of a file, which its number of rejected rows leads to, also those that were accepted since.
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
where ($everything::varchar is not null or $reading::varchar is not null or closed_event is null)
  and ($reading::varchar is null or event::varchar = $reading)
  and ($dataset::varchar is null or dataset = $dataset)
  and ($reason::varchar is null or reason = $reason)
  and (
    $search::varchar is null
    or contains(lower(source_file), lower($search))
    or contains(lower(explanation), lower($search))
    or contains(lower(row_id), lower($search))
  )
order by event desc, source_row
