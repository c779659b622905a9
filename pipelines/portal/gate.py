"""Who is at the door, and what is written down about it.

On a loopback address everyone on this machine is the local user, who can read the home anyway. Anywhere else a person
is who an authenticating proxy says, in a header that is believed from the proxy's own addresses alone, and may do what
`access.toml` says. What a page shows to whom is for the pages to say.
"""

import errno
import getpass
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.access import EVERY_MERCHANT, Actor, read_access
from pipelines.settings import Home, SettingsError

Network = IPv4Network | IPv6Network
HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
LOCAL_HOST = re.compile(r"(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?", re.IGNORECASE)
# A request that came through a proxy is not the local user's, whatever address it comes from.
FORWARDED = re.compile(r"forwarded|via|x-real-ip|x-forwarded-.*|x-auth-request-.*", re.IGNORECASE)
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True)
class Trust:
    """Whom the portal believes: nobody but this machine, or the proxies of these networks and their header."""

    header: str | None = None
    proxies: Sequence[Network] = ()

    @property
    def is_local(self) -> bool:
        """Whether everyone who gets through is the local user."""
        return self.header is None


def trust_for(home: Home, host: str, header: str | None, proxies: Sequence[str]) -> Trust:
    """What may be believed when the portal is served at `host`.

    Raises SettingsError where that would show the ledger to anybody who asks.
    """
    if header is None and not proxies:
        if _is_loopback(host):
            return Trust()
        raise SettingsError(
            f"--host {host} would show every merchant's ledger to whoever reaches it. Serve it on 127.0.0.1, or put an"
            " authenticating proxy before it and say --auth-header NAME --trusted-proxy CIDR; docs/portal.md has an"
            " example."
        )
    if header is None or not proxies:
        raise SettingsError(
            "--auth-header and --trusted-proxy belong together: the header says who it is, and only these addresses"
            " are believed."
        )
    if not HEADER_NAME.fullmatch(header):
        raise SettingsError(f'--auth-header "{header}" is no header name; write it like X-Forwarded-Email.')
    networks = [_network(text) for text in proxies]
    if not read_access(home):
        raise SettingsError(
            f"{home.access_file} names nobody who could come in. Declare them there: docs/portal.md has an example."
        )
    return Trust(header, networks)


class AccessLog:
    """Who saw what: a JSON object a line, one for each request."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, told: Mapping[str, Any]) -> None:
        """Append it, whole or not at all. Raises OSError."""
        line = (json.dumps(told, ensure_ascii=False) + "\n").encode("utf-8", "replace")
        # One write of an append-only file: lines of several requests at once never mix.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            written = os.write(descriptor, line)
            if written < len(line):
                # A disk that is nearly full takes a part of it, which is no failure by itself.
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)


@dataclass
class _RefusedError(Exception):
    status: int
    reason: str


@dataclass
class Gate:
    """Lets in whom it knows, writes down what they saw before they see it, and gives every answer its headers."""

    app: ASGIApp
    home: Home
    trust: Trust
    log: AccessLog
    local_user: Actor = field(
        default_factory=lambda: Actor(email=_user(), name="Local user", role="owner", merchants=(EVERY_MERCHANT,))
    )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        visitor: Actor | None = None
        said: dict[str, Any] = {}
        scope.setdefault("state", {})["told"] = said

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._note(scope, visitor, message["status"], said)
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            visitor = self._visitor(scope)
            scope["state"]["visitor"] = visitor
            await self.app(scope, receive, answer)
        except _RefusedError as refused:
            await PlainTextResponse(refused.reason + "\n", refused.status)(scope, receive, answer)
        except _UnwrittenError as problem:
            print(f"The access log cannot be written: {problem}", file=sys.stderr)
            text = "This cannot be shown now: the access log cannot be written. Tell whoever runs Rollforward.\n"
            await PlainTextResponse(text, HTTPStatus.SERVICE_UNAVAILABLE, SECURITY_HEADERS)(scope, receive, send)

    def _visitor(self, scope: Scope) -> Actor:
        headers = Headers(scope=scope)
        if self.trust.header is None:
            if not LOCAL_HOST.fullmatch(headers.get("host", "")):
                raise _RefusedError(403, "This portal is served to this machine alone: open it at http://127.0.0.1.")
            if any(FORWARDED.fullmatch(name) for name in headers):
                raise _RefusedError(
                    403,
                    "This request came through a proxy, but the portal was started for the local user alone. Start it"
                    " with --auth-header and --trusted-proxy.",
                )
            return self.local_user
        peer = _address(scope)
        if peer is None or not any(peer in network for network in self.trust.proxies):
            raise _RefusedError(403, "Come in through the proxy: requests from other addresses are not answered.")
        claimed = headers.getlist(self.trust.header)
        if len(claimed) != 1 or not claimed[0].strip():
            raise _RefusedError(403, f"The proxy does not say who you are: {self.trust.header} should be there once.")
        email = claimed[0].strip()
        try:
            actor = read_access(self.home).get(email.casefold())
        except SettingsError as problem:
            print(problem, file=sys.stderr)
            raise _RefusedError(503, "access.toml cannot be read. Tell whoever runs Rollforward.") from None
        scope["state"]["claimed"] = email
        if actor is None:
            raise _RefusedError(403, f"{email} is not in access.toml. Ask whoever runs Rollforward to be added.")
        return actor

    def _note(self, scope: Scope, visitor: Actor | None, status: int, said: Mapping[str, Any]) -> None:
        if scope["path"].startswith("/static/"):
            return
        client = scope.get("client")
        try:
            self.log.write(
                {
                    "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                    "who": visitor.email if visitor else scope["state"].get("claimed"),
                    "role": visitor.role if visitor else None,
                    "from": client[0] if client else None,
                    "method": scope["method"],
                    "path": scope["path"],
                    "query": scope["query_string"].decode("latin-1"),
                    "status": status,
                    **said,
                }
            )
        except OSError as problem:
            raise _UnwrittenError(problem) from None


class _UnwrittenError(Exception):
    pass


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _network(text: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise SettingsError(f'--trusted-proxy "{text}" is no network; write it like 10.0.0.5/32.') from None
    if network.prefixlen == 0:
        raise SettingsError(f"--trusted-proxy {text} would believe everybody; name the proxy's own addresses.")
    return network


def _address(scope: Scope) -> IPv4Address | IPv6Address | None:
    client = scope.get("client")
    try:
        address = ip_address(client[0]) if client else None
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "local user"
