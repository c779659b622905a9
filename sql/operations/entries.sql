-- Entries that an operation posted, as ledger entries: one row per entry.
--
-- What has no time of its own occurred when the operation was recorded.
with posted as (
  select
    * exclude (position),
    row_number() over (order by position, entry_id) as source_row
  from (
    select * replace (coalesce(occurred_at, $recorded_at) as occurred_at)
    from staging.posted
  )
)

select
  $merchant_id as merchant_id,
  posted.* exclude (source_row),
  $recorded_at as recorded_at,
  $operation_id as operation_id,
  $source_file as source_file,
  source_row,
  content_hash_of(
    entry_type, occurred_at, amount, priority, system, expires_at, issued_at, original_amount,
    entry_id, member_id, balance_type, credit_id, redemption_id, transfer_id, batch_id, credit_type, reason,
    reason_details, internal_note, creator_name, creator_email, approved_by, location
  ) as content_hash,
  $event::bigint as event
from posted
order by source_row
