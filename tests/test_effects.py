"""Effects of covariates that the linear forecast is shrunk to: found where they are, small where they are not."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose

from seqcast import GRUForecaster, RidgeForecaster
from seqcast.models._effects import _slopes
from seqcast.networks.linear import LinearSkip
from seqcast.networks.normalization import bridged, continued_back

MONTHS = pd.period_range("2010-01", freq="M", periods=140)


def driven(seed: int = 0, effect: float = 2.0) -> tuple[pd.Series, pd.DataFrame]:
    """Errors that are related in time, and what two of three columns do."""
    random = np.random.default_rng(seed)
    errors = random.normal(size=(4, 140))
    for t in range(1, 140):
        errors[:, t] += 0.7 * errors[:, t - 1]
    X = pd.DataFrame(errors[1:].T, columns=["a", "b", "nothing"], index=MONTHS)
    return 50 + effect * (X["a"] - 0.5 * X["b"]) + pd.Series(errors[0], MONTHS, name="y"), X


@pytest.mark.parametrize("n_curves", [0, 1])
@pytest.mark.parametrize("steps_are_averaged", [False, True])
def test_coefficients_are_those_of_a_regression_with_smoothed_errors(steps_are_averaged, n_curves, monkeypatch):
    monkeypatch.setattr("seqcast.networks.linear.MAX_COLUMNS", 12 - 4 * n_curves if steps_are_averaged else 1000)
    torch.manual_seed(0)
    skip = LinearSkip(12, 4, 3, n_calendar=1, n_curves=n_curves)
    smoothing, effects = torch.randn(12, 4), torch.tensor([2.0, 0.0, -1.0])
    z, features = torch.randn(5, 12), torch.randn(5, 16, 4)
    if steps_are_averaged:
        assert (skip.steps, skip.curve_steps) == (4, 1 + n_curves)
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


def test_a_reading_that_is_late_is_bridged_where_none_was_missing_in_fit():
    y, X = driven()
    X = X + np.linspace(0, 40, len(X))[:, None]  # the mean is far from the last values
    y = y + 2 * X["a"]
    late = X[120:126].copy()
    late.loc[MONTHS[124:126], "a"] = np.nan
    found = []
    for rows in (X[120:126], late):
        model = GRUForecaster(horizon=6, max_steps=2, hidden_size=8, n_members=1, random_state=0)
        found.append(model.fit(X[:120], y[:120]).update(rows, y[120:126]).forecast(X=X[126:132]))
    assert np.abs(found[1] - found[0]).max() < 8
    assert np.abs(found[1] - y[126:132]).mean() < 6


def test_a_past_gap_is_not_bridged_with_what_comes_after_the_origin():
    days = pd.date_range("2024-01-01", periods=520, freq="D")
    X = pd.DataFrame({"a": np.random.default_rng(0).normal(size=520)}, index=days)
    y = 3 * X["a"].shift(1).fillna(0).rename("y") + X["a"].shift(2).fillna(0)
    X.loc[days[504:506], "a"] = np.nan
    model = RidgeForecaster(horizon=2, past_features=["a"], local_smoothing=False).fit(X[:500], y[:500])
    found = []
    for later in (0.0, 100.0):
        X.loc[days[506:], "a"] += later
        model.update(X[500:], y[500:], overwrite=True)
        found.append(model.residuals(n_origins=16))
    assert_allclose(found[0].loc[days[505]], found[1].loc[days[505]], atol=1e-5)
    assert np.abs(found[0].loc[days[506]] - found[1].loc[days[506]]).max() > 10


def test_gaps_of_features_are_straight_lines_and_level_at_the_ends():
    nan = torch.nan
    features = torch.tensor([[nan, 1.0, nan, nan, 4.0, nan], [nan] * 6, [1.0, 2.0, 3.0, nan, nan, 6.0]])[..., None]
    is_known = torch.tensor([True] * 3 + [False] * 3)[:, None]
    assert_allclose(
        bridged(features, torch.ones_like(is_known), 1)[..., 0],
        [[1.0, 1.0, 2.0, 3.0, 4.0, 4.0], [0.0] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]],
        atol=1e-6,
    )
    assert_allclose(bridged(features, is_known, 1)[:, :3, 0], [[1.0] * 3, [0.0] * 3, [1.0, 2.0, 3.0]], atol=1e-6)


def test_a_day_of_the_week_that_is_never_known_is_filled_from_the_others():
    features = torch.full((1, 28, 1), 100.0)
    features[0, 5::7] = features[0, 6::7] = torch.nan
    assert_allclose(bridged(features, torch.ones(28, 1, dtype=torch.bool), 7), torch.full((1, 28, 1), 100.0))


@pytest.mark.parametrize("calendar", [None, "auto"])
def test_covariates_before_a_series_are_those_of_its_first_row_in_forecasts_too(calendar):
    y, X = driven()
    model = RidgeForecaster(horizon=6, lookback=24, calendar=calendar).fit(X, y)
    network = model.members_[0].model.network
    sample, *_ = model.members_[0].model._sample(model.panel_, np.array([0]), np.array([8]))
    features = network.normalise(next(sample.batches(1))).features[0]
    assert_allclose(features[:16], features[16:17].expand(16, -1))
    assert features[16].abs().max() > 0


def test_a_covariate_with_gaps_in_fit_does_as_well_as_without():
    y, X = driven()
    X = X + np.linspace(0, 40, len(X))[:, None]
    y = y + 2 * X["a"]
    gappy = X.copy()
    gappy.loc[MONTHS[np.random.default_rng(0).permutation(115)[:6]], "a"] = np.nan
    error = [
        np.abs(RidgeForecaster(horizon=6).fit(x[:126], y[:126]).forecast(X=x[126:132]) - y[126:132]).mean()
        for x in (X, gappy)
    ]
    assert error[1] < 2 * error[0]


def test_what_an_effect_was_before_the_first_origin_is_no_measure_of_it():
    y, X = driven()
    X.loc[MONTHS[2], "a"] = 30.0
    effects = RidgeForecaster(horizon=6).fit(X[:126], y[:126]).local_.effects
    at_that = X.iloc[2, 0] * effects.slopes[0] / effects.features.scale[0]
    assert at_that > effects.high + (effects.high - effects.low)


def test_a_covariate_that_is_missing_ahead_goes_on_as_before():
    y, X = driven()
    X = X + np.linspace(0, 40, len(X))[:, None]  # the mean is far from the last values
    y = y + 2 * X["a"]
    model = RidgeForecaster(horizon=6).fit(X[:126], y[:126])
    gappy = X[126:132].copy()
    gappy.loc[MONTHS[129:132], "a"] = np.nan
    assert np.abs(model.forecast(X=gappy) - model.forecast(X=X[126:132])).max() < 25
