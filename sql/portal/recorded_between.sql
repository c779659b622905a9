-- Entries until a workbook's end that this ledger learnt of between two versions of it: one row per entry.
with recorded as (
  select
    entry_id, entry_type, occurred_at, recorded_at, member_id, balance_type, amount, credit_id, source_file, source_row,
    count(*) over () as matched
  from ledger.entries
  where recorded_at > $after
    and recorded_at <= $until
    and occurred_at < $ends_at
  order by occurred_at, entry_id
  limit 200
),

-- Of entries without a balance type of their own: the unit of what they moved, or would have.
moved as (
  select entry_id, any_value(unit) as unit
  from (
    select entry_id, unit from facts.movements
    union all
    select entry_id, unit from facts.findings
  )
  semi join recorded using (entry_id)
  group by entry_id
)

select recorded.*, coalesce(kind.unit, moved.unit, credit.unit) as unit
from recorded
left join settings.balance_types as kind using (balance_type)
left join moved on moved.entry_id = recorded.entry_id
left join facts.credits as credit on credit.credit_id = recorded.credit_id
order by recorded.occurred_at, recorded.entry_id
