"""Pictures of uncertainty: fan charts, paths, calibration of quantiles, PIT histograms."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from seqcast._parameters import check_count
from seqcast.evaluation.losses import overlap
from seqcast.evaluation.result import BacktestResult
from seqcast.metrics import pit_quantiles
from seqcast.metrics.calibration import effective_size
from seqcast.plotting._axes import COLORS, SOFT, TRUTH, dots, finish, finish_time_axes, new_axes, plain_times, style
from seqcast.plotting._series import (
    check_pandas,
    draw_actual,
    draw_history,
    first_label,
    is_spread,
    one_series,
    pairs_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_calibration", "plot_fan", "plot_paths", "plot_pit"]


def plot_fan(
    history: Any,
    forecast: Any,
    *,
    actual: Any = None,
    series: Hashable | None = None,
    n_history: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw forecast quantiles as a fan: the nearer to the median, the darker.

    Parameters
    ----------
    history, actual, series, ax
        As in `plot_forecast`.
    forecast : DataFrame
        Quantiles, as ``forecast(quantiles=...)`` gives them; best ten levels or more.
    n_history : int, optional
        Steps of history to show; by default three times those of the forecast.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the forecast has fewer than two quantiles, or not the series.

    Examples
    --------
    >>> import pandas as pd
    >>> days = pd.date_range("2024-01-01", periods=5)
    >>> y = pd.Series([1.0, 2.0, 1.0, 2.0, 1.0], index=days)
    >>> ax = plot_fan(y[:3], pd.DataFrame({0.1: y[3:] - 1, 0.5: y[3:], 0.9: y[3:] + 1}))
    >>> ax.get_legend_handles_labels()[1]
    ['history', '80 % interval', 'median']
    """
    label = series if series is not None else first_label(forecast)
    fan = one_series(forecast, label)
    if not isinstance(fan, pd.DataFrame) or "lower" in fan or not is_spread(fan.columns) or fan.shape[1] < 2:
        raise ValueError("plot_fan needs two quantiles or more: forecast(quantiles=[0.05, 0.1, ..., 0.95]).")
    ax = ax if ax is not None else new_axes()
    past = draw_history(ax, history, label, n_history or max(3 * len(fan), 20))
    times, pairs = plain_times(fan.index), pairs_of(fan)
    named = {0, len(pairs) // 2}
    for k, (low, high, name) in enumerate(pairs):
        color = _tint(COLORS[0], 0.16 + 0.4 * k / max(len(pairs) - 1, 2))
        ax.fill_between(times, fan[low], fan[high], color=color, lw=0, label=name if k in named else "_")
    if 0.5 in fan:
        ax.plot(times, fan[0.5], color=COLORS[0], lw=1.8, label="median", **dots(fan))
    draw_actual(ax, actual, label, fan.index)
    finish_time_axes(ax, past.index, label if label is not None else past.name)
    return ax


def plot_paths(
    history: Any,
    paths: pd.DataFrame,
    *,
    actual: Any = None,
    series: Hashable | None = None,
    n_paths: int = 12,
    interval: float = 0.8,
    n_history: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw scenarios: some paths as thin lines, the median and the central interval of all.

    Parameters
    ----------
    history, actual, series, n_history, ax
        As in `plot_fan`.
    paths : DataFrame
        As ``sample`` gives them: a column for each path; for a wide frame, columns (series, path).
    n_paths : int, default=12
        Paths drawn as lines, the first ones.
    interval : float, default=0.8
        Share of the paths in the band, step by step; a whole path stays inside less often.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If `series` is not among the paths, `interval` not between 0 and 1, or `paths` are none.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> days = pd.date_range("2024-01-01", periods=8)
    >>> y = pd.Series(np.arange(8.0), index=days)
    >>> paths = pd.DataFrame(np.random.default_rng(0).normal(size=(3, 50)), index=days[5:])
    >>> plot_paths(y[:5], paths).get_legend_handles_labels()[1]
    ['history', '80 % of the paths', '12 of 50 paths', 'median']
    """
    if not 0 < interval < 1:
        raise ValueError(f"interval must lie between 0 and 1, got {interval!r}.")
    check_count("n_paths", n_paths)
    check_pandas(paths)
    if not isinstance(paths, pd.DataFrame) or is_spread(paths.columns):
        raise ValueError("plot_paths needs paths: sample(n_paths).")
    is_one = paths.index.nlevels == paths.columns.nlevels == 1
    label = None if is_one else series if series is not None else first_label(paths)
    shown = paths if is_one else one_series(paths, label)
    label = label if label is not None else series  # of one series, for the history
    ax = ax if ax is not None else new_axes()
    past = draw_history(ax, history, label, n_history or max(3 * len(shown), 20))
    times = plain_times(shown.index)
    low, middle, high = np.quantile(shown.to_numpy(), [0.5 - interval / 2, 0.5, 0.5 + interval / 2], axis=1)
    name = f"{100 * interval:.4g} % of the paths"
    ax.fill_between(times, low, high, color=_tint(COLORS[0], 0.22), lw=0, label=name)
    lines = ax.plot(times, shown.iloc[:, :n_paths], color=COLORS[5], lw=0.9, label="_", **dots(shown))
    for drawn in lines[:1]:
        drawn.set_label(f"{len(lines)} of {shown.shape[1]} paths")
    ax.plot(times, middle, color=COLORS[0], lw=1.8, label="median", **dots(shown))
    draw_actual(ax, actual, label, shown.index)
    finish_time_axes(ax, past.index, label if label is not None else past.name)
    return ax


def _tint(color: str, share: float) -> tuple[float, ...]:
    """A colour on white, opaque: bands that overlap don't darken each other."""
    from matplotlib.colors import to_rgb

    return tuple(1 - share * (1 - part) for part in to_rgb(color))


def plot_calibration(
    result: BacktestResult,
    *,
    models: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """Draw how often the truth was below each forecast quantile: on the diagonal if the quantiles are right.

    Parameters
    ----------
    result : BacktestResult
        From ``backtest(..., quantiles=...)``; to compare before and after calibration, of both as two models.
    models : sequence, optional
        Names of the models to draw; by default all that give quantiles.
    confidence : float, default=0.95
        Share of right models whose curve lies within their band, level by level.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If there are no quantiles, or a model lacks some where the truth is known.

    Notes
    -----
    The band [1]_, one for each model, is ``q ± z sqrt(q (1 - q) / n)``. All forecasts from one origin, and from origins
    whose horizons overlap, count as one block of dependent values, from which n, the number of independent values that
    would be as uncertain, follows as in `seqcast.metrics.coverage_interval`, pooled over the levels. Without two blocks
    there is no band. A value equal to a quantile counts as below it, so right quantiles of counts lie above the
    diagonal: `plot_pit` draws such values at random.

    References
    ----------
    .. [1] Bröcker, Smith (2007), "Increasing the Reliability of Reliability Diagrams", Weather and Forecasting 22(3).

    Examples
    --------
    >>> import pandas as pd
    >>> from seqcast import Naive
    >>> from seqcast.evaluation import RollingOriginSplit, backtest
    >>> y = pd.Series([3.0, 1.0, 2.0, 4.0, 1.0, 3.0] * 5, index=pd.date_range("2024-01-01", periods=30))
    >>> cv = RollingOriginSplit(1, n_origins=10)
    >>> ax = plot_calibration(backtest({"naive": Naive(horizon=1)}, y, cv=cv, quantiles=[0.1, 0.5, 0.9]))
    >>> ax.get_legend_handles_labels()[1]
    ['95 % band', 'naive']
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence!r}.")
    ax = ax if ax is not None else new_axes(height=5.2, width=5.0)
    ax.plot([0, 1], [0, 1], color=SOFT, lw=1.0, ls=(0, (4, 3)), zorder=1)
    for k, name in enumerate(_with_quantiles(result, models)):
        cells = _cells(result, name)
        below = np.where(np.isnan(cells[..., :1]), np.nan, cells[..., :1] <= cells[..., 1:])
        look = style(k)
        size = _size(below, confidence, overlap(result))
        if size > 0:
            band = "_" if k else f"{100 * confidence:.4g} % band"
            _draw_lens(ax, look["color"], ndtri((1 + confidence) / 2) / np.sqrt(size), band)
        shares = np.nanmean(below, axis=(0, 1))
        ax.plot(result.quantiles, shares, marker="o", lw=1.8, ms=6, mec="white", label=str(name), **look)
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="level of the quantile", ylabel="share of values below it")
    ax.grid(axis="x", color="#E6E6E6", lw=0.8)
    finish(ax)
    return ax


def _draw_lens(ax: Axes, color: str, reach: float, name: str) -> None:
    """Shade what is within chance of the diagonal."""
    level = np.linspace(0, 1, 201)
    low, high = np.clip(level + np.outer([-reach, reach], np.sqrt(level * (1 - level))), 0, 1)
    ax.fill_between(level, low, high, color=SOFT, alpha=0.16, lw=0, label=name, zorder=0)
    ax.plot(level, np.transpose([low, high]), color=color, lw=0.8, alpha=0.6, label="_", zorder=1)


def plot_pit(
    values: BacktestResult | npt.ArrayLike,
    *,
    model: Hashable | None = None,
    n_bins: int = 10,
    block: int | None = None,
    confidence: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """Draw the histogram of PIT values: flat if the distributions are right.

    High at both ends: too narrow; high in the middle: too wide; high at one end: shifted.

    Parameters
    ----------
    values : BacktestResult or array-like of shape (n_rows, ...)
        Of a backtest with quantiles, `seqcast.metrics.pit_quantiles` is drawn; else PIT values of the functions in
        `seqcast.metrics`, rows in the order of time. NaN is left out.
    model : hashable, optional
        Which model of the result; by default the first that gives quantiles.
    n_bins : int, default=10
        Bars of equal width.
    block : int, optional
        Rows after which values no longer depend on each other, as in `seqcast.metrics.coverage_interval`; by default
        all values are independent, of a result those whose horizons do not overlap.
    confidence : float, default=0.95
        Share of the bars of a right model that end in the grey band.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If there are no values, some are outside 0 to 1, or the model lacks quantiles where the truth is known.

    Examples
    --------
    >>> import numpy as np
    >>> ax = plot_pit(np.random.default_rng(0).uniform(size=500))
    >>> ax.get_legend_handles_labels()[1]
    ['95 % band', 'PIT']
    """
    name: Hashable = "PIT"
    if isinstance(values, BacktestResult):
        name, block = _with_quantiles(values, None if model is None else [model])[0], block or overlap(values)
        cells = _cells(values, name)
        values = pit_quantiles(cells[..., 0], cells[..., 1:], quantiles=values.quantiles, random_state=0)
    pit = np.asarray(values, dtype=np.float64)
    if np.isnan(pit).all() or np.nanmin(pit) < 0 or np.nanmax(pit) > 1:
        raise ValueError("values must hold PIT values from 0 to 1, one at least that is not NaN.")
    bins = np.minimum(np.floor(pit[..., None] * n_bins), n_bins - 1)
    happened = np.where(np.isnan(bins), np.nan, bins == np.arange(n_bins))  # (n_rows, ..., n_bins)
    heights = n_bins * np.nanmean(happened.reshape(-1, n_bins), axis=0)
    size = _size(happened, confidence, block)
    ax = ax if ax is not None else new_axes()
    edges, color = np.linspace(0, 1, n_bins + 1), _tint(COLORS[0], 0.6)
    ax.bar(edges[:-1], heights, 1 / n_bins, align="edge", color=color, ec="white", lw=1.2, label=str(name))
    if size > 0:
        reach = ndtri((1 + confidence) / 2) * np.sqrt((n_bins - 1) / size)
        band = f"{100 * confidence:.4g} % band"
        ax.axhspan(max(1 - reach, 0), 1 + reach, color=TRUTH, alpha=0.16, lw=0, label=band, zorder=2)
    ax.axhline(1.0, color=TRUTH, lw=1.0, ls=(0, (4, 3)))
    ax.set(xlim=(0, 1), xlabel="PIT", ylabel="density")
    finish(ax)
    return ax


def _with_quantiles(result: BacktestResult, models: Sequence[Hashable] | None) -> list[Hashable]:
    """The models asked for, or all that give quantiles."""
    frame, levels = result.forecasts, result.quantiles
    given = frame[levels].notna().all(axis=1).groupby(frame["model"], observed=True).any()
    names = [name for name in result.models if levels and given[name]] if models is None else list(models)
    if isinstance(models, str) or (models is not None and not names) or not set(names) <= set(result.models):
        raise ValueError(f"models={models!r} is no list of models of the result, which has {result.models}.")
    if not levels or not names:
        raise ValueError("The result has no quantiles. Ask for some: backtest(..., quantiles=[0.1, 0.2, ..., 0.9]).")
    return names


def _cells(result: BacktestResult, name: Hashable) -> npt.NDArray[np.float64]:
    """Truth and quantiles of a model, (n_origins, n_values, 1 + n_quantiles), NaN where there are none."""
    rows = result.forecasts[result.forecasts["model"] == name]
    known, missing = rows["actual"].notna(), rows[result.quantiles].isna().any(axis=1)
    if (known & missing).any() or not known.any():
        raise ValueError(
            f"{name!r} has quantiles for {(known & ~missing).sum()} of {known.sum()} known values. "
            "Leave it out, or take another stretch of time."
        )
    origin = pd.factorize(rows["origin"], sort=True)[0]
    number = rows.groupby(origin).cumcount().to_numpy()
    cells = np.full((origin.max() + 1, number.max() + 1, 1 + len(result.quantiles)), np.nan)
    cells[origin, number] = rows[["actual", *result.quantiles]]
    return cells


def _size(happened: npt.NDArray[np.float64], confidence: float, block: int | None) -> float:
    """Effective number of values, 0 where there are too few blocks to tell."""
    seen = ~np.isnan(happened[..., 0]).reshape(len(happened), -1).all(axis=1)
    few = block is not None and len(set(np.flatnonzero(seen) // block)) < 2
    return 0.0 if few else effective_size(happened, confidence=confidence, block=block)
