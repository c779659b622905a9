-- Movements come to what the entries say, less what moved nothing and what expired: one row per account where not.
--
-- What moved nothing is in a finding with its amount. Entries that only assert an expiry are the exception: they move
-- nothing and are no finding. To which account an entry belongs is worked out here a second time, from the ledger.
with mine as not materialized (
  select merchant_id, member_id, balance_type, entry_id, entry_type, amount, credit_id, redemption_id
  from stale_entries
),

unmoved as (
  select merchant_id, entry_id, sum(unmoved) as unmoved
  from facts.findings
  semi join stale_members using (merchant_id, member_id)
  where unmoved > 0
  group by merchant_id, entry_id
),

asserts as (
  select merchant_id, entry_id
  from mine
  anti join unmoved using (merchant_id, entry_id)
  anti join (
    select merchant_id, entry_id
    from stale_movements
    where movement_type = 'expired' and not derived
  ) using (merchant_id, entry_id)
  where entry_type = 'expired'
),

-- Entries that leave it to the credit or the redemption that they name.
asking as materialized (
  select
    merchant_id,
    member_id,
    entry_id,
    credit_id as credit_to_ask,
    case when entry_type = 'refunded' then redemption_id end as redemption_to_ask
  from mine
  where balance_type is null and (credit_id is not null or (entry_type = 'refunded' and redemption_id is not null))
),

redeemed as (
  select merchant_id, redemption_id, member_id, balance_type, credit_id
  from mine
  where
    entry_type = 'redeemed'
    and (merchant_id, redemption_id) in (select merchant_id, redemption_to_ask from asking)
),

credits as (
  select merchant_id, credit_id, member_id, balance_type
  from stale_credits
  where (merchant_id, credit_id) in (
    select merchant_id, credit_to_ask from asking
    union all
    select merchant_id, credit_id from redeemed
  )
),

answered as (
  select
    asking.merchant_id,
    asking.entry_id,
    coalesce(
      if(credit.member_id = asking.member_id, credit.balance_type, null),
      redeemed.balance_type,
      if(redeemed_from.member_id = asking.member_id, redeemed_from.balance_type, null)
    ) as balance_type
  from asking
  left join credits as credit
    on credit.merchant_id = asking.merchant_id and credit.credit_id = asking.credit_to_ask
  left join redeemed
    on redeemed.merchant_id = asking.merchant_id
    and redeemed.member_id = asking.member_id
    and redeemed.redemption_id = asking.redemption_to_ask
  left join credits as redeemed_from
    on redeemed_from.merchant_id = redeemed.merchant_id and redeemed_from.credit_id = redeemed.credit_id
),

said as (
  select
    mine.merchant_id,
    mine.member_id,
    coalesce(mine.balance_type, answered.balance_type, 'default') as balance_type,
    sum(
      case
        when mine.entry_type in ('opening', 'created', 'refunded', 'transferred_in') then 1
        when mine.entry_type = 'expiry_changed' then 0
        else -1
      end * (mine.amount - coalesce(unmoved.unmoved, 0))
    ) as amount
  from mine
  anti join asserts using (merchant_id, entry_id)
  left join unmoved using (merchant_id, entry_id)
  left join answered using (merchant_id, entry_id)
  group by all
),

moved as (
  select
    merchant_id,
    member_id,
    balance_type,
    sum(signed_amount) as amount,
    coalesce(sum(amount) filter (derived), 0) as expired
  from stale_movements
  group by all
)

select
  merchant_id,
  member_id,
  balance_type,
  coalesce(said.amount, 0) as entries_say,
  coalesce(moved.expired, 0) as expired,
  coalesce(moved.amount, 0) as movements_say
from said
full join moved using (merchant_id, member_id, balance_type)
where coalesce(moved.amount, 0) <> coalesce(said.amount, 0) - coalesce(moved.expired, 0)
