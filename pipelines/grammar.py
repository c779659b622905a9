"""The grammar of values in files, as SQL macros: what may stand in a cell, and what it then means.

A value is matched against its grammar before it is cast, since casts are generous: `12.345` rounds, and `infinity`,
`epoch`, `1e2` and `24:00:00` all pass. Which column has which grammar is said in sql/staging/.
"""

import duckdb

_DAY = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_TIME = r"[T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?"
_OFFSET = r"(Z|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)"
_INSTANT = f"{_DAY}({_TIME}{_OFFSET}?)?"
_OFFSET_PARTS = r"([+-])(\d\d):?(\d\d)?$"
_TO_MICROSECONDS = r"^.{10}(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?"

_HASHED = ("entry_type", "occurred_at", "amount", "priority", "system", "expires_at", "issued_at", "original_amount")
_HASHED_TEXTS = (
    *("entry_id", "member_id", "balance_type", "credit_id", "redemption_id", "transfer_id", "batch_id", "credit_type"),
    *("reason", "reason_details", "internal_note", "creator_name", "creator_email", "approved_by", "location"),
)

# What two entries must say alike to be the same.
HASHED = (*_HASHED, *_HASHED_TEXTS)

# Hardly any text has this character, which stands between texts that are hashed.
_BETWEEN = "\x1f"

_MACROS = {
    # Amounts: 1,234.50 or 1234.50, and 1.234,50 or 1234,50 where the merchant declares decimal commas.
    "is_amount(said, decimal_comma)": r"""
        case when decimal_comma then regexp_full_match(said, '-?(\d{1,3}(\.\d{3})*|\d+)(,\d+)?')
             else regexp_full_match(said, '-?(\d{1,3}(,\d{3})*|\d+)(\.\d+)?') end""",
    "plain_amount(said, decimal_comma)": """
        case when decimal_comma then replace(replace(said, '.', ''), ',', '.') else replace(said, ',', '') end""",
    # Trailing zeros do not count.
    "decimals_of(plain)": "length(rtrim(split_part(plain, '.', 2), '0'))",
    # Instants and dates. A day that the calendar lacks fails the cast of its first ten characters.
    "is_instant(said)": f"regexp_full_match(said, '{_INSTANT}') and try_cast(said[1:10] as date) is not null",
    "is_date_alone(said)": "length(said) = 10",
    "has_offset(said)": f"length(said) > 10 and regexp_matches(said[17:], '{_OFFSET}$')",
    "offset_of(said)": f"""
        case when said[-1:] = 'Z' then interval 0 minute
             else to_minutes(
               (case when regexp_extract(said, '{_OFFSET_PARTS}', 1) = '-' then -1 else 1 end)
               * (60 * regexp_extract(said, '{_OFFSET_PARTS}', 2)::integer
                  + coalesce(nullif(regexp_extract(said, '{_OFFSET_PARTS}', 3), ''), '0')::integer)) end""",
    "wall_clock_of(said)": f"try_cast(regexp_extract(said, '{_TO_MICROSECONDS}') as timestamp)",
    # What most sources write needs no taking apart.
    "is_plain_utc(said)": f"strlen(said) = 20 and ends_with(said, 'Z') and regexp_full_match(said, '{_DAY}{_TIME}Z')",
    "instant_of(said, timezone)": """
        case when is_plain_utc(said) then try_cast(said as timestamptz)
             when not is_instant(said) then null
             when has_offset(said) then (wall_clock_of(said) - offset_of(said)) at time zone 'UTC'
             else as_utc(wall_clock_of(said), timezone) end""",
    "end_of_day_of(said, timezone)": """
        case when is_instant(said) then as_utc(said[1:10]::date + time '23:59:59', timezone) end""",
    "year_of(said)": "try_cast(said[1:4] as integer)",
    "is_day(said)": "is_instant(said) and is_date_alone(said) and year_of(said) between 1970 and 2199",
    # Words that are compared: without the space around them, case aside; and a cell of several, with ; between.
    "word(said)": "lower(trim(said, ' \t\u00a0'))",
    "words_of(said)": """
        list_filter(list_transform(string_split(said, ';'), lambda one: word(one)), lambda one: one <> '')""",
    # A row's id by its cells, as JSON. Where several columns make it up, a blank balance type is the default one.
    "row_id_of(cells, id_columns)": """
        nullif(array_to_string(list_transform(id_columns, lambda name: coalesce(
          cells ->> name, if(name = 'balance_type', 'default', null))), ' '), '')""",
    # A stated balance's id. The day keeps apart what a space cannot, which both of the others may have.
    "balance_id_of(member_id, as_of_day, balance_type)": "member_id || ' ' || as_of_day || ' ' || balance_type",
    # Text with its length before it, so that texts joined together can be told apart whatever is in them.
    "measured(said)": "coalesce(strlen(said) || ':' || said, '')",
    # What an entry says, as a hash. What never varies in form stands as it is. Between texts stands a character that
    # texts do not have; where one does, all are measured, so that none can pass for two, or for its neighbour.
    f"content_hash_of({', '.join(HASHED)})": f"""
        md5(concat(
          concat_ws(
            ' ', entry_type, epoch_us(occurred_at), amount, priority, system,
            coalesce(epoch_us(expires_at)::varchar, 'never'), epoch_us(coalesce(issued_at, occurred_at)),
            coalesce(original_amount, amount)),
          case when contains(concat({", ".join(_HASHED_TEXTS)}), '{_BETWEEN}')
               then concat_ws(' ', '', {", ".join(f"measured({name})" for name in _HASHED_TEXTS)})
               else concat({", ".join(f"'{_BETWEEN}', {name}" for name in _HASHED_TEXTS)}) end))""",
}


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the macros known to `connection`. Needs `pipelines.clock.register` before."""
    for signature, meaning in _MACROS.items():
        connection.execute(f"create or replace temp macro {signature} as {meaning}")
