-- Rows of a balances file as typed values, with the first thing wrong with each: one row per well-formed row.
with typed as (
  select
    source_row,
    member_id,
    coalesce(raw.balance_type, 'default') as balance_type,
    case when is_date_alone(as_of) then try_cast(as_of as date) end as as_of_day,
    case when as_of_day is not null then instant_of(as_of, timezone) end as as_of,
    plain_amount(balance, $decimal_comma) as plain,
    case when is_amount(balance, $decimal_comma) then try_cast(plain as decimal(18, 4)) end as balance,
    kind.unit,
    kind.decimals,
    raw
  from staging.raw as raw
  join settings.merchants as merchant on merchant.merchant_id = $merchant_id
  left join settings.balance_types as kind
    on kind.merchant_id = $merchant_id and kind.balance_type = coalesce(raw.balance_type, 'default')
)

select
  typed.* exclude (raw, plain, unit, decimals),
  balance_id_of(member_id, as_of_day, balance_type) as balance_id,
  case
    when raw.merchant_id <> $merchant_id then 'merchant_id:other_merchant'
    when member_id is null then 'member_id:missing'
    when decimals is null then 'balance_type:unknown_balance_type'
    when raw.as_of is null then 'as_of:missing'
    when as_of is null then 'as_of:not_a_date'
    when year_of(raw.as_of) not between 1970 and 2199 then 'as_of:year_out_of_range'
    when as_of > $recorded_at then 'as_of:in_the_future'
    when raw.balance is null then 'balance:missing'
    when not is_amount(raw.balance, $decimal_comma) then 'balance:not_an_amount'
    when decimals_of(plain) > decimals then 'balance:too_many_decimals'
    when balance is null then 'balance:too_large'
  end as problem
from typed
