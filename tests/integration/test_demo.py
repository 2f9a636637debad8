"""The promise of the demo: what was planted is found, and nothing else."""

import hashlib
import json
import shutil
from pathlib import Path

import dagster as dg
import duckdb
import numpy as np
import pandas as pd
import pytest

from governance_pipeline.adapters.catalogue import published_relations
from governance_pipeline.adapters.home import dagster_instance
from governance_pipeline.paths import Paths
from governance_pipeline.simulation.people import REVIEWERS
from tests.conftest import run_governance

FOUND_WITHIN_DAYS = 21


def ask(home: Path, sql: str) -> pd.DataFrame:
    with duckdb.connect(str(home / "published" / "serve.duckdb"), read_only=True) as reader:
        return reader.execute(sql).df()


def planted(home: Path, *kinds: str) -> list[dict[str, str]]:
    plants = json.loads((home / "truth" / "truth.json").read_text())
    return [plant for plant in plants if plant["kind"] in kinds]


def test_every_planted_drop_needs_an_audit_for_the_right_metric_within_three_weeks(
    demo_home: Path,
) -> None:
    drops = planted(demo_home, "precision", "recall")
    assert len(drops) == 4
    for plant in drops:
        found = ask(
            demo_home,
            f"select min(date) as found, any_value(metric) as metric from strategy_status_days"
            f" where strategy_id = '{plant['subject']}' and channel = 'all'"
            " and status = 'needs_audit'",
        ).iloc[0]
        waited = (found["found"] - pd.Timestamp(plant["date"])).days
        assert 0 <= waited <= FOUND_WITHIN_DAYS, plant
        assert found["metric"] == plant["kind"], plant


def test_no_strategy_without_a_drop_ever_needs_an_audit(demo_home: Path) -> None:
    dropped = {plant["subject"] for plant in planted(demo_home, "precision", "recall")}
    accused = ask(
        demo_home,
        "select distinct strategy_id from strategy_status_days where status = 'needs_audit'",
    )
    assert set(accused["strategy_id"]) == dropped


def test_too_few_labels_is_a_verdict_of_its_own(demo_home: Path) -> None:
    plant = planted(demo_home, "few_labels")[0]
    status = ask(
        demo_home,
        "select status, labels_needed from strategy_status"
        f" where strategy_id = '{plant['subject']}' and channel = 'all'",
    )
    assert status["status"].tolist() == ["insufficient_evidence"]
    assert status["labels_needed"].iloc[0] > 0


def test_a_change_of_audit_mix_is_not_taken_for_drift(demo_home: Path) -> None:
    subject = planted(demo_home, "audit_mix")[0]["subject"]
    seen = ask(
        demo_home,
        f"select distinct status from strategy_status_days where strategy_id = '{subject}'"
        " and date > '2026-04-15'",
    )
    assert set(seen["status"]) <= {"healthy", "insufficient_evidence"}
    naive = ask(
        demo_home,
        "select avg((verdict = 'should_fire')::int) as share from audited_decisions where"
        f" strategy_id = '{subject}' and is_fired and verdict <> 'unsure'"
        " group by decision_date > '2026-04-15'",
    )["share"]
    assert abs(naive.iloc[0] - naive.iloc[1]) > 0.05, "the mix did change"


def test_the_bad_delivery_is_refused_and_every_other_one_taken_in(demo_home: Path) -> None:
    refused = ask(demo_home, "select * from data_quality_days where state = 'refused'")
    assert refused[["feed", "channel"]].to_numpy().tolist() == [["decisions", "shopads"]]
    assert (
        str(refused["delivery_date"].iloc[0].date())
        == planted(demo_home, "bad_delivery")[0]["date"]
    )
    assert "break critical rules" in refused["refusal"].iloc[0]
    assert refused["rows_accepted"].iloc[0] == 0


def test_every_delivered_row_is_accepted_or_in_the_quarantine(demo_home: Path) -> None:
    lost = ask(
        demo_home,
        "select * from data_quality_days where rows_delivered <> rows_accepted + rows_quarantined",
    )
    assert lost.empty
    counted = ask(
        demo_home,
        "select sum(rows_quarantined) as rows from data_quality_days",
    )["rows"].iloc[0]
    with duckdb.connect() as connection:
        files = str(demo_home / "lake" / "quarantine" / "*" / "*" / "*" / "*.parquet")
        kept = connection.execute("select count(*) from read_parquet(?)", [files]).fetchall()
    assert kept == [(counted,)]


def test_populations_are_the_accepted_units(demo_home: Path) -> None:
    frame = ask(demo_home, "select sum(population) as n from fct_audit_population")["n"].iloc[0]
    with duckdb.connect() as connection:
        files = str(demo_home / "lake" / "derived" / "counted_decisions" / "*" / "*" / "*.parquet")
        units = connection.execute(
            "select count(*) from read_parquet(?) where is_unit", [files]
        ).fetchall()
    assert units == [(frame,)]


def test_segments_of_a_day_add_up_to_its_decisions(demo_home: Path) -> None:
    counts = ("decisions", "fired", "reach")
    segments, days = (
        ask(
            demo_home,
            f"select decision_date, {', '.join(f'sum({n})::bigint as {n}' for n in counts)}"
            f" from {table} group by all order by all",
        )
        for table in ("fct_strategy_segments", "fct_strategy_days")
    )
    assert len(days) == 90
    pd.testing.assert_frame_equal(segments, days)


def reviewers(home: Path) -> pd.DataFrame:
    """`reviewer_quality` by the simulation's names, which only the home's own key gives back."""
    secret = Paths(home).sampling_key.read_text().strip()
    key = hashlib.sha256(f"evidence {secret}".encode()).hexdigest()
    names = {hashlib.md5(f"{key}reviewer{n}".encode()).hexdigest(): n for n in range(REVIEWERS)}
    table = ask(home, "select * from reviewer_quality")
    return table.assign(who=table["reviewer_hash"].map({**names, "all": "all"})).set_index("who")


def test_every_reviewer_is_measured_and_named_by_a_hash_alone(demo_home: Path) -> None:
    found = reviewers(demo_home)
    assert set(found.index) == {*range(REVIEWERS), "all"}
    assert not found["reviewer_hash"].str.contains("reviewer").any()
    assert found["window_end"].dt.date.astype(str).unique().tolist() == ["2026-05-29"]
    for column in ("labels", "golden_labels"):
        assert found.loc[list(range(REVIEWERS)), column].sum() == found.loc["all", column]
    rates = ["golden_accuracy", "alpha", "sensitivity", "specificity"]
    assert found[rates].notna().all(axis=None)
    # Golden questions are answered wrongly on 3 of 100 by everybody alike.
    everybody = found.loc["all"]
    assert everybody["golden_accuracy_lo"] < 0.97 < everybody["golden_accuracy_hi"]


def test_the_pool_is_as_right_and_as_agreed_as_it_was_simulated(demo_home: Path) -> None:
    everybody = reviewers(demo_home).loc["all"]
    # Two of twelve err on 15 of 1,000 and ten on 3: two different ones of them disagree on about 1%
    # of what they both answer, and half of what they answer should fire.
    mistakes = np.array([0.015] * 2 + [0.003] * (REVIEWERS - 2))
    assert everybody[["sensitivity", "specificity"]].astype(float).to_numpy() == pytest.approx(
        1 - mistakes.mean(), abs=0.004
    )
    for name in ("sensitivity", "specificity"):
        assert everybody[f"{name}_lo"] < 1 - mistakes.mean() < everybody[f"{name}_hi"]
    share = everybody["firing_share"]
    alpha = 1 - 2 * mistakes.mean() * (1 - mistakes.mean()) / (2 * share * (1 - share))
    assert everybody["alpha_lo"] < alpha < everybody["alpha_hi"]


def test_who_agrees_less_than_the_pool_is_one_of_the_two_who_err_most(demo_home: Path) -> None:
    found = reviewers(demo_home)
    # One month of decisions in common does not tell all twelve apart: it must accuse nobody else.
    apart = found.index[found["alpha_hi"] < found.loc["all", "alpha"]]
    assert set(apart) <= {0, 1}
    assert len(apart) >= 1
    rightness = found["sensitivity"] + found["specificity"]
    assert (rightness.loc[[0, 1]] < rightness.loc["all"]).all()


def test_every_verdict_says_what_decided_it(demo_home: Path) -> None:
    found = ask(
        demo_home,
        "select adjudication, count(*) as n, bool_and(is_disputed) as tied,"
        " bool_and(verdict = 'unsure') as unsure from audited_decisions group by 1 order by 1",
    ).set_index("adjudication")
    assert set(found.index) == {"single", "majority", "disputed"}, "nothing corrects in the demo"
    assert found["tied"].to_dict() == {"single": False, "majority": False, "disputed": True}
    assert found.loc["disputed", "unsure"]
    assert found["n"]["single"] > found["n"]["majority"] > found["n"]["disputed"] > 0


def test_the_failing_check_says_what_why_since_when_and_what_next(demo_home: Path) -> None:
    with dagster_instance(Paths(demo_home)) as instance:
        key = dg.AssetCheckKey(
            dg.AssetKey(["strategies", "affiliate_spam_creator_block"]), "precision"
        )
        record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        assert record.event is not None
        assert record.event.dagster_event is not None
        evaluation = record.event.dagster_event.asset_check_evaluation_data
        said = {name: value.value for name, value in evaluation.metadata.items()}
        days = instance.fetch_observations(key.asset_key, limit=1000).records
    assert not evaluation.passed
    assert evaluation.severity == dg.AssetCheckSeverity.ERROR
    numbers = {
        name: float(str(v))
        for name, v in said.items()
        if isinstance(v, int | float) and not isinstance(v, bool)
    }
    assert said["status"] == "needs_audit"
    assert numbers["precision"] < numbers["precision_goal"] - numbers["precision_tolerance"]
    assert numbers["precision_lo"] < numbers["precision"] < numbers["precision_hi"]
    assert numbers["precision_e_value"] > 20
    assert numbers["precision_labelled"] > 100
    assert str(said["since"]).startswith("2026-04")
    assert "audit" in str(said["next_action"])
    assert said["suspected_cause"] == "strategy"
    assert numbers["harm/wrongly_restricted"] > 100
    assert str(said["history"]).startswith("![history](data:image/svg+xml")
    assert len(days) > 80


def test_a_strategy_that_lost_precision_is_advised_a_stricter_cut(demo_home: Path) -> None:
    advised = ask(
        demo_home,
        "select * from threshold_recommendations where channel = 'all'",
    ).set_index("strategy_id")
    dropped = [plant["subject"] for plant in planted(demo_home, "precision")]
    for strategy in dropped:
        row = advised.loc[strategy]
        assert row["null_reason"] is not None or row["recommended_cut"] > row["current_cut"]
        assert not row["guaranteed_precision"] < row["goal"]
    assert advised["recommended_cut"].notna().sum() > 15


def test_boosts_and_restrictions_of_one_item_are_told_apart_from_mere_company(
    demo_home: Path,
) -> None:
    pairs = ask(demo_home, "select * from strategy_conflicts")
    assert (pairs["strategy_a"] < pairs["strategy_b"]).all()
    boosts = pairs["strategy_a"].str.contains("boost") != pairs["strategy_b"].str.contains("boost")
    gentle = pairs["actions"].str.contains("label|age_gate")
    assert (pairs.loc[boosts & ~gentle, "contradictory_share"] == 1).all()
    assert (pairs.loc[~boosts | gentle, "contradictory_share"] == 0).all()
    assert (boosts & ~gentle).sum() > 5


def test_evidence_is_what_was_wrong_the_largest_reach_first(demo_home: Path) -> None:
    strategy = "affiliate-spam-creator-block"
    shown = run_governance(demo_home, "evidence", strategy, "--json", "--limit", "50")
    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    assert len(rows) == 50
    assert {row["outcome"] for row in rows} == {"FP", "FN"}
    reach = [row["reach"] for row in rows]
    assert reach == sorted(reach, reverse=True)
    wrong = ask(
        demo_home,
        f"select max(reach) as most from audited_decisions where strategy_id = '{strategy}'"
        " and outcome in ('FP', 'FN')",
    )["most"].iloc[0]
    assert reach[0] == wrong
    missed = run_governance(demo_home, "evidence", strategy, "--outcome", "FN", "--json")
    assert {json.loads(line)["outcome"] for line in missed.stdout.splitlines()} == {"FN"}
    tied = run_governance(demo_home, "evidence", strategy, "--disputed", "--json")
    assert all(json.loads(line)["is_disputed"] for line in tied.stdout.splitlines())
    both = run_governance(demo_home, "evidence", strategy, "--disputed", "--outcome", "FP")
    assert both.returncode == 2


def test_evidence_names_no_item_and_no_seller(demo_home: Path) -> None:
    shown = run_governance(demo_home, "evidence", "affiliate-spam-creator-block", "--json")
    keys = json.loads(shown.stdout.splitlines()[0]).keys()
    assert not {"item_id", "seller_id"} & keys
    unknown = run_governance(demo_home, "evidence", "affiliate-spam-creator-blok")
    assert unknown.returncode == 1
    assert "did you mean affiliate-spam-creator-block?" in unknown.stderr


def test_status_is_stable_json(demo_home: Path) -> None:
    done = run_governance(demo_home, "status", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 27
    assert [row["status"] for row in rows[:4]] == ["needs_audit"] * 4
    assert {"strategy_id", "channel", "date", "status", "metric", "reason", "next_action"} <= rows[
        0
    ].keys()


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("status", "--all"),
        ("explain", "ad-health-claim-block"),
        ("evidence", "affiliate-commission-abuse-limit"),
        ("backtest", "video-product-mismatch-filter", "--cut", "0.95"),
    ],
)
def test_what_people_read_fits_100_columns(demo_home: Path, arguments: tuple[str, ...]) -> None:
    done = run_governance(demo_home, *arguments)
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_an_unknown_strategy_is_answered_with_the_nearest_one(demo_home: Path) -> None:
    done = run_governance(demo_home, "explain", "ad-health-claims-block")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "Error: no strategy ad-health-claims-block is registered;"
        " did you mean ad-health-claim-block?"
    )


def test_query_answers_and_reaches_nothing_else(demo_home: Path) -> None:
    done = run_governance(demo_home, "query", "select count(*) as n from dim_strategies", "--json")
    assert json.loads(done.stdout) == {"n": 27}
    refused = run_governance(demo_home, "query", "select * from read_text('/etc/hostname')")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr


def test_one_more_day_is_taken_in_and_judged(demo_home: Path, own_demo: Path) -> None:
    home = own_demo
    # Whoever read the truth would miss it now.
    shutil.rmtree(home / "truth")
    before = ask(demo_home, "select * exclude (snapshot_id, data_as_of) from strategy_status_days")
    done = run_governance(home, "run", "--date", "2026-05-30")
    assert done.returncode == 0, done.stderr
    current = str((home / "published" / "current" / "strategy_status_days.parquet").resolve())
    with duckdb.connect() as connection:
        after = connection.execute("select * from read_parquet(?)", [current]).df()
    assert str(after["date"].max().date()) == "2026-05-30"
    again = after[after["date"] <= before["date"].max()]
    pd.testing.assert_frame_equal(
        again[before.columns].reset_index(drop=True), before.reset_index(drop=True)
    )


def test_a_second_run_is_told_that_the_day_is_outside_the_calendar(demo_home: Path) -> None:
    done = run_governance(demo_home, "run", "--date", "2027-01-01")
    assert done.returncode == 1
    assert "outside the calendar" in done.stderr
    assert done.stderr.count("\n") <= 2


# When something was seen or done, by which run, and how long ago that is.
MOMENTS = {
    "deliveries_ledger": ("seen_at", "run_id"),
    "escalations": ("detected_at", "opened_at", "updated_at", "due_at"),
    "escalation_events": ("occurred_at",),
    "escalation_clocks": ("started_at", "due_at"),
    "escalation_metrics": ("value",),
}


def test_the_same_demo_twice_gives_the_same_tables(tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = run_governance(tmp_path / name, "demo", "--days", "30")
        assert done.returncode == 0, done.stderr
    folders = [(tmp_path / name / "published" / "current").resolve() for name in ("one", "two")]
    tables = sorted(file.name for file in folders[0].glob("*.parquet"))
    assert set(tables) == {f"{name}.parquet" for name in published_relations()}
    with duckdb.connect() as connection:
        for table in tables:
            one, two = (str(folder / table) for folder in folders)
            left_out = ", ".join(("snapshot_id", *MOMENTS.get(table.removesuffix(".parquet"), ())))
            different = connection.execute(
                f"select count(*) from ((select * exclude ({left_out}) from read_parquet($one)"
                f" except all select * exclude ({left_out}) from read_parquet($two)) union all"
                f" (select * exclude ({left_out}) from read_parquet($two)"
                f" except all select * exclude ({left_out}) from read_parquet($one)))",
                {"one": one, "two": two},
            ).fetchall()
            assert different == [(0,)], table


def test_a_home_that_is_no_demo_is_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    done = run_governance(tmp_path, "demo")
    assert done.returncode == 1
    assert "not a demo" in done.stderr
    assert (tmp_path / "precious.txt").read_text() == "mine"
