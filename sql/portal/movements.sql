-- Movements that meet the filters, newest first, a page of them: one row per movement.
--
-- Derived expiries that have not come yet are there only where they are asked for. $type is a movement type, or
-- adjusted for all those that the sheet Credit Adjustments has, or issued for those that a batch's total is of.
with credits_asked_for as (
  select credit_id
  from facts.credits
  where ($reason::varchar is not null or $credit_type::varchar is not null or $batch::varchar is not null)
    and ($reason::varchar is null or coalesce(reason, '(none)') = $reason)
    and ($credit_type::varchar is null or coalesce(credit_type, '(none)') = $credit_type)
    and ($batch::varchar is null or batch_id = $batch)
),

chosen as materialized (
  select
    movement.member_id, movement.balance_type, movement.sequence, movement.occurred_at, movement.unit,
    movement.signed_amount
  from facts.movements as movement
  where if($forecast::varchar is null, movement.occurred_at <= $now, movement.occurred_at > $now)
    and ($from::varchar is null or movement.day >= $from::date)
    and ($to::varchar is null or movement.day <= $to::date)
    and ($before::timestamptz is null or movement.occurred_at < $before::timestamptz)
    and (
      $type::varchar is null
      or movement.movement_type = $type
      or (
        $type = 'adjusted'
        and movement.movement_type in ('opening', 'deducted', 'reversed', 'transferred_out', 'transferred_in')
      )
      or ($type = 'issued' and movement.movement_type in ('created', 'opening'))
    )
    and ($unit::varchar is null or movement.unit = $unit)
    and ($balance_type::varchar is null or movement.balance_type = $balance_type)
    and ($member::varchar is null or movement.member_id = $member)
    and ($credit::varchar is null or movement.credit_id = $credit)
    and ($entry::varchar is null or movement.entry_id = $entry)
    -- What credits say of themselves is looked up only where it is asked for: there are as many as entries.
    and (
      ($reason::varchar is null and $credit_type::varchar is null and $batch::varchar is null)
      or movement.credit_id in (select credit_id from credits_asked_for)
      or (
        movement.credit_id is null
        and coalesce($reason, '(none)') = '(none)'
        and coalesce($credit_type, '(none)') = '(none)'
        and $batch::varchar is null
      )
    )
),

shown as (
  select *
  from chosen
  order by occurred_at desc, member_id, balance_type, sequence desc
  limit $limit offset $offset
)

select
  movement.occurred_at,
  movement.movement_type,
  movement.movement_id,
  movement.member_id,
  nullif(concat_ws(' ', member.first_name, member.last_name), '') as name,
  member.email,
  movement.balance_type,
  movement.signed_amount as amount,
  movement.unit,
  kind.decimals,
  movement.credit_id,
  movement.remaining,
  movement.expires_at,
  movement.derived,
  movement.entry_id,
  coalesce(entry.reason, credit.reason) as reason,
  coalesce(entry.reason_details, credit.reason_details) as reason_details,
  coalesce(name_and_email(entry.creator_name, entry.creator_email), credit.creator) as creator,
  credit.batch_id,
  entry.source_file,
  entry.source_row,
  (select count(*) from chosen) as matched,
  (
    select list(summed order by summed.unit)
    from (select unit, sum(signed_amount)::decimal(38, 4) as amount from chosen group by unit) as summed
  ) as sums
from shown
join facts.movements as movement using (member_id, balance_type, sequence)
left join settings.balance_types as kind using (balance_type)
left join ledger.members as member on member.member_id = movement.member_id
left join facts.credits as credit on credit.credit_id = movement.credit_id
left join ledger.entries as entry on entry.entry_id = movement.entry_id
order by movement.occurred_at desc, movement.member_id, movement.balance_type, movement.sequence desc
