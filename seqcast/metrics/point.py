"""Errors of point forecasts."""

import numpy as np
import numpy.typing as npt

from seqcast.metrics._arrays import Axis, Floats, mean_known, pair, plain, ratio, scaled

__all__ = [
    "bias",
    "mae",
    "mape",
    "mase",
    "mse",
    "rmse",
    "rmsse",
    "seasonal_scale",
    "smape",
]


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
    actual, forecast = pair(actual, forecast)
    return mean_known(np.abs(actual - forecast), actual, axis)


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
    actual, forecast = pair(actual, forecast)
    return mean_known((actual - forecast) ** 2, actual, axis)


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
    return plain(np.sqrt(mse(actual, forecast, axis=axis)))


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
    actual, forecast = pair(actual, forecast)
    return mean_known(forecast - actual, actual, axis)


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
    actual, forecast = pair(actual, forecast)
    return mean_known(100 * ratio(np.abs(actual - forecast), np.abs(actual)), actual, axis)


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
    actual, forecast = pair(actual, forecast)
    return mean_known(200 * ratio(np.abs(actual - forecast), np.abs(actual) + np.abs(forecast)), actual, axis)


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
        means.append(mean_known(step**2 if squared else step, step, -1))
    scale = np.where(np.isnan(means[0]), means[1], means[0])
    return plain(np.sqrt(scale) if squared else scale)


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
    return scaled(mae(actual, forecast, axis=axis), scale)


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
    return scaled(rmse(actual, forecast, axis=axis), scale)
