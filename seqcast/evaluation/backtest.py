"""backtest: fit models on the past, forecast what follows, from one origin after the other."""

import time
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from pandas.tseries.offsets import BaseOffset
from sklearn.base import clone
from tqdm import tqdm

from seqcast.evaluation.folds import Folds, History, Targets, cut_folds, read_history, targets_of
from seqcast.evaluation.pipelines import final_forecaster, holds_forecaster
from seqcast.evaluation.result import BacktestResult
from seqcast.exceptions import ModelFailedWarning
from seqcast.panel import Floats, Integers

__all__ = ["backtest"]


def backtest(
    models: Any,
    y: Any,
    X: Any = None,
    *,
    cv: Any,
    refit: bool | int = False,
    quantiles: Sequence[float] | None = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> BacktestResult:
    """Forecast from past origins as it would have been then, and keep forecasts beside the truth.

    Parameters
    ----------
    models : dict or estimator
        Anything with ``fit(X, y)`` and ``predict(X)``, by name. The models are cloned; the given ones stay as they are.
    y : Series, DataFrame or array
        Series, wide frame, (series, time) panel, or array; NaN and missing rows are gaps.
    X : DataFrame or array, optional
        Covariates with the rows of `y`; without, models get an index-only frame.
    cv : splitter
        Cuts the grid of times, gaps included, through all series: `RollingOriginSplit`, or any splitter of scikit-learn
        whose folds test what follows their training.
    refit : bool or int, default=False
        Fit at every origin (True), at every k-th (k), or once, on the first training rows (False). In between,
        forecasters see the new observations and nothing is retrained. A forecaster inside a foreign estimator, such as
        TransformedTargetRegressor, cannot: it is refitted at every origin, with a warning.
    quantiles : sequence of float, optional
        Levels between 0 and 1 to forecast as well.
    n_jobs : int, optional
        Fits to run in parallel, through joblib.
    verbose : bool, default=False
        Show a progress bar.

    Returns
    -------
    BacktestResult

    Raises
    ------
    TypeError, ValueError
        For what is no model or splitter, folds out of order, irregular times; if every model fails. One that fails
        beside others is named in a `ModelFailedWarning` and in ``result.failures``.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.linear_model import LinearRegression
    >>> from seqcast.splits import RollingOriginSplit
    >>> y = pd.Series(range(20), index=pd.date_range("2024-01-01", periods=20), dtype=float)
    >>> backtest({"line": LinearRegression()}, y, y.to_frame("day"), cv=RollingOriginSplit(3, n_origins=2))
    BacktestResult: 1 models, 1 series, 2 origins, 3 steps, 6 forecasts
    """
    named, levels = _named(models), _levels(quantiles)
    history = read_history(X, y, _freq_of(named))
    folds = cut_folds(cv, history.panel)
    targets = targets_of(history.panel, folds)
    tasks = _tasks(named, refit, len(folds.origins))
    run = Parallel(n_jobs, return_as="generator")(delayed(_answer)(t, history, folds, targets, levels) for t in tasks)
    answers = list(tqdm(run, total=len(tasks), desc="backtest", unit="fit", disable=not verbose))
    names, values, seconds, failures = _collected(named, tasks, answers, targets, len(levels))
    return BacktestResult(_frame(names, history, folds, targets, values, levels), seconds, failures, history.panel)


@dataclass(frozen=True)
class _Task:
    """One fit, and the folds first to stop - 1 that are forecast with it."""

    name: Hashable
    model: Any
    first: int
    stop: int

    def end(self, folds: Folds) -> int:
        """The step after the last one tested."""
        return int(folds.tested[(folds.fold >= self.first) & (folds.fold < self.stop)].max()) + 1

    def entries(self, targets: Targets) -> Integers:
        return np.flatnonzero((targets.fold >= self.first) & (targets.fold < self.stop))


@dataclass(frozen=True)
class _Answer:
    forecast: Floats  # (n_entries,)
    quantiles: Floats  # (n_entries, n_quantiles)
    fit_seconds: float
    predict_seconds: float


def _answer(
    task: _Task, history: History, folds: Folds, targets: Targets, quantiles: list[float]
) -> _Answer | Exception:
    """Fit and forecast; an error is the answer of a model that fails."""
    try:
        start = time.perf_counter()
        train = history.rows(folds.trains[task.first])
        X, y = history.take(train)
        if not holds_forecaster(task.model):
            known = ~pd.isna(np.asarray(y, dtype=np.float64)).reshape(len(train), -1).any(axis=1)
            X, y = history.take(train[known])
        fitted = clone(task.model).fit(X, y)
        fit_seconds = time.perf_counter() - start
        start = time.perf_counter()
        forecast, spread = _forecast(fitted, task, history, folds, targets, quantiles)
        return _Answer(forecast, spread, fit_seconds, time.perf_counter() - start)
    except Exception as error:  # the other models go on; _collected says which one failed
        return error


def _forecast(
    fitted: Any, task: _Task, history: History, folds: Folds, targets: Targets, quantiles: list[float]
) -> tuple[Floats, Floats]:
    """Forecasts (n_entries,) and quantiles (n_entries, n_quantiles) of the folds of a task."""
    entries = task.entries(targets)
    transformers, forecaster = final_forecaster(fitted)
    if forecaster is None:
        missing = np.full((len(entries), len(quantiles)), np.nan)
        return _predict_rows(fitted, task, history, folds, targets.row[entries]), missing
    panel, cutoffs = _panel_of(transformers, forecaster, task, history, folds)
    horizon = int(targets.step[entries].max())
    number = {label: i for i, label in enumerate(panel.ids)}
    series = np.array([number.get(label, -1) for label in history.panel.ids])[targets.series[entries]]
    where = series, targets.fold[entries] - task.first, targets.step[entries] - 1
    point = forecaster._forecast_origins(panel, cutoffs, horizon)[where]
    if not quantiles:
        return point, np.empty((len(entries), 0))
    return point, forecaster._forecast_origins(panel, cutoffs, horizon, quantiles)[where]


def _panel_of(
    transformers: list[Any], forecaster: Any, task: _Task, history: History, folds: Folds
) -> tuple[Any, Integers]:
    """The forecaster's panel of all rows up to the last step tested, and the cutoffs on its grid."""
    train = history.rows(folds.trains[task.first])
    begin = int(history.steps[train].min())
    rows = history.rows(slice(begin, task.end(folds)))
    if transformers:  # what fit has seen and what follows apart, as fit and predict see them
        parts = [train, np.setdiff1d(rows, train)]
        X = _joined([_transformed(transformers, history.take(part)[0]) for part in parts])
        panel = forecaster._panel(X, history.take(np.concatenate(parts))[1])
    else:
        panel = forecaster._panel(*history.take(rows))
    origins = folds.origins[task.first : task.stop]
    if panel.axis.kind == "none":  # rows without times count from the first training row
        return panel, origins + 1 - begin
    return panel, panel.axis.positions(history.panel.axis.index(origins)) + 1


def _transformed(transformers: list[Any], X: Any) -> Any:
    for step in transformers:
        X = step.transform(X)
    return X


def _joined(parts: list[Any]) -> Any:
    return pd.concat(parts) if isinstance(parts[0], pd.DataFrame) else np.concatenate(parts)


def _predict_rows(fitted: Any, task: _Task, history: History, folds: Folds, row: Integers) -> Floats:
    """Predictions for rows of the panel, by one call of `predict` on all that follows the training."""
    panel, n_columns = history.panel, history.n_columns
    ahead = history.rows(slice(int(folds.origins[task.first]) + 1, task.end(folds)))
    predicted = np.asarray(fitted.predict(history.take(ahead)[0]), dtype=np.float64)
    if predicted.size != len(ahead) * n_columns:
        raise ValueError(f"predict gave shape {predicted.shape} for {len(ahead)} rows of {n_columns} series.")
    codes = history.codes[ahead][:, None] + np.arange(n_columns)  # (n_ahead, n_columns)
    values = np.full(len(panel.values), np.nan)
    values[panel.indptr[codes] + history.steps[ahead][:, None] - panel.first[codes]] = predicted.reshape(codes.shape)
    return values[row]


def _collected(
    named: dict[Hashable, Any],
    tasks: list[_Task],
    answers: list[_Answer | Exception],
    targets: Targets,
    n_quantiles: int,
) -> tuple[list[Hashable], Floats, pd.DataFrame, dict[Hashable, str]]:
    """Models that did not fail, their values (n_models, n_entries, 1 + n_quantiles) and seconds, and the failures."""
    errors: dict[Hashable, Exception] = {}
    for task, answer in zip(tasks, answers, strict=True):
        if isinstance(answer, Exception):
            errors.setdefault(task.name, answer)
    failures = {name: f"{type(error).__name__}: {error}" for name, error in errors.items()}
    _report(failures, next(iter(errors.values()), None), len(named))
    models = [name for name in named if name not in errors]
    number = {name: k for k, name in enumerate(models)}
    values = np.empty((len(models), len(targets.row), 1 + n_quantiles))
    seconds = np.zeros((len(models), 2))
    for task, answer in zip(tasks, answers, strict=True):
        if task.name in number and isinstance(answer, _Answer):
            k, entries = number[task.name], task.entries(targets)
            values[k, entries, 0], values[k, entries, 1:] = answer.forecast, answer.quantiles
            seconds[k] += answer.fit_seconds, answer.predict_seconds
    index = pd.Index(models, name="model", tupleize_cols=False)
    return models, values, pd.DataFrame(seconds, index=index, columns=["fit", "predict"]), failures


def _report(failures: dict[Hashable, str], first: Exception | None, n_models: int) -> None:
    """Warn of models that failed; raise if none is left."""
    if first is not None and n_models == 1:
        raise first
    if first is not None and len(failures) == n_models:
        raise ValueError("Every model failed:\n" + "\n".join(f"{k!r}: {v}" for k, v in failures.items())) from first
    for name, text in failures.items():
        warnings.warn(f"{name!r} failed and is left out: {text}", ModelFailedWarning, stacklevel=4)


def _frame(
    models: list[Hashable], history: History, folds: Folds, targets: Targets, values: Floats, quantiles: list[float]
) -> pd.DataFrame:
    """The tidy frame, from flat arrays."""
    panel, n_models = history.panel, len(models)
    labels = ["y" if label is None else label for label in panel.ids]
    grid = panel.axis.index(np.arange(panel.ends.max()))
    origin = np.tile(folds.origins[targets.fold], n_models)
    columns: dict[Hashable, Any] = {
        "model": _categorical(np.repeat(np.arange(n_models), len(targets.row)), models),
        "series": _categorical(np.tile(targets.series, n_models), labels),
        "origin": grid.take(origin),
        "time": grid.take(origin + np.tile(targets.step, n_models)),
        "step": np.tile(targets.step, n_models),
        "actual": np.tile(targets.actual, n_models),
        "forecast": values[..., 0].ravel(),
    }
    columns |= {level: values[..., 1 + k].ravel() for k, level in enumerate(quantiles)}
    return pd.DataFrame(columns, copy=False)


def _categorical(codes: Integers, labels: list[Hashable]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, categories=pd.Index(labels, tupleize_cols=False))


def _named(models: Any) -> dict[Hashable, Any]:
    named = dict(models) if isinstance(models, Mapping) else {type(models).__name__: models}
    if not named:
        raise ValueError("models is empty. Give at least one, by name: {'naive': Naive()}.")
    for name, model in named.items():
        if isinstance(model, type) or not (hasattr(model, "fit") and hasattr(model, "predict")):
            raise TypeError(f"Model {name!r} must be an estimator with fit and predict, got {model!r}.")
    return named


def _levels(quantiles: Sequence[float] | None) -> list[float]:
    levels = sorted({round(float(q), 6) for q in quantiles or ()})
    if levels and not 0 < levels[0] <= levels[-1] < 1:
        raise ValueError(f"quantiles must lie between 0 and 1, got {list(quantiles or ())}.")
    return levels


def _tasks(named: dict[Hashable, Any], refit: bool | int, n_folds: int) -> list[_Task]:
    every = {name: _folds_a_fit(refit, name, model, n_folds) for name, model in named.items()}
    return [
        _Task(name, model, first, min(first + every[name], n_folds))
        for name, model in named.items()
        for first in range(0, n_folds, every[name])
    ]


def _folds_a_fit(refit: bool | int, name: Hashable, model: Any, n_folds: int) -> int:
    """For how many folds one fit serves."""
    if isinstance(refit, (bool, np.bool_)):
        every = 1 if refit else n_folds
    elif isinstance(refit, (int, np.integer)) and refit >= 1:
        every = int(refit)
    else:
        raise ValueError(f"refit must be True, False or an integer of at least 1, got {refit!r}.")
    if every > 1 and n_folds > 1 and holds_forecaster(model) and final_forecaster(model)[1] is None:
        warnings.warn(
            f"{name!r}: a {type(model).__name__} cannot hand new observations to the forecaster inside; it is refitted "
            "at every origin.",
            UserWarning,
            stacklevel=5,
        )
        return 1
    return every


def _freq_of(named: dict[Hashable, Any]) -> str | BaseOffset | None:
    """The first frequency that a model was given."""
    for model in named.values():
        parameters = model.get_params() if hasattr(model, "get_params") else {}
        owners = [model, *parameters.values()]
        found = [part.freq for part in owners if holds_forecaster(part) and getattr(part, "freq", None)]
        if found:
            return found[0]
    return None
