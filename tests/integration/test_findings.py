"""Findings of every source, from what finds them to the message that its owner reads."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from governance_pipeline.adapters import findings
from governance_pipeline.adapters.desk_work import run_desk, take_in_findings
from governance_pipeline.adapters.findings import read_findings
from governance_pipeline.adapters.home import make_home
from governance_pipeline.adapters.notify import send_due
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.adapters.registry_store import apply_registry
from governance_pipeline.domain import noticing
from governance_pipeline.domain.findings import Finding
from governance_pipeline.errors import WarehouseError
from governance_pipeline.settings import Settings
from tests.unit.desks import DESK, DROP, NOW

TODAY = NOW.date()
DAY = dt.timedelta(days=1)
HANDED_IN: dict[str, dict[str, Any]] = {
    "trust_anomaly": {
        "type": "metric_drop", "title": "NPS of toys on video: 12 against 31 expected",
        "found_on": TODAY, "channel": "video", "category": "toys", "metric": "nps", "cause": "mix",
        "observed": 12.0, "expected": 31.0, "exposure": 150_000.0, "channel_impressions": 2e7,
        "evidence_uri": "/assets/trust_anomalies", "details": "q = 0.02", "since": TODAY - 2 * DAY,
    },
    "launch_guardrail": {
        "type": "launch_blocker", "title": "Launch of supplements: refunds over the guardrail",
        "found_on": TODAY, "category": "supplements", "metric": "supplements-us G4 refund_rate",
        "observed": 0.09, "expected": 0.05, "needed_by": TODAY + 2 * DAY,
    },
    "compliance_gap": {
        "type": "coverage_gap", "title": "US-INFORM is not covered on lives",
        "found_on": TODAY, "channel": "lives", "metric": "US-INFORM",
        "statutory": "inform_verification_due",
    },
}  # fmt: skip
REFUSED = {
    "feed": "decisions", "channel": "shopads", "delivery_date": TODAY, "first_refused": TODAY,
    "refused": 1, "refusal": "critical rules broke", "rows_quarantined": 40, "opens": True,
}  # fmt: skip
CONFLICT = {
    "strategy_a": "counterfeit-listing-block", "strategy_b": "trusted-seller-boost",
    "channel": "shoptab", "window_end": TODAY, "contradictory_share": 0.4, "items_both": 100,
    "contradictory_items": 40, "actions": "block against boost",
}  # fmt: skip
WHOM = {"strategy_id": "'s'", "channel": "'video'"}
VERDICTS = {
    "judgement.strategy_status": {
        **WHOM, "precision_status": "'needs_audit'", "recall_status": "'needs_audit'",
        "status": "'needs_audit'", "is_recovered": "false", "metric": "'recall'",
        "date": "date '2026-04-10'", "since": "date '2026-04-09'", "reason": "'recall: dropped'",
        "suspected_cause": "'strategy'", "cause_evidence": "'worse everywhere'",
    },
    "judgement.strategy_accuracy": {
        **WHOM, "window_kind": "'28d'", "window_end": "date '2026-04-10'", "version": "1",
        "environment": "'live'", "precision": "0.7", "precision_lo": "0.6", "precision_hi": "0.8",
        "recall": "0.5", "recall_lo": "0.4", "recall_hi": "0.6",
    },
    "judgement.strategy_harm": {
        **WHOM, "polarity": "'restrictive'", "cohorts": "28", "missed_reach_est": "2800.0",
        "missed_reach_lo": "1400.0", "missed_reach_hi": "5600.0", "reach_lost_est": "280.0",
        "reach_lost_lo": "140.0", "reach_lost_hi": "560.0",
    },
    "lake.strategy_goals": {
        "strategy_id": "'s'", "metric": "'recall'", "goal": "0.8",
        "effective_from": "date '2026-01-01'",
    },
    "dim_strategies": {"strategy_id": "'s'", "name": "'Block'", "polarity": "'restrictive'"},
    "dim_strategy_channels": WHOM,
    "channel_trust_days": {
        "channel": "'video'", "date": "date '2026-04-10'", "impressions": "5000",
    },
}  # fmt: skip
"""One strategy, both of whose metrics need an audit, as the verdicts have it; columns as SQL."""

OWNERS = {
    "drift": ("moderation", "P2"),
    "trust_anomaly": ("product", "P2"),
    "launch_guardrail": ("product", "P3"),
    "compliance_gap": ("product", "P3"),
    "data_quality": ("data_platform", "P3"),
    "conflict": ("product", "P3"),
}


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OpsStore]:
    with OpsStore(f"sqlite:///{tmp_path / 'ops.db'}") as opened:
        yield opened


def hand_in(warehouse: Path, source: str, *rows: dict[str, Any]) -> None:
    """Fill a table as a mart or a judgement would."""
    typed = {dt.date: "date", float: "double", str: "varchar"}
    columns = HANDED_IN[source] | (rows[0] if rows else {})
    shape = ", ".join(f'"{name}" {typed[type(value)]}' for name, value in columns.items())
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("create schema if not exists judgement")
        connection.execute(f"create or replace table judgement.findings_{source} ({shape})")
        for row in rows:
            named = ", ".join(f'"{name}"' for name in row)
            marks = ", ".join("?" for _ in row)
            into = f"insert into judgement.findings_{source} ({named}) values ({marks})"
            connection.execute(into, list(row.values()))


def found_by(source: str, warehouse: Path) -> list[Finding]:
    if source in HANDED_IN:
        hand_in(warehouse, source, HANDED_IN[source])
        found, asked = read_findings(warehouse, NOW, DESK.duty, sources=())
        assert source in asked
        return [one for one in found if one.source == source]
    made = {
        "drift": lambda: DROP,
        "data_quality": lambda: noticing.refusal(REFUSED, NOW, DESK.duty),
        "conflict": lambda: noticing.conflict(CONFLICT, NOW, DESK.duty),
    }
    return [made[source]()]


@pytest.mark.parametrize("source", OWNERS)
def test_a_finding_of_every_source_reaches_its_owner_once_and_goes(
    source: str, warehouse: Path, store: OpsStore
) -> None:
    found = found_by(source, warehouse)
    assert take_in_findings(store, DESK, found, {source}, NOW) == {"opened": 1}
    (state,) = store.open_states()
    assert (state.owner_team, state.priority) == OWNERS[source]
    assert state.finding.source == source
    sent: list[tuple[str, str]] = []

    def post(_: str, subject: str, text: str, key: str) -> None:
        sent.append((subject, text))

    room = {route.env: "json://127.0.0.1" for team in DESK.teams.values() for route in
            team.routes.values()}  # fmt: skip
    send_due(store, DESK, NOW + 4 * DAY, room, "http://127.0.0.1:3000", post)
    assert {row["recipient"] for row in store.messages(state.escalation_id)} == {OWNERS[source][0]}
    assert sent[0][0] == f"[{state.priority}] {found[0].title}"
    assert state.priority_reason in sent[0][1]

    again = [replace(one, on=one.on + DAY) for one in found]
    assert take_in_findings(store, DESK, again, {source}, NOW + DAY) == {"occurrence": 1}
    assert take_in_findings(store, DESK, [], {source}, NOW + 2 * DAY) == {"gone": 1}
    (state,) = store.open_states()
    assert state.cleared_at == NOW + 2 * DAY


def test_a_drop_says_only_what_its_own_metric_says_and_the_metric_at_fault_comes_first(
    warehouse: Path,
) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("create schema judgement; create schema lake")
        for name, columns in VERDICTS.items():
            said = ", ".join(f"{value} as {column}" for column, value in columns.items())
            connection.execute(f"create table {name} as select {said}")
        of_both = "select * replace ('precision' as metric) from lake.strategy_goals"
        connection.execute(f"insert into lake.strategy_goals {of_both}")
    (drift,) = (source for source in findings.SOURCES if source.name == "drift")
    (recall, precision), _ = read_findings(warehouse, NOW, DESK.duty, sources=[drift])
    assert (recall.metric, precision.metric) == ("recall", "precision")
    assert recall.title == "Block: recall 50% (40-60) against a goal of 80%"
    assert recall.details == (
        "recall: dropped; suspected cause: strategy, worse everywhere; "
        "100 (50 to 200) impressions a day of what should have been stopped"
    )
    assert precision.details == "10 (5 to 20) impressions a day taken from honest sellers"
    assert (recall.since, precision.since) == (TODAY - DAY, None)
    assert (recall.exposure, recall.channel_impressions, recall.channel) == (200, 5000, "video")


def test_a_refused_delivery_that_grew_old_opens_nothing_and_is_not_mended_by_that(
    warehouse: Path, store: OpsStore
) -> None:
    (refusals,) = (source for source in findings.SOURCES if source.name == "refused deliveries")
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("create schema lake")
        connection.execute("create table lake.deliveries (feed varchar, channel varchar,"
                           " delivery_date date, state varchar, refusal varchar,"
                           " rows_quarantined bigint)")  # fmt: skip

    def deliver(day: dt.date, state: str) -> dict[str, int]:
        with duckdb.connect(str(warehouse)) as connection:
            connection.execute(
                "delete from lake.deliveries where delivery_date = $day", {"day": day}
            )
            row = ["decisions", "video", day, state, "critical rules broke", 40]
            connection.execute("insert into lake.deliveries values (?, ?, ?, ?, ?, ?)", row)
        found, asked = read_findings(warehouse, NOW, DESK.duty, sources=[refusals])
        return dict(take_in_findings(store, DESK, found, asked, NOW))

    assert deliver(TODAY, "refused") == {"opened": 1}
    assert deliver(TODAY + 40 * DAY, "accepted") == {"known": 1}
    assert deliver(TODAY - 5 * DAY, "refused") == {"known": 1}
    assert deliver(TODAY, "accepted") == {"known": 1}
    assert deliver(TODAY - 5 * DAY, "accepted") == {"gone": 1}
    (state,) = store.open_states()
    assert state.cleared_at == NOW
    assert deliver(TODAY, "refused") == {"occurrence": 1}
    (state,) = store.open_states()
    assert state.cleared_at is None
    with OpsStore("sqlite://") as another:
        found, asked = read_findings(warehouse, NOW, DESK.duty, sources=[refusals])
        assert take_in_findings(another, DESK, found, asked, NOW) == {"past": 1}


def test_each_source_has_fingerprints_of_its_own(warehouse: Path, store: OpsStore) -> None:
    found = [one for source in OWNERS for one in found_by(source, warehouse)]
    apart = [replace(one, strategy_id=None, policy=None) for one in found]
    assert take_in_findings(store, DESK, apart, set(OWNERS), NOW) == {"opened": len(OWNERS)}


def test_a_table_says_all_that_a_finding_knows(warehouse: Path) -> None:
    row = HANDED_IN["trust_anomaly"]
    hand_in(warehouse, "trust_anomaly", row, {**row, "category": "beauty"})
    (beauty, toys), _ = read_findings(warehouse, NOW, DESK.duty, sources=())
    assert toys == replace(beauty, category="toys")
    said = {("on" if name == "found_on" else name): value for name, value in row.items()}
    assert {name: getattr(toys, name) for name in said} == said
    assert (toys.requester, toys.detected_at, toys.is_ongoing) == (DESK.duty, NOW, True)


def test_an_empty_table_finds_nothing_and_a_missing_one_is_not_asked(warehouse: Path) -> None:
    hand_in(warehouse, "trust_anomaly")
    assert read_findings(warehouse, NOW, DESK.duty, sources=()) == ([], {"trust_anomaly"})


@pytest.mark.parametrize(
    ("table", "columns", "said"),
    [
        ("findings_weather", "'x' as type, 'x' as title, current_date as found_on",
         "findings_weather is named after no source of findings; those are drift"),
        ("findings_person", "'request' as type, 'x' as title, current_date as found_on",
         "is named after no source"),
        ("findings_trust_anomaly", "'metric_drop' as type, current_date as found_on, 1 as mood",
         "without title and with mood that no finding has"),
        ("findings_trust_anomaly", "'dip' as type, 'x' as title, current_date as found_on",
         "the finding 'x' of .* is of type 'dip'; fill in type, title, found_on"),
        ("findings_trust_anomaly",
         "'metric_drop' as type, null::varchar as title, current_date as found_on", "fill in"),
    ],
)  # fmt: skip
def test_what_is_no_finding_is_refused_in_one_sentence(
    warehouse: Path, table: str, columns: str, said: str
) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(f"create table {table} as select {columns}")
    with pytest.raises(WarehouseError, match=said):
        read_findings(warehouse, NOW, DESK.duty, sources=())


def test_clocks_and_messages_go_on_where_the_verdicts_cannot_be_read(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    make_home(settings.paths, TODAY, example=True)
    apply_registry(settings.paths.registry, settings.paths.lake, TODAY)
    with OpsStore(settings.store_url) as store:
        take_in_findings(store, DESK, [DROP], {"drift"}, NOW)
        duckdb.connect(str(settings.paths.warehouse)).close()
        with pytest.raises(WarehouseError, match=f"{findings.SOURCES[0].name} cannot be asked"):
            run_desk(settings, dt.datetime.now(dt.UTC), {})
        (state,) = store.open_states()
        assert state.told
        first = store.messages(state.escalation_id)[0]
        assert (first["kind"], first["state"]) == ("opened", "no_address")
