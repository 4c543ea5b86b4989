"""The state recursion of exponential smoothing and its predictive moments, for many origins in one pass."""

import warnings
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import numpy as np
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.seasonal import seasonal_decompose

__all__ = ["EtsForm", "ets_moments", "ets_states", "fit_ets", "one_step_sigma"]

# A form is a dict of plain data:
#   error "add" | "mul", season "none" | "add" | "mul", alpha, beta, gamma, phi (0: no trend, 1: undamped), sigma,
#   level, trend, seasonal (season_length,): the states before the first step, seasonal[0] in force at that step.
EtsForm = dict[str, Any]
_Kind = tuple[str, str, str]  # error, trend ("none", "add", "damped"), season
_SMOOTHING = ("smoothing_level", "smoothing_trend", "smoothing_seasonal")
_LONG = 1000  # steps from which initial states are taken from the decomposition


def ets_states(form: EtsForm, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Level (n + 1,), trend (n + 1,) and season (n + m,) before each step; a masked step changes nothing.

    In terms of the raw residual r the additive-error and multiplicative-error recursions are the same:
    l' = l + phi b + alpha r / s, b' = phi b + beta r / s, s' = s + gamma r / (l + phi b), where the two divisors are 1
    unless the season multiplies (Hyndman et al. 2008, table 2.2 and 2.3).
    """
    alpha, beta, gamma, phi = (form[k] for k in ("alpha", "beta", "gamma", "phi"))
    multiplies = form["season"] == "mul"
    level, trend, season = [form["level"]], [form["trend"]], [float(s) for s in form["seasonal"]]
    for t, value in enumerate(values.tolist()):
        base, s = level[t] + phi * trend[t], season[t]
        residual = value - (base * s if multiplies else base + s) if value == value else 0.0
        by_level, by_season = (s or 1.0, base or 1.0) if multiplies else (1.0, 1.0)
        level.append(base + alpha * residual / by_level)
        trend.append(phi * trend[t] + beta * residual / by_level)
        season.append(s + gamma * residual / by_season)
    return np.array(level), np.array(trend), np.array(season)


def ets_moments(
    form: EtsForm, values: np.ndarray, positions: np.ndarray, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (n, horizon) of the steps from each position on.

    The variances are those of Hyndman et al. (2008), table 6.2 (classes 1 and 2) and equation 6.6 (class 3: the
    season multiplies), which is exact up to terms of order sigma^4.
    """
    m, steps = len(form["seasonal"]), np.arange(1, horizon + 1)
    level, trend, season = ets_states(form, values[: int(positions.max(initial=0))])
    damping = np.cumsum(form["phi"] ** steps)  # (horizon,): phi + ... + phi^h
    base = level[positions, None] + trend[positions, None] * damping  # (n, horizon)
    ahead = season[positions[:, None] + (steps - 1) % m]  # (n, horizon)
    mean = base * ahead if form["season"] == "mul" else base + ahead
    weight = form["alpha"] + form["beta"] * damping  # (horizon,): effect of one error j steps later
    if form["season"] == "add":
        weight = weight + form["gamma"] * (steps % m == 0)
    variance = form["sigma"] ** 2
    if form["error"] == "add":
        spread = variance * (1 + np.concatenate([[0.0], np.cumsum(weight**2)[:-1]]))
        return mean, np.broadcast_to(np.sqrt(spread), mean.shape)
    centre = base if form["season"] == "mul" else mean
    theta = centre**2  # (n, horizon): second moment of the noise-free future
    for h in range(1, horizon):
        theta[:, h] += variance * theta[:, h - 1 :: -1] @ weight[:h] ** 2
    if form["season"] != "mul":
        return mean, np.sqrt(np.maximum((1 + variance) * theta - centre**2, 0))
    again = (1 + form["gamma"] ** 2 * variance) ** ((steps - 1) // m)
    return mean, np.abs(ahead) * np.sqrt(np.maximum((1 + variance) * again * theta - centre**2, 0))


def one_step_sigma(form: EtsForm, values: np.ndarray) -> float:
    """Root mean square of the one-step errors, relative to the forecast if the error multiplies."""
    mean, _ = ets_moments(form, values, np.arange(len(values)), 1)
    errors = values - mean[:, 0]
    return float(np.sqrt(np.nanmean((errors / mean[:, 0] if form["error"] == "mul" else errors) ** 2)))


def fit_ets(values: np.ndarray, season_length: int) -> EtsForm:
    """The form of least AICc with its parameters, by maximum likelihood through statsmodels; values without gaps.

    All forms are ranked with initial states from a decomposition, which takes milliseconds each. Those of the three best
    are then estimated too, unless the series is so long that they matter little.
    """
    if len(values) < 6 or np.ptp(values) <= 1e-10 * np.abs(values).max():
        sigma = float(np.sqrt(np.mean(np.diff(values) ** 2))) if len(values) > 1 else 0.0
        return _form("add", "none", {"smoothing_level": 1.0}, float(values[0]), 0.0, np.zeros(1), sigma)
    ranked = sorted(
        (_estimate(values, season_length, kind, False) for kind in _kinds(values, season_length)), key=itemgetter(0)
    )
    if len(values) <= _LONG:
        ranked = sorted((_estimate(values, season_length, kind, True) for _, kind, _ in ranked[:3]), key=itemgetter(0))
    return ranked[0][2]


def _kinds(values: np.ndarray, season_length: int) -> Iterator[_Kind]:
    """Error, trend and season of the forms that are tried; multiplication needs positive values, a season two full periods."""
    has_season = season_length >= 2 and len(values) >= 2 * season_length
    for trend in ("none", "add", "damped"):
        yield from (("add", trend, season) for season in (("none", "add") if has_season else ("none",)))
        if values.min() > 0:
            yield from (("mul", trend, season) for season in (("none", "add", "mul") if has_season else ("none",)))


def _estimate(values: np.ndarray, season_length: int, kind: _Kind, also_initial: bool) -> tuple[float, _Kind, EtsForm]:
    """AICc, kind and form; the AICc is infinite where the estimation fails."""
    error, trend, season = kind
    level, slope, cycle = _initial_states(values, season_length, season)
    initial = {
        "initial_level": level,
        "initial_trend": None if trend == "none" else slope,
        "initial_seasonal": None if season == "none" else cycle,
    }
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a search that stops early is ranked by the likelihood it reached
        model = ETSModel(
            values,
            error=error,
            trend=None if trend == "none" else "add",
            damped_trend=trend == "damped",
            seasonal=None if season == "none" else season,
            seasonal_periods=None if season == "none" else season_length,
            initialization_method="estimated" if also_initial else "known",
            **({} if also_initial else initial),
        )
        result = model.fit(disp=False)
    named = dict(zip(model.param_names, result.params.tolist(), strict=True))
    if also_initial:
        level, slope = named["initial_level"], named.get("initial_trend", 0.0)
        cycle = np.array(
            [value for name, value in named.items() if name.startswith("initial_seasonal")][::-1] or [0.0]
        )  # statsmodels: last first
    n, k = len(values), 3 + 2 * (trend != "none") + (trend == "damped") + (season_length if season != "none" else 0)
    score = -2 * result.llf + 2 * k * n / (n - k - 1) if n > k + 1 else np.inf
    form = _form(
        error,
        season,
        named,
        level,
        slope if trend != "none" else 0.0,
        cycle,
        float(np.sqrt(result.sse / max(n - k + 1, n / 2))),
    )
    if trend != "none":
        form["phi"] = named.get("damping_trend", 1.0)
    return (score if np.isfinite(score) else np.inf), kind, form


def _initial_states(values: np.ndarray, season_length: int, season: str) -> tuple[float, float, np.ndarray]:
    """Level and trend before the first step and the first season: classical decomposition, then a line through the start."""
    cycle = np.zeros(1)
    if season != "none":
        cycle = seasonal_decompose(
            values, model="additive" if season == "add" else "multiplicative", period=season_length
        ).seasonal[:season_length]
        repeated = np.resize(cycle, len(values))
        values = values - repeated if season == "add" else values / repeated
    start = values[: max(10, 2 * len(cycle))]
    slope, level = np.polyfit(np.arange(1, len(start) + 1), start, 1)
    return float(level), float(slope), cycle


def _form(
    error: str, season: str, named: dict[str, float], level: float, trend: float, seasonal: np.ndarray, sigma: float
) -> EtsForm:
    smoothing = {
        letter: named.get(name, 0.0) for letter, name in zip(("alpha", "beta", "gamma"), _SMOOTHING, strict=True)
    }
    return {
        "error": error,
        "season": season,
        **smoothing,
        "phi": 0.0,
        "level": level,
        "trend": trend,
        "seasonal": seasonal,
        "sigma": sigma,
    }
