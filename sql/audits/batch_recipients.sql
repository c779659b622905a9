-- Credits of the batches that each period lists, as they stand at its as_of: one row per credit.
--
-- A period lists the batches that moved in it, and those that a batches file says were issued in it. The figures are of
-- the whole batch: of all movements of its credits before as_of, whenever they were. A credit that was transferred in
-- has no amount of its own here: what it holds was issued elsewhere, and stands under transferred with a minus.
with movements as materialized (
  select
    movement.merchant_id,
    credit.batch_id,
    movement.credit_id,
    movement.movement_type,
    movement.amount,
    movement.occurred_at,
    movement.valid_until,
    movement.remaining,
    movement.expires_at
  from facts.movements as movement
  join facts.credits as credit
    on credit.merchant_id = movement.merchant_id and credit.credit_id = movement.credit_id
  where credit.batch_id is not null
),

listed as (
  select period.merchant_id, period.period, movement.batch_id
  from settings.periods as period
  join movements as movement
    on movement.merchant_id = period.merchant_id
    and movement.occurred_at >= period.starts_at
    and movement.occurred_at < period.cutoff
  where movement.movement_type in ('created', 'opening', 'redeemed', 'refunded', 'expired', 'deducted', 'reversed')
  union
  select period.merchant_id, period.period, batch.batch_id
  from settings.periods as period
  join ledger.batches as batch
    on batch.merchant_id = period.merchant_id
    and batch.issued_at >= period.starts_at
    and batch.issued_at < period.cutoff
),

figures as (
  select
    listed.merchant_id,
    listed.period,
    listed.batch_id,
    movement.credit_id,
    any_value(period.timezone) as timezone,
    sum(amount) filter (movement_type in ('created', 'opening')) as issued,
    sum(amount) filter (movement_type = 'redeemed') as used,
    sum(amount) filter (movement_type = 'refunded') as refunded,
    sum(amount) filter (movement_type = 'expired') as expired,
    sum(amount) filter (movement_type = 'deducted') as deducted,
    sum(if(movement_type = 'transferred_out', amount, -amount))
      filter (movement_type in ('transferred_out', 'transferred_in')) as transferred,
    sum(amount) filter (movement_type = 'reversed') as reversed,
    -- A movement tells its credit's state until the credit's next one.
    sum(remaining) filter (valid_until is null or valid_until >= period.as_of) as remaining,
    max(expires_at) filter (valid_until is null or valid_until >= period.as_of) as expires_at,
    max(occurred_at) filter (movement_type = 'redeemed') as last_used_at
  from listed
  join settings.periods as period using (merchant_id, period)
  join movements as movement
    on movement.merchant_id = listed.merchant_id
    and movement.batch_id = listed.batch_id
    and movement.occurred_at < period.as_of
  group by listed.merchant_id, listed.period, listed.batch_id, movement.credit_id
),

starts as (
  select merchant_id, batch_id, min(issued_at) as issued_at
  from facts.credits
  where batch_id is not null
  group by all
)

select
  figures.merchant_id,
  figures.period,
  row_number() over (
    partition by figures.merchant_id, figures.period
    order by starts.issued_at, figures.batch_id, credit.member_id, credit.issued_at, credit.credit_id
  ) as position,
  figures.batch_id,
  credit.member_id,
  member.email,
  nullif(concat_ws(' ', member.first_name, member.last_name), '') as name,
  coalesce(issued, 0)::decimal(18, 4) as amount,
  coalesce(used, 0)::decimal(38, 4) as used,
  coalesce(refunded, 0)::decimal(38, 4) as refunded,
  coalesce(figures.expired, 0)::decimal(38, 4) as expired,
  coalesce(deducted, 0)::decimal(38, 4) as deducted,
  coalesce(transferred, 0)::decimal(38, 4) as transferred,
  coalesce(reversed, 0)::decimal(38, 4) as reversed,
  coalesce(remaining, 0)::decimal(18, 4) as remaining,
  as_local(last_used_at, timezone) as last_used_at,
  as_local(credit.issued_at, timezone) as issued_at,
  as_local(figures.expires_at, timezone) as expires_at,
  credit.unit,
  credit.balance_type,
  credit.credit_id,
  credit.decimals
from figures
join facts.credits as credit
  on credit.merchant_id = figures.merchant_id and credit.credit_id = figures.credit_id
join starts on starts.merchant_id = figures.merchant_id and starts.batch_id = figures.batch_id
left join ledger.members as member
  on member.merchant_id = credit.merchant_id and member.member_id = credit.member_id
