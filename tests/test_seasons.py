"""The season of a panel: of times by their frequency, of plain integers by the values."""

import numpy as np
import pandas as pd
import pytest

import seqcast
from seqcast.seasons import season_of


def season_in(y, index=None) -> int:
    return season_of(seqcast.Naive(season_length=1).fit(pd.Series(y, index=index)).panel_)


def cycle(season: int, n: int, noise: float = 0.5, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.tile(random.normal(0, 1, season), n // season + 1)[:n] + random.normal(0, noise, n)


@pytest.mark.parametrize("season", [4, 5, 7, 12, 24, 48, 52, 60, 96, 144, 288])
@pytest.mark.parametrize("trend", [0.0, 0.05])
def test_the_season_is_found_in_values_without_times(season, trend):
    n = max(10 * season, 100)
    assert season_in(cycle(season, n) + trend * np.arange(n)) == season


@pytest.mark.parametrize("season", [12, 24, 52])
def test_a_smooth_season_is_found_too(season):
    y = 3 * np.sin(2 * np.pi * np.arange(12 * season) / season)
    assert season_in(y + np.random.default_rng(0).normal(0, 1, len(y))) == season


def test_a_day_is_the_season_of_hours_that_have_a_week_too():
    hours = np.arange(24 * 7 * 8)
    weekend = hours // 24 % 7 > 4
    y = np.sin(2 * np.pi * hours / 24) * np.where(weekend, 0.6, 1) + np.random.default_rng(0).normal(0, 0.1, len(hours))
    assert season_in(y) == 24


PROCESSES = {
    "noise": lambda random, n: random.normal(size=n),
    "heavy tails": lambda random, n: random.standard_t(2, n),
    "random walk": lambda random, n: random.normal(size=n).cumsum(),
    "twice integrated": lambda random, n: random.normal(size=n).cumsum().cumsum(),
    "rare counts": lambda random, n: random.poisson(0.3, n).astype(float),
    "exponential": lambda random, n: np.exp(5 * np.arange(n) / n) + random.normal(0, 0.1, n),
    "shift": lambda random, n: np.where(np.arange(n) < n // 2, 0.0, 5.0) + random.normal(size=n),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_hardly_a_season_is_found_where_there_is_none(name):
    random = np.random.default_rng(0)
    found = [season_in(PROCESSES[name](random, n)) > 1 for n in (30, 100, 400) for _ in range(15)]
    assert np.mean(found) < 0.1


@pytest.mark.parametrize("y", [np.arange(100.0), np.arange(60.0) ** 2, np.full(50, 3.0), np.zeros(50), np.ones(1)])
def test_no_season_in_lines_and_constants(y):
    assert season_in(y) == 1


def test_a_cycle_of_another_length_is_no_natural_season():
    assert season_in(np.sin(2 * np.pi * np.arange(330) / 11)) == 1


def test_gaps_do_not_hide_it():
    y = cycle(12, 240)
    y[np.random.default_rng(0).random(240) < 0.3] = np.nan
    y[:40] = np.nan
    assert season_in(y) == 12


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("step", [2, 5, 40])
def test_values_far_apart_say_nothing_and_warn_of_nothing(step):
    y = np.full(400, np.nan)
    y[::step] = np.random.default_rng(0).normal(size=len(y[::step]))
    assert season_in(y) == 1


def test_times_say_it_by_their_frequency():
    y = cycle(12, 240)
    assert season_in(y, pd.date_range("2020-01-01", periods=240, freq="D")) == 7
    assert season_in(y, pd.RangeIndex(0, 480, 2)) == 12


def test_a_panel_has_the_season_of_most_of_its_series():
    noise = pd.DataFrame(np.random.default_rng(0).normal(size=(120, 6)), columns=list("abcdef"))
    seasonal = pd.DataFrame({name: cycle(12, 120, 0.2, k) for k, name in enumerate("uvwxyz")})
    of = lambda y: season_of(seqcast.Naive(season_length=1).fit(y).panel_)  # noqa: E731
    assert of(seasonal) == 12
    assert of(seasonal.join(noise["a"])) == 12
    assert of(noise.join(seasonal["z"])) == 1


@pytest.mark.parametrize("make", [seqcast.SeasonalNaive, seqcast.RidgeForecaster])
def test_an_array_is_forecast_as_with_the_season_given(make):
    y = cycle(12, 120)
    found, given = (make(horizon=12, season_length=m).fit(y) for m in ("auto", 12))
    assert found.season_length_ == 12
    np.testing.assert_array_equal(found.forecast(), given.forecast())
