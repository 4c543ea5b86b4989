"""Whether series return to their line, and what leads a path that is written on step by step back to it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from seqcast.panel import Floats, Integers, Panel
from seqcast.rolling import by_origin, error_origins, errors_at, scales

__all__ = ["Reversion", "Usual", "may_wander"]

N_ERRORS, N_ORIGINS = 20_000, (50, 2000)  # forecasts whose errors are looked at; origins
FEWEST_ORIGINS = 30
N_SERIES, N_LAGS = 200, 4  # at most, that are tested; steps before that their steps are regressed on
UNIT_ROOT = -3.96  # t of one series below which it returns to its line: Dickey and Fuller's with a trend, 1 %


class Usual(NamedTuple):
    """Where series (n,) are at home: the end of the line through their last values, and their range."""

    level: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, history: Panel, series: Integers) -> "Usual":
        """Measure the history of each series."""
        pieces = (history.values[history.series(i)] for i in range(history.n_series))
        known = (piece[np.flatnonzero(~np.isnan(piece))[0] :] for piece in pieces)
        found = [(_line(piece[-N_ORIGINS[1] :])[-1], np.nanmin(piece), np.nanmax(piece)) for piece in known]
        return cls(*np.array(found)[series].T)


@dataclass(frozen=True)
class Reversion:
    """A regression of the errors on the level before them: the mean of the last rows, less the line of the series.

    A forecast in units of its own window moves as the window does, so a path that goes on from its own values has a
    unit root, whatever the series does. Where the errors of the first step fall with the level, by the test of Dickey
    and Fuller [1]_, this error correction is added to the forecasts of the path; the line does not go on, and the
    correction never leads out of the range of the series.

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
        """Learn from past forecasts of `length` steps from full windows; None if the series may have a unit root.

        The level is that of the last value, season or window, whichever says most. A pooled t falls with the root of
        the number of series, whether they hang together or each has a line of its own: it is divided by it.
        """
        reach, panel = forecaster._reach, forecaster.panel_
        if reach is None:  # what reads all of the past is left as it is
            return None
        series, positions = error_origins(panel, length, int(np.clip(N_ERRORS // panel.n_series, *N_ORIGINS)))
        is_full = positions >= reach
        if is_full.sum() < FEWEST_ORIGINS * len(np.unique(series)):
            return None
        series, positions = series[is_full], positions[is_full]
        unit = scales(forecaster, panel)[series, None]
        errors = errors_at(forecaster, panel, series, positions, length) / unit
        found = []
        for n_rows in {1, min(forecaster.season_length_, reach), reach}:
            level = _level(panel, series, positions, n_rows)[:, None] / unit
            both = by_origin(panel, series, positions, np.hstack((level, errors)))
            found.append((n_rows, *_regressed(both - _line(both))))
        n_rows, t, slopes, shares = min(found, key=lambda one: one[1])
        return cls(n_rows, slopes, shares) if t < UNIT_ROOT else None

    def apply(self, quantiles: Floats, panel: Panel, positions: Integers, usual: Usual) -> Floats:
        """Lead quantiles (n_series, length, n_levels) from an origin in every series of a panel back."""
        level = _level(panel, np.arange(panel.n_series), positions, self.n_rows)
        shift = np.nan_to_num(level - usual.level)[:, None, None] * self.slopes[:, None]
        middle = quantiles[..., quantiles.shape[-1] // 2, None]
        moved = middle + shift + self.shares[:, None] * (quantiles - middle)
        low, high = usual.low[:, None, None], usual.high[:, None, None]
        return np.clip(moved, np.minimum(quantiles, low), np.maximum(quantiles, high))


def may_wander(values: Floats, indptr: Integers) -> bool:
    """Whether the usual series, i at ``indptr[i]:indptr[i + 1]``, may have a unit root; gaps are closed."""
    chosen = np.unique(np.linspace(0, len(indptr) - 2, N_SERIES).astype(np.int64))
    pieces = (values[indptr[i] : indptr[i + 1]] for i in chosen)
    found = [_dickey_fuller(piece[~np.isnan(piece)][-N_ORIGINS[1] :]) for piece in pieces]
    return bool(np.median(found) >= UNIT_ROOT)


def _dickey_fuller(x: Floats) -> float:
    """The augmented test's t, with a trend and lagged steps: without these, outliers and noise look like a return."""
    steps = np.diff(x)
    rows = np.arange(N_LAGS, len(steps))
    lags = [steps[rows - k] for k in range(1, N_LAGS + 1)]
    design = np.column_stack((x[rows], np.ones(len(rows)), rows, *lags))  # (n, 3 + N_LAGS)
    freedom = len(rows) - design.shape[1]
    if freedom < 2 * design.shape[1]:
        return 0.0
    orthogonal, triangle = np.linalg.qr(design[:, ::-1])  # the level last: what of it is its own is on the diagonal
    rest = steps[rows] - orthogonal @ (orthogonal.T @ steps[rows])
    own = orthogonal[:, -1] @ steps[rows] * np.sign(triangle[-1, -1])
    return float(own / np.sqrt(max(rest @ rest / freedom, 1e-300)))


def _regressed(both: Floats) -> tuple[float, Floats, Floats]:
    """Of level and errors (n_origins, n_series, 1 + length) without their lines: t, slopes, shares that are left."""
    known = ~np.isnan(both[..., :1]) & ~np.isnan(both[..., 1:])
    x, e = np.where(known, both[..., :1], 0.0), np.where(known, both[..., 1:], 0.0)
    squares = np.maximum((x**2).sum((0, 1)), 1e-300)
    slopes = (e * x).sum((0, 1)) / squares
    rest = np.maximum(((e - slopes * x) ** 2).sum((0, 1)), 1e-300)
    n_series = max(known[..., 0].any(0).sum(), 1)
    freedom = max(known[..., 0].sum() / n_series - 3, 0)  # of one series: a line and a slope
    t = slopes[0] * np.sqrt(squares[0] / rest[0] * freedom)
    return float(t), slopes, np.sqrt(rest / np.maximum((e**2).sum((0, 1)), rest))


def _line(x: Floats) -> Floats:
    """The straight line through the known values of each column over the rows, of the shape of x (n_rows, ...)."""
    known = ~np.isnan(x)
    count = np.maximum(known.sum(0), 1)
    time = np.broadcast_to(np.arange(len(x)).reshape(-1, *[1] * (x.ndim - 1)), x.shape)
    mean, middle = np.where(known, x, 0.0).sum(0) / count, np.where(known, time, 0).sum(0) / count
    since = np.where(known, time - middle, 0.0)
    slope = (since * np.where(known, x - mean, 0.0)).sum(0) / np.maximum((since**2).sum(0), 1e-300)
    return mean + slope * (time - middle)


def _level(panel: Panel, series: Integers, positions: Integers, n_rows: int) -> Floats:
    """Mean of the known values of the last rows before each origin, (n,); NaN if there are none."""
    values = panel.values_at(series, positions - n_rows, n_rows)
    known = ~np.isnan(values)
    count = known.sum(1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(1) / np.maximum(count, 1), np.nan)
