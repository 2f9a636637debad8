"""The market for measuring: its form, its size, and that it comes out the same again."""

import datetime as dt
from pathlib import Path

import duckdb
import pytest

from governance_pipeline.adapters.draws import draw_sql
from governance_pipeline.feeds import CHANNELS, FEEDS
from governance_pipeline.registry.lint import lint
from governance_pipeline.registry.loader import load_registry
from governance_pipeline.simulation.bulk import (
    FIRED_RATE,
    LABEL_LAGS,
    POLICIES,
    UNFIRED_RATE,
    Bulk,
    deliver_bulk,
    write_bulk_registry,
)

BULK = Bulk(rows=60_001, start=dt.date(2026, 1, 1), days=20, strategies=1_200)


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landing")
    deliver_bulk(folder, BULK, sampling_key="key")
    return folder


def asked(sql: str, landing: Path) -> list[tuple[object, ...]]:
    files = {f: f"read_parquet('{landing}/{f}/*/*/*.parquet')" for f in ("decisions", "appeals")}
    with duckdb.connect() as connection:
        labels = f"read_parquet('{landing}/audit_labels/*/*/*.parquet', filename = true)"
        return connection.execute(sql.format(labels=labels, **files)).fetchall()


def test_every_row_is_delivered_once_by_channel_and_day(landing: Path) -> None:
    found = asked(
        "select count(*), count(distinct decision_id), count(distinct strategy_id) > 1000,"
        " count(distinct (channel, decided_at::date)) from {decisions}", landing,
    )  # fmt: skip
    assert found == [(60_001, 60_001, True, 120)]
    assert len(list((landing / "decisions").glob("*/2026-01-*/decisions.parquet"))) == 120


@pytest.mark.parametrize("feed", ["decisions", "audit_labels", "appeals"])
def test_a_file_has_the_contracts_columns_and_types(landing: Path, feed: str) -> None:
    with duckdb.connect() as connection:
        file = landing / feed / CHANNELS[0] / "2026-01-02" / f"{feed}.parquet"
        described = connection.execute(f"describe from '{file}'").fetchall()
    assert {name: kind.lower() for name, kind, *_ in described} == FEEDS[feed].columns


def test_the_same_market_is_written_again_and_another_seed_is_another(
    landing: Path, tmp_path: Path
) -> None:
    deliver_bulk(tmp_path / "again", BULK, sampling_key="key", threads=1)
    other = Bulk(BULK.rows, BULK.start, BULK.days, BULK.strategies, seed=2)
    deliver_bulk(tmp_path / "other", other, sampling_key="key")
    files = sorted(path.relative_to(landing) for path in landing.rglob("*.parquet"))
    assert all((landing / f).read_bytes() == (tmp_path / "again" / f).read_bytes() for f in files)
    ids = "select min(decision_id), max(decision_id) from {decisions}"
    assert asked(ids, landing) != asked(ids, tmp_path / "other")


def test_what_is_said_of_a_decision_tells_nothing_of_what_else_is(landing: Path) -> None:
    # Values that went together would leave each strategy a stratum or two, and cost less to count.
    numbers = "right(strategy_id, 4)::integer", "score", "ln(reach + 1)", "left(item_id, 3) > 'i5'"
    pairs = [f"abs(corr({a}, ({b})::integer))" for a in numbers[:3] for b in numbers[3:]]
    pairs += [f"abs(corr({a}, {b}))" for a in numbers[:3] for b in numbers[:3] if a < b]
    found = asked(f"select greatest({', '.join(pairs)}) < 0.02 from {{decisions}}", landing)
    assert found == [(True,)], "0.02 is five standard errors"
    strata = asked(
        "select median(n) from (select count(distinct floor(score * 5)) as n, count(*) as rows"
        " from {decisions} group by strategy_id having rows > 100)", landing,
    )  # fmt: skip
    assert strata == [(5.0,)]


def test_a_label_comes_days_after_a_decision_that_was_drawn(landing: Path) -> None:
    listed = ", ".join(f"'{policy}'" for policy in POLICIES)
    policy = f"[{listed}][1 + right(strategy_id, 4)::integer % {len(POLICIES)}]"
    draw = draw_sql("'key'", "d.item_id", policy, "decided_at::date")
    found = asked(
        f"""
        select count(*) > 20, min(lag) >= 1, max(lag) <= {LABEL_LAGS},
            bool_and(drawn), bool_and(filename like '%/' || labelled_at::date || '/%')
        from (
            select l.*, l.labelled_at::date - d.decided_at::date as lag,
                {draw} < case when is_fired then {FIRED_RATE} else {UNFIRED_RATE} end as drawn
            from {{labels}} l join {{decisions}} d on l.decision_id = d.decision_id
                and l.channel = d.channel
        )
        """, landing,
    )  # fmt: skip
    assert found == [(True,) * 5]


def test_the_register_of_a_market_lints_clean(tmp_path: Path) -> None:
    small = Bulk(rows=1, start=BULK.start, days=1, strategies=9)
    write_bulk_registry(tmp_path / "registry", small)
    registry = load_registry(tmp_path / "registry")
    assert len(registry.strategies) == 9
    assert not [f for f in lint(registry, BULK.start) if f.severity == "error"]
