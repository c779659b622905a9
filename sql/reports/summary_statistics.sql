-- The totals of each period: one row per unit.
with totals as (
  select
    merchant_id,
    period,
    unit,
    any_value(decimals) as decimals,
    sum(created) as created,
    -sum(redeemed) as redeemed,
    sum(refunded) as refunded,
    -sum(expired) as expired,
    sum(extant) as extant,
    sum(opening_entries + transferred_in + deducted + reversed + transferred_out) as adjusted,
    sum(after_period) as after_period,
    sum(overdrawn) as overdrawn,
    sum(opening_balance) as opening_balance,
    sum(closing_balance) as closing_balance
  from reports.roll_forward
  group by all
)

select
  merchant_id,
  period,
  unit,
  unit = merchant.currency as is_currency,
  created::decimal(38, 4) as total_credit_created,
  redeemed::decimal(38, 4) as total_credit_redeemed,
  refunded::decimal(38, 4) as total_credit_redemption_refunded,
  expired::decimal(38, 4) as total_credit_expired,
  (created + refunded - redeemed - expired)::decimal(38, 4) as total_credit_change,
  extant::decimal(38, 4) as total_credit_extant,
  adjusted::decimal(38, 4) as total_credit_adjusted,
  (created + refunded - redeemed - expired + adjusted)::decimal(38, 4) as total_change_including_adjustments,
  after_period::decimal(38, 4) as movements_after_period,
  overdrawn::decimal(38, 4) as overdrawn,
  opening_balance::decimal(38, 4) as opening_balance,
  closing_balance::decimal(38, 4) as closing_balance,
  totals.decimals
from totals
join settings.merchants as merchant using (merchant_id)
