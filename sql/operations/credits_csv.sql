-- Rows of a CSV of credits as typed values, with the first thing wrong with each: one row per well-formed row.
--
-- `column_name` is where that is, `problem` what. A member is known by the members of the merchant, or by an entry.
with known as (
  select member_id from ledger.members where merchant_id = $merchant_id
  union
  select member_id from ledger.entries where merchant_id = $merchant_id
),

typed as (
  select
    raw.source_row,
    raw.member_id,
    plain_amount(raw.amount, $decimal_comma) as plain,
    case when is_amount(raw.amount, $decimal_comma) then try_cast(plain as decimal(18, 4)) end as amount,
    raw.reason_details,
    raw.expires_at is null or raw.expires_at = '0' or coalesce(year_of(raw.expires_at) > 2199, false) as lives_forever,
    case
      when lives_forever then null
      when is_date_alone(raw.expires_at) then end_of_day_of(raw.expires_at, merchant.timezone)
      else instant_of(raw.expires_at, merchant.timezone)
    end as expires_at,
    unit.unit,
    unit.decimals,
    raw
  from staging.raw as raw
  join settings.merchants as merchant on merchant.merchant_id = $merchant_id
  join settings.balance_types as unit
    on unit.merchant_id = $merchant_id and unit.balance_type = 'default'
),

judged as (
  select
    typed.* exclude (raw),
    raw.amount as amount_said,
    raw.expires_at as expires_at_said,
    case
      when member_id is null then 'member_id:is blank.'
      when member_id not in (select member_id from known where member_id is not null) then
        'member_id:is no member of ' || $merchant_id || ', and no entry names them.'
      when raw.amount is null then 'amount:is blank.'
      when not is_amount(raw.amount, $decimal_comma) then
        'amount:is not an amount; write it like ' || if($decimal_comma, '1234,50.', '1234.50.')
      when raw.amount[1] = '-' then 'amount:has a minus sign; credits are issued here.'
      when decimals_of(plain) > decimals then
        'amount:has too many decimals; ' || unit || ' has ' || decimals || '.'
      when amount is null then 'amount:has more than 14 digits before the decimal point.'
      when amount = 0 then 'amount:is nothing.'
      when not lives_forever and expires_at is null then
        'expires_at:is not a time; write it like 2026-06-30 or 2026-06-30T13:45:00Z.'
      when year_of(raw.expires_at) > 2199 and not is_instant(raw.expires_at) then
        'expires_at:is not a time; write it like 2026-06-30 or 2026-06-30T13:45:00Z.'
      when expires_at <= $opens_at then 'expires_at:is not after the day of the credit.'
    end as problem
  from typed
)

select
  row_number() over (order by judged.source_row) as position,
  judged.member_id,
  member.email,
  nullif(concat_ws(' ', member.first_name, member.last_name), '') as name,
  null::varchar as student_id,
  null::varchar as enrollment_id,
  null::varchar as credit_id,
  judged.amount,
  0::decimal(18, 4) as stays,
  concat_ws(
    '; ',
    'row ' || judged.source_row,
    judged.reason_details,
    -- To the second: a preview is held against what the file says later by this.
    'expires ' || strftime(as_local(judged.expires_at, merchant.timezone), '%Y-%m-%d %H:%M:%S')
  ) as why,
  judged.reason_details,
  judged.expires_at,
  judged.source_row,
  split_part(judged.problem, ':', 1) as column_name,
  substr(judged.problem, length(column_name) + 2) as problem,
  case column_name
    when 'member_id' then judged.member_id
    when 'amount' then judged.amount_said
    when 'expires_at' then judged.expires_at_said
  end as value
from judged
join settings.merchants as merchant on merchant.merchant_id = $merchant_id
left join ledger.members as member
  on member.merchant_id = $merchant_id and member.member_id = judged.member_id
order by position
