-- The last 24 months until $now, without gaps: one row per unit and month.
--
-- Whole local days come from the daily totals; of today, whose first instant is $today_starts_at, what moved until now.
with months as (
  select kind.unit, kind.decimals, (date_trunc('month', $today::date) - to_months(back))::date as month
  from (select distinct unit, decimals from settings.balance_types) as kind
  cross join unnest(range(24)) as months(back)
),

days as (
  select unit, day, movement_type, overdrawn, amount
  from facts.daily_totals
  where day < $today::date
  union all
  select unit, $today::date, movement_type, credit_id is null, signed_amount
  from facts.movements
  where occurred_at >= $today_starts_at and occurred_at <= $now
),

moved as (
  select unit, date_trunc('month', day)::date as month, movement_type, overdrawn, sum(amount) as amount
  from days
  group by all
)

select
  months.unit,
  months.decimals,
  months.month,
  coalesce(sum(amount) filter (movement_type = 'created' and moved.month = months.month), 0)::decimal(38, 4) as created,
  coalesce(-sum(amount) filter (movement_type = 'redeemed' and moved.month = months.month), 0)::decimal(38, 4)
    as redeemed,
  coalesce(sum(amount) filter (movement_type = 'refunded' and moved.month = months.month), 0)::decimal(38, 4)
    as refunded,
  coalesce(-sum(amount) filter (movement_type = 'expired' and moved.month = months.month), 0)::decimal(38, 4) as expired,
  coalesce(
    sum(amount) filter (
      movement_type not in ('created', 'redeemed', 'refunded', 'expired') and moved.month = months.month
    ),
    0
  )::decimal(38, 4) as adjusted,
  coalesce(sum(amount) filter (not overdrawn), 0)::decimal(38, 4) as extant,
  coalesce(-sum(amount) filter (overdrawn), 0)::decimal(38, 4) as overdrawn
from months
left join moved on moved.unit = months.unit and moved.month <= months.month
group by all
order by months.unit, months.month
