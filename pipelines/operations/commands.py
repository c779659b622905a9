"""The commands of the operations: each is its job, with the fields of its request as options."""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.counts import counted
from pipelines.terminal import (
    Files,
    Output,
    everywhere,
    exports,
    listing,
    merchant_option,
    run_job,
    show_rows,
    table,
    wait_option,
)

if TYPE_CHECKING:
    from pipelines.settings import Home


def _who(command: Any) -> Any:
    """--merchant, --actor and --approved-by, on every operation."""
    for option in (
        click.option("--approved-by", default="", help="Email of another person, where a limit asks for it."),
        click.option("--actor", required=True, help="Your email, as in access.toml."),
        click.option("--merchant", required=True, help="The merchant's id."),
        wait_option,
    ):
        command = option(command)
    return command


def _processed(command: Any) -> Any:
    """PREVIEW_ID and --exclude, on what processes a preview."""
    for option in (
        click.option("--exclude", multiple=True, help="An id of the preview to leave out; may be repeated."),
        click.argument("preview_id"),
    ):
        command = option(command)
    return _who(everywhere(command))


class _WithSign(click.Command):
    """A command whose amount may have a minus sign, which would otherwise be taken for an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as problem:
            if not problem.option_name[1:2].isdigit():
                raise
            raise click.UsageError("Write a negative AMOUNT last, behind --, like: -- m-1042 -12.50", ctx) from None


@click.command(cls=_WithSign)
@click.argument("member")
@click.argument("amount")
@click.option("--reason", required=True, help='One of the merchant\'s reasons, or "Other reason".')
@click.option("--other-reason", default="", help='The reason in your words, with --reason "Other reason".')
@click.option("--expires-in-days", default=0, help="Good through so many days from today; 0: never expires.")
@click.option("--balance-type", default="default", show_default=True, help="The balance type.")
@click.option("--internal-note", default="", help="A note that the member does not see.")
@_who
@everywhere
def adjust(home: "Home", output: Output, **request: Any) -> None:
    """Add AMOUNT to MEMBER's credit; with a minus sign, take it (write -- before it)."""
    _operate(home, output, "adjust", request)


@click.command("modify-balance")
@click.argument("member")
@click.argument("amount")
@click.option("--deduct", is_flag=True, help="Flagged Deduction: take the amount. Default: Manual Change, add it.")
@click.option("--notes", required=True, help="Change notes: what the change is for.")
@click.option("--balance-type", default="default", show_default=True, help="The balance type.")
@_who
@everywhere
def modify_balance(home: "Home", output: Output, *, deduct: bool, **request: Any) -> None:
    """Add AMOUNT to MEMBER's balance, or take it, with notes that say why."""
    _operate(home, output, "modify-balance", {**request, "change": "flagged-deduction" if deduct else "manual-change"})


@click.command("add-balance")
@click.argument("member")
@click.argument("amount")
@click.option("--balance-type", default="default", show_default=True, help="The balance type.")
@click.option("--notes", default="", help="What it is for.")
@_who
@everywhere
def add_balance(home: "Home", output: Output, **request: Any) -> None:
    """Give MEMBER a first balance of AMOUNT in a balance type."""
    _operate(home, output, "add-balance", request)


@click.command("remove-balance")
@click.argument("member")
@click.option("--balance-type", default="default", show_default=True, help="The balance type.")
@click.option("--reason", required=True, help="Why it is removed.")
@_who
@everywhere
def remove_balance(home: "Home", output: Output, **request: Any) -> None:
    """Take all that remains of MEMBER's balance type. For owners."""
    _operate(home, output, "remove-balance", request)


@click.command("merge-balance-types")
@click.option("--source", "sources", multiple=True, required=True, help="A balance type to take from; may be repeated.")
@click.option("--destination", required=True, help="The balance type to add to.")
@click.option("--member", "members", multiple=True, help="Only this member; may be repeated.")
@click.option("--keep-source", is_flag=True, help="Copy the balances instead of moving them. Needs --confirm-total.")
@click.option("--confirm-total", default="", help="With --keep-source: the sum that is owed in addition.")
@click.option("--reason", default="Balance types merged", show_default=True, help="Why.")
@_who
@everywhere
def merge_balance_types(
    home: "Home",
    output: Output,
    *,
    sources: tuple[str, ...],
    members: tuple[str, ...],
    keep_source: bool,
    **request: Any,
) -> None:
    """Move what remains of balance types into another of the same unit. For owners."""
    lists = {"sources": [*sources], "members": [*members], "delete_from_source": not keep_source}
    _operate(home, output, "merge-balance-types", {**request, **lists})


@click.group("mass-credits")
def mass_credits() -> None:
    """Issue one credit to every family, student or enrollment that qualifies."""


@mass_credits.command("preview")
@click.argument("request_file", metavar="REQUEST.toml", type=click.Path(dir_okay=False, path_type=Path))
@_who
@everywhere
def mass_credits_preview(home: "Home", output: Output, *, request_file: Path, wait: float, **who: str) -> None:
    """Show who would get what REQUEST.toml asks for, and why."""
    from pipelines.operations.mass_credits import MassCredits
    from pipelines.operations.request_file import read_request
    from pipelines.operations.requests import RefusedError

    try:
        request = read_request(request_file, MassCredits, **who)
    except RefusedError as problem:
        output.fail(str(problem))
    _preview(home, output, "mass-credits", {**request, "wait": wait})


@mass_credits.command("process")
@_processed
def mass_credits_process(home: "Home", output: Output, **request: Any) -> None:
    """Issue what PREVIEW_ID showed, as one batch."""
    _process(home, output, "mass-credits", request)


@click.group("credits-csv")
def credits_csv() -> None:
    """Issue credits with individual amounts, from a CSV."""


@credits_csv.command("preview")
# As text, which `everywhere` looks at: the path is kept with the request.
@click.argument("file", metavar="FILE.csv", type=click.Path(dir_okay=False))
@click.option("--description", default="", help="What the batch is called. Default: the name of the file.")
@click.option("--credit-type", default="Adjustment", show_default=True, help="How it is tracked, like Promotional.")
@click.option("--date", default="", help="The day it is issued for, like 2026-06-30. Default: today.")
@click.option("--reason", default="", help="Why: the category of the reason, as in reports.")
@click.option("--location", default="", help="The location that all of the credits belong to.")
@click.option("--internal-note", default="", help="A note that members do not see.")
@_who
@everywhere
def credits_csv_preview(home: "Home", output: Output, *, file: str, **request: Any) -> None:
    """Show what FILE.csv would issue. Columns: member_id and amount; reason_details, expires_at."""
    _preview(home, output, "credits-csv", {**request, "file": str(Path(file).absolute())})


@credits_csv.command("process")
@_processed
def credits_csv_process(home: "Home", output: Output, **request: Any) -> None:
    """Issue what PREVIEW_ID showed, as one batch."""
    _process(home, output, "credits-csv", request)


@click.group("reverse-batch")
def reverse_batch() -> None:
    """Take back what remains of a batch. For owners."""


@reverse_batch.command("preview")
@click.argument("batch")
@click.option("--reason", required=True, help="Why it is taken back.")
@click.option("--unused-only", is_flag=True, help="Where some has been used: take back what remains, let the rest be.")
@_who
@everywhere
def reverse_batch_preview(home: "Home", output: Output, **request: Any) -> None:
    """Show what would be taken back of BATCH, and what would stay, by recipient."""
    _preview(home, output, "reverse-batch", request)


@reverse_batch.command("process")
@_processed
def reverse_batch_process(home: "Home", output: Output, **request: Any) -> None:
    """Take back what PREVIEW_ID showed."""
    _process(home, output, "reverse-batch", request)


@click.group("adjust-batch")
def adjust_batch() -> None:
    """Give the credits of a batch another amount. For owners."""


@adjust_batch.command("preview")
@click.argument("batch")
@click.argument("amount")
@click.option("--reason", required=True, help="Why it is changed.")
@click.option("--member", "members", multiple=True, help="Only this recipient; may be repeated.")
@_who
@everywhere
def adjust_batch_preview(home: "Home", output: Output, *, members: tuple[str, ...], **request: Any) -> None:
    """Show what it takes to bring each credit of BATCH to AMOUNT."""
    _preview(home, output, "adjust-batch", {**request, "members": [*members]})


@adjust_batch.command("process")
@_processed
def adjust_batch_process(home: "Home", output: Output, **request: Any) -> None:
    """Do what PREVIEW_ID showed."""
    _process(home, output, "adjust-batch", request)


@click.command()
@merchant_option
@click.option("--kind", help="Only this kind, like adjust.")
@click.option("--status", type=click.Choice(["processed", "refused"]), help="Only this status.")
@click.option("--actor", help="Only what this email asked for.")
@exports
@everywhere
def operations(home: "Home", output: Output, merchants: tuple[str, ...], files: Files, **filters: str | None) -> None:
    """What was asked for, by whom, and what became of it; refused requests too."""
    rows = listing(home, output, "operations", merchants, filters)
    show_rows(home, output, rows, table, files)


def _operate(home: "Home", output: Output, kind: str, request: dict[str, Any]) -> None:
    from pipelines.operations import untold

    told = _run(home, output, kind, request)["operation"]
    output.data(told, told["explanation"])
    if told["already"]:
        output.say(f"{told['operation_id']} had been done before; nothing was posted now.")
    said = f"Operation {told['operation_id']}: {counted(told['entries'], 'entry', 'entries')}."
    output.say(f"{said} Next: rollforward --home {home.path} operations")
    untold.forget(home, request["merchant"], told["operation_id"])


def _preview(home: "Home", output: Output, kind: str, request: dict[str, Any]) -> None:
    """Show what would be done, and how to do it."""
    from pipelines import listings

    who = f"--merchant {request['merchant']} --actor {request['actor']}"
    metadata = _run(home, output, f"{kind}-preview", request)
    told = metadata["preview"]
    rows = listing(home, output, "preview_recipients", (request["merchant"],), {"preview_id": told["preview_id"]})
    # Most operations have no student, no enrollment, or nothing that stays.
    told_apart = [one.name for one in rows if one.null_count() < rows.height and (one != 0).any()]
    worded = listings.worded(home, rows).drop("merchant_id", "unit")
    shown = worded.select(name for name in worded.columns if name in told_apart)
    text = table(shown, longest=160, all_rows=told["csv_file"])
    output.data({**told, "recipients": listings.as_json(worded)}, f"{told['filters']}\n{text}")
    for warning in told["warnings"]:
        output.say(f"Warning: {warning}")
    output.say(f"{metadata['what']} The list: {told['csv_file']}")
    if told["recipient_count"]:
        output.say(
            f"Nothing has moved yet. Next: rollforward --home {home.path} {kind} process {told['preview_id']} {who}"
        )


def _process(home: "Home", output: Output, kind: str, request: dict[str, Any]) -> None:
    request["exclude"] = [*request["exclude"]]
    told = _run(home, output, f"{kind}-process", request)["operation"]
    output.data(told, told["explanation"])
    if told["filters"]:
        output.say(told["filters"])
    done = "had been processed before; nothing was posted now" if told["already"] else "is done"
    entries = counted(told["entries"], "entry", "entries")
    output.say(
        f"{told['operation_id']} {done}: {entries}, {Decimal(told['total']):,} {told['unit']} in all."
        f" Every one of them: {told['csv_file']}"
    )


def _run(home: "Home", output: Output, kind: str, request: dict[str, Any]) -> dict[str, Any]:
    wait = request.pop("wait")
    job = kind.replace("-", "_")
    resource = {"merchants": [request["merchant"]], "wait_seconds": wait}
    told = run_job(home, output, job, resource, done="ledger/operations", ops={f"{job}_op": {"config": request}})
    output.end()
    return told["ledger/operations"]


COMMANDS = (
    adjust,
    modify_balance,
    add_balance,
    remove_balance,
    merge_balance_types,
    mass_credits,
    credits_csv,
    reverse_batch,
    adjust_batch,
    operations,
)
