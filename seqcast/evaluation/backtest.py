"""backtest: fit models on the past, forecast what follows, from one origin after the other."""

import warnings
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.offsets import BaseOffset

from seqcast.evaluation.cells import Answer, Cell, Work
from seqcast.evaluation.folds import by_series, cut_folds, has_late_columns, read_history, targets_of
from seqcast.evaluation.knowledge import Knowledge, split_issues
from seqcast.evaluation.pipelines import final_forecaster, holds_forecaster, is_forecaster
from seqcast.evaluation.result import BacktestResult
from seqcast.evaluation.running import run
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
    delay: int | Mapping[Hashable, int] = 0,
    n_jobs: int | None = None,
    folder: str | Path | None = None,
    verbose: bool = False,
) -> BacktestResult:
    """Forecast from past origins as it would have been then, and keep forecasts beside the truth.

    Parameters
    ----------
    models : dict or estimator
        Anything with ``fit(X, y)`` and ``predict(X)``, by name. The models are cloned; the given ones stay as they are.
    y : Series, DataFrame or array
        Series, wide frame, (series, time) panel, or array; NaN and missing rows are gaps. For forecasters a
        column that begins after the first fit joins in when it does, without "as_of" covariates.
    X : DataFrame or array, optional
        Covariates with the rows of `y`; without, models get an index-only frame. With a further index level "as_of" its
        rows are issues, such as weather forecasts: models get the last one before the time of a past row, and of a
        later row the last one that is known at the origin.
    cv : splitter
        Cuts the grid of times, gaps included, through all series: `RollingOriginSplit`, or any splitter of scikit-learn
        whose folds test what follows their training.
    refit : bool or int, default=False
        Fit at every origin (True), at every k-th (k), or once, on the first training rows (False). In between,
        forecasters see the new observations and nothing is retrained. A forecaster inside a foreign estimator, such as
        TransformedTargetRegressor, cannot: it is refitted at every origin, with a warning.
    quantiles : sequence of float, optional
        Levels between 0 and 1 to forecast as well.
    delay : int or dict, default=0
        Steps by which readings come late: of all series, or by series and by column of X. At an origin the last `delay`
        values are masked; a column of X with a delay, of 0 too, is a reading, and is masked in the steps ahead as well:
        name it in the forecaster's ``past_features``.
    n_jobs : int, optional
        Fits to run in parallel, through joblib; ``joblib.parallel_config`` decides where.
    folder : str or Path, optional
        Where finished fits are kept. A backtest that is started again takes up those of the same model, data and fold.
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
    issues, X = split_issues(X, y)
    freq = _freq_of(named)
    history = read_history(X, y, freq)
    knowledge = Knowledge.of(history, delay, issues)
    folds = cut_folds(cv, history.panel)
    if issues is None and has_late_columns(history, folds, knowledge.delays):
        history = by_series(history, freq)
        folds = cut_folds(cv, history.panel)
    _warn_of_readings(named, knowledge.columns(history))
    work = Work(history, knowledge, folds, targets_of(history.panel, folds, knowledge.delays), levels)
    cells = _cells(named, refit, len(folds.origins))
    answers = run(cells, work, n_jobs=n_jobs, folder=folder, verbose=verbose)
    names, values, seconds, failures = _collected(named, cells, answers, work)
    return BacktestResult(_frame(names, values, work), seconds, failures, history.panel)


def _collected(
    named: dict[Hashable, Any], cells: list[Cell], answers: list[Answer | Exception], work: Work
) -> tuple[list[Hashable], Floats, pd.DataFrame, dict[Hashable, str]]:
    """Models that did not fail, their values (n_models, n_entries, 1 + n_quantiles) and seconds, and the failures."""
    errors: dict[Hashable, Exception] = {}
    for cell, answer in zip(cells, answers, strict=True):
        if isinstance(answer, Exception):
            errors.setdefault(cell.name, answer)
    failures = {name: f"{type(error).__name__}: {error}" for name, error in errors.items()}
    _report(failures, next(iter(errors.values()), None), len(named))
    models = [name for name in named if name not in errors]
    number = {name: k for k, name in enumerate(models)}
    values = np.empty((len(models), len(work.targets.row), 1 + len(work.quantiles)))
    seconds = np.zeros((len(models), 2))
    for cell, answer in zip(cells, answers, strict=True):
        if cell.name in number and isinstance(answer, Answer):
            k, entries = number[cell.name], work.entries(cell.first, cell.stop)
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


def _frame(models: list[Hashable], values: Floats, work: Work) -> pd.DataFrame:
    """The tidy frame, from flat arrays."""
    folds, targets = work.folds, work.targets
    panel, n_models = work.history.panel, len(models)
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
    columns |= {level: values[..., 1 + k].ravel() for k, level in enumerate(work.quantiles)}
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
    levels = [] if quantiles is None else sorted({round(float(q), 6) for q in quantiles})
    if levels and not 0 < levels[0] <= levels[-1] < 1:
        raise ValueError(f"quantiles must lie between 0 and 1, got {levels}.")
    return levels


def _warn_of_readings(named: dict[Hashable, Any], late: list[Hashable]) -> None:
    """Warn of forecasters that take a column that comes late for one that is known ahead."""
    for name, model in named.items():
        ahead = [column for column in late if is_forecaster(model) and column not in model.past_features]
        if ahead:
            warnings.warn(
                f"{name!r} learns from {ahead} as if they were known ahead, but delay says that they come late. Name "
                "them in past_features.",
                UserWarning,
                stacklevel=3,
            )


def _cells(named: dict[Hashable, Any], refit: bool | int, n_folds: int) -> list[Cell]:
    every = {name: _folds_a_fit(refit, name, model, n_folds) for name, model in named.items()}
    return [
        Cell(name, model, first, min(first + every[name], n_folds))
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
