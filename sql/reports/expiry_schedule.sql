-- Extant credit of each period by days until it expires: one row per unit and bucket.
with buckets(bucket, position, from_days, to_days) as (
  values
    ('0-30 days', 1, -1000000, 30),
    ('31-60 days', 2, 31, 60),
    ('61-90 days', 3, 61, 90),
    ('91-180 days', 4, 91, 180),
    ('181-365 days', 5, 181, 365),
    ('Later', 6, 366, 1000000),
    ('Never', 7, null, null)
),

units as (
  select distinct period.merchant_id, period.period, kind.unit, kind.decimals
  from settings.periods as period
  join settings.balance_types as kind using (merchant_id)
),

extant as (
  select
    merchant_id, period, unit, amount_remaining,
    date_diff('day', period.as_of_day, expires_at::date) as days_left
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
  and coalesce(extant.days_left between buckets.from_days and buckets.to_days, extant.days_left is null)
  and (extant.days_left is null) = (buckets.from_days is null)
group by all
