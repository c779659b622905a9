"""LibreOffice, without a window: what it makes of a workbook, and what its formulas come to when it calculates anew.

LibreOffice believes the values that a file brings along, unless its profile tells it to calculate every file anew.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import openpyxl

# 0 is "always"; by default it is "never" for files that say they are Excel's.
RECALCULATE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load">
<prop oor:name="OOXMLRecalcMode" oor:op="fuse"><value>0</value></prop>
</item>
</oor:items>
"""
PLACES = 6  # a sum of floats may differ from the exact decimals in a place that no unit has


def convert(path: Path, kind: str, folder: Path, *, recalculate: bool = False) -> Path:
    """The file of that kind that LibreOffice makes of the workbook; each run has a profile of its own."""
    program = shutil.which("soffice")
    assert program, "LibreOffice is not installed: apt-get install libreoffice-calc-nogui"
    profile = folder / "profile"
    if recalculate:
        (profile / "user").mkdir(parents=True, exist_ok=True)
        (profile / "user" / "registrymodifications.xcu").write_text(RECALCULATE, encoding="utf-8")
    made = folder / f"as-{kind}"
    result = subprocess.run(
        [program, f"-env:UserInstallation={profile.as_uri()}", "--headless", "--convert-to", kind,
         "--outdir", made, path],
        capture_output=True, text=True, timeout=180, check=True,
    )  # fmt: skip
    assert "rror" not in result.stdout + result.stderr, result.stdout + result.stderr
    (file,) = made.iterdir()
    return file


def stale_formulas(path: Path, folder: Path) -> dict[str, tuple[Any, Any]]:
    """Cells with a formula whose value in the file is not what it comes to: that value, and what it should be."""
    calculated = openpyxl.load_workbook(convert(path, "xlsx", folder, recalculate=True), data_only=True)
    cached = openpyxl.load_workbook(path, data_only=True)
    stale, seen = {}, 0
    for sheet in openpyxl.load_workbook(path).worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                if cell.data_type == "f":
                    seen += 1
                    was, now = (_plain(book[sheet.title][cell.coordinate].value) for book in (cached, calculated))
                    if was != now:
                        stale[f"{sheet.title}!{cell.coordinate}"] = (was, now)
    assert seen, f"{path.name} has no formula"
    return stale


def _plain(value: Any) -> Any:
    return round(float(value), PLACES) if isinstance(value, int | float) else value
