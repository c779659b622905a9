-- Batches that came to more or less than declared: one row per batch.
--
-- severity: error
-- version: 2
-- means: The batches file declares a total, and the batch's credits come to another. What `adjust-batch` raised them by
--   since is no part of it.
-- do: Compare the batch's recipients (`rollforward batches show ID`) with the list that it was issued from.
with raised as (
  select entry.merchant_id, period.period, entry.batch_id, sum(entry.amount) as amount
  from ledger.operations as operation
  join ledger.entries as entry using (merchant_id, operation_id)
  join settings.periods as period
    on period.merchant_id = entry.merchant_id and entry.occurred_at < period.as_of
  where operation.kind = 'adjust-batch' and operation.status = 'processed' and entry.entry_type = 'created'
  group by all
),

compared as (
  select batch.* replace ((batch.total_amount - coalesce(raised.amount, 0))::decimal(38, 4) as total_amount)
  from audits.credits_batches as batch
  semi join settings.periods using (merchant_id, period)
  left join raised using (merchant_id, period, batch_id)
  where batch.issued_in_period and batch.recipient_count > 0
  -- A total over several units says nothing.
  qualify count(*) over (partition by batch.merchant_id, batch.period, batch.batch_id) = 1
)

select
  merchant_id,
  period,
  batch_id,
  unit,
  abs(total_amount - declared_total)::decimal(38, 4) as amount_at_risk,
  shown(total_amount, decimals) as observed,
  shown(declared_total, decimals) as threshold,
  'Batch ' || batch_id || ' declares ' || shown_with_unit(declared_total, decimals, unit) || ', and its credits come to '
  || shown_with_unit(total_amount, decimals, unit) || '; that is '
  || shown_with_unit(abs(total_amount - declared_total), decimals, unit)
  || if(total_amount > declared_total, ' more.', ' less.') as explanation
from compared
where total_amount <> declared_total
