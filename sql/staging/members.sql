-- Rows of a members file as typed values, with the first thing wrong with each: one row per well-formed row.
with typed as (
  select
    source_row,
    member_id,
    email,
    first_name,
    last_name,
    case lower(is_employee) when 'true' then true when 'false' then false end as is_employee,
    keywords,
    autopay_methods,
    location,
    instant_of(updated_at, timezone) as updated_at,
    raw
  from staging.raw as raw
  join settings.merchants as merchant on merchant.merchant_id = $merchant_id
)

select
  typed.* exclude (raw),
  case
    when raw.merchant_id <> $merchant_id then 'merchant_id:other_merchant'
    when member_id is null then 'member_id:missing'
    when raw.is_employee is not null and is_employee is null then 'is_employee:not_true_or_false'
    when raw.updated_at is not null and updated_at is null then 'updated_at:not_a_time'
    when year_of(raw.updated_at) not between 1970 and 2199 then 'updated_at:year_out_of_range'
  end as problem
from typed
