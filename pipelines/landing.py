"""What lies in landing/: whose files they are, of which dataset, and whether they have come to rest.

Only names and times are looked at here; what is in a file, and what becomes of it, is not known.
"""

import os
import stat
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipelines import stopping
from pipelines.datasets import DATASETS, Dataset
from pipelines.settings import Home

# Hidden files, and what Excel puts beside a workbook while somebody has it open.
NO_FILES_OF_ROWS = (".", "~$")
UNFINISHED_ENDINGS = (".part", ".tmp")
# A file that somebody is still copying keeps changing. Runs that nobody watches let it come to rest.
SETTLED_S = 10.0


@dataclass(frozen=True)
class Landed:
    """A file in landing/."""

    dataset: Dataset
    path: Path
    name: str
    size_bytes: int
    # Of its inode, which no copying program sets to that of its source: a file put in the place of another may have
    # the same size and the same time of modification.
    changed_ns: int

    def rested_s(self) -> float:
        """How long ago the file last changed."""
        return abs(time.time() - self.changed_ns / 1e9)


def landed_files(home: Home, merchant_id: str, warnings: list[str]) -> Iterator[Landed]:
    """The merchant's complete files, by dataset and name. Only plain files: a link could lead anywhere."""
    folder = home.landing / merchant_id
    if not folder.is_dir():
        warnings += _in_its_place(folder, f"landing/{merchant_id}")
        return
    warnings += [
        f"landing/{merchant_id}/{_shown(below.name)} is no dataset and was left alone; "
        f"datasets are {', '.join(DATASETS)}."
        for below in sorted(folder.iterdir())
        if below.name not in DATASETS and not below.name.startswith(".")
    ]
    for dataset in DATASETS.values():
        if (folder / dataset.name).is_symlink():
            warnings.append(f"landing/{merchant_id}/{dataset.name} is a link and was left alone.")
            continue
        if not (folder / dataset.name).is_dir():
            warnings += _in_its_place(folder / dataset.name, f"landing/{merchant_id}/{dataset.name}")
            continue
        for path in sorted((folder / dataset.name).iterdir()):
            if path.name.startswith(NO_FILES_OF_ROWS) or path.name.endswith(UNFINISHED_ENDINGS):
                continue
            name = f"{merchant_id}/{dataset.name}/{_shown(path.name)}"
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue  # taken away since the folder was listed
            if not stat.S_ISREG(status.st_mode):
                warnings.append(f"landing/{name} is no plain file and was left alone.")
                continue
            yield Landed(dataset, path, name, status.st_size, status.st_ctime_ns)


def settled_files(home: Home, merchant_id: str, settled_s: float, warnings: list[str]) -> Iterator[Landed]:
    """Those of the merchant's files that are at rest, or come to it while this waits for the one that changed last."""
    if settled_s:
        youngest_s = min((landed.rested_s() for landed in landed_files(home, merchant_id, [])), default=settled_s)
        stopping.pause(max(settled_s - youngest_s, 0.0))
    for landed in landed_files(home, merchant_id, warnings):
        if landed.rested_s() >= settled_s:
            yield landed
        else:
            warnings.append(f"landing/{landed.name} is still changing; it is taken when it has come to rest.")


def _in_its_place(folder: Path, name: str) -> list[str]:
    """What to say of what is there instead of a folder of landing/: `cp may.csv entries` makes a file of that name."""
    try:
        # Not exists: where this user may not look, later versions of Python say no.
        folder.stat()
    except FileNotFoundError:
        if not folder.is_symlink():
            return []
        return [f"{name} is a link to a folder that is not there, so none of its files was taken. Is its disk mounted?"]
    return [f"{name} is no folder and was left alone. If it is a file of rows, move it into a folder of that name."]


def undeclared_merchants(home: Home, declared: Collection[str]) -> list[str]:
    """A warning for each folder of landing/ that no merchant in merchants.toml has."""
    if not home.landing.is_dir():
        return _in_its_place(home.landing, "landing")
    return [
        f"landing/{_shown(folder.name)} belongs to no merchant of merchants.toml and was left alone."
        for folder in sorted(home.landing.iterdir())
        if folder.name not in declared and not folder.name.startswith(".")
    ]


def _shown(file_name: str) -> str:
    """A file name as text that can be stored and printed, whatever bytes it has; no two names give the same text."""
    return "".join(c if c.isprintable() and c != "\\" else ascii(c)[1:-1] for c in file_name)


def kind_of(name: str) -> str:
    """What the ending of a file's name says it is."""
    return name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name.rpartition("/")[2] else ""


def open_plain(path: Path) -> BinaryIO:
    """Open what was a plain file a moment ago. By now it may be a link, which is not followed, or a pipe."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
