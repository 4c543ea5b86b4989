"""What update and other calls may change, and what they may not."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from seqcast import (
    ETS,
    ConformalForecaster,
    EnsembleForecaster,
    LagFeatures,
    Naive,
    RegressionForecaster,
    ReturnsForecaster,
    RidgeForecaster,
    SeasonalNaive,
    WindowAverage,
)
from seqcast.exceptions import DeadStartWarning, MissingFeaturesError, MissingFeaturesWarning

RANDOM = np.random.default_rng(0)
DAYS = pd.date_range("2024-01-01", periods=220, name="day")
X = pd.DataFrame({"temp": RANDOM.normal(size=220).cumsum()}, DAYS)
Y = (5 + 3 * X["temp"] + 0.1 * RANDOM.normal(size=220)).rename("load")


def with_temperature():
    return RidgeForecaster(horizon=3, n_members=1).fit(X[:200], Y[:200])


def test_update_without_covariates_keeps_those_of_fit():
    model = with_temperature()
    before = model.forecast(X=X[200:203])
    assert_allclose(model.update(Y[:200]).forecast(X=X[200:203]), before)


def test_a_late_reading_keeps_the_covariate_of_its_row():
    late = Y.copy()
    late.iloc[197] = np.nan
    model = RidgeForecaster(horizon=3, n_members=1).fit(X[:200], late[:200])
    model.update(Y[197:198])
    assert_allclose(model.panel_.features[:, 0], X["temp"][:200])


def test_other_covariates_of_known_rows_need_overwrite():
    model = with_temperature()
    with pytest.raises(ValueError, match="covariate 'temp', at 2024-01-01"):
        model.update(-X[:200], Y[:200])
    model.update(-X[:200], Y[:200], overwrite=True)
    assert_allclose(model.panel_.features[:, 0], -X["temp"][:200])


def test_new_rows_without_covariates_are_warned_of():
    with pytest.warns(MissingFeaturesWarning, match="new rows have no covariates"):
        with_temperature().update(Y[200:202])


def test_rows_before_the_history_are_refused():
    with pytest.raises(ValueError, match="lies before the history"):
        ETS(horizon=3).fit(Y[50:200]).update(Y[:50])


@pytest.mark.parametrize("model", [Naive(), RidgeForecaster(n_members=1)], ids=lambda model: type(model).__name__)
def test_arrays_of_fit_get_fitted_values_after_an_update_too(model):
    rows, y = (Y.to_numpy()[:, None] for _ in range(2)) if isinstance(model, Naive) else (X.to_numpy(), Y.to_numpy())
    fit = (rows[:70],) if isinstance(model, Naive) else (rows[:70], y[:70])
    new = (rows[70:80],) if isinstance(model, Naive) else (rows[70:80], y[70:80])
    before = model.fit(*fit).predict(rows[:70])
    assert_allclose(model.update(*new).predict(rows[:70]), before)
    assert len(model.predict(rows[:80])) == 80


@pytest.mark.parametrize(
    "model",
    [
        WindowAverage(horizon=2),
        EnsembleForecaster([("a", Naive()), ("b", SeasonalNaive())], horizon=2),
        RegressionForecaster(horizon=2),
        ReturnsForecaster(horizon=2),
        ConformalForecaster(Naive(), horizon=2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_quantiles_of_an_earlier_origin_do_not_know_later_values(model):
    price = np.exp(0.05 * RANDOM.normal(size=220).cumsum() * 0.2) * 50
    calm = pd.Series(price, DAYS, name="price")
    wild = calm.where(np.arange(220) < 180, calm * 5)
    found = [model.fit(z[:160]).update(z[160:]).forecast(history=z[:160], interval=0.8) for z in (calm, wild)]
    assert_allclose(*found)
    later = [model.fit(z[:160]).update(z[160:]).forecast(interval=0.8) for z in (calm, wild)]
    assert (later[0].to_numpy() != later[1].to_numpy()).all()


def test_the_unit_of_a_constant_series_does_not_know_later_values_of_others():
    moving = 10 + RANDOM.normal(size=220)
    calm = pd.DataFrame({"moves": moving, "rests": 5.0}, DAYS)
    wild = calm.assign(moves=np.where(np.arange(220) < 160, moving, 50 * moving))
    model = WindowAverage(horizon=2)
    found = [model.fit(z[:160]).update(z[160:]).forecast(history=z[:160], interval=0.8) for z in (calm, wild)]
    assert_allclose(*found)


def test_lags_see_what_was_told_since_fit():
    y = (5 + 3 * X["temp"].shift(1).fillna(0) + 0.1 * RANDOM.normal(size=220)).rename("load")

    def model():
        steps = make_pipeline(LagFeatures(lags=(1,)), RidgeForecaster(n_members=1))
        return ConformalForecaster(steps, horizon=3).fit(X[:190], y[:190])

    at_once, by_row = model().update(X[190:210], y[190:210]), model()
    for k in range(190, 210):
        by_row.update(X[k : k + 1], y[k : k + 1])
    found = at_once.forecast(X=X[210:213], interval=0.8)
    assert_allclose(by_row.forecast(X=X[210:213], interval=0.8), found)
    assert_allclose(found["forecast"], y[210:213], atol=1)


def test_one_time_twice_with_other_covariates_is_refused():
    rows = pd.concat([X[200:201], -X[200:201]])
    with pytest.raises(ValueError, match="more than once, with other covariates"):
        with_temperature().predict(rows)
    same = with_temperature().predict(pd.concat([X[200:201], X[200:201]]))
    assert same.iloc[0] == same.iloc[1]


def test_covariates_in_the_place_of_the_horizon_are_named():
    with pytest.raises(TypeError, match=r"covariates by name: forecast\(X=...\)"):
        with_temperature().forecast(X[200:203])


def test_series_of_different_ends_are_forecast_as_far_as_all_are_given():
    panel = pd.concat({"a": Y[:190], "b": Y[:200]}, names=["series"])
    rows = pd.concat({"a": X[:190], "b": X[:200]}, names=["series"])
    model = RidgeForecaster(horizon=3, n_members=1).fit(rows, panel)
    ahead = pd.concat({"a": X[190:203], "b": X[200:203]}, names=["series"])
    assert model.forecast(X=ahead).groupby(level=0).size().tolist() == [3, 3]
    with pytest.raises(MissingFeaturesError):  # of b a row is missing
        model.forecast(X=pd.concat({"a": X[190:193], "b": X[200:202]}, names=["series"]))


def test_a_series_that_begins_late_is_warned_of():
    y = pd.Series(np.r_[np.zeros(150), RANDOM.poisson(20, 70)], DAYS, name="sales")
    with pytest.warns(DeadStartWarning, match="series 'sales' is 0 at its start, in half of its rows or more"):
        Naive().fit(y)
    Naive().fit(y[100:])  # a part of it, and not the most
    Naive().fit(y.where(np.arange(220) % 5 == 0, 0.0))  # rare demand
    Naive().fit(y[:150])  # constant series are no such


@pytest.mark.parametrize("kind", ["number", "category"])
def test_a_covariate_that_comes_late_is_filled_in_and_nan_erases_nothing(kind):
    x = X["temp"].where(np.arange(220) % 50 != 7)
    x = x if kind == "number" else pd.cut(x, 3, labels=list("abc"))
    late = x.copy()
    late.iloc[199] = np.nan
    model = RidgeForecaster(horizon=3, lookback=14, n_members=1, past_features=("temp",))
    model.fit(late[:200].to_frame(), Y[:200])
    model.update(x[199:201].to_frame(), Y[199:201])
    whole = clone(model).fit(x[:201].to_frame(), Y[:201]).panel_.features
    assert_array_equal(model.panel_.features, whole)
    model.update(late[199:200].to_frame(), Y[199:200])
    assert_array_equal(model.panel_.features, whole)


def test_a_frame_that_was_told_may_change_afterwards():
    steps = make_pipeline(LagFeatures(lags=(1,)), RidgeForecaster(n_members=1))
    model = ConformalForecaster(steps, horizon=3).fit(X[:190], Y[:190])
    told = X[190:210].copy()
    before = model.update(told, Y[190:210]).forecast(X=X[210:213])
    told.loc[:] = 1e3
    assert_allclose(model.forecast(X=X[210:213]), before)
