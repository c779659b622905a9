-- Who a member is, known from a members file or from entries alone: one row per member.
select
  seen.member_id,
  member.email,
  nullif(concat_ws(' ', member.first_name, member.last_name), '') as name,
  coalesce(member.is_employee, false) as employee,
  member.location,
  member.source_file,
  member.source_row
from (
  select member_id from ledger.members where member_id = $member
  union
  select member_id from ledger.entries where member_id = $member
) as seen
left join ledger.members as member using (member_id)
