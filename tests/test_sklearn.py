"""Forecasters inside scikit-learn: pipelines, searches, validation, ensembles, routing, joblib."""

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from checks import monthly
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import VotingRegressor
from sklearn.model_selection import GridSearchCV, KFold, TimeSeriesSplit, cross_val_score, learning_curve
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from seqcast import CalendarFeatures, GRUForecaster, LagFeatures, Naive, RidgeForecaster, SeasonalNaive, future_rows
from seqcast.evaluation import RollingOriginSplit, scorer
from seqcast.exceptions import LookaheadWarning, MissingTimesError

H = 24


@pytest.fixture
def data():
    times = pd.date_range("2024-01-01", periods=400 + H, freq="h")
    random = np.random.RandomState(0)
    X = pd.DataFrame({"temperature": random.normal(size=len(times))}, index=times)
    y = pd.Series(
        10 + 3 * np.sin(2 * np.pi * times.hour / 24) + X["temperature"] + random.normal(scale=0.1, size=len(X)),
        name="load",
    )
    y.iloc[[50, 51, 200]] = np.nan
    return X, y.iloc[:400]


def _pipeline(forecaster=None):
    model = forecaster or GRUForecaster(horizon=H, max_steps=10, hidden_size=8, n_layers=1, n_members=1, random_state=0)
    steps = [("calendar", CalendarFeatures()), ("scale", StandardScaler()), ("model", model)]
    return Pipeline(steps).set_output(transform="pandas")


def test_pipeline_fits_predicts_and_gives_quantiles(data):
    X, y = data
    pipe = _pipeline().fit(X[:400], y)
    forecast = pipe.predict(X[400:])
    assert forecast.index.equals(X.index[400:])
    assert forecast.name == "load"
    quantiles = pipe.predict(X[400:], quantiles=[0.1, 0.9])
    assert quantiles.columns.tolist() == [0.1, 0.9]
    assert (quantiles[0.1] <= quantiles[0.9]).all()


def test_pipeline_makes_covariates_of_times_alone(data):
    _, y = data
    rows = pd.DataFrame(index=y.index)
    forecast = _pipeline().fit(rows, y).predict(future_rows(y, H))
    assert np.isfinite(forecast).all()


def test_pipeline_without_pandas_output_says_what_to_call(data):
    X, y = data
    pipe = Pipeline([("scale", StandardScaler()), ("model", RidgeForecaster(horizon=H))])
    with pytest.raises(MissingTimesError, match="set_output"):
        pipe.fit(X[:400], y)


def test_lagged_covariates_reach_into_the_future(data):
    X, y = data
    pipe = Pipeline([("lags", LagFeatures(lags=(1, 24))), ("model", RidgeForecaster(horizon=H))])
    forecast = pipe.set_output(transform="pandas").fit(X[:400], y).predict(X[400:])
    assert np.isfinite(forecast).all()


@pytest.mark.parametrize("cv", [TimeSeriesSplit(2, test_size=H), RollingOriginSplit(horizon=H, n_origins=2)])
def test_grid_search_ranks_parameters(data, cv):
    X, y = data
    grid = {"model__lookback": [24, 48]}
    search = GridSearchCV(_pipeline(RidgeForecaster(horizon=H)), grid, cv=cv, scoring=scorer("mae"))
    search.fit(X[:400], y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(X[400:]).index.equals(X.index[400:])


def test_rolling_origins_split_a_panel_in_a_search(data):
    X, y = data
    panel = pd.concat({"a": y, "b": 2 * y}, names=["id", "time"])
    rows = pd.concat({"a": X[:400], "b": X[:400]}, names=["id", "time"])
    cv = RollingOriginSplit(horizon=H, n_origins=2)
    scores = cross_val_score(RidgeForecaster(horizon=H), rows, panel, cv=cv, scoring=scorer("mase"))
    assert np.isfinite(scores).all()


def test_shuffled_folds_warn_of_lookahead_and_name_rows_before_the_history(data):
    X, y = data
    first, *others = KFold(3, shuffle=True, random_state=0).split(X[:400])
    folds = sorted([first, *others], key=lambda fold: 0 in fold[1])
    train, test = folds[0]
    with pytest.warns(LookaheadWarning):
        Naive().fit(X.iloc[train], y.iloc[train]).score(X.iloc[test], y.iloc[test])
    train, test = folds[-1]
    with pytest.raises(ValueError, match="before the history"):
        Naive().fit(X.iloc[train], y.iloc[train]).score(X.iloc[test], y.iloc[test])


def test_learning_curve_runs_over_rolling_origins(data):
    X, y = data
    cv = RollingOriginSplit(horizon=H, n_origins=2)
    sizes, _, scores = learning_curve(
        SeasonalNaive(horizon=H), X[:400], y, cv=cv, scoring=scorer("mae"), train_sizes=[200, 300]
    )
    assert sizes.tolist() == [200, 300]
    assert np.isfinite(scores).all()


def test_transformed_target_and_voting_work_on_complete_targets():
    y = monthly(72)
    X = pd.DataFrame({"t": np.arange(75.0)}, index=pd.date_range("2015", periods=75, freq="MS"))
    forecaster = RidgeForecaster(horizon=3)
    logs = TransformedTargetRegressor(forecaster, func=np.log, inverse_func=np.exp).fit(X[:72], y)
    assert np.isfinite(logs.predict(X[72:])).all()
    voting = VotingRegressor([("ridge", forecaster), ("naive", SeasonalNaive(horizon=3))]).fit(X[:72], y)
    each = [np.asarray(clone(f).fit(X[:72], y).predict(X[72:])) for f in (forecaster, SeasonalNaive(horizon=3))]
    assert_allclose(voting.predict(X[72:]), np.mean(each, axis=0), rtol=1e-4)


def test_metadata_routing_hands_quantiles_on(data):
    X, y = data
    with sklearn.config_context(enable_metadata_routing=True):
        model = RidgeForecaster(horizon=H).set_predict_request(quantiles=True)
        quantiles = _pipeline(model).fit(X[:400], y).predict(X[400:], quantiles=[0.5])
    assert quantiles.columns.tolist() == [0.5]


def test_joblib_fits_copies_in_parallel(data):
    _, y = data
    one, two = joblib.Parallel(n_jobs=2)(joblib.delayed(clone(RidgeForecaster(horizon=3)).fit)(y) for _ in range(2))
    assert one.forecast().equals(two.forecast())


def test_html_shows_the_parameters():
    html = _pipeline()._repr_html_()
    assert "GRUForecaster" in html
    assert "hidden_size" in html
