-- Every tie of a reported period, with both sides: one row per check and unit.
select unit, position, side, amount, other_side, other_amount, difference, ties, decimals
from reports.checks
where period = $period
union all
select unit, 1000 + position, side, amount, other_side, other_amount, difference, ties, decimals
from audits.checks
where period = $period
order by 2, 1
