"""The target in standard units: log or asinh if it helps, then each series less its mean, over its deviation."""

from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST", "TRANSFORMS", "TargetScaling", "fit_scaling", "log_is_allowed", "moves_by_factors", "spread_grows"]

TRANSFORMS = ("none", "log", "asinh")
LEAST = 1e-2  # that a positive value counts as, of what one of 0 does
LITTLE = 0.03  # of the logarithm of the likelihood of a step
LARGE_STEP = 0.5  # of a logarithm
MUCH_GROWTH = 2.0  # factor from the first to the last quarter of the usual series
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TargetScaling:
    """Two invertible steps for each series: a transform of the values, and (value - center) / scale.

    The transform is ``x`` ("none"), ``log(x - shift)`` ("log", ``spread`` for an ``x - shift`` of 0 or less) or
    ``asinh((x - shift) / spread)`` ("asinh"). Everything is float64; NaN stays NaN.
    """

    kind: str
    shift: Floats  # (n_series,)
    spread: Floats  # (n_series,)
    center: Floats  # (n_series,)
    scale: Floats  # (n_series,)

    def apply(self, values: Floats, series: NDArray[np.int64]) -> Floats:
        """Give `values`, each of the series named beside it, in standard units."""
        moved = _transform(self.kind, values, self.shift[series], self.spread[series])
        return (moved - self.center[series]) / self.scale[series]

    def transformed(self, values: Floats, series: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Give transformed values, and the logarithm of the slope of the transform there."""
        shift, spread = self.shift[series], self.spread[series]
        moved = _transform(self.kind, values, shift, spread)
        if self.kind == "log":
            return moved, -moved
        if self.kind == "asinh":
            return moved, -np.log(spread * np.cosh(moved))
        return moved, np.zeros_like(moved)

    def invert(self, standard: Floats, series: NDArray[np.int64]) -> Floats:
        """Give back the unit of the target: rows of `standard` belong to the series named beside them."""
        wide = (slice(None),) + (None,) * (standard.ndim - 1)
        moved = standard * self.scale[series][wide] + self.center[series][wide]
        if self.kind in ("none", "count"):
            return moved
        bounded = np.clip(moved, -700.0, 700.0)  # exp and sinh stay finite
        if self.kind == "log":
            return np.exp(bounded) + self.shift[series][wide]
        return np.sinh(bounded) * self.spread[series][wide] + self.shift[series][wide]

    def joined(self, other: "TargetScaling") -> "TargetScaling":
        """The series of this scaling, followed by those of the other."""
        pairs = {f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)[1:]}
        return TargetScaling(self.kind, **pairs)


def log_is_allowed(values: Floats) -> bool:
    """Whether every known value is at least 0, with at most one zero in ten and some spread between them."""
    known = values[~np.isnan(values)]
    return bool(known.size and known.min() >= 0 and (known == 0).mean() <= 0.1 and known.max() > known.min())


def fit_scaling(kind: str, values: Floats, indptr: NDArray[np.int64]) -> TargetScaling:
    """Learn the scaling of each series ``values[indptr[i]:indptr[i + 1]]`` from its known values.

    Parameters
    ----------
    kind : {"none", "log", "asinh", "count"}
        The transform; "count" leaves the values as they are, in their own unit.
    values : ndarray of shape (n_rows,)
        The target, NaN where masked.
    indptr : ndarray of shape (n_series + 1,)
        Where each series begins and ends.

    Returns
    -------
    TargetScaling
        A series without a known value has center 0 and scale 1, a constant one scale 1.

    Examples
    --------
    >>> scaling = fit_scaling("none", np.array([1.0, 3.0, np.nan, 8.0]), np.array([0, 3, 4]))
    >>> scaling.center, scaling.scale
    (array([2., 8.]), array([1., 1.]))
    """
    n_series = len(indptr) - 1
    series = np.repeat(np.arange(n_series), np.diff(indptr))  # (n_rows,)
    known = ~np.isnan(values)
    values, series = values[known], series[known]
    shift, spread = _transform_parameters(kind, values, series, n_series)
    moved = _transform(kind, values, shift[series], spread[series])
    center, scale = (shift, spread) if kind == "count" else _moments(moved, series, n_series)
    return TargetScaling(kind, shift, spread, center, scale)


def _transform(kind: str, values: Floats, shift: Floats, spread: Floats) -> Floats:
    if kind in ("none", "count"):
        return values
    if kind == "log":
        above = values - shift
        return np.log(np.where(above <= 0, spread, np.maximum(above, LEAST * spread)))  # NaN stays NaN
    return np.arcsinh((values - shift) / spread)


def _transform_parameters(kind: str, values: Floats, series: NDArray[np.int64], n_series: int) -> tuple[Floats, Floats]:
    shift, spread = np.zeros(n_series), np.ones(n_series)
    if kind in ("none", "count"):
        return shift, spread
    bounds = np.searchsorted(series, np.arange(n_series + 1))
    for i in range(n_series):
        own = values[bounds[i] : bounds[i + 1]]
        if kind == "log":
            shift[i], spread[i] = _log_parameters(own)
        elif own.size:
            shift[i] = np.median(own)
            deviation = 1.4826 * np.median(np.abs(own - shift[i]))
            spread[i] = deviation or own.std() or 1.0
    return shift, spread


def _log_parameters(own: Floats) -> tuple[float, float]:
    """Zeros are moved up by the smallest positive value; where there are none, later ones count as half of it."""
    positive = own[own > 0]
    smallest = positive.min() if positive.size else 1.0
    offset = smallest if (own <= 0).any() else 0.0
    return -offset, 0.5 * smallest


def _moments(values: Floats, series: NDArray[np.int64], n_series: int) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each series, in two passes; a deviation lost in rounding counts as none."""
    count = np.maximum(np.bincount(series, minlength=n_series), 1)
    center = np.bincount(series, values, minlength=n_series) / count
    deviation = np.sqrt(np.bincount(series, (values - center[series]) ** 2, minlength=n_series) / count)
    return center, np.where(deviation > 1e-12 * np.maximum(np.abs(center), 1e-300), deviation, 1.0)


def moves_by_factors(values: Floats, indptr: NDArray[np.int64]) -> bool:
    """Whether series that are forecast by their last value are positive, as prices are, and may move by factors.

    They do not where steps are more alike in size than their factors are, by Laplace's likelihood, or where a step was
    large beside the value, as those of a sum are near 0. Wild times at low prices speak against factors, too, so that a
    little does not count.
    """
    known = values[~np.isnan(values)]
    if not known.size or known.min() <= 0:
        return False
    gain, n_steps = 0.0, 0
    for first, end in pairwise(indptr):
        own = values[first:end]
        later = own[1:][~np.isnan(np.diff(own))]
        if not len(later):
            continue
        steps, factors = (np.abs(np.diff(x)) for x in (own, np.log(own)))
        if np.nanmax(factors) > LARGE_STEP:
            return False
        if np.nanmax(steps) > 0:
            gain += len(later) * (np.log(np.nanmean(steps) / np.nanmean(factors)) - np.log(later).mean())
            n_steps += len(later)
    return bool(n_steps > 0 and gain > -LITTLE * n_steps)


def spread_grows(pieces: list[Floats], season_length: int) -> bool:
    """Whether the usual series is positive and has doubled or halved, and all are as much wilder where they are higher.

    The logarithm of what a seasonal step differs from the one before it is regressed on that of the level, as Guerrero
    does by stretches [1]_. A slope of 0 is that of sums, 1 that of logarithms: it must be above a half, and by two
    standard errors be above 0 and not below 1. Of series in between, logarithms make growth go on too far.

    References
    ----------
    .. [1] Guerrero, V. M. (1993). Time-series analysis supported by power transformations. Journal of Forecasting,
       12(1), 37-48.
    """
    growth, pairs = [], []
    for values in pieces:
        known = values[~np.isnan(values)]
        quarter = -(-len(known) // 4)
        if not quarter or known.min() <= 0:
            growth.append(0.0)
            continue
        growth.append(abs(np.log(np.median(known[-quarter:]) / np.median(known[:quarter]))))
        later, sooner = values[season_length:], values[:-season_length]
        change, level = np.abs(np.diff(later - sooner)), (later + sooner)[1:] + (later + sooner)[:-1]
        usable = change > 0  # and not NaN
        if usable.any():
            pair = np.log([level[usable], change[usable]])
            pairs.append(pair - pair.mean(axis=1, keepdims=True))
    if not pairs or np.median(growth) <= np.log(MUCH_GROWTH):
        return False
    level, change = np.concatenate(pairs, axis=1)
    slope = (level @ change) / max(level @ level, 1e-12)
    error = np.std(change - slope * level) / np.sqrt(max(level @ level, 1e-12))
    return bool(slope > max(0.5, 2 * error) and slope + 2 * error > 1)
