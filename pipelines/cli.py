"""The command line: the same jobs that Dagster runs, and what the ledger holds, for people and for scripts.

Data goes to stdout, progress and messages to stderr. Exit code 0: what was asked for was done. 1: it was not. 2: the
command was not understood. Nothing heavy is imported before it is needed: `--help` answers at once.
"""

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    import polars as pl

    from pipelines.settings import Home

_SHOWN_ROWS = 50
_WORKBOOK, _MOVEMENTS = "workbook/credits_workbook", "facts/movements"
_Made = TypeVar("_Made")


def _everywhere(command: Callable[..., Any]) -> Callable[..., Any]:
    """--home and --json, before or after the command's name."""

    @click.option(
        "--home", type=click.Path(file_okay=False), help="The home folder. Default: $ROLLFORWARD_HOME, else ./data."
    )
    @click.option("--json", "as_json", is_flag=True, help="Print data as JSON.")
    @click.pass_context
    @functools.wraps(command)
    def with_options(context: click.Context, /, home: str | None, as_json: bool, **options: Any) -> Any:
        # Said before the command's name, or before that of the one it belongs to.
        above = context.parent
        while above is not None:
            home, as_json = home or above.params.get("home"), as_json or bool(above.params.get("as_json"))
            above = above.parent
        context.obj = _Output(as_json)
        from pipelines.settings import find_home

        return command(find_home(home), context.obj, **options)

    return with_options


class _Output:
    """Where things are said."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.trouble = ""
        self._is_doing = False

    def say(self, message: str) -> None:
        """For people, on stderr."""
        self._clear()
        click.echo(message, err=True)

    def doing(self, what: str) -> None:
        """What is under way, on a line of its own that the next one takes the place of; on a terminal only."""
        if sys.stderr.isatty():
            self._clear()
            click.echo(f"{what} …", err=True, nl=False)
            self._is_doing = True

    def _clear(self) -> None:
        if self._is_doing:
            click.echo("\r\033[K", err=True, nl=False)
            self._is_doing = False

    def data(self, told: Any, text: str) -> None:
        """For whoever reads stdout: as JSON where asked for."""
        self._clear()
        click.echo(json.dumps(told, indent=1, ensure_ascii=False, default=str) if self.as_json else text)

    def end(self) -> None:
        """At the end of a command: what it could not do for some merchants, while it did it for the others."""
        if self.trouble:
            self.fail(self.trouble)

    def fail(self, message: str) -> NoReturn:
        """Not done, and why."""
        self._clear()
        click.echo(message, err=True)
        sys.exit(1)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--home", type=click.Path(file_okay=False), help="The home folder. Default: $ROLLFORWARD_HOME, else ./data."
)
@click.option("--json", "as_json", is_flag=True, help="Print data as JSON.")
@click.version_option(package_name="rollforward")
def main(home: str | None, as_json: bool) -> None:
    """What a merchant owes its customers in store credit: created, redeemed, refunded, expired, still out."""


@main.command()
@click.option("--entries", default=20_000, show_default=True, help="How many rows of entries, over all merchants.")
@click.option("--merchants", default=3, show_default=True, help="How many merchants.")
@click.option("--months", default=12, show_default=True, help="How many months, the last being October 2026.")
@click.option("--seed", default=1, show_default=True, help="Another seed tells another background.")
@_everywhere
def sample(home: "Home", output: _Output, **size: int) -> None:
    """Write landing files, merchants.toml and access.toml of invented merchants into the home."""
    from pipelines.sample import SampleError, write_sample

    try:
        written = write_sample(home, **size)
    except SampleError as problem:
        output.fail(str(problem))
    output.data(
        {"files": [str(path) for path in written.files], "rows": written.rows},
        "\n".join(str(path) for path in written.files),
    )
    output.say(f"{written.rows:,} entries. Next: rollforward --home {home.path} report --month 2026-06")


_merchant = click.option("--merchant", "merchants", multiple=True, help="Only this merchant; may be repeated.")
_wait = click.option("--wait", default=600.0, show_default=True, help="Seconds to wait for a ledger in use.")


@main.command()
@_merchant
@_wait
@click.option("--retry", is_flag=True, help="Read the rows that were set aside again.")
@_everywhere
def ingest(home: "Home", output: _Output, merchants: tuple[str, ...], wait: float, retry: bool) -> None:
    """Load what is new in landing/ and replay it; a line a file: read, accepted, duplicates, rejected."""
    told = _run(
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
@_merchant
@_wait
@_everywhere
def report(
    home: "Home",
    output: _Output,
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
            told = _run(home, output, "monthly_report", resource, months=[first.isoformat(), last.isoformat()])
        else:
            days = {
                "start": periods.parse_day(start or "").isoformat(),
                "end": periods.parse_day(end or "").isoformat(),
            }
            told = _run(home, output, "credit_report", resource, ops={"report_free_dates": {"config": days}})
    except periods.PeriodError as problem:
        raise click.UsageError(str(problem)) from None
    _report_files(told, output)
    published = told[_WORKBOOK]["published"]
    if published or output.as_json:
        output.data(published, "\n".join(workbook["path"] for workbook in published))
    _say_rejected(home, output)
    output.trouble = "\n".join(filter(None, [output.trouble, *told[_WORKBOOK]["held_back"]]))
    output.end()


@main.command()
@_merchant
@click.option("--all", "everything", is_flag=True, help="Also rows that have been accepted since.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write them to this file.")
@click.option("--xlsx", "xlsx_file", type=click.Path(dir_okay=False, path_type=Path), help="Write them to this file.")
@_everywhere
def rejects(home: "Home", output: _Output, merchants: tuple[str, ...], everything: bool, **files: Path | None) -> None:
    """Rows of files that were set aside: where they stand, and what is wrong with them."""
    rows = _listing(home, output, "rejected_rows", merchants, {"everything": everything})
    lines = []
    for row in rows.iter_rows(named=True):
        place = f", row {row['source_row']}" if row["source_row"] else ""  # row 0 is the file as a whole
        lines.append(f"landing/{row['source_file']}{place}: {row['explanation']}")
    _show(rows, output, "\n".join(lines) if lines else "", **files)
    if rows.height:
        output.say(
            f"{rows.height:,} rows are set aside; all others were loaded. Correct them at the source and send them"
            " again."
        )
    else:
        output.say("No row is set aside.")


@main.command()
@_merchant
@click.option("--member", help="Only this member id.")
@click.option("--email", help="Only members whose email contains this.")
@click.option("--name", help="Only members whose first or last name contains this.")
@click.option("--balance-type", help="Only this balance type.")
@click.option("--employee", type=click.Choice(["yes", "no"]), help="Only employees, or only others.")
@click.option("--min-balance", type=str, help="Only balances of at least this.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write them to this file.")
@click.option("--xlsx", "xlsx_file", type=click.Path(dir_okay=False, path_type=Path), help="Write them to this file.")
@_everywhere
def balances(
    home: "Home",
    output: _Output,
    merchants: tuple[str, ...],
    csv_file: Path | None,
    xlsx_file: Path | None,
    **filters: str | None,
) -> None:
    """What each member has now, by balance type."""
    rows = _listing(home, output, "customer_balances", merchants, filters)
    _show(rows, output, _table(rows), csv_file=csv_file, xlsx_file=xlsx_file)


@main.command()
@click.argument("member")
@_merchant
@click.option("--balance-type", help="Only this balance type.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
@click.option("--xlsx", "xlsx_file", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
@_everywhere
def history(
    home: "Home",
    output: _Output,
    member: str,
    merchants: tuple[str, ...],
    balance_type: str | None,
    csv_file: Path | None,
    xlsx_file: Path | None,
) -> None:
    """Every movement of MEMBER's accounts, with the running balance: where credit came from and where it went."""
    rows = _listing(home, output, "balance_history", merchants, {"member": member, "balance_type": balance_type})
    if rows.is_empty():
        output.fail(f'No movement of member "{member}" was found. Check the id, or run `rollforward ingest` first.')
    _show(rows, output, _table(rows), csv_file=csv_file, xlsx_file=xlsx_file)


def _exports(command: Callable[..., Any]) -> Callable[..., Any]:
    """--csv and --xlsx."""
    for name in ("xlsx", "csv"):
        file = click.Path(dir_okay=False, path_type=Path)
        command = click.option(f"--{name}", f"{name}_file", type=file, help="Write them to this file.")(command)
    return command


@main.group(invoke_without_command=True)
@_merchant
@click.option("--start", help="Only batches issued on this day or later, like 2026-05-12.")
@click.option("--end", help="Only batches issued on this day or earlier.")
@click.option("--issuer", help="Only batches whose issuer's name or email contains this.")
@click.option("--credit-type", help="Only this credit type, like Promotional.")
@click.option("--status", help="Only this status: active, adjusted, partially reversed, reversed, failed.")
@click.option("--search", help="Only batches whose id, reason or description contains this.")
@_exports
@_everywhere
def batches(
    home: "Home",
    output: _Output,
    merchants: tuple[str, ...],
    csv_file: Path | None,
    xlsx_file: Path | None,
    **filters: str | None,
) -> None:
    """Credits that were issued together, as of now, newest first: who issued what to how many, and what is left."""
    if click.get_current_context().invoked_subcommand:
        return
    from pipelines import periods

    for day in ("start", "end"):
        try:
            filters[day] = filters[day] and periods.parse_day(str(filters[day])).isoformat()
        except periods.PeriodError as problem:
            raise click.UsageError(str(problem)) from None
    rows = _batches(home, output, "read", merchants, {**filters, "batch_id": None})
    shown = rows.select(
        *("merchant_id", "batch_id", "issue_date", "issued_by", "credit_type", "reason", "description"),
        *("recipient_count", "amount_per_customer", "total_amount", "unit", "status", "remaining"),
    )
    _show(rows, output, _table(shown), csv_file=csv_file, xlsx_file=xlsx_file)
    if rows.height:
        output.say(f"{rows.height:,} batches. View details: rollforward --home {home.path} batches show ID")


@batches.command()
@click.argument("batch_id", metavar="ID")
@_merchant
@_exports
@_everywhere
def show(
    home: "Home",
    output: _Output,
    batch_id: str,
    merchants: tuple[str, ...],
    csv_file: Path | None,
    xlsx_file: Path | None,
) -> None:
    """View details: the recipients of the batch ID, what they used and what is left."""
    found, recipients = _batches(home, output, "details", merchants, batch_id)
    if found.is_empty():
        output.fail(f'There is no batch "{batch_id}". To see them all: rollforward --home {home.path} batches')
    for batch in found.iter_rows(named=True):
        for name, value in batch.items():
            if value is not None and not output.as_json:
                output.say(f"{name.replace('_', ' '):<20} {value}")
    _show(recipients, output, _table(recipients.drop("merchant_id", "batch_id")), csv_file, xlsx_file)


@main.command()
@_merchant
@click.option("--period", help="Only this period, like 2026-06.")
@click.option("--rule", help="Only this rule, like self_credit.")
@click.option("--severity", type=click.Choice(["error", "warning", "info"]), help="Only this severity.")
@click.option("--member", help="Only flags about this member id.")
@click.option("--batch", help="Only flags about a batch whose id contains this.")
@click.option("--min-amount", help="Only flags with at least this at risk.")
@_exports
@_everywhere
def flags(
    home: "Home",
    output: _Output,
    merchants: tuple[str, ...],
    csv_file: Path | None,
    xlsx_file: Path | None,
    **filters: str | None,
) -> None:
    """Rows of the reported periods that deserve a look, errors first: what was found, and where."""
    rows = _listing(home, output, "anomaly_flags", merchants, filters)
    text = "\n".join(
        f"{row['merchant_id']} {row['period']} {row['severity']:<7} {row['rule']}: {row['explanation']}"
        for row in rows.iter_rows(named=True)
    )
    _show(rows, output, text, csv_file=csv_file, xlsx_file=xlsx_file)
    output.say(f"{rows.height:,} flags. What each rule means and what to do: docs/anomalies.md")


@main.command()
@_wait
@_everywhere
def rebuild(home: "Home", output: _Output, wait: float) -> None:
    """Make the ledgers again from archive and journal, beside the old ones; compare, then swap."""
    from pipelines.rebuild import rebuild as rebuild_ledgers

    outcomes = _told(output, lambda say: rebuild_ledgers(home, wait_s=wait, say=say))
    output.data([vars(outcome) for outcome in outcomes], "\n".join(str(outcome) for outcome in outcomes))
    if not all(outcome.swapped for outcome in outcomes):
        sys.exit(1)


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@_wait
@_everywhere
def backup(home: "Home", output: _Output, folder: Path, wait: float) -> None:
    """Copy settings, archive, journal and workbooks into the new FOLDER; runs wait meanwhile."""
    from pipelines.backup import backup as back_up

    made = _told(output, lambda say: back_up(home, folder, wait_s=wait, say=say))
    output.data(vars(made), str(made))
    output.say(f"To make a home of it: rollforward --home NEW restore {folder}")


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@_everywhere
def restore(home: "Home", output: _Output, folder: Path) -> None:
    """Make a new home of the backup in FOLDER, every file held against its hash and the ledger made again."""
    from pipelines.backup import restore as make_home

    made = _told(output, lambda say: make_home(home, folder, say=say))
    output.data(vars(made), str(made))
    output.say(f"Next: rollforward --home {home.path} ingest")


@main.command()
@click.option("--port", default=3000, show_default=True, help="Where the page is served, on this machine only.")
@_everywhere
def ui(home: "Home", output: _Output, port: int) -> None:
    """Dagster's UI on this home: assets, runs, backfills, checks."""
    import os
    import subprocess

    from pipelines.runs import prepare_instance

    prepare_instance(home)
    output.say(f"http://127.0.0.1:{port} (stop with Ctrl-C)")
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-m",
        "pipelines.definitions",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    environment = {**os.environ, "ROLLFORWARD_HOME": str(home.path)}
    try:
        sys.exit(subprocess.call(command, env=environment))  # noqa: S603 - our own interpreter and module
    except KeyboardInterrupt:
        sys.exit(0)


def _told(output: _Output, work: Callable[[Callable[[str], None]], _Made]) -> _Made:
    """What `work` makes. It is given how to speak, can be stopped, and what goes wrong is told in a sentence."""
    import duckdb

    from pipelines import backup, faults, stopping
    from pipelines.isolation import FOR_PEOPLE

    try:
        with stopping.when_asked():
            return work(output.say)
    except (*FOR_PEOPLE, backup.BackupError) as problem:
        output.fail(str(problem))
    except (OSError, duckdb.Error) as problem:
        if (text := faults.told(problem)) is None:
            raise
        output.fail(text)


def _run(
    home: "Home", output: _Output, job: str, resource: dict[str, Any], *, done: str = _WORKBOOK, **choices: Any
) -> dict[str, dict[str, Any]]:
    from pipelines import settings

    try:
        # Mistakes in the settings are said before anything heavy is loaded.
        settings.choose_merchants(home, resource["merchants"])
    except settings.SettingsError as problem:
        output.fail(str(problem))
    from pipelines import runs
    from pipelines.resources import Voice

    try:
        return runs.run(home, job, speaks=Voice(output.say, output.doing), resource=resource, **choices)
    except runs.RunFailedError as problem:
        # Where only some merchants are held back, what was done for the others is shown all the same.
        if done not in problem.told:
            output.fail(str(problem))
        output.trouble = str(problem)
        return problem.told


def _report_files(told: dict[str, dict[str, Any]], output: _Output) -> None:
    for warning in told.get("ledger/files", {}).get("warnings", []):
        output.say(warning)


def _files_text(told: dict[str, Any]) -> str:
    lines = [
        f"{file['source_file']}: {file['rows_read']:,} read, {file['accepted']:,} accepted,"
        f" {file['duplicates']:,} duplicates, {file['rejected']:,} rejected"
        for file in told["files"]
    ]
    return "\n".join(lines) if lines else f"Nothing new; {told['unchanged_files']:,} files are known."


def _say_rejected(home: "Home", output: _Output) -> None:
    from pipelines import listings, settings

    try:
        rows = listings.read(home, "rejected_rows", (), {"everything": False})
    except (settings.SettingsError, listings.ListingError) as problem:
        # The run is done, with the settings as they were when it began.
        output.say(str(problem))
        return
    if rows.height:
        output.say(f"{rows.height:,} rows of files are set aside. To see them: rollforward --home {home.path} rejects")


def _listing(
    home: "Home", output: _Output, name: str, merchants: tuple[str, ...], filters: dict[str, Any]
) -> "pl.DataFrame":
    from pipelines import listings, settings

    try:
        rows = listings.read(home, name, merchants, filters)
        behind = listings.behind(home, merchants)
    except (settings.SettingsError, listings.ListingError) as problem:
        output.fail(str(problem))
    if behind:
        output.say(behind)
    return rows


def _batches(home: "Home", output: _Output, what: str, *choices: Any) -> Any:
    from pipelines import batches, listings, settings

    try:
        return getattr(batches, what)(home, *choices)
    except (settings.SettingsError, listings.ListingError) as problem:
        output.fail(str(problem))


def _show(
    rows: "pl.DataFrame", output: _Output, text: str, csv_file: Path | None = None, xlsx_file: Path | None = None
) -> None:
    from pipelines import listings

    if csv_file or xlsx_file:
        for path, write in ((csv_file, listings.write_csv), (xlsx_file, listings.write_xlsx)):
            if path:
                try:
                    write(rows, path)
                except OSError as problem:
                    output.fail(f"{path} cannot be written: {problem.strerror}.")
                output.say(f"{rows.height:,} rows written to {path}")
    elif output.as_json:
        output.data(listings.as_json(rows), "")
    elif text:
        click.echo(text)


def _table(rows: "pl.DataFrame", longest: int = 40) -> str:
    import polars as pl

    with pl.Config(
        tbl_rows=_SHOWN_ROWS, tbl_cols=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True,
        fmt_str_lengths=longest, tbl_width_chars=-1 if not sys.stdout.isatty() else None,
        tbl_formatting="ASCII_MARKDOWN",
    ):  # fmt: skip
        more = f"\n… and {rows.height - _SHOWN_ROWS:,} more; --csv FILE has all." if rows.height > _SHOWN_ROWS else ""
        return f"{rows.head(_SHOWN_ROWS)}{more}" if rows.height else "None."


# Last, since they are commands of the group above.
sys.modules.setdefault("pipelines.cli", sys.modules[__name__])
from pipelines.operations import commands as _commands  # noqa: E402, F401

if __name__ == "__main__":
    main()
