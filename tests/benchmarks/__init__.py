"""Benchmarks: how fast, beside peers that do the same work in the same run.

A module `bench_<what>.py` has `run(quick) -> dict[str, float]`, its figures by name, and may have `GOALS`, what some of
them should be, and `PLOTS`. A module `peer_<whose>.py` is what ours is measured against. Nothing here is a test: a slow
machine fails no test, and a figure without a peer beside it says little.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple


class Goal(NamedTuple):
    """What a figure should be: `Goal("at least", 8)`, `Goal("under", 20)`."""

    bound: Literal["at least", "under"]
    value: float

    def met_by(self, figure: float) -> bool:
        return figure >= self.value if self.bound == "at least" else figure < self.value

    def __str__(self) -> str:
        return f"{self.bound} {self.value:,g}"


class Plot(NamedTuple):
    """Figures against a size, both on logarithmic scales: for each line of the plot the figure's name at each size."""

    title: str
    size: str
    lines: Mapping[str, Mapping[int, str]]
