-- Batches that moved or were issued in each period, whole, as of its as_of: one row per batch and unit.
--
-- What a batches file says of a batch comes first; what it does not say is taken from the batch's credits, where they
-- all say the same. Recipients, credits and the total are of what was issued; what remains is of all credits that
-- carry the batch's id, those transferred in too.
--
-- Who issued it is not who raised it with adjust-batch: such credits tell whose adjustment they are.
with raises as (
  select entry.merchant_id, entry.credit_id
  from ledger.entries as entry
  semi join (
    from ledger.operations where kind = 'adjust-batch' and status = 'processed'
  ) using (merchant_id, operation_id)
  where entry.entry_type = 'created'
),

per_member as (
  select
    recipient.merchant_id,
    recipient.period,
    recipient.batch_id,
    recipient.unit,
    recipient.member_id,
    any_value(recipient.decimals) as decimals,
    sum(recipient.amount) as amount,
    count(*) filter (recipient.amount > 0) as credits,
    max(recipient.used) > 0 as has_used,
    sum(recipient.used) as used,
    sum(recipient.refunded) as refunded,
    sum(recipient.expired) as expired,
    sum(recipient.deducted) as deducted,
    sum(recipient.transferred) as transferred,
    sum(recipient.reversed) as reversed,
    sum(recipient.remaining) as remaining,
    min(recipient.expires_at) as oldest_expiry,
    max(recipient.expires_at) as newest_expiry,
    bool_or(
      credit.entry_type = 'created' and credit.opened_at >= period.starts_at and credit.opened_at < period.cutoff
    ) as is_credited,
    bool_or(recipient.amount > 0 and credit.opened_at < period.starts_at) as was_there,
    min(credit.issued_at) as issued_at,
    min(credit.creator) filter (raised.credit_id is null) as creator,
    max(credit.creator) filter (raised.credit_id is null) as other_creator,
    min(credit.credit_type) as credit_type,
    max(credit.credit_type) as other_credit_type,
    min(credit.reason) as reason,
    max(credit.reason) as other_reason,
    min(credit.reason_details) as details,
    max(credit.reason_details) as other_details,
    min(credit.location) as location,
    max(credit.location) as other_location
  from audits.batch_recipients as recipient
  join facts.credits as credit
    on credit.merchant_id = recipient.merchant_id and credit.credit_id = recipient.credit_id
  join settings.periods as period
    on period.merchant_id = recipient.merchant_id and period.period = recipient.period
  left join raises as raised
    on raised.merchant_id = recipient.merchant_id and raised.credit_id = recipient.credit_id
  group by recipient.merchant_id, recipient.period, recipient.batch_id, recipient.unit, recipient.member_id
),

issued as (
  select
    merchant_id,
    period,
    batch_id,
    unit,
    any_value(decimals) as decimals,
    count(*) filter (credits > 0) as recipients,
    sum(credits)::bigint as credits,
    sum(amount) as total,
    if(
      min(amount) filter (credits > 0) = max(amount) filter (credits > 0), min(amount) filter (credits > 0), null
    ) as each,
    sum(used) as redeemed,
    sum(refunded) as refunded,
    sum(expired) as expired,
    sum(deducted) as deducted,
    sum(transferred) as transferred,
    sum(reversed) as reversed,
    sum(remaining) as remaining,
    count(*) filter (has_used) as users,
    count(*) filter (used > refunded) as holders_of_used,
    min(oldest_expiry) as oldest_expiry,
    max(newest_expiry) as newest_expiry,
    bool_or(is_credited) as is_credited,
    bool_or(was_there) as was_there,
    min(issued_at) as issued_at,
    if(min(creator) <> max(other_creator), 'Various', min(creator)) as creator,
    if(min(credit_type) <> max(other_credit_type), 'Various', min(credit_type)) as credit_type,
    if(min(reason) <> max(other_reason), 'Various', min(reason)) as reason,
    if(min(details) <> max(other_details), 'Various', min(details)) as details,
    if(min(location) <> max(other_location), 'Various', min(location)) as location
  from per_member
  group by merchant_id, period, batch_id, unit
),

-- Batches that nobody got anything of: from a batches file, or named by entries of the period that open no credit.
failed as (
  -- What came of a dated one after as_of is not told yet: as of then, nobody had got anything.
  select period.merchant_id, period.period, batch.batch_id
  from settings.periods as period
  join ledger.batches as batch
    on batch.merchant_id = period.merchant_id
    and batch.issued_at >= period.starts_at
    and batch.issued_at < period.cutoff
  union
  -- One without a date that has credits is listed where they move.
  select period.merchant_id, period.period, batch.batch_id
  from settings.periods as period
  join (
    select merchant_id, batch_id, recorded_at
    from ledger.batches
    anti join (
      select distinct merchant_id, batch_id from facts.credits where batch_id is not null
    ) using (merchant_id, batch_id)
    where issued_at is null
  ) as batch
    on batch.merchant_id = period.merchant_id
    and batch.recorded_at >= period.starts_at
    and batch.recorded_at < period.cutoff
  union
  select period.merchant_id, period.period, entry.batch_id
  from settings.periods as period
  join (
    select merchant_id, batch_id, occurred_at
    from ledger.entries
    anti join (
      select distinct merchant_id, batch_id from facts.credits where batch_id is not null
    ) using (merchant_id, batch_id)
    where batch_id is not null
  ) as entry
    on entry.merchant_id = period.merchant_id
    and entry.occurred_at >= period.starts_at
    and entry.occurred_at < period.cutoff
),

batches as (
  select * from issued
  union all by name
  select failed.*, merchant.currency as unit, merchant.currency_decimals as decimals
  from failed
  anti join issued using (merchant_id, period, batch_id)
  join settings.merchants as merchant using (merchant_id)
),

findings as (
  select period.merchant_id, period.period, credit.batch_id, count(*) as findings
  from facts.findings as finding
  join facts.credits as credit
    on credit.merchant_id = finding.merchant_id and credit.credit_id = finding.credit_id
  join settings.periods as period
    on period.merchant_id = finding.merchant_id and finding.occurred_at < period.as_of
  where credit.batch_id is not null
  group by all
),

adjusted as (
  select merchant_id, batch_id, min(finished_at) as since
  from ledger.operations
  where kind = 'adjust-batch' and status = 'processed'
  group by all
),

told as (
  select
    batches.*,
    -- A batch is issued once, whatever units its credits are in.
    coalesce(
      said.issued_at,
      min(batches.issued_at) over (partition by batches.merchant_id, batches.period, batches.batch_id),
      said.recorded_at,
      period.starts_at
    ) as issued,
    as_local(issued, period.timezone) as issue_date,
    (issue_date::date + merchant.reversal_window_days::integer)::date as window_last_day,
    coalesce(name_and_email(said.issued_by_name, said.issued_by_email), batches.creator) as issued_by,
    coalesce(said.credit_type, batches.credit_type) as type,
    coalesce(said.reason, batches.reason) as why,
    coalesce(said.description, batches.details) as description,
    coalesce(said.location, batches.location) as place,
    said.issued_as,
    said.declared_recipients,
    said.declared_total,
    period.as_of_day,
    coalesce(recipients, 0) as recipient_count,
    -- In another unit it may have recipients, and what came in by transfer here.
    sum(recipient_count) over (partition by batches.merchant_id, batches.period, batches.batch_id) = 0 as is_failed,
    coalesce(
      bool_or(is_credited) over (partition by batches.merchant_id, batches.period, batches.batch_id), false
    ) as is_credited_here,
    coalesce(
      bool_or(was_there) over (partition by batches.merchant_id, batches.period, batches.batch_id), false
    ) as had_credits_before,
    -- One whose file dates it before, and whose first credits came in the period, had come to nothing by its own month's
    -- end: it counts where its credits are.
    issued < period.cutoff
      and (issued >= period.starts_at or is_credited_here and not had_credits_before) as issued_in_period,
    -- Which reverse-batch refuses.
    count(*) over (partition by batches.merchant_id, batches.period, batches.batch_id) > 1 as has_several_units,
    coalesce(total, 0) as total_amount,
    coalesce(redeemed, 0) - coalesce(refunded, 0) as net_used,
    coalesce(batches.reversed, 0) as taken_back,
    coalesce(batches.remaining, 0) as left_over,
    coalesce(adjusted.since < period.as_of, false) as is_adjusted
  from batches
  join settings.periods as period using (merchant_id, period)
  join settings.merchants as merchant using (merchant_id)
  left join ledger.batches as said using (merchant_id, batch_id)
  left join adjusted using (merchant_id, batch_id)
)

select
  merchant_id,
  period,
  row_number() over (partition by merchant_id, period order by issued, batch_id, unit) as position,
  batch_id,
  issue_date,
  issued_by,
  type as credit_type,
  why as reason,
  recipient_count,
  each::decimal(38, 4) as amount_per_customer,
  total_amount::decimal(38, 4) as total_amount,
  case
    when is_failed then 'Failed'
    when left_over = 0 and taken_back > 0 then 'Reversed'
    when taken_back > 0 then 'Partially Reversed'
    when deducted > 0 or is_adjusted then 'Adjusted'
    else 'Active'
  end as status,
  description,
  place as location,
  unit,
  issued_as,
  coalesce(credits, 0) as credit_count,
  declared_recipients,
  declared_total,
  coalesce(redeemed, 0)::decimal(38, 4) as redeemed,
  coalesce(refunded, 0)::decimal(38, 4) as refunded,
  coalesce(expired, 0)::decimal(38, 4) as expired,
  coalesce(deducted, 0)::decimal(38, 4) as deducted,
  coalesce(transferred, 0)::decimal(38, 4) as transferred,
  taken_back::decimal(38, 4) as reversed,
  left_over::decimal(38, 4) as remaining,
  coalesce(users, 0) as recipients_who_used,
  if(total_amount > 0, quotient(100 * net_used, total_amount, 2)::decimal(18, 4), null) as percent_used,
  oldest_expiry,
  newest_expiry,
  case
    when is_failed then 'no: it has no recipients'
    when left_over = 0 and taken_back > 0 then 'no: it has been reversed'
    when taken_back > 0 then 'no: it has been partially reversed'
    when left_over = 0 then 'no: nothing remains'
    when has_several_units then 'no: it has credits in several units'
    when as_of_day > window_last_day then 'no: the window ended on ' || window_last_day
    when net_used > 0 then
      'yes, but ' || shown_with_unit(net_used, decimals, unit) || ' has been used, by '
      || counted(holders_of_used, 'recipient', 'recipients')
    else 'yes'
  end as reversible,
  if(reversible[1:3] = 'yes', left_over, 0)::decimal(38, 4) as reversible_amount,
  window_last_day,
  coalesce(findings.findings, 0) as findings,
  issued_in_period,
  is_credited_here or issued_in_period and not had_credits_before as credited_in_period,
  issued as issued_at_utc,
  decimals
from told
left join findings using (merchant_id, period, batch_id)
