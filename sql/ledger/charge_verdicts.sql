-- What the ledger says to each row of a charges file: one row per well-formed row.
select
  source_row,
  if(problem is null, 'accepted', 'rejected') as verdict,
  problem
from staging.charges
