-- What the merchant's rows say of themselves, to choose from in filters: one row per column and value.
select name, value
from (
  select 'credit_type' as name, coalesce(credit_type, '(none)') as value, sum(movements) as rows
  from facts.daily_totals
  group by all
  union all
  select 'reason', coalesce(reason, '(none)'), sum(movements)
  from facts.daily_totals
  group by all
  union all
  select 'rejected', reason, count(*)
  from ledger.rejected_rows
  group by all
  union all
  select 'kind', kind, count(*)
  from ledger.operations
  group by all
)
qualify row_number() over (partition by name order by rows desc, value) <= 100
order by name, rows desc, value
