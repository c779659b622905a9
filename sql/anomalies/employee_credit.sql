-- Credits of members who work for the merchant: one row per credit, or per batch.
--
-- severity: info
-- version: 1
-- means: The members file says that the member is an employee. That is usual, and worth knowing. Employees among the
--   recipients of a batch are one flag.
-- do: Nothing, where the merchant's policy allows it.
select
  period.merchant_id,
  period.period,
  if(credit.batch_id is null, any_value(credit.member_id), null) as member_id,
  if(credit.batch_id is null, any_value(credit.credit_id), null) as credit_id,
  credit.batch_id,
  list(credit.entry_id) as entry_ids,
  credit.unit,
  sum(credit.amount)::decimal(38, 4) as amount_at_risk,
  if(
    credit.batch_id is null,
    coalesce(
      nullif(concat_ws(' ', any_value(member.first_name), any_value(member.last_name)), ''), any_value(credit.member_id)
    ) || ', an employee, was credited '
    || shown_with_unit(sum(credit.amount), any_value(credit.decimals), credit.unit)
    || coalesce(' by ' || any_value(credit.creator), ''),
    'Batch ' || credit.batch_id || ' went to ' || counted(count(distinct credit.member_id), 'employee', 'employees')
    || ' too, with ' || shown_with_unit(sum(credit.amount), any_value(credit.decimals), credit.unit)
  ) || '.' as explanation
from settings.periods as period
join facts.credits as credit
  on credit.merchant_id = period.merchant_id
  and credit.entry_type = 'created'
  and credit.opened_at >= period.starts_at
  and credit.opened_at < period.cutoff
join ledger.members as member
  on member.merchant_id = credit.merchant_id and member.member_id = credit.member_id and member.is_employee
group by
  period.merchant_id, period.period, credit.batch_id, credit.unit, if(credit.batch_id is null, credit.credit_id, null)
