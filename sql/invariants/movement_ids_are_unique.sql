-- No two movements of a merchant have the same type, id and part: one row per group of them that does.
--
-- Found by hash, which is fast, and then looked at closely.
with replayed as (
  select merchant_id, id
  from facts.movements
  semi join stale_members using (merchant_id, member_id)
),

keyed as not materialized (
  select *, hash(merchant_id, movement_type, derived, id, part) as key
  from facts.movements
  semi join replayed using (merchant_id, id)
),

suspects as (
  select key from keyed group by key having count(*) > 1
)

select merchant_id, movement_type, derived, id, part, count(*) as movements
from keyed
semi join suspects using (key)
group by merchant_id, movement_type, derived, id, part
having count(*) > 1
