-- What each member has now, of those that meet the filters, a page of them: one row per member and balance type.
with chosen as materialized (
  select *
  from facts.customer_balances
  where ($member::varchar is null or member_id = $member)
    and ($balance_type::varchar is null or balance_type = $balance_type)
    and (
      $search::varchar is null
      or contains(lower(member_id), lower($search))
      or contains(lower(email), lower($search))
      or contains(lower(nfc_normalize(concat_ws(' ', first_name, last_name))), lower(nfc_normalize($search)))
    )
    and ($email::varchar is null or contains(lower(email), lower($email)))
    and ($first_name::varchar is null or contains(lower(nfc_normalize(first_name)), lower(nfc_normalize($first_name))))
    and ($last_name::varchar is null or contains(lower(nfc_normalize(last_name)), lower(nfc_normalize($last_name))))
    and ($employee::varchar is null or employee = ($employee = 'yes'))
    and ($balance_from::varchar is null or balance >= $balance_from::decimal(18, 4))
    and ($balance_to::varchar is null or balance <= $balance_to::decimal(18, 4))
    and ($created_from::varchar is null or created >= $created_from_starts_at)
    and ($created_to::varchar is null or created < $created_to_ends_at)
    and ($updated_from::varchar is null or updated >= $updated_from_starts_at)
    and ($updated_to::varchar is null or updated < $updated_to_ends_at)
)

select
  chosen.member_id,
  chosen.email,
  chosen.first_name,
  chosen.last_name,
  chosen.employee,
  chosen.balance_type,
  chosen.balance,
  chosen.unit,
  kind.decimals,
  chosen.created,
  chosen.updated,
  chosen.history_rows,
  chosen.as_of,
  (select count(*) from chosen) as matched,
  (
    select list(summed order by summed.unit)
    from (select unit, sum(balance)::decimal(38, 4) as amount from chosen group by unit) as summed
  ) as sums
from chosen
left join settings.balance_types as kind using (balance_type)
order by
  case when $sort = 'balance' then chosen.balance end desc,
  case when $sort = 'updated' then chosen.updated end desc,
  case when $sort = 'name' then lower(concat_ws(' ', chosen.last_name, chosen.first_name)) end,
  chosen.member_id,
  chosen.balance_type
limit $limit offset $offset
