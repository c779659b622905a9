-- What does not add up in the entries of the members to replay, in a sentence each: one row per finding.
--
-- What the kernel found, and the transfers, which it cannot see since their halves are in two accounts.
with halves as (
  select
    half.*,
    coalesce(
      half.balance_type, if(credit.member_id = half.member_id, credit.balance_type, null), 'default'
    ) as account,
    row_number() over (
      partition by half.merchant_id, half.transfer_id, half.entry_type
      order by half.occurred_at, half.entry_id
    ) as place
  from ledger.entries as half
  join stale_merchants as merchant
    on merchant.merchant_id = half.merchant_id and half.event <= merchant.through_event
  left join facts.credits as credit
    on credit.merchant_id = half.merchant_id and credit.credit_id = half.credit_id
  where
    half.entry_type in ('transferred_out', 'transferred_in')
    and (
      (half.merchant_id, half.member_id) in (select merchant_id, member_id from stale_members)
      or (half.merchant_id, half.transfer_id) in (
        select merchant_id, transfer_id from stale_entries where transfer_id is not null
      )
    )
),

transfers as (
  select
    if(other.entry_id is null, 'unpaired_transfer', 'unequal_transfer') as finding,
    half.merchant_id,
    half.member_id,
    half.account as balance_type,
    kind.unit,
    kind.decimals,
    half.entry_id,
    half.entry_type,
    half.credit_id,
    null as redemption_id,
    half.occurred_at,
    half.amount as stated,
    if(other.entry_id is null, half.amount, abs(half.amount - other.amount)) as amount,
    0 as unmoved,
    null as asserted,
    null as derived,
    half.transfer_id,
    other.entry_id as other_entry_id,
    other.amount as other_amount,
    other_kind.unit as other_unit,
    other_kind.decimals as other_decimals
  from halves as half
  left join halves as other
    on other.merchant_id = half.merchant_id
    and other.transfer_id = half.transfer_id
    and other.place = half.place
    and other.entry_type <> half.entry_type
  left join settings.balance_types as kind
    on kind.merchant_id = half.merchant_id and kind.balance_type = half.account
  left join settings.balance_types as other_kind
    on other_kind.merchant_id = other.merchant_id and other_kind.balance_type = other.account
  where
    (half.merchant_id, half.member_id) in (select merchant_id, member_id from stale_members)
    and (
      other.entry_id is null
      or (half.entry_type = 'transferred_out' and (half.amount <> other.amount or kind.unit <> other_kind.unit))
    )
    -- What moves nothing because of its unit is one finding, not two.
    and (half.merchant_id, half.entry_id) not in (
      select merchant_id, entry_id from replay_findings where finding = 'unit_mismatch'
    )
),

found as (
  select
    *,
    null as transfer_id,
    null as other_entry_id,
    null as other_amount,
    null as other_unit,
    null as other_decimals
  from replay_findings
  union all by name
  select * from transfers
),

-- Amounts as people write them, with the unit's decimals: 1,234.50 USD.
told as (
  select
    found.*,
    list_transform(
      [stated, found.amount, stated - found.amount, asserted, derived, abs(asserted - derived)],
      lambda x: shown_with_unit(x, found.decimals, found.unit)
    ) as texts,
    texts[1] as stated_text,
    texts[2] as amount_text,
    texts[3] as moved_text,
    case found.entry_type
      when 'opening' then 'Opening'
      when 'created' then 'Credit'
      when 'redeemed' then 'Redemption'
      when 'refunded' then 'Refund'
      when 'expired' then 'Expiry'
      when 'deducted' then 'Deduction'
      when 'reversed' then 'Reversal'
      when 'expiry_changed' then 'Expiry change'
      else 'Transfer'
    end || ' ' || if(found.entry_type = 'redeemed', found.redemption_id, found.entry_id) as thing,
    ' on ' || as_local(found.occurred_at, merchant.timezone)::date as on_day,
    credit.member_id as holder,
    credit.balance_type as held_as,
    -- A credit that the account has had by then, and yet not: it moved nothing, because of its unit.
    credit.opened_at <= found.occurred_at as credit_void,
    as_local(credit.opened_at, merchant.timezone)::date as known_on
  from found
  join settings.merchants as merchant on merchant.merchant_id = found.merchant_id
  left join stale_credits as credit
    on credit.merchant_id = found.merchant_id and credit.credit_id = found.credit_id
)

select
  finding,
  merchant_id,
  member_id,
  balance_type,
  unit,
  entry_id,
  credit_id,
  occurred_at,
  amount::decimal(18, 4) as amount,
  unmoved::decimal(18, 4) as unmoved,
  case finding
    when 'unit_mismatch' then
      thing || on_day || ' says ' || rtrim(rtrim(stated::varchar, '0'), '.') || ', but ' || unit || ' has '
      || if(decimals = 0, 'no decimals', decimals || if(decimals = 1, ' decimal', ' decimals')) || '; it moves nothing.'
    when 'credit_of_other_account' then
      thing || on_day || ' names credit ' || credit_id || ', which is in another account (member ' || holder || ', '
      || held_as || '); ' || if(stated = 0, 'it changes nothing.', stated_text || ' moves nothing.')
    when 'unknown_credit' then
      thing || on_day || ' names credit ' || credit_id || ', which '
      || case
        when credit_void then 'moved nothing itself'
        when known_on is null then 'is not in the ledger'
        else 'this account has only from ' || known_on || ' on'
      end
      || '; '
      || case
        when stated = 0 then 'it changes nothing.'
        when unmoved = 0 then stated_text || ' is drawn from no credit.'
        else stated_text || ' moves nothing.'
      end
    when 'uncovered_draw' then
      thing || ' takes ' || stated_text || on_day || ' but ' || if(stated = amount, 'nothing', 'only ' || moved_text)
      || ' was left' || coalesce(' of credit ' || credit_id, '') || '; ' || amount_text
      || ' is not covered by any credit.'
    when 'refund_of_unknown_redemption' then
      thing || on_day || ' gives back redemption ' || redemption_id || ', which this account has not had by then; '
      || stated_text || ' moves nothing.'
    when 'refund_exceeds_redemption' then
      thing || ' gives back ' || stated_text || on_day || ' but '
      || if(stated = amount, 'nothing', 'only ' || moved_text) || ' of redemption ' || redemption_id
      || coalesce(' that came from credit ' || credit_id, '') || ' was left to give back; ' || amount_text
      || ' moves nothing.'
    when 'refund_after_reversal' then
      thing || on_day || ' gives ' || amount_text || ' back to credit ' || credit_id
      || ', from which an amount had been reversed or deducted before; it stays there.'
    when 'reversal_short' then
      thing || ' takes back ' || stated_text || on_day || ' but '
      || if(stated = amount, 'nothing', 'only ' || moved_text) || ' was left of credit ' || credit_id || '; '
      || amount_text || ' moves nothing.'
    when 'expiry_mismatch' then
      if(
        asserted is null,
        thing || ' takes ' || stated_text || on_day || ' but '
        || if(stated = amount, 'nothing', 'only ' || moved_text) || ' was left of credit ' || credit_id || '; '
        || amount_text || ' moves nothing.',
        'The source says, last with expiry ' || entry_id || on_day || ', that ' || texts[4]
        || ' of credit ' || credit_id
        || ' expired, but ' || texts[5] || ' did; that is ' || texts[6]
        || if(asserted > derived, ' too much.', ' too little.')
      )
    when 'unpaired_transfer' then
      thing || ' of ' || stated_text || on_day
      || coalesce(
        ' has no other half with transfer_id ' || transfer_id, ' has no transfer_id to find its other half by'
      )
      || '; ' || stated_text
      || if(entry_type = 'transferred_out', ' went out and came in nowhere.', ' came in and went out nowhere.')
    else
      'Transfer ' || transfer_id || on_day || ' takes out ' || stated_text || ' (' || entry_id || ') but brings in '
      || shown_with_unit(other_amount, other_decimals, other_unit) || ' (' || other_entry_id || '); '
      || if(
        unit <> other_unit,
        'the units differ.',
        amount_text || if(stated > other_amount, ' went missing on the way.', ' came on top on the way.')
      )
  end as explanation
from told
