-- What each member has at $now: one row per member and balance type.
with moved as (
  select
    merchant_id,
    member_id,
    balance_type,
    unit,
    sum(signed_amount)::decimal(38, 4) as balance,
    min(occurred_at) as created,
    max(occurred_at) as updated,
    count(*) as history_rows
  from facts.movements
  where occurred_at <= $now and list_contains($merchants, merchant_id)
  group by all
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
  moved.balance,
  moved.created,
  moved.updated,
  moved.history_rows,
  $now as as_of
from moved
left join ledger.members as member using (merchant_id, member_id)
where ($member::varchar is null or moved.member_id = $member)
  and ($email::varchar is null or contains(lower(member.email), lower($email)))
  and (
    $name::varchar is null
    or contains(lower(coalesce(member.first_name, '') || ' ' || coalesce(member.last_name, '')), lower($name))
  )
  and ($balance_type::varchar is null or moved.balance_type = $balance_type)
  and ($employee::varchar is null or coalesce(member.is_employee, false) = ($employee = 'yes'))
  and ($min_balance::varchar is null or moved.balance >= try_cast($min_balance as decimal(18, 4)))
order by moved.merchant_id, moved.member_id, moved.balance_type
