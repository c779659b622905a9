"""What is fuzzed: each reader, and the grammar, in this process, on bytes that nobody has thought of.

A target takes bytes and returns. An exception is a finding, whatever it is: `UnreadableFileError`, which is how a
reader refuses a file, is none and is caught here. So is a row that is lost, counted twice, or read differently by the
two ways in which CSV is read. What a crash in native code leaves behind is the fuzzer's to keep.
"""

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from pipelines import clock, grammar, readers
from pipelines.datasets import ENTRIES
from pipelines.readers import Kind, Shape, UnreadableFileError, csv_file, parquet_child, xlsx_child, xlsx_file

SHAPE = Shape(ENTRIES.columns, ENTRIES.required, frozenset({"Colour"}))
SHEET = "xl/worksheets/sheet1.xml"
# Cells so far apart that the reader is meant to run out of memory, in a process of its own: no finding, but it would
# be the end of this one.
MOST_CELLS = 2_000_000
CELL = re.compile(rb"""r=["']([A-Za-z]*)([0-9]{0,20})["']""")
YEARS = re.compile(r"19[7-9][0-9]-|2[01][0-9]{2}-")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
AMOUNT = re.compile(r"-?(?:[0-9]{1,3}(?:,[0-9]{3})*|[0-9]+)(?:\.[0-9]+)?")
INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    r"(?:(Z)|([+-])([0-9]{2})(?::?([0-9]{2}))?)?)?"
)


class Target(Protocol):
    """Something that reads bytes."""

    def __call__(self, content: bytes, /) -> None: ...


class _Bench:
    """A connection, a file and a folder that inputs are read with, one after the other."""

    def __init__(self) -> None:
        # In memory, where there is any: a fuzzer writes more than a disk likes.
        memory = Path("/dev/shm")  # noqa: S108 - a folder of its own in it
        self._folder = TemporaryDirectory(prefix="rollforward-fuzz-", dir=memory if memory.is_dir() else None)
        self.file = Path(self._folder.name) / "file"
        self.scratch = Path(self._folder.name) / "scratch"
        self.scratch.mkdir()
        self.sql = duckdb.connect(config={"threads": "1"})
        self.sql.execute("set TimeZone = 'UTC'")
        self.sql.execute("attach ':memory:' as staging")

    def outcome(self, kind: Kind) -> Any:
        """What comes of the file: its rows and those set aside, or the reason why it is refused."""
        try:
            read = readers.read(self.sql, self.file, kind, SHAPE, encoding="cp1252", scratch=self.scratch)
        except UnreadableFileError as problem:
            _hold_for_people(str(problem))
            return problem.reason
        rows = self.sql.execute("from staging.raw order by source_row").fetchall()
        aside = self.sql.execute("from staging.malformed order by source_row").fetchall()
        numbers = [row[0] for row in (*rows, *aside)]
        assert len(set(numbers)) == len(numbers) == read.rows_read, "a row is lost or there twice"
        assert read.malformed == len(aside)
        assert all(explanation for *_, explanation, _ in aside), "a row is set aside without a reason"
        return rows, aside


def _hold_for_people(message: str) -> None:
    assert message.endswith("."), message
    assert "\n" not in message, message
    assert "Error" not in message or "Column" in message, message


def csv() -> Target:
    """CSV: both ways of reading it come to the same."""
    bench = _Bench()
    at_once = csv_file._read_at_once

    def read(content: bytes) -> None:
        bench.file.write_bytes(content)
        found = bench.outcome("csv")
        csv_file._read_at_once = lambda *_: None
        try:
            again = bench.outcome("csv")
        finally:
            csv_file._read_at_once = at_once
        assert found == again, "the two ways of reading CSV differ"

    return read


def jsonl() -> Target:
    """JSON Lines: every line that is not blank is a row."""
    bench = _Bench()

    def read(content: bytes) -> None:
        bench.file.write_bytes(content)
        found = bench.outcome("jsonl")
        if isinstance(found, str):
            return
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return
        if "\0" not in text:
            lines = sum(1 for line in text.split("\n") if re.search(r"[^\s\x85\x1c-\x1f]|[\x85\x1c-\x1f]", line))
            assert len(found[0]) + len(found[1]) == lines, "a line is lost"

    return read


def parquet() -> Target:
    """Parquet: what the reader's own process does to the file, and then what is read of its output."""
    bench = _Bench()
    output = bench.scratch.parent / "cells.arrow"

    def read(content: bytes) -> None:
        bench.file.write_bytes(content)
        output.unlink(missing_ok=True)
        try:
            parquet_child.convert(str(bench.file), str(output), ".", SHAPE.columns, 2_000_000_000)
        except parquet_child.FileError as problem:
            _hold_for_people(problem.args[1])

    return read


def xlsx() -> Target:
    """XLSX: a whole file, or only the XML of a sheet, which is put into a workbook."""
    bench = _Bench()
    output = str(bench.scratch.parent / "cells.arrow")
    around = _workbook_parts()

    def read(content: bytes) -> None:
        if not content.startswith(b"PK"):
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as parts:
                for name, part in around.items():
                    parts.writestr(name, content if name == SHEET else part)
            content = packed.getvalue()
        if _is_meant_to_be_too_large(content):
            return
        bench.file.write_bytes(content)
        try:
            xlsx_file._check_zip(bench.file)
        except UnreadableFileError as problem:
            _hold_for_people(str(problem))
            return
        try:
            xlsx_child.convert(str(bench.file), output, ".")
        except xlsx_child.FileError as problem:
            _hold_for_people(problem.args[1])
            return
        with pa.OSFile(output) as file, pa.ipc.open_stream(file) as batches:
            numbers = [number for batch in batches for number in batch["source_row"].to_pylist()]
        assert numbers
        assert sorted(set(numbers)) == numbers, "a row is there twice, or out of order"

    return read


def _is_meant_to_be_too_large(content: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            texts = [parts.read(info) for info in parts.infolist() if info.file_size < MOST_CELLS and _is_plain(info)]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError, KeyError):
        texts = []
    except Exception:  # noqa: BLE001 - zlib.error and the like: the reader's own look comes next
        texts = []
    for text in (*texts, content):
        rows = columns = 1
        for letters, number in CELL.findall(text):
            rows = max(rows, int(number or 1))
            columns = max(columns, xlsx_child.column_number(letters.upper()[-8:]) + 1 if letters else 1)
        if rows * columns > MOST_CELLS:
            return True
    return False


def _is_plain(info: zipfile.ZipInfo) -> bool:
    return not info.flag_bits & 1


def _workbook_parts() -> Mapping[str, bytes]:
    import xlsxwriter

    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["entry_id", "amount", "reason"])
        sheet.write_row(1, 0, ["a", 1.5, True])
    with zipfile.ZipFile(file) as parts:
        return {name: parts.read(name) for name in parts.namelist()}


def values() -> Target:
    """The grammar of amounts and instants, a value a line, against the same rules written a second time."""
    sql = duckdb.connect(config={"threads": "1"})
    sql.execute("set TimeZone = 'UTC'")
    clock.register(sql)
    grammar.register(sql)

    def read(content: bytes) -> None:
        lines = [line for line in content.decode("utf-8", "ignore").split("\n")[:50] if line]
        for said, is_amount, plain, amount, instant, day in sql.execute(
            "select said, is_amount(said, false), plain_amount(said, false),"
            " try_cast(plain_amount(said, false) as decimal(18, 4)),"
            " epoch_us(instant_of(said, 'America/New_York')), is_day(said) from (select unnest($said) as said)",
            {"said": lines},
        ).fetchall():
            assert is_amount == bool(AMOUNT.fullmatch(said)), said
            if is_amount and amount is not None:
                assert abs(Decimal(plain) - amount) < Decimal("0.0001"), said
            # Other years are refused, whatever they come to.
            if YEARS.match(said):
                assert instant == _instant(said), said
            assert not day or DAY.fullmatch(said), said

    return read


def _instant(said: str) -> int | None:
    """Microseconds since 1970; None for what is no instant."""
    found = INSTANT.fullmatch(said)
    if not found:
        return None
    day, minute, second, fraction, zulu, sign, hours, minutes = found.groups()
    try:
        local = datetime.strptime(f"{day} {minute or '00:00'}:{second or '00'}", "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007
    except ValueError:
        return None
    local += timedelta(microseconds=int((fraction or "0").ljust(6, "0")[:6]))
    if zulu or sign:
        if int(hours or 0) > 23 or int(minutes or 0) > 59:
            return None
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
        utc = local.replace(tzinfo=UTC) - offset
    else:
        utc = clock.utc_from_local(local, "America/New_York")
    return (utc - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


TARGETS: Mapping[str, Callable[[], Target]] = {
    "csv": csv, "jsonl": jsonl, "parquet": parquet, "xlsx": xlsx, "values": values,
}  # fmt: skip
