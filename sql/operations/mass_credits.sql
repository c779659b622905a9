-- Who qualifies for a mass credit, for what, and why: one row per credit that would be issued.
--
-- The numbers are those of the steps in which the credit is asked for. Of a list of words any one will do, and every
-- condition must be met; a list that is empty asks for nothing. Words are compared without the space around them, case
-- aside (macros word, words_of). A member is a family.
with asked as (
  select
    $only_with_outstanding_charges or len($charge_categories::varchar[]) > 0 as charges,
    list_transform($autopay_methods::varchar[], lambda one: word(one)) as autopay_methods,
    list_transform($charge_categories::varchar[], lambda one: word(one)) as charge_categories,
    list_transform($student_keywords::varchar[], lambda one: word(one)) as student_keywords,
    list_transform($family_keywords::varchar[], lambda one: word(one)) as family_keywords,
    len($enrollment_filters::struct(filter bigint, list varchar, value varchar)[]) > 0 as enrollments
),

-- 6 and 8. Charges that count: outstanding ones, where the credit is only for those who have some; of the categories,
-- where there are any; so with both, an outstanding one of those categories.
charged as (
  select charge.member_id, string_agg(distinct charge.category, ', ' order by charge.category) as categories
  from ledger.charges as charge
  join asked on asked.charges
  where charge.merchant_id = $merchant_id
    and (not $only_with_outstanding_charges or charge.outstanding > 0)
    and (len(asked.charge_categories) = 0 or list_contains(asked.charge_categories, word(charge.category)))
  group by charge.member_id
),

-- 9. Students, with the keywords asked for that each has; and whether that is enough.
students as (
  select
    student.member_id,
    student.student_id,
    concat_ws(' ', student.first_name, student.last_name) as student_name,
    list_intersect(words_of(student.keywords), asked.student_keywords) as keywords_met,
    len(asked.student_keywords) = 0 or coalesce(len(keywords_met) > 0, false) as has_keyword
  from ledger.students as student
  cross join asked
  where student.merchant_id = $merchant_id
),

-- 10. What the enrollment filters ask for: one row for each value of each list of each filter. Classes and camps are
-- one list.
wanted as (
  select distinct
    one.filter,
    if(one.list in ('classes', 'camps'), 'classes and camps', one.list) as list,
    if(one.list = 'classes', 'class ', if(one.list = 'camps', 'camp ', '')) || word(one.value) as value
  from (select unnest($enrollment_filters::struct(filter bigint, list varchar, value varchar)[]) as one)
),

-- How much there is of it, in each filter.
sizes as (
  select filter, count(distinct list) as lists, count(*) as values_in_all
  from wanted
  group by filter
),

-- 10. Enrollments count while they are active.
active as (
  select students.member_id, enrollment.*
  from ledger.enrollments as enrollment
  join students using (student_id)
  where enrollment.merchant_id = $merchant_id and word(enrollment.status) = 'active'
),

-- 10. What each enrollment has of what is asked for.
had as (
  select has.member_id, has.enrollment_id, wanted.filter, wanted.list, wanted.value
  from (
    select member_id, enrollment_id, 'days' as list, unnest(words_of(days)) as value from active
    union all
    select member_id, enrollment_id, 'locations' as list, word(location) as value from active
    union all
    select member_id, enrollment_id, 'classes and camps' as list, kind || ' ' || word(name) as value from active
    union all
    select member_id, enrollment_id, 'programs' as list, word(program) as value from active
    union all
    select member_id, enrollment_id, kind || '_keywords' as list, unnest(words_of(keywords)) as value from active
    union all
    select member_id, enrollment_id, 'program_keywords' as list, unnest(words_of(program_keywords)) as value from active
  ) as has
  join wanted using (list, value)
),

-- 10. An enrollment meets a filter when it has at least one value of each list.
meeting as (
  select had.enrollment_id, had.filter
  from had
  join sizes using (filter)
  group by had.enrollment_id, had.filter, sizes.lists
  having count(distinct had.list) = sizes.lists
),

-- 10. A family meets a filter when every value of every list is had by one of its enrollments that meet it: exactly
-- that combination, and more does not exclude.
families_meeting as (
  select had.member_id, had.filter
  from had
  semi join meeting using (enrollment_id, filter)
  join sizes using (filter)
  group by had.member_id, had.filter, sizes.values_in_all
  having count(distinct (had.list, had.value)) = sizes.values_in_all
),

-- 10. It qualifies when it meets all of the filters.
enrolled as (
  select member_id
  from families_meeting
  group by member_id
  having count(*) = (select count(*) from sizes)
),

-- The enrollments that a credit is for: those that meet one of the filters; without filters, every active one.
concerned as (
  select active.*
  from active
  cross join asked
  where not asked.enrollments or active.enrollment_id in (select enrollment_id from meeting)
),

-- 5 to 10. Families that meet every condition.
families as (
  select
    member.member_id,
    member.email,
    nullif(concat_ws(' ', member.first_name, member.last_name), '') as name,
    charged.categories,
    list_intersect(words_of(member.autopay_methods), asked.autopay_methods) as methods_met,
    list_intersect(words_of(member.keywords), asked.family_keywords) as keywords_met
  from ledger.members as member
  cross join asked
  left join charged using (member_id)
  where member.merchant_id = $merchant_id
    -- 6 and 8.
    and (not asked.charges or charged.member_id is not null)
    -- 7.
    and (len(asked.autopay_methods) = 0 or len(methods_met) > 0)
    -- 9.
    and (len(asked.family_keywords) = 0 or len(keywords_met) > 0)
    and (len(asked.student_keywords) = 0 or member.member_id in (select member_id from students where has_keyword))
    -- 10.
    and (not asked.enrollments or member.member_id in (select member_id from enrolled))
),

-- 5. Once per family; once per student, with enrollment filters for those with an enrollment that meets one; or once
-- per enrollment that meets one. With student keywords, the latter two only for students who have one.
issued as (
  select member_id, null::varchar as student_id, null::varchar as enrollment_id, member_id as holder
  from families
  where $issue_per = 'family'
  union all
  select students.member_id, students.student_id, null as enrollment_id, students.student_id as holder
  from students
  semi join families using (member_id)
  cross join asked
  where $issue_per = 'student'
    and students.has_keyword
    and (not asked.enrollments or students.student_id in (select student_id from concerned))
  union all
  select concerned.member_id, concerned.student_id, concerned.enrollment_id, concerned.enrollment_id as holder
  from concerned
  semi join families using (member_id)
  join students using (student_id)
  where $issue_per = 'enrollment' and students.has_keyword
),

-- Why, in words: which enrollments, and which of the student keywords.
enrolled_in as (
  select
    case $issue_per when 'family' then member_id when 'student' then student_id else enrollment_id end as holder,
    string_agg(distinct name, ', ' order by name) as names
  from concerned
  cross join asked
  where asked.enrollments or $issue_per = 'enrollment'
  group by all
),

keywords_of_students as (
  select member_id, string_agg(distinct keyword, ', ' order by keyword) as keywords
  from (select member_id, unnest(keywords_met) as keyword from students)
  group by member_id
)

select
  row_number() over (order by issued.member_id, issued.student_id, issued.enrollment_id) as position,
  issued.member_id,
  families.email,
  families.name,
  issued.student_id,
  issued.enrollment_id,
  null::varchar as credit_id,
  $amount::decimal(18, 4) as amount,
  0::decimal(18, 4) as stays,
  coalesce(
    nullif(concat_ws(
      '; ',
      'for ' || coalesce(nullif(students.student_name, ''), students.student_id),
      'enrolled in ' || enrolled_in.names,
      if(asked.charges, if($only_with_outstanding_charges, 'outstanding charge', 'charge'), null)
      || coalesce(': ' || families.categories, ''),
      'autopay ' || nullif(array_to_string(list_sort(families.methods_met), ', '), ''),
      'family keyword ' || nullif(array_to_string(list_sort(families.keywords_met), ', '), ''),
      'student keyword '
      || coalesce(nullif(array_to_string(list_sort(students.keywords_met), ', '), ''), keywords_of_students.keywords)
    ), ''),
    'every family'
  ) as why
from issued
join families using (member_id)
cross join asked
left join students using (student_id)
left join enrolled_in using (holder)
left join keywords_of_students on keywords_of_students.member_id = issued.member_id and issued.student_id is null
order by position
