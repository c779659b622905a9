-- The newest word on each batch that an accepted row of the file speaks of: one row per batch.
--
-- A later row, in the order in which files came and rows stand in them, replaces an earlier one. A row that was set
-- aside and read again keeps the place of its file. When the ledger learnt of the batch stays what it was: one without
-- a date and without credits belongs to that month.
with said as (
  select
    $merchant_id as merchant_id,
    batch_id,
    issued_at,
    issued_by_name,
    issued_by_email,
    credit_type,
    reason,
    description,
    issued_as,
    declared_recipients,
    declared_total,
    location,
    $recorded_at as recorded_at,
    $source_file as source_file,
    source_row,
    $place::bigint as file_event,
    $event::bigint as event
  from staging.batches
  union all by name
  select *
  from ledger.batches
  where merchant_id = $merchant_id and batch_id in (select batch_id from staging.batches)
)

select * replace (min(recorded_at) over (partition by batch_id) as recorded_at)
from said
qualify row_number() over (partition by batch_id order by file_event desc, source_row desc) = 1
order by batch_id
