"""Calendar, holiday, Fourier, lag and rolling features: scikit-learn transformers whose rows are moments in time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.offsets import Tick

from seqcast._parameters import (
    any_of,
    anything,
    at_least,
    between,
    each,
    instance_of,
    is_none,
    one_of,
    option,
    parameters,
    text,
)
from seqcast.exceptions import IrregularTimesError, MissingTimesError
from seqcast.panel import Floats, Integers
from seqcast.rows import RowFeatures, Rows, TimedFeatures, lost_times, series_of, times_of
from seqcast.times import TimeAxis, season_length_of

__all__ = ["CalendarFeatures", "FourierFeatures", "HolidayFeatures", "LagFeatures", "RollingFeatures"]

_EPOCH = pd.Timestamp("1970-01-01")


@dataclass(frozen=True)
class _Cycle:
    """A cycle of the calendar: its values, the one at each time, its length there, and when "auto" takes it."""

    values: range
    value_at: Callable[[pd.DatetimeIndex], Any]
    length_at: Callable[[pd.DatetimeIndex], Any]
    auto: tuple[str, str]  # the step of the index is above the first and at most the second


_CYCLES = {
    "minute": _Cycle(range(0, 60), lambda t: t.minute + t.second / 60, lambda t: 60, ("0s", "1min")),
    "hour": _Cycle(range(0, 24), lambda t: t.hour + t.minute / 60 + t.second / 3600, lambda t: 24, ("0s", "12h")),
    "day_of_week": _Cycle(range(0, 7), lambda t: t.day_of_week, lambda t: 7, ("0s", "3D")),
    "day_of_month": _Cycle(range(1, 32), lambda t: t.day, lambda t: t.days_in_month, ("12h", "3D")),
    "day_of_year": _Cycle(range(1, 367), lambda t: t.day_of_year, lambda t: 365 + t.is_leap_year, ("0s", "16D")),
    "week_of_year": _Cycle(range(1, 54), lambda t: t.isocalendar().week, lambda t: 365.2425 / 7, ("0s", "0s")),
    "month": _Cycle(range(1, 13), lambda t: t.month, lambda t: 12, ("16D", "190D")),
    "quarter": _Cycle(range(1, 5), lambda t: t.quarter, lambda t: 4, ("0s", "0s")),
}


@parameters
class CalendarFeatures(RowFeatures):
    """Say where in the day, week, month and year each row lies.

    The index of X says when: a ``DatetimeIndex`` (on the clock of its zone), a ``PeriodIndex`` (the start of each
    period), or the times of a panel. X may have no columns at all.

    Attributes
    ----------
    features_ : tuple of str
        The cycles that were chosen.

    Notes
    -----
    "auto" goes by the median step of the training times: up to 1 minute minute, up to 12 hours hour, up to 3 days
    day_of_week, days also day_of_month, up to 16 days day_of_year, longer steps month, from a year up none. Where
    the index has no calendar (arrays, integers) "auto" adds nothing; a feature asked for by name raises.
    A cycle that is longer than the history has to be extrapolated: leave it out by naming the others.

    Examples
    --------
    >>> import pandas as pd
    >>> days = pd.date_range("2024-01-01", periods=3, freq="D", name="day")
    >>> CalendarFeatures(features=("day_of_week", "month"), encoding="number").fit_transform(days)
                day_of_week  month
    day
    2024-01-01          0.0    1.0
    2024-01-02          1.0    1.0
    2024-01-03          2.0    1.0
    """

    features: str | tuple[str, ...] = option(
        "auto",
        any_of(one_of("auto"), each(one_of(*_CYCLES))),
        "Cycles to encode; 'auto' chooses those that the frequency of the index shows.",
    )
    encoding: str = option(
        "cyclical",
        one_of("cyclical", "number", "onehot"),
        "Sine and cosine of the place in the cycle, its value, or a column a value.",
    )

    def _fit_rows(self, X: Rows) -> None:
        times = _calendar(X)
        self.zone_ = None if times is None else times.tz
        self.features_ = tuple(_sensible_cycles(times) if self.features == "auto" else self.features)
        self._new_values(X[:1])  # features asked for by name need a calendar

    def _new_names(self, names: Sequence[str]) -> list[str]:
        if self.encoding == "number":
            return list(self.features_)
        if self.encoding == "cyclical":
            return [f"{name}_{wave}" for name in self.features_ for wave in ("sin", "cos")]
        return [f"{name}_{value}" for name in self.features_ for value in _CYCLES[name].values]

    def _new_values(self, X: Rows) -> Floats:
        if not self.features_:
            return np.empty((len(X), 0))
        times = _required_calendar(X, f"CalendarFeatures(features={list(self.features_)})", self.zone_)
        return np.hstack([_encoded(times, _CYCLES[name], self.encoding) for name in self.features_])


@parameters
class HolidayFeatures(RowFeatures):
    """Mark the public holidays of a country; needs ``pip install "seqcast[holidays]"``.

    Each row of a ``DatetimeIndex`` tells of the day of its time, on the clock of its zone: 1 on a holiday, else 0.
    A ``PeriodIndex`` counts the holidays in each period, which suits weeks and months.

    Examples
    --------
    >>> import pandas as pd
    >>> days = pd.date_range("2024-12-24", periods=3, freq="D", name="day")
    >>> HolidayFeatures(country="DE", days=(0, -1)).fit_transform(days)
                holiday_DE  holiday_DE_before_1
    day
    2024-12-24         0.0                  1.0
    2024-12-25         1.0                  1.0
    2024-12-26         1.0                  0.0
    """

    country: str | None = option(
        None, any_of(is_none(), text()), "Country code such as 'DE'; needed where the index has a calendar."
    )
    subdivision: str | None = option(
        None, any_of(is_none(), text()), "State or province such as 'BY', for its own holidays."
    )
    days: tuple[int, ...] = option(
        (0,), each(instance_of(int, "an integer")), "Days from a holiday: 0 itself, 1 the day after, -1 the day before."
    )

    def _fit_rows(self, X: Rows) -> None:
        times = _calendar(X)
        self.zone_ = None if times is None else times.tz
        if self.country is None and times is not None:
            raise ValueError("HolidayFeatures needs a country, such as country='DE'.")
        self._new_values(X[:1])  # an unknown country, a missing package or a missing calendar raises in fit

    def _new_names(self, names: Sequence[str]) -> list[str]:
        if self.country is None:
            return []
        ends = ["" if k == 0 else f"_after_{k}" if k > 0 else f"_before_{-k}" for k in self.days]
        return [f"holiday_{self.country}{end}" for end in ends]

    def _new_values(self, X: Rows) -> Floats:
        if self.country is None:
            return np.empty((len(X), 0))
        first = _required_calendar(X, f"HolidayFeatures(country={self.country!r})", self.zone_)
        index = times_of(X)
        last = index.end_time if isinstance(index, pd.PeriodIndex) else first  # the last moment of each row
        holidays = _holidays(self.country, self.subdivision, range(first.min().year - 1, last.max().year + 2))
        low, high = (t.tz_localize(None).to_numpy().astype("datetime64[D]") for t in (first, last))
        place = holidays.searchsorted
        counts = [place(high - k, side="right") - place(low - k, side="left") for k in self.days]
        return np.stack(counts, axis=1).astype(np.float64) if counts else np.empty((len(X), 0))  # (n_rows, n_days)


@parameters
class FourierFeatures(TimedFeatures):
    r"""Give sine and cosine waves of fixed periods, counted in steps of the time axis.

    The features of a row depend only on its time, never on the first row of the frame.

    Attributes
    ----------
    periods_ : tuple of float
        The periods in use.

    Notes
    -----
    Of period :math:`P` and harmonic :math:`k \le P / 2` the columns are :math:`\sin(2\pi k t / P)` and
    :math:`\cos(2\pi k t / P)`, with :math:`t` in steps since 1970 (in integers or rows from 0). Higher harmonics are
    aliases and the sine of :math:`k = P / 2` is 0 throughout: they are left out.

    Examples
    --------
    >>> import pandas as pd
    >>> hours = pd.date_range("2024-01-01", periods=3, freq="6h", name="hour")
    >>> FourierFeatures(periods=(4,), n_terms=1).fit_transform(hours).round(6).abs()
                         sin_1_of_4  cos_1_of_4
    hour
    2024-01-01 00:00:00         0.0         1.0
    2024-01-01 06:00:00         1.0         0.0
    2024-01-01 12:00:00         0.0         1.0
    """

    periods: str | tuple[float, ...] = option(
        "auto",
        any_of(one_of("auto"), each(between(2, float("inf"), closed="left"))),
        "Periods in steps; 'auto' takes the season of the frequency, such as 24 of hours.",
    )
    n_terms: int = option(3, at_least(1), "Harmonics of each period, at most half the period.")

    def _fit_steps(self, X: Rows) -> None:
        season = season_length_of(self.axis_.freq)
        natural: tuple[float, ...] = (season,) if season > 1 else ()
        self.periods_ = natural if isinstance(self.periods, str) else tuple(self.periods)
        self.first_step_ = _steps_since_epoch(self.axis_)

    def _waves(self) -> list[tuple[float, int, bool]]:
        """Period, harmonic, and whether it is the sine."""
        pairs = [(period, k) for period in self.periods_ for k in range(1, self.n_terms + 1) if 2 * k <= period]
        return [
            (period, k, is_sine) for period, k in pairs for is_sine in (True, False) if 2 * k < period or not is_sine
        ]

    def _new_names(self, names: Sequence[str]) -> list[str]:
        return [f"{'sin' if is_sine else 'cos'}_{k}_of_{period:g}" for period, k, is_sine in self._waves()]

    def _new_values(self, X: Rows) -> Floats:
        steps = self._steps(X) + self.first_step_  # (n_rows,)
        angles = [(2 * np.pi * (k * steps % period) / period, is_sine) for period, k, is_sine in self._waves()]
        waves = [np.sin(angle) if is_sine else np.cos(angle) for angle, is_sine in angles]
        return np.stack(waves, axis=1) if waves else np.empty((len(X), 0))  # (n_rows, n_waves)


@parameters
class PastFeatures(TimedFeatures):
    """Base of the transformers whose columns tell of the steps before each row.

    The training rows are remembered, so that the rows that follow them see their own past.
    """

    columns: tuple | None = option(
        None,
        any_of(is_none(), each(anything())),
        "Labels of the columns of X to use, of arrays their numbers; None: all numbers.",
    )

    def _fit_steps(self, X: Rows) -> None:
        self.columns_ = _numeric_columns(X, self.columns, type(self).__name__)
        self.rows_ = (series_of(X), self._steps(X), self._values(X))

    def _values(self, X: Rows) -> Floats:
        """The columns in use, (n_rows, n_columns)."""
        if isinstance(X, np.ndarray):
            return X[:, self.columns_]
        return X.iloc[:, self.columns_].to_numpy(np.float64, na_value=np.nan)

    def _known_rows(self, X: Rows, reach: int) -> tuple[Integers, Integers, Floats, Integers]:
        """Series, steps and values of all rows within reach, in order, and the place of each given row among them."""
        known, old_steps, old_values = self.rows_
        new_steps = self._steps(X)
        near = (old_steps >= new_steps.min() - reach) & (old_steps <= new_steps.max())
        known, old_steps, old_values = known[near], old_steps[near], old_values[near]
        codes, _ = pd.factorize(known.append(series_of(X)))
        steps = np.concatenate([old_steps, new_steps])
        order = np.lexsort((steps, codes))
        codes, steps = codes[order], steps[order]
        is_last = np.append((np.diff(codes) != 0) | (np.diff(steps) != 0), True)  # given rows replace remembered ones
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.cumsum(is_last) - is_last
        place = place[len(known) :]  # (n_rows,)
        doubles = pd.Index(place).duplicated()
        if doubles.any():
            first = times_of(X)[doubles][0]
            raise IrregularTimesError(f"{doubles.sum()} times of X come twice, the first is {first}. Drop the doubles.")
        values = np.concatenate([old_values, self._values(X)])[order[is_last]]
        return codes[is_last], steps[is_last], values, place


@parameters
class LagFeatures(PastFeatures):
    """Give the values of earlier steps of the columns of X.

    Lags count steps of the time axis, not rows: a gap gives NaN. Those of the first rows after the training rows
    reach back into them. A panel is lagged series by series.

    Examples
    --------
    >>> import pandas as pd
    >>> days = pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-04"], name="day")
    >>> X = pd.DataFrame({"load": [1.0, 2.0, 4.0]}, index=days)
    >>> LagFeatures(lags=(1, 2), freq="D").fit_transform(X)
                load  load_lag_1  load_lag_2
    day
    2024-01-01   1.0         NaN         NaN
    2024-01-02   2.0         1.0         NaN
    2024-01-04   4.0         NaN         2.0
    """

    lags: tuple[int, ...] = option((1,), each(at_least(1)), "Steps to look back.")

    def _new_names(self, names: Sequence[str]) -> list[str]:
        return [f"{names[i]}_lag_{lag}" for lag in self.lags for i in self.columns_]

    def _new_values(self, X: Rows) -> Floats:
        longest = max(self.lags, default=0)
        codes, steps, values, place = self._known_rows(X, longest)
        since = steps - steps.min() + longest
        keys = codes * (since.max() + 1) + since  # in order; no lag reaches into another series
        blocks = [np.empty((len(X), 0))]
        for lag in self.lags:
            found = np.searchsorted(keys, keys[place] - lag)  # before `place`, so inside
            blocks.append(np.where((keys[found] == keys[place] - lag)[:, None], values[found], np.nan))
        return np.hstack(blocks)  # (n_rows, n_lags * n_columns)


@parameters
class RollingFeatures(PastFeatures):
    """Give statistics of the steps before each row, by column of X: a window of 7 ends at the previous step.

    Windows count steps of the time axis, not rows, and run series by series. Those of the first rows after the
    training rows reach back into them.

    Examples
    --------
    >>> import pandas as pd
    >>> X = pd.DataFrame({"load": [1.0, 3.0, 4.0]}, index=pd.date_range("2024-01-01", periods=3, name="day"))
    >>> RollingFeatures(windows=(2,), statistics=("mean", "max")).fit_transform(X)
                load  load_mean_2  load_max_2
    day
    2024-01-01   1.0          NaN         NaN
    2024-01-02   3.0          NaN         NaN
    2024-01-03   4.0          2.0         3.0
    """

    windows: tuple[int, ...] = option((7,), each(at_least(2)), "Steps in each window.")
    statistics: tuple[str, ...] = option(
        ("mean", "std"),
        each(one_of("mean", "std", "min", "max", "median", "sum")),
        "Statistics of each window; std is that of a sample (n - 1).",
    )
    min_periods: int | None = option(
        None, any_of(is_none(), at_least(1)), "Values that a window needs, else it gives NaN; None: all of its steps."
    )

    def _new_names(self, names: Sequence[str]) -> list[str]:
        return [
            f"{names[i]}_{statistic}_{window}"
            for window in self.windows
            for statistic in self.statistics
            for i in self.columns_
        ]

    def _new_values(self, X: Rows) -> Floats:
        codes, steps, values, place = self._known_rows(X, max(self.windows, default=0))
        clock = pd.DatetimeIndex(steps.astype("datetime64[s]"))  # a step a second: pandas' windows in time skip gaps
        series = pd.DataFrame(values, index=clock).groupby(codes)
        blocks = [np.empty((len(X), 0))]
        for window in self.windows:
            enough = window if self.min_periods is None else min(self.min_periods, window)
            rolling = series.rolling(f"{window}s", closed="left", min_periods=enough)
            blocks += [getattr(rolling, statistic)().to_numpy()[place] for statistic in self.statistics]
        return np.hstack(blocks)  # (n_rows, n_windows * n_statistics * n_columns)


def _calendar(X: Rows) -> pd.DatetimeIndex | None:
    """The times of the rows, of periods their start; None without a calendar."""
    index = times_of(X)
    index = index.to_timestamp(how="start") if isinstance(index, pd.PeriodIndex) else index
    if not isinstance(index, pd.DatetimeIndex):
        return None
    if index.hasnans:
        raise IrregularTimesError(f"X has no time (NaT) at row {int(np.argmax(index.isna()))}. Drop such rows.")
    return index


def _required_calendar(X: Rows, who: str, zone: Any) -> pd.DatetimeIndex:
    """The times of the rows on the clock of the fit."""
    times = _calendar(X)
    if times is None:
        raise MissingTimesError(lost_times(who))
    if (times.tz is None) != (zone is None):
        raise IrregularTimesError(f"{who}: time zone {times.tz} of X does not go with {zone} of fit. Use tz_localize.")
    return times if zone is None else times.tz_convert(zone)


def _sensible_cycles(times: pd.DatetimeIndex | None) -> list[str]:
    """The cycles that the median step between times resolves; a lone time counts as a day."""
    if times is None:
        return []
    ordered = np.unique(times.as_unit("us").asi8)
    step = pd.Timedelta(int(np.median(np.diff(ordered))), "us") if len(ordered) > 1 else pd.Timedelta(1, "D")
    spans = {name: [pd.Timedelta(text) for text in cycle.auto] for name, cycle in _CYCLES.items()}
    return [name for name, (above, most) in spans.items() if above < step <= most]


def _encoded(times: pd.DatetimeIndex, cycle: _Cycle, encoding: str) -> Floats:
    """One cycle at each time: (n_rows, 1), (n_rows, 2) or (n_rows, n_values)."""
    value = np.asarray(cycle.value_at(times), dtype=np.float64)  # (n_rows,)
    if encoding == "number":
        return value[:, None]
    if encoding == "onehot":
        return (np.floor(value)[:, None] == np.asarray(cycle.values)).astype(np.float64)
    angle = 2 * np.pi * (value - cycle.values[0]) / np.asarray(cycle.length_at(times))
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


def _holidays(country: str, subdivision: str | None, years: range) -> NDArray[np.datetime64]:
    """The holidays of a country, in order."""
    try:
        from holidays import country_holidays
    except ImportError:
        raise ImportError('HolidayFeatures needs the package holidays: pip install "seqcast[holidays]".') from None
    try:
        found = country_holidays(country, subdiv=subdivision, years=years)
    except NotImplementedError as error:  # what the package says of a country or subdivision it does not know
        raise ValueError(f"HolidayFeatures(country={country!r}, subdivision={subdivision!r}): {error}") from None
    return np.sort(np.asarray(list(found), dtype="datetime64[D]"))


def _numeric_columns(X: Rows, columns: Sequence[Any] | None, who: str) -> list[int]:
    """Places of the columns to use."""
    dtypes = dict(enumerate([X.dtype] * X.shape[1])) if isinstance(X, np.ndarray) else dict(X.dtypes)
    numeric = [label for label, dtype in dtypes.items() if dtype.kind in "biuf"]
    wrong = [label for label in columns or () if label not in numeric]
    if wrong or not numeric:
        raise ValueError(
            f"{who} needs numeric columns of X, which has {numeric}{f', not {wrong}' if wrong else ''}. "
            "Name others in columns=; lags of the target are made by the forecasters."
        )
    return [list(dtypes).index(label) for label in (numeric if columns is None else columns)]


def _steps_since_epoch(axis: TimeAxis) -> float:
    """Steps from 1970-01-01 to step 0 of `axis`: the anchor that makes waves depend on the time alone."""
    if axis.kind in ("none", "integer"):
        return axis.start / axis.freq
    if axis.kind == "period":
        return axis.start.ordinal / axis.freq.n
    if isinstance(axis.freq, Tick):
        utc = axis.start if axis.start.tz is None else axis.start.tz_convert(None)
        return (utc - _EPOCH) / pd.Timedelta(axis.freq)
    wall = axis.start.tz_localize(None)
    if wall < _EPOCH:
        return 1 - len(pd.date_range(wall, _EPOCH, freq=axis.freq, inclusive="left"))
    return len(pd.date_range(_EPOCH, wall, freq=axis.freq))
