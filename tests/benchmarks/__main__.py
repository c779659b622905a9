"""Run the benchmarks: `python -m tests.benchmarks [--quick] [--runs N] [--add] [NAME]...`.

Prints the medians and writes them into benchmarks/RESULTS.md. Ends with 1 where a goal was missed. With --quick the
sizes are small: nothing is written, and goals are shown but not held against it.
"""

import argparse
import importlib
import statistics
import sys
import time
from pathlib import Path

from tests.benchmarks import Goal, results
from tests.benchmarks.results import number


def main() -> int:
    modules = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    names = [module.removeprefix("bench_") for module in modules]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="How fast, beside peers.")
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that they run, not how fast")
    parser.add_argument("--runs", type=int, default=5, help="how often each is run (5)")
    parser.add_argument("--add", action="store_true", help="let them join the runs that are kept, of the same code")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all, if none")
    options = parser.parse_args()
    unknown = set(options.names) - set(names)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names)}")

    missed = 0
    for name in options.names or names:
        module = importlib.import_module(f"tests.benchmarks.bench_{name}")
        print(f"\n{name}: running", file=sys.stderr)
        started = time.perf_counter()
        runs: list[dict[str, float]] = [module.run(options.quick) for _ in range(1 if options.quick else options.runs)]
        figures = {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}
        if not options.quick:
            results.keep(name, runs, add=options.add)
        print(f"{name}: {time.perf_counter() - started:,.0f} s", file=sys.stderr)
        goals: dict[str, Goal] = getattr(module, "GOALS", {})
        absent = goals.keys() - figures.keys()
        if absent:
            raise LookupError(f"{name} has a goal for {', '.join(sorted(absent))}, but did not measure it")
        missed += sum(not goal.met_by(figures[figure]) for figure, goal in goals.items())
        print(_table(name, figures, goals), flush=True)
    return 1 if missed and not options.quick else 0


def _table(name: str, figures: dict[str, float], goals: dict[str, Goal]) -> str:
    rows = [(name, "value", "goal", "")]
    for figure, value in figures.items():
        goal = goals.get(figure)
        outcome = "" if goal is None else "met" if goal.met_by(value) else "NOT MET"
        rows.append((figure, number(value), "" if goal is None else str(goal), outcome))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:<{widths[2]}}  {row[3]}".rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(len(line) for line in lines), *lines[1:]])


if __name__ == "__main__":
    sys.exit(main())
