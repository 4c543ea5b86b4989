"""Forecasters made of forecasters."""

import numpy as np
import pandas as pd
import pytest
from checks import monthly
from numpy.testing import assert_allclose
from sklearn.linear_model import LinearRegression

from seqcast import ConformalForecaster, Drift, EnsembleForecaster, HistoricAverage, Naive, SeasonalNaive

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


def test_a_member_keeps_the_season_and_the_bounds_that_it_was_given():
    y = pd.Series(np.tile([0.0, 10, 20, 30, 40], 12), pd.date_range("2024", periods=60), name="y")
    member = SeasonalNaive(season_length=5)
    for outer in (EnsembleForecaster([("own", member)], horizon=3), ConformalForecaster(member, horizon=3)):
        assert outer.fit(y).forecast().tolist() == [0.0, 10.0, 20.0]
    falling = pd.Series(np.arange(30.0, 0, -1), y.index[:30], name="y")
    bounded = EnsembleForecaster([("drift", Drift(bounds=(0, None)))], horizon=4).fit(falling)
    assert bounded.forecast().min() == 0
    calibrated = ConformalForecaster(Drift(bounds=(0, None)), horizon=2).fit(y[::-1].set_axis(y.index))
    assert calibrated.forecast(interval=0.8).to_numpy().min() >= 0


def test_horizons_are_handed_on_and_of_what_is_calibrated_must_be_the_same():
    assert len(EnsembleForecaster([("naive", Naive(horizon=7))], horizon=3).fit(monthly()).forecast()) == 3
    with pytest.raises(ValueError, match="Naive has horizon=7, ConformalForecaster has 3. Give horizon to Conformal"):
        ConformalForecaster(Naive(horizon=7), horizon=3).fit(monthly())
