-- Credits far above what is usual for their reason: one row per credit, or per batch and amount.
--
-- severity: warning
-- version: 1
-- thresholds: robust_z = 3.5, minimum_observations = 20
-- means: Beside all credits of the twelve months to the period's end with the same reason and unit, the amount is unusually
--   high: its robust z-score, 0.6745 x (amount - median) / MAD, is above the threshold. Where more than half of them are
--   equal (MAD = 0), the mean absolute deviation stands in, as (amount - median) / (1.253314 x mean). Equal amounts are
--   never unusual, and with fewer observations the rule says nothing.
-- do: Look at what the credit was for. A large complaint is a good explanation, and should be in the details.
with windows as (
  select
    period.merchant_id,
    period.period,
    period.starts_at,
    period.cutoff,
    as_utc((period.last_day + 1 - interval 12 month)::timestamp, period.timezone) as from_instant,
    limits.robust_z,
    limits.minimum_observations
  from settings.periods as period
  join settings.thresholds as limits using (merchant_id)
),

-- Amounts repeat, so each is kept once with how often it occurs.
amounts as materialized (
  select
    windows.merchant_id, windows.period, credit.unit, coalesce(credit.reason, '(none)') as reason,
    credit.amount, count(*) as times
  from windows
  join facts.credits as credit
    on credit.merchant_id = windows.merchant_id
    and credit.entry_type = 'created'
    and credit.opened_at >= windows.from_instant
    and credit.opened_at < windows.cutoff
  group by all
),

ranked as (
  select
    *,
    sum(times) over ordered as up_to,
    sum(times) over (partition by merchant_id, period, unit, reason) as observations
  from amounts
  window ordered as (partition by merchant_id, period, unit, reason order by amount)
),

-- The mean of the two in the middle, which are one where there is an odd number.
medians as (
  select
    merchant_id, period, unit, reason, any_value(observations) as observations,
    (
      min(amount::double) filter (2 * up_to >= observations)
      + min(amount::double) filter (2 * up_to >= observations + 1)
    ) / 2 as median
  from ranked
  group by merchant_id, period, unit, reason
),

deviations as (
  select *, sum(times) over (partition by merchant_id, period, unit, reason order by deviation) as up_to
  from (
    select
      merchant_id, period, unit, reason, observations, median,
      abs(amount::double - median) as deviation, sum(times) as times
    from amounts
    join medians using (merchant_id, period, unit, reason)
    group by all
  )
),

spread as (
  select
    merchant_id, period, unit, reason, any_value(observations) as observations, any_value(median) as median,
    (min(deviation) filter (2 * up_to >= observations) + min(deviation) filter (2 * up_to >= observations + 1)) / 2
      as mad,
    sum(deviation * times) / sum(times) as mean_deviation
  from deviations
  group by merchant_id, period, unit, reason
),

unusual as (
  select
    windows.merchant_id, windows.period, windows.starts_at, windows.cutoff, windows.robust_z,
    amounts.unit, amounts.reason, amounts.amount, spread.observations, spread.median,
    case
      when mad > 0 then 0.6745 * (amounts.amount::double - median) / mad
      when mean_deviation > 0 then (amounts.amount::double - median) / (1.253314 * mean_deviation)
    end as z
  from amounts
  join spread using (merchant_id, period, unit, reason)
  join windows using (merchant_id, period)
  where spread.observations >= windows.minimum_observations and z > windows.robust_z
)

select
  unusual.merchant_id,
  unusual.period,
  if(credit.batch_id is null, any_value(credit.member_id), null) as member_id,
  if(credit.batch_id is null, any_value(credit.credit_id), null) as credit_id,
  credit.batch_id,
  list(credit.entry_id) as entry_ids,
  unusual.unit,
  sum(credit.amount)::decimal(38, 4) as amount_at_risk,
  'z ' || any_value(z)::decimal(18, 1) as observed,
  'z ' || rtrim(rtrim(any_value(robust_z)::decimal(18, 4)::varchar, '0'), '.') as threshold,
  if(credit.batch_id is null, 'Credit ' || any_value(credit.credit_id), counted(count(*), 'credit', 'credits')
    || ' of batch ' || credit.batch_id) || ' for ' || said(unusual.reason)
  || if(count(*) = 1, ' is of ', ' are of ') || shown_with_unit(unusual.amount, any_value(credit.decimals), unusual.unit)
  || '; the median of ' || format('{:,}', any_value(observations)::bigint) || ' in twelve months is '
  || shown_with_unit(any_value(median)::decimal(18, 4), any_value(credit.decimals), unusual.unit) || '.' as explanation
from unusual
join facts.credits as credit
  on credit.merchant_id = unusual.merchant_id
  and credit.unit = unusual.unit
  and coalesce(credit.reason, '(none)') = unusual.reason
  and credit.amount = unusual.amount
  and credit.entry_type = 'created'
  and credit.opened_at >= unusual.starts_at
  and credit.opened_at < unusual.cutoff
group by
  unusual.merchant_id, unusual.period, unusual.unit, unusual.reason, unusual.amount, credit.batch_id,
  if(credit.batch_id is null, credit.credit_id, null)
