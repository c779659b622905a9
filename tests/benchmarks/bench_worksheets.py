"""The worksheet writer: a frame in memory to a closed file, beside XlsxWriter cell by cell and a writer in Rust.

All write the same sheet, Credits Created: ten columns of text, two amounts, three times, one boolean, with formats,
a bold header, a frozen pane and a filter. The peak is that of a process of its own, which also makes the frame.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import xlsxwriter
from rustpy_xlsxwriter import FastExcel

from pipelines.worksheets import Column, FrameWorkbook
from tests.benchmarks import Goal

SHEET = "Credits Created"
ROUNDS = 3

CELL_BY_CELL = "XlsxWriter cell by cell"
RUST = "rustpy-xlsxwriter"
CELL_BY_CELL_RATIO = f"times as fast as {CELL_BY_CELL}"
RUST_RATIO = f"times as fast as {RUST}"
PEAK = "peak memory, MB"
GOALS = {
    CELL_BY_CELL_RATIO: Goal("at least", 12),
    RUST_RATIO: Goal("at least", 1.5),
    PEAK: Goal("under", 1_500),
}


def run(quick: bool = False) -> dict[str, float]:
    """Seconds of each writer (medians of runs taken in turn), the ratios, and what a large sheet takes."""
    frame = credits_created(5_000 if quick else 100_000)
    # Rust's writer has no decimals: it is given floats, made beforehand.
    floats = frame.with_columns(pl.col(pl.Decimal).cast(pl.Float64))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "book.xlsx"
        # The faster of XlsxWriter's two ways, judged by a tenth of the frame.
        tenth = frame.head(frame.height // 10)
        memory = min((False, True), key=lambda constant: timed(lambda: cell_by_cell(path, tenth, constant=constant)))
        writers: dict[str, Callable[[], object]] = {
            "ours": lambda: ours(path, frame),
            RUST: lambda: in_rust(path, floats),
            CELL_BY_CELL: lambda: cell_by_cell(path, frame, constant=memory),
        }
        seconds: dict[str, list[float]] = {name: [] for name in writers}
        sizes: dict[str, float] = {}
        for _ in range(ROUNDS):
            for name, write in writers.items():
                # The fast ones thrice a round: what else runs on the machine moves a short run more than a long one.
                seconds[name] += [timed(write) for _ in range(1 if name == CELL_BY_CELL else 3)]
                sizes[name] = path.stat().st_size
    cells = frame.height * frame.width
    median = {name: statistics.median(taken) for name, taken in seconds.items()}
    alone = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bench_worksheets", "--large", str(50_000 if quick else 1_000_000)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    large = json.loads(alone.stdout)
    return {
        **{f"{name}, s for {cells:,} cells": taken for name, taken in median.items()},
        **{f"{name}, cells/s": cells / taken for name, taken in median.items()},
        **{f"{name}, MB on disk": size / 1e6 for name, size in sizes.items()},
        CELL_BY_CELL_RATIO: median[CELL_BY_CELL] / median["ours"],
        RUST_RATIO: median[RUST] / median["ours"],
        **large,
    }


def timed(write: Callable[[], object]) -> float:
    started = time.perf_counter()
    write()
    return time.perf_counter() - started


def ours(path: Path, frame: pl.DataFrame) -> None:
    with FrameWorkbook(path) as book:
        book.add_frame(SHEET, frame, [Column(name, kind_of(dtype)) for name, dtype in frame.schema.items()])


def kind_of(dtype: pl.DataType) -> Any:
    return {pl.String: "text", pl.Boolean: "boolean", pl.Datetime: "datetime"}.get(dtype.base_type(), "amount")


def in_rust(path: Path, frame: pl.DataFrame) -> None:
    book = FastExcel(str(path)).format(
        float_format="#,##0.00", datetime_format="yyyy-mm-dd hh:mm:ss", bold_headers=True
    )
    book.freeze(row=1).sheet(SHEET, frame, autofilter=True, column_width=20).save()


def cell_by_cell(path: Path, frame: pl.DataFrame, *, constant: bool) -> None:
    with xlsxwriter.Workbook(path, {"constant_memory": constant}) as book:
        sheet = book.add_worksheet(SHEET)
        bold = book.add_format({"bold": True})
        amount = book.add_format({"num_format": "#,##0.00"})
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        writers = {
            "text": (sheet.write_string, None),
            "boolean": (sheet.write_boolean, None),
            "datetime": (sheet.write_datetime, moment),
            "amount": (sheet.write_number, amount),
        }
        for column, name in enumerate(frame.columns):
            sheet.write_string(0, column, name, bold)
            sheet.set_column(column, column, 20)
        columns = [(at, *writers[kind_of(dtype)]) for at, dtype in enumerate(frame.dtypes)]
        for row, values in enumerate(frame.iter_rows(), start=1):
            for column, write, shown in columns:
                if values[column] is not None:
                    write(row, column, values[column], shown)
        sheet.autofilter(0, 0, frame.height, frame.width - 1)
        sheet.freeze_panes(1, 0)


def large_sheet(rows: int) -> dict[str, float]:
    """Seconds and peak memory of writing one large sheet; the process has done nothing else but make the frame."""
    frame = credits_created(rows)
    with tempfile.TemporaryDirectory() as folder:
        seconds = timed(lambda: ours(Path(folder) / "book.xlsx", frame))
    return {
        f"ours, s for {rows * frame.width:,} cells": seconds,
        "ours, cells/s of the large sheet": rows * frame.width / seconds,
        PEAK: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def credits_created(rows: int) -> pl.DataFrame:
    """The sheet Credits Created of a busy merchant: as many rows, its first sixteen columns."""
    random = np.random.default_rng(20260601)
    month_us = 30 * 86_400 * 1_000_000
    drawn = pl.DataFrame({
        "row": np.arange(rows),
        "member": random.integers(0, rows // 5 + 1, rows),
        "first": random.integers(0, 200, rows),
        "last": random.integers(0, 500, rows),
        "agent": random.integers(0, 6, rows),
        "cents": random.integers(1, 2_000_000, rows),
        "chance": random.random(rows),
        "at": np.sort(random.integers(0, month_us, rows)),
    })  # fmt: skip
    june = pl.lit(1_780_272_000_000_000)  # 2026-06-01T00:00
    reasons = ["Goodwill", "Late delivery", "Birthday & thanks", "Referral", "Damaged goods", "Promotion"]
    reason = pl.col("agent").replace_strict(dict(enumerate(reasons)), return_dtype=pl.String)
    created_at_utc = (june + pl.col("at")).cast(pl.Datetime("us"))
    return drawn.select(
        credit_id=pl.format("crd_{}", pl.col("row") * 2_654_435_761 % 2**40),
        type=pl.when(pl.col("agent") < 4).then(pl.lit("shopify")).otherwise(pl.lit("loyalty")),
        user_id=(pl.col("member") + 7_000_000_000).cast(pl.String),
        email=pl.format("user{}.{}@example.com", "member", "last"),
        first_name=pl.format("Name{}", "first"),
        last_name=pl.format("O'Surname{}", "last"),
        amount=_money(pl.col("cents")),
        created_at=created_at_utc.dt.offset_by("-7h"),
        created_at_utc=created_at_utc,
        reason=reason,
        reason_details=pl.when(pl.col("chance") < 0.7).then(pl.format("Order #{} came {} days late", "row", "first")),
        internal_note=pl.when(pl.col("chance") < 0.1).then(pl.format("seen by support <{}>", "last")),
        creator=pl.format("Support Agent {} <agent{}@green-acres.example>", "agent", "agent"),
        is_expired=pl.col("chance") < 0.2,
        expires_at=pl.when(pl.col("chance") < 0.8).then(created_at_utc.dt.offset_by("365d")),
        amount_remaining=_money(pl.col("cents") // 3),
    )


def _money(cents: pl.Expr) -> pl.Expr:
    return (cents.cast(pl.Decimal(18, 4)) / pl.lit(100).cast(pl.Decimal(18, 4))).cast(pl.Decimal(18, 4))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_worksheets")
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it runs, not how fast")
    parser.add_argument("--large", type=int, metavar="ROWS", help="only a sheet of so many rows, as JSON")
    options = parser.parse_args()
    if options.large:
        print(json.dumps(large_sheet(options.large)))
    else:
        for figure, value in run(options.quick).items():
            print(f"{figure:50} {value:>15,.2f}")
