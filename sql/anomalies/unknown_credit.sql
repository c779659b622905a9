-- Entries that name a credit which is not there, as the replay found them: one row per finding.
--
-- severity: error
-- version: 1
-- means: An entry names a credit that is not in the ledger, or not yet at that time. A draw is then uncovered; anything
--   else moves nothing.
-- do: Ask the source for the credit. When it comes, the entry takes effect by itself.
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
where finding.finding = 'unknown_credit'
