-- Members with several credits of a batch that is not per student or enrollment: one row per member and batch.
--
-- severity: warning
-- version: 1
-- means: The batch issues one credit for each family, or from a list, and the member is there more than once. In a batch
--   per student or per enrollment (issued_as) several credits to a family are meant. So are those by which adjust-batch
--   raised others.
-- do: Look whether the list had the member twice; if so, deduct what is too much.
with raises as (
  select entry.merchant_id, entry.entry_id
  from ledger.entries as entry
  semi join (
    from ledger.operations where kind = 'adjust-batch' and status = 'processed'
  ) using (merchant_id, operation_id)
  where entry.entry_type = 'created'
)

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
anti join raises on raises.merchant_id = credit.merchant_id and raises.entry_id = credit.entry_id
join settings.periods as period
  on period.merchant_id = batch.merchant_id and period.period = batch.period
where recipient.amount > 0 and coalesce(batch.issued_as, '') not in ('student', 'enrollment')
group by batch.merchant_id, batch.period, recipient.member_id, batch.batch_id, batch.unit
having count(*) > 1
  -- Where the batch was issued, if the credits had not come before, and where it later issued the member another.
  and bool_or(
    credit.opened_at >= period.starts_at
    and (batch.issued_in_period or credit.entry_type = 'created' and credit.opened_at < period.cutoff)
  )
