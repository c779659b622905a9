-- Reversals of credit of which some had been used: one row per batch, or per credit that is in none.
--
-- severity: warning
-- version: 1
-- means: Credit was taken back from members who had already spent a part of it. What they spent stays spent, so some of the
--   recipients kept more than others.
-- do: Tell the members concerned; consider an adjustment for those who had not used theirs.
with reversed as materialized (
  select distinct merchant_id, credit_id from facts.movements where movement_type = 'reversed'
),

-- Net of what had been given back, at each movement of these credits.
used as (
  select
    movement.*,
    sum(
      case movement_type when 'redeemed' then movement.amount when 'refunded' then -movement.amount else 0 end
    ) over (partition by merchant_id, credit_id order by sequence, part) as used
  from facts.movements as movement
  semi join reversed using (merchant_id, credit_id)
),

-- A credit may be taken back in parts; what had been used by the last of them is what had been used.
taken as (
  select
    period.merchant_id,
    period.period,
    used.credit_id,
    list(used.entry_id) as entry_ids,
    sum(used.amount) as amount,
    arg_max(used.used, (used.sequence, used.part)) as used
  from settings.periods as period
  join used
    on used.merchant_id = period.merchant_id
    and used.occurred_at >= period.starts_at
    and used.occurred_at < period.cutoff
  where used.movement_type = 'reversed' and used.used > 0
  group by period.merchant_id, period.period, used.credit_id
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
  || counted(count(distinct credit.member_id), 'member', 'members') || ' had used '
  || shown_with_unit(sum(taken.used), any_value(credit.decimals), credit.unit) || ' of it.' as explanation
from taken
join facts.credits as credit
  on credit.merchant_id = taken.merchant_id and credit.credit_id = taken.credit_id
group by
  taken.merchant_id, taken.period, credit.batch_id, credit.unit, if(credit.batch_id is null, credit.credit_id, null)
