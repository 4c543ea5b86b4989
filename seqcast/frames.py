"""The user's side of a panel: reads the kinds of targets and covariates, and gives forecasts back in the same kind."""

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from seqcast.exceptions import MissingTimesError, NonFiniteError, UnknownCategoryWarning
from seqcast.times import has_times

__all__ = ["SERIES", "FeatureEncoder", "Layout", "read_features", "read_pair", "read_target"]

Floats = NDArray[np.float64]

LARGEST = 1e150  # of values whose sums of squares stay finite


class _Sentinel(Enum):
    """Stands for a y that was not given. None would not do: a Pipeline hands on an explicit None."""

    SERIES = "SERIES"

    def __repr__(self) -> str:
        return self.value


SERIES = _Sentinel.SERIES


@dataclass(frozen=True)
class Layout:
    """The kind of a target, which is the kind of its forecasts."""

    kind: str  # "series"; "wide": columns are series; "panel": rows are (series, time); "array"
    columns: tuple[Hashable, ...] = (None,)  # name of the Series, labels of the wide frame, name of the panel's column
    names: tuple[Hashable, ...] = (None,)  # of the wide frame's column levels
    is_frame: bool = False  # whether a panel came as a frame of one column, an array with two dimensions
    has_levels: bool = False  # whether the rows are (series, time), whatever the kind

    @property
    def is_wide(self) -> bool:
        """Whether each row holds a value of every series."""
        return self.kind == "wide" or (self.kind == "array" and self.is_frame)

    def assemble(
        self, values: NDArray[Any], index: pd.Index, labels: Sequence[Hashable] | None = None, level: str | None = None
    ) -> Any:
        """Return values (n_rows,), if wide (n_rows, n_series), in the kind of the target.

        A last axis has the `labels` of quantiles, paths or an interval; `level` is their name.
        """
        if self.kind == "array":
            return values
        if labels is None:
            if self.kind == "wide":
                return pd.DataFrame(values, index=index, columns=self._series_index(), copy=False)
            if self.is_frame:
                return pd.DataFrame(values, index=index, columns=list(self.columns))
            return pd.Series(values, index=index, name=self.columns[0], copy=False)
        if self.kind != "wide":
            return pd.DataFrame(values, index=index, columns=pd.Index(labels, name=level))
        series = self._series_index()
        levels = [series.get_level_values(k).repeat(len(labels)) for k in range(series.nlevels)]
        levels.append(pd.Index(list(labels) * len(series)))
        columns = pd.MultiIndex.from_arrays(levels, names=[*series.names, level])
        return pd.DataFrame(values.reshape(len(index), -1), index=index, columns=columns)

    def _series_index(self) -> pd.Index:
        if len(self.names) > 1:
            return pd.MultiIndex.from_tuples(self.columns, names=self.names)
        return pd.Index(list(self.columns), name=self.names[0], tupleize_cols=False)


@dataclass(frozen=True)
class FeatureEncoder:
    """Covariate columns as numbers: categories one-hot, and a column "is missing" where values were missing in fit."""

    columns: tuple[Hashable, ...]  # in the order of fit
    categories: tuple[tuple | None, ...]  # of each column, None for a number
    is_flagged: tuple[bool, ...]  # whether each column had missing values in fit

    @classmethod
    def fitted(cls, frame: pd.DataFrame) -> "FeatureEncoder":
        """Return the encoder of a frame."""
        columns = [column for _, column in frame.items()]
        kept = (c.dtype.categories if isinstance(c.dtype, pd.CategoricalDtype) else None for c in columns)
        categories = tuple(None if labels is None else tuple(labels.tolist()) for labels in kept)
        return cls(tuple(frame.columns), categories, tuple(bool(column.isna().any()) for column in columns))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the encoded columns."""
        return tuple(name for i in range(len(self.columns)) for name in self._names_of(i))

    @property
    def are_flags(self) -> NDArray[np.bool_]:
        """Which encoded columns say that a value is missing."""
        names = (self._names_of(i) for i in range(len(self.columns)))
        marks = [[False] * (len(own) - 1) + [flag] for own, flag in zip(names, self.is_flagged, strict=True)]
        return np.array([mark for own in marks for mark in own], dtype=bool)

    @property
    def sources(self) -> tuple[Hashable, ...]:
        """For each encoded column the column it comes from."""
        return tuple(self.columns[i] for i in range(len(self.columns)) for _ in self._names_of(i))

    def encode(self, frame: pd.DataFrame) -> Floats:
        """Return the encoded columns, shape (n_rows, len(names)); a column the frame lacks is NaN."""
        out = np.full((len(frame), len(self.names)), np.nan)
        start = 0
        for i, column in enumerate(self.columns):
            width = len(self._names_of(i))
            if column in frame.columns:
                out[:, start : start + width] = self._encode_column(frame[column], i)
            start += width
        return out

    def _names_of(self, i: int) -> list[str]:
        kept = self.categories[i]
        names = [str(self.columns[i])] if kept is None else [f"{self.columns[i]}={category}" for category in kept]
        return [*names, f"{self.columns[i]} is missing"] if self.is_flagged[i] else names

    def _encode_column(self, column: pd.Series, i: int) -> Floats:
        kept = self.categories[i]
        if kept is None:
            values = to_float(column, f"Covariate {column.name!r}")[:, None]
        else:
            codes = pd.Index(kept).get_indexer(column.astype(object).array)
            unknown = (codes < 0) & column.notna().to_numpy()
            if unknown.any():
                warnings.warn(
                    f"Covariate {column.name!r} holds categories that fit has not seen, "
                    f"{sorted(set(map(str, column[unknown])))[:5]}; they count as missing.",
                    UnknownCategoryWarning,
                    stacklevel=2,
                )
            values = np.where(codes[:, None] < 0, np.nan, codes[:, None] == np.arange(len(kept)))
        return np.hstack([values, np.isnan(values[:, :1])]) if self.is_flagged[i] else values


def read_pair(X: Any, y: Any) -> tuple[Layout, Floats, pd.DataFrame | None, Any]:
    """Return layout, values (n_rows, n_columns), covariates and index (None if there are none) of fit's arguments."""
    if y is SERIES:
        layout, values, index = read_target(X)
        return layout, values, None, index
    if y is None:
        raise ValueError("A forecaster requires y to be passed, but the target y is None. Give y: pipe.fit(X, y).")
    if isinstance(X, pd.Series) and isinstance(y, pd.DataFrame) and y.shape[1] > 1:
        raise TypeError(
            "X is a Series and y a frame, but covariates come first: fit(X, y). If the Series is a covariate, and the "
            "frame holds the targets, give X.to_frame()."
        )
    layout, values, y_index = read_target(y)
    if X is None:
        return layout, values, None, y_index
    frame, x_index = read_features(X)
    if len(frame) != len(values):
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has {len(frame)} rows, y has {len(values)} "
            "(covariates come first: fit(X, y))."
        )
    index = _common_index(x_index, y_index)
    if isinstance(index, pd.MultiIndex) and not layout.has_levels:
        layout = replace(layout, has_levels=True, kind="panel" if layout.kind == "series" else layout.kind)
    return layout, values, frame, index


def says_when(index: pd.Index | None) -> bool:
    """Whether an index holds times."""
    return index is not None and (isinstance(index, pd.MultiIndex) or has_times(index))


def shared_index(X: Any, y_index: pd.Index | None) -> pd.Index | None:
    """Return the index of rows to score, that of X where `y` has none; raise where both have one, and these differ."""
    x_index = X if isinstance(X, pd.Index) else X.index if isinstance(X, (pd.Series, pd.DataFrame)) else None
    return y_index if y_index is not None and not says_when(x_index) else _common_index(x_index, y_index)


def in_order_of(forecast: Any, y: Any) -> Any:
    """Return a wide target with its columns in the order of a forecast of it, whatever else is not wide as it is."""
    if not (isinstance(forecast, pd.DataFrame) and isinstance(y, pd.DataFrame) and y.shape[1] > 1):
        return y
    columns = forecast.columns
    columns = columns if columns.nlevels == y.columns.nlevels else columns.droplevel(-1).unique()
    if set(columns) != set(y.columns):
        raise ValueError(f"The columns of y are {list(y.columns)}, those forecast {list(columns)}. Give the same ones.")
    return y[list(columns)]


def _common_index(x_index: pd.Index | None, y_index: pd.Index | None) -> pd.Index | None:
    if not says_when(y_index):
        return x_index if says_when(x_index) or y_index is None else y_index
    if x_index is None or y_index is None or not says_when(x_index):
        raise MissingTimesError(
            'X lost its times, y has them; call .set_output(transform="pandas") on the pipeline, or give X the '
            "index of y."
        )
    if not x_index.equals(y_index):
        row = int(np.argmax(np.asarray(x_index != y_index))) if len(x_index) == len(y_index) else 0
        raise ValueError(
            f"X and y have different indexes, first at row {row}: {x_index[row]} and {y_index[row]}. Align "
            "them with X.reindex(y.index)."
        )
    return y_index


def read_target(y: Any) -> tuple[Layout, Floats, Any]:
    """Return layout, values of shape (n_rows, n_columns) and index (None for arrays) of a target."""
    if isinstance(y, (pd.Series, pd.DataFrame)):
        has_levels = isinstance(y.index, pd.MultiIndex)
        if isinstance(y, pd.Series):
            layout = Layout("panel" if has_levels else "series", (y.name,), has_levels=has_levels)
            return layout, to_float(y, f"Target {y.name!r}" if y.name is not None else "The target")[:, None], y.index
        columns, names = tuple(y.columns), tuple(y.columns.names)
        if y.columns.has_duplicates:
            raise ValueError(
                f"Column {y.columns[y.columns.duplicated()][0]!r} of y comes twice. Name each series once."
            )
        if has_levels and len(columns) != 1:
            raise ValueError(
                f"A panel has one target column, got {list(columns)}. Give y=frame['column'] and the others as X."
            )
        values = [to_float(y.iloc[:, k], f"Target {column!r}") for k, column in enumerate(columns)]
        layout = Layout("panel" if has_levels else "wide", columns, names, has_levels, has_levels)
        return layout, np.stack(values, axis=1) if values else np.empty((len(y), 0)), y.index
    array = np.asarray(_dense(y))
    if array.ndim not in (1, 2):
        raise ValueError(f"y has {array.ndim} dimensions; it must have 1 (rows) or 2 (rows, series).")
    columns = tuple(range(array.shape[1])) if array.ndim == 2 else (None,)
    return Layout("array", columns, is_frame=array.ndim == 2), to_float(array.reshape(len(array), -1), "y"), None


def read_features(X: Any) -> tuple[pd.DataFrame, pd.Index | None]:
    """Return covariates as a frame, and their index (None for arrays)."""
    if isinstance(X, pd.DataFrame):
        if X.columns.has_duplicates:
            raise ValueError(
                f"Column {X.columns[X.columns.duplicated()][0]!r} of X comes twice. Name each covariate once."
            )
        return X, X.index
    if isinstance(X, pd.Series):
        return X.to_frame(), X.index
    if isinstance(X, pd.Index):
        return pd.DataFrame(index=X), X
    array = np.asarray(_dense(X))
    if array.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {array.ndim}D array instead: X must be rows × covariates. Reshape your "
            "data: X.reshape(-1, 1) is one covariate."
        )
    if np.iscomplexobj(array):
        raise ValueError("Complex data not supported: give real and imaginary parts as two covariates.")
    if array.shape[1] == 0:
        raise ValueError(f"0 feature(s) (shape={array.shape}) while a minimum of 1 is required.")
    return pd.DataFrame(array), None


def to_float(column: Any, what: str) -> Floats:
    """Return numbers as float64, a copy; raise for text, a boolean target, complex numbers and infinity."""
    dtype = getattr(column, "dtype", None)
    if np.issubdtype(getattr(dtype, "type", object), np.complexfloating):
        raise ValueError(f"Complex data not supported: {what} holds {dtype} values.")
    if getattr(dtype, "kind", "O") == "b" and what.startswith(("Target", "The target", "y")):
        raise TypeError(f"{what} holds booleans; a target must be numeric. Use .astype(float) if 0 and 1 are meant.")
    is_text = getattr(dtype, "kind", "") == "O" and pd.api.types.infer_dtype(column, skipna=True) == "string"
    if is_text or isinstance(dtype, (pd.CategoricalDtype, pd.StringDtype)) or getattr(dtype, "kind", "O") in "USmM":
        are_times = getattr(dtype, "kind", "O") == "M"
        remedy = (
            "Times are an index, no column: set_index(...)"
            if are_times
            else "Use pd.to_numeric, or astype('category') for a covariate"
        )
        raise TypeError(
            f"{what} holds {dtype} values; they must be numbers. {remedy}, or seqcast.from_long where one column names "
            "the series and another the times."
        )
    try:
        is_series = isinstance(column, pd.Series)
        values = column.to_numpy(np.float64, na_value=np.nan) if is_series else np.array(column, dtype=np.float64)
    except ValueError as error:
        raise ValueError(
            f"{what} holds values that are no numbers ({error}). Use pd.to_numeric(..., errors='coerce')."
        ) from None
    is_large = np.abs(values) > LARGEST
    if is_large.any():
        row = int(np.argmax(is_large.reshape(len(values), -1).any(axis=1)))
        where = f"time {column.index[row]}" if is_series else f"row {row}"
        raise NonFiniteError(
            f"{what} contains infinity or a value too large for dtype('float64') at {where}. Replace it with NaN or a "
            "smaller number: squares must stay finite."
        )
    return np.array(values, copy=True) if not values.flags.writeable else values


def _dense(values: Any) -> Any:
    if sparse.issparse(values):
        raise TypeError(
            "Sparse data was passed, but dense data is required. Use '.toarray()' to convert it to a dense numpy array."
        )
    return values
