-- Accepted rows of a balances file: one row per balance that a source says an account held.
select
  $merchant_id as merchant_id,
  balance_id,
  member_id,
  balance_type,
  as_of_day,
  as_of,
  balance,
  $recorded_at as recorded_at,
  $source_file as source_file,
  source_row,
  $event::bigint as event
from staging.balances
order by source_row
