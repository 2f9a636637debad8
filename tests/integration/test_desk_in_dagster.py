"""The desk in the catalog: failed checks, acting from the launchpad, dead letters, idle ticks."""

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from governance_pipeline.adapters import outbox
from governance_pipeline.adapters.desk_work import run_desk, take_in_findings, whats_due
from governance_pipeline.adapters.escalating import open_desk
from governance_pipeline.adapters.home import make_home
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.adapters.registry_store import apply_registry
from governance_pipeline.defs import acting, escalations
from governance_pipeline.defs.automation import escalate_job
from governance_pipeline.defs.failed_checks import take_in_checks
from governance_pipeline.defs.resources import DeskAt
from governance_pipeline.defs.tickets import ticket_tool_sensor
from governance_pipeline.errors import InputError
from governance_pipeline.settings import Settings
from tests.integration.test_transitions import Tool
from tests.unit.desks import DROP

MARTS = dg.AssetKey("fct_strategy_days")
START = dt.date(2026, 4, 1)
WRITING = """
import sys
from pathlib import Path
from governance_pipeline.adapters.writer_lock import writer_lock
from governance_pipeline.errors import InputError
from governance_pipeline.paths import Paths
with writer_lock(Paths(Path(sys.argv[1])), "a backfill"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def desk(tmp_path: Path) -> DeskAt:
    paths = Settings(home=tmp_path).paths
    make_home(paths, START, example=True)
    apply_registry(paths.registry, paths.lake, START)
    return DeskAt(root=str(tmp_path), ui_url="http://127.0.0.1:3000")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def store(desk: DeskAt) -> Iterator[OpsStore]:
    with OpsStore(desk.settings.store_url) as opened:
        yield opened


def evaluate(instance: dg.DagsterInstance, key: dg.AssetKey, name: str, *, passed: bool) -> None:
    said = dg.AssetCheckEvaluation(
        asset_key=key, check_name=name, passed=passed, severity=dg.AssetCheckSeverity.WARN
    )
    instance.report_runless_asset_event(said)


def open_one(store: OpsStore, desk: DeskAt) -> str:
    take_in_findings(store, open_desk(desk.settings.paths), [DROP], {"drift"}, DROP.detected_at)
    return next(iter(store.open_states())).escalation_id


def test_a_failed_check_reaches_its_owner_once_however_often_it_fails(
    instance: dg.DagsterInstance, desk: DeskAt, store: OpsStore
) -> None:
    after = -1
    for _ in range(3):
        evaluate(instance, MARTS, "key_is_unique", passed=False)
        after, _ = take_in_checks(instance, desk, after, now())
    (state,) = store.open_states()
    assert (state.finding.source, state.owner_team) == ("failed_check", "data_platform")
    assert "fct_strategy_days" in state.finding.title
    assert [row["kind"] for row in store.messages(state.escalation_id)] == ["opened"]


@pytest.mark.parametrize(
    ("owners", "team"),
    [
        (["team:search_recommendation"], "search_recommendation"),
        (["ana@market.example", "team:algo"], "algo"),
        (["team:unheard_of"], "data_platform"),
        ([], "data_platform"),
    ],
)
def test_a_failed_check_is_its_asset_s_owner_s_else_as_the_policy_says(
    instance: dg.DagsterInstance, desk: DeskAt, store: OpsStore, owners: list[str], team: str
) -> None:
    graph = dg.Definitions(assets=[dg.AssetSpec(MARTS, owners=owners)]).resolve_asset_graph()
    evaluate(instance, MARTS, "key_is_unique", passed=False)
    take_in_checks(instance, desk, -1, now(), graph)
    (state,) = store.open_states()
    assert state.owner_team == team
    (message,) = store.messages(state.escalation_id)
    assert message["recipient"] == team


def test_a_check_that_holds_again_proposes_to_resolve_and_changes_nothing_else(
    instance: dg.DagsterInstance, desk: DeskAt, store: OpsStore
) -> None:
    evaluate(instance, MARTS, "key_is_unique", passed=False)
    evaluate(instance, MARTS, "another", passed=False)
    after, _ = take_in_checks(instance, desk, -1, now())
    evaluate(instance, MARTS, "key_is_unique", passed=True)
    take_in_checks(instance, desk, after, now())
    cleared = {s.finding.metric: s.cleared_at is not None for s in store.open_states()}
    assert cleared == {"fct_strategy_days:key_is_unique": True, "fct_strategy_days:another": False}


def test_verdicts_on_strategies_are_left_to_the_judgement(
    instance: dg.DagsterInstance, desk: DeskAt, store: OpsStore
) -> None:
    evaluate(instance, dg.AssetKey(["strategies", "new_seller_limit"]), "recall", passed=False)
    after, _ = take_in_checks(instance, desk, -1, now())
    assert after > 0
    assert not list(store.open_states())


def launch(
    job: dg.JobDefinition, config: dict[str, Any], instance: dg.DagsterInstance, desk: DeskAt
) -> bool:
    """Launch a job of one op as the launchpad does, and say whether it succeeded."""
    (op,) = job.graph.node_dict
    return job.execute_in_process(
        {"ops": {op: {"config": config}}}, instance=instance, resources={"desk": desk},
        raise_on_error=False,
    ).success  # fmt: skip


def test_an_engineer_acts_from_the_launchpad(
    instance: dg.DagsterInstance, desk: DeskAt, store: OpsStore
) -> None:
    ines = {"actor": "moderation/ines", "reason": "it is so"}
    opening = {**ines, "title": "Toys are hidden", "type": "wrong_suppression", "market": "DE",
               "strategy_id": "prohibited-goods-filter", "needed_by": "2026-04-03"}  # fmt: skip
    with pytest.raises(InputError, match="'soon' is no day; write it as"):
        acting._day("soon")
    assert launch(acting.opening_job(), opening, instance, desk)
    (state,) = store.open_states()
    assert (state.status, state.requester, state.finding.market) == ("NEW", ines["actor"], "DE")
    job, key = acting.acting_job(), state.escalation_id[:12]
    resolved = {"code": "strategy_fixed", "evidence_uri": "https://t.example/7", "change": "v3"}
    for actor, action, status in (
        ("governance/gwen", {"triage": {"severity": "S2"}}, "ASSIGNED"),
        ("algo/ada", {"ack": {}}, None),
        ("moderation/ines", {"ack": {}}, "ACKNOWLEDGED"),
        ("moderation/ines", {"hold": {"awaiting": "legal_hold"}}, "ON_HOLD"),
        ("moderation/ines", {"resolve": resolved}, "RESULT_READY"),
    ):
        asked: dict[str, Any] = {**ines, "escalation": key, "actor": actor, "action": action}
        before = store.load(key).status
        assert launch(job, asked, instance, desk) is (status is not None)
        assert store.load(key).status == (status or before)


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ({"hold": {}}, 'Missing required config entry "awaiting" at path root:ops:act:config'),
        (
            {"hold": {"awaiting": "no_time"}},
            "hold:awaiting not in enum type PauseReason got no_time",
        ),
        (
            {"explode": {}},
            'unexpected config entry "explode" at path .*mitigate: { record: String }',
        ),
        ({"ack": {"record": "x"}}, 'unexpected config entry "record" at path .*action:ack'),
        ({"ack": {}, "start": {}}, "only specify a single field"),
    ],
)
def test_the_launchpad_names_a_field_that_is_wrong_before_anything_runs(
    action: dict[str, Any], said: str
) -> None:
    asked = {"escalation": "2026", "actor": "moderation", "reason": "x", "action": action}
    with pytest.raises(dg.DagsterInvalidConfigError, match=f"(?s){said}"):
        dg.validate_run_config(acting.acting_job(), {"ops": {"act": {"config": asked}}})


def test_a_dead_letter_turns_the_check_red(
    instance: dg.DagsterInstance, desk: DeskAt, store: OpsStore
) -> None:
    key = open_one(store, desk)
    for is_lost in (False, True):
        if is_lost:
            outbox.record(store, store.messages(key), state="dead", last_error="refused")
        done = dg.materialize(
            [escalations.desk_assets()], instance=instance, resources={"desk": desk}
        )
        (check,) = done.get_asset_check_evaluations()
        assert check.passed is not is_lost


def test_a_tick_with_nothing_due_starts_no_run(
    instance: dg.DagsterInstance, desk: DeskAt, store: OpsStore
) -> None:
    schedule = escalations.escalate_schedule(escalate_job())
    context = dg.build_schedule_context(instance=instance, resources={"desk": desk})
    assert not schedule.evaluate_tick(context).run_requests
    open_one(store, desk)
    (request,) = schedule.evaluate_tick(context).run_requests or []
    assert request.tags["governance/due"] == "clocks, messages"


def test_a_page_leaves_while_somebody_writes_and_the_verdicts_wait(
    desk: DeskAt, store: OpsStore
) -> None:
    paths = desk.settings.paths
    open_one(store, desk)
    paths.warehouse.touch()
    with subprocess.Popen(
        [sys.executable, "-c", WRITING, str(paths.root)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    ) as writer:  # fmt: skip
        assert writer.stdout is not None
        assert writer.stdout.readline() == "held\n"
        assert whats_due(desk.settings, now()) == ["clocks", "messages"]
        worked = run_desk(desk.settings, now(), {})
        assert (worked.woken, worked.unaddressed > 0, worked.found) == (1, True, {})
        assert "written by a backfill" in (worked.waits_for or "")
        writer.communicate()
    assert whats_due(desk.settings, now()) == ["verdicts"]


def test_what_a_ticket_tool_says_is_done_without_a_shell(
    instance: dg.DagsterInstance, desk: DeskAt, store: OpsStore, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    sensor = ticket_tool_sensor()

    def tick() -> str:
        context = dg.build_sensor_context(instance=instance, resources={"desk": desk})
        return sensor.evaluate_tick(context).skip_message or ""

    assert "GOVERNANCE_TICKETS_URL is not set" in tick()
    tool = Tool()
    row = {"escalation_id": open_one(store, desk), "action": "ack", "actor": "moderation/ines",
           "reason": "seen", "at": now().isoformat()}  # fmt: skip
    tool.answer = json.dumps(row).encode()
    monkeypatch.setenv("GOVERNANCE_TICKETS_URL", tool.address)
    assert [tick() for _ in range(2)] == [
        "1 transitions taken, 0 known already", "0 transitions taken, 1 known already",
    ]  # fmt: skip
    assert next(iter(store.open_states())).status == "ACKNOWLEDGED"
    tool.close()


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
