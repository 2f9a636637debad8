"""A table or a query of PostgreSQL as a delivered file: copied row by row, in bounded memory.

The rows are copied as CSV by a transaction that can only read, with their types beside them. What
is bound (`{date}`, `{channel}`) goes in as a value of the session, never as text of the query.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance_pipeline.adapters.variables import USER, filled, hidden
from governance_pipeline.errors import SourceError

if TYPE_CHECKING:
    import psycopg

BOUND = {
    "{date}": "(current_setting('governance.date')::date)",
    "{channel}": "(current_setting('governance.channel'))",
}
SESSION = (
    "-c default_transaction_read_only=on -c timezone=UTC -c datestyle=ISO -c intervalstyle=iso_8601"
    " -c bytea_output=hex -c client_encoding=UTF8"
)
# By the name of PostgreSQL's type; any other is kept as the text that PostgreSQL writes.
TYPES = {
    "bool": "boolean", "int2": "smallint", "int4": "integer", "int8": "bigint", "float4": "float",
    "float8": "double", "date": "date", "timestamp": "timestamp", "timestamptz": "timestamptz",
    "time": "time", "uuid": "uuid",
}  # fmt: skip
SECONDS_TO_CONNECT = 30
DIGEST_SPACE = 2**256


@dataclass(frozen=True)
class Extracted:
    """What was copied: rows, a fingerprint of them whatever their order, and DuckDB's types."""

    rows: int
    sha256: str
    types: tuple[str, ...]


@dataclass(frozen=True)
class Extract:
    """The rows that a source's query or table has for one channel, and for one day if it asks."""

    database: str
    query: str | None
    table: str | None
    channel: str
    day: dt.date | None

    @property
    def name(self) -> str:
        """What the ledger calls it; it has no account and no password in it."""
        return f"{USER.sub('', self.database)}/{self.table or 'query'}"

    def fetch(self, target: Path) -> Extracted:
        """Copy the rows into a CSV file.

        Raises:
            SourceError: If the database cannot be reached or does not accept the query.
        """
        import psycopg

        try:
            with self._connection() as connection:
                return self._copy(connection, target)
        except psycopg.Error as error:
            said = hidden(error, [self.database])[:200]
            raise SourceError(f"{self.name} cannot be read ({said})") from error

    @contextmanager
    def _connection(self) -> Iterator["psycopg.Connection[Any]"]:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        url = filled(self.database)
        scheme, _, rest = url.partition("://")
        if scheme.partition("+")[0] not in ("postgresql", "postgres"):
            raise SourceError(
                f"{self.name} is no PostgreSQL; give an address such as postgresql://host/database"
            )
        try:
            told: dict[str, Any] = dict(conninfo_to_dict(f"postgresql://{rest}"))
        except psycopg.ProgrammingError:  # its message repeats the address, password and all
            raise SourceError(
                f"{self.name} has an address that cannot be read; write it as"
                " postgresql://user:password@host:port/database"
            ) from None
        options = f"{told.pop('options', '') or ''} {SESSION}".strip()
        told = {"connect_timeout": SECONDS_TO_CONNECT, **told}
        with psycopg.connect(**told, options=options) as connection:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield connection

    def _copy(self, connection: "psycopg.Connection[Any]", target: Path) -> Extracted:
        from psycopg import sql

        day = self.day.isoformat() if self.day else ""
        connection.execute(
            "select set_config('governance.date', %s, true),"
            " set_config('governance.channel', %s, true)",
            (day, self.channel),
        )
        if self.table:
            query = sql.SQL("select * from {}").format(sql.Identifier(*self.table.split(".")))
            rows = query.as_bytes(connection)
        else:
            assert self.query is not None
            rows = self.query.strip().rstrip(";").encode()
        for name, bound in BOUND.items():
            rows = rows.replace(name.encode(), bound.encode())
        shape = connection.execute(b"select * from (" + rows + b"\n) as source limit 0")
        types = tuple(_duckdb_type(connection, column) for column in shape.description or ())
        copied = b"copy (" + rows + b"\n) to stdout (format csv, header true)"
        count, total, header = -1, 0, b""
        with (
            connection.cursor() as cursor,
            cursor.copy(copied) as copying,
            target.open("wb", buffering=1 << 20) as file,
        ):
            for row in copying:  # one message a row
                count += 1
                header = header or bytes(row)
                # A sum, because PostgreSQL promises no order: the same rows are the same delivery.
                total += int.from_bytes(hashlib.sha256(row).digest(), "big") if count else 0
                file.write(row)
        said = header + f"{count} {total % DIGEST_SPACE} {types}".encode()
        return Extracted(count, hashlib.sha256(said).hexdigest(), types)


def _duckdb_type(connection: "psycopg.Connection[Any]", column: Any) -> str:
    known = connection.adapters.types.get(column.type_code)
    # An array is listed under the type of its elements; it is kept as its text.
    name = known.name if known and known.oid == column.type_code else ""
    if name == "numeric" and column.precision and column.precision <= 38:
        return f"decimal({column.precision},{column.scale or 0})"
    return TYPES.get(name, "varchar")
