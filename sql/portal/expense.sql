-- Credit issued in a reported period by credit type, in a batch or not: one row per unit and credit type.
select
  unit, credit_type, credits, customers, batches, amount, average, decimals
from audits.batch_summary
join settings.merchants as merchant using (merchant_id)
where period = $period and section = 'expense' and (credit_type is not null or amount > 0)
order by unit <> merchant.currency, unit, credit_type is null, amount desc, credit_type
