-- Files that were read, newest first, and what became of their rows: one row per reading of a file.
select
  event,
  recorded_at,
  dataset,
  source_file,
  reading,
  rows_read,
  accepted,
  duplicates,
  rejected,
  size_bytes,
  sha256
from ledger.files
where ($dataset::varchar is null or dataset = $dataset)
  and ($search::varchar is null or contains(lower(source_file), lower($search)))
  and ($rejected::varchar is null or rejected > 0)
order by event desc
