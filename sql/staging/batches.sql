-- Rows of a batches file as typed values, with the first thing wrong with each: one row per well-formed row.
with typed as (
  select
    source_row,
    batch_id,
    instant_of(issued_at, timezone) as issued_at,
    issued_by_name,
    issued_by_email,
    credit_type,
    reason,
    description,
    issued_as,
    try_cast(declared_recipients as bigint) as declared_recipients,
    plain_amount(declared_total, $decimal_comma) as plain,
    case when is_amount(declared_total, $decimal_comma) then try_cast(plain as decimal(18, 4)) end as declared_total,
    location,
    finest.decimals as finest_decimals,
    raw
  from staging.raw as raw
  join settings.merchants as merchant on merchant.merchant_id = $merchant_id
  join (
    select max(decimals) as decimals from settings.balance_types where merchant_id = $merchant_id
  ) as finest on true
)

select
  typed.* exclude (raw, plain, finest_decimals),
  case
    when raw.merchant_id <> $merchant_id then 'merchant_id:other_merchant'
    when batch_id is null then 'batch_id:missing'
    when raw.issued_at is not null and issued_at is null then 'issued_at:not_a_time'
    when year_of(raw.issued_at) not between 1970 and 2199 then 'issued_at:year_out_of_range'
    when issued_as not in ('family', 'student', 'enrollment', 'csv', 'import') then 'issued_as:unknown_issued_as'
    when not regexp_full_match(raw.declared_recipients, '\d{1,9}') then 'declared_recipients:not_a_whole_number'
    when not is_amount(raw.declared_total, $decimal_comma) then 'declared_total:not_an_amount'
    when raw.declared_total[1] = '-' then 'declared_total:negative_total'
    when decimals_of(plain) > finest_decimals then 'declared_total:finer_than_any_unit'
    when raw.declared_total is not null and declared_total is null then 'declared_total:too_large'
  end as problem
from typed
