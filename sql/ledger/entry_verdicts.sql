-- What the ledger says to each row of an entries file: one row per well-formed row.
--
-- accepted; duplicate (the entry is known, with the same content); or rejected, with `problem` as `column:reason`.
-- Within a file the first row with an entry_id stands for it, and later ones are held against that row. Hardly any file
-- repeats an id, so the few that are repeated are found first, and only they are joined.
with typed as not materialized (
  select source_row, entry_id, entry_type, credit_id, redemption_id, content_hash
  from staging.entries
  where problem is null
),

repeated as (
  select entry_id, min(source_row) as stands_at, arg_min(content_hash, source_row) as content_hash
  from typed
  where entry_id in (select entry_id from typed group by entry_id having count(*) > 1)
  group by entry_id
),

known as (
  select entry_id, content_hash
  from ledger.entries
  where merchant_id = $merchant_id and entry_id in (select entry_id from typed)
),

compared as materialized (
  select
    typed.source_row,
    coalesce(repeated.stands_at, typed.source_row) as stands_at,
    known.entry_id is not null as is_known,
    coalesce(known.content_hash, repeated.content_hash, typed.content_hash) <> typed.content_hash as is_changed,
    -- The id that the row gives to something new.
    case
      when entry_type in ('opening', 'created', 'transferred_in') then 'credit_id'
      when entry_type = 'redeemed' then 'redemption_id'
    end as names,
    if(entry_type = 'redeemed', redemption_id, credit_id) as new_id
  from typed
  left join repeated using (entry_id)
  left join known using (entry_id)
),

newcomers as not materialized (
  select source_row, names, new_id
  from compared
  where names is not null and stands_at = source_row and not is_known
),

-- Ids that newcomers want and cannot have, or only the first of them can.
taken as (
  select names, new_id, min(source_row) as given_to
  from newcomers
  group by names, new_id
  having count(*) > 1
  union all
  select 'credit_id', credit_id, 0
  from ledger.entries
  where
    merchant_id = $merchant_id
    and entry_type in ('opening', 'created', 'transferred_in')
    and credit_id in (select new_id from newcomers where names = 'credit_id')
  union all
  select 'redemption_id', redemption_id, 0
  from ledger.entries
  where
    merchant_id = $merchant_id
    and entry_type = 'redeemed'
    and redemption_id in (select new_id from newcomers where names = 'redemption_id')
),

refused as (
  select distinct source_row, names || ':duplicate_' || names as problem
  from newcomers
  join taken using (names, new_id)
  where source_row <> given_to
)

select
  entries.source_row,
  case
    when entries.problem is not null or is_changed or refused.problem is not null then 'rejected'
    when is_known or stands_at <> entries.source_row then 'duplicate'
    else 'accepted'
  end as verdict,
  case
    when entries.problem is not null then entries.problem
    when is_changed then 'entry_id:entry_changed'
    else refused.problem
  end as problem
from staging.entries as entries
left join compared on compared.source_row = entries.source_row
-- A copy of a row that is refused is refused with it.
left join refused on refused.source_row = compared.stands_at
