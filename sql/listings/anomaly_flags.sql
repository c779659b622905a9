-- Flags of the periods that have been reported, as they were then: one row per flag.
--
-- Of a month asked for, those of its final report; those of an interim one where there is no other.
select
  merchant_id,
  period,
  rule,
  severity,
  explanation,
  unit,
  amount_at_risk,
  observed,
  threshold,
  member_id,
  credit_id,
  batch_id,
  entry_ids,
  evidence_sheet,
  rule_version
from audits.anomaly_flags
where list_contains($merchants, merchant_id)
  and (
    $period::varchar is null
    or period = $period
    or starts_with(period, $period || '@')
    and (merchant_id, $period::varchar) not in (select merchant_id, period from reports.checks)
  )
  and ($rule::varchar is null or rule = $rule)
  and ($severity::varchar is null or severity = $severity)
  and ($member::varchar is null or member_id = $member)
  and ($batch::varchar is null or contains(batch_id, $batch))
  and ($min_amount::varchar is null or amount_at_risk >= $min_amount::decimal(18, 4))
order by merchant_id, period, position
