"""Draw the plots of RESULTS.md: `draw.py FOLDER PLOTS`, in the environment of the peers, which has Matplotlib."""

import json
import statistics
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "rollforward"  # the same picture is the same file

from matplotlib import pyplot, ticker  # noqa: E402 - after it is told where to draw

folder, plots = Path(sys.argv[1]), json.loads(sys.argv[2])
results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
# Other parts may have figures of the same name, and may not have been measured.
for plot in (one for one in plots if one["part"] in results):
    runs = results[plot["part"]]["runs"]
    figures = {name: [run[name] for run in runs] for name in runs[0]}
    chart, axes = pyplot.subplots(figsize=(6, 3.2), layout="constrained")
    for label, names in plot["lines"].items():
        points = [(int(size), figures[name]) for size, name in names.items() if name in figures]
        middle = [statistics.median(values) for _, values in points]
        least, most = ([found(values) for _, values in points] for found in (min, max))
        below = [m - v for m, v in zip(middle, least, strict=True)]
        above = [v - m for m, v in zip(middle, most, strict=True)]
        axes.errorbar([size for size, _ in points], middle, yerr=[below, above], label=label, marker="o", capsize=3)
        # The median of the last, beside it.
        axes.annotate(f"{middle[-1]:,.0f}", (points[-1][0], middle[-1]), (7, -3), textcoords="offset points")
    axes.set(xscale="log", yscale="log", xlabel=plot["size"], title=plot["title"])
    axes.set_ylabel("MB" if "MB" in plot["lines"] else "seconds")
    axes.margins(x=0.12)
    axes.set_xticks(sorted({int(size) for names in plot["lines"].values() for size in names}), minor=False)
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y", color="#DDDDDD")
    if len(plot["lines"]) > 1:
        axes.legend()
    chart.savefig(folder / plot["file"], metadata={"Date": None})
    pyplot.close(chart)
