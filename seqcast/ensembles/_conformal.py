"""The mathematics of calibration: local scales, weighted quantiles of scores, widths that learn, a test of drift.

A chain is a run of origins a fixed stride apart: arrays (n_series, n_origins, horizon). Step j of origin t is known,
and counts, from origin t + lags[j] of the chain on; NaN is unknown.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import kendalltau, mannwhitneyu

from seqcast.models._model import interpolate_levels
from seqcast.panel import Floats, Integers

__all__ = [
    "FEWEST",
    "Replay",
    "adapted_quantiles",
    "drift_p_value",
    "known_mass",
    "local_scales",
    "series_quantiles",
    "window_quantiles",
    "window_scores",
]

FEWEST = 20  # scores from which widths begin to learn, and that calibration tries to have: enough for 95 %
RATE = 0.12  # of learning: a miss widens an interval by about this share; those that overlap share it
FARTHEST = 3.0  # logarithm of the factor by which learning may widen or narrow, at most
COVERAGES = np.array([0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99])  # of the intervals that learn
OWN = 100  # scores of a series from which it needs no others
MAX_KEPT = 2**23  # numbers, 64 MiB, that are kept so that learning can go on
STALE = 50  # parts of a window; as many scores may be missing from it before its quantiles are found anew
N_BLOCKS = 20  # of the calibration, for the test of drift
TINY = 1e-9


def local_scales(errors: Floats, lags: Integers, half_life: float, prior: Floats) -> Floats:
    """Mean absolute error by step of what was known at each origin, older origins at a weight that halves.

    `prior` (n_series, horizon) counts as one error before the first; the result is (n_series, n_origins, horizon).
    """
    known = ~np.isnan(errors)
    share = 0.5 ** (1 / half_life)
    total = lfilter([1.0], [1.0, -share], np.where(known, np.abs(errors), 0.0), axis=1)
    weight = lfilter([1.0], [1.0, -share], known.astype(np.float64), axis=1)
    n_origins = errors.shape[1]
    fade = share ** np.arange(n_origins)[:, None]  # of the prior
    out = np.empty_like(errors)
    for lag in np.unique(lags):
        steps = np.flatnonzero(lags == lag)
        seen, count = np.zeros((2, len(errors), n_origins, len(steps)))
        if lag < n_origins:
            seen[:, lag:], count[:, lag:] = total[:, :-lag, steps], weight[:, :-lag, steps]
        out[..., steps] = (seen + fade * prior[:, None, steps]) / (count + fade)
    return np.maximum(out, 0.01 * prior[:, None])


def window_scores(scores: Floats, lags: Integers, origin: int, window: int) -> Floats:
    """The latest scores that are known at an origin, (at most window, n_series, horizon), newest first."""
    rows = origin - lags - np.arange(min(window, max(origin, 1)))[:, None]  # (window, horizon)
    found = scores[:, np.maximum(rows, 0), np.arange(len(lags))]  # (n_series, window, horizon)
    return np.where((rows >= 0)[:, None], np.moveaxis(found, 0, 1), np.nan)


def known_mass(scores: Floats, lags: Integers, origins: Integers, weights: Floats) -> Floats:
    """Weight (n_origins, horizon) of the scores known at each origin, those k origins older at weights[k]."""
    counts = (~np.isnan(scores)).sum(axis=0)  # (n_origins of the chain, horizon)
    mass = lfilter(weights, [1.0], counts.astype(np.float64), axis=0)
    rows = np.asarray(origins)[:, None] - lags
    return np.where(rows >= 0, mass[np.maximum(rows, 0), np.arange(len(lags))], 0.0)


def window_quantiles(scores: Floats, weights: Floats, levels: Floats) -> Floats:
    """Conformal quantiles (horizon, n_levels) of a window's scores (window, n_series, horizon).

    The score to come has weight 1 and lies, for all we know, at either end. Levels too far out for the signed scores
    are taken from the absolute ones, of which an interval needs half as many; still farther ones are the extremes.
    """
    n_rows, n_series, horizon = scores.shape
    weights = weights[:n_rows]
    flat, weight = scores.reshape(-1, horizon), np.repeat(weights, n_series)
    upper = _upper_quantiles(flat, weight, levels)
    lower = -_upper_quantiles(-flat, weight, 1 - levels)
    both = np.where(levels < 0.5, lower, upper)  # (horizon, n_levels)
    mass = np.einsum("k,ksh->h", weights, ~np.isnan(scores))[:, None]
    outer = np.minimum(levels, 1 - levels) * (mass + 1) < 1 - TINY
    if not outer.any():
        return both
    absolute = _upper_quantiles(np.abs(flat), weight, np.abs(1 - 2 * levels))
    with np.errstate(invalid="ignore"):
        ends = np.where(levels < 0.5, np.minimum(both, -absolute), np.maximum(both, absolute))
    return np.where(outer, ends, both)


def series_quantiles(scores: Floats, weights: Floats, levels: Floats) -> Floats:
    """Conformal quantiles (n_series, horizon, n_levels): of the series' own scores where these are enough, else pooled.

    Series whose scores are all the same say nothing about others and are left out of the pool.
    """
    n_rows, n_series, horizon = scores.shape
    out = np.empty((n_series, horizon, len(levels)))
    counts = (~np.isnan(scores)).sum(axis=0).min(axis=-1, initial=n_rows)  # (n_series,)
    is_own = counts >= max(OWN, 0.5 / np.minimum(levels, 1 - levels).min() - 1)
    if not is_own.all():
        known = ~np.isnan(scores)
        low, high = np.where(known, scores, np.inf).min((0, 2)), np.where(known, scores, -np.inf).max((0, 2))
        is_dead = low == high
        pool = scores if is_dead.all() or not is_dead.any() else scores[:, ~is_dead]
        out[~is_own] = window_quantiles(pool, weights, levels)
    if is_own.any():
        alone = scores[:, is_own].reshape(n_rows, 1, -1)  # series stand where steps do
        out[is_own] = window_quantiles(alone, weights, levels).reshape(-1, horizon, len(levels))
    return out


def _upper_quantiles(scores: Floats, weight: Floats, levels: Floats) -> Floats:
    """The least score, by step, whose weight and all below reach the level of the whole with the score to come."""
    order = np.argsort(scores, axis=0)  # NaN last
    ordered = np.take_along_axis(scores, order, axis=0)
    mass = np.cumsum(np.where(np.isnan(ordered), 0.0, weight[order]), axis=0)
    total, last = mass[-1], np.maximum((~np.isnan(ordered)).sum(axis=0) - 1, 0)
    out = np.empty((scores.shape[1], len(levels)))
    for k, level in enumerate(levels):
        row = (mass < level * (total + 1) - TINY).sum(axis=0)
        out[:, k] = ordered[np.minimum(row, last), np.arange(len(last))]
    return out


State = tuple[Floats, deque[Floats], Floats]  # theta, intervals issued, quantiles of the window


class Replay:
    """Where learning stands before an origin, so that it need not begin anew when later ones are asked for."""

    def __init__(self) -> None:
        self.kept: tuple[int, Floats, State] | None = None  # origin, the scores that were known there, state

    def resumed(self, scores: Floats, lags: Integers, first: int) -> tuple[int, State | None]:
        """The origin from which learning can go on to those from `first` on, and the state there; else 0 and None."""
        if self.kept is None or first < self.kept[0]:
            return 0, None
        origin, known, (theta, issued, base) = self.kept
        now = _known_before(scores, lags, origin)
        if now.shape != known.shape or not np.allclose(now, known, equal_nan=True):
            return 0, None
        return origin, (theta.copy(), issued.copy(), base)

    def keep(self, scores: Floats, lags: Integers, origin: int, state: State) -> None:
        """Remember the state before an origin, unless it is large."""
        theta, issued, base = state
        if base.size * int(lags.max()) <= MAX_KEPT:
            self.kept = origin, _known_before(scores, lags, origin), (theta.copy(), issued.copy(), base)


def adapted_quantiles(
    scores: Floats,
    lags: Integers,
    origins: Integers,
    levels: Floats,
    *,
    window: int,
    rate: float = RATE,
    replay: Replay | None = None,
) -> Floats:
    """Quantiles (n_origins, n_series, horizon, n_levels) of scores, whose central intervals learn from their misses.

    The interval of coverage c is that of the window, widened about its median by exp(theta), where each outcome y
    moves ``theta += rate / lag * ((y outside) - (1 - c))`` as soon as it is known. The window moves on by a fiftieth at
    once.
    """
    n_series, _, horizon = scores.shape
    grid = np.concatenate([(1 - COVERAGES[::-1]) / 2, [0.5], (1 + COVERAGES) / 2])
    middle, last = len(COVERAGES), int(origins.max())
    replay = replay or Replay()
    begin, state = replay.resumed(scores, lags, int(origins.min()))
    theta, issued, base = state or (
        np.zeros((n_series, horizon, len(COVERAGES))),
        deque(maxlen=int(lags.max())),
        np.empty(0),
    )
    wanted = {int(t): k for k, t in enumerate(origins)}
    out = np.empty((len(origins), n_series, horizon, len(levels)))
    weights = np.ones(window)
    ready = known_mass(scores, lags, np.arange(last + 1), weights) >= FEWEST  # (n_origins, horizon)
    for t in range(begin, last + 1):
        if t == last:
            replay.keep(scores, lags, t, (theta, issued, base))
        _learn(theta, scores, lags, t, issued, rate)
        if not base.size or not t % max(min(t, window) // STALE, 1):
            base = series_quantiles(
                window_scores(scores, lags, t, window), weights, grid
            )  # (n_series, horizon, n_grid)
        spread = base - base[..., middle, None]
        factor = np.concatenate([np.exp(theta[..., ::-1]), np.ones((n_series, horizon, 1)), np.exp(theta)], axis=-1)
        issued.append(np.where(ready[t][:, None], base[..., middle, None] + spread * factor, np.nan))
        if t in wanted:
            out[wanted[t]] = _nested(base, spread * factor, middle, grid, levels)
    return out


def _known_before(scores: Floats, lags: Integers, origin: int) -> Floats:
    """Scores of the origins before one, those whose truth came before it."""
    return np.where(np.arange(origin)[:, None] + lags < origin, scores[:, :origin], np.nan)


def _learn(theta: Floats, scores: Floats, lags: Integers, t: int, issued: "deque[Floats]", rate: float) -> None:
    """Move theta by the outcomes that become known at origin t, each beside the interval issued for it.

    Forecasts overlap until their truth is known, and are missed together: as many as do so move theta as one would.
    """
    for lag in np.unique(lags[lags <= t]):
        steps = np.flatnonzero(lags == lag)
        bounds = issued[-int(lag)][:, steps]  # (n_series, n_steps, n_grid)
        score = scores[:, t - lag, steps, None]
        middle = len(COVERAGES)
        missed = (score < bounds[..., :middle][..., ::-1]) | (score > bounds[..., middle + 1 :])
        known = ~np.isnan(score) & ~np.isnan(bounds[..., middle, None])
        theta[:, steps] += np.where(known, rate / lag * (missed - (1 - COVERAGES)), 0.0)
    np.clip(theta, -FARTHEST, FARTHEST, out=theta)


def _nested(base: Floats, spread: Floats, middle: int, grid: Floats, levels: Floats) -> Floats:
    """Quantiles at increasing levels from intervals of the grid, each at least as wide as those inside it."""
    down = np.maximum.accumulate(-spread[..., : middle + 1][..., ::-1], axis=-1)[..., ::-1]
    up = np.maximum.accumulate(spread[..., middle:], axis=-1)[..., 1:]
    values = base[..., middle, None] + np.concatenate([-down, up], axis=-1)
    return np.maximum.accumulate(interpolate_levels(values, grid, levels), axis=-1)  # in spite of rounding


def drift_p_value(scores: Floats, lag: int) -> float:
    """How probable so clear a trend or shift of the scores (n_series, n_origins, horizon) is without drift.

    Level and size are averaged over blocks that are longer than the overlap of neighbouring forecasts; the blocks'
    order is tested for a trend (Kendall), their halves for a shift (Mann and Whitney), Bonferroni over the four tests.
    """
    n_origins = scores.shape[1]
    n_blocks = min(N_BLOCKS, n_origins // (2 * lag))
    if n_blocks < N_BLOCKS // 2:
        return 1.0
    values = [1.0]
    for signal in (scores, np.abs(scores)):
        known = ~np.isnan(signal).all(axis=(0, 2))
        means = [_mean(signal[:, rows]) for rows in np.array_split(np.flatnonzero(known), n_blocks)]
        if np.ptp(means) > 0:
            half = n_blocks // 2
            values += [kendalltau(np.arange(n_blocks), means).pvalue, mannwhitneyu(means[:half], means[half:]).pvalue]
    return min(1.0, 4 * float(np.nanmin(values)))


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0
