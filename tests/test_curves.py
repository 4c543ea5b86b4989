"""Squares and products of known covariates: learned from where they say more of the tail, and nowhere else."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import seqcast
from seqcast import GRUForecaster, LSTMForecaster, RidgeForecaster, RNNForecaster, TransformerForecaster
from seqcast.ensembles import ConformalForecaster
from seqcast.models._curves import MOST, MOST_PAIRED, Curves, columns_that_bend

NETWORKS = [RNNForecaster, LSTMForecaster, GRUForecaster, TransformerForecaster]
SMALL = {"max_steps": 2, "hidden_size": 8, "n_members": 1, "random_state": 0}


def load(n_days=500, seed=0, *, is_bent=True):
    """A daily load and a temperature known ahead: it grows with the heat and the cold, or with the heat alone."""
    random = np.random.default_rng(seed)
    index = pd.date_range("2022-01-01", periods=n_days, name="day")
    temperature = 15 - 12 * np.cos(2 * np.pi * np.arange(n_days) / 365) + 4 * random.normal(size=n_days)
    effect = np.abs(temperature - 16) if is_bent else temperature
    values = 100 + 3 * effect + 5 * (index.day_of_week < 5) + random.normal(size=n_days)
    return pd.Series(values, index, name="load"), pd.DataFrame({"temperature": temperature}, index)


def fitted(make=RidgeForecaster, n=440, *, is_bent=True, **options):
    y, X = load(seed=1, is_bent=is_bent)
    return make(horizon=14, **({} if make is RidgeForecaster else SMALL), **options).fit(X[:n], y[:n]), y, X


def has_curves(model):
    curved = {bool(member.choice.curves) for member in model.members_}
    assert len(curved) == 1
    return curved.pop()


def error_of(model, y, X, n=440):
    origins = range(n, len(y) - 14, 7)
    return np.mean([np.abs(model.forecast(X=X[: k + 14], history=y[:k]) - y[k : k + 14]).mean() for k in origins])


def without(monkeypatch):
    monkeypatch.setattr("seqcast.models._task.columns_that_bend", lambda *args: ())


# When they are learned from ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [RidgeForecaster, *NETWORKS])
def test_what_bends_is_forecast_better(make, monkeypatch):
    model, y, X = fitted(make)
    assert has_curves(model)
    error = error_of(model, y, X)
    without(monkeypatch)
    straight = fitted(make)[0]
    assert not has_curves(straight)
    assert error < 0.6 * error_of(straight, y, X)


def test_what_is_straight_is_forecast_as_without(monkeypatch):
    model, _, X = fitted(is_bent=False)
    assert any(choice["curves"] for choice in model.choices_)
    assert not has_curves(model)
    forecast = model.forecast(X=X[440:454])
    without(monkeypatch)
    assert_array_equal(forecast, fitted(is_bent=False)[0].forecast(X=X[440:454]))


def test_in_noise_they_hardly_matter(monkeypatch):
    moved = []
    for seed in range(4):
        random = np.random.default_rng(seed)
        index = pd.date_range("2022-01-01", periods=307)
        y, X = pd.Series(random.normal(size=307), index, name="y"), pd.DataFrame(random.normal(size=(307, 2)), index)
        X = X.add_prefix("x")
        with monkeypatch.context() as patch:
            forecasts = [RidgeForecaster(horizon=7).fit(X[:300], y[:300]).forecast(X=X[300:])]
            without(patch)
            forecasts.append(RidgeForecaster(horizon=7).fit(X[:300], y[:300]).forecast(X=X[300:]))
        moved.append(np.abs(forecasts[1] - forecasts[0]).mean())
    assert np.mean(moved) < 0.1  # of a standard deviation


def test_what_is_not_known_ahead_has_none():
    model, *_ = fitted(past_features=["temperature"])
    assert not has_curves(model)
    assert not any(choice["curves"] for choice in model.choices_)


def test_a_series_without_covariates_tries_none():
    y, _ = load()
    model = RidgeForecaster(horizon=14).fit(y)
    assert not any(choice["curves"] for choice in model.choices_)


def test_what_is_settled_leaves_them_to_be_chosen():
    model, *_ = fitted(lookback=14, normalization="mean", target_transform="none")
    assert has_curves(model)


# What they are made of -----------------------------------------------------------------------------------------------


def fitted_curves(features, past_only=None):
    past_only = past_only or (False,) * features.shape[1]
    return Curves.fitted(columns_that_bend(features, past_only), features, len(past_only))


def test_columns_are_squares_and_products_in_units_of_fit():
    random = np.random.default_rng(0)
    features = np.column_stack((random.normal(5, 2, (50, 2)), random.integers(0, 2, 50), random.normal(size=50)))
    curves = fitted_curves(features, (False, False, False, True))  # the third is a flag, the fourth known too late
    assert curves.columns == (0, 1)
    extended = curves.extended(np.column_stack((features, np.arange(50.0))))
    x = (features[:, :2] - features[:, :2].mean(0)) / features[:, :2].std(0)
    assert_allclose(extended[:, 4:7], np.column_stack((x[:, 0] ** 2, x[:, 0] * x[:, 1], x[:, 1] ** 2)))
    assert_array_equal(extended[:, [0, 1, 2, 3, 7]], np.column_stack((features, np.arange(50.0))))


def test_beyond_what_was_seen_they_stay_as_they_were_at_its_edge():
    x = np.linspace(-1, 1, 21)
    curves = fitted_curves(np.column_stack((x, x)))
    far, edge, corner = (curves.extended(np.array([row])) for row in ([50.0, 50.0], [1.0, 1.0], [1.0, -1.0]))
    assert_array_equal(far[0, 2:], edge[0, 2:])
    assert far[0, 0] == 50.0
    assert_allclose(corner[0, 3], 0.0, atol=1e-12)  # their product never was below


def test_a_missing_covariate_has_missing_products():
    features = np.random.default_rng(0).normal(size=(20, 2))
    features[3, 0] = np.nan
    extended = fitted_curves(features).extended(features)
    assert_array_equal(np.isnan(extended[3]), [True, False, True, True, False])
    assert np.isnan(extended).sum() == 3


@pytest.mark.parametrize(
    ("n_known", "n_columns"), [(1, 1), (MOST_PAIRED, 10), (MOST_PAIRED + 1, MOST_PAIRED + 1), (MOST, MOST)]
)
def test_of_many_covariates_there_are_squares_alone(n_known, n_columns):
    assert len(fitted_curves(np.random.default_rng(0).normal(size=(20, n_known)))) == n_columns


@pytest.mark.parametrize(
    "features", [np.empty((20, 0)), np.full((20, 2), np.nan), np.arange(20.0 * (MOST + 1)).reshape(20, MOST + 1)]
)
def test_without_covariates_and_of_very_many_none_bend(features):
    assert columns_that_bend(features, (False,) * features.shape[1]) == ()


def test_what_is_not_curved_is_handed_through():
    features = np.arange(20.0)[:, None]
    assert Curves().extended(features) is features


# Everywhere ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [RidgeForecaster, GRUForecaster])
def test_files_and_pickles_forecast_the_same(make, tmp_path):
    model, _, X = fitted(make)
    assert has_curves(model)
    model.save(tmp_path / "model.seqcast")
    for again in (seqcast.load(tmp_path / "model.seqcast"), pickle.loads(pickle.dumps(model))):
        assert has_curves(again)
        for quantiles in (None, [0.1, 0.9]):
            ask = {"X": X[440:454], "quantiles": quantiles}
            assert_array_equal(again.forecast(**ask), model.forecast(**ask))


@pytest.mark.parametrize("make", [RidgeForecaster, GRUForecaster])
def test_later_values_change_no_forecast_and_no_choice_of_the_past(make):
    y, X = load()
    changed = y.copy()
    changed[440:] = 1e4
    model = make(horizon=14, **({} if make is RidgeForecaster else SMALL)).fit(X[:400], y[:400])
    assert has_curves(model)
    expected = model.forecast(X=X[:454], history=y[:440])
    model.update(X[400:], changed[400:])
    assert_array_equal(model.forecast(X=X[:454], history=changed[:440]), expected)


def test_a_load_of_unusual_days_follows_its_bend():
    model, *_ = fitted(local_smoothing=True)
    assert model.local_share_.max() > 0
    days = pd.date_range("2023-03-17", periods=14, name="day")
    cold, mild, hot = (
        model.forecast(X=pd.DataFrame({"temperature": degrees}, days)).mean() for degrees in (0.0, 16.0, 30.0)
    )
    assert cold > mild + 20
    assert hot > mild + 20


def test_a_panel_of_loads_shares_them(monkeypatch):
    parts = {name: load(seed=seed) for seed, name in enumerate(("north", "south"))}
    y, X = (pd.concat({name: part[k] for name, part in parts.items()}, names=["site"]) for k in (0, 1))
    is_past = y.index.get_level_values("day") < "2023-03-01"
    ahead = ~is_past & (y.index.get_level_values("day") < "2023-03-15")
    errors = []
    for is_curved in (True, False):
        model = RidgeForecaster(horizon=14).fit(X[is_past], y[is_past])
        assert has_curves(model) == is_curved
        errors.append(np.abs(model.forecast(X=X[ahead]) - y[ahead]).mean())
        without(monkeypatch)
    assert errors[0] < 0.7 * errors[1]


def test_a_gap_in_the_temperature_is_no_reason_to_fail():
    y, X = load()
    X.iloc[100:110] = np.nan
    X.iloc[445] = np.nan
    model = RidgeForecaster(horizon=14).fit(X[:440], y[:440])
    assert has_curves(model)
    assert np.isfinite(model.forecast(X=X[440:454])).all()


def test_training_goes_on_with_them():
    model, y, X = fitted(GRUForecaster)
    before = model.forecast(X=X[:474], history=y[:460])
    model.partial_fit(X[440:460], y[440:460])
    assert has_curves(model)
    after = model.forecast(X=X[460:474])
    assert_allclose(after, before, rtol=0.1)
    assert not np.array_equal(after, before)


def test_pickles_of_before_forecast():
    model, _, X = fitted(is_bent=False)
    expected = model.forecast(X=X[440:454])
    for member in model.members_:
        del member.model.network.__dict__["bends"], member.model.__dict__["curves"]
    assert_array_equal(model.forecast(X=X[440:454]), expected)


@pytest.mark.parametrize("start", [350, 430])
def test_columns_that_begin_late_or_never_meet_raise_no_warnings(start):
    y, X = load()
    late = X["temperature"].where(np.arange(len(X)) >= start)
    apart = pd.DataFrame({"even": X["temperature"][::2], "odd": X["temperature"][1::2]}, X.index)
    for more in (X.assign(late=late), apart):
        model = RidgeForecaster(horizon=14, lookback=14, n_members=1).fit(more[:440], y[:440])
        assert np.isfinite(model.forecast(X=more[440:454].ffill().bfill())).all()


def test_another_fit_reads_nothing_that_has_become_unknown():
    y, X = load()
    X["other"] = X["temperature"] ** 2
    model = GRUForecaster(horizon=14, warm_start=True, **SMALL).fit(X[:440], y[:440])
    assert has_curves(model)
    fewer = X[["temperature"]]
    assert np.isfinite(model.fit(fewer[:440], y[:440]).forecast(X=fewer[440:454])).all()
    assert np.isfinite(model.fit(y[:440]).forecast()).all()
    model.fit(X[:440], y[:440]).set_params(past_features=["temperature"]).fit(X[:440], y[:440])
    ahead = X[440:454]
    assert_array_equal(model.forecast(X=ahead.assign(temperature=99.0)), model.forecast(X=ahead))


def test_another_fit_goes_on_with_them():
    y, X = load()
    straight = load(is_bent=False)[0]
    model = GRUForecaster(horizon=14, warm_start=True, **SMALL).fit(X[:440], y[:440])
    weight = model.members_[0].model.network.embedding.state_dict()
    model.fit(X[:440], straight[:440])  # which would have none
    assert has_curves(model)
    again = model.members_[0].model.network.embedding.state_dict()
    assert {name: part.shape for name, part in again.items()} == {name: part.shape for name, part in weight.items()}


def test_a_ridge_that_is_settled_but_for_them_is_no_last_value():
    random = np.random.default_rng(0)
    index = pd.date_range("2022-01-01", periods=200)
    y, X = (
        pd.Series(random.normal(size=200).cumsum(), index, name="y"),
        pd.DataFrame({"x": random.normal(size=200)}, index),
    )
    settings = {"lookback": 14, "normalization": "last", "target_transform": "none"}
    assert np.isfinite(RidgeForecaster(horizon=7, **settings).fit(X, y).penalty_)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("make", [RidgeForecaster, GRUForecaster])
def test_extremes_of_covariates_are_no_reason_for_wild_forecasts(make, seed):
    random = np.random.default_rng(seed)
    index = pd.date_range("2022-01-01", periods=480)
    a, b = random.standard_t(4, size=480), random.normal(size=480)
    X = pd.DataFrame({"a": a, "b": a + 0.1 * b}, index)
    y = pd.Series(100 + 3 * np.abs(a) ** 1.5 + random.normal(size=480), index, name="y")
    model = make(horizon=7, **({} if make is RidgeForecaster else SMALL)).fit(X, y)
    days = pd.date_range(index[-1] + index.freq, periods=7)
    width = y.max() - y.min()
    for at in (X.max(), X.min(), pd.Series({"a": X["a"].max(), "b": X["b"].min()}), 3 * X.max()):
        forecast = model.forecast(X=pd.DataFrame([at] * 7, days))
        assert forecast.between(y.min() - 3 * width, y.max() + 3 * width).all()


def test_it_is_calibrated_around():
    y, X = load()
    model = ConformalForecaster(RidgeForecaster(), horizon=14).fit(X[:440], y[:440])
    assert has_curves(model.forecaster_)
    interval = model.forecast(X=X[440:454], quantiles=[0.05, 0.95])
    inside = (y[440:454] >= interval.iloc[:, 0]) & (y[440:454] <= interval.iloc[:, 1])
    assert inside.mean() > 0.7
