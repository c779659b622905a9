"""A run that is killed at any point, then run again: the same ledger, files and workbooks, nothing twice, no half.

The points are spread evenly over what each scenario of tests/kills.py does to the disk, over the bytes it writes, and
over its time; every third run is killed again while it makes good. 50 points with every change, 1,000 in `make soak`.
"""

import os
import random
import shutil
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any

import pytest

from tests import forks
from tests.kills import SCENARIOS, Point, Told, files, saved
from tests.processes import content, rollforward, start, workbooks

IN_CI = {
    "ingest": 6,
    "replay": 4,
    "retry": 4,
    "report": 3,
    "report again": 2,
    "mass credits preview": 3,
    "mass credits": 5,
    "reverse": 3,
    "adjust batch": 3,
    "adjust": 3,
    "merge": 3,
    "backup": 5,
    "restore": 3,
    "rebuild command": 3,
}
REPORT = ("report", "--month", "2026-05", "--to", "2026-06")
IN_SOAK = {name: 22 if name.endswith("command") else 62 for name in SCENARIOS}


def points(told: Told, count: int) -> list[Point]:
    """So many points of a run, spread evenly: of five, three are effects, one is bytes, one a share of its time."""
    effects = min(max(count * 3 // 5, 1), told.effects)
    sizes = count // 5
    shares = count - effects - sizes
    return [
        # From the middle of the first part to that of the last.
        *(Point("effect", 1 + (2 * at + 1) * told.effects // (2 * effects)) for at in range(effects)),
        *(Point("bytes", int(told.largest_bytes ** ((at + 0.5) / sizes))) for at in range(sizes)),
        *(Point("share", (at + 0.5) / shares) for at in range(shares)),
    ]


@dataclass
class Homes:
    """Homes as they are before each scenario, and after it where nothing went wrong; each made when first asked for."""

    folder: Path
    made: dict[tuple[str, ...], Path] = field(default_factory=dict)
    undisturbed: dict[tuple[str, int], tuple[dict[str, Any], Told]] = field(default_factory=dict)
    lock: Any = field(default_factory=RLock)

    def before(self, steps: tuple[str, ...]) -> Path:
        """A home in which these steps have been done. Copy it."""
        with self.lock:
            if steps not in self.made:
                home = self.folder / f"before {', '.join(steps)}"
                if steps[:-1]:
                    self.copy(steps[:-1], home)
                assert self.ask("prepare", home, step=steps[-1]), f"{steps[-1]} ended before its end"
                self.made[steps] = home
            return self.made[steps]

    def copy(self, steps: tuple[str, ...], home: Path) -> None:
        """Make `home` one in which these steps have been done."""
        before = self.before(steps)
        for source, target in ((before, home), (saved(before), saved(home))):
            if source.exists():
                shutil.copytree(source, target)

    def after(self, name: str, attempt: int = 1) -> tuple[dict[str, Any], Told]:
        """What is left of the scenario where nothing goes wrong, and how it goes."""
        with self.lock:
            if (name, attempt) not in self.undisturbed:
                home = self.folder / f"after {name} {attempt}"
                self.copy(SCENARIOS[name].before, home)
                told = self.act(home, name, attempt, None)
                assert told is not None, f"{name} ended before its end"
                self.undisturbed[name, attempt] = self.left(home), told
            return self.undisturbed[name, attempt]

    def act(self, home: Path, name: str, attempt: int, point: Point | None, seconds: float = 0) -> Told | None:
        """Run the scenario, to its end or to the point: then there is nothing to tell."""
        told = self.ask("act", home, scenario=name, attempt=attempt, seconds=seconds, point=point and asdict(point))
        return None if told is None else Told(**told)

    def left(self, home: Path) -> dict[str, Any]:
        told: dict[str, Any] | None = self.ask("left", home)
        assert told is not None
        return told

    def ask(self, does: str, home: Path, **asked: Any) -> Any:
        log = self.folder / f"{home.name}.log"
        return forks.ask(f"tests.kills:{does}", stdout=log, stderr=log, home=str(home), **asked)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    return Homes(tmp_path_factory.mktemp("homes"))


def killed(homes: Homes, name: str, number: int, point: Point) -> str:
    """Kill a run of the scenario at the point, and have it done again; what became of it where that is not right."""
    _, told = homes.after(name)
    home = homes.folder / f"{name} {number}"
    homes.copy(SCENARIOS[name].before, home)
    former = files(home)
    draw = random.Random(number)
    again = [Point("effect", draw.randint(1, told.effects))] if number % 3 == 0 else []
    kills: list[Point | None] = [point, *again, None]
    said = f"{name}, {' then '.join(f'{kill.kind} {kill.at:g}' for kill in kills if kill)}"
    try:
        for attempt, kill in enumerate(kills, start=1):
            done = homes.act(home, name, attempt, kill, told.seconds)
            if done is not None:
                break
            assert kill is not None, "the last run ended before its end, and was not killed by us"
            assert_no_half(files(home), [former, *undisturbed(homes, name, attempt)])
        found, wanteds = homes.left(home), undisturbed(homes, name, attempt)
    except AssertionError as problem:
        return f"{said}: {problem}"
    # What a killed run archived, and never journalled, is there for nothing.
    idle = {part for part in found if part.startswith("archive/") and any(part in one for one in wanteds)}
    for wanted in wanteds:
        if {part: rows for part, rows in found.items() if part in wanted or part not in idle} == wanted:
            shutil.rmtree(home)
            return ""
    return f"{said}: {differences(found, wanteds[-1])}"


def undisturbed(homes: Homes, name: str, attempts: int) -> list[dict[str, Any]]:
    """What may be left after so many attempts."""
    return [homes.after(name, one)[0] for one in range(1, 1 + (attempts if SCENARIOS[name].is_named_by_its_run else 1))]


def assert_no_half(found: dict[str, str], whole: Sequence[dict[str, Any]]) -> None:
    """Each file that there is says what it said before, or what it is to say."""
    half = [part for part, said in found.items() if all(one.get(part) != said for one in whole)]
    assert not half, f"half there: {', '.join(half)}"


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """What is otherwise, in a few lines."""
    told = []
    for part in sorted(found.keys() | wanted.keys()):
        ours, theirs = found.get(part), wanted.get(part)
        if isinstance(ours, list) and isinstance(theirs, list):
            ours, theirs = [row for row in ours if row not in theirs], [row for row in theirs if row not in ours]
        if ours != theirs:
            told.append(f"{part}: {ours!s:.300} instead of {theirs!s:.300}")
    return "\n".join(told) or "rows are there more or less often"


def assert_every_kill_is_made_good(homes: Homes, name: str, count: int) -> None:
    _, told = homes.after(name)
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as threads:
        said = threads.map(lambda one: killed(homes, name, *one), enumerate(points(told, count)))
        wrong = [one for one in said if one]
    assert not wrong, "\n\n".join([f"{len(wrong)} of {count}:", *wrong])


@pytest.mark.parametrize(("name", "count"), IN_CI.items())
def test_what_was_killed_and_is_done_again_ends_like_an_undisturbed_run(homes: Homes, name: str, count: int) -> None:
    assert_every_kill_is_made_good(homes, name, count)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), IN_SOAK.items())
def test_what_was_killed_at_a_thousand_points_ends_like_an_undisturbed_run(homes: Homes, name: str, count: int) -> None:
    assert_every_kill_is_made_good(homes, name, count)


@dataclass(frozen=True)
class Undisturbed:
    """A home in which nothing went wrong, and how long its report took."""

    home: Path
    seconds: float


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    rollforward(home, "sample", "--entries", "3000")
    started = time.monotonic()
    rollforward(home, *REPORT)
    return Undisturbed(home, time.monotonic() - started)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, *range(100, 120)])
def test_a_killed_process_of_the_command_line_run_again_ends_like_an_undisturbed_one(
    reported: Undisturbed, tmp_path: Path, seed: int
) -> None:
    """Kill up to three processes, in CI one, at a moment drawn from their whole length; then let one finish."""
    draw = random.Random(seed)
    home = tmp_path / "home"
    home.mkdir()
    for name in ("merchants.toml", "access.toml"):
        shutil.copy2(reported.home / name, home / name)
    shutil.copytree(reported.home / "landing", home / "landing")
    for _ in range(draw.randint(1, 3) if seed >= 100 else 1):
        process = start(home, *REPORT)
        time.sleep(draw.uniform(0.3, 1.0) * reported.seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for path in (home / "reports").rglob("*.xlsx"):
            assert path.name.startswith(".") or path.read_bytes()[-22:-18] == b"PK\x05\x06", (
                f"{path} is half a workbook"
            )
    rollforward(home, *REPORT)
    assert content(home) == content(reported.home)
    assert workbooks(home) == workbooks(reported.home)


def test_there_are_fifty_points_in_ci_and_a_thousand_in_soak() -> None:
    assert (sum(IN_CI.values()), sum(IN_SOAK.values()) >= 1000) == (50, True)
