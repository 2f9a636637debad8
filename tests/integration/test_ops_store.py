"""The store of escalations, on SQLite and on PostgreSQL: nothing lost, nobody overwritten."""

import datetime as dt
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from governance_pipeline.adapters import escalating
from governance_pipeline.adapters.escalating import act_on, let_time_pass, take_in
from governance_pipeline.adapters.ops_engine import MIGRATIONS
from governance_pipeline.adapters.ops_schema import HEAD, metadata
from governance_pipeline.adapters.ops_store import Batch, Message, OpsStore
from governance_pipeline.domain import commands as c
from governance_pipeline.domain.deciding import act
from governance_pipeline.domain.desk import PIPELINE
from governance_pipeline.domain.escalation import replay
from governance_pipeline.errors import ConflictError, InputError, RefusedError, StoreError
from tests.unit.desks import DESK, HOUR, NOW, OWNER, REQUESTER, TRIAGER, Case, finding

ACK = c.Acknowledge(actor=OWNER, reason="on it")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ops.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(url: str) -> Iterator[OpsStore]:
    with OpsStore(url) as opened:
        yield opened


def kept(store: OpsStore, **changes: object) -> Case:
    case = Case(finding(**changes))
    store.append(case.state.escalation_id, 0, case.log)
    return case


def message(key: str) -> Message:
    return Message("assigned", "moderation", key, {"title": "a drop"}, event_seq=3)


def test_what_is_read_is_what_was_decided(store: OpsStore) -> None:
    case = kept(store, statutory="gpsr_order", needed_by=NOW.date())
    for command in (ACK, c.Mitigate(actor=OWNER, reason="rolled back", record="change 7")):
        before = case.state.version
        case.do(command)
        store.append(case.state.escalation_id, before, case.log[before:])
    assert store.load(case.state.escalation_id[:12]) == case.state
    assert store.events(case.state.escalation_id) == case.log
    assert replay(store.events(case.state.escalation_id)) == case.state


def test_tables_follow_from_the_log(store: OpsStore) -> None:
    for channel in ("shoptab", "shopads"):
        case = kept(store, channel=channel)
        act_on(store, DESK, case.state.escalation_id, ACK, NOW + HOUR)
    tables = ("escalations", "escalation_findings", "escalation_clocks")
    before = {name: store.frame(name) for name in tables}
    states = list(store.open_states())
    assert store.rebuild() == 2
    assert list(store.open_states()) == states
    for name in tables:
        assert before[name].equals(store.frame(name)), name


def test_who_comes_second_is_told_who_was_first(store: OpsStore) -> None:
    case = kept(store)
    key, version = case.state.escalation_id, case.state.version
    _, mine = act(case.state, ACK, DESK, NOW + HOUR)
    _, theirs = act(case.state, c.Reject(actor=TRIAGER, reason="no", code="test"), DESK, NOW + HOUR)
    store.append(key, version, mine, [message("first")])
    with pytest.raises(ConflictError, match=rf"{OWNER} acted on {key} at 2026-04-10 07:00:00 UTC"):
        store.append(key, version, theirs, [message("second")])
    assert store.load(key).status == "ACKNOWLEDGED"
    assert [row["idempotency_key"] for row in store.messages(key)] == ["first"]


def test_of_many_who_act_at_once_exactly_one_is_heard(store: OpsStore) -> None:
    case = kept(store)
    key = case.state.escalation_id

    def try_it(number: int) -> str:
        _, events = act(
            case.state, c.Acknowledge(actor=f"moderation/m{number}", reason="mine"), DESK, NOW
        )
        try:
            return store.append(key, case.state.version, events).assignee or ""
        except ConflictError:
            return "refused"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(try_it, range(16)))
    assert outcomes.count("refused") == 15
    assert store.load(key).assignee in outcomes
    assert len(store.events(key)) == len(case.log) + 1


def test_an_escalation_is_opened_once_by_however_many(store: OpsStore) -> None:
    case = Case()

    def open_it(_: int) -> bool:
        try:
            store.append(case.state.escalation_id, 0, case.log)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(open_it, range(12))) == 1
    assert len(store.events(case.state.escalation_id)) == 3


def test_events_and_messages_stand_or_fall_together(store: OpsStore) -> None:
    case = kept(store)
    key, version = case.state.escalation_id, case.state.version
    _, events = act(case.state, ACK, DESK, NOW + HOUR)
    with pytest.raises(StoreError, match="idempotency_key"):
        store.append(key, version, events, [message("same"), message("same")])
    assert store.load(key) == case.state
    assert store.messages(key) == []


def test_a_batch_leaves_out_what_changed_meanwhile(store: OpsStore) -> None:
    cases = [kept(store, channel=channel) for channel in ("shoptab", "shopads", "video")]
    batches = []
    for case in cases:
        _, events = act(case.state, ACK, DESK, NOW + HOUR)
        batches.append(Batch(case.state.escalation_id, case.state.version, events))
    hurried = cases[1].state.escalation_id
    act_on(store, DESK, hurried, c.Acknowledge(actor="moderation/zoe", reason="I do"), NOW)
    states, late = store.append_all(batches)
    assert late == [hurried]
    assert len(states) == 2
    assert store.load(hurried).assignee == "moderation/zoe"


def test_time_passes_for_those_whose_time_has_come(store: OpsStore) -> None:
    soon, later = kept(store), kept(store, channel="shopads", type="request", exposure=1.0)
    assert (soon.state.priority, later.state.priority) == ("P2", "P4")
    passed = let_time_pass(store, DESK, NOW + dt.timedelta(minutes=30))
    assert (passed.looked_at, passed.changed) == (1, 1)
    assert store.load(soon.state.escalation_id).told == {"acknowledge": 0.5}
    assert let_time_pass(store, DESK, NOW + dt.timedelta(minutes=31)).looked_at == 0
    assert let_time_pass(store, DESK, NOW + HOUR, everything=True).looked_at == 2


def test_the_same_finding_is_one_escalation_however_often_it_comes(store: OpsStore) -> None:
    opened = take_in(store, DESK, finding(), PIPELINE, "found", NOW)
    same_day = take_in(store, DESK, finding(), PIPELINE, "found", NOW + HOUR)
    tomorrow = finding(on=NOW.date() + dt.timedelta(days=1), exposure=200_000.0)
    again = take_in(store, DESK, tomorrow, PIPELINE, "found", NOW + 24 * HOUR)
    other = take_in(store, DESK, finding(metric="precision"), PIPELINE, "found", NOW + 25 * HOUR)
    assert [taken[0].action for taken in (opened, same_day, again, other)] == [
        "open", "occurrence", "occurrence", "joined",
    ]  # fmt: skip
    assert (len(same_day[2]), again[1].occurrences, other[1].occurrences) == (0, 2, 3)
    assert len(list(store.open_states())) == 1
    assert len(store.frame("escalation_findings")) == 2


def test_what_a_person_turned_down_is_not_opened_anew(store: OpsStore) -> None:
    case = kept(store)
    rejecting = c.Reject(actor=TRIAGER, reason="a test market", code="not_reproducible")
    act_on(store, DESK, case.state.escalation_id, rejecting, NOW + HOUR)
    with pytest.raises(RefusedError, match="was REJECTED lately"):
        take_in(store, DESK, finding(), PIPELINE, "found", NOW + 2 * HOUR)
    later = finding(detected_at=NOW + 15 * 24 * HOUR)
    assert take_in(store, DESK, later, PIPELINE, "found", NOW + 15 * 24 * HOUR)[0].action == "open"


def test_an_id_is_found_by_its_beginning_if_that_is_one(store: OpsStore) -> None:
    first, second = kept(store), kept(store, channel="shopads")
    assert store.load(first.state.escalation_id) == first.state
    with pytest.raises(InputError, match=second.state.escalation_id):
        store.load("20260410")
    with pytest.raises(InputError, match="there is no escalation 2025"):
        store.load("2025")
    with pytest.raises(InputError, match="there is no escalation %"):
        store.load("%")


def test_migrations_make_the_tables_that_the_program_knows(store: OpsStore, url: str) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        found = [step for step in compare_metadata(context, metadata) if "alembic" not in str(step)]
    assert found == []
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == HEAD
    with OpsStore(url) as again:
        assert list(again.open_states()) == []


def test_two_processes_may_open_a_new_store_at_once(url: str) -> None:
    code = (
        "import sys; from governance_pipeline.adapters.ops_store import OpsStore;"
        " OpsStore(sys.argv[1])"
    )
    opening = [
        subprocess.Popen([sys.executable, "-c", code, url], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in opening:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    with OpsStore(url) as store:
        assert list(store.open_states()) == []


def test_a_store_of_a_newer_program_is_left_alone(store: OpsStore, url: str) -> None:
    with store.writing() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    with pytest.raises(StoreError, match="newer program"):
        OpsStore(url)


def test_a_store_that_cannot_be_reached_is_said_without_its_password() -> None:
    with pytest.raises(StoreError) as caught:
        OpsStore("postgresql://ops:hunter2@127.0.0.1:1/ops")
    assert "hunter2" not in str(caught.value)
    assert "GOVERNANCE_OPS_URL" in str(caught.value)
    with pytest.raises(StoreError, match="no address of a store"):
        OpsStore("mysql://somewhere/ops")


def test_a_reader_goes_on_while_somebody_writes(tmp_path: Path) -> None:
    with OpsStore(f"sqlite:///{tmp_path / 'ops.db'}") as store:
        case = kept(store)
        with store.writing():
            assert [s.escalation_id for s in store.open_states()] == [case.state.escalation_id]
        with sqlite3.connect(tmp_path / "ops.db") as plain:
            assert plain.execute("pragma journal_mode").fetchone() == ("wal",)


def test_nothing_is_announced_for_what_was_known(store: OpsStore) -> None:
    case = kept(store)
    told: list[int] = []

    def announce(*given: object) -> list[Message]:
        told.append(len(given[1]))  # type: ignore[arg-type]
        return [message(f"k{len(told)}")]

    linking = c.Link(actor=REQUESTER, reason="mirrored", external_ref="OPS-7")
    for _ in range(2):
        escalating.act_on(store, DESK, case.state.escalation_id, linking, NOW + HOUR, announce)
    assert told == [1]
    assert len(store.messages(case.state.escalation_id)) == 1
