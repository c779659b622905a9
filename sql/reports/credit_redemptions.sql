-- What was redeemed in each period, and from which credit: one row per redemption and credit it drew on.
--
-- What no credit covered is a row without a source credit.
with moved as materialized (
  select period.period, period.timezone, movement.*
  from settings.periods as period
  join facts.movements as movement
    on movement.merchant_id = period.merchant_id
    and movement.movement_type = 'redeemed'
    and movement.occurred_at >= period.starts_at
    and movement.occurred_at < period.cutoff
),

-- Asked for by their ids alone, of a query with a condition: DuckDB then reads only the credits that may have them.
credits as (
  from facts.credits where credit_id in (select credit_id from moved where credit_id is not null)
)

select
  moved.merchant_id,
  moved.period,
  row_number() over (
    partition by moved.merchant_id, moved.period order by moved.occurred_at, moved.id, moved.part
  ) as position,
  moved.movement_id as redemption_id,
  moved.credit_id as source_credit_id,
  credit.reason as source_credit_reason,
  credit.creator as source_credit_creator,
  credit.system as source_credit_type,
  moved.member_id as user_id,
  member.email,
  member.first_name,
  member.last_name,
  moved.amount,
  as_local(moved.occurred_at, moved.timezone) as redeemed_at,
  as_local(moved.occurred_at, 'UTC') as redeemed_at_utc,
  moved.unit,
  moved.balance_type,
  kind.decimals
from moved
join settings.balance_types as kind
  on kind.merchant_id = moved.merchant_id and kind.balance_type = moved.balance_type
left join credits as credit
  on credit.merchant_id = moved.merchant_id and credit.credit_id = moved.credit_id
left join ledger.members as member
  on member.merchant_id = moved.merchant_id and member.member_id = moved.member_id
