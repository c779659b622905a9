"""A portal on a small home: two merchants of one shard, a month reported twice, and names that mean harm.

Pages are asked for through Starlette's client, as the local user or as somebody that a proxy names.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.testclient import TestClient

from pipelines.portal.app import build
from pipelines.portal.gate import AccessLog, Gate, Trust, trust_for
from pipelines.settings import Home
from pipelines.shards import read_copy_path
from tests.desks import ACCESS, ANN
from tests.homes import Installation, csv, make_home
from tests.processes import rollforward

FORMER_COPY = "former.duckdb"
LOCAL, PROXIED = "http://127.0.0.1:3001", "https://credits.acme.example"
PROXY, HEADER = "10.0.0.5", "X-Forwarded-Email"
MERCHANTS = """
[merchants.acme]
name = "Acme <Farm> & Co"
timezone = "America/New_York"
currency = "USD"
[merchants.acme.balance_types]
gift = { unit = "USD" }
winston = { unit = "TKN", decimals = 0 }

[merchants.elsewhere]
name = "Elsewhere"
timezone = "Pacific/Auckland"
currency = "NZD"
"""
SCRIPT = "<script>alert(1)</script>"
FORMULA = "=cmd|' /C calc'!A0"
QUOTES = "o'b\"; drop table ledger.entries; --"
PATH = "../../etc/passwd"
MEMBERS = (
    {"member_id": "ada", "email": "ada@mail.example", "first_name": "Ada", "last_name": "Lovelace"},
    {"member_id": "bob", "email": "bob@mail.example", "first_name": "Bob", "last_name": FORMULA,
     "is_employee": "true"},
    {"member_id": QUOTES, "email": "quotes@mail.example", "first_name": SCRIPT, "last_name": "Quoted"},
    {"member_id": PATH, "email": "path@mail.example", "first_name": "Path", "last_name": "Ze\u0301"},
)  # fmt: skip
BY_ANN = {"creator_name": "Ann Lee", "creator_email": ANN}
MISSING = {
    **BY_ANN, "batch_id": "missing-may-9", "credit_type": "Service Recovery", "reason": "Missing Items",
    "reason_details": "Missing Items May 9 Orders", "internal_note": "Packer was new",
}  # fmt: skip
ENTRIES: Sequence[dict[str, Any]] = (
    {"entry_id": "fifteen", "occurred_at": "2026-05-10T12:00Z", "amount": "15.00", **MISSING},
    {"entry_id": "sale-ada", "occurred_at": "2026-06-01T12:00Z", "amount": "10.00", "batch_id": "summer",
     "credit_type": "Promotional", "reason": "Promotion", "reason_details": "Summer Sale", **BY_ANN},
    {"entry_id": "sale-bob", "member_id": "bob", "occurred_at": "2026-06-01T12:00Z", "amount": "10.00",
     "batch_id": "summer", "credit_type": "Promotional", "reason": "Promotion", "reason_details": "Summer Sale",
     **BY_ANN},
    {"entry_id": "buy", "entry_type": "redeemed", "occurred_at": "2026-06-10T12:00Z", "amount": "12.00",
     "redemption_id": "buy"},
    {"entry_id": "back", "entry_type": "refunded", "occurred_at": "2026-06-11T12:00Z", "amount": "2.00",
     "redemption_id": "buy"},
    {"entry_id": "soon", "occurred_at": "2026-06-12T12:00Z", "amount": "3.00", "expires_at": "2026-06-20"},
    {"entry_id": "tokens", "occurred_at": "2026-06-13T12:00Z", "amount": "40", "balance_type": "winston"},
    {"entry_id": "quoted", "member_id": QUOTES, "occurred_at": "2026-06-14T12:00Z", "amount": "1.00",
     "reason": SCRIPT, "reason_details": FORMULA, "credit_id": "it's/\"<a>?&#%"},
    {"entry_id": "tricked", "member_id": PATH, "occurred_at": "2026-06-15T12:00Z", "amount": "2.00",
     "batch_id": "-rf ../x; <b>", "reason": "Goodwill"},
    {"entry_id": "fine", "occurred_at": "2026-06-16T12:00Z", "amount": "12.345"},
)  # fmt: skip
LATE = {"entry_id": "late", "occurred_at": "2026-06-30T12:00Z", "amount": "7.00", "reason": "Goodwill"}
BATCHES = (
    {"batch_id": "missing-may-9", "issued_at": "2026-05-10T12:00Z", "issued_by_name": "Ann Lee",
     "issued_by_email": ANN, "credit_type": "Service Recovery", "reason": "Missing Items",
     "description": "Service Recovery - Missing Items May 9 Orders"},
)  # fmt: skip
ELSEWHERE = ({"entry_id": "far", "member_id": "zoe", "occurred_at": "2026-06-05T12:00Z", "amount": "99.00"},)


def make_reported(folder: Path) -> Installation:
    """The home, its June published as version 1, and after a late entry as version 2; the former copy is kept too."""
    made = make_home(folder, MERCHANTS)
    made.home.access_file.write_text(ACCESS, encoding="utf-8")
    made.land("acme/members/members.csv", csv(MEMBERS))
    made.land("acme/batches/batches.csv", csv(BATCHES))
    made.land("acme/entries/june.csv", rows_csv(ENTRIES))
    made.land("elsewhere/entries/june.csv", rows_csv(ELSEWHERE))
    rollforward(made.home.path, "report", "--month", "2026-06")
    copy = read_copy_path(made.home, "main")
    shutil.copy2(copy, copy.with_name(FORMER_COPY))
    made.land("acme/entries/late.csv", rows_csv([LATE]))
    rollforward(made.home.path, "report", "--month", "2026-06")
    return made


def rows_csv(entries: Sequence[dict[str, Any]]) -> str:
    """An entries file; what a row does not say: ada's, created."""
    columns = dict.fromkeys(name for entry in entries for name in entry)
    return csv({**dict.fromkeys(columns), "entry_type": "created", "member_id": "ada", **entry} for entry in entries)


@dataclass
class Page:
    """What came back."""

    status: int
    html: str
    content: bytes
    headers: Any

    @property
    def text(self) -> str:
        """What a person reads, spaces as one."""
        return " ".join(_Text.of(self.html).split())

    @property
    def links(self) -> list[str]:
        """Where the page leads."""
        return _Links.of(self.html)

    def link(self, start: str) -> str:
        """The first link that begins so."""
        return next(link for link in self.links if link.startswith(start))


@dataclass
class Portal:
    """The pages of a home, as somebody."""

    home: Home
    app: Gate
    client: TestClient
    log: AccessLog
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, /, **parameters: Any) -> Page:
        """A page."""
        address = f"{path}?{urlencode(parameters)}" if parameters else path
        answer = self.client.get(address, headers=self.headers)
        is_text = answer.headers.get("content-type", "").startswith("text/html")
        return Page(answer.status_code, answer.text if is_text else "", answer.content, answer.headers)

    def acme(self, page: str = "", /, **parameters: Any) -> Page:
        """A page of acme's."""
        return self.get(f"/m/acme/{page}" if page else "/m/acme", **parameters)


def portal(home: Home, log: Path, person: str | None = None, *, peer: str = PROXY) -> Portal:
    """The portal as the local user sees it, or as `person`, whom the proxy at `peer` names."""
    access_log = AccessLog(log)
    if person is None:
        app = build(home, Trust(), access_log)
        return Portal(home, app, TestClient(app, base_url=LOCAL, raise_server_exceptions=False), access_log)
    app = build(home, trust_for(home, "0.0.0.0", HEADER, [f"{PROXY}/32"]), access_log)  # noqa: S104 - not served
    client = TestClient(app, base_url=PROXIED, client=(peer, 50000), raise_server_exceptions=False)
    return Portal(home, app, client, access_log, {HEADER: person})


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    @classmethod
    def of(cls, html: str) -> str:
        parser = cls()
        parser.feed(html)
        return " ".join(parser.pieces)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.found.append(unescape(href))

    @classmethod
    def of(cls, html: str) -> list[str]:
        parser = cls()
        parser.feed(html)
        return parser.found
