"""Forks a process for each file that a program is to read, once what the program needs is loaded.

To start Python and to load Arrow and DuckDB takes longer than to read most files. Run by its path, isolated; it imports
nothing of ours but the program, and reads nothing of any file. It ends when whoever started it does.

    python -I forks.py PROGRAM

Each line of its input is a JSON object: what the program's `convert` is called with, the memory in bytes and the
seconds of the CPU that it may take, and those of the clock. Each gets a line: how the process ended, as `subprocess`
says it, null where the time was over; and what it said, as JSON. Where it has converted the file, that is what
`convert` gives back; where the file is to blame (the program's FileError) it ends with WRONG_FILE and says why; where
its output cannot be written, with NOT_WRITTEN and the number of the error; where memory is short, with OUT_OF_MEMORY.
"""

import errno
import importlib.util
import json
import os
import resource
import select
import signal
import sys
import time
from types import ModuleType
from typing import Any

WRONG_FILE = 3
NOT_WRITTEN = 4
OUT_OF_MEMORY = 5
PART_BYTES = 65_536

End = tuple[int | None, str]


def load(path: str) -> ModuleType:
    """The program."""
    spec = importlib.util.spec_from_file_location("program", path)
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program


def read(program: ModuleType, asked: dict[str, Any], output: int) -> int:
    """In the new process: convert the file under the limits. What it says goes to `output`; the exit code."""
    # Ctrl-C and the end of a service are this one's to die of; who forked it stays, to say so.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Requests and answers are not for native code to read, or to print into.
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    limit(resource.RLIMIT_AS, asked["memory_bytes"])
    limit(resource.RLIMIT_CPU, asked["cpu_seconds"])
    limit(resource.RLIMIT_CORE, 0)
    try:
        said, code = program.convert(*asked["arguments"]), 0
    except program.FileError as problem:
        said, code = problem.args, WRONG_FILE
    except OSError as problem:
        said, code = problem.errno or errno.EIO, NOT_WRITTEN
    except MemoryError:
        return OUT_OF_MEMORY
    with open(output, "w", encoding="utf-8") as answer:
        json.dump(said, answer)
    return code


def limit(what: int, most: int) -> None:
    """Allow this process no more than that; less, where the run itself is allowed less.

    The hard limit stays: nobody but the superuser may raise it, and who comes to that of the CPU's time is killed
    without a word of why.
    """
    _, allowed = resource.getrlimit(what)
    resource.setrlimit(what, (most if allowed == resource.RLIM_INFINITY else min(most, allowed), allowed))


def follow(process: int, output: int, seconds: float) -> End:
    """How the process ends, and what it has said. None where it took too long and was killed."""
    ends, said = time.monotonic() + seconds, b""
    while True:
        ready, _, _ = select.select([output, 0], [], [], max(ends - time.monotonic(), 0))
        if 0 in ready:
            # Whoever asks waits for the answer: there is nothing to read but their end.
            os.kill(process, signal.SIGKILL)
            sys.exit()
        if not ready:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return None, ""
        part = os.read(output, PART_BYTES)
        if not part:
            return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said.decode()
        said += part


def fork(program: ModuleType, asked: dict[str, Any]) -> End:
    """Have a new process do what is asked; how that ends. Does not return in the new process."""
    reading, writing = os.pipe()
    try:
        process = os.fork()
    except OSError as problem:
        os.close(writing)
        os.close(reading)
        return NOT_WRITTEN, json.dumps(problem.errno)
    if not process:
        sys.exit(read(program, asked, writing))
    os.close(writing)
    try:
        return follow(process, reading, asked["seconds"])
    finally:
        os.close(reading)


def main() -> None:
    """Answer until the input ends."""
    program = load(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Unbuffered: select would not see what was read ahead.
    with open(0, "rb", buffering=0, closefd=False) as lines:
        while line := lines.readline():
            print(json.dumps(fork(program, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
