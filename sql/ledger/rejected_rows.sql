-- Rows of a file that are set aside, with what is wrong with each: one row per rejected row.
with broken as (
  select
    verdicts.source_row,
    split_part(verdicts.problem, ':', 1) as column_name,
    split_part(verdicts.problem, ':', 2) as reason,
    -- What is null is left out, and so is the row's number.
    json_merge_patch(json_merge_patch('{}', to_json(raw)), '{"source_row": null}') as row
  from staging.verdicts as verdicts
  join staging.raw as raw using (source_row)
  where verdicts.verdict = 'rejected'
),

explained as (
  select
    broken.*,
    row_id_of(row, $id_columns) as row_id,
    row ->> column_name as value,
    coalesce(row ->> 'balance_type', 'default') as balance_type
  from broken
),

-- What an explanation quotes: on one line, and not longer than a person reads. Marks of direction, joiners and the like
-- would leave a value that looks as it should.
quoted as (
  select
    explained.*,
    column_name || ' "' || regexp_replace(if(length(value) > 80, left(value, 79) || '…', value), '\s+', ' ', 'g') || '"'
      || if(regexp_matches(value, '\p{Cf}'), ' (with characters that do not show)', '') as said,
    decimals_of(plain_amount(value, $decimal_comma)) as value_decimals,
    kind.unit,
    kind.decimals,
    finest.decimals as finest_decimals
  from explained
  left join settings.balance_types as kind
    on kind.merchant_id = $merchant_id and kind.balance_type = explained.balance_type
  join (
    select max(decimals) as decimals from settings.balance_types where merchant_id = $merchant_id
  ) as finest on true
)

select
  $merchant_id as merchant_id,
  $event::bigint as event,
  $dataset as dataset,
  $source_file as source_file,
  source_row,
  column_name,
  value,
  reason,
  case reason
    when 'missing' then column_name || ' is blank, and this row needs one.'
    when 'other_merchant' then format('{} is not the merchant of this folder, "{}".', said, $merchant_id)
    when 'unknown_entry_type' then
      said || ' is none of opening, created, redeemed, refunded, expired, deducted, reversed, transferred_out,'
      ' transferred_in, expiry_changed.'
    when 'not_a_time' then said || ' is not a time; write it like 2026-06-30 or 2026-06-30T13:45:00Z.'
    when 'year_out_of_range' then said || ' has a year outside 1970 to 2199.'
    when 'in_the_future' then
      said || ' had not come when the file was read. Once it has, the next ingest takes the row.'
    when 'unknown_balance_type' then
      said || ' is not declared for this merchant in merchants.toml. Once it is, the next ingest takes the row.'
    when 'not_an_amount' then format('{} is not an amount; write it like {}.', said, if($decimal_comma, '1234,50', '1234.50'))
    when 'negative_total' then said || ' is less than nothing.'
    when 'negative' then said || ' has a sign; the entry type says which way it counts.'
    when 'too_large' then said || ' has more than 14 digits before the decimal point.'
    when 'not_positive' then said || ' is nothing; it must be more than 0.'
    when 'too_many_decimals' then
      format('{} has {} decimal{}, {} has {}.', said, value_decimals, if(value_decimals = 1, '', 's'), unit, decimals)
    when 'finer_than_any_unit' then format(
      '{} has {} decimal{}, and no unit of this merchant has more than {}.',
      said, value_decimals, if(value_decimals = 1, '', 's'), finest_decimals
    )
    when 'must_be_zero' then said || ' stands in an expiry_changed row, which moves nothing; leave it blank.'
    when 'not_a_whole_number' then said || ' is not a whole number of at most 9 digits.'
    when 'unknown_system' then said || ' is neither balance_credit nor legacy_credit.'
    when 'not_true_or_false' then said || ' is neither true nor false.'
    when 'neither_class_nor_camp' then said || ' is neither class nor camp.'
    when 'not_days' then said || ' is not a list of days; write it like mon;wed.'
    when 'not_a_date' then said || ' is not a date; write it like 2026-06-30.'
    when 'unknown_issued_as' then said || ' is none of family, student, enrollment, csv, import.'
    when 'balance_changed' then
      said || ' is not what this account was said to hold on that day before, and the ledger does not follow changes.'
      ' If it is right, say what the account held on a later day.'
    when 'entry_changed' then
      said || ' came before with other content, and the ledger does not follow changes. Send a change as a new entry.'
    when 'duplicate_credit_id' then
      coalesce(said, format('credit_id "{}" (that is the entry_id, as the row has no credit_id)', row_id))
      || ' already names another credit.'
    when 'duplicate_redemption_id' then
      coalesce(said, format('redemption_id "{}" (that is the entry_id, as the row has no redemption_id)', row_id))
      || ' already names another redemption.'
  end as explanation,
  row::varchar as row,
  row_id,
  $sha256 as sha256,
  $recorded_at as rejected_at,
  null::bigint as closed_event
from quoted
union all by name
select
  $merchant_id as merchant_id,
  $event::bigint as event,
  $dataset as dataset,
  $source_file as source_file,
  source_row,
  null::varchar as column_name,
  null::varchar as value,
  reason,
  explanation,
  text as row,
  -- What its cells seem to say: when an entry of that id goes in later, this row has been corrected.
  if(cells is null, null, row_id_of(cells::json, $id_columns)) as row_id,
  $sha256 as sha256,
  $recorded_at as rejected_at,
  null::bigint as closed_event
from staging.malformed
order by source_row
