"""Whether acting helped: before and after on one slice."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from governance_pipeline.domain.before_after import Change, changed_on, compare, metric_of
from governance_pipeline.domain.commands import Resolve
from tests.unit.desks import DESK, OWNER, Case, finding

CHANGED = dt.date(2026, 4, 10)
DAY = dt.timedelta(days=1)
LAG = 4
Frames = tuple[pd.DataFrame, pd.DataFrame]


def slice_(
    before: float, after: float, days: int, *, seed: int = 1, units: int = 60, healthy: int = 0
) -> Frames:
    """Return 28 days before the change and some after it, each with precision as given.

    `healthy` days come before those, with a precision of 1.
    """
    rng = np.random.default_rng(seed)
    offset = np.arange(-28 - healthy, days + 1)
    day = pd.Timestamp(CHANGED) + pd.to_timedelta(offset, "D")
    rate = np.where(offset < -28, 1.0, np.where(offset < 0, before, after))
    drawn = rng.binomial(units, 0.5, len(day))
    cell = {"channel": "video", "is_fired": True, "stratum": "fired/0"}
    population = pd.DataFrame({"decision_date": day, **cell, "population": units, "drawn": drawn})
    is_right = rng.random(drawn.sum()) < np.repeat(rate, drawn)
    decided = np.repeat(day, drawn)
    draws = pd.DataFrame(
        {
            "decision_date": decided,
            **cell,
            "inclusion_probability": 0.5,
            "verdict": np.where(is_right, "should_fire", "should_not_fire"),
            "known_on": decided + LAG * DAY,
        }
    )
    return population, draws


def known_by(frames: Frames, as_of: dt.date) -> Frames:
    population, draws = frames
    return population, draws[draws["known_on"] <= pd.Timestamp(as_of)]


def asked(target: float | None = 0.88, since: dt.date | None = None) -> Change:
    return Change("precision", CHANGED, since, target)


def test_a_mended_strategy_has_improved_and_by_how_much() -> None:
    found = compare(*slice_(0.7, 0.9, 20), asked(), CHANGED + 30 * DAY)
    assert found.verdict == "improved"
    assert found.before == pytest.approx(0.7, abs=0.04)
    assert found.after == pytest.approx(0.9, abs=0.04)
    assert found.difference_lo is not None
    assert found.difference_hi is not None
    assert 0 < found.difference_lo < 0.2 < found.difference_hi
    assert "20 days after" in found.statement


def test_what_stays_as_it_was_has_not_improved() -> None:
    found = compare(*slice_(0.7, 0.7, 28), asked(), CHANGED + 40 * DAY)
    assert found.verdict == "not_improved"
    assert found.known_on is None


def test_before_any_label_came_it_is_too_early_and_said_when_it_will_be_known() -> None:
    as_of = CHANGED + 2 * DAY
    found = compare(*known_by(slice_(0.7, 0.9, 2), as_of), asked(), as_of)
    assert (found.verdict, found.after) == ("too_early", None)
    assert found.known_on is not None
    assert as_of < found.known_on <= CHANGED + (28 + LAG) * DAY
    by_then = compare(*known_by(slice_(0.7, 0.9, 28), found.known_on), asked(), found.known_on)
    assert by_then.verdict == "improved"


def test_a_day_under_nine_tenths_labelled_does_not_count() -> None:
    population, draws = slice_(0.7, 0.9, 5)
    last = draws["decision_date"] == draws["decision_date"].max()
    kept = draws[~last | (np.arange(len(draws)) % 5 == 0)]
    found = compare(population, kept, asked(), CHANGED + 30 * DAY)
    assert "4 days after" in found.statement


def test_days_before_the_trouble_began_do_not_make_before_look_better() -> None:
    frames = slice_(0.7, 0.9, 10, healthy=14)
    began = CHANGED - 10 * DAY
    found = compare(*frames, asked(since=began), CHANGED + 30 * DAY)
    assert "10 days before" in found.statement


def test_the_day_of_the_change_belongs_to_neither_side() -> None:
    population, draws = slice_(0.7, 0.9, 10)
    on_day = draws["decision_date"] == pd.Timestamp(CHANGED)
    turned = draws.assign(verdict=draws["verdict"].where(~on_day, "should_not_fire"))
    one = compare(population, draws, asked(), CHANGED + 30 * DAY)
    assert one == compare(population, turned, asked(), CHANGED + 30 * DAY)


def test_without_a_label_before_nothing_can_be_measured() -> None:
    population, draws = slice_(0.7, 0.9, 10)
    later = draws[draws["decision_date"] >= pd.Timestamp(CHANGED)]
    found = compare(population, later, asked(), CHANGED + 30 * DAY)
    assert found.verdict == "not_measurable"


def test_nineteen_of_twenty_intervals_hold_the_true_difference() -> None:
    held = 0
    for seed in range(120):
        frames = slice_(0.75, 0.85, 8, seed=seed, units=30)
        found = compare(*frames, asked(), CHANGED + 30 * DAY)
        assert found.difference_lo is not None
        assert found.difference_hi is not None
        held += found.difference_lo <= 0.1 <= found.difference_hi
    assert held >= 107  # a binomial of 120 at 95% is below once in 500


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("cut raised on 2026-04-14", dt.date(2026, 4, 14)),
        ("version 2", None),
        ("none", dt.date(2026, 4, 10)),
    ],
)
def test_a_change_says_from_when_on_it_shows(said: str, day: dt.date | None) -> None:
    case = Case()
    strategy = DESK.strategies["counterfeit-listing-block"]
    second = {version.number: version.effective_from for version in strategy.versions}.get(2)
    done = Resolve(actor=OWNER, reason="x", code="strategy_fixed", evidence_uri="x", change=said)
    assert changed_on(case.do(done), DESK) == (day or second or dt.date(2026, 4, 10))


def test_what_no_label_speaks_of_has_no_metric() -> None:
    assert metric_of(finding(strategy_id=None)) is None
    assert metric_of(finding(metric=None, type="wrong_promotion")) == "precision"
    assert metric_of(finding(metric="contradicts x", type="strategy_conflict")) is None
