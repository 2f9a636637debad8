"""The audit plan: who gets labels, what they will show, and what stays unprovable."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from governance_pipeline.domain.planning import plan_rows, propose_plan
from governance_pipeline.errors import InputError

AS_OF = dt.date(2026, 3, 31)
DAYS = pd.date_range(end=AS_OF, periods=35)
STRATA = {
    "fired/4": (True, 60, 0.9),
    "unfired/1": (False, 400, 0.004),
    "unfired/3": (False, 40, 0.2),
}


def frame(*lanes: tuple[str, str], rate: float = 0.1, size: float = 1.0) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "strategy_id": strategy, "version": 1, "channel": channel, "environment": "live",
            "decision_date": day, "is_fired": fired, "stratum": stratum, "fine_bin": 10,
            "population": n * size, "reach": n * size * 50, "expected_draws": n * size * rate,
            "min_probability": rate, "drawn": round(n * size * rate),
        }
        for strategy, channel in lanes
        for day in DAYS
        for stratum, (fired, n, _) in STRATA.items()
    )  # fmt: skip


def draws(*lanes: tuple[str, str], lag: int = 3) -> pd.DataFrame:
    """Forty labels a lane and stratum, spread over four weeks, at the strata's true rates."""
    return pd.DataFrame(
        {
            "strategy_id": strategy, "version": 1, "channel": channel, "environment": "live",
            "decision_date": DAYS[k % 28], "decision_id": f"{strategy}{channel}{stratum}{k}",
            "is_fired": fired, "stratum": stratum, "fine_bin": 10, "inclusion_probability": 0.1,
            "reach": 10.0 + 3 * k, "gmv": 1.0,
            "verdict": "should_fire" if k < round(40 * p) else "should_not_fire",
            "known_on": DAYS[k % 28] + pd.Timedelta(days=lag), "lag_days": lag,
        }
        for strategy, channel in lanes
        for stratum, (fired, _, p) in STRATA.items()
        for k in range(40)
    )  # fmt: skip


def strategies(*names: str, **changes: str) -> pd.DataFrame:
    row = {"lifecycle": "live", "policy": "spam", "audit_sample": "pipeline"} | changes
    return pd.DataFrame([{"strategy_id": name, **row} for name in names])


def goals(*names: str, recall: float | None = 0.7, half_width: float = 0.1) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "strategy_id": name, "metric": metric, "effective_from": dt.date(2026, 1, 1),
            "goal": goal, "tolerance": 0.03, "evidence_half_width": half_width,
        }
        for name in names
        for metric, goal in (("precision", 0.9), ("recall", recall))
    )  # fmt: skip


NO_DRIFT = pd.DataFrame(
    {"strategy_id": pd.Series(dtype=str), "channel": "", "date": pd.NaT, "mode": "", "e_value": 1.0}
)
NO_STATUS = pd.DataFrame({"strategy_id": pd.Series(dtype=str), "channel": "", "status": ""})
NO_REVIEWS = pd.DataFrame(
    {"policy": pd.Series(dtype=str), "channel": "", "decision_date": pd.NaT, "draws": 1,
     "reviews": 1}
)  # fmt: skip


def propose(
    lanes: list[tuple[str, str]], budget: float | None = None, **changes: object
) -> pd.DataFrame:
    names = sorted({name for name, _ in lanes})
    given = {
        "frame": frame(*lanes), "draws": draws(*lanes), "strategies": strategies(*names),
        "goals": goals(*names), "drift": NO_DRIFT, "status": NO_STATUS, "reviews": NO_REVIEWS,
    }  # fmt: skip
    return propose_plan(AS_OF, budget=budget, **given | changes)  # type: ignore[arg-type]


def labels(plan: pd.DataFrame) -> dict[str, float]:
    own = plan[plan["channel"] != "all"]
    return {str(k): float(v) for k, v in own.groupby("strategy_id")["labels"].sum().items()}


ABC = [("a", "lives"), ("b", "lives"), ("c", "video")]


def test_what_is_spent_now_is_the_budget_where_none_is_given() -> None:
    plan = propose(ABC)
    assert plan["labels"].sum() == pytest.approx(3 * 50.0)
    assert plan["labels_now"].sum() == pytest.approx(3 * 50.0)
    assert sorted(plan["stratum"].unique()) == sorted(STRATA)
    assert len(plan) == 9


@pytest.mark.parametrize("budget", [30.0, 90.0, 400.0])
def test_a_plan_spends_its_budget_and_draws_nothing_for_certain_that_it_need_not(
    budget: float,
) -> None:
    plan = propose(ABC, budget)
    assert plan["labels"].sum() == pytest.approx(budget)
    assert (plan["inclusion_probability"] > 0).all()
    assert (plan["inclusion_probability"] <= 1).all()
    assert (plan["labels"] <= plan["population"] * (1 + 1e-9)).all()
    assert (plan["labels"] * 28 >= 2 - 1e-9).all()


def test_more_units_than_the_budget_can_buy_are_not_needed() -> None:
    plan = propose(ABC, 1e9)
    assert plan["labels"].tolist() == pytest.approx(plan["population"].tolist())
    assert (plan["inclusion_probability"] == 1).all()


def test_a_strategy_with_rising_evidence_gets_labels_from_the_others() -> None:
    days = [pd.Timestamp(day) for day in ("2026-03-31", "2026-03-31", "2026-03-01")]
    drift = pd.DataFrame(
        {"strategy_id": ["a", "b", "b"], "channel": "lives", "date": days, "e_value": [1.0, 9, 1]}
    ).assign(mode="goal")
    # Only the goals' evidence asks for labels; a baseline's is watched and raises no alarm.
    baseline = drift.assign(mode="baseline", e_value=[99.0, 1, 1])
    drift = pd.concat([drift, baseline], ignore_index=True)
    got = labels(propose(ABC, drift=drift))
    assert got["a"] == pytest.approx(got["c"])
    assert 2 * got["a"] < got["b"] < 4 * got["a"]
    status = pd.DataFrame({"strategy_id": ["b"], "channel": ["all"], "status": ["needs_audit"]})
    proven = labels(propose(ABC, drift=drift, status=status))
    assert proven["b"] == pytest.approx(50.0)


def test_evidence_of_the_whole_strategy_counts_for_each_of_its_channels() -> None:
    lanes = [("a", "lives"), ("a", "video"), ("b", "lives")]
    drift = pd.DataFrame(
        {"strategy_id": ["a"], "channel": ["all"], "date": [pd.Timestamp(AS_OF)], "e_value": [8.0]}
    ).assign(mode="goal")
    plan = propose(lanes, drift=drift)
    own = plan[plan["channel"] != "all"].groupby(["strategy_id", "channel"])["labels"].sum()
    assert own["a", "lives"] == pytest.approx(own["a", "video"])
    assert own["a", "lives"] > own["b", "lives"]


def test_a_strategy_on_several_channels_is_also_spoken_of_as_a_whole() -> None:
    plan = propose([("a", "lives"), ("a", "video"), ("b", "lives")])
    whole = plan[plan["channel"] == "all"]
    assert whole[["strategy_id", "stratum"]].to_numpy().tolist() == [["a", "all"]]
    parts = plan[(plan["strategy_id"] == "a") & (plan["channel"] != "all")]
    assert whole["labels"].iloc[0] == pytest.approx(parts["labels"].sum())
    assert whole["precision_half_width"].iloc[0] < parts["precision_half_width"].min()
    assert whole["precision_days_to_detect"].iloc[0] < parts["precision_days_to_detect"].min()


def test_what_upstream_draws_or_nobody_judges_keeps_its_draws_and_its_place_in_the_budget() -> None:
    one = strategies("a", "c")
    upstream = pd.concat([one, strategies("b", audit_sample="upstream")])
    plan = propose(ABC, 180.0, strategies=upstream)
    assert labels(plan) == pytest.approx({"a": 65.0, "b": 50.0, "c": 65.0})
    assert set(plan_rows(plan)["strategy_id"]) == {"a", "c"}
    aimless = goals("a", "b", "c")
    aimless.loc[aimless["strategy_id"] == "c", "goal"] = np.nan
    plan = propose(ABC, goals=aimless)
    said = plan.loc[plan["strategy_id"] == "c", "unprovable"]
    assert set(said) == {"neither metric has a goal"}


def test_a_review_that_two_strategies_share_buys_two_labels() -> None:
    reviews = pd.DataFrame(
        {"policy": ["spam"], "channel": ["lives"], "decision_date": [pd.Timestamp(AS_OF)],
         "draws": [100], "reviews": [50]}
    )  # fmt: skip
    got = labels(propose(ABC, 100.0, reviews=reviews))
    assert (got["a"] + got["b"]) / 2 + got["c"] == pytest.approx(100.0)


def test_paused_and_silent_strategies_are_not_planned_for() -> None:
    paused = pd.concat([strategies("a", "b"), strategies("c", lifecycle="paused")])
    assert set(propose(ABC, strategies=paused)["strategy_id"]) == {"a", "b"}
    old = frame(("c", "video")).assign(decision_date=pd.Timestamp("2026-02-01"))
    plan = propose(ABC, frame=pd.concat([frame(*ABC[:2]), old]), draws=draws(*ABC[:2]))
    assert set(plan["strategy_id"]) == {"a", "b"}


def test_the_plan_says_what_its_budget_cannot_prove_and_what_would() -> None:
    rich, poor = propose(ABC, 1400.0), propose(ABC, 30.0)
    assert rich["unprovable"].isna().all()
    assert rich["precision_detectable_drop"].max() <= 0.10
    assert poor["unprovable"].str.contains("recall: .*a 10-point drop takes").all()
    assert (poor["recall_days_to_detect"] > 90).all()
    needed = poor["labels_needed"].iloc[0]
    assert 10 < needed < 500
    enough = propose(ABC, 3 * needed)
    assert enough["recall_days_to_detect"].iloc[0] == pytest.approx(90, rel=0.15)
    strict = propose(ABC, goals=goals("a", "b", "c", half_width=0.01))
    assert strict["unprovable"].str.contains("precision: half-width 0.0. above 0.01").all()


def test_an_interval_is_too_wide_from_the_evidence_half_width_on() -> None:
    wide = propose(ABC)["precision_half_width"].iloc[0]
    just, not_quite = (
        propose(ABC, goals=goals("a", "b", "c", half_width=wide * factor))
        for factor in (1.01, 0.99)
    )
    assert not just["unprovable"].str.contains("precision: half-width", na=False).any()
    assert not_quite["unprovable"].str.contains("precision: half-width").all()


def test_without_a_goal_for_recall_the_labels_go_to_what_fired() -> None:
    both = propose([ABC[0]])
    only = propose([ABC[0]], goals=goals("a", recall=None))
    fired = both["is_fired"].fillna(False).astype(bool)
    assert only.loc[fired, "labels"].sum() > both.loc[fired, "labels"].sum()
    assert only["recall_days_to_detect"].isna().all()


def test_few_labels_are_drawn_evenly_and_many_partly_by_reach() -> None:
    few, many = propose(ABC, 15.0), propose(ABC, 150.0)
    assert few["reach_scale"].isna().all()
    assert many["reach_scale"].tolist() == pytest.approx([50.0] * 9)
    assert set(plan_rows(few)["reach_share"]) == {0.0}
    assert set(plan_rows(many)["reach_share"]) == {0.3}


def test_only_the_version_in_force_is_planned_for() -> None:
    newer = frame(("a", "lives")).assign(version=2)
    newer = newer[newer["decision_date"] > pd.Timestamp(AS_OF) - pd.Timedelta(days=3)]
    older = frame(("a", "lives"))
    older = older[older["decision_date"] <= pd.Timestamp(AS_OF) - pd.Timedelta(days=3)]
    plan = propose([ABC[0]], frame=pd.concat([older, newer]))
    assert set(plan["version"]) == {2}
    assert plan["population"].sum() == pytest.approx(500.0)


def test_a_plan_does_not_depend_on_the_order_of_rows() -> None:
    counted, known = frame(*ABC, rate=0.123), draws(*ABC)
    known["inclusion_probability"] = np.random.default_rng(2).uniform(0.05, 0.9, len(known))
    one = propose(ABC, frame=counted, draws=known)
    for seed in range(3):
        mixed = propose(
            ABC,
            frame=counted.sample(frac=1, random_state=seed, ignore_index=True),
            draws=known.sample(frac=1, random_state=seed, ignore_index=True),
        )
        pd.testing.assert_frame_equal(mixed, one, check_exact=True)


def test_a_home_without_decisions_has_an_empty_plan_of_the_same_types() -> None:
    full, empty = propose(ABC), propose(ABC, frame=frame(*ABC).iloc[:0])
    assert empty.empty
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()


@pytest.mark.parametrize("budget", [0.0, -3.0, float("nan"), float("inf"), 0.5])
def test_a_budget_that_is_none_or_too_small_is_refused(budget: float) -> None:
    with pytest.raises(InputError, match="budget"):
        propose(ABC, budget)
