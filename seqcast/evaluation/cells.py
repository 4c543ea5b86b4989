"""One cell of a backtest: fit a model at an origin, and forecast from it and the origins that follow."""

import sys
import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from seqcast.evaluation.folds import Folds, History, Targets, take_rows
from seqcast.evaluation.knowledge import Knowledge
from seqcast.evaluation.pipelines import final_forecaster, holds_forecaster, transformed
from seqcast.panel import Floats, Integers

__all__ = ["Answer", "Cell", "Work", "answer"]


@dataclass(frozen=True)
class Cell:
    """One fit, and the folds first to stop - 1 that are forecast with it."""

    name: Hashable
    model: Any
    first: int
    stop: int


@dataclass(frozen=True)
class Work:
    """What all cells share: it is handed to a worker once."""

    history: History
    knowledge: Knowledge
    folds: Folds
    targets: Targets
    quantiles: list[float]

    def known_at(self, fold: int) -> History:
        """The history as it was known at the origin of a fold."""
        return self.knowledge.at(self.history, int(self.folds.origins[fold]))

    def entries(self, first: int, stop: int) -> Integers:
        """The targets of the folds first to stop - 1."""
        return np.flatnonzero((self.targets.fold >= first) & (self.targets.fold < stop))

    def __sizeof__(self) -> int:
        """Count the data too: Dask scatters what is large, and sends the rest with every task."""
        data = self.history.panel.values, self.targets.row, self.history.X, self.knowledge.issues
        return object.__sizeof__(self) + sum(map(sys.getsizeof, data))


@dataclass(frozen=True)
class Answer:
    """Forecasts of a cell, and how long they took."""

    forecast: Floats  # (n_entries,)
    quantiles: Floats  # (n_entries, n_quantiles)
    fit_seconds: float
    predict_seconds: float


def answer(cell: Cell, work: Work) -> Answer | Exception:
    """Fit and forecast; an error is the answer of a model that fails."""
    try:
        start = time.perf_counter()
        fitted = _fit(cell, work)
        fit_seconds = time.perf_counter() - start
        start = time.perf_counter()
        if work.knowledge.is_complete:
            forecast, spread = _forecast(fitted, cell.first, (cell.first, cell.stop), work.history, work)
        else:  # what is known differs from origin to origin
            folds = range(cell.first, cell.stop)
            parts = [_forecast(fitted, cell.first, (k, k + 1), work.known_at(k), work) for k in folds]
            order = np.argsort(np.concatenate([work.entries(k, k + 1) for k in folds]))
            forecast, spread = (np.concatenate(part)[order] for part in zip(*parts, strict=True))
        return Answer(forecast, spread, fit_seconds, time.perf_counter() - start)
    except Exception as error:  # the other models go on; the backtest says which one failed
        return error


def _fit(cell: Cell, work: Work) -> Any:
    history = work.known_at(cell.first)
    train = _begun(history, history.rows(work.folds.trains[cell.first]))
    X, y = history.take(train)
    if not holds_forecaster(cell.model):
        if history.was_wide:
            raise ValueError(
                "Some columns of y have no value before the first origin: a regressor that is no forecaster cannot "
                "learn them with the others. Take fewer origins, or drop them."
            )
        known = ~pd.isna(np.asarray(y, dtype=np.float64)).reshape(len(train), -1).any(axis=1)
        X, y = history.take(train[known])
    return clone(cell.model).fit(X, y)


def _begun(history: History, rows: Integers) -> Integers:
    """Rows of a panel without those of series of which nothing is known there yet."""
    if history.panel.n_series == 1 or history.n_columns > 1:
        return rows
    codes, known = history.codes[rows], ~pd.isna(take_rows(history.y, rows))
    return rows[np.bincount(codes, np.asarray(known).ravel())[codes] > 0]


def _forecast(
    fitted: Any, fit_fold: int, which: tuple[int, int], history: History, work: Work
) -> tuple[Floats, Floats]:
    """Forecasts (n_entries,) and quantiles (n_entries, n_quantiles) of the folds which[0] to which[1] - 1."""
    entries, targets, levels = work.entries(*which), work.targets, work.quantiles
    transformers, forecaster = final_forecaster(fitted)
    end = int(work.folds.tested[(work.folds.fold >= which[0]) & (work.folds.fold < which[1])].max()) + 1
    if forecaster is None:
        missing = np.full((len(entries), len(levels)), np.nan)
        ahead = slice(int(work.folds.origins[which[0]]) + 1, end)
        return _predict_rows(fitted, history, ahead, targets.row[entries]), missing
    train = work.folds.trains[fit_fold]
    panel, begin = _panel_of(transformers, forecaster, train, end, history)
    origins = work.folds.origins[which[0] : which[1]]
    if panel.axis.kind == "none":  # rows without times count from the first training row
        cutoffs = origins + 1 - begin
    else:
        cutoffs = panel.axis.positions(history.panel.axis.index(origins)) + 1
    horizon = int(targets.step[entries].max())
    number = {label: i for i, label in enumerate(panel.ids)}
    series = np.array([number.get(label, -1) for label in history.panel.ids])[targets.series[entries]]
    where = series, targets.fold[entries] - which[0], targets.step[entries] - 1
    point = forecaster._forecast_origins(panel, cutoffs, horizon)[where]
    if not levels:
        return point, np.empty((len(entries), 0))
    return point, forecaster._forecast_origins(panel, cutoffs, horizon, levels)[where]


def _panel_of(
    transformers: list[Any], forecaster: Any, train_steps: Integers | slice, end: int, history: History
) -> tuple[Any, int]:
    """The forecaster's panel of all rows up to the last step tested, and the step of its first row."""
    train = history.rows(train_steps)
    begin = int(history.steps[train].min())
    rows = history.rows(slice(begin, end))
    if not transformers:
        return forecaster._panel(*history.take(rows)), begin
    parts = [train, np.setdiff1d(rows, train)]  # what fit has seen and what follows apart, as fit and predict see them
    Xs = [transformed(transformers, history.take(part)[0]) for part in parts]
    X = pd.concat(Xs) if isinstance(Xs[0], pd.DataFrame) else np.concatenate(Xs)
    return forecaster._panel(X, history.take(np.concatenate(parts))[1]), begin


def _predict_rows(fitted: Any, history: History, steps: slice, row: Integers) -> Floats:
    """Predictions for rows of the panel, by one call of `predict` on all that follows the origin."""
    panel, n_columns = history.panel, history.n_columns
    ahead = history.rows(steps)
    predicted = np.asarray(fitted.predict(history.take(ahead)[0]), dtype=np.float64)
    if predicted.size != len(ahead) * n_columns:
        raise ValueError(f"predict gave shape {predicted.shape} for {len(ahead)} rows of {n_columns} series.")
    codes = history.codes[ahead][:, None] + np.arange(n_columns)  # (n_ahead, n_columns)
    values = np.full(len(panel.values), np.nan)
    values[panel.indptr[codes] + history.steps[ahead][:, None] - panel.first[codes]] = predicted.reshape(codes.shape)
    return values[row]
