"""How often reviewers are wrong when nobody knows the truth, and what that does to a share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from governance_pipeline.domain.agreement import check_codes, rating_counts
from governance_pipeline.domain.intervals import Floats, Integers
from governance_pipeline.errors import InputError

TOLERANCE = 1e-8
MAX_ITERATIONS = 1000
TINY = 1e-300


@dataclass(frozen=True)
class Crowd:
    """What Dawid and Skene's model makes of ratings.

    `posterior` is each item's probability of each class, shape (items, classes), `prior` the
    classes' shares, `expected` the expected number of a rater's labels by true class and label,
    shape (raters, classes, classes), `log_likelihood` one value per iteration, never falling.
    """

    posterior: Floats
    prior: Floats
    expected: Floats
    log_likelihood: Floats
    converged: bool

    def confusion(self) -> Floats:
        """Return each rater's probability of a label given the class, (raters, classes, classes).

        A class that a rater met on no item has equal probabilities.
        """
        return _confusion(self.expected)


@dataclass(frozen=True)
class Noise:
    """Sensitivity and specificity of a reviewer or of many, arrays of one shape, with variances."""

    sensitivity: ArrayLike
    specificity: ArrayLike
    sensitivity_variance: ArrayLike = 0.0
    specificity_variance: ArrayLike = 0.0


def dawid_skene(
    item: ArrayLike,
    rater: ArrayLike,
    label: ArrayLike,
    classes: int,
    *,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> Crowd:
    """Estimate the items' classes and every rater's confusion together, by EM from vote shares.

    It stops when an iteration adds less than `tolerance` per label to the log-likelihood.

    Args:
        item: Code of the item of each label, shape (labels,), every code from 0 occurring.
        rater: Code of who gave it, same shape.
        label: Code of the label given, same shape, in [0, classes).
        classes: Number of classes, at least 2.
        tolerance: Nats per label, above 0.
        max_iterations: At least 1.

    Raises:
        InputError: If there is no label, a code is out of range, or an item has none.

    Source:
        Dawid and Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM
        Algorithm" (1979).

    >>> item = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    >>> label = [1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0]
    >>> dawid_skene(item, [0, 1, 2] * 4, label, 2).posterior.argmax(axis=1).tolist()
    [1, 0, 1, 0]
    """
    items, raters, labels = _coded(item, rater, label, classes)
    votes = rating_counts(items, labels, int(items.max()) + 1, classes)
    if (votes.sum(axis=1) == 0).any():
        raise InputError(f"item {int(votes.sum(axis=1).argmin())} has no label")
    posterior = votes / votes.sum(axis=1, keepdims=True)
    size, cell = (int(raters.max()) + 1, classes, classes), raters * classes + labels
    history: list[float] = []
    for _ in range(max_iterations):
        expected = _expected(posterior, items, cell, size)
        joint = _joint(posterior.mean(axis=0), _confusion(expected), items, cell)
        most = joint.max(axis=1, keepdims=True)
        scaled = np.exp(joint - most)
        likelihood = scaled.sum(axis=1, keepdims=True)
        posterior = scaled / likelihood
        history.append(float((np.log(likelihood) + most).sum()))
        if len(history) > 1 and history[-1] - history[-2] <= tolerance * len(labels):
            break
    converged = len(history) < max_iterations
    expected = _expected(posterior, items, cell, size)
    return Crowd(posterior, posterior.mean(axis=0), expected, np.array(history), converged)


def _coded(
    item: ArrayLike, rater: ArrayLike, label: ArrayLike, classes: int
) -> tuple[Integers, Integers, Integers]:
    huge = np.iinfo(np.int64).max
    items, raters = check_codes("item", item, huge), check_codes("rater", rater, huge)
    labels = check_codes("label", label, classes)
    if not len(items) == len(raters) == len(labels):
        raise InputError(
            f"items, raters and labels differ: {len(items)}, {len(raters)}, {len(labels)}"
        )
    if len(items) == 0:
        raise InputError("no label was given: nothing can be said of the raters")
    return items, raters, labels


def _expected(
    posterior: Floats, items: Integers, cell: Integers, size: tuple[int, int, int]
) -> Floats:
    """Return the expected labels by rater, true class and label: the M step before it divides."""
    by_class = [
        np.bincount(cell, weights=column[items], minlength=size[0] * size[2]).reshape(
            size[0], size[2]
        )
        for column in posterior.T
    ]
    return np.stack(by_class, axis=1)


def _joint(prior: Floats, confusion: Floats, items: Integers, cell: Integers) -> Floats:
    """Return the log probability of each item's labels and each class: the E step's numerator."""
    # A probability of exactly 0 would make the logarithm of an impossible class undefined.
    log_confusion, log_prior = (np.log(np.maximum(p, TINY)) for p in (confusion, prior))
    return np.stack(
        [
            log_prior[k] + np.bincount(items, weights=log_confusion[:, k].ravel()[cell])
            for k in range(len(prior))
        ],
        axis=1,
    )


def _confusion(expected: Floats) -> Floats:
    met = expected.sum(axis=2, keepdims=True)
    return np.where(met > 0, expected / np.where(met > 0, met, 1.0), 1 / expected.shape[2])


def binary_noise(expected: Floats) -> Noise:
    """Return sensitivity and specificity, class 1 being positive, from expected labels.

    Their variances are those of a share with half a label added on either side, so that a reviewer
    without a mistake is not taken for certain.

    Args:
        expected: Expected labels by true class and label, shape (..., 2, 2).

    Raises:
        InputError: If the shape is another, or a count is negative or not finite.

    >>> noise = binary_noise(np.array([[90.0, 10.0], [5.0, 45.0]]))
    >>> float(noise.sensitivity), float(noise.specificity)
    (0.9, 0.9)
    """
    if expected.shape[-2:] != (2, 2):
        raise InputError(f"expected labels must be (..., 2, 2), got {expected.shape}")
    if not (np.isfinite(expected) & (expected >= 0)).all():
        raise InputError("expected labels must be finite and not negative")
    met = expected.sum(axis=-1)
    right = np.diagonal(expected, axis1=-2, axis2=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(met > 0, right / met, np.nan)
    near = (right + 0.5) / (met + 1)
    variance = near * (1 - near) / (met + 2)
    return Noise(share[..., 1], share[..., 0], variance[..., 1], variance[..., 0])


def rogan_gladen(
    observed: ArrayLike, observed_variance: ArrayLike, noise: Noise
) -> tuple[Floats, Floats]:
    """Return the share that noisy labels stand for, in [0, 1], and its variance, elementwise.

    The variance is the delta method's at the share before it is clipped, with what is unknown of
    sensitivity and specificity in it.

    Args:
        observed: Share of positive labels, in [0, 1].
        observed_variance: Its sampling variance, at least 0.
        noise: Sensitivity and specificity, each in [0, 1], and their variances.

    Raises:
        InputError: If a share is outside [0, 1], a variance is negative, or sensitivity and
            specificity together do not exceed 1: such labels say nothing of the truth.

    Source:
        Rogan and Gladen, "Estimating Prevalence from the Results of a Screening Test" (1978).

    >>> share, variance = rogan_gladen(0.26, 0.0004, Noise(0.9, 0.9))
    >>> round(float(share), 6), round(float(variance), 6)
    (0.2, 0.000625)
    """
    p, se = _share("observed", observed), _share("sensitivity", noise.sensitivity)
    sp = _share("specificity", noise.specificity)
    v_p, v_se, v_sp = (
        np.asarray(v, dtype=float)
        for v in (observed_variance, noise.sensitivity_variance, noise.specificity_variance)
    )
    if not all((v >= 0).all() for v in (v_p, v_se, v_sp)):
        raise InputError("variances must not be negative or NaN")
    youden = se + sp - 1
    if (youden <= 0).any():
        raise InputError(
            "sensitivity and specificity must together exceed 1, got "
            f"{float((se + sp).min()):g}: such labels say nothing of the truth"
        )
    true = (p + sp - 1) / youden
    variance = (v_p + (1 - true) ** 2 * v_sp + true**2 * v_se) / youden**2
    return np.clip(true, 0.0, 1.0), variance


def _share(name: str, given: ArrayLike) -> Floats:
    share = np.asarray(given, dtype=float)
    if not ((share >= 0) & (share <= 1)).all():
        raise InputError(f"{name} must be in [0, 1], got {share}")
    return share
