-- Entries of before its as_of that the ledger has learnt of since a workbook was made, counted: one row per workbook.
select count(*) as entries
from ledger.entries
where event > $event and occurred_at < $as_of
