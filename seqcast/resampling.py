"""Irregular readings on a regular grid, with a report of what was done to them."""

from typing import Any, TypeVar

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import Tick

from seqcast.exceptions import FrequencyError, IrregularTimesError
from seqcast.panel import Integers

__all__ = ["regularize"]

_NUMERIC = ("mean", "median", "sum")
_ANY = ("min", "max", "first", "last")

Readings = TypeVar("Readings", pd.Series, pd.DataFrame)


def regularize(
    frame: Readings, freq: str, *, how: str = "mean", tolerance: str | pd.Timedelta | None = None
) -> Readings:
    """Put irregular readings on the grid of a frequency.

    Parameters
    ----------
    frame : Series or DataFrame
        Readings with a ``DatetimeIndex`` or the index (series, time), in any order, doubles allowed.
    freq : str
        Step of the grid as pandas spells it, such as "5min", "h" or "MS".
    how : {"mean", "median", "sum", "min", "max", "first", "last"}, default="mean"
        What the readings of one step become; a missing reading counts as none.
    tolerance : str or Timedelta, optional
        By default a step takes the readings from its time up to the next. With a tolerance each reading goes to the
        nearest time of the grid, and is dropped if that is further away: right for a clock that jitters.

    Returns
    -------
    Series or DataFrame
        One row a step from the first reading to the last, by series. A step without readings is NaN: nothing is
        filled in. ``attrs["regularize"]`` says what was done, in numbers and as a sentence ("summary").

    Raises
    ------
    FrequencyError
        If `freq` is unknown.
    IrregularTimesError
        If times are missing.
    TypeError
        If the index holds no times, or `how` needs numbers and a column has none.

    Notes
    -----
    In a time zone, days and months are those of its calendar and hours are equally long through a change of the
    clock. Without one, an hour that the clock repeats is merged into one, and one that it skips is empty:
    ``tz_localize`` first. Weeks and month ends ("W", "ME") stand for the days up to them, as in ``resample``.

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.to_datetime(["2024-01-01 00:00:02", "2024-01-01 00:04:58", "2024-01-01 00:15:01"])
    >>> sensor = regularize(pd.Series([1.0, 2.0, 3.0], index=times), "5min", tolerance="30s")
    >>> sensor.tolist()
    [1.0, 2.0, nan, 3.0]
    >>> sensor.attrs["regularize"]["summary"]
    '3 readings on 4 steps of 5min by mean: 0 shared a step, 0 dropped, 1 step empty (NaN).'
    """
    _check(frame, freq, how)
    frame = frame.iloc[np.argsort(_times(frame), kind="stable")]
    grid, place = _binned(_times(frame), freq) if tolerance is None else _nearest(_times(frame), freq, tolerance)
    near, place = frame[place >= 0], place[place >= 0]
    is_panel = isinstance(frame.index, pd.MultiIndex)
    codes, ids = pd.factorize(near.index.get_level_values(0) if is_panel else np.zeros(len(near)), sort=True)
    ends = pd.Series(place).groupby(codes).agg(["min", "max"]).to_numpy()  # (n_series, 2)
    # a row is known by the number series * len(grid) + step
    rows = np.concatenate([i * len(grid) + np.arange(low, high + 1) for i, (low, high) in enumerate(ends)])
    grouped = near.groupby(codes * len(grid) + place)
    result = (grouped.sum(min_count=1) if how == "sum" else getattr(grouped, how)()).reindex(rows)
    times = pd.DatetimeIndex(grid[rows % len(grid)], freq=None if is_panel else grid.freq)
    levels = [ids[rows // len(grid)], times]
    result.index = pd.MultiIndex.from_arrays(levels, names=frame.index.names) if is_panel else times
    result.attrs["regularize"] = _report(freq, how, len(frame), len(near), len(rows), len(rows) - grouped.ngroups)
    return result


def _check(frame: pd.Series | pd.DataFrame, freq: str, how: str) -> None:
    times = _times(frame)
    if not isinstance(times, pd.DatetimeIndex):
        raise TypeError(
            f"regularize needs a DatetimeIndex, got {type(times).__name__}. Convert it with pd.to_datetime."
        )
    if times.hasnans:
        raise IrregularTimesError(f"{times.isna().sum()} of {len(times)} readings have no time (NaT). Drop them.")
    if not len(frame):
        raise ValueError("There are no readings to put on a grid.")
    if how not in _NUMERIC + _ANY:
        raise ValueError(f"how must be one of {', '.join(_NUMERIC + _ANY)}, got {how!r}.")
    try:
        to_offset(freq)
    except ValueError as error:
        raise FrequencyError(f"freq={freq!r} is no frequency of pandas: {error}") from None
    columns = frame.to_frame() if isinstance(frame, pd.Series) else frame
    words = [name for name, dtype in columns.dtypes.items() if dtype.kind not in "biuf"]
    if words and how in _NUMERIC:
        raise TypeError(f"Columns {words} hold no numbers, which how={how!r} needs. Drop them, or take how='last'.")


def _times(frame: pd.Series | pd.DataFrame) -> pd.DatetimeIndex:
    return frame.index.get_level_values(-1)


def _binned(times: pd.DatetimeIndex, freq: str) -> tuple[pd.DatetimeIndex, Integers]:
    """The grid over sorted times, and for each time the number of the step it lies in."""
    anchor = {"origin": times[0].normalize()} if isinstance(to_offset(freq), Tick) else {}
    sizes = pd.Series(0, index=times).resample(freq, **anchor).size()
    return sizes.index, np.repeat(np.arange(len(sizes)), sizes)


def _nearest(times: pd.DatetimeIndex, freq: str, tolerance: str | pd.Timedelta) -> tuple[pd.DatetimeIndex, Integers]:
    """The grid around sorted times, and for each time the number of the nearest step, -1 beyond the tolerance."""
    covered, step = _binned(times, freq)[0], to_offset(freq)
    grid = pd.date_range(covered[0] - step, covered[-1] + step, freq=freq, name=times.name).as_unit(times.unit)
    place = grid.get_indexer(times, method="nearest", tolerance=pd.Timedelta(tolerance))
    if not (place >= 0).any():
        raise IrregularTimesError(f"No reading lies within {tolerance} of the grid of {freq!r}. Raise the tolerance.")
    return grid, place


def _report(freq: str, how: str, n_readings: int, n_used: int, n_steps: int, n_empty: int) -> dict[str, Any]:
    """Plain numbers and words, so that attrs survives copies, joins and Parquet."""
    numbers = {
        "n_readings": n_readings,
        "n_steps": n_steps,
        "n_shared": n_used - (n_steps - n_empty),
        "n_dropped": n_readings - n_used,
        "n_empty": n_empty,
    }
    summary = (
        f"{n_readings:,} readings on {n_steps:,} steps of {freq} by {how}: {numbers['n_shared']:,} shared a step, "
        f"{numbers['n_dropped']:,} dropped, {n_empty:,} step{'s' * (n_empty != 1)} empty (NaN)."
    )
    return {"freq": freq, "how": how, **numbers, "summary": summary}
