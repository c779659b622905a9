-- An entry as its source reported it, and the file that it stood in: one row per entry.
select
  entry.*,
  -- Without a balance type of its own it is in the unit of what it moved, or would have.
  coalesce(
    kind.unit,
    (select any_value(unit) from facts.movements where entry_id = $entry),
    (select any_value(unit) from facts.findings where entry_id = $entry),
    credit.unit
  ) as unit,
  file.sha256 as file_sha256
from ledger.entries as entry
left join settings.balance_types as kind on kind.balance_type = entry.balance_type
left join facts.credits as credit on credit.credit_id = entry.credit_id
left join ledger.files as file on file.event = entry.event
where entry.entry_id = $entry
