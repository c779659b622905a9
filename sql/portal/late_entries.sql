-- How many entries from before a workbook's as_of the ledger has learnt of since the workbook was made: one row.
select count(*) as entries
from ledger.entries
where event > $event and occurred_at < $as_of
