-- Batches that nobody got anything of: one row per batch.
--
-- severity: error
-- version: 1
-- means: A batches file, or an entry, names a batch of which no credit was issued to anyone.
-- do: Find out whether the batch failed at the source, or its entries have not come.
select
  merchant_id,
  period,
  batch_id,
  unit,
  declared_total::decimal(38, 4) as amount_at_risk,
  '0' as observed,
  declared_recipients::varchar as threshold,
  'Batch ' || batch_id || coalesce(' (' || coalesce(description, reason) || ')', '') || ' has no recipients'
  || coalesce(', and declares ' || format('{:,}', declared_recipients), '') || '.' as explanation
from audits.credits_batches
semi join settings.periods using (merchant_id, period)
where status = 'Failed'
