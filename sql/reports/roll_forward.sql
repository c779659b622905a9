-- Opening balance to closing balance of each period: one row per balance type.
--
-- closing is what the flows add up to; extant is what the credits themselves have left; difference is what lies
-- between them and must be 0.
with balance_types as (
  select period.merchant_id, period.period, kind.balance_type, kind.unit, kind.decimals
  from settings.periods as period
  join settings.balance_types as kind using (merchant_id)
),

flows as (
  select
    merchant_id,
    period,
    balance_type,
    sum(amount) filter (flow = 'before') as opening_balance,
    sum(amount) filter (flow = 'within' and movement_type = 'opening') as opening_entries,
    sum(amount) filter (flow = 'within' and movement_type = 'created') as created,
    sum(amount) filter (flow = 'within' and movement_type = 'refunded') as refunded,
    sum(amount) filter (flow = 'within' and movement_type = 'transferred_in') as transferred_in,
    sum(amount) filter (flow = 'within' and movement_type = 'redeemed') as redeemed,
    sum(amount) filter (flow = 'within' and movement_type = 'expired') as expired,
    sum(amount) filter (flow = 'within' and movement_type = 'deducted') as deducted,
    sum(amount) filter (flow = 'within' and movement_type = 'reversed') as reversed,
    sum(amount) filter (flow = 'within' and movement_type = 'transferred_out') as transferred_out,
    sum(amount) filter (flow <> 'after') as closing_balance,
    sum(amount) filter (flow = 'after') as after_period,
    sum(-amount) filter (overdrawn) as overdrawn
  from reports.flows
  group by all
),

extant as (
  select merchant_id, period, balance_type, sum(amount_remaining) as extant
  from reports.extant_credits
  group by all
)

select
  merchant_id,
  period,
  unit,
  balance_type,
  coalesce(opening_balance, 0)::decimal(38, 4) as opening_balance,
  coalesce(opening_entries, 0)::decimal(38, 4) as opening_entries,
  coalesce(created, 0)::decimal(38, 4) as created,
  coalesce(refunded, 0)::decimal(38, 4) as refunded,
  coalesce(transferred_in, 0)::decimal(38, 4) as transferred_in,
  coalesce(redeemed, 0)::decimal(38, 4) as redeemed,
  coalesce(expired, 0)::decimal(38, 4) as expired,
  coalesce(deducted, 0)::decimal(38, 4) as deducted,
  coalesce(reversed, 0)::decimal(38, 4) as reversed,
  coalesce(transferred_out, 0)::decimal(38, 4) as transferred_out,
  coalesce(closing_balance, 0)::decimal(38, 4) as closing_balance,
  coalesce(after_period, 0)::decimal(38, 4) as after_period,
  coalesce(overdrawn, 0)::decimal(38, 4) as overdrawn,
  coalesce(extant, 0)::decimal(38, 4) as extant,
  (
    coalesce(closing_balance, 0) + coalesce(after_period, 0) - coalesce(extant, 0) + coalesce(overdrawn, 0)
  )::decimal(38, 4) as difference,
  decimals
from balance_types
left join flows using (merchant_id, period, balance_type)
left join extant using (merchant_id, period, balance_type)
