-- What must tie in each period, with both sides: one row per check and unit.
--
-- One side is what the ledger's flows add up to; the other comes from elsewhere: the sheets' own rows, the credits'
-- own states, every movement since the ledger began, the other tables of the summary.
with totals as (
  unpivot (
    select
      merchant_id,
      period,
      unit,
      decimals,
      total_credit_created as created,
      total_credit_redeemed as redeemed,
      total_credit_redemption_refunded as refunded,
      total_credit_expired as expired,
      total_credit_extant as extant,
      total_credit_adjusted as adjusted,
      opening_balance,
      closing_balance
    from reports.summary_statistics
  )
  on created, redeemed, refunded, expired, extant, adjusted, opening_balance, closing_balance
  into name measure value amount
),

measures(measure, place, side, sheet) as (
  values
    ('created', 1, 'Total Credit Created', 'Credits Created'),
    ('redeemed', 2, 'Total Credit Redeemed', 'Credit Redemptions'),
    ('refunded', 3, 'Total Credit Redemption Refunded', 'Credit Redemption Refunds'),
    ('expired', 4, 'Total Credit Expired', 'Credit Expirations'),
    ('extant', 5, 'Total Credit Extant', 'Extant Credits'),
    ('adjusted', 6, 'Total Credit Adjusted', 'Credit Adjustments'),
    ('opening_balance', 0, 'Opening balance', null),
    ('closing_balance', 7, 'Closing balance', null)
),

sheets as (
  select merchant_id, period, unit, 'Credits Created' as sheet, sum(amount) as amount
  from reports.credits_created group by all
  union all
  select merchant_id, period, unit, 'Credit Redemptions', sum(amount) from reports.credit_redemptions group by all
  union all
  select merchant_id, period, unit, 'Credit Redemption Refunds', sum(amount)
  from reports.credit_redemption_refunds group by all
  union all
  select merchant_id, period, unit, 'Credit Expirations', sum(amount) from reports.credit_expirations group by all
  union all
  select merchant_id, period, unit, 'Extant Credits', sum(amount_remaining) from reports.extant_credits group by all
  union all
  select merchant_id, period, unit, 'Credit Adjustments', sum(amount) from reports.credit_adjustments group by all
),

-- Not by day, as the flows have it: by the instant.
before as (
  select period.merchant_id, period.period, movement.unit, sum(movement.signed_amount) as amount
  from settings.periods as period
  join facts.movements as movement
    on movement.merchant_id = period.merchant_id and movement.occurred_at < period.starts_at
  group by all
),

schedules as (
  select merchant_id, period, unit, 'Ageing' as schedule, sum(amount) as amount from reports.ageing group by all
  union all
  select merchant_id, period, unit, 'Expiry schedule', sum(amount) from reports.expiry_schedule group by all
),

trend as (
  select merchant_id, period, unit, max_by(closing_balance, month) as amount from reports.trend group by all
),

extant as (
  select merchant_id, period, balance_type, sum(amount_remaining) as amount
  from reports.extant_credits
  group by all
),

dimensions(dimension, place) as (
  values ('reason', 1), ('credit_type', 2), ('balance_type', 3), ('creator', 4)
),

-- What reduces a balance has a minus there, and none among the totals.
breakdowns as (
  unpivot (
    select
      merchant_id,
      period,
      unit,
      dimension,
      sum(created) as created,
      -sum(redeemed) as redeemed,
      sum(refunded) as refunded,
      -sum(expired) as expired,
      sum(adjusted) as adjusted,
      sum(opening_balance) as opening_balance,
      sum(closing_balance) as closing_balance
    from reports.breakdowns
    group by all
  )
  on created, redeemed, refunded, expired, adjusted, opening_balance, closing_balance
  into name measure value amount
),

ties as (
  select
    totals.merchant_id, totals.period, totals.unit, decimals, place as position, side, totals.amount,
    'Rows of ' || sheet as other_side, sheets.amount as other_amount
  from totals
  join measures using (measure)
  left join sheets using (merchant_id, period, unit, sheet)
  where sheet is not null
  union all
  select
    totals.merchant_id, totals.period, totals.unit, decimals, 7, side, totals.amount,
    'Every movement before the period', before.amount
  from totals
  join measures using (measure)
  left join before using (merchant_id, period, unit)
  where measure = 'opening_balance'
  union all
  select
    merchant_id, period, unit, decimals, 8, 'Opening balance + Total Change including adjustments',
    opening_balance + total_change_including_adjustments, 'Closing balance', closing_balance
  from reports.summary_statistics
  union all
  select
    merchant_id, period, unit, decimals, 9, 'Closing balance + movements after the period',
    closing_balance + movements_after_period, 'Total Credit Extant - overdrawn', total_credit_extant - overdrawn
  from reports.summary_statistics
  union all
  -- Also in each balance type: two of them could be wrong by the same amount, one up and one down.
  select
    roll.merchant_id, roll.period, roll.unit, roll.decimals,
    9 + row_number() over (partition by roll.merchant_id, roll.period, roll.unit order by roll.balance_type),
    'Closing balance + movements after the period + overdrawn, ' || roll.balance_type,
    roll.closing_balance + roll.after_period + roll.overdrawn,
    'Extant Credits of ' || roll.balance_type, extant.amount
  from reports.roll_forward as roll
  left join extant using (merchant_id, period, balance_type)
  union all
  select
    totals.merchant_id, totals.period, totals.unit, decimals, 1000, side, totals.amount,
    'Closing balance of the last of twelve months', trend.amount
  from totals
  join measures using (measure)
  left join trend using (merchant_id, period, unit)
  where measure = 'closing_balance'
  union all
  select
    totals.merchant_id, totals.period, totals.unit, decimals, if(schedule = 'Ageing', 1001, 1002), side, totals.amount,
    schedule, schedules.amount
  from totals
  join measures using (measure)
  left join schedules using (merchant_id, period, unit)
  where measure = 'extant'
  union all
  select
    totals.merchant_id, totals.period, totals.unit, decimals, 1100 + 10 * dimensions.place + measures.place, side,
    totals.amount, 'By ' || replace(dimension, '_', ' '), breakdowns.amount
  from totals
  join measures using (measure)
  cross join dimensions
  left join breakdowns using (merchant_id, period, unit, measure, dimension)
  where measure <> 'extant'
)

select
  merchant_id,
  period,
  position,
  unit,
  side,
  amount::decimal(38, 4) as amount,
  other_side,
  coalesce(other_amount, 0)::decimal(38, 4) as other_amount,
  (amount - coalesce(other_amount, 0))::decimal(38, 4) as difference,
  amount = coalesce(other_amount, 0) as ties,
  decimals
from ties
