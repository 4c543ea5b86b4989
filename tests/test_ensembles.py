"""Forecasters made of forecasters."""

import numpy as np
import pandas as pd
import pytest
from checks import monthly
from numpy.testing import assert_allclose
from sklearn.linear_model import LinearRegression

from seqcast import Drift, EnsembleForecaster, HistoricAverage, Naive, SeasonalNaive

MEMBERS = [("naive", Naive()), ("average", HistoricAverage()), ("seasonal", SeasonalNaive())]


def _each(y, horizon=3):
    return np.stack([member.set_params(horizon=horizon).fit(y).forecast() for _, member in MEMBERS])


@pytest.mark.parametrize(("combination", "function"), [("mean", np.mean), ("median", np.median)])
def test_mean_and_median_are_those_of_the_members(combination, function):
    y = monthly()
    forecast = EnsembleForecaster(MEMBERS, combination=combination, horizon=3).fit(y).forecast()
    assert_allclose(forecast, function(_each(y), axis=0))


def test_ridge_finds_the_member_that_is_right():
    rng = np.random.default_rng(0)
    season = np.tile(rng.normal(size=12), 12)
    y = pd.Series(season, index=pd.date_range("2010", periods=144, freq="MS"))
    ensemble = EnsembleForecaster(MEMBERS, combination="ridge", horizon=3).fit(y)
    assert ensemble.weights_[2] > 0.8
    equal = EnsembleForecaster(MEMBERS, horizon=3).fit(y)
    truth = season[:3]
    assert np.abs(ensemble.forecast() - truth).mean() < 0.5 * np.abs(equal.forecast() - truth).mean()


def test_ridge_weights_do_not_know_the_values_after_the_origin():
    y = monthly(72)
    early = EnsembleForecaster(MEMBERS, combination="ridge", horizon=3).fit(y[:60])
    before = early.predict(y[:60])
    assert_allclose(early.update(y[60:] * 9).predict(y[:60]), before)


def test_members_are_reached_by_nested_parameters():
    ensemble = EnsembleForecaster([("drift", Drift())])
    ensemble.set_params(drift__season_length=4, combination="median")
    assert ensemble.get_params()["drift__season_length"] == 4


def test_foreign_members_are_named():
    with pytest.raises(TypeError, match="line.*RegressionForecaster"):
        EnsembleForecaster([("line", LinearRegression())]).fit(monthly())
