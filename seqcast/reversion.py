"""Reversion: what leads a path that is written on step by step back to the mean of its series."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from seqcast.panel import Floats, Integers, Panel
from seqcast.rolling import by_origin, error_origins, errors_at, scales

__all__ = ["Reversion", "Usual"]

N_ERRORS, N_ORIGINS = 20_000, (50, 2000)  # forecasts whose errors are looked at; origins
UNIT_ROOT = -3.43  # t of one series below which it returns to its mean: Dickey and Fuller's, 1 %


class Usual(NamedTuple):
    """Mean and range of the known values of series, (n,) each."""

    mean: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, history: Panel, series: Integers) -> "Usual":
        """Measure the history of each series."""
        pieces = [history.values[history.series(i)] for i in range(history.n_series)]
        known = [piece[~np.isnan(piece)] for piece in pieces]
        return cls(*np.array([(piece.mean(), piece.min(), piece.max()) for piece in known])[series].T)


@dataclass(frozen=True)
class Reversion:
    """A regression of the errors on the level before them: the mean of the last rows, less that of the series.

    A forecast in units of its own window moves as the window does, so a path that goes on from its own values has a
    unit root, whatever the series does. Where the errors of the first step fall with the level, by the test of Dickey
    and Fuller [1]_, this error correction is added to the forecasts of the path. It never leads out of the range of
    the series.

    References
    ----------
    .. [1] Dickey, D. A. and Fuller, W. A. (1979). Distribution of the estimators for autoregressive time series with a
       unit root. Journal of the American Statistical Association, 74(366), 427-431.
    """

    n_rows: int
    slopes: Floats  # (length,): of the error to the level
    shares: Floats  # (length,): of the error's standard deviation that is left

    @classmethod
    def fitted(cls, forecaster: Any, length: int) -> "Reversion | None":
        """Learn from past forecasts of `length` steps; None if the series may have a unit root.

        The level is that of the last value, season or window, whichever says most. A pooled t falls with the root of
        the number of series, whether they hang together or each has a mean of its own: it is divided by it.
        """
        if forecaster._reach is None:  # forecasts from all of the past know its mean
            return None
        panel = forecaster.panel_
        series, positions = error_origins(panel, length, int(np.clip(N_ERRORS // panel.n_series, *N_ORIGINS)))
        unit = scales(forecaster, panel)[series, None]
        errors = errors_at(forecaster, panel, series, positions, length) / unit
        found = []
        for n_rows in {1, forecaster.season_length_, forecaster._reach}:
            level = _level(panel, series, positions, n_rows)[:, None] / unit
            both = _centered(by_origin(panel, series, positions, np.hstack((level, errors))))
            x, e = both[..., :1], both[..., 1:]
            known = ~np.isnan(e) & ~np.isnan(x)  # (n_origins, n_series, length)
            e, x = np.where(known, e, 0.0), np.where(known, x, 0.0)
            squares = np.maximum((x**2).sum((0, 1)), 1e-300)
            slopes = (e * x).sum((0, 1)) / squares
            rest = np.maximum(((e - slopes * x) ** 2).sum((0, 1)), 1e-300)
            t = slopes[0] * np.sqrt(squares[0] / rest[0] * known[..., 0].sum() / panel.n_series)
            found.append((t, cls(n_rows, slopes, np.sqrt(rest / np.maximum((e**2).sum((0, 1)), rest)))))
        t, reversion = min(found, key=lambda pair: pair[0])
        return reversion if t < UNIT_ROOT else None

    def apply(self, quantiles: Floats, panel: Panel, positions: Integers, usual: Usual) -> Floats:
        """Lead quantiles (n_series, length, n_levels) from an origin in every series of a panel back."""
        level = _level(panel, np.arange(panel.n_series), positions, self.n_rows)
        shift = np.nan_to_num(level - usual.mean)[:, None, None] * self.slopes[:, None]
        middle = quantiles[..., quantiles.shape[-1] // 2, None]
        moved = middle + shift + self.shares[:, None] * (quantiles - middle)
        low, high = usual.low[:, None, None], usual.high[:, None, None]
        return np.clip(moved, np.minimum(quantiles, low), np.maximum(quantiles, high))


def _centered(x: Floats) -> Floats:
    """Less the mean of each series (n_origins, n_series, ...)."""
    known = ~np.isnan(x)
    return x - np.where(known, x, 0.0).sum(0) / np.maximum(known.sum(0), 1)


def _level(panel: Panel, series: Integers, positions: Integers, n_rows: int) -> Floats:
    """Mean of the known values of the last rows before each origin, (n,); NaN if there are none."""
    values = panel.values_at(series, positions - n_rows, n_rows)
    known = ~np.isnan(values)
    count = known.sum(1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(1) / np.maximum(count, 1), np.nan)
