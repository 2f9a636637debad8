"""The walks of docs/bring-your-own-logs.md, on the public files where they are at hand."""

import datetime as dt
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from governance_pipeline.adapters.landing import Source
from governance_pipeline.adapters.manifests import Manifest
from tests.conftest import run_governance
from tests.integration.deliveries import make_home, only, take_in

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


def taken_in(home: Path, content: str, feed: str, mapping: str) -> Manifest:
    """Take in one file of the public data as one delivery, through a mapping."""
    paths = make_home(home)
    file = home / "logs" / "2018-07-01.csv"
    file.parent.mkdir()
    with duckdb.connect() as writer:
        writer.execute(f"copy ({content}) to '{file}' (header)")
    source = Source(feed=feed, channel="shopads", path="logs/{date}.csv", mapping=mapping)
    return only(take_in(paths, [dt.date(2018, 7, 1)], feed, [source]))


def quarantined_by_rule(home: Path) -> dict[str, int]:
    with duckdb.connect() as reader:
        return dict(
            reader.execute(
                f"select rule, count(*) from '{home}/lake/quarantine/*/*/*/*.parquet' group by 1"
            ).fetchall()
        )


def accepted_days(home: Path, feed: str, column: str) -> list[tuple[dt.date, int]]:
    with duckdb.connect() as reader:
        return reader.execute(
            f"select {column}::date, count(*) from '{home}/lake/accepted/{feed}/*/*/*.parquet'"
            " group by 1 order by 1"
        ).fetchall()


def test_day_first_dates_are_parsed_by_a_mapping_and_every_trouble_is_named(
    tmp_path: Path,
) -> None:
    comments = f"from '{DATA}/youtube_spam.parquet'"
    made = taken_in(
        tmp_path / "home",
        f'select * replace (strftime("DATE", \'%d/%m/%Y %H:%M\') as "DATE") {comments}',
        "audit_labels",
        """select "COMMENT_ID" as label_id, "COMMENT_ID" as decision_id, 'published' as reviewer_id,
        try_strptime("DATE", '%d/%m/%Y %H:%M') as labelled_at, 'random_audit' as source,
        if(label = '1', 'should_fire', 'should_not_fire') as verdict, 'shopads' as channel
        from source""",
    )
    assert (made.rows_delivered, made.rows_accepted, made.rows_quarantined) == (1956, 1710, 246)
    assert quarantined_by_rule(tmp_path / "home") == {
        "label_id_is_unique": 1,
        "labelled_at_is_present": 245,
    }
    with duckdb.connect() as reader:
        expected = reader.execute(
            'select "DATE"::date, count(*) from (select distinct "COMMENT_ID", "DATE"'
            f' {comments} where "DATE" is not null) group by 1 order by 1'
        ).fetchall()
    assert accepted_days(tmp_path / "home", "audit_labels", "labelled_at") == expected


def test_month_first_dates_are_parsed_by_a_mapping_and_no_complaint_is_lost(
    tmp_path: Path,
) -> None:
    made = taken_in(
        tmp_path / "home",
        f"from '{DATA}/cfpb_sample.parquet'",
        "feedback",
        """select 'c' || row_number() over () as feedback_id, 'shopads' as channel,
        try_strptime("Date received", '%m/%d/%Y') as submitted_at, 'complaint' as kind,
        "Product" as theme, "State" as market from source""",
    )
    assert (made.rows_delivered, made.rows_accepted, made.rows_quarantined) == (3186, 3186, 0)
    with duckdb.connect() as reader:
        expected = reader.execute(
            "select strptime(\"Date received\", '%m/%d/%Y')::date, count(*)"
            f" from '{DATA}/cfpb_sample.parquet' group by 1 order by 1"
        ).fetchall()
    assert accepted_days(tmp_path / "home", "feedback", "submitted_at") == expected


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
