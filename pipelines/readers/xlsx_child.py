"""Reads the first sheet of an XLSX file, in a process of its own: the file comes from outside.

A sheet of 1 KB can make its reader ask for 512 GiB and be aborted, so this runs under limits, and nothing but this
process is lost with it: `forks.py` forks it, and it imports nothing of ours.
"""

import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Set
from datetime import date, datetime, time
from decimal import Decimal
from posixpath import join, normpath, split
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import python_calamine

BATCH_ROWS = 10_000
CHUNK_BYTES = 1_000_000
CORRUPT = (
    "The file is not an XLSX workbook, or was cut off or damaged on its way here. Save it again and send it again."
)
# All that zipfile and what it unpacks with raise for bytes that are not as they should be.
DAMAGED_ZIP = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(NotImplementedError, RuntimeError, OSError, EOFError, ValueError, LookupError),
)
TYPE_OF_ERROR = re.compile(rb"""\st=["']e["']""")
# A cell whose shared text has no number: calamine takes it for the first one. All of it is there, up to the next tag: a
# chunk may end in the middle of the number.
NO_SUCH_TEXT = re.compile(rb"""\st=["']s["'][^>/]*>\s*<(?:\w+:)?v>(?!\s*[0-9]+\s*<)[^<]*<""")
# A cell that shows an error such as #N/A: its place, and what it shows.
ERROR_CELL = re.compile(
    rb"""<(?:\w+:)?c\b(?=[^>]*\st=["']e["'])(?=[^>]*\sr=["']([A-Z]+)([0-9]+)["'])[^>]*[^/]>(?:(?!</(?:\w+:)?c>).)*?"""
    rb"""<(?:\w+:)?v>([^<]*)<""",
    re.DOTALL,
)
FORMULA = re.compile(rb"<(?:\w+:)?f\b")
# A cell with a formula whose result is a number, a date or a truth; and whether the result is stored with it.
FORMULA_CELL = re.compile(
    rb"""<(?:\w+:)?c\b(?![^>]*\st=["']str["'])(?=[^>]*\sr=["']([A-Z]+)([0-9]+)["'])[^>]*[^/]>"""
    rb"""(\s*<(?:\w+:)?f\b(?:(?!</?(?:\w+:)?c[\s>]).)*)</(?:\w+:)?c>""",
    re.DOTALL,
)
RESULT = re.compile(rb"<(?:\w+:)?v(?:\s[^>]*)?>[^<]")
# The tag of a cell that is a number: its place.
NUMBER_CELL = re.compile(rb"""<(?:\w+:)?c\b(?![^>]*\st=["'](?!n["']))(?=[^>]*\sr=["']([A-Z]+)([0-9]+)["'])[^>]*>""")
# Of a number format, what is no part of a date or a time: texts, escaped and padding characters, colours, languages.
NO_PART_OF_TIME = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
FORMATS_WITH_TIME = {*range(18, 23), *range(45, 48)}  # of those that are not written out

Place = tuple[int, int]


class FileError(Exception):
    """What is wrong with the file: a reason and a message."""


def convert(path: str, output: str, decimal_mark: str) -> None:
    """Write Arrow batches to `output`: source_row, the cells of the first sheet that shows as text, and which of them
    are formulas without a result; the first batch is one row, the header. Raises FileError and OSError.
    """
    try:
        book = python_calamine.CalamineWorkbook.from_path(path)
        sheets = [sheet for sheet in book.sheets_metadata if sheet.typ == python_calamine.SheetTypeEnum.WorkSheet]
        if book.sheets_metadata and not sheets:
            raise FileError(
                "empty_file", "The workbook has no sheet with cells. Move the table to one and send the file again."
            )
        # To whoever sent the file, the first sheet is the first one that shows.
        shown = [sheet for sheet in sheets if sheet.visible == python_calamine.SheetVisibleEnum.Visible]
        name = (shown or sheets)[0].name
        sheet = book.get_sheet_by_name(name)
        errors, unknown, midnights = told_cells(path, name)
    except python_calamine.PasswordError:
        raise FileError(
            "password", "The workbook asks for a password. Save it without one and send it again."
        ) from None
    except (
        python_calamine.CalamineError,
        ElementTree.ParseError,
        *DAMAGED_ZIP,
    ):
        raise FileError("corrupt_file", CORRUPT) from None
    schema = pa.schema(
        [("source_row", pa.int64()), ("cells", pa.list_(pa.string())), ("without_result", pa.list_(pa.int64()))]
    )
    first_column = sheet.start[1] if sheet.start else 0
    written = 0
    with pa.OSFile(output, "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for batch in batches(sheet.iter_rows(), first_column, errors, midnights, decimal_mark):
            numbers, cells = zip(*batch, strict=True)
            unknown_in = [[column - first_column for column in unknown.get(number, ())] for number in numbers]
            told = (numbers, cells, unknown_in)
            columns = [pa.array(column, field.type) for column, field in zip(told, schema, strict=True)]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            written += 1
    if not written:
        called = " ".join(name.split())[:31]
        raise FileError(
            "empty_file",
            f'The first sheet of the workbook, "{called}", is empty. Move the table there and send the file again.',
        )


Row = tuple[int, list[str | None]]


def batches(
    rows: Iterator[list[Any]],
    first_column: int,
    errors: Mapping[Place, str],
    midnights: Set[Place],
    decimal_mark: str,
) -> Iterator[list[Row]]:
    """The rows that are not blank, with their numbers as a spreadsheet shows them; the first by itself."""
    batch: list[Row] = []
    most = 1
    for number, values in enumerate(rows, 1):
        cells = [text(value, decimal_mark) for value in values]
        if errors:
            for place in range(len(cells)):
                cells[place] = errors.get((number, first_column + place), cells[place])
        if midnights:
            for place, value in enumerate(values):
                if type(value) is date and (number, first_column + place) in midnights:
                    cells[place] = datetime.combine(value, time()).isoformat()
        while cells and cells[-1] is None:
            cells.pop()
        if not cells:
            continue
        batch.append((number, cells))
        if len(batch) == most:
            yield batch
            batch, most = [], BATCH_ROWS
    if batch:
        yield batch


def text(value: Any, decimal_mark: str) -> str | None:
    """What a person reads in the cell, None for nothing."""
    if isinstance(value, str):
        return value if value and not value.isspace() else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        shortest = repr(value)
        if "e" in shortest:
            shortest = f"{Decimal(shortest):f}"
        return shortest.removesuffix(".0").replace(".", decimal_mark)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value)


def told_cells(path: str, sheet: str) -> tuple[dict[Place, str], dict[int, set[int]], set[Place]]:
    """Of the cells of a sheet that calamine gives otherwise than they show: what those show that show an error, by row
    and column (it takes them for blank); the columns, by row, of formulas whose result is not stored, as programs write
    them that do not compute (so it does these); the places of those that show midnight (of them it gives the date).
    """
    found: dict[Place, str] = {}
    without_result: dict[int, set[int]] = {}
    midnights: set[Place] = set()
    with zipfile.ZipFile(path) as parts:
        midnight_cell = pattern_of_midnights(parts)
        with parts.open(part_of_sheet(parts, sheet)) as file:
            begun = b""
            while chunk := file.read(CHUNK_BYTES):
                seen = begun + chunk
                if NO_SUCH_TEXT.search(seen):
                    raise FileError("corrupt_file", CORRUPT)
                if TYPE_OF_ERROR.search(seen):
                    for column, row, shows in ERROR_CELL.findall(seen):
                        found[int(row), column_number(column)] = shows.decode()
                for column, row, inside in FORMULA_CELL.findall(seen) if FORMULA.search(seen) else ():
                    if not RESULT.search(inside):
                        without_result.setdefault(int(row), set()).add(column_number(column))
                for cell in midnight_cell.finditer(seen) if midnight_cell else ():
                    if number := NUMBER_CELL.match(seen, seen.rfind(b"<", 0, cell.start())):
                        midnights.add((int(number[2]), column_number(number[1])))
                last_end = max(seen.rfind(b"</c>"), seen.rfind(b":c>"), len(seen) - 4 * CHUNK_BYTES)
                begun = seen[last_end:]
    return found, without_result, midnights


def pattern_of_midnights(parts: zipfile.ZipFile) -> re.Pattern[bytes] | None:
    """The end of the tag of a cell that is a whole number and shows a time. None where no format shows one."""
    book = part_of_book(parts)
    styles = [target for target, kind, _ in relations(parts, book) if kind.endswith("/styles")]
    if not styles:
        return None
    codes: dict[int, str] = {}
    with_time: list[bytes] = []
    root = ElementTree.fromstring(parts.read(styles[0]))  # noqa: S314 -- the parent looked for entities
    for element in root.iter():
        if element.tag.endswith("}numFmt"):
            codes[int(element.get("numFmtId", 0))] = element.get("formatCode", "")
    for formats in (element for element in root.iter() if element.tag.endswith("}cellXfs")):
        for place, given in enumerate(formats):
            number = int(given.get("numFmtId", 0))
            code = NO_PART_OF_TIME.sub("", codes.get(number, "")).lower()
            if number in FORMATS_WITH_TIME or "h" in code or "s" in code:
                with_time.append(b"%d" % place)
    if not with_time:
        return None
    # It begins with two letters that are there: so most of a sheet is passed over at once.
    return re.compile(
        rb"""s=["'](?:%s)["'][^<>]*>(?=\s*(?:<(?:\w+:)?f\b[^<]*(?:</(?:\w+:)?f>)?\s*)?<(?:\w+:)?v>[0-9]+(?:\.0*)?<)"""
        % b"|".join(with_time)
    )


def part_of_sheet(parts: zipfile.ZipFile, sheet: str) -> str:
    """The name of the part of the zip file that a sheet is in."""
    book = part_of_book(parts)
    targets = {key: target for target, _, key in relations(parts, book)}
    for element in ElementTree.fromstring(parts.read(book)).iter():  # noqa: S314 -- the parent looked for entities
        if element.tag.endswith("}sheet") and element.get("name") == sheet:
            return next(targets[value] for key, value in element.items() if key.endswith("}id"))
    raise LookupError(sheet)


def part_of_book(parts: zipfile.ZipFile) -> str:
    """The name of the part of the zip file that says which sheets there are."""
    return next(target for target, kind, _ in relations(parts, "") if kind.endswith("/officeDocument"))


def relations(parts: zipfile.ZipFile, part: str) -> list[tuple[str, str, str]]:
    """Target, type and id of what a part (the package itself: "") refers to."""
    folder, name = split(part)
    root = ElementTree.fromstring(parts.read(join(folder, "_rels", f"{name}.rels")))  # noqa: S314 -- as above
    return [
        (normpath(join("/", folder, found["Target"])).lstrip("/"), found["Type"], found["Id"])
        for found in (element.attrib for element in root)
    ]


def column_number(letters: bytes) -> int:
    """The place of a column from 0: A is 0, AA is 26."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number - 1
