-- What each account of the merchant can still draw on at $at, and whether it has ever moved: one row per account.
select
  movement.member_id,
  movement.balance_type,
  movement.unit,
  coalesce(
    sum(movement.remaining) filter (where movement.valid_until is null or movement.valid_until > $at), 0
  )::decimal(38, 4) as available
from facts.movements as movement
where movement.merchant_id = $merchant_id and movement.occurred_at <= $at
group by all
