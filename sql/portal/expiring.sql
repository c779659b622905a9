-- What expires after $now until the end of the local day $until, if nothing else happens: one row per unit.
select unit, sum(amount)::decimal(38, 4) as amount, count(distinct credit_id) as credits
from facts.movements
where movement_type = 'expired' and occurred_at > $now and day <= $until::date
group by unit
