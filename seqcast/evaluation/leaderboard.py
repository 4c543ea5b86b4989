"""leaderboard: the models of a backtest, best first."""

import warnings
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from seqcast import metrics
from seqcast.evaluation.result import BacktestResult
from seqcast.panel import Floats, Integers, Panel
from seqcast.times import season_length_of

__all__ = ["leaderboard"]


def leaderboard(
    result: BacktestResult, *, reference: Hashable | None = None, season_length: int | str = "auto"
) -> pd.DataFrame:
    """Rank the models of a backtest.

    Parameters
    ----------
    result : BacktestResult
        From `backtest`.
    reference : hashable, optional
        Name of the model to compare with.
    season_length : int or "auto", default="auto"
        Season of the scale; "auto" takes it from the frequency.

    Returns
    -------
    DataFrame
        One row a model, sorted by MASE: ``MASE, RMSSE, sMAPE`` (percent); with quantiles ``SQL`` and the share of the
        truth between the lowest and the highest, ``coverage_80`` where these are 0.1 and 0.9; with a reference
        ``skill``, 1 - MASE / MASE of the reference; ``fit_seconds, predict_seconds``.

    Raises
    ------
    ValueError
        If `reference` is none of the models.

    Notes
    -----
    Every measure is averaged over the known steps of an origin, then over the origins of a series, then over series, so
    that each series counts the same; the root of RMSSE is taken for each series. Errors are scaled by
    `seqcast.metrics.seasonal_scale` of all values up to the origin. Where that is 0 or unknown (the series was
    constant), the forecast is left out of the scaled measures, with a warning.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.dummy import DummyRegressor
    >>> from seqcast.evaluation import RollingOriginSplit, backtest
    >>> y = pd.Series([1.0, 3.0, 1.0, 3.0, 2.0], index=pd.date_range("2024-01-01", periods=5), name="a")
    >>> models = {"mean": DummyRegressor(), "median": DummyRegressor(strategy="median")}
    >>> result = backtest(models, y, y.to_frame("x"), cv=RollingOriginSplit(1, n_origins=1))
    >>> leaderboard(result, reference="median").loc["mean", "MASE"].item()
    0.0
    """
    models, levels = result.models, result.quantiles
    if reference is not None and reference not in models:
        raise ValueError(f"reference={reference!r} is none of the models with forecasts: {models}.")
    cells = _Cells(result)
    season = season_length_of(result.history.axis.freq) if season_length == "auto" else int(season_length)
    scale, root_scale = _scales(result.history, cells.origins, season)  # (n_series, n_origins) each
    _warn_of_no_scale(cells, scale)
    rows = [_measures(cells, k, levels, scale, root_scale) for k in range(len(models))]
    board = pd.DataFrame(rows, index=pd.Index(models, name="model", tupleize_cols=False))
    if reference is not None:
        board["skill"] = 1 - board["MASE"] / board["MASE"][reference]
    return board.join(result.seconds.add_suffix("_seconds")).sort_values("MASE", kind="stable")


def _measures(cells: "_Cells", model: int, levels: list[float], scale: Floats, root_scale: Floats) -> dict[str, float]:
    actual, forecast = cells.actual, cells.cube("forecast", model)  # (n_series, n_origins, n_steps)
    mase = metrics.mase(actual, forecast, scale=scale, axis=-1)  # (n_series, n_origins)
    rmsse = metrics.rmsse(actual, forecast, scale=root_scale, axis=-1)
    row = {
        "MASE": cells.average(mase, scale > 0),
        "RMSSE": cells.average(rmsse, scale > 0, root=True),
        "sMAPE": cells.average(metrics.smape(actual, forecast, axis=-1)),
    }
    if levels:
        spread = np.stack([cells.cube(level, model) for level in levels], axis=-1)
        loss = metrics.scaled_quantile_loss(actual, spread, quantiles=levels, scale=scale, axis=-1)
        row["SQL"] = cells.average(loss, scale > 0)
    if len(levels) > 1:
        inside = metrics.coverage(actual, lower=spread[..., 0], upper=spread[..., -1], axis=-1)
        row[f"coverage_{100 * (levels[-1] - levels[0]):.4g}"] = cells.average(inside)
    return row


class _Cells:
    """The rows of a result as dense arrays (n_series, n_origins, n_steps), NaN where there is no row."""

    def __init__(self, result: BacktestResult) -> None:
        self.frame = result.forecasts
        self.n_rows = len(self.frame) // len(result.models)  # of each model, in the same order
        rows = self.frame.iloc[: self.n_rows]
        origin, times = pd.factorize(rows["origin"], sort=True)
        steps, step = np.unique(rows["step"], return_inverse=True)
        self.where = rows["series"].cat.codes.to_numpy(), origin, step
        self.shape = len(rows["series"].cat.categories), len(times), len(steps)
        self.origins = result.history.axis.positions(pd.Index(times))
        self.actual = self.cube("actual", 0)
        self.is_known = ~np.isnan(self.actual).all(axis=-1)  # (n_series, n_origins)

    def cube(self, column: Hashable, model: int) -> Floats:
        """A column of one model."""
        out = np.full(self.shape, np.nan)
        out[self.where] = self.frame[column].to_numpy()[model * self.n_rows : (model + 1) * self.n_rows]
        return out

    def average(self, values: Any, is_scored: Any = True, *, root: bool = False) -> float:
        """Mean over the origins of each series, then over the series, of the cells with truth (and a scale)."""
        scored = self.is_known & is_scored
        count = scored.sum(axis=1)
        total = np.where(scored, values**2 if root else values, 0.0).sum(axis=1)[count > 0]
        means = total / count[count > 0]
        return float(np.mean(np.sqrt(means) if root else means)) if len(means) else np.nan


def _scales(history: Panel, origins: Integers, season_length: int) -> tuple[Floats, Floats]:
    """`metrics.seasonal_scale` of the values up to each origin, absolute and squared, (n_series, n_origins)."""
    out = np.full((2, history.n_series, len(origins)), np.nan)
    for i in range(history.n_series):
        values = history.values[history.series(i)]
        stops = np.clip(origins + 1 - history.first[i], 0, len(values))
        for lag in (season_length, 1):
            count, total, squares = _running_sums(values, lag)[:, stops]  # (n_origins,) each
            use = np.isnan(out[0, i]) & (count > 0)
            out[:, i, use] = total[use] / count[use], np.sqrt(squares[use] / count[use])
    return out[0], out[1]


def _running_sums(values: Floats, lag: int) -> Floats:
    """Number, sum and sum of squares of the known steps |y[t] - y[t - lag]| before each t, (3, n_steps + 1)."""
    step = np.full(len(values) + 1, np.nan)
    step[lag + 1 :] = np.abs(values[lag:] - values[:-lag])
    known = ~np.isnan(step)
    step[~known] = 0.0
    return np.cumsum([known, step, step**2], axis=1)


def _warn_of_no_scale(cells: _Cells, scale: Floats) -> None:
    missing = np.flatnonzero((cells.is_known & ~(scale > 0)).any(axis=1))
    if len(missing):
        labels = cells.frame["series"].cat.categories[missing]
        warnings.warn(
            f"{len(labels)} of {cells.shape[0]} series are constant, or have one value, up to an origin, and left out "
            f"of the scaled measures there: {', '.join(map(repr, labels[:5]))}{' ...' if len(labels) > 5 else ''}.",
            UserWarning,
            stacklevel=3,
        )
