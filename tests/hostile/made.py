"""How the hostile files are made that no editor can write: workbooks and Parquet files.

`python -m tests.hostile.made` writes the SMALL ones into the folders beside this one, where they are kept as files; the
LARGE ones, which would make the repository large, are made whenever a test wants them. What must happen to each is said
in expected.toml.
"""

import datetime as dt
import io
import re
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter

FOLDER = Path(__file__).parent
COLUMNS = ("entry_id", "entry_type", "occurred_at", "member_id", "amount", "reason")
HEADER = ",".join(COLUMNS).encode()
SHEET, BOOK, STRINGS = "xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/sharedStrings.xml"
CREATED = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
FIRST_OF_ZIP = (1980, 1, 1, 0, 0, 0)
MEGABYTE = 1_000_000


def entry(entry_id: str, **cells: Any) -> dict[str, Any]:
    """A row that is right but for `cells`."""
    day = "2026-06-01T12:00Z"
    return {"entry_id": entry_id, "entry_type": "created", "occurred_at": day, "member_id": "ada", "amount": 1} | cells


# ---- Workbooks --------------------------------------------------------------------------------------------------


def workbook(*entries: Mapping[str, Any], **options: Any) -> bytes:
    """A workbook of entries. A value that is a tuple is a formula and the result that is stored with it."""
    file = io.BytesIO()
    book = xlsxwriter.Workbook(
        file, {"default_date_format": "yyyy-mm-dd hh:mm:ss", "strings_to_urls": False, **options}
    )
    book.set_properties({"created": CREATED})
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, COLUMNS)
    for number, row in enumerate(entries, 1):
        for place, name in enumerate(COLUMNS):
            value = row.get(name)
            if isinstance(value, tuple):
                sheet.write_formula(number, place, value[0], None, value[1])
            elif isinstance(value, str):
                sheet.write_string(number, place, value)
            elif value is not None:
                sheet.write(number, place, value)
    book.close()
    return file.getvalue()


def with_parts(content: bytes, **changes: Any) -> bytes:
    """The workbook with parts changed by functions of their bytes: SHEET, BOOK, STRINGS; `also` are (name, bytes)."""
    also: Sequence[tuple[str, bytes]] = changes.pop("also", ())
    places = {"sheet": SHEET, "book": BOOK, "strings": STRINGS, "properties": "docProps/core.xml"}
    by_part: dict[str, Callable[[bytes], bytes]] = {places[name]: change for name, change in changes.items()}
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            part = old.read(name)
            new.writestr(_dated(name), by_part[name](part) if name in by_part else part, zipfile.ZIP_DEFLATED)
        for name, part in also:
            new.writestr(_dated(name), part, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _dated(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, FIRST_OF_ZIP)


def _sheet(old: str, new: str, content: bytes | None = None) -> bytes:
    """A workbook of one entry in whose sheet something else stands."""
    content = workbook(entry("x")) if content is None else content

    def change(part: bytes) -> bytes:
        assert old.encode() in part, f"{old} is not in {part!r}"
        return part.replace(old.encode(), new.encode())

    return with_parts(content, sheet=change)


def _after_declaration(text: str) -> Callable[[bytes], bytes]:
    return lambda part: part.replace(b'standalone="yes"?>', b'standalone="yes"?>' + text.encode(), 1)


LAUGHS = "<!DOCTYPE worksheet [" + '<!ENTITY l0 "ha">' + "".join(
    f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10)
) + "]>"  # fmt: skip
EXTERNAL = '<!DOCTYPE worksheet [<!ENTITY e SYSTEM "file:///etc/passwd">]>'


def _corner() -> bytes:
    """Cells A1 and XFD1048576, and nothing else: a table that a reader may make room for."""
    data = '<sheetData><row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'

    def change(part: bytes) -> bytes:
        start, end = part.index(b"<sheetData"), part.index(b"</sheetData>")
        return part[:start] + data.encode() + part[end:]

    return with_parts(workbook(entry("x")), sheet=change)


def _twice() -> bytes:
    """A workbook with the sheet's part twice: which of them is read?"""
    file = io.BytesIO(with_parts(workbook(entry("first"))))
    with zipfile.ZipFile(io.BytesIO(workbook(entry("second")))) as other:
        second = other.read(SHEET)
    import warnings

    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as parts, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts.writestr(_dated(SHEET), second)
    return file.getvalue()


def _flagged(content: bytes, bit: int) -> bytes:
    """The zip with a bit of its flags set in every header: 1 is encryption."""
    made = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = made.find(signature)
        while at >= 0:
            made[at + offset] |= bit
            at = made.find(signature, at + 4)
    return bytes(made)


def _of_method(content: bytes, method: int) -> bytes:
    """The zip whose parts claim to be compressed by another method."""
    made = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = made.find(signature)
        while at >= 0:
            made[at + offset : at + offset + 2] = struct.pack("<H", method)
            at = made.find(signature, at + 4)
    return bytes(made)


def _of_stated_size(content: bytes, size: int) -> bytes:
    """The zip whose directory says that every part unpacks to `size` bytes."""
    made = bytearray(content)
    at = made.find(b"PK\x01\x02")
    while at >= 0:
        made[at + 24 : at + 28] = struct.pack("<I", size)
        at = made.find(b"PK\x01\x02", at + 4)
    return bytes(made)


def _openpyxl(change: Callable[[Any], None]) -> bytes:
    book = openpyxl.Workbook()
    book.properties.created = book.properties.modified = CREATED.replace(tzinfo=None)
    sheet = book.active
    sheet.append(COLUMNS)
    sheet.append([entry(change.__name__.strip("_")).get(name) for name in COLUMNS])
    change(book)
    file = io.BytesIO()
    book.save(file)
    return with_parts(
        file.getvalue(),
        book=lambda part: part.replace(b"dots-shown", b"../../shown"),
        properties=lambda part: re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>2026-06-01T00:00:00Z", part),
    )


def _hidden_first(book: Any) -> None:
    book.active.title = "dots-shown"
    hidden = book.create_sheet("hidden", 0)
    hidden.append(["nothing", "of", "interest"])
    hidden.sheet_state = "veryHidden"
    book.active = 1


def _merged(book: Any) -> None:
    book.active.append(["merged-2", "created", "2026-06-01", "ada", 1, "over two rows"])
    book.active.merge_cells("F2:F3")


def _only_chart(book: Any) -> None:
    book.create_chartsheet("chart")
    book.remove(book.worksheets[0])


def _in_1904() -> bytes:
    return workbook(
        entry("in-1904", occurred_at=dt.datetime(2026, 6, 1, 12, 30)),  # noqa: DTZ001 - a cell's time
        date_1904=True,
    )


def _escapes() -> bytes:
    return workbook(*(entry(f"escape-{n}", reason=text) for n, text in enumerate(
        ("=1+1", "+1", "-1", "@x", "_x000D_", "_x0000_", "\x0b\x1b[2J", "\u202exslx", " x ", "a\nb", "日本👨‍👩‍👧"), 1
    )))  # fmt: skip


def _numbers() -> bytes:
    numbers: Sequence[Any] = (1.5, 1e300, 1e-300, 0, -1, 12.345, 99999999999999.98, True, "NaN", "1E400", 1e15)
    return workbook(*(entry(f"number-{n}", amount=number) for n, number in enumerate(numbers, 1)))


def _raw_numbers() -> bytes:
    """Cells whose numbers are none, or none that a cell can have."""
    texts = ("NaN", "INF", "-INF", "1e999", "0x10", "", "1,5", "9" * 400)
    content = workbook(*(entry(f"raw-{n}", amount=7000 + n) for n in range(len(texts))))

    def change(part: bytes) -> bytes:
        for number, text in enumerate(texts):
            part = part.replace(f"<v>{7000 + number}</v>".encode(), f"<v>{text}</v>".encode())
        return part

    return with_parts(content, sheet=change)


def _raw_dates() -> bytes:
    """Cells in a date's format whose numbers are no dates that Excel has."""
    day = dt.datetime(2026, 6, 1)  # noqa: DTZ001 - a cell's time
    content = workbook(*(entry(f"date-{n}", occurred_at=day + dt.timedelta(days=n)) for n in range(6)))
    numbers = ("-1", "0", "60", "2958466", "1e300", "46174.99999999")

    def change(part: bytes) -> bytes:
        for n, number in enumerate(numbers):
            part = part.replace(f"<v>{46174 + n}</v>".encode(), f"<v>{number}</v>".encode())
        return part

    return with_parts(content, sheet=change)


def _formulas() -> bytes:
    results = (("=1/0", "#DIV/0!"), ("=NA()", "#N/A"), ("=1+1", 2), ('=HYPERLINK("http://evil.example","x")', "x"))
    return workbook(
        *(entry(f"formula-{n}", amount=(text, result)) for n, (text, result) in enumerate(results, 1)),
        entry("formula-5", amount=("=2", "")),
        entry("formula-6", reason=('=WEBSERVICE("http://evil.example")', "#NAME?")),
    )


def _rels(target: str) -> bytes:
    """A workbook whose first sheet is said to be at `target`."""
    content = workbook(entry("x"))
    rels = "xl/_rels/workbook.xml.rels"
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            part = old.read(name)
            if name == rels:
                part = part.replace(b"worksheets/sheet1.xml", target.encode())
            new.writestr(_dated(name), part, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _zip_of(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as parts:
        for name in names:
            parts.writestr(_dated(name), "x")
    return file.getvalue()


# ---- Parquet ----------------------------------------------------------------------------------------------------


def table(*entries: Mapping[str, Any], **columns: Any) -> bytes:
    """A Parquet file of entries; `columns` take the place of theirs, or come after them."""
    names = dict.fromkeys(name for one in entries for name in one)
    made: dict[str, Any] = {name: pa.array([one.get(name) for one in entries]) for name in names}
    return _written(pa.table(made | {name: pa.array(c) if isinstance(c, list) else c for name, c in columns.items()}))


def _written(data: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(data, file, **options)
    return file.getvalue()


def _plain_table(**options: Any) -> bytes:
    entries = [entry("plain-1"), entry("plain-2")]
    return _written(pa.table({name: [one[name] for one in entries] for name in entries[0]}), **options)


def _cut_in_footer() -> bytes:
    whole = _plain_table()
    return whole[:-30] + whole[-8:]


def _stated_footer(size: int) -> bytes:
    return _plain_table()[:-8] + struct.pack("<I", size) + b"PAR1"


def _stated_rows() -> bytes:
    """A file of two rows whose footer says 2 ** 50 of them."""
    whole = _plain_table()
    size = struct.unpack("<I", whole[-8:-4])[0]
    footer = whole[-8 - size : -8]
    # num_rows is the third field of the footer: a zigzag number after a field header of type 6, 64-bit integer.
    schema_end = footer.index(b"\x16\x04\x19")
    many = bytearray()
    number = 2**51
    while number > 127:
        many.append(number & 127 | 128)
        number >>= 7
    many.append(number)
    changed = footer[: schema_end + 1] + bytes(many) + footer[schema_end + 2 :]
    return whole[: -8 - size] + changed + struct.pack("<I", len(changed)) + b"PAR1"


def _invalid_text() -> bytes:
    """A column of text with bytes that are no text."""
    whole = table(entry("x", reason="QQQQQQQQ"), entry("y", reason="fine"))
    return whole.replace(b"QQQQQQQQ", b"\xff\xfe\xc0\xaf\xed\xa0\x80\xff")


def _times() -> bytes:
    nanoseconds = pa.array([1780315200123456789, None, 2**62], pa.timestamp("ns"))
    return table(*(entry(f"ns-{n}") for n in range(3)), occurred_at=nanoseconds)


def _int96() -> bytes:
    when = pa.array([dt.datetime(2026, 6, 1, 12), dt.datetime(1969, 12, 31)], pa.timestamp("us"))  # noqa: DTZ001
    data = pa.table(
        {**{name: [entry("int96-1")[name], entry("int96-2")[name]] for name in entry("")}, "occurred_at": when}
    )
    return _written(data, use_deprecated_int96_timestamps=True)


def _far_dates() -> bytes:
    days = pa.array([-719528 - 366, 2932896, 2**31 - 10, -(2**31) + 10, None, 20605], pa.date32())
    return table(*(entry(f"far-{n}") for n in range(6)), occurred_at=days)


def _doubles() -> bytes:
    values = [float("nan"), float("inf"), float("-inf"), 1e300, 5e-324, -0.0, 12.5, 0.1 + 0.2, 1e14, 99999999999999.99]
    return table(*(entry(f"double-{n}") for n in range(len(values))), amount=pa.array(values, pa.float64()))


def _decimals() -> bytes:
    values = [
        Decimal("1.00"),
        Decimal("9" * 28 + "." + "9" * 10),
        Decimal("0.0000000001"),
        Decimal(-1),
        Decimal("12.5"),
    ]
    return table(*(entry(f"decimal-{n}") for n in range(5)), amount=pa.array(values, pa.decimal128(38, 10)))


SMALL: Mapping[str, Callable[[], bytes]] = {
    "xlsx/two-cells.xlsx": _corner,
    "xlsx/absurd-dimension.xlsx": lambda: _sheet(
        '<dimension ref="A1:F2"/>', '<dimension ref="A1:XFD1048576"/>', workbook(entry("absurd"))
    ),
    "xlsx/dimension-of-nonsense.xlsx": lambda: _sheet('<dimension ref="A1:F2"/>', '<dimension ref="Q:9-:1"/>'),
    "xlsx/row-number-of-nonsense.xlsx": lambda: _sheet('<c r="A2"', '<c r="A99999999999999999999"'),
    "xlsx/row-zero.xlsx": lambda: _sheet('<c r="A2"', '<c r="A0"'),
    "xlsx/column-beyond-the-last.xlsx": lambda: _sheet('<c r="A2"', '<c r="ZZZZZZ2"'),
    "xlsx/billion-laughs.xlsx": lambda: with_parts(workbook(entry("x")), sheet=_after_declaration(LAUGHS)),
    "xlsx/billion-laughs-in-strings.xlsx": lambda: with_parts(
        workbook(entry("x", reason="ha")),
        strings=lambda part: _after_declaration(LAUGHS)(part).replace(b">ha<", b">&l9;<"),
    ),
    "xlsx/external-entity.xlsx": lambda: with_parts(
        workbook(entry("x", reason="ha")),
        strings=lambda part: _after_declaration(EXTERNAL)(part).replace(b">ha<", b">&e;<"),
    ),
    "xlsx/entities-behind-a-comment.xlsx": lambda: with_parts(
        workbook(entry("x")), book=_after_declaration(f"<!--{' ' * 9000}-->{LAUGHS}")
    ),
    "xlsx/entities-in-utf-16.xlsx": lambda: with_parts(
        workbook(entry("x")),
        book=lambda part: _after_declaration(LAUGHS)(part).decode().replace("UTF-8", "UTF-16").encode("utf-16"),
    ),
    "xlsx/path-traversal.xlsx": lambda: with_parts(
        workbook(entry("traversal")),
        also=[("../../../../evil.xml", b"<x/>"), ("/etc/cron.d/evil", b"* * * * * root id"), ("..\\evil", b"x")],
    ),
    "xlsx/sheet-at-absolute-path.xlsx": lambda: _rels("/etc/passwd"),
    "xlsx/sheet-above-the-package.xlsx": lambda: _rels("../../../../etc/passwd"),
    "xlsx/sheet-on-the-web.xlsx": lambda: _rels("http://evil.example/sheet1.xml"),
    "xlsx/encrypted-parts.xlsx": lambda: _flagged(workbook(entry("x")), 1),
    "xlsx/password.xlsx": lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 2000,
    "xlsx/same-part-twice.xlsx": _twice,
    "xlsx/string-index-out-of-range.xlsx": lambda: _sheet('<c r="A2" t="s"><v>6</v>', '<c r="A2" t="s"><v>999999</v>'),
    "xlsx/string-index-negative.xlsx": lambda: _sheet('<c r="A2" t="s"><v>6</v>', '<c r="A2" t="s"><v>-1</v>'),
    "xlsx/nested-zip.xlsx": lambda: with_parts(
        workbook(entry("nested-zip")), also=[("xl/embeddings/bomb.zip", workbook(entry("inner")))]
    ),
    "xlsx/cut-off-directory.xlsx": lambda: workbook(entry("x"))[:-40],
    "xlsx/stated-sizes-too-small.xlsx": lambda: _of_stated_size(workbook(entry("x")), 10),
    "xlsx/stated-sizes-too-large.xlsx": lambda: _of_stated_size(workbook(entry("x")), 2**31),
    "xlsx/claims-lzma.xlsx": lambda: _of_method(workbook(entry("x")), zipfile.ZIP_LZMA),
    "xlsx/claims-bzip2.xlsx": lambda: _of_method(workbook(entry("x")), zipfile.ZIP_BZIP2),
    "xlsx/unknown-compression.xlsx": lambda: _of_method(workbook(entry("x")), 97),
    "xlsx/in-1904.xlsx": _in_1904,
    "xlsx/formulas.xlsx": _formulas,
    "xlsx/merged-cells.xlsx": lambda: _openpyxl(_merged),
    "xlsx/hidden-first-sheet.xlsx": lambda: _openpyxl(_hidden_first),
    "xlsx/only-a-chart.xlsx": lambda: _openpyxl(_only_chart),
    "xlsx/escapes.xlsx": _escapes,
    "xlsx/numbers.xlsx": _numbers,
    "xlsx/numbers-of-nonsense.xlsx": _raw_numbers,
    "xlsx/dates-of-nonsense.xlsx": _raw_dates,
    "xlsx/deep-xml.xlsx": lambda: _sheet(
        "</sheetData>", "</sheetData>" + "<a>" * 50_000 + "</a>" * 50_000, workbook(entry("deep-xml"))
    ),
    "xlsx/unclosed-xml.xlsx": lambda: _sheet("</sheetData>", "<row>"),
    "xlsx/other-zip.xlsx": lambda: _zip_of("word/document.xml", "[Content_Types].xml"),
    "xlsx/open-document.xlsx": lambda: _zip_of("mimetype", "content.xml", "META-INF/manifest.xml"),
    "xlsx/binary-workbook.xlsx": lambda: _zip_of("[Content_Types].xml", "xl/workbook.bin"),
    "xlsx/csv.xlsx": lambda: HEADER + b"\nx,created,2026-06-01,ada,1,\n",
    "xlsx/empty.xlsx": lambda: b"",
    "parquet/nested.parquet": lambda: table(entry("x"), reason=pa.array([{"a": [1]}])),
    "parquet/lists.parquet": lambda: table(entry("x"), reason=pa.array([["a"]])),
    "parquet/bytes.parquet": lambda: table(entry("x"), reason=pa.array([b"\xff\0"])),
    "parquet/times.parquet": lambda: table(entry("x"), occurred_at=pa.array([dt.time(12)])),
    "parquet/durations.parquet": lambda: table(entry("duration"), reason=pa.array([dt.timedelta(1)])),
    "parquet/decimals-of-38-digits.parquet": _decimals,
    "parquet/nanoseconds.parquet": _times,
    "parquet/int96.parquet": _int96,
    "parquet/far-dates.parquet": _far_dates,
    "parquet/doubles.parquet": _doubles,
    "parquet/large-integers.parquet": lambda: table(
        *(entry(f"integer-{n}") for n in range(3)), amount=pa.array([2**64 - 1, 5, 0], pa.uint64())
    ),
    "parquet/control-characters.parquet": lambda: table(
        *(
            entry(f"pq-control-{n}", reason=text)
            for n, text in enumerate(("a\0b", "\x1b[2J", "\ufffe", "\u202ex", "=1+1"))
        )
    ),
    "parquet/invalid-text.parquet": _invalid_text,
    "parquet/same-column-twice.parquet": lambda: _written(
        pa.Table.from_arrays([pa.array(["x"])] * 7, names=[*COLUMNS, "amount"])
    ),
    "parquet/column-case.parquet": lambda: table(entry("x"), AMOUNT=pa.array([2])),
    "parquet/hostile-column.parquet": lambda: table(entry("x"), **{'\x1b[2J\u202e"; drop table x; --': pa.array([1])}),
    "parquet/no-rows.parquet": lambda: _written(pa.table({name: pa.array([], pa.string()) for name in COLUMNS})),
    "parquet/no-columns.parquet": lambda: _written(pa.table({})),
    "parquet/encrypted.parquet": lambda: b"PARE" + _plain_table()[4:-4] + b"PARE",
    "parquet/wrong-magic.parquet": lambda: b"XXXX" + _plain_table()[4:-4] + b"XXXX",
    "parquet/only-magic.parquet": lambda: b"PAR1PAR1",
    "parquet/cut-off.parquet": lambda: _plain_table()[:-1],
    "parquet/footer-cut.parquet": _cut_in_footer,
    "parquet/footer-of-4-gigabytes.parquet": lambda: _stated_footer(2**32 - 1),
    "parquet/footer-of-nothing.parquet": lambda: _stated_footer(0),
    "parquet/stated-rows.parquet": _stated_rows,
    "parquet/csv.parquet": lambda: HEADER + b"\nx,created,2026-06-01,ada,1,\n",
    "csv/workbook.csv": lambda: workbook(entry("x")),
    "csv/parquet.csv": _plain_table,
}


# ---- Large ------------------------------------------------------------------------------------------------------


def _row(entry_id: str, cell: bytes, end: bytes = b"\n") -> bytes:
    return f"{entry_id},created,2026-06-01T12:00Z,ada,1.00,".encode() + cell + end


def _zeros(size: int) -> bytes:
    """A workbook whose sheet unpacks to so many bytes of nothing."""
    return with_parts(
        workbook(entry("x")), sheet=lambda part: part.replace(b"</sheetData>", b"</sheetData>" + b" " * size)
    )


def _repeated_text() -> bytes:
    """Few bytes that say: the same megabyte of text, two hundred thousand times."""
    rows = 200_000
    text = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * MEGABYTE]))
    same = {
        name: pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([str(value)]))
        for name, value in entry("bomb").items()
    }
    return _written(pa.table({**same, "reason": text}), row_group_size=rows, data_page_size=10**9)


def _deep(depth: int) -> bytes:
    head = (
        b'{"entry_id": "deep-%d", "entry_type": "created", "occurred_at": "2026-06-01", "member_id": "ada", "amount": 1'
    )
    lines = [
        head % 1 + b"}",
        head % 2 + b', "reason": ' + b"[" * depth + b"]" * depth + b"}",
        head % 3 + b', "reason": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}",
        b"[" * depth + b"]" * depth,
        b"[" * depth,
        head % 6 + b', "reason": "' + b"[" * depth + b'"}',
    ]
    return b"\n".join(lines) + b"\n"


LARGE: Mapping[str, Callable[[], bytes]] = {
    "csv/ten-megabyte-cell.csv": lambda: (
        HEADER + b"\n" + _row("big-1", b"x" * 10 * MEGABYTE) + _row("big-2", b'"' + b"y,\n" * 3 * MEGABYTE + b'"')
    ),
    "csv/line-of-40-megabytes.csv": lambda: (
        HEADER + b"\n" + _row("long-1", b"") + _row("long-2", b"x" * 40 * MEGABYTE) + _row("long-3", b"")
    ),
    "csv/five-million-delimiters.csv": lambda: (
        HEADER
        + b"\n"
        + _row("delimiters-1", b"")
        + _row("delimiters-2", b"," * 5 * MEGABYTE)
        + _row("delimiters-3", b"")
    ),
    "csv/ten-thousand-columns.csv": lambda: (
        HEADER + b"".join(b",c%d" % n for n in range(10_000)) + b"\nwide,created,2026-06-01,ada,1,x" + b"," * 10_000
    ),
    "csv/quotes-that-never-pair-up.csv": lambda: HEADER + b"\n" + b'x","\n' * 300_000,
    "csv/nothing-but-nul.csv": lambda: b"\0" * MEGABYTE,
    "csv/line-end-after-line-end.csv": lambda: HEADER + b"\n" * MEGABYTE + _row("ends", b""),
    "jsonl/ten-megabyte-text.jsonl": lambda: (
        b'{"entry_id": "jbig", "entry_type": "created", "occurred_at": "2026-06-01", "member_id": "ada", "amount": 1,'
        b' "reason": "' + b"x" * 10 * MEGABYTE + b'"}\n'
    ),
    "jsonl/key-of-a-megabyte.jsonl": lambda: b'{"' + b"k" * MEGABYTE + b'": 1}\n',
    "jsonl/number-of-a-megabyte.jsonl": lambda: (
        b'{"entry_id": "jnumber", "entry_type": "created", "occurred_at": "2026-06-01", "member_id": "ada", "amount": '
        + b"9" * MEGABYTE
        + b"}\n"
    ),
    "jsonl/deep-nesting.jsonl": lambda: _deep(100_000),
    "xlsx/bomb-of-300-megabytes.xlsx": lambda: _zeros(300 * MEGABYTE),
    "xlsx/bomb-that-hides-its-size.xlsx": lambda: _of_stated_size(_zeros(120 * MEGABYTE), 1000),
    "xlsx/twenty-thousand-parts.xlsx": lambda: with_parts(
        workbook(entry("x")), also=[(f"xl/media/{n}", b"") for n in range(20_000)]
    ),
    "xlsx/ten-megabyte-cell.xlsx": lambda: _sheet(
        "</sheetData>",
        f'<row r="3"><c r="A3" t="inlineStr"><is><t>{"x" * 10 * MEGABYTE}</t></is></c></row></sheetData>',
        workbook(entry("xbig")),
    ),
    "parquet/ten-thousand-columns.parquet": lambda: table(entry("x"), **{f"c{n}": pa.nulls(1) for n in range(10_000)}),
    "parquet/dictionary-bomb.parquet": _repeated_text,
}


def main() -> None:
    """Write the small ones."""
    for name, make in SMALL.items():
        path = FOLDER / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(make())


if __name__ == "__main__":
    main()
