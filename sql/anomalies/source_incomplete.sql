-- Periods for which the source has not sent everything yet: one row per period.
--
-- severity: error
-- version: 1
-- settings: complete_through
-- means: merchants.toml says by what a period is known to be complete (complete_through): an accepted row of entries, or of
--   balances, dated at or after the period's end. There is none yet.
-- do: Wait for the source's next file, or ask for it, and run the report again.
select
  period.merchant_id,
  period.period,
  coalesce(as_local(said.reached_at, period.timezone)::date::varchar, 'none') as observed,
  (period.last_day + 1)::date::varchar as threshold,
  'Incomplete: the newest of the ' || said.complete_through || ' is of '
  || coalesce(as_local(said.reached_at, period.timezone)::date::varchar, 'no day') || ', and the period ends with '
  || period.last_day || '.' as explanation
from settings.periods as period
join reports.completeness as said on said.merchant_id = period.merchant_id and said.period = period.period
where not said.is_complete
