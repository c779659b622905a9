"""The Dagster UI as an analyst meets it, in headless Chromium: does it load, and does it say what there is?"""

import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.processes import COMMAND, environment, rollforward

START_S, PAGE_MS = 120, 60_000


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `rollforward ui` serves a home whose June has been reported."""
    home: Path = tmp_path_factory.mktemp("ui") / "home"
    rollforward(home, "sample", "--entries", "600")
    rollforward(home, "report", "--month", "2026-06")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*COMMAND, "--home", str(home), "ui", "--port", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(), start_new_session=True
    ) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/server_info")
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
def test_the_jobs_are_there_to_be_launched(address: str, page: Page) -> None:
    page.goto(f"{address}/jobs")
    for job in ("ingest", "monthly_report", "credit_report"):
        page.get_by_text(job, exact=True).first.wait_for()


def _wait_for(url: str) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own page
                if answer.status == 200:
                    return
        except (URLError, OSError):
            pass
        assert time.monotonic() < until, f"{url} does not answer"
        time.sleep(0.5)
