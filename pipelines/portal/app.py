"""The application: which address shows which page, and what becomes of what goes wrong."""

import sys
from collections.abc import Callable, Mapping
from decimal import Decimal

import jinja2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from pipelines import listings, settings
from pipelines.access import Actor
from pipelines.portal import downloads, pages
from pipelines.portal.copies import Copies
from pipelines.portal.gate import AccessLog, Gate, Trust
from pipelines.portal.masking import MaskingError
from pipelines.portal.visit import DASH, Portal, Visit
from pipelines.settings import Home, Merchant

DAGSTER_URL = "http://127.0.0.1:3000"

Page = Callable[[Visit], Response]


def build(home: Home, trust: Trust, log: AccessLog, *, dagster_url: str = DAGSTER_URL) -> Gate:
    """The portal of a home as an ASGI application."""
    looks = jinja2.Environment(
        loader=jinja2.PackageLoader("pipelines.portal"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    looks.filters["words"] = lambda text: str(text).replace("_", " ").capitalize()
    looks.filters["money_of"] = lambda text: None if text is None else Decimal(text)
    looks.tests["present"] = lambda value: value not in (None, "")
    looks.globals["DASH"] = DASH
    app = Starlette(
        routes=[
            Route("/", _endpoint(pages.home, needs_merchant=False)),
            Route("/month.zip", _endpoint(pages.month, needs_merchant=False)),
            Mount("/static", StaticFiles(packages=[("pipelines.portal", "static")])),
            Route("/m/{merchant}", _endpoint(pages.overview)),
            Route("/m/{merchant}/period", _endpoint(pages.period)),
            Route("/m/{merchant}/workbook", _endpoint(pages.workbook)),
            Route("/m/{merchant}/member", _endpoint(pages.member)),
            Route("/m/{merchant}/credit", _endpoint(pages.credit)),
            Route("/m/{merchant}/entry", _endpoint(pages.entry)),
            Route("/m/{merchant}/batch", _endpoint(pages.batch)),
            Route("/m/{merchant}/{slug}", _endpoint(pages.listing)),
        ],
        exception_handlers={HTTPException: _problem, 500: _defect},
    )
    app.state.portal = Portal(home, Copies(home), looks, dagster_url.rstrip("/"))
    # Outermost, so that no answer leaves without being written down and given its headers.
    return Gate(app, home, trust, log)


def _endpoint(page: Page, *, needs_merchant: bool = True) -> Callable[[Request], Response]:
    """What all pages do first: find the merchant, if the visitor may know of it, and open its copy once."""

    def endpoint(request: Request) -> Response:
        portal: Portal = request.app.state.portal
        visitor: Actor = request.state.visitor
        try:
            if not needs_merchant:
                return page(Visit(request, None, None))
            merchant = _merchant(portal, visitor, request.path_params["merchant"])
            with portal.copies.of(merchant, masked=not visitor.may("administrator", merchant.id)) as reader:
                return page(Visit(request, merchant, reader))
        except settings.SettingsError as problem:
            print(problem, file=sys.stderr)
            raise HTTPException(503, "The settings cannot be read. Tell whoever runs Rollforward.") from None
        except listings.ListingError as problem:
            raise HTTPException(503, str(problem)) from None
        except (downloads.GoneError, MaskingError) as problem:
            raise HTTPException(409, str(problem)) from None

    return endpoint


def _merchant(portal: Portal, visitor: Actor, merchant_id: str) -> Merchant:
    """The merchant, if the visitor may know of it. Raises SettingsError where its settings are wrong."""
    merchants, wrong = portal.merchants()
    if visitor.is_of(merchant_id) and merchant_id in wrong:
        raise settings.SettingsError(wrong[merchant_id])
    if visitor.is_of(merchant_id) and merchant_id in merchants:
        return merchants[merchant_id]
    # Whether there is such a merchant is nobody else's business.
    raise HTTPException(404, "There is no such merchant, or it is not one of yours.")


def _problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    return _said(request, problem.status_code, problem.detail, problem.headers)


def _defect(request: Request, _problem: Exception) -> Response:
    return _said(request, 500, "Something went wrong here: a defect. Tell whoever runs Rollforward what you did.", None)


def _said(request: Request, status: int, text: str, headers: Mapping[str, str] | None) -> Response:
    titles = {403: "Not for you", 404: "Not found", 405: "The portal only shows", 409: "Not as it was published"}
    told = Visit(request, None, None).show(
        "problem.html", status=status, title=titles.get(status, "Not now"), text=text
    )
    told.headers.update(headers or {})
    return told
