"""regularize: what becomes of irregular readings, and what the report says of it."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal, assert_series_equal

from seqcast.exceptions import FrequencyError, IrregularTimesError
from seqcast.resampling import regularize
from seqcast.times import TimeAxis

HOWS = ("mean", "median", "sum", "min", "max", "first", "last")


def irregular(n=300, *, tz=None, seed=0):
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2024-03-29 09:17", tz=tz)
    times = start + pd.to_timedelta(rng.integers(0, 5 * 24 * 3600, n), unit="s")
    return pd.DataFrame({"heat": rng.normal(size=n), "gas": rng.normal(size=n)}, index=times.rename("time"))


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("freq", ["20min", "7h", "D", "B", "W", "MS", "ME"])
@pytest.mark.parametrize("tz", [None, "Europe/Berlin"])
def test_steps_are_those_of_resample(how, freq, tz):
    frame = irregular(tz=tz)
    bins = frame.sort_index().resample(freq)
    expected = bins.sum(min_count=1) if how == "sum" else getattr(bins, how)()
    got = regularize(frame, freq, how=how)
    assert_frame_equal(got, expected, check_freq=False)
    assert got.index.freq == expected.index.freq
    assert TimeAxis.infer(got.index).positions(got.index).tolist() == list(range(len(got)))


def test_empty_steps_are_nan_and_missing_readings_are_no_readings():
    times = pd.to_datetime(["2024-01-01 00:10", "2024-01-01 00:40", "2024-01-01 02:30", "2024-01-01 03:05"])
    readings = pd.Series([1.0, np.nan, 5.0, np.nan], index=times, name="level")
    before = readings.copy(deep=True)
    for how in HOWS:
        got = regularize(readings, "h", how=how)
        np.testing.assert_array_equal(got, [1, np.nan, 5, np.nan])
        assert got.name == "level"
    report = got.attrs["regularize"]
    assert report["summary"] == "4 readings on 4 steps of h by last: 1 shared a step, 0 dropped, 1 step empty (NaN)."
    assert_series_equal(readings, before)


def test_order_of_the_readings_decides_nothing():
    frame = irregular()
    for how in ("mean", "last"):
        expected = regularize(frame.sort_index(), "h", how=how)
        assert_frame_equal(regularize(frame.sample(frac=1, random_state=1), "h", how=how), expected)


def test_with_a_tolerance_each_reading_goes_to_its_nearest_time_or_is_dropped():
    times = pd.to_datetime(["2023-12-31 23:59:58", "2024-01-01 00:05:03", "2024-01-01 00:07:20", "2024-01-01 00:14:59"])
    got = regularize(pd.Series([1.0, 2.0, 99.0, 4.0], index=times), "5min", tolerance="10s")
    assert got.index[0] == pd.Timestamp("2024-01-01 00:00")
    np.testing.assert_array_equal(got, [1, 2, np.nan, 4])
    assert got.attrs["regularize"]["n_dropped"] == 1
    with pytest.raises(IrregularTimesError, match="No reading lies within 1s"):
        regularize(pd.Series([1.0], index=times[1:2]), "5min", tolerance="1s")


@pytest.mark.parametrize("freq", ["D", "ME", "W"])
def test_a_tolerance_reaches_over_the_ends_of_days_and_months(freq):
    grid = pd.date_range("2024-01-31", periods=6, freq=freq, tz="Europe/Berlin")
    jitter = pd.to_timedelta([30, -30, 10, -5, 0, 20], unit="s")
    got = regularize(pd.Series(np.arange(6.0), index=grid + jitter), freq, tolerance="1min")
    assert got.tolist() == [0, 1, 2, 3, 4, 5]
    assert got.index.equals(grid)


def test_the_nearest_month_end_may_lie_before_the_first_reading():
    reading = pd.Series([1.0], index=pd.to_datetime(["2024-02-01 00:30"]))
    assert regularize(reading, "ME", tolerance="25h").index[0] == pd.Timestamp("2024-01-31")
    assert regularize(reading, "ME").index[0] == pd.Timestamp("2024-02-29")


def test_of_readings_at_one_time_the_last_given_is_the_last():
    readings = pd.Series(np.arange(1000.0), index=pd.to_datetime(["2024-01-01 02:00", "2024-01-01 01:00"] * 500))
    assert regularize(readings, "h", how="last").tolist() == [999, 998]
    assert regularize(readings, "h", how="first").tolist() == [1, 0]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("tolerance", [None, "1h"])
def test_unit_zone_and_name_of_the_index_are_kept(unit, tolerance):
    frame = irregular(tz="Europe/Berlin")
    frame.index = frame.index.as_unit(unit)
    got = regularize(frame, "h", tolerance=tolerance)
    assert got.index.dtype == frame.index.dtype
    assert got.index.name == "time"


def test_in_a_zone_every_hour_is_one_step_through_the_change_of_the_clock():
    times = pd.date_range("2024-10-26 12:00", "2024-10-28 12:00", freq="20min", tz="Europe/Berlin", inclusive="left")
    hours = regularize(pd.Series(1.0, index=times), "h", how="sum")
    assert len(hours) == 49
    assert (hours == 3).all()
    days = regularize(pd.Series(1.0, index=times), "D", how="sum")
    assert days.tolist() == [36, 75, 36]  # the Sunday has 25 hours
    spring = pd.date_range("2024-03-31", periods=23 * 3, freq="20min", tz="Europe/Berlin")
    assert len(regularize(pd.Series(1.0, index=spring), "h")) == 23


def test_without_a_zone_a_repeated_hour_is_merged_and_said():
    zoned = pd.date_range("2024-10-27", periods=25, freq="h", tz="Europe/Berlin")
    got = regularize(pd.Series(np.arange(25.0), index=zoned.tz_localize(None)), "h")
    assert len(got) == 24
    assert got.iloc[2] == 2.5  # 2:00 came twice, with 2 and 3
    assert got.attrs["regularize"]["n_shared"] == 1


def test_series_of_a_panel_share_one_grid_and_keep_their_own_ends():
    times = pd.to_datetime(["2024-01-01 01:00", "2024-01-01 22:00", "2024-01-02 03:30", "2024-01-03 03:30"])
    index = pd.MultiIndex.from_arrays([["b", "b", "a", "a"], times], names=["series", "time"])
    panel = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0]}, index=index)
    got = regularize(panel, "7h")
    assert got.index.names == ["series", "time"]
    assert got.loc["b", "x"].dropna().tolist() == [1, 2]
    assert got.loc["a", "x"].dropna().tolist() == [3, 4]
    assert len(got) == 5 + 4  # a from hour 21 to hour 49, b from 0 to 21, both from one midnight
    axis = TimeAxis.infer(got.index.get_level_values(1), "7h")
    assert axis.positions(got.index.get_level_values(1)).tolist() == [3, 4, 5, 6, 7, 0, 1, 2, 3]
    assert got.attrs["regularize"]["n_empty"] == 5


def test_words_and_categories_take_the_last_reading():
    times = pd.to_datetime(["2024-01-01 00:10", "2024-01-01 00:40", "2024-01-01 02:30"])
    frame = pd.DataFrame({"state": ["on", "off", "on"], "heat": [1, 2, 3]}, index=times)
    got = regularize(frame, "h", how="last")
    assert got["state"].tolist()[::2] == ["off", "on"]
    assert got["state"].isna().tolist() == [False, True, False]
    with pytest.raises(TypeError, match=r"Columns \['state'\] hold no numbers, which how='mean' needs"):
        regularize(frame, "h")


def test_the_report_survives_copies_slices_and_parquet(tmp_path):
    got = regularize(irregular(), "h")
    got.to_parquet(tmp_path / "readings.parquet")
    loaded = pd.read_parquet(tmp_path / "readings.parquet")
    for frame in (got.copy(), got.iloc[5:], got["heat"], loaded):
        assert frame.attrs["regularize"] == got.attrs["regularize"]


def test_faults_are_named():
    readings = pd.Series([1.0, 2.0], index=pd.to_datetime(["2024-01-01", "2024-01-02"]))
    with pytest.raises(TypeError, match="needs a DatetimeIndex, got RangeIndex"):
        regularize(readings.reset_index(drop=True), "h")
    with pytest.raises(IrregularTimesError, match=r"1 of 2 readings have no time \(NaT\)"):
        regularize(readings.set_axis(pd.DatetimeIndex(["2024-01-01", None])), "h")
    with pytest.raises(FrequencyError, match="freq='M' is no frequency of pandas"):
        regularize(readings, "M")
    with pytest.raises(ValueError, match=r"how must be one of mean, .*got 'nearest'"):
        regularize(readings, "h", how="nearest")
    with pytest.raises(ValueError, match="no readings"):
        regularize(readings[:0], "h")


@pytest.mark.skipif("SEQCAST_DATA" not in os.environ, reason="SEQCAST_DATA names no folder")
def test_machine_temperature_is_regular_afterwards():
    path = Path(os.environ["SEQCAST_DATA"]) / "machine_temperature.csv"
    readings = pd.read_csv(path, parse_dates=["timestamp"], index_col="timestamp")["value"]
    got = regularize(readings, "5min")
    report = got.attrs["regularize"]
    assert report["summary"] == (
        "22,695 readings on 22,683 steps of 5min by mean: 12 shared a step, 0 dropped, 0 steps empty (NaN)."
    )
    assert got.index.freq == pd.tseries.frequencies.to_offset("5min")
    once = readings[~readings.index.duplicated(keep=False)]
    assert_series_equal(got[once.index], once, check_freq=False)
    assert got.sum() + readings[readings.index.duplicated(keep=False)].sum() / 2 == pytest.approx(readings.sum())
