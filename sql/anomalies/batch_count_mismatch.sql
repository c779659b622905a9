-- Batches that went to more or fewer members than declared: one row per batch.
--
-- severity: error
-- version: 1
-- means: The batches file declares a number of recipients, and the batch's credits went to another number of members. It
--   is looked at in every month that credits of it came in.
-- do: Compare the batch's recipients (`rollforward batches show ID`) with the list that it was issued from.
with found as (
  select
    batch.merchant_id,
    batch.period,
    batch.batch_id,
    any_value(batch.declared_recipients) as declared,
    count(distinct recipient.member_id) as recipients,
    if(count(distinct batch.unit) = 1, any_value(batch.unit), null) as unit,
    if(count(distinct batch.unit) = 1, any_value(batch.amount_per_customer), null) as each
  from audits.credits_batches as batch
  join audits.batch_recipients as recipient using (merchant_id, period, batch_id, unit)
  semi join settings.periods as period
    on period.merchant_id = batch.merchant_id and period.period = batch.period
  where batch.credited_in_period and recipient.amount > 0
  group by batch.merchant_id, batch.period, batch.batch_id
)

select
  merchant_id,
  period,
  batch_id,
  unit,
  (abs(recipients - declared) * each)::decimal(38, 4) as amount_at_risk,
  recipients::varchar as observed,
  declared::varchar as threshold,
  'Batch ' || batch_id || ' declares ' || counted(declared, 'recipient', 'recipients') || ', and '
  || counted(recipients, 'member has', 'members have') || ' credits of it; that is ' || abs(recipients - declared)
  || if(recipients > declared, ' more.', ' fewer.') as explanation
from found
where recipients <> declared
