-- Entries that a source told again with other content, in the period in which that came: one row per rejected row.
--
-- severity: error
-- version: 1
-- means: A file had an entry that the ledger knows, with another amount, time or text. The ledger keeps what came first:
--   sources do rewrite history, and books that were closed on it would no longer be right.
-- do: Ask the source why it changed. If the new content is right, have the difference sent as an entry of its own.
with changed as (
  select entry.*
  from ledger.entries as entry
  semi join (
    select merchant_id, row_id as entry_id
    from ledger.rejected_rows
    where dataset = 'entries' and reason = 'entry_changed'
  ) using (merchant_id, entry_id)
)

select
  period.merchant_id,
  period.period,
  entry.member_id,
  if(entry.entry_type in ('opening', 'created', 'transferred_in'), entry.credit_id, null) as credit_id,
  [rejected.row_id] as entry_ids,
  kind.unit,
  entry.amount::decimal(38, 4) as amount_at_risk,
  'Entry ' || rejected.row_id || ' came again with other content; the ledger keeps '
  || shown_with_unit(entry.amount, coalesce(kind.decimals, 4), coalesce(kind.unit, '')) || ' of '
  || as_local(entry.occurred_at, period.timezone)::date || ', as it came first.' as explanation
from settings.periods as period
join ledger.rejected_rows as rejected
  on rejected.merchant_id = period.merchant_id
  and rejected.rejected_at >= period.starts_at
  -- Not until as_of: what a run of a month that goes on takes in comes after its as_of, and is no less wrong.
  and rejected.rejected_at < period.ends_at
join changed as entry
  on entry.merchant_id = rejected.merchant_id and entry.entry_id = rejected.row_id
left join accounts_of('changed') as accounts
  on accounts.merchant_id = entry.merchant_id and accounts.entry_id = entry.entry_id
left join settings.balance_types as kind
  on kind.merchant_id = entry.merchant_id
  and kind.balance_type = coalesce(entry.balance_type, accounts.balance_type, 'default')
where rejected.dataset = 'entries' and rejected.reason = 'entry_changed'
