-- Workbooks that were published, with flags and checks of their period as last reported: one row per version.
with flags as (
  select
    period,
    count(*) filter (severity = 'error') as errors,
    count(*) filter (severity = 'warning') as warnings,
    count(*) filter (severity = 'info') as infos,
    bool_or(rule = 'source_incomplete') as incomplete
  from audits.anomaly_flags
  group by period
),

checks as (
  select period, count(*) as checks, count(*) filter (not ties) as broken
  from (
    select period, ties from reports.checks
    union all
    select period, ties from audits.checks
  )
  group by period
)

select
  published.event,
  published.period,
  published.version,
  published.starts_at,
  published.ends_at,
  published.as_of,
  published.is_final,
  published.path,
  published.sha256,
  published.totals,
  published.run_id,
  published.software_version,
  published.recorded_at,
  published.version = max(published.version) over (partition by published.period) as is_newest,
  coalesce(flags.errors, 0) as errors,
  coalesce(flags.warnings, 0) as warnings,
  coalesce(flags.infos, 0) as infos,
  coalesce(flags.incomplete, false) as incomplete,
  coalesce(checks.checks, 0) as checks,
  coalesce(checks.broken, 0) as broken
from ledger.published as published
left join flags using (period)
left join checks using (period)
where $period::varchar is null or published.period = $period
order by published.starts_at desc, published.is_final desc, published.as_of desc, published.version desc
