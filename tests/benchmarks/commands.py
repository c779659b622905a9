"""Running commands as their users do, each a process of its own, and what each took."""

import os
import subprocess
import sys
import tempfile
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


# What becomes of a process counts the memory of whoever started it: so this starts it, which has next to none.
_SMALL_PARENT = """
import os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - started
os.write(int(sys.argv[1]), f"{seconds} {usage.ru_maxrss} {os.waitstatus_to_exitcode(status)}".encode())
"""


def timed(command: list[str]) -> Run:
    """Run a command to its end; its messages pass through, and a failure is ours."""
    told, tells = os.pipe()
    with tempfile.TemporaryFile() as output, os.fdopen(told, "rb") as telling:
        try:
            parent = [sys.executable, "-I", "-S", "-c", _SMALL_PARENT, str(tells)]
            subprocess.run([*parent, *command], stdout=output, pass_fds=[tells], check=True)
        finally:
            os.close(tells)
        seconds, peak, code = telling.read().decode().split()
        output.seek(0)
        text = output.read().decode()
    if int(code):
        raise subprocess.CalledProcessError(int(code), command, text)
    # Linux counts kilobytes, macOS bytes; children that the command itself waited for are not in it.
    return Run(float(seconds), int(peak) / (1024**2 if sys.platform == "darwin" else 1024), text)
