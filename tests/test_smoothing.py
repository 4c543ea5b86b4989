"""Exponential smoothing as a linear function of the window."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.signal import lfilter
from statsmodels.regression.linear_model import OLS
from statsmodels.tools import add_constant
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

from seqcast import GRUForecaster, RidgeForecaster
from seqcast.models._calibration import SMOOTHING
from seqcast.networks.smoothing import _first_seasons, smoothed, smoothing_weight
from seqcast.reversion import _dickey_fuller, may_wander


@pytest.mark.parametrize("lookback", [24, 31, 36])
@pytest.mark.parametrize(("trend", "season"), [(False, 1), (True, 1), (False, 12), (True, 12)])
def test_it_is_the_textbook_recursion(trend, season, lookback):
    level, slope, seasonal, damping = 0.3, 0.05 * trend, 0.2 * (season > 1), 0.9
    y = np.random.default_rng(0).normal(size=lookback).cumsum()
    candidate = torch.tensor([[level, slope, seasonal, damping * trend, 1.0]], dtype=torch.float64)
    window = torch.from_numpy(y)[None]
    found = smoothed(window, season, candidate[:, None], 15, _first_seasons(window, season))[0, 0]
    size = season if season > 1 else 4
    first, second = y[:size], y[size : 2 * size]
    start = (second.mean() - first.mean()) / size
    away = np.arange(size) - (size - 1) / 2
    profile = (first - first.mean() + second - second.mean()) / 2 - start * away
    begin = {"initial_level": first.mean() + start * trend * away[-1]}
    if trend:
        begin["initial_trend"] = start
    if season > 1:
        begin["initial_seasonal"] = profile
    model = ETSModel(
        y[size:],
        trend="add" if trend else None,
        damped_trend=trend,
        seasonal="add" if season > 1 else None,
        seasonal_periods=season if season > 1 else None,
        initialization_method="known",
        **begin,
    )
    given = {"smoothing_level": level, "smoothing_trend": slope, "smoothing_seasonal": seasonal}
    given |= {"damping_trend": damping, **begin}
    given |= {f"initial_seasonal.{k}": value for k, value in enumerate(profile[::-1])}
    parameters = [given[name] for name in model.param_names]
    assert_allclose(found, model.smooth(parameters).forecast(15), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("season", [1, 4, 12, 40])
def test_it_is_linear_and_a_shift_goes_through(season):
    random = np.random.default_rng(0)
    z, target = torch.from_numpy(random.normal(size=(50, 30))), torch.from_numpy(random.normal(size=(50, 7)))
    weight = smoothing_weight(z, target, torch.ones_like(target), season)
    assert weight.shape == (30, 7)
    assert_allclose(weight.sum(0), 1)


def test_missing_targets_do_not_count():
    random = np.random.default_rng(0)
    z, target = torch.from_numpy(random.normal(size=(50, 30))), torch.from_numpy(random.normal(size=(50, 7)))
    known = torch.from_numpy((random.random((50, 7)) < 0.5).astype(float))
    weight = smoothing_weight(z, target, known, 6)
    assert_allclose(smoothing_weight(z, target + 9 * (1 - known), known, 6), weight)


def test_two_seasons_of_a_week_are_found():
    hour = np.arange(24 * 7 * 10)
    y = np.sin(2 * np.pi * hour / 24) * (1 + (hour // 24 % 7 > 4))
    windows = torch.from_numpy(np.lib.stride_tricks.sliding_window_view(y, 336 + 24)[::11].copy())
    z, target = windows[:, :336], windows[:, 336:]
    assert_allclose(z @ smoothing_weight(z, target, torch.ones_like(target), 24), target, atol=1e-6)


def test_a_short_series_issmoothed_and_a_long_one_regressed():
    random = np.random.default_rng(0)
    y = np.zeros(3000)
    for t in range(2, len(y)):
        y[t] = 1.6 * y[t - 1] - 0.9 * y[t - 2] + random.normal()  # a cycle, which no smoothing follows
    assert RidgeForecaster(horizon=6, season_length=12).fit(y).penalty_ < 1
    month = np.arange(120)
    y = 100 + month + 10 * np.sin(2 * np.pi * month / 12) + random.normal(size=120)
    model = RidgeForecaster(horizon=12, season_length=12).fit(y)
    assert model.penalty_ == SMOOTHING
    truth = 100 + np.arange(120, 132) + 10 * np.sin(2 * np.pi * np.arange(12) / 12)
    assert np.abs(model.forecast() - truth).mean() < 2


def test_of_equals_the_newest_value_counts_most():
    model = RidgeForecaster(horizon=2, season_length=1, lookback=8, normalization="last", target_transform="none")
    model.fit(np.full(60, 7.0)).update(np.full(4, 9.0))
    assert_allclose(model.forecast(), 9.0)


def test_a_level_that_returns_is_an_autoregression():
    window = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 20)))
    form = torch.tensor([[[1.0, 0.0, 0.0, 0.0, 0.8]]], dtype=torch.float64)
    found = smoothed(window, 1, form, 5, _first_seasons(window, 1))[0]
    mean = window.mean(1, keepdim=True)
    left = torch.from_numpy(0.8 ** np.arange(1, 6))
    assert_allclose(found, mean + left * (window[:, -1:] - mean))


@pytest.mark.parametrize(
    ("n", "phi", "excess"), [(150, 0.8, 0.25), (500, 0.8, 0.25), (2000, 0.95, 0.15), (300, 1.0, 0.05)]
)
def test_what_returns_to_its_mean_is_told_from_what_wanders(n, phi, excess):
    errors, variance = [], np.cumsum(phi ** (2 * np.arange(12))).mean()
    for seed in range(8):
        y = lfilter([1], [1, -phi], np.random.default_rng(seed).normal(size=n + 200))[200:]
        forecast = RidgeForecaster(horizon=12, season_length=1, n_members=1).fit(y).forecast()
        errors.append(((forecast - phi ** np.arange(1, 13) * y[-1]) ** 2).mean())
    assert np.mean(errors) < excess * variance


def with_spikes(random):
    walk = random.normal(size=500).cumsum()
    spikes = (random.random(500) < 0.03) * random.normal(size=500) * 10
    spikes[-1] = 0
    return walk + spikes


def with_a_shift_in_the_tail(random):
    return lfilter([1], [1, -0.5], random.normal(size=400)) + 8 * (np.arange(400) >= 384)


@pytest.mark.parametrize("process", [with_spikes, with_a_shift_in_the_tail])
def test_the_last_value_is_not_given_up_for_outliers_or_what_is_new(process):
    fitted = [RidgeForecaster(horizon=12).fit(process(np.random.default_rng(seed))) for seed in range(8)]
    assert sum(np.isinf(model.penalty_) for model in fitted) >= 7


def test_the_test_of_a_unit_root_is_the_augmented_regression():
    y = np.random.default_rng(0).normal(size=200).cumsum()
    steps = np.diff(y)
    regressors = np.column_stack((y[4:-1], np.arange(195), *(steps[4 - k : -k] for k in range(1, 5))))
    assert_allclose(_dickey_fuller(y), OLS(steps[4:], add_constant(regressors)).fit().tvalues[1])


@pytest.mark.parametrize("n_unknown", [0, 3000])
def test_what_is_not_known_at_the_end_is_no_reason_to_wander(n_unknown):
    y = np.append(np.random.default_rng(0).normal(size=500), np.full(n_unknown, np.nan))
    assert not may_wander(y, np.array([0, len(y)]))
    assert may_wander(y.cumsum(), np.array([0, len(y)]))


def test_a_noisy_line_is_followed():
    errors = []
    for seed in range(10):
        y = 5 * np.arange(72) + np.random.default_rng(seed).normal(0, 10, 72)
        model = RidgeForecaster(horizon=12, season_length=1).fit(y[:60])
        errors.append(np.abs(model.forecast() - y[60:]).mean())
    assert np.mean(errors) < 12


@pytest.mark.parametrize("fraction", [0.0, 0.1])
def test_covariates_of_a_short_series_count(fraction):
    x = np.random.default_rng(0).normal(size=(150, 1))
    y = 10 + 5 * x[:, 0] + 0.1 * np.random.default_rng(1).normal(size=150)
    model = RidgeForecaster(horizon=6, season_length=1, validation_fraction=fraction).fit(x, y)
    assert np.abs(model.predict(np.full((6, 1), 2.0)) - 20).max() < 5


def test_a_series_too_short_for_a_tail_issmoothed():
    y = 10 + np.random.default_rng(0).normal(size=9)
    model = RidgeForecaster(horizon=4, validation_fraction=0.0).fit(y)
    assert model.penalty_ == SMOOTHING
    assert np.abs(model.forecast() - 10).max() < 1


def test_a_network_begins_at_it():
    month = np.arange(120)
    y = 100 + month + 10 * np.sin(2 * np.pi * month / 12) + np.random.default_rng(0).normal(size=120)
    settings = {"horizon": 12, "season_length": 12, "lookback": 36, "normalization": "mean", "target_transform": "none"}
    ridge = RidgeForecaster(**settings).fit(y)
    model = GRUForecaster(**settings, max_steps=1, n_members=1, random_state=0).fit(y)
    assert model.penalty_ == ridge.penalty_ == SMOOTHING
    assert_allclose(model.forecast(), ridge.forecast(), atol=0.5)
