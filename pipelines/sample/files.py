"""The sample's landing files: rows of entries and of other datasets, in the formats of their sources.

What the rows say is in `pipelines.sample.world`.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Protocol

import polars as pl

from pipelines import clock
from pipelines.sample.merchants import Profile

DAY_S = 86_400
FILE_COLUMNS = (
    *("entry_id", "entry_type", "occurred_at", "member_id", "balance_type", "amount", "credit_id", "redemption_id"),
    *("transfer_id", "batch_id", "credit_type", "reason", "reason_details", "internal_note", "creator_name"),
    *("creator_email", "approved_by", "location", "priority", "expires_at", "issued_at", "original_amount", "system"),
)
TIMES = {"occurred_at": "at", "expires_at": "expires", "issued_at": "issued"}
PARQUET_COLUMNS = tuple(name for name in FILE_COLUMNS if name not in {"balance_type", "transfer_id"})
JSON_COLUMNS = tuple(name for name in FILE_COLUMNS if name not in {"internal_note", "approved_by", "location"})
SHEET_COLUMNS = (
    *("entry_id", "entry_type", "occurred_at", "member_id", "amount", "credit_type", "reason", "reason_details"),
    *("creator_name", "creator_email", "expires_at"),
)
SHEET_CREATED = datetime(2026, 11, 1, tzinfo=UTC)


def as_text(profile: Profile, rows: pl.DataFrame) -> pl.DataFrame:
    """Every column as the source writes it: times local without offset, or UTC with Z; whole days as dates."""

    def instant(name: str) -> pl.Expr:
        if not profile.utc:
            return pl.from_epoch(name, "s").dt.to_string("%Y-%m-%dT%H:%M:%S")
        return pl.lit(pl.from_epoch(_utc(profile, rows[name]), "s").dt.to_string("%Y-%m-%dT%H:%M:%SZ"))

    def date_if(is_whole: pl.Expr, name: str) -> pl.Expr:
        return pl.when(is_whole).then(pl.from_epoch(name, "s").dt.to_string("%Y-%m-%d")).otherwise(instant(name))

    said = rows.with_columns(
        occurred_at=date_if(pl.col("at") % DAY_S == 0, "at"),
        expires_at=date_if(pl.col("expires") % DAY_S == DAY_S - 1, "expires"),
        issued_at=date_if(pl.col("issued") % DAY_S == 0, "issued"),
    )
    if profile.decimal_comma:
        said = said.with_columns(pl.col("amount", "original_amount").str.replace(".", ",", literal=True))
    return said.select(FILE_COLUMNS)


def as_typed(profile: Profile, rows: pl.DataFrame) -> pl.DataFrame:
    """As a database exports it: instants, decimals and whole numbers."""
    instants = {
        name: pl.from_epoch(_utc(profile, rows[column]), "s").cast(pl.Datetime("us", "UTC"))
        for name, column in TIMES.items()
    }
    decimals = pl.col("amount", "original_amount").cast(pl.Decimal(18, profile.decimals))
    return rows.with_columns(decimals, pl.col("priority").cast(pl.Int64), **instants).select(PARQUET_COLUMNS)


def _utc(profile: Profile, local: pl.Series) -> pl.Series:
    """Local seconds as seconds since 1970 UTC."""
    filled = local.fill_null(0).to_numpy() * clock.SECOND_US
    instants = pl.Series(clock.utc_micros(filled, profile.timezone) // clock.SECOND_US)
    return pl.select(pl.when(local.is_not_null()).then(instants)).to_series()


class File(Protocol):
    """A file in the making, to which rows are appended."""

    def append(self, rows: pl.DataFrame) -> None:
        """Rows of text; of entries: as `_as_frame` makes them."""

    def append_line(self, row: Mapping[str, str | None], *, ragged: bool = False) -> None:
        """One row, whatever its values are."""

    def close(self) -> None:
        """Write what is left."""


class _Csv:
    """Commas; semicolons where the merchant's decimals have commas. A ragged line is one that quotes nothing."""

    def __init__(self, path: Path, profile: Profile) -> None:
        self._profile = profile
        self._separator = ";" if profile.decimal_comma else ","
        self._file: IO[bytes] = path.open("wb")
        self._is_empty = True

    def append(self, rows: pl.DataFrame) -> None:
        if "at" in rows.columns:
            rows = as_text(self._profile, rows)
        rows.write_csv(self._file, include_header=self._is_empty, separator=self._separator)
        self._is_empty = False

    def append_line(self, row: Mapping[str, str | None], *, ragged: bool = False) -> None:
        lines = io.StringIO()
        if self._is_empty:
            lines.write(self._separator.join(FILE_COLUMNS) + "\n")
            self._is_empty = False
        cells = [row[name] or "" for name in FILE_COLUMNS]
        if ragged:
            lines.write(self._separator.join(cells) + "\n")
        else:
            csv.writer(lines, delimiter=self._separator, lineterminator="\n").writerow(cells)
        self._file.write(lines.getvalue().encode())

    def close(self) -> None:
        self._file.close()


class _JsonLines:
    """Amounts as numbers, times in UTC with Z."""

    def __init__(self, path: Path, profile: Profile) -> None:
        self._profile = profile
        self._file: IO[bytes] = path.open("wb")

    def append(self, rows: pl.DataFrame) -> None:
        said = as_text(self._profile, rows).select(JSON_COLUMNS)
        numbers = pl.col("amount", "original_amount").cast(pl.Float64)
        said.with_columns(numbers, pl.col("priority").cast(pl.Int64)).write_ndjson(self._file)

    def append_line(self, row: Mapping[str, str | None], *, ragged: bool = False) -> None:
        assert not ragged, "a JSON object has its columns by name"
        self._file.write(json.dumps({name: row[name] for name in JSON_COLUMNS}, ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        self._file.close()


class _Parquet:
    """A database's own types; a row group for each append."""

    def __init__(self, path: Path, profile: Profile) -> None:
        self._path = path
        self._profile = profile
        self._writer: Any = None

    def append(self, rows: pl.DataFrame) -> None:
        import pyarrow.parquet as pq

        table = as_typed(self._profile, rows).to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table)

    def append_line(self, row: Mapping[str, str | None], *, ragged: bool = False) -> None:
        raise NotImplementedError("a value of another type has no place in a typed file")

    def close(self) -> None:
        if self._writer is not None:
            try:
                self._writer.close()
            except OSError:
                # Or it tries again when it is forgotten, and complains.
                self._writer.is_open = False
                raise


class _Sheet:
    """A small XLSX that somebody keeps by hand: real dates and numbers, and now and then a word instead."""

    def __init__(self, path: Path, profile: Profile) -> None:
        import xlsxwriter

        del profile
        self._path = path
        # In memory: on a full disk a ZIP file that could not be closed complains once more when it is forgotten.
        self._made = io.BytesIO()
        self._book = xlsxwriter.Workbook(self._made, {"default_date_format": "yyyy-mm-dd hh:mm"})
        self._book.set_properties({"title": "Front desk credits", "created": SHEET_CREATED.replace(tzinfo=None)})
        self._sheet = self._book.add_worksheet("Credits")
        self._sheet.write_row(0, 0, SHEET_COLUMNS)
        self._sheet.set_column(0, len(SHEET_COLUMNS) - 1, 20)
        self._day = self._book.add_format({"num_format": "yyyy-mm-dd"})
        self._rows = 0

    def append(self, rows: pl.DataFrame) -> None:
        for row in rows.iter_rows(named=True):
            self._rows += 1
            for column, name in enumerate(SHEET_COLUMNS):
                self._write(self._rows, column, row, name)

    def append_line(self, row: Mapping[str, str | None], *, ragged: bool = False) -> None:
        raise NotImplementedError("write it as a story: a sheet's cells hold anything")

    def _write(self, number: int, column: int, row: Mapping[str, Any], name: str) -> None:
        value = row[TIMES.get(name, name)]
        if value is None:
            return
        if name == "amount" and value.replace(".", "", 1).isdigit():
            self._sheet.write_number(number, column, float(value))
        elif name == "occurred_at":
            self._sheet.write_datetime(number, column, _local(value))
        elif name == "expires_at":
            self._sheet.write_datetime(number, column, _local(value).replace(hour=0, minute=0, second=0), self._day)
        else:
            self._sheet.write_string(number, column, value)

    def close(self) -> None:
        self._book.close()
        self._path.write_bytes(self._made.getvalue())


def _local(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


FILE_KINDS: Mapping[str, Callable[[Path, Profile], File]] = {
    "csv": _Csv,
    "jsonl": _JsonLines,
    "parquet": _Parquet,
    "xlsx": _Sheet,
}


class Landing:
    """The files of one dataset of one merchant: under a name that nobody reads until all of them are whole."""

    def __init__(self, folder: Path, profile: Profile) -> None:
        self._folder = folder
        self._profile = profile
        self._files: dict[Path, File] = {}

    def __enter__(self) -> "Landing":
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with ExitStack() as closing:
            for file in self._files.values():
                closing.callback(file.close)
        for path in self._files if kind is None else ():
            _unfinished(path).replace(path)

    def file(self, name: str, kind: str) -> File:
        path = self._folder / f"{name}.{kind}"
        if path not in self._files:
            self._files[path] = FILE_KINDS[kind](_unfinished(path), self._profile)
        return self._files[path]

    def rows(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> int:
        """A CSV of these rows, where there are any; how many there are."""
        if rows:
            frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
            self.file(name, "csv").append(frame)
        return len(rows)

    def paths(self) -> list[Path]:
        return sorted(self._files)


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")
