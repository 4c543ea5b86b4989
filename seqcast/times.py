"""The regular grid of times that all series of a panel share: inference, positions, continuation."""

import importlib
import warnings
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import BaseOffset, CustomBusinessDay, Day, Tick, Week

from seqcast.exceptions import FrequencyError, IrregularTimesError

__all__ = ["TimeAxis", "has_times", "season_length_of"]

_CALENDAR = ("YS", "YE", "QS", "QS-FEB", "QS-MAR", "QE-JAN", "QE-FEB", "QE", "MS", "ME", "BMS", "BME", "B")
_PER_DAY_OR_NEXT = {"D": 7, "B": 5, "W": 52, "M": 12, "ME": 12, "MS": 12, "BME": 12, "BMS": 12}
_MOST_GAPS = 0.5  # share of grid steps without a time above which no frequency is inferred
_DAY = pd.Timedelta(days=1)
_EXCHANGES: dict[str, CustomBusinessDay] = {}  # trading days of the exchanges that were asked for


@dataclass(frozen=True)
class TimeAxis:
    """A regular grid of times; step 0 is `start`."""

    kind: str  # "datetime", "period", "integer"; "none": arrays and default indexes, whose rows are counted
    start: Any  # Timestamp, Period or int
    freq: Any  # one step: an offset, or an integer where times are integers
    name: Hashable = None  # of the index
    unit: str | None = None  # resolution of a DatetimeIndex ("s", "ms", "us", "ns"), given back with every index

    @classmethod
    def counted(cls, name: Hashable = None) -> "TimeAxis":
        """Return the axis of rows that have no times and are counted from 0."""
        return cls("none", 0, 1, name)

    @classmethod
    def infer(cls, index: pd.Index, freq: str | BaseOffset | None = None) -> "TimeAxis":
        """Return the grid, from the earliest time on, that holds the times of `index`, which may have gaps.

        The index is that of one series, or of all series of a panel one after the other. Without `freq` (as pandas
        spells it, or an exchange, such as "XNYS", whose trading days are the steps) the frequency is that of the index,
        or the one that holds all times with the fewest gaps. Raise FrequencyError if none fits or `freq` is unknown,
        IrregularTimesError if times are off the grid.
        """
        _check_kind(index)
        times = index if index.is_monotonic_increasing and index.is_unique else index.unique().sort_values()
        if isinstance(times, pd.PeriodIndex):
            _check_period_freq(times, freq)
            return cls("period", times[0], times.freq, index.name)
        if not isinstance(times, pd.DatetimeIndex):
            steps = np.diff(times.to_numpy().astype(np.int64))
            return cls("integer", int(times[0]), int(np.gcd.reduce(steps)) if len(steps) else 1, index.name)
        offset = _offset(freq) if freq is not None else times.freq or index.freq or _infer_offset(times)
        axis = cls("datetime", times[0], offset, index.name, times.unit)
        axis.positions(times)
        return axis

    def positions(self, index: pd.Index) -> NDArray[np.int64]:
        """Return the step of each time, negative before `start`; raise IrregularTimesError for times off the grid."""
        if self.kind == "none":
            return np.asarray(index, dtype=np.int64)
        _check_kind(index)
        self._check_like(index)
        if self.kind == "integer":
            steps, rest = np.divmod(index.to_numpy().astype(np.int64) - self.start, self.freq)
        elif self.kind == "period":
            steps, rest = np.divmod(index.asi8 - self.start.ordinal, self.freq.n)
        elif (delta := _fixed_step(self.freq, self.start)) is not None:
            unit = "us" if delta % pd.Timedelta(1, "us") == pd.Timedelta(0) else "ns"
            elapsed = index.as_unit(unit).asi8 - self.start.as_unit(unit)._value
            steps, rest = np.divmod(elapsed, delta // pd.Timedelta(1, unit))
        else:
            low, grid = _grid_over(self.start, self.freq, index.min(), index.max())
            found = grid.get_indexer(index.as_unit("us"))
            steps, rest = found + low, found == -1
        if np.any(rest):
            off = index[np.asarray(rest, dtype=bool)]
            raise IrregularTimesError(
                f"{len(off)} of {len(index)} times are off the grid of {self.freq_name!r} from {self.start}, "
                f"the first is {off[0]}. "
                "Put the readings on a grid with seqcast.regularize(frame, freq), or give freq=."
            )
        return np.asarray(steps, dtype=np.int64)

    def index(self, positions: NDArray[np.int64]) -> pd.Index:
        """Return the times of the steps `positions`, in the kind, unit and zone of the original index."""
        positions = np.asarray(positions, dtype=np.int64)
        if self.kind in ("integer", "none"):
            values = self.start + positions * self.freq
            if len(values) and np.array_equal(values, np.arange(values[0], values[0] + len(values))):
                return pd.RangeIndex(values[0], values[-1] + 1, name=self.name)
            return pd.Index(values, name=self.name)
        if self.kind == "period":
            ordinals = self.start.ordinal + positions * self.freq.n
            return pd.PeriodIndex.from_ordinals(ordinals, freq=self.freq, name=self.name)
        if (delta := _fixed_step(self.freq, self.start)) is not None:
            times = self.start + pd.TimedeltaIndex(positions * delta.to_timedelta64())
        else:
            low, high = (int(positions.min()), int(positions.max())) if len(positions) else (0, 0)
            times = _grid(self.start, self.freq, min(low, 0), max(high, 0))[positions - min(low, 0)]
        return pd.DatetimeIndex(times, name=self.name).as_unit(self.unit)

    def is_day(self, n_steps: int) -> bool:
        """Whether so many steps are a day, which dates must tell."""
        if self.kind not in ("datetime", "period") or not isinstance(self.freq, BaseOffset):
            return False
        return _is_tick(self.freq) and n_steps * pd.Timedelta(self.freq) == _DAY

    def phase(self, positions: NDArray[np.int64], season_length: int) -> NDArray[np.int64]:
        """Return the phase of the season of the steps `positions`; where it is a day in a time zone, by the clock."""
        is_zoned = self.kind == "datetime" and self.start.tz is not None
        if not (is_zoned and self.is_day(season_length) and positions.size):
            return positions % season_length
        low = int(positions.min())
        times = pd.DatetimeIndex(self.index(np.arange(low, int(positions.max()) + 1))).tz_localize(None)
        phase = (times - times.normalize()) // pd.Timedelta(self.freq)
        return np.asarray(phase, dtype=np.int64)[positions - low]

    @property
    def freq_name(self) -> str:
        """The frequency as pandas spells it ("h", "W-SAT", "MS"), the name of the exchange, or the integer step."""
        if self.kind == "period":
            return self.start.freqstr
        if isinstance(self.freq, CustomBusinessDay):
            return next((name for name, day in _EXCHANGES.items() if day == self.freq), self.freq.freqstr)
        return self.freq.freqstr if isinstance(self.freq, BaseOffset) else str(self.freq)

    def _check_like(self, index: pd.Index) -> None:
        kinds = {pd.DatetimeIndex: "datetime", pd.PeriodIndex: "period"}
        kind = next((name for cls, name in kinds.items() if isinstance(index, cls)), "integer")
        if kind != self.kind:
            raise IrregularTimesError(
                f"The index has {kind} times, the forecaster was fitted with {self.kind} times. Convert the index."
            )
        if kind == "datetime" and (index.tz is None) != (self.start.tz is None):
            raise IrregularTimesError(
                f"Time zone {index.tz} does not go with {self.start.tz} of the fit. Use tz_localize or tz_convert."
            )
        if kind == "period":
            _check_period_freq(index, self.freq)


def has_times(index: pd.Index) -> bool:
    """Whether an index says when: a default index, 0 to n - 1, does not."""
    return not (pd.api.types.is_integer_dtype(index.dtype) and np.array_equal(index, np.arange(len(index))))


def season_length_of(freq: Any) -> int:
    """Return the steps of the shortest natural season of a frequency: hours of a day, days of a week, months of a year.

    Parameters
    ----------
    freq : str, offset or int
        Frequency as pandas spells it, or an exchange; trading days have the season of a week. Integers have none.

    Returns
    -------
    int
        1 where nothing is natural.

    Examples
    --------
    >>> season_length_of("h"), season_length_of("W-SAT"), season_length_of("MS"), season_length_of("15min")
    (24, 52, 12, 96)
    """
    if isinstance(freq, (int, np.integer)):
        return 1
    offset = _offset(freq)
    if _is_tick(offset):
        step, minute = pd.Timedelta(offset), pd.Timedelta(1, "min")
        unit = _DAY if step >= 5 * minute else 60 * minute if step >= minute else minute
        return max(int(unit // step), 1)
    if isinstance(offset, CustomBusinessDay):
        return max(int(offset.calendar.weekmask.sum()) // offset.n, 1)
    prefix = offset.rule_code.split("-")[0]
    per_year = 4 if prefix.startswith(("Q", "BQ")) else _PER_DAY_OR_NEXT.get(prefix, 1)
    return max(per_year // offset.n, 1)


def _check_kind(index: pd.Index) -> None:
    if isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)):
        if index.hasnans:
            raise IrregularTimesError(
                f"The index holds NaT at row {int(np.argmax(index.isna()))}. Drop rows without a time."
            )
    elif not pd.api.types.is_integer_dtype(index.dtype):
        words, hint = f"{index.dtype} values", "pd.to_datetime(index)"
        if _is_mixed_zone(index):
            words, hint = "times of mixed zones", "pd.to_datetime(index, utc=True)"
        elif index.dtype.kind == "m":
            hint = "pd.Timestamp(...) + index, of the time at which it began"
        elif index.dtype.kind == "f":
            hint = "pd.RangeIndex(len(index)), or with the times that it stands for"
        raise IrregularTimesError(
            f"The index holds {words}; it must be a DatetimeIndex, a PeriodIndex or integers. Replace it with {hint}."
        )


def _is_mixed_zone(index: pd.Index) -> bool:
    return index.dtype == object and len(index) > 0 and hasattr(index[0], "utcoffset")


def _check_period_freq(index: pd.PeriodIndex, freq: Any) -> None:
    wanted = pd.Period(0, freq=freq).freq if isinstance(freq, str) else freq
    if wanted is not None and index.freq != wanted:
        raise FrequencyError(
            f"The periods have frequency {index.freqstr!r}, not {freq!r}. Use index.asfreq, or leave freq out."
        )


def _offset(freq: Any) -> BaseOffset:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # the old aliases, in pandas before 3
            return to_offset(freq)
    except (ValueError, FutureWarning) as error:
        if isinstance(freq, str) and freq not in _EXCHANGES:
            _look_up_exchange(freq, error)
        if freq in _EXCHANGES:
            return _EXCHANGES[freq]
        raise FrequencyError(f"freq={freq!r} is no frequency of pandas, and no exchange: {error}") from None


def _look_up_exchange(name: str, error: Exception) -> None:
    """Keep the trading days of an exchange: weekdays and holidays, as far as the package exchange_calendars knows."""
    try:
        package = importlib.import_module("exchange_calendars")
    except ImportError:
        raise FrequencyError(
            f"freq={name!r} is no frequency of pandas: {error} If an exchange is meant, pip install "
            '"seqcast[calendars]".'
        ) from None
    if name in package.get_calendar_names():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the package uses what pandas 3 deprecates
            calendar = package.get_calendar(name).day.calendar
        weekmask = "".join(str(int(is_open)) for is_open in calendar.weekmask)
        _EXCHANGES[name] = CustomBusinessDay(weekmask=weekmask, holidays=tuple(calendar.holidays))


def _is_tick(offset: BaseOffset) -> bool:
    """Whether a step is a fixed span of time; a day is not, in a zone, whatever pandas before 3 says."""
    return isinstance(offset, Tick) and not isinstance(offset, Day)


def _fixed_step(freq: BaseOffset, start: pd.Timestamp) -> pd.Timedelta | None:
    """The step as a fixed span of time, or None where the calendar or the zone decides its length."""
    if _is_tick(freq):
        return pd.Timedelta(freq)
    if start.tz is None and isinstance(freq, (Day, Week)):
        if isinstance(freq, Week) and freq.weekday not in (None, start.weekday()):
            return None
        return freq.n * (_DAY if isinstance(freq, Day) else 7 * _DAY)
    return None


def _grid(start: pd.Timestamp, freq: BaseOffset, low: int, high: int) -> pd.DatetimeIndex:
    """Times of the steps low <= 0 to high >= 0, stepped by offset in the zone."""
    first = low // 64 * 64  # whole blocks, so that calls with other ends find the same grid
    grid = _cached_grid(start.as_unit("us"), freq, first, -(-high // 64) * 64)
    return grid[low - first : high + 1 - first]


@lru_cache(maxsize=16)
def _cached_grid(start: pd.Timestamp, freq: BaseOffset, low: int, high: int) -> pd.DatetimeIndex:
    wall = start.tz_localize(None)
    after = pd.date_range(wall, periods=high + 1, freq=freq, unit="us")
    before = pd.date_range(end=wall, periods=1 - low, freq=freq, unit="us")[:-1] if low else after[:0]
    grid = before.append(after)
    if start.tz is None:
        return grid
    return grid.tz_localize(start.tz, ambiguous=np.ones(len(grid), bool), nonexistent="shift_forward")


def _grid_over(
    start: pd.Timestamp, freq: BaseOffset, first: pd.Timestamp, last: pd.Timestamp
) -> tuple[int, pd.DatetimeIndex]:
    """The grid from the step at or before `first` to the one at or after `last`, and the number of its first step."""
    low, high = (-64 if first < start else 0), 64
    while low and _grid(start, freq, low, 0)[0] > first:
        low *= 2
    while _grid(start, freq, 0, high)[-1] < last:
        high *= 2
    return low, _grid(start, freq, low, high)


def _infer_offset(times: pd.DatetimeIndex) -> BaseOffset:
    """The offset that holds all times with the fewest gaps."""
    if len(times) < 2:
        raise FrequencyError(
            f"No frequency can be inferred from {len(times)} time. Give freq=, such as 'h', 'D' or 'MS'."
        )
    fixed = _even_offset(times)
    calendar = [to_offset(name) for name in _CALENDAR] if times[1] - times[0] >= _DAY else []
    order = [fixed, *calendar] if pd.Timedelta(7, "D") >= _span(fixed) else [*calendar, fixed]
    counted = [found for offset in order if (found := _counted(times, offset)) is not None]
    fewest, best = min(counted, key=lambda found: found[0])
    if len(times) < (1 - _MOST_GAPS) * fewest:
        usual = times.to_series().diff().mode()[0]
        off = times[1:][(times[1:] - times[0]) % usual != pd.Timedelta(0)]
        if len(off):
            is_monthly = times.day.nunique() == 1 and 28 <= usual.days <= 31
            remedy = (
                "They come once a month, on one day: give periods, frame.index = frame.index.to_period('M')."
                if is_monthly
                else "Put the readings on a grid with seqcast.regularize(frame, freq), or give freq=."
            )
            raise IrregularTimesError(
                f"The times are irregular: most steps are {usual}, but {len(off)} of {len(times)} times are "
                f"off that grid, the first is {off[0]}. {remedy}"
            )
        raise FrequencyError(
            f"The times hold only {len(times)} of {fewest} steps of {best.freqstr!r}. Give freq= if that is right."
        )
    return best


def _even_offset(times: pd.DatetimeIndex) -> BaseOffset:
    """The longest fixed step that meets every time; days and weeks are counted on the wall clock."""
    wall = np.diff(times.tz_localize(None).as_unit("us").asi8)
    day = 86_400_000_000
    if not np.any(wall % day):
        days = int(np.gcd.reduce(wall)) // day
        return Week(days // 7, weekday=times[0].weekday()) if days % 7 == 0 else Day(days)
    return to_offset(pd.Timedelta(int(np.gcd.reduce(np.diff(times.as_unit("ns").asi8))), "ns"))


def _span(offset: BaseOffset) -> pd.Timedelta:
    return pd.Timedelta(offset) if _is_tick(offset) else offset.n * (7 * _DAY if isinstance(offset, Week) else _DAY)


def _counted(times: pd.DatetimeIndex, offset: BaseOffset) -> tuple[int, BaseOffset] | None:
    """Grid steps from the first to the last time by the longest multiple of an offset that holds them all."""
    if _is_tick(offset):
        return int((times[-1] - times[0]) // pd.Timedelta(offset)) + 1, offset
    try:
        steps = TimeAxis("datetime", times[0], offset).positions(times)
    except IrregularTimesError:
        return None
    multiple = max(int(np.gcd.reduce(steps)), 1)
    return int(steps[-1]) // multiple + 1, multiple * offset
