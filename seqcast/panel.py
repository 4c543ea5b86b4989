"""Panel: all series as flat arrays on one regular grid, gaps masked; and the frames that go with it."""

import warnings
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.offsets import BaseOffset

from seqcast._parameters import check_count
from seqcast.exceptions import DeadStartWarning, FrequencyWarning, IrregularTimesError, NonFiniteError
from seqcast.times import TimeAxis, has_times

__all__ = ["Panel", "from_long", "future_rows", "to_long"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MANY_GAPS = 20  # between rows: fewer may all be even by chance
DEAD_START, FEWEST_ALIVE = 20, 3  # rows of one value, at least, before a series seems to begin, and after that


@dataclass(frozen=True)
class Panel:
    """Series on a shared grid of times, one behind the other in flat arrays, one row a grid step."""

    values: Floats  # (n_rows,): the target in its own unit; NaN where masked: a gap, a missing reading, the future
    features: Floats  # (n_rows, n_features): encoded covariates; NaN where unknown
    present: NDArray[np.bool_]  # (n_rows,): whether the row was given; False for the steps of a gap
    indptr: Integers  # (n_series + 1,): series i is the rows indptr[i]:indptr[i + 1]
    first: Integers  # (n_series,): grid step of each series' first row
    ids: tuple[Hashable, ...]  # label of each series
    axis: TimeAxis
    feature_names: tuple[str, ...] = ()

    @classmethod
    def from_rows(
        cls,
        codes: Integers,
        positions: Integers,
        values: Floats,
        features: Floats,
        *,
        ids: tuple[Hashable, ...],
        axis: TimeAxis,
        feature_names: tuple[str, ...] = (),
    ) -> "Panel":
        """Lay rows, given by series number and grid step, on the grid; of two for one step the later known one wins."""
        first = np.full(len(ids), np.iinfo(np.int64).max)
        last = np.full(len(ids), -1 - np.iinfo(np.int64).max)
        np.minimum.at(first, codes, positions)
        np.maximum.at(last, codes, positions)
        indptr = np.concatenate([[0], np.cumsum(last - first + 1)])
        rows = indptr[codes] + positions - first[codes]
        n_rows, known = int(indptr[-1]), ~np.isnan(values)
        target, covariates = np.full(n_rows, np.nan), np.full((n_rows, features.shape[1]), np.nan)
        target[rows[known]] = values[known]
        for j, column in enumerate(features.T):
            has_value = ~np.isnan(column)
            covariates[rows[has_value], j] = column[has_value]
        present = np.zeros(n_rows, bool)
        present[rows] = True
        return cls(target, covariates, present, indptr, first, ids, axis, feature_names)

    @property
    def n_series(self) -> int:
        """Number of series."""
        return len(self.ids)

    @property
    def n_features(self) -> int:
        """Number of encoded covariates."""
        return self.features.shape[1]

    @property
    def lengths(self) -> Integers:
        """Rows of each series."""
        return np.diff(self.indptr)

    @property
    def ends(self) -> Integers:
        """Grid step after each series' last row."""
        return self.first + self.lengths

    def series(self, i: int) -> slice:
        """Return the rows of series i."""
        return slice(int(self.indptr[i]), int(self.indptr[i + 1]))

    def name_of(self, code: int) -> str:
        """What messages call a series."""
        return f"series {self.ids[code]!r}" if self.ids[code] is not None else "the series"

    def codes(self) -> Integers:
        """Return the series number of each row."""
        return runs(self.lengths)[0]

    def steps(self) -> Integers:
        """Return the grid step of each row."""
        code, row = runs(self.lengths)
        return self.first[code] + row

    def values_at(self, series: Integers, positions: Integers, n_steps: int) -> Floats:
        """Return the values (n, n_steps) from row positions[k] of series[k] on, NaN outside the series."""
        at = positions[:, None] + np.arange(n_steps)
        inside = (at >= 0) & (at < self.lengths[series][:, None])
        return np.where(inside, self.values[np.where(inside, self.indptr[series][:, None] + at, 0)], np.nan)

    def cut(self, series: Integers, starts: Integers, stops: Integers) -> "Panel":
        """Return a panel of one series for each k: the rows starts[k] to stops[k] of series[k], masked beyond its ends.

        Values, covariates and presence are copied; `starts` and `stops` count from the first row of the series.
        """
        k, offset = runs(stops - starts)
        offset += starts[k]
        inside = (offset >= 0) & (offset < self.lengths[series][k])
        source = np.where(inside, self.indptr[series][k] + offset, 0)
        values, features, present = self.values[source], self.features[source], self.present[source] & inside
        values[~inside], features[~inside] = np.nan, np.nan
        indptr, ids = np.concatenate([[0], np.cumsum(stops - starts)]), tuple(self.ids[i] for i in series)
        return Panel(values, features, present, indptr, self.first[series] + starts, ids, self.axis, self.feature_names)

    def extended(self, codes: Integers, positions: Integers, features: Floats) -> "Panel":
        """Return a copy whose series reach at least the grid steps `positions`, with the covariates of these rows."""
        ends = self.ends.copy()
        np.maximum.at(ends, codes, positions + 1)
        out = self.cut(np.arange(self.n_series), np.zeros(self.n_series, np.int64), ends - self.first)
        rows = out.indptr[codes] + positions - out.first[codes]
        out.features[rows] = features
        other = (out.features[rows] != features) & ~np.isnan(features)
        if other.any():
            k = int(np.argmax(other.any(1)))
            raise ValueError(
                f"X holds {out.time_of(positions[k])} of {out.name_of(codes[k])} more than once, with other "
                "covariates: one call makes one forecast of it. Ask for each row by itself."
            )
        return out

    def merged(self, other: "Panel", codes: Integers) -> "Panel":
        """Return this panel with the rows of `other`, whose series i is series codes[i] here; its known values win."""
        mine, new = (np.flatnonzero(p.present) for p in (self, other))
        return Panel.from_rows(
            np.concatenate([self.codes()[mine], codes[other.codes()[new]]]),
            np.concatenate([self.steps()[mine], other.steps()[new]]),
            np.concatenate([self.values[mine], other.values[new]]),
            np.concatenate([self.features[mine], other.features[new]]),
            ids=self.ids,
            axis=self.axis,
            feature_names=self.feature_names,
        )

    def shared_rows(self, other: "Panel", codes: Integers) -> tuple[Integers, Integers]:
        """Return the rows of `other` whose steps lie in this panel, and their rows here."""
        mine = codes[other.codes()]
        positions = other.steps() - self.first[mine]
        rows = np.flatnonzero((positions >= 0) & (positions < self.lengths[mine]))
        return rows, self.indptr[mine[rows]] + positions[rows]

    def check_known(self) -> None:
        """Raise where a series holds nothing but NaN."""
        n_known = np.add.reduceat(~np.isnan(self.values), self.indptr[:-1], dtype=np.int64)
        empty = np.flatnonzero(n_known == 0)
        if len(empty):
            names = [self.ids[i] for i in empty[:5]]
            raise NonFiniteError(f"{len(empty)} of {self.n_series} series hold nothing but NaN: {names}. Drop them.")

    def time_of(self, step: int) -> Any:
        """Return the time of a grid step."""
        return self.axis.index(np.array([step]))[0]


def runs(counts: Integers) -> tuple[Integers, Integers]:
    """Return the number of each run, counts[k] times, and 0, 1, ... within it."""
    run = np.repeat(np.arange(len(counts)), counts)
    return run, np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts)


def future_rows(y: pd.Series | pd.DataFrame, horizon: int, freq: str | BaseOffset | None = None) -> pd.DataFrame:
    """Return an index-only frame of the `horizon` steps after the end of `y`.

    These are the rows to hand to ``predict``, or to a Pipeline whose transformers make covariates of the times.

    Parameters
    ----------
    y : Series or DataFrame
        Series, wide frame, or (series, time) panel, whose series may end at different times.
    horizon : int
        Steps after the end.
    freq : str or offset, optional
        Frequency as pandas spells it, or an exchange, such as "XNYS", whose holidays are left out; inferred by default.

    Returns
    -------
    DataFrame of shape (horizon, 0) or (n_series * horizon, 0)

    Examples
    --------
    >>> import pandas as pd
    >>> y = pd.Series([1.0, 2.0, 3.0], index=pd.date_range("2024-01-31", periods=3, freq="ME"))
    >>> future_rows(y, 2).index.strftime("%Y-%m-%d").tolist()
    ['2024-04-30', '2024-05-31']
    """
    check_count("horizon", horizon)
    steps = np.arange(1, horizon + 1)
    if not isinstance(y.index, pd.MultiIndex):
        axis = TimeAxis.infer(y.index, freq) if has_times(y.index) else TimeAxis.counted(y.index.name)
        last = axis.positions(y.index[-1:])[0] if axis.kind != "none" else len(y) - 1
        return pd.DataFrame(index=axis.index(last + steps))
    axis, codes, positions, ids = read_panel_index(y.index, freq=freq)
    ends = np.full(len(ids), -1)
    np.maximum.at(ends, codes, positions)
    times = axis.index((ends[:, None] + steps).ravel())
    return pd.DataFrame(index=pd.MultiIndex.from_arrays([pd.Index(ids).repeat(horizon), times], names=y.index.names))


def read_panel_index(
    index: pd.MultiIndex, *, axis: TimeAxis | None = None, freq: str | BaseOffset | None = None
) -> tuple[TimeAxis, Integers, Integers, tuple[Hashable, ...]]:
    """Return axis, series numbers, grid steps and series labels of a (series, time) index."""
    if index.nlevels != 2:
        raise ValueError(
            f"A panel has a two-level index (series, time), got {index.nlevels} levels: {list(index.names)}."
        )
    labels, times = index.get_level_values(0), index.get_level_values(1)
    clocks = pd.DatetimeIndex, pd.PeriodIndex
    if isinstance(labels, clocks) and not isinstance(times, clocks):
        raise ValueError(
            "The index is (time, series); a panel's is (series, time): use frame.swaplevel().sort_index()."
        )
    codes, ids = pd.factorize(labels)
    if (codes < 0).any():
        raise ValueError(
            f"The series label of row {int(np.argmax(codes < 0))} is missing. Drop the row or name its series."
        )
    axis = axis or TimeAxis.infer(times, freq)
    return axis, codes.astype(np.int64), axis.positions(times), tuple(ids)


def check_order(codes: Integers, positions: Integers, axis: TimeAxis, ids: tuple[Hashable, ...]) -> None:
    """Raise where the rows of a series are not in strictly increasing order of time."""
    order = np.argsort(codes, kind="stable")
    codes, positions = codes[order], positions[order]
    wrong = np.flatnonzero((np.diff(positions) <= 0) & (np.diff(codes) == 0)) + 1
    if len(wrong):
        k = wrong[0]
        fault, remedy = "out of order", "use sort_index()"
        if positions[k] == positions[k - 1]:
            fault, remedy = "twice", "index.duplicated() finds the doubles"
        raise IrregularTimesError(
            f"Series {ids[codes[k]]!r}: time {axis.index(positions[k : k + 1])[0]} comes {fault} ({len(wrong)} "
            f"such rows); {remedy}."
        )


def warn_of_strides(panel: Panel, stacklevel: int) -> None:
    """Warn where all rows of a series are some steps of the grid apart."""
    rows = np.flatnonzero(panel.present)
    codes, gaps = panel.codes()[rows], np.diff(rows)
    is_within = np.diff(codes) == 0
    owners, starts, counts = np.unique(codes[1:][is_within], return_index=True, return_counts=True)
    strides = np.gcd.reduceat(gaps[is_within], starts) if len(owners) else owners
    wrong = np.flatnonzero((strides > 1) & (counts >= MANY_GAPS))
    if len(wrong):
        k = owners[wrong[0]]
        warnings.warn(
            f"All rows of {panel.name_of(k)} are {strides[wrong[0]]} steps of {panel.axis.freq_name!r} apart "
            f"({len(wrong)} such series); the steps between count as missing. If it is of another frequency, bring it "
            "to this one, or give it a forecaster of its own.",
            FrequencyWarning,
            stacklevel=stacklevel,
        )


def warn_of_dead_starts(panel: Panel, stacklevel: int) -> None:
    """Warn where at least half of a series, its start, is one value: it was listed, or switched on, later."""
    dead = []
    for i in range(panel.n_series):
        y = panel.values[panel.series(i)]
        y = y[~np.isnan(y)]
        n_alike = int(np.argmax(y != y[:1])) if len(y) else 0  # 0 where all are alike
        is_alive = np.mean(y[n_alike:] != y[:1]) > 0.5 and len(y) >= n_alike + FEWEST_ALIVE if n_alike else False
        if is_alive and n_alike >= max(DEAD_START, len(y) / 2):
            dead.append(f"{panel.name_of(i)} is {y[0]:g} at its start, in half of its rows or more")
    if dead:
        warnings.warn(
            f"{dead[0]} ({len(dead)} such series): little but that is learned, and intervals come out far too narrow "
            "or too wide. Leave these rows out, if what is measured had not begun.",
            DeadStartWarning,
            stacklevel=stacklevel,
        )


def from_long(
    frame: pd.DataFrame, *, id: str = "unique_id", time: str = "ds", target: str = "y"
) -> tuple[pd.DataFrame, pd.Series]:
    """Return covariates and panel of a long frame, one row a series and time.

    Parameters
    ----------
    frame : DataFrame
        Columns `id`, `time` and `target`; further ones are covariates. Rows may stand in any order.
    id, time, target : str
        Names of the columns.

    Returns
    -------
    X : DataFrame
        Covariates with the (series, time) index; no columns if there are none.
    y : Series
        Target with the same index.

    Raises
    ------
    ValueError
        If columns are missing.

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.to_datetime(["2024-01-01", "2024-01-02"])
    >>> long = pd.DataFrame({"unique_id": ["a", "a"], "ds": times, "y": [1.0, 2.0]})
    >>> X, y = from_long(long)
    >>> y.loc["a"].tolist(), X.shape
    ([1.0, 2.0], (2, 0))
    """
    missing = [name for name in (id, time, target) if name not in frame.columns]
    if missing:
        raise ValueError(
            f"Columns {missing} are not in the frame, which has {list(frame.columns)}. Name them with id=, "
            "time=, target=."
        )
    rows = frame.set_index([id, time]).sort_index(kind="stable")
    return rows.drop(columns=target), rows[target]


def to_long(y: Any, *, id: str = "unique_id", time: str = "ds", target: str = "y") -> pd.DataFrame:
    """Return a Series, wide frame or panel as a long frame, one row a series and time.

    Parameters
    ----------
    y : Series or DataFrame
        Series, wide frame (columns are series) or (series, time) panel.
    id, time, target : str
        Names for the columns.

    Returns
    -------
    DataFrame
        Columns `id`, `time`, `target`.

    Examples
    --------
    >>> import pandas as pd
    >>> to_long(pd.Series([1.0], index=pd.to_datetime(["2024-01-01"]), name="a")).columns.tolist()
    ['unique_id', 'ds', 'y']
    """
    if isinstance(y.index, pd.MultiIndex):
        column = y.iloc[:, 0] if isinstance(y, pd.DataFrame) else y
        return column.rename(target).rename_axis([id, time]).reset_index()
    frame = y.to_frame() if isinstance(y, pd.Series) else y
    n_times, n_series = frame.shape
    return pd.DataFrame(
        {
            id: frame.columns.repeat(n_times),
            time: frame.index[np.tile(np.arange(n_times), n_series)],
            target: frame.to_numpy().ravel(order="F"),
        }
    )
