"""Do verdicts of one kind come back later than those of the other: a log-rank test of the lags."""

from __future__ import annotations

import numpy as np
from scipy.special import chdtri

from governance_pipeline.domain.intervals import Booleans, Floats

LONGEST_LAG = 60


def lag_differs(counts: Floats, p: float = 0.01) -> Booleans:
    """Return whether the lags of errors and of right verdicts differ, by a log-rank test.

    The test is stratified by side, because reviewers may take fired items first. Every label
    counted must belong to a cohort that is in, so that nothing is censored.

    Args:
        counts: Labels by lag in days, shape (series, sides, lags, 2); the last axis is right,
            error.
        p: How often lags that do not differ may be found to.

    Returns:
        Shape (series,); False where nothing can be compared.

    Source:
        Mantel, "Evaluation of survival data and two new rank order statistics" (1966).

    >>> soon, late = [8.0, 1.0, 0.0], [0.0, 2.0, 9.0]
    >>> same = np.stack([np.array(soon), np.array(soon)], axis=-1)[None, None]
    >>> other = np.stack([np.array(soon), np.array(late)], axis=-1)[None, None]
    >>> lag_differs(same).tolist(), lag_differs(other).tolist()
    ([False], [True])
    """
    at_risk = np.cumsum(counts[:, :, ::-1], axis=2)[:, :, ::-1]
    n, n_error = at_risk.sum(axis=-1), at_risk[..., 1]
    back, back_error = counts.sum(axis=-1), counts[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(n > 0, n_error / n, 0.0)
        spread = back * share * (1 - share) * np.where(n > 1, (n - back) / (n - 1), 0.0)
    surplus = (back_error - back * share).sum(axis=(1, 2))
    variance = spread.sum(axis=(1, 2))
    return surplus**2 > chdtri(1.0, p) * np.where(variance > 0, variance, np.inf)
