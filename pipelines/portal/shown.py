"""A page of a listing, with its form and what is to be chosen from in it: what the listings' page and others show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipelines import anomalies
from pipelines.portal import listed
from pipelines.portal.copies import NothingReportedError, Rows
from pipelines.portal.listed import Listing
from pipelines.portal.visit import Visit

PAGE_ROWS = 100


@dataclass(frozen=True)
class Shown:
    """A page of a listing with its form."""

    listing: Listing
    asked: listed.Asked
    page: Rows
    number: int
    pages: int
    form: Sequence[tuple[listed.Filter, str, Sequence[listed.Choice]]]

    @property
    def filtered(self) -> bool:
        """Whether any filter is set."""
        return any(self.asked.shown.values())


def shown(visit: Visit, listing: Listing, query: Mapping[str, str]) -> Shown:
    """The page of the listing that `query` asks for, with the form that would ask for it."""
    assert visit.merchant is not None
    merchant = visit.merchant
    asked = listed.read(listing, query, merchant, visit.now)
    number = _number(query)
    page = read(visit, listing, query, size=PAGE_ROWS, offset=(number - 1) * PAGE_ROWS)
    pages = max(1, -(-page.matched // PAGE_ROWS))
    if not page.rows and number > 1:
        # A listing that counts by itself says nothing beyond its end.
        page = read(visit, listing, query, size=PAGE_ROWS)
        number, pages = 1, max(1, -(-page.matched // PAGE_ROWS))
    seen = _Seen(visit)
    form = [
        # A field for dates shows nothing but dates, and what was typed should be seen.
        (
            replace(each, kind="text") if each.name in asked.wrong else each,
            asked.shown[each.name],
            listed.choices_of(each, merchant, seen),
        )
        for each in listing.filters
        if not (each.personal and visit.data.masked)
    ]
    return Shown(listing, asked, page, number, pages, form)


def read(
    visit: Visit, listing: Listing, query: Mapping[str, str], *, size: int | None, offset: int = 0, **fixed: Any
) -> Rows:
    """Rows of the listing; none where a filter is wrong or no run has made its table. `fixed` are further values."""
    assert visit.merchant is not None
    asked = listed.read(listing, query, visit.merchant, visit.now)
    if asked.problems:
        return Rows([], 0, {})
    try:
        values = {**asked.values, **fixed}
        return visit.data.page(listing.model, values, size=size, offset=offset, amount=listing.amount,
                               order=listing.order)  # fmt: skip
    except NothingReportedError:
        return Rows([], 0, {})


class _Seen:
    """What the merchant's data has to choose from, read when a form first asks."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._values: Mapping[str, Sequence[str]] | None = None

    def __call__(self) -> Mapping[str, Sequence[str]]:
        if self._values is None:
            values: dict[str, list[str]] = {"rule": [rule.name for rule in anomalies.rules()]}
            for row in self._visit.rows("portal.choices"):
                values.setdefault(row["name"], []).append(row["value"])
            self._values = values
        return self._values


def _number(query: Mapping[str, str]) -> int:
    text = query.get("page", "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def page_of(query: Mapping[str, str], count: int, size: int) -> tuple[int, int]:
    """Which of the pages of `count` things is asked for, and the first thing on it."""
    number = min(_number(query), max(1, -(-count // size)))
    return number, (number - 1) * size
