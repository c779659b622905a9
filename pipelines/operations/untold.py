"""Operations whose result nobody has been told: each has a file, from before its event until the command or the run of
Dagster's UI has said it.

A run that is killed in between leaves the file behind. Whoever then asks the same again is told what was done, and it
is not done twice. Previews need none of this: a preview is processed once.
"""

from pathlib import Path

from pipelines.journal import make_folder, write_whole
from pipelines.settings import Home


def remember(home: Home, merchant_id: str, operation_id: str) -> None:
    """Before the operation is recorded; on disk when this returns."""
    make_folder(_folder(home, merchant_id))
    write_whole(_folder(home, merchant_id) / operation_id, b"")


def ids(home: Home, merchant_id: str) -> list[str]:
    """The operations that were begun and not told of, whether they came to be recorded or not."""
    folder = _folder(home, merchant_id)
    return sorted(path.name for path in folder.iterdir() if path.name[0] != ".") if folder.is_dir() else []


def forget(home: Home, merchant_id: str, operation_id: str) -> None:
    """Once its result has been said."""
    (_folder(home, merchant_id) / operation_id).unlink(missing_ok=True)


def _folder(home: Home, merchant_id: str) -> Path:
    return home.ledgers / "untold" / merchant_id
