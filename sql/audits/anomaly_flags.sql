-- What the rules of sql/anomalies found in each period, and where the evidence stands: one row per flag.
--
-- The evidence is looked for in the period's own sheets: the first of the flag's entries that has a row in one, else the
-- redemption that such an entry wants to give back, else its batch, else its credit, else what its member has. Where a
-- batch or a member has rows in several units, it is one in the flag's own; a member's in another shows nothing.
with found as materialized (
  select row_number() over () as flag, *, list_sort(entry_ids) as sorted_ids from found_flags
),

-- Every row of the sheets, by what it is about and whose it is; in the order of the sheets. What a member has of the
-- credits created is in Extant Credits.
rows_of_sheets as (
  select merchant_id, period, 1 as sheet_number, 'Credits Created' as sheet, 'created' as kind, credit_id as id,
    null as user_id, unit, position
  from reports.credits_created
  union all
  select merchant_id, period, 2, 'Credit Redemptions', 'redeemed', redemption_id, user_id, unit, position
  from reports.credit_redemptions
  union all
  select merchant_id, period, 3, 'Credit Redemption Refunds', 'refunded', refund_id, user_id, unit, position
  from reports.credit_redemption_refunds
  union all
  select merchant_id, period, 4, 'Credit Expirations', 'expired', source_credit_id, user_id, unit, position
  from reports.credit_expirations
  union all
  select merchant_id, period, 5, 'Extant Credits', 'extant', credit_id, user_id, unit, position
  from reports.extant_credits
  union all
  select merchant_id, period, 6, 'Credit Adjustments', movement_type, movement_id, user_id, unit, position
  from reports.credit_adjustments
  union all
  select merchant_id, period, 7, 'Credits Batches', 'batch', batch_id, null, unit, position
  from audits.credits_batches
),

-- Not of months that are none of this run's.
of_run as (
  from rows_of_sheets semi join settings.periods using (merchant_id, period)
),

shown as (
  from of_run
  union all
  select * replace (if(kind = 'extant', 'member', 'moved') as kind, user_id as id) from of_run
  where user_id is not null
),

named as (
  select flag, merchant_id, period, unit, unnest(sorted_ids) as entry_id from found
),

-- What each flag's evidence is about, the best first.
sought as (
  select named.flag, 1 as choice, movement.merchant_id, named.period, named.unit, movement.movement_type as kind,
    if(movement.movement_type in ('created', 'expired'), movement.credit_id, movement.movement_id) as id
  from named
  join facts.movements as movement
    on movement.merchant_id = named.merchant_id and movement.entry_id = named.entry_id and movement.part = 1
  union all
  -- A refund that gives nothing back has no row of its own.
  select named.flag, 2, entry.merchant_id, named.period, named.unit, movement.movement_type, movement.movement_id
  from named
  join ledger.entries as entry
    on entry.merchant_id = named.merchant_id and entry.entry_id = named.entry_id
  join facts.movements as movement
    on movement.merchant_id = entry.merchant_id and movement.redemption_id = entry.redemption_id
  where entry.entry_type = 'refunded' and movement.movement_type = 'redeemed' and movement.part = 1
  union all
  select flag, 3, merchant_id, period, unit, 'batch', split_part(batch_id, '; ', 1)
  from found
  union all
  select flag, 4, merchant_id, period, unit, unnest(['created', 'expired', 'extant']), credit_id
  from found
  union all
  -- What is about an account that has not moved in the period: what the member has.
  select flag, 5, merchant_id, period, unit, 'member', member_id
  from found
  where credit_id is null and batch_id is null
  union all
  -- Of a balance whose credits are all used up: what the member moved.
  select flag, 6, merchant_id, period, unit, 'moved', member_id
  from found
  where rule = 'balance_mismatch'
),

evidence as (
  select
    sought.flag,
    arg_min(shown.sheet, (choice, coalesce(sought.unit <> shown.unit, false), sheet_number, position)) as sheet,
    arg_min(shown.position, (choice, coalesce(sought.unit <> shown.unit, false), sheet_number, position)) as position
  from sought
  join shown using (merchant_id, period, kind, id)
  where sought.kind not in ('member', 'moved') or sought.unit is null or sought.unit = shown.unit
  group by sought.flag
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
