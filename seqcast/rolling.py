"""Forecasts of a fitted forecaster from many origins of a panel: blocks, bounds, rolling-origin errors."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import t as student

from seqcast.exceptions import HorizonWarning, LookaheadWarning, NonFiniteError, ShortSeriesError
from seqcast.metrics import seasonal_scale
from seqcast.panel import Floats, Integers, Panel, runs

__all__ = [
    "answer",
    "by_knowledge",
    "by_origin",
    "clip",
    "empirical_quantiles",
    "ends_of_fit",
    "error_origins",
    "errors_at",
    "forecast_origins",
    "forecast_rows",
    "known_before",
    "latest_origins",
    "mean_before",
    "open_ended",
    "scaled_errors",
    "scales",
]

FEWEST_ERRORS = 20  # that say something of quantiles
_N_ERROR_ORIGINS = 200  # rolling origins, at most, whose errors make default quantiles


def answer(
    forecaster: Any, panel: Panel, series: Integers, positions: Integers, horizon: int, quantiles: list[float] | None
) -> Floats:
    """Return forecasts (n, horizon), or quantiles (n, horizon, n_quantiles), from origins.

    Origin k lies before row positions[k] of series[k]. A horizon longer than the fitted one is answered in blocks.
    """
    longest, reach = forecaster._longest, forecaster._reach
    if reach is not None and 2 * len(series) * (reach + horizon) < len(panel.values):
        starts = np.maximum(positions - reach, 0)  # few origins of long series: only the rows that are read
        panel = panel.cut(series, starts, positions + horizon)
        series, positions = np.arange(len(series)), positions - starts
    if longest is None or horizon <= longest:
        values = _ask(forecaster, panel, series, positions, horizon, quantiles)
    else:
        n_blocks = -(-horizon // longest)
        warnings.warn(
            f"{horizon} steps with a fitted horizon of {longest}: forecast in {n_blocks} blocks, each on top "
            "of the last. Fit with a longer horizon.",
            HorizonWarning,
            stacklevel=4,
        )
        values = _in_blocks(forecaster, panel, series, positions, n_blocks, quantiles)[:, :horizon]
    if not np.isfinite(values).all():
        bad = int(np.argmax(~np.isfinite(values.reshape(len(values), -1)).all(axis=1)))
        raise NonFiniteError(
            f"The forecast of {panel.name_of(series[bad])} is not finite: the fit failed. Look at the "
            "scale of its values."
        )
    return clip(values, forecaster.bounds)


def clip(values: Floats, bounds: tuple | None) -> Floats:
    """Return values within bounds."""
    return values if bounds is None else np.clip(values, *bounds)


def forecast_rows(
    forecaster: Any, panel: Panel, codes: Integers, positions: Integers, quantiles: list[float] | None
) -> Floats:
    """Return one forecast for each row of a panel that extends the history, from what was known before the row.

    `positions` count from the first row of the series. Training rows are forecast one step ahead; rows in a hole of
    the history from the rows before the hole; rows after it from its end.
    """
    history = forecaster.panel_
    origins, is_hole = _origins_of(history, codes, positions)
    if is_hole.any():
        warnings.warn(
            f"{is_hole.sum()} rows lie in holes of the history: they are forecast from the rows before the "
            "hole, but later values were used in fit.",
            LookaheadWarning,
            stacklevel=3,
        )
    out = np.empty((len(codes), *([len(quantiles)] if quantiles else [])))
    one_step = (origins == positions) & (positions < history.lengths[codes])
    if one_step.any():
        out[one_step] = answer(forecaster, panel, codes[one_step], origins[one_step], 1, quantiles)[:, 0]
    later = np.flatnonzero(~one_step)
    if len(later):
        pairs, which = np.unique(np.stack([codes[later], origins[later]], axis=1), axis=0, return_inverse=True)
        steps = positions[later] - origins[later]
        values = answer(forecaster, panel, pairs[:, 0], pairs[:, 1], int(steps.max()) + 1, quantiles)
        out[later] = values[which.ravel(), steps]
    return out


def forecast_origins(
    forecaster: Any, panel: Panel, cutoffs: Integers, horizon: int, quantiles: list[float] | None
) -> Floats:
    """Return forecasts of every series from each cutoff, the grid step of the first forecast step.

    Shape (n_series, n_cutoffs, horizon), with quantiles (..., n_quantiles); NaN where a series has no value before.
    """
    series = np.repeat(np.arange(panel.n_series), len(cutoffs))
    positions = np.tile(cutoffs, panel.n_series) - panel.first[series]
    known = np.concatenate([[0], np.cumsum(~np.isnan(panel.values))])
    asked = (positions > 0) & (positions <= panel.lengths[series])
    rows = panel.indptr[series] + np.where(asked, positions, 0)
    asked &= known[rows] > known[panel.indptr[series]]
    out = np.full((len(series), horizon, *([len(quantiles)] if quantiles else [])), np.nan)
    if asked.any():
        out[asked] = answer(forecaster, panel, series[asked], positions[asked], horizon, quantiles)
    return out.reshape(panel.n_series, len(cutoffs), *out.shape[1:])


def latest_origins(panel: Panel, n_origins: int, horizon: int) -> tuple[Integers, Integers]:
    """Return series and positions of the latest origins, one step apart, with a row before and the horizon after."""
    counts = np.clip(panel.lengths - horizon, 0, n_origins)
    series, back = runs(counts)
    return series, panel.lengths[series] - horizon - counts[series] + 1 + back


def known_before(panel: Panel, series: Integers, positions: Integers, horizon: int, season_length: int = 1) -> Floats:
    """Return the seasonal naive forecast (n, horizon): the last known value of each step's phase, NaN if there is none.

    With a season of one step it is the last known value.
    """
    ahead = positions[:, None] + np.arange(horizon)
    at = ahead - season_length * (np.arange(horizon) // season_length + 1)  # (n, horizon)
    found = np.full(at.shape, np.nan)
    while (open_ := np.isnan(found) & (at >= 0)).any():
        found[open_] = panel.values[(panel.indptr[series, None] + at)[open_]]
        at = at - season_length
    return found


def errors_at(forecaster: Any, panel: Panel, series: Integers, positions: Integers, horizon: int) -> Floats:
    """Return actual minus forecast, (n, horizon), from origins of the history."""
    forecast = answer(forecaster, panel, series, positions, horizon, None)
    return panel.values_at(series, positions, horizon) - forecast


def scales(forecaster: Any, panel: Panel) -> Floats:
    """Return the unit in which the errors of each series are pooled: its mean seasonal step."""
    pieces = (panel.values[panel.series(i)] for i in range(panel.n_series))
    found = np.array([seasonal_scale(values, forecaster.season_length_) for values in pieces])
    is_scale = np.isfinite(found) & (found > 0)
    return np.where(is_scale, found, np.median(found[is_scale]) if is_scale.any() else 1.0)


def _scales_at(forecaster: Any, panel: Panel, series: Integers, positions: Integers) -> Floats:
    """Return the unit of errors (n,) as it is known at each origin: the mean seasonal step of the rows before it."""
    out = np.full(len(series), np.nan)
    within = runs(panel.lengths)[1]
    for lag in (forecaster.season_length_, 1):
        change = np.full(len(panel.values), np.nan)
        change[lag:] = np.abs(panel.values[lag:] - panel.values[:-lag])
        change[within < lag] = np.nan
        out = np.where(np.isnan(out), mean_before(panel, change, series, positions), out)
    usual = scales(forecaster, _seen_in_fit(forecaster))
    return np.where(out > 0, out, np.median(usual))


def mean_before(panel: Panel, values: Floats, series: Integers, positions: Integers) -> Floats:
    """Return the mean of the known values (n_rows,) before each position of its series, (n,); NaN if there is none."""
    out = np.full(len(series), np.nan)  # a running sum for each series: what comes later changes no digit
    order = np.argsort(series, kind="stable")
    asked, firsts = np.unique(series[order], return_index=True)
    for i, mine in zip(asked, np.split(order, firsts[1:]), strict=True):
        own = values[panel.series(i)]
        sums = np.zeros((2, len(own) + 1))
        np.cumsum([~np.isnan(own), np.nan_to_num(own)], axis=1, out=sums[:, 1:])
        count, total = sums[:, positions[mine]]
        out[mine] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return out


def empirical_quantiles(
    forecaster: Any, panel: Panel, series: Integers, positions: Integers, horizon: int, quantiles: list[float]
) -> Floats:
    """Return the forecast plus the empirical quantiles, by step, of scaled rolling-origin errors.

    Few of them, of all series, count with both signs, and as those of Student's distribution: they do not tell on which
    side more is to come, nor how far out.
    """
    point = forecaster._forecast_panel(panel, series, positions, horizon)
    unit, spread = _scales_at(forecaster, panel, series, positions), np.empty((*point.shape, len(quantiles)))
    for mine, history in by_knowledge(forecaster, panel, series, positions):
        spread[mine] = _quantiles_of(scaled_errors(forecaster, horizon, history=history), quantiles)
    return point[..., None] + unit[:, None, None] * spread


def _quantiles_of(errors: Floats, quantiles: list[float]) -> Floats:
    """By step (horizon, n_quantiles), of errors (n_origins, n_series, horizon)."""
    n_known = np.isfinite(errors).any(2).sum()  # of all series
    if n_known >= FEWEST_ERRORS:
        return np.nanquantile(errors, quantiles, axis=(0, 1)).T
    level = np.clip(quantiles, 0.005, 0.995)
    normal = ndtri(level)
    tail = np.divide(student.ppf(level, max(n_known - 1, 2)), normal, out=np.ones_like(normal), where=normal != 0)
    return np.nanquantile(np.concatenate([errors, -errors]), quantiles, axis=(0, 1)).T * tail


def ends_of_fit(forecaster: Any) -> Integers:
    """Return where each series ended in fit."""
    return getattr(forecaster, "ends_", forecaster.panel_.ends)  # files of 0.1.0 have none


def by_knowledge(
    forecaster: Any, panel: Panel, series: Integers, positions: Integers
) -> Iterator[tuple[NDArray[np.bool_], Panel]]:
    """Yield which origins (n,) may know which history: all of it from its end on, before that what fit saw."""
    history, ends = forecaster.panel_, ends_of_fit(forecaster)
    now = dict(zip(history.ids, history.ends.tolist(), strict=True))
    latest = np.array([now.get(label, int(history.ends.max())) for label in panel.ids])[series]
    is_now = (panel.first[series] + positions >= latest) | bool((ends == history.ends).all())
    if is_now.any():
        yield is_now, history
    if not is_now.all():
        yield ~is_now, _seen_in_fit(forecaster)


def _seen_in_fit(forecaster: Any) -> Panel:
    history, ends = forecaster.panel_, ends_of_fit(forecaster)
    if (ends == history.ends).all():
        return history
    return history.cut(np.arange(history.n_series), np.zeros_like(ends), ends - history.first)


def scaled_errors(
    forecaster: Any, horizon: int, n_origins: int = _N_ERROR_ORIGINS, *, history: Panel | None = None
) -> NDArray[np.float64]:
    """Return rolling-origin errors over their series' scale, (n_origins, n_series, horizon), NaN where unknown."""
    panel = forecaster.panel_ if history is None else history
    series, positions = error_origins(panel, horizon, n_origins)
    errors = errors_at(forecaster, panel, series, positions, horizon) / scales(forecaster, panel)[series, None]
    return by_origin(panel, series, positions, errors)


def error_origins(panel: Panel, horizon: int, n_origins: int = _N_ERROR_ORIGINS) -> tuple[Integers, Integers]:
    """Return series and positions of the origins whose errors make quantiles and paths; raise if there are none."""
    series, positions = latest_origins(panel, n_origins, horizon)
    if len(series) == 0:
        raise ShortSeriesError(
            f"The errors of {horizon} steps are unknown: the longest series has {panel.lengths.max()} rows, "
            f"{horizon + 1} are needed. Shorten horizon."
        )
    return series, positions


def by_origin(panel: Panel, series: Integers, positions: Integers, errors: Floats) -> NDArray[np.float64]:
    """Return errors (n, horizon) as (n_origins, n_series, horizon), origins by their time, NaN where unknown."""
    step = panel.first[series] + positions
    out = np.full((step.max() - step.min() + 1, panel.n_series, errors.shape[1]), np.nan)
    out[step - step.min(), series] = errors
    return out[~np.isnan(out).all(axis=(1, 2))]


def _ask(
    forecaster: Any, panel: Panel, series: Integers, positions: Integers, horizon: int, quantiles: list[float] | None
) -> Floats:
    if quantiles is None:
        return forecaster._forecast_panel(panel, series, positions, horizon)
    order = np.argsort(quantiles)
    values = forecaster._quantile_panel(panel, series, positions, horizon, [quantiles[k] for k in order])
    return values[..., np.argsort(order)]


def _in_blocks(
    forecaster: Any, panel: Panel, series: Integers, positions: Integers, n_blocks: int, quantiles: list[float] | None
) -> Floats:
    longest = forecaster._longest
    work, origins, ahead = open_ended(forecaster, panel, series, positions, n_blocks * longest)
    here, blocks = np.arange(len(series)), []
    for k in range(n_blocks):
        at = origins + k * longest
        point = _ask(forecaster, work, here, at, longest, None)
        blocks.append(point if quantiles is None else _ask(forecaster, work, here, at, longest, quantiles))
        work.values[ahead[:, k * longest : (k + 1) * longest]] = point
    return np.concatenate(blocks, axis=1)


def open_ended(
    forecaster: Any, panel: Panel, series: Integers, positions: Integers, n_steps: int
) -> tuple[Panel, Integers, Integers]:
    """Return a panel to write forecasts into: a copy of what each origin reads, and `n_steps` masked steps after it.

    Its series k belongs to origin k; with it come the origins' positions and the rows of the steps, (n, n_steps).
    """
    reach = forecaster._reach
    starts = np.zeros_like(positions) if reach is None else np.maximum(positions - reach, 0)
    work = panel.cut(series, starts, positions + n_steps)
    origins = positions - starts
    ahead = (work.indptr[:-1] + origins)[:, None] + np.arange(n_steps)
    work.values[ahead] = np.nan
    work.features[np.ix_(ahead.ravel(), forecaster.schema_.past_mask)] = np.nan
    return work, origins, ahead


def _origins_of(history: Panel, codes: Integers, positions: Integers) -> tuple[Integers, NDArray[np.bool_]]:
    """The origin from which each row is forecast, and whether it lies in a hole of the history."""
    rows = np.arange(len(history.present))
    last_present = np.maximum.accumulate(np.where(history.present, rows, -1))
    inside = positions < history.lengths[codes]
    row = (history.indptr[codes] + positions)[inside]
    origins = history.lengths[codes].copy()
    is_hole = np.zeros(len(codes), bool)
    is_hole[inside] = ~history.present[row]
    origins[inside] = np.where(
        history.present[row], positions[inside], last_present[row] + 1 - history.indptr[codes[inside]]
    )
    return origins, is_hole
