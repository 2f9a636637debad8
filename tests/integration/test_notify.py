"""Messages that leave: over real HTTP and SMTP servers, through kills, refusals and quiet hours."""

import datetime as dt
import email
import email.policy
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from governance_pipeline.adapters import notify, ops_store, outbox
from governance_pipeline.adapters.announcing import announce
from governance_pipeline.adapters.desk_work import take_in_findings
from governance_pipeline.adapters.escalating import act_on, let_time_pass
from governance_pipeline.adapters.notify import ATTEMPTS, KEY_HEADER, Sent, send_due
from governance_pipeline.adapters.ops_schema import metadata
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.adapters.results import deliver_results
from governance_pipeline.domain.commands import Measure, Resolve
from governance_pipeline.domain.desk import PIPELINE, Desk
from governance_pipeline.domain.escalation import Measurement
from governance_pipeline.domain.findings import Finding
from governance_pipeline.registry.models import Route
from tests.unit.desks import DESK, HOUR, OWNER
from tests.unit.desks import DROP as FOUND
from tests.unit.desks import NOW as NIGHT

UI = "http://127.0.0.1:3000"
SHOW = "governance escalations show"
ROOM = "MODERATION_ROOM_URL"
MINUTE = dt.timedelta(minutes=1)
NOW = NIGHT + 12 * HOUR  # 06:00 UTC is 23:00 in California, 18:00 is 11:00 there, on a Friday
DROP = replace(FOUND, detected_at=NOW)
AFTER_A_CRASH = outbox.TAKEN_FOR + MINUTE


class Endpoint:
    """A webhook on loopback: what it was sent, and what it answers."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.answers = 200
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.got.append((self.headers[KEY_HEADER], json.loads(body)))
                self.send_response(endpoint.answers)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def addresses(self) -> dict[str, str]:
        return {ROOM: f"json://127.0.0.1:{self.server.server_port}/hook"}

    @property
    def keys(self) -> list[str]:
        return [key for key, _ in self.got]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ops.db"
    return str(request.getfixturevalue("postgres_store_url"))


@pytest.fixture
def store(url: str) -> Iterator[OpsStore]:
    with OpsStore(url) as opened:
        with opened.writing() as connection:
            for table in metadata.tables.values():
                connection.execute(table.delete())
        yield opened


def open_(store: OpsStore, *found: Finding, desk: Desk = DESK, at: dt.datetime = NOW) -> str:
    take_in_findings(store, desk, found or [DROP], {"drift"}, at)
    first, *_ = store.open_states()
    return first.escalation_id


def send(
    store: OpsStore, endpoint: Endpoint, after: dt.timedelta = dt.timedelta(0), desk: Desk = DESK
) -> Sent:
    return send_due(store, desk, NOW + after, endpoint.addresses, UI)


def with_route(**changes: object) -> Desk:
    team = DESK.teams["moderation"]
    route = Route.model_validate({"env": ROOM, **changes})
    return replace(
        DESK,
        teams={**DESK.teams, "moderation": team.model_copy(update={"routes": {"room": route}})},
    )


def killed(work: Callable[[], object]) -> None:
    """Do some work in a process that kills itself in the middle of it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the work ended before the kill"


def dies(function: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
    def dying(*arguments: Any, **named: Any) -> Any:
        if not before:
            function(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return dying


POINTS: Sequence[tuple[Any, str, bool]] = [
    (outbox, "take", True),
    (outbox, "take", False),
    (notify, "by_apprise", True),
    (notify, "by_apprise", False),
    (outbox, "record", True),
    (outbox, "record", False),
]


@pytest.mark.parametrize(("module", "name", "before"), POINTS)
def test_killed_while_sending_nothing_is_lost_and_a_repetition_has_the_same_key(
    store: OpsStore, url: str, endpoint: Endpoint, module: Any, name: str, before: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    desk = with_route()
    escalation = open_(store, desk=desk)
    (row,) = store.messages(escalation)

    def work() -> None:
        monkeypatch.setattr(module, name, dies(getattr(module, name), before=before))
        with OpsStore(url) as own:
            send(own, endpoint, desk=desk)

    killed(work)
    for after in (MINUTE, AFTER_A_CRASH, 2 * AFTER_A_CRASH):
        send(store, endpoint, after, desk)
    was_sent = (name, before) in {("by_apprise", False), ("record", True)}
    assert endpoint.keys == [row["idempotency_key"]] * (2 if was_sent else 1)
    (row,) = store.messages(escalation)
    assert row["state"] == "sent"


@pytest.mark.parametrize("before", [True, False])
def test_killed_while_deciding_there_is_neither_event_nor_message_without_the_other(
    store: OpsStore, url: str, endpoint: Endpoint, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> None:
        # After the rows are written, before they are committed; or before they are written.
        monkeypatch.setattr(ops_store, "_write", dies(ops_store._write, before=before))
        with OpsStore(url) as own:
            open_(own)

    killed(work)
    assert not list(store.open_states())
    assert send(store, endpoint) == Sent()
    open_(store)
    send(store, endpoint)
    assert len(endpoint.keys) == 1


@pytest.mark.parametrize("before", [True, False])
def test_killed_while_recording_receipts_the_result_is_handed_over_once(
    store: OpsStore, url: str, endpoint: Endpoint, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = open_(store, replace(DROP, type="safety"), desk=with_route())
    owner, result = (
        {"actor": OWNER, "reason": "cut was too low"},
        Measurement("improved", "it rose"),
    )
    resolve = Resolve(**owner, code="threshold_tuned", evidence_uri="e", change="v3")
    act_on(store, DESK, key, resolve, NOW, announce)
    act_on(
        store, DESK, key, Measure(**owner | {"actor": PIPELINE}, measurement=result), NOW, announce
    )
    rooms = {route.env: endpoint.addresses[ROOM] for t in DESK.teams.values()
             for route in t.routes.values()}  # fmt: skip
    send_due(store, DESK, NOW, rooms, UI)
    told = len(endpoint.got)
    asked = {way.split("/")[3]: said["message"] for way, said in endpoint.got if "/result/" in way}
    for team, text in asked.items():
        mine = f"Say so, or send it back with `reopen`:\n  governance escalations accept {key}"
        other = f"tell search_recommendation, who has the last word:\n  {SHOW} {key}"
        assert (mine if team == "search_recommendation" else other) in text
    assert {*asked} == {"search_recommendation", "product", "governance"}

    def work() -> None:
        monkeypatch.setattr(ops_store, "_write", dies(ops_store._write, before=before))
        with OpsStore(url) as own:
            deliver_results(own, DESK, NOW)

    killed(work)
    assert store.load(key).receipts == {}
    deliver_results(store, DESK, NOW + AFTER_A_CRASH)
    send_due(store, DESK, NOW + AFTER_A_CRASH, rooms, UI)
    state = store.load(key)
    assert (state.status, {*state.receipts}) == ("DELIVERED", {*state.stakeholders})
    assert len(endpoint.got) == told


def test_the_message_says_what_happened_who_is_hurt_by_when_and_what_to_do(
    store: OpsStore, endpoint: Endpoint
) -> None:
    escalation = open_(
        store,
        replace(
            DROP,
            title="Block counterfeit listings: recall 52% (46-58) against a goal of 80%",
            details="2,100 (1,800 to 2,400) impressions a day of what should have been stopped",
            since=dt.date(2026, 4, 2),
            evidence_uri="/assets/strategies/counterfeit_listing_block",
        ),
    )
    send(store, endpoint)
    ((_, said),) = endpoint.got
    text = said["message"]
    assert said["title"].startswith("[P2] Block counterfeit listings: recall 52% (46-58)")
    for part in (
        "A new escalation is yours.", "against a goal of 80%", "2,100 (1,800 to 2,400)",
        "Since     2026-04-02", "Priority  P2, S2: shoppers are harmed or deceived",
        "acknowledge by Fri 10 Apr 2026, 19:00 UTC", "Owner     moderation",
        f"governance escalations ack {escalation}",
        f"{UI}/assets/strategies/counterfeit_listing_block", f"Key {escalation}/1/opened",
    ):  # fmt: skip
        assert part in text


def test_what_is_found_together_is_told_together_as_what_it_adds_up_to(
    store: OpsStore, endpoint: Endpoint
) -> None:
    mild = replace(DROP, type="wrong_promotion", metric="precision", exposure=10.0)
    open_(store, mild, DROP, desk=with_route())
    assert [row.priority for row in store.open_states()] == ["P2"]
    send(store, endpoint, desk=with_route())
    ((key, said),) = endpoint.got
    assert key.split("/")[2] == "opened"
    assert said["title"].startswith("[P2] ")
    assert "seen on" not in said["message"]  # two findings of one day are no second day


def test_a_pass_that_changes_nothing_sends_nothing(store: OpsStore, endpoint: Endpoint) -> None:
    open_(store)
    send(store, endpoint)
    for minutes in (5, 10, 15):
        now = NOW + minutes * MINUTE
        take_in_findings(store, DESK, [DROP], {"drift"}, now)
        let_time_pass(store, DESK, now, announce)
        send(store, endpoint, minutes * MINUTE)
    assert len(endpoint.got) == 1


def test_a_step_of_the_ladder_is_told_once_however_often_time_passes(
    store: OpsStore, endpoint: Endpoint
) -> None:
    open_(store)
    for minutes in (0, 31, 35, 40):
        let_time_pass(store, DESK, NOW + minutes * MINUTE, announce)
        send(store, endpoint, minutes * MINUTE)
    assert [key.split("/")[2] for key in endpoint.keys] == ["opened", "reminder"]


def test_a_refusal_is_tried_again_ever_later_and_ends_as_a_dead_letter(
    store: OpsStore, endpoint: Endpoint
) -> None:
    desk = with_route()
    escalation = open_(store, desk=desk)
    endpoint.answers = 500
    now, waits = NOW, []
    for _ in range(ATTEMPTS - 1):
        send_due(store, desk, now, endpoint.addresses, UI)
        (row,) = store.messages(escalation)
        waits.append(row["next_attempt_at"] - now)
        assert send_due(store, desk, row["next_attempt_at"] - MINUTE / 4, {}, UI) == Sent()
        now = row["next_attempt_at"]
    send_due(store, desk, now, endpoint.addresses, UI)
    (row,) = store.messages(escalation)
    assert (row["state"], row["attempts"], len(endpoint.got)) == ("dead", ATTEMPTS, ATTEMPTS)
    assert "127.0.0.1" not in row["last_error"]
    assert waits[0] < 2 * MINUTE < waits[4] < waits[-1] <= 1.5 * notify.LONGEST_WAIT
    endpoint.answers = 200
    assert outbox.retry_lost(store, now) == 1
    send_due(store, desk, now, endpoint.addresses, UI)
    assert outbox.counts(store) == {"pending": 0, "sent": 1, "dead": 0, "no_address": 0}


def test_one_that_is_down_costs_one_attempt_a_pass(store: OpsStore, endpoint: Endpoint) -> None:
    desk = with_route()
    found = [replace(DROP, strategy_id=None, channel=None, policy=p, type="safety", metric=p)
             for p in "abcde"]  # fmt: skip
    open_(store, *found, desk=desk)
    endpoint.answers = 503
    assert send(store, endpoint, desk=desk) == Sent(failed=1)
    assert len(endpoint.got) == 1


def test_at_night_only_what_is_p1_leaves_at_once(store: OpsStore, endpoint: Endpoint) -> None:
    desk = with_route()
    grave = replace(FOUND, type="safety", strategy_id="new-seller-limit")
    open_(store, FOUND, grave, desk=desk, at=NIGHT)
    for hours, said in ((0, ["[P1]"]), (9.9, ["[P1]"]), (10, ["[P1]", "[P2]"])):
        send_due(store, desk, NIGHT + hours * HOUR, endpoint.addresses, UI)
        assert [message["title"][:4] for _, message in endpoint.got] == said


def test_a_digest_gathers_a_day_into_one_message_that_a_crash_does_not_change(
    store: OpsStore, url: str, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = with_route(is_digest=True)
    escalation = open_(store, desk=desk)
    let_time_pass(store, desk, NOW + 31 * MINUTE, announce)
    monday = NIGHT + 3 * 24 * HOUR + 10 * HOUR
    assert send_due(store, desk, monday - MINUTE, endpoint.addresses, UI) == Sent()

    def work() -> None:
        monkeypatch.setattr(outbox, "record", dies(outbox.record, before=True))
        with OpsStore(url) as own:
            send_due(own, desk, monday, endpoint.addresses, UI)

    killed(work)
    # What comes meanwhile is of the next day.
    let_time_pass(store, desk, monday, announce)
    told = [row["recipient"] for row in store.messages(escalation)]
    assert told.count("moderation") == 3
    send_due(store, desk, monday + AFTER_A_CRASH, endpoint.addresses, UI)
    first, again = endpoint.got
    assert first == again
    assert first[0].startswith("digest/")
    assert first[1]["title"] == "[P2] 2 messages about escalations"


def test_a_team_without_an_address_is_noted_and_told_once_it_has_one(
    store: OpsStore, endpoint: Endpoint
) -> None:
    escalation = open_(store)
    assert send_due(store, DESK, NOW, {}, UI).unaddressed == 2
    rows = store.messages(escalation)
    assert {row["last_error"] for row in rows} == {
        "MODERATION_ROOM_URL is not set", "MODERATION_PAGER_URL is not set",
    }  # fmt: skip
    assert all((row["state"], row["sent_at"], row["attempts"]) == ("no_address", None, 0)
               for row in rows)  # fmt: skip
    assert [row["message_id"] for row in outbox.dead(store)] == []
    assert len(outbox.lost(store)) == 2
    assert outbox.retry_lost(store, NOW) == 2
    known = endpoint.addresses | {"MODERATION_PAGER_URL": endpoint.addresses["MODERATION_ROOM_URL"]}
    assert send_due(store, DESK, NOW, known, UI).sent == 2
    assert len(endpoint.got) == 2
    assert outbox.lost(store) == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mailbox:
    def __init__(self) -> None:
        self.got: list[EmailMessage] = []

    async def handle_DATA(  # noqa: N802 - the name that aiosmtpd calls
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        policy = email.policy.default
        message = email.message_from_bytes(envelope.content, policy=policy)
        assert isinstance(message, EmailMessage)
        self.got.append(message)
        return "250 OK"


def test_mail_arrives_at_a_real_server_with_its_key(store: OpsStore) -> None:
    desk, mailbox = with_route(), Mailbox()
    open_(store, desk=desk)
    port = free_port()
    server = Controller(mailbox, hostname="127.0.0.1", port=port)
    server.start()
    try:
        address = f"mailto://127.0.0.1:{port}?from=desk@market.example&to=team@market.example"
        done = send_due(store, desk, NOW, {ROOM: address}, UI)
    finally:
        server.stop()
    assert done == Sent(sent=1)
    (mail,) = mailbox.got
    assert mail["Subject"] == "[P2] Recall of Block counterfeit listings fell to 52%"
    (state,) = store.open_states()
    (row,) = store.messages(state.escalation_id)
    assert mail[KEY_HEADER] == row["idempotency_key"]
    body = mail.get_body(("plain", "html"))
    assert body is not None
    assert row["idempotency_key"] in body.get_content()
