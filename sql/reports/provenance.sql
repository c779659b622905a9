-- What each period's workbook rests on: one row per period.
with entries as (
  select
    period.merchant_id,
    period.period,
    count(*) as entries,
    -- Over content only, in no order: the same entries give the same hash however they were loaded.
    format('{:032x}', bit_xor(md5_number(entry.content_hash))) as entries_hash,
    max(entry.recorded_at) as newest_recorded_at
  from settings.periods as period
  join ledger.entries as entry
    on entry.merchant_id = period.merchant_id and entry.occurred_at < period.as_of
  group by all
),

movements as (
  select period.merchant_id, period.period, count(*) as movements
  from settings.periods as period
  join facts.movements as movement
    on movement.merchant_id = period.merchant_id and movement.occurred_at < period.as_of
  group by all
),

findings as (
  select period.merchant_id, period.period, count(*) as findings
  from settings.periods as period
  join facts.findings as finding
    on finding.merchant_id = period.merchant_id
    and finding.occurred_at >= period.starts_at
    and finding.occurred_at < period.cutoff
  group by all
),

rejected as (
  select merchant_id, count(*) as rejected_rows
  from ledger.rejected_rows
  where closed_event is null
  group by all
)

select
  period.merchant_id,
  period.period,
  period.starts_at,
  period.ends_at,
  period.as_of,
  period.is_final,
  coalesce(entries.entries, 0) as entries,
  coalesce(entries.entries_hash, '') as entries_hash,
  entries.newest_recorded_at,
  coalesce(movements.movements, 0) as movements,
  coalesce(findings.findings, 0) as findings,
  coalesce(rejected.rejected_rows, 0) as rejected_rows
from settings.periods as period
left join entries using (merchant_id, period)
left join movements using (merchant_id, period)
left join findings using (merchant_id, period)
left join rejected using (merchant_id)
