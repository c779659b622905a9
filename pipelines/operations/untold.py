"""Operations whose result nobody has been told: each has a file, from before its event until the command or the run of
Dagster's UI has said it.

A run that is killed in between leaves the file behind. Whoever then asks the same again is told what was done, and it
is not done twice. While its process lives it holds the file's lock: who asks the same meanwhile is somebody else.
Previews need none of this: a preview is processed once.
"""

import fcntl
import os
from pathlib import Path

from pipelines import liveness
from pipelines.journal import make_folder, write_whole
from pipelines.settings import Home

_held: dict[str, int] = {}


def remember(home: Home, merchant_id: str, operation_id: str) -> None:
    """Before the operation is recorded; on disk when this returns."""
    make_folder(_folder(home, merchant_id))
    path = _folder(home, merchant_id) / operation_id
    write_whole(path, b"")
    # Others look for it when they have the ledger, which this process has now.
    _held[operation_id] = os.open(path, os.O_RDWR)
    fcntl.flock(_held[operation_id], fcntl.LOCK_EX)


def ids(home: Home, merchant_id: str) -> list[str]:
    """The operations that were begun and not told of by processes that are gone, recorded or not."""
    folder = _folder(home, merchant_id)
    left = (path for path in folder.iterdir() if path.name[0] != ".") if folder.is_dir() else ()
    return sorted(path.name for path in left if liveness.is_free(path))


def forget(home: Home, merchant_id: str, operation_id: str) -> None:
    """Once its result has been said."""
    (_folder(home, merchant_id) / operation_id).unlink(missing_ok=True)
    if operation_id in _held:
        os.close(_held.pop(operation_id))


def _folder(home: Home, merchant_id: str) -> Path:
    return home.ledgers / "untold" / merchant_id
