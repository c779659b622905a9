-- Refunds to credits that had been taken back, as the replay found them: one row per finding.
--
-- severity: warning
-- version: 1
-- means: A refund went back to a credit from which an amount had been reversed or deducted before. It stays there, and
--   the member can spend it.
-- do: Decide whether the member should keep it; where not, deduct it.
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
where finding.finding = 'refund_after_reversal'
