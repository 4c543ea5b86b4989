"""Paths: scenarios with the quantiles of the forecast and the ties between steps and series of its past errors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.random import RandomState
from scipy.special import ndtri
from scipy.stats import rankdata

from seqcast.exceptions import ShortSeriesError
from seqcast.panel import Floats, Panel
from seqcast.reversion import Reversion, Usual
from seqcast.rolling import answer, clip, open_ended, scaled_errors

__all__ = ["LEVELS", "draw_paths", "stepper_of"]

LEVELS = np.array([0.005, 0.01, 0.025, *np.arange(1, 20) / 20, 0.975, 0.99, 0.995])
OUTER = np.array([1e-4, 1e-3])
PATH_LEVELS = np.concatenate((OUTER, LEVELS, 1 - OUTER[::-1]))  # beyond, the line of a log may fall below 0
COUNT_LEVELS = np.arange(1, 400) / 400  # quantiles of counts jump
N_ERRORS, N_ORIGINS = 20_000, (50, 400)  # forecasts whose errors say what hangs together; origins


def draw_paths(
    forecaster: Any, history: Panel, panel: Panel, horizon: int, n_paths: int, strategy: str, random: RandomState
) -> Floats:
    """Scenarios from the end of the history, which `panel` extends: (n_series, horizon, n_paths).

    A Gaussian copula [1]_: the errors of rolling-origin forecasts become normal scores, step by step; a path is a
    random combination of the scores of all origins, so that steps and series hang together in it as they did in the
    errors, and each of its values is the quantile of the forecast at its score. "direct" draws the whole horizon;
    "recursive" one fitted horizon after the other, each forecast from the path so far, and led back to the mean of the
    series where that returns to it. As the wilder a path is, the wilder it goes on, it stays within the range of the
    series and as much again on both sides; more, if it is long beside the series.

    References
    ----------
    .. [1] Pinson, P. et al. (2009). From probabilistic forecasts to statistical scenarios of short-term wind power
       production. Wind Energy, 12(1), 51-62.
    """
    series = np.arange(panel.n_series)
    if strategy == "recursive":
        return clip(_write_on(stepper_of(forecaster), history, panel, horizon, n_paths, random), forecaster.bounds)
    levels, quantiles = _widest(forecaster, lambda q: answer(forecaster, panel, series, history.lengths, horizon, q))
    z = _draw_scores(_past_scores(forecaster, panel, horizon, random), n_paths, random)
    return clip(_values(forecaster, levels, quantiles, np.moveaxis(z, 0, -1)), forecaster.bounds)


def stepper_of(forecaster: Any) -> Any:
    """What writes a path of that forecaster on, step by step: itself, unless it says otherwise."""
    return forecaster._stepper() if hasattr(forecaster, "_stepper") else forecaster


def _write_on(forecaster: Any, history: Panel, panel: Panel, horizon: int, n_paths: int, random: RandomState) -> Floats:
    length = forecaster._longest or forecaster.horizon
    n_blocks = -(-horizon // length)
    series = np.tile(np.arange(panel.n_series), n_paths)  # path by path
    work, origins, ahead = open_ended(forecaster, panel, series, history.lengths[series], n_blocks * length)
    scores = _past_scores(forecaster, panel, length, random)
    own, reversion, usual = np.arange(len(series)), Reversion.fitted(forecaster, length), Usual.of(history, series)
    room = (usual.high - usual.low) * (1 + horizon / history.lengths[series])
    room = np.where(room > 0, room, np.inf)
    low, high = (usual.low - room)[:, None], (usual.high + room)[:, None]
    if _gives_counts(forecaster):
        low, high = np.floor(low), np.ceil(high)
    for k in range(n_blocks):
        at = origins + k * length
        levels, quantiles = _widest(forecaster, partial(forecaster._quantile_panel, work, own, at, length))
        if reversion is not None:
            quantiles = reversion.apply(quantiles, work, at, usual)
        z = _draw_scores(scores, n_paths, random).reshape(len(series), length, 1)
        found = np.clip(_values(forecaster, levels, quantiles, z)[..., 0], low, high)
        work.values[ahead[:, k * length : (k + 1) * length]] = found
    paths = work.values[ahead[:, :horizon]].reshape(n_paths, panel.n_series, horizon)
    return np.moveaxis(paths, 0, -1)


def _widest(forecaster: Any, ask: Callable[[list[float]], Floats]) -> tuple[Floats, Floats]:
    """The widest range of levels that a forecaster can answer, and its quantiles there (..., n_levels)."""
    if _gives_counts(forecaster):
        return COUNT_LEVELS, ask(COUNT_LEVELS.tolist())
    for k in range(len(PATH_LEVELS) // 2):
        levels = PATH_LEVELS[k : len(PATH_LEVELS) - k]
        try:
            return levels, ask(levels.tolist())
        except ShortSeriesError:  # too few past errors for the outer levels
            if k == len(PATH_LEVELS) // 2 - 1:
                raise
    raise AssertionError


def _past_scores(forecaster: Any, panel: Panel, horizon: int, random: RandomState) -> Floats:
    """Normal scores of past errors for the series of the panel, (n_origins, n_series, horizon)."""
    n_origins = int(np.clip(N_ERRORS // forecaster.panel_.n_series, *N_ORIGINS))
    scores = _normal_scores(scaled_errors(forecaster, horizon, n_origins), random)
    number = {label: i for i, label in enumerate(forecaster.panel_.ids)}
    code = np.array([number.get(label, -1) for label in panel.ids])
    new = np.flatnonzero(code < 0)  # these hang together as others do
    free = np.setdiff1d(np.arange(scores.shape[1]), code)
    free = free if len(new) <= len(free) else np.arange(scores.shape[1])
    code[new] = random.choice(free, len(new), replace=len(new) > len(free))
    return scores[:, code]


def _draw_scores(scores: Floats, n_paths: int, random: RandomState) -> Floats:
    """Normal scores of new paths, (n_paths, n_series, horizon)."""
    return np.tensordot(random.standard_normal((n_paths, len(scores))), scores, 1)


def _normal_scores(errors: Floats, random: RandomState) -> Floats:
    """Normal scores of the errors of each series and step, of sum of squares 1; unknown errors get a random score."""
    n_known = (~np.isnan(errors)).sum(0)
    scores = ndtri((rankdata(errors, axis=0, nan_policy="omit") - 0.5) / np.maximum(n_known, 1))
    missing = np.isnan(scores)
    scores[missing] = random.standard_normal(missing.sum())
    size = np.sqrt((scores**2).sum(0))
    return np.where(size > 0, scores / np.where(size > 0, size, 1.0), len(scores) ** -0.5)


def _gives_counts(forecaster: Any) -> bool:
    return getattr(forecaster, "_gives_counts", False)


def _values(forecaster: Any, levels: Floats, quantiles: Floats, z: Floats) -> Floats:
    """Values at normal scores z (..., n_paths): quantiles (..., n_levels) joined by lines, the outer ones go on."""
    x, z = ndtri(levels), np.clip(z, ndtri(OUTER[0]), -ndtri(OUTER[0]))
    k = np.clip(np.searchsorted(x, z) - 1, 0, len(x) - 2)
    low, high = (np.take_along_axis(quantiles, k + j, -1) for j in (0, 1))
    values = low + (z - x[k]) / (x[k + 1] - x[k]) * (high - low)
    return np.maximum(np.rint(values), 0.0) if _gives_counts(forecaster) else values
