"""What the journal says, done to the ledger: a file, a retry, a publication, an operation, each in one transaction.

An event stands in the journal before the ledger changes, and one that the ledger lacks is applied at the next start,
before anything else: killed at any point, it has happened or it has not.
"""

from pipelines import archive, promises, reading
from pipelines.journal import Event, Journal, JournalError
from pipelines.operations import posting
from pipelines.shards import Shard, known_events
from schemas.ledger import Published
from schemas.table import duckdb_columns


def recover(shard: Shard) -> list[reading.FileOutcome]:
    """Apply the journal's events that the ledger lacks, in order.

    Raises JournalError or LedgerUnavailableError where it is the journal or the archive that lacks something, or has
    something else than was put there.
    """
    journal = Journal(shard.home)
    outcomes = []
    for merchant in shard.merchants.values():
        # Of a ledger that is made again, these settings are those that its files are read with.
        if not shard.connection.execute("from ledger.readings where merchant_id = $1", [merchant.id]).fetchone():
            reading.remember_settings(shard, merchant)
        known = _known_events(shard, merchant.id)
        if lost := known - {*journal.numbers(merchant.id)}:
            # A new event would get the number of a lost one.
            raise JournalError(
                f'The ledger "{shard.name}" knows event {min(lost)} of {merchant.id}, which'
                f" {shard.home.journal / merchant.id} lacks (and {len(lost) - 1:,} others). Put the journal back from a"
                " backup."
            )
        for event in journal.missing(merchant.id, known):
            archive.hold(shard, event)
            outcome = apply(shard, event)
            if outcome:
                outcomes.append(outcome)
    return outcomes


def apply(shard: Shard, event: Event) -> reading.FileOutcome | None:
    """Do to the ledger what `event` says, in one transaction."""
    if event.kind == "publication":
        _record_publication(shard, event)
        return None
    if event.kind == "operation":
        posting.apply(shard, event)
        return None
    return reading.read(shard, event)


def _known_events(shard: Shard, merchant_id: str) -> set[int]:
    return {
        number
        for (number,) in shard.connection.execute(
            f"select event from ({known_events()}) where merchant_id = $1",  # noqa: S608 - names of ours
            [merchant_id],
        ).fetchall()
    }


def _record_publication(shard: Shard, event: Event) -> None:
    told = {
        **event.content,
        "event": event.number,
        "merchant_id": event.merchant_id,
        "recorded_at": event.recorded_at,
    }
    # What an event of a former version does not say is blank.
    row = dict.fromkeys(duckdb_columns(Published)) | told
    with promises.transaction(shard.connection):
        posting.insert(shard.connection, "ledger.published", Published, row)
