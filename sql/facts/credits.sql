-- Credits that the new entries bring: one row per credit.
select
  e.merchant_id,
  e.credit_id,
  e.member_id,
  coalesce(e.balance_type, 'default') as balance_type,
  e.entry_id,
  e.entry_type,
  e.system,
  kind.unit,
  kind.decimals::bigint as decimals,
  e.amount,
  if(e.entry_type = 'created', e.amount, coalesce(e.original_amount, e.amount)) as original_amount,
  e.occurred_at as opened_at,
  if(e.entry_type = 'created', e.occurred_at, coalesce(e.issued_at, e.occurred_at)) as issued_at,
  e.expires_at,
  e.priority,
  e.transfer_id,
  e.batch_id,
  e.credit_type,
  e.reason,
  e.reason_details,
  e.internal_note,
  name_and_email(e.creator_name, e.creator_email) as creator,
  e.approved_by,
  e.location,
  e.event
from ledger.entries as e
join stale_merchants as merchant
  on merchant.merchant_id = e.merchant_id and e.event > merchant.after_event and e.event <= merchant.through_event
left join settings.balance_types as kind
  on kind.merchant_id = e.merchant_id and kind.balance_type = coalesce(e.balance_type, 'default')
where e.entry_type in ('opening', 'created', 'transferred_in')
