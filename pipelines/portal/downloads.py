"""Files that people take away: published workbooks, a month of them as a zip, and listings as CSV and XLSX.

A workbook is served as it was published, or not at all; viewers get its masked edition.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import polars as pl
from starlette.responses import FileResponse

from pipelines import listings
from pipelines.portal.masking import mask
from pipelines.settings import Home

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_WRITERS: Mapping[str, tuple[Callable[[pl.DataFrame, Path], None], str]] = {
    "csv": (listings.write_csv, "text/csv; charset=utf-8"),
    "xlsx": (listings.write_xlsx, XLSX),
}
# What an entry of a zip is dated by, as the workbook's own parts are.
_DATED = (1980, 1, 1, 0, 0, 0)


class GoneError(Exception):
    """A workbook that is not where it was published, or not as it was, and what to do."""


@dataclass(frozen=True)
class Workbook:
    """A published workbook: a row of ledger.published."""

    path: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's own name: of a declared merchant's id and of dates."""
        return Path(self.path).name

    def file(self, home: Home) -> Path:
        """Where it is, its content being what was published. Raises GoneError."""
        reports = home.reports.resolve()
        file = (reports / self.path).resolve()
        if not file.is_relative_to(reports) or not file.is_file():
            raise GoneError(
                f"{self.name} is not in the reports folder any more. Run the report of its period again: it is"
                " written as it was."
            )
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        if sha256 != self.sha256:
            raise GoneError(
                f"{self.name} is not the file that was published (its SHA-256 is {sha256}, published was"
                f" {self.sha256}), so it is not given out. Run the report of its period again: it is written as it was."
            )
        return file

    def size_bytes(self, home: Home) -> int | None:
        """How large it is; None where it is gone."""
        try:
            return (home.reports / self.path).stat().st_size
        except OSError:
            return None


def masked_name(name: str) -> str:
    """What the masked edition of a workbook is called."""
    return name.removesuffix(".xlsx") + "-masked.xlsx"


def workbook(home: Home, published: Workbook, *, masked: bool) -> FileResponse:
    """The workbook as an attachment. Raises GoneError."""
    file = published.file(home)
    if not masked:
        return FileResponse(file, media_type=XLSX, filename=published.name)
    with _kept() as (made, answer):
        mask(file, made)
        return answer(XLSX, masked_name(published.name))


def month(home: Home, name: str, workbooks: Iterable[Workbook], *, masked: Callable[[Workbook], bool]) -> FileResponse:
    """Workbooks as one zip. Raises GoneError where one of them is not as it was published."""
    with _kept() as (made, answer):
        with ZipFile(made, "w", ZIP_STORED) as archive:
            for published in workbooks:
                file, hide = published.file(home), masked(published)
                told = ZipInfo(masked_name(published.name) if hide else published.name, _DATED)
                with archive.open(told, "w", force_zip64=True) as part:
                    if hide:
                        with tempfile.TemporaryFile() as edition:
                            mask(file, edition)
                            edition.seek(0)
                            shutil.copyfileobj(edition, part)
                    else:
                        with file.open("rb") as opened:
                            shutil.copyfileobj(opened, part)
        return answer("application/zip", name)


def table(rows: pl.DataFrame, name: str, kind: str) -> FileResponse:
    """A listing as `csv` or `xlsx`."""
    write, media_type = _WRITERS[kind]
    with _kept() as (made, answer):
        write(rows, Path(made.name))
        return answer(media_type, f"{name}.{kind}")


@contextmanager
def _kept() -> Iterator[tuple[IO[bytes], Callable[[str, str], FileResponse]]]:
    """A temporary file, and how it is answered with: it is deleted once sent, or if anything goes wrong before."""
    with tempfile.NamedTemporaryFile(prefix="rollforward-", delete=False) as made:
        path = Path(made.name)

        def answer(media_type: str, filename: str) -> FileResponse:
            made.flush()
            return _Passing(path, media_type=media_type, filename=filename)

        try:
            yield made, answer
        except BaseException:
            path.unlink(missing_ok=True)
            raise


class _Passing(FileResponse):
    """A file that is gone once it has been sent, or its receiver has."""

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(path, **options)
        self._passing = path

    async def __call__(self, *asgi: Any) -> None:
        try:
            await super().__call__(*asgi)
        finally:
            self._passing.unlink(missing_ok=True)
