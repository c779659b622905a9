"""What runs and people are told of batches and flags: a month's counts and tables in Dagster, and what is held back.

What is found is in sql/audits and sql/anomalies; how it stands in a workbook, in `pipelines.audit_sheets`.
"""

from typing import Any

import dagster as dg
import polars as pl

from pipelines import anomalies, batches
from pipelines.counts import counted
from pipelines.resources import Session
from pipelines.tables import Check, asset_key, markdown
from pipelines.workbook import Contents
from schemas.audits import SEVERITIES

FLAGS = asset_key("audits.anomaly_flags")
SHOWN_FLAGS, SHOWN_BATCHES, SHOWN_RECIPIENTS = 50, 100, 10
SAID_ERRORS = 3


def blocked(contents: Contents) -> str | None:
    """Why the workbook is not published, its merchant blocking on errors; None where it may be."""
    merchant = contents.period.merchant
    errors = contents.tables["audits.anomaly_flags"].filter(severity="error")["explanation"].to_list()
    if not merchant.block_on_errors or not errors:
        return None
    more = f" And {len(errors) - SAID_ERRORS:,} more." if len(errors) > SAID_ERRORS else ""
    return (
        f"The workbook of {merchant.id}, {contents.period.name}, is held back:"
        f" {counted(len(errors), 'error', 'errors')} (block_on_errors). {' '.join(errors[:SAID_ERRORS])}{more}"
        f" Correct them at the source, or set block_on_errors = false, and run the report again; to see them:"
        f" rollforward flags --merchant {merchant.id} --severity error"
    )


def flags_of_month(session: Session, month: str) -> dict[str, Any]:
    """How many flags there are by severity and by rule, as numbers that can be plotted, and the first of them."""
    flags = _rows(session, "audits.anomaly_flags", month)
    severities, rules = flags["severity"], flags["rule"]
    counts = {f"severity_{severity}": int((severities == severity).sum()) for severity in SEVERITIES}
    counts |= {f"rule_{rule.name}": int((rules == rule.name).sum()) for rule in anomalies.rules()}
    shown = ("merchant_id", "severity", "rule", "explanation", "member_id", "credit_id", "batch_id", "entry_ids")
    by_rule = flags.group_by("rule", "severity").agg(flags=pl.len()).sort("flags", "rule", descending=[True, False])
    return {
        **counts,
        "flags_by_rule": markdown(by_rule),
        "flags": markdown(flags, shown, SHOWN_FLAGS),
    }


def batches_of_month(session: Session, month: str) -> dict[str, Any]:
    """The batches as a table, and their numbers."""
    found = _rows(session, "audits.credits_batches", month)
    return {
        "batches": markdown(found, (*batches.SHOWN, "reversible"), SHOWN_BATCHES),
        "batches_listed": found.height,
        "batches_issued": int(found["issued_in_period"].sum()),
        "view_details": "Of one batch: launch the job batch_details, or `rollforward batches show ID`.",
    }


def recipients_of_month(session: Session, month: str) -> dict[str, Any]:
    """View Details: the first recipients of each batch."""
    # There may be as many as there are members: only those that are shown leave the ledger.
    of_each = f"qualify row_number() over (partition by merchant_id, batch_id order by position) <= {SHOWN_RECIPIENTS}"
    first = _rows(session, "audits.batch_recipients", month, of_each)
    shown = ("merchant_id", "batch_id", "member_id", "email", "name", "amount", "used", "reversed", "remaining", "unit")
    return {
        "recipients": markdown(first, shown, SHOWN_BATCHES * SHOWN_RECIPIENTS),
        "view_details": "All of one batch: launch the job batch_details, or `rollforward batches show ID`.",
    }


def _no_errors(session: Session) -> dg.AssetCheckResult:
    """Warns of error flags; of merchants that block on errors it is an error, since their workbooks are held back."""
    flags = pl.concat(
        [
            shard.connection.execute(
                "select * from audits.anomaly_flags semi join settings.periods using (merchant_id, period)"
                " where severity = 'error' order by merchant_id, period, position"
            ).pl()
            for shard in session.shards
        ]
    )
    held = [one for one in {*flags["merchant_id"]} if session.merchants[one].block_on_errors]
    shown = ("merchant_id", "period", "rule", "explanation")
    return dg.AssetCheckResult(
        passed=flags.is_empty(),
        check_name=NO_ERRORS.spec.name,
        asset_key=FLAGS,
        severity=dg.AssetCheckSeverity.ERROR if held else dg.AssetCheckSeverity.WARN,
        description=counted(flags.height, "flag is an error", "flags are errors")
        + (f"; workbooks held back: {', '.join(sorted(held))}" if held else ""),
        metadata={"errors": flags.height, "flags": markdown(flags, shown, SHOWN_FLAGS)},
    )


NO_ERRORS = Check(
    dg.AssetCheckSpec(
        "no_errors",
        asset=FLAGS,
        blocking=False,
        description="No flag is an error: no wrong data, no control that failed. It warns; where a merchant has"
        " block_on_errors, that merchant's workbook is held back, and no other. What to do: docs/anomalies.md says"
        " it of each rule.",
    ),
    _no_errors,
)


def _rows(session: Session, name: str, month: str, which: str = "") -> pl.DataFrame:
    """What a table holds of a month, of all merchants; `which`, in SQL of ours, may leave some out."""
    names = [
        (shard, [period.name for period in session.periods_of(shard) if period.first_day.isoformat() == month])
        for shard in session.shards
    ]
    return pl.concat(
        [
            shard.connection.execute(
                f"select * from {name} semi join settings.periods using (merchant_id, period)"  # noqa: S608 - our own
                f" where list_contains($1, period) {which} order by merchant_id, position",
                [told],
            ).pl()
            for shard, told in names
        ]
    )
