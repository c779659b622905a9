-- What each account that ever moved can still draw on at $at, and what is overdrawn beside that: one row per account.
select
  movement.member_id,
  movement.balance_type,
  movement.unit,
  coalesce(
    sum(movement.remaining) filter (where movement.valid_until is null or movement.valid_until > $at), 0
  )::decimal(38, 4) as available,
  coalesce(-sum(movement.signed_amount) filter (where movement.credit_id is null), 0)::decimal(38, 4) as overdrawn
from facts.movements as movement
where movement.merchant_id = $merchant_id and movement.occurred_at <= $at
group by all
