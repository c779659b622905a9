-- Reasons that several batches of the period share: one row per reason, details and unit.
--
-- severity: warning
-- version: 1
-- thresholds: systemic_batches = 3
-- means: So many batches issued in the period have the same reason and details, digits, spaces and case aside. What is
--   credited again and again is seldom solved by crediting it. A batch whose credits are for various things is like none;
--   one dated before the period that first credits in it is of the period.
-- do: Look for the cause behind it, and put what was credited beside what it would cost to mend.
with alike as (
  select
    batch.*,
    concat(folded(reason), '|', folded(description)) as text,
    -- Codes that are nothing but digits are told apart by them.
    coalesce(nullif(regexp_replace(text, '[\p{Nd} ]', '', 'g'), '|'), text) as words
  from audits.credits_batches as batch
  semi join settings.periods as period
    on period.merchant_id = batch.merchant_id and period.period = batch.period
  where batch.issued_in_period and batch.recipient_count > 0 and coalesce(batch.reason, batch.description) is not null
    -- As Credits Batches words what differs from credit to credit.
    and 'Various' not in (coalesce(batch.reason, ''), coalesce(batch.description, ''))
),

found as (
  select
    merchant_id,
    period,
    unit,
    words,
    string_agg(batch_id, '; ' order by position) as batch_id,
    count(*) as batches,
    sum(total_amount) as amount,
    arg_min(concat_ws(': ', reason, description), position) as what,
    any_value(decimals) as decimals,
    if(min(credit_type) = max(credit_type), min(credit_type), null) as credit_type
  from alike
  group by all
),

-- What all credits of a type came to in the period, in a batch or not.
types as (
  select merchant_id, period, unit, credit_type, amount
  from audits.batch_summary
  where section = 'expense'
),

-- What of it these batches are, whose files may say another type than their credits.
theirs as (
  select alike.merchant_id, alike.period, alike.unit, alike.words, alike.credit_type, sum(credit.amount) as amount
  from alike
  join reports.credits_created as credit using (merchant_id, period, unit, batch_id, credit_type)
  group by all
)

select
  found.merchant_id,
  found.period,
  found.batch_id,
  found.unit,
  found.amount::decimal(38, 4) as amount_at_risk,
  found.batches::varchar as observed,
  limits.systemic_batches::varchar as threshold,
  found.batches || ' batches of the period are for ' || said(found.what) || ', together '
  || shown_with_unit(found.amount, found.decimals, found.unit)
  || coalesce(
    ' of the ' || shown_with_unit(types.amount, found.decimals, found.unit) || ' that ' || found.credit_type || ' came to',
    ''
  ) || '.' as explanation
from found
join settings.thresholds as limits using (merchant_id)
-- Where all of it is.
left join theirs
  on theirs.merchant_id = found.merchant_id
  and theirs.period = found.period
  and theirs.unit = found.unit
  and theirs.words = found.words
  and theirs.credit_type = found.credit_type
  and theirs.amount = found.amount
left join types
  on types.merchant_id = theirs.merchant_id
  and types.period = theirs.period
  and types.unit = theirs.unit
  and types.credit_type = theirs.credit_type
where found.batches >= limits.systemic_batches
