"""JSON Lines: an object a line. Read twice, once for the keys of its objects and once for their values.

DuckDB takes the objects apart, as long as each value is text, null, true, false, or a number that it would not write
in another way. The few lines with anything else are taken apart here.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.readers import staged
from pipelines.readers.shape import Shape, UnreadableFileError, match_names
from pipelines.readers.staged import MOST_CHARACTERS, MOST_TEXT, WHITESPACE, Read
from pipelines.readers.text_file import TextFile, not_text, open_text

CHUNK_BYTES = 4_000_000
MOST_EXPONENT = 308  # of a double, which is what other programs make of a JSON number
# After a colon: a number with an exponent, with sixteen digits, tiny, with .0 at its end, or negative zero; NaN and
# Infinity, which are not JSON; a list or an object.
# And, anywhere, a NUL that is written as an escape.
UNUSUAL = r"\\u0000|:\s*(?:-?(?:[0-9]+(?:\.[0-9]*)?[eE]|[0-9.]{16}|0\.000|[0-9]+\.0+[\s,}]|[nN][aA]|[iI])|-0|[{\[])"
# After a colon: a number with decimals, which DuckDB would write with a point, as if it were text.
WITH_DECIMALS = r":\s*-?[0-9]+\.[0-9]"
LINES = pa.schema([("source_row", pa.int64()), ("line", pa.string())])


class _Object(list[tuple[str, Any]]):
    """Keys and values of a JSON object."""


class _Number(str):
    """A JSON number as it is written."""

    __slots__ = ()


def read(
    con: duckdb.DuckDBPyConnection, path: Path, shape: Shape, *, encoding: str, scratch: Path, decimal_mark: str
) -> Read:
    """Fill `staging` from the file. `source_row` is the number of the line, blank ones included."""
    text = open_text(path, encoding, scratch, lambda start: start.lstrip().startswith("{"))
    if "\0" in text.start().partition("\n")[0]:
        raise not_text("first line")
    present, padded = _columns(con, text, shape)
    cells = [f"c{place}" for place in range(len(present))]
    schema = pa.schema(
        [("source_row", pa.int64()), *((name, pa.string()) for name in ("line", *cells, "text", "reason", "detail"))]
    )
    values = {cell: f'coalesce({cell}, object."{name}")' for cell, name in zip(cells, present, strict=True)}
    with staged.streamed(con, _batches(text, present, schema, decimal_mark, padded=padded), schema):
        con.execute(
            f"""
            create table staging.cells as
            with lines as (
                select
                    *,
                    json_valid(line) as valid,
                    starts_with(ltrim(line, chr(9) || chr(13) || ' '), '{{') as object_like
                from batches
            ),
            objects as (
                select
                    *,
                    case
                        when not valid then 'invalid_json'
                        when not object_like then 'not_an_object'
                        else reason
                    end as why,
                    case when valid and object_like then json_transform(line, $columns) end as object
                from lines
            ),
            cells as (
                select source_row, coalesce(text, line) as text, why as reason, detail
                {"".join(f", {value} as {cell}" for cell, value in values.items())}
                from objects
            )
            select
                source_row,
                case when reason is not null then text end as text,
                reason,
                detail
                {"".join(f", {staged.trimmed(cell)} as {cell}" for cell in cells)}
            from cells
            """,  # noqa: S608 - names of ours
            {"columns": json.dumps(dict.fromkeys(present or [""], "VARCHAR"))},
        )
    return staged.finish(con, dict(zip(present, cells, strict=True)), shape.columns)


def _columns(con: duckdb.DuckDBPyConnection, text: TextFile, shape: Shape) -> tuple[list[str], bool]:
    """The known columns that the file has, after a look at every key of every line; and whether a key has space around
    it, which is not of its name.
    """
    with staged.streamed(con, (_split(first, chunk) for first, chunk, _ in _chunks(text)), LINES):
        found = con.execute(
            """
            with lines as (
                select source_row, case when json_valid(line) then json_keys(line) else [] end as keys from batches
            )
            select min(source_row), keys from lines group by keys order by 1
            """
        ).fetchall()
    if not found:
        raise UnreadableFileError("empty_file", "The file has only blank lines. Export it again and send it again.")
    named: dict[str, None] = {}
    padded = False
    for number, keys in found:
        names = [key.strip(WHITESPACE) for key in keys]
        padded = padded or names != keys
        match_names(names, replace(shape, required=frozenset()), f"line {number:,}")
        named.update(dict.fromkeys(names))
    if named:
        match_names(list(named), shape, "the file")
    return [name for name in shape.columns if name in named], padded


def _batches(
    text: TextFile, present: Sequence[str], schema: pa.Schema, decimal_mark: str, *, padded: bool
) -> Iterator[pa.RecordBatch]:
    """The lines that are not blank, the unusual ones already taken apart, with null for the line; with `padded` keys,
    which DuckDB would not find, all are unusual.
    """
    unusually = "" if padded else UNUSUAL if decimal_mark == "." else f"{UNUSUAL}|{WITH_DECIMALS}"
    for first, chunk, too_long in _chunks(text):
        batch = _split(first, chunk)
        if too_long:
            nothing = (None,) * len(present)
            yield _rows([(first, None, *nothing, batch["line"][0].as_py(), "too_long", None)], schema)
            continue
        unusual = pc.match_substring_regex(batch["line"], unusually)
        apart, batch = batch.filter(unusual), batch.filter(pc.invert(unusual))
        nulls = pa.nulls(batch.num_rows, pa.string())
        yield pa.record_batch([*batch.columns, *[nulls] * (len(schema) - 2)], schema=schema)
        if apart.num_rows:
            numbered = zip(apart["source_row"].to_pylist(), apart["line"].to_pylist(), strict=True)
            yield _rows([(number, None, *_apart(line, present, decimal_mark)) for number, line in numbered], schema)


def _chunks(text: TextFile) -> Iterator[tuple[int, bytes, bool]]:
    """Whole lines with the number of the first; a line that is too long by itself, cut."""
    number = 1
    with text.open() as file:
        while chunk := file.read(CHUNK_BYTES):
            chunk += file.readline(MOST_CHARACTERS)
            if chunk.endswith(b"\n") or not (rest := file.readline(MOST_CHARACTERS)):
                yield number, chunk, False
                number += chunk.count(b"\n")
                continue
            begins = chunk.rfind(b"\n") + 1
            yield number, chunk[:begins], False
            number += chunk[:begins].count(b"\n")
            yield number, chunk[begins : begins + 4 * MOST_TEXT + 4].decode(errors="ignore").encode(), True
            number += 1
            while rest and not rest.endswith(b"\n"):
                rest = file.readline(MOST_CHARACTERS)


def _split(first: int, chunk: bytes) -> pa.RecordBatch:
    """The lines of a chunk that are not blank; their line ends stay, being nothing to JSON."""
    ends = np.flatnonzero(np.frombuffer(chunk, dtype=np.uint8) == ord("\n")) + 1
    if chunk and not chunk.endswith(b"\n"):
        ends = np.append(ends, len(chunk))
    offsets = np.concatenate(([0], ends)).astype(np.int32)
    lines = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(chunk))
    batch = pa.record_batch([pa.array(np.arange(first, first + len(ends))), lines], schema=LINES)
    return batch.filter(pc.match_substring_regex(lines, r"[^\s\pZ]"))


def _rows(rows: Sequence[tuple[int | str | None, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    return pa.record_batch([pa.array(c, type=f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _apart(line: str, present: Sequence[str], decimal_mark: str) -> tuple[str | None, ...]:
    """The cells of a line, then its text, why it is malformed, and the key that makes it so."""
    nothing = (None,) * len(present)
    try:
        pairs = json.loads(
            line, object_pairs_hook=_Object, parse_float=_Number, parse_int=_Number, parse_constant=_Number
        )
        json.dumps(pairs, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        return *nothing, line, "invalid_json", None
    if not isinstance(pairs, _Object):
        return *nothing, line, "not_an_object", None
    cells = dict.fromkeys(present)
    wrong: tuple[str, str] | None = None
    for named, value in pairs:
        key = named.strip(WHITESPACE)
        if key not in cells:
            continue
        if isinstance(value, str) and "\0" in value:
            return *nothing, line, "nul_byte", None
        if isinstance(value, list):
            wrong = wrong or ("nested_value", key)
            continue
        if isinstance(value, _Number):
            plain = _plain(value)
            if plain is None:
                wrong = wrong or ("impossible_number", key)
                continue
            cells[key] = plain.replace(".", decimal_mark)
        elif isinstance(value, bool):
            cells[key] = str(value).lower()
        else:
            cells[key] = value
    return (*cells.values(), line, *wrong) if wrong else (*cells.values(), None, None, None)


def _plain(number: str) -> str | None:
    """The shortest decimal text of a number, without an exponent; None for what no double can hold."""
    exact = Decimal(number)
    if not exact.is_finite() or abs(exact.adjusted()) > MOST_EXPONENT:
        return None
    if not exact:
        return "0"
    text = f"{exact:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
