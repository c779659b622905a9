"""The portal: what each page says, who may see it, what it gives out, and what mischief it withstands."""

import csv
import hashlib
import html
import io
import json
import re
import resource
import shlex
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from zipfile import ZipFile

import duckdb
import openpyxl
import polars as pl
import pytest

from pipelines import listings, models
from pipelines.portal import downloads, pages, shown
from pipelines.portal.gate import AccessLog, Trust, trust_for
from pipelines.portal.masking import EMAIL_COLUMNS, NOTE_COLUMNS, mask, mask_text
from pipelines.settings import BalanceType, Home, SettingsError
from pipelines.shards import read_copy_path
from pipelines.worksheets import Column, FrameWorkbook
from tests import portals
from tests.desks import ACCESS, ANN, BO, EVE, OLGA, VERA
from tests.homes import Installation, make_home
from tests.ledgers import Ledger, instant, merchant, replayed
from tests.portals import FORMULA, HEADER, PATH, QUOTES, SCRIPT, Page, Portal, portal
from tests.processes import rollforward
from tests.reported import build, ledger_of, month
from tests.tables import rows

ADDRESS = re.compile(r"[^\s<>\"'();,:]+@[^\s<>\"'();,:]+")
ODD_CREDIT, ODD_BATCH = "it's/\"<a>?&#%", "-rf ../x; <b>"
PAGES = (
    "", "members", "movements", "extant", "flags", "batches", "rejects", "files", "operations",
    "period?period=2026-06", "member?id=ada", "credit?id=fifteen", "entry?id=buy", "batch?id=summer",
    "history?member=ada", "recipients?batch_id=summer",
    f"member?id={quote(QUOTES)}", f"member?id={quote(PATH)}", f"credit?id={quote(ODD_CREDIT)}",
    f"batch?id={quote(ODD_BATCH)}",
)  # fmt: skip
FOR_ADMINISTRATORS = ("batches", "rejects", "files", "batch", "recipients")
FOR_OWNERS = ("operations",)
INTERIM = "2026-06@20260612T000000Z"
LONG, APOSTROPHE = "m" * 300, "pat.o'brien@acme.example"
ODD_ENTRIES: Sequence[dict[str, Any]] = (
    {"entry_id": "brought", "entry_type": "opening", "occurred_at": "2026-06-01T12:00Z", "amount": "7.50",
     "batch_id": "brought"},
    {"entry_id": "untyped", "occurred_at": "2026-06-02T12:00Z", "amount": "10.00", "batch_id": "untyped"},
    {"entry_id": "nothing", "entry_type": "refunded", "member_id": "ghost", "occurred_at": "2026-06-02T12:00Z",
     "amount": "3.00", "redemption_id": "unknown"},
    {"entry_id": "long", "member_id": LONG, "occurred_at": "2026-06-03T12:00Z", "amount": "1.00", "credit_id": LONG,
     "batch_id": LONG, "reason": LONG},
    {"entry_id": "tokens", "occurred_at": "2026-06-04T12:00Z", "amount": "40", "balance_type": "winston"},
    {"entry_id": "taken", "entry_type": "deducted", "occurred_at": "2026-06-05T12:00Z", "amount": "5",
     "credit_id": "tokens"},
    {"entry_id": "pat", "occurred_at": "2026-06-06T12:00Z", "amount": "1.00", "creator_name": "Pat",
     "creator_email": APOSTROPHE},
    {"entry_id": "twice", "occurred_at": "2026-06-07T12:00Z", "amount": "1.255"},
)  # fmt: skip


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The home of `tests.portals`. Whoever changes it changes it back."""
    return portals.make_reported(tmp_path_factory.mktemp("portal"))


@pytest.fixture
def local(reported: Installation, tmp_path: Path) -> Portal:
    """The portal as the local user has it."""
    return portal(reported.home, tmp_path / "access.jsonl")


@pytest.fixture(scope="module")
def interim(reported: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The same, and afterwards its June once more, as of the 12th: an interim workbook, which takes over the tables."""
    made = Installation(Home(tmp_path_factory.mktemp("interim") / "home"))
    shutil.copytree(reported.home.path, made.home.path)
    rollforward(made.home.path, "report", "--month", "2026-06", "--as-of", "2026-06-12T00:00:00Z")
    return made


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A home of things that are seldom there, ingested and never reported. `twice` was set aside, then accepted."""
    made = make_home(tmp_path_factory.mktemp("odd"), portals.MERCHANTS)
    made.home.access_file.write_text(ACCESS, encoding="utf-8")
    made.land("acme/entries/june.csv", portals.rows_csv(ODD_ENTRIES))
    rollforward(made.home.path, "ingest")
    made.land("acme/entries/june.csv", portals.rows_csv([{**ODD_ENTRIES[-1], "amount": "1.25"}]))
    rollforward(made.home.path, "ingest")
    return made


@pytest.fixture
def oddities(odd: Installation, tmp_path: Path) -> Portal:
    return portal(odd.home, tmp_path / "access.jsonl")


@pytest.fixture
def viewer(reported: Installation, tmp_path: Path) -> Portal:
    return portal(reported.home, tmp_path / "access.jsonl", VERA)


@pytest.fixture
def administrator(reported: Installation, tmp_path: Path) -> Portal:
    return portal(reported.home, tmp_path / "access.jsonl", ANN)


@pytest.mark.parametrize(("currency", "created"), [("JPY", "1,200"), ("KWD", "1,200.000")])
def test_the_totals_of_workbooks_on_the_overview_have_the_decimals_of_the_merchants_currency(
    tmp_path: Path, currency: str, created: str
) -> None:
    made = make_home(tmp_path, f'[merchants.acme]\nname = "Acme"\ntimezone = "Asia/Tokyo"\ncurrency = "{currency}"\n')
    made.land("acme/entries/june.csv", portals.rows_csv([{**ODD_ENTRIES[1], "amount": "1200"}]))
    rollforward(made.home.path, "report", "--month", "2026-06")
    page = portal(made.home, tmp_path / "access.jsonl").acme()
    (row,) = re.findall(r"<tr>\s*<th scope=\"row\"><a [^>]*period=2026-06\".*?</tr>", page.html, re.DOTALL)
    totals = re.findall(r'<span class="amount">([^<]+)</span>', row)
    nothing = created.replace("1,200", "0")
    assert totals == [created, nothing, nothing, created]


def test_lists_have_the_rows_of_a_balance_type_that_is_not_declared_any_more_as_they_count_them(
    odd: Installation, tmp_path: Path
) -> None:
    undeclared = portals.MERCHANTS.replace('winston = { unit = "TKN", decimals = 0 }\n', "")
    made = with_settings(odd, tmp_path, undeclared)
    acme = portal(made.home, tmp_path / "access.jsonl").acme
    for name in ("members", "movements"):
        exported = acme(f"{name}.csv").content.decode().splitlines()[1:]
        assert f"{len(exported)} rows" in acme(name).text
        assert [row for row in exported if "TKN" in row]


def with_settings(installation: Installation, tmp_path: Path, settings: str) -> Installation:
    """A copy of the home with other settings."""
    made = Installation(Home(tmp_path / "home"))
    shutil.copytree(installation.home.path, made.home.path)
    made.configure(settings)
    return made


def shown_sums(page: Page) -> dict[str, Decimal]:
    """What a listing says its rows come to, by unit."""
    found = re.search(r"rows? ?, (.*?) in all", page.text)
    assert found, page.text
    return {unit: amount(text) for text, unit in re.findall(r"(−?[\d,.]+) ([A-Z]{3})", found[1])}


def amount(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace("−", "-"))


def cells(page: Page, label: str) -> list[str]:
    """The cells of the row that is headed so."""
    found = re.search(rf'<th scope="row">(?:<a[^>]*>)?{re.escape(label)}.*?</tr>', page.html, re.DOTALL)
    assert found, label
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", found[0], re.DOTALL)]


# Every page


@pytest.mark.parametrize("address", PAGES)
def test_every_page_is_there_with_nothing_active_in_it(local: Portal, address: str) -> None:
    page = local.acme(address)
    assert page.status == 200, page.text
    assert "<title>" in page.html
    assert '<html lang="en">' in page.html
    assert not re.search(r"<script|\son\w+=|\sstyle=|javascript:|<style|<iframe", page.html, re.IGNORECASE)
    loaded = re.findall(r'(?:src|<link[^>]+href)="([^"]+)"', page.html)
    assert all(one.startswith("/static/") for one in loaded), "nothing is loaded from elsewhere"
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-store"


def test_no_link_of_any_page_leads_nowhere(local: Portal) -> None:
    seen: set[tuple[str, frozenset[str], int]] = set()
    waiting = ["/"]
    while waiting:
        address = waiting.pop()
        # A page of a kind with the same parameters is looked at a few times, not for every member there is.
        parts = urlsplit(address)
        key = (parts.path, frozenset(parse_qs(parts.query)), sum(known[0] == parts.path for known in seen) // 12)
        if key in seen:
            continue
        seen.add(key)
        page = local.get(address)
        assert page.status in (200, 303), (address, page.text)
        waiting += [link for link in page.links if link.startswith("/")]
    assert len(seen) > 40


def test_static_files_are_served_and_nothing_beside_them(local: Portal) -> None:
    assert local.get("/static/portal.css").status == 200
    for path in ("/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static/"):
        assert local.get(path).status == 404


def test_the_portal_only_shows(local: Portal) -> None:
    for method in ("post", "put", "delete", "patch"):
        answer = getattr(local.client, method)("/m/acme")
        assert answer.status_code == 405


# Downloads


def test_the_overview_says_where_the_merchant_stands_now(local: Portal) -> None:
    page = local.acme()
    assert "Outstanding now 35.00 USD" in page.text
    assert "Outstanding now 40 TKN" in page.text
    assert "June 2026: created 33.00 USD" in page.text
    workbooks = Page(page.status, page.html.split('id="workbooks"')[1], b"", page.headers)
    size, versions, checks, flags, created, *_ = cells(workbooks, "2026-06")
    assert re.fullmatch(r"Download \d+ kB", size)
    assert (versions, checks, created) == ("2", "87 OK", "33.00")
    assert "3 warnings" in flags


def test_all_merchants_shows_the_flags_that_the_merchants_overview_shows(local: Portal) -> None:
    workbooks = local.acme().html.split('id="workbooks"')[1]
    flags = " ".join(cells(Page(200, workbooks, b"", {}), "2026-06")[3].split())
    assert flags == "3 warnings 1 info"
    assert flags in local.get("/").text


def test_a_batch_that_one_member_has_used_says_so_of_one(local: Portal) -> None:
    assert "1 has used theirs" in local.acme("batch", id="missing-may-9").text


def test_a_workbook_is_given_out_as_it_was_published(local: Portal, reported: Installation) -> None:
    period = local.acme("period", period="2026-06")
    downloadable = [link for link in period.links if "/workbook?" in link]
    got = [local.get(link) for link in dict.fromkeys(downloadable)]
    files = {path.name: path.read_bytes() for path in (reported.home.reports / "acme").rglob("*.xlsx")}
    assert {page.content for page in got} == set(files.values())
    for page in got:
        assert page.headers["content-type"] == downloads.XLSX
        name = re.fullmatch(r'attachment; filename="([a-z0-9.-]+)"', page.headers["content-disposition"])
        assert name
        assert page.content == files[name[1]]
        assert hashlib.sha256(page.content).hexdigest() in period.html


def test_a_workbook_that_is_not_as_published_is_not_given_out(local: Portal, reported: Installation) -> None:
    file = reported.home.reports / "acme/2026-06/credits-acme-2026-06.xlsx"
    link = [link for link in local.acme("period", period="2026-06").links if "/workbook?" in link][-1]
    kept = file.read_bytes()
    try:
        file.write_bytes(kept + b" ")
        assert (local.get(link).status, local.get("/month.zip?month=2026-06").status) == (409, 200)
        assert "not the file that was published" in local.get(link).text
        file.unlink()
        assert local.get(link).status == 409
        assert "gone" in local.acme("period", period="2026-06").text
    finally:
        file.write_bytes(kept)
    assert local.get(link).status == 200


def test_no_path_of_a_workbook_leads_out_of_the_reports_folder(reported: Installation) -> None:
    for path in ("../merchants.toml", "/etc/passwd", "acme/../../access.toml", "."):
        with pytest.raises(downloads.GoneError):
            downloads.Workbook(path, "0" * 64).file(reported.home)


def test_a_month_of_all_merchants_is_one_zip_of_the_newest_versions(local: Portal) -> None:
    page = local.get("/month.zip?month=2026-06")
    assert page.headers["content-disposition"] == 'attachment; filename="credits-2026-06.zip"'
    with ZipFile(io.BytesIO(page.content)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["credits-acme-2026-06-v2.xlsx", "credits-elsewhere-2026-06.xlsx"]
    for name in ("2026-07", "june", "../x", "2026-06'"):
        assert local.get("/month.zip", month=name).status == 404


def test_what_changed_between_two_versions_is_said_with_the_entries_behind_it(local: Portal) -> None:
    page = local.acme("period", period="2026-06")
    assert cells(page, "Total credit created") == ["26.00 USD", "33.00 USD", "+7.00 USD"]
    assert "1 entry from before the period's end was recorded between the two versions" in page.text
    assert cells(page, "late")[0] == "Created"


def test_a_viewer_gets_interim_workbooks_too(interim: Installation, tmp_path: Path) -> None:
    viewer = portal(interim.home, tmp_path / "log", VERA)
    got = viewer.get(viewer.acme("period", period=INTERIM).link("/m/acme/workbook"))
    assert got.status == 200, got.text
    assert got.headers["content-disposition"].endswith("credits-acme-2026-06%4020260612T000000Z-masked.xlsx")


# Why this number


def test_every_total_of_a_period_leads_to_rows_that_come_to_it(local: Portal) -> None:
    page = local.acme("period", period="2026-06")
    followed = 0
    totals = [f"Total Credit {name}" for name in ("Created", "Redeemed", "Redemption Refunded", "Expired", "Extant")]
    for label in (*totals, "Created", "Redeemed", "Expired", "Extant"):
        row = re.search(rf'<th scope="row">{label}</th>(.*?)</tr>', page.html, re.DOTALL)
        assert row
        for link, said in re.findall(r'<a href="([^"]+)">([^<]+)</a>', row[1]):
            rows = local.get(link.replace("&amp;", "&"))
            if amount(said):
                (total,) = shown_sums(rows).values()
                assert abs(total) == abs(amount(said)), (label, link)
                followed += 1
            else:
                assert "Nothing moved" in rows.text
    assert followed == 13


def test_every_total_of_an_interim_workbook_leads_to_rows_of_before_its_as_of(
    interim: Installation, tmp_path: Path
) -> None:
    local = portal(interim.home, tmp_path / "log")
    page = local.acme("period", period=INTERIM)
    links = re.findall(r'<a href="(/m/acme/(?:movements|extant)[^"]+)">(−?[\d.,]+)</a>', page.html)
    assert len(links) > 12
    assert "20.00" in dict(links).values()
    for link, said in links:
        rows = local.get(link.replace("&amp;", "&"))
        sums = shown_sums(rows) if amount(said) else {}
        assert [abs(total) for total in sums.values()] == [abs(amount(said))][: len(sums)], (link, said)
        assert amount(said) or "meets these filters" in rows.text or "meet these filters" in rows.text, link


def test_a_period_says_where_a_newer_report_of_it_was_held_back(local: Portal, tmp_path: Path) -> None:
    made = make_home(
        tmp_path, portals.MERCHANTS.replace("[merchants.acme]", "[merchants.acme]\nblock_on_errors = true")
    )
    held_back = "reported again since, with other totals, and no workbook of these has been published"
    made.land("acme/entries/june.csv", portals.rows_csv([portals.LATE]))
    rollforward(made.home.path, "report", "--month", "2026-06")
    acme = portal(made.home, tmp_path / "log")
    assert held_back not in acme.acme("period", period="2026-06").text
    spent = {"entry_id": "spent", "entry_type": "redeemed", "occurred_at": "2026-06-30T13:00Z", "amount": "50.00"}
    made.land("acme/entries/spent.csv", portals.rows_csv([spent]))
    rollforward(made.home.path, "report", "--month", "2026-06", status=1)
    page = acme.acme("period", period="2026-06")
    assert held_back in page.text
    assert cells(page, "Total Credit Redeemed")[0] == "0.00"
    assert held_back not in local.acme("period", period="2026-06").text, "what was published is what was reported"


def test_a_period_says_that_entries_came_in_since_until_it_is_reported_again(tmp_path: Path) -> None:
    made = make_home(tmp_path, portals.MERCHANTS)
    late = "1 entry dated before 2026-07-01 00:00 came in after version 1 was made"
    made.land("acme/entries/june.csv", portals.rows_csv([portals.LATE]))
    rollforward(made.home.path, "report", "--month", "2026-06")
    acme = portal(made.home, tmp_path / "log")
    assert "came in after version" not in acme.acme("period", period="2026-06").text
    spent = {"entry_id": "spent", "entry_type": "redeemed", "occurred_at": "2026-06-30T13:00Z", "amount": "50.00"}
    after = {**spent, "entry_id": "after", "occurred_at": "2026-07-02T13:00Z", "amount": "1.00"}
    made.land("acme/entries/spent.csv", portals.rows_csv([spent, after]))
    rollforward(made.home.path, "ingest")
    assert late in acme.acme("period", period="2026-06").text
    rollforward(made.home.path, "report", "--month", "2026-06")
    page = acme.acme("period", period="2026-06")
    assert "came in after version" not in page.text
    assert "1 entry from before the period's end was recorded between the two versions" in page.text


def test_every_figure_of_the_overview_leads_to_rows_that_come_to_it(local: Portal) -> None:
    page = local.acme()
    for link, said, unit in re.findall(
        r'<dd><a href="([^"]+)"><span class="amount">([^<]+)</span> <span class="unit">(\w+)', page.html
    ):
        rows = local.get(link.replace("&amp;", "&"))
        assert rows.status == 200
        if amount(said):
            assert {one: abs(total) for one, total in shown_sums(rows).items()} == {unit: amount(said)}


def test_from_a_total_it_is_three_steps_to_the_row_of_the_file(local: Portal) -> None:
    period = local.acme("period", period="2026-06")
    rows = local.get(period.link("/m/acme/movements?type=redeemed"))
    entry = local.get(rows.link("/m/acme/entry?id=buy"))
    assert "entries/june.csv, row 5" in entry.text
    files = local.get(entry.link("/m/acme/files"))
    assert "june.csv" in files.text


def test_the_number_of_rejected_rows_of_a_file_leads_to_these_rows(oddities: Portal) -> None:
    """Twice the same name, once with a row set aside, which has been accepted since."""
    (link,) = [link for link in oddities.acme("files").links if "/rejects?reading=" in link]
    page = oddities.get(link)
    assert "1 row" in page.text
    assert "1.255" in page.text
    assert "No row is set aside" in oddities.acme("rejects").text
    assert "1.255" in oddities.acme("rejects", everything="yes").text
    assert oddities.acme("rejects", reading="' or 1=1").status == 200


@pytest.mark.parametrize(
    ("name", "filters", "files"),
    [
        ("rejects", {}, ["acme/entries/june.csv"]),
        ("rejects", {"dataset": "entries", "reason": "too_many_decimals"}, ["acme/entries/june.csv"]),
        ("rejects", {"search": "FINE"}, ["acme/entries/june.csv"]),
        ("rejects", {"search": "JUNE.csv"}, ["acme/entries/june.csv"]),
        ("rejects", {"search": "Has 3 Decimals"}, ["acme/entries/june.csv"]),
        ("rejects", {"dataset": "members"}, []),
        ("rejects", {"reason": "missing"}, []),
        ("rejects", {"search": "nothing"}, []),
        ("files", {"dataset": "entries"}, ["acme/entries/late.csv", "acme/entries/june.csv"]),
        ("files", {"search": "JUNE"}, ["acme/entries/june.csv"]),
        ("files", {"rejected": "yes"}, ["acme/entries/june.csv"]),
    ],
)  # fmt: skip
def test_files_and_rows_that_were_set_aside_are_found_by_each_filter(
    local: Portal, name: str, filters: dict[str, str], files: list[str]
) -> None:
    rows = csv.DictReader(io.StringIO(local.acme(f"{name}.csv", **filters).content.decode()))
    assert [row["source_file"] for row in rows] == files


def test_filters_offer_what_the_rows_say_the_most_frequent_first(local: Portal) -> None:
    def offered(slug: str, name: str) -> list[str]:
        (form,) = re.findall(rf'<select[^>]* name="{name}".*?</select>', local.acme(slug).html, re.DOTALL)
        return [html.unescape(value) for value in re.findall(r'<option value="([^"]+)"', form)]

    assert offered("movements", "reason") == ["(none)", "Missing Items", "Goodwill", "Promotion", SCRIPT]
    assert offered("movements", "credit_type") == ["(none)", "Service Recovery", "Promotional"]
    assert offered("rejects", "reason") == ["too_many_decimals"]


def test_the_total_of_a_batch_of_opening_credits_leads_to_them(oddities: Portal) -> None:
    batch = oddities.acme("batch", id="brought")
    assert "Total amount 7.50 USD" in batch.text
    assert shown_sums(oddities.get(batch.link("/m/acme/movements?"))) == {"USD": Decimal("7.50")}


def test_a_long_id_leads_to_all_that_there_is_of_it(oddities: Portal) -> None:
    assert "1 movement ," in oddities.acme("member", id=LONG).text.replace(", newest", " , newest")
    assert oddities.acme("credit", id=LONG).html.count("badge created") == 1
    assert "1 credit" in oddities.acme("batch", id=LONG).text
    assert "1 row" in oddities.acme("movements", reason=LONG).text


def test_whose_entries_moved_nothing_has_a_page_that_says_so(oddities: Portal) -> None:
    member = oddities.get(oddities.acme("entry", id="nothing").link("/m/acme/member?"))
    assert member.status == 200
    assert "Nothing has ever moved." in member.text
    assert "Refund nothing on 2026-06-02 gives back redemption unknown" in member.text


def test_an_entrys_amount_is_in_the_unit_of_what_it_moved(oddities: Portal) -> None:
    assert "Amount 5 TKN Credit id tokens" in oddities.acme("entry", id="taken").text
    assert "Amount 3.00 USD" in oddities.acme("entry", id="nothing").text


# Who may see what


@pytest.mark.parametrize("address", PAGES)
def test_pages_are_for_those_whose_role_suffices(reported: Installation, tmp_path: Path, address: str) -> None:
    page = address.partition("?")[0]
    for person, rank in ((VERA, 0), (ANN, 1), (OLGA, 2)):
        needed = 2 if page in FOR_OWNERS else 1 if page in FOR_ADMINISTRATORS else 0
        answer = portal(reported.home, tmp_path / "log", person).acme(address)
        assert answer.status == (200 if rank >= needed else 403), (person, address, answer.text)


@pytest.mark.parametrize("address", [*PAGES, "members.csv", "batches.xlsx", "workbook?event=1"])
def test_another_merchants_pages_are_as_if_they_were_not_there(
    reported: Installation, tmp_path: Path, address: str
) -> None:
    eve = portal(reported.home, tmp_path / "log", EVE)
    theirs, none = eve.acme(address), eve.get(f"/m/nobody/{address}")
    assert (theirs.status, none.status) == (404, 404)
    assert theirs.text == none.text


def test_nobody_sees_another_merchants_rows_under_their_own(reported: Installation, tmp_path: Path) -> None:
    eve = portal(reported.home, tmp_path / "log", EVE)
    assert eve.get("/m/elsewhere/member?id=zoe").status == 200
    for address in ("member?id=ada", "credit?id=fifteen", "entry?id=buy", "batch?id=summer", "workbook?event=1"):
        got = eve.get(f"/m/elsewhere/{address}")
        assert got.status == 404 or b"acme" not in got.content, address
    assert "Elsewhere" in eve.get("/").text
    assert "Acme" not in eve.get("/").text
    with ZipFile(io.BytesIO(eve.get("/month.zip?month=2026-06").content)) as archive:
        assert archive.namelist() == ["credits-elsewhere-2026-06.xlsx"]


def test_who_has_every_merchant_sees_them_side_by_side(reported: Installation, tmp_path: Path) -> None:
    home = portal(reported.home, tmp_path / "log", BO).get("/")
    assert "Acme <Farm> & Co" in home.text
    assert "Elsewhere" in home.text
    assert "99.00 NZD" in home.text


def test_a_viewer_sees_no_address_and_no_internal_note_on_any_page(viewer: Portal, local: Portal) -> None:
    assert "Packer was new" in local.acme("credit?id=fifteen").text
    assert "ada@mail.example" in local.acme("members").text
    for address in PAGES:
        page = viewer.acme(address)
        text = page.html.replace(VERA, "")
        assert not ADDRESS.search(text), (address, ADDRESS.findall(text))
        assert "Packer" not in page.html


def test_of_an_address_with_an_apostrophe_a_viewer_sees_no_part(odd: Installation, tmp_path: Path) -> None:
    pages = [portal(odd.home, tmp_path / "log", person).acme("credit", id="pat") for person in (ANN, VERA)]
    assert f"by Pat <{APOSTROPHE}>." in pages[0].text
    assert "by Pat <(hidden)>." in pages[1].text
    assert mask_text(f"By Pat <{APOSTROPHE}>.") == "By Pat <(hidden)>."


def test_a_viewer_cannot_search_for_what_is_hidden(viewer: Portal) -> None:
    assert "Email" not in re.findall(r"<label>(\w+)", viewer.acme("members").html)
    found, other = viewer.acme("members", email="ada@mail"), viewer.acme("members", email="nobody@mail")
    assert re.sub("ada|nobody", "", found.html) == re.sub("ada|nobody", "", other.html)
    assert "No member" in viewer.acme("members", search="ada@mail").text


@pytest.mark.parametrize("name", ["members", "movements", "extant", "history", "flags"])
def test_a_viewers_exports_are_masked(viewer: Portal, administrator: Portal, name: str) -> None:
    parameters = {"member": "ada"} if name == "history" else {}
    said = administrator.acme(f"{name}.csv", **parameters).content.decode()
    masked = viewer.acme(f"{name}.csv", **parameters).content.decode()
    assert not ADDRESS.search(masked)
    assert "Packer" not in masked
    assert len(masked.splitlines()) == len(said.splitlines())


def test_a_viewer_gets_the_masked_edition_of_a_workbook(
    viewer: Portal, administrator: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = administrator.acme().link("/m/acme/workbook")
    whole, masked = administrator.get(link), viewer.get(link)
    assert masked.headers["content-disposition"].endswith('-masked.xlsx"')
    assert masked.content == viewer.get(link).content, "the same bytes each time"
    given = openpyxl.load_workbook(io.BytesIO(whole.content))
    made = openpyxl.load_workbook(io.BytesIO(masked.content))
    assert made.sheetnames == given.sheetnames
    changed = 0
    for sheet in given.sheetnames:
        for before, after in zip(given[sheet].iter_rows(), made[sheet].iter_rows(), strict=True):
            for cell, its in zip(before, after, strict=True):
                if cell.value == its.value:
                    assert not ADDRESS.search(str(its.value)), (sheet, its.coordinate)
                    continue
                changed += 1
                assert str(cell.value).casefold() not in EMAIL_COLUMNS | NOTE_COLUMNS, "headers stay"
                header = given[sheet].cell(1, cell.column).value
                assert header in ("email", "internal_note", "Email") or mask_text(str(cell.value)) == its.value
                assert header != "internal_note" or its.value is None
    assert changed > 20
    with ZipFile(io.BytesIO(masked.content)) as parts:
        for part in parts.namelist():
            assert b"Packer was new" not in parts.read(part)
            assert b"@mail.example" not in parts.read(part), part
            assert b"@acme.example" not in parts.read(part), part
    with ZipFile(io.BytesIO(viewer.get("/month.zip?month=2026-06").content)) as archive:
        assert archive.namelist() == ["credits-acme-2026-06-v2-masked.xlsx"]
        assert archive.read(archive.namelist()[0]) == masked.content
    # A large sheet is read in pieces.
    monkeypatch.setattr("pipelines.portal.masking._CHUNK_BYTES", 999)
    pieces = ZipFile(io.BytesIO(viewer.get(link).content))
    with ZipFile(io.BytesIO(masked.content)) as parts:
        assert {part: pieces.read(part) for part in pieces.namelist()} == {
            part: parts.read(part) for part in parts.namelist()
        }


def test_each_sheet_is_masked_below_its_own_header(tmp_path: Path) -> None:
    """Above the rows of Credits Batches stand their totals."""
    rows = pl.DataFrame({"email": ["ada@mail.example"], "internal_note": ["Packer was new"], "reason": ["Goodwill"]})
    columns = [Column(name, "text") for name in rows.columns]
    with FrameWorkbook(tmp_path / "whole.xlsx") as book:
        book.add_worksheet("Summary")
        book.add_frame("Created", rows, columns)
        book.add_frame("Batches", rows, columns, first_row=4)
        book.add_frame("Adjustments", rows, columns)
    with (tmp_path / "masked.xlsx").open("wb") as masked:
        mask(tmp_path / "whole.xlsx", masked)
    seen = openpyxl.load_workbook(tmp_path / "masked.xlsx")
    for sheet, header in (("Created", 1), ("Batches", 5), ("Adjustments", 1)):
        told = [[cell.value for cell in row] for row in seen[sheet].iter_rows(min_row=header)]
        assert told == [rows.columns, ["(hidden)", None, "Goodwill"]], sheet


# At the door


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "portal.example"])  # noqa: S104 - not served
def test_it_is_not_served_to_others_without_knowing_who_they_are(reported: Installation, host: str) -> None:
    for header, proxies in ((None, []), (HEADER, []), (None, ["10.0.0.5/32"])):
        with pytest.raises(SettingsError, match="auth-header"):
            trust_for(reported.home, host, header, proxies)
    assert trust_for(reported.home, host, HEADER, ["10.0.0.5/32"]).header == HEADER


def test_what_would_trust_everybody_is_refused(reported: Installation, tmp_path: Path) -> None:
    for header, proxy in ((HEADER, "0.0.0.0/0"), (HEADER, "::/0"), (HEADER, "proxy"), ("bad header", "10.0.0.5/32")):
        with pytest.raises(SettingsError):
            trust_for(reported.home, "127.0.0.1", header, [proxy])
    with pytest.raises(SettingsError, match="names nobody"):
        trust_for(make_home(tmp_path).home, "127.0.0.1", HEADER, ["10.0.0.5/32"])
    for host in ("127.0.0.1", "::1", "localhost"):
        assert trust_for(reported.home, host, None, []) == Trust()


def test_the_command_says_why_it_refuses(reported: Installation) -> None:
    done = rollforward(reported.home.path, "portal", "--host", "0.0.0.0", status=1)  # noqa: S104 - refused
    assert "--auth-header NAME --trusted-proxy CIDR" in done.stderr


def test_only_the_proxy_is_believed(reported: Installation, tmp_path: Path) -> None:
    for peer in ("10.0.0.6", "127.0.0.1", "testclient", "::ffff:10.0.0.6"):
        assert portal(reported.home, tmp_path / "log", ANN, peer=peer).acme().status == 403
    assert portal(reported.home, tmp_path / "log", ANN, peer="::ffff:10.0.0.5").acme().status == 200


def test_the_header_must_say_one_known_person(reported: Installation, tmp_path: Path) -> None:
    ann = portal(reported.home, tmp_path / "log", ANN)
    for headers in ([], [(HEADER, "")], [(HEADER, ANN), (HEADER, OLGA)], [(HEADER, "mallory@acme.example")],
                    [(HEADER, f"{ANN},{OLGA}")], [("X-Forwarded-User", ANN)]):  # fmt: skip
        assert ann.client.get("/m/acme", headers=headers).status_code == 403, headers
    assert ann.client.get("/m/acme", headers=[(HEADER, f" {ANN.upper()} ")]).status_code == 200


def test_a_merchant_whose_settings_are_wrong_takes_no_page_from_the_others(
    reported: Installation, tmp_path: Path
) -> None:
    made = with_settings(reported, tmp_path, portals.MERCHANTS.replace('"NZD"', '"NZX"'))
    everybodys, ann = (portal(made.home, tmp_path / "access.jsonl", person) for person in (None, ANN))
    assert "Outstanding now" in everybodys.acme().text
    home = everybodys.get("/")
    assert home.status == 200
    assert "The settings of elsewhere cannot be read" in home.text
    assert "Acme" in home.text
    assert everybodys.get("/m/elsewhere").status == 503
    # It would lack a workbook, and look like all of them.
    assert everybodys.get("/month.zip", month="2026-06").status == 503
    # Whose it is not, does not hear of it.
    assert ann.get("/month.zip", month="2026-06").status == 200
    assert ann.get("/m/elsewhere").status == 404
    assert "elsewhere" not in ann.get("/").text
    eves = portal(made.home, tmp_path / "access.jsonl", EVE).get("/")
    assert "The settings of elsewhere cannot be read" in eves.text
    assert "No merchant is yours" not in eves.text


def test_who_leaves_access_toml_is_out_at_once(reported: Installation, tmp_path: Path) -> None:
    ann, file = portal(reported.home, tmp_path / "log", ANN), reported.home.access_file
    said = file.read_text(encoding="utf-8")
    try:
        file.write_text(said.replace(ANN, "ann.lee@acme.example"), encoding="utf-8")
        assert ann.acme().status == 403
        file.write_text("[actors", encoding="utf-8")
        assert ann.acme().status == 503
    finally:
        file.write_text(said, encoding="utf-8")
    assert ann.acme().status == 200


def test_a_page_elsewhere_cannot_reach_the_local_users_portal(local: Portal) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "evil.example:3001", ""):
        assert local.client.get("/m/acme", headers={"host": host}).status_code == 403
    for host in ("127.0.0.1:3001", "localhost:3001", "[::1]:3001", "LOCALHOST"):
        assert local.client.get("/m/acme", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP", "X-Forwarded-Email", "X-Auth-Request-User"]
)
def test_a_proxy_before_the_local_users_portal_opens_it_to_nobody(local: Portal, name: str) -> None:
    answer = local.client.get("/m/acme", headers={name: "10.1.2.3"})
    assert answer.status_code == 403
    assert "--auth-header" in answer.text
    assert answer.headers["x-frame-options"] == "DENY"


def test_who_saw_what_is_written_down(administrator: Portal) -> None:
    administrator.acme("member", id="ada")
    administrator.acme("operations")
    administrator.acme("members.csv", search="ada")
    administrator.get(administrator.acme().link("/m/acme/workbook"))
    administrator.client.get("/static/portal.css", headers=administrator.headers)
    lines = [json.loads(line) for line in administrator.log.path.read_text(encoding="utf-8").splitlines()]
    assert [(line["who"], line["path"], line["status"]) for line in lines] == [
        (ANN, "/m/acme/member", 200),
        (ANN, "/m/acme/operations", 403),
        (ANN, "/m/acme/members.csv", 200),
        (ANN, "/m/acme", 200),
        (ANN, "/m/acme/workbook", 200),
    ]
    assert lines[0]["query"] == "id=ada"
    assert lines[0]["from"] == portals.PROXY
    assert (lines[2]["downloaded"], lines[2]["rows"]) == ("members.csv", 2)
    assert lines[4]["downloaded"] == "credits-acme-2026-06-v2.xlsx"
    assert lines[4]["masked"] is False
    assert administrator.log.path.stat().st_mode & 0o077 == 0


def test_a_refused_person_is_written_down_too(reported: Installation, tmp_path: Path) -> None:
    mallory = portal(reported.home, tmp_path / "log", "mallory@acme.example")
    assert mallory.acme().status == 403
    (line,) = [json.loads(line) for line in mallory.log.path.read_text(encoding="utf-8").splitlines()]
    assert (line["who"], line["role"], line["status"]) == ("mallory@acme.example", None, 403)


def test_nothing_is_shown_that_cannot_be_written_down(reported: Installation, tmp_path: Path) -> None:
    for address in ("member?id=ada", "members.csv", "workbook?event=5"):
        page = portal(reported.home, tmp_path).acme(address)
        assert page.status == 503
        assert b"ada" not in page.content.lower()
        assert b"access log cannot be written" in page.content


def test_a_line_of_the_access_log_that_the_disk_has_half_room_for_is_not_there_and_its_page_is_not_shown(
    reported: Installation, tmp_path: Path
) -> None:
    ann = portal(reported.home, tmp_path / "log", ANN)
    assert ann.acme("member", id="ada").status == 200
    whole = ann.log.path.read_bytes()
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Like a disk that is full there: what fits of a write is written, and the next one fails.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, allowed[1]))
    try:
        page = ann.acme("member", id="bob")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert page.status == 503
    assert b"access log cannot be written" in page.content
    assert ann.log.path.read_bytes() == whole


def test_a_defect_is_said_without_its_insides(local: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("secret")

    monkeypatch.setattr("pipelines.portal.pages.shown", broken)
    page = local.acme("members")
    assert page.status == 500
    assert "a defect" in page.text
    assert "secret" not in page.html
    assert page.headers["x-frame-options"] == "DENY"


# Mischief


def test_names_that_mean_harm_are_only_text(local: Portal) -> None:
    page = local.acme("member", id=QUOTES)
    assert f"{SCRIPT} Quoted" in page.text
    assert SCRIPT not in page.html
    credit = local.get(page.link("/m/acme/credit"))
    assert f"Credit {ODD_CREDIT}" in credit.text
    assert local.get(credit.link("/m/acme/entry")).status == 200
    assert "Path Ze\u0301" in local.acme("member", id=PATH).text


@pytest.mark.parametrize(
    "text", [QUOTES, PATH, SCRIPT, FORMULA, "%", "' or 1=1 --", "\x00", "𝕏" * 500, "$1", "{{7*7}}"]
)
def test_no_text_of_an_address_becomes_part_of_a_query(local: Portal, text: str) -> None:
    for page, name in (
        ("member", "id"), ("credit", "id"), ("entry", "id"), ("batch", "id"), ("period", "period"),
        ("workbook", "event"),
    ):  # fmt: skip
        known = page == "member" and text in (QUOTES, PATH)
        assert local.acme(page, **{name: text}).status == (200 if known else 404)
    for listing, name in (
        ("members", "search"), ("members", "email"), ("members", "sort"), ("members", "balance_from"),
        ("members", "created_from"), ("members", "employee"), ("movements", "type"), ("movements", "reason"),
        ("movements", "from"), ("extant", "as_of"), ("batches", "search"), ("batches", "start"), ("flags", "rule"),
        ("flags", "min_amount"), ("rejects", "search"), ("files", "search"), ("operations", "actor"),
        ("members", "page"),
    ):  # fmt: skip
        page_of = local.acme(listing, **{name: text})
        assert page_of.status == 200, (listing, name, page_of.text)
        assert SCRIPT not in page_of.html
        assert "49" not in re.sub(r"2026-\S+|\d\d:49|:\d\d", "", page_of.text) or text != "{{7*7}}"
    assert local.acme("members").status == 200, "and nothing was dropped"
    for path in ("/m/../m/acme", f"/m/{quote(text, safe='')}", f"/m/acme/{quote(text, safe='')}"):
        assert local.get(path).status in (200, 404)


def test_csv_exports_quote_what_a_spreadsheet_would_run(local: Portal) -> None:
    rows = list(csv.DictReader(io.StringIO(local.acme("members.csv").content.decode())))
    assert {row["last_name"] for row in rows if row["member_id"] == "bob"} == {f"'{FORMULA}"}
    book = openpyxl.load_workbook(io.BytesIO(local.acme("members.xlsx").content))
    found = [cell for row in book["Rows"].iter_rows() for cell in row if cell.value == FORMULA]
    assert found
    assert all(cell.data_type == "s" for cell in found)


def test_exports_have_all_rows_that_the_filters_leave_in_the_merchants_time(local: Portal) -> None:
    rows = list(csv.DictReader(io.StringIO(local.acme("movements.csv", type="redeemed").content.decode())))
    assert [row["occurred_at"] for row in rows] == ["2026-06-10 08:00:00"]
    assert [row["amount"] for row in rows] == ["-12.0000"]
    assert local.acme("movements.csv", **{"from": "yesterday"}).status == 400
    assert local.acme("movements.pdf").status == 404
    assert local.acme("movements.csv").headers["content-disposition"].startswith('attachment; filename="acme-movements')


# Members and balances


@pytest.mark.parametrize(
    ("filters", "members"),
    [
        ({}, ["../../etc/passwd", "ada", "ada", "bob", QUOTES]),
        ({"search": "love"}, ["ada", "ada"]),
        ({"search": "ADA LOVELACE"}, ["ada", "ada"]),
        ({"search": "BOB@mail"}, ["bob"]),
        ({"search": "path zé"}, [PATH]),
        ({"email": "bob@"}, ["bob"]),
        ({"first_name": "path"}, [PATH]),
        ({"last_name": "quoted"}, [QUOTES]),
        ({"last_name": "zé"}, [PATH]),
        ({"employee": "yes"}, ["bob"]),
        ({"employee": "no", "balance_type": "default"}, [PATH, "ada", QUOTES]),
        ({"balance_type": "winston"}, ["ada"]),
        ({"balance_from": "20"}, ["ada", "ada"]),
        ({"balance_from": "2", "balance_to": "10.00"}, [PATH, "bob"]),
        ({"created_from": "2026-06-14"}, [PATH, QUOTES]),
        ({"created_to": "2026-05-10"}, ["ada"]),
        ({"updated_from": "2026-06-14", "updated_to": "2026-06-14"}, [QUOTES]),
        ({"search": "nobody"}, []),
    ],
)  # fmt: skip
def test_members_are_found_by_each_filter(local: Portal, filters: dict[str, str], members: list[str]) -> None:
    page = local.acme("members", **filters)
    found = [parse_qs(urlsplit(link).query)["id"][0] for link in page.links if "/member?id=" in link]
    assert sorted(found[::2]) == sorted(members), page.text
    if not members:
        assert "Clear all filters" in page.text


def test_members_come_in_the_order_asked_for(local: Portal) -> None:
    def order(sort: str) -> list[str]:
        page = local.acme("members", sort=sort, balance_type="default")
        return [parse_qs(urlsplit(link).query)["id"][0] for link in page.links if "/member?id=" in link][::2]

    assert order("balance") == ["ada", "bob", PATH, QUOTES]
    assert order("name") == ["bob", "ada", QUOTES, PATH]
    assert order("updated") == ["ada", PATH, QUOTES, "bob"]


def test_lists_are_paged_and_a_page_beyond_the_end_is_the_first(local: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "PAGE_ROWS", 2)
    pages = [local.acme("members", page=number) for number in (1, 2, 3)]
    assert ["Page 1 of 3" in pages[0].text, "Page 2 of 3" in pages[1].text, "Page 3 of 3" in pages[2].text] == [
        True
    ] * 3
    ids = [link for page in pages for link in page.links if "/member?id=" in link][::2]
    assert len(ids) == 5
    assert all("5 rows" in page.text for page in pages)
    assert "Page 1 of 3" in local.acme("members", page="99").text
    assert "Page 1 of 3" in local.acme("members", page="-1").text
    assert "Page 1 of 3" in local.acme("flags", page="99").text or "Page" in local.acme("flags", page="99").text
    history = local.acme("member", id="ada", page="2")
    assert "Page 2 of" in history.text


def test_a_wrong_filter_is_said_and_lists_nothing(local: Portal) -> None:
    page = local.acme("members", created_from="31.12.2026", balance_from="ten")
    assert '"31.12.2026" is not a date; write it like 2026-06-30.' in page.text
    assert '"ten" is not an amount; write it like 12.50.' in page.text
    assert not [link for link in page.links if "/member?id=" in link]


def test_a_decimal_comma_in_a_filter_is_not_taken_for_a_thousands_separator(local: Portal) -> None:
    assert '"12,50" is not an amount; write it like 12.50.' in local.acme("members", balance_from="12,50").text
    assert "is not an amount" not in local.acme("members", balance_from="-1,250.50").text


def test_balances_and_their_files_say_as_of_when(local: Portal) -> None:
    assert re.search(r"As of 2\d{3}-\d\d-\d\d", local.acme("members").text)
    for name, parameters in (("members", {}), ("history", {"member": "ada"})):
        exported = local.acme(f"{name}.csv", **parameters).content.decode()
        assert all(row["as_of"] > "2026-11" for row in csv.DictReader(io.StringIO(exported)))


def test_where_did_my_15_dollar_credit_come_from_in_two_clicks(local: Portal) -> None:
    found = local.acme("members", search="lovelace")
    member = local.get(found.link("/m/acme/member?id=ada"))
    assert "Missing Items May 9 Orders" in member.text
    credit = local.get(member.link("/m/acme/credit?id=fifteen"))
    assert (
        "15.00 USD given to Ada Lovelace on 2026-05-10 by Ann Lee <ann@acme.example>, for"
        " Missing Items: Missing Items May 9 Orders , in batch Service Recovery - Missing Items May 9 Orders ."
    ) in credit.text
    assert "entries/june.csv, row 2" in credit.text


def test_a_credit_whose_expiry_was_lifted_is_good_for_ever() -> None:
    ledger = replayed(rows("""
        entry_id  entry_type      occurred_at       amount  credit_id  expires_at
        may       created         2026-05-01T12:00   10.00             2026-07-01T00:00
        lifted    expiry_changed  2026-06-01T12:00       0  may
    """))  # fmt: skip
    asked = models.load("portal.credit")
    for day, expires_now in (("2026-05-31T00:00", instant("2026-07-01T00:00")), ("2026-06-02T00:00", None)):
        found = ledger.connection.execute(asked.sql, {"credit": "may", "now": instant(day)}).pl()
        assert found["expires_now"].to_list() == [expires_now]


def test_what_expires_today_and_in_the_days_ahead_is_told_apart_at_the_instant_that_it_is_now() -> None:
    ledger = replayed(rows("""
        entry_id  entry_type  occurred_at       amount  expires_at
        gone      created     2026-05-01T12:00    1.00  2026-06-01T12:00
        tonight   created     2026-05-01T12:00    2.00  2026-06-02T00:00
        last      created     2026-05-01T12:00    4.00  2026-07-02T03:59:59
        beyond    created     2026-05-01T12:00    8.00  2026-07-02T04:00
        never     created     2026-05-01T12:00   16.00
    """))  # fmt: skip
    now = instant("2026-06-01T12:00")
    assert asked_of(ledger, "expiring", now=now, until="2026-07-01") == [
        {"unit": "USD", "amount": Decimal(6), "credits": 2}
    ]
    *_, may, june = [
        month
        for month in asked_of(
            ledger, "months", today="2026-06-01", today_starts_at=instant("2026-06-01T04:00"), now=now
        )
        if month["unit"] == "USD"
    ]
    assert [(month["expired"], month["extant"]) for month in (may, june)] == [(0, 31), (1, 30)]


def test_the_rows_behind_a_workbooks_totals_are_those_that_it_counts() -> None:
    ledger = replayed(rows("""
        entry_id  entry_type       occurred_at       amount  balance_type  transfer_id  credit_id  redemption_id
        had       opening          2026-06-01T12:00    1.00
        new       created          2026-06-01T12:00  100.00
        spent     redeemed         2026-06-02T12:00    2.00                             new
        back      refunded         2026-06-03T12:00    1.00                                        spent
        less      deducted         2026-06-04T12:00    4.00                             new
        undone    reversed         2026-06-05T12:00    8.00                             new
        out       transferred_out  2026-06-06T12:00   16.00                t            new
        in        transferred_in   2026-06-06T12:00   16.00  gift          t
        on-time   redeemed         2026-06-10T12:00   32.00                             new
        at-as-of  created          2026-06-10T12:00   64.00
    """))  # fmt: skip

    def amounts(found: list[dict[str, Any]], name: str) -> dict[str, int]:
        return {row[name]: int(row["amount" if name == "movement_id" else "remaining"]) for row in found}

    movements = asked_of(ledger, "movements", now=instant("2026-07-01T00:00"), type="adjusted", limit=9, offset=0)
    assert amounts(movements, "movement_id") == {"in": 16, "out": -16, "undone": -8, "less": -4, "had": 1}
    # As of the instant of a redemption and of a credit, neither has happened.
    extant = asked_of(ledger, "extant", as_of=instant("2026-06-10T12:00"), limit=9, offset=0)
    assert amounts(extant, "credit_id") == {"had": 1, "in": 16, "new": 71}


def test_the_roll_forward_of_a_period_begins_with_the_currency_and_there_with_default() -> None:
    types = {"bonus": BalanceType(unit="USD"), "winston": BalanceType(unit="TKN", decimals=0)}
    ledger = ledger_of(
        """
        entry_id  entry_type  occurred_at       amount
        new       created     2026-06-01T12:00    1.00
        """,
        merchant(timezone="UTC", balance_types=types),
    )
    build(ledger, month(ledger, "2026-05"), month(ledger, "2026-06"))
    found = asked_of(ledger, "roll_forward", period="2026-06")
    assert [(row["balance_type"], row["closing_balance"]) for row in found] == [
        ("default", 1), ("bonus", 0), ("winston", 0),
    ]  # fmt: skip


def asked_of(ledger: Ledger, name: str, **values: Any) -> list[dict[str, Any]]:
    """What a query of the portal finds in a ledger of one merchant; a filter that is not named is not set."""
    model = models.load(f"portal.{name}")
    return ledger.connection.execute(model.sql, {**dict.fromkeys(model.parameters), **values}).pl().to_dicts()


def test_a_members_history_runs_to_the_balance_newest_first(local: Portal) -> None:
    page = local.acme("member", id="ada", balance_type="default")
    rows = re.findall(
        r'<td class="amount">(.*?)</td>\s*<td class="amount">(.*?)</td>', page.html.split('id="history"')[1]
    )
    shown_rows = [tuple(amount(re.sub(r"<[^>]+>", "", cell)) for cell in row) for row in rows]
    balance = Decimal(0)
    for moved, after in reversed(shown_rows):
        balance += moved
        assert after == balance
    assert balance == Decimal("22.00")
    assert "Default 22.00 USD" in page.text


def test_a_members_history_is_newest_first_over_all_balance_types(oddities: Portal) -> None:
    page = oddities.acme("member", id="ada")
    times = re.findall(r'<time datetime="([^"]+)"', page.html.split('id="history"')[1])
    assert len(times) == 6
    assert times == sorted(times, reverse=True)


# Credits Batches


def test_batches_stand_with_the_columns_that_people_know(local: Portal) -> None:
    page = local.acme("batches")
    headers = [
        re.sub(r"<[^>]+>", "", one).strip() for one in re.findall(r"<th scope=\"col\"[^>]*>(.*?)</th>", page.html)
    ]
    listed = [header.removesuffix("USD").strip() for header in headers]
    known = ["Batch ID", "Issue Date", "Issued By", "Credit Type", "Reason", "Recipient Count", "Amount Per Customer",
             "Total Amount", "Status"]  # fmt: skip
    assert [header for header in listed if header in known] == known
    assert listed[-1] == "View Details"


@pytest.mark.parametrize(
    ("filters", "batches"),
    [
        ({}, ["-rf ../x; <b>", "summer", "missing-may-9"]),
        ({"start": "2026-06-01", "end": "2026-06-01"}, ["summer"]),
        ({"end": "2026-05-31"}, ["missing-may-9"]),
        ({"issuer": "ann"}, ["summer", "missing-may-9"]),
        ({"credit_type": "Promotional"}, ["summer"]),
        ({"status": "Active"}, ["-rf ../x; <b>", "summer", "missing-may-9"]),
        ({"status": "Reversed"}, []),
        ({"search": "may-9"}, ["missing-may-9"]),
        ({"search": "promotion"}, ["summer"]),
    ],
)
def test_batches_are_found_by_each_filter(local: Portal, filters: dict[str, str], batches: list[str]) -> None:
    page = local.acme("batches", **filters)
    found = [parse_qs(urlsplit(link).query)["id"][0] for link in page.links if "/batch?id=" in link]
    assert found[::2] == batches


def test_batches_without_a_credit_type_are_found_by_its_lack(oddities: Portal) -> None:
    page = oddities.acme("batches", credit_type="(none)")
    assert "3 rows" in page.text
    assert cells(page, "(none)") == ["3", "2", "3", "18.50 USD", "6.17 USD"]


def test_the_summary_panel_is_of_the_batches_shown(local: Portal) -> None:
    page = local.acme("batches")
    assert cells(page, "Service Recovery") == ["1", "1", "1", "15.00 USD", "15.00 USD"]
    assert cells(page, "Promotional") == ["1", "2", "2", "20.00 USD", "10.00 USD"]
    assert cells(page, "All") == ["3", "3", "4", "37.00 USD", "9.25 USD"]
    assert cells(local.acme("batches", search="summer"), "All") == ["1", "2", "2", "20.00 USD", "10.00 USD"]


def test_view_details_shows_recipients_and_how_to_reverse(local: Portal, reported: Installation) -> None:
    page = local.acme("batch", id="summer")
    assert "Ada Lovelace" in page.text
    assert f"Bob {FORMULA}" in page.text
    command = (
        f"rollforward --home {reported.home.path} reverse-batch preview --reason WHY --merchant acme"
        " --actor YOUR-EMAIL -- summer"
    )
    assert command in page.text
    link = page.link("http://127.0.0.1:3000/locations/pipelines.definitions/jobs/reverse_batch_preview/")
    config = json.loads(parse_qs(urlsplit(link).query)["config"][0])
    assert config["ops"]["reverse_batch_preview_op"]["config"]["batch"] == "summer"
    odd = local.acme("batch", id=ODD_BATCH)
    assert "-- '-rf ../x; <b>'" in odd.text, "an id is one word of the shell, and no option"


def test_every_figure_of_a_batch_leads_to_rows_that_come_to_it(local: Portal) -> None:
    page = local.acme("batch", id="missing-may-9")
    figures = re.findall(r'<dt>([^<]+)</dt><dd><a href="([^"]+)"><span class="amount">([^<]+)<', page.html)
    assert [(label, said) for label, _, said in figures] == [
        ("Total amount", "15.00"), ("Redeemed", "12.00"), ("Refunded", "2.00"), ("Left", "5.00"),
    ]  # fmt: skip
    for label, link, said in figures:
        assert abs(shown_sums(local.get(link.replace("&amp;", "&")))["USD"]) == amount(said), label


def test_the_command_that_is_shown_is_one_that_there_is(local: Portal) -> None:
    """It is refused, because it is too late to reverse the batch: the command was understood."""
    page = local.acme("batch", id="summer")
    command = re.search(r"<code>rollforward --home \S+ (reverse-batch [^<]+)</code>", page.html)
    assert command
    words = [OLGA if word == "YOUR-EMAIL" else word for word in shlex.split(command[1])]
    done = rollforward(local.home.path, *words, status=1)
    assert 'batch "summer" was issued on 2026-06-01' in done.stderr


# Empty states, and what changes under one's feet


def test_a_home_without_anything_says_what_to_do(tmp_path: Path) -> None:
    made = make_home(tmp_path, portals.MERCHANTS)
    empty = portal(made.home, tmp_path / "log")
    assert "Nothing has been loaded yet" in empty.get("/").text
    page = empty.acme()
    assert page.status == 503
    assert "rollforward report" in page.text
    made.home.merchants_file.unlink()
    assert empty.get("/").status == 503


def test_what_was_ingested_but_never_reported_is_shown(tmp_path: Path) -> None:
    made = make_home(tmp_path, portals.MERCHANTS)
    made.land("acme/entries/june.csv", portals.rows_csv([portals.LATE]))
    rollforward(made.home.path, "ingest")
    page = portal(made.home, tmp_path / "log").acme()
    assert "Outstanding now 7.00 USD" in page.text
    assert "No month has been published yet" in page.text
    for name in ("flags", "batches", "operations", "rejects"):
        assert portal(made.home, tmp_path / "log").acme(name).status == 200


def test_flags_of_a_published_month_stay_those_of_its_final_report(
    interim: Installation, local: Portal, tmp_path: Path
) -> None:
    assert "flags 3 warnings" in local.acme("period", period="2026-06").text
    assert "flags 3 warnings" in portal(interim.home, tmp_path / "log").acme("period", period="2026-06").text


def test_published_workbooks_are_there_when_the_ledger_has_been_made_again(
    reported: Installation, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(reported.home.path, home.path)
    rollforward(home.path, "rebuild")
    local = portal(home, tmp_path / "log")
    assert local.get(local.acme().link("/m/acme/workbook")).status == 200
    # What nobody knows any more is not said to be none.
    assert "checks – · flags – Download credits-acme-2026-06-v2.xlsx" in local.acme("period", period="2026-06").text
    assert local.get("/month.zip?month=2026-06").status == 200
    assert "2 workbooks" in local.get("/").text


def test_a_unit_that_is_only_overdrawn_is_on_the_overview(tmp_path: Path) -> None:
    made = make_home(tmp_path, portals.MERCHANTS)
    spent = {"entry_id": "spent", "entry_type": "redeemed", "occurred_at": "2026-06-05T12:00Z", "amount": "9"}
    made.land("acme/entries/june.csv", portals.rows_csv([{**spent, "balance_type": "winston"}]))
    rollforward(made.home.path, "ingest")
    assert "Outstanding now 0 TKN and 9 TKN overdrawn" in portal(made.home, tmp_path / "log").acme().text


def test_a_page_of_some_merchants_counts_no_workbooks_of_all(local: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "2026-06.zip 2 workbooks" in local.get("/").text
    monkeypatch.setattr(pages, "MERCHANTS_ON_A_PAGE", 1)
    assert "2026-06.zip Read" not in local.get("/").text
    assert "workbooks" not in local.get("/").text
    assert "1 workbook" not in local.get("/", search="acme").text


def test_a_copy_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    made = make_home(tmp_path, portals.MERCHANTS)
    copy = read_copy_path(made.home, "main")
    copy.parent.mkdir()
    copy.write_bytes(b"no ledger" * 1000)
    page = portal(made.home, tmp_path / "log").acme()
    assert page.status == 503
    assert "makes it again" in page.text


@pytest.mark.parametrize(
    "otherwise", ["drop view facts.customer_balances", "alter table ledger.members drop column keywords"]
)
def test_a_ledger_that_another_version_wrote_is_said_to_be_and_not_that_nobody_has_credit(
    tmp_path: Path, otherwise: str
) -> None:
    made = make_home(tmp_path, portals.MERCHANTS)
    made.land("acme/entries/june.csv", portals.rows_csv(portals.ENTRIES))
    made.ingest()
    pages_of_acme = portal(made.home, tmp_path / "log")
    assert pages_of_acme.acme("members").status == 200
    copy = read_copy_path(made.home, "main")
    beside = tmp_path / "other.duckdb"
    shutil.copyfile(copy, beside)
    with duckdb.connect(str(beside)) as connection:
        connection.execute(otherwise)
    beside.replace(copy)
    page = pages_of_acme.acme("members")
    assert page.status == 503
    assert "another version of Rollforward" in page.text
    with pytest.raises(listings.ListingError, match="another version of Rollforward"):
        [*listings.copies(made.home, [])]


@pytest.fixture
def swapped(reported: Installation, tmp_path: Path) -> Iterator[tuple[Installation, threading.Event]]:
    """The home, while its copy for readers is replaced by the former and by the newest, again and again."""
    copy = read_copy_path(reported.home, "main")
    newest, former = tmp_path / "newest.duckdb", copy.with_name(portals.FORMER_COPY)
    shutil.copy2(copy, newest)
    stop = threading.Event()

    def swap() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            beside = copy.with_name(f".swap-{number}.tmp")
            shutil.copyfile((former, newest)[number % 2], beside)
            beside.replace(copy)
            stop.wait(0.02)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield reported, stop
    finally:
        stop.set()
        thread.join()
        shutil.copy2(newest, copy)


def test_twenty_readers_see_whole_pages_while_the_copy_is_replaced(
    swapped: tuple[Installation, threading.Event], tmp_path: Path
) -> None:
    app = portal(swapped[0].home, tmp_path / "log")

    def read(reader: int) -> set[tuple[str, str]]:
        seen = set()
        for turn in range(4):
            if (reader + turn) % 2:
                page = app.acme("period", period="2026-06")
                assert page.status == 200, page.text
                version = "2" if "-v2.xlsx" in page.text else "1"
                created = cells(page, "Total Credit Created")[0]
                assert (version, created) in (("1", "26.00"), ("2", "33.00"))
                assert f"Created {created} 0.00 40" in page.text, (
                    "totals are of the workbook, the roll-forward of reports"
                )
            else:
                page = app.acme("member", id="ada")
                assert page.status == 200, page.text
                found = re.search(r"Default ([\d.]+) USD since \S+ , (\d+) movements", page.text)
                assert found, page.text
                assert found.groups() in (("15.00", "6"), ("22.00", "7"))
                version = "2" if found[1] == "22.00" else "1"
            seen.add((page.headers["content-type"], version))
        return seen

    with ThreadPoolExecutor(20) as threads:
        seen = set().union(*threads.map(read, range(20)))
    assert {version for _, version in seen} == {"1", "2"}, "both were met"
    log = AccessLog(tmp_path / "log").path.read_text(encoding="utf-8").splitlines()
    assert len([json.loads(line) for line in log]) == 80
