-- Every movement of each account until now, with the running balance: one row per movement.
--
-- The window is over whole accounts, so that a filter by merchant, member or balance type is one of the movements that
-- it sums; and what belongs to a movement is its member's too, so that the same filter narrows down the joins. A view is
-- read where there are no macros of ours: names and e-mails are put together here as name_and_email does it.
with moved as (
  select
    *,
    sum(signed_amount) over (partition by merchant_id, member_id, balance_type order by sequence) as balance
  from facts.movements
  where occurred_at <= now()
)

select
  moved.merchant_id,
  moved.member_id,
  moved.balance_type,
  moved.occurred_at,
  moved.movement_type,
  moved.movement_id,
  moved.credit_id,
  moved.signed_amount as amount,
  moved.balance::decimal(38, 4) as balance,
  moved.unit,
  coalesce(entry.batch_id, credit.batch_id) as batch_id,
  coalesce(entry.reason, credit.reason) as reason,
  coalesce(entry.reason_details, credit.reason_details) as reason_details,
  entry.internal_note,
  coalesce(entry.creator_name || coalesce(' <' || entry.creator_email || '>', ''), entry.creator_email, credit.creator)
    as creator,
  entry.source_file,
  entry.source_row,
  moved.sequence,
  now() as as_of
from moved
left join ledger.entries as entry
  on entry.merchant_id = moved.merchant_id
  and entry.member_id = moved.member_id
  and entry.entry_id = moved.entry_id
left join facts.credits as credit
  on credit.merchant_id = moved.merchant_id
  and credit.member_id = moved.member_id
  and credit.credit_id = moved.credit_id
