-- The charges of the newest list, which takes the place of all before it: one row per charge.
--
-- Rows of it that were set aside and are read again join those that are there. Of one id its last row counts.
with said as (
  select
    $merchant_id as merchant_id,
    charge_id,
    member_id,
    category,
    amount,
    outstanding,
    charged_on,
    location,
    $source_file as source_file,
    source_row,
    $place::bigint as file_event,
    $event::bigint as event
  from staging.charges
  union all by name
  select *
  from ledger.charges
  where merchant_id = $merchant_id and file_event >= $place
)

select *
from said
where file_event = (select max(file_event) from said)
qualify row_number() over (partition by charge_id order by source_row desc) = 1
order by charge_id
