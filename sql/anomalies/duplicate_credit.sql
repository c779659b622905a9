-- Credits of the amount and reason of another that the member got within a day: one row per credit.
--
-- severity: warning
-- version: 1
-- thresholds: duplicate_credit_hours = 24
-- means: A member got the same amount for the same reason twice within so many hours, and not in one batch.
-- do: Look whether two people saw to the same complaint; if so, deduct the later credit.
with spans as (
  select
    merchant_id,
    min(starts_at) - to_hours(max(duplicate_credit_hours)::integer) as since,
    max(cutoff) as until
  from settings.periods
  join settings.thresholds using (merchant_id)
  group by merchant_id
),

ordered as (
  select
    credit.*,
    lag(struct_pack(entry_id := entry_id, opened_at := opened_at, batch_id := batch_id, creator := creator))
      over alike as before
  from facts.credits as credit
  join spans as span
    on span.merchant_id = credit.merchant_id and credit.opened_at >= span.since and credit.opened_at < span.until
  where entry_type = 'created'
  window alike as (
    partition by credit.merchant_id, member_id, unit, amount, reason order by opened_at, credit_id
  )
),

-- Several of one batch, one after the other, have the one before them all.
pairs as (
  select
    *,
    last_value(if(batch_id is null or batch_id is distinct from before.batch_id, before, null) ignore nulls) over (
      partition by merchant_id, member_id, unit, amount, reason order by opened_at, credit_id
      rows between unbounded preceding and current row
    ) as other
  from ordered
)

select
  period.merchant_id,
  period.period,
  pairs.member_id,
  pairs.credit_id,
  pairs.batch_id,
  [pairs.entry_id, pairs.other.entry_id] as entry_ids,
  pairs.unit,
  pairs.amount::decimal(38, 4) as amount_at_risk,
  'Member ' || pairs.member_id || ' was credited ' || shown_with_unit(pairs.amount, pairs.decimals, pairs.unit)
  || coalesce(' for ' || said(pairs.reason), '') || ' on ' || strftime(as_local(opened_at, period.timezone), '%Y-%m-%d %H:%M')
  || coalesce(' by ' || creator, '') || ', and the same on '
  || strftime(as_local(other.opened_at, period.timezone), '%Y-%m-%d %H:%M') || coalesce(' by ' || other.creator, '') || '.'
    as explanation
from settings.periods as period
join settings.thresholds as limits using (merchant_id)
join pairs
  on pairs.merchant_id = period.merchant_id
  and pairs.opened_at >= period.starts_at
  and pairs.opened_at < period.cutoff
  and pairs.opened_at <= pairs.other.opened_at + to_hours(limits.duplicate_credit_hours::integer)
