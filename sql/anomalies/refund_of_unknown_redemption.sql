-- Refunds of redemptions that the account never had, as the replay found them: one row per finding.
--
-- severity: error
-- version: 1
-- means: A refund names a redemption that this account has not had by then. It moves nothing.
-- do: Ask the source for the redemption, or for the right redemption_id. When the redemption comes, the refund takes
--   effect by itself.
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
where finding.finding = 'refund_of_unknown_redemption'
