"""What several fallible raters' labels say of the items, and of the raters, without the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from governance_pipeline.domain.agreement import check_codes, rating_counts
from governance_pipeline.domain.intervals import Booleans, Floats, Integers
from governance_pipeline.errors import InputError

UNKNOWN = -1
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


def dawid_skene(
    item: ArrayLike,
    rater: ArrayLike,
    label: ArrayLike,
    classes: int,
    *,
    truth: ArrayLike | None = None,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> Crowd:
    """Estimate the items' classes and every rater's confusion together, by EM from vote shares.

    It stops when an iteration adds less than `tolerance` per label to the log-likelihood. Two
    ratings an item leave the model open by one dimension, and EM then ends near where it began:
    items whose truth is known, or a third rating, close it. See `label_noise`.

    Args:
        item: Code of the item of each label, shape (labels,), every code from 0 occurring.
        rater: Code of who gave it, same shape.
        label: Code of the label given, same shape, in [0, classes).
        classes: Number of classes, at least 2.
        truth: Code of each item's class where it is known, `UNKNOWN` where not, shape (items,). The
            known ones teach the raters' confusion and not the prior.
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
    known = _truth(truth, len(votes), classes)
    is_open = known == UNKNOWN
    certain = np.where(is_open[:, None], 1.0, np.eye(classes)[np.where(is_open, 0, known)])
    posterior = votes / votes.sum(axis=1, keepdims=True)
    posterior = np.where(is_open[:, None], posterior, certain)
    size, cell = (int(raters.max()) + 1, classes, classes), raters * classes + labels
    history: list[float] = []
    for _ in range(max_iterations):
        expected = _expected(posterior, items, cell, size)
        prior = np.where(is_open[:, None], _prior(posterior, is_open), certain)
        joint = _joint(prior, _confusion(expected), items, cell)
        most = joint.max(axis=1, keepdims=True)
        scaled = np.exp(joint - most)
        likelihood = scaled.sum(axis=1, keepdims=True)
        posterior = scaled / likelihood
        history.append(float((np.log(likelihood) + most).sum()))
        if len(history) > 1 and history[-1] - history[-2] <= tolerance * len(labels):
            break
    converged = len(history) < max_iterations
    expected = _expected(posterior, items, cell, size)
    return Crowd(posterior, _prior(posterior, is_open), expected, np.array(history), converged)


def _truth(truth: ArrayLike | None, items: int, classes: int) -> Integers:
    if truth is None:
        return np.full(items, UNKNOWN)
    known = check_codes("truth", np.asarray(truth) - UNKNOWN, classes - UNKNOWN) + UNKNOWN
    if len(known) != items:
        raise InputError(f"the truth of {len(known)} items was given for {items}")
    return known


def _prior(posterior: Floats, is_open: Booleans) -> Floats:
    classes = posterior.shape[1]
    return posterior[is_open].mean(axis=0) if is_open.any() else np.full(classes, 1 / classes)


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
            log_prior[:, k] + np.bincount(items, weights=log_confusion[:, k].ravel()[cell])
            for k in range(prior.shape[1])
        ],
        axis=1,
    )


def _confusion(expected: Floats) -> Floats:
    met = expected.sum(axis=2, keepdims=True)
    return np.where(met > 0, expected / np.where(met > 0, met, 1.0), 1 / expected.shape[2])
