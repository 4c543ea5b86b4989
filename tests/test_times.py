"""The grid of times: inference, positions, continuation."""

import sys

import numpy as np
import pandas as pd
import pytest

from seqcast import times
from seqcast.exceptions import FrequencyError, IrregularTimesError
from seqcast.times import TimeAxis, season_length_of

FREQUENCIES = ["s", "5min", "h", "6h", "D", "B", "W-SAT", "MS", "ME", "2MS", "BME", "QE", "QS", "YS", "YE"]


@pytest.mark.parametrize("freq", FREQUENCIES)
@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_positions_and_times_are_inverse_beyond_both_ends(freq, unit):
    times = pd.date_range("2020-01-01", periods=40, freq=freq, unit=unit)
    axis = TimeAxis.infer(pd.DatetimeIndex(times.to_numpy()))
    around = pd.date_range(times[0] - 7 * times.freq, periods=60, freq=times.freq, unit=unit)
    steps = axis.positions(around)
    assert np.array_equal(steps, np.arange(60) - 7)
    back = axis.index(steps)
    assert back.equals(around)
    assert back.dtype == times.dtype


@pytest.mark.parametrize("freq", [f for f in FREQUENCIES if f != "2MS"])
def test_gaps_do_not_change_the_frequency(freq):
    times = pd.date_range("2020-01-01", periods=40, freq=freq).delete([3, 7, 8, 30])
    axis = TimeAxis.infer(times)
    assert axis.freq_name == pd.date_range("2020", periods=3, freq=freq).freqstr
    assert axis.positions(times)[-1] == 39


@pytest.mark.parametrize(
    ("freq", "change"), [("D", "2024-03-31"), ("h", "2024-03-31"), ("h", "2024-10-27"), ("W-SUN", "2024-03-31")]
)
def test_a_zone_is_stepped_through_the_change_of_the_clock(freq, change):
    times = pd.date_range(pd.Timestamp(change, tz="Europe/Berlin") - pd.Timedelta("2D"), periods=80, freq=freq)
    axis = TimeAxis.infer(pd.DatetimeIndex(times, freq=None)[:40])
    assert axis.freq_name == times.freqstr
    assert axis.index(np.arange(80)).equals(times)


def test_units_that_mix_give_equal_positions():
    times = pd.date_range("2020", periods=5, freq="MS", unit="us")
    axis = TimeAxis.infer(times)
    for unit in ("s", "ms", "ns"):
        assert np.array_equal(axis.positions(times.as_unit(unit)), np.arange(5))


def test_periods_and_integers_are_grids_too():
    periods = pd.period_range("2020-01", periods=5, freq="Q")
    axis = TimeAxis.infer(periods)
    assert axis.index(np.array([5])).equals(pd.PeriodIndex(["2021Q2"], freq="Q"))
    assert axis.freq_name == "Q-DEC"
    integers = TimeAxis.infer(pd.Index([10, 14, 16]))
    assert integers.freq == 2
    assert integers.positions(pd.Index([20])).tolist() == [5]


def test_half_gaps_are_a_frequency_and_more_are_not():
    days = pd.date_range("2020-01-01", periods=20, freq="h")
    assert TimeAxis.infer(days.delete(range(1, 19, 2))).freq_name == "h"
    with pytest.raises((FrequencyError, IrregularTimesError), match="freq="):
        TimeAxis.infer(days[[0, 1, 2, 19]])


def test_one_time_has_no_frequency_unless_given():
    one = pd.DatetimeIndex(["2020-01-31"])
    with pytest.raises(FrequencyError, match="freq="):
        TimeAxis.infer(one)
    assert str(TimeAxis.infer(one, "ME").index(np.array([1]))[0].date()) == "2020-02-29"


@pytest.mark.parametrize(("old", "new"), [("H", "h"), ("M", "ME"), ("Q", "QE"), ("T", "min")])
def test_old_aliases_name_the_new_one(old, new):
    with pytest.raises(FrequencyError, match=new):
        TimeAxis.infer(pd.date_range("2020", periods=3, freq="D"), old)


def test_times_off_the_grid_are_named():
    axis = TimeAxis.infer(pd.date_range("2020", periods=9, freq="MS"))
    with pytest.raises(IrregularTimesError, match="2020-05-02"):
        axis.positions(pd.DatetimeIndex(["2020-05-01", "2020-05-02"]))
    with pytest.raises(IrregularTimesError, match="tz_localize"):
        axis.positions(pd.DatetimeIndex(["2020-05-01"], tz="UTC"))
    with pytest.raises(IrregularTimesError, match="row 1"):
        axis.positions(pd.DatetimeIndex(["2020-05-01", None]))


def test_seasons_follow_the_frequency():
    expected = {
        "h": 24,
        "D": 7,
        "B": 5,
        "W-SAT": 52,
        "MS": 12,
        "ME": 12,
        "2MS": 6,
        "QE": 4,
        "YE": 1,
        "15min": 96,
        "min": 60,
        "2h": 12,
    }
    assert {freq: season_length_of(freq) for freq in expected} == expected
    assert season_length_of(1) == 1


def test_trading_days_of_an_exchange_leave_no_gaps():
    pytest.importorskip("exchange_calendars")
    days = pd.DatetimeIndex(["2018-03-28", "2018-03-29", "2018-04-02"])  # Good Friday is a holiday
    axis = TimeAxis.infer(days, "XNYS")
    assert axis.positions(days).tolist() == [0, 1, 2]
    assert axis.freq_name == "XNYS"
    assert str(axis.index(np.array([-1]))[0].date()) == "2018-03-27"
    assert season_length_of("XNYS") == 5
    with pytest.raises(IrregularTimesError, match="2018-03-30"):
        axis.positions(pd.DatetimeIndex(["2018-03-30"]))


def test_holidays_of_an_offset_are_no_steps():
    offset = pd.offsets.CustomBusinessDay(holidays=["2024-05-01"], weekmask="Mon Tue Wed Thu")
    axis = TimeAxis.infer(pd.DatetimeIndex(["2024-04-29", "2024-04-30", "2024-05-06"]), offset)
    assert axis.index(np.arange(5)).strftime("%m-%d").tolist() == ["04-29", "04-30", "05-02", "05-06", "05-07"]
    assert season_length_of(offset) == 4


def test_an_exchange_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    monkeypatch.setattr(times, "_EXCHANGES", {})
    with pytest.raises(FrequencyError, match=r"seqcast\[calendars\]"):
        TimeAxis.infer(pd.date_range("2024-01-01", periods=3), "XNYS")


def test_an_unknown_exchange_is_named():
    with pytest.raises(FrequencyError, match="XXXX"):
        TimeAxis.infer(pd.date_range("2024-01-01", periods=3), "XXXX")


def test_readings_once_a_month_on_one_day_are_told_to_be_periods():
    fifteenth = pd.date_range("2020-01-01", periods=40, freq="MS") + pd.Timedelta(14, "D")
    with pytest.raises(IrregularTimesError, match=r"to_period\('M'\)"):
        TimeAxis.infer(fifteenth)
    assert TimeAxis.infer(fifteenth.to_period("M").to_timestamp()).freq == pd.tseries.frequencies.to_offset("MS")
