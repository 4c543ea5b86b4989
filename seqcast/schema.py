"""Schema: what fit saw of the user's frames, and how later frames are read against it."""

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.offsets import BaseOffset

from seqcast.exceptions import (
    LeakageWarning,
    MissingFeaturesError,
    MissingFeaturesWarning,
    MissingTimesError,
    UnknownSeriesError,
)
from seqcast.frames import SERIES, FeatureEncoder, Layout, read_features, read_pair, read_target, says_when
from seqcast.panel import Floats, Integers, Panel, check_order, read_panel_index, warn_of_dead_starts, warn_of_strides
from seqcast.times import TimeAxis

__all__ = ["Schema", "check_columns", "lay", "no_columns"]

N_LATEST = 10  # rows of a history, most of which should have covariates

_LOST_TIMES = (
    "These rows have lost their times, which the forecaster was fitted with; give a Series or frame with an index of "
    'times, in a pipeline by .set_output(transform="pandas").'
)


@dataclass(frozen=True)
class Schema:
    """Kind of the target, encoding of the covariates and grid of the times."""

    layout: Layout
    encoder: FeatureEncoder
    past_features: tuple[Hashable, ...]  # columns known only up to the origin
    axis: TimeAxis
    level_names: tuple[Hashable, ...]  # of a panel's two index levels, else empty

    @classmethod
    def fitted(cls, X: Any, y: Any, past_features: tuple, freq: str | BaseOffset | None) -> tuple["Schema", Panel]:
        """Read the arguments of fit."""
        layout, values, frame, index = read_pair(X, y)
        if values.size == 0:
            raise ValueError(
                f"Found array with 0 sample(s) (shape={values.shape}) while a minimum of 1 is required: the target is "
                "empty. Look at the filter or the join that it comes from."
            )
        frame = no_columns(len(values)) if frame is None else frame
        check_columns(frame, values, layout, past_features)
        encoder = FeatureEncoder.fitted(frame)
        panel, *_ = lay(layout, values, encoder.encode(frame), index, encoder.names, freq=freq)
        warn_of_strides(panel, 4)
        warn_of_dead_starts(panel, 4)
        names = tuple(index.names) if layout.has_levels else ()
        return cls(layout, encoder, tuple(past_features), panel.axis, names), panel

    @property
    def past_mask(self) -> NDArray[np.bool_]:
        """For each encoded covariate, whether it is known only up to the origin."""
        return np.array([source in self.past_features for source in self.encoder.sources], dtype=bool)

    def read(self, X: Any, y: Any = SERIES, *, start: int = 0) -> Panel:
        """Return the panel of other data of the same kind; rows without times count from `start`."""
        layout, values, frame, index = read_pair(X, y)
        if (layout.is_wide, layout.has_levels) != (self.layout.is_wide, self.layout.has_levels):
            raise ValueError(
                f"The target is a {layout.kind}, the forecaster was fitted on a {self.layout.kind}. Give the same kind."
            )
        frame = no_columns(len(values)) if frame is None else frame
        panel = self._lay(layout, values, frame, index, start)
        is_unnamed = panel.ids == (None,) and self.layout.kind == "series"
        return replace(panel, ids=self.layout.columns) if is_unnamed else panel

    def read_history(
        self, frame: pd.DataFrame | None, x_index: Any, history: Any, fitted: Panel
    ) -> tuple[Layout, Panel]:
        """Return layout and panel of another history, whose covariates are the rows of a frame at its times.

        Those that it does not hold are those that fit, or an update, saw at that time of that series.
        """
        layout, values, index = read_target(history)
        n_rows, names = len(values), self.encoder.names
        if n_rows == 0:
            raise ValueError("history has no rows. Give at least one.")
        if self.axis.kind != "none" and not says_when(index):
            raise MissingTimesError("history has no times, the forecaster was fitted with times. Give it an index.")
        is_held = np.zeros(n_rows, bool)
        if frame is None or not self.encoder.columns:
            frame = no_columns(n_rows)
        elif says_when(index) and says_when(x_index):
            is_held, frame = index.isin(x_index), frame.set_axis(x_index).reindex(index)
        elif len(frame) >= n_rows:
            is_held, frame = np.ones(n_rows, bool), frame.iloc[:n_rows]
        else:  # rows ahead
            frame = no_columns(n_rows)
        has_values = [c in frame.columns and frame[c].notna().any() for c in self.encoder.sources]
        is_given = is_held[:, None] & np.array(has_values, bool)
        features = np.hstack([self.encoder.encode(frame), is_given])
        panel, *_ = lay(layout, values, features, index, (*names, *names), axis=self.axis)
        warn_of_strides(panel, 5)
        features, is_given = panel.features[:, : len(names)], panel.features[:, len(names) :] == 1
        panel = replace(panel, features=features.copy(), feature_names=names)
        if names:
            self._complete(panel, is_given, fitted)
        return layout, panel

    def _complete(self, panel: Panel, is_given: NDArray[np.bool_], fitted: Panel) -> None:
        """Fill in what is not given from another panel, by labels and times; warn where the latest rows have nothing.

        What was given as NaN was not known then, and stays so.
        """
        numbers = {label: i for i, label in enumerate(fitted.ids) if label is not None}
        codes = np.array([numbers.get(label, -1) for label in panel.ids])
        if self.axis.kind != "none":
            rows, theirs = fitted.shared_rows(panel, np.maximum(codes, 0))
            is_same = codes[panel.codes()[rows]] >= 0
            rows, theirs = rows[is_same], theirs[is_same]
            panel.features[rows] = np.where(is_given[rows], panel.features[rows], fitted.features[theirs])
            is_given[rows] = True
        series = panel.codes()
        to_end = panel.indptr[series + 1] - np.arange(len(series))
        is_latest = panel.present & (to_end <= N_LATEST)
        missing, latest = (np.bincount(series, x & is_latest) for x in (~is_given.all(1), is_latest))
        empty = np.flatnonzero(2 * missing > latest)
        if len(empty):
            warnings.warn(
                f"The latest rows of {panel.name_of(empty[0])} have no covariates ({len(empty)} such series), or not "
                "all: these are missing. Give X the rows of the history too, not only those ahead.",
                MissingFeaturesWarning,
                stacklevel=5,
            )

    def _lay(self, layout: Layout, values: Floats, frame: pd.DataFrame, index: Any, start: int) -> Panel:
        features, names = self.encoder.encode(frame), self.encoder.names
        return lay(layout, values, features, index, names, axis=self.axis, start=start)[0]

    def read_rows(self, X: Any) -> tuple[pd.DataFrame, Any]:
        """Return covariates and index (None without) of rows; without covariates only the index is read."""
        if isinstance(X, (int, np.integer)):
            raise TypeError(f"X={X} is a number, and must be rows, whose index says when. Use forecast({X}) for steps.")
        if self.encoder.columns:
            frame, index = read_features(X)
            absent = [c for c in self.past_features if c not in frame.columns]
            if index is not None and absent:
                frame = frame.reindex(columns=[c for c in self.encoder.columns if c in frame.columns or c in absent])
            return frame, index
        if isinstance(X, pd.Index):
            return no_columns(len(X)), X
        return no_columns(len(X)), getattr(X, "index", None) if isinstance(X, (pd.Series, pd.DataFrame)) else None

    def check_use(self, X: Any) -> None:
        """Raise where rows ahead have columns, and fit had no covariates."""
        columns: list[Any] = []
        if isinstance(X, pd.Series) and pd.api.types.is_numeric_dtype(X):
            columns = [X.name]
        elif isinstance(X, (pd.DataFrame, np.ndarray)) and X.ndim == 2:
            columns = list(getattr(X, "columns", range(X.shape[1])))
        if columns and not self.encoder.columns:
            raise ValueError(
                f"The columns {columns[:5]} of X would not be read: fit had no covariates. Fit with them, fit(X, y); "
                "another end of the series is given as history=."
            )

    def check_labels(self, frame: pd.DataFrame) -> None:
        """Raise for other column labels than in fit; scikit-learn checks only those that are strings."""
        if not isinstance(self.encoder.columns[0], int) and tuple(frame.columns) != self.encoder.columns:
            raise ValueError(
                f"The columns of X are {list(frame.columns)}, in fit they were {list(self.encoder.columns)}. "
                "Give the same ones in this order."
            )

    def locate(self, panel: Panel, index: Any, n_rows: int, start: int) -> tuple[Integers, Integers]:
        """Return series numbers in `panel` and grid steps of rows, those without times counted from `start`."""
        if isinstance(index, pd.MultiIndex) != self.layout.has_levels:
            if not says_when(index):
                raise MissingTimesError(_LOST_TIMES)
            held = "(series, time), that of fit held times alone; give X.loc[label]"
            if self.layout.has_levels:
                held = "times alone, that of fit held (series, time); give pd.concat({label: X})"
            raise MissingTimesError(f"The index of X holds {held}.")
        if isinstance(index, pd.MultiIndex):
            _, codes, steps, ids = read_panel_index(index, axis=self.axis)
            number = {label: i for i, label in enumerate(panel.ids)}
            unknown = [label for label in ids if label not in number]
            if unknown:
                raise UnknownSeriesError(
                    f"Series {unknown[:5]} were not in fit. Forecast them with forecast(history=...); to "
                    "cross-validate a panel use RollingOriginSplit, "
                    "since TimeSeriesSplit and KFold cut panels by row."
                )
            return np.array([number[label] for label in ids], dtype=np.int64)[codes], steps
        codes = np.zeros(n_rows, np.int64)
        if says_when(index):
            if self.axis.kind == "none" and not pd.api.types.is_integer_dtype(index.dtype):
                raise MissingTimesError("X has times, the forecaster was fitted without. Give fit the times too.")
            return codes, self.axis.positions(index)
        if self.axis.kind != "none":
            raise MissingTimesError(_LOST_TIMES)
        return codes, start + np.arange(n_rows)

    def spread(
        self, panel: Panel, codes: Integers, steps: Integers, features: Floats
    ) -> tuple[Integers, Integers, Floats]:
        """Return rows for every series where each row stands for all columns of a wide target."""
        if not self.layout.is_wide:
            return codes, steps, features
        n = panel.n_series
        return np.repeat(np.arange(n), len(steps)), np.tile(steps, n), np.tile(features, (n, 1))

    def is_training(self, panel: Panel, ends: Integers, X: Any, features: Floats, index: Any) -> bool:
        """Whether rows without times are the rows of fit themselves, whose `ends` are given, or these and all since."""
        n_rows = len(features)
        if says_when(index) or self.layout.has_levels or n_rows not in (panel.lengths[0], ends[0] - panel.first[0]):
            return False
        if self.encoder.columns:
            return np.array_equal(features, panel.features[panel.series(0)][:n_rows], equal_nan=True)
        held = panel.values.reshape(panel.n_series, -1)[:, :n_rows].ravel()
        same = np.size(X) == held.size and np.asarray(X, dtype=np.float64).T.ravel()
        return np.size(X) == 0 or np.array_equal(same, held, equal_nan=True)

    def positions(self, panel: Panel, codes: Integers, steps: Integers) -> Integers:
        """Return the rows of grid steps, counted from the first of their series; raise for rows before it."""
        positions = steps - panel.first[codes]
        if (positions < 0).any():
            k = int(np.argmax(positions < 0))
            raise ValueError(
                f"Row {panel.time_of(steps[k])} of {panel.name_of(codes[k])} lies before the history, "
                f"which starts at {panel.time_of(panel.first[codes[k]])}. Fit on earlier rows too."
            )
        return positions

    def rows_ahead(
        self, panel: Panel, codes: Integers, steps: Integers, features: Floats, horizon: int | None, default: int
    ) -> tuple[NDArray[np.bool_], int]:
        """Return which rows lie after the history, and the horizon, theirs if none is given, or the default.

        Raise where rows are missing, warn where all of them lack a covariate.
        """
        beyond = steps - panel.ends[codes]  # steps after the history
        ahead = beyond >= 0
        reach = np.zeros(panel.n_series, np.int64)  # steps that each series is given
        np.maximum.at(reach, codes, beyond + 1)
        longest = int(reach.max(initial=0))
        is_even = reach.min(initial=longest) > 0 and len(np.unique(panel.ends + reach)) == 1  # all to one time
        horizon = horizon or (int(reach.min()) if is_even else longest) or default
        given = np.zeros((panel.n_series, max(longest, horizon)), bool)
        given[codes[ahead], beyond[ahead]] = True
        self.check_future(panel, given[:, :horizon], steps)
        self._warn_of_unknown(panel.features, features[ahead])
        return ahead, horizon

    def _warn_of_unknown(self, history: Floats, ahead: Floats) -> None:
        """Warn of covariates that are known ahead, and NaN in all rows ahead: a join has failed."""
        is_lost = np.isnan(ahead).all(0) & ~np.isnan(history).all(0) & (len(ahead) > 0)
        lost = {self.encoder.sources[k] for k in np.flatnonzero(is_lost)} - set(self.past_features)
        if lost:
            warnings.warn(
                f"{sorted(lost, key=str)[:5]} are NaN in all rows ahead: the forecast goes without them. Give their "
                "values, or name what is not known ahead in past_features.",
                MissingFeaturesWarning,
                stacklevel=5,
            )

    def assemble_steps(
        self,
        layout: Layout,
        panel: Panel,
        values: Floats,
        labels: Sequence[Hashable] | None = None,
        level: str | None = None,
    ) -> Any:
        """Return forecasts (n_series, horizon, ...) in the kind of the history, whose index they continue."""
        steps = panel.ends[:, None] + np.arange(values.shape[1])  # (n_series, horizon)
        if layout.is_wide:
            return layout.assemble(np.moveaxis(values, 0, 1), panel.axis.index(steps[0]), labels, level)
        index = panel.axis.index(steps.ravel())
        if layout.has_levels:
            series = pd.Index(list(panel.ids), tupleize_cols=False).repeat(values.shape[1])
            index = pd.MultiIndex.from_arrays([series, index], names=self.level_names or None)
        return layout.assemble(values.reshape(-1, *values.shape[2:]), index, labels, level)

    def check_future(self, panel: Panel, given: NDArray[np.bool_], steps: Integers | None = None) -> None:
        """Raise where rows ahead are not given, shape (n_series, horizon), though covariates are known there.

        `steps` are those of the rows that there are.
        """
        known = [c for c in self.encoder.columns if c not in self.past_features]
        if known and not given.all():
            i, k = np.argwhere(~given)[0]
            time, held = panel.time_of(panel.ends[i] + k), ""
            if steps is not None and len(steps):
                held = f", X holds rows from {panel.time_of(steps.min())} to {panel.time_of(steps.max())}"
            raise MissingFeaturesError(
                f"The forecast of {panel.name_of(i)} needs the covariates {known[:5]} of {given.shape[1]} "
                f"steps; the first missing row is {time}{held}. "
                "Give them in X, or name columns that are not known ahead in past_features; of some series alone give "
                "history= too."
            )

    def told(self, panel: Panel, new: Panel, codes: Integers, *, overwrite: bool) -> Panel:
        """Return what is new: of rows that the history has, no covariate that is said to be missing.

        Raise for rows before the history, and where what is known changes; warn of new rows without covariates.
        """
        self.positions(panel, codes, new.first)
        rows, mine = panel.shared_rows(new, codes)
        rows, mine = rows[panel.present[mine]], mine[panel.present[mine]]
        flags, features = self.encoder.are_flags, new.features.copy()
        features[rows] = np.where(flags & (features[rows] == 1), np.nan, features[rows])
        new = replace(new, features=features)
        kept = np.where(flags & (panel.features[mine] == 1), np.nan, panel.features[mine])
        old, given = np.column_stack((panel.values[mine], kept)), np.column_stack((new.values[rows], features[rows]))
        changed = ~np.isnan(old) & ~np.isnan(given) & ~np.isclose(old, given, rtol=1e-6)
        if changed.any() and not overwrite:
            k, j = np.argwhere(changed)[0]
            what = f"covariate {self.encoder.names[j - 1]!r}" if j else "target"
            raise ValueError(
                f"{changed.sum()} known values change, the first of {new.name_of(new.codes()[rows[k]])}, its {what}, "
                f"at {new.time_of(new.steps()[rows[k]])}. Pass overwrite=True if that is meant."
            )
        is_new = new.present.copy()
        is_new[rows] = False
        if self.encoder.columns and is_new.any() and np.isnan(new.features[is_new]).all():
            warnings.warn(
                "The new rows have no covariates: these are missing from now on. Give X the new rows too.",
                MissingFeaturesWarning,
                stacklevel=3,
            )
        return new

    def check_kept(self, panel: Panel, codes: Integers, positions: Integers, features: Floats) -> None:
        """Raise where training rows come with other covariates than they had."""
        rows = panel.indptr[codes] + positions
        kept = panel.present[rows]
        same = np.isclose(features[kept], panel.features[rows[kept]], rtol=1e-6, atol=1e-9, equal_nan=True)
        if not same.all():
            k, j = np.argwhere(~same)[0]
            time = panel.time_of((panel.first[codes] + positions)[kept][k])
            raise ValueError(
                f"Training rows must carry the covariates they had in fit: {self.encoder.names[j]!r} differs at {time}."
            )


def no_columns(n_rows: int) -> pd.DataFrame:
    """Return a frame of rows without columns."""
    return pd.DataFrame(index=pd.RangeIndex(n_rows))


def lay(
    layout: Layout,
    values: Floats,
    features: Floats,
    index: Any,
    feature_names: tuple[str, ...],
    *,
    axis: TimeAxis | None = None,
    freq: str | BaseOffset | None = None,
    start: int = 0,
) -> tuple[Panel, Integers, Integers]:
    """Lay read data on the grid: the panel, and for each row the number of its series and its grid step."""
    n_rows, n_columns = values.shape
    ids, codes = layout.columns, np.zeros(n_rows, np.int64)
    if isinstance(index, pd.MultiIndex):
        if n_columns > 1:
            raise ValueError(f"A panel has one target column, got {n_columns}. Give y as a Series.")
        axis, codes, steps, ids = read_panel_index(index, axis=axis, freq=freq)
    elif says_when(index):
        axis = axis or TimeAxis.infer(index, freq)
        steps = axis.positions(index)
    elif axis is not None and axis.kind != "none":
        raise MissingTimesError(_LOST_TIMES)
    else:
        axis, steps = axis or TimeAxis.counted(None if index is None else index.name), start + np.arange(n_rows)
    check_order(codes, steps, axis, ids)
    places = codes, steps, features
    if n_columns > 1:
        places = np.arange(n_columns).repeat(n_rows), np.tile(steps, n_columns), np.tile(features, (n_columns, 1))
    flat = values.T.ravel()
    panel = Panel.from_rows(*places[:2], flat, places[2], ids=ids, axis=axis, feature_names=feature_names)
    return panel, codes, steps


def check_columns(frame: pd.DataFrame, values: Floats, layout: Layout, past_features: tuple) -> None:
    """Raise for unknown past features and a covariate of the target's name; warn of one that equals the target."""
    unknown = [c for c in past_features if c not in frame.columns]
    if unknown:
        raise ValueError(f"past_features {unknown} are not among the columns of X, {list(frame.columns)}.")
    named = [] if layout.kind == "array" else [c for c in layout.columns if c is not None and c in frame.columns]
    if named:
        raise ValueError(
            f"Covariate {named[0]!r} bears the name of the target: drop it from X, or rename it if it is "
            "something else."
        )
    for label, column in frame.items():
        if not pd.api.types.is_numeric_dtype(column.dtype) or column.dtype.kind == "c":
            continue
        numbers = column.to_numpy(np.float64, na_value=np.nan)
        if any(_is_copy(numbers, target) for target in values.T):
            warnings.warn(
                f"Covariate {label!r} equals the target: the forecast would know its answer. Drop it, or lag "
                "it with LagFeatures.",
                LeakageWarning,
                stacklevel=5,
            )


def _is_copy(column: Floats, target: Floats) -> bool:
    known = ~np.isnan(target)
    return bool(known.sum() > 1 and np.array_equal(column[known], target[known]) and np.ptp(target[known]) > 0)
