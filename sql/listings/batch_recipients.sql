-- Credits of one batch, as of now: one row per credit.
select
  merchant_id,
  batch_id,
  member_id,
  email,
  name,
  amount,
  used,
  refunded,
  expired,
  deducted,
  transferred,
  reversed,
  remaining,
  last_used_at,
  issued_at,
  expires_at,
  unit,
  balance_type,
  credit_id
from audits.batch_recipients
where batch_id = $batch_id
order by merchant_id, position
