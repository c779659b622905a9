"""Rows against what their table promises: what breaks it stops the step, and is told with the first values that do."""

from types import ModuleType

import duckdb
import pytest

from pipelines import promises
from schemas import audits, facts, ledger, reports
from schemas.table import Money, Table, Text, Whole, money, text, whole


class Jars(Table):
    """One row per jar."""

    jar: Text = text("Its name.")
    size: Whole = whole("How many pints go in.", gt=0)
    holds: Money = money("What is in it.", nullable=True)


HELD = "select 'kitchen' as jar, 3::bigint as size, null::decimal(18, 4) as holds"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (HELD, None),
        (f"from ({HELD}) limit 0", None),
        # Of no rows as of many.
        (f"select jar, size from ({HELD}) limit 0", "holds.*column_in_dataframe"),
        (f"select jar, size, holds, 1 as lid from ({HELD}) limit 0", "lid.*column_in_schema"),
        (f"select size, jar, holds from ({HELD}) limit 0", "column_ordered"),
        (f"select jar, size, holds::decimal(18, 2) as holds from ({HELD}) limit 0", r"holds.*precision=18, scale=4"),
        (f"select jar, size::integer as size, holds from ({HELD})", "size.*Int64"),
        # Of values.
        (f"select null::varchar as jar, size, holds from ({HELD})", "jar.*breaks not_nullable"),
        (f"from ({HELD}) union all select 'hall', 0, 2.5", r"size '0' breaks greater_than\(0\)"),
    ],
)
def test_what_breaks_a_promise_is_told_whether_the_rows_are_in_duckdb_or_at_hand(rows: str, said: str | None) -> None:
    with duckdb.connect() as connection:
        if said is None:
            held = connection.execute(rows).pl()
            assert promises.check(Jars, held, "jars").equals(held)
            assert promises.validate(connection, Jars, rows, [], "jars") == held.height
            return
        with pytest.raises(promises.BrokenPromiseError, match=rf"^jars: .*{said}.* Nothing of this step was kept"):
            promises.check(Jars, connection.execute(rows).pl(), "jars")
        with pytest.raises(promises.BrokenPromiseError, match=rf"^jars: .*{said}.* Nothing of this step was kept"):
            promises.validate(connection, Jars, rows, [], "jars")


@pytest.mark.parametrize("layer", [audits, facts, ledger, reports])
def test_no_table_promises_what_is_not_held(layer: ModuleType) -> None:
    """Columns, types, blanks and values of single columns are; that values are unique, or of whole rows, is not."""
    tables = [promise for promise in vars(layer).values() if isinstance(promise, type) and issubclass(promise, Table)]
    assert len(tables) > 1
    for promise in tables:
        schema = promise.to_schema()
        assert not schema.checks, promise
        assert not schema.unique, promise
        assert not [name for name, column in schema.columns.items() if column.unique], promise
