"""The operating guide: that its units start what they say, and that pages to look at let nobody do anything."""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines import runs
from pipelines.settings import find_home
from tests.homes import ACME
from tests.processes import environment, rollforward

pytestmark = pytest.mark.service

PROJECT = Path(__file__).parents[1]
GUIDE = (PROJECT / "docs/operating.md").read_text(encoding="utf-8")
PERMISSIONS = "{ permissions { permission value } }"
START_SECONDS = 120


def unit(name: str) -> tuple[dict[str, str], list[str]]:
    """Environment and command of the unit rollforward-<name>, as the guide has it."""
    (text,) = re.findall(rf"`/etc/systemd/system/rollforward-{name}\.service`.*?```ini\n(.*?)```", GUIDE, re.DOTALL)
    said = dict(re.findall(r"^Environment=(\w+)=(.*)$", text, re.MULTILINE))
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    return said, command.split()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("operated") / "home"
    home.mkdir()
    (home / "merchants.toml").write_text(ACME, encoding="utf-8")
    rollforward(home, "ingest")
    return home


@contextmanager
def started(name: str, home: Path, changed: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """What the unit starts, with this home and this project in the place of the guide's."""
    said, command = unit(name)
    here = {"/var/lib/rollforward/home": str(home), "/opt/rollforward/.venv": sys.prefix, **(changed or {})}

    def put(text: str) -> str:
        for guides, ours in here.items():
            text = text.replace(guides, ours)
        return text

    process = subprocess.Popen(
        [put(word) for word in command],
        cwd=PROJECT, env=environment() | {key: put(value) for key, value in said.items()},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def permissions(port: int) -> dict[str, bool]:
    """What the pages at that port let one do."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": PERMISSIONS}).encode(),
        headers={"Content-Type": "application/json"},
    )
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own
                told = json.load(answer)["data"]["permissions"]
                return {one["permission"]: one["value"] for one in told}
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            assert time.monotonic() < until, "the pages do not come up"
            time.sleep(0.5)


@pytest.mark.parametrize(("name", "its_port", "may_launch"), [("look", "3002", False), ("operate", "3000", True)])
def test_pages_to_look_at_let_nobody_launch_anything_and_those_to_operate_do(
    home: Path, name: str, its_port: str, may_launch: bool
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with started(name, home, {its_port: str(port)}):
        told = permissions(port)
    assert told["launch_pipeline_execution"] is may_launch
    assert told["launch_partition_backfill"] is may_launch
    assert any(told.values()) is may_launch


def test_the_daemon_comes_up(home: Path) -> None:
    with started("daemon", home) as daemon, runs.instance_of(find_home(home)) as instance:
        until = time.monotonic() + START_SECONDS
        while not {"SENSOR", "SCHEDULER"} <= instance.get_daemon_heartbeats().keys():
            assert daemon.poll() is None
            assert time.monotonic() < until, "the daemon does not come up"
            time.sleep(0.5)


def test_pages_listen_on_this_machine_only() -> None:
    for name in ("look", "operate"):
        _, command = unit(name)
        assert "127.0.0.1" in command
        assert Path(command[0]).name == "dagster-webserver"
