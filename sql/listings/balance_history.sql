-- Every movement of a member's accounts until $now, with the running balance: one row per movement.
select
  movement.merchant_id,
  movement.member_id,
  movement.balance_type,
  movement.occurred_at,
  movement.movement_type,
  movement.movement_id,
  movement.credit_id,
  movement.signed_amount as amount,
  (sum(movement.signed_amount) over (
    partition by movement.merchant_id, movement.balance_type order by movement.sequence
  ))::decimal(38, 4) as balance,
  movement.unit,
  coalesce(entry.batch_id, credit.batch_id) as batch_id,
  coalesce(entry.reason, credit.reason) as reason,
  coalesce(entry.reason_details, credit.reason_details) as reason_details,
  entry.internal_note,
  coalesce(entry.creator_name || coalesce(' <' || entry.creator_email || '>', ''), entry.creator_email, credit.creator)
    as creator,
  entry.source_file,
  entry.source_row
from facts.movements as movement
left join ledger.entries as entry
  on entry.merchant_id = movement.merchant_id and entry.entry_id = movement.entry_id
left join facts.credits as credit
  on credit.merchant_id = movement.merchant_id and credit.credit_id = movement.credit_id
where movement.member_id = $member
  and movement.occurred_at <= $now
  and list_contains($merchants, movement.merchant_id)
  and ($balance_type::varchar is null or movement.balance_type = $balance_type)
order by movement.merchant_id, movement.balance_type, movement.sequence
