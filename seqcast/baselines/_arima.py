"""Seasonal ARIMA with regressors: orders by AICc, parameters by likelihood, moments from many origins in one pass."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares
from scipy.signal import lfilter
from statsmodels.tsa.arima.estimators.innovations import innovations_mle
from statsmodels.tsa.stattools import kpss

from seqcast.baselines._values import is_constant
from seqcast.panel import Floats, Integers
from seqcast.series import Moments

__all__ = ["ArimaForm", "arima_moments", "choose_differences", "fit_arima"]

_FEWEST = 8  # values below which the last one is repeated


@dataclass(frozen=True)
class ArimaForm:
    """The equation ar(B) (y - regressors slopes) = constant + ma(B) e; ar and ma hold differences and seasons too."""

    orders: tuple[int, ...]  # p, d, q, P, D, Q
    ar: Floats  # from lag 0 on, where it is 1
    ma: Floats
    constant: float
    slopes: Floats
    sigma: float
    n_start: int  # first steps without an error, as many as differences take
    mean: float  # of y - regressors slopes


class _Orders(NamedTuple):
    p: int
    q: int
    seasonal_p: int
    seasonal_q: int
    constant: int  # whether there is one

    @property
    def n_lags(self) -> int:
        return sum(self[:4])


class _Task(NamedTuple):
    """What the orders are chosen for: target (n,) and inputs (n, n_regressors), both differenced."""

    target: Floats
    inputs: Floats
    season_length: int


def arima_moments(form: ArimaForm, values: Floats, regressors: Floats, positions: Integers, horizon: int) -> Moments:
    """Mean and standard deviation, each (n, horizon), of the steps from each position on.

    `regressors` reach to the last step ahead. At a masked step the forecast stands in for the value and the error is 0.
    """
    stop = int(positions.max(initial=0))
    effect = regressors @ form.slopes
    filled, errors = _states(form, values[:stop] - effect[:stop])
    p, q = len(form.ar) - 1, len(form.ma) - 1
    past = filled[p + positions[:, None] - np.arange(1, p + 1)]  # (n, p), newest first
    shock = errors[q + positions[:, None] - np.arange(1, q + 1)]  # (n, q)
    mean = np.empty((len(positions), horizon))
    for h in range(horizon):
        mean[:, h] = form.constant - past @ form.ar[1:] + shock @ form.ma[1:]
        past = np.column_stack([mean[:, h], past])[:, :p]
        shock = np.column_stack([np.zeros(len(shock)), shock])[:, :q]
    impulse = np.eye(1, horizon)[0]
    spread = form.sigma * np.sqrt(np.cumsum(lfilter(form.ma, form.ar, impulse) ** 2))  # sums of squared psi weights
    ahead = positions[:, None] + np.arange(horizon)  # (n, horizon)
    return mean + effect[ahead], np.broadcast_to(spread, mean.shape)


def _states(form: ArimaForm, values: Floats) -> tuple[Floats, Floats]:
    """Values without gaps (p + n,) and errors (q + n,), each after a past: the first value or the mean; no errors."""
    p, q = len(form.ar) - 1, len(form.ma) - 1
    known = values[~np.isnan(values)]
    filled = np.concatenate([np.full(p, known[0] if form.n_start and len(known) else form.mean), values])
    errors = np.zeros(q + len(values))
    ar, ma = form.ar[:0:-1].copy(), form.ma[:0:-1].copy()  # oldest first
    for t, value in enumerate(values.tolist()):
        forecast = form.constant - filled[t : t + p] @ ar + errors[t : t + q] @ ma
        if value != value:
            filled[p + t] = forecast
        elif t >= form.n_start:
            errors[q + t] = value - forecast
    return filled, errors


def fit_arima(values: Floats, regressors: Floats, season_length: int, seasonal_differences: int) -> ArimaForm:
    """Return the form of least AICc; values and regressors without gaps.

    Orders are searched step by step (Hyndman & Khandakar 2008) by conditional sums of squares; those chosen are
    estimated by exact likelihood through statsmodels. Slopes and constant are those of generalised least squares.
    """
    m, seasonal_d = season_length, seasonal_differences
    is_short = len(values) < _FEWEST
    d = int(len(values) > 1) if is_short else choose_differences(_difference(values, m, 0, seasonal_d))
    task = _Task(_difference(values, m, d, seasonal_d), _difference(regressors, m, d, seasonal_d), m)
    orders, parameters = _Orders(0, 0, 0, 0, 1 - d), np.empty(0)
    if not is_short:
        orders, parameters = _search(task, _Orders(3, 3, int(m > 1), int(m > 1), int(d + seasonal_d < 2)))
        parameters = _exact_fit(task, orders, parameters)
    errors, slopes = _whiten(parameters, task, orders)
    ar, ma = _polynomials(parameters, m, orders)
    constant = float(slopes[-1] * ar.sum()) if orders.constant else 0.0
    for lag in [1] * d + [m] * seasonal_d:
        ar = np.convolve(ar, _spaced(np.array([-1.0]), lag))
    slopes = slopes[: regressors.shape[1]]
    n_free = max(len(errors) - sum(orders) - len(slopes), 1)
    return ArimaForm(
        orders=(orders.p, d, orders.q, orders.seasonal_p, seasonal_d, orders.seasonal_q),
        ar=ar,
        ma=ma,
        constant=constant,
        slopes=slopes,
        sigma=float(np.sqrt(np.sum(errors**2) / n_free)),
        n_start=d + seasonal_d * m,
        mean=float(np.mean(values - regressors @ slopes)),
    )


def choose_differences(values: Floats) -> int:
    """Return the differences (0 to 2) after which KPSS no longer rejects level stationarity at 5 %."""
    for differences in range(2):
        if len(values) < _FEWEST or is_constant(values):
            return differences
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of p-values off the end of the table: only the statistic is used
            statistic = kpss(values, regression="c", nlags=int(3 * np.sqrt(len(values)) / 13))[0]
        if statistic <= 0.463:
            return differences
        values = np.diff(values)
    return 2


def _difference(x: Floats, season_length: int, d: int, seasonal_d: int) -> Floats:
    for _ in range(seasonal_d):
        x = x[season_length:] - x[:-season_length]
    return np.diff(x, n=d, axis=0)


def _search(task: _Task, most: _Orders) -> tuple[_Orders, Floats]:
    """Orders of least AICc, from four starts on by single steps, and their parameters."""
    tried: dict[_Orders, tuple[float, Floats]] = {}

    def score(orders: _Orders) -> float:
        if orders not in tried:
            tried[orders] = _conditional_fit(task, orders)
        return tried[orders][0]

    starts = [(0, 0, 0, 0, 1), (2, 2, 1, 1, 1), (1, 0, 1, 0, 1), (0, 1, 0, 1, 1)]
    best = min((_Orders(*np.minimum(start, most).tolist()) for start in starts), key=score)
    while score(near := min(_neighbours(best, most), key=score)) < score(best):
        best = near
    return best, tried[best][1]


def _neighbours(orders: _Orders, most: _Orders) -> Iterator[_Orders]:
    """Orders one step away: each by itself, p with q and P with Q."""
    for move in (*np.eye(5, dtype=int), np.array([1, 1, 0, 0, 0]), np.array([0, 0, 1, 1, 0])):
        for near in (orders + move, orders - move):
            if (near >= 0).all() and (near <= most).all():
                yield _Orders(*near.tolist())


def _conditional_fit(task: _Task, orders: _Orders) -> tuple[float, Floats]:
    """AICc and parameters of least squared errors; an infinite AICc where a root lies near the unit circle."""
    n, k = len(task.target), sum(orders) + task.inputs.shape[1] + 1
    parameters = np.full(orders.n_lags, 0.01)
    if n <= k + 2:
        return np.inf, 0 * parameters
    scale = np.sqrt(np.mean(task.target**2)) or 1.0
    if len(parameters):
        with np.errstate(all="ignore"):
            parameters = least_squares(lambda x: _whiten(x, task, orders)[0] / scale, parameters, max_nfev=30).x
        if not _is_stable(parameters, orders):
            return np.inf, parameters
    variance = np.mean(_whiten(parameters, task, orders)[0] ** 2) + 1e-20 * scale**2
    return n * np.log(variance) + 2 * k * n / (n - k - 1), parameters


def _whiten(parameters: Floats, task: _Task, orders: _Orders) -> tuple[Floats, Floats]:
    """Errors (n,) and slopes, the constant last: the filtered target's regression on the filtered inputs."""
    ar, ma = _polynomials(parameters, task.season_length, orders)
    ones = np.ones((len(task.target), orders.constant))
    filtered = lfilter(ar, ma, np.column_stack([task.target, task.inputs, ones]), axis=0)
    filtered = np.clip(np.nan_to_num(filtered), -1e100, 1e100)  # outside the unit circle it explodes
    slopes = np.linalg.lstsq(filtered[:, 1:], filtered[:, 0], rcond=None)[0]
    return filtered[:, 0] - filtered[:, 1:] @ slopes, slopes


def _polynomials(parameters: Floats, season_length: int, orders: _Orders) -> tuple[Floats, Floats]:
    """Lag polynomials of the differenced values: ar(B) AR(B^m) and ma(B) MA(B^m)."""
    ar, ma, seasonal_ar, seasonal_ma = _split(parameters, orders)
    m = season_length
    return np.convolve(_spaced(-ar, 1), _spaced(-seasonal_ar, m)), np.convolve(_spaced(ma, 1), _spaced(seasonal_ma, m))


def _split(parameters: Floats, orders: _Orders) -> list[Floats]:
    return np.split(parameters, np.cumsum(orders[:3]))


def _spaced(coefficients: Floats, lag: int) -> Floats:
    """The polynomial 1 + coefficients[0] B^lag + coefficients[1] B^2lag + ..."""
    out = np.zeros(len(coefficients) * lag + 1)
    out[0], out[lag::lag] = 1.0, coefficients
    return out


def _is_stable(parameters: Floats, orders: _Orders) -> bool:
    """Whether all roots keep 1 % off the unit circle (stationary, invertible)."""
    ar, ma, seasonal_ar, seasonal_ma = _split(parameters, orders)
    polynomials = (_spaced(c, 1) for c in (-ar, ma, -seasonal_ar, seasonal_ma))
    return all((np.abs(np.roots(polynomial)) < 0.99).all() for polynomial in polynomials)


def _exact_fit(task: _Task, orders: _Orders, parameters: Floats) -> Floats:
    """Parameters of maximum likelihood, or those given where the likelihood fails."""
    errors, slopes = _whiten(parameters, task, orders)
    rest = task.target - np.column_stack([task.inputs, np.ones((len(task.target), orders.constant))]) @ slopes
    scale = rest.std()
    if orders.n_lags == 0 or scale == 0:
        return parameters
    seasonal_p, seasonal_q = orders.seasonal_p, orders.seasonal_q
    season = seasonal_p, 0, seasonal_q, task.season_length if seasonal_p or seasonal_q else 0
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a search that stops early has still improved on its start
        try:
            found, _ = innovations_mle(
                rest / scale,
                order=(orders.p, 0, orders.q),
                seasonal_order=season,
                demean=False,
                start_params=np.append(parameters, np.mean((errors / scale) ** 2)),
                minimize_kwargs={"options": {"maxiter": 30}},
            )
        except (ValueError, np.linalg.LinAlgError):
            return parameters
    exact = np.concatenate([found.ar_params, found.ma_params, found.seasonal_ar_params, found.seasonal_ma_params])
    return exact if _is_stable(exact, orders) else parameters
