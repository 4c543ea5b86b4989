import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Parallel, delayed
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_series_equal
from scipy.stats import norm
from sklearn.base import clone

import seqcast
from seqcast import GRUForecaster, LSTMForecaster, Naive, RidgeForecaster, RNNForecaster, TransformerForecaster
from seqcast.exceptions import MissingFeaturesError, MissingFeaturesWarning, ShortSeriesError
from seqcast.gains import hac_variance, mean_and_variance, n_horizons, n_unrelated
from seqcast.models._model import interpolate_levels
from seqcast.models._split import split_in_time
from seqcast.models._task import (
    Choice,
    Trial,
    _near_the_best,
    choose,
    make_task,
    patch_length_for,
)

NETWORKS = (RNNForecaster, LSTMForecaster, GRUForecaster, TransformerForecaster)
TINY = {"hidden_size": 8, "max_steps": 20, "n_members": 2, "random_state": 0}


def tiny(kind, **options):
    return kind(**options) if kind is RidgeForecaster else kind(**{**TINY, **options})


def monthly(n=120, noise=0.1, seed=0):
    t = np.arange(n)
    values = 10 + 0.02 * t + np.sin(2 * np.pi * t / 12) + noise * np.random.default_rng(seed).normal(size=n)
    return pd.Series(values, pd.date_range("2010-01-01", periods=n, freq="MS"), name="sales")


def several():
    parts = {"long": monthly(90), "short": monthly(14, seed=1) * 100, "late": monthly(40, seed=2) - 50}
    return pd.concat(parts, names=["store", "month"])


every = pytest.mark.parametrize("kind", [RidgeForecaster, *NETWORKS])
every_network = pytest.mark.parametrize("kind", NETWORKS)


# No forecast sees later values ---------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("normalization", ["mean", "mean_std", "last"])
@pytest.mark.parametrize("is_known", [True, False], ids=["known series", "unseen series"])
def test_later_values_never_change_an_earlier_forecast(kind, normalization, is_known):
    y = monthly()
    random = np.random.default_rng(0)
    X = pd.DataFrame({"ahead": random.normal(size=120), "so_far": random.normal(size=120)}, index=y.index)
    model = tiny(kind, horizon=4, normalization=normalization, past_features=("so_far",)).fit(X, y)
    other_y, other_X = y.copy(), X.copy()
    other_y.iloc[60:] = random.normal(size=60) * 1000
    other_X.iloc[60:, 1] = random.normal(size=60) * 1000
    other_X.iloc[64:, 0] = random.normal(size=56) * 1000
    forecasts = []
    for a, b in ((X, y), (other_X, other_y)):
        panel = model.schema_.read(a, b)
        panel = panel if is_known else type(panel)(**{**vars(panel), "ids": ("another",)})
        origins = np.array([0, 1, 30, 60])
        forecasts.append(model._forecast_panel(panel, np.zeros(4, int), origins, 4))
        forecasts.append(model._quantile_panel(panel, np.zeros(4, int), origins, 4, [0.1, 0.9]))
    assert_array_equal(forecasts[0], forecasts[2])
    assert_array_equal(forecasts[1], forecasts[3])


def test_training_windows_hold_nothing_of_the_validation_tail():
    model = RidgeForecaster(horizon=2).fit(several())
    split = split_in_time(model.panel_, 2, 0.1)
    task = make_task(split, Choice("none", "mean", 12), 2)
    assert split.cuts.tolist() == [81, 10, 36]
    assert task.train.windows.data[:, 1].sum() == 81 + 10 + 36
    assert task.everything.windows.data[:, 1].sum() == 90 + 14 + 40
    position = task.validation.rows + 12 - torch.from_numpy(task.validation.windows.origins)[task.tail[0]]
    assert (position >= torch.from_numpy(split.cuts)[task.tail[0]]).all()


# Little or difficult data --------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("n", [2, 3, 5, 10, 21])
def test_few_rows_with_a_covariate_are_forecast(kind, n):
    X = pd.DataFrame({"x": np.random.default_rng(0).normal(size=n)})
    model = tiny(kind, horizon=1).fit(X, pd.Series(np.arange(n, dtype=float)))
    assert np.isfinite(model.predict(X)).all()
    assert np.isfinite(model.predict(X, quantiles=[0.1, 0.9])).all(axis=None)


@every
@pytest.mark.parametrize("linear_skip", [True, False])
def test_constant_series_is_forecast_by_its_value(kind, linear_skip):
    model = tiny(kind, horizon=3) if kind is RidgeForecaster else tiny(kind, horizon=3, linear_skip=linear_skip)
    model.fit(pd.Series(np.full(60, 7.0)))
    assert_allclose(model.forecast(), 7.0, atol=1e-3)


@every
def test_half_of_the_values_may_be_missing(kind):
    y = monthly(200)
    gappy = y.mask(np.random.default_rng(0).random(200) < 0.5)
    model = tiny(kind, horizon=6).fit(gappy.iloc[:180])
    assert_allclose(model.forecast(), y.iloc[180:186], atol=1.0)


@every
def test_masked_history_gives_a_finite_forecast(kind):
    y = monthly()
    y.iloc[-70:-1] = np.nan  # the windows before the last value hold nothing
    model = tiny(kind, horizon=3, lookback=12).fit(y)
    assert np.isfinite(model.predict(y.index)).all()


@every
def test_series_of_unequal_length_and_level_share_one_model(kind):
    y = several()
    forecast = tiny(kind, horizon=4, lookback=24).fit(y).forecast()
    means = y.groupby(level=0).mean()
    for store in means.index:
        assert_allclose(forecast[store].mean(), means[store], atol=4 * y[store].std())


@every
def test_high_levels_keep_their_precision(kind):
    y = monthly(noise=0.0)
    low, high = (tiny(kind, horizon=3, target_transform="none").fit(y + level).forecast() for level in (0.0, 1e9))
    assert_allclose(high - 1e9, low, atol=0.02)


@every
def test_one_value_is_too_few(kind):
    with pytest.raises(ShortSeriesError, match="1 known value"):
        tiny(kind).fit(pd.Series([1.0, np.nan, np.nan]))


# Choices -------------------------------------------------------------------------------------------------------------


def test_log_is_chosen_where_the_season_grows_with_the_level():
    t = np.arange(156)
    values = np.exp(0.03 * t + 0.4 * np.sin(2 * np.pi * t / 12) + 0.02 * np.random.default_rng(0).normal(size=156))
    settings = {"horizon": 12, "season_length": 12, "local_smoothing": False}
    model = RidgeForecaster(**settings).fit(values[:144])
    plain = RidgeForecaster(**settings, target_transform="none").fit(values[:144])
    assert model.target_transform_ == "log"
    assert np.abs(model.forecast() - values[144:]).mean() < np.abs(plain.forecast() - values[144:]).mean()


def test_by_few_windows_no_transform_is_chosen():
    t, random = np.arange(250), np.random.default_rng(0)
    y = np.exp(1 + 0.3 * np.sin(2 * np.pi * t / 12) + 0.2 * random.normal(size=250))
    tried = [RidgeForecaster(horizon=6, season_length=12).fit(y[:n]).choices_ for n in (150, 250)]
    assert [{row["target_transform"] for row in rows} for rows in tried] == [{"none"}, {"none", "asinh", "log"}]


@pytest.mark.parametrize("n", [12, 20, 40])
def test_a_dozen_values_are_not_forecast_worse_than_by_the_last(n):
    """Transforms chosen by a few windows exploded: errors were 3.8 times those of the last value at 20 values."""
    errors = np.zeros(2)
    for seed in range(30):
        walk = 100 + np.random.default_rng(seed).normal(size=n + 4).cumsum()
        forecast = RidgeForecaster(horizon=4).fit(walk[:n]).forecast()
        errors += np.abs(walk[n:] - forecast).sum(), np.abs(walk[n:] - walk[n - 1]).sum()
    assert errors[0] < 1.2 * errors[1]


@pytest.mark.parametrize(("n", "least"), [(2, 0.3), (4, 0.6), (8, 0.7), (16, 0.7), (40, 0.7)])
def test_intervals_of_few_values_hold_them(n, least):
    held = []
    for seed in range(40):
        walk = 100 + np.random.default_rng(seed).normal(size=n + 3).cumsum()
        found = RidgeForecaster(horizon=3).fit(pd.Series(walk[:n])).forecast(interval=0.8)
        assert ((found["lower"] <= found["forecast"]) & (found["forecast"] <= found["upper"])).all()
        held.append((found["lower"] <= walk[n:]) & (walk[n:] <= found["upper"]))
    assert least < np.mean(held) < 0.97


def test_ridge_of_a_random_walk_is_about_its_last_value():
    walk = np.random.default_rng(0).normal(size=2000).cumsum()
    model = RidgeForecaster(horizon=5, lookback=20).fit(walk[:1900])
    errors = walk[1899:1995, None][:1] - model.forecast()
    assert np.abs(errors).max() < 1.0


def test_lookback_is_chosen_in_whole_seasons():
    model = RidgeForecaster(horizon=6).fit(monthly(200))
    assert model.lookback_ % 12 == 0
    assert {c["lookback"] for c in model.choices_} == {12, 24, 36, 48}


def test_of_two_seasons_the_longer_is_seen_too():
    times = pd.date_range("2024-01-01", periods=24 * 7 * 12, freq="h")
    is_weekend = times.day_of_week >= 5
    noise = 0.1 * np.random.default_rng(0).normal(size=len(times))
    y = pd.Series(np.where(is_weekend, 0.3, 1.0) * np.sin(2 * np.pi * times.hour / 24) + noise, times)
    model = RidgeForecaster(horizon=48).fit(y[:-48])
    assert model.season_length_ == 24
    assert model.lookback_ >= 168
    assert (model.forecast() - y[-48:]).abs().mean() < 0.12  # the noise alone is 0.08


@pytest.mark.parametrize(("freq", "n_weeks"), [("h", 3), ("15min", 3), ("10min", 5)])
def test_weekdays_are_seen_in_few_weeks_and_at_any_frequency(freq, n_weeks):
    day = pd.Timedelta(1, "D") // pd.Timedelta(pd.tseries.frequencies.to_offset(freq))
    times = pd.date_range("2024-01-01", periods=7 * day * n_weeks + day, freq=freq)
    peak = 8 * np.maximum(0, np.sin(2 * np.pi * (np.arange(len(times)) % day) / day - 1.5))
    noise = 0.3 * np.random.default_rng(0).normal(size=len(times))
    y = pd.Series(peak * np.where(times.day_of_week < 5, 1.0, 0.4) + noise, times)
    model = RidgeForecaster(horizon=day).fit(y[:-day])
    assert model.season_length_ == day
    assert model.lookback_ in (7 * day, 8 * day)
    assert sum(member.choice.lookback > 512 for member in model.members_) <= 1
    assert (model.forecast() - y[-day:]).abs().mean() < 0.45  # the noise is 0.24; of a season of a day, 1.7


@pytest.mark.parametrize("n_days", [26, 33, 40])
def test_some_days_alone_do_not_say_how_to_forecast_a_week(n_days):
    times = pd.date_range("2024-01-01", periods=24 * (n_days + 7), freq="h")
    random = np.random.default_rng(0)
    is_open = (times.day_of_week < 5) & (times.hour >= 8) & (times.hour < 20)
    level = np.repeat(np.exp(random.normal(0, 0.3, n_days + 7)), 24)  # of each day
    y = pd.Series(is_open * level * random.gamma(50, 1 / 50, len(times)) * (3 + np.sin(times.hour / 4)), times)
    model = RidgeForecaster(horizon=24).fit(y[: 24 * n_days])
    assert model.lookback_ >= 168
    origins = range(24 * n_days, len(y), 24)
    errors = [(y[k : k + 24] - model.forecast(history=y[:k])).abs().mean() for k in origins]
    weekly = [np.abs(y[k : k + 24].to_numpy() - y[k - 168 : k - 144].to_numpy()).mean() for k in origins]
    assert np.mean(errors) < 1.1 * np.mean(weekly)


def test_the_tail_holds_a_week_of_days_where_two_and_a_day_remain():
    def tail(n, freq="h", season_length=24, n_missing=0, tz=None):
        y = pd.Series(np.sin(np.arange(n)), pd.date_range("2024-01-01", periods=n, freq=freq, tz=tz))
        y[n - n_missing :] = np.nan
        split = split_in_time(Naive(season_length=1).fit(y).panel_, 24, 0.1, season_length)
        return int((split.ends - split.cuts)[0])

    assert [tail(n) for n in (527, 528, 960)] == [53, 170, 170]
    assert tail(540, n_missing=24) == 52  # what is known counts
    assert tail(3 * 672 + 96, "15min", 96) == 674
    assert tail(600, tz="Europe/Berlin") == 170
    assert [tail(600, "30min"), tail(600, "MS"), tail(600, season_length=12)] == [60] * 3  # 24 steps are no day
    panel = Naive(season_length=1).fit(np.sin(np.arange(600))).panel_
    assert split_in_time(panel, 24, 0.1, 24).cuts[0] == 540  # no dates, no weekdays


def test_a_long_lookback_that_is_given_keeps_its_members():
    y = np.exp(np.random.default_rng(1).normal(size=3000) / 10)
    choices = [
        len(RidgeForecaster(horizon=4, season_length=1, lookback=n, local_smoothing=False).fit(y).members_)
        for n in (500, 520)
    ]
    assert choices[0] == choices[1] > 1


@pytest.mark.parametrize("seed", range(3))
def test_a_season_is_not_forgotten_for_a_shift_of_level(seed):
    t = np.arange(407)
    noise = 2 * np.random.default_rng(seed).normal(size=len(t))
    y = pd.Series(50 + 20 * (t >= 340) + 5 * np.sin(2 * np.pi * t / 7) + noise, pd.date_range("2024", periods=407))
    model = RidgeForecaster(horizon=7).fit(y[:-7])
    assert model.penalty_ < np.inf
    assert model.forecast().std() > 2


def test_intervals_of_series_that_grow_grow_with_them():
    held = []
    for seed in range(12):
        walk = 0.03 * np.random.default_rng(seed).normal(size=64).cumsum()
        y = pd.Series(np.exp(0.06 * np.arange(64) + walk), pd.period_range("1930", periods=64, freq="Y"))
        model = RidgeForecaster(horizon=4).fit(y[:-4])
        assert model.target_transform_ == "log"
        bounds = model.forecast(interval=0.8)
        held.append((y[-4:] >= bounds["lower"]) & (y[-4:] <= bounds["upper"]))
    assert np.mean(held) > 0.6  # 80 % is promised; without logarithms it was 45 %


def test_members_differ_in_what_was_chosen_and_are_shown():
    t = np.arange(200)
    noise = np.random.default_rng(0).normal(size=200)
    y = np.exp(1 + 0.3 * np.sin(2 * np.pi * t / 12) + 0.2 * noise)
    model = tiny(GRUForecaster, horizon=6, season_length=12, n_members=3, local_smoothing=False).fit(y)
    assert len({m.choice for m in model.members_}) > 1
    assert model.members_[0].choice == RidgeForecaster(horizon=6, season_length=12).fit(y).members_[0].choice
    forecasts = [m.model.forecast(model.panel_, np.zeros(1, int), np.array([200]))[0] for m in model.members_]
    assert_allclose(model.forecast(), np.mean(forecasts, axis=0))
    page = model._repr_html_()
    assert "share of the correction" in page
    assert all(f"{choice['error']:.4g}" in page for choice in model.choices_)
    assert "share of the correction" not in GRUForecaster()._repr_html_()


def trial(errors, penalty=1.0):
    n = len(errors)
    return Trial(np.reshape(errors, (n, 1)).astype(float), penalty, np.zeros(n, int), np.arange(n))


def test_a_ridge_is_the_mean_of_different_choices():
    random = np.random.default_rng(0)
    y = np.exp(1 + 0.3 * np.sin(2 * np.pi * np.arange(300) / 12) + 0.2 * random.normal(size=300))
    model = RidgeForecaster(horizon=6, season_length=12, local_smoothing=False).fit(y)
    one = RidgeForecaster(horizon=6, season_length=12, n_members=1, local_smoothing=False).fit(y)
    assert len(model.members_) == len({m.choice for m in model.members_}) == 3
    assert [m.choice for m in one.members_] == [m.choice for m in model.members_[:1]]
    assert len({m.choice.normalization for m in model.members_}) == 1
    forecasts = [m.model.forecast(model.panel_, np.zeros(1, int), np.array([300]))[0] for m in model.members_]
    assert_allclose(model.forecast(), np.mean(forecasts, axis=0))
    assert_allclose(one.forecast(), forecasts[0])


def test_members_are_made_of_choices_hardly_worse_than_the_best():
    random = np.random.default_rng(0)
    base = 1 + 0.1 * random.random(200)
    excess = {"best": 0.0, "near": 0.015, "equal": 0.004, "worse": 0.03, "hopeless": 0.2}
    trials = {Choice(name, "mean", 12): trial(base + extra) for name, extra in excess.items()}
    noise = random.exponential(size=200)  # 2.5 % worse, but who knows
    trials[Choice("unknown", "mean", 12)] = trial(1.025 * base.mean() * noise / noise.mean())
    names = [choice.target_transform for choice in _near_the_best(trials)]
    assert names == ["best", "equal", "near", "unknown"]


def test_the_last_value_gives_way_only_to_a_clear_gain():
    random = np.random.default_rng(0)
    base, last = 1 + 0.1 * random.random(200), Choice("none", "last", 12, penalty=np.inf)
    for gain, noise, is_last in ((0.005, 0.0, True), (0.03, 0.0, False), (0.03, 1.0, True), (0.3, 3.0, False)):
        factor = random.lognormal(sigma=noise, size=200)
        naive = trial((base + gain) * factor / factor.mean(), np.inf)
        found = _near_the_best({Choice("none", "mean", 12): trial(base), last: naive})[0]
        assert (found == last) == is_last, (gain, noise)


def test_many_unrelated_series_say_more_than_one():
    random, last, ridge = (
        np.random.default_rng(0),
        Choice("none", "last", 12, penalty=np.inf),
        Choice("none", "mean", 12),
    )
    series, times = np.divmod(np.arange(7200), 72)  # six horizons of each
    own, shared = random.normal(size=(7200, 12)), random.normal(size=(72, 12))[times]
    for errors, n_alone, is_last in ((own, 100, False), (shared, 1, True)):
        trials = {last: Trial(1.05 * errors[::-1], np.inf, series, times), ridge: Trial(errors, 1.0, series, times)}
        assert_allclose(n_unrelated(errors, times), n_alone, rtol=0.3)
        assert (_near_the_best(trials)[0] == last) == is_last


def test_thinned_origins_count_for_the_steps_between_them():
    errors, series = np.random.default_rng(0).normal(size=(240, 12)), np.zeros(240, int)
    assert n_horizons(errors, np.arange(240)) == 20
    assert n_horizons(errors[::4], np.arange(0, 240, 4)) == 20
    shared = np.repeat(errors[::12], 12, 0)  # the errors of a horizon hang together
    (_, every), (_, fourth) = (
        mean_and_variance(shared[::k], np.ones_like(shared[::k]), series[::k], np.arange(0, 240, k)) for k in (1, 4)
    )
    assert_allclose(every, fourth, rtol=0.2)


def test_a_last_value_is_judged_by_five_horizons_or_not_at_all():
    naive, ridge = Choice("none", "last", 12, penalty=np.inf), Choice("none", "mean", 12)
    errors = np.random.default_rng(0).normal(size=(72, 12))
    for n, is_last in ((72, True), (36, False)):
        at = np.zeros(n, int), np.arange(n)
        trials = {ridge: Trial(errors[:n], 1.0, *at), naive: Trial(1.005 * errors[:n], np.inf, *at)}
        assert (_near_the_best(trials)[0] == naive) == is_last


def test_a_simple_transform_is_kept_where_few_horizons_say_otherwise():
    plain, log = Choice("none", "mean", 12), Choice("log", "mean", 12)
    for n, is_careful, is_plain in ((24, False, False), (24, True, True), (2400, True, False)):
        noise, at = np.random.default_rng(0).normal(size=(n, 12)), (np.zeros(n, int), np.arange(n))
        errors = np.resize([1.0, -1.0], (n, 12))
        trials = {plain: Trial(errors * (1.05 + 0.2 * noise), 1.0, *at), log: Trial(errors, 1.0, *at)}
        assert (_near_the_best(trials, is_careful=is_careful)[0] == plain) == is_plain, (n, is_careful)


def test_series_are_at_most_as_many_as_they_are():
    errors = np.random.default_rng(0).normal(size=(3, 12))
    assert n_unrelated(np.concatenate([errors, -errors]), np.arange(6) % 3) == 2


@pytest.mark.parametrize("gap", [slice(210, 262), slice(0, 215), slice(20, 226)])
def test_a_stretch_without_values_judges_nothing(gap):
    y = np.sin(2 * np.pi * np.arange(300) / 12) + np.random.default_rng(0).normal(0, 0.1, 300)
    y[gap] = np.nan
    model = RidgeForecaster(horizon=12, season_length=12).fit(y)
    assert_allclose(model.forecast(), np.sin(2 * np.pi * np.arange(12) / 12), atol=0.5)


def test_of_random_walks_the_last_value_is_chosen():
    walks = np.random.default_rng(0).normal(size=(5, 1500)).cumsum(1)
    models = [RidgeForecaster(horizon=12, season_length=5).fit(walk) for walk in walks]
    is_last = [model.penalty_ == np.inf for model in models]
    assert sum(is_last) >= 4
    k = is_last.index(True)
    assert_allclose(models[k].forecast(), walks[k, -1], rtol=1e-6)
    assert models[k].members_[0].choice.penalty == np.inf  # with which a warm start begins


def test_a_history_from_before_a_change_is_left_out():
    random = np.random.default_rng(0)
    t, noise = np.arange(6000), random.normal(size=6000)
    season = np.where(t < 4000, np.sin(2 * np.pi * t / 24), np.abs(np.sin(2 * np.pi * t / 24)) + np.cos(t / 3))
    settings = {"lookback": 48, "normalization": "mean", "target_transform": "none", "season_length": 24}
    changed = RidgeForecaster(horizon=12, **settings).fit(season + 0.1 * noise)
    steady = RidgeForecaster(horizon=12, **settings).fit(season[4000:] + 0.1 * noise[4000:])
    assert 1000 < changed.training_length_ < 3000
    assert steady.training_length_ is None


def test_neighbours_among_the_choices_differ_in_all_that_differs():
    model = tiny(GRUForecaster, horizon=6, n_members=1).fit(np.exp(monthly(300, noise=0.3)))
    split = split_in_time(model.panel_, 18, 0.1)
    wanted = {"target_transform": "auto", "normalization": "auto", "lookback": "auto"}
    choices, _ = choose(split, (), horizon=6, season_length=12, wanted=wanted)
    ways = [(c.target_transform, c.normalization) for c in choices]
    n_ways = len(set(ways))
    assert len(set(choices)) == len(choices) == n_ways * len({c.lookback for c in choices})
    assert len(set(ways[:n_ways])) == n_ways


@pytest.mark.parametrize(("n", "steps"), [(100, 200), (400, 800), (5000, 3200)])
def test_few_windows_take_few_steps(n, steps):
    assert GRUForecaster()._training_options({"levels": ()}, n).max_steps == steps


def test_nothing_is_tried_where_nothing_is_to_be_chosen():
    model = RidgeForecaster(horizon=3, lookback=12, normalization="last", target_transform="none").fit(monthly())
    assert model.choices_ == []


@pytest.mark.parametrize(
    ("lookback", "season", "expected"), [(168, 24, 24), (24, 12, 6), (104, 52, 13), (28, 7, 7), (3, 1, 1), (64, 1, 8)]
)
def test_patches_are_parts_of_a_season(lookback, season, expected):
    assert patch_length_for(lookback, season) == expected


def test_log_of_negative_values_raises():
    with pytest.raises(ValueError, match="at least 0"):
        RidgeForecaster(target_transform="log").fit(np.array([1.0, -2.0, 3.0]))


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="multiple of n_heads"):
        TransformerForecaster(hidden_size=10, n_heads=4).fit(monthly())


def test_absent_device_raises():
    with pytest.raises(ValueError, match="device='toaster'"):
        GRUForecaster(device="toaster").fit(monthly())


# Randomness, state, further training ---------------------------------------------------------------------------------


@every_network
def test_generators_and_threads_of_the_user_stay_as_they_are(kind):
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.get_num_threads()
    tiny(kind, horizon=2, dropout=0.2, random_state=None).fit(monthly()).forecast()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert_array_equal(np.random.get_state()[1], before[1])
    assert torch.get_num_threads() == before[2]


@every_network
@pytest.mark.parametrize("options", [{}, {"n_layers": 2, "patch_length": 1}, {"loss": "quantile"}])
def test_same_seed_same_forecast_and_another_another(kind, options):
    first, again, other = (
        tiny(kind, horizon=3, dropout=0.2, **{"linear_skip": False, **options, "random_state": seed})
        .fit(monthly())
        .forecast()
        for seed in (0, 0, 1)
    )
    assert_series_equal(first, again)
    assert not np.allclose(first, other, rtol=1e-9)


@every
@pytest.mark.parametrize("loss", ["huber", "quantile"])
def test_saved_pickled_and_parallel_forecasts_are_equal_bit_for_bit(kind, loss, tmp_path):
    y = monthly()
    model = tiny(kind, horizon=3) if kind is RidgeForecaster else tiny(kind, horizon=3, loss=loss)
    expected = model.fit(y).forecast(quantiles=[0.1, 0.5, 0.9])
    model.save(tmp_path / "model")
    model.set_params(horizon=9) if kind is RidgeForecaster else model.set_params(hidden_size=16)  # after fit: no effect
    for copy in (seqcast.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert_array_equal(copy.forecast(3, quantiles=[0.1, 0.5, 0.9]), expected)
    copies = Parallel(n_jobs=2, prefer="threads")(delayed(clone(tiny(kind, horizon=3)).fit)(y) for _ in range(2))
    assert_array_equal(*(c.forecast() for c in copies))


@every_network
def test_partial_fit_takes_in_rows_and_trains_on(kind):
    y = monthly()
    model = tiny(kind, horizon=3, linear_skip=False).partial_fit(y.iloc[:100])
    before = model.forecast(history=y)
    model.partial_fit(y.iloc[100:])
    assert len(model.panel_.values) == 120
    assert model.history_["step"][-1] == 20
    assert not np.allclose(model.forecast(), before)


@every_network
def test_warm_start_begins_at_the_last_weights(kind):
    y = monthly()
    model = tiny(kind, horizon=3, linear_skip=False, early_stopping=False, refit_tail=False, warm_start=True)
    losses = [model.fit(y).history_["train_loss"][0] for _ in range(3)]
    assert losses[2] < losses[0]


# Quality -------------------------------------------------------------------------------------------------------------


@every_network
@pytest.mark.parametrize("loss", ["huber", "mse", "mae", "quantile"])
def test_networks_alone_learn_a_season(kind, loss):
    y = monthly(400, noise=0.05) - 0.02 * np.arange(400)
    model = kind(
        horizon=6,
        linear_skip=False,
        patch_length=4,
        lookback=24,
        hidden_size=16,
        loss=loss,
        learning_rate=0.01,
        max_steps=100,
        batch_size=64,
        dropout=0.0,
        n_members=1,
        random_state=0,
    ).fit(y.iloc[:390])
    assert np.abs(model.forecast() - y.iloc[390:396]).mean() < 0.3


def test_correction_is_kept_where_the_future_is_not_linear():
    """The logistic map is chaos to a line, and a parabola to a network."""
    x = np.empty(1500)
    x[0] = 0.3
    for k in range(1499):
        x[k + 1] = 3.9 * x[k] * (1 - x[k])
    options = {"lookback": 4, "normalization": "mean", "target_transform": "none"}
    ridge = RidgeForecaster(**options).fit(x[:1400])
    network = GRUForecaster(**options, patch_length=1, max_steps=400, learning_rate=0.01, random_state=0).fit(x[:1400])
    assert network.shrinkage_ > 0.9
    truth, origins, zeros = x[1400:], np.arange(1400, 1500), np.zeros(100, int)
    panel = network.schema_.read(x)
    errors = [np.abs(m._forecast_panel(panel, zeros, origins, 1)[:, 0] - truth).mean() for m in (ridge, network)]
    assert errors[1] < 0.3 * errors[0]


def test_correction_does_no_harm_where_there_is_nothing_to_learn():
    noise = np.random.default_rng(0).normal(size=1600)
    options = {"horizon": 2, "lookback": 8, "normalization": "mean", "target_transform": "none"}
    models = RidgeForecaster(**options), LSTMForecaster(**options, max_steps=400, random_state=0)
    origins, zeros = np.arange(600, 1598), np.zeros(998, int)
    errors = []
    for model in models:
        model.fit(noise[:600])
        forecasts = model._forecast_panel(model.schema_.read(noise), zeros, origins, 2)
        errors.append(np.mean((forecasts[:, 0] - noise[600:1598]) ** 2))
    assert errors[1] < 1.02 * errors[0]


@pytest.mark.parametrize("loss", ["huber", "quantile"])
def test_quantiles_cover_what_they_say(loss):
    noise = np.random.default_rng(0).normal(size=2500)
    model = GRUForecaster(horizon=1, lookback=8, loss=loss, max_steps=150, random_state=0).fit(noise[:1500])
    panel = model.schema_.read(noise)
    origins = np.arange(1500, 2500)
    found = model._quantile_panel(panel, np.zeros(1000, int), origins, 1, [0.1, 0.5, 0.9])[:, 0]
    share = (noise[1500:, None] < found).mean(0)
    assert_allclose(share, [0.1, 0.5, 0.9], atol=0.06)


@every_network
def test_quantiles_of_few_windows_are_those_of_errors_about_the_median(kind, tmp_path):
    few, many = (tiny(kind, horizon=6, lookback=12).fit(monthly(n)) for n in (90, 300))
    assert all(member.model.spread is not None for member in few.members_)
    assert all(member.model.spread is None for member in many.members_)
    levels = [0.005, 0.1, 0.5, 0.9, 0.995]
    found = few.forecast(quantiles=levels)
    assert_allclose(found[0.5], few.forecast())
    assert (np.diff(found, axis=1) > 0).all()
    assert (found[0.995] - found[0.005] > 1.2 * (found[0.9] - found[0.1])).all()
    few.save(tmp_path / "model")
    assert_array_equal(seqcast.load(tmp_path / "model").forecast(quantiles=levels), found)
    extremes = tiny(kind, horizon=6, lookback=12, quantiles=(0.1, 0.9)).fit(monthly(90))  # no median to be about
    assert extremes.members_[0].model.spread is None
    few.partial_fit(monthly(300).iloc[90:])
    assert all(member.model.spread is None for member in few.members_)
    assert_allclose(few.forecast(quantiles=[0.5])[0.5], few.forecast())


def test_a_covariate_that_tells_calm_from_wild_is_believed_of_few_windows():
    random, index = np.random.default_rng(0), pd.date_range("2024-01-01", periods=153)
    X = pd.DataFrame({"wild": random.integers(0, 2, 153)}, index)
    y = pd.Series(10 + random.normal(size=153) * np.where(X["wild"] > 0, 5, 0.5), index, name="y")
    model = GRUForecaster(horizon=3, lookback=7, hidden_size=8, max_steps=300, n_members=1, random_state=0)
    model.fit(X[:150], y[:150])
    calm, wild = (model.forecast(X=X[150:].assign(wild=w), quantiles=[0.1, 0.9]) for w in (0, 1))
    assert (wild[0.9] - wild[0.1] > 1.5 * (calm[0.9] - calm[0.1])).all()


def with_past_covariate():
    """Today is what the covariate was yesterday."""
    index = pd.date_range("2024-01-01", periods=140)
    X = pd.DataFrame({"x": np.random.default_rng(0).normal(size=140)}, index)
    return X, (10 + 2 * X["x"].shift(fill_value=0)).rename("y")


def test_what_is_given_as_unknown_is_not_filled_from_fit():
    X, y = with_past_covariate()
    model = RidgeForecaster(horizon=1, lookback=7, past_features=("x",)).fit(X[:120], y[:120])
    late = X[:50].assign(x=lambda X: X["x"].where(X.index < X.index[-1]))
    before = model.forecast(X=late, history=y[:50])
    model.panel_.features[49] = 50.0
    assert_series_equal(model.forecast(X=late, history=y[:50]), before)
    assert model.forecast(history=y[:50]).iloc[0] > 50


def test_histories_of_fit_need_no_covariates_others_do():
    X, y = with_past_covariate()
    both = pd.concat({"a": y[:120], "b": 2 * y[20:120]}, names=["series", "time"])
    covariates = pd.concat({"a": X[:120], "b": X[20:120]}, names=["series", "time"])
    options = {"horizon": 1, "lookback": 7}
    model = RidgeForecaster(**options, past_features=("x",)).fit(covariates, both)
    early = both[both.index.get_level_values(1) < "2024-03-01"]
    expected = model.forecast(X=covariates.loc[early.index], history=early)
    assert_series_equal(model.forecast(history=early), expected)
    assert_allclose(expected, [y["2024-03-01"], 2 * y["2024-03-01"]], rtol=0.02)
    wide = pd.DataFrame({"a": y[:120], "b": 2 * y[:120]})
    model = RidgeForecaster(**options, past_features=("x",)).fit(X[:120], wide)
    assert_allclose(model.forecast(history=wide[:60]), model.forecast(X=X[:60], history=wide[:60]))
    with pytest.warns(MissingFeaturesWarning, match="series 'a' have no covariates .2 such"):
        model.forecast(history=pd.DataFrame({"a": y, "b": 2 * y}))  # runs on past fit
    arrays = RidgeForecaster(**options, past_features=(0,)).fit(X[:120].to_numpy(), y[:120].to_numpy())
    with pytest.warns(MissingFeaturesWarning):  # which rows these are nobody knows
        arrays.forecast(history=y[60:120].to_numpy())


def test_a_lookback_much_longer_than_the_history_is_cut():
    y = monthly(60)
    assert RidgeForecaster(lookback=5000, normalization="mean", target_transform="none").fit(y).lookback_ == 512
    assert RidgeForecaster(lookback=90, normalization="mean", target_transform="none").fit(y).lookback_ == 90


def test_known_covariates_reach_the_forecast():
    random = np.random.default_rng(0)
    X = pd.DataFrame({"x": random.normal(size=300)}, index=pd.date_range("2020-01-01", periods=300))
    y = 3 * X["x"].rename("y") + 0.1 * random.normal(size=300)
    model = RidgeForecaster(horizon=5).fit(X.iloc[:280], y.iloc[:280])
    assert_allclose(model.forecast(X=X.iloc[280:285]), y.iloc[280:285], atol=1.0)


def test_levels_between_and_beyond_follow_the_normal_score():
    levels = np.array([0.1, 0.5, 0.9])
    wanted = np.array([0.01, 0.1, 0.3, 0.5, 0.95])
    assert_allclose(interpolate_levels(norm.ppf(levels), levels, wanted), norm.ppf(wanted))


def test_variance_of_a_mean_allows_for_autocorrelation():
    x = np.random.default_rng(0).normal(size=500)
    slow = x.var(ddof=0) / 500
    c = x - x.mean()
    for k in (1, 2):
        slow += 2 * (1 - k / 3) * sum(c[t] * c[t - k] for t in range(k, 500)) / 500**2
    assert_allclose(hac_variance(x, 2), max(slow, x.var(ddof=1) / 500))
    assert hac_variance(np.repeat(x, 10), 9) > 3 * hac_variance(np.repeat(x, 10), 0)


def test_every_series_of_fit_has_a_vector_and_others_have_none(tmp_path):
    y = several()
    model = tiny(GRUForecaster, horizon=3, series_embedding=True, random_state=0).fit(y)
    vectors = model.members_[0].model.network.embedding.series.weight
    assert vectors.shape[0] == 1 + 3
    assert (vectors[0] == 0).all()
    assert (vectors[1:].abs().sum(1) > 0).all()
    model.save(tmp_path / "model.seqcast")
    assert_series_equal(seqcast.load(tmp_path / "model.seqcast").forecast(), model.forecast())
    assert np.isfinite(model.forecast(history=monthly(30))).all()


@pytest.mark.parametrize("n", [10, 12])
def test_quantiles_of_very_short_series_stay_near_their_values(n):
    for seed in range(40):
        y = np.random.default_rng(seed).normal(size=n).cumsum()
        found = RidgeForecaster(horizon=2).fit(y).forecast(quantiles=[0.1, 0.9])
        assert np.abs(found - y.mean()).max() < 20 * np.ptp(y)


def test_covariates_of_other_times_are_missed_where_they_are_needed():
    index = pd.date_range("2024-01-01", periods=100, freq="D")
    X = pd.DataFrame({"x": np.arange(100) % 7.0}, index)
    model = RidgeForecaster(horizon=3).fit(X[:90], X["x"][:90].rename("y") + 1)
    for rows in (X[:90], X[80:85]):  # no step ahead
        with pytest.raises(MissingFeaturesError, match=r"2024-03-31 00:00:00, X holds rows from 2024-0.* to 2024-03"):
            model.forecast(X=rows)
    with pytest.raises(MissingFeaturesError, match="X holds rows from 2024-04-05"):
        model.forecast(X=X[95:])


def test_intervals_of_a_price_that_grew_are_in_proportion():
    """In steps they held 55 % of MSFT's next weeks, as wide as when the price was a third."""
    random = np.random.default_rng(1)
    prices = pd.Series(20 * np.exp(np.linspace(0, 1.6, 2500) + 0.012 * random.normal(size=2500).cumsum()))
    model = RidgeForecaster(horizon=5).fit(prices)
    assert model.penalty_ == np.inf
    found = model.forecast(interval=0.8)
    ratio = np.log(found["upper"] / found["lower"]).to_numpy()
    expected = 2 * 1.2816 * 0.012 * np.sqrt(np.arange(1, 6))
    assert_allclose(ratio, expected, rtol=0.25)
    assert_allclose(model.forecast(), prices.iloc[-1], rtol=1e-6)


@pytest.mark.parametrize("model", [RidgeForecaster(horizon=5), GRUForecaster(horizon=5, max_steps=2, n_members=1)])
def test_a_price_that_crashed_is_not_forecast_at_half_of_the_lowest_seen(model):
    random = np.random.default_rng(0)
    prices = pd.Series(50 * np.exp(0.01 * random.normal(size=900).cumsum()))
    model.set_params(target_transform="log").fit(prices)
    after = pd.Series(prices.iloc[-1] * np.geomspace(1, 0.05, 150), index=range(900, 1050))
    forecast = model.forecast(history=pd.concat([prices, after]))
    assert forecast.max() < 1.6 * after.iloc[-1]


def test_of_few_values_none_are_taken_for_prices():
    random = np.random.default_rng(0)
    y = pd.Series((random.gamma(2, 3, 300) + 0.1)[:8], pd.date_range("2024", periods=8))
    model = RidgeForecaster(horizon=2).fit(y)
    assert model.target_transform_ == "none"
    assert model.forecast(quantiles=[0.975]).to_numpy().max() < 50
