-- Credits that were created without a reason: one row per credit.
--
-- severity: warning
-- version: 1
-- means: Nobody said why the credit was issued, so no report can say what it was spent on.
-- do: Ask whoever created it; and see that the source asks for a reason.
select
  period.merchant_id,
  period.period,
  credit.member_id,
  credit.credit_id,
  credit.batch_id,
  [credit.entry_id] as entry_ids,
  credit.unit,
  credit.amount::decimal(38, 4) as amount_at_risk,
  'Credit ' || credit.credit_id || ' of ' || shown_with_unit(credit.amount, credit.decimals, credit.unit)
  || coalesce(', by ' || credit.creator || ',', '') || ' has no reason.' as explanation
from settings.periods as period
join facts.credits as credit
  on credit.merchant_id = period.merchant_id
  and credit.entry_type = 'created'
  and credit.opened_at >= period.starts_at
  and credit.opened_at < period.cutoff
where coalesce(trim(credit.reason), '') = ''
