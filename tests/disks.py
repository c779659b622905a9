"""Disks of a test's own: small ones that fill up, and folders that nobody may write, whoever runs the tests.

Rights do not stop the superuser, so these are real file systems, which only the superuser may mount.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BALLAST = ".ballast"


@contextmanager
def small_disk(path: Path, size_mb: int) -> Iterator[Path]:
    """A file system of that size at `path`, with what the folder held. Its content is gone when the context ends."""
    path.mkdir(parents=True, exist_ok=True)
    with _mounted(path, "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs"):
        yield path


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """The folder, with all that is in it, but not to be written."""
    with _mounted(path, "--bind", str(path)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(path)], check=True)
        yield


def fill(disk: Path, but_bytes: int = 0) -> None:
    """Leave room on the disk for so many bytes; with more than it has, all of it."""
    make_room(disk)
    status = os.statvfs(disk)
    if (taken := status.f_bavail * status.f_frsize - but_bytes) > 0:
        with (disk / BALLAST).open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, taken)


def make_room(disk: Path) -> None:
    """Give back what `fill` took."""
    (disk / BALLAST).unlink(missing_ok=True)


@contextmanager
def _mounted(path: Path, *how: str) -> Iterator[None]:
    done = subprocess.run(["mount", *how, str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"file systems cannot be mounted here, as the superuser can: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
