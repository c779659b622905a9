"""The masked edition of a workbook: the same sheets and numbers, without e-mail addresses and internal notes.

It is made from the published file itself, so that every version there ever was has one. Which sheets there are is not
known here: of a sheet's columns those headed `email` and `internal_note` are masked, and every address anywhere else.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import unescape
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from pipelines.portal.copies import EMAIL, HIDDEN

EMAIL_COLUMNS, NOTE_COLUMNS = frozenset({"email"}), frozenset({"internal_note", "internal note"})
_CHUNK_BYTES = 2**20
_ZIP_LEVEL = 1
_ADDRESS = re.compile(EMAIL)
_TEXT = re.compile(r"(<t(?: [^>]*)?>)([^<]*@[^<]*)(</t>)")
_ATTRIBUTE = re.compile(r'(=")([^"<]*@[^"<]*)(")')
_CELL = r'<c r="({letters})(\d+)"([^>]*)>(?:<is>.*?</is>|<v>[^<]*</v>)</c>'
# A header is a shared string, a frame's cells are inline.
_HEADER_CELL = re.compile(r'<c r="([A-Z]+)\d+"[^>]* t="s"><v>(\d+)</v></c>')
_SHARED = re.compile(r"<si>(.*?)</si>", re.DOTALL)
_SHARED_TEXT = re.compile(r"<t[^>]*>([^<]*)</t>")
_SHEET = re.compile(r"xl/worksheets/sheet(\d+)\.xml")
_FILTERED = re.compile(
    r'<definedName name="_xlnm\._FilterDatabase" localSheetId="(\d+)"[^>]*>[^<]*!\$[A-Z]+\$(\d+)(?::[^<]*)?<'
)


class MaskingError(Exception):
    """A workbook in which what has to be masked is not where it should be."""


def mask(workbook: Path, into: IO[bytes]) -> None:
    """Write the masked edition of `workbook`; the same file always gives the same bytes.

    Raises MaskingError where no sheet has the columns that are to be masked: it is not what it is taken for.
    """
    found: set[str] = set()
    with ZipFile(workbook) as given, ZipFile(into, "w", ZIP_DEFLATED, compresslevel=_ZIP_LEVEL) as made:
        shared = given.read("xl/sharedStrings.xml").decode()
        texts = [unescape("".join(_SHARED_TEXT.findall(one))) for one in _SHARED.findall(shared)]
        headers = {int(sheet): int(row) for sheet, row in _FILTERED.findall(given.read("xl/workbook.xml").decode())}
        for part in given.infolist():
            told = ZipInfo(part.filename, part.date_time)
            told.compress_type = ZIP_DEFLATED
            sheet = _SHEET.fullmatch(part.filename)
            with given.open(part) as source, made.open(told, "w", force_zip64=part.file_size > 2**31) as target:
                if not part.filename.endswith((".xml", ".rels")):
                    target.write(source.read())
                elif sheet:
                    for piece in _sheet(source, headers.get(int(sheet[1]) - 1, 1), texts, found):
                        target.write(piece.encode())
                else:
                    target.write(_without_addresses(source.read().decode()).encode())
    if not (found & EMAIL_COLUMNS and found & NOTE_COLUMNS):
        raise MaskingError(f"{workbook.name} cannot be masked: it has no columns email and internal_note.")


def mask_text(text: str) -> str:
    """`text` without e-mail addresses."""
    return _ADDRESS.sub(HIDDEN, text)


def _sheet(source: IO[bytes], header_row: int, texts: Sequence[str], found: set[str]) -> Iterator[str]:
    hide: Callable[[str], str] | None = None
    for rows in _whole_rows(source):
        if hide is None and (header := re.search(rf'<row r="{header_row}"[^>]*>.*?</row>', rows, re.DOTALL)):
            named = {letter: texts[int(at)].casefold() for letter, at in _HEADER_CELL.findall(header[0])}
            hidden = {letter: name for letter, name in named.items() if name in EMAIL_COLUMNS | NOTE_COLUMNS}
            found |= set(hidden.values())
            hide = _hiding(hidden, header_row)
        yield _without_addresses(hide(rows) if hide else rows)


def _hiding(hidden: Mapping[str, str], header_row: int) -> Callable[[str], str]:
    """What masks the columns with these letters, which have these names, in rows below the header."""
    cells = re.compile(_CELL.format(letters="|".join(hidden) or "-"), re.DOTALL)

    def masked(cell: re.Match[str]) -> str:
        if int(cell[2]) <= header_row:
            return cell[0]
        if hidden[cell[1]] in NOTE_COLUMNS:
            return ""
        return f'<c r="{cell[1]}{cell[2]}" t="inlineStr"><is><t>{HIDDEN}</t></is></c>'

    return lambda rows: cells.sub(masked, rows)


def _whole_rows(source: IO[bytes]) -> Iterator[str]:
    """The text of a sheet in pieces that end where a row ends."""
    kept = b""
    while chunk := source.read(_CHUNK_BYTES):
        rows, end, kept = (kept + chunk).rpartition(b"</row>")
        if end:
            yield (rows + end).decode()
    yield kept.decode()


def _without_addresses(xml: str) -> str:
    if "@" not in xml:
        return xml
    shown = _TEXT.sub(lambda text: text[1] + escape(mask_text(unescape(text[2]))) + text[3], xml)
    return _ATTRIBUTE.sub(lambda text: text[1] + escape(mask_text(unescape(text[2])), {'"': "&quot;"}) + text[3], shown)
