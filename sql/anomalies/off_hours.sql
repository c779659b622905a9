-- Credits that somebody created outside business hours or days: one row per credit.
--
-- severity: info
-- version: 1
-- thresholds: business_hours = "07:00-20:00", business_days = ["mon", "tue", "wed", "thu", "fri", "sat"]
-- means: In the merchant's timezone the credit was created when the business is closed; not by a batch, and not by a
--   schedule, which has no creator. A time of exactly the day's first instant is taken as a day without a time, and only
--   the day is looked at.
-- do: Nothing, where people do work then: set business_hours and business_days.
with created as (
  select
    period.merchant_id,
    period.period,
    period.timezone,
    credit.*,
    as_local(credit.opened_at, period.timezone) as local_time,
    (extract('hour' from local_time) * 60 + extract('minute' from local_time)) as minute,
    ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'][isodow(local_time)] as weekday,
    limits
  from settings.periods as period
  join settings.thresholds as limits on limits.merchant_id = period.merchant_id
  join (
    select * exclude (merchant_id), merchant_id as of_merchant
    from facts.credits
    where entry_type = 'created' and batch_id is null and creator is not null
  ) as credit
    on credit.of_merchant = period.merchant_id
    and credit.opened_at >= period.starts_at
    and credit.opened_at < period.cutoff
)

select
  merchant_id,
  period,
  member_id,
  credit_id,
  [entry_id] as entry_ids,
  unit,
  amount::decimal(38, 4) as amount_at_risk,
  weekday || ' ' || strftime(local_time, '%H:%M') as observed,
  if(
    list_contains(limits.business_days, weekday),
    format('{:02d}:{:02d}-{:02d}:{:02d}', limits.opens_minute // 60, limits.opens_minute % 60,
      limits.closes_minute // 60, limits.closes_minute % 60),
    array_to_string(limits.business_days, ' ')
  ) as threshold,
  creator || ' created credit ' || credit_id || ' of ' || shown_with_unit(amount, decimals, unit) || ' on '
  || strftime(local_time, '%A, %Y-%m-%d at %H:%M') || ', outside business '
  || if(list_contains(limits.business_days, weekday), 'hours', 'days') || '.' as explanation
from created
where not list_contains(limits.business_days, weekday)
  or (
    (minute < limits.opens_minute or minute >= limits.closes_minute)
    -- Where midnight is skipped by the clock, the day begins later.
    and opened_at <> as_utc(date_trunc('day', local_time), timezone)
  )
