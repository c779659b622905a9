-- How far a merchant's entries reach, and what their replay depends on: one row per merchant with entries.
--
-- The replay is a pure function of the entries and these policies: where the policies differ from what was replayed,
-- all of the merchant is replayed afresh. `rules` is raised whenever the replay itself comes to mean something else; the
-- timezone's are others where a release of tzdata has a country's new law, and the days of movements with them.
with units as (
  select
    merchant_id,
    string_agg(balance_type || '=' || unit || '/' || decimals, ' ' order by balance_type) as units
  from settings.balance_types
  group by merchant_id
),

-- As far as before, unless entries have come since.
reach as (
  select merchant_id, max(through_event) as through_event
  from (
    select merchant_id, through_event from facts.replayed
    union all
    select entries.merchant_id, entries.event
    from ledger.entries as entries
    join (
      select merchant_id, coalesce(before.through_event, 0) as through_event
      from settings.merchants
      left join facts.replayed as before using (merchant_id)
    ) as known
      on known.merchant_id = entries.merchant_id and entries.event > known.through_event
  )
  group by merchant_id
)

select
  merchant_id,
  reach.through_event,
  json_object(
    'rules', 1,
    'timezone', timezone,
    'timezone_rules', timezone_rules,
    'draw_order', draw_order,
    'refund_grace_days', refund_grace_days,
    'units', units
  )::varchar as policies
from settings.merchants
join units using (merchant_id)
join reach using (merchant_id)
