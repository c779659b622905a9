"""What a run works with: the home, the merchants asked for, and their shards, locked and open for the whole run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import duckdb
from pydantic import Field, PrivateAttr

from pipelines import faults, ingest, landing, liveness, periods, replay, shards, stopping
from pipelines.errors import ForPeopleError
from pipelines.isolation import HeldBack
from pipelines.periods import Period, PeriodError
from pipelines.publish import Publication
from pipelines.settings import Home, Merchant, SettingsError, choose_merchants, find_home, see_that_texts_are_kept
from pipelines.shards import LedgerUnavailableError, Say, Shard
from pipelines.stopping import StoppedError


@dataclass(frozen=True)
class Voice:
    """How a run speaks: `say` for what stays to be read, `doing` for what is under way just now."""

    say: Say
    doing: Say = lambda _what: None


voice: ContextVar[Voice | None] = ContextVar("voice", default=None)


@dataclass
class Session:
    """One run: its shards, and what it does to them."""

    home: Home
    merchants: Mapping[str, Merchant]
    opened: Sequence[Shard]
    held_back: HeldBack
    as_of: str | None
    retry_rejected: bool
    settled_seconds: float
    restate: bool
    now: datetime
    run_id: str
    voice: Voice
    periods: dict[str, list[Period]] = field(default_factory=dict)
    # What each shard has been asked for last.
    _asked: dict[str, list[Period]] = field(default_factory=dict)
    # The shards whose files this run has taken.
    taken: set[str] = field(default_factory=set)
    # The tables that this run has built, the facts among them: what else is there may be of another day.
    built: set[str] = field(default_factory=set)
    # What was seen when files were taken: what in landing/ was left alone, and why; a timezone that has changed since.
    warnings: list[str] = field(default_factory=list)
    publications: list[Publication] = field(default_factory=list)
    # Why workbooks were not published though nothing failed: their merchants block on errors.
    blocked: list[str] = field(default_factory=list)

    @property
    def shards(self) -> list[Shard]:
        """The shards, with those of their merchants that nothing has held back yet."""
        remaining = [
            replace(shard, merchants={m.id: m for m in shard.merchants.values() if m.id not in self.held_back})
            for shard in self.opened
        ]
        return [shard for shard in remaining if shard.merchants]

    def stop_if_nobody_is_left(self) -> None:
        """Where every merchant is held back, the run ends here. Raises Failure."""
        if not self.shards:
            self.end()

    def end(self) -> None:
        """At the end of a run: it has failed where a merchant is held back, whatever has become of the others."""
        if self.held_back:
            going_on = sum(len(shard.merchants) for shard in self.shards)
            problems = self.held_back.problems
            told = {
                "held_back": dg.MetadataValue.json(
                    {merchant_id: self.held_back.why(merchant_id) for merchant_id in problems}
                )
            }
            # Dates that cannot be reported: whoever asked for them knows by now, and nobody else has to.
            mistake = {"mistake": True} if all(isinstance(one, PeriodError) for one in problems.values()) else {}
            raise dg.Failure(
                description=self.held_back.told(going_on), metadata={**told, **mistake}, allow_retries=False
            )

    def say(self, message: str) -> None:
        """Say what stays to be read."""
        self.voice.say(message)

    def doing(self, what: str) -> None:
        """Say what is under way just now."""
        self.voice.doing(what)

    def months(self, context: dg.AssetExecutionContext) -> None:
        """Make the months of the run's partitions the periods that reports are built for. Raises PeriodError."""
        is_of_months = context.has_partition_key or context.has_partition_key_range
        days = [date.fromisoformat(key) for key in context.partition_keys] if is_of_months else []
        if not days:
            # Dagster runs what has partitions without one, too, and takes a range that is the wrong way round for none.
            raise PeriodError(
                "This run is of no month. Choose the partitions that are to be reported, the first not after the last."
            )
        self.tell(lambda merchant: [periods.month_of(merchant, day, now=self.now, as_of=self.as_of) for day in days])

    def tell(self, periods_of: Callable[[Merchant], list[Period]]) -> None:
        """Make what `periods_of` gives for each merchant the periods that reports are built for."""
        told: dict[str, list[Period]] = {}
        for merchant in self.merchants.values():
            if merchant.id not in self.held_back:
                with self.held_back.by(merchant.id):
                    told[merchant.id] = periods_of(merchant)
        self.stop_if_nobody_is_left()
        self.periods = {
            shard.name: [period for merchant_id in shard.merchants for period in told[merchant_id]]
            for shard in self.shards
        }

    def bring_in(self) -> None:
        """Take what is new in landing/, where no step of this run has.

        A run that goes on from where another failed leaves out the step that takes files: of a merchant who was held
        back then, nobody has taken them.
        """
        for shard in self.shards:
            if shard.name not in self.taken:
                self.ingest_shard(shard)
        self.stop_if_nobody_is_left()

    def ingest_shard(self, shard: Shard) -> list[ingest.IngestResult]:
        """Take what is new in landing/ for each merchant of a shard, as the run is configured; keep its warnings."""
        self.doing("Reading files")
        self.taken.add(shard.name)
        results = self.held_back.each(
            shard,
            lambda alone: ingest.ingest(alone, retry=self.retry_rejected, settled_s=self.settled_seconds, say=self.say),
        )
        for result in results:
            self.warnings += result.warnings
        return results

    def replay_shard(self, shard: Shard) -> list[replay.ReplayResult]:
        """Bring the facts of a shard up to its entries; a merchant with whom that goes wrong is held back."""
        return self.held_back.together_or_apart(
            shard, lambda some: replay.replay(some.connection, some.merchants, restate=self.restate)
        )

    def ask(self, shard: Shard, some: list[Period]) -> None:
        """Have the shard's queries be about these periods; mostly they are already, table after table.

        Only after the ingest: what was first published of each month is told with them, and a journal may bring it.
        """
        if self._asked.get(shard.name) != some:
            periods.tell(shard.connection, some)
            self._asked[shard.name] = some

    def periods_of(self, shard: Shard) -> list[Period]:
        """The periods of those of its merchants that nothing has held back."""
        return [period for period in self.periods[shard.name] if period.merchant.id in shard.merchants]


class Rollforward(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Which merchants a run is about, as of when, and how long it waits for their ledgers."""

    home: str = Field(default="", description="The home folder. Blank: $ROLLFORWARD_HOME, else ./data.")
    merchants: list[str] = Field(default_factory=list, description="Merchant ids. None: all of merchants.toml.")
    as_of: str = Field(
        default="",
        description="State remaining amounts as of this time (2026-06-30 or 2026-06-30T13:45:00Z). Blank: each month's"
        " end, or now for a month that has not ended.",
    )
    wait_seconds: float = Field(default=600.0, description="How long to wait for a ledger that another run is using.")
    retry_rejected: bool = Field(default=False, description="Read the rows that were set aside again.")
    settled_seconds: float = Field(
        default=0.0,
        description="Leave a file in landing/ alone until it has been unchanged for so long: somebody may still be"
        f" copying it. Runs that nobody starts by hand say {landing.SETTLED_S:.0f}.",
    )
    restate: bool = Field(
        default=False,
        description="Settings that would change what published months say (draw order, refund grace days, timezone,"
        " units) are refused unless this is true. The months that you then report become new versions.",
    )
    _session: Session = PrivateAttr()

    @property
    def session(self) -> Session:
        """The run's session."""
        return self._session

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Rollforward"]:
        """Hold the shards of the merchants asked for until the run ends."""
        speaks = voice.get() or _until_canceled(context, context.log.info if context.log else print)
        with for_people(), ExitStack() as stack:
            see_that_texts_are_kept()
            home = find_home(self.home or None)
            if context.run and context.instance:
                liveness.hold(home, context.run.run_id)
                liveness.reap(context.instance, home, speaks.say)
            chosen, wrong, held_back, opened = self._opened(home, context, speaks, stack)
            self._session = Session(
                home=home,
                merchants=chosen,
                opened=opened,
                held_back=held_back,
                as_of=self.as_of or None,
                retry_rejected=self.retry_rejected,
                settled_seconds=self.settled_seconds,
                restate=self.restate,
                now=datetime.now(UTC),
                run_id=context.run.run_id if context.run else "",
                voice=speaks,
                warnings=[] if self.merchants else landing.undeclared_merchants(home, {*chosen, *wrong}),
            )
            yield self

    def _opened(
        self, home: Home, context: dg.InitResourceContext, speaks: Voice, stack: ExitStack
    ) -> tuple[Mapping[str, Merchant], Mapping[str, str], HeldBack, list[Shard]]:
        """The merchants asked for, whose settings are wrong, whom that holds back, and the shards of the others.

        They are opened with the settings that hold now; a shard that cannot be opened holds back its own merchants.
        Raises LedgerUnavailableError where that is all of them.
        """
        who = f"run {context.run.run_id[:8]} ({context.run.job_name})" if context.run else ""
        while True:
            chosen, wrong = choose_merchants(home, self.merchants)
            held_back = HeldBack(
                context.log.error if context.log else print, {m: SettingsError(why) for m, why in wrong.items()}
            )
            opening = ExitStack()
            with opening:
                opened = []
                for name, merchants in shards.by_shard(chosen).items():
                    with held_back.by(*merchants):
                        shard = shards.open_shard(
                            home, name, merchants, wait_s=self.wait_seconds, say=speaks.say, who=who
                        )
                        opened.append(opening.enter_context(shard))
                if not opened:
                    raise LedgerUnavailableError(held_back.told(0))
                # Someone may have edited the settings while this run waited for another.
                if choose_merchants(home, self.merchants) == (chosen, wrong):
                    stack.push(opening.pop_all())
                    return chosen, wrong, held_back, opened
            speaks.say("merchants.toml has changed while this run waited: reading it again.")


def _until_canceled(context: dg.InitResourceContext, said: Say) -> Voice:
    """A voice that ends a run which is to be terminated, between two steps.

    Dagster's signal does, but not where Python or DuckDB swallow what it raises: in a callback, in a constant.
    """

    def say(message: str) -> None:
        said(message)
        doing(message)

    def doing(_what: str) -> None:
        run = context.instance.get_run_by_id(context.run.run_id) if context.run and context.instance else None
        if run and run.status == dg.DagsterRunStatus.CANCELING:
            raise dg.DagsterExecutionInterruptedError

    return Voice(say, doing)


def unwatched(**config: Any) -> dict[str, Any]:
    """The configuration of runs that nobody starts by hand: nobody has seen that the files in landing/ are whole."""
    return {"resources": {"rollforward": {"config": {"settled_seconds": landing.SETTLED_S, **config}}}}


def is_last(context: dg.AssetExecutionContext) -> bool:
    """Whether nothing else of the run depends on this step's assets."""
    layer = context.job_def.asset_layer
    mine = context.assets_def.keys
    depending = {child for key in mine for child in layer.asset_graph.get(key).child_keys} - mine
    return not depending & set(layer.executable_asset_keys)


@contextmanager
def for_people() -> Iterator[None]:
    """Turn a problem that is meant for people into a failure that shows its text and no traceback."""
    try:
        yield
    except ForPeopleError as problem:
        # Who stops a run, or asks for no month, knows by now, and nobody else has to.
        known = {"mistake": True} if isinstance(problem, StoppedError | PeriodError) else {}
        raise dg.Failure(description=str(problem), metadata=known, allow_retries=False) from None
    except (OSError, duckdb.Error) as problem:
        stopping.heard(problem)
        if (text := faults.told(problem)) is None:
            raise
        raise dg.Failure(description=text, allow_retries=False) from None
    except RuntimeError as problem:
        stopping.heard(problem)
        raise
