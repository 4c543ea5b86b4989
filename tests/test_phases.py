"""What the linear forecast adds at each phase of the season."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose

import seqcast
from seqcast import GRUForecaster, RidgeForecaster
from seqcast.networks.linear import PhaseSkip


def turning(n_days, seed=0):
    """Each hour is nine tenths of the one before it, at some hours of the day of the other sign."""
    random = np.random.default_rng(seed)
    index = pd.date_range("2024-01-01", periods=24 * n_days, freq="h")
    factors, values = 0.9 * random.choice([-1, 1], 24)[index.hour], random.normal(size=len(index))
    for k in range(1, len(index)):
        values[k] += factors[k] * values[k - 1]
    return pd.Series(values, index, name="y")


def error_of(model, y, n=100):
    """Mean absolute error of the first step from the last origins."""
    return np.mean([np.abs(model.forecast(1, history=y[:k]).iloc[0] - y.iloc[k]) for k in range(len(y) - n, len(y))])


def shares(model):
    networks = [member.model.network for member in model.members_]
    return [network.phases.share.item() if network.phases is not None else None for network in networks]


def without(monkeypatch):
    monkeypatch.setattr("seqcast.models._window.phases_of", lambda *args: 0)


def test_every_phase_has_its_own_weights(monkeypatch):
    y = turning(100)
    model = RidgeForecaster(horizon=3, lookback=48).fit(y[:-120])
    assert min(shares(model)) > 0.5
    error = error_of(model, y)
    without(monkeypatch)
    common = RidgeForecaster(horizon=3, lookback=48).fit(y[:-120])
    assert set(shares(common)) == {None}
    assert error < 0.85 * error_of(common, y)


def test_networks_start_from_it():
    y = turning(100)
    model = GRUForecaster(horizon=3, lookback=48, max_steps=20, n_members=1, random_state=0).fit(y[:-120])
    assert error_of(model, y) < 1.2


def test_what_comes_from_other_places_keeps_its_hour(tmp_path):
    y = turning(100)
    model = RidgeForecaster(horizon=12, lookback=48).fit(y[:-500])
    assert min(shares(model)) > 0.5
    expected = model.forecast(history=y[:-5])
    assert_allclose(model.forecast(history=y[-301:-5]), expected, atol=1e-5)
    assert_allclose(model.forecast(history=y[-301:-5].rename("other")), expected, rtol=0.1, atol=0.3)
    model.save(tmp_path / "model.seqcast")
    loaded = seqcast.load(tmp_path / "model.seqcast")
    assert_allclose(loaded.forecast(history=y[-301:-5]), expected, atol=1e-5)
    updated = model.update(y[-500:-5])
    assert_allclose(updated.forecast(), expected, atol=1e-5)


def test_without_dates_nothing_says_which_phase_it_is():
    y = turning(100)
    for values in (y.to_numpy(), y.reset_index(drop=True), y.set_axis(np.arange(100, 2500))):
        assert shares(RidgeForecaster(horizon=12, lookback=48, season_length=24).fit(values))[0] is None
    assert shares(RidgeForecaster(horizon=12, lookback=48).fit(y.to_period("h")))[0] > 0.5


def test_few_windows_and_odd_seasons_have_none():
    y = turning(100)
    assert shares(RidgeForecaster(horizon=12, lookback=168).fit(y[:700]))[0] is None
    assert shares(RidgeForecaster(horizon=12, lookback=168).fit(y[:1000]))[0] > 0.5  # the lookback does not count
    assert shares(RidgeForecaster(horizon=12, lookback=48, season_length=1).fit(y))[0] is None
    assert shares(RidgeForecaster(horizon=12, lookback=48, season_length=168).fit(y))[0] is None
    assert shares(GRUForecaster(horizon=12, lookback=48, max_steps=2, linear_skip=False).fit(y))[0] is None


def test_noise_gets_next_to_nothing():
    y = turning(100)
    noise = pd.Series(np.random.default_rng(1).normal(size=len(y)), y.index)
    networks = [m.model.network for m in RidgeForecaster(horizon=12, lookback=48).fit(noise).members_]
    assert max(0.0 if n.phases is None else n.phases.weight.abs().max().item() for n in networks) < 0.1


def test_shocks_that_series_share_are_no_phase():
    random = np.random.default_rng(0)
    common, index = np.cumsum(random.normal(size=40)), pd.date_range("2020-01-01", periods=40, freq="MS")
    y = pd.DataFrame({f"s{k}": common + random.normal(size=40) for k in range(100)}, index)
    assert set(shares(RidgeForecaster(horizon=6).fit(y))) == {None}


def test_trading_days_have_no_phase():
    random = np.random.default_rng(0)
    factors, values = np.tile([0.9, -0.9, -0.9, 0.9, -0.9], 300), random.normal(size=1500)
    for k in range(1, len(values)):
        values[k] += factors[k] * values[k - 1]
    days = pd.offsets.CustomBusinessDay(holidays=["2010-05-03", "2010-05-04"])
    for freq, has_phases in (("B", True), (days, False)):
        y = pd.Series(values, pd.date_range("2010-01-01", periods=len(values), freq=freq))
        model = RidgeForecaster(horizon=2, lookback=10, season_length=5, normalization="mean").fit(y)
        assert (shares(model)[0] is not None) == has_phases


def test_nothing_is_larger_than_it_was_in_fit():
    y = turning(100)
    model = RidgeForecaster(horizon=3, lookback=48, n_members=1, local_smoothing=False).fit(y)
    phases = model.members_[0].model.network.phases
    z = torch.full((24, 48), 1e6)
    assert (phases(z, z.new_zeros(24, 51, 0), torch.arange(24)).abs() <= phases.most).all()
    assert (phases.most < 5).all()


def test_a_warm_start_keeps_its_weights_when_phases_come():
    y = turning(50)
    settings = {"horizon": 3, "lookback": 24, "n_members": 1, "random_state": 0, "warm_start": True}
    model = GRUForecaster(max_steps=5, **settings).fit(y[:500])
    before = [p.detach().clone() for p in model.members_[0].model.network.parameters()]
    model.set_params(max_steps=1, learning_rate=1e-9).fit(y)
    assert shares(model)[0] is not None
    after = model.members_[0].model.network.parameters()
    assert max((a - b).abs().max() for a, b in zip(after, before, strict=True)) < 1e-6


def test_covariates_act_by_the_hour():
    random = np.random.default_rng(3)
    index = pd.date_range("2024-01-01", periods=24 * 150, freq="h")
    X = pd.DataFrame(random.normal(size=(len(index), 2)), index, columns=["x", "seen"])
    y = X["x"] * np.where(index.hour < 12, 1, -1) + 0.1 * random.normal(size=len(index))
    y = y.rename("y")
    model = RidgeForecaster(horizon=6, lookback=48, past_features=["seen"]).fit(X[:-240], y[:-240])
    errors = []
    for k in range(len(y) - 240, len(y) - 6, 7):
        forecast = model.forecast(X=X[: k + 6], history=y[:k])
        errors.append(np.abs(forecast - y[k : k + 6]).to_numpy())
    assert np.mean(errors) < 0.4  # .8 is the mean of what x adds
    later = X.copy()
    later.loc[y.index[k] :, "seen"] = 1e3
    assert_allclose(model.forecast(X=later[: k + 6], history=y[:k]), forecast)


@pytest.mark.parametrize(("n_features", "length"), [(0, 1), (2, 1), (50, 1), (2, 4)])
def test_the_skip_is_that_of_the_phase(n_features, length):
    skip = PhaseSkip(30, 4, n_features, 24, 24 * length)
    skip.weight.normal_()
    assert skip.weight.shape[1] <= 24 + 1 + 128 + n_features
    z, features, phase = torch.randn(7, 30), torch.randn(7, 34, n_features), torch.tensor([0, 5, 23, 5, 1, 2, 3])
    expected = torch.einsum("nk,nkh->nh", skip.design(z, features), skip.weight[phase])
    torch.testing.assert_close(skip(z, features, phase), expected, rtol=1e-4, atol=1e-4)


def test_a_day_of_quarters_of_an_hour_has_phases_of_two():
    index = pd.date_range("2024-01-01", periods=96 * 40, freq="15min")
    factors, values = np.where(index.hour % 2, 0.9, -0.9), np.random.default_rng(1).normal(size=len(index))
    for k in range(1, len(index)):
        values[k] += factors[k] * values[k - 1]
    y = pd.Series(values, index, name="y")
    model = RidgeForecaster(horizon=4, lookback=96).fit(y[:-97])
    assert {len(m.model.network.phases.weight) for m in model.members_} == {48}
    assert min(shares(model)) > 0.4
    assert_allclose(model.forecast(history=y[-1200:-7]), model.forecast(history=y[:-7]), atol=1e-4)
