"""Charts as figures to draw: where bars, lines, ticks and labels go. Templates draw them as SVG, without scripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

WIDTH, LEFT, RIGHT = 620, 48, 16
TOP, LEVEL_HEIGHT, GAP, FLOW_HEIGHT, BOTTOM = 12, 105, 26, 95, 24
HEIGHT = TOP + LEVEL_HEIGHT + GAP + FLOW_HEIGHT + BOTTOM
TICKS = 4


@dataclass(frozen=True)
class Bar:
    """A bar, with what it says when pointed at."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    said: str


@dataclass(frozen=True)
class Tick:
    """A line across, or a month below, and its label."""

    at: float
    label: str


@dataclass(frozen=True)
class Chart:
    """What was owed at each month's end, above what came and went in it."""

    line: str
    area: str
    dots: Sequence[Bar]
    bars: Sequence[Bar]
    levels: Sequence[Tick]
    flows: Sequence[Tick]
    months: Sequence[Tick]
    zero: float
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT


@dataclass(frozen=True)
class MonthFlows:
    """One month of the chart; amounts without sign."""

    month: date
    extant: Decimal
    created: Decimal
    redeemed: Decimal
    expired: Decimal


def of_months(months: Sequence[MonthFlows], unit: str, decimals: int) -> Chart:
    """The chart of these months, the last one first come so far."""
    step = (WIDTH - LEFT - RIGHT) / len(months)
    level_top = _ceiling(max(month.extant for month in months))
    floor = TOP + LEVEL_HEIGHT
    points = [
        (LEFT + step * (at + 0.5), floor - LEVEL_HEIGHT * float(month.extant / level_top))
        for at, month in enumerate(months)
    ]
    flow_top = _ceiling(max(max(month.created, month.redeemed + month.expired) for month in months))
    flow_floor = floor + GAP + FLOW_HEIGHT
    scale = FLOW_HEIGHT / float(flow_top)
    bars, dots = [], []
    width = step * 0.36
    for at, month in enumerate(months):
        x, name = LEFT + step * at + step * 0.12, f"{month.month:%B %Y}"

        def bar(kind: str, left: float, amount: Decimal, below: Decimal, name: str = name) -> Bar:
            height = float(amount) * scale
            top = flow_floor - float(below) * scale - height
            return Bar(kind, left, top, width, height, f"{name}: {kind} {amount:,.{decimals}f} {unit}")

        bars += [
            bar("created", x, month.created, Decimal(0)),
            bar("redeemed", x + width * 1.08, month.redeemed, Decimal(0)),
            bar("expired", x + width * 1.08, month.expired, month.redeemed),
        ]
        left, top = points[at]
        dots.append(Bar("owed", left, top, 0, 0, f"{name}: {month.extant:,.{decimals}f} {unit} at the end"))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    every = 3 if len(months) > 12 else 1
    return Chart(
        line=line,
        area=f"{points[0][0]:.1f},{floor} {line} {points[-1][0]:.1f},{floor}",
        dots=dots,
        bars=[bar for bar in bars if bar.height > 0],
        levels=_ticks(level_top, floor, LEVEL_HEIGHT),
        flows=_ticks(flow_top, flow_floor, FLOW_HEIGHT),
        months=[
            Tick(LEFT + step * (at + 0.5), f"{month.month:%b %Y}")
            for at, month in enumerate(months)
            if (len(months) - 1 - at) % every == 0
        ],
        zero=flow_floor,
    )


def _ticks(top: Decimal, floor: float, height: float) -> list[Tick]:
    return [Tick(floor - height * part / TICKS, _short(top * part / TICKS)) for part in range(TICKS + 1)]


def _ceiling(most: Decimal) -> Decimal:
    """The next number that is 1, 2, 4 or 8 times a power of ten, so that its quarters are plain."""
    if most <= 0:
        return Decimal(4)
    power = Decimal(10) ** most.adjusted()
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= most)


def _short(amount: Decimal) -> str:
    for size, letter in ((1_000_000_000, "bn"), (1_000_000, "m"), (1_000, "k")):
        if abs(amount) >= size:
            return f"{(amount / size).normalize():f} {letter}"
    return f"{amount.normalize():f}"
