-- Every credit that carries the batch's id, with what has become of it by $at: one row per credit.
with recursive adjustments as (
  select entry_id
  from ledger.entries
  where merchant_id = $merchant_id and batch_id = $batch_id and entry_type = 'deducted'
),

moved as (
  select
    movement.merchant_id,
    movement.credit_id,
    coalesce(-sum(movement.signed_amount) filter (where movement.movement_type in ('redeemed', 'refunded')), 0)
      as used,
    -- By what adjusted the batch. What took from the member for another reason is a use of it.
    coalesce(sum(movement.amount) filter (
      where movement.movement_type = 'deducted'
      and movement.entry_id in (from adjustments)
    ), 0) as deducted,
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
),

-- Credits that a transfer made of others of the same member.
transfers as (
  select source.credit_id as source_id, coalesce(made.credit_id, made.entry_id) as credit_id
  from ledger.entries as made
  join ledger.entries as source
    on source.merchant_id = made.merchant_id
    and source.transfer_id = made.transfer_id
    and source.member_id = made.member_id
    and source.entry_type = 'transferred_out'
  where made.merchant_id = $merchant_id and made.entry_type = 'transferred_in'
),

-- Which credit each comes from in the end, whatever transfers are between. Distinct, so that a circle in it has an end.
origins as (
  select credit_id, credit_id as origin
  from facts.credits
  where merchant_id = $merchant_id and batch_id = $batch_id and entry_type <> 'transferred_in'
  union
  select transfers.credit_id, origins.origin
  from origins
  join transfers on transfers.source_id = origins.credit_id
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
  coalesce(operation.kind = 'adjust-batch', false) as is_raise,
  (select min(origins.origin) from origins where origins.credit_id = credit.credit_id) as origin
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
