-- Movements of the members to replay, summed: one row per day, balance type, movement type and origin of the credit.
select
  movement.merchant_id,
  movement.day,
  movement.balance_type,
  movement.unit,
  movement.movement_type,
  movement.credit_id is null as overdrawn,
  credit.reason,
  credit.credit_type,
  credit.creator,
  sum(movement.signed_amount)::decimal(38, 4) as amount,
  count(*) as movements
from stale_movements as movement
left join stale_credits as credit
  on credit.merchant_id = movement.merchant_id and credit.credit_id = movement.credit_id
group by all
