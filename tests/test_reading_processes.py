"""Each file of a kind that native code takes apart is read by a process of its own, and only that is lost with it."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from pipelines import faults
from pipelines.readers import UnreadableFileError, child, forks
from pipelines.stopping import StoppedError
from tests.processes import environment

# Reads nothing: does what its third argument says, and tells which process it was.
PROGRAM = """
import json, os, signal, sys, time

times = 0

class FileError(Exception):
    pass

def convert(path, output, what, number):
    global times
    times += 1
    told = os.getpid(), os.getppid(), times, path
    with open(output, "a") as file:
        print(json.dumps(told), file=file)
    if what == "die":
        os.kill(os.getpid(), number)
    if what == "sleep":
        time.sleep(number)
    while what == "compute":
        pass
    if what == "exit":
        os._exit(number)
    if what == "chatter":
        os.write(1, b"out of order")
        os.read(0, 1)
    if what == "lack memory":
        raise MemoryError
    if what == "refuse":
        raise FileError("wrong", "It is wrong.")
    if what == "fail to write":
        raise OSError(number, "")
    return told
"""

Told = tuple[int, int, int, str]
Ask = Callable[..., Told]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    yield path
    if started := child._forks.pop(path, None):
        started.kill()
        child._end(started)


@pytest.fixture
def ask(program: Path, tmp_path: Path) -> Ask:
    def asked(what: str = "read", number: int = 0, *, file: str = "file", wall_seconds: float = 60) -> Told:
        told = child.run(
            program,
            Path(file),
            tmp_path / "output",
            what,
            number,
            corrupt="It is damaged.",
            too_large="It {what}.",
            wall_seconds=wall_seconds,
        )
        process, parent, times, said = told
        return process, parent, times, said

    return asked


def is_running(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:1]
    except FileNotFoundError:
        return False


def wait_until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_every_file_has_a_process_of_its_own_and_what_it_needs_is_loaded_once(ask: Ask) -> None:
    first, second = ask(file="first"), ask(file="second")
    assert first[0] != second[0]
    assert first[1] == second[1] != os.getpid()
    assert (first[2:], second[2:]) == ((1, "first"), (1, "second"))


@pytest.mark.parametrize(
    ("what", "number", "reason", "words"),
    [
        ("die", signal.SIGKILL, "too_large", "Something killed the process that read the file"),
        ("die", signal.SIGABRT, "too_large", "It takes more than 3 GB of memory to read."),
        ("die", signal.SIGXCPU, "too_large", "It takes longer than 10 minutes to read."),
        ("die", signal.SIGSEGV, "corrupt_file", "It is damaged."),
        ("exit", 1, "corrupt_file", "It is damaged."),
        ("lack memory", 0, "too_large", "It takes more than 3 GB of memory to read."),
        ("refuse", 0, "wrong", "It is wrong."),
    ],
)
def test_what_a_file_does_to_its_process_the_next_file_does_not_notice(
    ask: Ask, what: str, number: int, reason: str, words: str
) -> None:
    before = ask()
    with pytest.raises(UnreadableFileError) as raised:
        ask(what, number)
    assert raised.value.reason == reason
    assert str(raised.value).startswith(words)
    assert ask()[1] == before[1]


def test_no_room_for_what_is_read_is_not_the_files_fault(ask: Ask) -> None:
    with pytest.raises(OSError, match="No space left on device"):
        ask("fail to write", errno.ENOSPC)


def test_what_native_code_prints_is_no_answer(ask: Ask) -> None:
    assert ask("chatter", file="first")[3] == "first"
    assert ask(file="second")[3] == "second"


def test_a_process_that_takes_too_long_is_ended(ask: Ask, tmp_path: Path) -> None:
    ask()
    with pytest.raises(UnreadableFileError) as raised:
        ask("sleep", 60, wall_seconds=0.2)
    assert raised.value.reason == "too_large"
    process = json.loads((tmp_path / "output").read_text().splitlines()[-1])[0]
    assert not is_running(process)
    assert ask()[0] != process


def test_a_process_that_computes_too_long_is_ended(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "CPU_SECONDS", 1)
    with pytest.raises(UnreadableFileError, match="takes longer than") as raised:
        ask("compute")
    assert raised.value.reason == "too_large"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_asked_to_stop_while_a_file_is_read_does_not_blame_the_file(ask: Ask, number: int) -> None:
    with pytest.raises(StoppedError):
        ask("die", number)
    parent = ask()[1]
    os.kill(parent, number)
    assert ask()[1] == parent, "Ctrl-C comes to the whole group: who forks must stay to tell of it"


def test_where_those_who_fork_were_killed_there_are_others(ask: Ask) -> None:
    parent = ask()[1]
    os.kill(parent, signal.SIGKILL)
    wait_until(lambda: not is_running(parent))
    assert ask(file="next")[1] != parent


def test_an_answer_that_nobody_waited_for_is_not_taken_for_that_of_the_next_file(ask: Ask) -> None:
    class EnoughError(Exception):
        pass

    def enough(_number: int, _frame: FrameType | None) -> None:
        raise EnoughError

    ask()
    former = signal.signal(signal.SIGALRM, enough)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(EnoughError):
            ask("sleep", 1, file="first")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert ask(file="second")[3] == "second"


def test_nobody_is_left_when_the_run_is_killed(program: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    code = (
        "import sys; from pathlib import Path; from pipelines.readers import child\n"
        "program, output = map(Path, sys.argv[1:])\n"
        "child.run(program, Path('file'), output, 'sleep', 60, corrupt='', too_large='')"
    )
    run = subprocess.Popen([sys.executable, "-c", code, str(program), str(output)], env=environment())
    wait_until(lambda: output.is_file() and output.read_text().endswith("\n"))
    process, parent, *_ = json.loads(output.read_text())
    assert is_running(process)
    run.kill()
    run.wait()
    wait_until(lambda: not is_running(process) and not is_running(parent))


def test_a_file_is_not_to_blame_where_those_who_fork_cannot_even_begin(ask: Ask, program: Path) -> None:
    program.write_text("raise MemoryError")
    with pytest.raises(OSError, match="Cannot allocate memory") as raised:
        ask()
    assert "raise the limits" in str(faults.told(raised.value))


def test_a_run_that_is_allowed_less_than_a_reader_may_take_reads_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to = []
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (300, 300))
    monkeypatch.setattr(resource, "setrlimit", lambda _what, limits: set_to.append(limits))
    forks.limit(resource.RLIMIT_CPU, child.CPU_SECONDS)
    forks.limit(resource.RLIMIT_CPU, 60)
    assert set_to == [(300, 300), (60, 300)], "only the superuser may raise a limit"
