"""The panel: rows on the grid, cut, extended and merged; and the frames that go with it."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_series_equal

from seqcast import Naive, SeasonalNaive, from_long, future_rows, to_long
from seqcast.exceptions import FrequencyWarning
from seqcast.panel import Panel
from seqcast.rolling import mean_before
from seqcast.times import TimeAxis

NAN = np.nan


def _panel() -> Panel:
    codes, steps = np.array([0, 0, 1, 0]), np.array([2, 3, 0, 5])
    axis = TimeAxis.infer(pd.date_range("2020", periods=3, freq="D"))
    return Panel.from_rows(
        codes, steps, np.array([1.0, 2.0, 9.0, 4.0]), np.arange(4.0)[:, None], ids=("a", "b"), axis=axis
    )


def test_rows_lie_on_the_grid_with_gaps_masked():
    panel = _panel()
    assert_array_equal(panel.values, [1, 2, NAN, 4, 9])
    assert_array_equal(panel.present, [True, True, False, True, True])
    assert_array_equal(panel.indptr, [0, 4, 5])
    assert_array_equal(panel.features[:, 0], [0, 1, NAN, 3, 2])
    assert panel.ends.tolist() == [6, 1]
    assert panel.steps().tolist() == [2, 3, 4, 5, 0]


def test_cut_masks_what_lies_beyond_a_series():
    cut = _panel().cut(np.array([1, 0]), np.array([-1, 2]), np.array([2, 6]))
    assert_array_equal(cut.values, [NAN, 9, NAN, NAN, 4, NAN, NAN])
    assert cut.first.tolist() == [-1, 4]
    assert cut.ids == ("b", "a")


def test_extended_appends_masked_rows_with_their_covariates():
    longer = _panel().extended(np.array([1]), np.array([2]), np.array([[7.0]]))
    assert_array_equal(longer.values, [1, 2, NAN, 4, 9, NAN, NAN])
    assert_array_equal(longer.features[-2:, 0], [NAN, 7])
    assert_array_equal(longer.present[-2:], [False, False])


def test_merged_keeps_what_is_known_unless_the_new_row_knows():
    panel = _panel()
    new = Panel.from_rows(
        np.array([0, 0, 0]),
        np.array([3, 4, 6]),
        np.array([NAN, 3.0, 5.0]),
        np.zeros((3, 1)),
        ids=("a",),
        axis=panel.axis,
    )
    merged = panel.merged(new, np.array([0]))
    assert_array_equal(merged.values, [1, 2, 3, 4, 5, 9])


def test_future_rows_start_after_each_series_end():
    times = pd.date_range("2020-01-31", periods=3, freq="ME")
    y = pd.concat({"a": pd.Series(1.0, times), "b": pd.Series(2.0, times[:2])}, names=["id", "month"])
    rows = future_rows(y, 1)
    assert rows.index.tolist() == [("a", pd.Timestamp("2020-04-30")), ("b", pd.Timestamp("2020-03-31"))]
    assert rows.index.names == ["id", "month"]
    assert future_rows(pd.Series([1.0, 2.0]), 2).index.tolist() == [2, 3]
    for bad in (0, 2.5):
        with pytest.raises(ValueError, match="horizon"):
            future_rows(y, bad)


def test_long_frames_go_both_ways():
    times = pd.date_range("2020-01-01", periods=2, freq="D")
    wide = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, NAN]}, index=times)
    long = to_long(wide)
    assert long.columns.tolist() == ["unique_id", "ds", "y"]
    X, y = from_long(long.sample(frac=1, random_state=0).assign(promotion=1))
    assert X.columns.tolist() == ["promotion"]
    assert_series_equal(to_long(y)["y"], long["y"])
    assert_series_equal(y.loc["b"], wide["b"], check_names=False, check_freq=False)
    with pytest.raises(ValueError, match="target="):
        from_long(long, target="value")


def test_means_before_are_those_of_each_series_even_of_a_tiny_one_after_a_huge_one():
    rng = np.random.default_rng(0)
    values = np.concatenate(
        [1e15 * rng.normal(size=50), rng.normal(size=30), np.full(4, NAN), 1e-9 * rng.normal(size=16)]
    )
    values[rng.integers(100, size=20)] = NAN
    codes, steps = np.repeat([0, 1, 2], [50, 30, 20]), np.concatenate([np.arange(n) for n in (50, 30, 20)])
    axis = TimeAxis.infer(pd.date_range("2020", periods=3, freq="D"))
    panel = Panel.from_rows(codes, steps, values, np.empty((100, 0)), ids=("a", "b", "c"), axis=axis)
    series, positions = np.array([0, 1, 1, 2, 2, 2]), np.array([50, 0, 17, 3, 9, 20])
    found = mean_before(panel, values**2, series, positions)
    before = [values[panel.series(i)][:position] for i, position in zip(series, positions, strict=True)]
    expected = [np.nanmean(part**2) if (~np.isnan(part)).any() else NAN for part in before]
    assert_allclose(found, expected, rtol=1e-9)
    later = np.where(steps < 17, values, 1e16)
    assert_array_equal(mean_before(panel, later**2, series[[2, 4]], positions[[2, 4]]), found[[2, 4]])


def test_a_panel_as_the_history_of_what_was_fitted_on_one_series_is_answered_as_a_panel():
    y = pd.Series(np.arange(30.0) % 7, index=pd.date_range("2024", periods=30, freq="D"), name="y")
    found = SeasonalNaive(horizon=2, season_length=7).fit(y).forecast(history=pd.concat({"a": y, "b": y[:25]}))
    assert found.index.get_level_values(0).tolist() == ["a", "a", "b", "b"]
    assert found.tolist() == [2, 3, 4, 5]


def test_rows_of_another_frequency_warn():
    hours = pd.Series(np.arange(24.0 * 30), pd.date_range("2024-01-01", periods=24 * 30, freq="h"))
    model = Naive(horizon=2).fit(hours)
    with pytest.warns(FrequencyWarning, match="24 steps of 'h' apart"):
        model.forecast(history=hours.resample("D").mean())
    days = pd.Series(np.arange(300.0), pd.date_range("2024-01-01", periods=300))
    with pytest.warns(FrequencyWarning, match="All rows of series 'weekly' are 7 steps of 'D' apart"):
        Naive(horizon=2).fit(pd.concat({"daily": days, "weekly": days[::7]}, names=["series", "time"]))
    Naive(horizon=2).fit(pd.concat({"daily": days, "few": days[:140:7]}, names=["series", "time"]))  # may be chance
    Naive(horizon=2).fit(pd.concat({"daily": days, "open": days[days.index.day_of_week < 5]}, names=["series", "time"]))


def test_a_number_of_steps_is_no_rows():
    y = pd.Series(np.arange(30.0), pd.date_range("2024-01-01", periods=30))
    with pytest.raises(TypeError, match=r"Use forecast\(5\) for steps"):
        Naive(horizon=2).fit(y).predict(5)


def test_columns_of_two_levels_come_back_as_they_went_in():
    columns = pd.MultiIndex.from_product([["north", "south"], ["load", "price"]], names=["region", "what"])
    y = pd.DataFrame(np.arange(40.0).reshape(10, 4), pd.date_range("2024", periods=10), columns)
    model = Naive(horizon=2).fit(y)
    assert model.forecast().columns.equals(columns)
    found = model.forecast(quantiles=[0.1, 0.9])
    assert found.columns.names == ["region", "what", "quantile"]
    assert found["north", "load", 0.1].shape == (2,)
