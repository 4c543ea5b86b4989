"""Naive forecasters: values worked by hand, and the obvious loop over origins."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from seqcast import Drift, HistoricAverage, Naive, SeasonalNaive, WindowAverage

NAN = np.nan
Z90 = 1.2815515655446004  # the 90 % quantile of the standard normal
WITH_QUANTILES = [Naive, SeasonalNaive, Drift, HistoricAverage]
ALL = [*WITH_QUANTILES, WindowAverage]


def fitted(kind, values, **options):
    options = {"horizon": 3, "season_length": 4, **options}
    return kind(**options).fit(pd.Series(values, index=pd.RangeIndex(10, 10 + len(values)), dtype=float))


def forecasts(forecaster, values, positions, horizon=3):
    values = np.asarray(values, dtype=float)
    return forecaster._forecast_series(
        forecaster.states_[0], values, np.empty((len(values), 0)), np.asarray(positions), horizon
    )


def spreads(forecaster, horizon=3):
    """Standard deviations of the forecast steps, read from the 50 % and 90 % quantiles."""
    quantiles = forecaster.forecast(horizon, quantiles=[0.5, 0.9]).to_numpy()
    return (quantiles[:, 1] - quantiles[:, 0]) / Z90


# Worked by hand -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (Naive, [1, 4, 2], [2, 2, 2]),
        (Naive, [1, 4, NAN, NAN], [4, 4, 4]),
        (SeasonalNaive, [1, 2, 3, 4, 5, 6], [3, 4, 5]),
        (SeasonalNaive, [1, 2, 3, 4, 5, 6, NAN, 8, 9], [6, 3, 8]),
        (SeasonalNaive, [1, 2], [2, 2, 1]),
        (Drift, [1, 4, 2], [2.5, 3, 3.5]),
        (Drift, [NAN, 1, NAN, 5, NAN], [9, 11, 13]),
        (Drift, [7], [7, 7, 7]),
        (HistoricAverage, [1, 4, NAN, 4], [3, 3, 3]),
        (WindowAverage, [9, 1, 4, NAN, 4, NAN], [3, 3, 3]),
        (WindowAverage, [5, NAN], [5, 5, 5]),
    ],
)
def test_forecast_equals_the_value_worked_by_hand(kind, values, expected):
    options = {"window": 3} if kind is WindowAverage else {}
    assert_allclose(fitted(kind, values, **options).forecast(), expected)


def test_naive_spread_grows_with_the_root_of_the_steps():
    sigma = np.sqrt((3**2 + 2**2 + 1**2) / 3)
    assert_allclose(spreads(fitted(Naive, [1, 4, 2, 3])), sigma * np.sqrt([1, 2, 3]))


def test_naive_spread_counts_the_steps_since_the_last_value():
    sigma = np.sqrt((3**2 + 2**2 / 2) / 2)  # the second error was made over two steps
    assert_allclose(spreads(fitted(Naive, [1, 4, NAN, 2, NAN])), sigma * np.sqrt([2, 3, 4]))


def test_seasonal_naive_spread_grows_with_each_season():
    values = [1.0, 5.0, 2.0, 8.0, 2.0, 4.0]
    sigma = np.sqrt((1 + 9 + 0 + 16) / 4)
    assert_allclose(spreads(fitted(SeasonalNaive, values, season_length=2), 5), sigma * np.sqrt([1, 1, 2, 2, 3]))


def test_drift_spread_holds_the_error_of_the_slope():
    errors = np.array([3, -2, 2]) - 1.0
    sigma = np.sqrt(np.sum(errors**2) / 2)
    steps = np.array([1, 2, 3])
    assert_allclose(spreads(fitted(Drift, [1, 4, 2, 4])), sigma * np.sqrt(steps * (1 + steps / 3)))


def test_average_spread_holds_the_error_of_the_mean():
    assert_allclose(spreads(fitted(HistoricAverage, [1, 4, NAN, 4])), np.sqrt(3) * np.sqrt(1 + 1 / 3) * np.ones(3))


# The obvious loop ---------------------------------------------------------------------------------------------------


def slowly(kind, history, horizon, season, window, mean):
    known = history[~np.isnan(history)]
    if len(known) == 0:
        return [mean] * horizon
    if kind is Naive:
        return [known[-1]] * horizon
    if kind is HistoricAverage:
        return [known.mean()] * horizon
    if kind is WindowAverage:
        return [known[-window:].mean()] * horizon
    steps = np.flatnonzero(~np.isnan(history))
    if kind is Drift:
        slope = (known[-1] - known[0]) / max(steps[-1] - steps[0], 1)
        return [known[-1] + slope * (len(history) + h - steps[-1]) for h in range(horizon)]
    out = []
    for h in range(horizon):
        same = [value for t, value in zip(steps, known, strict=True) if (t - len(history) - h) % season == 0]
        out.append(same[-1] if same else known[-1])
    return out


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("season", [1, 2, 5, 40])
def test_all_origins_at_once_equal_the_loop_over_origins(kind, season):
    rng = np.random.default_rng(season)
    values = rng.normal(100, 10, 30)
    values[rng.random(30) < 0.4] = NAN
    options = {"window": 4} if kind is WindowAverage else {}
    forecaster = fitted(kind, values, season_length=season, **options)
    positions = rng.permutation(31)
    expected = [slowly(kind, values[:p], 7, season, 4, np.nanmean(values)) for p in positions]
    assert_allclose(forecasts(forecaster, values, positions, 7), expected)


@pytest.mark.parametrize("kind", ALL)
def test_later_values_change_no_forecast(kind):
    rng = np.random.default_rng(0)
    values = rng.normal(size=20)
    forecaster = fitted(kind, values)
    changed = np.concatenate([values[:9], 1e6 * rng.normal(size=11)])
    assert_array_equal(forecasts(forecaster, values, np.arange(10)), forecasts(forecaster, changed, np.arange(10)))


# Borders ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_shortest_series_get_finite_forecasts(kind, n):
    forecaster = fitted(kind, np.arange(n) + 2.0)
    assert np.isfinite(forecaster.forecast()).all()
    assert_allclose(forecasts(forecaster, [], [0]), (n - 1) / 2 + 2.0)


@pytest.mark.parametrize("kind", WITH_QUANTILES)
def test_constant_series_has_no_spread(kind):
    assert_allclose(fitted(kind, np.full(12, 3.5)).forecast(quantiles=[0.01, 0.99]), 3.5)


@pytest.mark.parametrize("kind", WITH_QUANTILES)
def test_intervals_of_the_model_that_made_the_data_cover_what_they_promise(kind):
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(400, 33))
    paths = {
        Naive: np.cumsum(noise, axis=1),
        SeasonalNaive: np.cumsum(noise.reshape(400, 11, 3), axis=1).reshape(400, 33),
        Drift: np.cumsum(noise + 0.5, axis=1),
        HistoricAverage: noise + 7,
    }[kind]
    history = pd.DataFrame(paths[:, :30].T)
    bands = kind(horizon=3, season_length=3).fit(history).forecast(quantiles=[0.1, 0.9]).to_numpy().reshape(3, 400, 2)
    inside = (bands[..., 0] < paths[:, 30:].T) & (bands[..., 1] > paths[:, 30:].T)
    assert_allclose(inside.mean(), 0.8, atol=0.04)
