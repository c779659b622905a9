-- Members whose movements the new entries may change: one row per member.
--
-- Those of the new entries; and those of older ones that name a credit or a redemption which is only known now, or
-- that share a transfer with a new one. A member is the smallest whole: an entry's balance type may follow from an
-- entry of another balance type, never from one of another member.
with recent as not materialized (
  select entries.*
  from ledger.entries as entries
  join stale_merchants as merchant
    on merchant.merchant_id = entries.merchant_id
    and entries.event > merchant.after_event
    and entries.event <= merchant.through_event
),

-- Where nothing was replayed before, every member is here by its own entries.
news as not materialized (
  select entries.*
  from ledger.entries as entries
  join stale_merchants as merchant
    on merchant.merchant_id = entries.merchant_id
    and entries.event > merchant.after_event
    and merchant.after_event > 0
)

select merchant_id, member_id from recent
union
select merchant_id, member_id
from ledger.entries
where (merchant_id, credit_id) in (
  select merchant_id, credit_id from news where entry_type in ('opening', 'created', 'transferred_in')
)
union
select merchant_id, member_id
from ledger.entries
where (merchant_id, redemption_id) in (select merchant_id, redemption_id from news where entry_type = 'redeemed')
union
select merchant_id, member_id
from ledger.entries
where (merchant_id, transfer_id) in (select merchant_id, transfer_id from news where transfer_id is not null)
