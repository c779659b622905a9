-- Reversals of more than was left, as the replay found them: one row per finding.
--
-- severity: error
-- version: 1
-- means: A reversal takes back more than its credit had left. What is too much moves nothing: the member has spent it.
-- do: Decide whether to write the difference off, or to collect it.
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
where finding.finding = 'reversal_short'
