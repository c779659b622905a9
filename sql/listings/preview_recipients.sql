-- What a preview would do: one row per credit that it would issue or touch.
select
  recipient.* exclude (merchant_id, preview_id)
from ledger.preview_recipients as recipient
where list_contains($merchants, recipient.merchant_id)
  and recipient.preview_id = $preview_id
order by recipient.position
