-- What must tie of batches and flags in each period, with both sides: one row per check and unit.
with expense as (
  select merchant_id, period, unit, sum(amount) as amount, any_value(decimals) as decimals
  from audits.batch_summary
  where section = 'expense' and credit_type is not null
  group by all
),

batches as (
  select
    merchant_id,
    period,
    unit,
    any_value(decimals) as decimals,
    sum(total_amount - redeemed + refunded - expired - deducted - transferred - reversed) as amount
  from audits.credits_batches
  group by all
),

recipients as (
  select merchant_id, period, unit, sum(remaining) as amount from audits.batch_recipients group by all
),

flags as (
  select merchant_id, period, count(*) as amount from audits.anomaly_flags group by all
),

ties as (
  select
    total.merchant_id, total.period, total.unit, total.decimals, 2001 as position,
    'Monthly credit expense, by credit type' as side, coalesce(expense.amount, 0) as amount,
    'Total Credit Created' as other_side, total.total_credit_created as other_amount
  from reports.summary_statistics as total
  left join expense using (merchant_id, period, unit)
  union all
  select
    batches.merchant_id, batches.period, batches.unit, batches.decimals, 2002,
    'Batches: issued and refunded - all that was taken', batches.amount,
    'Remaining of Batch Recipients', coalesce(recipients.amount, 0)
  from batches
  left join recipients using (merchant_id, period, unit)
  union all
  select
    period.merchant_id, period.period, 'flags', 0, 2003, 'Anomaly Flags', coalesce(flags.amount, 0),
    'Rows of Anomaly Flags', coalesce(flags.amount, 0)
  from settings.periods as period
  left join flags using (merchant_id, period)
)

select
  merchant_id,
  period,
  position,
  unit,
  side,
  amount::decimal(38, 4) as amount,
  other_side,
  other_amount::decimal(38, 4) as other_amount,
  (amount - other_amount)::decimal(38, 4) as difference,
  amount = other_amount as ties,
  decimals
from ties
semi join settings.periods using (merchant_id, period)
