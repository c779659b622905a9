-- Extant credit of each period by days since it was first issued: one row per unit and bucket.
with buckets(bucket, position, from_days, to_days) as (
  values
    ('0-30 days', 1, -1000000, 30),
    ('31-60 days', 2, 31, 60),
    ('61-90 days', 3, 61, 90),
    ('91-180 days', 4, 91, 180),
    ('181-365 days', 5, 181, 365),
    ('Over 365 days', 6, 366, 1000000)
),

units as (
  select distinct period.merchant_id, period.period, period.as_of_day, kind.unit, kind.decimals
  from settings.periods as period
  join settings.balance_types as kind using (merchant_id)
),

extant as (
  select
    merchant_id, period, unit, amount_remaining,
    date_diff('day', created_at::date, period.as_of_day) as age_days
  from reports.extant_credits
  join settings.periods as period using (merchant_id, period)
)

select
  units.merchant_id,
  units.period,
  units.unit,
  buckets.bucket,
  buckets.position,
  count(extant.unit) as credits,
  coalesce(sum(extant.amount_remaining), 0)::decimal(38, 4) as amount,
  units.decimals
from units
cross join buckets
left join extant
  on extant.merchant_id = units.merchant_id
  and extant.period = units.period
  and extant.unit = units.unit
  and extant.age_days between buckets.from_days and buckets.to_days
group by all
