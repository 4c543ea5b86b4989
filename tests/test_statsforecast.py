"""Forecasters of statsforecast: its own forecasts, gaps, other origins; skipped where the package is missing."""

import importlib
import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import seqcast
from seqcast import AutoARIMA, AutoETS, AutoTheta
from seqcast.exceptions import SeriesFailedWarning

ALL = [AutoARIMA, AutoETS, AutoTheta]


def test_missing_package_raises_with_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsforecast.models", None)
    with pytest.raises(ImportError, match=r"seqcast\[statsforecast\]"):
        AutoETS().fit(pd.Series([1.0, 2.0, 3.0]))


def test_a_series_that_statsforecast_fails_on_is_named_and_the_others_go_on(monkeypatch):
    class Failing:
        model_ = None

        def fit(self, values):
            if values[0] == 0:
                raise Exception("no model able to be fitted")
            return self

    monkeypatch.setattr("seqcast.baselines.statsforecast._new", lambda name, season_length: Failing())
    frame = pd.DataFrame({"good": np.arange(1.0, 21.0), "bad": np.arange(20.0)})
    with pytest.warns(SeriesFailedWarning, match=r"'bad'.*no model able to be fitted"):
        fitted = AutoETS(season_length=1).fit(frame)
    assert [state is None for state in fitted.states_] == [False, True]


@pytest.fixture
def y():
    pytest.importorskip("statsforecast")
    t = np.arange(72)
    values = 100 + t + 10 * np.sin(2 * np.pi * t / 12) + np.random.default_rng(0).normal(size=72)
    return pd.Series(values, index=pd.period_range("2010-01", freq="M", periods=72))


@pytest.mark.parametrize("kind", ALL)
def test_forecast_and_spread_are_those_of_statsforecast(kind, y):
    model = getattr(importlib.import_module("statsforecast.models"), kind.__name__)(season_length=12)
    expected = model.fit(y.to_numpy()).predict(h=6, level=[80])
    found = kind(horizon=6).fit(y)
    assert_allclose(found.forecast(), expected["mean"], rtol=1e-3)
    width = found.forecast(quantiles=[0.1, 0.9]).to_numpy() @ [-1, 1]
    assert_allclose(width, np.asarray(expected["hi-80"]) - np.asarray(expected["lo-80"]), rtol=0.05)


@pytest.mark.parametrize("kind", ALL)
def test_gaps_other_origins_and_short_histories_get_finite_forecasts(kind, y):
    y.iloc[[0, 20, 21, 71]] = np.nan
    forecaster = kind(horizon=3).fit(y)
    assert np.isfinite(forecaster.predict(y)).all()
    assert np.isfinite(kind(horizon=3).fit(y.iloc[1:4]).forecast()).all()
    assert_allclose(kind(horizon=3).fit(0 * y.iloc[1:20] + 7).forecast(), 7)


@pytest.mark.parametrize("kind", ALL)
def test_later_values_change_no_forecast(kind, y):
    forecaster = kind(horizon=3).fit(y)
    changed = y.to_numpy().copy()
    changed[40:] *= 100
    nothing, state = np.empty((72, 0)), forecaster.states_[0]
    positions = np.array([0, 5, 25, 40])
    before = forecaster._forecast_series(state, y.to_numpy(), nothing, positions, 3)
    assert_array_equal(before, forecaster._forecast_series(state, changed, nothing, positions, 3))


@pytest.mark.parametrize("kind", ALL)
def test_saved_forecaster_forecasts_the_same(kind, y, tmp_path):
    forecaster = kind(horizon=6).fit(y)
    forecaster.save(tmp_path / "model")
    assert_array_equal(seqcast.load(tmp_path / "model").forecast(), forecaster.forecast())
