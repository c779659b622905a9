"""The portal as people meet it, in headless Chromium: by mouse and keyboard, on a phone, in the dark, on paper."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

from tests import portals
from tests.processes import COMMAND, environment, wait_for

START_S, PAGE_MS = 120, 60_000
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PAGES = (
    "", "members", "movements", "extant", "flags", "batches", "rejects", "files", "operations",
    "period?period=2026-06", "member?id=ada", "credit?id=fifteen", "entry?id=buy", "batch?id=summer",
    "members?search=nobody", "members?created_from=never", "credit?id=none",
)  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `rollforward portal` serves the home of `tests.portals`."""
    made = portals.make_reported(tmp_path_factory.mktemp("pages"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*COMMAND, "--home", str(made.home.path), "portal", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/static/portal.css", START_S)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=60)


@contextmanager
def browsing(**options: Any) -> Iterator[Page]:
    """A page without JavaScript, which nothing needs, unless told otherwise."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        chosen = {"viewport": DESKTOP, "java_script_enabled": False, "accept_downloads": True, **options}
        page = browser.new_context(**chosen).new_page()
        page.set_default_timeout(PAGE_MS)
        yield page
        browser.close()


@pytest.mark.browser
def test_an_accountant_downloads_the_month(address: str, tmp_path: Path) -> None:
    with browsing() as page:
        page.goto(address)
        page.get_by_role("link", name="Acme <Farm> & Co").first.click()
        page.get_by_text("Outstanding now").first.wait_for()
        page.screenshot(path=tmp_path / "overview.png", full_page=True)
        with page.expect_download() as started:
            page.get_by_role("link", name="Download credits-acme-2026-06-v2.xlsx").click()
        assert started.value.suggested_filename == "credits-acme-2026-06-v2.xlsx"
        assert Path(started.value.path()).read_bytes()[:2] == b"PK"


@pytest.mark.browser
def test_support_finds_where_15_dollars_came_from_by_keyboard_alone(address: str, tmp_path: Path) -> None:
    with browsing() as page:
        page.goto(f"{address}/m/acme/members")
        page.get_by_label("Name or id").focus()
        page.keyboard.type("lovelace")
        page.keyboard.press("Enter")
        page.wait_for_url("**/members?search=lovelace**")
        page.get_by_role("link", name="ada").first.focus()
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Ada Lovelace").wait_for()
        page.get_by_role("link", name="fifteen").first.focus()
        page.keyboard.press("Enter")
        page.get_by_text("Missing Items May 9 Orders").first.wait_for()
        page.screenshot(path=tmp_path / "credit.png", full_page=True)


@pytest.mark.browser
def test_the_first_tab_leads_past_the_menu(address: str) -> None:
    with browsing() as page:
        page.goto(f"{address}/m/acme")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("**#main")


@pytest.mark.browser
def test_a_campaign_is_reviewed_and_exported(address: str, tmp_path: Path) -> None:
    with browsing() as page:
        page.goto(f"{address}/m/acme/batches")
        page.get_by_label("Credit type").select_option("Promotional")
        page.get_by_role("button", name="Show").click()
        page.get_by_role("link", name="View details of summer").wait_for()
        assert page.get_by_label("Credit type").input_value() == "Promotional"
        with page.expect_download() as started:
            page.get_by_role("link", name="CSV").click()
        rows = Path(started.value.path()).read_text(encoding="utf-8").splitlines()
        assert (len(rows), "summer" in rows[1]) == (2, True)
        page.get_by_role("link", name="View details of summer").click()
        page.get_by_role("heading", name="Recipients").wait_for()
        page.screenshot(path=tmp_path / "batch.png", full_page=True)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("scheme", "viewport"), [("light", DESKTOP), ("dark", DESKTOP), ("light", PHONE)], ids=["light", "dark", "phone"]
)
def test_pages_are_accessible_fit_their_screen_and_break_no_policy(
    address: str, scheme: str, viewport: dict[str, int], tmp_path: Path
) -> None:
    axe, problems = Axe(), []
    with browsing(viewport=viewport, color_scheme=scheme, java_script_enabled=True) as page:
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        for each in PAGES:
            page.goto(f"{address}/m/acme/{each}" if each else f"{address}/m/acme")
            problems += [(each, one["id"], one["nodes"][0]["html"]) for one in axe.run(page).response["violations"]]
            if (width := page.evaluate("document.documentElement.scrollWidth")) > viewport["width"]:
                problems.append((each, "too wide", width))
            page.screenshot(path=tmp_path / f"{each.partition('?')[0] or 'overview'}.png", full_page=True)
        problems += [("", "console", text) for text in said if "404" not in text]
    assert problems == []


@pytest.mark.browser
def test_on_paper_there_are_no_menus_and_forms(address: str, tmp_path: Path) -> None:
    with browsing(java_script_enabled=True) as page:
        page.goto(f"{address}/m/acme/members")
        page.emulate_media(media="print")
        assert not page.get_by_role("navigation").first.is_visible()
        assert not page.get_by_role("button", name="Show").is_visible()
        assert page.get_by_role("table").first.is_visible()
        page.pdf(path=tmp_path / "members.pdf")
