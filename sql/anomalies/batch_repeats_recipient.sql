-- Members with several credits of a batch that is not per student or enrollment: one row per member and batch.
--
-- severity: warning
-- version: 2
-- means: The batch issues one credit for each family, or from a list, and the member is there more than once. In a batch
--   per student or per enrollment (issued_as) several credits to a family are meant. What `adjust-batch` raised a credit
--   by is no second one.
-- do: Look whether the list had the member twice; if so, deduct what is too much.
select
  batch.merchant_id,
  batch.period,
  recipient.member_id,
  batch.batch_id,
  list(credit.entry_id) as entry_ids,
  batch.unit,
  (sum(recipient.amount) - max(recipient.amount))::decimal(38, 4) as amount_at_risk,
  count(*)::varchar as observed,
  '1' as threshold,
  'Member ' || recipient.member_id || ' has ' || count(*) || ' credits of batch ' || batch.batch_id || ', together '
  || shown_with_unit(sum(recipient.amount), any_value(batch.decimals), batch.unit) || '.' as explanation
from audits.credits_batches as batch
join audits.batch_recipients as recipient using (merchant_id, period, batch_id, unit)
join facts.credits as credit
  on credit.merchant_id = recipient.merchant_id and credit.credit_id = recipient.credit_id
semi join settings.periods as period
  on period.merchant_id = batch.merchant_id and period.period = batch.period
anti join (
  from ledger.operations join ledger.entries using (merchant_id, operation_id)
  where kind = 'adjust-batch' and status = 'processed'
) as raise
  on raise.merchant_id = credit.merchant_id and raise.entry_id = credit.entry_id
where batch.issued_in_period and recipient.amount > 0
  and coalesce(batch.issued_as, '') not in ('student', 'enrollment')
group by batch.merchant_id, batch.period, recipient.member_id, batch.batch_id, batch.unit
having count(*) > 1
