"""Publishing: a period's workbook put in its place, as a version that is never written over.

The workbook is written beside and renamed; then the journal says so; then the ledger. Killed in between, the next run
writes the same file again or applies what the journal says. What a workbook looks like is in `pipelines.workbook`.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import IO, Any, Literal, cast

from pipelines import clock, events, workbook
from pipelines.errors import ForPeopleError
from pipelines.journal import Journal, put_in_place
from pipelines.periods import Period
from pipelines.shards import Shard
from pipelines.workbook import Contents

Totals = dict[str, dict[str, str]]
# What stands in About, or in no sheet but only in what others are summed from.
_NOT_COMPARED = ("reports.provenance", "reports.flows", "audits.not_assessable")


class PublishError(ForPeopleError):
    """A workbook that could not be put in its place, and what to do."""


@dataclass(frozen=True)
class Publication:
    """A workbook in its place. `changes` says how its totals differ from the version before, `set_aside` how many rows
    of the merchant's files are not in the ledger, `unknown` which workbooks had its place and were left there.
    """

    period: Period
    path: Path
    version: int
    outcome: Literal["written", "unchanged", "restored"]
    totals: Totals
    changes: tuple[str, ...]
    incomplete: str | None = None
    set_aside: int = 0
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = {
            "written": f"version {self.version}" if self.version > 1 else "written",
            "unchanged": "nothing has changed",
            "restored": "was gone or changed, and has been written again",
        }[self.outcome]
        lines = [*self.changes, *([self.incomplete] if self.incomplete else [])]
        if self.outcome == "written" and self.version > 1 + len(self.unknown) and not self.changes:
            lines.insert(0, "no total has changed; other cells have")
        lines += [f"{name} was there, of which the ledger does not know; it stays as it is" for name in self.unknown]
        return "\n".join([f"{self.path} ({said})", *(f"  {line}" for line in lines)])


def publish(shard: Shard, contents: Contents, run_id: str) -> Publication:
    """Put the workbook in place, unless the version that is there says the same already.

    Raises PublishError where the reports folder cannot be written.
    """
    period = contents.period
    content_hash, totals = _hash_of(contents), _totals_of(contents)
    incomplete, set_aside = workbook.incomplete(contents), int(contents["provenance"]["rejected_rows"][0])
    last = _last_version(shard, period)
    if last and last["content_hash"] == content_hash:
        path = shard.home.reports / last["path"]
        if path.is_file() and _sha256(path) == last["sha256"]:
            return Publication(period, path, last["version"], "unchanged", totals, (), incomplete, set_aside)
        beside = _write_beside(shard, path, contents)
        if _sha256(beside) == last["sha256"]:
            with _telling(path):
                put_in_place(beside, path)
            return Publication(period, path, last["version"], "restored", totals, (), incomplete, set_aside)
        beside.unlink()
    version = 1 if last is None else last["version"] + 1
    path = shard.home.reports / _relative_path(period, version)
    beside = _write_beside(shard, path, contents)
    sha256 = _sha256(beside)
    unknown = []
    with _telling(path):
        # Of a time that this ledger knows nothing of, as after the restore of an older backup: somebody may go by it.
        while path.is_file() and _sha256(path) != sha256:
            unknown.append(path.name)
            version += 1
            path = shard.home.reports / _relative_path(period, version)
        put_in_place(beside, path)
    newest = contents["provenance"]["newest_recorded_at"][0]
    event = Journal(shard.home).write(
        period.merchant.id,
        "publication",
        {
            "period": period.name,
            "starts_at": period.starts_at.isoformat(),
            "ends_at": period.ends_at.isoformat(),
            "as_of": period.as_of.isoformat(),
            "is_final": period.is_final,
            "version": version,
            "path": str(_relative_path(period, version)),
            "sha256": sha256,
            "content_hash": content_hash,
            "totals": json.dumps(totals, sort_keys=True),
            "closing_balances": json.dumps(_closing_balances(contents), sort_keys=True),
            "newest_recorded_at": newest and newest.isoformat(),
            "run_id": run_id,
            "software_version": installed_version("rollforward"),
        },
    )
    events.apply(shard, event)
    changes = _changes(json.loads(last["totals"]), totals) if last else ()
    return Publication(period, path, version, "written", totals, changes, incomplete, set_aside, tuple(unknown))


def _relative_path(period: Period, version: int) -> Path:
    """Where the workbook goes below reports/. Made of a declared merchant's id and of dates, never of data."""
    merchant_id = period.merchant.id
    suffix = f"-v{version}" if version > 1 else ""
    return Path(merchant_id, period.name, f"credits-{merchant_id}-{period.name}{suffix}.xlsx")


def _write_beside(shard: Shard, path: Path, contents: Contents) -> Path:
    """The workbook beside its place, whole and on disk."""
    # One name a shard, whose lock is held: what a killed run left behind is written over. Under the workbook's own name
    # it would stay for good where that has the time.
    beside = shard.home.reports / contents.period.merchant.id / f".{shard.name}.tmp"
    with _telling(path):
        try:
            beside.parent.mkdir(parents=True, exist_ok=True)
            workbook.write(contents, beside)
            with beside.open("rb") as written:
                os.fsync(written.fileno())
            # Not before: of free dates each run that fails would leave an empty folder.
            path.parent.mkdir(exist_ok=True)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
    return beside


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into a sentence for whoever has to see to it."""
    try:
        yield
    except OSError as problem:
        raise PublishError(
            f"{path} cannot be written: {problem.strerror or problem}. The ledger is complete; make room or give this"
            " user the right to write there, and run the report again."
        ) from None


def _last_version(shard: Shard, period: Period) -> Mapping[str, Any] | None:
    found = shard.connection.execute(
        "select * from ledger.published where merchant_id = $1 and period = $2 order by version desc limit 1",
        [period.merchant.id, period.name],
    ).pl()
    return None if found.is_empty() else found.row(0, named=True)


def _hash_of(contents: Contents) -> str:
    """Hash over what the sheets say, About excepted: what differs here is a new version."""
    period = contents.period
    as_of = clock.local_from_utc(period.as_of, period.merchant.timezone)
    on_top = [period.merchant.label, period.merchant.name, f"{period.first_day}", f"{period.last_day}", f"{as_of}"]
    digest = hashlib.sha256(json.dumps(on_top).encode())
    for name in sorted(contents.tables):
        if name not in _NOT_COMPARED:
            digest.update(name.encode())
            contents.tables[name].write_csv(cast(IO[bytes], _Sink(digest)))
    return digest.hexdigest()


class _Sink:
    """A file that only hashes what is written to it."""

    def __init__(self, digest: "hashlib._Hash") -> None:
        self._digest = digest

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return len(data)


def _totals_of(contents: Contents) -> Totals:
    return {
        str(row["unit"]): {
            name: f"{value:.{row['decimals']}f}" for name, value in row.items() if isinstance(value, Decimal)
        }
        for row in contents["summary_statistics"].sort("unit").iter_rows(named=True)
    }


def _closing_balances(contents: Contents) -> dict[str, str]:
    """What the next month's opening balance is held against, by balance type."""
    return {
        balance_type: f"{amount:f}"
        for balance_type, amount in contents["roll_forward"].select("balance_type", "closing_balance").iter_rows()
    }


def changed_totals(before: Totals, after: Totals) -> Iterator[tuple[str, str, Decimal, Decimal]]:
    """Unit and name of each total that is another in a later version, what it was, and what it is."""
    for unit in dict.fromkeys([*after, *before]):
        was, now = before.get(unit, {}), after.get(unit, {})
        for name in now or was:
            old, new = Decimal(was.get(name, "0")), Decimal(now.get(name, "0"))
            if old != new:
                yield unit, name, old, new


def _changes(before: Totals, after: Totals) -> tuple[str, ...]:
    return tuple(
        f"{name.replace('_', ' ')}: {old:,f} is now {new:,f} {unit} ({new - old:+,f})"
        for unit, name, old, new in changed_totals(before, after)
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
