"""Deliveries at an address: listed, copied once, and known again by what cannot lie."""

import functools
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest
import zstandard
from pydantic import ValidationError

from governance_pipeline.adapters import places
from governance_pipeline.adapters.landing import Source
from governance_pipeline.errors import SourceError
from governance_pipeline.paths import Paths
from tests.integration.deliveries import (
    DAY,
    FORMS,
    as_csv,
    decision,
    make_home,
    only,
    rows_in,
    take_in,
)

NEXT = DAY.replace(day=2)
ALL_FORMS = FORMS | {
    "a.csv.zst": lambda rows: zstandard.compress(as_csv(rows)),
    "a.parquet.zst": lambda rows: zstandard.compress(FORMS["a.parquet"](rows)),
    "a.jsonl.zst": lambda rows: zstandard.compress(FORMS["a.jsonl"](rows)),
}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return make_home(tmp_path / "home")


class Server(ThreadingHTTPServer):
    """What a folder holds, by HTTP; `has_tags` gives strong ETags, `asked` keeps the requests."""

    has_tags = True
    status: int | None = None

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(SimpleHTTPRequestHandler):
    server: Server

    def send_head(self):  # type: ignore[no-untyped-def]
        self.server.asked.append(f"{self.command} {self.path}")
        if self.server.status:
            self.send_error(self.server.status)
            return None
        return super().send_head()

    def end_headers(self) -> None:
        file = Path(self.translate_path(self.path))
        if self.server.has_tags and file.is_file():
            self.send_header("ETag", f'"{hashlib.md5(file.read_bytes()).hexdigest()}"')
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "served"
    folder.mkdir()
    made = Server(folder)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def serve(tmp_path: Path, name: str, content: bytes) -> None:
    file = tmp_path / "served" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def remote(server: Server, name: str = "{channel}/{date}/*", **more: str) -> Source:
    return Source(feed="decisions", path=f"{server.address}/{name}", **more)


@pytest.mark.parametrize("name", ALL_FORMS)
def test_every_form_comes_from_a_store_as_from_a_folder(paths: Paths, name: str) -> None:
    rows = [decision(n) for n in range(1, 21)]
    rows[3]["score"] = 7
    content = ALL_FORMS[name](rows)
    where = f"memory:///bucket/{name}/shopads/dt=20260301/{name}"
    with fsspec.open(where, "wb") as file:
        file.write(content)
    source = Source(
        feed="decisions", path=f"memory://bucket/{name}/{{channel}}/dt={{date:%Y%m%d}}/*"
    )
    made = only(take_in(paths, [DAY, NEXT], sources=[source]))
    assert (made.rows_delivered, made.rows_accepted, made.rows_quarantined) == (20, 19, 1)
    assert made.sources[0].path == where
    assert made.sources[0].sha256 == hashlib.sha256(content).hexdigest()
    assert made.sources[0].version is None


def test_an_address_of_this_machine_is_a_path(paths: Paths, tmp_path: Path) -> None:
    file = tmp_path / "logs" / "shopads-2026-03-01.csv"
    file.parent.mkdir()
    file.write_bytes(as_csv([decision(n) for n in range(1, 21)]))
    source = Source(feed="decisions", path=f"file://{file.parent}/{{channel}}-{{date}}.csv")
    made = only(take_in(paths, sources=[source]))
    assert (made.rows_accepted, made.sources[0].path) == (20, str(file))


def test_a_relative_path_is_below_the_home(paths: Paths) -> None:
    file = paths.root / "logs" / "2026-03-01.csv"
    file.parent.mkdir()
    file.write_bytes(as_csv([decision(n) for n in range(1, 21)]))
    source = Source(feed="decisions", channel="shopads", path="logs/{date}.csv")
    assert only(take_in(paths, sources=[source])).sources[0].path == "logs/2026-03-01.csv"


def test_an_unchanged_file_is_not_fetched_again_where_its_server_vouches_for_it(
    paths: Paths, tmp_path: Path, server: Server
) -> None:
    rows = [decision(n) for n in range(1, 21)]
    serve(tmp_path, "shopads/2026-03-01/a.csv", as_csv(rows))
    first = only(take_in(paths, [DAY, NEXT], sources=[remote(server)]))
    assert (first.rows_accepted, first.restatements) == (20, 0)
    assert "GET /shopads/2026-03-01/a.csv" in server.asked

    server.asked.clear()
    assert only(take_in(paths, [DAY, NEXT], sources=[remote(server)])) == first
    assert "HEAD /shopads/2026-03-01/a.csv" in server.asked
    assert "GET /shopads/2026-03-01/a.csv" not in server.asked

    serve(tmp_path, "shopads/2026-03-01/a.csv", as_csv([*rows[:19], decision(20, score=0.5)]))
    again = only(take_in(paths, [DAY, NEXT], sources=[remote(server)]))
    assert (again.rows_accepted, again.restatements) == (20, 1)
    assert ("d20", 0.5) in rows_in(paths, "decisions", "decision_id, score")


def test_what_nobody_vouches_for_is_compared_by_its_bytes(
    paths: Paths, tmp_path: Path, server: Server
) -> None:
    server.has_tags = False
    serve(tmp_path, "shopads/2026-03-01/a.csv", as_csv([decision(n) for n in range(1, 21)]))
    first = only(take_in(paths, sources=[remote(server)]))
    assert first.sources[0].version is None
    server.asked.clear()
    assert only(take_in(paths, sources=[remote(server)])) == first
    assert "GET /shopads/2026-03-01/a.csv" in server.asked


def test_a_known_file_is_fetched_when_its_mapping_changed(
    paths: Paths, tmp_path: Path, server: Server
) -> None:
    serve(tmp_path, "shopads/2026-03-01/a.csv", as_csv([decision(n) for n in range(1, 21)]))
    take_in(paths, sources=[remote(server)])
    mapped = remote(server, mapping="select * replace ('0.25' as score) from source")
    assert only(take_in(paths, sources=[mapped])).restatements == 1
    assert set(rows_in(paths, "decisions", "score")) == {(0.25,)}


def test_a_day_that_is_not_there_was_not_delivered(paths: Paths, server: Server) -> None:
    assert take_in(paths, sources=[remote(server)]) == []
    assert take_in(paths, sources=[remote(server, "{channel}-{date}.csv")]) == []


@pytest.mark.parametrize("name", ["{channel}/{date}/*", "{channel}-{date}.csv"])
def test_a_server_that_fails_is_not_a_day_without_a_delivery(
    paths: Paths, server: Server, name: str
) -> None:
    server.status = 503
    with pytest.raises(SourceError, match=r"cannot be read .*503"):
        take_in(paths, sources=[remote(server, name)])
    server.shutdown()
    server.server_close()
    with pytest.raises(SourceError, match=r"cannot be read .*(Connect|connect)"):
        take_in(paths, sources=[remote(server, name)])


def test_a_missing_driver_is_one_sentence_with_its_remedy(paths: Paths) -> None:
    source = Source(feed="decisions", path="s3://bucket/{channel}/{date}/*.parquet")
    with pytest.raises(SourceError, match=r"needs the package s3fs.*pip install s3fs$"):
        take_in(paths, sources=[source])
    unknown = Source(feed="decisions", path="carrier-pigeon://{channel}/{date}")
    with pytest.raises(SourceError, match="of a kind that is not known"):
        take_in(paths, sources=[unknown])


def test_no_secret_of_the_environment_is_written_or_shown(
    paths: Paths, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGS_TOKEN", "hunter2")
    monkeypatch.setenv("LOGS_HOST", server.address.removeprefix("http://"))
    serve(tmp_path, "shopads/2026-03-01.csv", as_csv([decision(n) for n in range(1, 21)]))
    path = "http://reader:${LOGS_TOKEN}@${LOGS_HOST}/{channel}/{date}.csv?sig=${LOGS_TOKEN}"
    made = only(take_in(paths, sources=[Source(feed="decisions", path=path)]))
    assert made.rows_accepted == 20
    assert made.sources[0].path == "http://${LOGS_HOST}/shopads/2026-03-01.csv?sig=${LOGS_TOKEN}"
    for file in paths.root.rglob("*"):
        assert not file.is_file() or b"hunter2" not in file.read_bytes(), file
    server.status = 500
    with pytest.raises(SourceError) as failed:
        take_in(paths, sources=[Source(feed="decisions", path=path)])
    assert "hunter2" not in str(failed.value)

    monkeypatch.delenv("LOGS_TOKEN")
    with pytest.raises(SourceError, match="needs the variable LOGS_TOKEN"):
        take_in(paths, sources=[Source(feed="decisions", path=path)])


@pytest.mark.parametrize(
    "said",
    [
        {"path": "https://me:hunter2@host/{channel}/{date}.csv"},
        {"path": "s3://key:hunter2@bucket/{channel}/{date}"},
        {"path": "https://host/{channel}/{date}?token=hunter2"},
        {"database": "postgresql://me:hunter2@host/logs", "query": "{channel} {date}"},
        {"database": "postgresql://host/logs?password=hunter2", "query": "{channel} {date}"},
    ],
)
def test_a_password_in_the_file_is_refused_and_not_repeated(said: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="a password is written in it") as refused:
        Source(feed="decisions", **said)
    assert "hunter2" not in str(refused.value.errors(include_url=False, include_input=False))


def test_a_store_that_vouches_wrongly_is_caught(
    paths: Paths, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_version", lambda *_: "always the same")
    serve(tmp_path, "shopads/2026-03-01/a.csv", as_csv([decision(n) for n in range(1, 21)]))
    take_in(paths, sources=[remote(server)])
    serve(tmp_path, "shopads/2026-03-01/a.csv", as_csv([decision(1)]))
    changed = remote(server, mapping="select * from source")
    with pytest.raises(SourceError, match="was replaced and kept its version"):
        take_in(paths, sources=[changed])
