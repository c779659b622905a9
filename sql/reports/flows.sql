-- What moved before, within and after each period, by origin of the credit: one row per flow and origin.
--
-- Before the period: whole local days, from the daily totals, so that no period needs all of history again. After
-- it, up to as_of, where as_of is later than its end. Every total of the summary is a sum of these rows; the sheets'
-- totals come from the sheets' own rows, and reports.checks holds the two against each other.
with before as (
  select
    period.merchant_id, period.period, 'before' as flow, total.balance_type, total.unit, total.movement_type,
    total.overdrawn, total.reason, total.credit_type, total.creator, total.amount
  from settings.periods as period
  join facts.daily_totals as total on total.merchant_id = period.merchant_id and total.day < period.first_day
),

movements as materialized (
  select
    period.merchant_id, period.period, if(movement.occurred_at < period.ends_at, 'within', 'after') as flow,
    movement.balance_type, movement.unit, movement.movement_type, movement.credit_id, movement.signed_amount
  from settings.periods as period
  join facts.movements as movement
    on movement.merchant_id = period.merchant_id
    and movement.occurred_at >= period.starts_at
    and movement.occurred_at < period.as_of
  where movement.movement_type <> 'expiry_changed'
),

-- Asked for by their ids alone, of a query with a condition: DuckDB then reads only the credits that may have them.
credits as (
  from facts.credits where credit_id in (select credit_id from movements where credit_id is not null)
),

moved as (
  select
    movement.merchant_id, movement.period, movement.flow, movement.balance_type, movement.unit, movement.movement_type,
    movement.credit_id is null as overdrawn, credit.reason, credit.credit_type, credit.creator,
    movement.signed_amount as amount
  from movements as movement
  left join credits as credit
    on credit.merchant_id = movement.merchant_id and credit.credit_id = movement.credit_id
)

select
  merchant_id,
  period,
  flow,
  balance_type,
  unit,
  movement_type,
  overdrawn,
  reason,
  credit_type,
  creator,
  sum(amount)::decimal(38, 4) as amount
from (from before union all by name from moved)
group by all
