-- How far a merchant's entries reach, and what their replay depends on: one row per merchant with entries.
--
-- The replay is a pure function of the entries and these policies: where the policies differ from what was replayed,
-- all of the merchant is replayed afresh. `rules` is raised whenever the replay itself comes to mean something else.
with units as (
  select
    merchant_id,
    string_agg(balance_type || '=' || unit || '/' || decimals, ' ' order by balance_type) as units
  from settings.balance_types
  group by merchant_id
)

select
  merchant_id,
  reach.through_event,
  json_object(
    'rules', 1,
    'timezone', timezone,
    'draw_order', draw_order,
    'refund_grace_days', refund_grace_days,
    'units', units
  )::varchar as policies
from settings.merchants
join units using (merchant_id)
join (
  select merchant_id, max(event) as through_event from ledger.entries group by merchant_id
) as reach using (merchant_id)
