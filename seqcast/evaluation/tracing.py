"""Traces a difference between two sets of rows to a step of a pipeline, and a column to the target."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import rankdata
from sklearn.pipeline import Pipeline

from seqcast.panel import Floats

__all__ = ["leaking_step", "mirrors", "same"]

Rows = NDArray[np.bool_]


def leaking_step(fitted: Any, before: Any, after: Any, is_first: Rows) -> str:
    """Return the first step whose output in the first rows depends on later rows of its input; else the last step."""
    *transformers, (last, _) = _steps(fitted)
    for name, step in transformers:
        out, changed = step.transform(before), step.transform(after)
        if same(before, after, is_first):
            is_leaking = not same(out, changed, is_first)
        else:
            alone = step.transform(before[is_first])
            is_leaking = not same(alone, out[is_first], is_first[is_first])
        if is_leaking:
            return name
        before, after = out, changed
    return last


def same(before: Any, after: Any, rows: Rows) -> bool:
    """Return whether some rows are equal up to rounding, whatever they hold."""
    if np.shape(before) != np.shape(after):
        return False
    before, after = (np.asarray(v.toarray() if sparse.issparse(v) else v)[rows] for v in (before, after))
    try:
        before, after = before.astype(np.float64), after.astype(np.float64)
    except (TypeError, ValueError):
        return bool(np.all((before == after) | (pd.isna(before) & pd.isna(after))))
    size = np.max(np.abs(before[np.isfinite(before)]), initial=0.0)
    return bool(np.allclose(before, after, rtol=1e-9, atol=1e-9 * size, equal_nan=True))


def mirrors(values: pd.Series, target: pd.Series, horizon: int) -> bool:
    """Return whether a column is the target, moved by less than the horizon, and no earlier part of it."""
    if isinstance(values.index, pd.MultiIndex):  # one series tells
        first = values.index.get_level_values(0) == values.index[0][0]
        values, target = values[first], target[first]
    x, y = (column.to_numpy(np.float64, na_value=np.nan) for column in (values, target))
    earlier = range(horizon, horizon + min(len(x) // 2, 400))
    for a, b, of_ranks, least in ((np.diff(x), np.diff(y), False, 0.999), (x, y, True, 0.9999)):
        found = max(_correlation(a, b, shift, of_ranks) for shift in range(1 - horizon, horizon + 1))
        if found > least and found > 1e-6 + max(_correlation(a, b, -lag, of_ranks) for lag in earlier):
            return True
    return False


def _steps(fitted: Any) -> Iterator[tuple[str, Any]]:
    """Names of the transformers that rows go through, and of the estimator behind them."""
    name = type(fitted).__name__
    while True:
        inner = next((getattr(fitted, a) for a in ("best_estimator_", "regressor_") if hasattr(fitted, a)), None)
        if inner is not None:
            fitted = inner
        elif isinstance(fitted, Pipeline):
            yield from ((n, step) for n, step in fitted.steps[:-1] if step not in (None, "passthrough"))
            name, fitted = fitted.steps[-1]
        else:
            yield name, fitted
            return


def _correlation(x: Floats, y: Floats, shift: int, of_ranks: bool) -> float:
    """Absolute correlation of x[t] with y[t + shift] where both are known; 0 for fewer than 10 pairs."""
    x, y = (x[: len(x) - shift], y[shift:]) if shift >= 0 else (x[-shift:], y[: len(y) + shift])
    known = ~np.isnan(x) & ~np.isnan(y)
    x, y = x[known], y[known]
    if len(x) < 10 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(abs(np.corrcoef(*((rankdata(x), rankdata(y)) if of_ranks else (x, y)))[0, 1]))
