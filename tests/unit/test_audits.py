"""After the alarm: causes, recovery, closing the audit, baselines and delays, end to end."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from governance_pipeline.domain.judgement import Judgement
from tests.unit.markets import (
    DAYS,
    DROP_DAY,
    FIRST,
    Market,
    Tables,
    changed,
    of_strategies,
    simulate,
)

LONG = 110


def day(number: int) -> pd.Timestamp:
    return pd.Timestamp(FIRST + dt.timedelta(days=number))


def closed(number: int, strategy_id: str = "s00") -> pd.DataFrame:
    return pd.DataFrame(
        {"strategy_id": [strategy_id], "kind": "audit_closed", "effective_on": [day(number)]}
    )


def goal_evidence(found: Judgement, metric: str = "precision") -> pd.Series:
    drift = found.drift[(found.drift["mode"] == "goal") & (found.drift["metric"] == metric)]
    return drift.set_index("date")["e_value"]


def of_day(found: Judgement, number: int) -> pd.Series:
    rows = of_strategies(found)
    return rows[rows["date"] == day(number)].iloc[0]


@pytest.fixture(scope="module")
def passing() -> Tables:
    """A drop of precision that ends after two weeks."""
    market = Market(
        strategies=1, days=LONG, drops={0: "precision"}, drop_ends=DROP_DAY + 14
    )  # fmt: skip
    return simulate(21, market)


def test_a_drop_that_is_over_is_shown_as_recovered_and_still_needs_its_audit(
    passing: Tables,
) -> None:
    rows = of_strategies(passing.judge(LONG)).set_index("date")
    assert rows["status"].iloc[-1] == "needs_audit"
    assert rows["is_recovered"].iloc[-1]
    # Nothing decided since the alarm can be mature in the first week after it.
    alarm = rows.index[rows["status"] == "needs_audit"][0]
    assert not rows["is_recovered"][: alarm + pd.Timedelta(days=7)].any()


def test_a_drop_that_lasts_is_never_shown_as_recovered() -> None:
    tables = simulate(22, Market(strategies=2, drops={0: "precision", 1: "recall"}))
    assert not tables.judge().status_days["is_recovered"].any()


def test_closing_the_audit_begins_anew_from_its_day_and_changes_no_day_before(
    passing: Tables,
) -> None:
    end = DROP_DAY + 30
    before, after = passing.judge(LONG), passing.judge(LONG, interventions=closed(end))
    old, new = of_strategies(before), of_strategies(after)
    is_past = (old["date"] < day(end)).to_numpy()
    pd.testing.assert_frame_equal(old[is_past], new[is_past])
    assert of_day(before, end)["status"] == "needs_audit"
    assert of_day(after, end)["status"] != "needs_audit"
    assert goal_evidence(after)[day(end)] < 1.0
    assert of_day(after, LONG - 1)["status"] == "healthy"


def test_a_drop_that_goes_on_after_its_audit_was_closed_is_found_again() -> None:
    tables = simulate(23, Market(strategies=1, drops={0: "precision"}))
    end = DROP_DAY + 20
    found = tables.judge(interventions=closed(end))
    assert of_day(found, end)["status"] != "needs_audit"
    again = of_day(found, DAYS - 1)
    assert again["status"] == "needs_audit"
    assert again["since"] >= day(end)


def test_restarts_use_up_starts_and_never_make_new_evidence() -> None:
    tables = simulate(24, Market(strategies=1, drops={}))
    often = pd.concat([closed(n) for n in range(20, 80, 3)], ignore_index=True)
    assert goal_evidence(tables.judge(interventions=often)).max() < 20


def test_a_fall_above_the_goal_is_watched_and_raises_no_alarm() -> None:
    market = Market(
        strategies=1, days=130, precision_margin=0.09, precision_drop=0.08,
        drops={0: "precision"}, drop_day=85,
    )  # fmt: skip
    tables = simulate(25, market)
    # From .90 to .97 with the margin; the drop stays above the goal less its tolerance.
    rows = of_strategies(tables.judge(130)).set_index("date")
    assert not (rows["status"] == "needs_audit").any()
    assert rows["precision_status"].iloc[-1] == "watch"
    assert "no longer what it was" in rows["reason"].iloc[-1]
    assert set(rows["precision_status"][day(60) : day(84)]) == {"healthy"}


def test_a_baseline_is_bet_on_only_after_its_reference_is_frozen() -> None:
    tables = simulate(26, Market(strategies=2, drops={}))
    drift = tables.judge().drift
    for mode in ("baseline", "baseline_fast"):
        level = drift[drift["mode"] == mode].dropna(subset="level")
        assert level["date"].min() > day(59)
        assert (level.groupby(["strategy_id", "metric"])["level"].nunique() == 1).all()


def later_errors(tables: Tables, days: int) -> Tables:
    """Let verdicts that a strategy erred come back some days later than the others."""
    draws = tables.draws.copy()
    says_fire = draws["verdict"] == "should_fire"
    is_error = (says_fire != draws["is_fired"]) & (draws["verdict"] != "unsure")
    known = pd.to_datetime(draws["known_on"]) + pd.to_timedelta(is_error * days, unit="D")
    return changed(tables, draws=draws.assign(known_on=known.dt.date))


def test_errors_that_come_back_later_raise_no_alarm_and_hide_no_drop() -> None:
    steady = later_errors(simulate(27, Market(strategies=6, drops={})), 4)
    assert not (steady.judge().status_days["status"] == "needs_audit").any()
    dropped = later_errors(simulate(28, Market(strategies=3, drops={1: "precision"})), 4)
    rows = of_strategies(dropped.judge())
    assert set(rows[rows["status"] == "needs_audit"]["strategy_id"]) == {"s01"}
    assert rows[rows["status"] == "needs_audit"]["suspected_cause"].iloc[-1] == "strategy"


def test_a_sample_of_fixed_size_per_stratum_is_judged_by_its_own_bet() -> None:
    tables = simulate(29, Market(strategies=6, drops={2: "precision", 4: "recall"}))
    fixed = tables.strategies.assign(audit_sample="upstream_fixed")
    found = changed(tables, strategies=fixed).judge()
    rows = of_strategies(found)
    accused = rows[rows["status"] == "needs_audit"]
    assert set(accused["strategy_id"]) == {"s02", "s04"}
    assert accused.groupby("strategy_id")["date"].min().max() <= day(DROP_DAY + 28)


def last_alarm(found: Judgement) -> pd.Series:
    rows = of_strategies(found)
    return rows[rows["status"] == "needs_audit"].iloc[-1]


def test_a_drop_whose_cohorts_are_still_out_names_the_labels_as_a_candidate() -> None:
    rows = of_strategies(simulate(38, Market(strategies=1, drops={0: "precision"})).judge())
    first = rows[rows["status"] == "needs_audit"].iloc[0]
    assert "under 90% labelled" in first["cause_evidence"]


def test_a_strategy_that_gets_worse_on_the_same_traffic_is_the_cause_itself() -> None:
    found = simulate(30, Market(strategies=1, drops={0: "precision"})).judge()
    alarm = last_alarm(found)
    assert alarm["suspected_cause"] == "strategy"
    assert "rate -0." in alarm["cause_evidence"]


def test_a_version_deployed_in_the_weeks_in_question_is_named() -> None:
    tables = simulate(31, Market(strategies=1, drops={0: "precision"}))
    both = {
        name: getattr(tables, name).assign(
            version=lambda rows: 1 + (pd.to_datetime(rows["decision_date"]) >= day(DROP_DAY))
        )
        for name in ("frame", "draws")
    }
    alarm = last_alarm(changed(tables, **both).judge())
    assert alarm["suspected_cause"] == "new_version"
    assert f"version 2 decides since {day(DROP_DAY):%Y-%m-%d}" in alarm["cause_evidence"]


def test_a_change_of_traffic_is_told_from_a_worse_strategy() -> None:
    """Two categories, as good as ever each; the hard one takes over on the day of the drop."""
    tables = simulate(32, Market(strategies=1, drops={0: "precision"}))
    rng = np.random.default_rng(1)
    easy, hard = 0.05, 0.60
    draws = tables.draws
    at = (pd.to_datetime(draws["decision_date"]) - pd.Timestamp(FIRST)).dt.days
    is_error = (draws["verdict"] == "should_not_fire").to_numpy()
    fired = draws["is_fired"].to_numpy(dtype=bool)
    late = (at >= DROP_DAY).to_numpy()
    category = np.full(len(draws), "easy", dtype=object)
    for period in (late, ~late):
        errors = is_error[period & fired].mean()
        share = (errors - easy) / (hard - easy)
        given_error, given_right = share * hard / errors, share * (1 - hard) / (1 - errors)
        chance = np.where(is_error, given_error, given_right)
        category[period & (rng.random(len(draws)) < chance)] = "hard"
    alarm = last_alarm(changed(tables, draws=draws.assign(category=category)).judge())
    assert alarm["suspected_cause"] == "traffic_mix"
    assert "mix over category" in alarm["cause_evidence"]


def test_reviewers_who_err_more_are_named_with_the_drop_they_would_make() -> None:
    tables = simulate(33, Market(strategies=1, drops={0: "precision"}))
    golden = pd.DataFrame(
        {
            "date": [day(n) for n in range(DAYS)],
            "asked": 20,
            "correct": [20 if n < DROP_DAY else 16 for n in range(DAYS)],
        }
    )
    alarm = last_alarm(tables.judge(golden=golden))
    assert alarm["suspected_cause"] == "reviewers"
    assert "golden accuracy changed by -0." in alarm["cause_evidence"]
    fine = golden.assign(correct=20)
    assert last_alarm(tables.judge(golden=fine))["suspected_cause"] == "strategy"


def test_a_version_in_shadow_is_measured_beside_the_live_one_and_has_no_status() -> None:
    tables = simulate(34, Market(strategies=1, drops={}, days=40))
    both = {
        name: pd.concat(
            [
                table,
                table.assign(version=2, environment="shadow").pipe(
                    lambda rows: (
                        rows.assign(decision_id=rows["decision_id"] + "s")
                        if "decision_id" in rows
                        else rows
                    )
                ),
            ],
            ignore_index=True,
        )
        for name, table in (("frame", tables.frame), ("draws", tables.draws))
    }
    alone, found = tables.judge(40), changed(tables, **both).judge(40)
    shadow = found.accuracy[found.accuracy["environment"] == "shadow"]
    live = found.accuracy[found.accuracy["environment"] == "live"]
    assert set(shadow["version"]) == {2}
    np.testing.assert_array_equal(shadow["precision"], live["precision"])
    pd.testing.assert_frame_equal(found.status_days, alone.status_days)
    pd.testing.assert_frame_equal(found.drift, alone.drift)


def test_appeals_are_counted_from_the_day_they_were_decided() -> None:
    tables = simulate(35, Market(strategies=1, drops={}, days=40))
    appeals = pd.DataFrame(
        {
            "strategy_id": "s00", "version": 1, "channel": "shoptab", "environment": "live",
            "decision_date": [FIRST + dt.timedelta(days=n) for n in (5, 5, 6, 30)],
            "decided_date": [FIRST + dt.timedelta(days=n) for n in (8, 20, 9, 60)],
            "outcome": ["reversed", "upheld", "partially_reversed", "reversed"],
        }
    )  # fmt: skip
    accuracy = tables.judge(40, appeals=appeals).accuracy
    recent = accuracy[accuracy["window_kind"] == "28d"].set_index("window_end")
    rate = recent["overturn_rate"]
    assert np.isnan(rate[day(7)])
    assert rate[day(8)] == 1.0
    assert rate[day(20)] == pytest.approx(2 / 3)
    # The decisions of day 5 leave the window on day 33, those of day 6 a day later.
    assert rate[day(33)] == 1.0
    assert np.isnan(rate[day(34)])
    to_date = accuracy[accuracy["window_kind"] == "to_date"].iloc[-1]
    assert to_date["overturn_rate"] == pytest.approx(2 / 3)
    fired = tables.frame.loc[tables.frame["is_fired"], "population"].sum()
    assert to_date["appeal_proxy_precision"] == pytest.approx(1 - 2 / fired)


def test_where_everything_is_labelled_harm_is_a_count() -> None:
    market = Market(strategies=1, drops={}, days=20, units=60, lags=(0, 0), missing=0, unsure=0)
    tables = simulate(36, market)
    keys = ["decision_date", "is_fired", "fine_bin", "stratum"]
    draws = tables.draws.assign(inclusion_probability=1.0, gmv=lambda rows: rows["reach"] * 2.0)
    sums = draws.groupby(keys).agg(
        population=("reach", "size"), reach=("reach", "sum"), gmv=("gmv", "sum")
    )
    frame = sums.reset_index().assign(
        strategy_id="s00", version=1, channel="shoptab", environment="live", min_probability=1.0,
        expected_draws=lambda rows: rows["population"], drawn=lambda rows: rows["population"],
    )  # fmt: skip
    counted = changed(tables, frame=frame, draws=draws)
    wrong = draws[draws["is_fired"].astype(bool) & (draws["verdict"] == "should_not_fire")]
    missed = draws[~draws["is_fired"].astype(bool) & (draws["verdict"] == "should_fire")]
    harm = counted.judge(20, currency="USD").harm.set_index("channel").loc["all"]
    assert harm["wrongly_restricted_est"] == pytest.approx(len(wrong))
    assert harm["reach_lost_est"] == pytest.approx(wrong["reach"].sum())
    assert harm["gmv_lost_est"] == pytest.approx(wrong["gmv"].sum())
    assert harm["missed_reach_est"] == pytest.approx(missed["reach"].sum())
    assert np.isnan(harm["wrongly_boosted_est"])
    assert harm["reach_basis"] == "forecast"
    boost = tables.strategies.assign(polarity="boost", action="boost")
    harm = changed(counted, strategies=boost).judge(20).harm.iloc[0]
    assert harm["wrongly_boosted_est"] == pytest.approx(len(wrong))
    assert harm["not_boosted_reach_est"] == pytest.approx(missed["reach"].sum())
    assert np.isnan(harm["reach_lost_est"])


def test_money_in_several_currencies_is_null_and_says_so() -> None:
    harm = simulate(37, Market(strategies=1, drops={}, days=30)).judge(30).harm
    assert harm["gmv_lost_est"].isna().all()
    assert harm["null_reason"].str.contains("several currencies").all()
