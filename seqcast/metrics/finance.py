"""Measures of forecasts of returns and variances, and of what trading on them earns."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtr
from scipy.stats import kurtosis, skew
from scipy.stats import t as student_t

from seqcast.metrics._arrays import Axis, Floats, mean_known, pair, plain

__all__ = [
    "DirectionTest",
    "SharpeRatio",
    "deflated_sharpe_ratio",
    "directional_accuracy",
    "max_drawdown",
    "pesaran_timmermann",
    "probabilistic_sharpe_ratio",
    "qlike",
    "sharpe_ratio",
    "strategy_returns",
]

Array = npt.NDArray[np.float64]


class DirectionTest(NamedTuple):
    """What `pesaran_timmermann` finds.

    Parameters
    ----------
    accuracy : float
        Share of steps whose direction was forecast.
    expected : float
        The share to expect of forecasts, as often up as these, that know nothing.
    statistic : float
        Student's t; above 0 where the forecasts know something.
    p_value : float
        Probability of at least this statistic if forecasts and outcomes are independent.
    """

    accuracy: float
    expected: float
    statistic: float
    p_value: float


class SharpeRatio(NamedTuple):
    """What `sharpe_ratio` finds.

    Parameters
    ----------
    ratio : float
        Mean of the returns over their standard deviation.
    standard_error : float
        Its standard error.
    """

    ratio: float
    standard_error: float


def directional_accuracy(actual: npt.ArrayLike, forecast: npt.ArrayLike, *, axis: Axis = None) -> Floats:
    """Share of steps whose direction was forecast.

    Parameters
    ----------
    actual, forecast : array-like of the same shape
        Returns or changes (NaN in `actual` is masked), and their forecasts.
    axis : int, tuple of int or None, default=None
        Axes to average over; None means all.

    Returns
    -------
    float or ndarray
        ``mean((1 + sign(actual) * sign(forecast)) / 2)``: a step without direction, in truth or forecast, counts half.

    Examples
    --------
    >>> directional_accuracy([0.01, -0.02, 0.03, 0.01], [0.02, -0.01, -0.01, 0.0])
    0.625
    """
    actual, forecast = pair(actual, forecast)
    return mean_known((1 + np.sign(actual) * np.sign(forecast)) / 2, actual, axis)


def pesaran_timmermann(actual: npt.ArrayLike, forecast: npt.ArrayLike, *, is_serial: bool = False) -> DirectionTest:
    r"""Test whether forecasts know the direction of what comes.

    Parameters
    ----------
    actual, forecast : array-like of shape (n_origins,)
        Returns or changes in order of time (NaN in `actual` is masked), and their forecasts.
    is_serial : bool, default=False
        Whether directions hang together in time, as those of forecasts more than a step ahead from every origin do:
        then the form of 2009.

    Returns
    -------
    DirectionTest
        NaN as statistic and p-value where all forecasts, or all outcomes, have one direction, or fewer than 6 steps
        are known.

    Notes
    -----
    With :math:`Y_t = [y_t > 0]`, :math:`X_t = [x_t > 0]`, their means :math:`\bar Y, \bar X`, the accuracy
    :math:`P = \overline{[Y_t = X_t]}` and :math:`P_* = \bar Y \bar X + (1 - \bar Y)(1 - \bar X)`, the form of 1992 [1]_
    is

    .. math:: S = \frac{P - P_*}{\sqrt{V - V_*}}, \quad V = \frac{P_* (1 - P_*)}{n}, \quad
        V_* = \frac{(2 \bar Y - 1)^2 \bar X (1 - \bar X) + (2 \bar X - 1)^2 \bar Y (1 - \bar Y)}{n}
        + \frac{4 \bar Y \bar X (1 - \bar Y)(1 - \bar X)}{n^2}.

    It holds if the directions of the outcomes do not depend on those before, and forecasts do not on later outcomes.
    That of 2009 [2]_ is the t statistic of :math:`X_t` in the regression of :math:`Y_t` on
    :math:`1, X_t, Y_{t-1}, X_{t-1}`: dependence in time goes into the lags, one step of it. Steps next to a masked one
    are left out of it.

    Both are compared with Student's t, with n - 1 and with n - 5 degrees of freedom, since normal quantiles reject
    6 % of true nulls at 20 steps. The test is one-sided: forecasts that are wrong too often know nothing.

    References
    ----------
    .. [1] Pesaran, M. H., & Timmermann, A. (1992). A simple nonparametric test of predictive performance. Journal of
       Business & Economic Statistics, 10(4), 461-465.
    .. [2] Pesaran, M. H., & Timmermann, A. (2009). Testing dependence among serially correlated multicategory
       variables. Journal of the American Statistical Association, 104(485), 325-337.

    Examples
    --------
    >>> actual = [0.5, -0.2, 0.1, 0.4, -0.3, -0.1, 0.2, -0.6, 0.3, 0.1]
    >>> forecast = [0.1, -0.1, 0.2, 0.1, -0.2, 0.1, 0.1, -0.1, 0.2, 0.3]
    >>> pesaran_timmermann(actual, forecast).accuracy
    0.9
    """
    actual, forecast = pair(actual, forecast)
    if actual.ndim != 1:
        raise ValueError(f"actual and forecast must have one axis, the origins in order, got shape {actual.shape}.")
    known = ~np.isnan(actual)
    if np.isnan(forecast[known]).any():
        raise ValueError(f"{np.isnan(forecast[known]).sum()} forecasts are missing where the truth is known.")
    up, said = (actual[known] > 0).astype(float), (forecast[known] > 0).astype(float)
    accuracy = float(np.mean(up == said)) if known.any() else np.nan
    expected = float(up.mean() * said.mean() + (1 - up.mean()) * (1 - said.mean())) if known.any() else np.nan
    if is_serial:
        follows = np.flatnonzero(known[1:] & known[:-1]) + 1
        statistic, freedom = _serial_statistic(actual > 0, forecast > 0, follows)
    else:
        statistic, freedom = _static_statistic(up, said, accuracy, expected)
    p_value = float(student_t.sf(statistic, freedom)) if freedom > 0 else np.nan
    return DirectionTest(accuracy, expected, statistic, p_value)


def _static_statistic(up: Array, said: Array, accuracy: float, expected: float) -> tuple[float, int]:
    """The statistic of 1992 and its degrees of freedom."""
    n = len(up)
    if n < 6 or np.ptp(up) == 0 or np.ptp(said) == 0:
        return np.nan, 0
    y, x = up.mean(), said.mean()
    spread = (2 * y - 1) ** 2 * x * (1 - x) + (2 * x - 1) ** 2 * y * (1 - y) + 4 * y * x * (1 - y) * (1 - x) / n
    return float((accuracy - expected) / np.sqrt((expected * (1 - expected) - spread) / n)), n - 1


def _serial_statistic(
    up: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_], rows: npt.NDArray[np.int64]
) -> tuple[float, int]:
    """The t statistic of 2009, by the partial correlation of directions given those of the step before."""
    freedom = len(rows) - 4
    if freedom < 1:
        return np.nan, 0
    both = np.stack([up[rows], said[rows]], axis=1).astype(float)
    before = np.stack([np.ones(len(rows)), up[rows - 1], said[rows - 1]], axis=1)
    y, x = (both - before @ np.linalg.lstsq(before, both, rcond=None)[0]).T
    if min(y @ y, x @ x) < 1e-9 * len(rows):
        return np.nan, 0
    correlation = (x @ y) / np.sqrt((x @ x) * (y @ y))
    return float(correlation * np.sqrt(freedom / max(1 - correlation**2, 1e-12))), freedom


def strategy_returns(
    actual: npt.ArrayLike, forecast: npt.ArrayLike, *, scale: float | None = None, cost: float = 0.0
) -> Array:
    """Return what is earned by holding, over each step, a position that its forecast decides.

    Parameters
    ----------
    actual, forecast : array-like of shape (n_steps,) or (n_steps, n_assets)
        Returns of an asset over steps that follow each other without overlap, and their forecasts.
    scale : float, optional
        Forecast at which the whole capital is held: the position is ``forecast / scale``, at most 1 and at least -1. By
        default it is the sign of the forecast.
    cost : float, default=0.0
        Cost of a trade as a share of the value that is traded: 0.0005 are five basis points.

    Returns
    -------
    ndarray
        ``position * actual - cost * |change of position|``, of the shape of `actual`. The first position is bought from
        nothing, the last one not sold. NaN where `actual` is.

    Examples
    --------
    >>> strategy_returns([0.01, 0.02, -0.02], [0.3, -0.1, -0.1], cost=0.001).round(4)
    array([ 0.009, -0.022,  0.02 ])
    """
    actual, forecast = pair(actual, forecast)
    if scale is not None and not scale > 0:
        raise ValueError(f"scale must be a number above 0, got {scale!r}.")
    if not cost >= 0:
        raise ValueError(f"cost must be a number of at least 0, got {cost!r}.")
    position = np.sign(forecast) if scale is None else np.clip(forecast / scale, -1, 1)
    return position * actual - cost * np.abs(np.diff(position, axis=0, prepend=0.0))


def sharpe_ratio(returns: npt.ArrayLike, *, periods: int = 1, lags: int | None = None) -> SharpeRatio:
    r"""Return mean over standard deviation of excess returns, and its standard error.

    Parameters
    ----------
    returns : array-like of shape (n_steps,)
        Returns above those of cash, in order of time; NaN is left out.
    periods : int, default=1
        Steps to which the ratio refers: 252 makes that of a year of that of trading days.
    lags : int, optional
        Steps over which returns hang together; by default :math:`\lfloor 4 (n / 100)^{2/9} \rfloor`, 0 for independent
        returns.

    Returns
    -------
    SharpeRatio
        NaN for fewer than two returns, or equal ones.

    Notes
    -----
    With :math:`S = \hat\mu / \hat\sigma` and :math:`z_t = (r_t - \hat\mu) / \hat\sigma`, the error of S is to first
    order the mean of :math:`\psi_t = z_t - \tfrac{1}{2} S (z_t^2 - 1)`, so that its variance is the long-run variance
    of :math:`\psi` over n [1]_, estimated with the weights :math:`w_k = 1 - k / (L + 1)` of Bartlett. Independent
    normal returns leave :math:`(1 + S^2 / 2) / n`. The ratio of q periods is :math:`\eta S` with

    .. math:: \eta = q \Big/ \sqrt{q + 2 \sum_{k=1}^{L} w_k (q - k) \rho_k},

    which is :math:`\sqrt q` where the autocorrelations :math:`\rho_k` are 0; the error of :math:`\eta` is left out.
    In simulations of 250 and 1,000 returns two standard errors miss the truth in 5 % of the cases, in 6 to 7 % under an
    autocorrelation of 0.3 (14 to 15 % with ``lags=0``), in 9 to 12 % under one of 0.6: then give more lags.

    References
    ----------
    .. [1] Lo, A. W. (2002). The statistics of Sharpe ratios. Financial Analysts Journal, 58(4), 36-52.

    Examples
    --------
    >>> round(sharpe_ratio([0.01, -0.01, 0.02, 0.00], lags=0).ratio, 3)
    0.447
    """
    r = _known(returns)
    n = len(r)
    if n < 2 or np.ptp(r) == 0:
        return SharpeRatio(np.nan, np.nan)
    longest = int(4 * (n / 100) ** (2 / 9)) if lags is None else lags
    longest = min(longest, n - 1)
    ratio = r.mean() / r.std()
    z = (r - r.mean()) / r.std()
    error = np.sqrt(sum(_weighted_covariances(z - ratio / 2 * (z**2 - 1), longest)) / n)
    far = np.minimum(np.arange(longest + 1), periods)
    eta = periods / np.sqrt(np.sum((periods - far) * _weighted_covariances(z, longest)))
    return SharpeRatio(float(eta * ratio), float(eta * error))


def _weighted_covariances(x: Array, longest: int) -> Array:
    """Autocovariances at the lags 0 to `longest`, with the weights of Bartlett; twice those above 0, for both sides."""
    n = len(x)
    weight = np.array([1.0] + [2 * (1 - k / (longest + 1)) for k in range(1, longest + 1)])
    return weight * np.array([x[k:] @ x[: n - k] / n for k in range(longest + 1)])


def probabilistic_sharpe_ratio(returns: npt.ArrayLike, *, benchmark: float = 0.0) -> float:
    r"""Return the probability that the true Sharpe ratio is above a benchmark.

    Parameters
    ----------
    returns : array-like of shape (n_steps,)
        Returns above those of cash; NaN is left out.
    benchmark : float, default=0.0
        Sharpe ratio of one step.

    Returns
    -------
    float
        Above 0.95: significant at 5 %. NaN for fewer than two returns, or equal ones.

    Notes
    -----
    .. math:: F_{n-1}\left( (S - S_*) \sqrt{n - 1} \Big/ \sqrt{1 - \gamma_3 S + \tfrac{\gamma_4 - 1}{4} S^2} \right)

    with skewness :math:`\gamma_3` and kurtosis :math:`\gamma_4` of the returns, which are taken to be independent: for
    others compare `sharpe_ratio` with its standard error. [1]_ has the normal distribution in place of Student's; here
    the error is moreover that at :math:`S_*` where that is larger. So 60 returns without skill, symmetric or with a
    skewness of -2, pass 0.95 in 5 % of cases at most (``benchmarks/finance.py``); more skewed ones more often.

    References
    ----------
    .. [1] Bailey, D. H., & López de Prado, M. (2012). The Sharpe ratio efficient frontier. Journal of Risk, 15(2),
       3-44.

    Examples
    --------
    >>> round(probabilistic_sharpe_ratio([0.01, -0.01, 0.02, 0.00]), 3)
    0.749
    """
    r = _known(returns)
    if len(r) < 2 or np.ptp(r) == 0:
        return np.nan
    ratio = r.mean() / r.std()
    spread = max(1 - skew(r) * s + (kurtosis(r, fisher=False) - 1) / 4 * s**2 for s in (ratio, benchmark))
    return float(stdtr(len(r) - 1, (ratio - benchmark) * np.sqrt((len(r) - 1) / spread)))


def deflated_sharpe_ratio(returns: npt.ArrayLike, trial_ratios: npt.ArrayLike) -> float:
    r"""Return the probability that the best of several strategies has a Sharpe ratio above what luck gives the best.

    Parameters
    ----------
    returns : array-like of shape (n_steps,)
        Returns above those of cash of the strategy that was chosen; NaN is left out.
    trial_ratios : array-like of shape (n_trials,)
        Sharpe ratios, of one step, of every strategy that was tried, the chosen one among them.

    Returns
    -------
    float
        Above 0.95: significant at 5 % in spite of the choice. With one trial it is the probabilistic Sharpe ratio.

    Notes
    -----
    The probabilistic Sharpe ratio against the highest that N trials without skill are expected to reach [1]_,

    .. math:: S_* = \sqrt{V} \left( (1 - \gamma) \Phi^{-1}(1 - \tfrac{1}{N}) + \gamma \Phi^{-1}(1 - \tfrac{1}{N e})
        \right),

    with the variance V of the trials' ratios and the Euler–Mascheroni constant :math:`\gamma`. It is only as good as
    the list of trials is complete. The best of trials without skill passes 0.95 in 5 % of simulations at most, of
    independent ones in 2 %.

    References
    ----------
    .. [1] Bailey, D. H., & López de Prado, M. (2014). The deflated Sharpe ratio. Journal of Portfolio Management,
       40(5), 94-107.

    Examples
    --------
    >>> returns = [0.01, -0.01, 0.02, 0.00]
    >>> round(deflated_sharpe_ratio(returns, [0.447, 0.1, -0.2]), 3), round(deflated_sharpe_ratio(returns, [0.447]), 3)
    (0.605, 0.749)
    """
    ratios = _known(trial_ratios)
    if len(ratios) == 0:
        raise ValueError("trial_ratios is empty. Give the Sharpe ratio of every strategy that was tried.")
    n, benchmark = len(ratios), 0.0
    if n > 1:
        upper = (1 - np.euler_gamma) * ndtri(1 - 1 / n) + np.euler_gamma * ndtri(1 - 1 / (n * np.e))
        benchmark = float(ratios.std(ddof=1) * upper)
    return probabilistic_sharpe_ratio(returns, benchmark=benchmark)


def max_drawdown(returns: npt.ArrayLike) -> Floats:
    """Return the largest loss from a peak of the wealth that returns build up.

    Parameters
    ----------
    returns : array-like of shape (n_steps,) or (n_steps, n_strategies)
        Returns in order of time; NaN leaves the wealth as it is.

    Returns
    -------
    float or ndarray of shape (n_strategies,)
        Share of the peak, between 0 and 1; the start counts as a peak.

    Examples
    --------
    >>> round(max_drawdown([0.10, -0.20, 0.05, -0.10]), 3)
    0.244
    """
    growth = 1 + np.nan_to_num(np.asarray(returns, dtype=np.float64))
    wealth = np.concatenate([np.ones((1, *growth.shape[1:])), np.cumprod(growth, axis=0)])
    return plain((1 - wealth / np.maximum.accumulate(wealth, axis=0)).max(axis=0))


def qlike(actual: npt.ArrayLike, forecast: npt.ArrayLike, *, axis: Axis = None) -> Floats:
    """Quasi-likelihood loss of a forecast of variance.

    Parameters
    ----------
    actual : array-like
        Realised variance, or another measure whose mean is the variance, such as squared returns; NaN is masked.
    forecast : array-like of the same shape
        Forecast variance; one that is not above 0 costs infinity.
    axis : int, tuple of int or None, default=None
        Axes to average over; None means all.

    Returns
    -------
    float or ndarray
        ``mean(log(forecast) + actual / forecast)``. Differences between forecasts mean the same in every unit; the
        level does not.

    Notes
    -----
    Noise in `actual` does not change, on average, which of two forecasts is better [1]_; nor do zeros in it, which the
    form ``actual / forecast - log(actual / forecast) - 1`` has no answer for.

    References
    ----------
    .. [1] Patton, A. J. (2011). Volatility forecast comparison using imperfect volatility proxies. Journal of
       Econometrics, 160(1), 246-256.

    Examples
    --------
    >>> qlike([1.0, 4.0], [1.0, 1.0])
    2.5
    """
    actual, forecast = pair(actual, forecast)
    is_variance = ~(forecast <= 0)  # NaN stays NaN
    variance = np.where(is_variance, forecast, 1.0)
    return mean_known(np.where(is_variance, np.log(variance) + actual / variance, np.inf), actual, axis)


def _known(values: npt.ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim > 1:
        raise ValueError(f"One series is needed, got shape {array.shape}. Give one column at a time.")
    array = np.atleast_1d(array)
    return array[~np.isnan(array)]
