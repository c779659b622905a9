-- The newest word on each member that an accepted row of the file speaks of: one row per member.
--
-- A later row (in the order in which files came and rows stand in them) replaces an earlier one, unless both say when
-- they were updated and the earlier one says later. So a row without updated_at replaces all before it, and the newest
-- updated_at wins among what comes after the last such row. A row that was set aside and read again keeps the place of
-- its file.
with said as (
  select
    $merchant_id as merchant_id,
    member_id,
    email,
    first_name,
    last_name,
    is_employee,
    keywords,
    autopay_methods,
    location,
    updated_at,
    $source_file as source_file,
    source_row,
    $place::bigint as file_event,
    $event::bigint as event
  from staging.members
  union all by name
  select *
  from ledger.members
  where merchant_id = $merchant_id and member_id in (select member_id from staging.members)
),

placed as (
  select
    said.*,
    max(row(file_event, source_row)) filter (updated_at is null) over (partition by member_id) as last_undated
  from said
)

select * exclude (last_undated)
from placed
where last_undated is null or row(file_event, source_row) >= last_undated
qualify row_number() over (
  partition by member_id order by updated_at desc nulls last, file_event desc, source_row desc
) = 1
order by member_id
