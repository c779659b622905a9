-- What the ledger says to each row of a balances file: one row per well-formed row.
--
-- accepted; duplicate (the balance of that account and day is known, and is the same); or rejected, with `problem` as
-- `column:reason`. Within a file the first row of an account and day stands for it.
with known as (
  select balance_id, balance
  from ledger.balances
  where merchant_id = $merchant_id and balance_id in (select balance_id from staging.balances)
),

compared as (
  select
    staged.source_row,
    staged.problem,
    staged.balance,
    known.balance is not null as is_known,
    first_value(staged.source_row) over same_day as stands_at,
    coalesce(known.balance, first_value(staged.balance) over same_day) as stands
  from staging.balances as staged
  left join known using (balance_id)
  window same_day as (partition by staged.balance_id, staged.problem is null order by staged.source_row)
)

select
  source_row,
  case
    when problem is not null or balance <> stands then 'rejected'
    when is_known or stands_at <> source_row then 'duplicate'
    else 'accepted'
  end as verdict,
  case
    when problem is not null then problem
    when balance <> stands then 'balance:balance_changed'
  end as problem
from compared
