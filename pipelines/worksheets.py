"""Worksheets: XlsxWriter's workbook, with sheets that write a whole Polars frame fast.

How a frame becomes a sheet belongs here: its cells, their types and formats, its header, filter and print setup, and
where it continues. Which sheets a workbook has, what their columns mean and what their formulas say does not.

Everything but a frame's rows is XlsxWriter's own. The rows are XML that Polars string expressions build, a slice at a
time, and that is compressed while the next slice is being built: no row and no cell is ever a Python object.

This leans on private parts of XlsxWriter, whose version pyproject.toml therefore pins: `Worksheet._write_rows`,
`_write_dimension`, `hyperlinks`, `dim_*` and `fh`, `Url._text`, `Format._get_xf_index`, `Workbook._get_packager`,
`Packager._create_package`.
The tests read every kind of cell back with two other readers, and compare parts with what plain XlsxWriter writes.
"""

import zlib
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, assert_never
from zipfile import ZIP64_LIMIT, ZIP_DEFLATED, ZipFile

import polars as pl
from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.format import Format
from xlsxwriter.packager import Packager
from xlsxwriter.url import Url
from xlsxwriter.utility import xl_col_to_name, xl_range, xl_range_formula
from xlsxwriter.worksheet import Worksheet

Buffer: TypeAlias = Any  # bytes, or what has bytes, as zipfile and zlib take them: Python 3.11 has no name for it
Kind = Literal["text", "amount", "datetime", "date", "boolean", "integer"]

# Excel's own limits: https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3
SHEET_ROWS = 1_048_576
CELL_TEXT_UTF16_UNITS = 32_767
SHEET_NAME_CHARACTERS = 31
# Excel holds 1900 to be a leap year: from this day on its count of days is everyone's.
FIRST_DATE, LAST_DATE = date(1900, 3, 1), date(9999, 12, 31)
DAYS_FROM_1899_12_30_TO_1970 = 25_569

CUT_MARK = " … [cut]"
WIDTH_CHARACTERS_MIN, WIDTH_CHARACTERS_MAX = 8, 48
LETTER_DIGITS = 1.15
SLICE_ROWS = 16_384
LINE_POINTS = 15

# Level 6 makes files a quarter smaller and takes three times as long; even level 1 is most of the time spent here.
ZIP_LEVEL = 1
DEFLATE_THREADS = 2  # one slice takes as long to build as two threads take to compress one

NUMBER_FORMATS: Mapping[int | None, str] = {
    None: "#,##0.00##",
    0: "#,##0",
    1: "#,##0.0",
    2: "#,##0.00",
    3: "#,##0.000",
    4: "#,##0.0000",
}
TIME_FORMATS: Mapping[str, str] = {"datetime": "yyyy-mm-dd hh:mm:ss", "date": "yyyy-mm-dd"}
# A number ends where its cell does, and the text of the next cell begins there: 951.75Active.
CLEAR_OF_THE_NEXT: Mapping[str, Any] = {"align": "right", "indent": 1}

# What XML 1.0 cannot hold, not even escaped (surrogates cannot be in a Polars string to begin with).
FORBIDDEN = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x{FFFE}\x{FFFF}]"
# Excel takes _x000D_ in a file for the character U+000D, and _x005F_ for the underscore that says it is not meant so.
# The second underscore is left out here, since it may begin the next such sequence.
ESCAPE_LOOKALIKE = r"_(x[0-9A-Fa-f]{4})"
# What a spreadsheet might run if someone pastes, edits or exports it.
FORMULA_LIKE = r"^[=+\-@\t\r]"
SPACE_THAT_MATTERS = r"^\s|\s$|\s\s|[\t\n\r]"
# Any of the above, or no text at all: seldom, so that most slices of most columns can do without looking for each.
ODD = "|".join(["^$", FORBIDDEN, ESCAPE_LOOKALIKE, FORMULA_LIKE, SPACE_THAT_MATTERS])
MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
MARKED = "[&<>]"


@dataclass(frozen=True)
class Column:
    """A column of a sheet: the frame's column of that name, under a header of that name.

    `decimals_from` names the column of the frame (integers 0 to 4, written or not) that says how many decimals the
    row's amount is shown with. Without it, or where it is null, two are shown, and more where there are more.
    `wraps_at` is for sentences: text that goes on below after so many characters, in rows as high as it takes.
    """

    name: str
    kind: Kind
    decimals_from: str | None = None
    wraps_at: int = 0


@dataclass(frozen=True)
class FrameSheet:
    """A sheet that holds a frame, or a part of it: `rows` rows, in Excel's rows `first_row` to `last_row`, from 1.

    Where there are no rows the range is the blank row below the header, so that formulas over it are valid and 0.
    """

    worksheet: "FrameWorksheet"
    columns: tuple[str, ...]
    rows: int
    first_row: int
    last_row: int

    def range_of(self, column: str) -> str:
        """The cells of that column as a formula names them: `'Credits Created'!$G$2:$G$3114`."""
        at = self.columns.index(column)
        cells: str = xl_range_formula(self.worksheet.name, self.first_row - 1, at, self.last_row - 1, at)
        return cells


class FrameWorkbook(Workbook):
    """XlsxWriter's workbook, whose `add_frame` makes sheets of a frame; the same calls always write the same bytes.

    It is written beside `path` and renamed into place when it is closed, and never if an error ends its `with` block.
    """

    def __init__(self, path: Path, *, created: datetime = datetime(2000, 1, 1, tzinfo=UTC)) -> None:
        # The parts are collected in memory, but for the frames' rows, which never are: see Package. `write()` may not
        # guess a formula or a link from text; there are write_formula and write_url.
        super().__init__(Nowhere(), {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
        self._path = path
        self._created = created
        self._formats: dict[str, Format] = {}
        self.set_properties({})

    def set_properties(self, properties: Mapping[str, Any]) -> None:
        """XlsxWriter's, but the document was created when the constructor says, not when the clock says."""
        super().set_properties({"created": self._created, **properties})

    def add_frame(
        self,
        name: str,
        frame: pl.DataFrame,
        columns: Sequence[Column],
        *,
        first_row: int = 0,
        rows_per_sheet: int = SHEET_ROWS - 1,
    ) -> list[FrameSheet]:
        """Add `frame` as the sheet `name`, and as `name (2)`, `name (3)` … for what does not fit.

        The header is in row `first_row` (from 0, as in XlsxWriter); the rows above it, on the first sheet only, are
        free for ordinary cells, before or after this call. Nothing else may be written below the header. Pane, filter,
        widths and print setup can be changed on the sheets returned. Columns are `String` for text, `Decimal` for
        amounts, naive `Datetime`, `Date`, `Boolean` and integers; null, and empty text, is a blank cell.

        Raises TypeError if a column of the frame is not of its kind, ValueError for decimals outside 0 to 4 and for
        dates that Excel does not have.
        """
        _check(name, frame, columns)
        widths = _widths(frame, columns)
        sheets: list[FrameSheet] = []
        start = 0
        while not sheets or start < frame.height:
            header_row = 0 if sheets else first_row
            rows = min(rows_per_sheet, SHEET_ROWS - header_row - 1, frame.height - start)
            ending = f" ({len(sheets) + 1})" if sheets else ""
            title = name[: SHEET_NAME_CHARACTERS - len(ending)] + ending
            worksheet = self.add_worksheet(title, worksheet_class=FrameWorksheet)
            part = Table(frame.slice(start, rows), tuple(columns), header_row, self._formats_for(frame, columns))
            worksheet.hold(part, widths, self._format(bold=True, bg_color="#EDEDED", bottom=1, bottom_color="#A6A6A6"))
            first, last = header_row + 2, header_row + 1 + max(rows, 1)
            sheets.append(FrameSheet(worksheet, tuple(column.name for column in columns), rows, first, last))
            start += rows
        return sheets

    def _formats_for(self, frame: pl.DataFrame, columns: Sequence[Column]) -> dict[str, Format]:
        """The formats that the frame's cells need, by number format; the quoted text's is under "text"."""
        formats: dict[str, Format] = {}
        # Beside a sentence of several lines everything stands on top.
        on_top = {"valign": "top"} if any(column.wraps_at for column in columns) else {}
        if on_top:
            formats["plain"] = self._format(**on_top)
            # A sentence of ours reads from the left, also where it begins with a name that reads from the right.
            sentence = {**on_top, "text_wrap": True, "align": "left", "reading_order": 1}
            formats["wrapped"] = self._format(**sentence)
            formats["wrapped text"] = self._format(**sentence, quote_prefix=True)
        for column in columns:
            if column.kind == "text":
                formats["text"] = self._format(**on_top, quote_prefix=True)
            elif column.kind == "amount":
                decimals = [None] if column.decimals_from is None else frame[column.decimals_from].unique().sort()
                amount = {**on_top, **CLEAR_OF_THE_NEXT}
                formats |= {NUMBER_FORMATS[d]: self._format(**amount, num_format=NUMBER_FORMATS[d]) for d in decimals}
            elif column.kind in TIME_FORMATS:
                shown = TIME_FORMATS[column.kind]
                formats[shown] = self._format(**on_top, align="left", num_format=shown)
        return formats

    def _format(self, **properties: Any) -> Format:
        """The format with these properties: one object for all who ask."""
        known = str(properties)
        if known not in self._formats:
            self._formats[known] = self.add_format(properties)
        return self._formats[known]

    def _get_packager(self) -> "Package":
        return Package(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # XlsxWriter would close, and so write, what the error left unfinished.
        if error is None:
            try:
                self.close()
            except FileCreateError as problem:
                # XlsxWriter wraps what the file system refuses; whoever asked for a file expects an OSError.
                raise problem.args[0] from None


@dataclass(frozen=True)
class Table:
    """The rows of one sheet, and what their cells look like."""

    frame: pl.DataFrame
    columns: tuple[Column, ...]
    header_row: int
    formats: Mapping[str, Format]


class FrameWorksheet(Worksheet):
    """XlsxWriter's worksheet, with a table that is a frame: ordinary cells above, the frame's rows below its header."""

    dim_rowmax: int
    _table: Table
    _styles: dict[str, int]  # of each number format: its place in the workbook's styles
    _rows_at = 0  # where in the sheet's XML the frame's rows go

    def hold(self, table: Table, widths: Sequence[int], header: Format) -> None:
        """Take the table, and do all that XlsxWriter can do for it by itself."""
        self._table = table
        top, bottom, right = table.header_row, table.header_row + table.frame.height, len(table.columns) - 1
        for at, (column, width) in enumerate(zip(table.columns, widths, strict=True)):
            self.write_string(top, at, column.name, header)
            self.set_column(at, at, width)
        self.autofilter(top, 0, bottom, right)
        self.freeze_panes(top + 1, 0)
        self.repeat_rows(top)
        self.set_landscape()
        self.fit_to_pages(1, 0)
        # No green corners over ids that look like numbers: they are text on purpose.
        texts = [at for at, column in enumerate(table.columns) if column.kind == "text"]
        if texts and table.frame.height:
            self.ignore_errors({"number_stored_as_text": " ".join(xl_range(top + 1, at, bottom, at) for at in texts)})

    def link(self, row: int, column: int, location: str) -> None:
        """Let a cell of the frame lead to another: `'Credits Created'!A17`. Excel takes 65,530 on a sheet."""
        # write_url would write the cell too.
        url = Url(f"internal:{location}")
        url._text = location
        self.hyperlinks[row][column] = url

    def _write_dimension(self) -> None:
        # XlsxWriter knows of the ordinary cells alone. It may not learn of the others: it would look for each.
        ordinary = self.dim_rowmax
        self.dim_rowmax = max(ordinary, self._table.header_row + self._table.frame.height)
        super()._write_dimension()
        self.dim_rowmax = ordinary

    def _write_rows(self) -> None:
        if self.dim_rowmax > self._table.header_row:
            raise ValueError(
                f"sheet {self.name!r}: something was written to row {self.dim_rowmax + 1}, but below the header in row"
                f" {self._table.header_row + 1} there are only the frame's rows. Write above it, or on another sheet."
            )
        super()._write_rows()
        self._rows_at = self.fh.tell()
        # Now, because XlsxWriter writes the workbook's styles next, and only those that something asked for.
        self._styles = {shown: format_._get_xf_index() for shown, format_ in self._table.formats.items()}

    def xml(self) -> Iterator[Buffer]:
        """The whole part, in pieces: XlsxWriter's up to the rows, each slice of rows, and XlsxWriter's after them."""
        around = self.fh.getvalue()
        yield around[: self._rows_at].encode()
        for start in range(0, self._table.frame.height, SLICE_ROWS):
            yield self._slice(start)
        yield around[self._rows_at :].encode()

    def may_be_large(self) -> bool:
        """Whether the part could be over 2 GiB: a zip entry must say in front that it might be."""
        frame, columns = self._table.frame, self._table.columns
        texts = [frame[column.name] for column in columns if column.kind == "text"]
        text_bytes = sum(int(text.str.len_bytes().cast(pl.Int64).sum()) for text in texts)
        # A cell without its text is at most 120 bytes; escaped, a byte is at most 6.
        return frame.height * len(columns) * 120 + text_bytes * 6 > ZIP64_LIMIT

    def _slice(self, start: int) -> Buffer:
        """The `<row>` elements of the slice that begins at that row of the frame."""
        first = self._table.header_row + 2 + start
        # Each column under its letter: a frame's own names may be anything, `row` among them.
        rows = self._table.frame.slice(start, SLICE_ROWS).select(
            **{letter: pl.col(column.name) for letter, column in self._lettered()},
            **{_decimals(letter): pl.col(c.decimals_from) for letter, c in self._lettered() if c.decimals_from},
            row=pl.int_range(first, first + pl.len()).cast(pl.String),
        )
        text = [letter for letter, column in self._lettered() if column.kind == "text"]
        rows, odd = _with_text_as_xml_holds_it(rows, text)
        cells = [_cell(letter, column, self._styles, odd) for letter, column in self._lettered()]
        high = [_height(letter, column) for letter, column in self._lettered() if column.wraps_at]
        row = pl.concat_str(
            pl.lit('<row r="'), "row", pl.lit('"'), *high, pl.lit(">"), *cells, pl.lit("</row>"), ignore_nulls=True
        )
        # Arrow's oldest layout has a column's texts one after the other in one buffer: so they are joined already.
        xml: Buffer = rows.select(row).to_series().to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()[-1]
        return xml

    def _lettered(self) -> list[tuple[str, Column]]:
        return [(xl_col_to_name(at), column) for at, column in enumerate(self._table.columns)]


class Nowhere(BytesIO):
    """What XlsxWriter zips into: an archive without parts, since Package has zipped them by then."""

    def close(self) -> None:
        """Stay open: after an error, the garbage collector ends archive and file in no order, and would complain."""


class Deflater:
    """What zipfile compresses a frame's part with: each piece on its own, on other threads, while the next is built.

    Both Polars and zlib let go of Python's lock. A piece ends on a whole byte and refers to none before it, so pieces
    that follow one another are one deflate stream, which an empty last block ends.
    """

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._pieces: deque[Future[bytes]] = deque()

    def compress(self, piece: Buffer) -> bytes:
        """Begin with this piece, and return an earlier one that is done, or nothing yet."""
        self._pieces.append(self._threads.submit(self._deflate, piece))
        return self._pieces.popleft().result() if len(self._pieces) > DEFLATE_THREADS else b""

    def flush(self) -> bytes:
        """All that is left, and the end of the stream."""
        return b"".join(piece.result() for piece in self._pieces) + zlib.compressobj(wbits=-zlib.MAX_WBITS).flush()

    @staticmethod
    def _deflate(piece: Buffer) -> bytes:
        stream = zlib.compressobj(ZIP_LEVEL, wbits=-zlib.MAX_WBITS)
        return stream.compress(piece) + stream.flush(zlib.Z_FULL_FLUSH)


class Package(Packager):
    """XlsxWriter's packager, which also zips: at a level of our choice, and frames' rows as they are made."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def _create_package(self) -> list[tuple[Any, str, bool]]:
        parts = super()._create_package()
        frames = {id(sheet.fh): sheet for sheet in self.workbook.worksheets() if isinstance(sheet, FrameWorksheet)}
        beside = self._path.with_name(f".{self._path.name}.part")
        try:
            with (
                ZipFile(beside, "w", ZIP_DEFLATED, compresslevel=ZIP_LEVEL) as archive,
                ThreadPoolExecutor(DEFLATE_THREADS) as threads,
            ):
                for content, name, is_binary in parts:
                    sheet = frames.get(id(content))
                    # Opened by name, an entry is dated 1980, as Excel's own are.
                    with archive.open(name, "w", force_zip64=sheet is not None and sheet.may_be_large()) as part:
                        if sheet is not None:
                            # Without this, or where a Python to come ignores it, zipfile compresses by itself.
                            part._compressor = Deflater(threads)  # type: ignore[attr-defined]
                            part.writelines(sheet.xml())
                        else:
                            part.write(content.getvalue() if is_binary else content.getvalue().encode())
            beside.replace(self._path)
        finally:
            beside.unlink(missing_ok=True)
        # Nothing is left for XlsxWriter to zip: it closes the empty archive that it was given instead of a path.
        return []


def _cell(letter: str, column: Column, styles: Mapping[str, int], odd: Collection[str]) -> pl.Expr:
    """The cells of a column as `<c>` elements; null, and so left out, where the cell is blank."""
    value = pl.col(letter)
    match column.kind:
        case "text" if letter in odd:
            return _odd_text(letter, styles, wraps=bool(column.wraps_at))
        case "text":
            style = _plain("wrapped" if column.wraps_at else "plain", styles)
            return _element(letter, f'{style} t="inlineStr"><is><t>', value, "</t></is></c>")
        case "amount":
            number: str | pl.Expr = str(styles.get(NUMBER_FORMATS[None]))
            if column.decimals_from is not None:
                known = {decimals: str(styles[shown]) for decimals, shown in NUMBER_FORMATS.items() if shown in styles}
                number = pl.col(_decimals(letter)).replace_strict(known, return_dtype=pl.String)
            # Digit for digit, as Decimal's own text has them: a float would lose the last of eighteen.
            digits = value.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
            return _element(letter, ' s="', number, '"><v>', digits, "</v></c>")
        case "datetime":
            # Whole seconds first: 23:59:59.999999 is 23:59:59 of its day, and what Excel would round is gone. The
            # quotient's shortest text is read back as the same float, which is within a microsecond.
            seconds = value.dt.epoch("us") // 1_000_000 + DAYS_FROM_1899_12_30_TO_1970 * 86_400
            serial = (seconds / 86_400).cast(pl.String).str.strip_suffix(".0")
            return _element(letter, f' s="{styles[TIME_FORMATS["datetime"]]}"><v>', serial, "</v></c>")
        case "date":
            serial = (value.cast(pl.Int32) + DAYS_FROM_1899_12_30_TO_1970).cast(pl.String)
            return _element(letter, f' s="{styles[TIME_FORMATS["date"]]}"><v>', serial, "</v></c>")
        case "boolean":
            return _element(
                letter, f'{_plain("plain", styles)} t="b"><v>', value.cast(pl.UInt8).cast(pl.String), "</v></c>"
            )
        case "integer":
            return _element(letter, f"{_plain('plain', styles)}><v>", value.cast(pl.String), "</v></c>")


def _plain(name: str, styles: Mapping[str, int]) -> str:
    """The style of a cell that needs none but where its sheet has sentences."""
    return f' s="{styles[name]}"' if name in styles else ""


def _height(letter: str, column: Column) -> pl.Expr:
    """How high a row must be for its sentence: LibreOffice does not find out by itself."""
    lines = (pl.col(letter).str.len_chars().fill_null(1).cast(pl.Int64) + column.wraps_at - 1) // column.wraps_at
    points = (lines.clip(1, 20) * LINE_POINTS).cast(pl.String)
    return pl.concat_str(pl.lit(' ht="'), points, pl.lit('" customHeight="1"'))


def _odd_text(letter: str, styles: Mapping[str, int], *, wraps: bool) -> pl.Expr:
    """Text cells of which some need Excel's quote prefix, their spaces kept, or an escape of Excel's own."""
    text = pl.col(letter)
    prefixed = styles["wrapped text" if wraps else "text"]
    plain = _plain("wrapped" if wraps else "plain", styles)
    quoted = pl.when(text.str.contains(FORMULA_LIKE)).then(pl.lit(f' s="{prefixed}"')).otherwise(pl.lit(plain))
    kept = pl.when(text.str.contains(SPACE_THAT_MATTERS)).then(pl.lit(' xml:space="preserve"')).otherwise(pl.lit(""))
    text = text.str.replace_all(ESCAPE_LOOKALIKE, "_x005F_${1}")
    # XML readers would make a newline of a bare carriage return.
    text = text.str.replace_all("\r", "&#13;", literal=True)
    return _element(letter, quoted, ' t="inlineStr"><is><t', kept, ">", text, "</t></is></c>")


def _element(letter: str, *pieces: str | pl.Expr) -> pl.Expr:
    # ECMA-376 lets `r` be left out of a cell, Excel and LibreOffice do without it, and it makes a third of the file;
    # but Microsoft's Spreadsheet Compare, ClosedXML and EPPlus see an empty sheet, or none at all, where it is missing.
    reference = [pl.lit(f'<c r="{letter}'), pl.col("row"), pl.lit('"')]
    return pl.concat_str(*reference, *(pl.lit(piece) if isinstance(piece, str) else piece for piece in pieces))


def _decimals(letter: str) -> str:
    return f"{letter} decimals"


def _with_text_as_xml_holds_it(rows: pl.DataFrame, columns: Sequence[str]) -> tuple[pl.DataFrame, set[str]]:
    """The rows, with text escaped and what no cell can hold left out; and those of the columns with odd text."""
    if not columns:
        return rows, set()
    # One look for anything at all, which most columns pass, then for what it is. UTF-8 never takes fewer bytes than
    # UTF-16 takes units.
    long = _columns_with(pl.col(columns).str.len_bytes() > CELL_TEXT_UTF16_UNITS, rows)
    found = _columns_with(pl.col(columns).str.contains(f"{ODD}|{MARKED}"), rows)
    odd = _columns_with(pl.col(found).str.contains(ODD), rows)
    marked = _columns_with(pl.col(found).str.contains(MARKED), rows)
    visible = pl.col(odd).str.replace_all(FORBIDDEN, "")
    rows = rows.with_columns(pl.when(visible != "").then(visible)) if odd else rows
    rows = rows.with_columns(pl.col(long).map_elements(_cut, return_dtype=pl.String)) if long else rows
    rows = rows.with_columns(pl.col(marked).str.replace_many(MARKUP)) if marked else rows
    return rows, set(odd)


def _columns_with(any_of: pl.Expr, rows: pl.DataFrame) -> list[str]:
    return [name for name, found in rows.select(any_of.any()).to_dict(as_series=False).items() if found == [True]]


def _cut(text: str) -> str:
    units = text.encode("utf-16-le")
    if len(units) <= 2 * CELL_TEXT_UTF16_UNITS:
        return text
    # "ignore" drops the first half of a pair whose second half is cut off.
    return units[: 2 * (CELL_TEXT_UTF16_UNITS - len(CUT_MARK))].decode("utf-16-le", "ignore") + CUT_MARK


def _check(name: str, frame: pl.DataFrame, columns: Sequence[Column]) -> None:
    """Raise TypeError or ValueError if a column of the frame does not hold what the sheet's column says."""
    for column in columns:
        dtype = frame.schema[column.name]
        if not _holds(dtype, column.kind):
            raise TypeError(f"sheet {name!r}: the frame's column {column.name!r} is {dtype}, not {column.kind}")
        if column.decimals_from is not None:
            strange = set(frame[column.decimals_from].unique()) - set(NUMBER_FORMATS)
            if strange:
                raise ValueError(f"sheet {name!r}: {column.decimals_from!r} has {sorted(strange)}; decimals are 0 to 4")
        if column.kind in TIME_FORMATS:
            days = frame[column.name].cast(pl.Date)
            for day in (days.min(), days.max()):
                if isinstance(day, date) and not FIRST_DATE <= day <= LAST_DATE:
                    raise ValueError(
                        f"sheet {name!r}: {column.name!r} has {day}; Excel's dates are {FIRST_DATE} to {LAST_DATE}"
                    )


def _holds(dtype: pl.DataType, kind: Kind) -> bool:
    match kind:
        case "text":
            return dtype == pl.String
        case "amount":
            return isinstance(dtype, pl.Decimal) and dtype.scale > 0  # so that its text ends in decimals
        case "datetime":
            return isinstance(dtype, pl.Datetime) and dtype.time_zone is None
        case "date":
            return dtype == pl.Date
        case "boolean":
            return dtype == pl.Boolean
        case "integer":
            return dtype.is_integer()


def _widths(frame: pl.DataFrame, columns: Sequence[Column]) -> list[int]:
    """Of each column, as wide as its longest content or its header with the filter's button, within reason."""
    return [
        min(max(WIDTH_CHARACTERS_MIN, longest or 0, len(name) + len(" [v]")), WIDTH_CHARACTERS_MAX)
        for name, longest in frame.select(_longest(column) for column in columns).row(0, named=True).items()
    ]


def _longest(column: Column) -> pl.Expr:
    match column.kind:
        case "text":
            # A column is measured in digits, and letters such as m and w are wider than those.
            longest = (pl.col(column.name).str.len_chars().max() * LETTER_DIGITS).ceil().cast(pl.Int64)
        case "amount" | "integer":
            longest = pl.col(column.name).cast(pl.String).str.len_bytes().max() + len(",,")
        case "datetime":
            longest = pl.lit(len("2026-06-30 23:59:59"))
        case "date":
            longest = pl.lit(len("2026-06-30"))
        case "boolean":
            longest = pl.lit(len("FALSE"))
        case _:
            assert_never(column.kind)
    return longest.alias(column.name)
