"""What the machine refuses, in words for whoever has to see to it: a full disk, a folder not to be written, damage.

Faults of the data are rows, faults of ours are defects: neither comes here. docs/faults.md lists what happens when.
"""

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

AGAIN = (
    "Then run the same command again: what was finished is kept, and of what was not nothing has happened."
    " Nothing is lost."
)
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
_IN_THE_WAY = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
# What a process is given only so much of: files that are open, processes, memory.
_GIVEN = {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM}
_QUOTED = re.compile(r'"(/[^"]+)"')
_HELD_BY = re.compile(r"Conflicting lock is held in (.+?)\. See")
_NO_ROOM_SAID = ("No space left on device", "Disk quota exceeded", "database or disk is full", "failed to offload data")
_NOT_ALLOWED_SAID = ("Permission denied", "Read-only file system", "readonly database", "unable to open database file")
_DAMAGE_SAID = (
    "checksum",
    "Could not read",
    "Corrupt",
    "corrupt",
    "malformed",
    "Serialization Error",
    "INTERNAL Error",
    "FATAL Error",
)


@contextmanager
def naming(path: os.PathLike[str]) -> Iterator[None]:
    """Have what fails inside say which file it was about: writes do not by themselves."""
    try:
        yield
    except OSError as problem:
        if problem.filename is None and problem.errno is not None:
            problem.filename = os.fsdecode(path)
        raise


def told(problem: BaseException) -> str | None:
    """What is wrong with the machine, where, and what to do; None where it is not the machine's fault."""
    if isinstance(problem, OSError):
        return _of_files(problem)
    if isinstance(problem, duckdb.Error):
        return refused(problem) or _of_damage(str(problem))
    if isinstance(problem, sqlite3.Error) or isinstance(getattr(problem, "orig", None), sqlite3.Error):
        return _of_dagsters_records(str(problem))
    return None


def _of_files(problem: OSError) -> str | None:
    where = os.fsdecode(problem.filename) if isinstance(problem.filename, str | bytes) else ""
    # What is written in other languages than Python has the words alone.
    if problem.errno in _NO_ROOM or (problem.errno is None and any(words in str(problem) for words in _NO_ROOM_SAID)):
        return f"There is no room left on the disk{where and ' for ' + where}. Make room. {AGAIN}"
    if problem.errno in _GIVEN:
        return _of_limits(problem.strerror or os.strerror(problem.errno))
    if not where:
        return None
    if problem.errno in _NOT_ALLOWED:
        return f"{where} cannot be used: {problem.strerror}. Give this user the right to read and write there. {AGAIN}"
    if problem.errno in _IN_THE_WAY:
        return f"{where}: {problem.strerror}, so nothing can be written there. Move it out of the way. {AGAIN}"
    if problem.errno == errno.EIO:
        return f"{where}: the disk reports an error ({problem.strerror}). Have the disk checked. {AGAIN}"
    return None


def refused(problem: duckdb.Error) -> str | None:
    """The same for what the machine refuses DuckDB: room, rights, memory, a file that another program has open.

    None for anything else, damage too.
    """
    said = str(problem)
    where = found[1] if (found := _QUOTED.search(said)) else "the ledger"
    if any(words in said for words in _NO_ROOM_SAID):
        return f"There is no room left on the disk for {where}. Make room. {AGAIN}"
    if any(words in said for words in _NOT_ALLOWED_SAID):
        return f"{where} cannot be used: {first_line(said)}. Give this user the right to read and write there. {AGAIN}"
    if (too_many := os.strerror(errno.EMFILE)) in said:
        return _of_limits(too_many)
    if "Could not set lock on file" in said:
        holder = found[1] if (found := _HELD_BY.search(said)) else "another program"
        return (
            f"{where} is open in {holder}. Close it there; who reads opens the copy for readers, -read.duckdb. {AGAIN}"
        )
    if said.startswith("Out of Memory"):
        return (
            f"There is not enough memory for this: {first_line(said)}. Have other programs use less, or give the"
            f" machine more. {AGAIN}"
        )
    return None


def _of_limits(said: str) -> str:
    return (
        f"The machine does not give this run what it needs ({said}). Have other programs use less, or raise the limits"
        f" that this one runs under (ulimit -a shows them; those of a service are its own). {AGAIN}"
    )


def _of_damage(said: str) -> str | None:
    if any(words in said for words in _DAMAGE_SAID):
        return (
            f"A ledger is damaged ({first_line(said)}). Nothing is lost: the archive and the journal hold all of it."
            " Run `rollforward rebuild` to make the ledger again from them, then the same command again."
        )
    return None


def _of_dagsters_records(said: str) -> str:
    """Dagster keeps what it knows of runs in SQLite files of the home's .dagster folder."""
    if any(words in said for words in _NO_ROOM_SAID):
        return f"There is no room left on the disk for Dagster's records of runs (.dagster). Make room. {AGAIN}"
    if any(words in said for words in _NOT_ALLOWED_SAID):
        what = "Dagster's records of runs (.dagster) cannot be used."
        return f"{what} Give this user the right to read and write there. {AGAIN}"
    if "database is locked" in said:
        return (
            "Dagster's records of runs (.dagster) are in use by another process, which does not let go of them: a"
            " command that was halted (Ctrl-Z; fg lets it go on), or a program that has one of their files open. Let it"
            f" come to its end, or stop it. {AGAIN}"
        )
    return (
        f"Dagster's records of runs (.dagster) cannot be used: {first_line(said)}. See that the disk has room."
        " If it stays so, stop Dagster's pages and daemon, and move .dagster out of the home: it holds when what ran,"
        f" and nothing of the ledger. {AGAIN} The command makes .dagster anew, without which neither starts."
    )


def first_line(text: str) -> str:
    """What an error says before it goes into details, as a part of a sentence."""
    return text.splitlines()[0].rstrip(".")
