-- Rows of a students file as typed values, with the first thing wrong with each: one row per well-formed row.
select
  source_row,
  student_id,
  member_id,
  first_name,
  last_name,
  keywords,
  case
    when merchant_id <> $merchant_id then 'merchant_id:other_merchant'
    when student_id is null then 'student_id:missing'
    when member_id is null then 'member_id:missing'
  end as problem
from staging.raw
