"""XLSX: the first sheet that shows, as a person sees its cells.

The file is looked at as a zip here; its inside is read by a process of its own (`xlsx_child.py`).
"""

import zipfile
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

import duckdb
import pyarrow as pa

from pipelines.readers import child, staged
from pipelines.readers.shape import Shape, UnreadableFileError, match_names
from pipelines.readers.staged import WHITESPACE, Read
from pipelines.readers.xlsx_child import CORRUPT, DAMAGED_ZIP

CHILD = Path(__file__).with_name("xlsx_child.py")
MOST_PARTS = 10_000
MOST_BYTES = 2_000_000_000  # unpacked
UNREMARKABLE_BYTES = 100_000_000  # unpacked; no bomb below that
MOST_RATIO = 200  # of unpacked to packed above it; a sheet of one value repeated a million times has 60
WALL_SECONDS = child.WALL_SECONDS
TOO_LARGE = (
    "The workbook {what}: more than a table needs. Copy the table to a new workbook, or save it as CSV, and send that."
)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # what .xls files and XLSX files with a password begin with
START_BYTES = 4096


def read(con: duckdb.DuckDBPyConnection, path: Path, shape: Shape, *, scratch: Path, decimal_mark: str) -> Read:
    """Fill `staging` from the file. `source_row` is the row's number in the sheet."""
    _check_zip(path)
    output = scratch / "cells.arrow"
    _run_child(path, output, decimal_mark)
    with pa.OSFile(str(output)) as file, pa.ipc.open_stream(file) as batches:
        header = [(cell or "").strip(WHITESPACE) for cell in next(batches)["cells"][0].as_py()]
        places = match_names(header, shape, "the header")
        held = {name: f"c{place}" for place, name in enumerate(places) if name is not None}
        columns = [f"c{place}" for place in range(len(places))]
        known = [place for place, name in enumerate(places) if name is not None]
        with staged.streamed(con, batches, batches.schema):
            con.execute(
                f"""
                create table staging.cells as
                with rows as (
                    select
                        source_row,
                        cells,
                        case
                            when len(cells) > {len(columns)} then 'too_many_cells'
                            when list_has_any(without_result, {known}) then 'formula_without_result'
                        end as reason
                    {"".join(f", cells[{place}] as {column}" for place, column in enumerate(columns, 1))}
                    from batches
                )
                select
                    source_row,
                    {"".join(f"{staged.trimmed(column)} as {column}, " for column in columns)}
                    if(reason is null, null, array_to_string([coalesce(cell, '') for cell in cells], chr(9))) as text,
                    reason,
                    null::varchar as detail
                from rows
                """  # noqa: S608 - names of ours
            )
    return staged.finish(con, held, shape.columns)


def _check_zip(path: Path) -> None:
    """Raise UnreadableFileError for what should not even be unpacked."""
    if not path.stat().st_size:
        raise UnreadableFileError("empty_file", "The file is empty (0 bytes). Export it again and send it again.")
    with path.open("rb") as file:
        if file.read(len(OLE)) == OLE:
            raise UnreadableFileError(
                "not_xlsx",
                "The workbook has a password, or is in the old format .xls. Save it as .xlsx without a password and"
                " send it again.",
            )
    try:
        with zipfile.ZipFile(path) as parts:
            infos = parts.infolist()
            unpacked = sum(info.file_size for info in infos)
            packed = sum(info.compress_size for info in infos)
            if len(infos) > MOST_PARTS or unpacked > MOST_BYTES:
                raise _too_large(f"unpacks to {unpacked / 1e9:,.1f} GB in {len(infos):,} parts")
            if unpacked > UNREMARKABLE_BYTES and unpacked > MOST_RATIO * packed:
                raise _too_large(f"unpacks to {unpacked // max(packed, 1):,} times its size")
            names = set(parts.namelist())
            if "[Content_Types].xml" not in names or "xl/workbook.bin" in names:
                raise UnreadableFileError(
                    "not_xlsx",
                    "The file is something else than an XLSX workbook. Save it as .xlsx and send it again.",
                )
            if len(names) < len(infos):
                # Readers disagree on which of them counts.
                raise UnreadableFileError(
                    "not_xlsx",
                    "The workbook holds one of its parts twice, which no spreadsheet program writes. Save it again in"
                    " one and send it again.",
                )
            for info in infos:
                if info.filename.endswith((".xml", ".rels")):
                    with parts.open(info) as part:
                        if _has_document_type(part):
                            raise UnreadableFileError(
                                "not_xlsx",
                                "The workbook has XML with a document type, which no spreadsheet program writes."
                                " Save it again in one and send it again.",
                            )
    except DAMAGED_ZIP:
        raise UnreadableFileError("corrupt_file", CORRUPT) from None


def _has_document_type(part: IO[bytes]) -> bool:
    """Whether the XML says what entities mean, in any encoding. That stands before its first element, or nowhere."""
    found: list[bool] = []

    def doctype(*_: Any) -> None:
        found.append(True)

    def element(*_: Any) -> None:
        found.append(False)

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler, parser.StartElementHandler = doctype, element
    try:
        is_read = False
        while not found and not is_read:
            chunk = part.read(START_BYTES)
            is_read = not chunk
            # Since Expat 2.6 what comes last is looked at when it is told that nothing follows.
            parser.Parse(chunk, is_read)
    except expat.ExpatError:
        pass  # not well-formed: whoever reads it will say so
    return any(found[:1])


def _too_large(what: str) -> UnreadableFileError:
    return UnreadableFileError("too_large", TOO_LARGE.format(what=what))


def _run_child(path: Path, output: Path, decimal_mark: str) -> None:
    """Have the sheet read. Raises UnreadableFileError for what the child reports, and for its death."""
    child.run(
        CHILD,
        path,
        output,
        decimal_mark,
        corrupt=CORRUPT,
        too_large=TOO_LARGE,
        hint=", as one does with a stray cell far away from the table (Ctrl+End shows it)",
        wall_seconds=WALL_SECONDS,
    )
