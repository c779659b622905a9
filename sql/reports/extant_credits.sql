-- Credits with something left at each period's as_of, whenever they were created: one row per credit.
--
-- A movement tells its credit's state until the credit's next one: the last movements of credits, and those whose next
-- one is not yet. Asked for one after the other, since DuckDB then reads no other movements.
with extant as materialized (
  select period.*, movement.credit_id, movement.remaining, movement.expires_at as expires_at_utc
  from settings.periods as period
  join facts.movements as movement
    on movement.merchant_id = period.merchant_id and movement.occurred_at < period.as_of
  where movement.remaining > 0 and movement.valid_until is null
  union all
  select period.*, movement.credit_id, movement.remaining, movement.expires_at
  from settings.periods as period
  join facts.movements as movement
    on movement.merchant_id = period.merchant_id
    and movement.occurred_at < period.as_of
    and movement.valid_until >= period.as_of
  where movement.remaining > 0
),

-- Asked for by their ids alone, of a query with a condition: DuckDB then reads only the credits that may have them.
credits as (
  from facts.credits where credit_id in (select credit_id from extant where credit_id is not null)
)

select
  extant.merchant_id,
  extant.period,
  row_number() over (
    partition by extant.merchant_id, extant.period order by credit.issued_at, credit.credit_id
  ) as position,
  credit.credit_id,
  credit.system as type,
  credit.member_id as user_id,
  member.email,
  member.first_name,
  member.last_name,
  credit.original_amount as amount,
  as_local(credit.issued_at, extant.timezone) as created_at,
  as_local(credit.issued_at, 'UTC') as created_at_utc,
  credit.reason,
  credit.reason_details,
  credit.internal_note,
  credit.creator,
  coalesce(extant.expires_at_utc < extant.as_of, false) as is_expired,
  as_local(extant.expires_at_utc, extant.timezone) as expires_at,
  extant.remaining as amount_remaining,
  credit.unit,
  credit.balance_type,
  credit.credit_type,
  credit.batch_id,
  credit.location,
  credit.decimals
from extant
join credits as credit using (merchant_id, credit_id)
left join ledger.members as member
  on member.merchant_id = credit.merchant_id and member.member_id = credit.member_id
