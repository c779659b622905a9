"""A visit: one request, who makes it, and the one copy that all of its page is read from.

What a page shows is in `pipelines.portal.pages`; here is what all of them need: links, words, and rights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pipelines import amounts, clock, settings
from pipelines.access import Actor, Role
from pipelines.portal.copies import Copies, NothingReportedError, Reader
from pipelines.portal.listed import LISTINGS, Column
from pipelines.settings import Home, Merchant

DASH = "–"
# Which page a cell leads to, under which parameter, and who may go there.
PLACES: Mapping[str, tuple[str, str, Role]] = {
    "member": ("member", "id", "viewer"),
    "credit": ("credit", "id", "viewer"),
    "entry": ("entry", "id", "viewer"),
    "period": ("period", "period", "viewer"),
    "batch": ("batch", "id", "administrator"),
    "reading": ("rejects", "reading", "administrator"),
    "files": ("files", "search", "administrator"),
}


@dataclass
class Portal:
    """What all pages share."""

    home: Home
    copies: Copies
    pages: jinja2.Environment
    dagster_url: str
    _merchants: tuple[tuple[int, int, int], tuple[Mapping[str, Merchant], Mapping[str, str]]] | None = None

    def merchants(self) -> tuple[Mapping[str, Merchant], Mapping[str, str]]:
        """The merchants whose settings are right, and what is wrong with those of others; merchants.toml is read again
        when it has changed. Raises SettingsError where none can be read.
        """
        try:
            told = self.home.merchants_file.stat()
            now = (told.st_ino, told.st_mtime_ns, told.st_size)
        except OSError:
            now = (0, 0, 0)
        if self._merchants is None or self._merchants[0] != now:
            self._merchants = now, settings.read_each_merchant(self.home)
        return self._merchants[1]


class Visit:
    """One request: who asks, about which merchant, and the one copy that all of its page is read from."""

    def __init__(self, request: Request, merchant: Merchant | None, reader: Reader | None) -> None:
        self.request, self.merchant, self.reader = request, merchant, reader
        self.portal: Portal = request.app.state.portal
        self.visitor: Actor = request.state.visitor
        self.now = datetime.now(UTC)

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query_params

    def may(self, role: Role) -> bool:
        """Whether the visitor has this role at the merchant."""
        return self.merchant is not None and self.visitor.may(role, self.merchant.id)

    def link(self, page: str, **parameters: Any) -> str:
        """The address of a page of the merchant."""
        assert self.merchant is not None
        return _address(f"/m/{self.merchant.id}/{page}" if page else f"/m/{self.merchant.id}", parameters)

    def again(self, **changed: Any) -> str:
        """This page's own address with other parameters."""
        return _address(self.request.url.path, {**self.query, **changed})

    def cell_link(self, column: Column, value: Any, row: Mapping[str, Any]) -> str | None:
        """Where a cell leads; None where it leads nowhere, or nowhere that the visitor may go."""
        if column.to is None or value in (None, "", 0):
            return None
        page, parameter, role = PLACES[column.to]
        said = row[column.key] if column.key else value
        return self.link(page, **{parameter: said}) if self.may(role) else None

    @cached_property
    def today(self) -> date:
        """The merchant's local day."""
        assert self.merchant is not None
        return clock.day_of(self.now, self.merchant.timezone)

    @cached_property
    def decimals(self) -> Mapping[str, int]:
        """The decimals of the merchant's units."""
        return self.merchant.decimals if self.merchant else {}

    def money(self, amount: Any, unit: str | None) -> str:
        """An amount with its unit's decimals."""
        if amount is None:
            return ""
        assert self.merchant is not None
        return amounts.shown(amount, self.merchant.decimals_of(unit)).replace("-", "−", 1)

    def only_unit(self, rows: Sequence[Mapping[str, Any]]) -> str | None:
        """The unit of all these amounts, where it is one."""
        units = {row.get("unit") for row in rows}
        return units.pop() if len(units) == 1 else None

    def with_content(self, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> list[Column]:
        """The columns, less those of the wide ones that say nothing on this page: they would push others off it."""
        return [one for one in columns if not one.wide or any(row[one.name] for row in rows)]

    def time(self, moment: Any, *, day: bool = False) -> str:
        """A moment as the merchant's clock shows it."""
        if moment is None:
            return ""
        if isinstance(moment, datetime):
            if moment.tzinfo is not None and self.merchant:
                moment = clock.local_from_utc(moment, self.merchant.timezone)
            return f"{moment:%Y-%m-%d}" if day else f"{moment:%Y-%m-%d %H:%M}"
        return str(moment)

    @property
    def copied_at(self) -> datetime | None:
        """When the copy that this page is read from was made."""
        return datetime.fromtimestamp(self.reader.identity[1] / 1e9, UTC) if self.reader else None

    @property
    def data(self) -> Reader:
        assert self.reader is not None
        return self.reader

    def rows(self, name: str, **values: Any) -> list[dict[str, Any]]:
        """Rows of a query; none where no run has made its table yet."""
        try:
            return self.data.rows(name, **values)
        except NothingReportedError:
            return []

    def show(self, template: str, *, status: int = 200, **said: Any) -> Response:
        """The page."""
        told = {"visit": self, "merchant": self.merchant, "menu": self._menu(), "link": self.link, **said}
        text = self.portal.pages.get_template(template).render(told)
        return HTMLResponse(text, status)

    def _menu(self) -> list[tuple[str, str]]:
        if not self.merchant:
            return []
        shown = [each for each in LISTINGS.values() if each.in_menu and self.may(each.role)]
        return [("", "Overview"), *((each.slug, each.title) for each in shown)]


def _address(path: str, parameters: Mapping[str, Any]) -> str:
    said = {name: value for name, value in parameters.items() if value not in (None, "")}
    return f"{path}?{urlencode(said)}" if said else path
