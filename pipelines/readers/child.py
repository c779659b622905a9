"""Running a reader in a process of its own, and what its end says: about the file, the machine, or nothing at all.

What is read, and under which limits, is the readers' own business.
"""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines import stopping
from pipelines.readers.shape import UnreadableFileError

WRONG_FILE = 3
NOT_WRITTEN = 4
OUT_OF_MEMORY = 5
MEMORY_BYTES = 3_000_000_000
CPU_SECONDS = 600
WALL_SECONDS = 900


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
) -> bytes:
    """What the program prints, having read `path` and written `output`.

    `too_large` is a sentence about a file that {what}, which takes a place where it says so; `hint` says what most
    often makes one take too much memory. Raises UnreadableFileError for what the program reports, and for its death.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            [
                *(sys.executable, "-I", str(program), str(path), str(output)),
                *(arguments[0], str(memory_bytes), str(CPU_SECONDS), *arguments[1:]),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=wall_seconds,
            check=False,
            # Threads that libraries start for each core take address space, and do nothing here.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired:
        what = f"takes longer than {wall_seconds // 60:.0f} minutes to read"
        raise UnreadableFileError("too_large", too_large.format(what=what)) from None
    if done.returncode == WRONG_FILE:
        reason, message = json.loads(done.stdout)
        raise UnreadableFileError(reason, message)
    if done.returncode == NOT_WRITTEN:
        number = json.loads(done.stdout) or errno.EIO
        raise OSError(number, os.strerror(number), str(output))
    if -done.returncode in stopping.SIGNALS:
        # Ctrl-C, and the end of a service, reach the child too: no fault of the file.
        stopping.pause(1)
        raise stopping.StoppedError("Stopped while a file was read. Run the same command again.")
    if done.returncode == -signal.SIGXCPU:
        what = f"takes longer than {CPU_SECONDS // 60} minutes to read"
        raise UnreadableFileError("too_large", too_large.format(what=what))
    if done.returncode in (OUT_OF_MEMORY, -signal.SIGABRT, -signal.SIGKILL):
        # Native code that is not given memory ends its process; so does the system where there is none left.
        what = f"takes more than {memory_bytes // 10**9} GB of memory to read{hint}"
        raise UnreadableFileError("too_large", too_large.format(what=what))
    if done.returncode:
        # Nothing that was thought of: native code fell over the file.
        raise UnreadableFileError("corrupt_file", corrupt)
    return done.stdout
