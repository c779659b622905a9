-- Halves of transfers, as the replay found them: one row per finding.
--
-- severity: error
-- version: 1
-- means: A transfer went out and came in nowhere, or the other way round: no other half has its transfer_id.
-- do: Ask the source for the other half.
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
where finding.finding = 'unpaired_transfer'
