-- No two movements of a merchant have the same type, id and part: one row per group of them that does.
--
-- Found by hash, which is fast, and only then looked at closely. A movement of a member that was replayed may have
-- the id of one of a member that was not.
with replayed as (
  select distinct hash(merchant_id, id) as id_key
  from stale_movements
),

keyed as not materialized (
  select *, hash(merchant_id, id) as id_key, hash(merchant_id, movement_type, derived, id, part) as key
  from facts.movements
),

suspects as (
  select key from keyed semi join replayed using (id_key) group by key having count(*) > 1
)

select merchant_id, movement_type, derived, id, part, count(*) as movements
from keyed
semi join suspects using (key)
group by merchant_id, movement_type, derived, id, part
having count(*) > 1
