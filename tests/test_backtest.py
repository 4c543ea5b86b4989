import pickle

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold, TimeSeriesSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from seqcast import EWMA, EnsembleForecaster, RegressionForecaster, ReturnsForecaster, WindowAverage
from seqcast.base import BaseForecaster
from seqcast.baselines.naive import SeasonalNaive
from seqcast.evaluation import RollingOriginSplit, backtest, scorer
from seqcast.exceptions import (
    IrregularTimesError,
    LeakageWarning,
    ModelFailedWarning,
    NonFiniteError,
    SeriesFailedWarning,
    ShortSeriesError,
)
from seqcast.models.ridge import RidgeForecaster


class LastValue(BaseForecaster):
    """The last known value plus the mean covariate of the training rows, so that a refit can be told apart."""

    fits = 0

    def _fit_panel(self, panel):
        LastValue.fits += 1
        self.shift_ = float(np.nanmean(panel.features)) if panel.n_features else 0.0

    def _forecast_panel(self, panel, series, positions, horizon):
        rows = np.where(np.isnan(panel.values), -1, np.arange(len(panel.values)))
        last = panel.values[np.maximum.accumulate(rows)[panel.indptr[series] + positions - 1]]
        return np.repeat(last[:, None] + self.shift_, horizon, axis=1)

    def _quantile_panel(self, panel, series, positions, horizon, quantiles):
        point = self._forecast_panel(panel, series, positions, horizon)
        return point[..., None] + np.asarray(quantiles) - 0.5


class Broken(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        raise RuntimeError("no luck")

    def predict(self, X):
        return np.zeros(len(X))


class ShortAnswer(Broken):
    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros(2)


class CountFits(TransformerMixin, BaseEstimator):
    fits = ()

    def fit(self, X, y=None):
        CountFits.fits += (len(X),)
        return self

    def transform(self, X):
        return X


def series(n=40, freq="D", name="a"):
    rng = np.random.default_rng(0)
    return pd.Series(rng.normal(size=n).cumsum(), index=pd.date_range("2024-01-01", periods=n, freq=freq), name=name)


def panel():
    y = pd.concat({"b": series(30), "a": series(18).set_axis(series(30).index[12:])})
    return y.rename_axis(["sensor", "day"])


CV = RollingOriginSplit(3, n_origins=4)


def test_rows_say_model_series_origin_time_step_actual_and_forecast():
    y = series()
    frame = backtest({"last": LastValue(horizon=3)}, y, cv=CV).forecasts
    assert frame.columns.tolist() == ["model", "series", "origin", "time", "step", "actual", "forecast"]
    assert len(frame) == 4 * 3
    assert (frame["time"] - frame["origin"] == pd.to_timedelta(frame["step"], unit="D")).all()
    assert frame["actual"].tolist() == y[frame["time"]].tolist()
    assert frame["forecast"].tolist() == y[frame["origin"]].tolist()


@pytest.mark.parametrize("refit", [False, True, 2])
def test_forecasts_equal_a_loop_of_fit_and_forecast(refit):
    y = series()
    result = backtest(LastValue(horizon=3), y, cv=CV, refit=refit)
    expected = [LastValue(horizon=3).fit(y.iloc[train]).forecast().to_numpy() for train, _ in CV.split(y)]
    np.testing.assert_allclose(result.forecasts["forecast"], np.concatenate(expected))


@pytest.mark.parametrize(
    "model", [RidgeForecaster(horizon=3, lookback=6), SeasonalNaive(season_length=7)], ids=["ridge", "naive"]
)
@pytest.mark.parametrize("kind", ["series", "panel"])
def test_batched_origins_equal_one_origin_at_a_time(model, kind):
    y = series(90) if kind == "series" else pd.concat({"b": series(90), "a": -series(90)[8:]})
    frame = backtest(model, y, cv=CV).forecasts
    train = y[y.index.get_level_values(-1) <= frame["origin"].min()]
    fitted = clone(model).fit(train)
    for origin, block in frame.groupby("origin"):
        expected = fitted.forecast(3, history=y[y.index.get_level_values(-1) <= origin])
        np.testing.assert_allclose(block["forecast"], expected, rtol=1e-5)


@pytest.mark.parametrize(("refit", "n_fits"), [(False, 1), (True, 4), (2, 2), (3, 2)])
def test_refit_says_how_often_models_are_fitted(refit, n_fits):
    before = LastValue.fits
    backtest(LastValue(horizon=3), series(), cv=CV, refit=refit)
    assert LastValue.fits - before == n_fits


def test_transformers_are_fitted_inside_each_origin():
    y = series()
    X = pd.DataFrame({"x": np.arange(40.0)}, index=y.index)
    pipe = Pipeline([("count", CountFits()), ("model", LastValue(horizon=3))])
    CountFits.fits = ()
    backtest(pipe, y, X, cv=CV)
    assert CountFits.fits == (28,)
    CountFits.fits = ()
    backtest(pipe, y, X, cv=CV, refit=True)
    assert CountFits.fits == (28, 31, 34, 37)


def test_pipeline_without_refit_sees_new_observations_with_the_first_transformers():
    y = series()
    X = pd.DataFrame({"x": np.arange(40.0)}, index=y.index)
    pipe = Pipeline([("scale", StandardScaler()), ("model", LastValue(horizon=3))]).set_output(transform="pandas")
    frame = backtest(pipe, y, X, cv=CV).forecasts
    np.testing.assert_allclose(frame["forecast"], y[frame["origin"]])  # the scaled training rows have mean 0


def test_future_values_never_change_a_forecast():
    y = series()
    changed = y.copy()
    changed.iloc[34:] += 100.0
    a, b = (backtest(LastValue(horizon=3), z, cv=CV).forecasts for z in (y, changed))
    past = a["origin"] < y.index[34]
    assert a["forecast"][past].equals(b["forecast"][past])
    assert not np.isclose(a["forecast"][~past], b["forecast"][~past]).any()


@pytest.mark.parametrize("refit", [False, True])
def test_gap_hides_the_rows_between_origin_and_test(refit):
    y = series()
    frame = backtest(LastValue(horizon=5), y, cv=RollingOriginSplit(3, n_origins=2, gap=2), refit=refit).forecasts
    assert frame["step"].tolist() == [3, 4, 5] * 2
    assert frame["forecast"].tolist() == y[frame["origin"]].tolist()


def test_sliding_window_forgets_what_lies_before_it():
    y = series()
    y.iloc[34:39] = np.nan
    frame = backtest(LastValue(), y, cv=RollingOriginSplit(1, n_origins=1, window=6), refit=True).forecasts
    assert frame["forecast"].tolist() == [y.iloc[33]]
    with pytest.raises(ShortSeriesError, match="known value"):
        backtest(LastValue(), y, cv=RollingOriginSplit(1, n_origins=1, window=5), refit=True)


def test_panel_is_cut_by_time_and_late_series_join_when_they_begin():
    y = panel()
    result = backtest(LastValue(horizon=5), y, cv=RollingOriginSplit(5, n_origins=4), refit=True)
    frame = result.forecasts
    assert frame["series"].cat.categories.tolist() == ["b", "a"]
    assert frame.groupby("series", observed=True)["origin"].nunique().to_dict() == {"b": 4, "a": 3}
    for row in frame.itertuples():
        assert row.forecast == y[row.series, row.origin]
        assert row.actual == y[row.series, row.time]


def test_scikit_learn_splitter_cuts_panels_by_time_here():
    y = panel()
    ours = backtest(LastValue(horizon=5), y, cv=RollingOriginSplit(5, n_origins=3)).forecasts
    theirs = backtest(LastValue(horizon=5), y, cv=TimeSeriesSplit(3, test_size=5)).forecasts
    pd.testing.assert_frame_equal(ours, theirs)


def test_wide_frame_gives_the_forecasts_of_its_columns():
    wide = pd.DataFrame({"a": series(), "b": -series()})
    frame = backtest(LastValue(horizon=3), wide, cv=CV).forecasts
    alone = backtest(LastValue(horizon=3), wide["b"], cv=CV).forecasts
    assert frame.loc[frame["series"] == "b", "forecast"].tolist() == alone["forecast"].tolist()


def late_frame():
    return pd.DataFrame(
        {"a": series(), "b": (-series()).mask(np.arange(len(series())) < len(series()) - 6), "c": 1 + series()}
    )


def test_late_columns_are_guarded_as_others():
    wide, cv = late_frame(), RollingOriginSplit(3, n_origins=3)
    x = wide[["c"]] + 1.0
    with pytest.raises(ValueError, match="name of the target"):
        backtest(LastValue(horizon=3), wide, x.set_axis(["a"], axis=1), cv=cv)
    with pytest.warns(LeakageWarning, match="equals the target"):
        backtest(LastValue(horizon=3), wide, wide[["a"]].set_axis(["x"], axis=1), cv=cv)
    assert backtest(LastValue(horizon=3), wide, x.set_axis(["y"], axis=1), cv=cv).models == ["LastValue"]
    with pytest.raises(ValueError, match="no forecaster cannot learn"):
        backtest(LinearRegression(), wide, x.set_axis(["x"], axis=1), cv=cv)


def test_late_columns_may_come_later_still():
    """Of a column whose readings come late, the first may be hidden at the first fit."""
    wide = late_frame()
    wide.iloc[-10:-6, 1] = 1.0
    frame = backtest(LastValue(horizon=3), wide, cv=RollingOriginSplit(3, n_origins=3), delay=4).forecasts
    assert frame["forecast"].notna().all()
    counts = frame.groupby("series", observed=True)["origin"].nunique().to_dict()
    assert counts["b"] < counts["a"] == counts["c"] == 3


def test_frames_of_nullable_dtype_are_read():
    wide = pd.DataFrame({"a": series(), "b": -series()}).round(2)
    holes = wide.copy()
    holes.iloc[3] = np.nan
    plain = backtest(LastValue(horizon=3), holes, cv=CV).forecasts
    nullable = wide.astype("Float64")
    nullable.iloc[3] = pd.NA
    assert_frame_equal(backtest(LastValue(horizon=3), nullable, cv=CV).forecasts, plain)


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("as_array", [True, False])
def test_columns_that_begin_late_join_when_they_do(refit, as_array):
    wide = pd.DataFrame({"a": series(), "b": -series(), "c": 2 * series()})
    wide.iloc[:-6, 1] = np.nan
    X = wide[["a"]].rename(columns={"a": "x"}) + 1.0
    given = [frame.to_numpy() if as_array else frame for frame in (wide, X)]
    models = {"last": LastValue(horizon=3), "ridge": RidgeForecaster(horizon=3, lookback=3)}
    frame = backtest(models, given[0], cv=RollingOriginSplit(3, n_origins=3), refit=refit).forecasts
    late = 1 if as_array else "b"
    counts = frame[frame["model"] == "ridge"].groupby("series", observed=True)["origin"].nunique()
    assert counts.sort_index().tolist() == [3, 1, 3]
    assert frame["forecast"].notna().all()
    found = frame[(frame["series"] == late) & (frame["model"] == "last")]
    assert found["forecast"].tolist() == [wide["b"].iloc[-4]] * 3
    known = backtest(models["ridge"], *given, cv=RollingOriginSplit(3, n_origins=3), refit=refit).forecasts
    assert known["forecast"].notna().all()
    assert not known["forecast"].equals(frame.loc[frame["model"] == "ridge", "forecast"].reset_index(drop=True))


@pytest.mark.parametrize(
    "index",
    [
        pd.period_range("2020-01", periods=40, freq="M"),
        pd.date_range("2024-03-30", periods=40, freq="h", tz="Europe/Berlin", unit="s"),
        pd.date_range("2024-01-31", periods=40, freq="BME"),
        pd.RangeIndex(40),
        pd.RangeIndex(7, 87, 2),
    ],
)
@pytest.mark.parametrize("refit", [False, True])
def test_any_index_kind_comes_back(index, refit):
    y = pd.Series(series().to_numpy(), index=index)
    frame = backtest(LastValue(horizon=3), y, cv=CV, refit=refit).forecasts
    assert pd.Index(frame["time"]).dtype == index.dtype
    assert frame["forecast"].tolist() == y[frame["origin"]].tolist()
    assert frame["time"].tolist() == index[-12:].tolist()


@pytest.mark.parametrize("window", [None, 10])
@pytest.mark.parametrize("refit", [False, True])
def test_arrays_are_counted_from_zero(refit, window):
    y = series().to_numpy()
    cv = RollingOriginSplit(3, n_origins=4, window=window)
    frame = backtest(LastValue(horizon=3), y, np.zeros((40, 1)), cv=cv, refit=refit).forecasts
    assert frame["time"].tolist() == list(range(28, 40))
    assert frame["forecast"].tolist() == y[frame["origin"]].tolist()


def test_missing_rows_are_gaps_that_count_as_steps():
    y = series().drop(series().index[[30, 38]])
    y.iloc[10] = np.nan
    frame = backtest(LastValue(horizon=3), y, cv=CV).forecasts
    assert len(frame) == 10
    assert frame["step"].tolist() == [1, 2, 1, 2, 3, 1, 2, 3, 1, 3]


def test_missing_reading_keeps_its_forecast():
    y = series()
    y.iloc[35] = np.nan
    frame = backtest(LastValue(horizon=3), y, cv=CV).forecasts
    assert frame["actual"].isna().sum() == 1
    assert frame["forecast"].notna().all()


def test_quantiles_are_float_columns():
    result = backtest(LastValue(horizon=3), series(), cv=CV, quantiles=[0.9, 0.1])
    assert result.quantiles == [0.1, 0.9]
    np.testing.assert_allclose(result.forecasts[0.9] - result.forecasts["forecast"], 0.4)


@pytest.mark.parametrize("kind", [tuple, np.array, pd.Series, pd.Index])
def test_quantiles_may_be_any_sequence(kind):
    assert backtest(LastValue(horizon=3), series(), cv=CV, quantiles=kind([0.1, 0.9])).quantiles == [0.1, 0.9]


def test_regressor_is_fitted_on_known_rows_and_gives_no_quantiles():
    y = 2.0 * pd.Series(np.arange(40.0), index=series().index)
    X = pd.DataFrame({"x": np.arange(40.0)}, index=y.index)
    y.iloc[[3, 33]] = np.nan
    result = backtest({"line": LinearRegression(), "last": LastValue(horizon=3)}, y, X, cv=CV, quantiles=[0.5])
    line = result.forecasts[result.forecasts["model"] == "line"]
    known = line["actual"].notna()
    np.testing.assert_allclose(line["forecast"][known], line["actual"][known])
    assert line[0.5].isna().all()
    assert result.forecasts[0.5].notna().sum() == 12


def test_regressor_takes_wide_frames_and_panels():
    X = pd.DataFrame({"x": np.arange(40.0)}, index=series().index)
    wide = pd.DataFrame({"a": X["x"], "b": 3 * X["x"]})
    frame = backtest(LinearRegression(), wide, X, cv=CV, refit=2).forecasts
    np.testing.assert_allclose(frame["forecast"], frame["actual"])
    rows = wide.stack().swaplevel().sort_index()
    columns = rows.index.get_level_values(0).to_numpy()
    X_rows = pd.DataFrame({"x": np.where(columns == "a", 1, 3) * np.tile(np.arange(40.0), 2)}, index=rows.index)
    frame = backtest(LinearRegression(), rows, X_rows, cv=CV).forecasts
    np.testing.assert_allclose(frame["forecast"], frame["actual"])


def test_search_is_backtested_with_its_best_estimator():
    search = GridSearchCV(
        LastValue(horizon=3), {"season_length": [1, 2]}, cv=TimeSeriesSplit(2, test_size=3), scoring=scorer("mae")
    )
    y = series()
    frame = backtest(search, y, cv=CV).forecasts
    assert frame["forecast"].tolist() == y[frame["origin"]].tolist()


def test_forecaster_inside_a_foreign_estimator_is_refitted_with_a_warning():
    y = series()
    with pytest.warns(UserWarning, match="'ttr': a TransformedTargetRegressor cannot"):
        frame = backtest(
            {"ttr": TransformedTargetRegressor(LastValue(horizon=3), transformer=StandardScaler())}, y, cv=CV
        ).forecasts
    np.testing.assert_allclose(frame["forecast"], y[frame["origin"]])


def test_failing_model_is_named_and_the_others_go_on():
    with pytest.warns(ModelFailedWarning, match="'broken' failed and is left out: RuntimeError: no luck"):
        result = backtest({"broken": Broken(), "last": LastValue(horizon=3)}, series(), cv=CV)
    assert result.models == ["last"]
    assert result.failures == {"broken": "RuntimeError: no luck"}
    assert "failed: broken" in repr(result)
    assert "no luck" in result._repr_html_()


def test_failure_of_the_only_model_raises():
    with pytest.raises(RuntimeError, match="no luck"):
        backtest(Broken(), series(), cv=CV)
    with pytest.raises(ValueError, match="Every model failed"):
        backtest({"a": Broken(), "b": Broken()}, series(), cv=CV)


def test_wrong_number_of_predictions_is_an_error():
    with pytest.raises(ValueError, match=r"predict gave shape \(2,\) for 12 rows"):
        backtest(ShortAnswer(), series(), cv=CV)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_parallel_fits_give_the_same_result(n_jobs):
    models = {"a": LastValue(horizon=3), "b": LinearRegression()}
    X = pd.DataFrame({"x": np.arange(40.0)}, index=series().index)
    one = backtest(models, series(), X, cv=CV, refit=True)
    pd.testing.assert_frame_equal(
        one.forecasts, backtest(models, series(), X, cv=CV, refit=True, n_jobs=n_jobs).forecasts
    )


def test_result_survives_pickling():
    result = backtest(LastValue(horizon=3), series(), cv=CV)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(result)).forecasts, result.forecasts)


def test_seconds_are_counted_for_each_model():
    result = backtest({"a": LastValue(horizon=3), "b": LastValue(horizon=3)}, series(), cv=CV)
    assert result.seconds.index.tolist() == ["a", "b"]
    assert (result.seconds.to_numpy() > 0).all()


def test_progress_bar_shows_where_verbose(capsys):
    backtest(LastValue(horizon=3), series(), cv=CV)
    assert capsys.readouterr().err == ""
    backtest(LastValue(horizon=3), series(), cv=CV, verbose=True)
    assert "1/1" in capsys.readouterr().err


def test_inputs_are_left_as_they_were():
    y, model = series(), LastValue(horizon=3)
    before = y.copy()
    backtest(model, y, cv=CV)
    pd.testing.assert_series_equal(y, before)
    assert not hasattr(model, "panel_")


def test_series_that_cannot_be_scored_is_named():
    y = pd.concat({"long": series(), "new": series(2).set_axis(series().index[-2:])})
    with pytest.warns(SeriesFailedWarning, match="1 of 2 series .* 'new'"):
        result = backtest(LastValue(horizon=3), y, cv=CV)
    assert set(result.forecasts["series"]) == {"long"}


def test_short_series_says_how_many_rows_are_needed():
    with pytest.raises(ShortSeriesError, match="at least 13 times, got 12"):
        backtest(LastValue(horizon=3), series(12), cv=CV)


class NoFolds:
    def split(self, X):
        return iter(())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"models": {}}, ValueError, "models is empty"),
        ({"models": {"x": StandardScaler()}}, TypeError, "'x' must be an estimator with fit and predict"),
        ({"models": LastValue}, TypeError, "must be an estimator"),
        ({"cv": 5}, TypeError, "cv must be a splitter"),
        ({"cv": NoFolds()}, ValueError, "yields no folds"),
        ({"cv": KFold(3)}, ValueError, "do not follow its training"),
        ({"cv": RollingOriginSplit(0)}, ValueError, "horizon must be an integer of at least 1, got 0"),
        ({"cv": RollingOriginSplit(2.5)}, ValueError, "got 2.5"),
        ({"refit": 0.5}, ValueError, "refit must be"),
        ({"refit": -1}, ValueError, "refit must be"),
        ({"quantiles": [0.5, 1.2]}, ValueError, "between 0 and 1"),
        ({"X": np.zeros((3, 1))}, ValueError, "X has 3 rows, y has 40"),
        ({"X": pd.DataFrame(index=series().index.shift(1))}, ValueError, "different indexes"),
        ({"y": series()[::-1]}, IrregularTimesError, "out of order"),
        ({"y": pd.concat([series(), series()[-1:]])}, IrregularTimesError, "twice"),
        ({"y": series().replace(series().iloc[5], np.inf)}, NonFiniteError, "infinity"),
        ({"y": series().astype(str)}, TypeError, "must be numbers"),
        ({"y": series()[:0]}, ValueError, "no values"),
        ({"y": series() * np.nan}, ShortSeriesError, "known value"),
    ],
)
def test_bad_input_gives_a_clear_error(change, error, message):
    arguments = {"models": LastValue(horizon=3), "y": series(), "cv": CV} | change
    with pytest.raises(error, match=message):
        backtest(
            arguments["models"],
            arguments["y"],
            arguments.get("X"),
            cv=arguments["cv"],
            refit=arguments.get("refit", False),
            quantiles=arguments.get("quantiles"),
        )


ENSEMBLE = EnsembleForecaster([("naive", SeasonalNaive()), ("average", WindowAverage())])


@pytest.mark.parametrize(
    "model",
    [WindowAverage(), RegressionForecaster(LinearRegression()), ENSEMBLE, ReturnsForecaster(), EWMA()],
    ids=lambda model: type(model).__name__,
)
def test_no_quantile_knows_what_comes_after_its_origin(model):
    y = pd.Series(np.random.default_rng(0).uniform(50, 60, 80), index=pd.date_range("2024-01-01", periods=80))
    later = y.where(y.index < y.index[70], 30 * y)
    first = [
        backtest(model, series, cv=RollingOriginSplit(3, n_origins=8), quantiles=[0.1, 0.9]).forecasts.iloc[:12]
        for series in (y, later)
    ]
    assert_frame_equal(first[0], first[1])
