-- What a preview would do: one row per credit that it would issue or touch.
select
  recipient.* exclude (preview_id),
  preview.unit
from ledger.preview_recipients as recipient
join ledger.previews as preview using (merchant_id, preview_id)
where list_contains($merchants, recipient.merchant_id)
  and recipient.preview_id = $preview_id
order by recipient.position
