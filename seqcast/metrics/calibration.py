"""Calibration: coverage with its uncertainty, and PIT values of quantiles."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, stdtrit
from sklearn.utils import check_random_state

from seqcast.metrics._arrays import Floats, increasing, pair, plain, with_quantiles

__all__ = ["coverage_interval", "effective_size", "pit_quantiles"]

_Array = npt.NDArray[np.float64]


def coverage_interval(
    actual: npt.ArrayLike,
    *,
    lower: npt.ArrayLike,
    upper: npt.ArrayLike,
    confidence: float = 0.95,
    block: int | None = None,
) -> tuple[float, float]:
    """Confidence interval of `coverage`: which true coverages the values seen do not speak against.

    Parameters
    ----------
    actual, lower, upper : array-like of shape (n_rows, ...)
        Truth (NaN is masked) and the ends of the forecast interval; rows in the order of time.
    confidence : float, default=0.95
        Between 0 and 1.
    block : int, optional
        Rows after which values no longer depend on each other; by default all values are independent. Forecasts of h
        steps from origins s steps apart share truth with h / s others: give one row an origin, and at least h / s.

    Returns
    -------
    tuple of float
        Lower and upper end, from 0 to 1; NaN where `coverage` is.

    Raises
    ------
    ValueError
        If the shapes do not fit, `confidence` is not between 0 and 1, or fewer than two blocks have known values.

    Notes
    -----
    Without `block`, Wilson's interval [1]_ of independent values, which holds for few of them and near 0 and 1, too.

    With `block`, values in one block of that many rows may depend in any way, and blocks are taken as independent. The
    variance of the share inside, v, is estimated from the sums over blocks (the ratio estimator of cluster samples),
    and Wilson's interval is that of ``share (1 - share) / v`` values, at most those seen, times the square of the ratio
    of normal and t quantile, the latter with (number of blocks - 1) degrees of freedom [2]_. If all or none are inside,
    each block counts as one value. Errors that persist for longer than a block make the interval too narrow: of 1,000
    simulated runs of forecasts 12 steps ahead from 600 origins one step apart, 95 % intervals held the true coverage in
    57 % without blocks, 92 % with blocks of 12 rows, 94 % with 24.

    References
    ----------
    .. [1] Brown, Cai, DasGupta (2001), "Interval Estimation for a Binomial Proportion", Statistical Science 16(2).
    .. [2] Korn, Graubard (1998), "Confidence intervals for proportions with small expected number of positive counts
       estimated from survey data", Survey Methodology 24(2).

    Examples
    --------
    >>> low, high = coverage_interval([1.0, 5.0, 1.0, 1.0], lower=[0.0] * 4, upper=[2.0] * 4)
    >>> round(low, 3), round(high, 3)  # around the coverage of .75
    (0.301, 0.954)
    """
    actual, lower = pair(actual, lower)
    actual, upper = pair(actual, upper)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence!r}.")
    known = ~np.isnan(actual)
    if not known.any() or np.isnan((lower + upper)[known]).any():
        return np.nan, np.nan
    inside = np.where(known, (lower <= actual) & (actual <= upper), np.nan)
    share, n = np.nanmean(inside), effective_size(inside[..., None], confidence=confidence, block=block)
    z = ndtri((1 + confidence) / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(float(centre - reach), 0.0), min(float(centre + reach), 1.0)


def effective_size(happened: npt.NDArray[np.float64], *, confidence: float = 0.95, block: int | None = None) -> float:
    """Number of independent values, at most those known, from which the shares of events would be as uncertain.

    `happened` (n_rows, ..., n_events), rows in the order of time, is 1 where an event happened, 0 where not, NaN where
    it is unknown. The Notes of `coverage_interval` have the formula; variances are summed over the events.

    Examples
    --------
    >>> effective_size(np.array([[1.0], [1.0], [0.0], [1.0]]))
    4.0
    """
    cells = happened.reshape(len(happened), -1, happened.shape[-1])  # (n_rows, n_values, n_events)
    known = ~np.isnan(cells[..., 0])
    n = int(known.sum())
    if block is None:
        return float(n)
    if block < 1:
        raise ValueError(f"block must be a number of rows of at least 1, got {block!r}.")
    share = cells[known].mean(axis=0)  # (n_events,)
    starts = np.arange(0, len(cells), block)
    sums = np.add.reduceat(np.where(known[..., None], cells - share, 0.0).sum(axis=1), starts)  # (n_blocks, n_events)
    n_blocks = int((np.add.reduceat(known.sum(axis=1), starts) > 0).sum())
    if n_blocks < 2:
        raise ValueError(f"block={block} leaves {n_blocks} block of {len(cells)} rows, two are needed. Lower it.")
    alone, seen = (share * (1 - share)).sum(), (sums**2).sum() / n**2 * n_blocks / (n_blocks - 1)
    size = min(alone / seen, n) if seen > 0 else (n_blocks if alone == 0 else n)
    level = (1 + confidence) / 2
    return float(size * (ndtri(level) / stdtrit(n_blocks - 1, level)) ** 2)


def pit_quantiles(
    actual: npt.ArrayLike, forecast: npt.ArrayLike, *, quantiles: Sequence[float], random_state: Any = None
) -> Floats:
    """Probability integral transform (PIT) of the truth by forecast quantiles: uniform on 0 to 1 if these are right.

    Parameters
    ----------
    actual, forecast, quantiles
        As in `pinball`; at least two levels, which must increase.
    random_state : int, RandomState or None
        Decides which level a value gets that equals several quantiles.

    Returns
    -------
    float or ndarray of the shape of actual
        NaN where the truth or a quantile is.

    Raises
    ------
    ValueError
        If there are fewer than two levels, or they do not increase between 0 and 1.

    Notes
    -----
    The level at a value between two quantiles is interpolated linearly in its normal score, the inverse of the normal
    distribution function; beyond the outer quantiles the line goes on. So quantiles of a normal distribution give its
    PIT exactly; of others, the histogram is right in bins that begin and end at the levels. Where several quantiles are
    one value (a count, a bound), it gets a random level between their lowest and highest, or 0 or 1 if these are the
    outermost. Quantiles that cross are put in order.

    Examples
    --------
    >>> pit_quantiles([0.0, 1.2816], [[-1.2816, 1.2816], [-1.2816, 1.2816]], quantiles=[0.1, 0.9])
    array([0.5, 0.9])
    """
    actual, forecast, levels = with_quantiles(actual, forecast, quantiles)
    score = ndtri(increasing(levels, at_least=2))
    values = np.sort(forecast, axis=-1)  # NaN last
    low, high = map(ndtr, _scores_at(actual, values, score))
    level = low + check_random_state(random_state).uniform(size=actual.shape) * (high - low)
    return plain(np.where(np.isnan(actual) | np.isnan(values[..., -1]), np.nan, level))


def _scores_at(actual: _Array, values: _Array, score: _Array) -> tuple[_Array, _Array]:
    """Normal scores just below and at `actual`, (...) each, for increasing values (..., n_quantiles)."""
    n = len(score)
    below = (values < actual[..., None]).sum(axis=-1)
    equal = (values == actual[..., None]).sum(axis=-1)
    k = np.clip(below - 1, 0, n - 2)
    left, right = (np.take_along_axis(values, (k + add)[..., None], axis=-1)[..., 0] for add in (0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):  # outer quantiles that are equal: all beyond is at 0 or 1
        between = score[k] + (actual - left) / (right - left) * (score[k + 1] - score[k])
    last = below + equal - 1
    low = np.where((below == 0) & (equal > 1), -np.inf, score[np.minimum(below, n - 1)])
    high = np.where((last == n - 1) & (equal > 1), np.inf, score[last])
    return np.where(equal > 0, low, between), np.where(equal > 0, high, between)
