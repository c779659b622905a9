-- Members with entries in the period whom no members file has: one row per member, or one where no member is known.
--
-- severity: warning
-- version: 1
-- means: Entries name a member who is in no members file, so that the sheets have neither name nor email. Where no members
--   file has come at all, that is one flag and not one for each member.
-- do: Ask the source for the member. An id that nobody has at the source is an account that nobody owns.
with known as (
  select distinct merchant_id from ledger.members
),

theirs as (
  select
    period.period, entry.merchant_id, entry.entry_id, entry.entry_type, entry.member_id, entry.balance_type,
    entry.credit_id, entry.amount
  from settings.periods as period
  join ledger.entries as entry
    on entry.merchant_id = period.merchant_id
    and entry.occurred_at >= period.starts_at
    and entry.occurred_at < period.cutoff
  anti join ledger.members as member
    on member.merchant_id = entry.merchant_id and member.member_id = entry.member_id
),

strangers as (
  select
    entry.merchant_id,
    entry.period,
    if(known.merchant_id is null, null, entry.member_id) as member_id,
    coalesce(kind.unit, '') as unit,
    any_value(kind.decimals) as decimals,
    list(entry.entry_id) as entry_ids,
    count(distinct entry.member_id) as members,
    sum(if(entry.entry_type in ('created', 'opening'), entry.amount, 0)) as credited
  from theirs as entry
  left join known on known.merchant_id = entry.merchant_id
  left join accounts_of('theirs') as accounts
    on accounts.merchant_id = entry.merchant_id and accounts.entry_id = entry.entry_id
  left join settings.balance_types as kind
    on kind.merchant_id = entry.merchant_id
    and kind.balance_type = coalesce(entry.balance_type, accounts.balance_type, 'default')
  group by all
)

select
  merchant_id,
  period,
  member_id,
  if(member_id is null, null, entry_ids) as entry_ids,
  unit,
  credited::decimal(38, 4) as amount_at_risk,
  case
    when member_id is null then
      'No members file has come: ' || counted(members, 'member', 'members') || ' with '
      || counted(len(entry_ids), 'entry', 'entries') || ' in ' || unit || ' have neither name nor email.'
    else
      'Member ' || member_id || ' is in no members file, and has ' || counted(len(entry_ids), 'entry', 'entries')
      || ' here; ' || shown_with_unit(credited, decimals, unit) || ' was credited.'
  end as explanation
from strangers
