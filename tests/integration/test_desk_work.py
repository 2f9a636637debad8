"""The whole loop over real files: found, told, acted on, measured, delivered, closed."""

import datetime as dt
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from governance_pipeline.adapters.announcing import announce
from governance_pipeline.adapters.desk_work import Worked, run_desk, whats_due
from governance_pipeline.adapters.escalating import act_on, open_desk
from governance_pipeline.adapters.home import make_home
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.adapters.registry_store import apply_registry
from governance_pipeline.adapters.serving import ask, serving_connection
from governance_pipeline.adapters.wording import text_of
from governance_pipeline.cli import cli
from governance_pipeline.domain.commands import Accept, Resolve
from governance_pipeline.paths import Paths
from governance_pipeline.registry.loader import load_registry
from governance_pipeline.registry.models import Strategy
from governance_pipeline.running import run_range
from governance_pipeline.settings import Settings
from governance_pipeline.simulation import decisions, simulate
from governance_pipeline.simulation.market import PLANTS, true_rate
from tests.integration.test_notify import Endpoint

START = dt.date(2026, 3, 1)
DAY = dt.timedelta(days=1)
FELL, MENDED, DAYS = 14, 32, 48
SPAM = "affiliate-spam-creator-block"
KEPT = (SPAM, "affiliate-commission-abuse-limit")
ROOMS = ("MODERATION_ROOM_URL", "GOVERNANCE_ROOM_URL", "SEARCH_ROOM_URL")


def spoiled(strategy: Strategy, metric: Any, day: int) -> float:
    """Return a true rate: one strategy's precision is low for a while, then mended."""
    is_low = strategy.strategy_id == SPAM and metric == "precision" and FELL <= day < MENDED
    return true_rate(strategy, metric, 0) - (0.35 if is_low else 0.0)


def market(root: Path) -> Settings:
    """Make a home of two strategies with every day delivered and nothing taken in."""
    settings = Settings(home=root)
    paths = settings.paths
    make_home(paths, START, sampling_key="key", example=True)
    for file in (paths.registry / "strategies").iterdir():
        if file.stem not in KEPT:
            file.unlink()
    teams = paths.registry / "teams.yaml"
    teams.write_text(teams.read_text().replace("_URL}", "_URL, keeps_quiet: false}"))
    apply_registry(paths.registry, paths.lake, START + DAYS * DAY)
    simulate(
        load_registry(paths.registry), paths.landing, paths.root / "truth", seed=5,
        sampling_key="key", start=START, days=DAYS,
    )  # fmt: skip
    return settings


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    yield server
    server.close()


def test_a_fix_is_measured_on_the_slice_and_delivered_to_who_waits_for_it(
    tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "true_rate", spoiled)
    (hook,) = endpoint.addresses.values()
    for room in ROOMS:
        monkeypatch.setenv(room, hook)
    settings = market(tmp_path / "home")
    assert run_range(settings, START, START + (MENDED - 1) * DAY).succeeded

    with OpsStore(settings.store_url) as store:
        (state,) = store.open_states()
        assert (state.finding.strategy_id, state.owner_team) == (SPAM, "moderation")
        assert state.severity == min(x for x in (state.harm, state.reach) if x)
        assert [said["title"] for _, said in endpoint.got] == [
            f"[{state.priority}] {state.finding.title}"
        ]
        desk, changed = open_desk(settings.paths), START + MENDED * DAY
        resolve = Resolve(
            actor="moderation/ines", reason="the cut was too low", code="threshold_tuned",
            evidence_uri="https://wiki.market.example/spam", change=f"cut raised on {changed}",
        )  # fmt: skip
        act_on(store, desk, state.escalation_id, resolve, now(), announce)
        assert whats_due(settings, now()) == ["results"]
        worked = run_desk(settings, now())
        assert (worked.measured, worked.sent, worked.delivered) == (1, 2, 2)
        state = store.load(state.escalation_id)
        assert state.measurement is not None
        assert (state.status, state.measurement.verdict) == ("DELIVERED", "too_early")
        assert set(state.receipts) == {"governance", "search_recommendation"}

        assert run_range(settings, changed, START + (DAYS - 1) * DAY).succeeded
        state = store.load(state.escalation_id)
        found = state.measurement
        assert found is not None
        assert found.verdict == "improved"
        assert found.before is not None
        assert found.after is not None
        assert found.difference_lo is not None
        assert found.difference_hi is not None
        healthy = true_rate(desk.strategies[SPAM], "precision", 0)
        assert found.before == pytest.approx(healthy - 0.35, abs=0.06)
        assert found.after == pytest.approx(healthy, abs=0.06)
        assert found.difference_lo < 0.35 < found.difference_hi
        assert found.statement in endpoint.got[-1][1]["message"]
        assert run_desk(settings, now()) == Worked()

        accept = Accept(actor="governance/gwen", reason="it holds")
        act_on(store, desk, state.escalation_id, accept, now(), announce)
    shown = CliRunner().invoke(
        cli, ["--home", str(settings.home), "escalations", "show", state.escalation_id]
    )
    assert "CLOSED" in shown.output
    with serving_connection(settings.paths.published) as connection:
        row = ask(connection, "select * from escalations").iloc[0]
    assert (row["verdict"], row["difference"]) == ("improved", found.difference)


def test_each_planted_drop_and_the_bad_delivery_has_one_escalation(
    demo_home: Path, tmp_path: Path
) -> None:
    with serving_connection(Paths(demo_home).published) as connection:
        found = ask(
            connection,
            "select e.*, s.owner_team as owner, h.reach_lost_hi, h.missed_reach_hi"
            " from escalations e left join dim_strategies s using (strategy_id)"
            " left join strategy_harm h on h.strategy_id = e.strategy_id and h.channel = 'all'"
            " order by priority",
        )
        known = ask(connection, "select * from escalation_findings where source = 'drift'")
    drops = found[found["source"] == "drift"]
    planted = {p.subject: p.kind for p in PLANTS if p.kind in ("precision", "recall")}
    assert sorted(drops["strategy_id"]) == sorted(planted)
    assert drops["owner_team"].tolist() == drops["owner"].tolist()
    assert dict(zip(known["strategy_id"], known["metric"], strict=True)) == planted
    for row in drops.to_dict("records"):
        hurt = "reach_lost_hi" if planted[row["strategy_id"]] == "precision" else "missed_reach_hi"
        assert row["exposure"] == pytest.approx(row[hurt] / 28)
    refused = found[found["source"] == "data_quality"]
    assert refused[["channel", "owner_team"]].values.tolist() == [["shopads", "data_platform"]]
    shutil.copy(Paths(demo_home).ops, tmp_path / "ops.db")  # nobody opens the demo's own
    with OpsStore(f"sqlite:///{tmp_path / 'ops.db'}") as store:
        for row in [*drops.to_dict("records"), *refused.to_dict("records")]:
            told = [m for m in store.messages(row["escalation_id"]) if m["kind"] == "opened"]
            assert {m["recipient"] for m in told} == {row["owner_team"]}
            text = text_of([json.loads(told[0]["payload"])], "key", "http://127.0.0.1:3000").body
            page = "accepted/shopads/decisions"
            if row["source"] == "drift":
                page = f"strategies/{row['strategy_id'].replace('-', '_')}"
                hurt = f"to {row['exposure']:,.0f}) impressions a day"
                assert re.search(r"(precision|recall) \d+% \(\d+-\d+\) against a goal of", text)
                assert hurt in text
            assert f"http://127.0.0.1:3000/assets/{page}\n" in text
            assert f"Priority  {row['priority']}, {row['severity']}: " in text


def test_an_idle_pass_loads_no_frames_and_no_templates(own_demo: Path) -> None:
    settings = Settings(home=own_demo)
    run_desk(settings, now(), {})
    code = (
        "import sys, datetime as dt\n"
        "from governance_pipeline.adapters.desk_work import run_desk\n"
        "from governance_pipeline.settings import Settings\n"
        f"worked = run_desk(Settings(home={str(own_demo)!r}), dt.datetime.now(dt.UTC), {{}})\n"
        "assert worked.is_idle, worked\n"
        "heavy = {'pandas', 'duckdb', 'jinja2', 'apprise', 'dagster'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
