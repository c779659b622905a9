-- Expiries that the source states otherwise, as the replay found them: one row per finding.
--
-- severity: error
-- version: 1
-- means: What the source says has expired of a credit is not what its expires_at and its movements make of it.
-- do: Compare the credit's history with the source: an order, a refund or an extension is missing on one side.
select
  period.merchant_id,
  period.period,
  finding.member_id,
  finding.credit_id,
  [finding.entry_id] as entry_ids,
  finding.unit,
  finding.amount::decimal(38, 4) as amount_at_risk,
  finding.explanation
from settings.periods as period
join facts.findings as finding
  on finding.merchant_id = period.merchant_id
  and finding.occurred_at >= period.starts_at
  and finding.occurred_at < period.cutoff
where finding.finding = 'expiry_mismatch'
