"""Parquet: each column as text, by its type. What no cell can be (lists, structures, bytes) rejects the file."""

import re
from pathlib import Path

import duckdb

from pipelines.readers import staged
from pipelines.readers.shape import Shape, UnreadableFileError, match_names, shown
from pipelines.readers.staged import WHITESPACE, Read

AS_IT_IS = re.compile(r"VARCHAR|BOOLEAN|DATE|UUID|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|ENUM\(.*\)", re.DOTALL)


def read(con: duckdb.DuckDBPyConnection, path: Path, shape: Shape, *, decimal_mark: str) -> Read:
    """Fill `staging` from the file. `source_row` counts its rows from 1."""
    if not path.stat().st_size:
        raise UnreadableFileError("empty_file", "The file is empty (0 bytes). Export it again and send it again.")
    try:
        names = _names(con, path)
        types = [
            row[1]
            for row in con.execute("describe from read_parquet($path)", {"path": staged.literally(path)}).fetchall()
        ]
    except duckdb.Error:
        raise _corrupt() from None
    places = match_names([name.strip(WHITESPACE) for name in names], shape, "the file")
    cells = [f"c{place}" for place in range(len(places))]
    held = {name: cell for name, cell in zip(places, cells, strict=True) if name is not None}
    texts = {
        cell: _text(cell, kind, name, decimal_mark)
        for cell, kind, name in zip(cells, types, places, strict=True)
        if name is not None
    }
    try:
        con.execute(
            "create table staging.cells as select "  # noqa: S608 - names of ours
            + ", ".join(f"{staged.trimmed(cell)} as {cell}" for cell in texts)
            + " from (select "
            + ", ".join(f"{text} as {cell}" for cell, text in texts.items())
            # By place, because DuckDB takes names that differ in case only for the same.
            + f" from read_parquet($path) as read ({', '.join(cells)}))",
            {"path": staged.literally(path)},
        )
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as problem:
        if "No space left" in str(problem):
            raise
        raise _corrupt() from None
    return staged.finish(con, held, shape.columns, source_row="rowid + 1", where="true", malformed=())


def _corrupt() -> UnreadableFileError:
    return UnreadableFileError(
        "corrupt_file",
        "The file is not Parquet, or was cut off or damaged on its way here. Export it again and send it again.",
    )


def _names(con: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    """The names of the columns as the file has them; what is inside a column is skipped."""
    nodes = con.execute(
        "select name, num_children from parquet_schema($path)", {"path": staged.literally(path)}
    ).fetchall()
    names, inside = [], 0
    for name, children in nodes[1:]:
        if not inside:
            names.append(name)
        inside += (children or 0) - (1 if inside else 0)
    return names


def _text(cell: str, kind: str, name: str, decimal_mark: str) -> str:
    """SQL: a value of that type as text."""
    if kind.startswith("DECIMAL"):
        return _marked(f"{cell}::varchar", decimal_mark)
    if AS_IT_IS.fullmatch(kind):
        return f"{cell}::varchar"
    if kind in ("FLOAT", "DOUBLE"):
        return _marked(_plain(cell), decimal_mark)
    if kind.startswith("TIMESTAMP"):
        zoned = kind.endswith("WITH TIME ZONE")
        local = f"({cell} at time zone 'UTC')" if zoned else f"{cell}::timestamp"
        return f"replace({local}::varchar, ' ', 'T')" + (" || 'Z'" if zoned else "")
    raise UnreadableFileError(
        "unknown_type",
        f'Column "{name}" has values of type {shown(kind)}, which are no cells of a table. Write it as text, number,'
        " date, timestamp or boolean; then send the file again.",
        column=name,
    )


def _marked(text: str, decimal_mark: str) -> str:
    """SQL: the text of a number with that mark before its decimals."""
    return text if decimal_mark == "." else f"replace({text}, '.', ',')"


def _plain(cell: str) -> str:
    """SQL: the shortest decimal text of a float, without an exponent."""
    text = f"{cell}::varchar"
    mantissa, exponent = f"split_part({text}, 'e', 1)", f"split_part({text}, 'e', 2)::int"
    sign, digits = f"if({cell} < 0, '-', '')", f"replace(ltrim({mantissa}, '-'), '.', '')"
    large = (
        f"rpad(left({digits}, {exponent} + 1), {exponent} + 1, '0')"
        f" || if(length({digits}) > {exponent} + 1, '.' || substr({digits}, {exponent} + 2), '')"
    )
    small = f"'0.' || repeat('0', -({exponent}) - 1) || {digits}"
    return (
        f"case when {cell} = 0 then '0' when not contains({text}, 'e') then regexp_replace({text}, '\\.0$', '')"
        f" when {exponent} >= 0 then {sign} || {large} else {sign} || {small} end"
    )
