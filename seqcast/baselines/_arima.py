"""Seasonal ARIMA with regressors: orders by AICc, parameters by likelihood, forecasts from many origins in one pass."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.optimize import least_squares
from scipy.signal import lfilter
from statsmodels.tsa.arima.estimators.innovations import innovations_mle
from statsmodels.tsa.stattools import kpss

__all__ = ["ArimaForm", "arima_moments", "choose_differences", "fit_arima"]

# A form is a dict of plain data: ar and ma, the whole lag polynomials (differences and seasons multiplied in, ar[0] = ma[0] = 1);
# constant of the equation ar(B) y = constant + ma(B) e; slopes of the regressors; sigma; n_start, the steps lost to differences; mean.
ArimaForm = dict[str, Any]
_Orders = tuple[int, int, int, int, int]  # p, q, P, Q, whether there is a constant


def arima_moments(
    form: ArimaForm, values: np.ndarray, regressors: np.ndarray, positions: np.ndarray, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (n, horizon) of the steps from each position on; regressors reach to the last step ahead.

    At a masked step the forecast stands in for the value and the error is 0: the state runs on without an update.
    """
    effect = regressors @ form["slopes"]
    noise, errors = _run(form, values[: int(positions.max(initial=0))] - effect[: int(positions.max(initial=0))])
    ar, ma = form["ar"][1:], form["ma"][1:]
    p, q = len(ar), len(ma)
    back, ahead = np.arange(-1, -p - 1, -1), positions[:, None] + np.arange(horizon)
    past = noise[p + positions[:, None] + back]  # (n, p): newest first
    shock = errors[q + positions[:, None] + np.arange(-1, -q - 1, -1)]  # (n, q)
    mean = np.empty(ahead.shape)
    for h in range(horizon):
        mean[:, h] = form["constant"] - past @ ar + shock @ ma
        past = np.concatenate([mean[:, h : h + 1], past], axis=1)[:, :p]
        shock = np.concatenate([np.zeros((len(shock), 1)), shock], axis=1)[:, :q]
    impulse = np.zeros(horizon)
    impulse[0] = 1.0
    weights = lfilter(form["ma"], form["ar"], impulse)  # psi weights
    spread = form["sigma"] * np.sqrt(np.cumsum(weights**2))
    return mean + effect[ahead], np.broadcast_to(spread, mean.shape)


def _run(form: ArimaForm, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values with gaps filled (p + n,) and errors (q + n,), each after its past: the first value, and no errors."""
    ar, ma, constant = form["ar"][1:], form["ma"][1:], form["constant"]
    p, q = len(ar), len(ma)
    known = values[~np.isnan(values)]
    before = form["mean"] if form["n_start"] == 0 or not len(known) else known[0]
    filled, errors = np.concatenate([np.full(p, before), values]), np.zeros(q + len(values))
    ar, ma = ar[::-1].copy(), ma[::-1].copy()  # oldest first
    for t, value in enumerate(values):
        forecast = constant - filled[t : t + p] @ ar + errors[t : t + q] @ ma
        if value != value:
            filled[p + t] = forecast
        elif t >= form["n_start"]:
            errors[q + t] = value - forecast
    return filled, errors


def fit_arima(values: np.ndarray, regressors: np.ndarray, season_length: int, seasonal_differences: int) -> ArimaForm:
    """The form of least AICc; values and regressors without gaps.

    Orders are searched step by step (Hyndman & Khandakar 2008) with conditional sums of squares; those chosen are
    estimated by exact likelihood through statsmodels. Slopes and constant are those of least squares given the orders.
    """
    m, seasonal = season_length, season_length > 1
    differences = choose_differences(_difference(values, m, 0, seasonal_differences))
    target = _difference(values, m, differences, seasonal_differences)  # (n,)
    inputs = _difference(regressors, m, differences, seasonal_differences)  # (n, n_regressors)
    tried: dict[_Orders, tuple[float, np.ndarray]] = {}

    def score(orders: _Orders) -> float:
        if orders not in tried:
            tried[orders] = _conditional_fit(target, inputs, m, orders)
        return tried[orders][0]

    with_constant = int(differences + seasonal_differences < 2)
    most = (3, 3, 1, 1, with_constant) if seasonal else (3, 3, 0, 0, with_constant)
    starts = [(2, 2, 1, 1, 1), (0, 0, 0, 0, 1), (1, 0, 1, 0, 1), (0, 1, 0, 1, 1)]
    best = min((tuple(np.minimum(s, most).tolist()) for s in starts), key=score)
    for _ in range(20):
        near = min(_neighbours(best, most), key=score)
        if score(near) >= score(best):
            break
        best = near
    return _form(values, regressors, target, inputs, m, best, tried[best][1], (differences, seasonal_differences))


def choose_differences(values: np.ndarray) -> int:
    """Differences (0 to 2) after which KPSS no longer rejects level stationarity at 5 %."""
    for differences in range(2):
        if len(values) < 8 or np.ptp(values) <= 1e-10 * np.abs(values).max():
            return differences
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a p-value off the end of the table; only the statistic is used
            statistic = kpss(values, regression="c", nlags=int(3 * np.sqrt(len(values)) / 13))[0]
        if statistic <= 0.463:
            return differences
        values = np.diff(values)
    return 2


def _difference(x: np.ndarray, m: int, d: int, seasonal_d: int) -> np.ndarray:
    for _ in range(seasonal_d):
        x = x[m:] - x[:-m]
    return np.diff(x, n=d, axis=0)


def _neighbours(orders: _Orders, most: _Orders) -> Iterator[_Orders]:
    """Orders one step away: each by itself, p with q and P with Q."""
    moves = [
        (1, 0, 0, 0, 0),
        (0, 1, 0, 0, 0),
        (1, 1, 0, 0, 0),
        (0, 0, 1, 0, 0),
        (0, 0, 0, 1, 0),
        (0, 0, 1, 1, 0),
        (0, 0, 0, 0, 1),
    ]
    for move in moves:
        for sign in (1, -1):
            near = np.add(orders, sign * np.array(move))
            if (near >= 0).all() and (near <= most).all():
                yield tuple(near.tolist())


def _polynomials(parameters: np.ndarray, m: int, orders: _Orders) -> tuple[np.ndarray, np.ndarray]:
    """Lag polynomials of the differenced values: ar(B) AR(B^m) and ma(B) MA(B^m)."""
    p, q, seasonal_p, seasonal_q, _ = orders
    ar, ma, seasonal_ar, seasonal_ma = np.split(parameters, np.cumsum([p, q, seasonal_p]))
    return np.convolve(np.r_[1.0, -ar], _spaced(-seasonal_ar, m)), np.convolve(np.r_[1.0, ma], _spaced(seasonal_ma, m))


def _spaced(coefficients: np.ndarray, m: int) -> np.ndarray:
    out = np.zeros(len(coefficients) * m + 1)
    out[0] = 1.0
    out[m::m] = coefficients
    return out


def _whiten(
    parameters: np.ndarray, target: np.ndarray, inputs: np.ndarray, m: int, orders: _Orders
) -> tuple[np.ndarray, np.ndarray]:
    """Errors and slopes, constant last, for these parameters: filtered target less its regression on the filtered inputs."""
    ar, ma = _polynomials(parameters, m, orders)
    if orders[4]:
        inputs = np.column_stack([inputs, np.ones(len(target))])
    white = np.nan_to_num(lfilter(ar, ma, target), nan=1e100, posinf=1e100, neginf=-1e100)
    if not inputs.shape[1]:
        return white, np.empty(0)
    filtered = np.nan_to_num(lfilter(ar, ma, inputs, axis=0), nan=0.0, posinf=0.0, neginf=0.0)
    slopes = np.linalg.lstsq(filtered, white, rcond=None)[0]
    return white - filtered @ slopes, slopes


def _conditional_fit(target: np.ndarray, inputs: np.ndarray, m: int, orders: _Orders) -> tuple[float, np.ndarray]:
    """AICc and parameters that minimise the conditional sum of squares; infinite where a root lies near the unit circle."""
    n, k = len(target), sum(orders) + inputs.shape[1] + 1
    if n <= k + 2:
        return (np.inf if any(orders) else np.finfo(float).max), np.zeros(sum(orders[:4]))
    parameters = np.zeros(sum(orders[:4]))
    scale = np.sqrt(np.mean(target**2)) or 1.0
    if len(parameters):
        with np.errstate(all="ignore"):
            found = least_squares(
                lambda x: np.clip(_whiten(x, target, inputs, m, orders)[0] / scale, -1e6, 1e6),
                parameters + 0.01,
                max_nfev=30,
            )
        parameters = found.x
        if not all(_is_inside(polynomial) for polynomial in _factors(parameters, orders)):
            return np.inf, parameters
    errors, _ = _whiten(parameters, target, inputs, m, orders)
    variance = max(np.mean(errors**2), 1e-20 * scale**2)
    return n * np.log(variance) + 2 * k * n / (n - k - 1), parameters


def _factors(parameters: np.ndarray, orders: _Orders) -> list[np.ndarray]:
    ar, ma, seasonal_ar, seasonal_ma = np.split(parameters, np.cumsum(orders[:3]))
    return [np.r_[1.0, -ar], np.r_[1.0, ma], np.r_[1.0, -seasonal_ar], np.r_[1.0, seasonal_ma]]


def _is_inside(polynomial: np.ndarray) -> bool:
    """Whether all roots lie outside the unit circle by a margin of 1 % (stationary, invertible)."""
    return bool((np.abs(np.roots(polynomial)) < 0.99).all())


def _form(
    values: np.ndarray,
    regressors: np.ndarray,
    target: np.ndarray,
    inputs: np.ndarray,
    m: int,
    orders: _Orders,
    parameters: np.ndarray,
    differences: tuple[int, int],
) -> ArimaForm:
    """Refine the parameters by exact likelihood and write the model out as lag polynomials."""
    d, seasonal_d = differences
    _, slopes = _whiten(parameters, target, inputs, m, orders)
    shifted = target - (np.column_stack([inputs, np.ones(len(target))]) if orders[4] else inputs) @ slopes
    parameters = _exact_fit(shifted, m, orders, parameters)
    errors, slopes = _whiten(parameters, target, inputs, m, orders)
    ar, ma = _polynomials(parameters, m, orders)
    constant = slopes[-1] * ar.sum() if orders[4] else 0.0
    for _ in range(d):
        ar = np.convolve(ar, [1.0, -1.0])
    for _ in range(seasonal_d):
        ar = np.convolve(ar, _spaced(np.array([-1.0]), m))
    slopes = slopes[: inputs.shape[1]]
    free = max(len(errors) - sum(orders) - inputs.shape[1], 1)
    return {
        "orders": (orders[0], d, orders[1], orders[2], seasonal_d, orders[3], bool(orders[4])),
        "ar": ar,
        "ma": ma,
        "constant": float(constant),
        "slopes": slopes,
        "sigma": float(np.sqrt(np.sum(errors**2) / free)) if len(errors) else 0.0,
        "n_start": d + seasonal_d * m,
        "mean": float(np.mean(values - regressors @ slopes)),
    }


def _exact_fit(target: np.ndarray, m: int, orders: _Orders, parameters: np.ndarray) -> np.ndarray:
    """Maximum-likelihood parameters from a start near them; the start itself where the likelihood fails."""
    p, q, seasonal_p, seasonal_q, _ = orders
    if not len(parameters) or np.ptp(target) == 0:
        return parameters
    scale = target.std()
    variance = np.mean(_whiten(parameters, target / scale, np.empty((len(target), 0)), m, (*orders[:4], 0))[0] ** 2)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            fitted, _ = innovations_mle(
                target / scale,
                order=(p, 0, q),
                seasonal_order=(seasonal_p, 0, seasonal_q, m if seasonal_p or seasonal_q else 0),
                demean=False,
                start_params=np.r_[parameters, variance],
                minimize_kwargs={"options": {"maxiter": 30}},
            )
        except (ValueError, np.linalg.LinAlgError):
            return parameters
    refined = np.r_[fitted.ar_params, fitted.ma_params, fitted.seasonal_ar_params, fitted.seasonal_ma_params]
    return refined if all(_is_inside(polynomial) for polynomial in _factors(refined, orders)) else parameters
