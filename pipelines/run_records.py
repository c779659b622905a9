"""Where Dagster keeps its records of runs: its own SQLite storage, over connections that stay open.

Dagster opens a connection for every statement, some 1,300 in a report. Closing the last one to a file makes SQLite
write its journal back and wait for the disk, which took longer than the work in between. Nothing else is different:
the files, their tables and their places are Dagster's. What a home's dagster.yaml names is `RunRecords`.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dagster._core.scheduler.instigation import InstigatorState, SensorInstigatorData
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from dagster._serdes import ConfigurableClassData
from dagster._time import get_current_timestamp
from sqlalchemy import Connection, Engine, create_engine, event

# A run has a file of its own, and a process that watches runs reads many of them.
FILES_KEPT_OPEN = 8


def engine(connection_string: str) -> Engine:
    """An engine whose connections stay open, and wait for others' writing as long as Dagster's do."""
    made = create_engine(connection_string, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})
    event.listen(made, "connect", _write_without_waiting)
    return made


def _write_without_waiting(connection: Any, _record: object) -> None:
    """Each commit is the system's to keep, not yet the disk's: a power cut may cost records of runs, never a ledger."""
    connection.execute("pragma synchronous = normal")


class EventRecords(SqliteEventLogStorage):
    """What happened in each run: a file a run, and an index over all."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            if shard not in self._engines:
                self._engines[shard] = engine(self.conn_string_for_shard(shard))
                self._initdb(self._engines[shard])
                self._initialized_dbs.add(shard)
            for kept in (shard, INDEX_SHARD_NAME):
                if kept in self._engines:
                    self._engines.move_to_end(kept)
            while len(self._engines) > FILES_KEPT_OPEN:
                self._engines.popitem(last=False)[1].dispose()
            with self._engines[shard].begin() as connection:
                yield connection

    def has_table(self, table_name: str) -> bool:
        """Asked anew for every check that is recorded; a table that is there stays."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def dispose(self) -> None:
        """Close what is open."""
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()
        super().dispose()


class RunList(SqliteRunStorage):
    """Which runs there are."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engine = engine(conn_string)
        super().__init__(conn_string, inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection, in a transaction of its own."""
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close what is open."""
        self._engine.dispose()
        super().dispose()


class Looks(SqliteScheduleStorage):
    """When sensors last looked; of a time that has not come, as where a clock was ahead and is set back, nothing.

    Dagster lets a sensor rest for its interval from then on: nobody would watch for as long as the clock was ahead.
    """

    def all_instigator_state(self, *asked: Any, **more: Any) -> Sequence[InstigatorState]:
        """Of every sensor and schedule."""
        return [_until_now(state) for state in super().all_instigator_state(*asked, **more)]

    def get_instigator_state(self, origin_id: str, selector_id: str) -> InstigatorState | None:
        """Of one."""
        state = super().get_instigator_state(origin_id, selector_id)
        return state and _until_now(state)


def _until_now(state: InstigatorState) -> InstigatorState:
    told, now = state.instigator_data, get_current_timestamp()
    if not isinstance(told, SensorInstigatorData):
        return state
    looks = ("last_tick_timestamp", "last_tick_start_timestamp")
    ahead = {name: None for name in looks if (getattr(told, name) or now) > now}
    return state.with_data(told._replace(**ahead)) if ahead else state


class RunRecords(DagsterSqliteStorage):
    """Dagster's SQLite storage in a home's .dagster folder."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self.base_dir = base_dir
        self._run_storage = RunList.from_local(_runs_directory(base_dir))
        self._event_log_storage = EventRecords(_event_logs_directory(base_dir))
        self._schedule_storage = Looks.from_local(_schedule_directory(base_dir))
        self._inst_data = inst_data
        # Not that of the storage which this one stands for: it would open the same files once more.
        super(DagsterSqliteStorage, self).__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "RunRecords":
        """What Dagster calls with what dagster.yaml says."""
        return cls.from_local(inst_data=inst_data, **config_value)
