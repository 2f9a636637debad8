"""What is said of the desk: medians that know of open ones, shares over what could have been."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.duration.survfunc import SurvfuncRight

from governance_pipeline.domain.desk_metrics import DeskTables, desk_metrics, median_survival
from tests.unit.desks import HOUR, NOW

DAY = dt.timedelta(days=1)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=60),
)
def test_medians_are_those_of_another_library(cases: list[tuple[int, bool]]) -> None:
    hours = np.array([float(h) for h, _ in cases])
    over = np.array([float(o) for _, o in cases])
    median, low, high = median_survival(hours, over)
    if not over.any():
        assert np.isnan(median)
        return
    other = SurvfuncRight(hours, over)
    reached = other.surv_prob <= 0.5 + 1e-12
    if not reached.any():
        assert np.isnan(median)
        return
    assert median == other.surv_times[np.argmax(reached)]
    assert low <= median <= high
    if len(set(hours)) > 2 and other.surv_prob.min() > 0:
        expected = other.quantile_ci(0.5, method="cloglog")
        assert low == pytest.approx(expected[0])
        assert high == pytest.approx(expected[1]) or not np.isfinite(expected[1])


def tables(rows: list[dict[str, Any]]) -> DeskTables:
    escalations, events, clocks = [], [], []
    for number, row in enumerate(rows):
        key = f"e{number}"
        status = row.get("status", "IN_PROGRESS")
        escalations.append({
            "escalation_id": key, "priority": row.get("priority", "P2"), "status": status,
            "source": row.get("source", "drift"), "detected_at": row.get("detected_at", NOW),
            "is_open": status not in ("CLOSED", "REJECTED"), "result_code": row.get("code"),
        })  # fmt: skip
        for kind, hours in row.get("events", {}).items():
            to = {"accepted": "CLOSED", "rejected": "REJECTED"}.get(kind, "IN_PROGRESS")
            at = NOW + hours * HOUR
            events.append({"escalation_id": key, "kind": kind, "at": at, "to_status": to})
        for kind, (due, outcome) in row.get("clocks", {}).items():
            clocks.append({
                "escalation_id": key, "kind": kind, "due_at": NOW + due * HOUR, "outcome": outcome,
            })  # fmt: skip
    return DeskTables(
        pd.DataFrame(escalations),
        pd.DataFrame(events, columns=["escalation_id", "kind", "at", "to_status"]),
        pd.DataFrame(clocks, columns=["escalation_id", "kind", "due_at", "outcome"]),
        NOW + 100 * HOUR,
    )


def figure(desk: DeskTables, metric: str, priority: str = "all", source: str = "all") -> Any:
    found = desk_metrics(desk, NOW, reopen_days=2)
    chosen = found.query("metric == @metric and priority == @priority and source == @source")
    return chosen.iloc[0]


def test_what_goes_on_makes_the_median_longer() -> None:
    owed = {"resolve": (48, "running")}
    done = [{"events": {"resolved": h}, "clocks": owed} for h in (10, 20, 30)]
    fast = figure(tables(done), "hours_to_resolve")
    with_open = figure(tables([*done, {"clocks": owed}, {"clocks": owed}]), "hours_to_resolve")
    assert (fast["value"], with_open["value"]) == (20, 30)
    assert (with_open["n"], with_open["events"]) == (5, 3)
    unknown = figure(tables([done[0], *[{"clocks": owed}] * 4]), "hours_to_resolve")
    assert pd.isna(unknown["value"])
    assert unknown["null_reason"] == "less than half is over"


def test_what_was_turned_down_stops_counting_when_it_was() -> None:
    owed = {"resolve": (48, "cancelled")}
    rejected = [{"status": "REJECTED", "events": {"rejected": 1}, "clocks": owed}] * 50
    resolved = [{"events": {"resolved": h}, "clocks": owed} for h in (10, 20, 30)]
    assert figure(tables([*rejected, *resolved]), "hours_to_resolve")["value"] == 20


def test_only_what_owed_a_mitigation_is_slow_at_it() -> None:
    owing = {"events": {"mitigated": 5}, "clocks": {"mitigate": (12, "met")}}
    assert figure(tables([owing, {"priority": "P3"}]), "hours_to_mitigate")["n"] == 1


def test_breaches_are_counted_over_clocks_that_fell_due() -> None:
    desk = tables([
        {"clocks": {"resolve": (10, "met")}},
        {"clocks": {"resolve": (10, "breached")}},
        {"clocks": {"resolve": (99, "running")}},
        {"clocks": {"resolve": (101, "running")}},
        {"clocks": {"resolve": (-1, "breached")}},
        {"clocks": {"resolve": (10, "cancelled")}},
    ])  # fmt: skip
    rate = figure(desk, "breach_rate_resolve")
    assert (rate["n"], rate["events"]) == (3, 2)
    assert 0 < rate["value_lo"] < rate["value"] < rate["value_hi"] < 1


def test_only_what_had_time_to_come_back_counts_as_not_reopened() -> None:
    desk = tables([
        {"events": {"delivered": 10, "reopened": 20}},
        {"events": {"delivered": 10, "reopened": 90}},
        {"events": {"delivered": 10}},
        {"events": {"delivered": 99}},
    ])  # fmt: skip
    rate = figure(desk, "reopen_rate")
    assert (rate["n"], rate["events"]) == (3, 1)


def test_a_source_that_cries_wolf_is_named() -> None:
    def closed(source: str, code: str) -> dict[str, Any]:
        return {"status": "CLOSED", "source": source, "code": code, "events": {"accepted": 9}}

    desk = tables([
        closed("drift", "strategy_fixed"), closed("drift", "threshold_tuned"),
        closed("trust_anomaly", "no_defect_found"), closed("trust_anomaly", "strategy_fixed"),
    ])  # fmt: skip
    assert figure(desk, "escalation_precision", source="drift")["value"] == 1
    assert figure(desk, "escalation_precision", source="trust_anomaly")["value"] == 0.5
    assert figure(desk, "escalation_precision")["n"] == 4


def test_an_idle_desk_says_why_it_has_no_numbers() -> None:
    desk = tables([{"status": "REJECTED", "events": {"rejected": 1}}])
    found = desk_metrics(desk, NOW)
    assert found["value"].isna().all()
    assert found["null_reason"].notna().all()
    assert figure(desk, "backlog_age_p50_hours")["null_reason"] == "nothing is open"
