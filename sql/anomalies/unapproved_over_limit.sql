-- Credits above the approval limit that nobody else approved: one row per credit.
--
-- severity: error
-- version: 1
-- settings: approval_limit
-- means: A credit above approval_limit, in the merchant's currency, has no approved_by, or was approved by whoever created
--   it, by email or by name.
-- do: Have it approved by somebody else after the fact, or deduct it; and see why the source let it through.
select
  period.merchant_id,
  period.period,
  credit.member_id,
  credit.credit_id,
  credit.batch_id,
  [credit.entry_id] as entry_ids,
  credit.unit,
  credit.amount::decimal(38, 4) as amount_at_risk,
  shown(credit.amount, credit.decimals) as observed,
  shown(merchant.approval_limit, credit.decimals) as threshold,
  'Credit ' || credit.credit_id || ' of ' || shown_with_unit(credit.amount, credit.decimals, credit.unit)
  || ' is above the limit of ' || shown_with_unit(merchant.approval_limit, credit.decimals, credit.unit) || ' and was '
  || if(
    coalesce(trim(credit.approved_by), '') = '',
    'approved by nobody' || coalesce('; ' || credit.creator || ' created it', ''),
    'approved by ' || trim(credit.approved_by) || ', who created it'
  ) || '.' as explanation
from settings.periods as period
join settings.merchants as merchant on merchant.merchant_id = period.merchant_id
join facts.credits as credit
  on credit.merchant_id = period.merchant_id
  and credit.entry_type = 'created'
  and credit.unit = merchant.currency
  and credit.amount > merchant.approval_limit
  and credit.opened_at >= period.starts_at
  and credit.opened_at < period.cutoff
where coalesce(trim(credit.approved_by), '') = ''
  -- It should be an email; a source may put a name there, or a name and an email, as of the creator.
  or person(trim(credit.approved_by)) in (
    person(credit.creator), folded(nullif(regexp_extract(credit.creator, '^([^<>]+)<', 1), ''))
  )
