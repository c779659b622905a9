"""What Dagster loads, runs and shows: through its own API, on a home's own instance."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import dagster as dg
import duckdb
import openpyxl
import polars as pl
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.execution.api import execute_job
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from pipelines import anomalies, clock, reports, runs, tables, views
from pipelines.definitions import defs
from pipelines.journal import Journal
from pipelines.resources import Voice
from pipelines.sample import write_sample
from pipelines.settings import Home, find_home
from pipelines.shards import ledger_path, read_copy_path
from pipelines.tables import asset_key
from tests.homes import ACME, Installation, entries_csv, make_home

MAY_AND_JUNE = ("2026-05-01", "2026-06-01")
CHECKS = dg.AssetKey(["reports", "checks"])
WORKBOOK = dg.AssetKey(["workbook", "credits_workbook"])
QUIET = {"config": {"log_level": "CRITICAL"}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = find_home(tmp_path_factory.mktemp("dagster") / "home")
    write_sample(made, entries=600)
    return made


@pytest.fixture(scope="module")
def told(home: Home) -> dict[str, dict[str, Any]]:
    """What the monthly report of May and June told, by asset."""
    return run(home, "monthly_report", months=MAY_AND_JUNE)


@pytest.fixture
def instance(home: Home, told: object) -> Iterator[dg.DagsterInstance]:
    with runs.instance_of(home) as opened:
        yield opened


def run(home: Home, job: str, **choices: Any) -> dict[str, dict[str, Any]]:
    return runs.run(home, job, speaks=Voice(lambda _said: None), resource={}, **choices)


def config_of(home: Home) -> dict[str, Any]:
    """What a launchpad sends for a run on this home."""
    return {"resources": {"rollforward": {"config": {"home": str(home.path)}}}, "loggers": {"console": QUIET}}


def test_two_months_of_all_merchants_are_one_run(told: dict[str, Any], instance: dg.DagsterInstance) -> None:
    assert instance.get_runs_count() == 1
    published = told["workbook/credits_workbook"]["published"]
    assert {(workbook["merchant_id"], workbook["period"]) for workbook in published} == {
        (merchant, month)
        for merchant in ("green-acres", "harbor-gym", "kiwi-grocer")
        for month in ("2026-05", "2026-06")
    }
    assert all(Path(workbook["path"]).is_file() for workbook in published)
    assert set(MAY_AND_JUNE) <= set(instance.get_materialized_partitions(WORKBOOK))


def test_each_table_shows_its_rows_and_the_first_of_them(told: dict[str, Any]) -> None:
    for name, metadata in told.items():
        if name.startswith(("reports/", "facts/", "audits/")):
            assert metadata["dagster/row_count"] >= 0
            assert metadata["preview"].startswith(("| ", "None."))
    assert told["reports/credits_created"]["total_USD"] > 0
    assert "| source_file | reading | rows_read |" in told["ledger/files"]["taken"]


def test_a_preview_shows_amounts_with_the_decimals_of_their_unit() -> None:
    amount = pl.Series([Decimal("1234.5"), Decimal(610), Decimal("0.125")], dtype=pl.Decimal(18, 4))
    known = pl.DataFrame({"amount": amount, "decimals": [2, 0, 2]})
    assert tables.shown_rows(known, ["amount"]) == [["1,234.50"], ["610"], ["0.125"]]
    assert tables.markdown(known.select("amount")).value.splitlines()[2:] == ["| 1,234.50 |", "| 610.00 |", "| 0.125 |"]


def test_what_is_in_a_cell_of_a_preview_stays_there_as_text() -> None:
    said = "one\r| two |\u2028three\\\n![](http://elsewhere.example/seen.png) <b>"
    _, _, row = tables.markdown_table(("reason",), [(said,)]).split("\n")
    assert row == r"| one \| two \| three\\ !\[](http://elsewhere.example/seen.png) &lt;b> |"


def test_balances_and_history_are_assets_that_say_what_they_come_to_and_as_of_when(
    home: Home, told: dict[str, Any]
) -> None:
    balances, history = told["facts/customer_balances"], told["facts/balance_history"]
    with duckdb.connect(str(read_copy_path(home, "main")), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        as_of = datetime.fromtimestamp(balances["as_of"], UTC)
        until = "from facts.movements where occurred_at <= $1"
        rows = connection.execute(f"select count(distinct (merchant_id, member_id, balance_type)) {until}", [as_of])
        assert rows.fetchall() == [(balances["dagster/row_count"],)]
        moved = connection.execute(
            f"select count(*), sum(signed_amount) filter (unit = 'USD')::double {until}", [as_of]
        )
        assert moved.fetchall() == [(history["dagster/row_count"], pytest.approx(balances["total_USD"]))]
    assert balances["total_USD"] == history["total_USD"]
    assert balances["preview"].startswith("| merchant_id | member_id | email |")
    assert history["preview"].startswith("| merchant_id | member_id | balance_type | occurred_at |")


def test_every_schema_and_invariant_is_a_check_that_was_held(told: object, instance: dg.DagsterInstance) -> None:
    keys = [key for node in defs.resolve_asset_graph().asset_nodes for key in node.check_keys]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert len(keys) > 20
    # Of the sample's last months nothing is published, and its stories have errors.
    assert {key.name for key, record in latest.items() if record.status.value != "SUCCEEDED"} == {
        "months_are_published",
        "no_errors",
    }
    assert set(latest) == set(keys)


def test_checks_that_hold_a_workbook_back_are_blocking_and_every_check_says_what_to_do(told: object) -> None:
    for key in defs.resolve_asset_graph().asset_check_keys:
        check = defs.resolve_asset_graph().get(key)
        assert check.blocking is (key.name not in ("months_are_published", "months_are_complete", "no_errors")), key
        assert "hat to do" in (check.description or "") or "eport it" in (check.description or ""), key


def test_an_ingest_alone_takes_no_report_with_it(home: Home, told: object) -> None:
    assert set(run(home, "ingest")) == {
        *(f"ledger/{name}" for name in ("files", "entries", "members", "batches", "balances", "rejected_rows")),
        *(f"ledger/{name}" for name in ("students", "enrollments", "charges", "operations")),
        *(f"facts/{name}" for name in ("credits", "movements", "findings", "daily_totals")),
        *(f"facts/{name}" for name in ("customer_balances", "balance_history")),
    }


def test_months_built_one_at_a_time_say_what_they_say_together(
    home: Home, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    build = reports.build

    def watched(connection: duckdb.DuckDBPyConnection, name: str) -> reports.Built:
        built.extend(
            month for (month,) in connection.execute("select distinct period from settings.periods").fetchall()
        )
        return build(connection, name)

    monkeypatch.setattr(reports, "build", watched)
    monkeypatch.setattr(tables, "MOST_CREDITS", 1)
    again = run(home, "monthly_report", months=MAY_AND_JUNE)
    assert built == ["2026-05", "2026-06"] * len(reports.names())
    workbooks = again["workbook/credits_workbook"]["published"]
    assert len(workbooks) == len(told["workbook/credits_workbook"]["published"])
    assert {workbook["outcome"] for workbook in workbooks} == {"unchanged"}


def test_the_records_of_a_run_are_written_over_few_connections(
    home: Home, told: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    connect: Callable[..., sqlite3.Connection] = sqlite3.dbapi2.connect

    def counted(path: str, *rest: Any, **more: Any) -> sqlite3.Connection:
        opened.append(path)
        return connect(path, *rest, **more)

    monkeypatch.setattr(sqlite3.dbapi2, "connect", counted)
    run(home, "ingest")
    assert 0 < len(opened) < 20


def test_free_dates_are_observed_and_no_partition_is_materialised(
    home: Home, told: object, instance: dg.DagsterInstance
) -> None:
    before = instance.get_materialized_partitions(WORKBOOK)
    dates = {"report_free_dates": {"config": {"start": "2026-05-12", "end": "2026-06-11"}}}
    observed = run(home, "credit_report", ops=dates)
    assert len(observed["workbook/credits_workbook"]["published"]) == 3
    assert instance.get_materialized_partitions(WORKBOOK) == before


def test_free_dates_read_rows_again_that_were_set_aside_and_tell_what_in_landing_was_left_alone(tmp_path: Path) -> None:
    made = make_home(tmp_path)
    made.land("acme/entries/may.csv", entries_csv("""
        entry_id  entry_type  amount  credit_id
        change    created       7.00  taken
        another   created       2.00  taken
    """))  # fmt: skip
    made.ingest()
    made.land("acme/invoices/may.csv", "")
    made.land("bolt/entries/may.csv", "")
    dates = {"report_free_dates": {"config": {"start": "2026-05-12", "end": "2026-06-11"}}}
    told = runs.run(
        made.home, "credit_report", speaks=Voice(lambda _: None), resource={"retry_rejected": True}, ops=dates
    )
    nobodys, no_dataset = told["workbook/credits_workbook"]["warnings"]
    assert nobodys == "landing/bolt belongs to no merchant of merchants.toml and was left alone."
    assert no_dataset.startswith("landing/acme/invoices is no dataset and was left alone")
    journal = Journal(made.home)
    kinds = [journal.read("acme", number).kind for number in journal.numbers("acme")]
    assert kinds == ["file", "retry", "publication"]


def test_the_launchpad_explains_every_field() -> None:
    job = defs.resolve_job_def("credit_report")
    fields: Any = cast(Any, job.run_config_schema.config_type).fields
    resource = fields["resources"].config_type.fields["rollforward"].config_type.fields["config"].config_type.fields
    op = fields["ops"].config_type.fields["report_free_dates"].config_type.fields["config"].config_type.fields
    for name, field in {**resource, **op}.items():
        assert field.description, name


def test_counts_by_rule_and_severity_are_numbers_of_each_month(told: object, instance: dg.DagsterInstance) -> None:
    key = dg.AssetKey(["audits", "anomaly_flags"])
    plotted: dict[str | None, dict[str, Any]] = {}
    for record in instance.fetch_materializations(key, limit=10).records:
        materialization = record.asset_materialization
        assert materialization is not None
        plotted[materialization.partition] = {name: said.value for name, said in materialization.metadata.items()}
    assert set(plotted) == set(MAY_AND_JUNE)
    may, june = (plotted[month] for month in MAY_AND_JUNE)
    assert (may["rule_self_credit"], june["rule_self_credit"]) == (0, 1)
    assert june["severity_error"] == sum(
        june[f"rule_{rule.name}"] for rule in anomalies.rules() if rule.severity == "error"
    )
    assert "| self_credit | error | 1 |" in june["flags_by_rule"]
    assert "green-acres" in june["flags"]


def test_a_batch_can_be_looked_at_without_its_workbook(home: Home, told: dict[str, Any]) -> None:
    assert "| ga-batch-summer-sale-2026-06 |" in told["audits/credits_batches"]["batches"]
    batch = {"view_batch": {"config": {"batch_id": "ga-batch-missing-items-may-9", "home": str(home.path)}}}
    with runs.instance_of(home) as opened:
        result = defs.resolve_job_def("batch_details").execute_in_process(
            instance=opened, run_config={"ops": batch, "loggers": {"console": QUIET}}
        )
    (seen,) = result.asset_observations_for_node("view_batch")
    assert seen.metadata["recipient_count"].value == 1
    assert "| ga-m-000001 |" in str(seen.metadata["recipients"].value)


def look_at(made: Home, batch_id: str) -> dg.ExecuteInProcessResult:
    config = {"ops": {"view_batch": {"config": {"batch_id": batch_id, "home": str(made.path)}}}}
    with runs.instance_of(made) as opened:
        return defs.resolve_job_def("batch_details").execute_in_process(
            instance=opened, run_config=config | {"loggers": {"console": QUIET}}, raise_on_error=False
        )


def test_a_batch_of_an_id_that_two_merchants_have_is_shown_of_both(tmp_path: Path) -> None:
    made = make_home(tmp_path, ACME + ACME.replace("acme", "bolt"))
    assert runs.what_failed(look_at(made.home, "may").all_events).startswith("There is no ledger in")
    for merchant, members in (("acme", ["ada", "bob"]), ("bolt", ["cyd"])):
        lines = [f"{merchant}-{member},created,2026-05-01,{member},5,may" for member in members]
        header = "entry_id,entry_type,occurred_at,member_id,amount,batch_id"
        made.land(f"{merchant}/entries/may.csv", "\n".join([header, *lines]))
    run(made.home, "ingest")
    (seen,) = look_at(made.home, "may").asset_observations_for_node("view_batch")
    assert seen.metadata["recipient_count"].value == 3
    header, _, merchants, *_ = str(seen.metadata["batch"].value).splitlines()
    assert (header, merchants) == ("| what | is | is |", "| merchant_id | acme | bolt |")
    made.configure("not = [toml")
    said = runs.what_failed(look_at(made.home, "may").all_events)
    assert "cannot be read as TOML" in said
    assert "defect" not in said


def test_totals_that_do_not_tie_stop_the_workbook_and_keep_the_former_rows(
    home: Home, told: dict[str, Any], instance: dg.DagsterInstance
) -> None:
    ledger = ledger_path(home, "main")
    damage(ledger, "+ 1")
    before = rows_of(ledger)
    try:
        with pytest.raises(runs.RunFailedError) as failed:
            run(home, "monthly_report", months=MAY_AND_JUNE)
        assert "1.00" in str(failed.value)
        assert "Traceback" not in str(failed.value)
        assert rows_of(ledger) == before
        assert (
            instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(CHECKS, "ties"), limit=1)[
                0
            ].status.value
            == "FAILED"
        )
    finally:
        damage(ledger, "- 1")
    run(home, "monthly_report", months=MAY_AND_JUNE)


def materialise(made: Home, *keys: dg.AssetKey) -> list[Any]:
    """Build these assets of June alone, as one does on the page, and what was published."""
    config = config_of(made)
    with runs.instance_of(made) as instance:
        result = defs.resolve_job_def("monthly_report").execute_in_process(
            instance=instance, run_config=config, partition_key="2026-06-01", asset_selection=[*keys]
        )
    assert result.success
    told = [event.materialization.metadata for event in result.get_asset_materialization_events()]
    return [
        workbook for metadata in told if "published" in metadata for workbook in cast(Any, metadata["published"].value)
    ]


def test_a_workbook_made_alone_is_made_of_sheets_of_one_moment(tmp_path: Path) -> None:
    made = make_home(tmp_path)
    made.land("acme/entries/june.csv", entries_csv("""
        entry_id  amount
        first      7.00
    """))  # fmt: skip
    run(made.home, "monthly_report", months=["2026-06-01"])
    made.land("acme/entries/late.csv", entries_csv("""
        entry_id  amount
        late       2.50
    """))  # fmt: skip
    run(made.home, "ingest")
    assert materialise(made.home, asset_key("reports.credits_created")) == []
    (published,) = materialise(made.home, WORKBOOK)
    book = openpyxl.load_workbook(published["path"], data_only=True)
    assert [row[0].value for row in book["Credits Created"]["G2:G3"]] == [7, 2.5]
    assert book["Summary Statistics"]["B5"].value == 9.5
    assert (published["version"], published["totals"]["USD"]["closing_balance"]) == (2, "9.50")


@pytest.mark.parametrize("job", ["monthly_report", "ingest"])
def test_a_run_that_goes_on_from_where_another_failed_takes_the_files_that_one_could_not(
    tmp_path: Path, job: str
) -> None:
    bolt = ACME.replace("acme", "bolt")
    made = make_home(tmp_path, ACME + bolt.replace("America/New_York", "America/New_Yorks"))
    for merchant in ("acme", "bolt"):
        made.land(f"{merchant}/entries/june.csv", entries_csv("entry_id\none\n"))
    asked = ReconstructableRepository.for_module("pipelines.definitions", "defs").get_reconstructable_job(job)
    config = config_of(made.home)
    tags = {PARTITION_NAME_TAG: "2026-06-01"} if job == "monthly_report" else {}
    with runs.instance_of(made.home) as instance:
        failed = execute_job(asked, instance, run_config=config, tags=tags)
        assert runs.what_failed(failed.all_events).startswith("Held back: bolt; the other 1 went on as usual.")
        made.configure(ACME + bolt)
        # The button of a failed run.
        again = execute_job(
            asked,
            instance,
            run_config=config,
            tags=tags,
            reexecution_options=dg.ReexecutionOptions.from_failure(failed.run_id, instance),
        )
        assert again.success
    assert "take_landing_files" not in {event.step_key for event in again.all_events}
    with made.opened() as shard:
        moved = "select merchant_id, sum(amount) from facts.movements group by all order by all"
        assert shard.connection.execute(moved).fetchall() == [("acme", 10), ("bolt", 10)]


@pytest.mark.parametrize("name", ["workbook.credits_workbook", "reports.summary_statistics", "reports.checks"])
def test_a_table_made_alone_before_any_other_has_what_it_is_made_from(tmp_path: Path, name: str) -> None:
    made = make_home(tmp_path)
    made.land("acme/entries/june.csv", entries_csv("""
        entry_id  entry_type  amount  redemption_id
        first     created       7.00
        more      redeemed      8.00  more
    """))  # fmt: skip
    # The ledger has the entries, and nothing was worked out from them yet.
    made.ingest()
    materialise(made.home, asset_key(name))
    with made.opened() as shard:
        created = "select total_credit_created from reports.summary_statistics where unit = 'USD'"
        assert shard.connection.execute(created).fetchall() == [(7,)]


def test_a_run_of_dagsters_under_a_python_that_leaves_out_texts_says_so_and_does_nothing(tmp_path: Path) -> None:
    made = make_home(tmp_path)
    code = (
        "import sys; import dagster as dg; from pipelines import runs; from pipelines.definitions import defs;"
        "done = defs.resolve_job_def('ingest').execute_in_process(instance=dg.DagsterInstance.ephemeral(),"
        " run_config={'resources': {'rollforward': {'config': {'home': sys.argv[1]}}}}, raise_on_error=False);"
        "print(runs.what_failed(done.all_events))"
    )
    said = subprocess.run(
        [sys.executable, "-OO", "-c", code, str(made.home.path)], capture_output=True, text=True, check=True
    ).stdout
    assert "PYTHONOPTIMIZE=2" in said
    assert not made.home.ledgers.exists()


@pytest.mark.parametrize(
    "chosen",
    [{}, {ASSET_PARTITION_RANGE_START_TAG: "2026-06-01", ASSET_PARTITION_RANGE_END_TAG: "2026-05-01"}],
    ids=["none", "the wrong way round"],
)
def test_a_run_of_no_month_says_so_and_materialises_no_report(tmp_path: Path, chosen: dict[str, str]) -> None:
    made = make_home(tmp_path)
    made.land("acme/entries/june.csv", entries_csv("""
        entry_id  amount
        first      7.00
    """))  # fmt: skip
    config = config_of(made.home)
    with runs.instance_of(made.home) as instance:
        result = defs.resolve_job_def("monthly_report").execute_in_process(
            instance=instance, run_config=config, tags=chosen, raise_on_error=False
        )
    assert not result.success
    assert runs.what_failed(result.all_events).startswith("This run is of no month. Choose the partitions")
    assert runs.is_a_mistake(result.all_events)
    built = {event.asset_key.path[0] for event in result.get_asset_materialization_events() if event.asset_key}
    assert built == {"ledger", "facts"}


def test_a_month_that_is_held_back_since_it_is_incomplete_fails_the_check_that_it_is_complete(tmp_path: Path) -> None:
    made = make_home(tmp_path, ACME.replace('"USD"', '"USD"\ncomplete_through = "entries"\nblock_on_errors = true', 1))
    made.land("acme/entries/june.csv", entries_csv("""
        entry_id  amount  occurred_at
        first       7.00  2026-06-29
    """))  # fmt: skip
    told = run(made.home, "monthly_report", months=["2026-06-01"])["workbook/credits_workbook"]
    assert told["published"] == []
    assert "Incomplete: the newest of the entries is of 2026-06-29" in told["held_back"][0]
    with runs.instance_of(made.home) as instance:
        complete = dg.AssetCheckKey(WORKBOOK, "months_are_complete")
        (record,) = instance.event_log_storage.get_asset_check_execution_history(complete, limit=1)
        assert record.status.value == "FAILED"
        evaluation = cast(Any, record.evaluation)
        assert evaluation.metadata["acme 2026-06"].value.startswith("Incomplete: the newest row of entries")


def damage(ledger: Path, by: str) -> None:
    """Let a day's total say something else than its movements."""
    with duckdb.connect(str(ledger)) as connection:
        connection.execute(
            f"update facts.daily_totals set amount = amount {by} where rowid = (select min(rowid) from"
            " facts.daily_totals where merchant_id = 'green-acres' and unit = 'USD' and day < '2026-05-01')"
        )


def rows_of(ledger: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(ledger), read_only=True) as connection:
        return connection.execute("select * from reports.checks order by all").fetchall()


def launch(made: Installation, instance: dg.DagsterInstance, job: str, tags: dict[str, str]) -> None:
    """Run a job of the home as Dagster's daemon does, whom no command line gives a voice."""
    defs.resolve_job_def(job).execute_in_process(instance=instance, tags=tags, run_config=config_of(made.home))


@pytest.mark.parametrize("merchants", [ACME, ACME + ACME.replace("acme", "bolt")], ids=["one", "two"])
@pytest.mark.parametrize("job", ["monthly_report", "credit_report"])
def test_a_run_that_is_terminated_in_the_midst_of_a_query_ends_there_and_blames_no_merchant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, merchants: str, job: str
) -> None:
    made = make_home(tmp_path, merchants)
    made.land("acme/entries/june.csv", entries_csv("entry_id\none\n"))
    terminated = []

    def long(connection: duckdb.DuckDBPyConnection, name: str) -> reports.Built:
        terminated.append(name)
        # As Dagster does it to the process of a run.
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        million = "range(1_000_000)"
        connection.execute(f"select count(*) from {million} a, {million} b where a.range % 999 = b.range % 999")
        raise AssertionError("the query ended")

    monkeypatch.setattr(reports, "build", long)
    tags = {ASSET_PARTITION_RANGE_START_TAG: "2026-06-01", ASSET_PARTITION_RANGE_END_TAG: "2026-06-01"}
    with runs.instance_of(made.home) as opened, pytest.raises(dg.DagsterExecutionInterruptedError):
        launch(made, opened, job, tags if job == "monthly_report" else {})
    assert len(terminated) == 1
    assert not made.home.alerts.exists()
    assert not [*made.home.reports.glob("*/*/*.xlsx")]
    monkeypatch.undo()
    again = run(made.home, "monthly_report", months=("2026-06-01", "2026-06-01"))
    assert {one["outcome"] for one in again["workbook/credits_workbook"]["published"]} == {"written"}


def test_a_run_that_is_terminated_ends_before_its_next_step_where_its_signal_was_swallowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_home(tmp_path)
    made.land("acme/entries/june.csv", entries_csv("entry_id\none\n"))
    built, build = [], reports.build

    def canceled(connection: duckdb.DuckDBPyConnection, name: str) -> reports.Built:
        built.append(name)
        (run,) = opened.get_runs()
        # Dagster writes this down before it sends its signal, of which nothing else is left here.
        opened.report_run_canceling(run)
        return build(connection, name)

    monkeypatch.setattr(reports, "build", canceled)
    with runs.instance_of(made.home) as opened, pytest.raises(dg.DagsterExecutionInterruptedError):
        launch(made, opened, "monthly_report", {PARTITION_NAME_TAG: "2026-06-01"})
    assert len(built) == 1


@pytest.mark.parametrize("where", ["reports", "views"])
def test_a_run_that_is_terminated_while_a_query_works_out_local_times_ends_there_and_blames_no_merchant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    made = make_home(tmp_path, ACME + ACME.replace("acme", "bolt"))
    for merchant in ("acme", "bolt"):
        made.land(f"{merchant}/entries/june.csv", entries_csv("entry_id\none\n"))
    asked = []

    def terminated(*_told: Any, **_how: Any) -> None:
        asked.append(where)
        os.kill(os.getpid(), signal.SIGINT)

    def converting(connection: duckdb.DuckDBPyConnection, *_told: Any) -> None:
        connection.execute("set threads = 1")
        monkeypatch.setattr(clock, "_shift", terminated)
        connection.execute("select max(local_micros(range, 'America/New_York')) from range(10)")
        raise AssertionError("the query ended")

    monkeypatch.setattr(*{"reports": (reports, "build"), "views": (views, "figures")}[where], converting)
    with runs.instance_of(made.home) as opened, pytest.raises(dg.DagsterExecutionInterruptedError):
        launch(made, opened, "monthly_report", {PARTITION_NAME_TAG: "2026-06-01"})
    assert len(asked) == 1
    assert not made.home.alerts.exists()
    assert not [*made.home.reports.glob("*/*/*.xlsx")]
