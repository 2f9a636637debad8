"""The benchmark's streams are what they say, and a run writes what people quote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.accuracy.__main__ import keep, main
from benchmarks.accuracy.coverage import by_reach
from benchmarks.accuracy.monitors import USUAL, watch
from benchmarks.accuracy.results import Part, days_to, upper_limit
from benchmarks.accuracy.streams import (
    MEAN_LAG,
    Stream,
    binormal_scores,
    draw,
    geometric_lags,
    precision_world,
    recall_world,
    same_lags,
    scored_world,
)


def scored_stream(seed: int) -> Stream:
    scores = binormal_scores(0.1, 0.9)
    world = scored_world(30, scores, scores.error_rate, 50, same_lags(), planned=True)
    return draw(world, 4, np.random.default_rng(seed))


def test_the_same_seed_draws_the_same_stream() -> None:
    one, same, other = (scored_stream(seed) for seed in (1, 1, 2))
    for part in ("design", "labels", "cohorts"):
        for name, values in vars(getattr(one, part)).items():
            np.testing.assert_array_equal(values, getattr(getattr(same, part), name))
    assert (one.drawn != other.drawn).any()


def test_a_steady_strategy_errs_as_often_as_the_level_allows() -> None:
    stream = draw(precision_world(365, 0.9, 200, same_lags(0)), 40, np.random.default_rng(3))
    labels = stream.labels
    share = (labels.count * labels.is_event).sum() / labels.count.sum()
    spread = np.sqrt(0.09 / labels.count.sum())
    assert share == pytest.approx(0.1, abs=4 * spread)


def test_scores_shift_to_the_mean_asked_for_and_separate_as_well_as_said() -> None:
    scores = binormal_scores(0.1, 0.9)
    assert scores.share @ scores.error_rate == pytest.approx(0.1, abs=1e-4)
    assert scores.share @ scores.shifted_to(0.2) == pytest.approx(0.2, abs=1e-9)
    wrong, right = scores.share * scores.error_rate, scores.share * (1 - scores.error_rate)
    above = np.cumsum(right[::-1])[::-1] - right / 2
    # Twenty bins blur a little of the AUC away.
    assert wrong @ above / (wrong.sum() * right.sum()) == pytest.approx(0.9, abs=0.005)


@pytest.mark.parametrize("score", ["none", "auc", "bins"])
def test_recall_falls_from_90_to_80_percent_at_the_same_precision(score: str) -> None:
    world = recall_world(10, np.array([5]), 0.01, score, 200, same_lags())
    is_fired = world.cells < 21
    for day, recall in ((4, 0.9), (5, 0.8)):
        errors = world.population * world.error_rate[day, 0]
        caught = world.population[is_fired].sum() - errors[is_fired].sum()
        assert caught / (caught + errors[~is_fired].sum()) == pytest.approx(recall, abs=2e-3)


def test_labels_that_are_alike_are_counted_and_none_is_lost() -> None:
    stream = scored_stream(5)
    labels, days = stream.labels, stream.world.days
    shape = (days, 4, 42, 2)
    at = np.ravel_multi_index(
        (labels.day, labels.pool, labels.cell, labels.is_event.astype(int)), shape
    )
    counted = np.bincount(at, labels.count, minlength=np.prod(shape)).reshape(shape)
    drawn = np.stack([stream.drawn - stream.errors, stream.errors], axis=-1)
    found = counted[:, :, stream.world.cells]
    assert (found <= drawn).all()
    # What is missing is still on its way: it comes after the last day.
    is_in = np.arange(days) < days - len(same_lags()[0])
    np.testing.assert_array_equal(found[is_in], drawn[is_in])
    keys = np.stack([at, labels.known])
    assert len(np.unique(keys, axis=1)[0]) == len(at)


def test_a_cohort_is_mature_on_the_day_its_ninetieth_percentile_arrives() -> None:
    stream = scored_stream(6)
    labels, cohorts = stream.labels, stream.cohorts
    for pool in range(4):
        own = (labels.day == 3) & (labels.pool == pool)
        arrived = np.repeat(labels.known[own], labels.count[own].astype(int))
        need = int(np.ceil(0.9 * cohorts.drawn[3, pool] - 1e-9))
        assert cohorts.mature_on[3, pool] == np.sort(arrived)[need - 1]


def test_verdicts_take_a_day_at_least_and_the_mean_said() -> None:
    chances = geometric_lags(MEAN_LAG)
    assert chances[0] == 0
    assert chances @ np.arange(len(chances)) == pytest.approx(MEAN_LAG, abs=0.01)


def test_a_drop_is_found_by_the_product_and_never_by_who_never_alarms() -> None:
    precision = np.where(np.arange(150) < 100, 0.9, 0.5)[:, None, None]
    stream = draw(precision_world(150, precision, 50, same_lags()), 20, np.random.default_rng(7))
    waits = days_to(watch(stream, "precision", 0.9, ("goal",)).alarms("goal"), np.array(100))
    assert 0 < np.median(waits) < 8
    counts = stream.drawn.sum(axis=2), stream.errors.sum(axis=2)
    assert not USUAL["never alarms"](*counts, 0.9).any()
    assert all(rule(*counts, 0.9).any() for name, rule in USUAL.items() if name[0] != "n")


def test_draws_by_reach_spend_their_budget_and_take_the_largest_for_sure() -> None:
    reach = np.r_[1000.0, np.ones(99)]
    chance = by_reach(reach, 5.0)
    assert chance[0] == 1
    assert chance.sum() == pytest.approx(5)


def test_a_part_without_a_number_does_not_hold() -> None:
    assert Part("x", 0.04, high=0.05).holds
    assert not Part("x", 0.06, high=0.05).holds
    assert not Part("x", float("nan"), high=0.05).holds
    assert upper_limit(0, 100) == pytest.approx(1 - 0.05**0.01, abs=1e-9)


def test_a_quick_run_writes_its_rows_and_says_that_it_is_quick(tmp_path: Path) -> None:
    command = ["--rows", "7,10", "--replicates", "4", "--quick", "--results", str(tmp_path)]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0
    assert "quick" in result.output
    records = json.loads((tmp_path / "accuracy-quick.json").read_text())
    assert [record["row"].split()[0] for record in records] == ["7", "10"]
    for record in records:
        assert {"row", "figure", "must", "holds", "parts", "peers"} <= record.keys()
        assert record["quick"]
        assert record["holds"] == all(part["holds"] for part in record["parts"])
    assert "<svg" in (tmp_path / "accuracy-quick.svg").read_text()


def test_a_row_measured_again_replaces_itself_alone(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    keep([{"row": "2 b", "figure": "old"}, {"row": "10 c", "figure": "old"}], file)
    keep([{"row": "2 b", "figure": "new"}, {"row": "1 a", "figure": "new"}], file)
    found = {record["row"]: record["figure"] for record in json.loads(file.read_text())}
    assert list(found.items()) == [("1 a", "new"), ("2 b", "new"), ("10 c", "old")]


def test_an_unknown_row_is_a_wrong_usage() -> None:
    result = CliRunner().invoke(main, ["--rows", "13"])
    assert result.exit_code == 2
    assert "rows are 1 to 12, got 13" in result.output
