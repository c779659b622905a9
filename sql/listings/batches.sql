-- Batches that meet the filters, as of now: one row per batch and unit.
select
  merchant_id,
  batch_id,
  issue_date,
  issued_by,
  credit_type,
  reason,
  recipient_count,
  amount_per_customer,
  total_amount,
  status,
  description,
  location,
  unit,
  issued_as,
  credit_count,
  declared_recipients,
  declared_total,
  redeemed,
  refunded,
  expired,
  deducted,
  transferred,
  reversed,
  remaining,
  recipients_who_used,
  percent_used,
  oldest_expiry,
  newest_expiry,
  reversible,
  reversible_amount,
  window_last_day,
  findings
from audits.credits_batches
where ($batch_id::varchar is null or batch_id = $batch_id)
  and ($start::date is null or issue_date::date >= $start::date)
  and ($end::date is null or issue_date::date <= $end::date)
  and ($issuer::varchar is null or contains(lower(issued_by), lower($issuer)))
  and ($credit_type::varchar is null or lower(coalesce(credit_type, '(none)')) = lower($credit_type))
  and ($status::varchar is null or lower(status) = lower($status))
  and (
    $search::varchar is null
    or contains(lower(batch_id), lower($search))
    or contains(lower(reason), lower($search))
    or contains(lower(description), lower($search))
  )
order by issue_date desc, merchant_id, batch_id, unit
