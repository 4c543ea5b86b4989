"""Scores of quantiles and intervals."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seqcast.metrics._arrays import Axis, Floats, increasing, mean_known, pair, scaled, with_quantiles

__all__ = [
    "coverage",
    "crps_quantiles",
    "interval_score",
    "pinball",
    "scaled_quantile_loss",
    "weighted_quantile_loss",
]


def pinball(actual: npt.ArrayLike, forecast: npt.ArrayLike, *, quantiles: Sequence[float], axis: Axis = None) -> Floats:
    """Pinball (quantile) loss [1]_, the mean over the quantiles.

    Parameters
    ----------
    actual : array-like of shape (...)
        Truth; NaN is masked.
    forecast : array-like of shape (..., n_quantiles)
        Forecast of each quantile.
    quantiles : sequence of float
        Levels between 0 and 1, in the order of the last axis.
    axis : int, tuple of int or None, default=None
        Axes of `actual` to average over; None means all.

    Returns
    -------
    float or ndarray
        ``mean(max(q (y - f), (q - 1) (y - f)))``, in the unit of the target; half the absolute error at q = 0.5.

    References
    ----------
    .. [1] Koenker, Bassett (1978), "Regression Quantiles", Econometrica 46(1).

    Examples
    --------
    >>> pinball([10.0, 10.0], [[8.0], [12.0]], quantiles=[0.9])
    1.0
    """
    actual, forecast, levels = with_quantiles(actual, forecast, quantiles)
    error = actual[..., None] - forecast  # (..., n_quantiles)
    return mean_known(np.maximum(levels * error, (levels - 1) * error).mean(axis=-1), actual, axis)


def crps_quantiles(
    actual: npt.ArrayLike, forecast: npt.ArrayLike, *, quantiles: Sequence[float], axis: Axis = None
) -> Floats:
    """Continuous ranked probability score (CRPS) [1]_, approximated from quantiles.

    Parameters
    ----------
    actual, forecast, quantiles, axis
        As in `pinball`; the levels must increase.

    Returns
    -------
    float or ndarray
        In the unit of the target.

    Raises
    ------
    ValueError
        If the levels do not increase between 0 and 1.

    Notes
    -----
    The CRPS is ``2 ∫ pinball(q) dq`` over the levels from 0 to 1. The integral is taken by the trapezoidal rule on the
    levels given and on 0 and 1, where the pinball loss of a distribution with a mean is 0: the weight of a level is
    half the distance between its neighbours. n levels ``k / (n + 1)`` thus give ``2 n / (n + 1)`` times `pinball`. Any
    levels give a score that the true quantiles win; as a CRPS it is too small in the mean, for a normal forecast that
    is right by 1.5 % with nine deciles and by .02 % with 99 levels.

    References
    ----------
    .. [1] Gneiting, Ranjan (2011), "Comparing Density Forecasts Using Threshold- and Quantile-Weighted Scoring Rules",
       J. of Business and Economic Statistics 29(3).

    Examples
    --------
    >>> crps_quantiles([10.0], [[8.0, 10.0, 12.0]], quantiles=[0.25, 0.5, 0.75])
    0.5
    """
    actual, forecast, levels = with_quantiles(actual, forecast, quantiles)
    gaps = np.diff(increasing(levels), prepend=0.0, append=1.0)
    error = actual[..., None] - forecast  # (..., n_quantiles)
    loss = np.maximum(levels * error, (levels - 1) * error)
    return mean_known(loss @ (gaps[1:] + gaps[:-1]), actual, axis)


def scaled_quantile_loss(
    actual: npt.ArrayLike,
    forecast: npt.ArrayLike,
    *,
    quantiles: Sequence[float],
    scale: npt.ArrayLike,
    axis: Axis = None,
) -> Floats:
    """Scaled quantile loss (SQL) [1]_: with the median alone it is `mase`.

    Parameters
    ----------
    actual, forecast, quantiles, axis
        As in `pinball`.
    scale : array-like of the shape that is left after averaging
        `seasonal_scale` of the training values. A scale of 0 gives NaN.

    Returns
    -------
    float or ndarray
        ``2 pinball / scale``.

    References
    ----------
    .. [1] Shchur et al. (2025), "fev-bench: A Realistic Benchmark for Time Series Forecasting".

    Examples
    --------
    >>> scaled_quantile_loss([5.0, 6.0], [[4.0], [4.0]], quantiles=[0.5], scale=1.5)
    1.0
    """
    return scaled(2 * np.asarray(pinball(actual, forecast, quantiles=quantiles, axis=axis)), scale)


def weighted_quantile_loss(
    actual: npt.ArrayLike, forecast: npt.ArrayLike, *, quantiles: Sequence[float], axis: Axis = None
) -> Floats:
    """Weighted quantile loss (WQL) [1]_: the quantile loss relative to the size of the values.

    Parameters
    ----------
    actual, forecast, quantiles, axis
        As in `pinball`.

    Returns
    -------
    float or ndarray
        ``2 sum(pinball) / sum(|actual|)``; NaN where all values are 0.

    References
    ----------
    .. [1] Salinas et al. (2020), "DeepAR", Int. J. of Forecasting 36(3).

    Examples
    --------
    >>> weighted_quantile_loss([5.0, 5.0], [[4.0], [4.0]], quantiles=[0.5])
    0.2
    """
    actual = np.asarray(actual, dtype=np.float64)
    size = mean_known(np.abs(actual), actual, axis)
    return scaled(2 * np.asarray(pinball(actual, forecast, quantiles=quantiles, axis=axis)), size)


def coverage(actual: npt.ArrayLike, *, lower: npt.ArrayLike, upper: npt.ArrayLike, axis: Axis = None) -> Floats:
    """Share of the true values inside the interval, its ends included.

    Parameters
    ----------
    actual, lower, upper : array-like of the same shape
        Truth (NaN is masked) and the ends of the interval.
    axis : int, tuple of int or None, default=None
        Axes to average over; None means all.

    Returns
    -------
    float or ndarray
        From 0 to 1.

    Examples
    --------
    >>> coverage([1.0, 5.0], lower=[0.0, 0.0], upper=[2.0, 2.0])
    0.5
    """
    actual, lower = pair(actual, lower)
    actual, upper = pair(actual, upper)
    inside = np.where(np.isnan(lower + upper), np.nan, (lower <= actual) & (actual <= upper))
    return mean_known(inside, actual, axis)


def interval_score(
    actual: npt.ArrayLike, *, lower: npt.ArrayLike, upper: npt.ArrayLike, level: float, axis: Axis = None
) -> Floats:
    """Interval (Winkler) score [1]_: the width, and a penalty for each value outside.

    Parameters
    ----------
    actual, lower, upper, axis
        As in `coverage`.
    level : float
        Nominal coverage between 0 and 1; alpha = 1 - level.

    Returns
    -------
    float or ndarray
        ``mean(u - l + 2 / alpha (max(l - y, 0) + max(y - u, 0)))``, in the unit of the target.

    References
    ----------
    .. [1] Gneiting, Raftery (2007), "Strictly Proper Scoring Rules, Prediction, and Estimation", JASA 102(477).

    Examples
    --------
    >>> interval_score([1.0, 5.0], lower=[0.0, 0.0], upper=[2.0, 4.0], level=0.5)
    5.0
    """
    actual, lower = pair(actual, lower)
    actual, upper = pair(actual, upper)
    outside = np.maximum(lower - actual, 0) + np.maximum(actual - upper, 0)
    return mean_known(upper - lower + 2 / (1 - level) * outside, actual, axis)
