"""What a run works with: the home, the merchants asked for, and their shards, locked and open for the whole run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import dagster as dg
from pydantic import Field, PrivateAttr

from pipelines import ingest, periods, shards
from pipelines.periods import Period
from pipelines.promises import BrokenPromiseError
from pipelines.publish import PublishError
from pipelines.settings import Home, Merchant, SettingsError, find_home, read_merchants, select_merchants
from pipelines.shards import LedgerUnavailableError, Say, Shard

# Problems whose text is meant for the person at the screen; anything else is a defect and keeps its traceback.
FOR_PEOPLE = (SettingsError, LedgerUnavailableError, periods.PeriodError, BrokenPromiseError, PublishError)


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
    shards: Sequence[Shard]
    as_of: str | None
    retry_rejected: bool
    now: datetime
    run_id: str
    voice: Voice
    undeclared: Sequence[str] = field(default_factory=tuple)
    periods: dict[str, list[Period]] = field(default_factory=dict)

    def say(self, message: str) -> None:
        """Say what stays to be read."""
        self.voice.say(message)

    def doing(self, what: str) -> None:
        """Say what is under way just now."""
        self.voice.doing(what)

    def months(self, keys: Sequence[str]) -> None:
        """Make the months of these partition keys the periods that reports are built for."""
        days = [date.fromisoformat(key) for key in keys]
        self.tell(lambda merchant: [periods.month_of(merchant, day, now=self.now, as_of=self.as_of) for day in days])

    def tell(self, periods_of: Callable[[Merchant], list[Period]]) -> None:
        """Make what `periods_of` gives for each merchant the periods that reports are built for."""
        self.periods = {
            shard.name: [period for merchant in shard.merchants.values() for period in periods_of(merchant)]
            for shard in self.shards
        }
        for shard in self.shards:
            periods.tell(shard.connection, self.periods[shard.name])


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
    _session: Session = PrivateAttr()

    @property
    def session(self) -> Session:
        """The run's session."""
        return self._session

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Rollforward"]:
        """Hold the shards of the merchants asked for until the run ends."""
        speaks = voice.get() or Voice(context.log.info if context.log else print)
        with for_people(), ExitStack() as stack:
            home = find_home(self.home or None)
            declared = read_merchants(home)
            chosen = select_merchants(declared, self.merchants)
            opened = [
                stack.enter_context(shards.open_shard(home, name, merchants, wait_s=self.wait_seconds, say=speaks.say))
                for name, merchants in shards.by_shard(chosen).items()
            ]
            self._session = Session(
                home=home,
                merchants=chosen,
                shards=opened,
                as_of=self.as_of or None,
                retry_rejected=self.retry_rejected,
                now=datetime.now(UTC),
                run_id=context.run.run_id if context.run else "",
                voice=speaks,
                undeclared=[] if self.merchants else ingest.undeclared_merchants(home, set(declared)),
            )
            yield self


@contextmanager
def for_people() -> Iterator[None]:
    """Turn a problem that is meant for people into a failure that shows its text and no traceback."""
    try:
        yield
    except FOR_PEOPLE as problem:
        raise dg.Failure(description=str(problem), allow_retries=False) from None
