-- What the batches in `listed` come to, by credit type and in all: one row per unit and credit type.
with issued as (
  select
    batch.unit,
    coalesce(batch.credit_type, '(none)') as credit_type,
    batch.batch_id,
    recipient.member_id,
    recipient.amount
  from listed as batch
  join audits.batch_recipients as recipient using (batch_id, unit)
  where recipient.amount > 0
)

select
  issued.unit,
  any_value(kind.decimals) as decimals,
  issued.credit_type,
  count(distinct batch_id) as batches,
  count(distinct member_id) as customers,
  count(*) as credits,
  sum(amount)::decimal(38, 4) as amount,
  quotient(sum(amount), count(*), any_value(kind.decimals))::decimal(38, 4) as average
from issued
join (select distinct unit, decimals from settings.balance_types) as kind using (unit)
group by grouping sets ((issued.unit, issued.credit_type), (issued.unit))
order by issued.unit, issued.credit_type is null, amount desc
