"""One merchant's trouble is its own: who is held back in a run, and why, while the others go on.

A run works on all merchants of a shard at once, since that is fast. Where that fails, it works on each alone, and only
those whose own work fails are held back for the rest of the run. What the work is does not belong here.
"""

import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from pipelines import database, faults, stopping
from pipelines.errors import ForPeopleError
from pipelines.promises import BrokenPromiseError
from pipelines.shards import Shard
from pipelines.stopping import StoppedError

T = TypeVar("T")


@dataclass
class HeldBack:
    """The merchants that a run has given up on, each with its problem. `log` gets the traceback of a defect."""

    log: Callable[[str], object]
    problems: dict[str, Exception] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.problems)

    def __contains__(self, merchant_id: object) -> bool:
        return merchant_id in self.problems

    def is_defect(self, merchant_id: str) -> bool:
        """Whether it is the software's fault: not settings, a period or the machine, which are put right elsewhere."""
        problem = self.problems[merchant_id]
        return isinstance(problem, BrokenPromiseError) or (
            not isinstance(problem, ForPeopleError) and faults.told(problem) is None
        )

    def why(self, merchant_id: str) -> str:
        """In words for people."""
        problem = self.problems[merchant_id]
        if isinstance(problem, ForPeopleError):
            return str(problem)
        return faults.told(problem) or f"{type(problem).__name__}: {problem} (a defect: please report it)"

    @contextmanager
    def by(self, *merchant_ids: str) -> Iterator[None]:
        """Whatever goes wrong in here holds these merchants back, and nobody else."""
        try:
            yield
        except StoppedError:
            raise
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is not the other merchants'
            stopping.heard(problem)
            self._hold_back(merchant_ids, problem)

    def together_or_apart(self, shard: Shard, work: Callable[[Shard], T]) -> list[T]:
        """What `work` gives for all merchants of the shard at once; where that fails, for each that it does not fail
        for. It must leave nothing behind where it fails: a transaction.
        """
        try:
            return [work(shard)]
        except StoppedError:
            raise
        except Exception as problem:  # noqa: BLE001 - whose it is, is found out below
            stopping.heard(problem)
            if len(shard.merchants) > 1:
                return self.each(shard, work)
            self._hold_back(shard.merchants, problem)
            return []

    def each(self, shard: Shard, work: Callable[[Shard], T]) -> list[T]:
        """What `work` gives for each merchant of the shard alone, but for those that it fails for."""
        done = []
        for merchant_id, merchant in shard.merchants.items():
            with self.by(merchant_id):
                try:
                    done.append(work(replace(shard, merchants={merchant_id: merchant})))
                except Exception:
                    # What a reading that failed has left: the next one makes tables where there may be views.
                    database.drop(shard.connection, "staging")
                    raise
        return done

    def _hold_back(self, merchant_ids: Iterable[str], problem: Exception) -> None:
        if not isinstance(problem, ForPeopleError) and faults.told(problem) is None:
            self.log("".join(traceback.format_exception(problem)))
        self.problems |= dict.fromkeys(merchant_ids, problem)

    def told(self, going_on: int) -> str:
        """Who is held back and why, for whoever has to see to it. `going_on` merchants are not."""
        reasons = {merchant_id: self.why(merchant_id) for merchant_id in self.problems}
        if not going_on and len(set(reasons.values())) == 1:
            return next(iter(reasons.values()))
        others = f"; the other {going_on} went on as usual" if going_on else ""
        named = "\n".join(
            why if why.startswith(merchant_id) else f"{merchant_id}: {why}" for merchant_id, why in reasons.items()
        )
        return f"Held back: {', '.join(reasons)}{others}.\n{named}"
