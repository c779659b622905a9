-- Rows of an enrollments file as typed values, with the first thing wrong with each: one row per well-formed row.
with typed as (
  select
    source_row,
    enrollment_id,
    student_id,
    lower(kind) as kind,
    name,
    program,
    location,
    days,
    keywords,
    program_keywords,
    case when is_day(starts_on) then starts_on::date end as starts_on,
    case when is_day(ends_on) then ends_on::date end as ends_on,
    status,
    raw
  from staging.raw as raw
)

select
  typed.* exclude (raw),
  case
    when raw.merchant_id <> $merchant_id then 'merchant_id:other_merchant'
    when enrollment_id is null then 'enrollment_id:missing'
    when student_id is null then 'student_id:missing'
    when kind is null then 'kind:missing'
    when kind not in ('class', 'camp') then 'kind:neither_class_nor_camp'
    when name is null then 'name:missing'
    when len(list_filter(
      words_of(days), lambda day: day not in ('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun')
    )) > 0 then 'days:not_days'
    when raw.starts_on is not null and starts_on is null then 'starts_on:not_a_date'
    when raw.ends_on is not null and ends_on is null then 'ends_on:not_a_date'
  end as problem
from typed
