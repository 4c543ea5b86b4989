"""What was known at an origin: readings that come late, and covariates as they were told then."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from seqcast._parameters import at_least
from seqcast.evaluation.folds import History
from seqcast.panel import Integers

__all__ = ["Knowledge", "split_issues"]

_LEVEL = "as_of"


@dataclass(frozen=True)
class Knowledge:
    """What is hidden at an origin."""

    delays: Integers  # (n_series,): steps by which the values of each series come late
    readings: dict[int, int]  # steps for columns of X, by number; their later rows are hidden too
    issues: pd.DataFrame | None  # covariates with the index level "as_of"

    @classmethod
    def of(cls, history: History, delay: int | Mapping[Hashable, int], issues: pd.DataFrame | None) -> "Knowledge":
        """Read `delay`; raise for a label that is neither a series nor a column of X."""
        ids = ["y" if label is None else label for label in history.panel.ids]
        X = history.X if issues is None else issues
        columns = list(X.columns) if isinstance(X, pd.DataFrame) else list(range(0 if X is None else X.shape[1]))
        by_label = isinstance(delay, Mapping)
        given = dict(delay) if isinstance(delay, Mapping) else dict.fromkeys(ids, delay)
        for label, steps in given.items():
            if not at_least(0).holds(steps):
                raise ValueError(f"delay must be an integer of at least 0, got {steps!r} for {label!r}.")
            if by_label and (label in ids) + (label in columns) != 1:
                raise ValueError(f"delay: {label!r} must be one of the series {ids[:5]} or of the columns {columns}.")
        delays = np.array([given.get(label, 0) for label in ids], dtype=np.int64)
        late = {columns.index(label): steps for label, steps in given.items() if by_label and label in columns}
        return cls(delays, late, issues)

    @property
    def is_complete(self) -> bool:
        """Whether all rows up to an origin are known there, whichever it is."""
        return self.issues is None and not self.readings and not self.delays.any()

    def columns(self, history: History) -> list[Hashable]:
        """Labels of the columns of X that are readings."""
        X = history.X if self.issues is None else self.issues
        return [X.columns[k] if isinstance(X, pd.DataFrame) else k for k in self.readings]

    def at(self, history: History, origin: int) -> History:
        """Return the history as it was known at a step of the grid."""
        if self.is_complete:
            return history
        return replace(history, X=self._covariates(history, origin), y=self._targets(history, origin))

    def _targets(self, history: History, origin: int) -> Any:
        if not self.delays.any():
            return history.y
        columns = history.codes[:, None] + np.arange(history.n_columns)  # (n_rows, n_columns)
        late = history.steps[:, None] > origin - self.delays[columns]
        if isinstance(history.y, pd.Series):
            return history.y.astype(np.float64).mask(late[:, 0])
        if isinstance(history.y, pd.DataFrame):
            return history.y.astype(np.float64).mask(late)
        y = np.asarray(history.y, dtype=np.float64)
        return np.where(late.reshape(y.shape), np.nan, y)

    def _covariates(self, history: History, origin: int) -> Any:
        X = history.X if self.issues is None else _issued(self.issues, history, origin)
        if not self.readings:
            return X
        X = X.copy() if isinstance(X, pd.DataFrame) else np.array(X, dtype=np.float64)
        for column, steps in self.readings.items():
            late = history.steps > origin - steps
            if isinstance(X, pd.DataFrame):
                X.isetitem(column, X.iloc[:, column].mask(late))
            else:
                X[late, column] = np.nan
        return X


def split_issues(X: Any, y: Any) -> tuple[pd.DataFrame | None, Any]:
    """Return (X, None) if the covariates have the index level "as_of", else (None, X)."""
    if not (isinstance(X, pd.DataFrame) and _LEVEL in X.index.names):
        return None, X
    if not hasattr(y, "index"):
        raise ValueError('Covariates with the index level "as_of" need a y with times: give it an index.')
    times, issued = X.index.droplevel(_LEVEL), X.index.get_level_values(_LEVEL)
    if times.nlevels != y.index.nlevels:
        raise ValueError(f'X must have the index levels of y, {list(y.index.names)}, and "as_of"; got {X.index.names}.')
    if times.get_level_values(-1).dtype.kind != issued.dtype.kind:
        raise ValueError(f'The level "as_of" must hold times like the index of y, got {issued.dtype}.')
    if X.index.has_duplicates:
        raise ValueError(f"Issue {X.index[X.index.duplicated()][0]} of X comes twice. Keep one.")
    return X, None


def _issued(issues: pd.DataFrame, history: History, origin: int) -> pd.DataFrame:
    """The last issue before each row's own time, and known at the origin; NaN where there is none."""
    rows, issued = issues.index.droplevel(_LEVEL), issues.index.get_level_values(_LEVEL)
    now = history.panel.axis.index(np.array([origin]))[0]
    told = np.asarray((issued <= now) & (issued < rows.get_level_values(-1)))
    known = issues.set_axis(rows)[told].iloc[np.argsort(issued[told], kind="stable")]
    known = known[~known.index.duplicated(keep="last")]
    return known.reindex(history.y.index)
