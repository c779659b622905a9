-- Each period's opening balance as it was published, and as it is now: one row per balance type.
--
-- As published is the closing balance in the first workbook of the month before the period: books were closed on that.
-- The month, not the instant at which it ended: another timezone since then moves that instant, and the books stay closed.
-- What came late, after it, makes the rest. Where no such month was published there is nothing to hold the opening
-- balance against, and nothing is late.
with published as (
  select merchant_id, next_day, closing_balances::json::map(varchar, decimal(38, 4)) as closing_balances
  from settings.published
),

openings as (
  select
    roll.merchant_id,
    roll.period,
    roll.unit,
    roll.balance_type,
    roll.opening_balance,
    if(
      published.merchant_id is null, roll.opening_balance, coalesce(closing_balances[roll.balance_type], 0)
    ) as opening_as_published,
    roll.decimals
  from reports.roll_forward as roll
  join settings.periods as period using (merchant_id, period)
  left join published on published.merchant_id = roll.merchant_id and published.next_day = period.first_day
)

select
  merchant_id,
  period,
  unit,
  balance_type,
  opening_as_published::decimal(38, 4) as opening_as_published,
  (opening_balance - opening_as_published)::decimal(38, 4) as late_entries,
  opening_balance,
  decimals
from openings
