"""Operations as Dagster jobs, whose request is the form in the launchpad; the CLI runs these too.

Each first takes what has landed for its merchant, as reports do, and leaves the facts up to date behind it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from pipelines import amounts, ingest, replay
from pipelines.counts import counted
from pipelines.operations import untold
from pipelines.operations.catalogue import OPERATIONS
from pipelines.operations.engine import Desk, Operation, Outcome, Preview, desk_for, perform, preview, process
from pipelines.operations.requests import ProcessPreview, Who
from pipelines.resources import Rollforward, for_people, voice
from pipelines.settings import SettingsError, see_that_declared
from pipelines.shards import Shard
from pipelines.tables import asset_key, markdown

OBSERVED = asset_key("ledger.operations")
SHOWN_RECIPIENTS = 50
# Of a run that is executed again, and of a preview that is processed again.
_DONE_BEFORE = " This had been done before; nothing was posted now."


def all_jobs() -> list[dg.JobDefinition]:
    """A job for each operation: where it is previewed, two."""
    jobs = []
    for operation in OPERATIONS.values():
        if operation.previewed:
            jobs.append(
                _job(
                    f"{operation.kind}-preview", f"{operation.summary} Preview.", operation.request, _preview(operation)
                )
            )
            jobs.append(
                _job(
                    f"{operation.kind}-process",
                    f"{operation.summary} Process a preview.",
                    ProcessPreview,
                    _process(operation),
                )
            )
        else:
            jobs.append(_job(operation.kind, operation.summary, operation.request, _perform(operation)))
    return jobs


def name_of(kind: str) -> str:
    """The name of a job or op: Dagster takes no hyphens."""
    return kind.replace("-", "_")


def _perform(operation: Operation) -> Callable[[Desk, Any], dict[str, Any]]:
    return lambda desk, request: _told(desk, perform(desk, operation, request))


def _preview(operation: Operation) -> Callable[[Desk, Any], dict[str, Any]]:
    return lambda desk, request: _shown(desk, preview(desk, operation, request))


def _process(operation: Operation) -> Callable[[Desk, Any], dict[str, Any]]:
    """With a CSV of all that was posted, made from the ledger; and the filters, of which a rebuild keeps none."""

    def work(desk: Desk, request: ProcessPreview) -> dict[str, Any]:
        outcome = process(desk, operation, request.preview_id, request.exclude, request)
        posted = desk.query("processed", operation_id=outcome.operation_id)
        csv_file = desk.keep_csv(f"{outcome.operation_id}.processed", posted)
        filters = desk.one(
            "select filters from ledger.previews where merchant_id = $1 and preview_id = $2",
            desk.merchant.id,
            outcome.operation_id,
        )
        return {
            **_told(desk, outcome, filters=filters or "", csv_file=str(csv_file)),
            "filters": filters or "None kept.",
            "csv_file": dg.MetadataValue.path(csv_file),
        }

    return work


def _job(
    kind: str, description: str, request: type[Who], work: Callable[[Desk, Any], dict[str, Any]]
) -> dg.JobDefinition:
    def operate(context: dg.OpExecutionContext, config: Any, rollforward: Rollforward) -> None:
        session = rollforward.session
        with for_people():
            if config.merchant in session.held_back:
                raise SettingsError(session.held_back.why(config.merchant))
            see_that_declared(session.merchants, [config.merchant])
            shard = _of(session.shards, config.merchant)
            known_event = _newest_operation(shard, config.merchant)
            session.doing("Reading files")
            ingest.ingest(shard, retry=session.retry_rejected, settled_s=session.settled_seconds, say=session.say)
            replay.replay(shard.connection, shard.merchants)
            desk = desk_for(
                session.home,
                shard,
                config,
                # The CLI gives a run its voice; a run of the UI has none.
                interface="cli" if voice.get() else "dagster",
                run_id=context.run_id,
                root_run_id=context.run.root_run_id or context.run_id,
                kind=kind,
                known_event=known_event,
                doing=session.doing,
            )
            metadata = work(desk, config)
            session.doing("Replaying")
            replay.replay(shard.connection, shard.merchants)
        context.log_event(dg.AssetObservation(asset_key=OBSERVED, metadata=metadata))
        # Of a run of the command line, the command says it.
        if desk.interface == "dagster" and "operation" in metadata:
            untold.forget(session.home, config.merchant, metadata["operation"].data["operation_id"])

    operate.__annotations__["config"] = request
    op = dg.op(name=f"{name_of(kind)}_op", description=description)(operate)

    @dg.job(name=name_of(kind), description=description)
    def job() -> None:
        op()

    return job


def _of(shards: Sequence[Shard], merchant_id: str) -> Shard:
    """The merchant's shard, as if there were no other merchant in it: only theirs is taken from landing/."""
    for shard in shards:
        if merchant_id in shard.merchants:
            return replace(shard, merchants={merchant_id: shard.merchants[merchant_id]})
    raise LookupError(merchant_id)


def _newest_operation(shard: Shard, merchant_id: str) -> int:
    row = shard.connection.execute(
        "select coalesce(max(event), 0) from ledger.operations where merchant_id = $1", [merchant_id]
    ).fetchone()
    assert row is not None
    return int(row[0])


def _told(desk: Desk, outcome: Outcome, **record: str) -> dict[str, Any]:
    return {
        "operation": dg.MetadataValue.json(
            {
                "operation_id": outcome.operation_id,
                "kind": outcome.kind,
                "entries": outcome.entries,
                "unit": outcome.unit,
                "total": amounts.plain(outcome.total, desk.merchant.decimals_of(outcome.unit)),
                "explanation": outcome.explanation,
                "already": outcome.already,
                **record,
            }
        ),
        "what": outcome.explanation + (_DONE_BEFORE if outcome.already else ""),
        "entries": outcome.entries,
        "total": float(outcome.total),
    }


def _shown(desk: Desk, made: Preview) -> dict[str, Any]:
    return {
        "preview": dg.MetadataValue.json(
            {
                "preview_id": made.preview_id,
                "kind": made.kind,
                "recipient_count": made.recipients.height,
                "unit": made.unit,
                "total": amounts.plain(made.total, desk.merchant.decimals_of(made.unit)),
                "filters": made.filters,
                "warnings": [*made.warnings],
                "csv_file": made.csv_file,
            }
        ),
        "recipients": markdown(made.recipients.head(SHOWN_RECIPIENTS)),
        "what": f"{counted(made.recipients.height, 'credit', 'credits')}, {desk.told(made.total, made.unit)} in all.",
        "recipient_count": made.recipients.height,
        "total": float(made.total),
        "warnings": "\n".join(made.warnings) or "None.",
        "csv_file": dg.MetadataValue.path(made.csv_file),
    }
