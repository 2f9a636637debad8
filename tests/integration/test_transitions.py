"""A team's ticket tool tells what was done by files, and is told by files."""

import csv
import datetime as dt
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from governance_pipeline.adapters import ticket_tool
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.adapters.ticket_tool import (
    address_of,
    post_transitions,
    pull_transitions,
)
from governance_pipeline.adapters.transitions import take_transitions, write_transitions
from governance_pipeline.errors import InputError
from tests.unit.desks import DESK, HOUR, NOW, OWNER, TRIAGER, Case, finding

LATER = NOW + 9 * HOUR
COLUMNS = (
    "escalation_id,external_ref,action,actor,reason,at,awaiting,record,code,evidence_uri,change"
)


class Tool:
    """A ticket tool on loopback: what it was posted, and what it answers."""

    def __init__(self) -> None:
        self.posted: list[tuple[str | None, bytes]] = []
        self.answer, self.status = b"", 200
        tool = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                tool.posted.append((self.headers["Idempotency-Key"], body))
                self.send_response(tool.status)
                self.end_headers()

            def do_GET(self) -> None:
                self.send_response(tool.status)
                self.end_headers()
                self.wfile.write(tool.answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook?key=s3cret"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def tool() -> Iterator[Tool]:
    made = Tool()
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OpsStore]:
    with OpsStore(f"sqlite:///{tmp_path / 'ops.db'}") as opened:
        yield opened


def kept(store: OpsStore, **changes: object) -> str:
    case = Case(finding(**changes))
    store.append(case.state.escalation_id, 0, case.log)
    return case.state.escalation_id


def rows(file: Path, *lines: str) -> Path:
    file.write_text("\n".join([COLUMNS, *lines]) + "\n")
    return file


def at(hours: float) -> str:
    return (NOW + hours * HOUR).isoformat()


def test_rows_act_as_who_they_name_when_they_say(store: OpsStore, tmp_path: Path) -> None:
    key = kept(store)
    file = rows(
        tmp_path / "jira.csv",
        f"{key},,ack,{OWNER},seen,{at(0.5)},,,,,",
        f"{key},,hold,{OWNER},which?,{at(1)},awaiting_requester,,,,",
        f"{key},,resume,{OWNER},answered,{at(2)},,,,,",
        f"{key},,resolve,{OWNER},cut,{at(3)},,,threshold_tuned,https://t.example/7,v3",
    )
    taken = take_transitions(store, DESK, file, LATER)
    assert (taken.done, taken.known, taken.refused) == (4, 0, [])
    state = store.load(key)
    assert state.status == "RESULT_READY"
    assert state.clocks["acknowledge"].elapsed == HOUR / 2
    assert state.clocks["resolve"].elapsed == 2 * HOUR
    assert state.result is not None
    assert state.result.by == OWNER


def test_a_file_taken_twice_changes_nothing_the_second_time(
    store: OpsStore, tmp_path: Path
) -> None:
    key = kept(store)
    file = rows(tmp_path / "jira.csv", f"{key},,ack,{OWNER},seen,{at(0.5)},,,,,")
    take_transitions(store, DESK, file, LATER)
    before = store.events(key)
    taken = take_transitions(store, DESK, file, LATER)
    assert (taken.done, taken.known) == (0, 1)
    assert store.events(key) == before


def test_rows_may_name_the_ticket_instead(store: OpsStore, tmp_path: Path) -> None:
    key = kept(store)
    lines = [
        {"escalation_id": key, "action": "link", "external_ref": "OPS-7", "actor": OWNER,
         "reason": "mirrored"},
        {"external_ref": "OPS-7", "action": "ack", "actor": OWNER, "reason": "seen"},
        {"external_ref": "OPS-8", "action": "ack", "actor": OWNER, "reason": "seen"},
    ]  # fmt: skip
    file = tmp_path / "jira.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    taken = take_transitions(store, DESK, file, LATER)
    assert store.load(key).status == "ACKNOWLEDGED"
    assert taken.done == 2
    assert taken.refused == [
        "jira.jsonl row 3: no escalation mirrors OPS-8; fill in escalation_id, or link it first"
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{key},,ack,algo/ana,mine,,,,,,", "algo/ana may not make it ACKNOWLEDGED"),
        ("{key},,ack,pipeline,mine,,,,,,", "no team can be told from actor 'pipeline'"),
        ("{key},,explode,moderation/x,why,,,,,,", "'explode' is no action"),
        ("{key},,hold,moderation/x,why,,,,,,", "hold needs awaiting"),
        ("{key},,ack,moderation/x,,,,,,,", "give a reason"),
        ("{key},,ack,moderation/x,why,yesterday,,,,,", "'yesterday' is no time"),
        ("{key},,ack,moderation/x,why,2027-01-01T00:00:00+00:00,,,,,", "has not come yet"),
        ("{key},,ack,moderation/x,why,2026-04-09T00:00:00+00:00,,,,,", "came before cannot be"),
        ("nope,,ack,moderation/x,why,,,,,,", "there is no escalation nope"),
        (",,ack,moderation/x,why,,,,,,", "a ticket that is not named"),
    ],
)
def test_a_row_that_is_refused_is_named_and_the_others_go_on(
    store: OpsStore, tmp_path: Path, line: str, said: str
) -> None:
    key, other = kept(store), kept(store, channel="shopads")
    file = rows(tmp_path / "jira.csv", line.format(key=key), f"{other},,ack,{OWNER},seen,,,,,,")
    taken = take_transitions(store, DESK, file, LATER)
    assert (taken.done, len(taken.refused)) == (1, 1)
    assert taken.refused[0].startswith("jira.csv row 1: ")
    assert said in taken.refused[0]
    assert store.load(key).status == "ASSIGNED"


def test_a_file_that_cannot_be_read_is_refused_whole(store: OpsStore, tmp_path: Path) -> None:
    broken = tmp_path / "jira.jsonl"
    broken.write_text("{")
    with pytest.raises(InputError, match=r"jira\.jsonl cannot be read"):
        take_transitions(store, DESK, broken, LATER)
    broken.write_text("[1]")
    with pytest.raises(InputError, match="row 1 is no object"):
        take_transitions(store, DESK, broken, LATER)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_what_is_written_is_every_transition_with_its_ticket(
    store: OpsStore, tmp_path: Path, form: str
) -> None:
    key = kept(store, title="=1+1 is no title")
    line = {
        "escalation_id": key, "external_ref": "OPS-7", "action": "link", "actor": TRIAGER,
        "reason": "mirrored", "at": at(1),
    }  # fmt: skip
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps(line))
    take_transitions(store, DESK, source, LATER)
    to = tmp_path / f"out.{form}"
    assert write_transitions(store, to) == 4
    if form == "csv":
        with to.open(newline="") as file:
            written = list(csv.DictReader(file))
        assert written[0]["title"] == "'=1+1 is no title"  # no spreadsheet computes it
    else:
        written = [json.loads(text) for text in to.read_text().splitlines()]
        assert written[0]["title"] == "=1+1 is no title"
    assert [row["kind"] for row in written] == ["opened", "triaged", "assigned", "linked"]
    assert {row["external_ref"] for row in written} == {"OPS-7"}
    assert dt.datetime.fromisoformat(written[-1]["at"]) == NOW + HOUR
    assert write_transitions(store, to, since=NOW + HOUR / 2) == 1


def test_a_webhook_is_told_every_transition_and_the_same_ones_under_the_same_key(
    store: OpsStore, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = kept(store)
    monkeypatch.setattr(ticket_tool, "AT_ONCE", 2)
    for _ in range(2):
        assert post_transitions(store, tool.address) == 3
    first, rest, *again = tool.posted
    assert again == [first, rest]
    assert first[0] != rest[0]
    said = [json.loads(line) for _, body in (first, rest) for line in body.splitlines()]
    assert [(row["escalation_id"], row["seq"], row["to_status"]) for row in said] == [
        (key, 1, "NEW"), (key, 2, "TRIAGED"), (key, 3, "ASSIGNED"),
    ]  # fmt: skip
    assert post_transitions(store, tool.address, since=NOW + HOUR) == 0
    tool.status = 500
    with pytest.raises(InputError, match=r"127\.0\.0\.1 answered 500") as caught:
        post_transitions(store, tool.address)
    assert "s3cret" not in str(caught.value)


def test_what_a_tool_answers_is_done_once_however_often_it_is_asked(
    store: OpsStore, tool: Tool
) -> None:
    key = kept(store)
    row = {"escalation_id": key, "actor": OWNER, "reason": "seen", "action": "ack", "at": at(0.5)}
    other = {**row, "action": "start", "actor": "algo/ana", "at": at(1)}
    tool.answer = json.dumps([row, other]).encode()
    taken = pull_transitions(store, DESK, tool.address, LATER)
    assert (taken.done, taken.known) == (1, 0)
    assert taken.refused[0].startswith("127.0.0.1 row 2: algo/ana may not make it IN_PROGRESS")
    tool.answer = f"{COLUMNS}\n{key},,ack,{OWNER},seen,{at(0.5)},,,,,\n".encode()
    taken = pull_transitions(store, DESK, tool.address, LATER)
    assert (taken.done, taken.known, taken.refused) == (0, 1, [])
    tool.answer = b"{"
    with pytest.raises(InputError, match=r"127\.0\.0\.1 cannot be read"):
        pull_transitions(store, DESK, tool.address, LATER)


def test_a_tool_that_is_not_there_is_said_in_one_sentence_without_its_secret(
    store: OpsStore, tool: Tool
) -> None:
    tool.server.server_close()
    with pytest.raises(InputError, match=r"127\.0\.0\.1 does not answer: .*; try again") as caught:
        pull_transitions(store, DESK, tool.address, LATER)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(InputError, match="TICKETS holds no address"):
        address_of("env:TICKETS", {"TICKETS": "file:///etc/passwd"})
