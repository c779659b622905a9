"""From bytes to UTF-8: which encoding a text file is in, and what a look at its bytes tells the readers.

Columns, quotes and JSON are not known here; whether a beginning makes sense is asked of who knows.
"""

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipelines.readers.shape import UnreadableFileError

CHUNK_BYTES = 1_000_000
# A mark states its encoding. The longer come first: that of UTF-32 begins with that of UTF-16.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
ASCII = bytes(range(128))


@dataclass(frozen=True)
class TextFile:
    """A file that is valid UTF-8, and what one pass over its bytes has shown."""

    path: Path
    ascii_only: bool
    nul_bytes: bool

    def open(self) -> BinaryIO:
        """Its bytes after the mark, if it has one."""
        file = self.path.open("rb")
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        return file

    def start(self) -> str:
        """Its first million bytes."""
        with self.open() as file:
            return file.read(CHUNK_BYTES).decode("utf-8", errors="ignore")


@dataclass(frozen=True)
class _Invalid:
    """The first bytes that are not of an encoding."""

    offset: int
    line: int


def open_text(path: Path, encoding: str, scratch: Path, looks_right: Callable[[str], bool]) -> TextFile:
    """The file as UTF-8: itself, or a copy in the folder `scratch`.

    A file is what its mark says; else UTF-8 if it is valid UTF-8; else in the merchant's `encoding`. Text in utf-7 or
    the like is valid UTF-8, too, and text in utf-16 may be (with NULs): such a file is taken for what the merchant
    says if `looks_right` then says so of its beginning.
    Raises UnreadableFileError: empty_file, unknown_encoding, wrong_encoding.
    """
    with path.open("rb") as file:
        start = file.read(len(codecs.BOM_UTF32_LE))
    if not start:
        raise UnreadableFileError("empty_file", "The file is empty (0 bytes). Export it again and send it again.")
    for mark, marked in MARKS:
        if start.startswith(mark):
            return _decoded(path, marked, scratch, None)
    looked = _look(path)
    if isinstance(looked, _Invalid):
        return _decoded(path, encoding, scratch, looked)
    if (looked.ascii_only or looked.nul_bytes) and not _extends_ascii(encoding):
        try:
            decoded = _decoded(path, encoding, scratch, None)
        except UnreadableFileError:
            return looked
        if looks_right(decoded.start()):
            return decoded
    return looked


def not_text(where: str) -> UnreadableFileError:
    """What to say of a file with NUL characters where its first words should be."""
    return UnreadableFileError(
        "wrong_encoding",
        f"The {where} holds NUL characters: the file is damaged, or in an encoding such as UTF-16. Save it as UTF-8 and"
        " send it again, or set `encoding` of the merchant in merchants.toml.",
    )


def _extends_ascii(encoding: str) -> bool:
    """Whether bytes of ASCII mean in that encoding what they mean in ASCII, and nothing else does."""
    try:
        others = [other.encode(encoding, errors="ignore") for other in "é日"]
        return ASCII.decode(encoding) == ASCII.decode("ascii") and not any(
            other and other.isascii() for other in others
        )
    except (UnicodeError, LookupError):
        return False


def _look(path: Path) -> TextFile | _Invalid:
    decoder = codecs.getincrementaldecoder("utf-8")()
    ascii_only, nul_bytes = True, False
    at = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            nul_bytes = nul_bytes or b"\0" in chunk
            pending = len(decoder.getstate()[0])
            if pending or not chunk.isascii():
                ascii_only = False
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError as problem:
                    return _invalid(path, at - pending + problem.start)
            at += len(chunk)
    pending = len(decoder.getstate()[0])
    return _invalid(path, at - pending) if pending else TextFile(path, ascii_only, nul_bytes)


def _invalid(path: Path, offset: int) -> _Invalid:
    line, left = 1, offset
    with path.open("rb") as file:
        while left and (chunk := file.read(min(left, CHUNK_BYTES))):
            line += chunk.count(b"\n")
            left -= len(chunk)
    return _Invalid(offset, line)


def _decoded(path: Path, encoding: str, scratch: Path, not_utf8: _Invalid | None) -> TextFile:
    """A copy in UTF-8 of a file in `encoding`."""
    copy = scratch / "utf-8"
    invalid = _copy(path, encoding, copy)
    if invalid is None:
        looked = _look(copy)
        assert isinstance(looked, TextFile)
        return looked
    where = f"byte {invalid.offset:,} (line {invalid.line:,})"
    if not_utf8 is None:
        said = f"The file begins as {encoding} does, but {where} is not {encoding}."
    elif codecs.lookup(encoding).name == "utf-8":
        said = f"The file is not UTF-8: see byte {not_utf8.offset:,} (line {not_utf8.line:,})."
    else:
        said = (
            f"The file is neither UTF-8 (see byte {not_utf8.offset:,}, line {not_utf8.line:,}) nor {encoding}, the"
            f" merchant's encoding (see {where})."
        )
    raise UnreadableFileError(
        "wrong_encoding",
        f"{said} Save it as UTF-8 and send it again, or set `encoding` of the merchant in merchants.toml (Excel on"
        ' Windows often writes "cp1252").',
    )


def _copy(path: Path, encoding: str, copy: Path) -> _Invalid | None:
    """Write the text of `path` to `copy` as UTF-8, or say from where on it is not text in that encoding."""
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
        "".join([decoder.decode(b"")])  # some codecs make bytes of bytes
    except (LookupError, TypeError, UnicodeError):
        raise UnreadableFileError(
            "unknown_encoding",
            f'The file is not UTF-8, and "{encoding}", the merchant\'s encoding, is not one of text. Set `encoding` of'
            ' the merchant in merchants.toml, for example to "cp1252".',
        ) from None
    at = pending = 0
    with path.open("rb") as source, copy.open("wb") as target:
        while True:
            chunk = source.read(CHUNK_BYTES)
            try:
                text = decoder.decode(chunk, final=not chunk)
                target.write(text.encode())
            except UnicodeError as problem:
                start = problem.start if isinstance(problem, UnicodeDecodeError) else 0
                return _invalid(path, max(at - pending + start, 0))
            at += len(chunk)
            pending = len(decoder.getstate()[0])
            if not chunk:
                return None
