-- An entry as its source reported it, and the file that it stood in: one row per entry.
select
  entry.*,
  file.sha256 as file_sha256
from ledger.entries as entry
left join ledger.files as file on file.event = entry.event
where entry.entry_id = $entry
