"""Error measures, one function each, on arrays.

`actual` and `forecast` have one shape. NaN in `actual` is masked: such a step counts in no sum. NaN in `forecast` where
the truth is known makes the result NaN: a missing forecast never passes as a good one. `axis` names the axes to average
over (None: all); without any known step the result is NaN.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = [
    "bias",
    "coverage",
    "interval_score",
    "mae",
    "mape",
    "mase",
    "mse",
    "pinball",
    "rmse",
    "rmsse",
    "scaled_quantile_loss",
    "seasonal_scale",
    "smape",
    "weighted_quantile_loss",
]

Axis = int | tuple[int, ...] | None
Floats = float | npt.NDArray[np.float64]


def mae(actual: npt.ArrayLike, forecast: npt.ArrayLike, *, axis: Axis = None) -> Floats:
    """Mean absolute error.

    Parameters
    ----------
    actual, forecast : array-like of the same shape
        Truth (NaN is masked) and forecast.
    axis : int, tuple of int or None, default=None
        Axes to average over; None means all.

    Returns
    -------
    float or ndarray
        ``mean(|actual - forecast|)``, in the unit of the target.

    Examples
    --------
    >>> mae([1.0, 2.0, float("nan")], [2.0, 2.0, 9.0])
    0.5
    """
    actual, forecast = _pair(actual, forecast)
    return _mean(np.abs(actual - forecast), actual, axis)


def mse(actual: npt.ArrayLike, forecast: npt.ArrayLike, *, axis: Axis = None) -> Floats:
    """Mean squared error.

    Parameters
    ----------
    actual, forecast, axis
        As in `mae`.

    Returns
    -------
    float or ndarray
        ``mean((actual - forecast)²)``, in the squared unit of the target.

    Examples
    --------
    >>> mse([1.0, 2.0], [3.0, 2.0])
    2.0
    """
    actual, forecast = _pair(actual, forecast)
    return _mean((actual - forecast) ** 2, actual, axis)


def rmse(actual: npt.ArrayLike, forecast: npt.ArrayLike, *, axis: Axis = None) -> Floats:
    """Root of the mean squared error.

    Parameters
    ----------
    actual, forecast, axis
        As in `mae`; the root is taken after averaging.

    Returns
    -------
    float or ndarray
        ``sqrt(mse)``, in the unit of the target.

    Examples
    --------
    >>> rmse([1.0, 2.0], [2.0, 3.0])
    1.0
    """
    return _plain(np.sqrt(mse(actual, forecast, axis=axis)))


def bias(actual: npt.ArrayLike, forecast: npt.ArrayLike, *, axis: Axis = None) -> Floats:
    """Mean error: positive where the forecast is too high.

    Parameters
    ----------
    actual, forecast, axis
        As in `mae`.

    Returns
    -------
    float or ndarray
        ``mean(forecast - actual)``, in the unit of the target.

    Examples
    --------
    >>> bias([1.0, 2.0], [2.0, 2.0])
    0.5
    """
    actual, forecast = _pair(actual, forecast)
    return _mean(forecast - actual, actual, axis)


def mape(actual: npt.ArrayLike, forecast: npt.ArrayLike, *, axis: Axis = None) -> Floats:
    """Mean absolute percentage error; a true value of 0 makes it infinite (0 if the forecast is 0, too).

    Parameters
    ----------
    actual, forecast, axis
        As in `mae`.

    Returns
    -------
    float or ndarray
        ``100 mean(|actual - forecast| / |actual|)``, in percent.

    Examples
    --------
    >>> mape([10.0, 20.0], [11.0, 22.0])
    10.0
    """
    actual, forecast = _pair(actual, forecast)
    return _mean(100 * _ratio(np.abs(actual - forecast), np.abs(actual)), actual, axis)


def smape(actual: npt.ArrayLike, forecast: npt.ArrayLike, *, axis: Axis = None) -> Floats:
    """Symmetric mean absolute percentage error, as in the M4 competition [1]_.

    Parameters
    ----------
    actual, forecast, axis
        As in `mae`.

    Returns
    -------
    float or ndarray
        ``200 mean(|actual - forecast| / (|actual| + |forecast|))``, in percent, from 0 to 200; 0 where both are 0.

    References
    ----------
    .. [1] Makridakis, Spiliotis, Assimakopoulos (2020), "The M4 Competition", Int. J. of Forecasting 36(1).

    Examples
    --------
    >>> smape([1.0, 0.0], [3.0, 0.0])
    50.0
    """
    actual, forecast = _pair(actual, forecast)
    return _mean(200 * _ratio(np.abs(actual - forecast), np.abs(actual) + np.abs(forecast)), actual, axis)


def seasonal_scale(history: npt.ArrayLike, season_length: int = 1, *, squared: bool = False, axis: int = -1) -> Floats:
    """Error of the seasonal naive forecast over the training values: the unit of the scaled metrics.

    Parameters
    ----------
    history : array-like of shape (..., n_steps)
        Values before the forecast origin; differences with NaN on either side are left out.
    season_length : int, default=1
        Steps in a season, m below. A history with no known values m steps apart is scaled by m = 1 instead.
    squared : bool, default=False
        Take the root mean square (the scale of `rmsse`) in place of the mean absolute difference.
    axis : int, default=-1
        The axis of time.

    Returns
    -------
    float or ndarray
        ``mean(|y[t] - y[t - m]|)`` or ``sqrt(mean((y[t] - y[t - m])²))``; NaN where no two values can be compared,
        0 where the history is constant.

    Examples
    --------
    >>> seasonal_scale([1.0, 2.0, 4.0])
    1.5
    >>> seasonal_scale([1.0, 5.0, 2.0, 7.0], 2)
    1.5
    """
    values = np.moveaxis(np.asarray(history, dtype=np.float64), axis, -1)  # (..., n_steps)
    means = []
    for lag in (season_length, 1):
        step = np.abs(values[..., lag:] - values[..., :-lag])  # (..., n_steps - lag)
        means.append(_mean(step**2 if squared else step, step, -1))
    scale = np.where(np.isnan(means[0]), means[1], means[0])
    return _plain(np.sqrt(scale) if squared else scale)


def mase(actual: npt.ArrayLike, forecast: npt.ArrayLike, *, scale: npt.ArrayLike, axis: Axis = None) -> Floats:
    """Mean absolute scaled error [1]_: below 1, better than the seasonal naive forecast was in training.

    Parameters
    ----------
    actual, forecast, axis
        As in `mae`.
    scale : array-like of the shape that is left after averaging
        `seasonal_scale` of the training values. A scale of 0 gives NaN.

    Returns
    -------
    float or ndarray
        ``mae / scale``.

    References
    ----------
    .. [1] Hyndman, Koehler (2006), "Another look at measures of forecast accuracy", Int. J. of Forecasting 22(4).

    Examples
    --------
    >>> mase([5.0, 6.0], [4.0, 4.0], scale=seasonal_scale([1.0, 2.0, 4.0]))
    1.0
    """
    return _scaled(mae(actual, forecast, axis=axis), scale)


def rmsse(actual: npt.ArrayLike, forecast: npt.ArrayLike, *, scale: npt.ArrayLike, axis: Axis = None) -> Floats:
    """Root mean squared scaled error, the measure of the M5 competition [1]_.

    Parameters
    ----------
    actual, forecast, axis
        As in `mae`.
    scale : array-like of the shape that is left after averaging
        `seasonal_scale` of the training values with ``squared=True``. A scale of 0 gives NaN.

    Returns
    -------
    float or ndarray
        ``rmse / scale``.

    References
    ----------
    .. [1] Makridakis, Spiliotis, Assimakopoulos (2022), "M5 accuracy competition", Int. J. of Forecasting 38(4).

    Examples
    --------
    >>> rmsse([5.0, 6.0], [3.0, 4.0], scale=seasonal_scale([1.0, 3.0, 5.0], squared=True))
    1.0
    """
    return _scaled(rmse(actual, forecast, axis=axis), scale)


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
    actual, levels = np.asarray(actual, dtype=np.float64), np.asarray(quantiles, dtype=np.float64)
    forecast = np.asarray(forecast, dtype=np.float64)
    if forecast.shape != (*actual.shape, *levels.shape):
        raise ValueError(
            f"Quantile forecasts of shape {forecast.shape} do not fit actual of shape {actual.shape} "
            f"and {levels.size} quantiles: give one value a quantile along the last axis."
        )
    error = actual[..., None] - forecast  # (..., n_quantiles)
    return _mean(np.maximum(levels * error, (levels - 1) * error).mean(axis=-1), actual, axis)


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
    return _scaled(2 * np.asarray(pinball(actual, forecast, quantiles=quantiles, axis=axis)), scale)


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
    size = _mean(np.abs(actual), actual, axis)
    return _scaled(2 * np.asarray(pinball(actual, forecast, quantiles=quantiles, axis=axis)), size)


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
    actual, lower = _pair(actual, lower)
    actual, upper = _pair(actual, upper)
    inside = np.where(np.isnan(lower + upper), np.nan, (lower <= actual) & (actual <= upper))
    return _mean(inside, actual, axis)


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
    actual, lower = _pair(actual, lower)
    actual, upper = _pair(actual, upper)
    outside = np.maximum(lower - actual, 0) + np.maximum(actual - upper, 0)
    return _mean(upper - lower + 2 / (1 - level) * outside, actual, axis)


def _pair(actual: npt.ArrayLike, forecast: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    actual, forecast = np.asarray(actual, dtype=np.float64), np.asarray(forecast, dtype=np.float64)
    if actual.shape != forecast.shape:
        raise ValueError(f"actual and forecast must have one shape, got {actual.shape} and {forecast.shape}.")
    return actual, forecast


def _mean(loss: npt.NDArray[np.float64], actual: npt.NDArray[np.float64], axis: Axis) -> Floats:
    """Mean of `loss` where `actual` is known."""
    known = ~np.isnan(actual)
    return _plain(_ratio(np.where(known, loss, 0.0).sum(axis=axis), known.sum(axis=axis), empty=np.nan))


def _scaled(loss: Floats, scale: npt.ArrayLike) -> Floats:
    scale = np.asarray(scale, dtype=np.float64)
    return _plain(np.asarray(loss) / np.where(scale > 0, scale, np.nan))


def _ratio(above: npt.NDArray, below: npt.NDArray, empty: float = 0.0) -> npt.NDArray[np.float64]:
    """The quotient, with 0 / 0 = `empty`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((above == 0) & (below == 0), empty, np.divide(above, below))


def _plain(value: npt.ArrayLike) -> Floats:
    """A float for a single number, else the array."""
    value = np.asarray(value, dtype=np.float64)
    return value if value.ndim else float(value)
