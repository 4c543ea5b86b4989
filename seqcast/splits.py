"""Splitters in the manner of scikit-learn that cut ordered rows by time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator

from seqcast._parameters import any_of, at_least, check_parameters, is_none, option, parameters
from seqcast.exceptions import ShortSeriesError

__all__ = ["RollingOriginSplit"]


@parameters
class RollingOriginSplit(BaseCrossValidator):
    """Train on the past, test on the `horizon` steps that follow, and move the origin on.

    Raises
    ------
    ShortSeriesError
        From `split`, if there are too few times for the first origin.

    See Also
    --------
    sklearn.model_selection.TimeSeriesSplit : Cuts by row, so it does not fit panels.

    Notes
    -----
    The last test block ends with the last time; origins are `step` times apart. Rows are cut by their time, so that a
    (series, time) panel is cut at the same moment through all of its series, and a series that has not begun by then
    has no training rows. Times are counted where there are rows: a gap in the index is not a step. Rows without times
    (arrays, default indexes) are taken to be in order.

    Examples
    --------
    >>> import numpy as np
    >>> for train, test in RollingOriginSplit(2, n_origins=2).split(np.arange(7)):
    ...     print(train, test)
    [0 1 2] [3 4]
    [0 1 2 3 4] [5 6]
    """

    horizon: int = option(1, at_least(1), "Times in each test block.", wraps=True)
    n_origins: int = option(5, at_least(1), "Number of splits.")
    step: int | None = option(None, any_of(is_none(), at_least(1)), "Times between origins; None means `horizon`.")
    gap: int = option(0, at_least(0), "Times left out between training and test (the purge).")
    window: int | None = option(
        None, any_of(is_none(), at_least(1)), "Times to train on, sliding; None means all (expanding)."
    )

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the rows to train on and to test on, earliest origin first.

        Parameters
        ----------
        X, y : Series, DataFrame or array-like
            The first of the two that has times says when; `y` may be left out.
        groups : object
            Not used.

        Yields
        ------
        train, test : ndarray of int
            Row numbers, in the order of the rows.
        """
        check_parameters(self)
        codes, n_times = _time_codes(X, y)
        step = self.horizon if self.step is None else self.step
        needed = (self.window or 1) + self.gap + self.horizon + (self.n_origins - 1) * step
        if n_times < needed:
            raise ShortSeriesError(
                f"{self!r} needs at least {needed} times, got {n_times}. Lower n_origins, horizon, step, gap or window."
            )
        is_ordered = np.array_equal(codes, np.arange(n_times))
        for start in range(n_times - self.horizon - (self.n_origins - 1) * step, n_times, step)[: self.n_origins]:
            stop = start - self.gap
            train = (stop - self.window if self.window else 0), stop
            test = start, start + self.horizon
            if is_ordered:
                yield np.arange(*train), np.arange(*test)
            else:
                yield _between(codes, *train), _between(codes, *test)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits, `n_origins`; the arguments are not used."""
        return self.n_origins


def _time_codes(X: Any, y: Any) -> tuple[NDArray[np.intp], int]:
    """The number of each row's time among the unique times, and how many there are."""
    for data in (X, y):
        index = data if isinstance(data, pd.Index) else getattr(data, "index", None)
        if isinstance(index, pd.MultiIndex):
            index = index.get_level_values(1)
        elif not isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)):
            continue
        codes, times = pd.factorize(index, sort=True)
        return codes, len(times)
    n_rows = len(X if X is not None else y)
    return np.arange(n_rows), n_rows


def _between(codes: NDArray[np.intp], low: int, high: int) -> NDArray[np.intp]:
    return np.flatnonzero((codes >= low) & (codes < high))
