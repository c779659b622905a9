"""The command line: the same jobs that Dagster runs, and what the ledger holds, for people and for scripts.

Data goes to stdout, progress and messages to stderr. Exit code 0: what was asked for was done. 1: it was not. 2: the
command was not understood. Nothing heavy is imported before it is needed: `--help` answers at once.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.counts import counted
from pipelines.operations.commands import COMMANDS
from pipelines.terminal import (
    WORKBOOK,
    Files,
    Output,
    everywhere,
    exports,
    from_copies,
    listing,
    merchant_option,
    open_what_is_closed,
    parse_amounts,
    parse_days,
    port_type,
    run_job,
    see_that_free,
    show_rows,
    table,
    told_of,
    wait_option,
    write_whatever_it_is,
)

if TYPE_CHECKING:
    import polars as pl

    from pipelines.settings import Home

_MOVEMENTS = "facts/movements"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--home", type=click.Path(file_okay=False), help="The home folder. Default: $ROLLFORWARD_HOME, else ./data."
)
@click.option("--json", "as_json", is_flag=True, help="Print data as JSON.")
@click.version_option(package_name="rollforward")
def main(**_given: Any) -> None:
    """What a merchant owes its customers in store credit: created, redeemed, refunded, expired, still out."""
    open_what_is_closed()
    write_whatever_it_is()


@main.command()
@click.option("--entries", default=20_000, show_default=True, help="How many rows of entries, over all merchants.")
@click.option("--merchants", default=3, show_default=True, help="How many merchants.")
@click.option("--months", default=12, show_default=True, help="How many months, the last being October 2026.")
@click.option("--seed", default=1, show_default=True, help="Another seed tells another background.")
@everywhere
def sample(home: "Home", output: Output, **size: int) -> None:
    """Write landing files, merchants.toml and access.toml of invented merchants into the home."""
    from pipelines.sample import SampleError, write_sample

    try:
        written = told_of(output, lambda _: write_sample(home, **size))
    except SampleError as problem:
        output.fail(str(problem))
    output.data(
        {"files": [str(path) for path in written.files], "rows": written.rows},
        "\n".join(str(path) for path in written.files),
    )
    output.say(f"{written.rows:,} entries. Next: rollforward --home {home.path} report --month 2026-06")


@main.command()
@merchant_option
@wait_option
@click.option("--retry", is_flag=True, help="Read the rows that were set aside again.")
@everywhere
def ingest(home: "Home", output: Output, merchants: tuple[str, ...], wait: float, retry: bool) -> None:
    """Load what is new in landing/ and replay it; a line a file: read, accepted, duplicates, rejected."""
    told = run_job(
        home,
        output,
        "ingest",
        {"merchants": [*merchants], "wait_seconds": wait, "retry_rejected": retry},
        done=_MOVEMENTS,
    )
    _report_files(told, output)
    # On a terminal the lines have just been said, file by file.
    if output.as_json or not sys.stdout.isatty():
        output.data(told["ledger/files"]["files"], _files_text(told["ledger/files"]))
    output.end()


@main.command()
@click.option("--month", help="The month, like 2026-06.")
@click.option("--to", help="The last of several months, like 2026-08.")
@click.option("--start", help="Free dates: the first day, like 2026-05-12.")
@click.option("--end", help="Free dates: the last day, included.")
@click.option("--as-of", default="", help="State what remains as of this time; default: the month's end, or now.")
@click.option("--restate", is_flag=True, help="Let changed settings change what published months say.")
@merchant_option
@wait_option
@everywhere
def report(
    home: "Home",
    output: Output,
    month: str | None,
    to: str | None,
    start: str | None,
    end: str | None,
    as_of: str,
    restate: bool,
    merchants: tuple[str, ...],
    wait: float,
) -> None:
    """Ingest, build the workbooks of a month, of several, or of free dates, and print their paths."""
    if bool(month) == bool(start) or bool(start) != bool(end) or (to and not month):
        raise click.UsageError("Say either --month (and --to), or --start and --end.")
    from pipelines import periods

    resource = {"merchants": [*merchants], "wait_seconds": wait, "as_of": as_of, "restate": restate}
    try:
        if month:
            first = periods.parse_month(month)
            last = periods.parse_month(to) if to else first
            if last < first:
                raise click.UsageError(f"--to {to} is before --month {month}.")
            told = run_job(home, output, "monthly_report", resource, months=[first.isoformat(), last.isoformat()])
        else:
            days = {
                "start": periods.parse_day(start or "").isoformat(),
                "end": periods.parse_day(end or "").isoformat(),
            }
            told = run_job(home, output, "credit_report", resource, ops={"report_free_dates": {"config": days}})
    except periods.PeriodError as problem:
        raise click.UsageError(str(problem)) from None
    _report_files(told, output)
    published = told[WORKBOOK]["published"]
    output.data(published, "\n".join(workbook["path"] for workbook in published))
    _say_rejected(home, output)
    output.trouble = "\n".join(filter(None, [output.trouble, *told[WORKBOOK]["held_back"]]))
    output.end()


@main.command()
@merchant_option
@click.option("--all", "everything", is_flag=True, help="Also rows that have been accepted since.")
@exports
@everywhere
def rejects(home: "Home", output: Output, merchants: tuple[str, ...], everything: bool, files: Files) -> None:
    """Rows of files that were set aside: where they stand, and what is wrong with them."""
    rows = listing(home, output, "rejected_rows", merchants, {"everything": everything})
    show_rows(home, output, rows, _rejected_text, files)
    accepted = int(rows["accepted_since"].sum())
    if accepted:
        output.say(f"{counted(accepted, 'row of these has', 'rows of these have')} been accepted since.")
    if rows.height > accepted:
        output.say(
            f"{counted(rows.height - accepted, 'row is', 'rows are')} set aside; all others were loaded. Correct what"
            " is wrong at the source and send it again."
        )
    else:
        output.say("No row is set aside.")


@main.command()
@merchant_option
@click.option("--member", help="Only this member id.")
@click.option("--email", help="Only members whose email contains this.")
@click.option("--name", help="Only members whose first or last name contains this.")
@click.option("--first-name", help="Only members whose first name contains this.")
@click.option("--last-name", help="Only members whose last name contains this.")
@click.option("--balance-type", help="Only this balance type.")
@click.option("--unit", help="Only balances in this unit, like USD.")
@click.option("--employee", type=click.Choice(["yes", "no"]), help="Only employees, or only others.")
@click.option("--min-balance", help="Only balances of at least this.")
@click.option("--max-balance", help="Only balances of at most this.")
@click.option("--created-from", help="Only balances whose first movement was on this day or later, like 2026-05-12.")
@click.option("--created-to", help="Only balances whose first movement was on this day or earlier.")
@click.option("--updated-from", help="Only balances that last moved on this day or later.")
@click.option("--updated-to", help="Only balances that last moved on this day or earlier.")
@click.option(
    "--min-history", type=click.IntRange(0, 10**12), help="Only balances with at least so many rows of history."
)
@exports
@everywhere
def balances(home: "Home", output: Output, merchants: tuple[str, ...], files: Files, **filters: Any) -> None:
    """What each member has now, by balance type; as_of says when that was."""
    parse_days(filters, "created_from", "created_to", "updated_from", "updated_to")
    parse_amounts(filters, "min_balance", "max_balance")
    rows = listing(home, output, "customer_balances", merchants, filters)
    show_rows(home, output, rows, table, files)


@main.command()
@click.argument("member")
@merchant_option
@click.option("--balance-type", help="Only this balance type.")
@exports
@everywhere
def history(home: "Home", output: Output, merchants: tuple[str, ...], files: Files, **filters: str | None) -> None:
    """Every movement of MEMBER's accounts, with the running balance: where credit came from and where it went."""
    rows = listing(home, output, "balance_history", merchants, filters)
    if rows.is_empty():
        member = filters["member"]
        output.fail(f'No movement of member "{member}" was found. Check the id, or run `rollforward ingest` first.')
    show_rows(home, output, rows, table, files)


@main.group(invoke_without_command=True)
@merchant_option
@click.option("--start", help="Only batches issued on this day or later, like 2026-05-12.")
@click.option("--end", help="Only batches issued on this day or earlier.")
@click.option("--issuer", help="Only batches whose issuer's name or email contains this.")
@click.option("--credit-type", help="Only this credit type, like Promotional.")
@click.option(
    "--status",
    type=click.Choice(["active", "adjusted", "partially reversed", "reversed", "failed"], case_sensitive=False),
    help="Only this status.",
)
@click.option("--search", help="Only batches whose id, reason or description contains this.")
@exports
@everywhere
def batches(home: "Home", output: Output, merchants: tuple[str, ...], files: Files, **filters: str | None) -> None:
    """Credits that were issued together, as of now, newest first: who issued what to how many, and what is left."""
    if click.get_current_context().invoked_subcommand:
        return
    parse_days(filters, "start", "end")
    from pipelines import batches

    rows = from_copies(home, output, merchants, lambda: batches.read(home, merchants, {**filters, "batch_id": None}))
    show_rows(home, output, rows, lambda found: table(found.select(batches.SHOWN)), files)
    if rows.height:
        output.say(
            f"{counted(rows.height, 'batch', 'batches')}. Issue dates are in the merchant's time."
            f" View details: rollforward --home {home.path} batches show ID"
        )


@batches.command()
@click.argument("batch_id", metavar="ID")
@merchant_option
@exports
@everywhere
def show(home: "Home", output: Output, batch_id: str, merchants: tuple[str, ...], files: Files) -> None:
    """View details: the recipients of the batch ID, what they used and what is left."""
    from pipelines import batches, listings

    found, recipients = from_copies(home, output, merchants, lambda: batches.details(home, merchants, batch_id))
    if found.is_empty():
        output.fail(f'There is no batch "{batch_id}". To see them all: rollforward --home {home.path} batches')
    for batch in () if output.as_json else listings.worded(home, found).iter_rows(named=True):
        for name, value in batch.items():
            if value is not None:
                output.say(f"{name.replace('_', ' '):<20} {value}")
    show_rows(home, output, recipients, lambda all_: table(all_.drop("merchant_id", "batch_id")), files)


@main.command()
@merchant_option
@click.option("--period", help="Only this period, like 2026-06.")
@click.option("--rule", help="Only this rule, like self_credit.")
@click.option("--severity", type=click.Choice(["error", "warning", "info"]), help="Only this severity.")
@click.option("--member", help="Only flags about this member id.")
@click.option("--batch", help="Only flags about a batch whose id contains this.")
@click.option("--min-amount", help="Only flags with at least this at risk.")
@exports
@everywhere
def flags(home: "Home", output: Output, merchants: tuple[str, ...], files: Files, **filters: str | None) -> None:
    """Rows of the reported periods that deserve a look, errors first: what was found, and where."""
    parse_amounts(filters, "min_amount")
    rows = listing(home, output, "anomaly_flags", merchants, filters)
    show_rows(home, output, rows, _flags_text, files)
    if period := filters["period"]:
        from pipelines.settings import choose_merchants

        reported = listing(home, output, "reported_merchants", merchants, {"period": period})["merchant_id"]
        for merchant_id in sorted(choose_merchants(home, merchants)[0].keys() - set(reported)):
            known = (
                "is of free dates, whose flags are in its workbook alone"
                if "_" in period
                else "has not been reported, so its flags are not known"
            )
            output.say(f"{merchant_id}: {period} {known}.")
    if (rule := filters["rule"]) and rows.is_empty():
        from pipelines import anomalies

        if rule not in {known.name for known in anomalies.rules()}:
            output.say(f'There is no rule "{rule}".')
    output.say(f"{counted(rows.height, 'flag', 'flags')}. What each rule means and what to do: docs/anomalies.md")


@main.command()
@wait_option
@everywhere
def rebuild(home: "Home", output: Output, wait: float) -> None:
    """Make the ledgers again from archive and journal, beside the old ones; compare, then swap."""
    from pipelines.rebuild import rebuild as rebuild_ledgers

    outcomes = told_of(output, lambda say: rebuild_ledgers(home, wait_s=wait, say=say))
    output.data([vars(outcome) for outcome in outcomes], "\n".join(str(outcome) for outcome in outcomes))


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@wait_option
@everywhere
def backup(home: "Home", output: Output, folder: Path, wait: float) -> None:
    """Copy settings, archive, journal and workbooks into the new FOLDER; runs wait meanwhile."""
    from pipelines.backup import backup as back_up

    made = told_of(output, lambda say: back_up(home, folder, wait_s=wait, say=say))
    output.data(vars(made), str(made))
    output.say(f"To make a home of it: rollforward --home NEW restore {folder}")


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@everywhere
def restore(home: "Home", output: Output, folder: Path) -> None:
    """Make a new home of the backup in FOLDER, every file held against its hash and the ledger made again."""
    from pipelines.backup import restore as make_home

    made = told_of(output, lambda say: make_home(home, folder, say=say))
    output.data(vars(made), str(made))
    output.say(f"Next: rollforward --home {home.path} ingest")


@main.command()
@click.option(
    "--port", type=port_type, default=3000, show_default=True, help="Where the page is served, on this machine only."
)
@everywhere
def ui(home: "Home", output: Output, port: int) -> None:
    """Dagster's UI on this home: assets, runs, backfills, checks."""
    import os
    import subprocess

    from pipelines.runs import prepare_instance

    see_that_free(output, "127.0.0.1", port)
    told_of(output, lambda say: prepare_instance(home, say))
    output.say(f"http://127.0.0.1:{port} (stop with Ctrl-C)")
    dagster = ("-m", "dagster", "dev", "-m", "pipelines.definitions", "-h", "127.0.0.1", "-p", str(port))
    environment = {**os.environ, "ROLLFORWARD_HOME": str(home.path)}
    try:
        sys.exit(subprocess.call([sys.executable, *dagster], env=environment))  # noqa: S603 - our own interpreter and module
    except KeyboardInterrupt:
        sys.exit(0)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve on.")
@click.option("--port", type=port_type, default=3001, show_default=True, help="The port to serve on.")
@click.option("--auth-header", help="The header in which an authenticating proxy says who it is, by email.")
@click.option("--trusted-proxy", multiple=True, help="Believe that header from this network, like 10.0.0.5/32 alone.")
@click.option(
    "--access-log", type=click.Path(dir_okay=False, path_type=Path),
    help="Where it is written who saw what. Default: portal-access.jsonl in the home.",
)  # fmt: skip
@click.option("--dagster-url", default="http://127.0.0.1:3000", show_default=True, help="Where links to Dagster lead.")
@everywhere
def portal(
    home: "Home",
    output: Output,
    host: str,
    port: int,
    auth_header: str | None,
    trusted_proxy: tuple[str, ...],
    access_log: Path | None,
    dagster_url: str,
) -> None:
    """The accountants' pages: workbooks to download, members, batches, flags, and the rows behind every total."""
    from pipelines.portal.serve import serve
    from pipelines.settings import SettingsError

    see_that_free(output, host, port)
    try:
        serve(
            home, host=host, port=port, auth_header=auth_header, trusted_proxies=trusted_proxy,
            access_log=access_log, dagster_url=dagster_url, say=output.say,
        )  # fmt: skip
    except SettingsError as problem:
        output.fail(str(problem))


def _report_files(told: dict[str, dict[str, Any]], output: Output) -> None:
    # Of free dates, what the files' taking had to say is told with the workbooks: no table is materialised.
    for where in ("ledger/files", WORKBOOK):
        for warning in told.get(where, {}).get("warnings", []):
            output.say(warning)


def _files_text(told: dict[str, Any]) -> str:
    lines = [
        f"{file['source_file']}: {file['rows_read']:,} read, {file['accepted']:,} accepted,"
        f" {file['duplicates']:,} duplicates, {file['rejected']:,} rejected"
        for file in told["files"]
    ]
    return (
        "\n".join(lines) if lines else f"Nothing new; {counted(told['unchanged_files'], 'file is', 'files are')} known."
    )


def _say_rejected(home: "Home", output: Output) -> None:
    from pipelines import listings, settings

    try:
        rows = listings.read(home, "rejected_rows", (), {"everything": False})
    except (settings.SettingsError, listings.ListingError) as problem:
        # The run is done, with the settings as they were when it began.
        output.say(str(problem))
        return
    if rows.height:
        what = counted(rows.height, "row of files is", "rows of files are")
        output.say(f"{what} set aside. To see what is wrong: rollforward --home {home.path} rejects")


def _rejected_text(rows: "pl.DataFrame") -> str:
    # Row 0 is the file as a whole.
    return "\n".join(
        f"landing/{row['source_file']}{', row ' + str(row['source_row']) if row['source_row'] else ''}:"
        f" {row['explanation']}{' Accepted since.' if row['accepted_since'] else ''}"
        for row in rows.iter_rows(named=True)
    )


def _flags_text(rows: "pl.DataFrame") -> str:
    return "\n".join(
        f"{row['merchant_id']} {row['period']} {row['severity']:<7} {row['rule']}: {row['explanation']}"
        for row in rows.iter_rows(named=True)
    )


for command in COMMANDS:
    main.add_command(command)

if __name__ == "__main__":
    main()
