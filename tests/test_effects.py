"""Effects of covariates that the linear forecast is shrunk to: found where they are, small where they are not."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose

from seqcast import GRUForecaster, RidgeForecaster
from seqcast.models._effects import _slopes
from seqcast.networks.linear import LinearSkip
from seqcast.networks.normalization import continued_back

MONTHS = pd.period_range("2010-01", freq="M", periods=140)


def driven(seed: int = 0, effect: float = 2.0) -> tuple[pd.Series, pd.DataFrame]:
    """Errors that are related in time, and what two of three columns do."""
    random = np.random.default_rng(seed)
    errors = random.normal(size=(4, 140))
    for t in range(1, 140):
        errors[:, t] += 0.7 * errors[:, t - 1]
    X = pd.DataFrame(errors[1:].T, columns=["a", "b", "nothing"], index=MONTHS)
    return 50 + effect * (X["a"] - 0.5 * X["b"]) + pd.Series(errors[0], MONTHS, name="y"), X


@pytest.mark.parametrize("steps_are_averaged", [False, True])
def test_coefficients_are_those_of_a_regression_with_smoothed_errors(steps_are_averaged, monkeypatch):
    monkeypatch.setattr("seqcast.networks.linear.MAX_COLUMNS", 12 if steps_are_averaged else 1000)
    torch.manual_seed(0)
    skip = LinearSkip(12, 4, 3, n_calendar=1)
    smoothing, effects = torch.randn(12, 4), torch.tensor([2.0, 0.0, -1.0])
    z, features = torch.randn(5, 12), torch.randn(5, 16, 4)
    if steps_are_averaged:
        assert skip.steps == 4  # the same over four steps each
        features = features[:, ::4].repeat_interleave(4, 1)
    found = skip.design(z, features) @ skip.smoothed(smoothing, effects)
    effect = features[..., :3] @ effects
    wanted = (z - effect[:, :12]) @ smoothing + effect[:, 12:]
    assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_a_short_series_is_forecast_by_its_covariates(seed):
    y, X = driven(seed)
    errors = []
    for known in (True, False):
        model = RidgeForecaster(horizon=12).fit(*(X[:116], y[:116]) if known else (y[:116],))
        found = [model.forecast(X=X[116:128]) if known else model.forecast()]
        model.update(*(X[116:128], y[116:128]) if known else (y[116:128],))
        found.append(model.forecast(X=X[128:]) if known else model.forecast())
        errors.append(np.abs(pd.concat(found) - y[116:]).mean())
    assert errors[0] < 0.75 * errors[1]


@pytest.mark.parametrize("make", [RidgeForecaster, GRUForecaster], ids=["ridge", "gru"])
def test_a_rise_of_a_covariate_raises_the_forecast_by_its_effect(make):
    y, X = driven()
    options = {} if make is RidgeForecaster else {"max_steps": 2, "hidden_size": 8, "n_members": 1, "random_state": 0}
    model = make(horizon=6, **options).fit(X[:120], y[:120])
    ahead = X[120:126]
    rise = model.forecast(X=ahead.assign(a=ahead["a"] + 1)) - model.forecast(X=ahead)
    assert_allclose(rise, 2.0, rtol=0.3)
    assert np.abs(model.forecast(X=ahead.assign(nothing=ahead["nothing"] + 1)) - model.forecast(X=ahead)).max() < 0.5


def test_future_values_of_past_features_are_not_read():
    y, X = driven()
    model = RidgeForecaster(horizon=6, past_features=["a"]).fit(X[:120], y[:120])
    ahead = X[120:126]
    assert_allclose(model.forecast(X=ahead.assign(a=1e6)), model.forecast(X=ahead))


def test_slopes_of_noise_are_small_and_of_effects_are_kept():
    torch.manual_seed(0)
    news, noise = torch.randn(400, 6, 3), torch.randn(400, 1)
    rest = 2 * news[..., 0] + noise + torch.randn(400, 6)
    known, block = torch.ones(400, 6), torch.arange(400) // 6
    assert_allclose(_slopes(news, rest, known, block), [2, 0, 0], atol=0.15)
    nothing = _slopes(news, noise.expand(-1, 6), known, block)
    assert nothing.abs().max() < 0.1


def test_news_of_one_stretch_say_nothing_and_a_drift_is_no_effect():
    torch.manual_seed(0)
    known, when = torch.ones(80, 6), torch.arange(80) // 10
    once = torch.zeros(80, 6, 1)
    once[70:] = 1e-3
    rest = torch.randn(80, 6)
    rest[70:] += 5
    assert _slopes(once, rest, known, when).abs().max() == 0
    drifts = 1 + 0.1 * torch.randn(80, 6, 1)
    assert (
        _slopes(drifts, 3 + 0.5 * torch.randn(80, 1).expand(-1, 6), known, when).abs().max() < 1
    )  # one through 0 is 3
    assert _slopes(1e-8 * torch.ones(80, 6, 1), 3 + rest, known, when).abs().max() < 1e-3


def test_series_at_one_time_are_no_evidence_of_their_own():
    kept = []
    for seed in range(20):
        torch.manual_seed(seed)
        news, shock = torch.randn(60, 6, 1), torch.randn(60, 1)
        for n_series in (1, 30):
            shape = (n_series, 1, 1)
            rest = shock.repeat(shape[:2]).expand(-1, 6) + 0.1 * torch.randn(60 * n_series, 6)
            known, when = torch.ones(60 * n_series, 6), torch.arange(60).repeat(n_series) // 6
            kept.append(bool(_slopes(news.repeat(shape), rest, known, when).abs().max() > 0))
    assert sum(kept[1::2]) <= sum(kept[::2]) + 3


def test_a_price_that_moves_for_the_first_time_is_no_reason_for_wild_forecasts():
    for seed in range(6):
        random = np.random.default_rng(seed)
        y = pd.Series(100 + (0.5 + random.normal(size=152)).cumsum(), pd.period_range("2010-01", periods=152, freq="M"))
        X = pd.DataFrame({"price": np.where(np.arange(152) < 132, 9.99, 8.99)}, y.index)
        options = {"lookback": 12, "normalization": "last", "target_transform": "none", "refit_tail": False}
        model = RidgeForecaster(horizon=12, **options).fit(X[:140], y[:140].rename("y"))
        assert np.abs(model.forecast(X=X[140:]).to_numpy() - y[140:].to_numpy()).mean() < 40


def test_before_a_series_begins_covariates_are_those_of_its_first_row():
    windows = torch.zeros(2, 5, 4)  # value, observed, two features
    windows[0, 2:, 1:] = torch.tensor([[1.0, 7, 0], [1, 8, 3], [0, 9, 0]])
    windows[1, :, 2:] = torch.arange(10.0).view(5, 2)  # the first row has a 0 and no value, the window is full
    found = continued_back(windows[..., 2:], windows)
    assert_allclose(found[0], [[7, 0], [7, 0], [7, 0], [8, 3], [9, 0]])
    assert_allclose(found[1], windows[1, :, 2:])
    assert_allclose(continued_back(torch.zeros(1, 5, 2), torch.zeros(1, 5, 4)), torch.zeros(1, 5, 2))


def test_more_columns_than_horizons_are_no_news():
    torch.manual_seed(0)
    news, rest = torch.randn(40, 6, 60), torch.randn(40, 1).expand(-1, 6)
    slopes = _slopes(news, rest, torch.ones(40, 6), torch.arange(40) // 6)
    plain = torch.linalg.lstsq(news.flatten(0, 1), rest.flatten()[:, None]).solution[:, 0]
    assert (slopes**2).sum() < 0.5 * (plain**2).sum()


@pytest.mark.parametrize("kind", ["constant", "twice the same", "huge"])
def test_odd_columns_do_no_harm(kind):
    y, X = driven()
    X = X.assign(odd={"constant": 3.0, "twice the same": X["a"], "huge": 1e9 * X["nothing"]}[kind])
    model = RidgeForecaster(horizon=6).fit(X[:120], y[:120])
    assert np.abs(model.forecast(X=X[120:126]) - y[120:126]).mean() < 3


def test_gaps_of_the_target_are_no_zeros():
    y, X = driven()
    gappy = y.copy()
    gappy[10:110:7] = np.nan
    model = RidgeForecaster(horizon=6).fit(X[:120], gappy[:120])
    ahead = X[120:126]
    rise = model.forecast(X=ahead.assign(a=ahead["a"] + 1)) - model.forecast(X=ahead)
    assert_allclose(rise, 2.0, rtol=0.3)
