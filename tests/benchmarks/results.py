"""benchmarks/RESULTS.md: what was measured, on which machine, how often, and how far apart the runs were.

Made of benchmarks/results.json, which keeps the figures of every run of each benchmark's latest measurement.
"""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks import Goal, Plot
from tests.benchmarks.commands import peer_python

FOLDER = Path(__file__).parents[2] / "benchmarks"
PACKAGES = ("duckdb", "polars", "pyarrow", "numba", "dagster", "pandera", "xlsxwriter")
INTRODUCTION = """\
# Results

`make bench` measures all of this again and writes this page; `.venv/bin/python -m tests.benchmarks NAME` one part of
it. Each figure is the median of its runs, with the least and the most beside it; ratios are between what ran in turn
in the same run. What the figures mean is said on top of `tests/benchmarks/bench_<name>.py`.
"""


def keep(name: str, runs: Sequence[Mapping[str, float]], *, add: bool = False) -> None:
    """Put the runs of a benchmark in the place of its former ones, and write the page anew.

    With `add` they join those that this machine made with the same packages.
    """
    FOLDER.mkdir(exist_ok=True)
    kept = FOLDER / "results.json"
    results: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    machine, former = _machine(), results.get(name, {})
    before = former["runs"] if add and former.get("machine") == machine else []
    results[name] = {"machine": machine, "runs": [*before, *map(dict, runs)]}
    kept.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (FOLDER / "RESULTS.md").write_text(_page(results), encoding="utf-8")
    subprocess.run([peer_python(), str(Path(__file__).with_name("draw.py")), str(FOLDER), _plots()], check=True)


def _page(results: Mapping[str, Any]) -> str:
    parts = [INTRODUCTION]
    for name, result in sorted(results.items()):
        module = import_module(f"tests.benchmarks.bench_{name}")
        goals: dict[str, Goal] = getattr(module, "GOALS", {})
        rows = [
            "| | median | from | to | goal | |",
            "| --- | ---: | ---: | ---: | --- | --- |",
            *(_row(figure, [run[figure] for run in result["runs"]], goals.get(figure)) for figure in result["runs"][0]),
        ]
        pictures = [f"![{plot.title}]({_file(plot)})" for plot in getattr(module, "PLOTS", [])]
        runs = len(result["runs"])
        said = f"{'One run' if runs == 1 else f'{runs} runs'}, {result['machine']}."
        parts.append("\n".join([f"## {name}", "", said, "", *rows, *(["", *pictures] if pictures else [])]) + "\n")
    return "\n".join(parts)


def _row(figure: str, values: Sequence[float], goal: Goal | None) -> str:
    median = statistics.median(values)
    outcome = "" if goal is None else "met" if goal.met_by(median) else "**not met**"
    numbers = " | ".join(number(value) for value in (median, min(values), max(values)))
    return f"| {figure} | {numbers} | {'' if goal is None else goal} | {outcome} |"


def number(value: float) -> str:
    """Three digits that mean something, more where the number is large anyway."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3g}"


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return (
        f"{len(os.sched_getaffinity(0))} cores ({platform.machine()}), {memory:.0f} GiB, {platform.system()},"
        f" Python {platform.python_version()}, {packages}"
    )


def _plots() -> str:
    """What to draw, as JSON, for a Python that has a library for it and not ours."""
    modules = [import_module(f"tests.benchmarks.{path.stem}") for path in Path(__file__).parent.glob("bench_*.py")]
    return json.dumps(
        [
            {**plot._asdict(), "part": module.__name__.rpartition(".bench_")[2], "file": _file(plot)}
            for module in modules
            for plot in getattr(module, "PLOTS", [])
        ]
    )


def _file(plot: Plot) -> str:
    return plot.title.lower().replace(" ", "-") + ".svg"
