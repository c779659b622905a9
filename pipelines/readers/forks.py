"""Forks a process for each file that a program is to read, once what the program needs is loaded.

To start Python and to load Arrow and DuckDB takes longer than to read most files. Run by its path, isolated; it imports
nothing of ours but the program, and reads nothing of any file. It ends when whoever started it does.

    python -I forks.py PROGRAM

Each line of its input is a JSON list: the program's arguments, and the seconds of the clock that it may take. Each
gets a line: the exit code as `subprocess` has it, null where the time was over, and what the program printed.
"""

import importlib.util
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence

PART_BYTES = 65_536
NOT_STARTED = 4  # as the programs say it of an output that cannot be written: with the number of the error


def load(program: str) -> Callable[[], None]:
    """The program's `main`."""
    spec = importlib.util.spec_from_file_location("program", program)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    main: Callable[[], None] = module.main
    return main


def begin(arguments: Sequence[str], output: int) -> None:
    """In the new process: be what would have been started by itself."""
    # Ctrl-C and the end of a service are this one's to die of; who forked it stays, to say so.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    sys.argv[1:] = arguments


def follow(process: int, output: int, seconds: float) -> tuple[int | None, str]:
    """How the process ends, and what it has printed. None where it took too long and was killed."""
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
            return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said.decode(errors="replace")
        said += part


def main() -> None:
    """Answer until the input ends; in a process that was forked, be the program."""
    program = load(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Unbuffered: select would not see what was read ahead.
    with open(0, "rb", buffering=0, closefd=False) as asked:
        while line := asked.readline():
            arguments, seconds = json.loads(line)
            reading, writing = os.pipe()
            try:
                process = os.fork()
            except OSError as problem:
                os.close(writing)
                answer: tuple[int | None, str] = NOT_STARTED, json.dumps(problem.errno)
            else:
                if not process:
                    begin(arguments, writing)
                    program()
                    return
                os.close(writing)
                answer = follow(process, reading, seconds)
            os.close(reading)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
