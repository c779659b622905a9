-- What an operation posted, with whom it is for and why: one row per entry.
--
-- Why is what its preview said. A rebuild keeps no previews, so that it is blank from then on.
select
  entry.entry_id,
  entry.entry_type,
  entry.credit_id,
  entry.member_id,
  member.email,
  nullif(concat_ws(' ', member.first_name, member.last_name), '') as name,
  recipient.student_id,
  recipient.enrollment_id,
  entry.balance_type,
  entry.amount,
  entry.occurred_at,
  entry.expires_at,
  entry.batch_id,
  entry.credit_type,
  entry.reason,
  entry.reason_details,
  entry.location,
  recipient.why
from ledger.entries as entry
left join ledger.members as member
  on member.merchant_id = entry.merchant_id and member.member_id = entry.member_id
left join ledger.preview_recipients as recipient
  on recipient.merchant_id = entry.merchant_id
  and recipient.preview_id = entry.operation_id
  -- An entry has the number of its recipient after the operation's id.
  and split_part(substr(entry.entry_id, length(entry.operation_id) + 2), '.', 1) = recipient.position::varchar
where entry.merchant_id = $merchant_id and entry.operation_id = $operation_id
order by entry.source_row
