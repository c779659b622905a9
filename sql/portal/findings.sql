-- What does not add up about an entry, a credit or a member: one row per finding.
select finding, entry_id, credit_id, amount, unit, occurred_at, explanation
from facts.findings
where ($entry::varchar is null or entry_id = $entry)
  and ($credit::varchar is null or credit_id = $credit)
  and ($member::varchar is null or member_id = $member)
order by occurred_at, entry_id, finding
limit 100
