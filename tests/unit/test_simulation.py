"""What the simulated market promises to those who judge the pipeline by it."""

import datetime as dt
import hashlib
import json
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from governance_pipeline.adapters.draws import draw_sql
from governance_pipeline.registry.loader import load_registry
from governance_pipeline.registry.models import Registry
from governance_pipeline.registry.snapshot import registry_frames
from governance_pipeline.simulation import simulate

EXAMPLE = Path(__file__).parents[2] / "governance_pipeline" / "registry" / "example"
START = dt.date(2026, 3, 1)
KEY = "a key for tests"
BAD_DAY = dt.date(2026, 5, 20)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry(EXAMPLE)


def market(registry: Registry, folder: Path, days: int, scale: float, seed: int = 7) -> Path:
    simulate(
        registry,
        folder / "landing",
        folder / "truth",
        seed=seed,
        sampling_key=KEY,
        start=START,
        days=days,
        scale=scale,
    )
    return folder


@pytest.fixture(scope="module")
def long(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A market past the last plant, with a quarter of the usual decisions."""
    return market(registry, tmp_path_factory.mktemp("long"), days=84, scale=0.25)


@pytest.fixture(scope="module")
def usual(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few days of the usual size, long enough for the first days' labels to be back."""
    return market(registry, tmp_path_factory.mktemp("usual"), days=10, scale=1.0)


def ask(query: str, **values: object) -> pd.DataFrame:
    with duckdb.connect() as connection:
        return connection.execute(query, values).df()


def first_verdicts(folder: Path, channel: str) -> pd.DataFrame:
    """Return a Parquet channel's decisions and the first verdict on each, if any."""
    return ask(
        """
        with labels as (
            select decision_id, arg_min(verdict, labelled_at) as verdict
            from read_json($labels, format = 'newline_delimited', ignore_errors = true)
            where source = 'random_audit' and decision_id is not null group by decision_id
        )
        select d.*, cast(d.decided_at as date) as date, l.verdict
        from read_parquet($decisions, union_by_name = true) d left join labels l using (decision_id)
        """,
        decisions=f"{folder}/landing/decisions/{channel}/*/*.parquet",
        labels=f"{folder}/landing/audit_labels/{channel}/*/*.jsonl",
    )


def digests(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_the_same_seed_writes_the_same_bytes(registry: Registry, tmp_path: Path) -> None:
    one, same, other = (
        digests(market(registry, tmp_path / name, days=5, scale=0.05, seed=seed))
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    )
    assert one == same
    assert one != other
    assert any(name.endswith(".csv.gz") for name in one)


def test_every_planted_drop_is_in_the_truth_from_its_day_on(long: Path) -> None:
    plants = json.loads((long / "truth" / "truth.json").read_text())
    drops = [plant for plant in plants if plant["kind"] in ("precision", "recall")]
    assert {drop["subject"] for drop in drops} == {
        "affiliate-spam-creator-block",
        "video-product-mismatch-filter",
        "ad-health-claim-block",
        "affiliate-undisclosed-label",
    }
    days = pd.read_parquet(long / "truth" / "strategy_days.parquet")
    for drop in drops:
        own = days[days["strategy_id"] == drop["subject"]]
        after = own["date"] >= dt.date.fromisoformat(drop["date"])
        for _, channel in own.groupby("channel"):
            rate = channel.groupby(after)[drop["kind"]].mean()
            assert rate[False] - rate[True] == pytest.approx(drop["size"], abs=0.01)


def test_a_strategy_without_a_plant_stays_above_its_goals(registry: Registry, long: Path) -> None:
    plants = json.loads((long / "truth" / "truth.json").read_text())
    dropped = {(p["subject"], p["kind"]) for p in plants}
    days = pd.read_parquet(long / "truth" / "strategy_days.parquet")
    means = days.groupby("strategy_id")[["precision", "recall"]].mean()
    for name in means.index:
        for goal in registry.strategies[name].goals:
            if goal.goal is not None and (name, goal.metric) not in dropped:
                assert means.loc[name, goal.metric] > goal.goal + 0.02, (name, goal.metric)


def test_a_drop_of_precision_shows_in_what_reviewers_say(long: Path) -> None:
    rows = first_verdicts(long, "video")
    fired = rows[rows["is_fired"] & rows["verdict"].isin(["should_fire", "should_not_fire"])]
    own = fired[fired["strategy_id"] == "video-product-mismatch-filter"]
    right = (own["verdict"] == "should_fire").groupby(own["date"] >= pd.Timestamp("2026-04-20"))
    assert right.mean()[False] - right.mean()[True] == pytest.approx(0.22, abs=0.08)


def test_a_changed_audit_mix_moves_the_naive_precision_but_not_the_weighted(long: Path) -> None:
    rows = first_verdicts(long, "shopads")
    drawn = rows[
        (rows["strategy_id"] == "ad-adult-age-gate")
        & rows["is_fired"]
        & rows["verdict"].isin(["should_fire", "should_not_fire"])
    ]
    right = (drawn["verdict"] == "should_fire").astype(float)
    weight = 1 / drawn["inclusion_probability"]
    after = drawn["decided_at"] >= pd.Timestamp("2026-04-15")
    naive = right.groupby(after).mean()
    weighted = (right * weight).groupby(after).sum() / weight.groupby(after).sum()
    assert naive[False] - naive[True] > 0.08
    assert weighted[False] == pytest.approx(weighted[True], abs=0.06)


@pytest.mark.parametrize("channel", ["shoptab", "lives", "video"])
def test_reviewers_answer_what_the_pipeline_draws(
    registry: Registry, usual: Path, channel: str
) -> None:
    frames = registry_frames(registry)
    with duckdb.connect() as connection:
        connection.register("rates", frames["sampling_rates"])
        connection.register("strategies", frames["strategies"])
        connection.register("decisions", first_verdicts(usual, channel))
        draw = draw_sql("$key", "d.item_id", "s.policy", "d.date")
        share = connection.execute(
            f"""
            select avg(cast({draw} < r.rate as integer)), count(*)
            from decisions d
            join strategies s on s.strategy_id = d.strategy_id
            join rates r on r.strategy_id = d.strategy_id and r.version = d.strategy_version
                and r.is_fired = d.is_fired and r.score_bin = case when d.score is null then -1
                else len(list_filter([0.2, 0.4, 0.6, 0.8], lambda c: d.score >= c)) end
            where d.verdict is not null
            """,
            {"key": KEY},
        ).fetchone()
    assert share is not None
    assert share[0] == 1
    assert share[1] > 500


@pytest.mark.parametrize("channel", ["shoptab", "shopads", "video", "lives"])
def test_a_strategy_has_tens_of_labels_a_day_but_for_the_one_with_too_few(
    usual: Path, channel: str
) -> None:
    rows = first_verdicts(usual, channel)
    known = rows[rows["verdict"].notna() & (rows["date"] < pd.Timestamp("2026-03-05"))]
    labels = known.groupby("strategy_id").size() / known["date"].nunique()
    if channel == "lives":
        assert labels.get("live-flash-sale-boost", 0) < 5
        labels = labels.drop("live-flash-sale-boost", errors="ignore")
    assert labels.between(35, 110).all(), labels


def test_the_bad_delivery_is_bad_and_its_neighbours_are_not(long: Path) -> None:
    folder = long / "landing" / "decisions" / "shopads"
    bad = pd.read_csv(next((folder / str(BAD_DAY)).glob("*.csv")), dtype="str")
    wrong = (
        bad["is_fired"].isna()
        | (bad["channel"] != "shopads")
        | bad["decision_id"].duplicated()
        | pd.to_numeric(bad["score"].fillna("0"), errors="coerce").isna()
    )
    assert 0.4 < wrong.mean() < 0.6
    good = pd.read_parquet(folder / str(BAD_DAY + dt.timedelta(days=1)))
    assert good["decision_id"].is_unique
    assert good["is_fired"].notna().all()
    assert set(good["channel"]) == {"shopads"}


def test_trust_falls_where_and_while_the_incident_lasts(long: Path) -> None:
    rows = ask(
        """
        select cast(submitted_at as timestamp) >= timestamp '2026-05-10'
                and cast(submitted_at as timestamp) < timestamp '2026-05-20' as during,
            avg(case when cast(score as double) >= 9 then 100 when cast(score as double) < 7
                then -100 else 0 end) as nps
        from read_csv($files, all_varchar = true)
        where kind = 'nps' and category = 'hb' group by during
        """,
        files=f"{long}/landing/feedback/lives/*/*.csv",
    ).set_index("during")["nps"]
    assert rows[False] - rows[True] > 20


def test_strategies_that_are_off_decide_nothing_and_a_shadow_acts_on_nothing(
    registry: Registry, usual: Path
) -> None:
    for channel in ("shoptab", "shopads", "video", "lives"):
        rows = first_verdicts(usual, channel)
        lifecycles = rows["strategy_id"].map(lambda name: registry.strategies[name].lifecycle)
        assert not set(lifecycles) & {"draft", "paused", "retired"}
        shadow = rows[lifecycles == "shadow"]
        assert set(shadow["environment"]) <= {"shadow"}
        assert set(shadow["action"]) <= {"none"}
