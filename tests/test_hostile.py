"""Hostile files: what tests/hostile/expected.toml says must happen to each, through ingest, report, exports and pages.

A case is a file there and its statement. What readers and grammar do with ordinary mistakes is tested beside them.
"""

import csv
import io
import json
import os
import re
import subprocess
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import duckdb
import openpyxl
import pytest
import python_calamine
from click.testing import CliRunner

from pipelines.access import read_access
from pipelines.cli import main
from pipelines.operations.mass_credits import MassCredits
from pipelines.operations.request_file import read_request
from pipelines.operations.requests import RefusedError
from pipelines.settings import Home, SettingsError, read_merchants
from pipelines.shards import ledger_path
from tests.homes import Installation, make_home
from tests.homes import csv as csv_of
from tests.hostile.made import FOLDER, LARGE, SMALL
from tests.portals import portal
from tests.processes import COMMAND, environment, rollforward

EXPECTED: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "expected.toml").read_text(encoding="utf-8"))
MARKUP = "<script>alert(1)</script>"
MERCHANT = f"""
[merchants.hostile]
name = "=1+1 {MARKUP}"
timezone = "America/New_York"
currency = "USD"
"""
# What must not reach a terminal: controls but for line feed and tab, and what turns the direction of text.
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
# What no person should be shown.
INSIDES = re.compile(r"Traceback|\w+Error\b|\w+Exception\b|File \"|<class|0x[0-9a-f]{8}|duckdb|pyarrow|calamine")
NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
RUNS = "=+-@\t\r\n＝＋－＠"  # what a text begins with that a spreadsheet would run
OURS = ("=ROUND(", "=IF(", "=COUNTA(", '="Errors "&', "='Summary Statistics'!", "='Checks'!")
NAMES = (
    b"new\nline.csv", b"escape\x1b[2J.csv", "\u202evsc.x.csv".encode(), b"-rf.csv", b"'; drop table x; --.csv",
    b'"quoted".csv', b"latin-\xe9.csv", b"$(touch owned).csv", MARKUP.replace("/", "-").encode(),
    b"*?[ab].csv", b"entry_id=1.csv", b"x..%2f..%2fetc%2fpasswd.csv", b"back\\slash\\..\\x.csv", b"%s%n{}.csv",
    b"con.csv", b" .csv", b"x" * 251 + b".csv", b"double.csv.exe", b"CAPITALS.CSV",
)  # fmt: skip
OF_NO_KIND = 2  # of these, names that end in nothing that is read


def test_every_hostile_file_has_its_statement_and_every_statement_its_file() -> None:
    kept = {f"{path.parent.name}/{path.name}" for path in FOLDER.glob("*/*.*") if path.suffix != ".pyc"}
    assert kept | LARGE.keys() == EXPECTED.keys()
    assert not kept & LARGE.keys()
    assert len(EXPECTED) >= 60
    for name, said in EXPECTED.items():
        assert said.keys() <= {"must", "accepted", "duplicates", "rejected", "refused", "says"}, name
        assert said["must"].endswith("."), name
        assert bool(said.get("refused")) <= bool(said.get("says")), f"{name}: a refusal says something"


def test_the_files_that_a_program_made_are_as_it_makes_them() -> None:
    # Parquet and workbooks name the versions of what wrote them: the size is compared, within reason.
    for name, make in SMALL.items():
        assert abs((FOLDER / name).stat().st_size - len(make())) <= 200, f"{name}: python -m tests.hostile.made"


# Files in landing/


@dataclass
class Outcome:
    """What became of a file."""

    read: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: dict[str, list[int]] = field(default_factory=dict)
    refused: str = ""
    says: str = ""


def land(home: Installation, names: Sequence[str]) -> None:
    for name in names:
        content = LARGE[name]() if name in LARGE else (FOLDER / name).read_bytes()
        home.land(f"hostile/entries/{name.replace('/', '-')}", content)


def outcomes(home: Installation) -> dict[str, Outcome]:
    """Of each file of landing/, by its name there."""
    with duckdb.connect(str(ledger_path(home.home, "main")), read_only=True) as ledger:
        found = {}
        for event, path, *counts in ledger.execute(
            "select event, source_file, rows_read, accepted, duplicates, rejected from ledger.files"
        ).fetchall():
            read, accepted, duplicates, rejected = counts
            assert read == accepted + duplicates + rejected, f"{path}: a row is lost or counted twice"
            made = Outcome(read, accepted, duplicates)
            rows = ledger.execute(
                "select source_row, reason, explanation from ledger.rejected_rows where event = $1 order by source_row",
                [event],
            ).fetchall()
            assert len(rows) == rejected, path
            for row, reason, explanation in rows:
                assert explanation, path
                assert explanation.endswith("."), explanation
                assert not INSIDES.search(explanation), explanation
                made.rejected.setdefault(reason, []).append(row)
                if row == 0:
                    made.refused, made.says = reason, explanation
            found[path.rpartition("/")[2]] = made
        stored = ledger.execute("select count(*) from ledger.entries").fetchone()
        accepted = ledger.execute("select sum(accepted) from ledger.files where dataset = 'entries'").fetchone()
        assert stored == accepted
        return found


def assert_as_stated(home: Installation, names: Sequence[str]) -> None:
    found = outcomes(home)
    wrong = []
    for name in names:
        stated, came = EXPECTED[name], found[name.replace("/", "-")]
        if stated.get("refused"):
            as_stated = (came.refused, came.read) == (stated["refused"], 1) and stated["says"] in came.says
        else:
            as_stated = (came.accepted, came.duplicates, came.rejected) == (
                stated.get("accepted", 0), stated.get("duplicates", 0), stated.get("rejected", {})
            )  # fmt: skip
        if not as_stated:
            wrong.append(f"{name}: {stated['must']}\n  But: {came}")
    assert not wrong, "\n".join(wrong)


def cases(*folders: str, large: bool = False) -> list[str]:
    return [name for name in EXPECTED if name.partition("/")[0] in folders and (name in LARGE) == large]


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("kind", ["parquet", "xlsx"])
def test_files_come_to_what_is_stated_of_them(tmp_path: Path, kind: str) -> None:
    home = make_home(tmp_path, MERCHANT)
    names = cases(kind)
    land(home, names)
    before = tree(tmp_path)
    home.ingest()
    assert_as_stated(home, names)
    assert not any(STEERING.search(said) or INSIDES.search(said) for said in home.said)
    written = tree(tmp_path) - before
    assert all(re.match(r"home/(archive|journal|ledgers)(/|$)", path) for path in written), written


@pytest.mark.slow
def test_large_files_take_a_bounded_amount_of_time_and_memory(tmp_path: Path) -> None:
    home = make_home(tmp_path, MERCHANT)
    names = cases("csv", "jsonl", "parquet", "xlsx", large=True)
    land(home, names)
    started = time.monotonic()
    command = [*COMMAND, "--home", str(home.home.path), "ingest"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment()) as run:
        assert run.stdout
        said = run.stdout.read().decode()
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    assert run.returncode == 0, said
    assert not INSIDES.search(said)
    assert time.monotonic() - started < 900
    # What reads them in processes of their own may have 3 GB.
    assert used.ru_maxrss < 3_000_000, f"{used.ru_maxrss:,} kB"
    assert_as_stated(home, names)


# What is made of them


@dataclass(frozen=True)
class Reported:
    """A home of hostile text and hostile names, of which June is reported: what that said, and what it wrote."""

    home: Installation
    said: str
    written: set[str]

    def query(self, sql: str) -> list[Any]:
        """The first column of what the ledger answers."""
        with duckdb.connect(str(ledger_path(self.home.home, "main")), read_only=True) as ledger:
            return [row[0] for row in ledger.execute(sql).fetchall()]

    def told(self, *command: str) -> str:
        """What a command prints, to stdout and to stderr."""
        done = CliRunner().invoke(main, ["--home", str(self.home.home.path), *command], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output


def test_hostile_text_and_names_are_text_all_the_way_out(tmp_path: Path) -> None:
    home = make_home(tmp_path, MERCHANT)
    names = cases("csv", "jsonl")
    land(home, names)
    land_under_hostile_names(home, tmp_path / "secret.csv")
    before = tree(tmp_path)
    done = rollforward(home.home.path, "report", "--month", "2026-06")
    reported = Reported(home, done.stdout + done.stderr, tree(tmp_path) - before)
    assert_as_stated(home, names)
    assert_files_of_any_name_are_read_and_others_left_alone(reported)
    assert_nothing_is_written_elsewhere_or_under_a_name_from_a_file(reported)
    assert_nothing_printed_steers_a_terminal_or_shows_insides(reported)
    assert_exports_hold_every_text_and_nothing_that_runs(reported, tmp_path)
    assert_the_workbook_holds_every_text_and_no_formula_but_ours(reported)
    assert_pages_show_text_and_none_of_it_as_markup(reported, tmp_path)


def land_under_hostile_names(home: Installation, elsewhere: Path) -> None:
    """A row under each hostile name; and what is no plain file."""
    persons = (MARKUP, "=2+2", "../../etc/passwd", "C:\\Windows\\win.ini", "\x1b[2J\x1b[H", "\u202egnp.exe")
    columns = ("member_id", "email", "first_name", "last_name")
    home.land("hostile/members/members.csv", csv_of(dict.fromkeys(columns, person) for person in persons))
    entries = home.home.landing / "hostile/entries"
    for number, name in enumerate(NAMES):
        Path(os.fsdecode(os.fsencode(entries) + b"/" + name)).write_text(
            f"entry_id,entry_type,occurred_at,member_id,amount\nname-{number},created,2026-06-01,ada,1\n",
            encoding="utf-8",
        )
    elsewhere.write_text("secret", encoding="utf-8")
    (entries / "link\x1b[2J.csv").symlink_to(elsewhere)
    (entries / "folder.csv").mkdir()
    os.mkfifo(entries / "pipe.csv")


def assert_files_of_any_name_are_read_and_others_left_alone(reported: Reported) -> None:
    found = [outcome for name, outcome in outcomes(reported.home).items() if not name.startswith(("csv-", "jsonl-"))]
    entries = [outcome for outcome in found if outcome.read == 1]
    assert sum(outcome.accepted for outcome in entries) == len(NAMES) - OF_NO_KIND
    assert [outcome.refused for outcome in entries if outcome.refused] == ["unknown_kind"] * OF_NO_KIND
    for name in ("link", "folder.csv", "pipe.csv"):
        assert re.search(rf"{name}.* is no plain file and was left alone", reported.said), name


def assert_nothing_is_written_elsewhere_or_under_a_name_from_a_file(reported: Reported) -> None:
    ours = re.compile(
        r"home/(archive(/[0-9a-f]{64})?|journal(/hostile(/\d{12}\.json)?)?|ledgers(/main(-read)?\.(duckdb|lock))?"
        r"|reports(/hostile(/2026-06(/credits-hostile-2026-06\.xlsx)?)?)?|alerts(/[\w-]+\.md)?|\.dagster(/.*)?)"
    )
    assert [path for path in reported.written if not ours.fullmatch(path)] == []
    # Where one of their names leads, and where the command of another would have been run.
    assert not Path("/evil.xml").exists()
    assert not Path("owned").exists()


def assert_nothing_printed_steers_a_terminal_or_shows_insides(reported: Reported) -> None:
    rejects = reported.told("rejects")
    as_json = reported.told("--json", "rejects")
    for text in (reported.said, rejects, as_json, reported.told("balances"), reported.told("--json", "balances"),
                 reported.told("history", MARKUP), reported.told("batches"), reported.told("flags"),
                 *(path.read_text(encoding="utf-8") for path in reported.home.home.alerts.iterdir())):  # fmt: skip
        assert not (found := STEERING.search(text)), text[max(found.start() - 80, 0) : found.end() + 20]
        assert not (shown := INSIDES.search(text)), text[max(shown.start() - 80, 0) : shown.end() + 20]
    assert "\\u001b[2J" in rejects
    assert "\\u202e" in rejects
    # What is written out means the same character in JSON.
    values = {row["value"] for row in json.loads(as_json[as_json.index("[") : as_json.rindex("]") + 1])}
    assert {"\x1b[2J\x1b[H", "\u202egnp.exe"} <= values
    # A row is a line, whatever its values hold.
    assert all(line.startswith("landing/hostile/") for line in rejects.splitlines()[:-1])


def assert_exports_hold_every_text_and_nothing_that_runs(reported: Reported, folder: Path) -> None:
    reported.told("balances", "--csv", str(folder / "b.csv"), "--xlsx", str(folder / "b.xlsx"))
    with (folder / "b.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["member_id"] for row in rows} == {
        f"'{member}" if member[0] in RUNS else member
        for member in reported.query("select distinct member_id from ledger.entries")
    }
    texts = [text for row in rows for text in row.values() if text and not re.fullmatch(r"-?[\d.]+", text)]
    assert not {text[0] for text in texts} & set(RUNS)
    sheet = openpyxl.load_workbook(folder / "b.xlsx").worksheets[0]
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)


def assert_the_workbook_holds_every_text_and_no_formula_but_ours(reported: Reported) -> None:
    path = reported.home.home.reports / "hostile/2026-06/credits-hostile-2026-06.xlsx"
    book, calamine = openpyxl.load_workbook(path), python_calamine.load_workbook(str(path))
    for sheet in book.worksheets:
        assert sheet.title.isprintable()
        for cell in (cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f"):
            assert str(cell.value).startswith(OURS), (sheet.title, cell.coordinate)
    header, *rows = calamine.get_sheet_by_name("Credits Created").to_python()
    created = "entry_type = 'created' and occurred_at >= '2026-06-01' and occurred_at < '2026-07-01'"
    for column, stored in (("reason", "reason"), ("user_id", "member_id"), ("credit_id", "credit_id")):
        texts = reported.query(f"select distinct {stored} from ledger.entries where {created} and {stored} is not null")
        # As it came, but for what XML cannot hold.
        kept = {NOT_IN_XML.sub("", text) for text in texts} - {""}
        assert kept == {str(row[header.index(column)]) for row in rows} - {""}, column


def assert_pages_show_text_and_none_of_it_as_markup(reported: Reported, folder: Path) -> None:
    pages = portal(reported.home.home, folder / "access.log")
    members = reported.query("select distinct member_id from ledger.entries where member_id in (reason, batch_id)")
    assert MARKUP in members
    for address in (
        *(f"/m/hostile/{page}" for page in ("members", "batches", "movements", "extant", "rejects", "files", "flags")),
        *(f"/m/hostile/member?{urlencode({'id': member})}" for member in members),
    ):
        page = pages.get(address)
        assert page.status == 200, (address, page.text)
        assert _Active.in_(page.html) == [], address
        assert not INSIDES.search(page.text), address
    listed = list(csv.DictReader(io.StringIO(pages.get("/m/hostile/members.csv").content.decode())))
    assert {row["member_id"] for row in listed} >= {MARKUP, "'=2+2", "../../etc/passwd"}


class _Active(HTMLParser):
    """What in a page would do something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        active = [name for name, value in attrs if name.startswith("on") or (value or "").startswith("javascript:")]
        if active or tag in ("script", "img", "iframe", "object", "style", "base"):
            self.found.append(self.get_starttag_text() or tag)

    @classmethod
    def in_(cls, html: str) -> list[str]:
        """Of a page."""
        parser = cls()
        parser.feed(html)
        return parser.found


# Settings, rights and requests


@pytest.mark.parametrize("name", cases("merchants", "access", "requests"))
def test_settings_rights_and_requests_are_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path)
    readers: dict[str, Callable[[], object]] = {
        "merchants": lambda: read_merchants(home),
        "access": lambda: read_access(home),
        "requests": lambda: read_request(FOLDER / name, MassCredits, merchant="acme", actor="ann", approved_by=""),
    }
    for path in (home.merchants_file, home.access_file):
        path.write_bytes((FOLDER / name).read_bytes())
    with pytest.raises((SettingsError, RefusedError)) as refused:
        readers[name.partition("/")[0]]()
    assert EXPECTED[name]["says"] in str(refused.value), EXPECTED[name]["must"]
    assert not INSIDES.search(str(refused.value))
