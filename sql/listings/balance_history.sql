-- The balance history of a member: one row per movement.
select *
from facts.balance_history
where list_contains($merchants, merchant_id)
  and member_id = $member
  and ($balance_type::varchar is null or balance_type = $balance_type)
order by merchant_id, balance_type, sequence
