-- Batches that came to more or less than declared: one row per batch.
--
-- severity: error
-- version: 1
-- means: The batches file declares a total, and the batch's credits come to another.
-- do: Compare the batch's recipients (`rollforward batches show ID`) with the list that it was issued from.
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
from audits.credits_batches
semi join settings.periods using (merchant_id, period)
-- A total over several units says nothing.
where issued_in_period and recipient_count > 0 and total_amount <> declared_total
qualify count(*) over (partition by merchant_id, period, batch_id) = 1
