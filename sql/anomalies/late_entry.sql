-- Entries that came after their month was published: one row per entry.
--
-- severity: warning
-- version: 1
-- means: The entry belongs to a month whose workbook had been published when it came. That workbook does not have it; a
--   newer version does.
-- do: Tell whoever closed the month on the first version, and find out why the source was late.
with months as (
  select merchant_id, period as month, min(recorded_at) as published_at
  from ledger.published
  where is_final
  group by all
),

-- When a month begins and ends is for the timezone to say that holds now: versions from before a restatement may have
-- been of another, and an entry is of one month only.
published as (
  select
    months.*,
    as_utc((month || '-01')::timestamp, merchant.timezone) as starts_at,
    as_utc((month || '-01')::timestamp + interval 1 month, merchant.timezone) as ends_at
  from months
  join settings.merchants as merchant using (merchant_id)
),

late as (
  select published.month, entry.*
  from published
  join ledger.entries as entry
    on entry.merchant_id = published.merchant_id
    and entry.recorded_at > published.published_at
    and entry.occurred_at >= published.starts_at
    and entry.occurred_at < published.ends_at
)

select
  period.merchant_id,
  period.period,
  late.member_id,
  if(late.entry_type in ('opening', 'created', 'transferred_in'), late.credit_id, null) as credit_id,
  [late.entry_id] as entry_ids,
  kind.unit,
  late.amount::decimal(38, 4) as amount_at_risk,
  'Entry ' || late.entry_id || ' (' || replace(late.entry_type, '_', ' ') || ', '
  || shown_with_unit(late.amount, coalesce(kind.decimals, 4), coalesce(kind.unit, '')) || ') of '
  || as_local(late.occurred_at, period.timezone)::date || ' came after ' || late.month || ' had been published.'
    as explanation
from settings.periods as period
join late
  on late.merchant_id = period.merchant_id
  and late.occurred_at >= period.starts_at
  and late.occurred_at < period.cutoff
left join accounts_of('late') as accounts
  on accounts.merchant_id = late.merchant_id and accounts.entry_id = late.entry_id
left join settings.balance_types as kind
  on kind.merchant_id = late.merchant_id
  and kind.balance_type = coalesce(late.balance_type, accounts.balance_type, 'default')
