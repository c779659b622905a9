-- Movements come to what the entries say, less what moved nothing and what expired: one row per account where not.
--
-- What moved nothing is in a finding with its amount. Entries that only assert an expiry are the exception: they move
-- nothing and are no finding. To which account an entry belongs is worked out here a second time, from the ledger.
with mine as not materialized (
  select
    entries.*,
    case when balance_type is null then credit_id end as credit_to_ask,
    case when balance_type is null and entry_type = 'refunded' then redemption_id end as redemption_to_ask
  from stale_entries as entries
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

said as (
  select
    mine.merchant_id,
    mine.member_id,
    coalesce(
      mine.balance_type,
      if(credit.member_id = mine.member_id, credit.balance_type, null),
      case
        when redeemed.member_id <> mine.member_id then null
        when redeemed.balance_type is not null then redeemed.balance_type
        when redeemed_from.member_id = mine.member_id then redeemed_from.balance_type
      end,
      'default'
    ) as balance_type,
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
  left join facts.credits as credit
    on credit.merchant_id = mine.merchant_id and credit.credit_id = mine.credit_to_ask
  left join (select * from ledger.entries where entry_type = 'redeemed') as redeemed
    on redeemed.merchant_id = mine.merchant_id and redeemed.redemption_id = mine.redemption_to_ask
  left join facts.credits as redeemed_from
    on redeemed_from.merchant_id = redeemed.merchant_id and redeemed_from.credit_id = redeemed.credit_id
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
