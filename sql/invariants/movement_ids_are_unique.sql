-- No two movements of a merchant have the same type, id and part: one row per group of them that does.
--
-- Found by hash, which is fast, and only then looked at closely. A movement of a member that was replayed may have
-- the id of one of a member that was not, unless all of the merchant was replayed.
with theirs as materialized (
  select merchant_id, id
  from stale_movements
  semi join (from stale_merchants where after_event > 0) using (merchant_id)
),

others as (
  select merchant_id, movement_type, derived, id, part
  from facts.movements
  anti join stale_members using (merchant_id, member_id)
  where
    id in (select id from theirs group by id having count(*) > 0)
    and (merchant_id, id) in (select merchant_id, id from theirs)
),

keyed as not materialized (
  select *, hash(merchant_id, movement_type, derived, id, part) as key
  from (
    select merchant_id, movement_type, derived, id, part from stale_movements
    union all
    from others
  )
),

suspects as (
  select key from keyed group by key having count(*) > 1
)

select merchant_id, movement_type, derived, id, part, count(*) as movements
from keyed
semi join suspects using (key)
group by merchant_id, movement_type, derived, id, part
having count(*) > 1
