-- Credits with something left at each period's as_of, whenever they were created: one row per credit.
with extant as (
  -- A movement tells its credit's state until the credit's next one.
  select period.*, movement.credit_id, movement.remaining, movement.expires_at as expires_at_utc
  from settings.periods as period
  join facts.movements as movement
    on movement.merchant_id = period.merchant_id
    and movement.occurred_at < period.as_of
    and (movement.valid_until is null or movement.valid_until >= period.as_of)
  where movement.remaining > 0
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
join facts.credits as credit using (merchant_id, credit_id)
left join ledger.members as member
  on member.merchant_id = credit.merchant_id and member.member_id = credit.member_id
