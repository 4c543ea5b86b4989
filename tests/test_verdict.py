import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import seqcast
from seqcast import ETS, GRUForecaster, HistoricAverage, Naive, RidgeForecaster, SeasonalNaive
from seqcast.datasets import load_dataset, make_series
from seqcast.models._split import split_in_time
from seqcast.models._tail import tail_origins
from seqcast.panel import Panel
from seqcast.rolling import known_before
from seqcast.training import TrainingOptions, is_cut_short, loss_function
from seqcast.verdict import Tail, Training, Verdict, judge

HORIZON, SEASON = 6, 12


def names(verdict):
    return [finding.name for finding in verdict.findings]


def tail_of(y, forecast, season_length=SEASON, n=120):
    """Forecasts of the last origins; `forecast` has y, origins (n, 1) and steps (horizon,) to go by."""
    origins = np.arange(len(y) - n - HORIZON, len(y) - HORIZON)
    ahead = np.arange(HORIZON)
    at = origins[:, None] + ahead
    naive = np.repeat(y[origins - 1, None], HORIZON, axis=1)
    seasonal = y[origins[:, None] - season_length + ahead]
    made = np.broadcast_to(forecast(y, origins[:, None], ahead), at.shape)
    return Tail(y[at], made, naive, seasonal, np.zeros(n, int), origins, np.ones(n))


def walk(seed=0, n=400):
    return np.cumsum(np.random.default_rng(seed).normal(size=n))


def wave(noise=0.3, n=400):
    return make_series(n, seasons=((SEASON, 1.0),), noise=noise, random_state=0).to_numpy()


def last_value(y, origin, ahead):
    return y[origin - 1]


def constant(y, origin, ahead):
    return 0.1


def true_wave(y, origin, ahead):
    return wave(0)[origin + ahead]


# The judgement, on forecasts made by hand ----------------


def test_skill_is_the_share_of_error_saved():
    y = wave()
    tail = tail_of(y, true_wave)
    verdict = judge(tail, Training(), SEASON)
    error = np.abs(tail.truth - tail.forecast).mean()
    assert_allclose(verdict.skill_naive, 1 - error / np.abs(tail.truth - tail.naive).mean())
    assert_allclose(verdict.skill_seasonal, 1 - error / np.abs(tail.truth - tail.seasonal).mean())
    assert verdict.n_origins == 120


@pytest.mark.parametrize("seed", range(3))
def test_the_margin_of_two_forecasts_as_good_as_each_other_covers_no_skill(seed):
    noise = np.random.default_rng(seed).normal(size=(2, 120, HORIZON))
    tail = replace(tail_of(wave(), true_wave), truth=np.zeros((120, HORIZON)), forecast=noise[0], naive=noise[1])
    verdict = judge(tail, Training(), 1)
    assert abs(verdict.skill_naive) < verdict.margin_naive < 0.3


def test_a_good_forecast_has_no_fault():
    verdict = judge(tail_of(wave(), true_wave), Training(novelty=1.0, loss_ratio=0.95), SEASON)
    assert verdict.findings == ()
    assert "No fault found" in str(verdict)


def test_of_a_short_tail_no_fault_is_sure():
    """A forecast three times as bad as the last season, as far as two origins can tell."""
    text = str(Verdict(0.4, 0.9, skill_seasonal=-1.8, margin_seasonal=3.0, n_origins=2))
    assert "No fault is sure" in text
    assert "No fault found" not in text
    weekly = Verdict(0.4, 0.1, skill_weekly=0.1, margin_weekly=9.0, n_origins=5)
    assert all("No fault is sure" in str(verdict) for verdict in (weekly, Verdict(n_origins=5)))
    assert str(Verdict(n_origins=0)).endswith("with this version.")


@pytest.mark.parametrize("y", [walk(), wave(0.1) + 0.01 * walk()], ids=["walk", "wave"])
def test_a_last_value_copier_is_named(y):
    verdict = judge(tail_of(y, last_value), Training(), 1)
    assert names(verdict) == ["no better than naive", "lagged copy"]
    assert "Naive" in str(verdict)


def test_a_seasonal_copier_is_named():
    verdict = judge(tail_of(wave(), lambda y, origin, ahead: y[origin - SEASON + ahead]), Training(), SEASON)
    assert names(verdict) == ["no better than seasonal naive", "lagged copy"]


def test_a_shrunken_last_value_that_is_best_is_no_fault():
    e = np.random.default_rng(0).normal(size=2000)
    y = np.zeros(2000)
    for i in range(1, 2000):
        y[i] = 0.5 * y[i - 1] + e[i]
    best = tail_of(y, lambda y, origin, ahead: 0.5 ** (ahead + 1) * y[origin - 1], n=1500)
    assert names(judge(best, Training(), 1)) == []


def test_a_constant_is_named():
    assert "flat line" in names(judge(tail_of(wave(), constant), Training(), SEASON))


def test_a_constant_is_named_with_a_horizon_of_one_step():
    tail = tail_of(wave(), constant)
    first = {name: getattr(tail, name)[:, :1] for name in ("truth", "forecast", "naive", "seasonal")}
    assert "flat line" in names(judge(replace(tail, **first), Training(), SEASON))


def test_worse_than_naive_and_no_fit_is_underfitted():
    tail = tail_of(wave(), lambda y, origin, ahead: 3 - y[origin - 1] * (ahead + 1))
    assert "underfitted" in names(judge(tail, Training(loss_ratio=1.0), SEASON))
    assert "underfitted" not in names(judge(tail, Training(loss_ratio=0.3), SEASON))


def test_missing_truth_is_left_out():
    tail = tail_of(wave(), true_wave)
    hole = np.random.default_rng(0).random(tail.truth.shape) < 0.3
    punched = judge(replace(tail, truth=np.where(hole, np.nan, tail.truth)), Training(), SEASON)
    error, base = (np.abs(tail.truth - f)[~hole].sum() for f in (tail.forecast, tail.naive))
    assert_allclose(punched.skill_naive, 1 - error / base)


def test_too_short_a_tail_accuses_nobody():
    tail = tail_of(walk(), last_value, n=2)
    assert "no better than naive" not in names(judge(replace(tail, forecast=tail.forecast + 1), Training(), 1))


def test_an_hourly_forecast_is_held_against_the_same_day_a_week_ago():
    index = pd.date_range("2024-01-01", periods=24 * 7 * 8, freq="h")
    week = np.random.default_rng(0).uniform(size=168)  # every week is the same, no two days are alike
    y = pd.Series(np.tile(week, 8), index)
    daily, weekly = (SeasonalNaive(horizon=24, season_length=n).fit(y) for n in (24, 168))
    verdict = daily.verdict()
    assert "no better than the last week" not in names(verdict)  # a week ago there was no error to compare with
    noise = np.random.default_rng(1).normal(size=len(y))
    verdict = SeasonalNaive(horizon=24).fit(y + 0.01 * noise).verdict()
    assert "no better than the last week" in names(verdict)
    assert verdict.skill_weekly < -1
    assert "last week's" in str(verdict)
    assert "same day" not in str(weekly.verdict())  # the season is the week


# The naive forecasts --------------------------------------------------------------------------------


def test_known_before_is_the_last_known_value_of_the_phase():
    y = np.array([1.0, 2, np.nan, 4, np.nan, np.nan, 7])
    panel = RidgeForecaster(lookback=1, normalization="mean").fit(y).panel_
    at = np.zeros(2, int), np.array([6, 2])
    assert isinstance(panel, Panel)
    assert_array_equal(known_before(panel, *at, 2), [[4, 4], [2, 2]])
    assert_array_equal(known_before(panel, *at, 4, 3), [[4, 2, np.nan, 4], [np.nan, 1, 2, np.nan]])


# Training --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("max_steps", "losses", "expected"),
    [
        (20, {20: 1.0}, True),
        (200, {100: 2.0, 200: 1.0}, False),
        (400, {200: 1.0, 400: 0.9}, True),
        (400, {200: 1.0, 400: 0.999}, False),
        (800, {200: 1.0, 400: 0.999}, False),
    ],
)
def test_training_is_cut_short_if_its_last_round_gained(max_steps, losses, expected):
    options = TrainingOptions(loss_function("mse"), 1e-3, 0.0, 32, max_steps, True, 1)
    history = {"step": list(losses), "validation_loss": list(losses.values())}
    assert is_cut_short(history, options) is expected


# In fit --------------------------------------------------------------------------------


def test_tail_origins_lie_in_the_tail_in_pairs():
    panel = RidgeForecaster(horizon=2, lookback=4, normalization="mean").fit(walk(n=9000)).panel_
    split = split_in_time(panel, 2, 0.1)
    series, positions = tail_origins(split, 2)
    assert len(series) <= 500
    assert positions.min() >= split.cuts[0]
    assert (np.diff(positions) == 1).sum() >= 240


@pytest.mark.parametrize("data", ["co2", "sunspots", "elnino"])
def test_the_ridge_is_good_and_the_verdict_silent(data):
    assert names(RidgeForecaster(horizon=5).fit(load_dataset(data)).verdict()) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_random_walk_is_named(seed):
    verdict = RidgeForecaster(horizon=6, lookback=12).fit(walk(seed, 1500)).verdict()
    assert "no better than naive" in names(verdict)


@pytest.mark.parametrize("name", ["IBM", "XRX"])
def test_a_price_is_named_a_copy_of_its_last_value(name):
    verdict = RidgeForecaster(horizon=12).fit(load_dataset("stocks").loc[name]).verdict()
    assert names(verdict) == ["no better than naive", "lagged copy"]


@pytest.mark.skipif("SEQCAST_DATA" not in os.environ, reason="needs the public files")
def test_exchange_rates_are_named_copies_of_their_last_value():
    y = load_dataset("exchange_rate").iloc[-2000:, :2]
    verdict = RidgeForecaster(horizon=24, lookback=48).fit(y).verdict()
    assert "no better than naive" in names(verdict)


def test_a_network_that_was_trained_enough_has_no_fault():
    y = make_series(400, seasons=((12, 1.0),), noise=0.1, random_state=0)
    model = GRUForecaster(horizon=4, season_length=12, lookback=24, hidden_size=8, n_members=1, random_state=0)
    assert names(model.fit(y).verdict()) == []


def test_a_network_too_small_and_trained_too_shortly_is_named():
    y = make_series(400, seasons=((12, 1.0),), noise=0.1, random_state=0)
    model = GRUForecaster(
        horizon=4,
        season_length=12,
        lookback=24,
        hidden_size=1,
        max_steps=20,
        linear_skip=False,
        n_members=1,
        random_state=0,
    )
    found = names(model.fit(y).verdict())
    assert {"no better than seasonal naive", "cut short", "underfitted"} <= set(found)


def test_values_never_seen_before_are_named():
    y = wave().copy()
    y[-3:] += 40
    ridge = RidgeForecaster(horizon=4, season_length=12, n_members=1)
    assert "unseen values" in names(ridge.fit(y).verdict())


def test_the_verdict_comes_before_the_tail_is_learned():
    y = wave()
    verdicts = [RidgeForecaster(horizon=4, refit_tail=refit).fit(y).verdict() for refit in (True, False)]
    assert verdicts[0] == verdicts[1]


def test_the_verdict_is_saved_and_shown(tmp_path):
    model = RidgeForecaster(horizon=12).fit(load_dataset("stocks").loc["IBM"])
    model.save(tmp_path / "ridge")
    loaded = seqcast.load(tmp_path / "ridge")
    assert loaded.verdict() == model.verdict()
    assert "of the last value&#x27;s" in loaded._repr_html_()
    del loaded.verdict_  # as a file of 0.1.0 is
    assert str(loaded.verdict()).startswith("Unknown")
    assert loaded._repr_html_()


def test_without_a_tail_the_verdict_is_unknown():
    y = pd.Series(wave())
    assert RidgeForecaster(validation_fraction=0.0).fit(y).verdict() == Verdict()


@pytest.mark.parametrize(
    ("kind", "fault"),
    [(Naive, "lagged copy"), (SeasonalNaive, "lagged copy"), (HistoricAverage, "flat line"), (ETS, None)],
)
def test_baselines_have_a_verdict_too(kind, fault):
    y = make_series(300, seasons=((12, 1.0),), noise=0.3, random_state=0)
    found = names(kind(horizon=6, season_length=12).fit(y).verdict())
    assert fault in found if fault else found == []


def test_a_history_without_a_whole_horizon_has_no_verdict():
    assert Naive(horizon=6).fit(pd.Series([1.0, 2.0, 4.0])).verdict() == Verdict()
