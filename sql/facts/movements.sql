-- Entries as the kernel takes them, to make movements of: one row per entry of a member to replay.
--
-- What the kernel cannot see within an account is settled here: which account an entry belongs to, whose credit it
-- names, which redemption it gives back, and its place among the entries of the same instant. Credits and redemptions
-- are numbered; a credit's number is also its rank among credits of the same priority and expiry.
with mine as materialized (
  select
    member.member,
    entries.merchant_id,
    entries.member_id,
    entries.balance_type,
    entries.entry_id,
    entries.entry_type,
    entries.occurred_at,
    entries.amount,
    entries.credit_id,
    case when entries.entry_type in ('redeemed', 'refunded') then entries.redemption_id end as redemption_id,
    entries.priority,
    entries.expires_at
  from stale_entries as entries
  join replay_members as member
    on member.merchant_id = entries.merchant_id and member.member_id = entries.member_id
),

credits as materialized (
  select *, row_number() over () - 1 as number
  from (
    select merchant_id, credit_id, member_id, balance_type, issued_at
    from stale_credits
    semi join replay_members using (merchant_id, member_id)
    union all
    -- Those of others that entries name.
    select merchant_id, credit_id, member_id, balance_type, issued_at
    from stale_credits
    semi join (
      from mine where credit_id is not null and entry_type not in ('opening', 'created', 'transferred_in')
    ) using (merchant_id, credit_id)
    anti join replay_members using (merchant_id, member_id)
    order by issued_at, credit_id
  )
),

redemptions as materialized (
  select
    redeemed.member,
    redeemed.redemption_id,
    redeemed.occurred_at,
    coalesce(
      redeemed.balance_type, if(credit.member_id = redeemed.member_id, credit.balance_type, null), 'default'
    ) as balance_type,
    row_number() over () - 1 as number
  from mine as redeemed
  left join credits as credit
    on credit.merchant_id = redeemed.merchant_id and credit.credit_id = redeemed.credit_id
  where
    redeemed.entry_type = 'redeemed'
    and (redeemed.member, redeemed.redemption_id) in (
      select member, redemption_id from mine where entry_type = 'refunded'
    )
),

resolved as (
  select
    mine.member,
    mine.merchant_id,
    coalesce(
      mine.balance_type,
      if(credit.member_id = mine.member_id, credit.balance_type, null),
      if(mine.entry_type = 'refunded', redemption.balance_type, null),
      'default'
    ) as account,
    mine.entry_id,
    mine.entry_type,
    mine.occurred_at,
    mine.amount,
    mine.credit_id,
    mine.redemption_id,
    mine.priority,
    mine.expires_at,
    credit.number as credit,
    credit.member_id = mine.member_id and credit.balance_type = account as owns_credit,
    redemption.number as redemption,
    redemption.balance_type = account as had_redemption,
    redemption.occurred_at = mine.occurred_at as redeemed_now
  from mine
  left join credits as credit on credit.merchant_id = mine.merchant_id and credit.credit_id = mine.credit_id
  left join redemptions as redemption
    on redemption.member = mine.member and redemption.redemption_id = mine.redemption_id
)

-- Narrow types, and units left to be looked up: all entries of a merchant may be here at once.
select
  resolved.member::integer as member,
  resolved.account as balance_type,
  resolved.entry_id,
  (list_position($kinds, resolved.entry_type) - 1)::tinyint as kind,
  resolved.credit_id,
  resolved.redemption_id,
  resolved.occurred_at,
  case resolved.entry_type
    when 'opening' then 1
    when 'created' then 1
    when 'transferred_in' then 1
    when 'expiry_changed' then 2
    when 'refunded' then if(coalesce(resolved.redeemed_now, false), 5, 3)
    when 'redeemed' then 4
    when 'deducted' then 6
    when 'transferred_out' then 7
    when 'reversed' then 8
    else 9
  end::tinyint as place,
  resolved.amount,
  resolved.expires_at,
  resolved.priority,
  case
    when resolved.credit_id is null then $none
    when resolved.credit is null then $unknown
    when resolved.owns_credit then resolved.credit
    else $none
  end::integer as credit,
  coalesce(if(resolved.had_redemption, resolved.redemption, null), $none)::integer as redemption,
  case
    when resolved.amount % [1, 0.1, 0.01, 0.001, 0.0001][kind.decimals + 1]::decimal(5, 4) <> 0 then $wrong_unit
    when not resolved.owns_credit then $other_account
    else $free
  end::tinyint as barred,
  -- 23:59:59 of the local day, so many days after the refund's.
  case
    when resolved.entry_type = 'refunded' and merchant.refund_grace_days > 0 then make_timestamptz(utc_micros(
      (local_micros(epoch_us(resolved.occurred_at), merchant.timezone) // 86400000000 + merchant.refund_grace_days + 1)
      * 86400000000
      - 1000000,
      merchant.timezone
    ))
  end as grace
from resolved
join settings.merchants as merchant on merchant.merchant_id = resolved.merchant_id
left join settings.balance_types as kind
  on kind.merchant_id = resolved.merchant_id and kind.balance_type = resolved.account
