-- Rows of a charges file as typed values, with the first thing wrong with each: one row per well-formed row.
--
-- Amounts may have a sign: what was given back, or paid ahead, is a charge of less than nothing.
with typed as (
  select
    source_row,
    charge_id,
    member_id,
    category,
    plain_amount(amount, $decimal_comma) as plain,
    case when is_amount(amount, $decimal_comma) then try_cast(plain as decimal(18, 4)) end as amount,
    plain_amount(outstanding, $decimal_comma) as plain_outstanding,
    case when is_amount(outstanding, $decimal_comma) then try_cast(plain_outstanding as decimal(18, 4)) end
      as outstanding,
    case when is_day(charged_on) then charged_on::date end as charged_on,
    location,
    merchant.currency_decimals,
    raw
  from staging.raw as raw
  join settings.merchants as merchant on merchant.merchant_id = $merchant_id
)

select
  typed.* exclude (raw, plain, plain_outstanding, currency_decimals),
  case
    when raw.merchant_id <> $merchant_id then 'merchant_id:other_merchant'
    when charge_id is null then 'charge_id:missing'
    when member_id is null then 'member_id:missing'
    when raw.amount is null then 'amount:missing'
    when not is_amount(raw.amount, $decimal_comma) then 'amount:not_an_amount'
    when decimals_of(plain) > currency_decimals then 'amount:too_many_decimals'
    when amount is null then 'amount:too_large'
    when raw.outstanding is null then 'outstanding:missing'
    when not is_amount(raw.outstanding, $decimal_comma) then 'outstanding:not_an_amount'
    when decimals_of(plain_outstanding) > currency_decimals then 'outstanding:too_many_decimals'
    when outstanding is null then 'outstanding:too_large'
    when raw.charged_on is not null and charged_on is null then 'charged_on:not_a_date'
  end as problem
from typed
