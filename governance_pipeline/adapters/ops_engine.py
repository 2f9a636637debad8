"""Reaching the escalations' store: SQLite in the home, or PostgreSQL by its URL."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from governance_pipeline.adapters.ops_schema import HEAD
from governance_pipeline.errors import StoreError

MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"
WAIT_SECONDS = 15


def open_engine(url: str) -> Engine:
    """Return an engine on a store that has the newest shape.

    Raises:
        StoreError: If it cannot be reached or was made by a newer version of the program.
    """
    address = _address(url)
    if address.get_backend_name() == "sqlite" and address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    arguments: dict[str, Any] = (
        {"timeout": WAIT_SECONDS}
        if address.get_backend_name() == "sqlite"
        else {"connect_timeout": WAIT_SECONDS}
    )
    engine = sa.create_engine(address, connect_args=arguments)
    if address.get_backend_name() == "sqlite":
        _prepare_sqlite(engine)
    try:
        _migrate(engine)
    except StoreError:
        engine.dispose()
        raise
    except DBAPIError as error:
        engine.dispose()
        said = str(error.orig).strip().splitlines()[0]
        raise StoreError(
            f"the escalations' store {address.render_as_string()} cannot be used: {said}; "
            "see GOVERNANCE_OPS_URL, PGPASSWORD and the server"
        ) from error
    return engine


def _address(url: str) -> URL:
    try:
        address = make_url(url)
        if address.get_backend_name() not in ("sqlite", "postgresql"):
            raise ArgumentError("unknown")
    except (ArgumentError, NoSuchModuleError):
        raise StoreError(
            "GOVERNANCE_OPS_URL is no address of a store; write sqlite:///path/ops.db or "
            "postgresql://user@host/database"
        ) from None
    if address.drivername == "postgresql":
        return address.set(drivername="postgresql+psycopg")
    return address


def _prepare_sqlite(engine: Engine) -> None:
    """Let readers go on while one writes, and let a transaction begin when it says so."""

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver would begin by itself, and too late
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")

    @sa.event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        is_writing = connection.get_execution_options().get("is_writing", False)
        connection.exec_driver_sql("begin immediate" if is_writing else "begin")


def _migrate(engine: Engine) -> None:
    with engine.connect() as connection:
        if _version(connection) == HEAD:
            return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    with engine.connect().execution_options(is_writing=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":  # two may open a new store at once
            connection.execute(sa.text("select pg_advisory_xact_lock(7426001)"))
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(
                f"the escalations' store is of version {_version(connection)}, made by a newer "
                "program; use that one"
            ) from error


def _version(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("select version_num from alembic_version")).scalar()
