-- Every credit that carries the batch's id, with what has become of it by $at: one row per credit.
with moved as (
  select
    movement.merchant_id,
    movement.credit_id,
    coalesce(-sum(movement.signed_amount) filter (where movement.movement_type in ('redeemed', 'refunded')), 0)
      as used,
    coalesce(sum(movement.amount) filter (where movement.movement_type = 'deducted'), 0) as deducted,
    coalesce(sum(movement.amount) filter (where movement.movement_type = 'reversed'), 0) as reversed,
    arg_max(movement.remaining, movement.sequence) as remaining,
    -- The latest word, which may be that it never expires: arg_max would pass that over.
    arg_max_null(movement.expires_at, movement.sequence) as expires_at
  from facts.movements as movement
  where
    movement.merchant_id = $merchant_id
    and movement.occurred_at <= $at
    and movement.credit_id in (
      select credit_id from facts.credits where merchant_id = $merchant_id and batch_id = $batch_id
    )
  group by all
)

select
  credit.credit_id,
  credit.member_id,
  member.email,
  nullif(concat_ws(' ', member.first_name, member.last_name), '') as name,
  credit.balance_type,
  credit.unit,
  credit.entry_type,
  credit.amount,
  moved.used::decimal(38, 4) as used,
  moved.deducted::decimal(38, 4) as deducted,
  moved.reversed::decimal(38, 4) as reversed,
  moved.remaining,
  moved.expires_at,
  credit.opened_at,
  credit.issued_at,
  credit.priority,
  credit.credit_type,
  credit.reason,
  credit.reason_details,
  credit.internal_note,
  credit.location,
  credit.system,
  coalesce(operation.kind = 'adjust-batch', false) as is_raise
from moved
join facts.credits as credit
  on credit.merchant_id = moved.merchant_id and credit.credit_id = moved.credit_id
join ledger.entries as entry
  on entry.merchant_id = credit.merchant_id and entry.entry_id = credit.entry_id
left join ledger.operations as operation
  on operation.merchant_id = entry.merchant_id
  and operation.operation_id = entry.operation_id
  and operation.status = 'processed'
left join ledger.members as member
  on member.merchant_id = credit.merchant_id and member.member_id = credit.member_id
order by credit.member_id, credit.issued_at, credit.credit_id
