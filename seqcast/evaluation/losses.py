"""scaled_errors: the losses of a backtest by origin or step, every series counting the same."""

import warnings
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from seqcast import metrics
from seqcast.evaluation.result import BacktestResult
from seqcast.panel import Floats, Integers, Panel
from seqcast.times import season_length_of

__all__ = ["Cells", "overlap", "scaled_errors", "scales_at_origins"]


def scaled_errors(result: BacktestResult, *, by: str = "origin", season_length: int | str = "auto") -> pd.DataFrame:
    """Mean absolute scaled errors of the models of a backtest, by origin or by step.

    Parameters
    ----------
    result : BacktestResult
        From `backtest`.
    by : {"origin", "step"}, default="origin"
        What a row is.
    season_length : int or "auto", default="auto"
        Season of the scale; "auto" takes it from the frequency.

    Returns
    -------
    DataFrame
        One row an origin (its time) or step ahead, one column a model.

    Raises
    ------
    ValueError
        If `by` is something else.

    Notes
    -----
    Each series counts the same, also where its origins are fewer: with c of its n origins scored, a series enters the
    row of an origin with ``MASE + n / c (MASE at the origin - MASE)``, and with its MASE where it is not scored. So
    the mean of the rows by origin is the MASE of `leaderboard`. Origins at which no series is scored have no row.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.dummy import DummyRegressor
    >>> from seqcast.evaluation import RollingOriginSplit, backtest
    >>> y = pd.Series([1.0, 3.0, 1.0, 3.0, 2.0], index=pd.date_range("2024-01-01", periods=5), name="a")
    >>> result = backtest({"mean": DummyRegressor()}, y, y.to_frame("x"), cv=RollingOriginSplit(1, n_origins=2))
    >>> scaled_errors(result)["mean"].round(2).tolist()
    [0.67, 0.17]
    """
    if by not in ("origin", "step"):
        raise ValueError(f"by must be 'origin' or 'step', got {by!r}.")
    cells = Cells(result, season_length)
    if by == "step":
        return pd.DataFrame(
            {name: cells.by_step(k) for k, name in enumerate(result.models)}, index=pd.Index(cells.steps, name="step")
        )
    rows = {name: cells.by_origin(cells.mase(k)) for k, name in enumerate(result.models)}
    return pd.DataFrame(rows, index=cells.times.rename("origin"))[cells.is_scored.any(axis=0)]


def overlap(result: BacktestResult) -> int:
    """Count the neighbouring origins whose forecasts reach into the same steps: the horizon of the tests.

    Parameters
    ----------
    result : BacktestResult
        From `backtest`.

    Returns
    -------
    int
        The most origins that lie within the steps ahead of one of them.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.dummy import DummyRegressor
    >>> from seqcast.evaluation import RollingOriginSplit, backtest
    >>> y = pd.Series(range(30), index=pd.date_range("2024-01-01", periods=30), dtype=float)
    >>> cv = RollingOriginSplit(4, n_origins=5, step=2)
    >>> overlap(backtest(DummyRegressor(), y, y.to_frame("x"), cv=cv))
    2
    """
    origins = result.history.axis.positions(pd.Index(result.forecasts["origin"].unique()).sort_values())
    return _most_within(origins, int(result.forecasts["step"].max()))


class Cells:
    """The rows of a result as dense arrays (n_series, n_origins, n_steps), NaN where there is no row."""

    def __init__(self, result: BacktestResult, season_length: int | str) -> None:
        self.frame = result.forecasts
        self.n_rows = len(self.frame) // len(result.models)  # of each model, in the same order
        rows = self.frame.iloc[: self.n_rows]
        origin, times = pd.factorize(rows["origin"], sort=True)
        self.times = pd.Index(times)
        self.steps, step = np.unique(rows["step"], return_inverse=True)
        self.where = rows["series"].cat.codes.to_numpy(), origin, step
        self.shape = len(rows["series"].cat.categories), len(times), len(self.steps)
        self.actual = self.cube("actual", 0)
        self.is_known = ~np.isnan(self.actual).all(axis=-1)  # (n_series, n_origins)
        axis = result.history.axis
        season = season_length_of(axis.freq) if season_length == "auto" else int(season_length)
        origins = axis.positions(self.times)
        self.overlap = _most_within(origins, int(self.steps[-1]))
        self.scale, self.root_scale = scales_at_origins(result.history, origins, season)
        self.is_scored = self.is_known & (self.scale > 0)
        self._warn_of_no_scale()

    def cube(self, column: Hashable, model: int) -> Floats:
        """A column of one model."""
        out = np.full(self.shape, np.nan)
        out[self.where] = self.frame[column].to_numpy()[model * self.n_rows : (model + 1) * self.n_rows]
        return out

    def mase(self, model: int) -> Any:
        """Scaled error of one model, (n_series, n_origins)."""
        return metrics.mase(self.actual, self.cube("forecast", model), scale=self.scale, axis=-1)

    def average(self, values: Any, is_scored: Any = True, *, root: bool = False) -> float:
        """Mean over the origins of each series, then over the series, of the cells with truth (and a scale)."""
        scored = self.is_known & is_scored
        count = scored.sum(axis=1)
        total = np.where(scored, values**2 if root else values, 0.0).sum(axis=1)[count > 0]
        means = total / count[count > 0]
        return float(np.mean(np.sqrt(means) if root else means)) if len(means) else np.nan

    def by_origin(self, values: Floats) -> Floats:
        """Scored values (n_series, n_origins) as one value an origin, whose mean is `average`."""
        has_any = self.is_scored.any(axis=1)
        if not has_any.any():
            return np.full(self.shape[1], np.nan)
        scored = self.is_scored[has_any]
        values = np.where(scored, values[has_any], 0.0)
        count = scored.sum(axis=1, keepdims=True)
        means = values.sum(axis=1, keepdims=True) / count  # (n_series, 1)
        excess = np.where(scored, values - means, 0.0) / count * scored.any(axis=0).sum()
        return (means + excess).mean(axis=0)

    def by_step(self, model: int) -> Floats:
        """Scaled error of one model at each step, averaged as `average` does."""
        error = np.abs(self.actual - self.cube("forecast", model))
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = error / self.scale[..., None]
        known = ~np.isnan(self.actual) & self.is_scored[..., None]
        count = known.sum(axis=1)  # (n_series, n_steps)
        totals = np.where(known, scaled, 0.0).sum(axis=1)
        n_series = (count > 0).sum(axis=0)
        means = (totals / np.maximum(count, 1)).sum(axis=0)
        return np.where(n_series > 0, means / np.maximum(n_series, 1), np.nan)

    def _warn_of_no_scale(self) -> None:
        missing = np.flatnonzero((self.is_known & ~(self.scale > 0)).any(axis=1))
        if len(missing):
            labels = self.frame["series"].cat.categories[missing]
            warnings.warn(
                f"{len(labels)} of {self.shape[0]} series are constant, or have one value, up to an origin, and left "
                f"out of the scaled measures there: {', '.join(map(repr, labels[:5]))}"
                f"{' ...' if len(labels) > 5 else ''}.",
                UserWarning,
                stacklevel=4,
            )


def _most_within(origins: Integers, horizon: int) -> int:
    """The most sorted origins that lie less than the horizon after one of them, itself included."""
    return int((np.searchsorted(origins, origins + horizon) - np.arange(len(origins))).max())


def scales_at_origins(history: Panel, origins: Integers, season_length: int) -> tuple[Floats, Floats]:
    """`metrics.seasonal_scale` of the values up to each origin, absolute and squared, (n_series, n_origins)."""
    out = np.full((2, history.n_series, len(origins)), np.nan)
    for i in range(history.n_series):
        values = history.values[history.series(i)]
        stops = np.clip(origins + 1 - history.first[i], 0, len(values))
        for lag in (season_length, 1):
            count, total, squares = _running_sums(values, lag)[:, stops]  # (n_origins,) each
            use = np.isnan(out[0, i]) & (count > 0)
            out[:, i, use] = total[use] / count[use], np.sqrt(squares[use] / count[use])
            if use.all():
                break
    return out[0], out[1]


def _running_sums(values: Floats, lag: int) -> Floats:
    """Number, sum and sum of squares of the known steps |y[t] - y[t - lag]| before each t, (3, n_steps + 1)."""
    step = np.full(len(values) + 1, np.nan)
    step[lag + 1 :] = np.abs(values[lag:] - values[:-lag])
    known = ~np.isnan(step)
    step[~known] = 0.0
    return np.cumsum([known, step, step**2], axis=1)
