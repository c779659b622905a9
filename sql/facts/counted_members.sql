-- The stale members and how many entries they have, numbered as the replay takes them: one row per member.
select
  row_number() over (order by merchant_id, member_id) - 1 as member,
  merchant_id,
  member_id,
  count(*) as entries
from stale_entries
group by merchant_id, member_id
