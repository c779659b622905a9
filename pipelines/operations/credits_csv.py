"""Credits from a CSV (seed 000): member and amount row by row, issued as one batch.

The file is read as a file in landing/ is: the same kinds of CSV, the same grammar. One bad row refuses the request.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
from pydantic import Field

from pipelines import readers
from pipelines.counts import counted
from pipelines.operations.engine import Desk, Operation, Plan, sum_of
from pipelines.operations.issuing import batch_of, batch_plan
from pipelines.operations.requests import RefusedError, Who
from pipelines.operations.values import unit_of
from pipelines.settings import DEFAULT_BALANCE_TYPE

SHAPE = readers.Shape(("member_id", "amount", "reason_details", "expires_at"), frozenset({"member_id", "amount"}))
_SHOWN_ROWS = 5


class CreditsCsv(Who):
    """Issue a batch of credits with individual amounts, from a CSV."""

    file: str = Field(
        description="Path of the CSV, where Rollforward runs. Columns: member_id*, amount*, reason_details, expires_at."
        " It must still be there, unchanged, when the preview is processed."
    )
    description: str = Field(default="", description="What the batch is called. Blank: the name of the file.")
    credit_type: str = Field(
        default="Adjustment",
        description="How it is tracked: Promotional, Refund, Service Recovery, Adjustment, or another of yours.",
    )
    date: str = Field(
        default="", description="The day it is issued for, like 2026-06-30; not in a published month. Blank: today."
    )
    location: str = Field(default="", description="The location that all of the credits belong to.")
    reason: str = Field(default="", description="Why: the category of the reason, as in reports.")
    internal_note: str = Field(default="", description="A note that members do not see.")


def credits_csv_plan(desk: Desk, request: CreditsCsv) -> Plan:
    """A credit for each row of the file. Raises RefusedError, naming row and column."""
    path = Path(request.file)
    batch = batch_of(
        desk,
        description=request.description.strip() or path.name,
        credit_type=request.credit_type,
        date=request.date.strip() or str(desk.today),
        reason=request.reason,
        location=request.location,
        internal_note=request.internal_note,
        issued_as="csv",
    )
    _read(desk, path)
    rows = desk.query("credits_csv", decimal_comma=desk.merchant.decimal_comma, opens_at=batch.occurred_at)
    malformed = desk.shard.connection.execute("select source_row, explanation from staging.malformed").fetchall()
    readers.clear(desk.shard.connection)
    _refuse_bad_rows(path, rows, malformed)
    unit, _ = unit_of(desk, DEFAULT_BALANCE_TYPE)
    repeated = rows.filter(pl.col("member_id").is_duplicated())["member_id"].unique(maintain_order=True)
    who = counted(repeated.len(), "member is", "members are")
    named = ", ".join(repeated.head(3)) + (", …" if repeated.len() > 3 else "")
    return batch_plan(
        desk,
        batch,
        rows.with_columns(reason_details=pl.coalesce("reason_details", pl.lit(batch.description))),
        explanation=f"{batch.description}: credits from {path.name}, dated {batch.day}.",
        filters=f"{batch.description} ({batch.credit_type}): the rows of {path.name}, in {unit}, dated {batch.day}."
        + (f"\nReason: {batch.reason}" if batch.reason else "")
        + (f"\nLocation: {batch.location}" if batch.location else ""),
        warnings=(
            *((f"{who} in the file more than once: {named}.",) if repeated.len() else ()),
            *_expired(desk, rows, unit),
        ),
    )


OPERATIONS = (Operation("credits-csv", CreditsCsv, "administrator", credits_csv_plan, previewed=True),)


def _read(desk: Desk, path: Path) -> None:
    """Fill staging.raw and staging.malformed."""
    if not path.is_file():
        raise RefusedError(
            f'file "{path}" is not there. Name a CSV that is; after a preview it must stay in its place.'
        )
    try:
        readers.read(
            desk.shard.connection,
            path,
            "csv",
            SHAPE,
            encoding=desk.merchant.encoding,
            scratch=desk.shard.scratch,
            decimal_mark="," if desk.merchant.decimal_comma else ".",
        )
    except readers.UnreadableFileError as problem:
        raise RefusedError(f"{path.name}: {problem}") from None
    except OSError as problem:
        raise RefusedError(f'file "{path}" cannot be read: {problem.strerror}.') from None


def _expired(desk: Desk, rows: pl.DataFrame, unit: str) -> Iterator[str]:
    """Of a day before, credits may be issued that are good for nothing."""
    over = rows.filter(pl.col("expires_at") <= desk.at)
    if not over.is_empty():
        named = ", ".join(f"row {row}" for row in over["source_row"].head(3)) + (", …" if over.height > 3 else "")
        yield (
            f"The time until which {counted(over.height, 'credit is', 'credits are')} good is over ({named};"
            f" {desk.told(sum_of(over['amount']), unit)} in all): they expire at once."
        )


def _refuse_bad_rows(path: Path, rows: pl.DataFrame, malformed: list[tuple[int, str]]) -> None:
    bad = rows.filter(pl.col("problem").is_not_null())
    said = {
        row: " ".join([f"row {row},", column, *([] if value is None else [f'"{readers.shown(value)}"']), problem])
        for row, column, value, problem in bad.select("source_row", "column_name", "value", "problem").iter_rows()
    }
    said |= {row: f"row {row}: {explanation}" for row, explanation in malformed}
    if not said:
        return
    first = [said[row] for row in sorted(said)[:_SHOWN_ROWS]]
    more = f" And {counted(len(said) - len(first), 'more row', 'more rows')}." if len(said) > len(first) else ""
    how_many = counted(len(said), "bad row", "bad rows")
    raise RefusedError(f"{path.name} has {how_many}, and nothing of it is taken: {' '.join(first)}{more}")
