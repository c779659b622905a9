-- Batches that went to more or fewer members than declared: one row per batch.
--
-- severity: error
-- version: 1
-- means: The batches file declares a number of recipients, and the batch's credits went to another number of members.
-- do: Compare the batch's recipients (`rollforward batches show ID`) with the list that it was issued from.
with given as (
  -- A batch is looked at in the period in which it was issued, and wherever it issued more credits.
  select distinct period.merchant_id, period.period, credit.batch_id
  from settings.periods as period
  join facts.credits as credit
    on credit.merchant_id = period.merchant_id
    and credit.opened_at >= period.starts_at
    and credit.opened_at < period.cutoff
  where credit.entry_type = 'created' and credit.batch_id is not null
),

found as (
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
  where (batch.issued_in_period or (batch.merchant_id, batch.period, batch.batch_id) in (from given))
    and recipient.amount > 0
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
