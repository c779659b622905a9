"""Alerts and notices: what people are told of a run that nobody watched, as a file in the home and to a webhook.

An alert is something to see to: a month that failed, is incomplete, or lacks a merchant's workbook or a file. A notice
says that all went well. Telling never fails a run: what cannot be told is said in the run's log.
"""

import json
import os
import threading
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pipelines.counts import counted
from pipelines.journal import make_folder, write_whole
from pipelines.publish import Publication
from pipelines.settings import Home
from pipelines.shards import Say

URL_VARIABLE = "ROLLFORWARD_ALERT_URL"
# A webhook that has not answered by then is given up: the run has better to do.
PATIENCE_S = 10.0


@dataclass(frozen=True)
class Message:
    """What is told, of which run. `text` is Markdown."""

    kind: Literal["alert", "notice"]
    subject: str
    text: str
    run_id: str


def tell(home: Home, message: Message, say: Say, *, patience_s: float = PATIENCE_S) -> None:
    """Write the message into the home, and send it to the webhook where there is one. Once for each run and kind."""
    folder = home.alerts if message.kind == "alert" else home.notices
    mark = message.run_id[:8] or "no-run"
    if any(folder.glob(f"*-{mark}.md")):
        return
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{mark}.md"
    try:
        make_folder(folder)
        write_whole(path, f"# {message.subject}\n\n{message.text}\n".encode())
    except OSError as problem:
        say(f"The {message.kind} could not be written to {path} ({problem.strerror}): {message.subject}")
    if url := os.environ.get(URL_VARIABLE, "").strip():
        trouble = post(url, message, patience_s)
        if trouble:
            say(f"The {message.kind} could not be sent to {URL_VARIABLE}: {trouble}. It is in {path}.")


def post(url: str, message: Message, patience_s: float) -> str | None:
    """Send the message to the webhook as JSON; what went wrong, if anything did. The address itself is not repeated:
    those of chat services are secret.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        return "its address is neither http nor https"
    content = {
        "kind": message.kind,
        "subject": message.subject,
        # What chat services show.
        "text": f"*{message.subject}*\n\n{message.text}",
        "run_id": message.run_id,
    }
    request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
        url, json.dumps(content).encode(), {"Content-Type": "application/json", "User-Agent": "rollforward"}
    )
    trouble: list[str | None] = []

    def send() -> None:
        try:
            with urllib.request.urlopen(request, timeout=patience_s):  # noqa: S310 - as above
                trouble.append(None)
        except (OSError, ValueError) as problem:
            trouble.append(str(getattr(problem, "reason", problem) or type(problem).__name__))

    # A timeout holds for each read alone: a webhook that trickles would keep the run for as long as it likes.
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    sender.join(patience_s)
    return trouble[0] if trouble else f"no answer within {patience_s:.0f} s"


def of_publications(
    publications: Sequence[Publication],
    run_id: str,
    *,
    months: Sequence[str],
    held_back: str,
    warnings: Sequence[str],
) -> Message | None:
    """What is to be told of a run of these months; nothing where nothing is new in what they published.

    `warnings` are those of the files' taking, above all what in landing/ was left alone: nobody else would say of an
    unwatched run that files lie there.
    """
    final = [publication for publication in publications if publication.period.is_final]
    if not held_back and all(publication.outcome == "unchanged" for publication in final):
        return None
    named = _named(months)
    incomplete = [publication for publication in final if publication.incomplete]
    parts = [
        *([held_back] if held_back else []),
        *warnings,
        *(
            f"{one.period.merchant.id}, {one.period.name}: {one.incomplete} When it has come, report the month again:"
            f" `rollforward report --month {one.period.name}`."
            for one in incomplete
        ),
        *(_told(publication) for publication in publications),
    ]
    if held_back:
        subject = f"Credit reports of {named}: a workbook is held back"
    elif incomplete:
        subject = f"Credit reports of {named} are incomplete"
    elif warnings:
        subject = f"Credit reports of {named} are published, with warnings"
    else:
        subject = f"Credit reports of {named} are published"
    kind: Literal["alert", "notice"] = "alert" if held_back or incomplete or warnings else "notice"
    return Message(kind, subject, "\n\n".join(parts), run_id)


def of_failure(job: str, months: Sequence[str], why: str, run_id: str) -> Message:
    """What is to be told of a run that has failed."""
    of = f" of {_named(months)}" if months else ""
    subject = f"Credit reports{of} have failed" if job != "ingest" else "Taking files from landing/ has failed"
    advice = f"See the run in Dagster ({run_id}), put right what it says, and run it again: what is done already stays."
    return Message("alert", subject, f"{why}\n\n{advice}", run_id)


def _told(publication: Publication) -> str:
    """A workbook: where it is, its totals, and what changed in them."""
    period = publication.period
    version = f", version {publication.version}" if publication.version > 1 else ""
    lines = [
        f"## {period.merchant.name}, {period.name}{version}",
        "",
        f"[{publication.path.name}]({_link(publication.path)})",
        "",
    ]
    for unit, totals in publication.totals.items():
        lines += [f"- {name.replace('_', ' ')}: {amount} {unit}" for name, amount in totals.items()]
    lines += [f"- changed: {change}" for change in publication.changes]
    lines += [f"- {name} was there, of which the ledger does not know; it stays" for name in publication.unknown]
    if publication.set_aside:
        rows = counted(publication.set_aside, "row of its files is", "rows of its files are")
        lines.append(f"- {rows} set aside: `rollforward rejects --merchant {period.merchant.id}`")
    return "\n".join(lines)


def _link(path: Path) -> str:
    return path.absolute().as_uri()


def _named(months: Sequence[str]) -> str:
    return months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}" if months else ""
