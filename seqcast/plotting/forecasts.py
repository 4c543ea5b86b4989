"""Pictures of forecasts and backtests."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from seqcast.evaluation.result import BacktestResult
from seqcast.plotting._axes import COLORS, SOFT, TRUTH, dots, finish_time_axes, new_axes, plain_times, style
from seqcast.plotting._series import draw_actual, draw_history, first_label, one_series, pairs_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_backtest", "plot_forecast"]


def plot_forecast(
    history: Any,
    forecast: Any,
    *,
    actual: Any = None,
    series: Hashable | None = None,
    n_history: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a forecast, with its intervals as bands, behind the recent history.

    Parameters
    ----------
    history : Series or DataFrame
        Series, wide frame or (series, time) panel.
    forecast : Series or DataFrame
        As `forecast` of a forecaster gives it: points, quantiles, or the columns lower, forecast, upper.
    actual : Series or DataFrame, optional
        What came true, of the same kind as `history`.
    series : hashable, optional
        Which of several series to draw; by default the first of the forecast.
    n_history : int, optional
        Steps of history to show; by default four times those of the forecast.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import pandas as pd
    >>> days = pd.date_range("2024-01-01", periods=5)
    >>> y = pd.Series([1.0, 2.0, 1.0, 2.0, 1.0], index=days)
    >>> plot_forecast(y[:3], y[3:]).get_legend_handles_labels()[1]
    ['history', 'forecast']
    """
    ax = ax if ax is not None else new_axes()
    label = series if series is not None else first_label(forecast)
    forecast = one_series(forecast, label)
    past = draw_history(ax, history, label, n_history or max(4 * len(forecast), 20))
    _draw_bands(ax, forecast, COLORS[0])
    line = _central(forecast)
    ax.plot(plain_times(line.index), line, color=COLORS[0], lw=1.8, label="forecast", **dots(line))
    draw_actual(ax, actual, label, forecast.index)
    finish_time_axes(ax, past.index, label if label is not None else past.name)
    return ax


def plot_backtest(
    result: BacktestResult,
    *,
    series: Hashable | None = None,
    models: Sequence[Hashable] | None = None,
    n_origins: int = 8,
    ax: Axes | None = None,
) -> Axes:
    """Draw the forecasts of a backtest over the truth.

    Parameters
    ----------
    result : BacktestResult
        From `backtest`.
    series : hashable, optional
        Which of several series to draw; by default the first.
    models : sequence, optional
        Names of the models to draw; by default all. The outer quantiles are drawn as bands if there is one model.
    n_origins : int, default=8
        Latest origins to show, at most. Of overlapping ones, those are left out that would hide each other.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If `series` or a name in `models` is not in the result.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.dummy import DummyRegressor
    >>> from seqcast.evaluation import RollingOriginSplit, backtest
    >>> y = pd.Series([1.0, 3.0, 1.0, 3.0, 2.0], index=pd.date_range("2024-01-01", periods=5), name="a")
    >>> result = backtest({"mean": DummyRegressor()}, y, y.to_frame("x"), cv=RollingOriginSplit(1, n_origins=2))
    >>> plot_backtest(result).get_legend_handles_labels()[1]
    ['actual', 'mean']
    """
    ax = ax if ax is not None else new_axes()
    labels = result.forecasts["series"].cat.categories.tolist()
    names = result.models if models is None else list(models)
    label = series if series is not None else labels[0]
    if label not in labels or not set(names) <= set(result.models):
        raise ValueError(f"{label!r} or {names} not in the result: it has series {labels} and models {result.models}.")
    rows = _apart(result.forecasts[result.forecasts["series"] == label], n_origins)
    truth = _past_of(result, labels.index(label), rows)
    ax.plot(plain_times(truth.index), truth, color=TRUTH, lw=1.3, label="actual")
    for k, name in enumerate(names):
        levels = result.quantiles if len(names) == 1 else []
        _draw_blocks(ax, rows[rows["model"] == name], str(name), style(k), levels)
    for origin in plain_times(pd.Index(rows["origin"].unique())):
        ax.axvline(origin, color=SOFT, lw=0.5, alpha=0.6, zorder=0)
    finish_time_axes(ax, truth.index, label)
    return ax


def _draw_blocks(ax: Axes, rows: pd.DataFrame, name: str, look: dict[str, Any], levels: list[float]) -> None:
    """The forecasts of one model, a line for each origin."""
    for k, (_, block) in enumerate(rows.groupby("origin")):
        times, label = plain_times(pd.Index(block["time"])), "_" if k else name
        ax.plot(times, block["forecast"], lw=1.6, label=label, **look, **dots(block))
        if len(levels) > 1:
            _draw_bands(ax, block.set_index("time")[levels], look["color"], named=k == 0)


def _draw_bands(ax: Axes, forecast: Any, color: str, *, named: bool = True) -> None:
    """Shade each pair of quantiles that lie on both sides of the middle, outer ones first."""
    times, pairs = plain_times(forecast.index), pairs_of(forecast)
    for k, (low, high, name) in enumerate(pairs):
        alpha, label = 0.16 + 0.14 * k / max(len(pairs) - 1, 1), name if named else "_"
        ax.fill_between(times, forecast[low], forecast[high], color=color, alpha=alpha, lw=0, label=label)


def _central(forecast: Any) -> pd.Series:
    """The line to draw: the points, the column forecast, or the quantile nearest to the median."""
    if not isinstance(forecast, pd.DataFrame):
        return forecast
    if "forecast" in forecast:
        return forecast["forecast"]
    return forecast[min(forecast.columns, key=lambda level: abs(level - 0.5))]


def _apart(rows: pd.DataFrame, n_origins: int) -> pd.DataFrame:
    """The rows of the latest origins whose forecasts do not overlap."""
    spans = rows.groupby("origin")["time"].agg(["min", "max"])
    kept: list[Any] = []
    for origin in spans.index[::-1]:
        if len(kept) < n_origins and (not kept or spans["max"][origin] < spans["min"][kept[-1]]):
            kept.append(origin)
    return rows[rows["origin"].isin(kept)]


def _past_of(result: BacktestResult, number: int, rows: pd.DataFrame) -> pd.Series:
    """The truth from a while before the first origin shown to the last time forecast."""
    history = result.history
    values = history.values[history.series(number)]
    positions = np.arange(len(values)) + history.first[number]
    first, last = history.axis.positions(pd.Index([rows["origin"].min(), rows["time"].max()]))
    shown = (positions > first - (last - first) // 4) & (positions <= last)
    return pd.Series(values[shown], index=history.axis.index(positions[shown]))
