"""Which months are due: ended, and without a published workbook. Read beside the ledger, never from it.

The latest month that has ended is due for every merchant; a former one where it is later than the merchant's first
publication. Older history is a backfill that a person starts. A month before everything that ever happened, published
by a slip, begins nothing: else all months since then would be due.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import duckdb

from pipelines import database, shards
from pipelines.journal import Journal, JournalError
from pipelines.periods import ONE_DAY, months_between, parse_month
from pipelines.settings import MERCHANT_ID, Home, Merchant

# At 13:00 UTC on the 1st the month has ended in every timezone, and the schedule reports it. An hour later it is due.
ENDED_EVERYWHERE, SCHEDULE_HAS_HAD = timedelta(hours=13), timedelta(hours=1)
FRESHNESS_CHECK = "months_are_published"


def month_just_ended(now: datetime) -> date:
    """The first day of the latest month that has ended in every timezone."""
    reached = (now.astimezone(UTC) - ENDED_EVERYWHERE).date()
    return (reached.replace(day=1) - ONE_DAY).replace(day=1)


def due(published: Mapping[str, set[date]], now: datetime) -> dict[date, list[str]]:
    """The months that are due, each with its merchants. `published` has the months of every merchant there is."""
    latest = month_just_ended(now - SCHEDULE_HAS_HAD)
    missing: dict[date, list[str]] = {}
    for merchant_id, months in published.items():
        for month in months_between(min(months, default=latest), latest):
            if month not in months:
                missing.setdefault(month, []).append(merchant_id)
    return dict(sorted(missing.items()))


def published_months(home: Home, merchants: Mapping[str, Merchant], unreadable: Iterable[str]) -> dict[str, set[date]]:
    """The published months of each merchant: those of the copy for readers, and what the journal says since then; but
    for those before the month of the first entry.

    Of merchants whose settings are `unreadable`, and with them their shard, only the journal tells; so it does where
    the copy is damaged or may not be read. Where the journal is, the copy does: the merchant's next run says what is
    wrong.
    """
    ids = [*merchants, *(merchant_id for merchant_id in unreadable if MERCHANT_ID.fullmatch(merchant_id))]
    months: dict[str, set[date]] = {merchant_id: set() for merchant_id in ids}
    known: dict[str, set[int]] = {merchant_id: set() for merchant_id in ids}
    begun: dict[str, date] = {}
    for name in shards.by_shard(merchants):
        path = shards.read_copy_path(home, name)
        rows: list[Any] = []
        with suppress(duckdb.Error, OSError):
            if path.is_file():
                with database.connect(path, read_only=True) as connection:
                    rows = connection.execute(
                        "select merchant_id, event, if(is_final, period, null) from ledger.published"
                        " union all select merchant_id, event, null from ledger.files"
                    ).fetchall()
                    begun |= dict(
                        connection.execute(
                            "select merchant_id, date_trunc('month', min(day))::date from facts.daily_totals"
                            " group by all"
                        ).fetchall()
                    )
        for merchant_id, event, period in rows:
            if merchant_id in months:
                known[merchant_id].add(event)
                months[merchant_id] |= {parse_month(period)} if period else set()
    journal = Journal(home)
    for merchant_id in ids:
        with suppress(JournalError, OSError):
            for event in journal.missing(merchant_id, known[merchant_id]):
                if event.kind == "publication" and event.content["is_final"]:
                    months[merchant_id].add(parse_month(event.content["period"]))
    return {
        merchant_id: {month for month in found if month >= begun.get(merchant_id, month)}
        for merchant_id, found in months.items()
    }


def ranges(missing: Mapping[date, Sequence[str]]) -> list[tuple[date, date, Sequence[str]]]:
    """Months that follow each other and are missing for the same merchants: first, last, whose. A run each."""
    found: list[tuple[date, date, Sequence[str]]] = []
    for month, merchants in missing.items():
        if found and found[-1][2] == merchants and months_between(found[-1][1], month)[1:] == [month]:
            found[-1] = (found[-1][0], month, merchants)
        else:
            found.append((month, month, merchants))
    return found


def freshness(missing: Mapping[date, Sequence[str]]) -> dict[str, Any]:
    """The freshness check's result: passed where no month is due, else which ones are and what to do."""
    if not missing:
        return {"passed": True, "metadata": {"missing_months": 0}}
    told = "; ".join(f"{month:%Y-%m}: {', '.join(merchants)}" for month, merchants in missing.items())
    first, last = min(missing), max(missing)
    to = f" --to {last:%Y-%m}" if last > first else ""
    return {
        "passed": False,
        "severity": dg.AssetCheckSeverity.WARN,
        "metadata": {
            "missing_months": len(missing),
            "what": dg.MetadataValue.text(f"These months have ended, and have no published workbook: {told}."),
            "what_to_do": dg.MetadataValue.text(
                "The sensor months_without_workbook reports them once a day. If they are still missing, open its last"
                " run and alerts/ to see what is in the way, put it right, and run:"
                f" rollforward report --month {first:%Y-%m}{to}"
            ),
        },
    }
