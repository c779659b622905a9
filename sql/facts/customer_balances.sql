-- What each member has now, by balance type: one row per member and balance type.
--
-- Grouped by all that tells an account, so that a filter by merchant, member or balance type is one of the movements.
with moved as (
  select
    merchant_id,
    member_id,
    balance_type,
    any_value(unit) as unit,
    sum(signed_amount) as balance,
    min(occurred_at) as created,
    max(occurred_at) as updated,
    count(*) as history_rows
  from facts.movements
  where occurred_at <= now()
  group by merchant_id, member_id, balance_type
)

select
  moved.merchant_id,
  moved.member_id,
  member.email,
  member.first_name,
  member.last_name,
  coalesce(member.is_employee, false) as employee,
  moved.balance_type,
  moved.unit,
  moved.balance::decimal(38, 4) as balance,
  moved.created,
  moved.updated,
  moved.history_rows,
  now() as as_of
from moved
left join ledger.members as member
  on member.merchant_id = moved.merchant_id and member.member_id = moved.member_id
