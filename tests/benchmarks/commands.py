"""Running commands as their users do, each a process of its own, and what each took."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple


class Run(NamedTuple):
    """One run of a command as a process of its own."""

    seconds: float
    peak_megabytes: float
    output: str


def rollforward() -> str:
    """The command line of this environment."""
    return str(Path(sys.executable).with_name("rollforward"))


def peer_python() -> str:
    """The Python of .venv-peer. Raises FileNotFoundError where it has not been set up."""
    python = Path(__file__).parents[2] / ".venv-peer" / "bin" / "python"
    if not python.exists():
        raise FileNotFoundError(f"{python} is not there: `make bench` sets it up")
    return str(python)


def timed(command: list[str]) -> Run:
    """Run a command to its end; its messages pass through, and a failure is ours."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, text)
    # Linux counts kilobytes, macOS bytes; children that the command itself waited for are not in it.
    return Run(seconds, usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024), text)
