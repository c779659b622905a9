-- Credits of the merchant with something left at $at: one row per credit.
select
  credit.credit_id,
  credit.member_id,
  credit.balance_type,
  credit.unit,
  movement.remaining,
  movement.expires_at,
  credit.priority,
  credit.issued_at,
  credit.original_amount,
  credit.batch_id,
  credit.credit_type,
  credit.reason,
  credit.reason_details,
  credit.internal_note,
  entry.creator_name,
  entry.creator_email,
  credit.approved_by,
  credit.location,
  credit.system
from facts.movements as movement
join facts.credits as credit
  on credit.merchant_id = movement.merchant_id and credit.credit_id = movement.credit_id
join ledger.entries as entry
  on entry.merchant_id = credit.merchant_id and entry.entry_id = credit.entry_id
where
  movement.merchant_id = $merchant_id
  and movement.occurred_at <= $at
  and (movement.valid_until is null or movement.valid_until > $at)
  and movement.remaining > 0
order by credit.member_id, credit.balance_type, credit.issued_at, credit.credit_id
