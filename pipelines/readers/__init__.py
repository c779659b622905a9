"""Readers: from a file of any kind to rows of text, exactly counted.

What a value may be, and what it means, is not here: every cell stays the text that a person would see.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import duckdb

from pipelines.readers import csv_file, json_lines, parquet_file, staged, xlsx_file
from pipelines.readers.shape import Shape, UnreadableFileError, shown
from pipelines.readers.staged import Read, clear

__all__ = ["DecimalMark", "Kind", "Read", "Shape", "UnreadableFileError", "clear", "read", "shown"]

Kind = Literal["csv", "parquet", "jsonl", "xlsx"]
DecimalMark = Literal[".", ","]


def read(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    kind: Kind,
    shape: Shape,
    *,
    encoding: str,
    scratch: Path,
    decimal_mark: DecimalMark = ".",
) -> Read:
    """Read the file into the attached database `staging`, outside of any transaction.

    Leaves there `raw`: source_row BIGINT, then every column of the shape as text without whitespace around it, null
    for nothing; `malformed`: (source_row BIGINT, text, reason, explanation, cells) of the rows that could not be taken
    apart, with what their cells seem to say as JSON, by column;
    and tables that these are views of. `clear` removes all. `encoding` is that of text that is not UTF-8. Temporary
    files are made in the folder `scratch` and removed.
    Cells that are numbers, not text, are written with `decimal_mark`, as the text of their neighbours is.
    Raises UnreadableFileError where the file as a whole is rejected; `staging` is then empty.
    """
    staged.clear(con)
    with TemporaryDirectory(dir=scratch, prefix="reading-") as folder:
        own = Path(folder)
        try:
            if kind == "csv":
                return csv_file.read(con, path, shape, encoding=encoding, scratch=own)
            if kind == "jsonl":
                return json_lines.read(con, path, shape, encoding=encoding, scratch=own, decimal_mark=decimal_mark)
            if kind == "parquet":
                return parquet_file.read(con, path, shape, scratch=own, decimal_mark=decimal_mark)
            return xlsx_file.read(con, path, shape, scratch=own, decimal_mark=decimal_mark)
        except UnreadableFileError:
            staged.clear(con)
            raise
