"""What a dataset's file may hold, and what is wrong with one that holds something else.

Only the names of columns are looked at here; what a value may be is the grammar's.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class Shape:
    """The columns that a dataset's file may have."""

    columns: tuple[str, ...]
    required: frozenset[str]
    ignored: frozenset[str] = frozenset()


class UnreadableFileError(Exception):
    """The file as a whole is rejected. The message is for a finance person: what, where, what to do next."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def match_names(names: Sequence[str], shape: Shape, where: str) -> list[str | None]:
    """The known column of each name, None for one that the merchant ignores.

    `where` is what a person calls the place the names stand in: "the header", "the first row".
    Raises UnreadableFileError: duplicate_column, unnamed_column, unknown_column, missing_column.
    """
    known = frozenset(shape.columns)
    for place, name in enumerate(names, 1):
        if not name:
            raise UnreadableFileError(
                "unnamed_column",
                f"Column {place} of {where} has no name. Name it, or remove the column; then send the file again.",
            )
        if name not in known and name not in shape.ignored:
            raise UnreadableFileError("unknown_column", _unknown(name, shape, where))
    for name, times in Counter(names).items():
        if times > 1 and name in known:
            raise UnreadableFileError(
                "duplicate_column",
                f'Column "{name}" is there {times} times in {where}, so it is not clear which one counts. Keep one;'
                " then send the file again.",
            )
    missing = [name for name in shape.columns if name in shape.required and name not in names]
    if missing:
        listed = ", ".join(f'"{name}"' for name in missing)
        raise UnreadableFileError(
            "missing_column",
            f"{where.capitalize()} lacks {listed}, which every row must have. Add"
            f" {'it' if len(missing) == 1 else 'them'}; then send the file again.",
        )
    return [name if name in known else None for name in names]


def _unknown(name: str, shape: Shape, where: str) -> str:
    near = get_close_matches(name.casefold().replace(" ", "_"), shape.columns, n=1, cutoff=0.6)
    guess = f' Did you mean "{near[0]}"?' if near else f" Known are: {', '.join(shape.columns)}."
    return (
        f'Column "{shown(name)}" of {where} is unknown.{guess} Rename the column, or list it in ignore_columns in'
        " merchants.toml; then send the file again."
    )


def shown(text: str, most: int = 80) -> str:
    """`text` as a message quotes it: on one line, cut."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
