-- At the end of any day the balance is what remains of the credits, less what is overdrawn: one row per day where not.
--
-- Overdrawn is what movements without a credit come to. So the others must come to what remains: each movement adds
-- what remains after it, and takes away at valid_until, when the credit's next movement says anew what remains. If
-- that ties for what happens within each day, it ties at the end of each; days of UTC are as good as others for it.
with changes as (
  select
    merchant_id,
    balance_type,
    epoch_us(occurred_at) // 86400000000 as utc_day,
    signed_amount as balance,
    remaining
  from stale_movements
  where credit_id is not null
  union all
  select merchant_id, balance_type, epoch_us(valid_until) // 86400000000, 0, -remaining
  from stale_movements
  where credit_id is not null and valid_until is not null
)

select
  merchant_id,
  balance_type,
  date '1970-01-01' + utc_day::integer as utc_day,
  sum(balance) as balance_changed_by,
  sum(remaining) as credits_changed_by
from changes
group by all
having sum(balance) <> sum(remaining)
