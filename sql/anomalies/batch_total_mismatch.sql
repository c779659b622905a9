-- Batches that came to more or less than declared: one row per batch.
--
-- severity: error
-- version: 1
-- means: The batches file declares a total, and the batch's credits come to another, those aside by which adjust-batch
--   raised others afterwards. It is looked at in every month that credits of it came in.
-- do: Compare the batch's recipients (`rollforward batches show ID`) with the list that it was issued from.
with raises as (
  select entry.merchant_id, entry.credit_id
  from ledger.entries as entry
  semi join (
    from ledger.operations where kind = 'adjust-batch' and status = 'processed'
  ) using (merchant_id, operation_id)
  where entry.entry_type = 'created'
),

raised as (
  select recipient.merchant_id, recipient.period, recipient.batch_id, recipient.unit, sum(recipient.amount) as amount
  from audits.batch_recipients as recipient
  semi join raises using (merchant_id, credit_id)
  semi join settings.periods using (merchant_id, period)
  group by all
),

issued as (
  select
    batch.*,
    batch.total_amount - coalesce(raised.amount, 0) as issued_amount,
    count(*) filter (batch.recipient_count > 0) over (
      partition by batch.merchant_id, batch.period, batch.batch_id
    ) as units
  from audits.credits_batches as batch
  left join raised using (merchant_id, period, batch_id, unit)
  semi join settings.periods as period
    on period.merchant_id = batch.merchant_id and period.period = batch.period
)

select
  merchant_id,
  period,
  batch_id,
  unit,
  abs(issued_amount - declared_total)::decimal(38, 4) as amount_at_risk,
  shown(issued_amount, decimals) as observed,
  shown(declared_total, decimals) as threshold,
  'Batch ' || batch_id || ' declares ' || shown_with_unit(declared_total, decimals, unit) || ', and its credits come to '
  || shown_with_unit(issued_amount, decimals, unit) || '; that is '
  || shown_with_unit(abs(issued_amount - declared_total), decimals, unit)
  || if(issued_amount > declared_total, ' more.', ' less.') as explanation
from issued
-- A total over several units says nothing.
where credited_in_period and recipient_count > 0 and issued_amount <> declared_total and units = 1
