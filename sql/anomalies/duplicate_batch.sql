-- Batches with the recipients, amounts and reason of another of the days before: one row per batch.
--
-- severity: error
-- version: 1
-- thresholds: duplicate_batch_days = 7
-- means: A batch gives the same amounts to the same members for the same reason as another that was issued not more than
--   so many days before. Most often somebody pressed the button twice.
-- do: If so, reverse the later one before its credits are used.
with compared as (
  -- A sum of hashes is the same for the same members and amounts, in whatever order.
  select
    credit.merchant_id,
    credit.batch_id,
    credit.unit,
    min(credit.issued_at) as first_issued_at,
    if(min(credit.reason) = max(credit.reason), min(credit.reason), null) as reason,
    sum(hash(credit.member_id, credit.amount)::hugeint) as content,
    count(*) as credits,
    count(distinct credit.member_id) as recipients,
    sum(credit.amount) as total,
    any_value(credit.decimals) as decimals
  from facts.credits as credit
  where credit.batch_id is not null and credit.entry_type in ('created', 'opening')
  group by all
),

dated as (
  select
    compared.* replace (coalesce(said.reason, compared.reason, '') as reason),
    coalesce(said.issued_at, first_issued_at) as issued_at
  from compared
  left join ledger.batches as said using (merchant_id, batch_id)
),

pairs as (
  select
    *,
    lag(batch_id) over same_batch as other_batch_id,
    lag(issued_at) over same_batch as other_issued_at
  from dated
  window same_batch as (
    partition by merchant_id, unit, content, credits, total, reason order by issued_at, batch_id
  )
)

select
  period.merchant_id,
  period.period,
  pairs.batch_id || '; ' || pairs.other_batch_id as batch_id,
  pairs.unit,
  pairs.total::decimal(38, 4) as amount_at_risk,
  date_diff('day', as_local(other_issued_at, period.timezone), as_local(issued_at, period.timezone))::varchar as observed,
  limits.duplicate_batch_days::varchar as threshold,
  'Batch ' || pairs.batch_id || ' gives the same ' || shown_with_unit(pairs.total, pairs.decimals, pairs.unit)
  || ' to the same ' || counted(recipients, 'member', 'members') || ' as batch ' || other_batch_id || ' of '
  || as_local(other_issued_at, period.timezone)::date
  || if(reason = '', '', ', for the same reason, ' || said(reason)) || '.' as explanation
from settings.periods as period
join settings.thresholds as limits using (merchant_id)
join pairs
  on pairs.merchant_id = period.merchant_id
  and pairs.issued_at >= period.starts_at
  and pairs.issued_at < period.cutoff
  and pairs.issued_at <= pairs.other_issued_at + to_days(limits.duplicate_batch_days::integer)
