"""What the commands share: how they speak, where their home is, and how a job, a listing or an export is run.

Data goes to stdout, progress and messages to stderr. Nothing heavy is imported before it is needed.
"""

import codecs
import functools
import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

import click

from pipelines.counts import counted
from pipelines.errors import ForPeopleError

if TYPE_CHECKING:
    import polars as pl

    from pipelines.settings import Home

SHOWN_ROWS = 50
WORKBOOK = "workbook/credits_workbook"
_Made = TypeVar("_Made")
# Bytes of the command line that are no UTF-8. Paths may have them, which are no texts here.
_NO_TEXT = re.compile("[\ud800-\udfff]")
# What steers a terminal or turns the order of what is read: controls, and embeddings, overrides and isolates of
# direction. Line feed and tab are ours to use.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text as it may be shown: files come from outside, and so do the names and values that messages quote.

    What would steer the terminal is written out as JSON does it, in which it means the same character.
    """
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def open_what_is_closed() -> None:
    """Let those of the three standard streams lead nowhere that whoever started this has closed.

    A file that is opened later, the ledger even, would get such a stream's number, and what is written to the stream.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - open until the process ends
            # Of the lowest number that is free: the stream's own.
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def write_whatever_it_is() -> None:
    """Let stdout write out, as JSON does it, what its encoding has no character for: that of an older locale, say."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _is_utf8() -> bool:
    return codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"


def everywhere(command: Callable[..., Any]) -> Callable[..., Any]:
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
        output = context.obj = Output(as_json)
        for name, value in options.items():
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, str) and _NO_TEXT.search(one):
                    raise click.UsageError(f"{name.replace('_', '-')} has bytes that are not UTF-8: {printable(one)}")
        from pipelines.settings import SettingsError, find_home, see_that_texts_are_kept

        try:
            see_that_texts_are_kept()
            found = find_home(home)
        except SettingsError as problem:
            output.fail(str(problem))
        return command(found, output, **options)

    return with_options


class Output:
    """Where things are said."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.trouble = ""
        self._is_doing = False

    def say(self, message: str) -> None:
        """For people, on stderr."""
        self._clear()
        click.echo(printable(message), err=True)

    def doing(self, what: str) -> None:
        """What is under way, on a line of its own that the next one takes the place of; on a terminal only."""
        if sys.stderr.isatty():
            self._clear()
            click.echo(printable(f"{what} …"), err=True, nl=False)
            self._is_doing = True

    def _clear(self) -> None:
        if self._is_doing:
            click.echo("\r\033[K", err=True, nl=False)
            self._is_doing = False

    def data(self, told: Any, text: str) -> None:
        """For whoever reads stdout: as JSON where asked for; no text, nothing."""
        self._clear()
        # JSON is UTF-8: to an output that is not, it is written in ASCII alone.
        ascii_only = not _is_utf8()
        shown = json.dumps(told, indent=1, ensure_ascii=ascii_only, default=str) if self.as_json else text
        if shown:
            try:
                click.echo(printable(shown))
            except BrokenPipeError:
                raise  # Who reads has enough: Click ends quietly.
            except OSError as problem:
                # What could not be written would be tried again at the end.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                self.fail(f"The output cannot be written: {problem.strerror}.")

    def end(self) -> None:
        """At the end of a command: what it could not do for some merchants, while it did it for the others."""
        if self.trouble:
            self.fail(self.trouble)

    def fail(self, message: str) -> NoReturn:
        """Not done, and why."""
        self._clear()
        click.echo(printable(message), err=True)
        sys.exit(1)


class Files(NamedTuple):
    """The files to which rows are to be written, if any."""

    csv: Path | None
    xlsx: Path | None


merchant_option = click.option("--merchant", "merchants", multiple=True, help="Only this merchant; may be repeated.")
port_type = click.IntRange(1, 65_535)
wait_option = click.option("--wait", default=600.0, show_default=True, help="Seconds to wait for a ledger in use.")


def exports(command: Callable[..., Any]) -> Callable[..., Any]:
    """--csv and --xlsx, which the command gets together as `files`."""
    file = click.Path(dir_okay=False, path_type=Path)

    @click.option("--csv", "csv_file", type=file, help="Write all rows to this file, as CSV.")
    @click.option("--xlsx", "xlsx_file", type=file, help="Write all rows to this file, as an Excel workbook.")
    @functools.wraps(command)
    def with_files(csv_file: Path | None, xlsx_file: Path | None, **options: Any) -> Any:
        return command(files=Files(csv_file, xlsx_file), **options)

    return with_files


def parse_days(options: dict[str, Any], *names: str) -> None:
    """Of the options with these names, make those that are given days. Raises click.UsageError."""
    from pipelines import periods

    for name in names:
        try:
            options[name] = options[name] and periods.parse_day(options[name]).isoformat()
        except periods.PeriodError as problem:
            raise click.UsageError(str(problem)) from None


def parse_amounts(options: dict[str, Any], *names: str) -> None:
    """See that the options with these names, where given, are amounts. Raises click.UsageError."""
    from pipelines import amounts

    for name in names:
        if options[name] is not None and not amounts.WRITTEN.fullmatch(options[name]):
            raise click.UsageError(f'"{options[name]}" is not an amount; write it like 12.50.')


def see_that_free(output: Output, host: str, port: int) -> None:
    """See that pages can be served there; else it is told why not."""
    import errno
    import socket

    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except OSError as problem:
        other = "--port" if problem.errno in (errno.EADDRINUSE, errno.EACCES) else "--host"
        output.fail(f"Nothing can be served at {host}, port {port}: {problem.strerror}. Choose another {other}.")


def told_of(output: Output, work: Callable[[Callable[[str], None]], _Made]) -> _Made:
    """What `work` makes. It is given how to speak, can be stopped, and what goes wrong is told in a sentence."""
    import duckdb

    from pipelines import faults, stopping

    try:
        with stopping.when_asked():
            return work(output.say)
    except ForPeopleError as problem:
        output.fail(str(problem))
    except (OSError, duckdb.Error) as problem:
        if (text := faults.told(problem)) is None:
            raise
        output.fail(text)


def run_job(
    home: "Home", output: Output, job: str, resource: dict[str, Any], *, done: str = WORKBOOK, **choices: Any
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


def listing(
    home: "Home", output: Output, name: str, merchants: tuple[str, ...], filters: dict[str, Any]
) -> "pl.DataFrame":
    """The rows of a listing of `pipelines.listings`."""
    from pipelines import listings

    return from_copies(home, output, merchants, lambda: listings.read(home, name, merchants, filters))


def from_copies(home: "Home", output: Output, merchants: tuple[str, ...], read: Callable[[], _Made]) -> _Made:
    """What `read` finds in the copies for readers; it is said where a ledger holds more than its copy."""
    from pipelines import listings, settings

    try:
        found = read()
        behind = listings.behind(home, merchants)
    except (settings.SettingsError, listings.ListingError) as problem:
        output.fail(str(problem))
    if behind:
        output.say(behind)
    return found


def show_rows(
    home: "Home",
    output: Output,
    rows: "pl.DataFrame",
    as_text: Callable[["pl.DataFrame"], str],
    files: Files,
) -> None:
    """Write the rows to files, where some are named; else show them, as JSON or in the words of `as_text`."""
    from pipelines import listings

    if any(files):
        for path, write in ((files.csv, listings.write_csv), (files.xlsx, listings.write_xlsx)):
            if path:
                try:
                    write(rows, path)
                except OSError as problem:
                    # Polars has no strerror, and says both in a text of its own.
                    why = problem.strerror or str(problem).partition(" (os error")[0]
                    output.fail(f"{path} cannot be written: {why}.")
                output.say(f"{counted(rows.height, 'row', 'rows')} written to {path}")
        return
    worded = listings.worded(home, rows)
    if output.as_json:
        output.data(listings.as_json(worded), "")
    else:
        output.data(None, as_text(worded))


def table(rows: "pl.DataFrame", longest: int = 40, all_rows: str = "--csv FILE") -> str:
    """The first rows as a table; where there are more, that `all_rows` has them."""
    import polars as pl
    import polars.selectors as cs

    with pl.Config(
        tbl_rows=SHOWN_ROWS, tbl_cols=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True,
        fmt_str_lengths=longest, tbl_width_chars=-1 if not sys.stdout.isatty() else None,
        tbl_formatting="ASCII_MARKDOWN",
    ):  # fmt: skip
        more = f"\n… and {rows.height - SHOWN_ROWS:,} more; {all_rows} has all." if rows.height > SHOWN_ROWS else ""
        times = (
            cs.datetime(time_zone=None).dt.to_string("%F %T%.f"),
            cs.datetime(time_zone="*").dt.to_string("%F %T%.f %Z"),
        )
        shown = rows.head(SHOWN_ROWS).with_columns(times).select(pl.all().cast(pl.String).fill_null(""))
        return f"{shown}{more}" if rows.height else "None."
