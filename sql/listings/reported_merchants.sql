-- Merchants whose tables of the period $period are there: one row per merchant.
select distinct merchant_id
from reports.checks
where list_contains($merchants, merchant_id)
  and (period = $period or starts_with(period, $period || '@'))
