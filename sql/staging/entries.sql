-- Rows of an entries file as typed values, with the first thing wrong with each: one row per well-formed row.
--
-- `problem` is `column:reason`, in the order of the columns as people read them; null means that the row can go in
-- if the ledger agrees (sql/ledger/entry_verdicts.sql). Defaults are applied here, so that the content hash is over what
-- a row means and not over how it was written.
with said as (
  select
    raw.*,
    kind.decimals as stated_decimals,
    finest.decimals as finest_decimals,
    merchant.timezone,
    plain_amount(raw.amount, $decimal_comma) as plain,
    plain_amount(raw.original_amount, $decimal_comma) as plain_original,
    raw.entry_type in ('opening', 'created', 'transferred_in') as opens,
    raw.expires_at is null or raw.expires_at = '0' or coalesce(year_of(raw.expires_at) > 2199, false) as lives_forever
  from staging.raw as raw
  join settings.merchants as merchant on merchant.merchant_id = $merchant_id
  left join settings.balance_types as kind
    on kind.merchant_id = $merchant_id and kind.balance_type = coalesce(raw.balance_type, 'default')
  join (
    select max(decimals) as decimals from settings.balance_types where merchant_id = $merchant_id
  ) as finest on true
),

typed as (
  select
    source_row,
    entry_id,
    entry_type,
    instant_of(occurred_at, timezone) as occurred_at,
    member_id,
    case
      when balance_type is not null then balance_type
      when not opens and (credit_id is not null or (entry_type = 'refunded' and redemption_id is not null)) then null
      else 'default'
    end as balance_type,
    case
      when amount is null then 0
      when is_amount(amount, $decimal_comma) then try_cast(plain as decimal(18, 4))
    end as amount,
    case when opens then coalesce(credit_id, entry_id) else credit_id end as credit_id,
    case when entry_type = 'redeemed' then coalesce(redemption_id, entry_id) else redemption_id end as redemption_id,
    transfer_id,
    batch_id,
    credit_type,
    reason,
    reason_details,
    internal_note,
    creator_name,
    creator_email,
    approved_by,
    location,
    coalesce(try_cast(priority as bigint), 50) as priority,
    case
      when lives_forever then null
      when is_date_alone(expires_at) then end_of_day_of(expires_at, timezone)
      else instant_of(expires_at, timezone)
    end as expires_at,
    instant_of(issued_at, timezone) as issued_at,
    case when is_amount(original_amount, $decimal_comma) then try_cast(plain_original as decimal(18, 4)) end
      as original_amount,
    coalesce(system, 'balance_credit') as system,
    said
  from said
)

select
  typed.* exclude (said),
  case
    when said.merchant_id <> $merchant_id then 'merchant_id:other_merchant'
    when entry_id is null then 'entry_id:missing'
    when entry_type is null then 'entry_type:missing'
    when entry_type not in (
      'opening', 'created', 'redeemed', 'refunded', 'expired', 'deducted', 'reversed',
      'transferred_out', 'transferred_in', 'expiry_changed'
    ) then 'entry_type:unknown_entry_type'
    when said.occurred_at is null then 'occurred_at:missing'
    when occurred_at is null then 'occurred_at:not_a_time'
    when year_of(said.occurred_at) not between 1970 and 2199 then 'occurred_at:year_out_of_range'
    when occurred_at > $recorded_at then 'occurred_at:in_the_future'
    when member_id is null then 'member_id:missing'
    when said.stated_decimals is null then 'balance_type:unknown_balance_type'
    when said.amount is null and entry_type <> 'expiry_changed' then 'amount:missing'
    when not is_amount(said.amount, $decimal_comma) then 'amount:not_an_amount'
    when said.amount[1] = '-' then 'amount:negative'
    when balance_type is null and decimals_of(said.plain) > said.finest_decimals then 'amount:finer_than_any_unit'
    when balance_type is not null and decimals_of(said.plain) > said.stated_decimals then 'amount:too_many_decimals'
    when amount is null then 'amount:too_large'
    when amount = 0 and entry_type <> 'expiry_changed' then 'amount:not_positive'
    when amount <> 0 and entry_type = 'expiry_changed' then 'amount:must_be_zero'
    when said.credit_id is null and entry_type in ('reversed', 'expired', 'expiry_changed') then 'credit_id:missing'
    when said.redemption_id is null and entry_type = 'refunded' then 'redemption_id:missing'
    when not regexp_full_match(said.priority, '-?\d{1,9}') then 'priority:not_a_whole_number'
    when not said.lives_forever and expires_at is null then 'expires_at:not_a_time'
    when not said.lives_forever and year_of(said.expires_at) < 1970 then 'expires_at:year_out_of_range'
    when year_of(said.expires_at) > 2199 and not is_instant(said.expires_at) then 'expires_at:not_a_time'
    when said.issued_at is not null and issued_at is null then 'issued_at:not_a_time'
    when year_of(said.issued_at) not between 1970 and 2199 then 'issued_at:year_out_of_range'
    when not is_amount(said.original_amount, $decimal_comma) then 'original_amount:not_an_amount'
    when said.original_amount[1] = '-' then 'original_amount:negative'
    when balance_type is null and decimals_of(said.plain_original) > said.finest_decimals
      then 'original_amount:finer_than_any_unit'
    when balance_type is not null and decimals_of(said.plain_original) > said.stated_decimals
      then 'original_amount:too_many_decimals'
    when said.original_amount is not null and original_amount is null then 'original_amount:too_large'
    when system not in ('balance_credit', 'legacy_credit') then 'system:unknown_system'
  end as problem,
  content_hash_of(
    entry_type, occurred_at, amount, priority, system, expires_at, issued_at, original_amount,
    entry_id, member_id, balance_type, credit_id, redemption_id, transfer_id, batch_id, credit_type, reason,
    reason_details, internal_note, creator_name, creator_email, approved_by, location
  ) as content_hash
from typed
