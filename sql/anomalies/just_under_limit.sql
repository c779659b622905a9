-- Creators many of whose credits are just under the approval limit: one row per creator and period.
--
-- severity: warning
-- version: 1
-- settings: approval_limit
-- thresholds: just_under_credits = 10, just_under_percent = 30, just_under_band_percent = 5
-- means: Of at least so many credits that a person created in the period, in the merchant's currency, at least so many
--   percent are in the top percent below approval_limit, where no approval is needed.
-- do: Look at what these credits were for. A price that happens to be there is a good explanation.
with told as (
  select
    period.merchant_id,
    period.period,
    person(credit.creator) as creator_key,
    credit.creator,
    credit.entry_id,
    credit.amount,
    credit.unit,
    credit.decimals,
    merchant.approval_limit,
    credit.amount <= merchant.approval_limit
      and 100 * credit.amount >= merchant.approval_limit * (100 - limits.just_under_band_percent) as is_just_under,
    limits
  from settings.periods as period
  join settings.merchants as merchant on merchant.merchant_id = period.merchant_id
  join settings.thresholds as limits on limits.merchant_id = period.merchant_id
  join facts.credits as credit
    on credit.merchant_id = period.merchant_id
    and credit.entry_type = 'created'
    and credit.unit = merchant.currency
    and credit.opened_at >= period.starts_at
    and credit.opened_at < period.cutoff
  where merchant.approval_limit is not null and credit.creator is not null
)

select
  merchant_id,
  period,
  list(entry_id) filter (is_just_under) as entry_ids,
  any_value(unit) as unit,
  sum(amount) filter (is_just_under)::decimal(38, 4) as amount_at_risk,
  percent(count(*) filter (is_just_under), count(*)) as observed,
  percent(any_value(limits.just_under_percent), 100) as threshold,
  min(creator) || ' created ' || counted(count(*), 'credit', 'credits') || ', and '
  || count(*) filter (is_just_under) || ' of them (' || percent(count(*) filter (is_just_under), count(*))
  || ') are in the top ' || percent(any_value(limits.just_under_band_percent), 100) || ' below the limit of '
  || shown_with_unit(any_value(approval_limit), any_value(decimals), any_value(unit)) || '.' as explanation
from told
group by merchant_id, period, creator_key
having count(*) >= any_value(limits.just_under_credits)
  and count(*) filter (is_just_under) > 0
  and 100 * count(*) filter (is_just_under) >= any_value(limits.just_under_percent) * count(*)
