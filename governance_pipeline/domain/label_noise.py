"""How often reviewers are wrong, how well that is known, and what it does to a share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import comb

from governance_pipeline.domain.intervals import Floats, Integers
from governance_pipeline.errors import InputError

# Below this share of the largest eigenvalue an information matrix is singular.
SINGULAR = 1e-9


@dataclass(frozen=True)
class Noise:
    """Sensitivity and specificity of a reviewer or of many, arrays of one shape, with variances.

    `covariance` is that of the two: what does not tell truth from mistakes moves both at once.
    """

    sensitivity: ArrayLike
    specificity: ArrayLike
    sensitivity_variance: ArrayLike = 0.0
    specificity_variance: ArrayLike = 0.0
    covariance: ArrayLike = 0.0


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


def pool_covariance(noise: Noise, prior: float, units: Integers, golden: Floats) -> Floats:
    """Return the covariance of the reviewers' common sensitivity and specificity, shape (2, 2).

    It is the inverse of the expected information on the two and the share of positives, as if all
    reviewers were alike. It is infinite where the answers cannot tell mistakes from the truth:
    with two answers an item and no golden question, two kinds of patterns face three unknowns.

    Args:
        noise: The two at which it is taken, in (0, 1); one number each.
        prior: Share of positives among the items, in (0, 1).
        units: Number of items with 0, 1, 2, ... answers.
        golden: Answers to golden questions whose truth is negative and positive, shape (2,).

    Raises:
        InputError: If sensitivity, specificity or the share is not strictly between 0 and 1.

    Source:
        Hui and Walter, "Estimating the Error Rates of Diagnostic Tests" (1980).

    >>> alike = Noise(0.9, 0.9)
    >>> pool_covariance(alike, 0.5, np.array([0, 0, 500]), np.zeros(2))[0, 0].item()
    inf
    >>> golden = np.array([90.0, 90.0])
    >>> round(pool_covariance(alike, 0.5, np.array([0, 0, 0]), golden)[0, 0].item(), 6)
    0.001
    """
    se, sp = float(np.asarray(noise.sensitivity)), float(np.asarray(noise.specificity))
    if not all(0 < share < 1 for share in (se, sp, prior)):
        raise InputError(f"shares must be strictly between 0 and 1, got {se}, {sp} and {prior}")
    information = np.diag([golden[1] / (se * (1 - se)), golden[0] / (sp * (1 - sp)), 0.0])
    for answers in np.flatnonzero(units[2:]) + 2:
        k = np.arange(answers + 1)
        if_true, if_false = se**k * (1 - se) ** (answers - k), (1 - sp) ** k * sp ** (answers - k)
        probability = prior * if_true + (1 - prior) * if_false
        slopes = np.stack(
            [
                prior * if_true * (k / se - (answers - k) / (1 - se)),
                (1 - prior) * if_false * ((answers - k) / sp - k / (1 - sp)),
                if_true - if_false,
            ]
        )
        weight = units[answers] * comb(answers, k) / probability
        information += (slopes * weight) @ slopes.T
    if information[2, 2] == 0:
        # Golden questions alone: the share of positives is not asked for.
        information[2, 2] = information.max(initial=1.0)
    spread = np.linalg.eigvalsh(information)
    if spread[0] <= SINGULAR * spread[-1]:
        return np.full((2, 2), np.inf)
    return np.asarray(np.linalg.inv(information)[:2, :2], dtype=float)


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
    v_p, v_se, v_sp, both = (
        np.asarray(v, dtype=float)
        for v in (
            observed_variance,
            noise.sensitivity_variance,
            noise.specificity_variance,
            noise.covariance,
        )
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
    of_noise = (1 - true) ** 2 * v_sp + true**2 * v_se - 2 * true * (1 - true) * both
    variance = (v_p + of_noise) / youden**2
    return np.clip(true, 0.0, 1.0), variance


def _share(name: str, given: ArrayLike) -> Floats:
    share = np.asarray(given, dtype=float)
    if not ((share >= 0) & (share <= 1)).all():
        raise InputError(f"{name} must be in [0, 1], got {share}")
    return share
