"""Running a reader in a process of its own, and what its end says: about the file, the machine, or nothing at all.

What is read, and under which limits, is the readers' own business; how such a process begins is in `forks.py`.
"""

import atexit
import errno
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from pipelines import stopping
from pipelines.readers.forks import NOT_WRITTEN, OUT_OF_MEMORY, WRONG_FILE
from pipelines.readers.shape import UnreadableFileError

MEMORY_BYTES = 3_000_000_000
CPU_SECONDS = 600
WALL_SECONDS = 900
FORKS = Path(__file__).with_name("forks.py")

# One for each program that a file was read with, until this process ends.
_forks: dict[Path, "subprocess.Popen[bytes]"] = {}
_asking = Lock()


def run(
    program: Path,
    path: Path,
    output: Path,
    *arguments: Any,
    corrupt: str,
    too_large: str,
    hint: str = "",
    wall_seconds: float = WALL_SECONDS,
) -> Any:
    """What the program's `convert` gives back, having read `path` and written `output`; then come its `arguments`.

    `too_large` is a sentence about a file that {what}, which takes a place where it says so; `hint` says what most
    often makes one take too much memory. Raises UnreadableFileError for what the program reports, and for its death.
    """
    asked = {
        "arguments": [str(path), str(output), *arguments],
        "memory_bytes": MEMORY_BYTES,
        "cpu_seconds": CPU_SECONDS,
        "seconds": wall_seconds,
    }
    with _asking:
        code, said = _ask(program, output, json.dumps(asked).encode() + b"\n")
    if code is None:
        what = f"takes longer than {wall_seconds // 60:.0f} minutes to read"
        raise UnreadableFileError("too_large", too_large.format(what=what))
    if code == WRONG_FILE:
        reason, message = json.loads(said)
        raise UnreadableFileError(reason, message)
    if code == NOT_WRITTEN:
        number = json.loads(said)
        raise OSError(number, os.strerror(number), str(output))
    if -code in stopping.SIGNALS:
        # Ctrl-C, and the end of a service, reach the child too: no fault of the file.
        stopping.pause(1)
        raise stopping.StoppedError("Stopped while a file was read. Run the same command again.")
    if code == -signal.SIGXCPU:
        what = f"takes longer than {CPU_SECONDS // 60} minutes to read"
        raise UnreadableFileError("too_large", too_large.format(what=what))
    if code == -signal.SIGKILL:
        # So does a system that has no memory left; it may have been another program's doing.
        raise UnreadableFileError(
            "too_large",
            "Something killed the process that read the file, as a machine does that has no memory left. Have other"
            " programs use less, then `rollforward ingest --retry` reads it again; or export it in several files.",
        )
    if code in (OUT_OF_MEMORY, -signal.SIGABRT):
        # Native code that is not given memory ends its process.
        what = f"takes more than {MEMORY_BYTES // 10**9} GB of memory to read{hint}"
        raise UnreadableFileError("too_large", too_large.format(what=what))
    if code:
        # Nothing that was thought of: native code fell over the file.
        raise UnreadableFileError("corrupt_file", corrupt)
    return json.loads(said)


def _ask(program: Path, output: Path, request: bytes) -> tuple[int | None, str]:
    """How a process ends that is forked for this request, and what it says. Raises OSError where none could be."""
    forks = _forks.pop(program, None)
    answer = _answer(forks, request) if forks else b""
    if forks is None or not answer:
        if forks:
            # Something has put an end to them since the last file. One that they forked may write still: not there.
            _end(forks)
            output.unlink(missing_ok=True)
        forks = _start(program)
        answer = _answer(forks, request)
    if not answer:
        code = _end(forks)
        if -code in stopping.SIGNALS:
            return code, ""
        # They read nothing of any file, which is not to blame: the system has ended them, or they could not load.
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), str(FORKS))
    _forks[program] = forks
    code, said = json.loads(answer)
    return code, said


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


@atexit.register
def _end_all() -> None:
    """They end by themselves, too, when this process is gone: their input does."""
    while _forks:
        _, forks = _forks.popitem()
        forks.kill()
        _end(forks)
