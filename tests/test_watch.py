"""Runs that nobody watches: what starts them, whom they hold back, and what they tell."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import openpyxl
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from dagster._daemon.sensor import get_elapsed

from pipelines import alerts, database, due, landing, liveness, runs, sensors
from pipelines.alerts import Message
from pipelines.definitions import defs
from pipelines.rebuild import rebuild
from pipelines.resources import Voice
from pipelines.schedules import monthly_credit_reports
from pipelines.settings import read_each_merchant
from pipelines.shards import ledger_path, read_copy_path
from tests.homes import Installation, entries_csv, make_home

TWO = """
[merchants.acme]
name = "Acme"
timezone = "America/New_York"
currency = "USD"
[merchants.bolt]
name = "Bolt"
timezone = "Pacific/Auckland"
currency = "NZD"
"""
JUNE = """
entry_id  occurred_at       amount  expires_at
may       2026-05-10T12:00Z  5.00
june      2026-06-10T12:00Z  7.00
"""
LATE = """
entry_id  occurred_at       amount
late      2026-05-20T12:00Z  2.50
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """Two merchants with a credit in May and one in June 2026."""
    made = make_home(tmp_path, TWO)
    for merchant in ("acme", "bolt"):
        made.land(f"{merchant}/entries/2026.csv", entries_csv(JUNE))
    monkeypatch.setenv("ROLLFORWARD_HOME", str(made.home.path))
    monkeypatch.delenv(alerts.URL_VARIABLE, raising=False)
    return made


def report(home: Installation, *months: str, **resource: Any) -> list[dict[str, Any]]:
    """Report months, and what was published."""
    keys = [f"{month}-01" for month in (months[0], months[-1])]
    told = runs.run(home.home, "monthly_report", speaks=Voice(home.said.append), resource=resource, months=keys)
    published: list[dict[str, Any]] = told["workbook/credits_workbook"]["published"]
    return published


def outcomes(published: list[dict[str, Any]]) -> dict[str, tuple[str, int]]:
    return {f"{one['merchant_id']} {one['period']}": (one["outcome"], one["version"]) for one in published}


def workbooks(home: Installation) -> list[str]:
    return sorted(path.name for path in home.home.reports.rglob("*.xlsx"))


def told_in(folder: Path) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))]


def cell(path: str | Path, sheet: str, label: str, column: int = 2) -> Any:
    """What stands beside `label` in that sheet."""
    book = openpyxl.load_workbook(path, data_only=True)
    (found,) = [row for row in book[sheet].iter_rows() if row[0].value == label]
    return found[column - 1].value


# What starts runs


@pytest.mark.parametrize(
    ("now", "month"),
    [("2026-07-01T13:00", "2026-06"), ("2026-07-01T12:59", "2026-05"), ("2027-01-01T13:00", "2026-12"),
     ("2026-11-22T04:00", "2026-10")],
)  # fmt: skip
def test_a_month_has_ended_when_it_has_ended_in_every_timezone(now: str, month: str) -> None:
    assert f"{due.month_just_ended(datetime.fromisoformat(now).replace(tzinfo=UTC)):%Y-%m}" == month


def test_the_schedule_names_the_month_just_ended_and_is_on() -> None:
    at = datetime(2026, 7, 1, 13, tzinfo=UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=at, repository_def=defs.get_repository_def()
        )
        (request,) = monthly_credit_reports.evaluate_tick(context).run_requests or []
    assert request.partition_key == "2026-06-01"
    # Somebody may be copying a file at that very moment.
    assert request.run_config["resources"]["rollforward"]["config"] == {"settled_seconds": 10.0}
    assert monthly_credit_reports.cron_schedule == "0 13 1 * *"
    for one in (*(defs.schedules or ()), *(defs.sensors or ())):
        assert one.default_status.value == "RUNNING", one.name


def test_months_are_due_when_they_are_the_latest_or_follow_a_first_publication() -> None:
    july_1st = datetime(2026, 7, 1, 14, tzinfo=UTC)
    may, june = date(2026, 5, 1), date(2026, 6, 1)
    published = {"new": set(), "old": {date(2026, 4, 1)}, "done": {june}}
    assert due.due(published, july_1st) == {may: ["old"], june: ["new", "old"]}
    # Until then it is the schedule's turn; who has June already is asked for nothing before it.
    assert due.due(published, july_1st.replace(hour=13)) == {may: ["new", "old"]}
    assert due.due({"done": {june}}, july_1st) == {}
    assert due.ranges({may: ["old"], june: ["old"]}) == [(may, june, ["old"])]
    assert len(due.ranges({may: ["old"], june: ["new", "old"]})) == 2


def missed(instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=defs)
    return sensors.months_without_workbook.evaluate_tick(context)


def test_a_month_without_workbook_is_asked_for_in_one_run_and_told_by_the_freshness_check(
    home: Installation,
) -> None:
    latest = due.month_just_ended(datetime.now(UTC))
    with runs.instance_of(home.home) as instance:
        tick = missed(instance)
        (request,) = tick.run_requests
        assert request.tags["dagster/asset_partition_range_end"] == latest.isoformat()
        (check,) = tick.asset_events
        assert not check.passed
        assert f"{latest:%Y-%m}: acme, bolt" in check.metadata["what"].value
        assert "rollforward report --month" in check.metadata["what_to_do"].value
        report(home, f"{latest:%Y-%m}", merchants=["acme"])
        (request,) = missed(instance).run_requests
        assert request.run_config["resources"]["rollforward"]["config"]["merchants"] == ["bolt"]
        report(home, f"{latest:%Y-%m}")
        again = missed(instance)
        assert not again.run_requests
        assert [event.passed for event in again.asset_events] == [True]
        assert not missed(instance, again.cursor).asset_events


def test_a_month_before_everything_that_is_published_by_a_slip_makes_no_other_month_due(home: Installation) -> None:
    latest = due.month_just_ended(datetime.now(UTC))
    report(home, f"{latest:%Y-%m}")
    report(home, "2006-06", merchants=["acme"])
    with runs.instance_of(home.home) as instance:
        assert not missed(instance).run_requests


@pytest.mark.parametrize(("ahead", "rests"), [(timedelta(days=1), False), (timedelta(seconds=-1), True)])
def test_a_sensor_that_looked_while_the_clock_was_ahead_looks_at_once_when_it_is_set_back(
    home: Installation, ahead: timedelta, rests: bool
) -> None:
    at = (datetime.now(UTC) + ahead).timestamp()
    looked = SensorInstigatorData(last_tick_timestamp=at, last_tick_start_timestamp=at, cursor="known")
    location = RegisteredCodeLocationOrigin("pipelines.definitions")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), "files_have_landed")
    with runs.instance_of(home.home) as instance:
        kept = instance.add_instigator_state(
            InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, looked)
        )
        (listed,) = instance.all_instigator_state()
        read = instance.get_instigator_state(kept.instigator_origin_id, kept.selector_id)
    for state in (listed, read):
        assert isinstance(state, InstigatorState)
        # Dagster lets a sensor rest until this is as long as its interval.
        assert (get_elapsed(state) is not None) == rests
        assert isinstance(state.instigator_data, SensorInstigatorData)
        assert state.instigator_data.cursor == "known"


KILLED = """
import os, sys
from pipelines import liveness, settings
liveness.hold(settings.find_home(sys.argv[1]), sys.argv[2])
os.kill(os.getpid(), 9)
"""


def sense_failure(instance: dg.DagsterInstance, run_id: str) -> None:
    """Tell the sensor of a run that has failed."""
    run = instance.get_run_by_id(run_id)
    assert run
    *_, event = [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event]
    context = dg.build_run_status_sensor_context(
        "failed_runs", dagster_event=event, dagster_instance=instance, dagster_run=run
    )
    sensors.failed_runs(context.for_run_failure())


def test_a_month_whose_run_was_killed_is_asked_for_again_and_told(home: Installation) -> None:
    with runs.instance_of(home.home) as instance:
        job = defs.resolve_job_def("monthly_report")
        killed = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        subprocess.run([sys.executable, "-c", KILLED, str(home.home.path), killed.run_id], check=False)
        assert sensors._is_running(instance)
        (request,) = missed(instance).run_requests
        assert request.tags["dagster/asset_partition_range_end"]
        sense_failure(instance, killed.run_id)
    (alert,) = told_in(home.home.alerts)
    assert "its process is gone" in alert


def test_a_run_that_was_killed_while_it_was_being_terminated_is_canceled_and_said_to_be(home: Installation) -> None:
    with runs.instance_of(home.home) as instance:
        job = defs.resolve_job_def("monthly_report")
        killed = instance.create_run_for_job(job, status=dg.DagsterRunStatus.CANCELING)
        subprocess.run([sys.executable, "-c", KILLED, str(home.home.path), killed.run_id], check=False)
        liveness.reap(instance, home.home, home.said.append)
        run = instance.get_run_by_id(killed.run_id)
    assert run
    assert run.status == dg.DagsterRunStatus.CANCELED
    (said,) = home.said
    assert "It is marked as canceled" in said


def landed(instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    return sensors.files_have_landed.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor))


def test_a_damaged_copy_or_journal_of_some_is_in_the_way_of_nobodys_month_or_files(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.configure(TWO + 'shard = "islands"\n')
    latest = f"{due.month_just_ended(datetime.now(UTC)):%Y-%m}"
    report(home, latest)
    monkeypatch.setattr(landing, "SETTLED_S", 0.0)
    with runs.instance_of(home.home) as instance:
        assert not missed(instance).run_requests
        assert not landed(instance).run_requests
        copy = read_copy_path(home.home, "main")
        copy.chmod(0o644)
        copy.write_bytes(b"rot" * 10_000)
        # The journal says the same, and an ingest makes the copy again.
        assert not missed(instance).run_requests
        assert landed(instance).run_requests
        runs.run(home.home, "ingest", speaks=Voice(home.said.append), resource={})
        assert not landed(instance).run_requests
        # Of acme nobody knows what comes after. What can be known of both is still looked at.
        (home.home.journal / "acme" / "000000000099.json").write_text("{")
        assert [event.passed for event in missed(instance).asset_events] == [True]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (TWO + "[merchants", "cannot be read as TOML"),
        (TWO.replace("USD", "USX").replace("NZD", "NZX"), '"USX" is not an ISO 4217 currency'),
        (TWO.replace("NZD", "NZX"), '"NZX" is not an ISO 4217 currency'),
    ],
    ids=["no TOML", "all wrong", "one wrong"],
)
def test_where_settings_are_in_the_way_of_files_an_ingest_is_asked_for_once_a_day_and_its_alert_says_so(
    home: Installation, monkeypatch: pytest.MonkeyPatch, settings: str, said: str
) -> None:
    monkeypatch.setattr(landing, "SETTLED_S", 0.0)
    runs.run(home.home, "ingest", speaks=Voice(home.said.append), resource={})
    home.configure(settings)
    home.land("bolt/entries/late.csv", entries_csv(LATE))
    with runs.instance_of(home.home) as instance:
        tick = landed(instance)
        assert len(tick.run_requests) == 1
        result = defs.resolve_job_def("ingest").execute_in_process(instance=instance, raise_on_error=False)
        sense_failure(instance, result.run_id)
        (alert,) = told_in(home.home.alerts)
        assert said in alert
        assert not landed(instance, tick.cursor).run_requests
        home.configure(TWO)
        (request,) = landed(instance, tick.cursor).run_requests
        assert request.tags["files"] == "1"


def test_ledgers_that_may_not_be_read_are_for_an_ingest_to_tell(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after somebody ran a command as the superuser: not even whether a file is there can be asked."""
    monkeypatch.setattr(landing, "SETTLED_S", 0.0)
    report(home, f"{due.month_just_ended(datetime.now(UTC)):%Y-%m}")
    is_file = Path.is_file

    def refused(path: Path, **options: Any) -> bool:
        if path.parent == home.home.ledgers:
            raise PermissionError(13, "Permission denied", f"{path}")
        return is_file(path, **options)

    with runs.instance_of(home.home) as instance:
        monkeypatch.setattr(Path, "is_file", refused)
        assert landed(instance).run_requests
        # The journal says which months are published.
        assert [event.passed for event in missed(instance).asset_events] == [True]


def test_files_of_a_merchant_that_is_given_to_another_shard_are_new_there(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until they are taken, pages and lists say of the merchant that nothing is owed."""
    monkeypatch.setattr(landing, "SETTLED_S", 0.0)
    runs.run(home.home, "ingest", speaks=Voice(home.said.append), resource={})
    with runs.instance_of(home.home) as instance:
        assert not landed(instance).run_requests
        home.configure(TWO + 'shard = "islands"\n')
        (request,) = landed(instance).run_requests
        assert request.tags["files"] == "1"
        runs.run(home.home, "ingest", speaks=Voice(home.said.append), resource={})
        assert not landed(instance).run_requests
    with database.connect(read_copy_path(home.home, "islands"), read_only=True) as connection:
        asked = "select sum(balance)::varchar from facts.customer_balances where merchant_id = 'bolt'"
        assert connection.execute(asked).fetchone() == ("12.0000",)


def test_a_folder_that_cannot_be_read_is_asked_for_so_that_a_run_says_so_and_others_files_are_taken(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = landing.landed_files

    def of(where: Any, merchant_id: str, warnings: list[str]) -> Iterator[landing.Landed]:
        if merchant_id == "acme":
            raise PermissionError(13, "Permission denied", f"{where.landing}/acme/entries")
        return folders(where, merchant_id, warnings)

    monkeypatch.setattr(landing, "landed_files", of)
    monkeypatch.setattr(landing, "SETTLED_S", 0.0)
    with runs.instance_of(home.home) as instance:
        tick = landed(instance)
        assert [request.tags["files"] for request in tick.run_requests] == ["2"]
        assert not landed(instance, tick.cursor).run_requests
    with pytest.raises(runs.RunFailedError, match=r"acme.*Permission denied"):
        runs.run(home.home, "ingest", speaks=Voice(home.said.append), resource={})
    assert any(said.startswith("bolt/entries/2026.csv: 2 read, 2 accepted") for said in home.said)


def test_new_files_are_one_run_once_they_have_come_to_rest_and_nothing_new_is_none(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.land("acme/entries/.hidden.csv", "x")
    home.land("acme/entries/half.csv.part", "x")
    with runs.instance_of(home.home) as instance:
        assert not landed(instance).run_requests
        monkeypatch.setattr(landing, "SETTLED_S", 0.05)
        time.sleep(0.1)
        tick = landed(instance)
        (request,) = tick.run_requests
        assert request.tags["files"] == "2"
        assert not landed(instance, tick.cursor).run_requests
        runs.run(home.home, "ingest", speaks=Voice(home.said.append), resource={})
        assert not landed(instance).run_requests
        home.land("bolt/entries/late.csv", entries_csv(LATE))
        time.sleep(0.1)
        (request,) = landed(instance).run_requests
        assert request.tags["files"] == "1"


def test_files_that_are_new_once_more_on_the_same_day_are_asked_for_again(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a ledger that was begun with wrong settings is taken away, and begun anew with the same files."""
    monkeypatch.setattr(landing, "SETTLED_S", 0.0)
    with runs.instance_of(home.home) as instance:
        asked = landed(instance)
        assert len(asked.run_requests) == 1
        runs.run(home.home, "ingest", speaks=Voice(home.said.append), resource={})
        taken = landed(instance, asked.cursor)
        assert not taken.run_requests
        for folder in (home.home.ledgers, home.home.journal, home.home.archive):
            shutil.rmtree(folder)
        # As Dagster's daemon does it: where a tick leaves none, the former stays.
        assert len(landed(instance, taken.cursor or asked.cursor).run_requests) == 1


def test_files_whose_ingest_was_killed_are_told_at_the_next_look_and_asked_for_again_the_next_day(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at once: what brings down one ingest brings down the next."""
    monkeypatch.setattr(landing, "SETTLED_S", 0.0)
    with runs.instance_of(home.home) as instance:
        tick = landed(instance)
        job = defs.resolve_job_def("ingest")
        killed = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        subprocess.run([sys.executable, "-c", KILLED, str(home.home.path), killed.run_id], check=False)
        assert not landed(instance, tick.cursor).run_requests
        sense_failure(instance, killed.run_id)
        (alert,) = told_in(home.home.alerts)
        assert "its process is gone" in alert

        class Tomorrow(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime.now(tz) + timedelta(days=1)

        monkeypatch.setattr("pipelines.sensors.datetime", Tomorrow)
        assert landed(instance, tick.cursor).run_requests


def test_a_run_that_nobody_watches_takes_no_half_of_a_file_that_is_still_being_copied(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "SETTLED_S", 2.0)
    growing = home.land("acme/entries/growing.csv", entries_csv(LATE)[:-4])
    copied = threading.Event()

    def copy_on() -> None:
        while not copied.wait(0.05):
            growing.write_bytes(growing.read_bytes())

    def taken_by_service() -> dict[str, Any]:
        (request,) = landed(instance).run_requests
        resource = request.run_config["resources"]["rollforward"]["config"]
        told = runs.run(home.home, "ingest", speaks=Voice(home.said.append), resource=resource)
        files: dict[str, Any] = told["ledger/files"]
        return files

    copying = threading.Thread(target=copy_on)
    copying.start()
    with runs.instance_of(home.home) as instance:
        try:
            time.sleep(2.1)
            told = taken_by_service()
        finally:
            copied.set()
            copying.join()
        # The others have brought the run about.
        assert [file["source_file"] for file in told["files"]] == ["acme/entries/2026.csv", "bolt/entries/2026.csv"]
        assert told["warnings"] == [
            "landing/acme/entries/growing.csv is still changing; it is taken when it has come to rest."
        ]
        growing.write_text(entries_csv(LATE), encoding="utf-8")
        time.sleep(2.1)
        # One that has just come is waited for.
        home.land("bolt/entries/late.csv", entries_csv(LATE))
        files = taken_by_service()["files"]
    assert [(file["source_file"], file["accepted"]) for file in files] == [
        ("acme/entries/growing.csv", 1),
        ("bolt/entries/late.csv", 1),
    ]


# Whom they hold back


def broken_settings(home: Installation) -> None:
    home.configure(TWO.replace('currency = "NZD"', 'currency = "NZX"'))


def lost_journal(home: Installation) -> None:
    runs.run(home.home, "ingest", speaks=Voice(home.said.append), resource={})
    for path in (home.home.journal / "bolt").iterdir():
        path.unlink()


def undeclared_balance_type(home: Installation) -> None:
    home.configure(TWO + '[merchants.bolt.balance_types]\ngift = { unit = "NZD" }\n')
    home.land("bolt/entries/gift.csv", entries_csv("entry_id  balance_type\ngift      gift"))
    home.ingest()
    home.configure(TWO)


def folder_in_the_way(home: Installation) -> None:
    home.home.reports.mkdir()
    (home.home.reports / "bolt").write_text("not a folder", encoding="utf-8")


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (broken_settings, 'merchant "bolt": key "currency": "NZX" is not an ISO 4217 currency'),
        (lost_journal, "knows event 1 of bolt"),
        (undeclared_balance_type, 'no longer declares balance type "gift" of merchant "bolt"'),
        (folder_in_the_way, "cannot be written: "),
    ],
)
def test_one_merchants_trouble_never_holds_back_anothers_workbook(home: Installation, trouble: Any, said: str) -> None:
    trouble(home)
    with pytest.raises(runs.RunFailedError) as failed:
        report(home, "2026-06")
    assert said in str(failed.value)
    assert str(failed.value).startswith("Held back: bolt; the other 1 went on as usual.")
    assert workbooks(home) == ["credits-acme-2026-06.xlsx"]
    (alert,) = told_in(home.home.alerts)
    assert "a workbook is held back" in alert
    assert said in alert
    assert "credits-acme-2026-06.xlsx" in alert
    assert told_in(home.home.notices) == []


def test_a_month_that_has_not_begun_at_one_merchant_is_no_defect_of_a_table(home: Installation) -> None:
    with pytest.raises(runs.RunFailedError, match="Held back: acme"):
        # June has begun in Auckland, and not in New York.
        report(home, "2026-06", as_of="2026-05-31T20:00Z")
    with runs.instance_of(home.home) as instance:
        keys = [key for node in defs.resolve_asset_graph().asset_nodes for key in node.check_keys]
        held = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert {record.status.value for key, record in held.items() if key.name == "schema"} == {"SUCCEEDED"}


def test_where_everybody_is_held_back_the_alert_says_so_and_nothing_is_published(home: Installation) -> None:
    home.home.reports.write_text("not a folder", encoding="utf-8")
    with pytest.raises(runs.RunFailedError):
        report(home, "2026-06")
    (alert,) = told_in(home.home.alerts)
    assert alert.startswith("# Credit reports of 2026-06 have failed")


# What they tell


def test_an_alert_of_a_workbook_that_is_held_back_names_the_month_also_where_nothing_else_was_published(
    home: Installation,
) -> None:
    home.configure(TWO.split("[merchants.bolt]", maxsplit=1)[0] + "block_on_errors = true\n")
    home.land("acme/entries/2026.csv", entries_csv("""
        entry_id  entry_type  occurred_at        amount
        spent     redeemed    2026-06-10T12:00Z    7.00
    """))  # fmt: skip
    assert report(home, "2026-06") == []
    (alert,) = told_in(home.home.alerts)
    assert alert.startswith("# Credit reports of 2026-06: a workbook is held back")


def test_when_all_goes_well_there_is_one_notice_with_totals_and_links_and_none_for_nothing_new(
    home: Installation,
) -> None:
    assert outcomes(report(home, "2026-05", "2026-06")) == {
        f"{merchant} {month}": ("written", 1) for merchant in ("acme", "bolt") for month in ("2026-05", "2026-06")
    }
    (notice,) = told_in(home.home.notices)
    assert "- total credit extant: 12.00 NZD" in notice
    assert (home.home.reports / "bolt/2026-06/credits-bolt-2026-06.xlsx").as_uri() in notice
    assert {said for said, _ in outcomes(report(home, "2026-05", "2026-06")).values()} == {"unchanged"}
    assert len(told_in(home.home.notices)) == 1
    assert told_in(home.home.alerts) == []


def test_files_that_lie_where_nothing_takes_them_and_rows_set_aside_are_told_with_the_month(home: Installation) -> None:
    """Nobody watches the run, and no sensor sees a folder that is no dataset, or that a merchant had before."""
    home.land("acme/entrys/july.csv", entries_csv("entry_id  amount\nx         1.00"))
    home.land("acme-old/entries/july.csv", entries_csv("entry_id  amount\ny         1.00"))
    home.land("bolt/entries/wrong.csv", entries_csv("entry_id  amount\nz         1,5"))
    report(home, "2026-06")
    (alert,) = told_in(home.home.alerts)
    assert alert.startswith("# Credit reports of 2026-06 are published, with warnings\n")
    assert "landing/acme/entrys is no dataset and was left alone" in alert
    assert "landing/acme-old belongs to no merchant of merchants.toml and was left alone." in alert
    assert "- 1 row of its files is set aside: `rollforward rejects --merchant bolt`" in alert
    assert told_in(home.home.notices) == []


def test_a_month_whose_data_has_not_all_arrived_says_incomplete_everywhere(home: Installation) -> None:
    home.configure(TWO.replace('currency = "USD"', 'currency = "USD"\ncomplete_through = "entries"'))
    june = {one["merchant_id"]: one for one in report(home, "2026-06")}
    said = "Incomplete: the newest row of entries is dated 2026-06-10 08:00; one dated 2026-07-01 or later"
    assert june["acme"]["incomplete"].startswith(said)
    assert june["bolt"]["incomplete"] is None
    book = openpyxl.load_workbook(june["acme"]["path"])
    assert any(str(row[0].value).startswith(said) for row in book["Summary Statistics"].iter_rows())
    assert str(book["Checks"]["A2"].value).startswith(said)
    (alert,) = told_in(home.home.alerts)
    assert alert.startswith("# Credit reports of 2026-06 are incomplete")
    home.land("acme/entries/july.csv", entries_csv("entry_id  occurred_at\njuly      2026-07-01T04:00Z"))
    again = {one["merchant_id"]: one for one in report(home, "2026-06")}["acme"]
    assert (again["version"], again["incomplete"]) == (2, None)
    assert openpyxl.load_workbook(again["path"])["Checks"]["A2"].value is None


def test_late_entries_make_a_version_2_that_shows_the_opening_as_published_and_restated(home: Installation) -> None:
    report(home, "2026-05", "2026-06")
    home.land("acme/entries/late.csv", entries_csv(LATE))
    report(home, "2026-05", "2026-06")
    again = report(home, "2026-05", "2026-06")  # by now May's new closing balance is published
    assert outcomes(again)["acme 2026-06"] == ("unchanged", 2)
    (june,) = [one for one in again if one["merchant_id"] == "acme" and one["period"] == "2026-06"]
    assert outcomes(report(home, "2026-06"))["bolt 2026-06"] == ("unchanged", 1)
    lines = {
        label: cell(june["path"], "Summary Statistics", label)
        for label in ("Opening balance as published", "Late entries", "Opening balance, restated", "Closing balance")
    }
    assert list(lines.values()) == [5.0, 2.5, 7.5, 14.5]
    assert any("opening balance: 5.00 is now 7.50 USD (+2.50)" in notice for notice in told_in(home.home.notices))


def test_free_dates_follow_upon_a_month_whose_publication_was_cut_off_before_the_ledger_had_it(
    home: Installation,
) -> None:
    ledger = ledger_path(home.home, "main")
    runs.run(home.home, "ingest", speaks=Voice(home.said.append), resource={})
    before = ledger.read_bytes()
    report(home, "2026-05")
    # Killed here, a run leaves the publication in the journal alone.
    ledger.write_bytes(before)
    late = "entry_id  entry_type  occurred_at       amount\nlate      redeemed    2026-05-20T12:00Z  2.50"
    home.land("acme/entries/late.csv", entries_csv(late))
    dates = {"report_free_dates": {"config": {"start": "2026-06-01", "end": "2026-06-12"}}}
    told = runs.run(home.home, "credit_report", speaks=Voice(home.said.append), resource={}, ops=dates)
    (acme,) = [one for one in told["workbook/credits_workbook"]["published"] if one["merchant_id"] == "acme"]
    lines = "Opening balance as published", "Late entries", "Opening balance, restated"
    assert [cell(acme["path"], "Summary Statistics", label) for label in lines] == [5.0, -2.5, 2.5]


def test_another_policy_that_would_restate_published_months_is_refused_unless_asked_for(home: Installation) -> None:
    home.land("acme/entries/more.csv", entries_csv("""
        entry_id  entry_type  occurred_at        amount  expires_at
        soon      created     2026-05-11T12:00Z   5.00    2027-01-01
        spend     redeemed    2026-06-12T12:00Z   4.00
    """))  # fmt: skip
    report(home, "2026-06")
    home.configure(TWO.replace('currency = "USD"', 'currency = "USD"\ndraw_order = "oldest_first"'))
    with pytest.raises(runs.RunFailedError, match="--restate") as refused:
        report(home, "2026-06")
    assert 'draw order was "expiring_first" and is "oldest_first"' in str(refused.value)
    assert "bolt" not in str(refused.value)
    assert workbooks(home) == ["credits-acme-2026-06.xlsx", "credits-bolt-2026-06.xlsx"]
    assert outcomes(report(home, "2026-06", restate=True)) == {
        "acme 2026-06": ("written", 2), "bolt 2026-06": ("unchanged", 1),
    }  # fmt: skip
    # It has been restated; from here on these are the policies.
    assert outcomes(report(home, "2026-06"))["acme 2026-06"] == ("unchanged", 2)


def test_a_rebuild_says_which_published_months_another_policy_changes(home: Installation) -> None:
    home.land("acme/entries/more.csv", entries_csv("""
        entry_id  entry_type  occurred_at        amount  expires_at
        soon      created     2026-05-11T12:00Z   5.00    2027-01-01
        spend     redeemed    2026-06-12T12:00Z   4.00
    """))  # fmt: skip
    report(home, "2026-05", "2026-06")
    (same,) = rebuild(home.home, wait_s=0, say=home.said.append)
    assert (same.differences, same.warnings) == ((), ())
    home.configure(TWO.replace('currency = "USD"', 'currency = "USD"\ndraw_order = "oldest_first"'))
    (other,) = rebuild(home.home, wait_s=0, say=home.said.append)
    (told,) = str(other).splitlines()[1:]
    assert told.startswith("acme: movements of published months come out otherwise, the first on 2026-06-12.")
    assert "reported again, 2026-06 can become a new version." in told
    home.configure(TWO)
    rebuild(home.home, wait_s=0, say=home.said.append)
    assert outcomes(report(home, "2026-06"))["acme 2026-06"] == ("unchanged", 1)


def test_another_timezone_leaves_the_books_as_closed_and_a_late_entry_is_told_once(home: Installation) -> None:
    home.land("acme/entries/midnight.csv", entries_csv("entry_id  occurred_at\nmidnight  2026-07-01T03:30Z"))
    report(home, "2026-06")  # of June in New York, and of July in UTC
    home.configure(TWO.replace("America/New_York", "UTC"))
    report(home, "2026-06", restate=True)
    home.land("acme/entries/late.csv", entries_csv(LATE.replace("05-20", "06-20")))
    june, july = (one["path"] for one in report(home, "2026-06", "2026-07") if one["merchant_id"] == "acme")
    flags = openpyxl.load_workbook(june)["Anomaly Flags"].iter_rows(values_only=True)
    assert [row[11] for row in flags if row[0] == "late_entry"] == ["late"]
    labels = ("Opening balance as published", "Late entries", "Opening balance, restated")
    assert [cell(july, "Summary Statistics", label) for label in labels] == [22.0, -7.5, 14.5]


def test_without_dates_a_credit_report_is_of_each_merchants_own_last_month(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:  # in New York it is still June, in Auckland July
            return datetime(2026, 7, 1, 2, tzinfo=tz)

    monkeypatch.setattr("pipelines.resources.datetime", Clock)
    told = runs.run(home.home, "credit_report", speaks=Voice(home.said.append), resource={})
    assert [one["period"] for one in told["workbook/credits_workbook"]["published"]] == [
        "2026-05-01_2026-05-31@20260701T020000Z", "2026-06-01_2026-06-30@20260701T020000Z",
    ]  # fmt: skip


def test_what_late_entries_change_is_not_held_against_settings_that_changed_meanwhile(home: Installation) -> None:
    """A row of a balance type that is declared only now goes in late, as its explanation promises."""
    home.land("acme/entries/gift.csv", entries_csv("""
        entry_id  occurred_at        amount  balance_type
        gift      2026-05-20T12:00Z   2.50   gift
    """))  # fmt: skip
    report(home, "2026-05", "2026-06")
    gift = 'currency = "USD"\nbalance_types = { gift = { unit = "USD" } }'
    home.configure(TWO.replace('currency = "USD"', gift))
    assert outcomes(report(home, "2026-05", "2026-06")) == {
        "acme 2026-05": ("written", 2), "acme 2026-06": ("written", 2),
        "bolt 2026-05": ("unchanged", 1), "bolt 2026-06": ("unchanged", 1),
    }  # fmt: skip
    # What settings restate themselves is refused all the same, and only that is told.
    home.configure(TWO.replace('currency = "USD"', gift).replace("America/New_York", "Pacific/Kiritimati"))
    home.land("acme/entries/late.csv", entries_csv(LATE))
    with pytest.raises(runs.RunFailedError, match=r"With them 3 movements .* on 2026-05-10"):
        report(home, "2026-06")


@pytest.mark.slow
def test_another_policy_that_changes_nothing_published_is_taken(home: Installation) -> None:
    report(home, "2026-06")
    home.configure(TWO.replace('currency = "USD"', 'currency = "USD"\nrefund_grace_days = 7'))
    assert outcomes(report(home, "2026-06"))["acme 2026-06"] == ("unchanged", 1)


# The webhook


@contextmanager
def webhook(answers_after_s: float = 0) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A real HTTP server on this machine: its address, and what it was sent."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            time.sleep(answers_after_s)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", received
    finally:
        server.shutdown()
        server.server_close()


def test_the_webhook_gets_the_notice_as_json(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook() as (url, received):
        monkeypatch.setenv(alerts.URL_VARIABLE, url)
        report(home, "2026-06")
    (message,) = received
    assert (message["kind"], message["subject"]) == ("notice", "Credit reports of 2026-06 are published")
    assert "total credit created: 7.00 USD" in message["text"]


MESSAGE = Message("alert", "Something failed", "See to it.", "run-1234")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/hook", "ftp://127.0.0.1/", "http://nobody.invalid/secret-key"])
def test_a_webhook_out_of_reach_is_said_without_its_address(
    home: Installation, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv(alerts.URL_VARIABLE, url)
    alerts.tell(home.home, MESSAGE, home.said.append)
    (said,) = home.said
    assert "could not be sent to ROLLFORWARD_ALERT_URL" in said
    assert "secret-key" not in said
    assert len(told_in(home.home.alerts)) == 1
    alerts.tell(home.home, MESSAGE, home.said.append)
    assert (len(told_in(home.home.alerts)), len(home.said)) == (1, 1)


def test_a_slow_webhook_is_given_up(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook(answers_after_s=3) as (url, received):
        monkeypatch.setenv(alerts.URL_VARIABLE, url)
        began = time.monotonic()
        alerts.tell(home.home, MESSAGE, home.said.append, patience_s=0.5)
        assert time.monotonic() - began < 2
    assert len(received) == 1
    assert len(home.said) == 1


def test_a_run_that_fails_before_its_first_step_is_told_by_the_sensor(home: Installation) -> None:
    home.home.merchants_file.write_text("not = [toml", encoding="utf-8")
    with runs.instance_of(home.home) as instance:
        result = defs.resolve_job_def("ingest").execute_in_process(instance=instance, raise_on_error=False)
        sense_failure(instance, result.run_id)
    (alert,) = told_in(home.home.alerts)
    assert "cannot be read as TOML" in alert
    assert os.linesep not in alert.splitlines()[0]
    with pytest.raises(Exception, match="TOML"):
        read_each_merchant(home.home)


def test_of_a_time_that_cannot_be_reported_only_whoever_asked_for_it_is_told(home: Installation) -> None:
    with pytest.raises(runs.RunFailedError, match="is not a time"):
        report(home, "2026-06", as_of="2026-13-45")
    with runs.instance_of(home.home) as instance:
        (run,) = instance.get_runs()
        sense_failure(instance, run.run_id)
    assert told_in(home.home.alerts) == []
