"""Dagster's SQLite event log with one engine per shard instead of one per event.

The stock storage builds a SQLAlchemy engine for every event it writes, which is two thirds of what
a partitioned run costs. `_connect` is a private name of Dagster: where it has another shape, or
where a shard is not yet set up, the stock behaviour is used. Named in `dagster.yaml`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine

_SHARDS_KEPT = 8


class CachedSqliteEventLogStorage(SqliteEventLogStorage):
    """The stock event log, keeping the engines of the shards it wrote to last."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._engines: dict[str, Engine] = {}
        self._columns_seen: set[str] = set()
        super().__init__(*args, **kwargs)

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData | None, config_value: dict[str, Any]
    ) -> "CachedSqliteEventLogStorage":
        """Make the storage below the folder that `dagster.yaml` names, Dagster's home.

        The stock method names its own class, so a subclass has to say this itself.
        """
        events = Path(config_value["base_dir"]) / "history" / "runs"
        return cls(inst_data=inst_data, base_dir=str(events))

    def _connect(self, shard: str) -> Any:
        if shard not in getattr(self, "_initialized_dbs", ()):
            return super()._connect(shard)
        return self._connect_cached(shard)

    @contextmanager
    def _connect_cached(self, shard: str) -> Iterator[Connection]:
        with self._db_lock, self._engine(shard).connect() as connection, connection.begin():
            yield connection

    def _engine(self, shard: str) -> Engine:
        if shard not in self._engines:
            while len(self._engines) >= _SHARDS_KEPT:
                self._engines.pop(next(iter(self._engines))).dispose()
            self._engines[shard] = _engine(self.conn_string_for_shard(shard))
        return self._engines[shard]

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        # Asked for every event; a column that was there once stays there.
        if column_name not in self._columns_seen:
            if not super()._has_asset_key_col_on_connection(conn, column_name):
                return False
            self._columns_seen.add(column_name)
        return True

    def dispose(self) -> None:
        """Close the kept engines, then whatever the stock storage holds."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        super().dispose()


def _engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})

    @event.listens_for(engine, "connect")
    def _commit_without_waiting_for_the_disk(connection: Any, _record: Any) -> None:
        # WAL with NORMAL survives a crash of the process; a power cut may lose the last events.
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine
