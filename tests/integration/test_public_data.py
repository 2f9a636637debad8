"""The walks of docs/bring-your-own-logs.md, on the public files where they are at hand."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from tests.conftest import run_governance

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("GOVERNANCE_DATA", ROOT.parent / "shared" / "data"))
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the public files are not here; GOVERNANCE_DATA names their folder"
)

Walk = Callable[[str, str, str], Path]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """Run an example of the guide as the guide says, and return its home."""

    def run(example: str, first: str, last: str) -> Path:
        home = tmp_path_factory.mktemp("public") / example
        os.environ["GOVERNANCE_DATA"] = str(DATA)
        made = run_governance(home, "init", "--start", first)
        assert made.returncode == 0, made.stderr
        shutil.copytree(ROOT / "docs" / "examples" / example, home, dirs_exist_ok=True)
        done = run_governance(home, "run", "--from", first, "--to", last)
        assert done.returncode == 0, done.stderr
        return home

    return run


def ask(home: Path, sql: str) -> pd.DataFrame:
    with duckdb.connect(str(home / "published" / "serve.duckdb"), read_only=True) as reader:
        return reader.execute(sql).df()


def counted(sql: str) -> pd.DataFrame:
    """Ask the public file itself for precision and recall by strategy, as `precision`, `recall`."""
    with duckdb.connect() as reader:
        return reader.execute(
            f"select strategy_id, avg(truth::int) filter (fired) as precision,"
            f" avg(fired::int) filter (truth) as recall from ({sql}) group by 1 order by 1",
        ).df()


def assert_equals_the_count(home: Path, expected: pd.DataFrame) -> None:
    found = ask(
        home,
        "select strategy_id, precision, recall from strategy_accuracy"
        " where window_kind = 'to_date' order by strategy_id",
    )
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=0, atol=1e-9)


def test_comments_equal_the_count_and_the_undated_are_kept_aside(walk: Walk) -> None:
    home = walk("comments", "2013-07-12", "2015-06-05")
    patterns = {
        "comment-asks-to-subscribe": "subscri",
        "comment-has-link": r"https?:|www\.|\.com|\.net|\.org|bit\.ly",
        "comment-promotes-itself": "check (it |this |me |my |out)|my channel|my video|visit",
    }
    dated = (
        f"select distinct on (\"COMMENT_ID\") * from '{DATA}/youtube_spam.parquet'"
        ' where "DATE" is not null'
    )
    each = " union all ".join(
        f"select '{name}' as strategy_id, regexp_matches(lower(\"CONTENT\"), '{pattern}') as fired,"
        f" label = 1 as truth from ({dated})"
        for name, pattern in patterns.items()
    )
    assert_equals_the_count(home, counted(each))
    rows = ask(
        home,
        "select feed, sum(rows_delivered) as delivered, sum(rows_accepted) as accepted,"
        " sum(rows_quarantined) as quarantined from data_quality_days group by 1 order by 1",
    )
    assert rows.to_numpy().tolist() == [
        ["audit_labels", 3 * 1956, 3 * 1710, 3 * 246],
        ["decisions", 3 * 1956, 3 * 1710, 3 * 246],
    ]


def test_a_level_model_raises_no_alarm(walk: Walk) -> None:
    # The guide walks all four years; the file keeps one strange block at the end of these two.
    home = walk("employment", "2016-01-01", "2017-12-31")
    assert_equals_the_count(
        home,
        counted(
            "select 'employment-model' as strategy_id, prediction = 1 as fired,"
            f" employed = 1 as truth from '{DATA}/nannyml_employment_MA.parquet'"
            " where year between 2016 and 2017"
        ),
    )
    seen = ask(home, "select status from strategy_status_days where channel = 'all'")["status"]
    assert not set(seen) & {"needs_audit"}
    assert (seen == "healthy").mean() > 0.98
    assert ask(home, "select max(e_value) as e from strategy_drift")["e"].iloc[0] < 3


def test_published_models_equal_the_count_and_basketball_is_found_at_its_goal(walk: Walk) -> None:
    # The guide walks all eight years; these have the turn that it tells of.
    home = walk("forecasts", "2018-06-11", "2021-02-28")
    models = {
        "mlb-games-forecast": "mlb_games",
        "nba-forecast-goal-66": "nba_games",
        "nba-forecast-goal-70": "nba_games",
        "nba-games-forecast": "nba_games",
        "nfl-games-forecast": "nfl_games",
        "nhl-games-forecast": "nhl_games",
        "wnba-games-forecast": "wnba_games",
        "world-cup-men-forecast": "world_cup_matches_men",
        "world-cup-women-forecast": "world_cup_matches_women",
    }
    each = " union all ".join(
        f"select '{name}' as strategy_id, prob1 >= .5 as fired, prob1_outcome = 1 as truth"
        f" from '{DATA}/cow538_game_forecasts.parquet' where model = '{model}'"
        " and date between '2018-06-11' and '2021-02-28'"
        for name, model in models.items()
    )
    assert_equals_the_count(home, counted(each))
    alarms = ask(
        home,
        "select strategy_id, min(date)::date::varchar as first"
        " from strategy_status_days where status = 'needs_audit' group by 1",
    )
    assert alarms["strategy_id"].tolist() == ["nba-forecast-goal-70"]
    assert alarms["first"].iloc[0].startswith("2021-01")
