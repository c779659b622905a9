-- Credits of batches of the last days with this number of credits, total and reason: one row per credit.
--
-- Recent are batches issued, or posted by an operation, after $since; and those issued about when the new one will be.
with recent as (
  select
    batch_id,
    member_id,
    amount,
    occurred_at,
    nullif(word(reason), '') is not distinct from nullif(word($reason), '') as is_same_reason
  from ledger.entries
  where merchant_id = $merchant_id
    and batch_id is not null
    and entry_type in ('created', 'opening')
    and (
      occurred_at > $since
      or (operation_id is not null and recorded_at > $since)
      or occurred_at between $about_from and $about_to
    )
),

alike as (
  select batch_id, min(occurred_at) as issued_at
  from recent
  group by batch_id
  having count(*) = $credits and sum(amount) = $total and bool_and(is_same_reason)
)

select alike.batch_id, alike.issued_at, recent.member_id, recent.amount
from recent
join alike using (batch_id)
order by alike.issued_at, alike.batch_id, recent.member_id, recent.amount
