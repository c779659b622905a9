-- The twelve months up to the last that each period has reached: one row per unit and month.
--
-- Whole local days come from the daily totals; of the day that the cutoff falls in, only what moved before it counts.
with months as (
  select
    period.merchant_id,
    period.period,
    kind.unit,
    kind.decimals,
    (date_trunc('month', least(period.last_day, period.as_of_day)) - to_months(back))::date as month
  from settings.periods as period
  join (select distinct merchant_id, unit, decimals from settings.balance_types) as kind using (merchant_id)
  cross join unnest(range(12)) as months(back)
),

days as (
  select
    period.merchant_id, period.period, total.unit, total.day, total.movement_type, total.amount
  from settings.periods as period
  join facts.daily_totals as total on total.merchant_id = period.merchant_id and total.day < period.cutoff_day
  union all
  select
    period.merchant_id, period.period, movement.unit, period.cutoff_day, movement.movement_type, movement.signed_amount
  from settings.periods as period
  join facts.movements as movement
    on movement.merchant_id = period.merchant_id
    and movement.occurred_at >= period.cutoff_day_starts_at
    and movement.occurred_at < period.cutoff
),

moved as (
  select merchant_id, period, unit, date_trunc('month', day)::date as month, movement_type, sum(amount) as amount
  from days
  group by all
)

select
  months.merchant_id,
  months.period,
  months.unit,
  months.month,
  coalesce(sum(amount) filter (movement_type = 'created' and moved.month = months.month), 0)::decimal(38, 4) as created,
  coalesce(-sum(amount) filter (movement_type = 'redeemed' and moved.month = months.month), 0)::decimal(38, 4) as redeemed,
  coalesce(-sum(amount) filter (movement_type = 'expired' and moved.month = months.month), 0)::decimal(38, 4) as expired,
  coalesce(sum(amount), 0)::decimal(38, 4) as closing_balance,
  months.decimals
from months
left join moved
  on moved.merchant_id = months.merchant_id
  and moved.period = months.period
  and moved.unit = months.unit
  and moved.month <= months.month
group by all
