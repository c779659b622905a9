-- Periods in which service recovery cost more than its budget: one row per period.
--
-- severity: warning
-- version: 1
-- thresholds: recovery_budget = 5000
-- means: Credits of type Service Recovery that were created in the period, in the merchant's currency, come to more than
--   recovery_budget.
-- do: Look at Credits Batches and at the reasons: what went wrong so often?
with recovery as (
  select
    period.merchant_id,
    period.period,
    credit.unit,
    list(credit.entry_id) as entry_ids,
    count(*) as credits,
    sum(credit.amount) as amount,
    any_value(credit.decimals) as decimals,
    any_value(limits.recovery_budget) as budget
  from settings.periods as period
  join settings.merchants as merchant on merchant.merchant_id = period.merchant_id
  join settings.thresholds as limits on limits.merchant_id = period.merchant_id
  join facts.credits as credit
    on credit.merchant_id = period.merchant_id
    and credit.entry_type = 'created'
    and credit.unit = merchant.currency
    and credit.opened_at >= period.starts_at
    and credit.opened_at < period.cutoff
    and lower(trim(credit.credit_type)) = 'service recovery'
  group by period.merchant_id, period.period, credit.unit
)

select
  merchant_id,
  period,
  entry_ids,
  unit,
  (amount - budget)::decimal(38, 4) as amount_at_risk,
  shown(amount, decimals) as observed,
  shown(budget, decimals) as threshold,
  'Service recovery came to ' || shown_with_unit(amount, decimals, unit) || ' in '
  || counted(credits, 'credit', 'credits') || '; the budget is ' || shown_with_unit(budget, decimals, unit) || '.'
    as explanation
from recovery
where amount > budget
