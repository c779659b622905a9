-- Creators who give one member far more than their others: one row per creator, member, unit and period.
--
-- severity: warning
-- version: 1
-- thresholds: pairing_credits = 5, pairing_percent = 25, pairing_times_median = 3
-- means: Of all that a person credited in the period, one member got at least so many percent, in at least so many credits,
--   and so many times the median share of that person's other members.
-- do: Ask what the credits were for. One difficult order may well take five.
with shares as materialized (
  select
    period.merchant_id,
    period.period,
    person(credit.creator) as creator_key,
    credit.unit,
    credit.member_id,
    min(credit.creator) as creator,
    any_value(credit.decimals) as decimals,
    count(*) as credits,
    sum(credit.amount) as amount,
    sum(sum(credit.amount)) over (
      partition by period.merchant_id, period.period, person(credit.creator), credit.unit
    ) as total
  from settings.periods as period
  join facts.credits as credit
    on credit.merchant_id = period.merchant_id
    and credit.entry_type = 'created'
    and credit.opened_at >= period.starts_at
    and credit.opened_at < period.cutoff
  where credit.creator is not null
  group by period.merchant_id, period.period, person(credit.creator), credit.unit, credit.member_id
),

-- At most a few for each creator, since each has at least a quarter of all.
favoured as (
  select shares.*, limits.pairing_percent, limits.pairing_times_median
  from shares
  join settings.thresholds as limits using (merchant_id)
  where shares.credits >= limits.pairing_credits and 100 * shares.amount >= limits.pairing_percent * shares.total
),

compared as (
  select
    favoured.merchant_id,
    favoured.period,
    favoured.creator_key,
    favoured.unit,
    favoured.member_id,
    -- Of all that the same person gave, the shares compare as the amounts do: in ten thousandths, which a double holds.
    median((10000 * shares.amount)::double) as median_amount
  from favoured
  left join shares
    on shares.merchant_id = favoured.merchant_id
    and shares.period = favoured.period
    and shares.creator_key = favoured.creator_key
    and shares.unit = favoured.unit
    and shares.member_id <> favoured.member_id
  group by all
),

flagged as (
  select favoured.*, compared.median_amount / 10000 / favoured.total::double as median_share
  from favoured
  join compared using (merchant_id, period, creator_key, unit, member_id)
  where (10000 * favoured.amount)::double >= favoured.pairing_times_median * coalesce(compared.median_amount, 0)
)

select
  flagged.merchant_id,
  flagged.period,
  flagged.member_id,
  list(credit.entry_id) as entry_ids,
  flagged.unit,
  any_value(flagged.amount)::decimal(38, 4) as amount_at_risk,
  percent(any_value(flagged.amount), any_value(flagged.total)) as observed,
  percent(any_value(flagged.pairing_percent), 100) as threshold,
  any_value(flagged.creator) || ' gave member ' || flagged.member_id || ' '
  || shown_with_unit(any_value(flagged.amount), any_value(flagged.decimals), flagged.unit) || ' in '
  || counted(any_value(flagged.credits), 'credit', 'credits') || ', '
  || percent(any_value(flagged.amount), any_value(flagged.total)) || ' of '
  || shown_with_unit(any_value(flagged.total), any_value(flagged.decimals), flagged.unit) || '; '
  || coalesce(
    'the median of the other members is ' || percent(any_value(flagged.median_share), 1), 'no other member got any'
  ) || '.' as explanation
from flagged
join settings.periods as period using (merchant_id, period)
join facts.credits as credit
  on credit.merchant_id = flagged.merchant_id
  and credit.member_id = flagged.member_id
  and credit.unit = flagged.unit
  and credit.entry_type = 'created'
  and credit.opened_at >= period.starts_at
  and credit.opened_at < period.cutoff
  and person(credit.creator) = flagged.creator_key
group by flagged.merchant_id, flagged.period, flagged.creator_key, flagged.unit, flagged.member_id
