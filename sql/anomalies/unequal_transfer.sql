-- Transfers whose halves differ, as the replay found them: one row per finding.
--
-- severity: error
-- version: 1
-- means: What went out of one balance type is not what came into the other, in amount or in unit.
-- do: Correct the difference with an adjustment, once it is known which half is right.
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
where finding.finding = 'unequal_transfer'
