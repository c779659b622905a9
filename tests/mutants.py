"""`python -m tests.mutants`: does a test notice when a line of the kernel changes? (`make mutants`)

mutmut changes the kernel in every small way it knows, and runs the tests against each. It leaves decorated functions
alone, and compiled ones could not be changed under way: so it is given a copy of the module without its decorators,
which is what numba compiles. A mutant that survives must stand in EQUIVALENT, with why it cannot change a number.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import recordings

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "build/mutants"
MODULE = "pipelines/kernel.py"
TESTS = ("tests/test_kernel_edges.py", "tests/recordings.py", "tests/test_kernel.py")
# In plain Python these would take long, or they ask for the compiled kernel.
NOT_THESE = "quick or compiled or random_ledger or did_not_fit"
CONFIGURATION = f"""
[tool.mutmut]
source_paths = ["pipelines"]
only_mutate = ["{MODULE}"]
also_copy = ["tests"]
pytest_add_cli_args_test_selection = {json.dumps(TESTS)}
pytest_add_cli_args = ["-k", "not ({NOT_THESE})", "-p", "no:cacheprovider", "--import-mode=importlib"]
timeout_multiplier = 4.0
use_git_change_detection = false
[tool.pytest.ini_options]
pythonpath = ["."]
"""
KILLED = {1, 3}
TIMED_OUT = {36, 24, -24, 152, 255, -9}


# Mutants that no test can notice: why no number changes, then of which function which line becomes what.
EQUIVALENT: Mapping[str, Sequence[tuple[str, str, str]]] = {
    "What is compared here differs: the line above says so.": [
        ("_comes_first", "return bool(first[one] < first[other])", "return bool(first[one] <= first[other])"),
        ("_comes_first", "return bool(second[one] < second[other])", "return bool(second[one] <= second[other])"),
    ],
    "No two credits of an account have the same rank, and none is compared with itself.": [
        ("_comes_first", "return bool(last[one] < last[other])", "return bool(last[one] <= last[other])"),
    ],
    "Every slot below 0 means that the credit is not in the heap.": [
        ("_without_top", "slots[heap[0]] = -1", "slots[heap[0]] = -2"),
    ],
    "With so many parts, looking through them and sorting them find the same one.": [
        ("_part_of", "if parts <= FEW_PARTS:", "if parts < FEW_PARTS:"),
    ],
    "A redemption draws from a credit once: where no two are equal, every sort gives the same order.": [
        (
            "_part_of",
            'order = np.argsort(movements[CREDIT, start : start + parts], kind="mergesort")',
            "order = np.argsort(movements[CREDIT, start : start + parts], kind=None)",
        ),
        (
            "_part_of",
            'order = np.argsort(movements[CREDIT, start : start + parts], kind="mergesort")',
            "order = np.argsort(movements[CREDIT, start : start + parts], )",
        ),
        (
            "_part_of",
            'order = np.argsort(movements[CREDIT, start : start + parts], kind="mergesort")',
            'order = np.argsort(movements[CREDIT, start : start + parts], kind="MERGESORT")',
        ),
    ],
    "Only makes room for a longer account than there is.": [
        ("_replay_while_there_is_room", "longest = 1", "longest = 2"),
        (
            "_replay_while_there_is_room",
            "for number in range(account, accounts.size - 1):",
            "for number in range(accounts.size - 1):",
        ),
        (
            "_replay_while_there_is_room",
            "longest = max(longest, accounts[number + 1] - accounts[number])",
            "longest = max(longest, accounts[number + 1] + accounts[number])",
        ),
    ],
    "Ranks, counts and positions are far below 2**53, up to which floats are exact.": [
        (
            "_replay_while_there_is_room",
            "draw_last = np.empty(longest, np.int64)",
            "draw_last = np.empty(longest, None)",
        ),
        ("_replay_while_there_is_room", "draw_last = np.empty(longest, np.int64)", "draw_last = np.empty(longest, )"),
        ("_replay_while_there_is_room", "expiries = np.empty(longest, np.int64)", "expiries = np.empty(longest, None)"),
        ("_replay_while_there_is_room", "expiries = np.empty(longest, np.int64)", "expiries = np.empty(longest, )"),
        (
            "_replay_while_there_is_room",
            "asserted_by = np.empty(longest, np.int64)",
            "asserted_by = np.empty(longest, None)",
        ),
        (
            "_replay_while_there_is_room",
            "asserted_by = np.empty(longest, np.int64)",
            "asserted_by = np.empty(longest, )",
        ),
    ],
    "A float of 0 or 1 is as false or true as a boolean.": [
        (
            "_replay_while_there_is_room",
            "taken_back = np.empty(longest, np.bool_)",
            "taken_back = np.empty(longest, None)",
        ),
        ("_replay_while_there_is_room", "taken_back = np.empty(longest, np.bool_)", "taken_back = np.empty(longest, )"),
        (
            "_replay_while_there_is_room",
            "is_sorted = np.empty(longest, np.bool_)",
            "is_sorted = np.empty(longest, None)",
        ),
        ("_replay_while_there_is_room", "is_sorted = np.empty(longest, np.bool_)", "is_sorted = np.empty(longest, )"),
    ],
    "How early, and to what, a table grows is no number in it.": [
        (
            "replay",
            "movements = np.empty((MOVEMENT_ROWS, max(room, 8)), np.int64)",
            "movements = np.empty((MOVEMENT_ROWS, max(room, 9)), np.int64)",
        ),
        (
            "replay",
            "findings = np.empty((FINDING_ROWS, 256), np.int64)",
            "findings = np.empty((FINDING_ROWS, 257), np.int64)",
        ),
        (
            "_replay_while_there_is_room",
            "room, findings_room = movements.shape[1] - 2, findings.shape[1] - 2",
            "room, findings_room = movements.shape[1] - 3, findings.shape[1] - 2",
        ),
        (
            "_replay_while_there_is_room",
            "room, findings_room = movements.shape[1] - 2, findings.shape[1] - 2",
            "room, findings_room = movements.shape[1] - 2, findings.shape[1] - 3",
        ),
        (
            "_grown",
            "wider = np.empty((table.shape[0], 2 * table.shape[1]), np.int64)",
            "wider = np.empty((table.shape[0], 3 * table.shape[1]), np.int64)",
        ),
    ],
    "None is as false as False.": [
        (
            "_replay_while_there_is_room",
            "taken_back[here] = is_sorted[here] = False",
            "taken_back[here] = is_sorted[here] = None",
        ),
    ],
    "The loop is left at `end` in any case.": [
        ("_replay_while_there_is_room", "for i in range(begin, end + 1):", "for i in range(begin, end + 2):"),
    ],
    "There are two columns more than are asked for, and after this no more than two are written.": [
        ("_replay_while_there_is_room", "if found >= findings_room:", "if found > findings_room:"),
        ("_replay_while_there_is_room", "if count >= room:", "if count > room:"),
        ("_replay_while_there_is_room", "if found >= findings_room:", "if found > findings_room:"),
        ("_replay_while_there_is_room", "if count >= room:", "if count > room:"),
        ("_replay_while_there_is_room", "if count >= room:", "if count > room:"),
        ("_replay_while_there_is_room", "if found >= findings_room:", "if found > findings_room:"),
        ("_replay_while_there_is_room", "if count >= room:", "if count > room:"),
    ],
    "No instant is within two microseconds of the last that 64 bits hold.": [
        (
            "_replay_while_there_is_room",
            "now = occurred_at[i] if i < end else NEVER - 1",
            "now = occurred_at[i] if i < end else NEVER - 2",
        ),
    ],
    "Position 0 is of the first account, which begins at 0: nothing is subtracted from it.": [
        (
            "_replay_while_there_is_room",
            "credit = named[i] - begin if named[i] >= 0 else named[i]",
            "credit = named[i] - begin if named[i] > 0 else named[i]",
        ),
        (
            "_replay_while_there_is_room",
            "credit = named[i] - begin if named[i] >= 0 else named[i]",
            "credit = named[i] - begin if named[i] >= 1 else named[i]",
        ),
        ("_replay_while_there_is_room", "if credit >= 0:", "if credit > 0:"),
        ("_replay_while_there_is_room", "if credit >= 0:", "if credit >= 1:"),
    ],
    "A used-up credit left on top draws as little as an empty heap.": [
        (
            "_replay_while_there_is_room",
            "while draw_count > 0 and remaining[draws[0]] == 0:",
            "while draw_count > 1 and remaining[draws[0]] == 0:",
        ),
    ],
    "The first entry of all asserts nothing: the credit that it would be about is not there yet.": [
        ("_replay_while_there_is_room", "if asserted_by[credit] < 0:", "if asserted_by[credit] <= 0:"),
        ("_replay_while_there_is_room", "if asserted_by[credit] < 0:", "if asserted_by[credit] < 1:"),
    ],
    "A reversal or expiry moves once, so this is its first part.": [
        ("_replay_while_there_is_room", "parts[i] += 1", "parts[i] = 1"),
    ],
    "What is sorted again comes out the same; only time is lost.": [
        (
            "_replay_while_there_is_room",
            "part = _part_of(movements, last, parts[redemption[i]], named[i], is_sorted[spent])",
            "part = _part_of(movements, last, parts[redemption[i]], named[i], None)",
        ),
        ("_replay_while_there_is_room", "is_sorted[spent] = True", "is_sorted[spent] = None"),
        ("_replay_while_there_is_room", "is_sorted[spent] = True", "is_sorted[spent] = False"),
    ],
    "Column 0 is of the movement that brings a credit, never of a part that drew from one.": [
        ("_replay_while_there_is_room", "last = max(part, 0)", "last = max(part, 1)"),
    ],
    "A used-up credit in the heap is passed over.": [
        (
            "_replay_while_there_is_room",
            "if remaining[credit] > 0 or draw_slots[credit] >= 0:",
            "if remaining[credit] >= 0 or draw_slots[credit] >= 0:",
        ),
    ],
    "A credit that is used up, or never expires, does nothing among those that are due.": [
        (
            "_replay_while_there_is_room",
            "if (remaining[credit] > 0 and expires_at[credit] < NEVER) or due_slots[credit] >= 0:",
            "if (remaining[credit] > 0 and expires_at[credit] <= NEVER) or due_slots[credit] >= 0:",
        ),
        (
            "_replay_while_there_is_room",
            "if (remaining[credit] > 0 and expires_at[credit] < NEVER) or due_slots[credit] >= 0:",
            "if (remaining[credit] > 0 or expires_at[credit] < NEVER) or due_slots[credit] >= 0:",
        ),
        (
            "_replay_while_there_is_room",
            "if (remaining[credit] > 0 and expires_at[credit] < NEVER) or due_slots[credit] >= 0:",
            "if (remaining[credit] >= 0 and expires_at[credit] < NEVER) or due_slots[credit] >= 0:",
        ),
    ],
    "Once all accounts are done, nobody asks which table was too short.": [
        ("_replay_while_there_is_room", "return account, count, found, 0", "return account, count, found, 1"),
    ],
}


@dataclass(frozen=True)
class Mutant:
    """One mutant: its name to mutmut, what became of it, and the lines that differ."""

    name: str
    exit_code: int | None
    was: str
    becomes: str

    @property
    def function(self) -> str:
        """The function that it is of."""
        return self.name.partition(".x_")[2].rpartition("__mutmut_")[0]

    @property
    def is_killed(self) -> bool:
        """Whether a test failed, or none came to an end."""
        return self.exit_code in KILLED | TIMED_OUT


def main() -> int:
    """Make the mutants, run the tests against each, and say which survive that are not argued for; 1 if any does."""
    _furnish()
    environment = {
        **os.environ,
        "NUMBA_DISABLE_JIT": "1",
        "RECORDINGS": str(FOLDER / "recordings.npz"),
        # Threads of one's own would not survive a fork.
        "OPENBLAS_NUM_THREADS": "1",
    }
    subprocess.run([Path(sys.executable).with_name("mutmut"), "run"], cwd=FOLDER, env=environment, check=True)
    mutants = [*_mutants()]
    survivors = [mutant for mutant in mutants if not mutant.is_killed]
    argued = {mutant for mutants_of_a_kind in EQUIVALENT.values() for mutant in mutants_of_a_kind}
    unargued = [one for one in survivors if (one.function, one.was, one.becomes) not in argued]
    for mutant in unargued:
        print(f"{mutant.name} survives ({mutant.exit_code}):\n-{mutant.was}\n+{mutant.becomes}")
    for gone in argued - {(one.function, one.was, one.becomes) for one in survivors}:
        print(f"Not among the survivors, so take it out of EQUIVALENT: {gone}")
    print(
        f"{len(mutants):,} mutants: {len(mutants) - len(survivors):,} killed,"
        f" {len(survivors) - len(unargued):,} equivalent, {len(unargued):,} survive."
    )
    return 1 if unargued or not mutants else 0


def _furnish() -> None:
    """A project of the kernel without its decorators, and its tests."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name in ("pipelines/__init__.py", "tests/tables.py", *TESTS):
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, FOLDER / name)
    (FOLDER / MODULE).write_text(_undecorated((ROOT / MODULE).read_text(encoding="utf-8")), encoding="utf-8")
    (FOLDER / "pyproject.toml").write_text(CONFIGURATION, encoding="utf-8")
    print(f"{recordings.record(FOLDER / 'recordings.npz'):,} random ledgers, as the oracle replays them.", flush=True)


def _undecorated(source: str) -> str:
    """The module without decorators, and without the functions that make them: those change no number."""
    lines = source.splitlines(keepends=True)
    decorated = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    decorators = [one for node in decorated for one in node.decorator_list]
    names = {one.func.id if isinstance(one, ast.Call) else one.id for one in decorators}  # type: ignore[attr-defined]
    parts: list[ast.expr | ast.FunctionDef] = [*decorators, *(node for node in decorated if node.name in names)]
    for part in parts:
        for number in range(part.lineno, (part.end_lineno or part.lineno) + 1):
            lines[number - 1] = "\n"
    return "".join(lines)


def _mutants() -> Iterator[Mutant]:
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    told = json.loads((FOLDER / "mutants" / f"{MODULE}.meta").read_text(encoding="utf-8"))
    here = Path.cwd()
    os.chdir(FOLDER)
    try:
        for name, exit_code in told["exit_code_by_key"].items():
            diff = [] if exit_code in KILLED else get_diff_for_mutant(name).splitlines()
            yield Mutant(name, exit_code, _lines(diff, "-"), _lines(diff, "+"))
    finally:
        os.chdir(here)


def _lines(diff: Sequence[str], sign: str) -> str:
    return "\n".join(line[1:].strip() for line in diff if line.startswith(sign) and not line.startswith(sign * 3))


if __name__ == "__main__":
    sys.exit(main())
