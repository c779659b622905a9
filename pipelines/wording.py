"""How amounts, counts and people are worded in SQL, as macros: what explanations in sql/audits and sql/anomalies share.

Only wording: what is said, and of what, stands in the queries.
"""

import duckdb

# What a list of ids shows before it only says how many more there are.
SHOWN_IDS = 20

_MACROS = {
    "ten_thousandths(amount)": "(amount::decimal(30, 4) * 10000::decimal(5, 0))::hugeint",
    "ten_to(decimals)": "[1, 10, 100, 1000, 10000][decimals + 1]::hugeint",
    # 1,234.50; with more decimals than the unit has where it has them, as a declared total or a median may.
    "places(amount)": "rpad(split_part(abs(amount)::decimal(38, 4)::varchar, '.', 2), 4, '0')",
    "shown(amount, decimals)": """
        if(amount < 0, '-', '') || rtrim(
          format('{:,}', trunc(abs(amount))::hugeint) || '.'
          || left(places(amount), greatest(decimals, length(rtrim(places(amount), '0')))::integer), '.')""",
    "shown_with_unit(amount, decimals, unit)": "shown(amount, decimals) || ' ' || unit",
    "counted(count, one, many)": "format('{:,}', count::bigint) || ' ' || if(count = 1, one, many)",
    # part / whole, neither below zero, with so many decimals (up to four), a half rounded up. In whole numbers: DuckDB
    # divides decimals as binary fractions, by which 2.01 / 2 is 1.00.
    "quotient(part, whole, decimals)": """
        (((2 * ten_thousandths(part) * ten_to(decimals) + ten_thousandths(whole)) // (2 * ten_thousandths(whole)))
         * ten_to(4 - decimals))::decimal(34, 0) * 0.0001::decimal(4, 4)""",
    # A ratio of two amounts, in percent, to the tenth.
    "percent(part, whole)": """
        rtrim(rtrim(round(100 * part::double / whole::double, 1)::decimal(18, 1)::varchar, '0'), '.') || ' %'""",
    "said(text)": "'\"' || if(length(text) > 80, left(text, 79) || '…', text) || '\"'",
    # The same for all texts that read the same: whatever their case, their spaces, and what their accents are made of.
    "folded(text)": r"lower(nfc_normalize(trim(regexp_replace(text, '[\s\p{Z}]+', ' ', 'g'))))",
    # Who created something, by which one person is told from another: the email, or the name where there is none.
    # Where a person goes by several names, a flag has the least: any of them would be another from run to run.
    "person(creator)": "folded(coalesce(nullif(regexp_extract(creator, '<([^<>]*)>$', 1), ''), creator))",
    "ids(list_of_ids)": f"""
        array_to_string(list_sort(list_of_ids)[1:{SHOWN_IDS}], '; ')
        || if(len(list_of_ids) > {SHOWN_IDS}, ' … and ' || format('{{:,}}', len(list_of_ids) - {SHOWN_IDS}) || ' more',
              '')""",
}


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the macros known to `connection`."""
    for signature, meaning in _MACROS.items():
        connection.execute(f"create or replace temp macro {signature} as {meaning}")
