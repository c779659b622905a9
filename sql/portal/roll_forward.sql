-- Opening balance to closing balance of a reported period: one row per balance type.
select line.* exclude (merchant_id, period)
from reports.roll_forward as line
join settings.merchants as merchant using (merchant_id)
where line.period = $period
order by line.unit <> merchant.currency, line.unit, line.balance_type <> 'default', line.balance_type
