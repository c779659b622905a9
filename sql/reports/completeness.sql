-- Whether each period's data has all arrived, as far as its merchant wants that checked: one row per period.
--
-- With complete_through, a dataset has arrived when an accepted row of it is dated at or after the period's end. How
-- far it reaches is told only while that is not far enough: more of it later is no news for the period. What an
-- operation posts here says nothing of what the source has sent.
with reached as (
  select merchant_id, 'entries' as dataset, max(occurred_at) as reached_at
  from ledger.entries
  where operation_id is null
  group by merchant_id
  union all
  select merchant_id, 'balances', max(as_of)
  from ledger.balances
  group by merchant_id
)

select
  period.merchant_id,
  period.period,
  merchant.complete_through,
  merchant.complete_through = 'auto' or coalesce(reached.reached_at >= period.ends_at, false) as is_complete,
  if(merchant.complete_through = 'auto' or reached.reached_at >= period.ends_at, null, reached.reached_at) as reached_at
from settings.periods as period
join settings.merchants as merchant using (merchant_id)
left join reached on reached.merchant_id = period.merchant_id and reached.dataset = merchant.complete_through
