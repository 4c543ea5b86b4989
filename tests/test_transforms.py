import numpy as np
import pytest
from numpy.testing import assert_allclose

from seqcast.transforms import TRANSFORMS, fit_scaling, log_is_allowed, moves_by_factors, spread_grows

VALUES = np.array([1.0, 4.0, np.nan, 2.0, 8.0, 300.0, 100.0, 200.0])
INDPTR = np.array([0, 5, 8])
SERIES = np.repeat([0, 1], [5, 3])


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_inverse_restores_the_values(kind):
    scaling = fit_scaling(kind, VALUES, INDPTR)
    standard = scaling.apply(VALUES, SERIES)
    known = ~np.isnan(VALUES)
    assert_allclose(scaling.invert(standard, SERIES)[known], VALUES[known], rtol=1e-12)


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_each_series_has_mean_0_and_deviation_1(kind):
    standard = fit_scaling(kind, VALUES, INDPTR).apply(VALUES, SERIES)
    for i in (0, 1):
        assert_allclose(np.nanmean(standard[i == SERIES]), 0, atol=1e-12)
        assert_allclose(np.nanstd(standard[i == SERIES]), 1)


def test_log_of_zeros_moves_values_up_by_the_smallest_positive_one():
    values = np.array([0.0, 2.0, 6.0])
    scaling = fit_scaling("log", values, np.array([0, 3]))
    moved = scaling.apply(values, np.zeros(3, int)) * scaling.scale + scaling.center
    assert_allclose(moved, np.log([2.0, 4.0, 8.0]))


def test_log_is_offered_only_where_values_are_positive():
    assert log_is_allowed(np.array([1.0, 2.0, np.nan]))
    assert not log_is_allowed(np.array([-1.0, 2.0]))
    assert not log_is_allowed(np.array([0.0, 0.0, 1.0]))
    assert not log_is_allowed(np.array([5.0, 5.0]))


@pytest.mark.parametrize("kind", TRANSFORMS)
@pytest.mark.parametrize("level", [-3.0, 0.0, 1e9])
def test_constant_series_stays_finite(kind, level):
    values = np.full(5, abs(level) if kind == "log" else level)
    scaling = fit_scaling(kind, values, np.array([0, 5]))
    standard = scaling.apply(values, np.zeros(5, int))
    assert_allclose(standard, 0, atol=1e-9)
    assert_allclose(scaling.invert(standard, np.zeros(5, int)), values, atol=1e-9)


@pytest.mark.parametrize("kind", ["log", "asinh"])
def test_absurd_forecast_stays_finite(kind):
    scaling = fit_scaling(kind, VALUES, INDPTR)
    assert np.isfinite(scaling.invert(np.array([1e6, -1e6]), np.array([0, 1]))).all()


def test_small_changes_at_a_high_level_survive_float32():
    values = 1e9 + np.arange(10.0)
    standard = fit_scaling("none", values, np.array([0, 10])).apply(values, np.zeros(10, int)).astype(np.float32)
    assert_allclose(np.diff(standard), np.diff(standard)[0], rtol=1e-4)


def test_series_without_a_value_has_center_0_and_scale_1():
    scaling = fit_scaling("none", np.array([np.nan, 3.0, 5.0]), np.array([0, 1, 3]))
    assert scaling.center.tolist() == [0.0, 4.0]
    assert scaling.scale.tolist() == [1.0, 1.0]


def test_spread_that_goes_with_the_level_is_told_from_one_that_does_not():
    rng = np.random.default_rng(0)
    shocks = rng.normal(size=(10, 80))
    t = np.arange(80)
    in_proportion = [np.exp(0.04 * t + 0.1 * one) for one in shocks]
    as_roots = [(3 + 0.1 * t + 0.3 * one) ** 2 for one in shocks]
    in_sums = [10 + t + one for one in shocks]
    assert spread_grows(in_proportion, 1)
    assert not spread_grows(as_roots, 1)
    assert not spread_grows(in_sums, 1)
    assert not spread_grows([np.exp(0.1 * one) for one in shocks], 1)  # no growth


@pytest.mark.parametrize("values", [[], [5.0], [np.nan, 1.0, 2.0], [1.0] * 9, [-1.0, 2.0, 5.0, 9.0], [0.0, 1.0, 4.0]])
def test_of_too_little_no_spread_is_told(values):
    assert not spread_grows([np.array(values)], 1)
    assert not spread_grows([np.array(values)], 12)


def test_a_new_low_is_not_taken_for_half_of_the_smallest_value():
    scaling = fit_scaling("log", np.array([10.0, 20.0, 40.0]), np.array([0, 3]))
    values = np.array([40.0, 4.0, 1.0, 0.0, -1.0, np.nan])
    series = np.zeros(6, int)
    back = scaling.invert(scaling.apply(values, series), series)
    assert_allclose(back, [40.0, 4.0, 1.0, 5.0, 5.0, np.nan])


def test_a_reading_of_almost_nothing_stays_finite_and_near():
    scaling = fit_scaling("log", np.array([10.0, 20.0, 40.0]), np.array([0, 3]))
    one = np.zeros(1, int)
    assert_allclose(scaling.invert(scaling.apply(np.array([1e-12]), one), one), 0.05)


def walks(*, by_factors, seed=0, n=2000):
    steps = np.random.default_rng(seed).normal(size=n).cumsum()
    return np.exp(0.02 * steps) if by_factors else 1 + steps - steps.min()


@pytest.mark.parametrize("seed", range(5))
def test_prices_move_by_factors_and_sums_do_not(seed):
    for by_factors in (True, False):
        values = walks(by_factors=by_factors, seed=seed)
        values[100:120] = np.nan
        assert moves_by_factors(values, np.array([0, 2000])) is by_factors


def test_nothing_moves_by_factors_that_is_not_positive():
    prices = walks(by_factors=True)
    assert not moves_by_factors(np.append(prices, 0.0), np.array([0, 2001]))
    for values in (np.full(5, np.nan), np.full(5, 2.0), np.array([3.0]), np.empty(0)):
        assert not moves_by_factors(values, np.array([0, len(values)]))
