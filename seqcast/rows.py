"""What the feature transformers share: rows are moments in time, recognised by their index."""

import hashlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.offsets import BaseOffset
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from seqcast._parameters import any_of, boolean, check_parameters, instance_of, is_none, option, parameters, text
from seqcast.exceptions import MissingTimesError
from seqcast.panel import Floats, Integers, read_panel_index
from seqcast.times import TimeAxis, has_times

__all__ = ["RowFeatures", "Rows", "TimedFeatures", "lost_times", "series_of", "times_of"]

Rows: TypeAlias = pd.DataFrame | Floats  # frames keep their index, arrays have no times


@parameters
class RowFeatures(TransformerMixin, BaseEstimator):
    """Base of the transformers: append columns to a frame, whose index says when its rows are.

    A subclass learns in ``_fit_rows``, names its columns in ``_new_names`` and computes them in ``_new_values``.
    Frames keep their index and come out as frames, arrays as arrays.
    """

    keep: bool = option(True, boolean(), "Hand on the columns of X, before the new ones.")

    def fit(self, X: Any, y: Any = None) -> "RowFeatures":
        """Learn from the training rows.

        Parameters
        ----------
        X : DataFrame, Series, Index or array of shape (n_rows, n_columns)
            Training rows. A frame needs no columns; a frame with the index (series, time) is a panel.
        y : ignored
            Present by convention.

        Returns
        -------
        self
        """
        check_parameters(self)
        X = self._checked(X, reset=True)
        self._fit_rows(X)
        names = pd.Index(self.get_feature_names_out())
        if not names.is_unique:
            twice = list(names[names.duplicated()].unique())
            raise ValueError(f"{type(self).__name__} would make columns twice: {twice}. Rename those of X.")
        return self

    def transform(self, X: Any) -> Rows:
        """Return the rows of `X` with the new columns.

        Parameters
        ----------
        X : DataFrame, Series, Index or array of shape (n_rows, n_columns)
            Training rows, or rows that follow them.

        Returns
        -------
        DataFrame or array of shape (n_rows, n_columns_out)
            The new columns are float64.
        """
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        new = self._new_values(X)  # (n_rows, n_new)
        if isinstance(X, np.ndarray):
            return np.hstack([X, new]) if self.keep else new
        names = self.get_feature_names_out()
        added = pd.DataFrame(new, index=X.index, columns=names[len(names) - new.shape[1] :])
        return pd.concat([X.set_axis(names[: X.shape[1]], axis=1), added], axis=1) if self.keep else added

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> NDArray[np.object_]:
        """Return the names of the columns that `transform` gives.

        Parameters
        ----------
        input_features : sequence of str, optional
            Names of the columns of X, where fit saw none.

        Returns
        -------
        array of str
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        return np.asarray([*(names if self.keep else []), *self._new_names(names)], dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _checked(self, X: Any, *, reset: bool) -> Rows:
        if isinstance(X, pd.Index):
            X = X.to_frame()[[]]
        if isinstance(X, pd.Series):
            X = X.to_frame("x0" if X.name is None else X.name)
        if not isinstance(X, pd.DataFrame):
            return validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan")
        if not len(X):
            raise ValueError(f"Found a frame with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required.")
        return validate_data(self, X, reset=reset, skip_check_array=True)

    def _fit_rows(self, X: Rows) -> None:
        raise NotImplementedError

    def _new_names(self, names: Sequence[str]) -> list[str]:
        raise NotImplementedError

    def _new_values(self, X: Rows) -> Floats:
        raise NotImplementedError


@parameters
class TimedFeatures(RowFeatures):
    """Base of the transformers that count in steps of the time axis.

    The rows of X are found on the grid of the training times. Arrays and frames with a default index have no times:
    the training X itself gives the training rows, everything else follows them.
    """

    freq: str | BaseOffset | None = option(
        None,
        any_of(is_none(), text(), instance_of(BaseOffset, "an offset of pandas")),
        "Frequency of the times, such as 'h', or an exchange, such as 'XNYS'; None infers it.",
    )

    def _fit_rows(self, X: Rows) -> None:
        times = times_of(X)
        self.is_panel_ = _is_panel(X)
        if isinstance(X, pd.DataFrame) and self.is_panel_:
            self.axis_, *_ = read_panel_index(X.index, freq=self.freq)
        else:
            self.axis_ = TimeAxis.infer(times, self.freq) if has_times(times) else TimeAxis.counted(times.name)
        self.n_rows_ = len(X)
        self.fingerprint_ = _fingerprint(X) if self.axis_.kind == "none" else None
        self._fit_steps(X)

    def _fit_steps(self, X: Rows) -> None:
        """Learn once the grid is known."""

    def _steps(self, X: Rows) -> Integers:
        """The grid step of each row, training rows recognised, others following."""
        times, who = times_of(X), type(self).__name__
        if _is_panel(X) != self.is_panel_:
            raise ValueError(f"{who} was fitted on {_kind(self.is_panel_)}, X is {_kind(not self.is_panel_)}.")
        if self.axis_.kind != "none":
            if not self.is_panel_ and not has_times(times):
                raise MissingTimesError(lost_times(who))
            return self.axis_.positions(times)
        if has_times(times):
            if not pd.api.types.is_integer_dtype(times.dtype):
                raise MissingTimesError(
                    f"{who} was fitted on rows without times, X has times. Fit it on rows with times."
                )
            return self.axis_.positions(times)
        start = 0 if _fingerprint(X) == self.fingerprint_ else self.n_rows_
        return np.arange(start, start + len(X))


def times_of(X: Rows) -> pd.Index:
    """Return the times of the rows, of arrays their numbers."""
    if isinstance(X, np.ndarray):
        return pd.RangeIndex(len(X))
    return X.index.get_level_values(-1) if isinstance(X.index, pd.MultiIndex) else X.index


def series_of(X: Rows) -> pd.Index:
    """Return the label of each row's series, 0 where there is one."""
    if isinstance(X, pd.DataFrame) and _is_panel(X):
        return X.index.get_level_values(0)
    return pd.Index(np.zeros(len(X), dtype=np.int64))


def _is_panel(X: Rows) -> bool:
    return isinstance(X, pd.DataFrame) and isinstance(X.index, pd.MultiIndex)


def lost_times(who: str) -> str:
    """Return the message for rows without the times that `who` needs."""
    remedy = 'Give a frame with a time index; in a pipeline call .set_output(transform="pandas")'
    return f"{who} needs the times of the rows, X has none. {remedy}."


def _kind(is_panel: bool) -> str:
    return "a panel" if is_panel else "one series"


def _fingerprint(X: Rows) -> str:
    """A hash of the values in their order, by which rows without times are recognised."""
    return hashlib.sha256(pd.util.hash_pandas_object(pd.DataFrame(X), index=False).to_numpy().tobytes()).hexdigest()
