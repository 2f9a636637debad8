"""The throw-away PostgreSQL that other tests rely on."""

import psycopg
import pytest


def test_each_test_has_an_empty_database(postgres_server: str, postgres_url: str) -> None:
    tables = "select count(*) from pg_tables where schemaname = 'public'"
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute(tables).fetchone() == (0,)
        connection.execute("create table seen (x int)")
    with psycopg.connect(postgres_server) as connection:
        assert connection.execute(tables).fetchone() == (0,)


def test_the_server_asks_for_its_password(postgres_server: str) -> None:
    account, _, place = postgres_server.rpartition("@")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"{account.rpartition(':')[0]}:wrong@{place}")
