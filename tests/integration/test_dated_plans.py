"""Dated plans: decided beforehand, so that a day is drawn alike whenever it is taken in."""

import datetime as dt
import itertools
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governance_pipeline.adapters import lake
from governance_pipeline.adapters.dated_plans import dated_plans, plan_of_day, write_plan
from governance_pipeline.adapters.draws import probability_sql
from governance_pipeline.domain.sampling import inclusion_probability
from governance_pipeline.errors import InputError
from governance_pipeline.paths import Paths
from tests.integration.deliveries import (
    DAY,
    STRATEGY,
    Row,
    as_csv,
    decision,
    deliver,
    make_home,
    only,
    rows_in,
    take_in,
    write_registry,
)

DAYS = [DAY + dt.timedelta(days=n) for n in range(4)]
DRAWN = "decision_id, decision_date, inclusion_probability, plan_hash"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return make_home(tmp_path / "home")


def plan(rate: float = 0.2, scale: float | None = None, **changes: Any) -> pd.DataFrame:
    row = {
        "strategy_id": STRATEGY, "version": 1, "channel": "shopads", "reach_scale": scale,
        "reach_share": 0.0 if scale is None else 0.3,
    } | changes  # fmt: skip
    return pd.DataFrame(
        [
            {**row, "is_fired": fired, "score_bin": score_bin, "rate": rate}
            for fired in (True, False)
            for score_bin in range(-1, 5)
        ]
    ).astype({"reach_scale": float})


def rows_of(day: dt.date, numbers: range, **changes: Any) -> list[Row]:
    return [
        decision(
            n, decision_id=f"{day}-{n}", decided_at=f"{day}T10:00:00Z", reach=n % 50, **changes
        )
        for n in numbers
    ]


def test_a_plan_may_only_begin_after_the_last_accepted_decision_day(paths: Paths) -> None:
    deliver(paths, "a.csv", as_csv(rows_of(DAYS[1], range(20))), DAYS[1])
    take_in(paths, [DAYS[1]])
    for day in DAYS[:2]:
        with pytest.raises(
            InputError, match=f"cannot begin on {day}.*{DAYS[1]}.*begin on {DAYS[2]}"
        ):
            write_plan(paths.lake, plan(), day)
    assert write_plan(paths.lake, plan(), DAYS[2]).file.exists()


def test_a_plan_is_written_once_and_a_better_one_for_the_same_day_stands_beside_it(
    paths: Paths,
) -> None:
    first = write_plan(paths.lake, plan(0.2), DAYS[1])
    before = first.file.read_bytes()
    assert write_plan(paths.lake, plan(0.2).sample(frac=1, random_state=1), DAYS[1]) == first
    second = write_plan(paths.lake, plan(0.3), DAYS[1])
    later = write_plan(paths.lake, plan(0.4), DAYS[3])
    assert first.file.read_bytes() == before
    found = dated_plans(paths.lake)
    assert found == [first, second, later]
    held = [plan_of_day(found, day) for day in DAYS]
    assert held == [None, second, second, later]


@pytest.mark.parametrize(
    "wrong", [plan(0.0), plan(1.5), plan(float("nan")), plan(0.5, -1.0), plan(0.5, reach_share=1.0)]
)
def test_a_plan_with_an_impossible_number_is_refused(paths: Paths, wrong: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=f"the plan of {STRATEGY} on shopads has rate"):
        write_plan(paths.lake, wrong, DAYS[1])
    assert dated_plans(paths.lake) == []


def test_a_plan_that_names_a_stratum_twice_or_none_is_refused(paths: Paths) -> None:
    with pytest.raises(InputError, match="twice: ad-health-claim-block 1 shopads True -1"):
        write_plan(paths.lake, pd.concat([plan(), plan()]), DAYS[1])
    with pytest.raises(InputError, match="no stratum"):
        write_plan(paths.lake, plan().iloc[:0], DAYS[1])


def test_a_delivery_of_several_decision_days_draws_each_by_its_own_plan(paths: Paths) -> None:
    first = write_plan(paths.lake, plan(0.2), DAYS[1])
    second = write_plan(paths.lake, plan(0.9), DAYS[2])
    rows = [r for day in DAYS[:4] for r in rows_of(day, range(200))]
    deliver(paths, "a.csv", as_csv(rows), DAYS[3])
    made = only(take_in(paths, [DAYS[3]]))
    found = rows_in(
        paths, "sampled_decisions", "distinct decision_date, inclusion_probability, plan_hash"
    )
    assert found == [
        (DAYS[0], 0.5, made.plan_hash),
        (DAYS[1], 0.2, first.plan_hash),
        (DAYS[2], 0.9, second.plan_hash),
        (DAYS[3], 0.9, second.plan_hash),
    ]


def test_what_a_plan_does_not_name_is_drawn_by_the_registers_rate(paths: Paths) -> None:
    part = plan(0.2)
    write_plan(paths.lake, part[part["is_fired"]], DAYS[0])
    deliver(paths, "a.csv", as_csv(rows_of(DAY, range(300))))
    take_in(paths)
    found = rows_in(paths, "sampled_decisions", "distinct is_fired, inclusion_probability")
    assert found == [(False, 0.5), (True, 0.2)]


def test_upstreams_own_draw_is_honoured_under_a_plan(paths: Paths) -> None:
    write_plan(paths.lake, plan(0.9), DAYS[0])
    rows = rows_of(DAY, range(50))
    for row in rows[:5]:
        row["inclusion_probability"] = 0.05
    deliver(paths, "a.csv", as_csv(rows))
    take_in(paths)
    assert len(rows_in(paths, "sampled_decisions", "1")) == 5
    assert rows_in(paths, "sampled_decisions", "distinct inclusion_probability") == [(0.05,)]


def test_an_item_is_drawn_for_every_strategy_whose_probability_its_one_number_is_below(
    paths: Paths,
) -> None:
    write_plan(paths.lake, plan(0.3), DAYS[0])
    deliver(paths, "a.csv", as_csv(rows_of(DAY, range(500))))
    take_in(paths)
    few = {item for (item,) in rows_in(paths, "sampled_decisions", "item_id")}
    other = make_home(paths.root.parent / "other")
    write_plan(other.lake, plan(0.6), DAYS[0])
    deliver(other, "a.csv", as_csv(rows_of(DAY, range(500))))
    take_in(other)
    many = {item for (item,) in rows_in(other, "sampled_decisions", "item_id")}
    assert few < many


def test_the_probability_in_sql_is_the_one_of_the_domain() -> None:
    cases = list(
        itertools.product([1e-6, 0.2, 0.7, 1.0], [None, 0, 3, 10**9], [None, 0.5, 77.7], [0.0, 0.3])
    )
    with duckdb.connect() as connection:
        sql = probability_sql("$rate::double", "$reach::bigint", "$scale::double", "$share::double")
        for rate, reach, scale, share in cases:
            got = connection.execute(
                f"select {sql}", {"rate": rate, "reach": reach, "scale": scale, "share": share}
            ).fetchone()
            said = inclusion_probability(
                rate, np.nan if reach is None else reach, np.nan if scale is None else scale, share
            )
            assert got == (float(said),)


def test_the_mean_number_of_draws_is_the_sum_of_the_probabilities(paths: Paths) -> None:
    write_plan(paths.lake, plan(0.2, 25.0), DAYS[0])
    deliver(paths, "a.csv", as_csv(rows_of(DAY, range(6000))))
    take_in(paths)
    columns = "reach, audit_probability, is_sampled"
    found = pd.DataFrame(rows_in(paths, "decisions", columns), columns=columns.split(", "))
    pi = found["audit_probability"]
    assert pi.nunique() == 50
    for _, part in found.groupby(found["reach"] // 10):
        expected, variance = (
            part["audit_probability"].sum(),
            (part["audit_probability"] * (1 - part["audit_probability"])).sum(),
        )
        assert abs(part["is_sampled"].sum() - expected) < 3 * variance**0.5
    assert pi.sum() == pytest.approx(0.2 * 6000, rel=0.03)


def test_a_corrected_reach_changes_no_probability_of_what_was_drawn_before(paths: Paths) -> None:
    write_plan(paths.lake, plan(0.2, 25.0), DAYS[0])
    rows = rows_of(DAY, range(400))
    deliver(paths, "a.csv", as_csv(rows))
    take_in(paths)
    before = rows_in(paths, "sampled_decisions", "decision_id, inclusion_probability")
    changed = [row | {"reach": row["reach"] * 9 + 1} for row in rows]
    deliver(paths, "a.csv", as_csv([*changed, *rows_of(DAY, range(400, 500))]))
    assert only(take_in(paths)).restatements == 1
    after = rows_in(paths, "sampled_decisions", "decision_id, inclusion_probability, reach")
    old = [(name, pi) for name, pi, _ in after if int(name.split("-")[-1]) < 400]
    assert old == before
    assert {reach for name, _, reach in after if int(name.split("-")[-1]) < 400} <= {
        row["reach"] for row in changed
    }
    assert len(after) > len(before)


@pytest.mark.parametrize("order", [[[0], [1]], [[0, 1]], [[1], [0]]])
def test_a_decision_repeated_under_another_date_keeps_the_probability_it_was_first_drawn_with(
    paths: Paths, order: list[list[int]]
) -> None:
    write_plan(paths.lake, plan(0.2, 25.0), DAYS[0])
    rows = rows_of(DAY, range(400))
    again = [row | {"reach": row["reach"] * 9 + 1} for row in rows[:300]]
    by_day = [rows, [*again, *rows_of(DAYS[1], range(50))]]
    for day, delivered in zip(DAYS, by_day, strict=False):
        deliver(paths, "a.csv", as_csv(delivered), day)
    for numbers in order:
        take_in(paths, [DAYS[n] for n in numbers])
    first = make_home(paths.root.with_name("first"))
    write_plan(first.lake, plan(0.2, 25.0), DAYS[0])
    deliver(first, "a.csv", as_csv(by_day[order[0][0]]))
    take_in(first)

    expected = dict(rows_in(first, "decisions", "decision_id, audit_probability"))
    found = rows_in(paths, "decisions", "decision_id, audit_probability")
    assert len(found) == 750
    assert {name: pi for name, pi in found if name in expected} == expected
    assert len(set(found)) == len({name for name, _ in found}) == 450


def test_large_deliveries_are_counted_side_by_side_as_small_ones_are_together(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = make_home(paths.root.with_name("alone"))
    for home in (paths, alone):
        write_plan(home.lake, plan(0.2, 25.0), DAYS[1])
        for n, day in enumerate(DAYS):
            # Two decisions of an item, and on the last day some of the day before once more.
            rows = [*rows_of(day, range(90)), *rows_of(day, range(200, 230))]
            rows[-5:] = [row | {"item_id": "i3"} for row in rows[-5:]]
            again = rows_of(DAYS[n - 1], range(40)) if day == DAYS[-1] else []
            deliver(home, "a.csv", as_csv([*rows, *again]), day)
    take_in(paths, DAYS)
    monkeypatch.setattr(lake, "MANY_ROWS", 1)
    take_in(alone, DAYS)
    for table in ("counted_decisions", "sampled_decisions", "actioned_decisions", "decisions"):
        assert rows_in(alone, table) == rows_in(paths, table) != []
    with duckdb.connect(config={"threads": 2}) as connection:
        done = lake.side_by_side(
            connection, [[3], [1], [2]], lambda session, parts: (
                parts, session.execute("select current_setting('timezone')").fetchall()
            ),
        )  # fmt: skip
        assert done == [([n], [("UTC",)]) for n in (3, 1, 2)], "in the order of the groups"
        threads = connection.execute("select current_setting('threads')").fetchall()
    assert threads == [(2,)], "as it was before"


rates = st.floats(0.05, 1.0)


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    changes=st.lists(st.tuples(st.integers(0, 3), rates, st.booleans()), min_size=1, max_size=3),
    late=st.integers(0, 2),
)
def test_daily_runs_one_backfill_and_a_restatement_draw_the_same(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, float, bool]], late: int
) -> None:
    root = tmp_path_factory.mktemp("homes")
    plans = [
        (DAYS[n], plan(rate, 25.0 if by_reach else None))
        for n, rate, by_reach in sorted(changes, key=lambda change: change[0])
    ]
    daily, backfill = make_home(root / "daily"), make_home(root / "backfill")
    for home in (daily, backfill):
        for number, day in enumerate(DAYS):
            rows = rows_of(day, range(60))
            # A delivery also brings some decisions of an earlier day.
            if number:
                rows += rows_of(
                    DAYS[min(late, number - 1)], range(60 + 9 * number, 69 + 9 * number)
                )
            deliver(home, "a.csv", as_csv(rows), day)
    for day in DAYS:
        for begin, rows_ in plans:
            if begin == day:
                write_plan(daily.lake, rows_, begin)
        take_in(daily, [day])
    for begin, rows_ in plans:
        write_plan(backfill.lake, rows_, begin)
    take_in(backfill, DAYS)
    everything = f"{DRAWN}, reach, stratum"
    by_day = rows_in(daily, "sampled_decisions", everything)
    assert by_day == rows_in(backfill, "sampled_decisions", everything)
    assert rows_in(daily, "decisions", "decision_id, audit_probability") == rows_in(
        backfill, "decisions", "decision_id, audit_probability"
    )
    write_registry(daily.lake, rate=0.01, policy="another")
    for day in DAYS:
        file = daily.landing / "decisions" / "shopads" / str(day) / "a.csv"
        file.write_text(file.read_text() + "\n")
    assert all(m.restatements == 1 for m in take_in(daily, DAYS))
    assert rows_in(daily, "sampled_decisions", everything) == by_day
