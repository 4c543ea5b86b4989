"""Windows over many series: one float32 matrix, in which every window is one contiguous run of rows."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Windows", "cut_runs", "make_windows", "tail_lengths", "window_positions"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CHUNK = 2**16  # windows looked at in one go


@dataclass(frozen=True)
class Windows:
    """Series behind each other with masked rows between them.

    A window is the `lookback` rows before a forecast origin and the `horizon` rows from it on. A batch of windows is
    one gather from an overlapping view of `data`, which is never materialised.
    """

    data: torch.Tensor  # (n_rows, n_channels): value, observed, features...
    origins: Integers  # (n_series,): the row of `data` that position 0 of each series is
    lookback: int
    horizon: int

    def rows(self, series: Integers, positions: Integers) -> torch.Tensor:
        """First row of the window of each (series, position); position p has rows < p of the series as its past."""
        rows = torch.from_numpy(self.origins[series] + positions - self.lookback)
        return rows.to(self.data.device)  # (n,)

    def positions(self, rows: torch.Tensor) -> torch.Tensor:
        """Position of the origin of each window in its series."""
        origins, starts = rows + self.lookback, torch.from_numpy(self.origins).to(rows.device)
        return origins - starts[torch.bucketize(origins, starts, right=True) - 1]  # (n,)

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Copy the windows that begin at `rows`."""
        n_rows, n_channels = self.data.shape
        width = self.lookback + self.horizon
        view = self.data.as_strided((n_rows - width + 1, width * n_channels), (n_channels, 1))
        return view.index_select(0, rows).view(-1, width, n_channels)  # (n, lookback + horizon, n_channels)


def make_windows(
    values: Floats,
    features: Floats,
    indptr: Integers,
    *,
    lookback: int,
    horizon: int,
    device: str | torch.device = "cpu",
) -> Windows:
    """Lay out series for gathering.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        The target in standard units, NaN where masked.
    features : ndarray of shape (n_rows, n_features)
        Covariates in standard units, NaN where they are missing.
    indptr : ndarray of shape (n_series + 1,)
        Series i is rows ``indptr[i]:indptr[i + 1]``.
    lookback, horizon : int
        Steps before and from the forecast origin on.
    device : str or torch.device
        Where the matrix lies, and with it every batch.

    Returns
    -------
    Windows
        Every position from 0 to the length of a series is a legal origin.

    Examples
    --------
    >>> windows = make_windows(np.array([1.0, np.nan, 3.0]), np.empty((3, 0)), np.array([0, 3]), lookback=2, horizon=1)
    >>> windows.gather(windows.rows(np.array([0]), np.array([1])))[0].tolist()  # origin before the second value
    [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    """
    n_series, padding = len(indptr) - 1, max(lookback, horizon)
    origins = indptr[:-1] + lookback + padding * np.arange(n_series)  # (n_series,)
    rows = np.arange(len(values)) + np.repeat(origins - indptr[:-1], np.diff(indptr))  # (n_rows,)
    data = np.zeros((lookback + len(values) + padding * n_series, 2 + features.shape[1]), np.float32)
    data[rows, 0] = np.nan_to_num(values)
    data[rows, 1] = ~np.isnan(values)
    data[rows, 2:] = features
    return Windows(torch.from_numpy(data).to(device), origins, lookback, horizon)


def cut_runs(indptr: Integers, series: Integers, low: Integers, high: Integers) -> tuple[Integers, Integers]:
    """Rows `low` to `high` of each of the named series, behind each other: row numbers and the indptr of the runs."""
    lengths = np.maximum(high - low, 0)
    runs = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.arange(runs[-1]) + np.repeat(indptr[series] + low - runs[:-1], lengths)
    return rows, runs


def window_positions(
    observed: NDArray[np.bool_], indptr: Integers, first: Integers, last: Integers, *, lookback: int, horizon: int
) -> tuple[Integers, Integers]:
    """Give the origins between `first` and `last` (both included) of each series that can be learned from.

    A window counts if it has an observed value in its past and one in its future.

    Returns
    -------
    series, positions : ndarray of shape (n_windows,)
        In order of the series, then of time.
    """
    stops = np.cumsum(np.maximum(last - first + 1, 0))  # of each series' candidates, counted through all series
    starts = np.concatenate([[0], stops[:-1]])
    known = np.concatenate([[0], np.cumsum(observed)])  # known values before each row
    kept = []
    for low in range(0, int(stops[-1]), CHUNK):  # a long record needs no more memory than its windows' numbers
        candidates = np.arange(low, min(low + CHUNK, stops[-1]))
        series = np.searchsorted(stops, candidates, side="right")
        positions = first[series] + candidates - starts[series]
        begin, origin = indptr[series], indptr[series] + positions
        past = known[origin] - known[np.maximum(origin - lookback, begin)]
        future = known[np.minimum(origin + horizon, indptr[series + 1])] - known[origin]
        useful = (past > 0) & (future > 0)
        kept.append((series[useful], positions[useful]))
    if not kept:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate([s for s, _ in kept]), np.concatenate([p for _, p in kept])


def tail_lengths(lengths: Integers, horizon: int, fraction: float) -> Integers:
    """Steps at the end of each series that validation takes: three origins at least, a third of the series at most."""
    wanted = np.maximum(np.ceil(fraction * lengths).astype(np.int64), horizon + 2)
    return np.minimum(wanted, lengths // 3)
