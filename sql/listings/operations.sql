-- Operations that were asked for, refused ones too: one row per operation.
select
  merchant_id,
  operation_id,
  kind,
  status,
  actor,
  approved_by,
  explanation,
  entries,
  unit,
  total,
  batch_id,
  started_at,
  finished_at,
  os_user,
  interface,
  run_id,
  request
from ledger.operations
where list_contains($merchants, merchant_id)
  and ($kind::varchar is null or kind = $kind)
  and ($status::varchar is null or status = $status)
  and ($actor::varchar is null or lower(actor) = lower($actor))
order by merchant_id, event
