import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from seqcast import GRUForecaster, RidgeForecaster, SeasonalNaive
from seqcast.reversion import Reversion


@pytest.fixture
def random():
    return np.random.default_rng(1)


def autoregression(phi, noise):
    y = np.zeros_like(noise)
    for t in range(1, len(noise)):
        y[t] = phi * y[t - 1] + noise[t]
    return y


def days(values, **names):
    index = pd.date_range("2020-01-01", periods=len(values), freq="D")
    return pd.DataFrame(values, index=index, **names) if np.ndim(values) > 1 else pd.Series(values, index=index)


def test_sums_and_maxima_of_an_autoregression_have_the_right_spread(random):
    horizon, phi = 12, 0.8
    y = days(autoregression(phi, random.standard_normal(3000)))
    paths = RidgeForecaster(horizon=horizon, target_transform="none").fit(y).sample(4000, random_state=0).to_numpy()
    start = np.full((20_000, 1), y.iloc[-1])
    truth = [start]
    for _ in range(horizon):
        truth.append(phi * truth[-1] + random.standard_normal((20_000, 1)))
    truth = np.hstack(truth[1:])
    paths, truth = paths - paths.mean(1, keepdims=True), truth - truth.mean(0)  # about the forecast
    assert_allclose(paths.sum(0).std(), truth.sum(1).std(), rtol=0.12)
    assert_allclose(paths.max(0).mean(), truth.max(1).mean(), rtol=0.12)
    assert_allclose(paths.max(0).std(), truth.max(1).std(), rtol=0.12)


def test_a_seasonal_random_walk_keeps_its_steps_apart_and_its_seasons_tied(random):
    noise = random.standard_normal((200, 12)).cumsum(0).ravel()
    model = SeasonalNaive(horizon=24, season_length=12).fit(days(noise))
    paths = model.sample(4000, random_state=0).to_numpy()
    assert_allclose(paths.sum(0).std(), np.sqrt(12 * (1 + 4)), rtol=0.12)
    assert_allclose(np.corrcoef(paths[0], paths[12])[0, 1], 1 / np.sqrt(2), atol=0.1)
    assert abs(np.corrcoef(paths[0], paths[1])[0, 1]) < 0.12


@pytest.mark.parametrize("kind", ["wide", "panel"])
def test_series_that_move_together_do_so_in_the_paths(kind, random):
    noise = random.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 2000)
    y = days(autoregression(0.5, noise), columns=["a", "b"])
    model = RidgeForecaster(horizon=4, lookback=8).fit(y if kind == "wide" else y.T.stack())
    paths = model.sample(4000, random_state=0)
    a, b = (_one(paths, name, kind) for name in "ab")
    assert_allclose(np.corrcoef(a.sum(0), b.sum(0))[0, 1], 0.7, atol=0.08)


def _one(paths, name, kind):
    return (paths[name] if kind == "wide" else paths.loc[name]).to_numpy()


def test_paths_have_the_quantiles_of_the_forecast(random):
    y = days(autoregression(0.5, random.standard_normal(400)))
    for model in (SeasonalNaive(horizon=3), GRUForecaster(horizon=3, lookback=8, max_steps=20, loss="quantile")):
        model.fit(y)
        levels = [0.1, 0.5, 0.9]
        found = model.sample(8000, random_state=0).quantile(levels, axis=1).T
        assert_allclose(found, model.forecast(quantiles=levels), atol=0.12)


def test_paths_differ_from_each_other_and_repeat_with_the_seed(random):
    model = RidgeForecaster(horizon=3, lookback=8).fit(days(random.standard_normal(100)))
    paths = model.sample(500, random_state=3)
    assert paths.T.drop_duplicates().shape[0] == 500
    assert paths.equals(model.sample(500, random_state=3))


def test_missing_readings_leave_no_hole_in_the_paths(random):
    y = days(random.standard_normal(200))
    y[random.random(200) < 0.3] = np.nan
    assert np.isfinite(RidgeForecaster(horizon=3, lookback=8).fit(y).sample(50).to_numpy()).all()


@pytest.mark.parametrize(
    ("phi", "n_rows", "normalization"), [(0.8, 3000, "auto"), (0.5, 500, "last"), (1.0, 3000, "last")]
)
def test_a_forecast_of_one_step_writes_on_with_the_spread_of_the_process(phi, n_rows, normalization, random):
    y = days(autoregression(phi, random.standard_normal(n_rows)))
    model = RidgeForecaster(horizon=1, target_transform="none", normalization=normalization, calendar=None).fit(y)
    paths = model.sample(3000, 60, strategy="recursive", random_state=0).to_numpy()
    sizes = np.sqrt(np.cumsum(phi ** (2 * np.arange(60))))
    assert_allclose(paths.std(1)[[0, 4, 19, 59]], sizes[[0, 4, 19, 59]], rtol=0.15)
    truth = phi**2 * sizes[49] / sizes[51]  # of steps two apart
    assert_allclose(np.corrcoef(paths[49], paths[51])[0, 1], truth, atol=0.12)


@pytest.mark.parametrize(("noise", "size"), [(0.0, 0.1), (0.8, 8.0)])
def test_a_trend_is_not_led_back_to_the_mean_of_the_past(noise, size, random):
    trend = np.linspace(0, 200, 400) if noise == 0 else np.linspace(0, 5 * size / 0.6, 400)
    y = days(trend + size * autoregression(noise, random.standard_normal(400)))
    model = RidgeForecaster(horizon=1, normalization="last").fit(y)
    paths = model.sample(200, 60, strategy="recursive", random_state=0).to_numpy()
    assert paths[-1].mean() > trend[-1] - 1.5 * y.diff().std() - 2 * size


def test_recursive_paths_return_to_the_mean_of_each_series(random):
    noise = autoregression(0.8, random.standard_normal((1000, 3)))
    noise[-60:] += 8 * 0.8 ** np.arange(60)[::-1, None]  # far above at the end
    y = days(noise + np.array([0, 100, -50]), columns=["a", "b", "c"])
    model = RidgeForecaster(horizon=1, normalization="last").fit(y)
    paths = model.sample(200, 60, strategy="recursive", random_state=0)
    assert_allclose([paths[name].to_numpy()[30:].mean() for name in "abc"], y.mean(), atol=1)


def test_few_rows_say_nothing_of_reversion(random):
    y = days(random.standard_normal(16).cumsum())
    assert Reversion.fitted(RidgeForecaster(horizon=12, lookback=4).fit(y), 12) is None


def test_independent_random_walks_are_not_led_back(random):
    y = days(random.standard_normal((300, 20)).cumsum(0), columns=[f"s{i}" for i in range(20)])
    model = RidgeForecaster(horizon=1, normalization="last").fit(y)
    assert Reversion.fitted(model, 1) is None


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
def test_paths_of_a_log_stay_above_zero(strategy, random):
    y = days(np.exp(autoregression(0.9, random.standard_normal(600))))
    model = RidgeForecaster(horizon=5, target_transform="log", normalization="last").fit(y)
    horizon = 30 if strategy == "recursive" else 5
    paths = model.sample(2000, horizon, strategy=strategy, random_state=0).to_numpy()
    assert paths.min() > 0


@pytest.mark.parametrize("kind", ["wide", "panel"])
def test_recursive_paths_have_the_form_of_direct_ones(kind, random):
    y = days(random.standard_normal((100, 2)).cumsum(0), columns=["a", "b"])
    model = RidgeForecaster(horizon=3, lookback=8).fit(y if kind == "wide" else y.T.stack())
    direct, recursive = (model.sample(5, 3, strategy=s, random_state=0) for s in ("direct", "recursive"))
    assert recursive.index.equals(direct.index)
    assert recursive.columns.equals(direct.columns)
    assert np.isfinite(recursive.to_numpy()).all()


def test_an_unknown_strategy_raises():
    with pytest.raises(ValueError, match="strategy must be"):
        SeasonalNaive().fit(days(np.arange(9.0))).sample(strategy="guess")


def test_paths_written_on_for_long_stay_near_the_series():
    random, hours, days = np.random.default_rng(2), np.arange(3000) % 24, np.arange(3000) // 24
    level = 0.3 * np.cumsum(random.normal(size=days[-1] + 1)) + 2 * random.normal(size=days[-1] + 1)
    y = 10 + level[days] * (1 + np.sin(hours * np.pi / 12)) + 0.2 * random.normal(size=3000)
    y = pd.Series(y, pd.date_range("2024-01-01", periods=3000, freq="h"))
    paths = RidgeForecaster(horizon=24, lookback=48).fit(y).sample(20, 480, strategy="recursive", random_state=0)
    room = 1.16 * (y.max() - y.min())
    assert paths.to_numpy().max() <= y.max() + room
    assert paths.to_numpy().min() >= y.min() - room


def test_series_keep_their_ties_when_some_or_other_orders_are_asked_for(random):
    shock, alone = random.standard_normal((2, 300)).cumsum(1)
    y = days(np.c_[shock, shock + 0.1 * random.standard_normal(300), alone], columns=list("abc"))
    model = SeasonalNaive(horizon=2, season_length=1).fit(y)

    def correlation(paths, one, other):
        return np.corrcoef(paths[one].iloc[0], paths[other].iloc[0])[0, 1]

    for columns in (list("abc"), list("ba"), list("cba")):
        paths = model.sample(500, history=y[columns], random_state=0)
        assert correlation(paths, "a", "b") > 0.9
    assert abs(correlation(paths, "a", "c")) < 0.3
    assert correlation(model.sample(500, history=y.rename(columns={"c": "new"}), random_state=0), "a", "b") > 0.9
