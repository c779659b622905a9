-- What the rules of sql/anomalies found in each period, and where the evidence stands: one row per flag.
--
-- The evidence is looked for in the period's own sheets: the first of the flag's entries that has a row in one, else its
-- batch, else its credit.
with found as materialized (
  select row_number() over () as flag, *, list_sort(entry_ids) as sorted_ids from found_flags
),

named as (
  select flag, merchant_id, period, unnest(sorted_ids) as entry_id from found
),

moved as (
  select named.*, movement.movement_type, movement.movement_id, movement.credit_id
  from named
  join facts.movements as movement
    on movement.merchant_id = named.merchant_id and movement.entry_id = named.entry_id and movement.part = 1
),

placed as (
  select moved.flag, 1 as rank, 'Credits Created' as sheet, shown.position
  from moved
  join reports.credits_created as shown
    on shown.merchant_id = moved.merchant_id and shown.period = moved.period
    and shown.credit_id = moved.credit_id and moved.movement_type = 'created'
  union all
  select moved.flag, 2, 'Credit Redemptions', shown.position
  from moved
  join reports.credit_redemptions as shown
    on shown.merchant_id = moved.merchant_id and shown.period = moved.period
    and shown.redemption_id = moved.movement_id and moved.movement_type = 'redeemed'
  union all
  select moved.flag, 3, 'Credit Redemption Refunds', shown.position
  from moved
  join reports.credit_redemption_refunds as shown
    on shown.merchant_id = moved.merchant_id and shown.period = moved.period
    and shown.refund_id = moved.movement_id and moved.movement_type = 'refunded'
  union all
  select moved.flag, 4, 'Credit Expirations', shown.position
  from moved
  join reports.credit_expirations as shown
    on shown.merchant_id = moved.merchant_id and shown.period = moved.period
    and shown.source_credit_id = moved.credit_id and moved.movement_type = 'expired'
  union all
  select moved.flag, 5, 'Credit Adjustments', shown.position
  from moved
  join reports.credit_adjustments as shown
    on shown.merchant_id = moved.merchant_id and shown.period = moved.period
    and shown.movement_id = moved.movement_id and shown.movement_type = moved.movement_type
  union all
  select found.flag, 6, 'Credits Batches', shown.position
  from found
  join audits.credits_batches as shown
    on shown.merchant_id = found.merchant_id and shown.period = found.period
    and shown.batch_id = split_part(found.batch_id, '; ', 1)
  union all
  select found.flag, 7, 'Credits Created', shown.position
  from found
  join reports.credits_created as shown using (merchant_id, period, credit_id)
  union all
  select found.flag, 8, 'Credit Expirations', shown.position
  from found
  join reports.credit_expirations as shown
    on shown.merchant_id = found.merchant_id and shown.period = found.period
    and shown.source_credit_id = found.credit_id
  union all
  select found.flag, 9, 'Extant Credits', shown.position
  from found
  join reports.extant_credits as shown using (merchant_id, period, credit_id)
  union all
  -- What is about an account that has not moved in the period: what the member has.
  select found.flag, 10, 'Extant Credits', shown.position
  from found
  join reports.extant_credits as shown
    on shown.merchant_id = found.merchant_id and shown.period = found.period and shown.user_id = found.member_id
  where found.credit_id is null and found.batch_id is null
),

evidence as (
  select flag, arg_min(sheet, (rank, position)) as sheet, arg_min(position, (rank, position)) as position
  from placed
  group by flag
)

select
  found.rule,
  found.severity,
  found.merchant_id,
  found.period,
  row_number() over (
    partition by found.merchant_id, found.period
    order by
      list_position(['error', 'warning', 'info'], found.severity), found.rule, found.amount_at_risk desc nulls last,
      found.member_id, found.batch_id, found.credit_id, found.sorted_ids, found.unit, found.explanation
  ) as position,
  found.member_id,
  found.credit_id,
  found.batch_id,
  ids(found.sorted_ids) as entry_ids,
  found.unit,
  found.amount_at_risk,
  found.observed,
  found.threshold,
  found.explanation,
  found.rule_version,
  evidence.sheet as evidence_sheet,
  evidence.position as evidence_position,
  coalesce(kind.decimals, merchant.currency_decimals) as decimals
from found
join settings.merchants as merchant using (merchant_id)
left join evidence using (flag)
left join (
  select distinct merchant_id, unit, decimals from settings.balance_types
) as kind on kind.merchant_id = found.merchant_id and kind.unit = found.unit
