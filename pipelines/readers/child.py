"""Running a reader in a process of its own, and what its end says: about the file, the machine, or nothing at all.

What is read, and under which limits, is the readers' own business; how such a process begins is in `forks.py`.
"""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

from pipelines import stopping
from pipelines.readers.shape import UnreadableFileError

WRONG_FILE = 3
NOT_WRITTEN = 4
OUT_OF_MEMORY = 5
MEMORY_BYTES = 3_000_000_000
CPU_SECONDS = 600
WALL_SECONDS = 900
FORKS = Path(__file__).with_name("forks.py")

# One for each program that a file was read with, until this process ends: then their input ends, and so do they.
_forks: dict[Path, "subprocess.Popen[bytes]"] = {}
_asking = Lock()


def run(
    program: Path,
    path: Path,
    output: Path,
    arguments: Sequence[str],
    *,
    corrupt: str,
    too_large: str,
    hint: str = "",
    memory_bytes: int = MEMORY_BYTES,
    wall_seconds: float = WALL_SECONDS,
) -> str:
    """What the program prints, having read `path` and written `output`.

    `too_large` is a sentence about a file that {what}, which takes a place where it says so; `hint` says what most
    often makes one take too much memory. Raises UnreadableFileError for what the program reports, and for its death.
    """
    with _asking:
        code, printed = _ask(
            program,
            [str(path), str(output), arguments[0], str(memory_bytes), str(CPU_SECONDS), *arguments[1:]],
            wall_seconds,
        )
    if code is None:
        what = f"takes longer than {wall_seconds // 60:.0f} minutes to read"
        raise UnreadableFileError("too_large", too_large.format(what=what))
    if code == WRONG_FILE:
        reason, message = json.loads(printed)
        raise UnreadableFileError(reason, message)
    if code == NOT_WRITTEN:
        number = json.loads(printed) or errno.EIO
        raise OSError(number, os.strerror(number), str(output))
    if -code in stopping.SIGNALS:
        # Ctrl-C, and the end of a service, reach the child too: no fault of the file.
        stopping.pause(1)
        raise stopping.StoppedError("Stopped while a file was read. Run the same command again.")
    if code == -signal.SIGXCPU:
        what = f"takes longer than {CPU_SECONDS // 60} minutes to read"
        raise UnreadableFileError("too_large", too_large.format(what=what))
    if code in (OUT_OF_MEMORY, -signal.SIGABRT, -signal.SIGKILL):
        # Native code that is not given memory ends its process; so does the system where there is none left.
        what = f"takes more than {memory_bytes // 10**9} GB of memory to read{hint}"
        raise UnreadableFileError("too_large", too_large.format(what=what))
    if code:
        # Nothing that was thought of: native code fell over the file.
        raise UnreadableFileError("corrupt_file", corrupt)
    return printed


def _ask(program: Path, arguments: list[str], seconds: float) -> tuple[int | None, str]:
    """How the program ends with these arguments, and what it prints. None where it takes longer than `seconds`."""
    request = json.dumps([arguments, seconds]).encode() + b"\n"
    forks = _forks.pop(program, None)
    answer = _answer(forks, request) if forks else b""
    if forks is None or not answer:
        if forks:
            # Something has put an end to them since the last file.
            _end(forks)
        forks = _start(program)
        answer = _answer(forks, request)
    if not answer:
        code = _end(forks)
        if -code in stopping.SIGNALS:
            return code, ""
        # They read nothing of any file, which is not to blame: the system has ended them, or they could not load.
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), str(FORKS))
    _forks[program] = forks
    code, printed = json.loads(answer)
    return code, printed


def _start(program: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-I", str(FORKS), str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        # Threads that libraries start for each core take address space, do nothing here, and are not in a fork.
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )


def _answer(forks: "subprocess.Popen[bytes]", request: bytes) -> bytes:
    """The line that they answer with; nothing where they have ended."""
    assert forks.stdin is not None
    assert forks.stdout is not None
    try:
        with suppress(BrokenPipeError):
            forks.stdin.write(request)
        return forks.stdout.readline()
    except BaseException:
        # Nobody takes the answer: the next one must not find it.
        forks.kill()
        _end(forks)
        raise


def _end(forks: "subprocess.Popen[bytes]") -> int:
    """Wait for their end; its exit code."""
    with forks:
        pass
    return forks.returncode
