-- What statistical rules could not judge in each period for want of observations: one row per rule, unit and group.
--
-- The same twelve months and the same groups as sql/anomalies/unusual_amount.sql and unusual_creator_volume.sql.
with windows as (
  select
    period.merchant_id, period.period, period.timezone, period.starts_at, period.cutoff, period.last_day,
    period.cutoff_day, period.cutoff_day_starts_at,
    as_utc((period.last_day + 1 - interval 12 month)::timestamp, period.timezone) as from_instant,
    limits.minimum_observations
  from settings.periods as period
  join settings.thresholds as limits using (merchant_id)
),

reasons as (
  select
    windows.merchant_id, windows.period, 'unusual_amount' as rule, credit.unit,
    coalesce(credit.reason, '(none)') as concerned, count(*) as observations,
    any_value(windows.minimum_observations) as needed,
    count(*) filter (credit.opened_at >= windows.starts_at) as in_period
  from windows
  join facts.credits as credit
    on credit.merchant_id = windows.merchant_id
    and credit.entry_type = 'created'
    and credit.opened_at >= windows.from_instant
    and credit.opened_at < windows.cutoff
  group by all
),

days as (
  select windows.merchant_id, windows.period, windows.minimum_observations, windows.last_day, total.unit,
    total.creator, total.day
  from windows
  join facts.daily_totals as total
    on total.merchant_id = windows.merchant_id
    and total.movement_type = 'created'
    and total.creator is not null
    and total.day >= (windows.last_day + 1)::date - interval 12 month
    and total.day <= windows.last_day
    and total.day < windows.cutoff_day
  union all
  select windows.merchant_id, windows.period, windows.minimum_observations, windows.last_day, credit.unit,
    credit.creator, windows.cutoff_day
  from windows
  join facts.credits as credit
    on credit.merchant_id = windows.merchant_id
    and credit.entry_type = 'created'
    and credit.creator is not null
    and credit.opened_at >= windows.cutoff_day_starts_at
    and credit.opened_at < windows.cutoff
  where windows.cutoff_day <= windows.last_day
),

creators as (
  select
    merchant_id, period, 'unusual_creator_volume' as rule, unit, 'all creators' as concerned,
    count(distinct (person(creator), months_back(day, last_day))) as observations,
    any_value(minimum_observations) as needed,
    1 as in_period
  from days
  group by merchant_id, period, unit
)

select merchant_id, period, rule, unit, concerned, observations, needed
from (from reasons union all by name from creators)
where observations < needed and in_period > 0
