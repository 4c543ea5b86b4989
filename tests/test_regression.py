"""RegressionForecaster: the recursion by a slow loop, covariates, gaps, and any regressor."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seqcast import RegressionForecaster, SeasonalNaive
from seqcast.exceptions import ShortSeriesError


def monthly(n=120, *, seed=0, noise=1.0):
    t = np.arange(n)
    values = 50 + 0.2 * t + 8 * np.sin(2 * np.pi * t / 12) + np.random.default_rng(seed).normal(scale=noise, size=n)
    return pd.Series(values, index=pd.period_range("2010-01", freq="M", periods=n))


class Recorder(RegressorMixin, BaseEstimator):
    """Predicts 0 and keeps what it was given."""

    def fit(self, X, y):
        self.X_, self.y_ = X, y
        return self

    def predict(self, X):
        self.asked_ = X
        return np.zeros(len(X))


def test_rows_hold_lags_and_target_less_the_last_value_over_the_spread_of_the_window():
    y = pd.Series([1.0, 3.0, 5.0, 4.0])
    model = RegressionForecaster(Recorder(), lags=2).fit(y).regressor_
    scale = np.hypot([1.0, 1.0], [0.03, 0.05])
    assert_allclose(model.X_, np.array([[0, -2], [0, -2]]) / scale[:, None])
    assert_allclose(model.y_, (np.array([5.0, 4.0]) - [3.0, 5.0]) / scale)


def test_values_one_season_before_are_the_level():
    model = RegressionForecaster(Recorder(), lags=(1, 3), season_length=2).fit(pd.Series([1.0, 3, 5, 4])).regressor_
    window = np.array([1.0, 3, 5])
    assert_allclose(model.y_[-1], (4 - 3) / np.hypot(window.std(), 0.05))


def test_exact_recursion_is_learned_and_continued():
    y = [2.0, 3.0]
    for _ in range(60):
        y.append(y[-1] - 0.9 * (y[-1] - y[-2]))
    forecast = RegressionForecaster(LinearRegression(), lags=2, horizon=20).fit(pd.Series(y[:42])).forecast()
    assert_allclose(forecast, y[42:62])


def test_regressor_is_cloned():
    regressor = Ridge()
    forecaster = RegressionForecaster(regressor).fit(monthly())
    assert not hasattr(regressor, "coef_") and hasattr(forecaster.regressor_, "coef_")


def slow_forecast(forecaster, history, horizon, season):
    history = list(history)
    for _ in range(horizon):
        window = np.array(([np.nan] * 100 + history)[-max(forecaster.lags_) :])
        known = window[~np.isnan(window)]
        level = window[-season] if season <= len(window) and not np.isnan(window[-season]) else known[-1]
        scale = np.hypot(known.std(), 0.01 * known[-1])
        scaled = (window - level) / scale
        row = [scaled[-lag] if not np.isnan(scaled[-lag]) else np.nanmean(scaled) for lag in forecaster.lags_]
        history.append(level + scale * forecaster.regressor_.predict([row])[0])
    return history[-horizon:]


@pytest.mark.parametrize("lags", [3, (1, 12, 13), "auto"])
def test_all_origins_at_once_equal_the_loop_over_origins_and_steps(lags):
    y = monthly()
    y.iloc[[0, 5, 30, 31, 32, 33, 80]] = np.nan
    forecaster = RegressionForecaster(Ridge(), lags=lags, horizon=4).fit(y)
    positions = np.array([120, 4, 2, 32, 60, 82])
    together = forecaster._forecast_panel(forecaster.panel_, np.zeros(6, int), positions, 4)
    for row, p in zip(together, positions, strict=True):
        assert_allclose(row, slow_forecast(forecaster, y.to_numpy()[:p], 4, 12))


@pytest.mark.parametrize(
    "regressor",
    [None, Ridge(), HistGradientBoostingRegressor(max_iter=5), make_pipeline(StandardScaler(), KNeighborsRegressor())],
    ids=["default", "ridge", "boosting", "pipeline"],
)
def test_any_regressor_forecasts_through_gaps(regressor):
    y = monthly()
    y.iloc[[0, 40, 41, 42, 119]] = np.nan
    forecaster = RegressionForecaster(regressor, horizon=15).fit(y)
    assert np.isfinite(forecaster.forecast()).all()
    assert np.isfinite(forecaster.predict(y)).all()
    assert_allclose(forecaster.forecast().mean(), 73, atol=10)


@pytest.mark.parametrize("regressor", [None, Ridge()], ids=["default", "ridge"])
def test_later_values_change_no_forecast(regressor):
    y = monthly()
    forecaster = RegressionForecaster(regressor, horizon=3).fit(y)
    changed = y.copy()
    changed.iloc[60:] *= 100
    zeros, positions = np.zeros(61, int), np.arange(61)
    before = forecaster._forecast_panel(forecaster._panel(y), zeros, positions, 3)
    assert_array_equal(before, forecaster._forecast_panel(forecaster._panel(changed), zeros, positions, 3))


def test_forecast_has_the_unit_of_its_history():
    y = monthly()
    forecaster = RegressionForecaster(horizon=6).fit(y)
    assert_allclose(forecaster.forecast(history=1000 * y), 1000 * forecaster.forecast(history=y))


def test_one_regressor_learns_all_series():
    both = pd.concat({"a": monthly(seed=1), "b": 1e5 * monthly(seed=2)}, names=["shop", "month"])
    forecaster = RegressionForecaster(Recorder(), lags=1).fit(both)
    assert len(forecaster.regressor_.X_) == 238  # every row but the first of each series
    first = forecaster.predict(both).groupby(level="shop").first()
    assert_allclose(first, both.groupby(level="shop").mean())


# Covariates ---------------------------------------------------------------------------------------------------------


def with_covariates():
    y, rng = monthly(), np.random.default_rng(3)
    index = pd.period_range("2010-01", freq="M", periods=123)
    X = pd.DataFrame({"price": rng.normal(size=123), "sensor": rng.normal(size=123)}, index=index)
    return X, y + 5 * X["price"].iloc[:120]


def test_covariates_of_the_step_and_the_last_known_of_the_past_are_read():
    X, y = with_covariates()
    forecaster = RegressionForecaster(Recorder(), lags=1, past_features=("sensor",)).fit(X.iloc[:120], y)
    assert_array_equal(forecaster.regressor_.X_[:, 1], X["price"].iloc[1:120])
    assert_array_equal(forecaster.regressor_.X_[:, 2], X["sensor"].iloc[:119])
    forecaster.forecast(3, X.iloc[120:])
    assert_array_equal(forecaster.regressor_.asked_[0, 1:], [X["price"].iloc[122], X["sensor"].iloc[119]])


def test_known_covariates_move_the_forecast_and_the_future_of_past_ones_does_not():
    X, y = with_covariates()
    forecaster = RegressionForecaster(Ridge(), horizon=3, past_features=("sensor",)).fit(X.iloc[:120], y)
    future = X.iloc[120:]
    base = forecaster.forecast(X=future)
    assert_array_equal(forecaster.forecast(X=future.assign(sensor=1e9)), base)
    effect = forecaster.forecast(X=future.assign(price=future["price"] + 1)) - base
    assert effect.iloc[0] == pytest.approx(5, abs=1.5)


@pytest.mark.parametrize("regressor", [None, Ridge()], ids=["default", "ridge"])
def test_unknown_covariates_are_bridged(regressor):
    X, y = with_covariates()
    X.iloc[3:60, 0] = np.nan
    X["never"] = np.nan
    forecaster = RegressionForecaster(regressor, horizon=3).fit(X.iloc[:120], y)
    assert np.isfinite(forecaster.forecast(X=X.iloc[120:])).all()


# Edges --------------------------------------------------------------------------------------------------------------


def test_season_is_learned_better_than_repeated():
    y = pd.DataFrame({seed: monthly(156, seed=seed, noise=2.0) for seed in range(8)})
    errors = [
        np.abs(f.fit(y.iloc[:-12]).forecast() - y.iloc[-12:]).mean(axis=None)
        for f in (
            RegressionForecaster(horizon=12),
            RegressionForecaster(Ridge(), horizon=12),
            SeasonalNaive(horizon=12),
        )
    ]
    assert max(errors[:2]) < 0.8 * errors[2]


def test_constant_series_is_continued():
    y = pd.Series(np.full(40, 7.0))
    assert_allclose(RegressionForecaster(horizon=5).fit(y).forecast(), 7.0)
    assert_allclose(RegressionForecaster(horizon=5).fit(0 * y).forecast(), 0.0)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_short_series_get_finite_forecasts(n):
    assert np.isfinite(RegressionForecaster(horizon=5).fit(monthly(n)).forecast()).all()


def test_a_series_that_teaches_nothing_raises():
    with pytest.raises(ShortSeriesError, match="longer series"):
        RegressionForecaster(lags=(5,)).fit(pd.Series([1.0, 2.0, 3.0]))


def test_what_is_not_a_regressor_raises():
    with pytest.raises(ValueError, match="regressor must be"):
        RegressionForecaster("ridge").fit(monthly())


def test_parameters_of_the_regressor_are_reached():
    assert RegressionForecaster(Ridge()).set_params(regressor__alpha=3.0).fit(monthly()).regressor_.alpha == 3.0


def test_save_says_how_to_save(tmp_path):
    with pytest.raises(TypeError, match=r"joblib\.dump"):
        RegressionForecaster(Ridge()).fit(monthly()).save(tmp_path / "model")


@pytest.mark.parametrize("n", [3, 5, 8])
def test_intervals_of_few_values_hold_the_forecast_and_have_a_width(n):
    for seed in range(10):
        y = monthly(n, seed=seed, noise=2)
        found = RegressionForecaster(horizon=2).fit(y).forecast(interval=0.8)
        assert (found["lower"] < found["forecast"]).all()
        assert (found["forecast"] < found["upper"]).all()
