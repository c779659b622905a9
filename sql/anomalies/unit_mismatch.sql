-- Entries with more decimals than their unit has, as the replay found them: one row per finding.
--
-- severity: error
-- version: 1
-- means: Which unit an entry is in was only known when it was replayed, and its amount is finer than that unit. It moves
--   nothing.
-- do: Correct the amount at the source and send it again under a new id.
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
where finding.finding = 'unit_mismatch'
