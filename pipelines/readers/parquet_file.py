"""Parquet: each column as text, by its type. What no cell can be (lists, structures, bytes) rejects the file.

Its inside is read by a process of its own (`parquet_child.py`).
"""

from pathlib import Path

import duckdb
import pyarrow as pa

from pipelines.readers import child, staged
from pipelines.readers.parquet_child import CORRUPT, TOO_LARGE
from pipelines.readers.shape import Shape, UnreadableFileError, match_names, shown
from pipelines.readers.staged import WHITESPACE, Read

CHILD = Path(__file__).with_name("parquet_child.py")
MAGIC = b"PAR1"


def read(con: duckdb.DuckDBPyConnection, path: Path, shape: Shape, *, scratch: Path, decimal_mark: str) -> Read:
    """Fill `staging` from the file. `source_row` counts its rows from 1."""
    if not path.stat().st_size:
        raise UnreadableFileError("empty_file", "The file is empty (0 bytes). Export it again and send it again.")
    if not _looks_whole(path):
        raise UnreadableFileError("corrupt_file", CORRUPT)
    output = scratch / "cells.arrow"
    found = child.run(
        CHILD, path, output, decimal_mark, shape.columns, child.MEMORY_BYTES, corrupt=CORRUPT, too_large=TOO_LARGE
    )
    places = match_names([name.strip(WHITESPACE) for name, _, _ in found], shape, "the file")
    held = {name: f"c{place}" for place, name in enumerate(places) if name is not None}
    for name, (_, kind, is_text) in zip(places, found, strict=True):
        if name is not None and not is_text:
            raise UnreadableFileError(
                "unknown_type",
                f'Column "{name}" has values of type {shown(kind)}, which are no cells of a table. Write it as text,'
                " number, date, timestamp or boolean; then send the file again.",
            )
    with (
        pa.OSFile(str(output)) as file,
        pa.ipc.open_stream(file) as batches,
        staged.streamed(con, batches, batches.schema),
    ):
        nul = " or ".join(f"contains({cell}, chr(0))" for cell in held.values())
        texts = ", ".join(f"coalesce({cell}, '')" for cell in held.values())
        con.execute(
            "create table staging.cells as select source_row,"  # noqa: S608 - names of ours
            + "".join(f" {staged.trimmed(cell)} as {cell}," for cell in held.values())
            + f" case when {nul} then concat_ws(chr(9), {texts}) end as text,"
            f" case when {nul} then 'nul_byte' end as reason, null::varchar as detail from batches"
        )
    return staged.finish(con, held, shape.columns)


def _looks_whole(path: Path) -> bool:
    """Whether the file begins and ends as Parquet does, with a footer that fits into it."""
    with path.open("rb") as file:
        begins = file.read(len(MAGIC))
        size = file.seek(0, 2)
        file.seek(max(size - len(MAGIC) - 4, 0))
        footer_bytes, ends = int.from_bytes(file.read(4), "little"), file.read()
    return begins == ends == MAGIC and 0 < footer_bytes <= size - 2 * len(MAGIC) - 4
