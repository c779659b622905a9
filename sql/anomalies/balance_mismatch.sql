-- Balances that a source states and the ledger does not have: one row per stated balance that differs.
--
-- severity: error
-- version: 1
-- means: At the start of a day the source says that an account held one amount, and the movements in the ledger come to
--   another. Such a balance is checked, never booked. It belongs to the period that had begun before it, and had not
--   ended before it.
-- do: Look at the account's history (`rollforward history MEMBER`) beside the source's: an entry is missing, or was sent
--   with another amount.
with stated as materialized (
  select period.period, period.starts_at, balance.*
  from settings.periods as period
  join ledger.balances as balance
    on balance.merchant_id = period.merchant_id
    and balance.as_of > period.starts_at
    and balance.as_of <= period.cutoff
),

-- The balance after each instant at which an account moved. One running sum, so that it does not matter how often an
-- account is asked about.
moved as (
  select
    merchant_id,
    member_id,
    balance_type,
    occurred_at,
    max_by(entry_id, sequence) as entry_id,
    max_by(credit_id, sequence) as credit_id,
    sum(sum(signed_amount)) over (
      partition by merchant_id, member_id, balance_type order by occurred_at
    ) as balance
  from facts.movements
  where (merchant_id, member_id) in (select (merchant_id, member_id) from stated)
  group by merchant_id, member_id, balance_type, occurred_at
),

compared as (
  select
    stated.*,
    coalesce(moved.balance, 0) as held,
    moved.entry_id,
    if(moved.entry_id is null and moved.occurred_at >= stated.starts_at, moved.credit_id, null) as credit_id
  from stated
  asof left join moved
    on moved.merchant_id = stated.merchant_id
    and moved.member_id = stated.member_id
    and moved.balance_type = stated.balance_type
    and stated.as_of > moved.occurred_at
)

select
  compared.merchant_id,
  compared.period,
  compared.member_id,
  -- The account's last entry before; where credit has expired in the period since, that credit.
  compared.credit_id,
  if(compared.entry_id is null, null, [compared.entry_id]) as entry_ids,
  kind.unit,
  abs(compared.balance - held)::decimal(38, 4) as amount_at_risk,
  shown(compared.balance, kind.decimals) as observed,
  shown(held, kind.decimals) as threshold,
  'The source says that member ' || compared.member_id || ' held '
  || shown_with_unit(compared.balance, kind.decimals, kind.unit) || ' (' || compared.balance_type
  || ') at the start of ' || compared.as_of_day || ', but the ledger has '
  || shown_with_unit(held, kind.decimals, kind.unit) || '; that is '
  || shown_with_unit(abs(compared.balance - held), kind.decimals, kind.unit)
  || if(compared.balance > held, ' less.', ' more.') as explanation
from compared
join settings.balance_types as kind using (merchant_id, balance_type)
where compared.balance <> held
