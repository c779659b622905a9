-- Credits that together exceed the approval limit and one by one do not: one row per creator, member and period.
--
-- severity: warning
-- version: 1
-- settings: approval_limit
-- thresholds: split_days = 7
-- means: Within so many days one person gave one member two or more credits, none above approval_limit and together above
--   it. Shown is the largest such sum that ends in the period. Credits of a batch per student or enrollment are left out:
--   there several to a family are meant.
-- do: Look whether it was one matter. If so, it needed approval.
with small as materialized (
  select
    credit.merchant_id,
    person(credit.creator) as creator_key,
    credit.creator,
    credit.member_id,
    credit.entry_id,
    credit.credit_id,
    credit.opened_at,
    credit.amount,
    credit.unit,
    credit.decimals,
    merchant.approval_limit,
    limits.split_days
  from facts.credits as credit
  join settings.merchants as merchant
    on merchant.merchant_id = credit.merchant_id
    and credit.unit = merchant.currency
    and credit.amount <= merchant.approval_limit
  join settings.thresholds as limits on limits.merchant_id = credit.merchant_id
  left join ledger.batches as batch
    on batch.merchant_id = credit.merchant_id and batch.batch_id = credit.batch_id
  where credit.entry_type = 'created'
    and credit.creator is not null
    and coalesce(batch.issued_as, '') not in ('student', 'enrollment')
),

running as (
  select
    *,
    sum(amount) over recent as together,
    count(*) over recent as credits
  from small
  window recent as (
    partition by merchant_id, creator_key, member_id order by opened_at
    range between to_days(split_days::integer) preceding and current row
  )
),

largest as (
  select
    period.merchant_id,
    period.period,
    running.creator_key,
    running.member_id,
    min(running.creator) as creator,
    any_value(running.unit) as unit,
    any_value(running.decimals) as decimals,
    any_value(running.approval_limit) as approval_limit,
    any_value(running.split_days) as split_days,
    max(running.together) as together,
    arg_max(running.opened_at, (running.together, running.opened_at)) as last_at
  from settings.periods as period
  join running
    on running.merchant_id = period.merchant_id
    and running.opened_at >= period.starts_at
    and running.opened_at < period.cutoff
    and running.credits > 1
    and running.together > running.approval_limit
  group by period.merchant_id, period.period, running.creator_key, running.member_id
)

select
  largest.merchant_id,
  largest.period,
  largest.member_id,
  arg_max(small.credit_id, (small.opened_at, small.entry_id)) as credit_id,
  list(small.entry_id) as entry_ids,
  any_value(largest.unit) as unit,
  largest.together::decimal(38, 4) as amount_at_risk,
  shown(largest.together, any_value(largest.decimals)) as observed,
  shown(any_value(largest.approval_limit), any_value(largest.decimals)) as threshold,
  any_value(largest.creator) || ' gave member ' || largest.member_id || ' '
  || count(*) || ' credits within ' || counted(any_value(largest.split_days), 'day', 'days') || ', together '
  || shown_with_unit(largest.together, any_value(largest.decimals), any_value(largest.unit)) || '; each is within the limit of '
  || shown_with_unit(any_value(largest.approval_limit), any_value(largest.decimals), any_value(largest.unit)) || '.'
    as explanation
from largest
join small
  on small.merchant_id = largest.merchant_id
  and small.creator_key = largest.creator_key
  and small.member_id = largest.member_id
  and small.opened_at <= largest.last_at
  and small.opened_at >= largest.last_at - to_days(largest.split_days::integer)
group by largest.merchant_id, largest.period, largest.creator_key, largest.member_id, largest.together
