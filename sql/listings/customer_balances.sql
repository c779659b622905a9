-- Customer balances that meet the filters: one row per member and balance type.
--
-- Days are the merchant's. A letter with an accent is the same whether it is written as one character or as two.
select balance.*
from facts.customer_balances as balance
join settings.merchants as merchant on merchant.merchant_id = balance.merchant_id
where list_contains($merchants, balance.merchant_id)
  and ($member::varchar is null or balance.member_id = $member)
  and ($email::varchar is null or contains(lower(balance.email), lower($email)))
  and ($name::varchar is null or contains(
    lower(nfc_normalize(concat_ws(' ', balance.first_name, balance.last_name))), lower(nfc_normalize($name))
  ))
  and ($first_name::varchar is null or contains(lower(nfc_normalize(balance.first_name)), lower(nfc_normalize($first_name))))
  and ($last_name::varchar is null or contains(lower(nfc_normalize(balance.last_name)), lower(nfc_normalize($last_name))))
  and ($balance_type::varchar is null or balance.balance_type = $balance_type)
  and ($unit::varchar is null or balance.unit = $unit)
  and ($employee::varchar is null or balance.employee = ($employee = 'yes'))
  and ($min_balance::varchar is null or balance.balance >= $min_balance::decimal(18, 4))
  and ($max_balance::varchar is null or balance.balance <= $max_balance::decimal(18, 4))
  and ($min_history::bigint is null or balance.history_rows >= $min_history)
  and ($created_from::date is null or as_local(balance.created, merchant.timezone)::date >= $created_from::date)
  and ($created_to::date is null or as_local(balance.created, merchant.timezone)::date <= $created_to::date)
  and ($updated_from::date is null or as_local(balance.updated, merchant.timezone)::date >= $updated_from::date)
  and ($updated_to::date is null or as_local(balance.updated, merchant.timezone)::date <= $updated_to::date)
order by balance.merchant_id, balance.member_id, balance.balance_type
