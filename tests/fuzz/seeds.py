"""What the fuzzer starts from: the hostile files, cut where they are long."""

import zipfile
from pathlib import Path

from tests.fuzz.targets import SHEET

HOSTILE = Path(__file__).parents[1] / "hostile"
LONGEST_BYTES = 20_000
VALUES = b"1,234.50\n-5\n2026-06-30\n2026-06-30T13:45:00.123456789+05:30\n2026-03-08T02:30\n2199-12-31T23:59Z"


def write_seeds(name: str, folder: Path) -> int:
    """Write the inputs that target `name` starts from into `folder`; how many."""
    contents = [VALUES] if name == "values" else []
    for path in sorted(HOSTILE.rglob(f"*.{name}")) if HOSTILE.is_dir() else []:
        content = path.read_bytes()
        contents.append(content[:LONGEST_BYTES])
        if name == "xlsx":
            try:
                with zipfile.ZipFile(path) as parts:
                    contents.append(parts.read(SHEET)[:LONGEST_BYTES])
            except (zipfile.BadZipFile, KeyError, RuntimeError, OSError, NotImplementedError, ValueError):
                continue
    for number, content in enumerate(contents):
        (folder / f"seed-{number:03}").write_bytes(content)
    return len(contents)
