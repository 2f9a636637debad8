"""A real PostgreSQL for the tests, gone with them: fixtures `postgres_server`, `postgres_url`."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

ACCOUNT = "governance"
SECONDS_TO_START = 60
MISSING = "PostgreSQL is not here and could not be installed; Debian's package is `postgresql`"
FAST = ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"]


def programs() -> Path | None:
    """Return the folder of the newest `initdb` and `postgres` of this machine, or None."""
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    found = [folder for folder in folders if (folder / "initdb").exists()]
    return max(found, key=lambda folder: float(folder.parent.name), default=None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of the first database of a cluster of its own, with its password, on loopback."""
    where = programs()
    if where is None:
        pytest.skip(MISSING)
    with cluster(where) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database of its own, dropped afterwards."""
    name = f"t{secrets.token_hex(6)}"
    statements = ("create database {}", "drop database {} with (force)")
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        create, drop = (sql.SQL(s).format(sql.Identifier(name)) for s in statements)
        connection.execute(create)
        yield f"{postgres_server.rpartition('/')[0]}/{name}"
        connection.execute(drop)


@pytest.fixture(scope="module")
def postgres_store_url(postgres_server: str) -> str:
    """The URL of a database of a module's tests; each of them empties it first."""
    name = f"m{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return f"{postgres_server.rpartition('/')[0]}/{name}"


@contextmanager
def cluster(where: Path) -> Iterator[str]:
    """Make and start a cluster by the programs in a folder, and leave nothing of it behind."""
    folder = Path(tempfile.mkdtemp(prefix="governance-postgres-"))
    password, port = secrets.token_hex(8), _free_port()
    (folder / "password").write_text(password)
    as_user = ["setpriv", "--pdeathsig", "INT"]  # the server ends with the tests, however they end
    if os.geteuid() == 0:  # it refuses to run as root
        user = _unprivileged()
        as_user += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        for path in (folder, folder / "password"):
            os.chown(path, user.pw_uid, user.pw_gid)
    data = folder / "data"
    try:
        subprocess.run(
            [*as_user, where / "initdb", "--pgdata", data, "--username", ACCOUNT,
             "--pwfile", folder / "password", "--auth", "scram-sha-256", "--encoding", "UTF8",
             "--locale", "C.UTF-8", "--no-sync"],
            check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [*as_user, where / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1",
                 "-k", folder, *FAST],
                stdout=log, stderr=log, cwd=folder,
            )  # fmt: skip
        try:
            url = f"postgresql://{ACCOUNT}:{password}@127.0.0.1:{port}/postgres"
            _wait_until_it_answers(url, server, folder / "log")
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # a TERM would wait for clients to go
            server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_it_answers(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.05)


def _unprivileged() -> pwd.struct_passwd:
    known = {user.pw_name: user for user in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
