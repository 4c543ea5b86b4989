import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

import seqcast
from seqcast import GRUForecaster, LSTMForecaster, RidgeForecaster, RNNForecaster, TransformerForecaster
from seqcast.models._calendar import Calendar

TINY = {"hidden_size": 8, "max_steps": 20, "n_members": 1, "random_state": 0}
NETWORKS = [RNNForecaster, LSTMForecaster, GRUForecaster, TransformerForecaster]


def weekly(n, seed=0):
    """Days whose weekdays differ, more than a short window can tell."""
    random = np.random.default_rng(seed)
    index = pd.date_range("2024-01-01", periods=n, freq="D")
    return pd.Series(np.array([0, 3, -2, 5, 1, -4, 2])[index.day_of_week] + random.normal(size=n), index=index)


def _panel(y):
    return RidgeForecaster().fit(y).panel_


@pytest.mark.parametrize(
    ("freq", "n", "cycles"),
    [
        ("h", 24 * 20, ("hour", "day_of_week")),
        ("h", 30, ()),
        ("D", 100, ("day_of_week",)),
        ("D", 800, ("day_of_week", "day_of_year")),
        ("MS", 40, ("month",)),
        ("YS", 40, ()),
    ],
)
def test_cycles_are_those_of_the_frequency_that_were_seen_twice(freq, n, cycles):
    y = pd.Series(np.arange(n, dtype=float), index=pd.date_range("2020-01-01", periods=n, freq=freq))
    assert Calendar.fitted(_panel(y)).cycles == cycles


def test_integers_and_arrays_have_no_calendar():
    for y in (pd.Series(np.arange(50.0), index=range(5, 55)), np.arange(50.0)):
        assert RidgeForecaster(calendar="auto").fit(y).calendar_ == ()


def test_the_weekday_helps_where_the_window_is_too_short_to_show_it():
    y = weekly(400)
    errors = []
    for calendar in (None, "auto"):
        model = RidgeForecaster(horizon=3, lookback=2, calendar=calendar, season_length=1).fit(y[:-3])
        errors.append(model.residuals(100).abs().mean().mean())
    assert errors[1] < 0.6 * errors[0]


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_reads_the_calendar_of_the_steps_ahead(network, tmp_path):
    y = weekly(200)
    model = network(horizon=4, lookback=14, calendar="auto", **TINY).fit(y)
    assert model.calendar_ == ("day_of_week",)
    model.save(tmp_path / "model")
    assert_array_equal(seqcast.load(tmp_path / "model").forecast(), model.forecast())
    shifted = pd.Series(y.to_numpy(), index=y.index + pd.Timedelta(days=3))
    assert not np.allclose(model.forecast(history=shifted), model.forecast())


@pytest.mark.parametrize("network", [RidgeForecaster, GRUForecaster])
def test_calendar_stands_beside_covariates_and_looks_at_no_later_value(network):
    y = weekly(120)
    X = pd.DataFrame({"promotion": np.arange(124) % 2.0}, index=pd.date_range(y.index[0], periods=124, freq="D"))
    options = TINY if network is GRUForecaster else {}
    model = network(horizon=4, lookback=14, calendar="auto", **options).fit(X[:120], y)
    history, later = y[:100], y.copy()
    later.iloc[100:] += 1e3
    one, two = (model.forecast(X=X[:104], history=h) for h in (history, later[:100]))
    assert_array_equal(one, two)
    whole = model.predict(X[:120])
    assert np.isfinite(whole).all()
