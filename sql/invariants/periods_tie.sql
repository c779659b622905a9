-- Each day takes its opening balance to its closing balance by its movements: one row per day and type where not.
--
-- Balances are carried forward by facts.daily_totals. A period's closing is the next one's opening if each day of it
-- is what the movements of that day come to, each type with its sign. Looked at are the days on which the members'
-- movements come to something else than before; of the others, neither side has changed.
with days as materialized (
  select distinct merchant_id, day
  from (
    select merchant_id, day, balance_type, unit, movement_type, overdrawn, amount, movements
    from former_totals
    union all
    select merchant_id, day, balance_type, unit, movement_type, credit_id is null, -signed_amount, -1
    from stale_movements
  )
  group by merchant_id, day, balance_type, unit, movement_type, overdrawn
  having sum(amount) <> 0 or sum(movements) <> 0
),

moved as (
  select
    merchant_id,
    day,
    balance_type,
    unit,
    movement_type,
    sum(
      case
        when movement_type in ('opening', 'created', 'refunded', 'transferred_in') then amount
        when movement_type in ('redeemed', 'expired', 'deducted', 'reversed', 'transferred_out') then -amount
        else 0
      end
    ) as amount,
    sum(signed_amount) as signed_amount,
    count(*) as movements
  from facts.movements
  where
    day in (select day from days group by day having count(*) > 0)
    and (merchant_id, day) in (select merchant_id, day from days)
  group by all
),

carried as (
  select merchant_id, day, balance_type, unit, movement_type, sum(amount) as amount, sum(movements) as movements
  from facts.daily_totals
  semi join days using (merchant_id, day)
  group by all
)

select
  merchant_id,
  day,
  balance_type,
  unit,
  movement_type,
  moved.amount as moved,
  moved.signed_amount as moved_signed,
  carried.amount as carried_forward
from moved
full join carried using (merchant_id, day, balance_type, unit, movement_type)
where
  moved.amount is distinct from carried.amount
  or moved.signed_amount is distinct from moved.amount
  or moved.movements is distinct from carried.movements
