"""Reads a Parquet file in a process of its own: the file comes from outside.

What a damaged or hostile file does to its reader, native code, may be more than an error; and a few bytes of it can
say that one text stands there a billion times. So this runs under limits, and nothing but this process is lost with
it: `forks.py` forks it, and it imports nothing of ours.
"""

import os
import re
from collections.abc import Collection
from typing import Any

import duckdb
import pyarrow as pa

BATCH_ROWS = 8_192
UNREMARKABLE_BYTES = 1_000_000_000  # of cells; no bomb below that
MOST_RATIO = 500  # of cells to file above it; entries of the same few texts, well compressed, have 100
# DuckDB may take half of the process's memory for its own purposes; the rest is for batches, and address space is more
# than what is used of it.
DUCKDB_SHARE = 2
CORRUPT = "The file is not Parquet, or was cut off or damaged on its way here. Export it again and send it again."
TOO_LARGE = "The file {what}. Export it again, in several files if it is large, and send them."
AS_IT_IS = re.compile(r"VARCHAR|BOOLEAN|DATE|UUID|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|ENUM\(.*\)", re.DOTALL)

Found = list[tuple[str, str, bool]]


class FileError(Exception):
    """What is wrong with the file: a reason and a message."""


def convert(path: str, output: str, decimal_mark: str, wanted: Collection[str], memory_bytes: int) -> Found:
    """Write Arrow batches to `output`: source_row, and the `wanted` columns as text under the names c0, c1 … of their
    places in the file.

    Gives back name, type and whether it can be text, of each column of the file. Where one that is wanted cannot,
    nothing is written. Raises FileError and OSError.
    """
    options: dict[str, Any] = {"threads": "2", "memory_limit": f"{memory_bytes // DUCKDB_SHARE // 2**20}MiB"}
    with duckdb.connect(config=options) as sql:
        # What does not fit into memory is too large: nothing is put beside the file.
        sql.execute("set TimeZone = 'UTC'; set temp_directory = ''")
        try:
            found, select = query(sql, path, decimal_mark, wanted)
            if select:
                batches = sql.execute(select, {"path": literally(path)}).to_arrow_reader(BATCH_ROWS)
                write(batches, path, output)
        except (duckdb.OutOfMemoryException, pa.ArrowMemoryError, MemoryError):
            raise too_large("takes more memory to read than a table of its size needs") from None
        except duckdb.Error:
            raise FileError("corrupt_file", CORRUPT) from None
        except pa.ArrowException as problem:
            # What DuckDB finds while batches are taken from it comes through Arrow.
            if "Out of Memory" in str(problem):
                raise too_large("takes more memory to read than a table of its size needs") from None
            raise FileError("corrupt_file", CORRUPT) from None
    return found


def query(sql: Any, path: str, decimal_mark: str, wanted: Collection[str]) -> tuple[Found, str | None]:
    """What the file has, and the SELECT of its cells as text; None if a column that is wanted cannot be."""
    given = {"path": literally(path)}
    # By itself DuckDB takes a folder called a=b for a column.
    file = "read_parquet($path, hive_partitioning = false)"
    names, stored, inside = [], [], 0
    for name, kept_as, children in sql.execute(
        "select name, type, num_children from parquet_schema($path)", given
    ).fetchall()[1:]:
        if not inside:
            names.append(name)
            stored.append(kept_as)
        inside += (children or 0) - (1 if inside else 0)
    kinds = [row[1] for row in sql.execute(f"describe from {file}", given).fetchall()]
    if len(names) != len(kinds) or not names:
        raise FileError("corrupt_file", CORRUPT)
    texts: dict[str, str | None] = {}
    found: Found = []
    for place, (name, kept_as, read_as) in enumerate(zip(names, stored, kinds, strict=True)):
        # DuckDB makes doubles of these, and most of them come out as other numbers (its pull request 25058).
        too_wide = read_as == "DOUBLE" and kept_as != "DOUBLE"
        kind = "DECIMAL of more than 38 digits" if too_wide else read_as
        said = None if too_wide else text(f"c{place}", kind, decimal_mark)
        found.append((name, kind, said is not None))
        if name.strip() in wanted:
            texts[f"c{place}"] = said
    if None in texts.values():
        return found, None
    cells = "".join(f", {said} as {cell}" for cell, said in texts.items())
    # By place, because DuckDB takes names that differ in case only for the same.
    places = ", ".join(f"c{place}" for place in range(len(names)))
    return found, f"select row_number() over () as source_row{cells} from {file} as read ({places})"  # noqa: S608 - names of ours


def write(batches: Any, path: str, output: str) -> None:
    """Write the batches to `output`, as long as they are no more than a file of its size can mean."""
    size = os.stat(path).st_size  # noqa: PTH116 - nothing else here needs pathlib
    cells = 0
    with pa.OSFile(output, "wb") as file, pa.ipc.new_stream(file, batches.schema) as writer:
        for batch in batches:
            cells += batch.nbytes
            if cells > max(UNREMARKABLE_BYTES, MOST_RATIO * size):
                raise too_large(f"unpacks to more than {cells // size:,} times its size")
            writer.write_batch(batch)


def too_large(what: str) -> FileError:
    """That the file is more than a table."""
    return FileError("too_large", TOO_LARGE.format(what=what))


def literally(path: str) -> str:
    """The path as DuckDB's readers of files want it, who take it for a pattern."""
    return re.sub(r"[\[*?]", r"[\g<0>]", path)


def text(cell: str, kind: str, decimal_mark: str) -> str | None:
    """SQL: a value of that type as text; None where it is no cell of a table."""
    if kind.startswith("DECIMAL"):
        return marked(f"{cell}::varchar", decimal_mark)
    if AS_IT_IS.fullmatch(kind):
        return f"{cell}::varchar"
    if kind in ("FLOAT", "DOUBLE"):
        return marked(plain(cell), decimal_mark)
    if kind.startswith("TIMESTAMP"):
        zoned = kind.endswith("WITH TIME ZONE")
        local = f"({cell} at time zone 'UTC')" if zoned else f"{cell}::timestamp"
        return f"replace({local}::varchar, ' ', 'T')" + (" || 'Z'" if zoned else "")
    return None


def marked(number: str, decimal_mark: str) -> str:
    """SQL: the text of a number with that mark before its decimals."""
    return number if decimal_mark == "." else f"replace({number}, '.', ',')"


def plain(cell: str) -> str:
    """SQL: the shortest decimal text of a float, without an exponent."""
    said = f"{cell}::varchar"
    mantissa, exponent = f"split_part({said}, 'e', 1)", f"split_part({said}, 'e', 2)::int"
    sign, digits = f"if({cell} < 0, '-', '')", f"replace(ltrim({mantissa}, '-'), '.', '')"
    large = (
        f"rpad(left({digits}, {exponent} + 1), {exponent} + 1, '0')"
        f" || if(length({digits}) > {exponent} + 1, '.' || substr({digits}, {exponent} + 2), '')"
    )
    small = f"'0.' || repeat('0', -({exponent}) - 1) || {digits}"
    return (
        f"case when {cell} = 0 then '0' when not contains({said}, 'e') then regexp_replace({said}, '\\.0$', '')"
        f" when {exponent} >= 0 then {sign} || {large} else {sign} || {small} end"
    )
