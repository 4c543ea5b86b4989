"""Exponential smoothing: the form of least AICc, its state recursion, and its moments from many origins in one pass."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from operator import itemgetter
from typing import Any

import numpy as np
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.seasonal import seasonal_decompose

from seqcast.baselines._values import is_constant
from seqcast.panel import Floats, Integers
from seqcast.series import Moments

__all__ = ["EtsForm", "ets_moments", "fit_ets", "one_step_sigma"]

_LARGEST_SHARE = 0.35  # standard deviation of errors that multiply
_LONG = 1000  # steps from which initial states are taken from the decomposition
_Kind = tuple[str, str, str]  # error, trend ("none", "add", "damped"), season


@dataclass(frozen=True)
class EtsForm:
    """Form and parameters; level, trend and seasonal are those before the first step, where seasonal[0] holds."""

    error: str  # "add" or "mul"
    season: str  # "none", "add" or "mul"
    level: float
    trend: float = 0.0
    seasonal: Floats | tuple[float, ...] = (0.0,)  # (season_length,)
    alpha: float = 1.0
    beta: float = 0.0
    gamma: float = 0.0
    phi: float = 0.0  # damping: 1 is undamped, 0 is no trend
    sigma: float = 0.0  # of one-step errors, relative ones if the error multiplies


def ets_moments(form: EtsForm, values: Floats, positions: Integers, horizon: int) -> Moments:
    """Mean and standard deviation, each (n, horizon), of the steps from each position on.

    The variances are those of Hyndman et al. (2008), table 6.2; where the season multiplies, their approximation for
    small sigma.
    """
    m, steps = len(form.seasonal), np.arange(1, horizon + 1)
    level, trend, season = _states(form, values[: positions.max(initial=0)])
    damping = np.cumsum(form.phi**steps)  # (horizon,): phi + ... + phi^h
    base = level[positions, None] + trend[positions, None] * damping  # (n, horizon)
    ahead = season[positions[:, None] + (steps - 1) % m]  # (n, horizon)
    mean = base * ahead if form.season == "mul" else base + ahead
    effect = form.alpha + form.beta * damping  # (horizon,): of an error on the j-th step after it
    if form.season == "add":
        effect = effect + form.gamma * (steps % m == 0)
    variance = form.sigma**2
    if form.error == "add":
        spread = form.sigma * np.sqrt(1 + np.concatenate([[0.0], np.cumsum(effect**2)[:-1]]))
        return mean, np.broadcast_to(spread, mean.shape)
    centre = base if form.season == "mul" else mean
    theta = centre**2  # (n, horizon)
    for h in range(1, horizon):
        theta[:, h] += variance * theta[:, h - 1 :: -1] @ effect[:h] ** 2
    if form.season != "mul":
        return mean, np.sqrt(np.maximum((1 + variance) * theta - centre**2, 0))
    again = (1 + form.gamma**2 * variance) ** ((steps - 1) // m)
    return mean, np.abs(ahead) * np.sqrt(np.maximum((1 + variance) * again * theta - centre**2, 0))


def _states(form: EtsForm, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Level (n + 1,), trend (n + 1,) and season (n + m,) before each step; a masked step has no error.

    In the raw error r the recursions of additive and multiplicative errors are the same: l' = l + phi b + alpha r / s,
    b' = phi b + beta r / s, s' = s + gamma r / (l + phi b), where nothing is divided unless the season multiplies.
    """
    level, trend, season = [form.level], [form.trend], [float(s) for s in form.seasonal]
    for t, value in enumerate(values.tolist()):
        base, s = level[t] + form.phi * trend[t], season[t]
        by_level, by_season = (s or 1.0, base or 1.0) if form.season == "mul" else (1.0, 1.0)
        forecast = base * s if form.season == "mul" else base + s
        error = value - forecast if value == value else 0.0
        level.append(base + form.alpha * error / by_level)
        trend.append(form.phi * trend[t] + form.beta * error / by_level)
        season.append(s + form.gamma * error / by_season)
    return np.array(level), np.array(trend), np.array(season)


def one_step_sigma(form: EtsForm, values: Floats, n_parameters: int) -> float:
    """Standard deviation of the one-step errors, of at least half as many degrees of freedom as values."""
    mean, _ = ets_moments(form, values, np.arange(len(values)), 1)
    errors = values - mean[:, 0]
    squares = (errors / mean[:, 0] if form.error == "mul" else errors) ** 2
    return float(np.sqrt(squares.sum() / max(len(values) - n_parameters, len(values) / 2)))


def fit_ets(values: Floats, season_length: int) -> EtsForm:
    """Return the form of least AICc, by maximum likelihood through statsmodels; values without gaps.

    All forms are ranked with initial states from a decomposition, in milliseconds each. The initial states of the three
    best are then estimated too, unless the series is so long that they matter little. Errors that multiply must be
    small: large ones would leave a positive series below 0 and grow without bounds.
    """
    if len(values) < 6 or is_constant(values):
        sigma = float(np.sqrt(np.mean(np.diff(values) ** 2))) if len(values) > 1 else 0.0
        return EtsForm("add", "none", float(values[0]), sigma=sigma)
    unit = float(np.abs(values).mean())
    scaled = values / unit  # the optimiser's steps and tolerances are made for values near 1
    kinds = _kinds(len(values), season_length, is_positive=values.min() > 0)

    def sound(ranked: list[tuple[float, _Kind, EtsForm]]) -> Iterator[tuple[_Kind, EtsForm]]:
        for _, kind, form in sorted(ranked, key=itemgetter(0)):
            n_parameters = _n_parameters(kind, season_length)
            if kind[0] == "add" or one_step_sigma(form, scaled, n_parameters) <= _LARGEST_SHARE:
                yield kind, form

    found = list(islice(sound([_estimate(scaled, season_length, kind, False) for kind in kinds]), 3))
    if len(values) <= _LONG:
        found = [*sound([_estimate(scaled, season_length, kind, True) for kind, _ in found]), *found]
    kind, form = found[0]
    seasonal = np.asarray(form.seasonal) * (1.0 if form.season == "mul" else unit)
    form = replace(form, level=form.level * unit, trend=form.trend * unit, seasonal=seasonal)
    return replace(form, sigma=one_step_sigma(form, values, _n_parameters(kind, season_length)))


def _kinds(n: int, season_length: int, *, is_positive: bool) -> Iterator[_Kind]:
    """Forms that are tried: multiplication needs positive values, a season two full periods."""
    has_season = season_length > 1 and n >= 2 * season_length
    for trend in ("none", "add", "damped"):
        for error, season in (("add", "none"), ("add", "add"), ("mul", "none"), ("mul", "add"), ("mul", "mul")):
            if (has_season or season == "none") and (is_positive or error == "add"):
                yield error, trend, season


def _n_parameters(kind: _Kind, season_length: int) -> int:
    """Smoothing constants, damping and initial states."""
    _, trend, season = kind
    return 2 + 2 * (trend != "none") + (trend == "damped") + (season_length if season != "none" else 0)


def _estimate(values: Floats, season_length: int, kind: _Kind, estimates_initial: bool) -> tuple[float, _Kind, EtsForm]:
    """AICc, kind and form; the AICc is infinite where the estimation fails."""
    error, trend, season = kind
    form = _initial_form(values, season_length, kind)
    initial: dict[str, Any] = {"initialization_method": "estimated"}
    if not estimates_initial:
        initial = {"initialization_method": "known", "initial_level": form.level}
        initial |= {} if trend == "none" else {"initial_trend": form.trend}
        initial |= {} if season == "none" else {"initial_seasonal": form.seasonal}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a search that stops early is ranked by the likelihood it reached
        model = ETSModel(
            values,
            error=error,
            trend=None if trend == "none" else "add",
            damped_trend=trend == "damped",
            seasonal=None if season == "none" else season,
            seasonal_periods=None if season == "none" else season_length,
            **initial,
        )
        estimates = model.fit(disp=False, return_params=True)
        loglike = model.loglike(estimates)
    found = dict(zip(model.param_names, estimates.tolist(), strict=True))
    seasonal = [value for name, value in found.items() if name.startswith("initial_seasonal")]  # the last comes first
    n, k = len(values), _n_parameters(kind, season_length) + 1  # and the variance
    score = -2 * loglike + 2 * k * n / (n - k - 1) if n > k + 1 else np.inf
    form = replace(
        form,
        level=found.get("initial_level", form.level),
        trend=found.get("initial_trend", form.trend),
        seasonal=np.array(seasonal[::-1]) if seasonal else form.seasonal,
        alpha=found["smoothing_level"],
        beta=found.get("smoothing_trend", 0.0),
        gamma=found.get("smoothing_seasonal", 0.0),
        phi=0.0 if trend == "none" else found.get("damping_trend", 1.0),
    )
    return (score if np.isfinite(score) else np.inf), kind, form


def _initial_form(values: Floats, season_length: int, kind: _Kind) -> EtsForm:
    """States before the first step: the season by classical decomposition, then a line through the first values."""
    error, trend, season = kind
    seasonal: Floats = np.zeros(1)
    if season == "add":
        seasonal = seasonal_decompose(values, model="additive", period=season_length).seasonal[:season_length]
        values = values - np.resize(seasonal, len(values))
    elif season == "mul":
        seasonal = seasonal_decompose(values, model="multiplicative", period=season_length).seasonal[:season_length]
        values = values / np.resize(seasonal, len(values))
    start = values[: max(10, 2 * len(seasonal))]
    slope, level = np.polyfit(np.arange(1, len(start) + 1), start, 1).tolist()
    return EtsForm(error, season, level, 0.0 if trend == "none" else slope, seasonal)
