-- Creators who issued far more in a month than is usual: one row per creator, unit and month.
--
-- severity: warning
-- version: 1
-- thresholds: robust_z = 3.5, minimum_observations = 20
-- means: Beside all months of all creators in the twelve months to the period's end, a person's month came to unusually
--   much, by the same robust z-score as in unusual_amount. Months are counted back from the period's last day. With fewer
--   months of creators than the minimum the rule says nothing.
-- do: Look whether there was a campaign, or a bad week, that explains it.
with days as (
  select
    period.merchant_id, period.period, period.first_day, period.last_day, total.unit, total.day,
    person(total.creator) as creator_key, total.creator, total.amount, total.movements
  from settings.periods as period
  join facts.daily_totals as total
    on total.merchant_id = period.merchant_id
    and total.movement_type = 'created'
    and total.creator is not null
    and total.day >= (period.last_day + 1)::date - interval 12 month
    and total.day <= period.last_day
    and total.day < period.cutoff_day
  union all
  -- Of the day that the cutoff falls in, only what was created before it.
  select
    period.merchant_id, period.period, period.first_day, period.last_day, credit.unit, period.cutoff_day,
    person(credit.creator), credit.creator, credit.amount, 1
  from settings.periods as period
  join facts.credits as credit
    on credit.merchant_id = period.merchant_id
    and credit.entry_type = 'created'
    and credit.creator is not null
    and credit.opened_at >= period.cutoff_day_starts_at
    and credit.opened_at < period.cutoff
  where period.cutoff_day <= period.last_day
),

months as materialized (
  select
    merchant_id, period, unit, creator_key,
    months_back(day, last_day) as months_back,
    min(creator) as creator,
    sum(amount) as amount,
    sum(movements) as credits,
    max(day) >= any_value(first_day) as in_period
  from days
  group by all
),

centred as (
  select *, median(amount::double) over everyone as median, count(*) over everyone as observations
  from months
  window everyone as (partition by merchant_id, period, unit)
),

spread as (
  select
    *,
    median(abs(amount::double - median)) over everyone as mad,
    avg(abs(amount::double - median)) over everyone as mean_deviation,
    case
      when mad > 0 then 0.6745 * (amount::double - median) / mad
      when mean_deviation > 0 then (amount::double - median) / (1.253314 * mean_deviation)
    end as z
  from centred
  window everyone as (partition by merchant_id, period, unit)
),

flagged as (
  select spread.*, limits.robust_z
  from spread
  join settings.thresholds as limits using (merchant_id)
  where in_period and observations >= limits.minimum_observations and z > limits.robust_z
)

select
  flagged.merchant_id,
  flagged.period,
  list(credit.entry_id) as entry_ids,
  flagged.unit,
  flagged.amount::decimal(38, 4) as amount_at_risk,
  'z ' || any_value(flagged.z)::decimal(18, 1) as observed,
  'z ' || rtrim(rtrim(any_value(flagged.robust_z)::decimal(18, 4)::varchar, '0'), '.') as threshold,
  any_value(flagged.creator) || ' issued '
  || shown_with_unit(flagged.amount, any_value(credit.decimals), flagged.unit) || ' in '
  || counted(any_value(flagged.credits), 'credit', 'credits') || ' in one month; the median of '
  || counted(any_value(flagged.observations), 'month', 'months') || ' of creators is '
  || shown_with_unit(any_value(flagged.median)::decimal(38, 4), any_value(credit.decimals), flagged.unit) || '.'
    as explanation
from flagged
join settings.periods as period using (merchant_id, period)
join facts.credits as credit
  on credit.merchant_id = flagged.merchant_id
  and credit.unit = flagged.unit
  and credit.entry_type = 'created'
  and credit.opened_at >= period.starts_at
  and credit.opened_at < period.cutoff
  and person(credit.creator) = flagged.creator_key
  and months_back(as_local(credit.opened_at, period.timezone)::date, period.last_day) = flagged.months_back
group by
  flagged.merchant_id, flagged.period, flagged.unit, flagged.creator_key, flagged.months_back, flagged.amount
