"""SeasonalWidths: how much wider quantiles are at one phase of the season than at another, as errors in fit say."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from seqcast.models._calibration import misfit
from seqcast.models._phases import tells_phase
from seqcast.panel import Panel

__all__ = ["FAR", "SAID", "SPREAD", "Forecasts", "SeasonalWidths", "origins_by_phase"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SPREAD = (0.1, 0.9)  # quantiles by which a forecast says how far off it is
FAR = (0.025, 0.975)  # others, beyond these
SAID = np.sqrt(2 / np.pi) / (ndtri(SPREAD[1]) - ndtri(SPREAD[0]))  # mean absolute error, in their distance, if normal
NOISE = 1.0  # variance of an absolute error, in its squared mean
LEAST, LEAST_RATIO, MOST_LEVEL = 0.05, 0.01, 1.5  # of what is said
LEAST_BEYOND, NO_SPREAD = 0.1, 1e-9
POWERS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.4, 0.2, 0.0)  # of the factors
MOST_ERROR = 5.0  # in what is said, that counts
MOST_STEPS, MOST_WINDOWS, MOST_ORIGINS = 200_000, 20_000, 1000  # in fit, of all series and of one, that are looked at
N_SEASONS = 365  # the last of them


def origins_by_phase(panel: Panel, ends: Integers, horizon: int, season_length: int) -> tuple[Integers, Integers]:
    """Series and positions of some origins before `ends` (n_series,), at all phases of the season in turn."""
    most = min(MOST_STEPS // horizon, MOST_WINDOWS) // panel.n_series
    n = int(np.clip(most, 1, min(MOST_ORIGINS, ends.max())))
    first, k = np.maximum(ends // 3, ends - N_SEASONS * season_length), np.arange(n)
    span = np.maximum(ends - first, 1)[:, None]
    steps = span * k // n // season_length * season_length + k % season_length
    return np.repeat(np.arange(panel.n_series), n), (first[:, None] + np.minimum(steps, span - 1)).ravel()


class Forecasts(NamedTuple):
    """Some forecasts, and what came true."""

    series: Integers  # (n,)
    positions: Integers  # (n,)
    quantiles: Floats  # (n, horizon, 5), in order: the median, those of SPREAD, those of FAR
    truth: Floats  # (n, horizon), NaN where unknown

    def errors(self) -> tuple[Floats, Floats]:
        """Errors, and the mean absolute ones that quantiles say."""
        return self.truth - self.quantiles[..., 2], SAID * (self.quantiles[..., 3] - self.quantiles[..., 1])

    def distances(self) -> tuple[Floats, Floats, Floats]:
        """Absolute errors, the quantile of SPREAD on their side, and that of FAR beyond it, from the median."""
        error = self.truth - self.quantiles[..., 2]
        farthest, low, high, far = (np.abs(self.quantiles[..., k] - self.quantiles[..., 2]) for k in (0, 1, 3, 4))
        near, beyond = np.where(error > 0, high, low), np.where(error > 0, far - high, farthest - low)
        return np.abs(error), near, beyond


@dataclass(frozen=True)
class SeasonalWidths:
    """What the spread of a forecast of each series is multiplied by at each phase of the season.

    The mean absolute error of fit at the phase over the one that quantiles say, in that of all phases: that of all
    series, where dates tell which phase a step is, times what each series has of its own. Both are shrunk to 1 where
    steps are few, and by a power that is most likely by the errors of the tail. As much of fit and of the tail lies
    between the quantiles as before, inner and outer ones: calm and wild steps together have long tails, each alone
    has shorter ones. Where more of fit lies below them, or above, than they say, that side is widened, and the other
    one narrowed as much at most: smoothing is a mean, and moves the quantiles of what is skewed too far.
    """

    ids: tuple[Any, ...]
    factors: Floats  # (n_series + 1, season_length); the last ones are of any other series
    beyond: float = 1.0  # what else the spread beyond SPREAD is multiplied by
    below: float = 1.0  # and all of it below the median; files of 0.1.0 have neither this nor the last
    above: float = 1.0  # and above it

    @classmethod
    def fitted(cls, panel: Panel, fit: Forecasts, tail: Forecasts | None, season_length: int) -> "SeasonalWidths":
        """Learn from forecasts in fit, and from those of the tail that were made before it was learned from."""
        error, said = fit.errors()
        known = ~np.isnan(error)
        steps = _steps(panel, fit.series, fit.positions, error.shape[1])
        number, times = (np.broadcast_to(x, error.shape)[known] for x in steps)  # (n_steps,)
        made = np.minimum(np.abs(error), MOST_ERROR * said)[known]
        own, common = _factors(panel, number, times, made, said[known], season_length)
        widths = cls(panel.ids, np.maximum(np.vstack((own, common)), LEAST))
        if tail is not None:
            error, said = tail.errors()
            found = widths.of(panel, tail.series, tail.positions, error.shape[1])
            power = min(POWERS, key=lambda power: misfit(error, said * found**power))
            widths = replace(widths, factors=widths.factors**power)
        looked_at = [fit] if tail is None else [fit, tail]
        level = max(widths._level(panel, made) for made in looked_at)
        widths = replace(widths, factors=widths.factors * np.clip(level, 1 / MOST_LEVEL, MOST_LEVEL))
        beyond = max(widths._level_beyond(panel, made) for made in looked_at)
        below, above = (min(side, MOST_LEVEL) for side in widths._needed(panel, fit))
        below, above = (float(max(x, 1 / max(y, 1.0))) for x, y in ((below, above), (above, below)))
        return replace(widths, beyond=float(np.clip(beyond, LEAST_BEYOND, 1.0)), below=below, above=above)

    def _level(self, panel: Panel, made: Forecasts) -> float:
        """What all factors are to be multiplied by, so that as much lies between the quantiles as without them."""
        error, near, _ = made.distances()
        known = ~np.isnan(error) & (near > NO_SPREAD * np.median(near))
        place = error[known] / near[known]  # at most 1 between the quantiles
        moved = place / self.of(panel, made.series, made.positions, error.shape[1])[known]
        return _ratio_of_quantiles(moved, place)

    def _needed(self, panel: Panel, fit: Forecasts) -> tuple[float, float]:
        """What spreads below and above the median are to be multiplied by, so that fit lies there as they say."""
        error = (fit.truth - fit.quantiles[..., 2]) / self.of(panel, fit.series, fit.positions, fit.truth.shape[1])
        below, above = (np.abs(fit.quantiles[..., k] - fit.quantiles[..., 2]) for k in (1, 3))
        known = ~np.isnan(error) & (np.minimum(below, above) > NO_SPREAD * np.median(below + above))
        if not known.any():
            return 1.0, 1.0
        error, below, above = error[known], below[known], above[known]
        return np.quantile(-error / below, 1 - SPREAD[0]), np.quantile(error / above, SPREAD[1])

    def _level_beyond(self, panel: Panel, made: Forecasts) -> float:
        """What the spread beyond these quantiles is to be multiplied by, likewise."""
        error, near, beyond = made.distances()
        known = ~np.isnan(error) & (beyond > NO_SPREAD * np.median(near))
        error, near, beyond = error[known], near[known], beyond[known]
        factor = self.of(panel, made.series, made.positions, made.truth.shape[1])[known]
        return _ratio_of_quantiles((error / factor - near) / beyond, (error - near) / beyond)

    def spread(self, found: Floats, panel: Panel, series: Integers, positions: Integers) -> Floats:
        """Quantiles (n, horizon, n_levels), the last three those of SPREAD and the median, spread anew."""
        low, high, middle = found[..., -3:-2], found[..., -2:-1], found[..., -1:]
        inner, factor = np.clip(found, low, high), self.of(panel, series, positions, found.shape[1])[..., None]
        side = np.where(found < middle, self.below, self.above)
        return middle + factor * side * (inner - middle + self.beyond * (found - inner))

    def of(self, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
        """The factors of forecasts from origins, (n, horizon)."""
        numbers = {label: i for i, label in enumerate(self.ids)}
        number = np.array([numbers.get(label, -1) for label in panel.ids], dtype=np.int64)
        series, times = _steps(panel, series, positions, horizon)
        return self.factors[number[series], panel.axis.phase(times, self.factors.shape[1])]


def _ratio_of_quantiles(moved: Floats, place: Floats) -> float:
    """The quantile of moved places over that of places, at the share of these that are at most 1."""
    if not len(place):
        return 1.0
    share = (place <= 1).mean()
    before, after = np.quantile(place, share), np.quantile(moved, share)
    return float(after / before) if before > 0 else 1.0


def _steps(panel: Panel, series: Integers, positions: Integers, horizon: int) -> tuple[Integers, Integers]:
    """Series (n, 1) and times (n, horizon) of the steps from origins on."""
    return series[:, None], (panel.first[series] + positions)[:, None] + np.arange(horizon)


def _factors(
    panel: Panel, number: Integers, times: Integers, made: Floats, said: Floats, season_length: int
) -> tuple[Floats, Floats]:
    """What spreads are multiplied by, of each series (n_series, season_length) and of any other (season_length,)."""
    shape = panel.n_series, season_length
    phase = panel.axis.phase(times, season_length)
    cell = number * season_length + phase

    def summed(x: Floats) -> Floats:
        return np.bincount(cell, x, int(np.prod(shape))).astype(float).reshape(shape)

    is_again = pd.DataFrame({"number": number, "time": times}).duplicated().to_numpy()
    made, said, count = summed(made), summed(said), summed(1.0 - is_again)
    unit = said.sum(1, keepdims=True) / np.maximum(count.sum(1, keepdims=True), 1)  # so that scales do not count
    made, said = (np.divide(x, unit, out=np.zeros(shape), where=unit > 0) for x in (made, said))
    common = np.ones(season_length)
    if tells_phase(panel):
        once = np.unique(times, return_index=True)[1]
        common = _ratio(made.sum(0), said.sum(0), np.bincount(phase[once], minlength=season_length).astype(float))
    own = _ratio(made, common * said, count) if panel.n_series > 1 or not tells_phase(panel) else 1.0
    return common * own, common


def _ratio(made: Floats, said: Floats, count: Floats) -> Floats:
    """Errors over what is said of them by phase (..., season_length), in the mean, less what may be chance.

    Of the logarithm of each that share is kept that the variance between phases has beside the variance of chance.
    """
    level = made.sum(-1, keepdims=True) / np.maximum(said.sum(-1, keepdims=True), 1e-300)
    known = (said > 0) & (level > 0)
    ratio = np.divide(made, level * said, out=np.ones_like(made), where=known)
    logs = np.log(np.maximum(ratio, LEAST_RATIO))
    chance = NOISE / np.maximum(count, 1)
    between = max(float((count * known * (logs**2 - chance)).sum()) / max(float((count * known).sum()), 1.0), 0.0)
    ratio = np.exp(logs * between / (between + chance))
    mean = (ratio * said).sum(-1, keepdims=True) / np.maximum(said.sum(-1, keepdims=True), 1e-300)
    return ratio / np.where(mean > 0, mean, 1.0)
