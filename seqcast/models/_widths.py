"""SeasonalWidths: how much wider quantiles are at one phase of the season than at another, as errors in fit say."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from seqcast.models._calibration import misfit
from seqcast.models._phases import tells_phase
from seqcast.panel import Panel

__all__ = ["SAID", "SPREAD", "Forecasts", "SeasonalWidths", "origins_by_phase"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SPREAD = (0.1, 0.9)  # quantiles by which a forecast says how far off it is
SAID = np.sqrt(2 / np.pi) / (ndtri(SPREAD[1]) - ndtri(SPREAD[0]))  # mean absolute error, in their distance, if normal
NOISE = 1.0  # variance of an absolute error, in its squared mean
LEAST, LEAST_RATIO, MOST_LEVEL = 0.05, 0.01, 1.5  # of what is said
POWERS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.4, 0.2, 0.0)  # of the factors
MOST_ERROR = 5.0  # in what is said, that counts
MOST_STEPS, MOST_ORIGINS = 200_000, 1000  # of all forecasts in fit, and of a series, whose errors are looked at
N_SEASONS = 365  # the last of them


def origins_by_phase(panel: Panel, ends: Integers, horizon: int, season_length: int) -> tuple[Integers, Integers]:
    """Series and positions of some origins before `ends` (n_series,), at all phases of the season."""
    n = int(np.clip(MOST_STEPS // (horizon * panel.n_series), 1, min(MOST_ORIGINS, ends.max())))
    first, k = np.maximum(ends // 3, ends - N_SEASONS * season_length), np.arange(1, n + 1)
    steps = np.maximum(ends - 1 - first, 0)[:, None] * k // n - k % season_length
    return np.repeat(np.arange(panel.n_series), n), (first[:, None] + np.maximum(steps, 0)).ravel()


class Forecasts(NamedTuple):
    """Some forecasts, and what came true."""

    series: Integers  # (n,)
    positions: Integers  # (n,)
    quantiles: Floats  # (n, horizon, 3): the median between those of SPREAD
    truth: Floats  # (n, horizon), NaN where unknown

    def errors(self) -> tuple[Floats, Floats, Floats]:
        """Errors, the mean absolute ones that quantiles say, and the distance to the quantile on their side."""
        low, middle, high = np.moveaxis(self.quantiles, -1, 0)
        error = self.truth - middle
        half = np.where(error > 0, high - middle, middle - low)
        return error, SAID * (high - low), np.maximum(half, 1e-300)


@dataclass(frozen=True)
class SeasonalWidths:
    """What the spread of a forecast of each series is multiplied by at each phase of the season.

    The mean absolute error of fit at the phase over the one that quantiles say, in that of all phases: that of all
    series, where dates tell which phase a step is, times what each series has of its own. Both are shrunk to 1 where
    steps are few, and by a power that is most likely by the errors of the tail: what is calm in fit is less so ahead.
    As much of fit lies between the quantiles as before.
    """

    ids: tuple[Any, ...]
    factors: Floats  # (n_series + 1, season_length); the last ones are of any other series

    @classmethod
    def fitted(cls, panel: Panel, fit: Forecasts, tail: Forecasts | None, season_length: int) -> "SeasonalWidths":
        """Learn from forecasts in fit, and of the tail by what lies before it."""
        n, horizon = fit.truth.shape
        error, said, half = fit.errors()
        known = ~np.isnan(error)
        error, said, half = error[known], said[known], half[known]  # (n_steps,) each
        steps = _steps(panel, fit.series, fit.positions, horizon)
        number, times = (np.broadcast_to(x, (n, horizon))[known] for x in steps)
        made = np.minimum(np.abs(error), MOST_ERROR * said)
        own, common = _factors(panel, number, times, made, said, season_length)
        widths = cls(panel.ids, np.maximum(np.vstack((own, common)), LEAST))
        if tail is not None:
            errors, spread, _ = tail.errors()
            found = widths.of(panel, tail.series, tail.positions, horizon)
            power = min(POWERS, key=lambda power: misfit(errors, spread * found**power))
            widths = cls(panel.ids, widths.factors**power)
        place = np.abs(error) / half  # at most 1 between the quantiles
        moved = place / widths.factors[number, times % season_length]
        level = np.quantile(moved, (place <= 1).mean()) if len(place) else 1.0
        return cls(panel.ids, widths.factors * np.clip(level, 1 / MOST_LEVEL, MOST_LEVEL))

    def of(self, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
        """The factors of forecasts from origins, (n, horizon)."""
        numbers = {label: i for i, label in enumerate(self.ids)}
        number = np.array([numbers.get(label, -1) for label in panel.ids], dtype=np.int64)
        series, times = _steps(panel, series, positions, horizon)
        return self.factors[number[series], times % self.factors.shape[1]]


def _steps(panel: Panel, series: Integers, positions: Integers, horizon: int) -> tuple[Integers, Integers]:
    """Series (n, 1) and times (n, horizon) of the steps from origins on."""
    return series[:, None], (panel.first[series] + positions)[:, None] + np.arange(horizon)


def _factors(
    panel: Panel, number: Integers, times: Integers, made: Floats, said: Floats, season_length: int
) -> tuple[Floats, Floats]:
    """What spreads are multiplied by, of each series (n_series, season_length) and of any other (season_length,)."""
    shape = panel.n_series, season_length
    cell = number * season_length + times % season_length

    def summed(x: Floats) -> Floats:
        return np.bincount(cell, x, int(np.prod(shape))).astype(float).reshape(shape)

    is_again = pd.DataFrame({"number": number, "time": times}).duplicated().to_numpy()
    made, said, count = summed(made), summed(said), summed(1.0 - is_again)
    unit = np.maximum(said.sum(1, keepdims=True), 1e-300)
    made, said = made / unit, said / unit  # so that series count alike
    common = np.ones(season_length)
    if tells_phase(panel):
        n_times = np.bincount(np.unique(times) % season_length, minlength=season_length)
        common = _ratio(made.sum(0), said.sum(0), n_times.astype(float))
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
    between = max(float(np.mean(logs[known] ** 2 - chance[known])), 0.0) if known.any() else 0.0
    ratio = np.exp(logs * between / (between + chance))
    mean = (ratio * said).sum(-1, keepdims=True) / np.maximum(said.sum(-1, keepdims=True), 1e-300)
    return ratio / np.where(mean > 0, mean, 1.0)
