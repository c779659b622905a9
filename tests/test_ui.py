"""The Dagster UI as an analyst meets it, in headless Chromium: does it load, and does it say what there is?"""

import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Page, sync_playwright

from pipelines import due, runs
from pipelines.due import month_just_ended
from pipelines.settings import find_home
from pipelines.tables import WORKBOOK
from tests.processes import COMMAND, environment, rollforward, wait_for

START_S, RUN_S, PAGE_MS = 120, 240, 60_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose months up to the one that has just ended have been reported: its sensors have nothing to do."""
    made: Path = tmp_path_factory.mktemp("ui") / "home"
    rollforward(made, "sample", "--entries", "600")
    rollforward(made, "report", "--month", "2026-06", "--to", f"{month_just_ended(datetime.now(UTC)):%Y-%m}")
    return made


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    """Where `rollforward ui` serves that home."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*COMMAND, "--home", str(home), "ui", "--port", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(), start_new_session=True
    ) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/server_info", START_S)
            yield f"http://127.0.0.1:{port}"
        finally:
            subprocess.run(["pkill", "-TERM", "-s", str(process.pid)], check=False)
            process.wait(timeout=60)


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        opened = browser.new_page(viewport={"width": 1600, "height": 1000})
        opened.set_default_timeout(PAGE_MS)
        yield opened
        browser.close()


@pytest.mark.browser
def test_the_graph_shows_the_layers_from_files_to_workbook(address: str, page: Page, tmp_path: Path) -> None:
    page.goto(f"{address}/asset-groups")
    for group in ("ledger", "facts", "reports", "workbook"):
        page.get_by_text(group, exact=True).first.wait_for()
    page.screenshot(path=tmp_path / "graph.png")


@pytest.mark.browser
def test_a_sheet_asset_shows_what_it_is_and_its_columns(address: str, page: Page) -> None:
    page.goto(f"{address}/assets/reports/credits_created?view=overview")
    page.get_by_text("Credits issued in each period", exact=False).first.wait_for()
    page.get_by_text("amount_remaining", exact=False).first.wait_for()


@pytest.mark.browser
def test_the_workbook_asset_shows_where_each_workbook_is(address: str, page: Page) -> None:
    page.goto(f"{address}/assets/workbook/credits_workbook?view=partitions&partition=2026-06-01")
    page.get_by_text("2026-06", exact=False).first.wait_for()
    page.get_by_text("published", exact=False).first.wait_for()


@pytest.mark.browser
def test_a_backfill_of_six_months_from_the_page_is_one_run(address: str, page: Page, home: Path) -> None:
    page.goto(f"{address}/locations/pipelines.definitions/jobs/monthly_report/partitions")
    page.get_by_role("button", name="Materialize…").click()
    page.get_by_text("Show all partitions").click()
    months = page.get_by_placeholder("ex: 1970-01-01", exact=False)
    months.fill("[2025-11-01...2026-04-01]")
    months.press("Enter")
    page.get_by_role("button", name="Launch backfill").click()
    run = finished(home, "monthly_report", after=1)
    assert (run.tags["dagster/asset_partition_range_start"], run.tags["dagster/asset_partition_range_end"]) == (
        "2025-11-01",
        "2026-04-01",
    )
    assert len(list(home.glob("reports/*/202[56]-*/*.xlsx"))) >= 3 * 6


@pytest.mark.browser
def test_a_free_date_report_is_launched_as_the_launchpad_opens(address: str, page: Page, home: Path) -> None:
    page.goto(f"{address}/locations/pipelines.definitions/jobs/credit_report/playground")
    for field in ("start", "end", "merchants", "as_of", "restate", "wait_seconds"):
        page.get_by_text(f"{field}:", exact=False).first.wait_for()
    page.get_by_text("No errors").wait_for()
    page.get_by_role("button", name="Launch Run").click()
    finished(home, "credit_report")
    last = month_just_ended(datetime.now(UTC))
    assert len(list(home.glob(f"reports/*/{last}_*@*/*.xlsx"))) == 3


@pytest.mark.browser
def test_a_failed_check_says_what_is_wrong_and_what_to_do(address: str, page: Page, home: Path) -> None:
    said = due.freshness({date(2026, 6, 1): ["green-acres"]})
    with runs.instance_of(find_home(home)) as instance:
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=WORKBOOK, check_name=due.FRESHNESS_CHECK, **said)
        )
    page.goto(f"{address}/assets/workbook/credits_workbook?view=checks&checkDetail={due.FRESHNESS_CHECK}")
    page.get_by_text("have no published workbook", exact=False).first.wait_for()
    page.get_by_text("rollforward report --month 2026-06", exact=False).first.wait_for()


@pytest.mark.browser
@pytest.mark.slow  # a minute: the daemon has to come up
def test_a_file_that_lands_is_ingested_by_the_daemon_without_anybody_asking(address: str, home: Path) -> None:
    landed = home / "landing/harbor-gym/entries/zz-unwatched.csv"
    landed.write_text("entry_id,entry_type,occurred_at,member_id,amount\nunwatched,created,2026-10-02,hg-m-1,5.00\n")
    run = finished(home, "ingest")
    assert run.tags["dagster/sensor_name"] == "files_have_landed"
    assert '"unwatched"' in rollforward(home, "history", "hg-m-1", "--json").stdout


def finished(home: Path, job: str, *, after: int = 0) -> dg.DagsterRun:
    """The run of `job` that comes after so many others of it, once it has ended well."""
    until = time.monotonic() + RUN_S
    with runs.instance_of(find_home(home)) as instance:
        while True:
            found = instance.get_runs(dg.RunsFilter(job_name=job))
            if len(found) > after and found[0].is_finished:
                assert found[0].is_success, found[0]
                return found[0]
            assert time.monotonic() < until, f"{job} does not end: {found}"
            time.sleep(1)


@pytest.mark.browser
def test_the_jobs_are_there_to_be_launched(address: str, page: Page) -> None:
    page.goto(f"{address}/jobs")
    for job in ("ingest", "monthly_report", "credit_report"):
        page.get_by_text(job, exact=True).first.wait_for()
