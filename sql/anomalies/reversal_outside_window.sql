-- Reversals after the window for them: one row per batch, or per credit that is in none.
--
-- severity: error
-- version: 1
-- settings: reversal_window_days
-- means: Credit was taken back more than reversal_window_days after it, or the batch that it is in, was issued; the
--   window's last day still counts. Members count on credit that they have had for so long.
-- do: Find out who allowed it. Individual adjustments, each with its reason, are the way after the window.
with batches as (
  select merchant_id, batch_id, min(issued_at) as issued_at
  from facts.credits
  where batch_id is not null
  group by all
),

reversals as (
  select
    period.merchant_id,
    period.period,
    period.timezone,
    credit.batch_id,
    credit.unit,
    credit.decimals,
    credit.member_id,
    credit.credit_id,
    movement.entry_id,
    movement.amount,
    movement.day,
    -- A batch has one issue date and one window, as Credits Batches tells them and reverse-batch goes by them.
    as_local(coalesce(said.issued_at, batches.issued_at, credit.issued_at), period.timezone)::date as issued_on,
    merchant.reversal_window_days as days
  from settings.periods as period
  join settings.merchants as merchant using (merchant_id)
  join facts.movements as movement
    on movement.merchant_id = period.merchant_id
    and movement.movement_type = 'reversed'
    and movement.occurred_at >= period.starts_at
    and movement.occurred_at < period.cutoff
  join facts.credits as credit
    on credit.merchant_id = movement.merchant_id and credit.credit_id = movement.credit_id
  left join ledger.batches as said
    on said.merchant_id = credit.merchant_id and said.batch_id = credit.batch_id
  left join batches
    on batches.merchant_id = credit.merchant_id and batches.batch_id = credit.batch_id
)

select
  merchant_id,
  period,
  if(batch_id is null, any_value(member_id), null) as member_id,
  if(batch_id is null, any_value(credit_id), null) as credit_id,
  batch_id,
  list(entry_id) as entry_ids,
  unit,
  sum(amount)::decimal(38, 4) as amount_at_risk,
  max(day - issued_on)::varchar as observed,
  any_value(days)::varchar as threshold,
  shown_with_unit(sum(amount), any_value(decimals), unit) || ' was taken back from '
  || coalesce('batch ' || batch_id, 'credit ' || any_value(credit_id)) || ' '
  || counted(max(day - issued_on), 'day', 'days') || ' after it was issued on ' || min(issued_on)
  || '; the window is ' || counted(any_value(days), 'day', 'days') || '.' as explanation
from reversals
where day > issued_on + days::integer
group by merchant_id, period, batch_id, unit, if(batch_id is null, credit_id, null)
