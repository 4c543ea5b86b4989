"""The feature transformers: hand-worked values, the contract's rule of rows, and scikit-learn's own checks."""

import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from seqcast.exceptions import IrregularTimesError, MissingTimesError
from seqcast.features import CalendarFeatures, FourierFeatures, HolidayFeatures, LagFeatures, RollingFeatures
from seqcast.testing import EXPECTED_FAILED_CHECKS

ROWWISE = [CalendarFeatures(), CalendarFeatures(encoding="onehot"), HolidayFeatures(), FourierFeatures()]
ALL_STATISTICS = ("mean", "std", "min", "max", "median", "sum")
BY_STEP = [
    FourierFeatures(periods=(7, 5.5)),
    LagFeatures(lags=(1, 3)),
    LagFeatures(keep=False),
    RollingFeatures(windows=(3,), statistics=ALL_STATISTICS),
]
TIMED = [  # on an index with a calendar
    CalendarFeatures(),
    CalendarFeatures(encoding="number"),
    HolidayFeatures(country="DE", days=(0, 1)),
    FourierFeatures(periods=(7, 2), n_terms=2),
    LagFeatures(lags=(1, 3)),
    RollingFeatures(windows=(3,), min_periods=2, statistics=ALL_STATISTICS),
]
INDEXES = {
    "naive": pd.date_range("2024-02-20", periods=40, freq="D", name="time"),
    "zone": pd.date_range("2024-03-29", periods=40, freq="6h", tz="Europe/Berlin"),
    "business": pd.date_range("2024-02-20", periods=40, freq="B"),
    "period": pd.period_range("2024-01", periods=40, freq="M"),
    "panel": pd.MultiIndex.from_product(
        [["b", "a"], pd.date_range("2024-02-20", periods=20, freq="D")], names=["series", "time"]
    ),
}


@parametrize_with_checks(ROWWISE)
def test_row_wise_transformers_pass_every_check_of_scikit_learn(estimator, check):
    check(estimator)


@parametrize_with_checks(BY_STEP, expected_failed_checks=lambda estimator: EXPECTED_FAILED_CHECKS)
def test_transformers_by_step_pass_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


def frame_on(index):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(len(index), 2))
    values[5, 0] = np.nan
    return pd.DataFrame(values, index=index, columns=["load", "wind"])


def new_columns(transformer, X, *, rows=None):
    """What the fitted transformer adds to `rows`, by default to X itself."""
    fitted = clone(transformer).set_params(keep=False).fit(X)
    return fitted.transform(X if rows is None else rows)


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
@pytest.mark.parametrize("transformer", TIMED, ids=str)
def test_rows_keep_index_and_columns_and_gain_named_floats(transformer, index):
    X = frame_on(index)
    before = X.copy(deep=True)
    out = clone(transformer).fit_transform(X)
    assert_frame_equal(X, before)
    assert_frame_equal(out[["load", "wind"]], X)
    assert out.shape[1] > 2
    assert (out.dtypes == np.float64).all()
    fitted = clone(transformer).set_output(transform="pandas").fit(X)
    assert list(fitted.get_feature_names_out()) == list(out.columns)
    assert_frame_equal(fitted.transform(X), out)
    assert_frame_equal(pickle.loads(pickle.dumps(fitted)).transform(X), out)


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
@pytest.mark.parametrize("transformer", TIMED, ids=str)
def test_later_rows_change_nothing_before_them(transformer, index):
    X = frame_on(index)
    times = index.get_level_values(-1)
    changed = X.copy()
    changed[times >= times[15]] = 1e6
    is_before = times <= times[15]  # the row itself may not see its own value either
    assert_frame_equal(new_columns(transformer, changed)[is_before], new_columns(transformer, X)[is_before])


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
@pytest.mark.parametrize("transformer", TIMED, ids=str)
def test_rows_after_the_training_rows_are_continued(transformer, index):
    X = frame_on(index)
    times = index.get_level_values(-1)
    is_train = times < times[15]
    whole = new_columns(transformer, X)
    fitted = clone(transformer).set_params(keep=False).fit(X[is_train])
    assert_frame_equal(fitted.transform(X[~is_train]), whole[~is_train], rtol=1e-12)
    assert_frame_equal(fitted.transform(X[is_train].iloc[7:12]), whole[is_train].iloc[7:12], rtol=1e-12)


@pytest.mark.parametrize("transformer", TIMED, ids=str)
def test_units_of_the_index_give_equal_features(transformer):
    X = frame_on(INDEXES["naive"])
    expected = new_columns(transformer, X).to_numpy()
    for unit in ("s", "ms", "us", "ns"):
        other = X.set_axis(X.index.as_unit(unit))
        np.testing.assert_array_equal(new_columns(transformer, other), expected)
        np.testing.assert_array_equal(new_columns(transformer, X, rows=other), expected)


@pytest.mark.parametrize("transformer", [t for t in TIMED if "columns" not in t.get_params()], ids=str)
def test_frames_without_columns_series_and_indexes_say_when(transformer):
    index = INDEXES["naive"]
    bare = clone(transformer).fit_transform(pd.DataFrame(index=index))
    assert_frame_equal(bare, new_columns(transformer, frame_on(index)))
    assert_frame_equal(clone(transformer).fit_transform(index), bare)
    with_series = clone(transformer).fit_transform(pd.Series(1.0, index=index, name="load"))
    assert_frame_equal(with_series.drop(columns="load"), bare)


@pytest.mark.parametrize("transformer", [*ROWWISE, *BY_STEP], ids=str)
def test_empty_input_raises_as_in_scikit_learn(transformer):
    with pytest.raises(ValueError, match=r"0 feature\(s\) \(shape=\(3, 0\)\) while a minimum of 1 is required"):
        clone(transformer).fit(np.empty((3, 0)))
    with pytest.raises(ValueError, match=r"0 sample\(s\) \(shape=\(0, 1\)\) while a minimum of 1 is required"):
        clone(transformer).fit(pd.DataFrame({"a": []}))
    with pytest.raises(NotFittedError):
        clone(transformer).transform(np.ones((3, 1)))


@pytest.mark.parametrize("transformer", TIMED[2:], ids=str)
def test_rows_that_lost_their_times_raise(transformer):
    X = frame_on(INDEXES["naive"])
    fitted = clone(transformer).fit(X)
    with pytest.warns(UserWarning, match="feature names"), pytest.raises(MissingTimesError, match="set_output"):
        fitted.transform(X.to_numpy())
    with pytest.raises(MissingTimesError, match="set_output"):
        fitted.transform(X.reset_index(drop=True))


def test_columns_that_come_twice_raise():
    X = pd.DataFrame({"hour": 0.0}, index=INDEXES["zone"])
    with pytest.raises(ValueError, match=r"CalendarFeatures would make columns twice: \['hour'\]"):
        CalendarFeatures(features=("hour",), encoding="number").fit(X)


def test_unnamed_and_category_columns_are_handed_on():
    X = pd.DataFrame({0: [1, 2], 1: pd.Categorical(["a", "b"])}).set_axis(pd.date_range("2024-01-01", periods=2))
    out = CalendarFeatures(features=("day_of_week",), encoding="number").fit_transform(X)
    assert list(out.columns) == ["x0", "x1", "day_of_week"]
    assert isinstance(out["x1"].dtype, pd.CategoricalDtype)
    assert list(LagFeatures().fit_transform(X).columns) == ["x0", "x1", "x0_lag_1"]


# calendar


@pytest.mark.parametrize(
    ("freq", "expected"),
    [
        ("s", "minute hour day_of_week day_of_year"),
        ("5min", "hour day_of_week day_of_year"),
        ("h", "hour day_of_week day_of_year"),
        ("D", "day_of_week day_of_month day_of_year"),
        ("B", "day_of_week day_of_month day_of_year"),
        ("W-SAT", "day_of_year"),
        ("MS", "month"),
        ("ME", "month"),
        ("QS", "month"),
        ("YS", ""),
    ],
)
def test_auto_takes_the_cycles_that_the_frequency_shows(freq, expected):
    index = pd.date_range("2023-01-01", periods=30, freq=freq)
    gappy = index.delete([3, 4, 11])
    for times in (index, gappy):
        assert CalendarFeatures().fit(times).features_ == tuple(expected.split())


def test_calendar_gives_the_values_of_the_clock_and_the_date():
    times = pd.DatetimeIndex(["2024-02-29 13:30:15", "2023-12-31 00:00:00"])
    features = ("minute", "hour", "day_of_week", "day_of_month", "day_of_year", "week_of_year", "month", "quarter")
    out = CalendarFeatures(features=features, encoding="number").fit_transform(times)
    assert list(out.columns) == list(features)
    hour = 13 + 30 / 60 + 15 / 3600
    np.testing.assert_allclose(out, [[30.25, hour, 3, 29, 60, 9, 2, 1], [0, 0, 6, 31, 365, 52, 12, 4]])


def test_cycles_turn_once_in_their_length():
    times = pd.DatetimeIndex(["2024-02-01 06:00", "2024-02-15 12:00", "2024-12-31 18:00"])
    out = CalendarFeatures(features=("hour", "day_of_month", "day_of_year")).fit_transform(times)
    np.testing.assert_allclose(out["hour_sin"], [1, 0, -1], atol=1e-12)
    np.testing.assert_allclose(out["hour_cos"], [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(out["day_of_month_cos"], np.cos(2 * np.pi * np.array([0, 14 / 29, 30 / 31])))
    np.testing.assert_allclose(out["day_of_year_sin"], np.sin(2 * np.pi * np.array([31, 45, 365]) / 366))


def test_onehot_gives_a_column_for_each_value():
    out = CalendarFeatures(features=("quarter",), encoding="onehot").fit_transform(pd.to_datetime(["2024-05-01"]))
    assert out.iloc[0].to_dict() == {"quarter_1": 0.0, "quarter_2": 1.0, "quarter_3": 0.0, "quarter_4": 0.0}


def test_hours_are_those_of_the_clock_in_the_zone_of_the_fit():
    times = pd.date_range("2024-03-30 23:00", periods=5, freq="h", tz="Europe/Berlin")
    calendar = CalendarFeatures(features=("hour",), encoding="number").fit(times)
    assert calendar.transform(times)["hour"].tolist() == [23, 0, 1, 3, 4]
    assert calendar.transform(times.tz_convert("UTC"))["hour"].tolist() == [23, 0, 1, 3, 4]
    with pytest.raises(IrregularTimesError, match="time zone None of X does not go with Europe/Berlin"):
        calendar.transform(times.tz_localize(None))


def test_without_a_calendar_auto_adds_nothing_and_names_raise():
    for X in (np.ones((3, 2)), pd.DataFrame({"a": [1.0, 2.0]}, index=[5, 6])):
        np.testing.assert_array_equal(CalendarFeatures().fit_transform(X), X)
        with pytest.raises(MissingTimesError, match=r"CalendarFeatures\(features=\['hour'\]\) needs the times"):
            CalendarFeatures(features=("hour",)).fit(X)


def test_a_missing_time_raises():
    with pytest.raises(IrregularTimesError, match=r"no time \(NaT\) at row 1"):
        CalendarFeatures().fit_transform(pd.DatetimeIndex(["2024-01-01", None, "2024-01-03"]))


def test_unknown_options_are_named_together():
    with pytest.raises(ValueError, match=r"features must be .*; encoding must be"):
        CalendarFeatures(features=("houre",), encoding="sine").fit(INDEXES["naive"])


# Fourier


@pytest.mark.parametrize("first", ["1951-03-07", "1969-12-15", "2012-03-07"])
@pytest.mark.parametrize("freq", ["15min", "7h", "D", "B", "W-SAT", "SME", "MS", "2MS", "QE", "YS"])
@pytest.mark.parametrize("zone", [None, "Asia/Kolkata"])
def test_waves_depend_only_on_the_time(freq, first, zone):
    index = pd.date_range(first, periods=60, freq=freq, tz=zone)
    fourier = FourierFeatures(periods=(7, 3.7), n_terms=2, freq=freq)
    late = clone(fourier).fit_transform(index[23:])
    np.testing.assert_allclose(late, clone(fourier).fit_transform(index)[23:], atol=1e-7)


@pytest.mark.parametrize(
    "index", [pd.period_range("1969-11", periods=40, freq="M"), pd.RangeIndex(-10, 60, 2)], ids=["period", "integer"]
)
def test_waves_of_periods_and_integers_depend_only_on_the_time(index):
    fourier = FourierFeatures(periods=(12,))
    np.testing.assert_allclose(
        clone(fourier).fit_transform(index[5:]), clone(fourier).fit_transform(index)[5:], atol=1e-12
    )


def test_a_wave_returns_after_its_period_and_not_before():
    out = FourierFeatures(periods=(24,), n_terms=1).fit_transform(pd.date_range("2024-01-01", periods=49, freq="h"))
    np.testing.assert_allclose(out["cos_1_of_24"], np.cos(2 * np.pi * np.arange(49) / 24), atol=1e-9)
    np.testing.assert_allclose(out["sin_1_of_24"], np.sin(2 * np.pi * np.arange(49) / 24), atol=1e-9)


def test_harmonics_above_half_the_period_are_left_out():
    fourier = FourierFeatures(periods=(4, 2.5), n_terms=9).fit(INDEXES["naive"])
    names = "sin_1_of_4, cos_1_of_4, cos_2_of_4, sin_1_of_2.5, cos_1_of_2.5"
    assert ", ".join(fourier.get_feature_names_out()) == names
    waves = fourier.transform(INDEXES["naive"])
    assert np.linalg.matrix_rank(waves) == waves.shape[1]


def test_auto_takes_the_season_of_the_frequency():
    assert FourierFeatures().fit(INDEXES["naive"]).periods_ == (7,)
    assert FourierFeatures().fit(INDEXES["period"]).periods_ == (12,)
    assert FourierFeatures().fit(np.ones((5, 1))).periods_ == ()


# lags and rolling statistics


def gappy_panel():
    rng = np.random.default_rng(1)
    days = pd.date_range("2024-01-01", periods=30)
    index = pd.MultiIndex.from_product([["b", "a", "c"], days], names=["series", "time"])
    keep = rng.random(len(index)) < 0.8
    X = frame_on(index[keep])
    return X[X.index.get_level_values(0) != "c"], X


def slow_past(X, label, time, column, n_steps):
    """Values at the steps before `time`, oldest first; NaN where there is no row."""
    steps = pd.date_range(end=time, periods=n_steps + 1)[:-1]
    return np.array([X[column].get((label, step), np.nan) for step in steps])


def test_lags_agree_with_a_lookup_of_each_time():
    train, X = gappy_panel()
    out = LagFeatures(lags=(1, 2, 7), keep=False).fit(train).transform(X)
    for label, time in X.index:
        for column in X.columns:
            past = slow_past(X, label, time, column, 7)
            for lag in (1, 2, 7):
                np.testing.assert_equal(out.loc[(label, time), f"{column}_lag_{lag}"], past[-lag])


@pytest.mark.parametrize("least", [None, 2])
def test_rolling_statistics_agree_with_a_loop(least):
    train, X = gappy_panel()
    rolling = RollingFeatures(windows=(3, 5), statistics=ALL_STATISTICS, min_periods=least, keep=False)
    out = rolling.fit(train).transform(X)
    compute = {name: getattr(pd.Series, name) for name in ALL_STATISTICS}
    for label, time in X.index:
        for window in (3, 5):
            past = pd.Series(slow_past(X, label, time, "load", window)).dropna()
            for name, function in compute.items():
                expected = function(past) if len(past) >= (least or window) else np.nan
                got = out.loc[(label, time), f"load_{name}_{window}"]
                np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("transformer", [LagFeatures(lags=(1, 4)), RollingFeatures(windows=(3,))], ids=str)
def test_order_of_the_rows_does_not_matter(transformer):
    train, X = gappy_panel()
    fitted = clone(transformer).fit(train)
    shuffled = X.sample(frac=1, random_state=0)
    assert_frame_equal(fitted.transform(shuffled), fitted.transform(X).loc[shuffled.index])


def test_arrays_are_the_training_rows_or_follow_them():
    X = np.arange(5.0)[:, None]
    lags = LagFeatures(lags=(2,)).fit(X)
    np.testing.assert_array_equal(lags.transform(X), [[0, np.nan], [1, np.nan], [2, 0], [3, 1], [4, 2]])
    np.testing.assert_array_equal(lags.transform([[5.0], [6.0], [7.0]]), [[5, 3], [6, 4], [7, 5]])
    X[:] = -1  # what was remembered is a copy
    np.testing.assert_array_equal(lags.transform([[5.0]]), [[5, 3]])


def test_default_index_is_recognised_and_a_later_one_keeps_its_place():
    X = pd.DataFrame({"a": np.arange(6.0)})
    lags = LagFeatures(keep=False).fit(X[:4])
    np.testing.assert_array_equal(lags.transform(X[:4])["a_lag_1"], [np.nan, 0, 1, 2])
    np.testing.assert_array_equal(lags.transform(X[4:])["a_lag_1"], [3, 4])
    np.testing.assert_array_equal(lags.transform(X[5:])["a_lag_1"], [np.nan])
    np.testing.assert_array_equal(lags.transform(X[4:].reset_index(drop=True))["a_lag_1"], [3, 4])


def test_remembered_rows_survive_pickling_in_another_process():
    X = np.arange(4.0)[:, None]
    fitted = LagFeatures().fit(X)
    assert fitted.fingerprint_ == LagFeatures().fit(X).fingerprint_
    assert isinstance(fitted.fingerprint_, str)  # hash() of bytes would differ from process to process
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(X), fitted.transform(X))


def test_steps_may_be_huge_integers():
    X = pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=np.array([10**12, 10**12 + 1, 10**12 + 2]))
    assert RollingFeatures(windows=(2,), keep=False).fit_transform(X)["a_mean_2"].iloc[-1] == 1.5
    assert LagFeatures(lags=(2,), keep=False).fit_transform(X)["a_lag_2"].iloc[-1] == 1.0


def test_chosen_columns_are_used_and_others_named_in_the_error():
    X = frame_on(INDEXES["naive"]).assign(place="north", is_open=True)
    assert list(LagFeatures(columns=("wind",), keep=False).fit_transform(X).columns) == ["wind_lag_1"]
    assert list(LagFeatures(keep=False).fit(X).get_feature_names_out()) == ["load_lag_1", "wind_lag_1", "is_open_lag_1"]
    assert LagFeatures(columns=(1,), keep=False).fit_transform(X[["load", "wind"]].to_numpy()).shape == (40, 1)
    with pytest.raises(ValueError, match=r"LagFeatures needs numeric columns of X.*not \['place', 'rain'\]"):
        LagFeatures(columns=("place", "load", "rain")).fit(X)
    with pytest.raises(ValueError, match="lags of the target are made by the forecasters"):
        RollingFeatures().fit(X[[]])


def test_times_that_come_twice_or_off_the_grid_raise():
    X = frame_on(INDEXES["naive"])
    lags = LagFeatures().fit(X)
    with pytest.raises(IrregularTimesError, match="1 times of X come twice, the first is 2024-02-23"):
        lags.transform(X.iloc[[2, 3, 3]])
    with pytest.raises(IrregularTimesError, match="off the grid"):
        lags.transform(X.shift(freq="1h"))


def test_panel_and_single_series_do_not_mix():
    lags = LagFeatures().fit(frame_on(INDEXES["panel"]))
    with pytest.raises(ValueError, match="LagFeatures was fitted on a panel, X is one series"):
        lags.transform(frame_on(INDEXES["naive"]))


# holidays


def test_holidays_are_those_of_the_country_and_its_part():
    days = pd.date_range("2024-10-30", periods=3, freq="D")
    assert HolidayFeatures(country="DE").fit_transform(days)["holiday_DE"].tolist() == [0, 0, 0]
    out = HolidayFeatures(country="DE", subdivision="BY", days=(0, -1, 1)).fit_transform(days)
    assert list(out.columns) == ["holiday_DE", "holiday_DE_before_1", "holiday_DE_after_1"]
    assert out.to_numpy().tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]


def test_holidays_follow_the_clock_of_the_zone():
    hours = pd.DatetimeIndex(["2024-12-31 22:30", "2024-12-31 23:30"]).tz_localize("UTC").tz_convert("Europe/Berlin")
    assert HolidayFeatures(country="DE").fit_transform(hours)["holiday_DE"].tolist() == [0, 1]


def test_periods_count_their_holidays():
    months = pd.period_range("2024-11", periods=3, freq="M")
    assert HolidayFeatures(country="DE").fit_transform(months)["holiday_DE"].tolist() == [0, 2, 1]


def test_holidays_need_country_calendar_and_package(monkeypatch):
    days = INDEXES["naive"]
    with pytest.raises(ValueError, match="needs a country"):
        HolidayFeatures().fit(days)
    with pytest.raises(ValueError, match="country='Atlantis'"):
        HolidayFeatures(country="Atlantis").fit(days)
    with pytest.raises(MissingTimesError, match=r"HolidayFeatures\(country='DE'\) needs the times"):
        HolidayFeatures(country="DE").fit(np.ones((3, 1)))
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(ImportError, match=r'pip install "seqcast\[holidays\]"'):
        HolidayFeatures(country="DE").fit(days)


# in scikit-learn


@pytest.mark.parametrize("columns", [[], ["load", "wind"]], ids=["index only", "columns"])
def test_pipeline_fits_on_index_only_frames_and_on_columns(columns):
    index = pd.date_range("2024-01-01", periods=200, freq="h")
    X = frame_on(index).fillna(0)[columns]
    y = pd.Series(10 + np.sin(2 * np.pi * index.hour / 24), index=index)
    steps = [("calendar", CalendarFeatures()), ("scale", StandardScaler()), ("model", LinearRegression())]
    pipe = Pipeline(steps).set_output(transform="pandas").fit(X[:150], y[:150])
    np.testing.assert_allclose(pipe.predict(X[150:]), y[150:], atol=0.01)
    assert pipe[:-1].transform(X[150:]).index.equals(index[150:])
    pipe._repr_html_()


def test_parts_join_in_column_transformer_and_feature_union():
    X = frame_on(INDEXES["naive"])
    parts = [("lags", LagFeatures(keep=False), ["wind"]), ("calendar", CalendarFeatures(keep=False), ["load"])]
    by_column = ColumnTransformer(parts, verbose_feature_names_out=False).set_output(transform="pandas")
    out = by_column.fit_transform(X)
    assert list(out.columns)[:2] == ["wind_lag_1", "day_of_week_sin"]
    union = FeatureUnion([("lags", LagFeatures(keep=False)), ("waves", FourierFeatures(keep=False))])
    out = union.set_output(transform="pandas").fit_transform(X)
    assert out.shape == (40, 2 + 6)
    assert out.index.equals(X.index)


def test_grid_search_chooses_among_the_options():
    index = pd.date_range("2023-01-01", periods=140, freq="D")
    X, y = pd.DataFrame(index=index), pd.Series((index.day_of_week == 5).astype(float), index=index)
    pipe = Pipeline([("calendar", CalendarFeatures(features=("day_of_week",))), ("model", LinearRegression())])
    grid = {"calendar__encoding": ["number", "cyclical", "onehot"]}
    search = GridSearchCV(pipe, grid, cv=TimeSeriesSplit(3, test_size=21), error_score="raise").fit(X, y)
    assert search.best_params_ == {"calendar__encoding": "onehot"}
    assert search.best_score_ == pytest.approx(1)
