"""The command line as people and scripts meet it: what stands on stdout, what on stderr, and the exit code."""

import errno
import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines import faults
from pipelines.listings import FORMULA_BEGINNINGS, write_csv
from pipelines.terminal import table
from tests import acme
from tests.homes import ACME, entries_csv, make_home
from tests.processes import COMMAND, content, environment, rollforward, workbooks


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the sample, and its workbooks of June."""
    home = tmp_path_factory.mktemp("cli") / "home"
    rollforward(home, "sample", "--entries", "3000")
    rollforward(home, "report", "--month", "2026-06")
    return home


def test_help_answers_without_loading_anything_heavy() -> None:
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", *COMMAND[1:], "--help"], capture_output=True, text=True, check=True
    ).stderr
    for heavy in ("dagster", "polars", "duckdb", "pandera", "numba", "xlsxwriter"):
        assert f" {heavy}\n" not in loaded, heavy


def test_every_command_explains_itself() -> None:
    for command in (
        *("sample", "ingest", "report", "rejects", "balances", "history", "batches", "flags"),
        *("rebuild", "backup", "restore", "ui"),
    ):
        done = subprocess.run([*COMMAND, command, "--help"], capture_output=True, text=True, check=True)
        assert "--home" in done.stdout
        assert "--json" in done.stdout


def test_report_prints_the_path_of_each_workbook_and_nothing_else_on_stdout(reported: Path) -> None:
    lines = rollforward(reported, "report", "--month", "2026-06").stdout.splitlines()
    assert [Path(line).name for line in lines] == [
        "credits-green-acres-2026-06.xlsx",
        "credits-harbor-gym-2026-06.xlsx",
        "credits-kiwi-grocer-2026-06.xlsx",
    ]
    assert all(Path(line).is_file() for line in lines)


def test_the_same_report_again_changes_nothing(reported: Path) -> None:
    ledger, books = content(reported), workbooks(reported)
    told = json.loads(rollforward(reported, "--json", "report", "--month", "2026-06").stdout)
    assert [workbook["outcome"] for workbook in told] == ["unchanged"] * 3
    assert content(reported) == ledger
    assert workbooks(reported) == books


def test_json_totals_are_decimals_as_text(reported: Path) -> None:
    (told,) = json.loads(
        rollforward(reported, "report", "--json", "--month", "2026-06", "--merchant", "harbor-gym").stdout
    )
    totals = told["totals"]["USD"]
    change = (
        Decimal(totals["total_credit_created"])
        + Decimal(totals["total_credit_redemption_refunded"])
        - Decimal(totals["total_credit_redeemed"])
        - Decimal(totals["total_credit_expired"])
    )
    assert change == Decimal(totals["total_credit_change"])
    assert told["merchant_id"] == "harbor-gym"


def test_free_dates_write_an_interim_workbook_and_keep_no_report_rows(reported: Path) -> None:
    def kept() -> list[tuple[str]]:
        with duckdb.connect(str(reported / "ledgers/main-read.duckdb"), read_only=True) as connection:
            return connection.execute("select distinct period from reports.credits_created order by 1").fetchall()

    before = kept()
    (line,) = rollforward(
        *(reported, "report", "--start", "2026-05-12", "--end", "2026-06-11"),
        *("--as-of", "2026-06-11", "--merchant", "green-acres"),
    ).stdout.splitlines()
    assert Path(line).name == "credits-green-acres-2026-05-12_2026-06-11@20260612T040000Z.xlsx"
    assert kept() == before


def test_a_file_of_a_day_is_reported_row_by_row(tmp_path: Path) -> None:
    home = acme.furnish(tmp_path / "home")
    rollforward(home, *acme.JUNE)
    acme.land(
        home,
        "entries/zz-late.csv",
        "entry_id,entry_type,occurred_at,member_id,amount\n"
        "late-1,created,2026-06-11T09:00:00,ada,5.00\n"
        "late-2,created,2026-06-12T09:00:00,ada,5.001\n",
    )
    done = rollforward(home, "ingest")
    assert "acme/entries/zz-late.csv: 2 read, 1 accepted, 0 duplicates, 1 rejected" in done.stdout
    said = rollforward(home, "rejects").stdout
    assert 'landing/acme/entries/zz-late.csv, row 3: amount "5.001" has 3 decimals, USD has 2' in said
    report = rollforward(home, *acme.JUNE)
    assert report.stdout.strip().endswith("credits-acme-2026-06-v2.xlsx")
    assert "(+5.00)" in report.stderr


def test_balances_and_history_agree_with_the_movements(reported: Path) -> None:
    balances = json.loads(rollforward(reported, "--json", "balances", "--member", "ga-m-000006").stdout)
    history = json.loads(rollforward(reported, "--json", "history", "ga-m-000006").stdout)
    last = {row["balance_type"]: row["balance"] for row in history}
    assert {row["balance_type"]: row["balance"] for row in balances} == last
    assert all(isinstance(row["balance"], str) for row in balances)


def test_an_amount_is_listed_with_its_units_decimals(reported: Path) -> None:
    listed = json.loads(rollforward(reported, "--json", "balances", "--merchant", "green-acres").stdout)
    decimals = {(row["unit"], len(row["balance"].partition(".")[2])) for row in listed}
    assert decimals == {("USD", 2), ("TKN", 0)}
    (row,) = [row for row in listed if row["member_id"] == "ga-m-000007" and row["unit"] == "TKN"]
    shown = rollforward(reported, "balances", "--member", "ga-m-000007", "--unit", "TKN").stdout
    assert f"| {row['balance']} " in shown


def batch_ids(home: Path, *filters: str) -> list[str]:
    return [row["batch_id"] for row in json.loads(rollforward(home, "--json", "batches", *filters).stdout)]


ROUTE = [f"ga-batch-route-5-2026-05-{day}" for day in ("27", "13", "06")]


def test_a_listing_leaves_blank_what_is_not_there() -> None:
    at = datetime(2026, 6, 1, 9, 30, tzinfo=UTC)
    rows = pl.DataFrame({
        "member_id": ["ada", None], "created": [at, None], "last_used_at": [at.replace(tzinfo=None), None],
        "expires_on": [at.date(), None], "is_expired": [True, None], "rows": [1, None],
    })  # fmt: skip
    shown = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(rows).splitlines()[2:]]
    assert shown == [
        ["ada", "2026-06-01 09:30:00 UTC", "2026-06-01 09:30:00", "2026-06-01", "true", "1"],
        ["", "", "", "", "", ""],
    ]


def test_batches_are_found_by_date_issuer_type_status_and_words(reported: Path) -> None:
    assert batch_ids(reported, "--search", "route 5") == ROUTE
    assert batch_ids(reported, "--search", "ROUTE-5-2026-05-13") == ROUTE[1:2]
    recovery = ("--merchant", "green-acres", "--credit-type", "service recovery", "--start", "2026-05-11")
    assert batch_ids(reported, *recovery, "--end", "2026-05-27") == ROUTE[:2]
    assert batch_ids(reported, "--issuer", "dana@", "--start", "2026-05-13", "--end", "2026-05-13") == ROUTE[1:2]
    assert batch_ids(reported, "--status", "failed") == ["ga-batch-newsletter-2026-06"]
    assert "ga-batch-spring-market-2026-03" in batch_ids(reported, "--status", "reversed")


def test_a_batch_shows_its_recipients_and_exports_them(reported: Path, tmp_path: Path) -> None:
    batch = "ga-batch-missing-items-may-9"
    (recipient,) = json.loads(rollforward(reported, "batches", "show", batch, "--json").stdout)
    assert (recipient["member_id"], recipient["amount"], recipient["used"]) == ("ga-m-000001", "15.00", "9.75")
    done = rollforward(reported, "batches", "show", batch)
    assert "Service Recovery - Missing Items May 9 Orders" in done.stderr
    assert "ga-m-000001" in done.stdout
    table, book = tmp_path / "r.csv", tmp_path / "r.xlsx"
    rollforward(reported, "batches", "show", batch, "--csv", str(table), "--xlsx", str(book))
    assert table.read_text().splitlines()[0].startswith("merchant_id,batch_id,member_id,email,name,amount")
    assert book.stat().st_size > 0


def test_flags_are_found_by_rule_severity_period_and_member(reported: Path) -> None:
    def found(*filters: str) -> list[dict[str, str]]:
        flags: list[dict[str, str]] = json.loads(rollforward(reported, "flags", "--json", *filters).stdout)
        return flags

    (own,) = found("--rule", "self_credit")
    assert (own["credit_id"], own["severity"], own["period"]) == ("ga-to-self", "error", "2026-06")
    assert found("--rule", "self_credit", "--period", "2026-05") == []
    assert {flag["severity"] for flag in found("--severity", "warning")} == {"warning"}
    assert {flag["member_id"] for flag in found("--member", "ga-m-000027")} == {"ga-m-000027"}
    said = rollforward(reported, "flags", "--merchant", "green-acres", "--rule", "missing_reason")
    assert "ga-no-reason of 7.50 USD" in said.stdout
    mistyped = rollforward(reported, "flags", "--merchant", "green-acres", "--period", "2026-6")
    assert "green-acres: 2026-6 has not been reported, so its flags are not known.\n0 flags." in mistyped.stderr
    free = rollforward(reported, "flags", "--period", "2026-05-12_2026-06-11@20260701T000000Z")
    assert "is of free dates, whose flags are in its workbook alone.\n0 flags." in free.stderr
    of_june = rollforward(reported, "flags", "--merchant", "green-acres", "--period", "2026-06")
    assert "not been reported" not in of_june.stderr
    no_rule = rollforward(reported, "flags", "--rule", "self-credit").stderr
    assert 'There is no rule "self-credit".\n0 flags.' in no_rule
    assert '"much" is not an amount' in rollforward(reported, "flags", "--min-amount", "much", status=2).stderr
    assert "docs/anomalies.md" in said.stderr


@pytest.mark.slow
def test_errors_hold_back_the_workbook_of_the_merchant_that_blocks_on_them_and_no_other(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    merchants = "".join(
        f'[merchants.{name}]\nname = "{name}"\ntimezone = "UTC"\ncurrency = "USD"\nblock_on_errors = {blocks}\n'
        for name, blocks in (("acme", "true"), ("beta", "true"), ("cova", "false"))
    )
    (home / "merchants.toml").write_text(merchants)
    for name, amount in (("acme", "6.00"), ("beta", "5.00"), ("cova", "6.00")):
        folder = home / "landing" / name / "entries"
        folder.mkdir(parents=True)
        (folder / "june.csv").write_text(
            "entry_id,entry_type,occurred_at,member_id,amount,reason\n"
            f"a,created,2026-06-01,ada,5.00,Goodwill\nb,redeemed,2026-06-02,ada,{amount},\n"
        )
    done = rollforward(home, "report", "--month", "2026-06", status=1)
    assert [Path(line).parts[-3] for line in done.stdout.splitlines()] == ["beta", "cova"]
    assert "The workbook of acme, 2026-06, is held back: 1 error (block_on_errors). Redemption b" in done.stderr
    assert "rollforward flags --merchant acme --severity error" in done.stderr
    (error,) = json.loads(rollforward(home, "--json", "flags", "--merchant", "acme", "--severity", "error").stdout)
    assert error["rule"] == "uncovered_draw"
    dates = ("--start", "2026-06-01", "--end", "2026-06-30", "--as-of", "2026-06-30")
    assert rollforward(home, "report", *dates, "--merchant", "acme", status=1).stdout == ""
    (home / "merchants.toml").write_text(merchants.replace("true", "false"))
    assert rollforward(home, "report", "--month", "2026-06", "--merchant", "acme").stdout.strip().endswith(".xlsx")


def test_exports_quote_what_a_spreadsheet_would_run(reported: Path, tmp_path: Path) -> None:
    exported, book = tmp_path / "balances.csv", tmp_path / "balances.xlsx"
    rollforward(reported, "balances", "--csv", str(exported), "--xlsx", str(book))
    assert book.stat().st_size > 0
    for line in exported.read_text().splitlines()[1:]:
        assert not line.split(",")[2].startswith(FORMULA_BEGINNINGS)
    texts = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "＝1", "＋1", "－1", "＠x", "1-1=0", " ", "", None]
    write_csv(pl.DataFrame({"said": texts, "row": range(len(texts))}), exported)
    read = pl.read_csv(exported, infer_schema=False)["said"].to_list()
    assert read == [*(f"'{text}" for text in texts[:11]), "1-1=0", " ", None, None]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("report",), 2, "--month"),
        (("report", "--month", "2026-13"), 2, "is not a month"),
        (("report", "--month", "2026-06", "--to", "2026-05"), 2, "is before"),
        (("report", "--start", "2026-06-02", "--end", "2026-06-01"), 1, "before it starts"),
        (("report", "--month", "2199-01"), 1, "is not after that"),
        (("report", "--month", "2026-06", "--as-of", "2199-01-01"), 1, "has not come yet"),
        (("report", "--month", "2026-06", "--merchant", "nobody"), 1, 'merchant "nobody" is not declared'),
        (("history", "nobody"), 1, 'No movement of member "nobody"'),
        (("batches", "show", "nothing"), 1, 'There is no batch "nothing"'),
        (("batches", "--start", "May"), 2, '"May" is not a date'),
        (("batches", "--status", "reversd"), 2, "'reversd' is not one of"),
        (("balances", "--csv", "/no/such/b.csv"), 1, "/no/such/b.csv cannot be written: No such file or directory"),
        (("balances", "--xlsx", "/no/such/b.xlsx"), 1, "/no/such/b.xlsx cannot be written: No such file or directory"),
        (("portal", "--port", "99999"), 2, "99999 is not in the range"),
        (("ui", "--port", "99999"), 2, "99999 is not in the range"),
        (("flags", "--merchant", "nobody"), 1, 'merchant "nobody" is not declared'),
        (("nonsense",), 2, "No such command"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    reported: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    done = rollforward(reported, *arguments, status=status)
    assert said in done.stderr
    assert done.stdout == ""


def test_rows_that_were_accepted_since_are_told_from_those_that_are_set_aside(tmp_path: Path) -> None:
    (tmp_path / "merchants.toml").write_text(
        '[merchants.acme]\nname = "Acme"\ntimezone = "America/New_York"\ncurrency = "USD"\n'
    )
    landing = tmp_path / "landing" / "acme" / "entries"
    landing.mkdir(parents=True)
    header, rest = "entry_id,entry_type,occurred_at,member_id,amount\n", ",created,2026-06-01,ada,"
    (landing / "june.csv").write_text(f"{header}a{rest}5.001\nb{rest}much\n")
    rollforward(tmp_path, "ingest")
    (landing / "june-again.csv").write_text(f"{header}a{rest}5.00\n")
    rollforward(tmp_path, "ingest")
    everything = rollforward(tmp_path, "rejects", "--all")
    a, b = everything.stdout.splitlines()
    assert a.startswith("landing/acme/entries/june.csv, row 2: ")
    assert a.endswith(" Accepted since.")
    assert b.endswith('"much" is not an amount; write it like 1234.50.')
    assert everything.stderr.startswith("1 row of these has been accepted since.\n1 row is set aside; ")
    assert rollforward(tmp_path, "rejects").stdout == f"{b}\n"


def test_listings_say_whose_rows_are_not_in_the_shard_that_a_merchant_was_given_to(tmp_path: Path) -> None:
    home = make_home(tmp_path, f"{ACME}[merchants.bo]\nname = 'Bo'\ntimezone = 'UTC'\ncurrency = 'USD'\nshard = 'b'\n")
    home.land("acme/entries/june.csv", entries_csv("entry_id\ngood"))
    home.land("bo/entries/june.csv", entries_csv("entry_id  amount\nwrong     x"))
    rollforward(home.home.path, "ingest")
    assert "lacks" not in rollforward(home.home.path, "balances").stderr
    home.configure(home.home.merchants_file.read_text("utf-8").replace("shard = 'b'", ""))
    listed = rollforward(home.home.path, "rejects")
    assert "No row is set aside." in listed.stderr
    assert 'The ledger "main" lacks what the journal has of bo, which was given to another shard' in listed.stderr
    assert "lacks" not in rollforward(home.home.path, "rejects", "--merchant", "acme").stderr
    rollforward(home.home.path, "ingest")
    listed = rollforward(home.home.path, "rejects")
    assert "bo/entries/june.csv, row 2" in listed.stdout
    assert "lacks" not in listed.stderr


@pytest.mark.parametrize("pages", ["portal", "ui"])
def test_a_port_that_is_taken_is_told_in_a_sentence(reported: Path, pages: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = rollforward(reported, pages, "--port", str(port), status=1).stderr
    assert said.startswith(f"Nothing can be served at 127.0.0.1, port {port}: Address already in use.")


def test_a_home_without_settings_says_what_to_do(tmp_path: Path) -> None:
    assert "rollforward sample" in rollforward(tmp_path / "empty", "ingest", status=1).stderr


def test_names_that_an_older_locale_cannot_write_are_written_out(tmp_path: Path) -> None:
    made = make_home(tmp_path)
    made.land("acme/members/m.csv", "member_id,first_name,last_name\nada,محمد,😀 Zoë\n")
    made.land("acme/entries/e.csv", entries_csv("""
        entry_id  amount
        first      7.00
    """))  # fmt: skip
    home = made.home.path
    rollforward(home, "ingest")
    said = {}
    for json_or_not in ((), ("--json",)):
        done = subprocess.run(
            [*COMMAND, "--home", str(home), *json_or_not, "balances"],
            capture_output=True,
            check=False,
            env={**environment(), "PYTHONIOENCODING": "latin-1"},
        )
        assert done.returncode == 0, done.stderr
        said[json_or_not] = done.stdout
    assert "\\u0645\\u062d\\u0645\\u062f" in said[()].decode("latin-1")
    (row,) = json.loads(said["--json",].decode("ascii"))
    assert (row["first_name"], row["last_name"]) == ("محمد", "😀 Zoë")


def test_a_python_that_leaves_out_the_texts_of_the_about_sheet_is_refused(tmp_path: Path) -> None:
    for level, status in (("2", 1), ("1", 0)):
        done = subprocess.run(
            [*COMMAND, "--home", str(tmp_path / level), "sample", "--entries", "100"],
            capture_output=True,
            text=True,
            check=False,
            env={**environment(), "PYTHONOPTIMIZE": level},
        )
        assert done.returncode == status, done.stderr
        assert ("PYTHONOPTIMIZE=2" in done.stderr) is (status == 1)
        assert (tmp_path / level).exists() is (status == 0)


def test_who_waits_for_a_ledger_says_for_whom_and_gives_up_with_advice(reported: Path) -> None:
    hold = (
        "import sys, time; from pipelines import shards, settings\n"
        "home = settings.find_home(sys.argv[1])\n"
        "with shards.lock(home, 'main', wait_s=1, say=print):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(reported)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        said = rollforward(reported, "ingest", "--wait", "1", status=1).stderr
        assert f"process {holder.pid}" in said
        assert "--wait" in said
        holder.kill()
    rollforward(reported, "ingest")


@pytest.mark.parametrize("name", ["is it?", "farm%20shop"])
def test_a_home_where_dagsters_records_would_lie_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    said = rollforward(home, "sample", status=1).stderr
    assert said.startswith(f"The home {home} cannot be used")
    assert not home.exists()
    rollforward(tmp_path / "a 100% farm & shop", "sample", "--entries", "100")


@pytest.mark.parametrize(
    "problem",
    [
        OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
        duckdb.IOException('IO Error: Cannot open file "ledgers/main.duckdb.wal": Too many open files'),
    ],
)
def test_too_few_open_files_are_neither_a_defect_nor_damage(problem: Exception) -> None:
    said = faults.told(problem)
    assert said is not None
    assert said.startswith("The machine does not give this run what it needs (Too many open files).")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_whose_streams_are_closed_does_its_work(reported: Path, closed: str) -> None:
    # As some schedulers start it.
    said = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", *COMMAND, "--home", str(reported), "balances"],
        capture_output=True, text=True, check=True, env=environment(),
    )  # fmt: skip
    assert said.stderr == ""
    assert bool(said.stdout) == (closed == "2>&-")


def test_output_that_its_file_has_no_room_for_is_told_and_is_a_failure(reported: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "--home", str(reported), "balances"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment(),
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "The output cannot be written: No space left on device.\n")
