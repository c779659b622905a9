-- The students of the newest roster, which takes the place of all before it: one row per student.
--
-- Rows of it that were set aside and are read again join those that are there. Of one id its last row counts.
with said as (
  select
    $merchant_id as merchant_id,
    student_id,
    member_id,
    first_name,
    last_name,
    keywords,
    $source_file as source_file,
    source_row,
    $place::bigint as file_event,
    $event::bigint as event
  from staging.students
  union all by name
  select *
  from ledger.students
  where merchant_id = $merchant_id and file_event >= $place
)

select *
from said
where file_event = (select max(file_event) from said)
qualify row_number() over (partition by student_id order by source_row desc) = 1
order by student_id
