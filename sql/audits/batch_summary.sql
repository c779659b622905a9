-- What batches and credits of each period came to by credit type: one row per unit, section and credit type.
--
-- Section issued is of the batches issued in the period; section expense is of all credits created in it, in a batch or
-- not. A blank credit type is the sum of all.
with units as (
  select distinct period.merchant_id, period.period, kind.unit, kind.decimals
  from settings.periods as period
  join settings.balance_types as kind using (merchant_id)
),

issued as (
  select
    batch.merchant_id,
    batch.period,
    batch.unit,
    'issued' as section,
    coalesce(batch.credit_type, '(none)') as credit_type,
    batch.batch_id,
    recipient.member_id,
    recipient.amount
  from audits.credits_batches as batch
  join audits.batch_recipients as recipient using (merchant_id, period, batch_id, unit)
  semi join settings.periods as period
    on period.merchant_id = batch.merchant_id and period.period = batch.period
  where batch.issued_in_period and recipient.amount > 0
  union all
  select
    merchant_id, period, unit, 'expense', coalesce(credit_type, '(none)'), batch_id, user_id, amount
  from reports.credits_created
  semi join settings.periods using (merchant_id, period)
),

sums as (
  select
    merchant_id,
    period,
    unit,
    section,
    credit_type,
    count(distinct batch_id) as batches,
    count(distinct member_id) as customers,
    count(*) as credits,
    sum(amount) as amount
  from issued
  group by grouping sets (
    (merchant_id, period, unit, section, credit_type), (merchant_id, period, unit, section)
  )
),

-- Every unit has both sums, also where there is nothing to add up.
rows as (
  select * from sums where credit_type is not null
  union all by name
  select units.merchant_id, units.period, units.unit, sections.section, null as credit_type,
    sums.batches, sums.customers, sums.credits, sums.amount
  from units
  cross join (values ('issued'), ('expense')) as sections(section)
  left join sums
    on sums.merchant_id = units.merchant_id and sums.period = units.period and sums.unit = units.unit
    and sums.section = sections.section and sums.credit_type is null
)

select
  rows.merchant_id,
  rows.period,
  rows.unit,
  rows.section,
  rows.credit_type,
  coalesce(batches, 0) as batches,
  coalesce(customers, 0) as customers,
  coalesce(credits, 0) as credits,
  coalesce(amount, 0)::decimal(38, 4) as amount,
  if(credits > 0, quotient(amount, credits, units.decimals)::decimal(18, 4), null) as average,
  units.decimals
from rows
join units using (merchant_id, period, unit)
