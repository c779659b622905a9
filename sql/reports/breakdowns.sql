-- The roll-forward of each period by origin of the credit: one row per unit, dimension and value of it.
--
-- What no credit covered has no origin, and is "Overdrawn"; what has an origin that says nothing is "(none)". A reason or
-- credit type that says Overdrawn, as of credit that makes up for it, is in quotes: what is owed and what is lacking
-- would be one row.
-- What had nothing when the period began and did not move in it is left out.
with flows as (
  unpivot (
    select
      merchant_id,
      period,
      unit,
      flow,
      movement_type,
      amount,
      if(overdrawn, 'Overdrawn', coalesce(if(reason = 'Overdrawn', '"Overdrawn"', reason), '(none)')) as reason,
      if(
        overdrawn, 'Overdrawn', coalesce(if(credit_type = 'Overdrawn', '"Overdrawn"', credit_type), '(none)')
      ) as credit_type,
      balance_type,
      if(overdrawn, 'Overdrawn', coalesce(creator, '(none)')) as creator
    from reports.flows
    where flow <> 'after'
  )
  on reason, credit_type, balance_type, creator
  into name dimension value value
)

select
  merchant_id,
  period,
  unit,
  dimension,
  value,
  coalesce(sum(amount) filter (flow = 'before'), 0)::decimal(38, 4) as opening_balance,
  coalesce(sum(amount) filter (flow = 'within' and movement_type = 'created'), 0)::decimal(38, 4) as created,
  coalesce(sum(amount) filter (flow = 'within' and movement_type = 'redeemed'), 0)::decimal(38, 4) as redeemed,
  coalesce(sum(amount) filter (flow = 'within' and movement_type = 'refunded'), 0)::decimal(38, 4) as refunded,
  coalesce(sum(amount) filter (flow = 'within' and movement_type = 'expired'), 0)::decimal(38, 4) as expired,
  coalesce(sum(amount) filter (
    flow = 'within' and movement_type not in ('created', 'redeemed', 'refunded', 'expired')
  ), 0)::decimal(38, 4) as adjusted,
  coalesce(sum(amount), 0)::decimal(38, 4) as closing_balance
from flows
group by all
having count(*) filter (flow = 'within') > 0 or sum(amount) <> 0
