-- Batches with the recipients, amounts and reason of another of the days before: one row per batch.
--
-- severity: error
-- version: 1
-- thresholds: duplicate_batch_days = 7
-- means: A batch gives the same amounts to the same members for the same reason as another that was issued not more than
--   so many days before. Most often somebody pressed the button twice. What a batch is given after as_of is not looked at;
--   one that issues credits in a month after its own is looked at in that month too.
-- do: If so, reverse the later one before its credits are used.
with dates as (
  select
    credit.merchant_id,
    credit.batch_id,
    coalesce(any_value(said.issued_at), min(credit.issued_at)) as issued_at,
    any_value(said.reason) as said_reason
  from facts.credits as credit
  left join ledger.batches as said using (merchant_id, batch_id)
  where credit.batch_id is not null and credit.entry_type in ('created', 'opening')
  group by all
),

credited as (
  select distinct merchant_id, period, batch_id from audits.credits_batches where credited_in_period
),

-- Those of the period, and of the days before them. Of the period is also one of before that credits in it: until its
-- credits came it was like none.
near as (
  select
    period.merchant_id, period.period, period.timezone, period.as_of, limits.duplicate_batch_days,
    dates.batch_id, dates.issued_at, dates.said_reason,
    dates.issued_at >= period.starts_at or credited.batch_id is not null as is_of_period
  from settings.periods as period
  join settings.thresholds as limits on limits.merchant_id = period.merchant_id
  join dates on dates.merchant_id = period.merchant_id and dates.issued_at < period.cutoff
  left join credited
    on credited.merchant_id = period.merchant_id
    and credited.period = period.period
    and credited.batch_id = dates.batch_id
  qualify dates.issued_at >= min(dates.issued_at) filter (is_of_period) over (
    partition by period.merchant_id, period.period
  ) - to_days(limits.duplicate_batch_days::integer)
),

dated as (
  -- A sum of hashes is the same for the same members and amounts, in whatever order.
  select
    near.* exclude (said_reason),
    credit.unit,
    coalesce(
      any_value(near.said_reason), if(min(credit.reason) = max(credit.reason), min(credit.reason), null), ''
    ) as reason,
    -- Where they differ from credit to credit, each of the other's is to be the same.
    if(
      any_value(near.said_reason) is null and min(credit.reason) <> max(credit.reason),
      sum(hash(credit.member_id, credit.amount, credit.reason)::hugeint),
      null
    ) as reasons,
    sum(hash(credit.member_id, credit.amount)::hugeint) as content,
    count(*) as credits,
    count(distinct credit.member_id) as recipients,
    sum(credit.amount) as total,
    any_value(credit.decimals) as decimals
  from near
  join facts.credits as credit
    on credit.merchant_id = near.merchant_id and credit.batch_id = near.batch_id and credit.opened_at < near.as_of
  where credit.entry_type in ('created', 'opening')
  group by all
),

pairs as (
  select
    *,
    lag(batch_id) over same_batch as other_batch_id,
    lag(issued_at) over same_batch as other_issued_at,
    lag(is_of_period) over same_batch as other_is_of_period
  from dated
  window same_batch as (
    partition by merchant_id, period, unit, content, credits, total, reason, reasons
    order by issued_at, batch_id
  )
)

select
  merchant_id,
  period,
  -- First the one that the period's sheets have.
  if(is_of_period, batch_id || '; ' || other_batch_id, other_batch_id || '; ' || batch_id) as batch_id,
  unit,
  total::decimal(38, 4) as amount_at_risk,
  date_diff('day', as_local(other_issued_at, timezone), as_local(issued_at, timezone))::varchar as observed,
  duplicate_batch_days::varchar as threshold,
  'Batch ' || pairs.batch_id || ' gives the same ' || shown_with_unit(total, decimals, unit)
  || ' to the same ' || counted(recipients, 'member', 'members') || ' as batch ' || other_batch_id || ' of '
  || as_local(other_issued_at, timezone)::date
  || if(reason = '', '', ', for the same reason, ' || said(reason)) || '.' as explanation
from pairs
where (is_of_period or other_is_of_period)
  and issued_at <= other_issued_at + to_days(duplicate_batch_days::integer)
