"""When a metric dropped: Shiryaev-Roberts over the daily bets, restarted every week.

Arrays are (days, series, lams): a series is one strategy x channel x metric, a lam one stake of
the mixture. The guarantee holds for a year: P(ever e >= 1 / alpha) <= alpha without a drop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from governance_pipeline.domain.bets import LOG_CLIP
from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.errors import InputError

STARTS_A_YEAR = 53
STATISTIC_CAP = 1e200


@dataclass(frozen=True)
class Evidence:
    """What `accumulate` returns, each of shape (days, series).

    `e_value` is at least 0 and 1 without evidence; `most_likely_start` the index of the day whose
    start has the largest product, -1 before the first start.
    """

    e_value: Floats
    most_likely_start: Integers


def weekly_starts(first_day: Integers, restarts: Booleans, starts: int = STARTS_A_YEAR) -> Booleans:
    """Return on which days a series starts: every 7 days from its first, and at each restart.

    Args:
        first_day: Index of each series' first day, shape (series,).
        restarts: Days on which it begins anew, shape (days, series).
        starts: How many starts a year holds.

    Returns:
        Whether a product starts that day, shape (days, series), at most `starts` true per series.

    >>> weekly_starts(np.array([1]), np.zeros((9, 1), dtype=bool))[:, 0].nonzero()[0].tolist()
    [1, 8]
    """
    day = np.arange(len(restarts))[:, None]
    is_start = ((day >= first_day) & ((day - first_day) % 7 == 0)) | restarts
    return is_start & (np.cumsum(is_start, axis=0) <= starts)


def accumulate(
    log_bets: Floats, is_start: Booleans, restarts: Booleans, starts: int = STARTS_A_YEAR
) -> Evidence:
    """Return every day's e-value: (mean over lam of M + starts left) / starts.

    M <- (M + 1 on a start) x E of the day, and M = 0 at a restart; the starts already used stay
    used, so that restarts never weaken the guarantee.

    Args:
        log_bets: log E of the day, shape (days, series, lams); clipped to +-80.
        is_start: From `weekly_starts`, shape (days, series).
        restarts: Where a new version or a closed audit begins anew, shape (days, series).
        starts: Starts in a year, S.

    Raises:
        InputError: If a bet is NaN.

    Source:
        Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change
        detection" (2024); Ville's inequality.

    >>> never = np.zeros((3, 1), dtype=bool)
    >>> begin = np.array([[True], [False], [False]])
    >>> bets = np.log(np.array([1.0, 30.0, 2.0])).reshape(3, 1, 1)
    >>> accumulate(bets, begin, never).e_value[:, 0].round(4).tolist()
    [1.0, 1.5472, 2.1132]
    """
    if np.isnan(log_bets).any():
        raise InputError("log_bets must be finite; one of them is NaN")
    days, series, lams = log_bets.shape
    bets = np.clip(log_bets, -LOG_CLIP, LOG_CLIP)
    factors = np.exp(bets)
    statistic = np.zeros((series, lams))
    best = np.full((series, lams), -np.inf)
    best_start = np.full((series, lams), -1, dtype=np.int64)
    left = starts - np.cumsum(is_start, axis=0)
    e_value = np.empty((days, series))
    likely = np.empty((days, series), dtype=np.int64)
    for day in range(days):
        begins = is_start[day][:, None]
        statistic[restarts[day]] = 0.0
        best[restarts[day]] = -np.inf
        # The newest start's product is 1, so it is the best where all older ones are below that.
        is_better = begins & (best < 0)
        best = np.where(is_better, 0.0, best) + bets[day]
        best_start[is_better] = day
        statistic = np.minimum((statistic + begins) * factors[day], STATISTIC_CAP)
        e_value[day] = (statistic.mean(axis=1) + left[day]) / starts
        likely[day] = np.take_along_axis(best_start, best.argmax(axis=1)[:, None], axis=1)[:, 0]
    return Evidence(e_value, likely)


def start_products(log_bets: Floats, is_start: Booleans, restarts: Booleans) -> Floats:
    """Return the log product of every start up to the last day, mixed over lam.

    Args:
        log_bets: Shape (days, series, lams).
        is_start: Shape (days, series).
        restarts: Shape (days, series); starts before the last restart no longer count.

    Returns:
        Shape (days, series); -inf where no start lives. `since` is the largest, and the starts
        within a factor 8 of it are when it may have begun.

    >>> start = np.array([[True], [True]])
    >>> bets = np.log(np.array([0.5, 3.0])).reshape(2, 1, 1)
    >>> np.exp(start_products(bets, start, np.zeros((2, 1), dtype=bool)))[:, 0].round(3).tolist()
    [1.5, 3.0]
    """
    from_here = np.cumsum(np.clip(log_bets, -LOG_CLIP, LOG_CLIP)[::-1], axis=0)[::-1]
    restarted_later = np.cumsum(restarts[::-1], axis=0)[::-1] - restarts > 0
    mixed = np.logaddexp.reduce(from_here, axis=2) - np.log(log_bets.shape[2])
    return np.where(is_start & ~restarted_later, mixed, -np.inf)
