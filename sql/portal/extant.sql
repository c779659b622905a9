-- Credits with something left at $as_of that meet the filters, a page of them: one row per credit.
with chosen as materialized (
  select movement.credit_id, movement.remaining, movement.expires_at, movement.unit
  from facts.movements as movement
  join facts.credits as credit on credit.credit_id = movement.credit_id
  where movement.remaining > 0
    and movement.occurred_at < $as_of::timestamptz
    -- A movement tells its credit's state until the credit's next one.
    and (movement.valid_until is null or movement.valid_until >= $as_of::timestamptz)
    and ($unit::varchar is null or movement.unit = $unit)
    and ($balance_type::varchar is null or movement.balance_type = $balance_type)
    and ($member::varchar is null or movement.member_id = $member)
    and ($reason::varchar is null or coalesce(credit.reason, '(none)') = $reason)
    and ($credit_type::varchar is null or coalesce(credit.credit_type, '(none)') = $credit_type)
    and ($batch::varchar is null or credit.batch_id = $batch)
),

shown as (
  select * from chosen order by expires_at nulls last, credit_id limit $limit offset $offset
)

select
  shown.credit_id,
  credit.member_id,
  nullif(concat_ws(' ', member.first_name, member.last_name), '') as name,
  member.email,
  credit.balance_type,
  credit.original_amount as amount,
  shown.remaining,
  credit.unit,
  credit.decimals,
  credit.issued_at,
  shown.expires_at,
  credit.credit_type,
  credit.reason,
  credit.reason_details,
  credit.internal_note,
  credit.creator,
  credit.batch_id,
  credit.entry_id,
  (select count(*) from chosen) as matched,
  (
    select list(summed order by summed.unit)
    from (select unit, sum(remaining)::decimal(38, 4) as amount from chosen group by unit) as summed
  ) as sums
from shown
join facts.credits as credit using (credit_id)
left join ledger.members as member on member.member_id = credit.member_id
order by shown.expires_at nulls last, shown.credit_id
