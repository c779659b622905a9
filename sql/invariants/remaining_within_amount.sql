-- What remains of a credit is never negative and never more than its amount: one row per movement where it is.
select
  movement.merchant_id,
  movement.movement_id,
  movement.credit_id,
  movement.remaining,
  credit.amount
from stale_movements as movement
left join stale_credits as credit
  on credit.merchant_id = movement.merchant_id and credit.credit_id = movement.credit_id
where
  movement.credit_id is not null
  and (movement.remaining between 0 and credit.amount) is not true
