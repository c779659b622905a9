-- What changed balances in each period and is no issue, redemption, refund or expiry: one row per movement.
with moved as materialized (
  select period.period, period.timezone, movement.*
  from settings.periods as period
  join facts.movements as movement
    on movement.merchant_id = period.merchant_id
    and movement.movement_type in ('opening', 'deducted', 'reversed', 'transferred_out', 'transferred_in')
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
  moved.movement_id,
  moved.movement_type,
  moved.credit_id as source_credit_id,
  credit.reason as source_credit_reason,
  credit.creator as source_credit_creator,
  credit.system as source_credit_type,
  moved.member_id as user_id,
  member.email,
  member.first_name,
  member.last_name,
  moved.signed_amount as amount,
  as_local(moved.occurred_at, moved.timezone) as adjusted_at,
  as_local(moved.occurred_at, 'UTC') as adjusted_at_utc,
  entry.reason,
  entry.internal_note,
  name_and_email(entry.creator_name, entry.creator_email) as creator,
  moved.unit,
  moved.balance_type,
  kind.decimals
from moved
join ledger.entries as entry
  on entry.merchant_id = moved.merchant_id and entry.entry_id = moved.entry_id
join settings.balance_types as kind
  on kind.merchant_id = moved.merchant_id and kind.balance_type = moved.balance_type
left join credits as credit
  on credit.merchant_id = moved.merchant_id and credit.credit_id = moved.credit_id
left join ledger.members as member
  on member.merchant_id = moved.merchant_id and member.member_id = moved.member_id
