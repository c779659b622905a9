"""Processes that begin with everything heavy loaded: a server forks a child for each thing that a test asks for.

To start Python and to load Dagster, Polars and Numba takes longer than most of what is then asked of them. A child does
what a process of its own does, to its exit or its kill: only the loading has been done before. Belongs here: how a
child is asked, and what it starts with. Not here: what it does, a function by its name (`tests.processes:command`).
"""

import atexit
import importlib
import json
import os
import socket
import socketserver
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

TIMEOUT_S = 600

_starting = Lock()
_started: list[str] = []


def ask(does: str, *, stdout: Path, stderr: Path, **arguments: Any) -> Any:
    """What the function `module:name` gives back in a child; None where the child was killed.

    Its output is added to the two files. Raises AssertionError with what went wrong in it.
    """
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(TIMEOUT_S)
        line.connect(_address())
        asked = {"does": does, "stdout": str(stdout), "stderr": str(stderr), "arguments": arguments}
        line.sendall(json.dumps(asked).encode() + b"\n")
        answer = b""
        with suppress(ConnectionResetError):
            while part := line.recv(1 << 20):
                answer += part
    if not answer:
        return None
    told: dict[str, Any] = json.loads(answer)
    assert "error" not in told, told["error"]
    return told["answer"]


def _address() -> str:
    """Where this process's server listens, which is started by the first who asks."""
    with _starting:
        if not _started:
            # A socket's address may not be long.
            folder = tempfile.TemporaryDirectory(prefix="rollforward-test-")
            address = f"{folder.name}/socket"
            # Threads of its own would not be in its children.
            environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
            environment.pop("PYTHONWARNINGS", None)
            server = subprocess.Popen(
                [sys.executable, "-m", "tests.forks", address], stdout=subprocess.PIPE, env=environment, text=True
            )
            atexit.register(folder.cleanup)
            # Not SIGTERM: workers of pytest-xdist are deaf to it, and so is what they start.
            atexit.register(server.kill)
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            _started.append(address)
        return _started[0]


class _Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    """A child for each request, until whoever started this is gone."""

    request_queue_size = 64
    parent = os.getppid()

    def service_actions(self) -> None:
        """Twice a second."""
        super().service_actions()
        if os.getppid() != self.parent:
            sys.exit()


class _Child(socketserver.StreamRequestHandler):
    """Does what a line asks for. No answer means that it was killed."""

    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
        try:
            module, _, function = asked["does"].partition(":")
            answer = {"answer": getattr(importlib.import_module(module), function)(**asked["arguments"])}
        except BaseException:  # noqa: BLE001 - also where a command has ended with exit code 1
            answer = {"error": traceback.format_exc()}
        self.wfile.write(json.dumps(answer).encode())


def _serve(address: str) -> None:
    """Load everything, then fork a child for each request.

    Threads that libraries start when they are loaded are not in the children; each opens its own DuckDB, with its own.
    """
    import alembic.command
    import dagster._core.execution.api
    import pandera.backends.polars.builtin_checks
    import sqlalchemy.dialects.sqlite
    import xlsxwriter.workbook

    import pipelines.backup
    import pipelines.chunks
    import pipelines.cli
    import pipelines.rebuild
    import pipelines.runs
    from pipelines.definitions import defs

    assert all((alembic, dagster, pandera, pipelines, sqlalchemy, xlsxwriter))
    defs.get_repository_def()
    with _Server(address, _Child) as server:
        print("ready", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1])
