"""The pages: what each reads and shows. How they look is in templates/.

Nothing is computed here: a page is rows of sql/portal and sql/listings, shown.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from pipelines import batches, clock, listings, periods
from pipelines.portal import charts, downloads, listed
from pipelines.portal.copies import local
from pipelines.portal.listed import LISTINGS, Listing
from pipelines.portal.reversal import ways_of
from pipelines.portal.shown import page_of, read, shown
from pipelines.portal.visit import Visit
from pipelines.publish import changed_totals
from pipelines.settings import Merchant, SettingsError
from pipelines.workbook import ROLL_FORWARD, TOTALS
from schemas.ledger import Entries
from schemas.table import descriptions

MERCHANTS_ON_A_PAGE = 20
SHOWN_CREDITS = 50
EXPORTS = ("csv", "xlsx")
# Where the rows behind a total are: a movement type of the listing of movements.
TOTAL_ROWS = {
    "total_credit_created": "created",
    "total_credit_redeemed": "redeemed",
    "total_credit_redemption_refunded": "refunded",
    "total_credit_expired": "expired",
    "total_credit_adjusted": "adjusted",
}
# What a month of the overview says of a unit.
FLOWS = ("extant", "overdrawn", "created", "redeemed", "refunded", "expired", "adjusted")
ROLL_FORWARD_ROWS = {"opening_entries": "opening"}


def home(visit: Visit) -> Response:
    """All merchants of the visitor, and each month as a zip."""
    merchants, unreadable = _merchants_of(visit), _unreadable_of(visit)
    if len(merchants) == 1 and not unreadable:
        return RedirectResponse(f"/m/{merchants[0].id}", 303)
    search = visit.query.get("search", "").strip().casefold()
    found = [one for one in merchants if search in one.name.casefold() or search in one.id]
    number, first = page_of(visit.query, len(found), MERCHANTS_ON_A_PAGE)
    cards, months = [], dict[str, int]()
    for merchant in found[first : first + MERCHANTS_ON_A_PAGE]:
        with _reading(visit, merchant) as its:
            published = its.rows("portal.workbooks", period=None) if its else []
            final = [book for book in published if book["is_newest"] and book["is_final"]]
            cards.append(
                {
                    "merchant": merchant,
                    "visit": its,
                    "state": _state(its) if its else [],
                    "newest": final[0] if final else None,
                }
            )
            for book in final:
                months[book["period"]] = months.get(book["period"], 0) + 1
    pages = -(-len(found) // MERCHANTS_ON_A_PAGE)
    return visit.show(
        "home.html", cards=cards, months=sorted(months.items(), reverse=True), search=visit.query.get("search", ""),
        count=len(merchants), page=number, pages=pages, unreadable=unreadable,
    )  # fmt: skip


def month(visit: Visit) -> Response:
    """The newest workbooks of a month of all the visitor's merchants, as a zip."""
    try:
        month = f"{periods.parse_month(visit.query.get('month', '')):%Y-%m}"
    except periods.PeriodError as problem:
        raise HTTPException(404, str(problem)) from None
    if unreadable := _unreadable_of(visit):
        # A zip that lacks some looks like a whole one.
        raise SettingsError("\n".join(unreadable.values()))
    workbooks, masked = [], set()
    for merchant in _merchants_of(visit):
        with _reading(visit, merchant) as its:
            for book in its.rows("portal.workbooks", period=month) if its else ():
                if book["is_newest"]:
                    workbooks.append(_workbook_of(book))
                    if not visit.visitor.may("administrator", merchant.id):
                        masked.add(workbooks[-1])
    if not workbooks:
        raise HTTPException(404, f"No workbook of {month} has been published yet.")
    visit.request.state.told["downloaded"] = [book.name for book in workbooks]
    return downloads.month(visit.portal.home, f"credits-{month}.zip", workbooks, masked=masked.__contains__)


def overview(visit: Visit) -> Response:
    """The merchant's state at a glance, 24 months as a chart, and its workbooks."""
    state = _state(visit)
    pictures = [
        (each["unit"], charts.of_months([_flows(month) for month in each["months"]], each["unit"], each["decimals"]))
        for each in state
    ]
    books = [_with_file(visit, book) for book in visit.rows("portal.workbooks", period=None)]
    first = visit.today.replace(day=1)
    last = (first + timedelta(days=31)).replace(day=1) - periods.ONE_DAY
    return visit.show(
        "overview.html", state=state, charts=pictures, first=first, last=last,
        months=_by_period([book for book in books if book["is_final"]]),
        interim=_by_period([book for book in books if not book["is_final"]]),
        until=visit.today + timedelta(days=listed.FORECAST_DAYS),
    )  # fmt: skip


def period(visit: Visit) -> Response:
    """One reported period: totals, roll-forward, checks, flags, versions, and what changed between two of them."""
    assert visit.merchant is not None
    name = visit.query.get("period", "")
    books = [_with_file(visit, book) for book in visit.rows("portal.workbooks", period=name)]
    if not books:
        raise HTTPException(404, f'No workbook of the period "{name}" has been published. Choose one on the overview.')
    newest = books[0]
    zone = visit.merchant.timezone
    first = clock.day_of(newest["starts_at"], zone)
    last = clock.day_of(newest["ends_at"] - periods.ONE_MICROSECOND, zone)
    # What an interim workbook was too early for is not among the rows of its totals.
    before = newest["as_of"].isoformat() if newest["as_of"] < newest["ends_at"] else None
    within = {"from": first, "to": last, "before": before}
    flags = {"error": newest["errors"], "warning": newest["warnings"], "info": newest["infos"]}
    return visit.show(
        "period.html", period=name, books=books, newest=newest, first=first, last=last, within=within, flags=flags,
        totals=TOTALS, total_rows=TOTAL_ROWS, lines=ROLL_FORWARD, line_rows=ROLL_FORWARD_ROWS,
        roll_forward=visit.rows("portal.roll_forward", period=name),
        checks=visit.rows("portal.checks", period=name),
        expense=visit.rows("portal.expense", period=name),
        change=_change(visit, books),
        is_behind=_is_behind(newest, visit.rows("portal.reported_totals", period=name)),
        late=visit.rows("portal.late_entries", event=newest["event"], as_of=newest["as_of"])[0]["entries"],
    )  # fmt: skip


def workbook(visit: Visit) -> Response:
    """A published workbook as an attachment; its masked edition for viewers."""
    found = [
        book for book in visit.rows("portal.workbooks", period=None) if str(book["event"]) == visit.query.get("event")
    ]
    if not found:
        raise HTTPException(404, "There is no such workbook. Choose one on the overview.")
    masked = visit.data.masked
    book = _workbook_of(found[0])
    visit.request.state.told.update(downloaded=book.name, sha256=book.sha256, masked=masked)
    return downloads.workbook(visit.portal.home, book, masked=masked)


def member(visit: Visit) -> Response:
    """A member: who, what they have, and the whole history with the running balance."""
    member_id = visit.query.get("id", "")
    found = visit.rows("portal.member", member=member_id)
    if not found:
        raise HTTPException(404, f'There is no member "{member_id}". Search for them in Members and balances.')
    balances = read(visit, LISTINGS["members"], {}, member=member_id, size=None)
    credits = read(visit, LISTINGS["extant"], {"member": member_id}, size=SHOWN_CREDITS)
    history = shown(visit, LISTINGS["history"], {"member": member_id, **_only(visit.query, "balance_type", "page")})
    return visit.show(
        "member.html", member=found[0], balances=balances.rows, credits=credits, history=history,
        findings=visit.rows("portal.findings", member=member_id, entry=None, credit=None),
    )  # fmt: skip


def credit(visit: Visit) -> Response:
    """A credit: where it came from, and everything that became of it."""
    credit_id = visit.query.get("id", "")
    found = visit.rows("portal.credit", credit=credit_id, now=visit.now)
    if not found:
        raise HTTPException(404, f'There is no credit "{credit_id}". Find it through its member or batch.')
    movements = shown(visit, LISTINGS["movements"], {"credit": credit_id, **_only(visit.query, "page")})
    to_come = read(visit, LISTINGS["movements"], {"credit": credit_id, "forecast": "only"}, size=5)
    return visit.show(
        "credit.html", credit=found[0], movements=movements, to_come=to_come.rows,
        findings=visit.rows("portal.findings", credit=credit_id, entry=None, member=None),
    )  # fmt: skip


def entry(visit: Visit) -> Response:
    """An entry as its source reported it, and what it moved."""
    entry_id = visit.query.get("id", "")
    found = visit.rows("portal.entry", entry=entry_id)
    if not found:
        raise HTTPException(404, f'There is no entry "{entry_id}" in the ledger.')
    movements = shown(visit, LISTINGS["movements"], {"entry": entry_id, **_only(visit.query, "page")})
    return visit.show(
        "entry.html", entry=found[0], meanings=descriptions(Entries), movements=movements,
        findings=visit.rows("portal.findings", entry=entry_id, credit=None, member=None),
    )  # fmt: skip


def batch(visit: Visit) -> Response:
    """View Details: a batch, its recipients, and how it would be reversed or adjusted."""
    _only_for(visit, LISTINGS["batches"])
    assert visit.merchant is not None
    batch_id = visit.query.get("id", "")
    with visit.data.batches(visit.now) as as_of:
        found = visit.rows("listings.batches", **batches.only(batch_id))
        if not found:
            raise HTTPException(404, f'There is no batch "{batch_id}". Search for it in Credits Batches.')
        recipients = shown(visit, LISTINGS["recipients"], {"batch_id": batch_id, **_only(visit.query, "page")})
    return visit.show(
        "batch.html", batch=found[0], units=found, recipients=recipients, as_of=as_of,
        ways=ways_of(visit, batch_id),
    )  # fmt: skip


def listing(visit: Visit) -> Response:
    """A listing, or all that it shows as a file."""
    slug, _, kind = visit.request.path_params["slug"].partition(".")
    listing = LISTINGS.get(slug)
    if listing is None or (kind and kind not in EXPORTS):
        raise HTTPException(404, "There is no such page.")
    _only_for(visit, listing)
    if kind:
        return _export(visit, listing, kind)
    if not listing.is_of_batches:
        return visit.show("listing.html", shown=shown(visit, listing, visit.query), summary=[], as_of=visit.now)
    with visit.data.batches(visit.now) as as_of:
        page = shown(visit, listing, visit.query)
        summary = visit.rows("portal.batches_summary") if listing is LISTINGS["batches"] and page.page.matched else []
        return visit.show("listing.html", shown=page, summary=summary, as_of=as_of)


def _export(visit: Visit, listing: Listing, kind: str) -> Response:
    """All rows that the filters leave, in the columns of the query."""
    assert visit.merchant is not None
    asked = listed.read(listing, visit.query, visit.merchant, visit.now)
    if asked.problems:
        raise HTTPException(400, " ".join(asked.problems))
    if listing.is_of_batches:
        with visit.data.batches(visit.now):
            rows = visit.data.frame(listing.model, asked.values)
    else:
        rows = visit.data.frame(listing.model, asked.values)
    rows = local(rows.drop(listing.exported_without, strict=False), visit.merchant.timezone)
    visit.request.state.told.update(downloaded=f"{listing.slug}.{kind}", rows=rows.height)
    return downloads.table(rows, f"{visit.merchant.id}-{listing.slug}-{visit.today}", kind)


def _state(visit: Visit) -> list[dict[str, Any]]:
    """Of each unit that was used: its 24 months, the last being this one so far, and what expires soon."""
    assert visit.merchant is not None
    until = visit.today + timedelta(days=listed.FORECAST_DAYS)
    starts_at = clock.start_of_day(visit.today, visit.merchant.timezone)
    months = visit.rows("portal.months", today=visit.today, today_starts_at=starts_at, now=visit.now)
    expiring = {row["unit"]: row for row in visit.rows("portal.expiring", now=visit.now, until=until)}
    state: list[dict[str, Any]] = []
    for unit, decimals in visit.decimals.items():
        its = [month for month in months if month["unit"] == unit]
        # The merchant's currency is told of also where there is none of it.
        if its and (not state or any(month[flow] for month in its for flow in FLOWS)):
            state.append({"unit": unit, "decimals": decimals, "months": its, "now": its[-1], "before": its[-2],
                          "expiring": expiring.get(unit, {"amount": Decimal(0), "credits": 0})})  # fmt: skip
    return state


def _flows(month: Mapping[str, Any]) -> charts.MonthFlows:
    zero = Decimal(0)
    return charts.MonthFlows(
        month["month"], *(max(month[name], zero) for name in ("extant", "created", "redeemed", "expired"))
    )


def _by_period(books: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The versions of each period, newest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for book in books:
        found.setdefault(book["period"], []).append(book)
    return list(found.values())


def _with_file(visit: Visit, book: dict[str, Any]) -> dict[str, Any]:
    size = _workbook_of(book).size_bytes(visit.portal.home)
    told = json.loads(book["totals"])
    units = [unit for unit in dict.fromkeys([*visit.decimals, *told]) if unit in told]
    return {**book, "totals": {unit: told[unit] for unit in units}, "size_bytes": size, "name": _workbook_of(book).name}


def _workbook_of(book: Mapping[str, Any]) -> downloads.Workbook:
    return downloads.Workbook(book["path"], book["sha256"])


def _change(visit: Visit, books: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What changed between two versions: by default the newest and the one before."""
    if len(books) < 2:
        return None
    by_version = {str(book["version"]): book for book in books}
    after = by_version.get(visit.query.get("to", ""), books[0])
    older = [book for book in books if book["version"] < after["version"]] or [books[-1]]
    before = by_version.get(visit.query.get("from", ""), older[0])
    lines = [
        {"name": name, "unit": unit, "before": old, "after": new, "difference": new - old}
        for unit, name, old, new in changed_totals(before["totals"], after["totals"])
    ]
    between = sorted((before, after), key=lambda book: book["version"])
    entries = visit.rows(
        "portal.recorded_between",
        after=between[0]["recorded_at"],
        until=between[1]["recorded_at"],
        ends_at=after["ends_at"],
    )
    return {"before": before, "after": after, "lines": lines, "entries": entries}


def _is_behind(book: Mapping[str, Any], reported: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the period was reported again with other totals, and no workbook of these was published."""
    return any(
        Decimal(book["totals"].get(its["unit"], {}).get(name, "0")) != amount
        for its in reported
        for name, amount in its.items()
        if isinstance(amount, Decimal)
    )


def _only_for(visit: Visit, listing: Listing) -> None:
    if not visit.may(listing.role):
        raise HTTPException(
            403, f"{listing.title} is for {listing.role}s and above. Your role is {visit.visitor.role}."
        )


def _merchants_of(visit: Visit) -> list[Merchant]:
    right, _ = visit.portal.merchants()
    return [one for one in right.values() if visit.visitor.is_of(one.id)]


def _unreadable_of(visit: Visit) -> Mapping[str, str]:
    """Those of the visitor's merchants whose settings are wrong, and how."""
    _, wrong = visit.portal.merchants()
    return {merchant_id: why for merchant_id, why in wrong.items() if visit.visitor.is_of(merchant_id)}


@contextmanager
def _reading(visit: Visit, merchant: Merchant) -> Iterator[Visit | None]:
    """A visit to one of several merchants; None where nothing has been loaded yet."""
    with ExitStack() as stack:
        masked = not visit.visitor.may("administrator", merchant.id)
        try:
            its = Visit(visit.request, merchant, stack.enter_context(visit.portal.copies.of(merchant, masked=masked)))
        except listings.ListingError:
            its = None
        yield its


def _only(query: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: query[name] for name in names if name in query}
