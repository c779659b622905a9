"""How a batch would be reversed or adjusted: not here, but by the commands and launchpads that this names."""

import json
import shlex
from dataclasses import dataclass
from urllib.parse import urlencode

from pipelines.operations.requests import AdjustBatch, ReverseBatch
from pipelines.portal.visit import Visit

# What the person who does it has to say.
WHY, AMOUNT, WHO = "WHY", "AMOUNT", "YOUR-EMAIL"


@dataclass(frozen=True)
class Way:
    """One thing that can be done: the command that previews it, and Dagster's launchpad with the same filled in."""

    title: str
    about: str
    command: str
    launchpad: str


def ways_of(visit: Visit, batch_id: str) -> list[Way]:
    """Reversal and adjustment of the batch, as previews: nothing moves before one is processed."""
    return [
        _way(visit, "Reverse this batch", "reverse-batch", ReverseBatch.__doc__, {"batch": batch_id}),
        _way(visit, "Adjust this batch", "adjust-batch", AdjustBatch.__doc__, {"batch": batch_id, "amount": AMOUNT}),
    ]


def _way(visit: Visit, title: str, kind: str, about: str | None, fields: dict[str, str]) -> Way:
    assert visit.merchant is not None
    email = visit.visitor.email
    who = {"merchant": visit.merchant.id, "actor": email if "@" in email else WHO}
    home = str(visit.portal.home.path)
    options = ["--reason", WHY, "--merchant", who["merchant"], "--actor", who["actor"]]
    # Behind --, so that no id is taken for an option.
    words = ["rollforward", "--home", home, kind, "preview", *options, "--", *fields.values()]
    job = f"{kind.replace('-', '_')}_preview"
    config = {
        "ops": {f"{job}_op": {"config": {**who, **fields, "reason": WHY}}},
        "resources": {"rollforward": {"config": {"home": home}}},
    }
    filled_in = urlencode({"mode": "default", "config": json.dumps(config, indent=1)})
    address = f"{visit.portal.dagster_url}/locations/pipelines.definitions/jobs/{job}/playground/setup"
    return Way(title, (about or "").strip(), shlex.join(words), f"{address}?{filled_in}")
