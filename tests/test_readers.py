"""Readers: files of every kind, well-formed and not, and the rows of text that come of them."""

import codecs
import datetime as dt
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import readers
from pipelines.readers import (
    Kind,
    Read,
    Shape,
    UnreadableFileError,
    csv_file,
    csv_structure,
    parquet_file,
    xlsx_child,
    xlsx_file,
)

SHAPE = Shape(("id", "amount", "note"), frozenset({"id", "amount"}), frozenset({"Colour"}))
MEGABYTE = 1_000_000
Row = tuple[Any, ...]


@dataclass
class Reading:
    """Reads files made by a test."""

    con: duckdb.DuckDBPyConnection
    folder: Path
    shape: Shape = SHAPE

    def __call__(self, content: bytes | str | Path, kind: Kind = "csv", *, encoding: str = "utf-8") -> Read:
        path = content if isinstance(content, Path) else self.folder / "file"
        if not isinstance(content, Path):
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        try:
            read = readers.read(self.con, path, kind, self.shape, encoding=encoding, scratch=scratch)
        finally:
            assert list(scratch.iterdir()) == []
        assert read.rows_read == len(self.rows) + read.malformed
        assert read.malformed == len(self.malformed)
        return read

    @property
    def rows(self) -> list[Row]:
        return self.con.execute("from staging.raw order by source_row").fetchall()

    @property
    def malformed(self) -> list[Row]:
        """(source_row, text, reason)."""
        return self.con.execute("select source_row, text, reason from staging.malformed order by source_row").fetchall()

    def refused(self, content: bytes | str | Path, kind: Kind = "csv", **options: str) -> UnreadableFileError:
        with pytest.raises(UnreadableFileError) as problem:
            self(content, kind, **options)
        message = str(problem.value)
        assert message.endswith(".")
        assert "Error" not in message
        assert "Traceback" not in message
        assert "\n" not in message
        left = self.con.execute("select table_name from information_schema.tables where table_catalog = 'staging'")
        assert left.fetchall() == []
        return problem.value


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connected() as con:
        yield con


@pytest.fixture
def reading(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> Reading:
    return Reading(con, tmp_path)


def connected() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("attach ':memory:' as staging")
    return con


# ---- CSV --------------------------------------------------------------------------------------------------------


def test_every_known_column_is_there_and_those_that_the_file_lacks_are_null(reading: Reading) -> None:
    read = reading("amount,id\n10.00,a\n20.00,b\n")
    assert read == Read(rows_read=2, malformed=0)
    assert reading.rows == [(2, "a", "10.00", None), (3, "b", "20.00", None)]
    described = reading.con.execute("describe staging.raw").fetchall()
    assert [column[:2] for column in described] == [
        ("source_row", "BIGINT"),
        ("id", "VARCHAR"),
        ("amount", "VARCHAR"),
        ("note", "VARCHAR"),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False], ids=["ended", "not ended"])
def test_delimiters_line_ends_and_marks(reading: Reading, delimiter: str, line_end: str, mark: str, last: bool) -> None:
    lines = [["id", "amount", "note"], ["a", "1", f'"x{delimiter} y"'], ["b", "2", "é"]]
    text = mark + line_end.join(map(delimiter.join, lines)) + line_end * last
    reading(text)
    assert reading.rows == [(2, "a", "1", f"x{delimiter} y"), (3, "b", "2", "é")]


def test_the_header_decides_about_the_delimiter_not_the_rows(reading: Reading) -> None:
    reading("id;amount;note\na;1,50;one, two, three, four\n")
    assert reading.rows == [(2, "a", "1,50", "one, two, three, four")]


def test_whitespace_around_a_cell_is_not_part_of_it_and_a_blank_one_is_null(reading: Reading) -> None:
    reading("id , amount,\tnote\u00a0\n a\u3000,\t1 \t, \u2003x\u00a0y \n b,2,\u00a0 \n", "csv")
    assert reading.rows == [(2, "a", "1", "x\u00a0y"), (3, "b", "2", None)]


def test_text_in_quotes_may_hold_line_ends_and_is_one_record(reading: Reading) -> None:
    reading('id,amount,note\na,1,"one\n\ntwo ""quoted"""\nb,2\nc,3,"x\r\ny"\nd,4,\n')
    assert reading.rows == [(2, "a", "1", 'one\n\ntwo "quoted"'), (4, "c", "3", "x\r\ny"), (5, "d", "4", None)]
    assert reading.malformed == [(3, "b,2", "too_few_cells")]


def test_rows_with_too_few_or_too_many_cells_are_set_aside_whole_and_the_others_keep_their_numbers(
    reading: Reading,
) -> None:
    read = reading("id,amount,note\na,1,x\nb,2\nc,3,x\nd,4,x,y\ne,5,x\n,,,\nf,6,x,,\n")
    assert read.rows_read == 6
    assert [row[:2] for row in reading.rows] == [(2, "a"), (4, "c"), (6, "e")]
    assert reading.malformed == [
        (3, "b,2", "too_few_cells"),
        (5, "d,4,x,y", "too_many_cells"),
        (8, "f,6,x,,", "too_many_cells"),
    ]


def test_a_malformed_row_is_explained_with_a_next_step(reading: Reading) -> None:
    reading("id,amount,note\nb,2\n")
    ((explanation,),) = reading.con.execute("select explanation from staging.malformed").fetchall()
    assert explanation == (
        "The row has fewer cells than the header has columns: a delimiter is missing, or it was cut off."
        " Correct it at the source and send the row again."
    )


def test_blank_rows_are_no_rows_but_are_counted_in_row_numbers(reading: Reading) -> None:
    read = reading("\n\nid,amount,note\n\na,1,x\n   \n,,\n\nb,2,x\n\n\n")
    assert read.rows_read == 2
    assert [row[:2] for row in reading.rows] == [(5, "a"), (9, "b")]


@pytest.mark.parametrize("filler", ["   \n", ",,\n", "\t\n", '"",,\n', ", ,\n"])
def test_a_row_of_blank_cells_is_blank(reading: Reading, filler: str) -> None:
    read = reading(f"id,amount,note\na,1,x\n{filler}b,2,x\n{filler}")
    assert read.rows_read == 2
    assert [row[:2] for row in reading.rows] == [(2, "a"), (4, "b")]


def test_a_row_with_nothing_but_an_ignored_column_is_a_row(reading: Reading) -> None:
    assert reading("id,amount,Colour\n,,red\n").rows_read == 1


def test_a_broken_quote_costs_its_own_line_only(reading: Reading) -> None:
    reading('id,amount,note\na,1,"x\nb,2,y\nc,3,"z"z\nd,4,"w"\ne,5,"never closed\nf,6,x\n')
    assert [row[:2] for row in reading.rows] == [(3, "b"), (5, "d"), (7, "f")]
    assert reading.malformed == [
        (2, 'a,1,"x', "broken_quotes"),
        (4, 'c,3,"z"z', "broken_quotes"),
        (6, 'e,5,"never closed', "broken_quotes"),
    ]


def test_a_broken_quote_in_a_row_that_is_too_long_loses_nothing(reading: Reading) -> None:
    # DuckDB's own reader gives no row and no reject for this file.
    read = reading('id,amount\n ,a,"a","\\\n\t\nb,2\n"",x,"\t, ",x\n   ,x\nc,3\n')
    assert read.rows_read == 5
    assert [row[:2] for row in reading.rows] == [(4, "b"), (6, None), (7, "c")]


def test_a_quote_within_unquoted_text_is_a_character(reading: Reading) -> None:
    reading('id,amount,note\na,1,5" pipe\nb,2,"x"\n')
    assert reading.rows == [(2, "a", "1", '5" pipe'), (3, "b", "2", "x")]


def test_quotes_that_never_pair_up_end_in_a_reason_and_not_in_hours(reading: Reading) -> None:
    problem = reading.refused("id,amount,note\n" + 'x","\n' * 300_000)
    assert problem.reason == "broken_quotes"


def test_a_header_alone_has_no_rows(reading: Reading) -> None:
    for text in ("id,amount,note", "id,amount,note\n", "id,amount,note\r\n\r\n"):
        assert reading(text).rows_read == 0


@pytest.mark.parametrize("kind", ["csv", "jsonl", "xlsx", "parquet"])
def test_an_empty_file_is_refused(reading: Reading, kind: Kind) -> None:
    assert reading.refused(b"", kind).reason == "empty_file"


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("content", ["\n", "  \r\n\n", "\ufeff", "\ufeff\n"])
def test_a_file_of_blank_lines_is_refused(reading: Reading, content: str, kind: Kind) -> None:
    assert reading.refused(content, kind).reason == "empty_file"


@pytest.mark.parametrize(
    ("header", "reason", "column", "said"),
    [
        ("id,note", "missing_column", "amount", 'The header lacks "amount"'),
        ("id,amount,Note", "unknown_column", "Note", 'Did you mean "note"?'),
        ("id,amuont,note", "unknown_column", "amuont", 'Did you mean "amount"?'),
        ("id,amount,weather", "unknown_column", "weather", "Known are: id, amount, note."),
        ("id,amount,id", "duplicate_column", "id", "2 times"),
        ("id,,amount", "unnamed_column", None, "Column 2"),
        ("a,b,c", "unknown_column", "a", "ignore_columns in merchants.toml"),
        ('id,amount,"note', "broken_quotes", None, 'id,amount,"note'),
        ('"; drop table x; --,amount', "broken_quotes", None, "header"),
        ("id'); drop table x; --,id,amount", "unknown_column", "id'); drop table x; --", "unknown"),
    ],
)
def test_a_header_that_is_wrong_refuses_the_file_and_names_the_column(
    reading: Reading, header: str, reason: str, column: str | None, said: str
) -> None:
    problem = reading.refused(f"{header}\n1,2,3\n")
    assert problem.reason == reason
    assert column is None or f'"{column}"' in str(problem)
    assert said in str(problem)


def test_columns_that_the_merchant_ignores_are_ignored_wherever_and_as_often_as_they_stand(reading: Reading) -> None:
    reading("Colour,id,Colour,amount\nred,a,blue,1\n")
    assert reading.rows == [(2, "a", "1", None)]


def test_blank_columns_at_the_end_of_a_header_are_none(reading: Reading) -> None:
    reading("id,amount,note,,\na,1,x,,\nb,2,x\nc,3,x,,y\n")
    assert [row[:2] for row in reading.rows] == [(2, "a"), (3, "b")]
    assert reading.malformed == [(4, "c,3,x,,y", "too_many_cells")]


def test_a_file_of_one_column(reading: Reading) -> None:
    reading.shape = Shape(("id", "note"), frozenset({"id"}))
    reading('id\na\n\n"b"\n \nc,d\n')
    assert [row[:2] for row in reading.rows] == [(2, "a"), (4, "b")]
    assert reading.malformed == [(6, "c,d", "too_many_cells")]


# ---- Encodings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoding",
    ["cp1252", "latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp500", "utf-7", "iso2022_jp", "mac_roman"],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_text_that_is_not_utf8_is_read_in_the_encoding_of_the_merchant(
    reading: Reading, encoding: str, kind: Kind
) -> None:
    name = "日本" if encoding == "iso2022_jp" else "Zoë Müller"
    text = f"id,amount,note\na,1,{name}\n" if kind == "csv" else f'{{"id": "a", "amount": 1, "note": "{name}"}}\n'
    reading(text.encode(encoding), kind, encoding=encoding)
    assert [row[1:] for row in reading.rows] == [("a", "1", name)]


def test_utf8_is_utf8_whatever_the_merchant_says(reading: Reading) -> None:
    for encoding in ("cp1252", "utf-16", "utf-7", "cp500", "rot13", "no such"):
        reading("id,amount,note\na,1,Zoë\n", encoding=encoding)
        assert reading.rows == [(2, "a", "1", "Zoë")]
        reading("id,amount,note\na,1,plain+\n", encoding=encoding)
        assert reading.rows == [(2, "a", "1", "plain+")]


def test_a_mark_of_utf16_is_believed(reading: Reading) -> None:
    reading("id\tamount\tnote\na\t1\tZoë\n".encode("utf-16"), encoding="cp1252")
    assert reading.rows == [(2, "a", "1", "Zoë")]


def test_text_in_no_known_encoding_is_refused_with_the_place_and_both_encodings(reading: Reading) -> None:
    content = b"id,amount,note\na,1,x\nb,2,\x81\n"
    problem = reading.refused(content, encoding="cp1252")
    assert problem.reason == "wrong_encoding"
    assert str(problem).startswith(
        "The file is neither UTF-8 (see byte 25, line 3) nor cp1252, the merchant's encoding (see byte 25 (line 3))."
    )
    problem = reading.refused(content)
    assert str(problem).startswith(
        "The file is not UTF-8: see byte 25 (line 3). Save it as UTF-8 and send it again, or"
    )
    assert reading.refused(content, encoding="rot13").reason == "unknown_encoding"
    assert reading.refused(content, encoding="hex").reason == "unknown_encoding"


def test_the_place_of_a_wrong_byte_is_exact_far_into_a_file(reading: Reading) -> None:
    lines = "a,1,Zoë\n" * 300_000
    content = f"id,amount,note\n{lines}".encode()
    problem = reading.refused(content + b"\xff\n")
    assert f"byte {len(content):,} (line 300,002)" in str(problem)
    problem = reading.refused(content + "é".encode()[:1])
    assert f"byte {len(content):,} (line 300,002)" in str(problem)


def test_utf16_that_nobody_declared_is_refused(reading: Reading) -> None:
    for kind, text in (("csv", "id,amount\na,1\n"), ("jsonl", '{"id": "a"}\n')):
        problem = reading.refused(text.encode("utf-16-le"), kind)  # type: ignore[arg-type]
        assert problem.reason == "wrong_encoding"
        assert "UTF-16" in str(problem)


def test_a_row_with_a_nul_is_set_aside(reading: Reading) -> None:
    reading("id,amount,note\na,1,x\nb,2,\0\nc,3,x\n" + "\0" * 5)
    assert [row[:2] for row in reading.rows] == [(2, "a"), (4, "c")]
    assert reading.malformed == [(3, "b,2,\0", "nul_byte"), (5, "\0" * 5, "nul_byte")]


# ---- Long lines -------------------------------------------------------------------------------------------------


def test_a_cell_of_sixteen_megabytes_is_read(reading: Reading) -> None:
    long = "x" * (16 * MEGABYTE)
    reading(f"id,amount,note\na,1,{long}\nb,2,\n")
    assert reading.rows == [(2, "a", "1", long), (3, "b", "2", None)]
    reading(f'{{"id":"a","amount":1,"note":"{long}"}}\n{{"id":"b","amount":2}}\n', "jsonl")
    assert reading.rows == [(1, "a", "1", long), (2, "b", "2", None)]


@pytest.mark.parametrize("opening", ["", '"'])
def test_a_row_of_forty_megabytes_is_set_aside_and_the_others_are_read(reading: Reading, opening: str) -> None:
    _check_long_line(reading, 40, opening)


@pytest.mark.slow
def test_a_row_of_a_gigabyte_takes_a_bounded_amount_of_memory(tmp_path: Path) -> None:
    import resource
    import subprocess
    import sys

    program = "from tests.test_readers import *; from tests.test_readers import _check_long_line; import sys\n"
    program += "_check_long_line(Reading(connected(), Path(sys.argv[1])), 1000, '')\n"
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, cwd=Path(__file__).parents[1])
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 1_500_000  # kB


def _check_long_line(reading: Reading, megabytes: int, opening: str) -> None:
    for kind, before, begin, after in (
        ("csv", "id,amount,note\na,1,x\n", f"b,2,{opening}", "\nc,3,x\n"),
        ("jsonl", '\n{"id":"a","amount":1}\n', '{"id":"b","note":"', '\n{"id":"c","amount":3}\n'),
    ):
        with (reading.folder / "file").open("w") as file:
            file.write(before + begin)
            for _ in range(megabytes):
                file.write("x" * MEGABYTE)
            file.write(after)
        reading(reading.folder / "file", kind)  # type: ignore[arg-type]
        assert [row[:2] for row in reading.rows] == [(2, "a"), (4, "c")]
        ((number, text, reason),) = reading.malformed
        assert (number, reason) == (3, "too_long")
        assert text.startswith(begin + "xxx")
        assert text.endswith(" … (the rest of this row is in the archived file)")
        assert len(text) < 66_000


# ---- CSV: two ways, one result ----------------------------------------------------------------------------------

_CELL = st.one_of(
    st.sampled_from(["", "", "a", "b1", "x y", "é", "\u00a0", " z ", "\t", "'", "\\", "#"]),
    st.text(st.sampled_from('a",; \n\t'), max_size=4).map(lambda text: '"' + text.replace('"', '""') + '"'),
    st.text(st.sampled_from('a", \\'), max_size=4),
)
_ROW = st.one_of(st.lists(_CELL, min_size=3, max_size=3), st.lists(_CELL, max_size=5))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(_ROW, max_size=6),
    delimiter=st.sampled_from(",;\t"),
    line_end=st.sampled_from(["\n", "\n", "\r\n"]),
    last=st.booleans(),
)
def test_both_ways_of_reading_csv_give_the_same(
    reading: Reading, rows: list[list[str]], delimiter: str, line_end: str, last: bool
) -> None:
    lines = [delimiter.join(row) for row in (["id", "amount", "note"], *rows)]
    text = line_end.join(lines) + line_end * last
    at_once = _outcome(reading, text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_file, "_read_at_once", lambda *_: None)
        assert at_once == _outcome(reading, text)


def _outcome(reading: Reading, text: str) -> Any:
    try:
        return reading(text), reading.rows, reading.malformed
    except UnreadableFileError as problem:
        return problem.reason, str(problem)


def test_both_ways_agree_on_a_file_that_several_threads_read(reading: Reading) -> None:
    lines = ["id,amount,note"]
    for number in range(300_000):
        note = ["plain", '"a, b"', '"two\nlines"', '"""x"" \r\n\n y"', "x" * 100, ""][number % 6]
        lines.append(f"e{number},{number},{note}" + ",x" * (number % 7001 == 0) if number % 5003 else f"e{number}")
    text = "\n".join(lines)
    digest = "select count(*), sum(source_row), sum(hash(columns(*))) from staging.{}"
    found: list[tuple[Read, Any, Any]] = []
    for way in (csv_file._read_at_once, lambda *_: None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(csv_file, "_read_at_once", way)
            read = reading(text)
        raw, malformed = (reading.con.execute(digest.format(name)).fetchall() for name in ("raw", "malformed"))
        found.append((read, raw, malformed))
    assert found[0] == found[1]
    assert found[0][0].rows_read == 300_000


def test_well_formed_files_are_read_at_once(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "_read_by_record", None)
    reading("id,amount,note\na,1,x\nb,2\n,,\nc,3,x\n\n")
    reading('id,amount,note\r\na,1,"x\n\ny ""z"""\r\nb,2,\r\n')
    assert reading.rows == [(2, "a", "1", 'x\n\ny "z"'), (3, "b", "2", None)]


@pytest.mark.parametrize(
    ("text", "records"),
    [
        ("a,b\n1,2\n", 2),
        ("a,b\n1,2", 2),
        ("a,b\n1,2\n\n\n", 2),
        ("a,b\n1,2\n \n", 3),
        ('a,b\n"1\n\n2",2\n', 2),
        ('a,b\r\n"1\n2",2\r\n', 2),
        ("a,b\n\n1,2\n", None),
        ("a,b\r\n1,2\n3,4\r\n", None),
        ("a,b\r1,2\r", None),
        ('a,b\n1,"2\n', None),
        ('a,b\n1,"2"x\n', None),
        ('a,b\n1,x"2"\n', None),
    ],
)
def test_records_are_counted_unless_in_doubt(tmp_path: Path, text: str, records: int | None) -> None:
    for repeat, mark in ((1, b""), (1, codecs.BOM_UTF8)):
        (tmp_path / "file").write_bytes(mark + text.encode() * repeat)
        assert _records_counted(tmp_path / "file") == records


def test_records_are_counted_the_same_in_pieces_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'id,amount\r\n"a\n\n""b""",1\r\n"",""\r\nc,"x\r\n"\r\n' * 5
    (tmp_path / "file").write_bytes(text.encode())
    for size in range(60, 90):
        monkeypatch.setattr(csv_structure, "CHUNK_BYTES", size)
        assert _records_counted(tmp_path / "file") == 20


# ---- JSON Lines -------------------------------------------------------------------------------------------------


def test_lines_of_json_become_rows_under_their_line_numbers(reading: Reading) -> None:
    read = reading('\ufeff{"id": "a", "amount": 1}\r\n\n  {"note": " x ", "id": "b", "amount": "2"}\n', "jsonl")
    assert read == Read(2, 0)
    assert reading.rows == [(1, "a", "1", None), (3, "b", "2", "x")]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("1", "1"),
        ("-5", "-5"),
        ("12.10", "12.1"),
        ("12.00", "12"),
        ("1e2", "100"),
        ("1.5E+3", "1500"),
        ("25e-1", "2.5"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("0.00000001", "0.00000001"),
        ("99999999999999.9999", "99999999999999.9999"),
        ("9007199254740993", "9007199254740993"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("true", "true"),
        ("false", "false"),
        ("null", None),
        ('""', None),
        ('"12.00"', "12.00"),
        ('"NaN"', "NaN"),
        ('"1e2"', "1e2"),
        ('": 1e5, [x] {y}: [1.0]"', ": 1e5, [x] {y}: [1.0]"),
        (r'"\u00e9\n\"x\""', 'é\n"x"'),
    ],
)
def test_a_json_value_as_the_text_of_a_cell(reading: Reading, value: str, cell: str | None) -> None:
    reading(f'{{"id": "a", "amount": 1, "note": {value}}}\n{{"id": {value}, "amount": 1}}', "jsonl")
    assert [(row[1], row[3]) for row in reading.rows] == [("a", cell), (cell, None)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": "b", "amount": 1', "invalid_json"),
        ("id,amount", "invalid_json"),
        ('{"id": "b"} {"id": "c"}', "invalid_json"),
        ('{"id": "\\ud800", "amount": 1.0}', "invalid_json"),
        ('{"id": "b\0"}', "invalid_json"),
        ("[1, 2]", "not_an_object"),
        ("3", "not_an_object"),
        ("null", "not_an_object"),
        ('{"id": "b", "amount": 1E400}', "impossible_number"),
        ('{"id": "b", "amount": NaN}', "impossible_number"),
        ('{"id": "b", "amount": -Infinity}', "impossible_number"),
        ('{"id": "b", "amount": [1]}', "nested_value"),
        ('{"id": "b", "amount":\t{"value": 1}}', "nested_value"),
        ("[" * 100_000, "invalid_json"),
        ('{"id":' + "[" * 100_000 + "]" * 100_000 + "}", "invalid_json"),
    ],
)
def test_a_line_that_is_no_row_is_set_aside(reading: Reading, line: str, reason: str) -> None:
    reading(f'{{"id": "a", "amount": 1}}\n{line}\n{{"id": "c", "amount": 3}}\n', "jsonl")
    assert [row[:2] for row in reading.rows] == [(1, "a"), (3, "c")]
    ((number, text, found),) = reading.malformed
    assert (number, found) == (2, reason)
    assert text.startswith(line[:60_000])


def test_a_nested_value_is_named(reading: Reading) -> None:
    reading('{"id": "a", "amount": 1, "note": {"x": 1}, "Colour": {"x": 1}}\n', "jsonl")
    ((explanation,),) = reading.con.execute("select explanation from staging.malformed").fetchall()
    assert explanation.startswith('The value of "note" is a list or an object.')


@pytest.mark.parametrize(
    ("line", "reason", "column"),
    [
        ('{"id": "b", "amount": 1, "colour": 1}', "unknown_column", "colour"),
        ('{"id": "b", "amount": 1, "no te": 1}', "unknown_column", "no te"),
        ('{"id": "b", "amount": 1, "id": "c"}', "duplicate_column", "id"),
        ('{"id": "b", "amount": 1, "": "c"}', "unnamed_column", None),
    ],
)
def test_a_wrong_key_on_any_line_refuses_the_file(reading: Reading, line: str, reason: str, column: str | None) -> None:
    problem = reading.refused(f'{{"id": "a", "amount": 1}}\n\n{line}\n', "jsonl")
    assert problem.reason == reason
    assert column is None or f'"{column}"' in str(problem)
    assert "line 3" in str(problem)


def test_a_required_key_on_no_line_refuses_the_file(reading: Reading) -> None:
    problem = reading.refused('{"id": "a"}\n{"id": "b", "Colour": 1}\n', "jsonl")
    assert problem.reason == "missing_column"
    assert '"amount"' in str(problem)
    assert reading('{"id": "a"}\n{"amount": 1}\n', "jsonl").rows_read == 2


def test_keys_of_json_are_trimmed_as_the_names_of_columns_are_in_other_kinds_of_files(reading: Reading) -> None:
    read = reading(
        '{" id": "a", "amount\\t": 1.50, "Colour ": {"x": 1}}\n{"id": "b", "\\u00a0amount": null, "note ": " x "}\n',
        "jsonl",
    )
    assert read == Read(2, 0)
    assert reading.rows == [(1, "a", "1.5", None), (2, "b", None, "x")]
    problem = reading.refused('{"id": "a", "amount": 1, " id": "b"}\n', "jsonl")
    assert problem.reason == "duplicate_column"
    assert '"id"' in str(problem)


def test_a_file_without_any_json_is_all_malformed(reading: Reading) -> None:
    assert reading("id,amount\na,1\n", "jsonl") == Read(2, 2)


# ---- Parquet ----------------------------------------------------------------------------------------------------


def parquet(**columns: Any) -> bytes:
    table = pa.table(
        {name: column if isinstance(column, pa.Array) else pa.array(column) for name, column in columns.items()}
    )
    return _parquet(table)


def _parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def test_rows_of_parquet_are_counted_from_one(reading: Reading) -> None:
    read = reading(parquet(id=["a", " b ", ""], amount=[1, 2, None]), "parquet")
    assert read == Read(3, 0)
    assert reading.rows == [(1, "a", "1", None), (2, "b", "2", None), (3, None, None, None)]


@pytest.mark.parametrize(
    ("values", "kind", "cells"),
    [
        ([1.0, 12.1, 0.1 + 0.2, -0.0, 2.5], pa.float64(), ["1", "12.1", "0.30000000000000004", "0", "2.5"]),
        ([1e20, -1.5e16, 1.25e-7, 1e-300], pa.float64(), ["1" + "0" * 20, "-15" + "0" * 15, "0.000000125", None]),
        ([123456789012345680.0, 1.7976931348623157e308], pa.float64(), ["123456789012345680", None]),
        ([float("nan"), float("inf"), float("-inf")], pa.float64(), ["nan", "inf", "-inf"]),
        ([0.1, 16777216.0], pa.float32(), ["0.1", "16777216"]),
        ([Decimal("12.3400")], pa.decimal128(18, 4), ["12.3400"]),
        ([Decimal("12.3400"), Decimal("-0.0001")], pa.decimal128(38, 4), ["12.3400", "-0.0001"]),
        ([2**63, 5], pa.uint64(), [str(2**63), "5"]),
        ([-3], pa.int8(), ["-3"]),
        ([True, False], pa.bool_(), ["true", "false"]),
        ([dt.date(2026, 6, 1)], pa.date32(), ["2026-06-01"]),
        ([dt.datetime(2026, 6, 1, 12, 30)], pa.timestamp("ms"), ["2026-06-01T12:30:00"]),  # noqa: DTZ001
        ([1780315200123456789], pa.timestamp("ns"), ["2026-06-01T12:00:00.123456"]),
        ([1780315200123456789], pa.timestamp("ns", "UTC"), ["2026-06-01T12:00:00.123456Z"]),
        ([1780315200], pa.timestamp("s", "America/New_York"), ["2026-06-01T12:00:00Z"]),
        (["x", "é"], pa.dictionary(pa.int8(), pa.string()), ["x", "é"]),
        (["x"], pa.large_string(), ["x"]),
        ([None], pa.null(), [None]),
    ],
)
def test_a_parquet_value_as_the_text_of_a_cell(
    reading: Reading, values: list[Any], kind: pa.DataType, cells: list[str | None]
) -> None:
    array = pa.array(values, kind) if not pa.types.is_dictionary(kind) else pa.array(values).dictionary_encode()
    size = len(values)
    reading(parquet(id=["a"] * size, amount=[1] * size, note=array), "parquet")
    for value, expected, row in zip(values, cells, reading.rows, strict=True):
        if expected is None and value is not None:
            assert Decimal(row[3]) == Decimal(repr(value))
            assert "e" not in row[3]
        else:
            assert row[3] == expected


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (pa.array([[1]]), "BIGINT[]"),
        (pa.array([{"x": 1}]), "STRUCT"),
        (pa.array([b"x"]), "BLOB"),
        (pa.array([dt.time(12)]), "TIME"),
        (pa.array([Decimal("1.50")], pa.decimal256(39, 2)), "DECIMAL of more than 38 digits"),
        (pa.array([Decimal("1.50")], pa.decimal256(76, 38)), "DECIMAL of more than 38 digits"),
    ],
)
def test_a_parquet_column_of_no_type_of_a_cell_refuses_the_file(reading: Reading, array: pa.Array, kind: str) -> None:
    problem = reading.refused(parquet(id=["a"], amount=[1], note=array), "parquet")
    assert problem.reason == "unknown_type"
    assert '"note"' in str(problem)
    assert f"values of type {kind}" in str(problem)
    assert reading(parquet(id=["a"], amount=[1], Colour=array), "parquet").rows_read == 1


def test_names_of_parquet_columns_are_matched_as_they_are_written(reading: Reading) -> None:
    reading.shape = Shape(("id", "amount"), frozenset({"id"}), frozenset({"ID", "file_row_number"}))
    reading(parquet(ID=["x"], id=["a"], file_row_number=[9]), "parquet")
    assert reading.rows == [(1, "a", None)]
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["id", "id"])
    assert reading.refused(_parquet(twice), "parquet").reason == "duplicate_column"
    assert '"Id"' in str(reading.refused(parquet(Id=["a"]), "parquet"))
    assert reading.refused(parquet(amount=[1]), "parquet").reason == "missing_column"


def test_parquet_that_was_cut_off_or_damaged_is_refused(reading: Reading) -> None:
    whole = parquet(id=[f"e{n}" for n in range(10_000)], amount=list(range(10_000)))
    for content in (whole[: len(whole) // 2], whole[:-1], whole[4:], b"PAR1", b"id,amount\n", whole[:-8] + b"\xff" * 8):
        assert reading.refused(content, "parquet").reason == "corrupt_file"
    for place in range(4, len(whole), len(whole) // 5):
        damaged = whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        try:
            reading(damaged, "parquet")  # a byte of a value may change unseen
        except UnreadableFileError as problem:
            assert problem.reason in {"corrupt_file", "unknown_column", "missing_column", "unknown_type"}  # noqa: PT017


# ---- XLSX -------------------------------------------------------------------------------------------------------


def xlsx(*rows: Sequence[Any], first_row: int = 0, first_column: int = 0, **options: Any) -> bytes:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"default_date_format": "yyyy-mm-dd hh:mm", **options})
    sheet = book.add_worksheet()
    for number, row in enumerate(rows, first_row):
        for place, value in enumerate(row, first_column):
            if isinstance(value, Formula):
                sheet.write_formula(number, place, value.text, None, value.result)
            elif value is not None:
                sheet.write(number, place, value)
    book.close()
    return file.getvalue()


@dataclass
class Formula:
    text: str
    result: Any


def test_the_rows_of_a_sheet_have_the_numbers_that_a_person_sees(reading: Reading) -> None:
    read = reading(xlsx(["id", "amount"], [], ["a", 1], [None, " "], ["b", 2], first_row=2, first_column=1), "xlsx")
    assert read == Read(2, 0)
    assert reading.rows == [(5, "a", "1", None), (7, "b", "2", None)]


CELLS_OF_A_SHEET = [
    (1001.0, "1001"),
    (12.1, "12.1"),
    (1e20, "1" + "0" * 20),
    (0.0000001, "0.0000001"),
    (-3, "-3"),
    (True, "true"),
    ("  x\ny ", "x\ny"),
    ("1e2", "1e2"),
    (dt.datetime(2026, 6, 1), "2026-06-01T00:00:00"),  # noqa: DTZ001
    (dt.datetime(2026, 6, 1, 12, 30, 15), "2026-06-01T12:30:15"),  # noqa: DTZ001
    (dt.datetime(2026, 6, 30, 23, 59, 59), "2026-06-30T23:59:59"),  # noqa: DTZ001
    (dt.time(12, 30), "12:30:00"),
    (Formula("=1+1", 2), "2"),
    (Formula('="x"', "x"), "x"),
    (Formula("=1/0", "#DIV/0!"), "#DIV/0!"),
    (Formula("=NA()", "#N/A"), "#N/A"),
]


@pytest.mark.parametrize("left", [0, 2])
def test_a_cell_of_a_sheet_as_text(reading: Reading, left: int) -> None:
    rows = [["a", value, value] for value, _ in CELLS_OF_A_SHEET]
    reading(xlsx(["id", "amount", "note"], *rows, first_column=left), "xlsx")
    assert [row[1:] for row in reading.rows] == [("a", cell, cell) for _, cell in CELLS_OF_A_SHEET]


@pytest.mark.parametrize(
    ("number_format", "shows"),
    [
        ("yyyy-mm-dd", "2026-07-01"),
        (14, "2026-07-01"),
        ('dd/mm/yyyy "hours"', "2026-07-01"),
        ("[$-409]d mmm yyyy;@", "2026-07-01"),
        ("[White]yyyy\\s", "2026-07-01"),
        ("yyyy-mm-dd hh:mm:ss", "2026-07-01T00:00:00"),
        (22, "2026-07-01T00:00:00"),
        ("d/m/yy h:mm AM/PM", "2026-07-01T00:00:00"),
    ],
)
def test_midnight_is_a_time_where_the_cell_shows_it(reading: Reading, number_format: str | int, shows: str) -> None:
    # A credit that expires on 1 July does so when that day ends; one that expires at its midnight has when it begins.
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet, shown, plain = book.add_worksheet(), book.add_format({"num_format": number_format}), book.add_format()
        sheet.write_row(0, 1, ["id", "amount", "note"])
        for row, midnight in enumerate((dt.datetime(2026, 7, 1), dt.datetime(2026, 7, 1, 5)), 1):  # noqa: DTZ001
            sheet.write_row(row, 1, ["a", 46204], plain)
            sheet.write_datetime(row, 3, midnight, shown)
        sheet.write_row(3, 1, ["a", 46204], plain)
        sheet.write_formula(3, 3, "=46203+1", shown, 46204)
    reading(file.getvalue(), "xlsx")
    assert reading.rows == [
        (2, "a", "46204", shows),
        (3, "a", "46204", "2026-07-01T05:00:00"),
        (4, "a", "46204", shows),
    ]
    as_others_write_it = openpyxl.load_workbook(io.BytesIO(file.getvalue()))
    rewritten = io.BytesIO()
    as_others_write_it.save(rewritten)
    reading(rewritten.getvalue(), "xlsx")
    assert [row[3] for row in reading.rows] == [shows, "2026-07-01T05:00:00"]


def test_a_formula_whose_result_is_not_stored_sets_its_row_aside(reading: Reading) -> None:
    # openpyxl does not compute; what it writes would be read as blank, and a credit with it as one that never expires.
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (["id", "amount", "note", "Colour"], ["a", 1, "=DATE(2026,6,30)"], ["b", 2], [None, None, "=1+1"]):
        book.active.append(row)
    book.active.append(["c", 3, None, "=A1"])
    for number in range(40_000):
        book.active.append([f"e{number}", 4, "x" * 30])
    book.active.append(["z", "=1+1"])
    file = io.BytesIO()
    book.save(file)
    read = reading(file.getvalue(), "xlsx")
    assert (read.rows_read, read.malformed) == (40_004, 2)
    assert [row[0] for row in reading.malformed] == [2, 40_006]
    assert {row[2] for row in reading.malformed} == {"formula_without_result"}


def test_a_whole_sheet_is_whole_wherever_a_chunk_of_it_ends(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [[f"e{number}", Formula("=1+1", 2), Formula('="x"', "x")] for number in range(30)]
    found = xlsx(["id", "amount", "note"], *rows)
    path = reading.folder / "formulas.xlsx"
    path.write_bytes(found)
    for chunk_bytes in range(200, 260):
        monkeypatch.setattr(xlsx_child, "CHUNK_BYTES", chunk_bytes)
        assert xlsx_child.told_cells(str(path), "Sheet1") == ({}, {}, set())


def test_a_value_beside_the_table_makes_its_row_malformed(reading: Reading) -> None:
    reading(xlsx(["id", "amount"], ["a", 1], ["b", None, None, "see above"]), "xlsx")
    assert [row[:2] for row in reading.rows] == [(2, "a")]
    assert reading.malformed == [(3, "b\t\t\tsee above", "too_many_cells")]


def test_the_first_sheet_that_shows_is_read(reading: Reading) -> None:
    book = openpyxl.Workbook()
    book.active.sheet_state = "hidden"
    book.active.append(["nothing"])
    for name in ("shown", "other"):
        sheet = book.create_sheet(name)
        sheet.append(["id", "amount"])
        sheet.append([name, 1])
    file = io.BytesIO()
    book.save(file)
    reading(file.getvalue(), "xlsx")
    assert reading.rows == [(2, "shown", "1", None)]


def test_an_empty_sheet_and_a_wrong_header_are_refused(reading: Reading) -> None:
    assert reading.refused(xlsx(), "xlsx").reason == "empty_file"
    assert reading.refused(xlsx([" "], ["  "]), "xlsx").reason == "empty_file"
    assert '"amuont"' in str(reading.refused(xlsx(["id", "amuont"], ["a", 1]), "xlsx"))
    assert reading.refused(xlsx(["id", None, "amount"]), "xlsx").reason == "unnamed_column"
    assert reading(xlsx(["id", "amount"]), "xlsx").rows_read == 0


def repacked(content: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return file.getvalue()


SHEET = "xl/worksheets/sheet1.xml"


def test_a_stray_cell_in_the_last_corner_of_a_sheet_is_refused_and_takes_nobody_with_it(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    corner = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    content = repacked(
        xlsx(["id", "amount"], ["a", 1]),
        lambda name, part: part.replace(b"</sheetData>", corner) if name == SHEET else part,
    )
    problem = reading.refused(content, "xlsx")
    assert problem.reason == "too_large"
    assert "stray cell" in str(problem)


def test_a_bomb_is_refused_before_it_is_unpacked(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_file, "_run_child", None)
    blanks = b" " * 150_000_000
    content = repacked(xlsx(["id"]), lambda name, part: part + blanks if name == SHEET else part)
    assert reading.refused(content, "xlsx").reason == "too_large"
    entity = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaa">]>'
    content = repacked(xlsx(["id"]), lambda name, part: entity + part if name == SHEET else part)
    assert reading.refused(content, "xlsx").reason == "not_xlsx"
    monkeypatch.setattr(xlsx_file, "MOST_PARTS", 3)
    assert reading.refused(xlsx(["id"]), "xlsx").reason == "too_large"


def test_what_takes_too_long_is_refused(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    program = reading.folder / "sleeps.py"
    program.write_text("import time\ndef convert(*_given):\n    time.sleep(60)\n")
    monkeypatch.setattr(xlsx_file, "CHILD", program)
    monkeypatch.setattr(xlsx_file, "WALL_SECONDS", 0.2)
    assert reading.refused(xlsx(["id", "amount"]), "xlsx").reason == "too_large"


def test_other_files_named_xlsx_are_refused(reading: Reading) -> None:
    whole = xlsx(["id", "amount"], ["a", 1])
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 1000
    plain_zip = io.BytesIO()
    with zipfile.ZipFile(plain_zip, "w") as file:
        file.writestr("a.txt", "x")
    no_sheet = repacked(whole, lambda name, part: b"" if name == SHEET else part)
    no_book = repacked(whole, lambda name, part: b"<workbook/>" if name == "xl/workbook.xml" else part)
    for content, reason in (
        (old, "not_xlsx"),
        (plain_zip.getvalue(), "not_xlsx"),
        (b"id,amount\na,1\n", "corrupt_file"),
        (whole[: len(whole) // 2], "corrupt_file"),
        (whole[:-1], "corrupt_file"),
        (no_sheet, "corrupt_file"),
        (no_book, "corrupt_file"),
    ):
        assert reading.refused(content, "xlsx").reason == reason


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "corrupt_file"),
        ("os.kill(os.getpid(), signal.SIGABRT)", "too_large"),  # as native code does that gets no memory
        ("bytearray(10**15)", "too_large"),
        ("raise KeyError", "corrupt_file"),
    ],
)
@pytest.mark.parametrize("kind", ["parquet", "xlsx"])
def test_a_file_that_is_the_end_of_its_reader_is_refused_and_takes_nobody_with_it(
    reading: Reading, monkeypatch: pytest.MonkeyPatch, kind: Kind, end: str, reason: str
) -> None:
    program = reading.folder / "dies.py"
    program.write_text(f"import os, signal\nclass FileError(Exception): pass\ndef convert(*_given):\n    {end}\n")
    monkeypatch.setattr(parquet_file if kind == "parquet" else xlsx_file, "CHILD", program)
    assert reading.refused(FILES[kind], kind).reason == reason
    monkeypatch.undo()
    reading(FILES[kind], kind)
    assert [row[1:] for row in reading.rows] == [("a", "1", None)]


def test_text_with_a_nul_is_set_aside_whichever_way_it_came(reading: Reading) -> None:
    reading('{"id": "a", "amount": 1, "note": "x\\u0000"}\n{"id": "b\\\\u0000", "amount": 2}\n', "jsonl")
    assert [row[:2] for row in reading.rows] == [(2, "b\\u0000")]
    assert [row[::2] for row in reading.malformed] == [(1, "nul_byte")]
    reading(parquet(id=["a", "b\0c", None], amount=[1, 2, None]), "parquet")
    assert [row[:2] for row in reading.rows] == [(1, "a"), (3, None)]
    assert reading.malformed == [(2, "b\0c\t2", "nul_byte")]


# ---- All kinds --------------------------------------------------------------------------------------------------

FILES: dict[Kind, bytes] = {
    "csv": b"id,amount\na,1\n",
    "jsonl": b'{"id": "a", "amount": 1}\n',
    "parquet": parquet(id=["a"], amount=[1]),
    "xlsx": xlsx(["id", "amount"], ["a", 1]),
}


@pytest.mark.parametrize("kind", FILES)
def test_no_name_of_a_folder_is_taken_for_anything_but_a_name(reading: Reading, kind: Kind) -> None:
    other = reading.folder / "a"
    other.mkdir()
    (other / "file").write_bytes(b"not to be read")
    reading.folder = reading.folder / """it's "x"; drop [ab]*?{q} $1 %20 é""" / "id=b" / "c0=d"
    reading.folder.mkdir(parents=True)
    reading(FILES[kind], kind)
    reading(FILES[kind].decode("latin-1").encode("utf-16") if kind in ("csv", "jsonl") else FILES[kind], kind)
    assert [row[1:] for row in reading.rows] == [("a", "1", None)]
    reading.folder = other.parent / "[a]"
    reading.folder.mkdir()
    reading(FILES[kind], kind)


def test_one_file_after_another_leaves_nothing_of_the_first(reading: Reading) -> None:
    for first, second in pairwise([*FILES, *reversed(FILES)]):
        reading(FILES[first], first)
        reading(FILES[second], second)
        assert [row[1:] for row in reading.rows] == [("a", "1", None)]
    readers.clear(reading.con)
    assert reading.con.execute("select table_name from duckdb_tables() where not internal").fetchall() == []


@pytest.mark.parametrize("kind", ["csv", "jsonl"])  # the others are read by processes of their own: see tests/fuzz
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60), keep=st.integers(0, 200))
def test_no_bytes_make_more_than_rows_or_a_reason(reading: Reading, kind: Kind, content: bytes, keep: int) -> None:
    try:
        reading(FILES[kind][:keep] + content, kind)
    except UnreadableFileError as problem:
        assert str(problem)  # noqa: PT017


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "xlsx"])
def test_staging_may_be_a_file(reading: Reading, kind: Kind) -> None:
    with duckdb.connect() as con:
        con.execute(f"attach '{reading.folder / 'staging.duckdb'}' as staging")
        reading.con = con
        reading(FILES[kind], kind)
        assert [row[1:] for row in reading.rows] == [("a", "1", None)]


def test_the_same_rows_from_every_kind(reading: Reading) -> None:
    found = []
    rows = [("a", 12.5, "x"), ("b", 3.0, None)]
    reading("id,amount,note\na,12.5,x\nb,3,\n")
    found.append([row[1:] for row in reading.rows])
    reading("\n".join(json.dumps(dict(zip(SHAPE.columns, row, strict=True))) for row in rows), "jsonl")
    found.append([row[1:] for row in reading.rows])
    reading(parquet(id=["a", "b"], amount=[12.5, 3.0], note=["x", None]), "parquet")
    found.append([row[1:] for row in reading.rows])
    reading(xlsx(SHAPE.columns, *rows), "xlsx")
    found.append([row[1:] for row in reading.rows])
    assert found == [[("a", "12.5", "x"), ("b", "3", None)]] * 4


def _records_counted(path: Path) -> int | None:
    counts = csv_structure.count(path, ",")
    return None if counts is None else counts.records


def test_a_delimiter_too_many_makes_a_row_malformed_also_where_the_last_cell_is_blank(reading: Reading) -> None:
    # "left at the door, twice" without quotes: every cell behind it is shifted, and the last of them is blank.
    reading.shape = Shape(("id", "amount", "note", "by", "place"), frozenset({"id"}))
    reading("id,amount,note,by,place\na,1,left at the door, twice,Sam,\nb,2,fine,Sam,\n")
    assert [row[:2] for row in reading.rows] == [(3, "b")]
    assert reading.malformed == [(2, "a,1,left at the door, twice,Sam,", "too_many_cells")]


def test_a_delimiter_too_many_at_the_end_of_quoted_rows_is_noticed(reading: Reading) -> None:
    reading('id,amount,note\n"a,b",1,"x, y"\nb,2,"p, q",\n"c",3,"r"\n')
    assert [row[:2] for row in reading.rows] == [(2, "a,b"), (4, "c")]
    assert reading.malformed == [(3, 'b,2,"p, q",', "too_many_cells")]
