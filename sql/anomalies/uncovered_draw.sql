-- Draws that no credit covers, as the replay found them: one row per finding.
--
-- severity: error
-- version: 1
-- means: A redemption, deduction or transfer took more than the account, or the credit that it names, had. The rest is
--   reported as overdrawn: the merchant gave away what nobody was owed.
-- do: Look for a credit that the source has and has not sent, or a redemption that it sent twice. Where neither is so,
--   collect the amount or issue a credit for it.
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
where finding.finding = 'uncovered_draw'
