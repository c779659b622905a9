"""Serving the portal: `rollforward portal`."""

from collections.abc import Sequence
from pathlib import Path

import uvicorn

from pipelines.portal.app import build
from pipelines.portal.gate import AccessLog, trust_for
from pipelines.settings import Home, read_each_merchant
from pipelines.shards import Say

ACCESS_LOG = "portal-access.jsonl"


def serve(
    home: Home,
    *,
    host: str,
    port: int,
    auth_header: str | None,
    trusted_proxies: Sequence[str],
    access_log: Path | None,
    dagster_url: str,
    say: Say,
) -> None:
    """Serve the pages until stopped.

    Raises SettingsError where the settings cannot be read, or where it would show the ledger to anybody.
    """
    trust = trust_for(home, host, auth_header, trusted_proxies)
    read_each_merchant(home)
    log = AccessLog(access_log or home.path / ACCESS_LOG)
    shown = f"[{host}]" if ":" in host else host
    who = "for everyone on this machine" if trust.is_local else f"for those of access.toml, as {auth_header} says"
    say(f"http://{shown}:{port} {who} (stop with Ctrl-C). Who looks at what is written to {log.path}.")
    uvicorn.run(
        build(home, trust, log, dagster_url=dagster_url),
        host=host,
        port=port,
        log_level="warning",
        # The address that a request really came from decides whether its header is believed.
        proxy_headers=False,
        server_header=False,
        # Requests that wait for a slow query hold their place; more than these are told to come back.
        limit_concurrency=200,
        timeout_keep_alive=15,
    )
