-- Credits that people created for themselves: one row per credit.
--
-- severity: error
-- version: 1
-- means: The email of whoever created the credit is the member's own, case and spaces aside.
-- do: Have somebody else confirm the credit, or deduct it; and see that the source does not let anyone credit themselves.
select
  period.merchant_id,
  period.period,
  credit.member_id,
  credit.credit_id,
  credit.batch_id,
  [credit.entry_id] as entry_ids,
  credit.unit,
  credit.amount::decimal(38, 4) as amount_at_risk,
  lower(trim(member.email)) as observed,
  credit.creator || ' created ' || shown_with_unit(credit.amount, credit.decimals, credit.unit)
  || ' for the member with the same email, ' || credit.member_id || '.' as explanation
from settings.periods as period
join facts.credits as credit
  on credit.merchant_id = period.merchant_id
  and credit.entry_type = 'created'
  and credit.opened_at >= period.starts_at
  and credit.opened_at < period.cutoff
join ledger.members as member
  on member.merchant_id = credit.merchant_id
  and member.member_id = credit.member_id
  and folded(member.email) = person(credit.creator)
