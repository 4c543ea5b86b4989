"""Splitters in the manner of scikit-learn that cut ordered rows by time."""

from collections.abc import Iterator
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator

from seqcast._parameters import any_of, at_least, boolean, check_parameters, is_none, option, parameters
from seqcast.exceptions import ShortSeriesError

__all__ = ["CombinatorialPurgedSplit", "RollingOriginSplit"]


Rows = NDArray[np.intp]


class TimeSplit(BaseCrossValidator):
    """Splitter that cuts rows by their time."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Rows, Rows]]:
        """Yield the rows to train on and to test on, earliest test first.

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
        yield from self._cut(*_time_codes(X, y))

    def _cut(self, codes: Rows, n_times: int) -> Iterator[tuple[Rows, Rows]]:
        raise NotImplementedError


@parameters
class RollingOriginSplit(TimeSplit):
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

    def _cut(self, codes: Rows, n_times: int) -> Iterator[tuple[Rows, Rows]]:
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


@parameters
class CombinatorialPurgedSplit(TimeSplit):
    """Test every combination of groups of times, and train on the others as far as they share nothing with these [1]_.

    Raises
    ------
    ValueError
        From `split`, if fewer groups are left than are tested.
    ShortSeriesError
        From `split`, if there are fewer times than groups, or a split has no times left to train on.

    See Also
    --------
    RollingOriginSplit : Trains on the past only, as `backtest` needs it.

    Notes
    -----
    The times are cut into `n_groups` runs of nearly equal length; each of the ``comb(n_groups, n_test_groups)``
    combinations is the test of one split. Of the others no time is trained on that is

    - one of the `purge` times before a test group: what it is to forecast, its own value and the `purge` that follow,
      reaches into the test. With forecasts of `horizon` steps, ``purge=horizon - 1``;
    - one of the `purge + embargo` times after a test group: the first `purge` lie in what the last times of the test
      are to forecast, and what comes next reads these values as its input. With windows or lags of `lookback` steps,
      ``embargo=lookback``.

    Times are counted as in `RollingOriginSplit`. Most splits train on what lies after their test, so scores are no
    record of what would have been earned: `backtest` refuses them; hand the splitter to ``cross_val_score`` or
    ``GridSearchCV``. A regressor on features can be tested on any group. A forecaster needs a history before the rows
    that it forecasts, so give it ``train_first=True``; it forecasts a whole test group from the rows before, with a
    `LookaheadWarning`.

    References
    ----------
    .. [1] López de Prado, M. (2018). Advances in financial machine learning, chapters 7 and 12. Wiley.

    Examples
    --------
    >>> import numpy as np
    >>> splitter = CombinatorialPurgedSplit(n_groups=3, n_test_groups=1, purge=1, embargo=1)
    >>> for train, test in splitter.split(np.arange(9)):
    ...     print(train, test)
    [5 6 7 8] [0 1 2]
    [0 1 8] [3 4 5]
    [0 1 2 3 4] [6 7 8]
    """

    n_groups: int = option(6, at_least(2), "Runs into which the times are cut.")
    n_test_groups: int = option(2, at_least(1), "Groups in each test.")
    purge: int = option(0, at_least(0), "Times left out before a test group; `horizon` - 1 keeps targets apart.")
    embargo: int = option(0, at_least(0), "Further times left out after it; the `lookback` keeps inputs apart.")
    train_first: bool = option(False, boolean(), "Whether the first group is never tested: a history for forecasters.")

    def _cut(self, codes: Rows, n_times: int) -> Iterator[tuple[Rows, Rows]]:
        if self.get_n_splits() == 0 or self.n_test_groups == self.n_groups:
            raise ValueError(f"{self!r} leaves no group to train on. Lower n_test_groups or raise n_groups.")
        if n_times < self.n_groups:
            raise ShortSeriesError(f"{self!r} needs at least {self.n_groups} times, got {n_times}. Lower n_groups.")
        bounds = np.linspace(0, n_times, self.n_groups + 1).astype(int)
        for tested in combinations(range(int(self.train_first), self.n_groups), self.n_test_groups):
            is_test, is_near = np.zeros((2, n_times), bool)
            for group in tested:
                low, high = bounds[group], bounds[group + 1]
                is_test[low:high] = True
                is_near[max(low - self.purge, 0) : high + self.purge + self.embargo] = True
            if is_near.all():
                raise ShortSeriesError(
                    f"{self!r} leaves none of {n_times} times to train on beside groups {tested}. Lower purge, embargo "
                    "or n_groups."
                )
            yield np.flatnonzero(~is_near[codes]), np.flatnonzero(is_test[codes])

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits, that of the combinations; the arguments are not used."""
        return comb(self.n_groups - int(self.train_first), self.n_test_groups)


def _time_codes(X: Any, y: Any) -> tuple[Rows, int]:
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


def _between(codes: Rows, low: int, high: int) -> Rows:
    return np.flatnonzero((codes >= low) & (codes < high))
