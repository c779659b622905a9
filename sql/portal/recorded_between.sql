-- Entries until a workbook's end that this ledger learnt of between two versions of it: one row per entry.
select
  entry_id, entry_type, occurred_at, recorded_at, member_id, balance_type, amount, credit_id, reason, operation_id,
  source_file, source_row,
  count(*) over () as matched
from ledger.entries
where recorded_at > $after
  and recorded_at <= $until
  and occurred_at < $ends_at
order by occurred_at, entry_id
limit 200
