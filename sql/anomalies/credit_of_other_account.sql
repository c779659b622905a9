-- Entries that name a credit of another account, as the replay found them: one row per finding.
--
-- severity: error
-- version: 1
-- means: An entry names a credit that another member, or another balance type, holds. It moves nothing.
-- do: Find out whose entry it is, and send it again under a new id with the right member or credit.
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
where finding.finding = 'credit_of_other_account'
