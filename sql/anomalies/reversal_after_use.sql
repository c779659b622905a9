-- Reversals of credit of which some had been used: one row per batch, or per credit that is in none.
--
-- severity: warning
-- version: 1
-- means: Credit was taken back after some of it had been spent. What members spent stays spent, so some of the recipients
--   kept more than others. Where nothing is left of a batch, those count too who had spent all of theirs before, so that
--   nothing was to be taken from them.
-- do: Tell the members concerned; consider an adjustment for those who had not used theirs.
with reversed as materialized (
  select distinct movement.merchant_id, movement.credit_id, credit.batch_id
  from facts.movements as movement
  join facts.credits as credit
    on credit.merchant_id = movement.merchant_id and credit.credit_id = movement.credit_id
  where movement.movement_type = 'reversed'
),

concerned as (
  select merchant_id, credit_id from reversed
  union
  select merchant_id, credit_id from facts.credits semi join reversed using (merchant_id, batch_id)
),

-- Net of what had been given back, at each movement of these credits.
used as materialized (
  select
    movement.*,
    sum(
      case movement_type when 'redeemed' then movement.amount when 'refunded' then -movement.amount else 0 end
    ) over until_then as used,
    bool_or(movement_type = 'reversed') over until_then as was_reversed
  from facts.movements as movement
  semi join concerned using (merchant_id, credit_id)
  window until_then as (partition by merchant_id, credit_id order by sequence, part)
),

-- A credit may be taken back in parts; what had been used by the last of them is what had been used.
taken as (
  select
    period.merchant_id,
    period.period,
    used.credit_id,
    list(used.entry_id) as entry_ids,
    sum(used.amount) as amount,
    arg_max(used.used, (used.sequence, used.part)) as used,
    max(used.occurred_at) as last_at
  from settings.periods as period
  join used
    on used.merchant_id = period.merchant_id
    and used.occurred_at >= period.starts_at
    and used.occurred_at < period.cutoff
  where used.movement_type = 'reversed'
  group by period.merchant_id, period.period, used.credit_id
),

batches as (
  select taken.merchant_id, taken.period, credit.batch_id, credit.unit, max(taken.last_at) as last_at
  from taken
  join facts.credits as credit using (merchant_id, credit_id)
  where credit.batch_id is not null
  group by all
),

used_up as (
  select batches.merchant_id, batches.period, used.credit_id, 0 as amount, used.used
  from batches
  join facts.credits as credit using (merchant_id, batch_id, unit)
  join used
    on used.merchant_id = batches.merchant_id
    and used.credit_id = credit.credit_id
    and used.occurred_at <= batches.last_at
    and (used.valid_until is null or used.valid_until > batches.last_at)
  qualify not used.was_reversed
    and sum(used.remaining) over (
      partition by batches.merchant_id, batches.period, batches.batch_id, batches.unit
    ) = 0
)

select
  taken.merchant_id,
  taken.period,
  if(credit.batch_id is null, any_value(credit.member_id), null) as member_id,
  if(credit.batch_id is null, any_value(credit.credit_id), null) as credit_id,
  credit.batch_id,
  flatten(list(taken.entry_ids)) as entry_ids,
  credit.unit,
  sum(taken.used)::decimal(38, 4) as amount_at_risk,
  shown(sum(taken.used), any_value(credit.decimals)) as observed,
  shown_with_unit(sum(taken.amount), any_value(credit.decimals), credit.unit) || ' was taken back from '
  || coalesce('batch ' || credit.batch_id, 'credit ' || any_value(credit.credit_id)) || ' after '
  || counted(count(distinct credit.member_id) filter (taken.used > 0), 'member', 'members') || ' had used '
  || shown_with_unit(sum(taken.used), any_value(credit.decimals), credit.unit) || ' of it.' as explanation
from (from taken union all by name from used_up) as taken
join facts.credits as credit
  on credit.merchant_id = taken.merchant_id and credit.credit_id = taken.credit_id
group by
  taken.merchant_id, taken.period, credit.batch_id, credit.unit, if(credit.batch_id is null, credit.credit_id, null)
having sum(taken.used) > 0
