"""The targets of a backtest on their grid of times, and the origins that a splitter cuts there."""

import warnings
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.offsets import BaseOffset

from seqcast.exceptions import SeriesFailedWarning, ShortSeriesError
from seqcast.frames import read_target
from seqcast.panel import Floats, Integers, Panel
from seqcast.schema import check_columns, lay

__all__ = [
    "Folds",
    "History",
    "Targets",
    "by_series",
    "cut_folds",
    "has_late_columns",
    "read_history",
    "take_rows",
    "targets_of",
]


@dataclass(frozen=True)
class History:
    """Covariates and targets as the user gave them, and where their rows lie on the grid."""

    X: Any  # frame or array; None without covariates
    y: Any
    panel: Panel
    steps: Integers  # (n_rows,) grid step of each row of y
    codes: Integers  # (n_rows,) series of each row; 0 where a row holds all series
    n_columns: int  # series in each row
    was_wide: bool = False  # a frame whose columns do not begin together

    def rows(self, train: Integers | slice) -> Integers:
        """Rows whose grid step is in `train`."""
        if isinstance(train, slice):
            return np.flatnonzero((self.steps >= train.start) & (self.steps < train.stop))
        return np.flatnonzero(np.isin(self.steps, train))

    def take(self, rows: Integers) -> tuple[Any, Any]:
        """X and y of some rows; X is an index-only frame where there are no covariates."""
        y = take_rows(self.y, rows)
        if self.X is not None:
            return take_rows(self.X, rows), y
        return pd.DataFrame(index=y.index if hasattr(y, "index") else range(len(y))), y


@dataclass(frozen=True)
class Folds:
    """Origins in order of time, and the test steps of each."""

    trains: list[Integers | slice]  # grid steps to train on
    origins: Integers  # (n_folds,) last step of training
    tested: Integers  # (n_tested,) test steps of all folds, one fold behind the other
    fold: Integers  # (n_tested,) fold of each

    @property
    def horizon(self) -> int:
        """Steps from an origin to the last step tested, at most."""
        return int((self.tested - self.origins[self.fold]).max())


@dataclass(frozen=True)
class Targets:
    """The steps to forecast, one entry for each series, origin and step; the same for all models."""

    series: Integers
    fold: Integers
    step: Integers  # 1 is the step after the origin
    row: Integers  # row of the panel
    actual: Floats


def read_history(X: Any, y: Any, freq: str | BaseOffset | None) -> History:
    """Read targets and lay them on the grid; raise where X does not have their rows."""
    layout, values, index = read_target(y)  # (n_rows, n_columns)
    n_rows, n_columns = values.shape
    if n_rows == 0 or n_columns == 0:
        raise ValueError(f"y has no values (shape {values.shape}). Give at least one series.")
    if X is not None and len(X) != n_rows:
        raise ValueError(f"X has {len(X)} rows, y has {n_rows}. Give X the rows of y: X.loc[y.index].")
    if hasattr(X, "index") and index is not None and not X.index.equals(index):
        raise ValueError("X and y have different indexes. Align them with X.reindex(y.index).")
    panel, codes, steps = lay(layout, values, np.empty((n_rows, 0)), index, (), freq=freq)
    return History(X, y, panel, steps, codes, n_columns)


def cut_folds(cv: Any, panel: Panel) -> Folds:
    """Let a splitter cut the steps of the grid; raise unless each fold tests what follows its training."""
    times = pd.DataFrame(index=panel.axis.index(np.arange(panel.ends.max())))
    trains, origins, tests = [], [], []
    for k, (train, test) in enumerate(_splits(cv, times)):
        if len(train) == 0 or len(test) == 0:
            raise ValueError(f"Fold {k} of {cv!r} has {len(train)} steps to train on and {len(test)} to test.")
        first, last = int(train.min()), int(train.max())
        if test.min() <= last:
            raise ValueError(
                f"Fold {k} of {cv!r} tests steps that do not follow its training. A backtest needs a splitter in order "
                "of time: RollingOriginSplit, or scikit-learn's TimeSeriesSplit. Hand this one to cross_val_score or "
                "GridSearchCV."
            )
        trains.append(slice(first, last + 1) if len(train) == last - first + 1 else train)
        origins.append(last)
        tests.append(np.sort(test))
    if not trains:
        raise ValueError(f"{cv!r} yields no folds. Give a splitter with at least one.")
    if np.any(np.diff(origins) < 0):
        raise ValueError(f"{cv!r} goes back in time: its folds must come with the earliest origin first.")
    fold = np.repeat(np.arange(len(tests)), [len(test) for test in tests])
    return Folds(trains, np.array(origins, np.int64), np.concatenate(tests).astype(np.int64), fold)


def has_late_columns(history: History, folds: Folds, delays: Integers) -> bool:
    """Whether a column of a wide frame, all of which have values, has none in the first training steps."""
    if history.n_columns == 1:
        return False
    has_values = np.logical_or.reduceat(~np.isnan(history.panel.values), history.panel.indptr[:-1])
    return bool(has_values.all() and not _is_begun(history.panel, folds, delays)[:, 0].all())


def by_series(history: History, freq: str | BaseOffset | None) -> History:
    """A wide frame as rows by series and time, each series from its first value on, with the covariates of the time."""
    layout, values, _ = read_target(history.y)
    X, y = history.X, pd.DataFrame(history.y)
    is_begun = np.maximum.accumulate(~np.isnan(values), axis=0)
    is_begun[:, is_begun.argmax(0).argmin()] = True  # of one all rows, so that the grid begins where it did
    column, row = np.nonzero(is_begun.T)
    index = pd.MultiIndex.from_arrays([y.columns.to_numpy()[column], y.index[row]], names=["series", y.index.name])
    if X is not None:
        check_columns(pd.DataFrame(X), values, layout, ())
        X = pd.DataFrame(X).iloc[row].set_axis(index)
    return replace(read_history(X, pd.Series(values[row, column], index), freq), was_wide=True)


def targets_of(panel: Panel, folds: Folds, delays: Integers) -> Targets:
    """The rows to forecast: those that were given, of series with a known value in the training steps of the fold."""
    n_tested = len(folds.tested)
    series = np.repeat(np.arange(panel.n_series), n_tested)
    fold, tested = np.tile(folds.fold, panel.n_series), np.tile(folds.tested, panel.n_series)
    offset = tested - panel.first[series]
    inside = (offset >= 0) & (offset < panel.lengths[series])
    row = panel.indptr[series] + np.where(inside, offset, 0)
    kept = inside & panel.present[row] & _is_begun(panel, folds, delays)[series, fold]
    series, fold, row = series[kept], fold[kept], row[kept]
    if len(row) == 0:
        raise ShortSeriesError(
            "No series has a known value before a test block. Take a later first origin: fewer folds."
        )
    _warn_of_unscored(panel.ids, series)
    step = tested[kept] - folds.origins[fold]
    return Targets(series, fold, step, row, panel.values[row])


def _warn_of_unscored(ids: tuple[Hashable, ...], series: Integers) -> None:
    unscored = [ids[i] for i in np.setdiff1d(np.arange(len(ids)), series)]
    if unscored:
        warnings.warn(
            f"{len(unscored)} of {len(ids)} series have no row to test after a known value and are not scored: "
            f"{', '.join(map(repr, unscored[:5]))}{' ...' if len(unscored) > 5 else ''}. Take fewer origins.",
            SeriesFailedWarning,
            stacklevel=4,
        )


def _splits(cv: Any, times: pd.DataFrame) -> Iterator[tuple[Integers, Integers]]:
    if not hasattr(cv, "split"):
        raise TypeError(f"cv must be a splitter such as RollingOriginSplit(horizon=24), got {cv!r}.")
    return cv.split(times)


def _is_begun(panel: Panel, folds: Folds, delays: Integers) -> NDArray[np.bool_]:
    """Whether each series has a known value from the start of training to each origin, (n_series, n_folds)."""
    known = np.concatenate([[0], np.cumsum(~np.isnan(panel.values))])
    starts = np.array([t.start if isinstance(t, slice) else t.min() for t in folds.trains])

    def count(steps: Integers) -> Integers:  # known values of each series before steps, (n_series, n_folds)
        offset = np.clip(steps - panel.first[:, None], 0, panel.lengths[:, None])
        return known[panel.indptr[:-1, None] + offset]

    return count(folds.origins + 1 - delays[:, None]) > count(starts)


def take_rows(data: Any, rows: Integers | NDArray[np.bool_]) -> Any:
    """Return some rows of a frame or an array, by number or mask."""
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows
    is_run = len(rows) > 0 and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows)))
    which = slice(rows[0], rows[-1] + 1) if is_run else rows  # a slice keeps the frequency of the index, copies nothing
    return data.iloc[which] if hasattr(data, "iloc") else np.asarray(data)[which]
