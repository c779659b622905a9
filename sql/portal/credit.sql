-- A credit, where it came from, and what is left of it at $now: one row per credit.
with state as (
  select credit_id, remaining, expires_at
  from facts.movements
  where credit_id = $credit and occurred_at <= $now and (valid_until is null or valid_until > $now)
)

select
  credit.*,
  nullif(concat_ws(' ', member.first_name, member.last_name), '') as name,
  member.email,
  coalesce(state.remaining, 0) as remaining,
  -- What the credit says of itself holds until it has moved; a blank in its state is "never".
  if(state.credit_id is null, credit.expires_at, state.expires_at) as expires_now,
  batch.description as batch_description,
  entry.source_file,
  entry.source_row,
  entry.operation_id,
  entry.recorded_at
from facts.credits as credit
left join state using (credit_id)
left join ledger.members as member on member.member_id = credit.member_id
left join ledger.batches as batch on batch.batch_id = credit.batch_id
left join ledger.entries as entry on entry.entry_id = credit.entry_id
where credit.credit_id = $credit
