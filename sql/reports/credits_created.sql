-- Credits issued in each period, as they stand at its as_of: one row per credit.
with issued as (
  select period.*, movement.credit_id, movement.occurred_at
  from settings.periods as period
  join facts.movements as movement
    on movement.merchant_id = period.merchant_id
    and movement.movement_type = 'created'
    and movement.occurred_at >= period.starts_at
    and movement.occurred_at < period.cutoff
),

-- A movement tells its credit's state until the credit's next one.
state as (
  select issued.merchant_id, issued.period, issued.credit_id, movement.remaining, movement.expires_at
  from issued
  join facts.movements as movement
    on movement.merchant_id = issued.merchant_id
    and movement.credit_id = issued.credit_id
    and movement.occurred_at < issued.as_of
    and (movement.valid_until is null or movement.valid_until >= issued.as_of)
)

select
  issued.merchant_id,
  issued.period,
  row_number() over (
    partition by issued.merchant_id, issued.period order by credit.issued_at, credit.credit_id
  ) as position,
  credit.credit_id,
  credit.system as type,
  credit.member_id as user_id,
  member.email,
  member.first_name,
  member.last_name,
  credit.original_amount as amount,
  as_local(credit.issued_at, issued.timezone) as created_at,
  as_local(credit.issued_at, 'UTC') as created_at_utc,
  credit.reason,
  credit.reason_details,
  credit.internal_note,
  credit.creator,
  coalesce(state.expires_at < issued.as_of, false) as is_expired,
  as_local(state.expires_at, issued.timezone) as expires_at,
  state.remaining as amount_remaining,
  credit.unit,
  credit.balance_type,
  credit.credit_type,
  credit.batch_id,
  credit.location,
  credit.decimals
from issued
-- A credit opens when it is created: said, so that credits of other times need not be looked through.
join facts.credits as credit
  on credit.merchant_id = issued.merchant_id
  and credit.credit_id = issued.credit_id
  and credit.opened_at = issued.occurred_at
join state
  on state.merchant_id = issued.merchant_id and state.period = issued.period and state.credit_id = issued.credit_id
left join ledger.members as member
  on member.merchant_id = credit.merchant_id and member.member_id = credit.member_id
