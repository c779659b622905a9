-- Refunds of more than their redemption, as the replay found them: one row per finding.
--
-- severity: error
-- version: 1
-- means: A refund gives back more than is left to give back of its redemption. What is too much moves nothing.
-- do: Compare both amounts at the source. If the member is owed the rest, issue it as a credit with its own reason.
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
where finding.finding = 'refund_exceeds_redemption'
