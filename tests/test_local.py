"""Local smoothing: against a slow recursion, on series of known kinds, and where it has no say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from statsmodels.tsa.forecasting.theta import ThetaModel

import seqcast
from seqcast import ETS, GRUForecaster, Naive, RidgeForecaster
from seqcast.gains import shares_of_series
from seqcast.models._local import LocalSmoothing
from seqcast.models._split import split_in_time
from seqcast.networks.smoothing import (
    decomposed,
    drift_forms,
    largest_error,
    smoothed,
    smoothing_errors,
    smoothing_forms,
)

TINY = {"max_steps": 2, "hidden_size": 8, "n_members": 1, "random_state": 0}
MONTHS = pd.period_range("2012-01", freq="M", periods=96)


def seasonal(level: float = 100.0, seed: int = 0, n: int = 96, phase: int = 0) -> np.ndarray:
    """A level that wanders a little, a season that multiplies, noise."""
    random = np.random.default_rng(seed)
    season = 1 + 0.3 * np.sin(2 * np.pi * (np.arange(n) + phase) / 12)
    return (level + random.normal(0, 0.5, n).cumsum()) * season * np.exp(random.normal(0, 0.02, n))


def panel(**series: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(series, index=MONTHS)


def slow(y, form, level, slope, profile, mean, horizon, limit):
    """The recursion step by step: squared errors of one step, forecasts from each step on."""
    to_level, to_trend, to_season, damping, left = form
    trend, profile, errors, ahead = slope * (damping > 0), list(profile), [], []
    for t in range(len(y) + 1):
        growth = np.cumsum(damping ** np.arange(1, horizon + 1))
        decay = left ** np.arange(1, horizon + 1)
        ahead.append(
            decay * level
            + (1 - decay) * mean
            + growth * trend
            + [profile[(t + h) % len(profile)] for h in range(horizon)]
        )
        if t < len(y):
            expected = left * level + (1 - left) * mean + damping * trend
            error = y[t] - expected - profile[t % len(profile)]
            errors.append(error**2)
            error = np.clip(error, -limit, limit)
            level, trend = expected + to_level * error, damping * trend + to_trend * error
            profile[t % len(profile)] += to_season * error
    return np.array(errors), np.array(ahead)


@pytest.mark.parametrize("limit", [None, 0.7])
@pytest.mark.parametrize("drifts", [False, True])
@pytest.mark.parametrize("season", [1, 5])
def test_errors_and_forecasts_are_those_of_the_slow_recursion(season, drifts, limit):
    random, lengths, horizon = np.random.default_rng(0), np.array([30, 22]), 4
    y = random.normal(size=(2, 30)).cumsum(1)
    y[1, 22:] = np.nan
    z = torch.from_numpy(y)
    forms = drift_forms(season).double()[::5] if drifts else smoothing_forms(season).double()[::37]
    start = decomposed(z, season, torch.from_numpy(lengths), drifts=drifts)
    start = start._replace(limit=limit and torch.full((2,), limit, dtype=torch.float64))
    near, far = smoothing_errors(z, season, forms[:, None], horizon, start, torch.from_numpy(lengths))
    found = smoothed(z, season, forms[:, None], horizon, start, torch.from_numpy(lengths))
    for i, n in enumerate(lengths):
        for k, form in enumerate(forms.numpy()):
            level = start.rising[i] if form[3] > 0 else start.level[i]
            states = (float(level), float(start.slope[i]), start.profile[i].tolist(), float(start.mean[i]))
            errors, ahead = slow(y[i, :n], form, *states, horizon, limit or np.inf)
            assert_allclose(near[k, i], errors.mean())
            assert_allclose(found[k, i], ahead[n])
            later = [(ahead[t, : n - t] - y[i, t : min(t + horizon, n)]) ** 2 for t in range(1, n)]
            assert_allclose(far[k, i], np.concatenate(later).mean())


def test_the_start_is_the_classical_decomposition():
    t = np.arange(48)
    z = torch.from_numpy(5 + 0.5 * t + np.tile([3.0, -1.0, -2.0, 0.0], 12))[None]
    start = decomposed(z, 4, torch.tensor([48]))
    assert_allclose(start.profile[0], [3, -1, -2, 0], atol=1e-9)
    assert_allclose([float(start.slope[0]), float(start.rising[0])], [0.5, 4.5], atol=1e-9)


def test_drift_is_half_the_slope_of_the_line_through_all_of_a_series():
    """As the Theta method of statsmodels has it, with the smoothing constant of the form."""
    random = np.random.default_rng(0)
    y = 20 + 0.4 * np.arange(60) + random.normal(0, 1.0, 60).cumsum()
    z, forms = torch.from_numpy(y)[None], drift_forms(1).double()
    start = decomposed(z, 1, torch.tensor([60]), drifts=True)
    assert_allclose(start.slope[0], np.polyfit(np.arange(60), y, 1)[0] / 2)
    found = smoothed(z, 1, forms[:, None], 5, start)[:, 0]  # (n_forms, 5)
    fitted = ThetaModel(y, deseasonalize=False).fit()
    theta = fitted.forecast(5, theta=2).to_numpy()
    nearest = np.abs(forms[:, 0].numpy() - fitted.params["alpha"]).argmin()
    assert_allclose(np.diff(found[nearest]), np.diff(theta)[1:].mean(), rtol=1e-6)
    assert_allclose(found[nearest], theta, atol=1.0)


def test_short_series_are_smoothed_with_drift_too():
    t, random = np.arange(600), np.random.default_rng(0)
    y = 10 + np.sin(2 * np.pi * t / 12) + random.normal(0, 0.1, 600).cumsum()
    short, long = (RidgeForecaster(horizon=6, season_length=12).fit(y[:n]).local_ for n in (300, 600))
    assert [local.n_methods for local in (short, long)] == [2, 1]
    drifts = np.array([kind.drifts for kind in short.kinds])
    assert_allclose(short.shares.sum(), 1, rtol=1e-3)
    assert 0.2 < short.shares[drifts].sum() < 0.8  # of a walk neither says much more than the other


def test_growth_that_turns_slowly_is_followed():
    """Employment after a recession: as far as ETS gets, not half as far as drift."""
    random = np.random.default_rng(0)
    growth = np.zeros((120, 8))
    for t in range(1, 120):
        growth[t] = 0.9 * growth[t - 1] + random.normal(0, 1.0, 8)
    index = pd.period_range("2006-01", periods=120, freq="M")
    y = pd.DataFrame(1000 + growth.cumsum(0) + random.normal(0, 0.3, growth.shape), index)
    ours, ets, naive = (
        np.abs(model.fit(y[:-6]).forecast() - y[-6:]).mean(axis=None)
        for model in (RidgeForecaster(horizon=6, season_length=1), ETS(horizon=6, season_length=1), Naive(horizon=6))
    )
    assert ours < 1.1 * ets < 0.9 * naive


@pytest.mark.parametrize("season_length", [1, 7])
def test_an_outlier_of_a_short_series_is_no_new_level(season_length):
    random = np.random.default_rng(0)
    season = np.tile(10 * random.normal(size=season_length) * (season_length > 1), 120 // season_length + 1)[:120]
    y = pd.Series(100 + season + random.normal(size=120).cumsum() / 3)
    far = y.mask(y.index == 119, 10.0)
    plain, moved = (RidgeForecaster(horizon=7, season_length=season_length).fit(x) for x in (y, far))
    at = np.array([0]), np.array([120])
    plain, moved = (m.local_.forecast(m.panel_, *at, 7)[0] for m in (plain, moved))
    assert np.abs(moved - plain).mean() < 0.06 * 90
    assert np.isfinite(RidgeForecaster(horizon=7, season_length=season_length).fit(far.round(-2)).forecast()).all()


def test_regular_jumps_of_a_short_series_are_followed():
    """Levels that hold for fifty days, and a salary each month: no outliers."""
    random, t = np.random.default_rng(0), np.arange(157)
    week = np.array([10, 50, 20, 80, 30, 90, 40.0])[t % 7]
    levels = week + np.repeat([0, 100, -50, 60], 50)[:157] + random.normal(0, 0.3, 157)
    balance = (-random.uniform(20, 100, 157) + 2100 * (t % 30 == 5)).cumsum()
    for y, season_length in ((levels, 7), (balance, 1)):
        model = RidgeForecaster(horizon=7, season_length=season_length).fit(y[:143])
        clips = np.array([kind.clips for kind in model.local_.kinds])
        assert model.local_.shares[clips].sum() < 0.05
    model = RidgeForecaster(horizon=7, season_length=7).fit(levels[:143])
    assert np.abs(model.forecast() - levels[143:150]).mean() < 5


def test_the_largest_error_is_three_deviations_of_a_step():
    steps = np.random.default_rng(0).normal(0, 2.0, (2, 4000))
    z = torch.from_numpy(steps.cumsum(1))
    z[1, ::2] = 5.0  # filled, not read
    observed = torch.ones_like(z, dtype=torch.bool)
    observed[1, ::2] = False
    still = torch.zeros(1, 4)
    limits = largest_error(z, torch.zeros(2, 1), observed)
    assert_allclose(limits[0], 6, rtol=0.05)
    assert limits[1] == torch.inf  # no two readings are neighbours
    assert largest_error(still, torch.zeros(1, 2), still == 0) == torch.inf
    seasonal = z[:1] + torch.tensor([50.0, -50.0]).repeat(2000)
    assert_allclose(largest_error(seasonal, torch.tensor([[50.0, -50.0]]), observed[:1]), limits[:1])


def test_forecasts_of_short_series_are_bounded_by_what_lies_before_the_origin():
    y = pd.Series(np.random.default_rng(0).normal(size=24).cumsum())
    local, at = RidgeForecaster(horizon=4).fit(y).local_, (np.array([0]), np.array([15]))
    found = []
    for values in (y, y.where(y.index < 15, 1e6)):  # what comes later does not matter
        panel = RidgeForecaster(horizon=4).fit(values).panel_
        found.append(local.bounded(np.array([[-1e9, y[14], 1e9]]), panel, *at)[0])
    low, high = y[:15].min(), y[:15].max()
    assert_allclose(found, [[2 * low - high, y[14], 2 * high - low]] * 2)
    late = RidgeForecaster(horizon=4).fit(pd.DataFrame({"a": y, "late": y.where(y.index > 21)}))
    assert local.bounded(np.array([[9.0, 1e9]]), late.panel_, np.array([1]), np.array([10])).tolist() == [[9.0, 1e9]]
    assert np.isfinite(late.forecast(interval=0.8)).all(axis=None)


def test_known_covariates_may_lead_far_outside_the_values():
    random = np.random.default_rng(0)
    X = pd.DataFrame({"x": np.r_[random.normal(size=120), [9.0, 12.0, 9.0, 12.0]]}, pd.RangeIndex(124))
    y = (50 + 10 * X["x"] + random.normal(size=124)).rename("y")
    model = RidgeForecaster(horizon=4).fit(X[:120], y[:120])
    assert model.local_.effects is not None
    assert model.forecast(X=X[120:]).max() > 1.05 * (2 * y[:120].max() - y[:120].min())


@pytest.mark.parametrize("drift", [0.0, 0.4])
def test_walks_are_smoothed_as_far_as_the_tail_says_so(drift):
    """Series that get the last value: steady growth shows on their tail, and walks have none."""
    years = pd.period_range("1970", periods=28, freq="Y")
    walks = (drift + np.random.default_rng(2).normal(0, 1.0, (28, 60))).cumsum(0)
    model = RidgeForecaster(horizon=4).fit(pd.DataFrame(walks[:24], years[:24]))
    assert model.members_[0].choice.penalty == np.inf
    forecast, naive = (np.abs(found - walks[24:]).mean() for found in (model.forecast().to_numpy(), walks[23]))
    if drift:
        assert 0.05 < model.local_share_.mean() < 0.3
        assert forecast < 0.99 * naive
    else:
        assert (model.local_share_ == 0).all()
        assert forecast == pytest.approx(naive, rel=1e-6)


def test_each_series_has_forms_of_its_own():
    random = np.random.default_rng(1)
    y = panel(season=seasonal(), walk=50 + random.normal(size=96).cumsum(), noise=random.normal(size=96))
    model = RidgeForecaster(horizon=12).fit(y)
    local = model.local_
    has_season = np.array([kind.season > 1 for kind in local.kinds])
    is_log = np.array([kind.is_log for kind in local.kinds])
    shares = local.shares.sum(1)  # (n_kinds, n_series)
    assert_allclose(shares.sum(0), 1, rtol=1e-3)
    assert shares[has_season, 0].sum() > 0.99
    assert shares[has_season, 1].sum() < 0.2
    assert shares[is_log, 2].sum() == 0  # not all values are positive
    to_level = (local.forms[..., 0] * local.shares).sum((0, 1))
    assert to_level[1] > 0.7
    assert to_level[2] < 0.3


def test_a_series_is_smoothed_whatever_stands_beside_it():
    y = panel(a=seasonal(), b=seasonal(10, 1, phase=6), c=seasonal(1e6, 2, phase=3))
    at = np.array([0]), np.array([90])
    together = RidgeForecaster(horizon=6).fit(y)
    alone = RidgeForecaster(horizon=6).fit(y[["b"]])
    both = [m.local_.forecast(m.panel_, np.array([k]), at[1], 6) for m, k in ((together, 1), (alone, 0))]
    assert_allclose(*both, rtol=1e-4)


def test_forecasts_are_moved_by_the_share():
    y = panel(a=seasonal(), b=seasonal(10, 1, phase=6))
    model = RidgeForecaster(horizon=6).fit(y)
    share, moved = model.local_share_, model.forecast().to_numpy()
    assert share.shape == (2,)
    assert ((share > 0) & (share < 1)).all()
    local = model.local_.forecast(model.panel_, np.arange(2), np.array([96, 96]), 6).T
    model.local_ = None
    assert_allclose(moved, (1 - share) * model.forecast().to_numpy() + share * local)


def test_shares_go_by_what_helps_each_series():
    random, n_series = np.random.default_rng(0), 40
    series, positions = np.repeat(np.arange(n_series), 2), np.tile([50, 51], n_series)
    correction = random.normal(0, 1, (2 * n_series, 12))
    right = (series % 2)[:, None]  # of every other series the correction is all that was missing
    error = right * correction + random.normal(0, 0.3, correction.shape)
    found = shares_of_series(correction, error, np.ones_like(error), series, positions, n_series + 1, 0.5)
    assert found[1:-1:2].mean() > 0.6
    assert found[:-1:2].mean() < 0.4
    assert_allclose(found[-1], 0.5)  # no tail: as all others


def test_shares_of_one_series_and_of_no_correction_are_the_common_one():
    random = np.random.default_rng(0)
    one = random.normal(0, 1, (2, 12)), random.normal(0, 1, (2, 12)), np.ones((2, 12)), np.zeros(2, int), np.arange(2)
    assert_allclose(shares_of_series(*one, 1, 0.3), [0.3], atol=1e-6)
    same = np.zeros((2, 12)), *one[1:3], np.arange(2), np.arange(2)
    assert_allclose(shares_of_series(*same, 2, 0.5), [0.5, 0.5])


def test_what_helps_no_series_gets_no_share():
    random, n_series = np.random.default_rng(0), 40
    at = np.repeat(np.arange(n_series), 2), np.tile([50, 51], n_series)
    correction = random.normal(0, 1, (2 * n_series, 12))
    error = -0.1 * correction + random.normal(0, 1, correction.shape)
    assert (shares_of_series(correction, error, np.ones_like(error), *at, n_series, 0.0) < 0.01).all()


def test_few_errors_say_little_of_a_series():
    random, n_series = np.random.default_rng(0), 400
    series, positions = np.repeat(np.arange(n_series), 4), np.tile(np.arange(4), n_series)
    correction, noise = random.normal(0, 1, (2, 4 * n_series, 1))
    found = shares_of_series(
        correction, 0.5 * correction + noise, np.ones((4 * n_series, 1)), series, positions, n_series, 0.5
    )
    assert found.std() < 0.15  # four errors are no sixteen


def test_a_series_whose_tail_is_unknown_changes_no_share():
    random = np.random.default_rng(0)
    correction, error = random.normal(0, 1, (2, 3, 12))
    known = np.ones((3, 12))
    known[2] = 0
    at = np.arange(3), np.arange(3)
    assert_allclose(shares_of_series(correction, error * known, known, *at, 3, 0.5)[2], 0.5)


def test_series_with_seasons_of_their_own_are_forecast_better():
    random = np.random.default_rng(0)
    rows = {f"s{k}": seasonal(100, k, phase=int(random.integers(12))) for k in range(12)}
    y = panel(**rows)
    errors = {}
    for smooths in (True, False):
        model = RidgeForecaster(horizon=12, local_smoothing=smooths).fit(y.iloc[:84])
        errors[smooths] = np.abs(model.forecast() - y.iloc[84:]).to_numpy().mean()
    assert errors[True] < errors[False]


@pytest.mark.parametrize("make", [RidgeForecaster, lambda **kw: GRUForecaster(**TINY, **kw)], ids=["ridge", "gru"])
def test_values_after_the_origin_change_no_forecast(make):
    y = pd.Series(seasonal(), index=MONTHS)
    model = make(horizon=6).fit(y)
    assert model.local_ is not None
    later = y.copy()
    later.iloc[90:] *= 5
    before, after = (model.forecast(history=part.iloc[:90]) for part in (y, later))
    assert_allclose(before, after)
    origins = np.array([0, 0]), np.array([80, 90])
    panels = [model.schema_.read_history(None, None, part, model.panel_)[1] for part in (y, later)]
    assert_allclose(*(model._forecast_panel(one, *origins, 6) for one in panels))


def test_quantiles_move_with_the_forecast_and_do_not_cross():
    y = pd.Series(seasonal(), index=MONTHS)
    model = GRUForecaster(horizon=6, **TINY).fit(y)
    levels = [0.05, 0.1, 0.5, 0.9]
    found = model.forecast(quantiles=levels).to_numpy()
    assert (np.diff(found, axis=1) >= 0).all()
    assert_allclose(found[:, 2], model.forecast(), rtol=1e-6)


def test_quantiles_of_a_calm_series_are_narrower_than_those_of_a_wild_one_of_its_size():
    random, n = np.random.default_rng(0), 12
    season = 100 + 30 * np.sin(2 * np.pi * np.arange(96) / 12)
    y = panel(**{f"s{k}": season + random.normal(0, (0.3, 6)[k % 2], 96) for k in range(n)})
    model = RidgeForecaster(horizon=12).fit(y.iloc[:84])
    widths = []
    for local in (model.local_, replace(model.local_, width=None)):
        model.local_ = local
        low, high = (model.forecast(quantiles=[0.1, 0.9]).xs(level, axis=1, level=-1) for level in (0.1, 0.9))
        widths.append((high - low).mean().to_numpy())
        inside = ((y.iloc[84:] >= low) & (y.iloc[84:] <= high)).to_numpy().mean()
        assert inside > 0.7
    calm, wild = (np.array(widths)[:, start::2] for start in (0, 1))
    assert calm[0].max() < 0.5 * wild[0].min()
    assert (calm[0] < 0.6 * calm[1]).all()
    assert (wild[0] > 0.7 * wild[1]).all()


def test_spreads_are_the_geometric_mean_of_both_weighted_as_the_forecasts_are():
    y = panel(a=seasonal(), b=seasonal(10, 1, phase=6))
    model = RidgeForecaster(horizon=6).fit(y)
    levels, local = [0.1, 0.5, 0.9], model.local_
    at = np.arange(2), np.array([96, 96])
    found = model._quantile_panel(model.panel_, *at, 6, levels)
    model.local_ = None
    own = model._quantile_panel(model.panel_, *at, 6, levels)
    width = (local.width[:, None, None] * np.diff(own, axis=2)) * np.ones((2, 6, 2))
    assert_allclose(np.diff(found, axis=2), width)
    model.local_ = replace(local, width=None)  # as of a file without widths
    assert_allclose(np.diff(model._quantile_panel(model.panel_, *at, 6, levels), axis=2), np.diff(own, axis=2))
    split = split_in_time(model.panel_, 6, 0.1)
    assert_array_equal(model._local_widths(replace(local, share=np.zeros(2)), split), [1, 1])
    full = model._local_widths(replace(local, share=np.ones(2)), split)
    half = model._local_widths(replace(local, share=np.full(2, 0.5)), split)
    assert_allclose(half, np.sqrt(full))


def test_one_outlier_hardly_widens_quantiles():
    random = np.random.default_rng(0)
    y = panel(**{f"s{k}": 100 + random.normal(0, 1, 96) for k in range(20)})
    wild = y.copy()
    wild.iloc[60, ::2] += 1000
    plain, widened = (RidgeForecaster(horizon=12).fit(part).local_.width[::2] for part in (y, wild))
    assert (widened < 1.3 * plain).all()


def test_a_series_without_errors_says_nothing_of_width():
    y = panel(**{f"s{k}": seasonal(100, k) for k in range(4)}, dead=np.zeros(96))
    model = RidgeForecaster(horizon=6).fit(y)
    assert model.local_share_[-1] > 0
    assert model.local_.width[-1] == 1


def test_rare_demand_is_not_smoothed():
    random = np.random.default_rng(0)
    rare, cap = random.poisson(0.2, 96).astype(float), np.minimum(seasonal(), 95.0)
    model = RidgeForecaster(horizon=6).fit(panel(usual=seasonal(), rare=rare, cap=cap))
    assert (model.local_share_ > 0).tolist() == [True, False, False]


def test_widths_count_where_a_series_is_smoothed_only():
    y = panel(a=seasonal(), b=seasonal(10, 1))
    model = RidgeForecaster(horizon=6).fit(y)
    model.local_ = replace(model.local_, width=np.full(2, 0.2))
    found = model.forecast(history=y.iloc[:2], quantiles=[0.1, 0.9])
    model.local_ = None
    pd.testing.assert_frame_equal(found, model.forecast(history=y.iloc[:2], quantiles=[0.1, 0.9]))


def test_a_series_that_was_not_there_is_left_to_the_members():
    y = panel(a=seasonal(), b=seasonal(10, 1))
    model = RidgeForecaster(horizon=6).fit(y)
    new = panel(z=seasonal(50, 7))
    found = model.forecast(history=new)
    model.local_ = None
    assert_allclose(found, model.forecast(history=new))


def test_too_short_a_history_is_left_to_the_members():
    y = pd.Series(seasonal(), index=MONTHS)
    model = RidgeForecaster(horizon=6).fit(y)
    local = model.local_.forecast(model.panel_, np.zeros(3, int), np.array([0, 3, 60]), 6)
    assert np.isnan(local[:2]).all()
    assert np.isfinite(local[2]).all()


@pytest.mark.parametrize(
    ("options", "n", "season"),
    [
        ({"local_smoothing": False}, 96, 12),
        ({"lookback": 24}, 96, 12),
        ({"calendar": "auto"}, 96, 12),
        ({}, 200, 52),
    ],
    ids=["asked not to", "lookback given", "calendar columns", "long season"],
)
def test_where_it_has_no_say(options, n, season):
    y = 10 + np.sin(2 * np.pi * np.arange(n) / season) + np.random.default_rng(0).normal(0, 0.1, n)
    y = pd.Series(y, index=pd.date_range("2000-01-01", freq="D", periods=n))
    model = RidgeForecaster(horizon=6, season_length=season, **options).fit(y)
    assert model.local_ is None
    assert model.local_share_ == 0


@pytest.mark.parametrize("options", [{"loss": "normal"}, {"linear_skip": False}], ids=["distribution", "network alone"])
def test_networks_it_has_no_say_in(options):
    model = GRUForecaster(horizon=6, **options, **TINY).fit(pd.Series(seasonal(), index=MONTHS))
    assert model.local_ is None


def driven(n=120, horizon=6):
    """A season and a covariate that moves the target by three times its step, to the end of the horizon."""
    random, times = np.random.default_rng(3), pd.period_range("2000-01", freq="M", periods=n + horizon)
    x = random.integers(0, 2, n + horizon).astype(float)
    y = 50 + 2 * np.sin(2 * np.pi * np.arange(n + horizon) / 12) + 3 * x + random.normal(0, 0.2, n + horizon)
    return pd.DataFrame({"x": x}, index=times), pd.Series(y, times)


@pytest.mark.parametrize("transform", ["none", "log", "asinh"])
def test_what_covariates_leave_is_smoothed(transform):
    X, y = driven()
    model = RidgeForecaster(horizon=6, target_transform=transform).fit(X[:120], y[:120])
    alone = replace(model.local_, effects=None)
    at = (
        model.panel_.extended(np.zeros(6, int), np.arange(120, 126), X[120:].to_numpy()),
        np.array([0]),
        np.array([120]),
    )
    found, without = (np.abs(local.forecast(*at, 6)[0] - y[120:]).mean() for local in (model.local_, alone))
    assert found < 0.4
    assert without > 3 * found
    moved = replace(model.local_, share=np.ones(1)).moved(np.zeros((1, 6)), *at)[0]
    assert_allclose(moved, model.local_.forecast(*at, 6))


def test_effects_are_taken_away_and_put_back():
    X, y = driven()
    model = RidgeForecaster(horizon=6, target_transform="none").fit(X[:120], y[:120])
    effects, panel, zero = model.local_.effects, model.panel_, np.zeros(1, int)
    scale = y[:120].std(ddof=0) / X["x"][:120].std(ddof=0)
    assert_allclose(effects.slopes * scale, 3, rtol=0.1)
    rest = effects.removed(panel, zero)
    assert_allclose(effects.added(rest.values[None, 20:40], panel, zero, np.array([20]), zero)[0], panel.values[20:40])
    assert np.std(rest.values) < np.std(panel.values)


@pytest.mark.parametrize("transform", ["none", "log", "asinh"])
@pytest.mark.parametrize("wrong", [30.0, -9999.0, np.nan])
def test_a_wrong_covariate_of_the_past_is_forgotten(transform, wrong):
    X, y = driven(160)
    model = RidgeForecaster(horizon=6, target_transform=transform).fit(X[:120], y[:120])
    X.iloc[125] = wrong
    found = model.update(X[120:160], y[120:160]).forecast(X=X[160:])
    assert_allclose(found, y[160:], atol=1.0)


def test_an_effect_goes_no_farther_than_twice_its_range():
    X, y = driven()
    model = RidgeForecaster(horizon=6, target_transform="log").fit(X[:120], y[:120])
    at = model.panel_.extended(np.zeros(6, int), np.arange(120, 126), np.full((6, 1), 1e6))
    assert model.local_.forecast(at, np.array([0]), np.array([120]), 6).max() < 1.3 * y.max()


def test_a_series_whose_covariates_are_all_missing_is_not_smoothed():
    X, y = driven()
    model = RidgeForecaster(horizon=6).fit(X[:120], y[:120])
    panel = replace(model.panel_, features=np.full_like(model.panel_.features, np.nan))
    assert np.isnan(model.local_.forecast(panel, np.array([0]), np.array([120]), 6)).all()


def test_only_what_is_known_ahead_has_an_effect():
    X, y = driven()
    model = RidgeForecaster(horizon=6, past_features=["x"]).fit(X[:120], y[:120])
    assert model.local_.effects is None


@pytest.mark.parametrize("transform", ["none", "log", "asinh"])
def test_values_from_the_origin_on_and_covariates_after_the_horizon_do_not_matter(transform):
    X, y = driven()
    model = RidgeForecaster(horizon=6, target_transform=transform).fit(X[:120], y[:120])
    values, features, later = model.panel_.values.copy(), model.panel_.features.copy(), model.panel_.features.copy()
    values[100:], features[106:], later[105:] = 1e3, 1.5, 1.5
    at = np.array([0]), np.array([100]), 6
    expected = model.local_.forecast(model.panel_, *at)
    changed = replace(model.panel_, values=values, features=features)
    assert_array_equal(model.local_.forecast(changed, *at), expected)
    assert np.any(model.local_.forecast(replace(changed, features=later), *at) != expected)  # this step is forecast


def test_a_long_series_is_smoothed_by_its_last_rows():
    y = pd.Series(seasonal(n=1600), index=pd.period_range("1880-01", freq="M", periods=1600))
    model = RidgeForecaster(horizon=6).fit(y)
    assert model.local_share_ > 0
    panel = replace(model.panel_, values=np.r_[np.full(600, 1e3), model.panel_.values[600:]])
    at = np.array([0]), np.array([1600]), 6
    assert_allclose(model.local_.forecast(panel, *at), model.local_.forecast(model.panel_, *at))


def test_a_panel_of_too_many_values_is_not_smoothed_series_by_series():
    assert LocalSmoothing.suits(np.full(4000, 5000), 24)
    assert not LocalSmoothing.suits(np.full(5000, 5000), 24)


def test_forecasts_stay_near_the_range_of_the_values():
    y = np.exp(np.arange(60) / 6.0) * np.exp(np.random.default_rng(0).normal(0, 0.01, 60))
    model = RidgeForecaster(horizon=48).fit(y)
    local = LocalSmoothing.fitted(model.panel_, np.array([60]), season_length=1, horizon=48)
    found = local.forecast(model.panel_, np.array([0]), np.array([60]), 48)
    assert found.max() <= 2 * y.max() - y.min() + 1e-3 * y.max()


@pytest.mark.filterwarnings("ignore::seqcast.exceptions.DeadStartWarning")
@pytest.mark.parametrize("values", [np.full(60, 3.0), np.zeros(60), np.r_[np.zeros(50), np.ones(10)]])
def test_constant_series_are_forecast(values):
    model = RidgeForecaster(horizon=3, season_length=12).fit(values)
    assert np.isfinite(model.forecast()).all()


def test_gaps_are_filled():
    y = pd.Series(seasonal(), index=MONTHS)
    whole = RidgeForecaster(horizon=6).fit(y)
    y.iloc[[20, 50, 51, 52]] = np.nan
    model = RidgeForecaster(horizon=6).fit(y)
    at = np.array([0]), np.array([96]), 6
    assert_allclose(model.local_.forecast(model.panel_, *at), whole.local_.forecast(whole.panel_, *at), rtol=0.05)


@pytest.mark.parametrize("step", [2, 3])
def test_a_month_that_was_never_seen_is_like_the_others(step):
    y = pd.Series(seasonal(), index=MONTHS)
    y[np.arange(96) % step != 0] = np.nan
    with_it, without = (RidgeForecaster(horizon=6, local_smoothing=on).fit(y).forecast() for on in (True, False))
    assert_allclose(with_it, without, rtol=0.35)
    assert with_it.min() > y.min() * 0.8


def test_closed_days_are_no_zeros():
    days = pd.date_range("2024-01-01", periods=140)
    y = pd.Series(100 + np.random.default_rng(0).normal(0, 3, 140), index=days).where(days.day_of_week < 5)
    assert RidgeForecaster(horizon=7).fit(y).forecast().min() > 85


def test_a_high_level_is_no_noise():
    y = pd.Series(seasonal(), index=MONTHS)
    found = [RidgeForecaster(horizon=6).fit(y + level).local_ for level in (0, 1e9)]
    panels = [RidgeForecaster(horizon=6, local_smoothing=False).fit(y + level).panel_ for level in (0, 1e9)]
    at = np.array([0]), np.array([96]), 6
    low, high = (local.forecast(panel, *at) for local, panel in zip(found, panels, strict=True))
    assert_allclose(high - 1e9, low, atol=3)


def test_a_short_series_has_the_same_forms_beside_a_long_one():
    def rows(n, seed):
        return pd.Series(seasonal(100, seed, n), index=pd.period_range("1950-01", freq="M", periods=n))

    short = {f"s{k}": rows(30, k) for k in range(3)}
    found = []
    for panel in (short, {"long": rows(600, 9), **short}):
        model = RidgeForecaster(horizon=6).fit(pd.concat(panel, names=["series", "time"]))
        local = LocalSmoothing.fitted(model.panel_, model.panel_.lengths, season_length=12, horizon=6)
        k = model.panel_.ids.index("s0")
        found.append(local.shares[:4, :, k])
    assert_allclose(found[0], found[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("joined", [False, True])
def test_a_path_is_written_on_by_the_members(joined, monkeypatch):
    monkeypatch.setattr(RidgeForecaster, "_seasonal_widths", lambda *args: None)  # which errors of both say
    y = pd.Series(seasonal(), index=MONTHS)
    paths = []
    for smooths in (True, False):
        model = RidgeForecaster(horizon=6, local_smoothing=smooths)
        model = seqcast.EnsembleForecaster([("one", model)], horizon=6) if joined else model
        paths.append(model.fit(y).sample(5, 20, strategy="recursive", random_state=0))
    pd.testing.assert_frame_equal(*paths)


def test_it_is_saved(tmp_path):
    y = panel(a=seasonal(), b=seasonal(10, 1))
    model = RidgeForecaster(horizon=6).fit(y)
    model.save(tmp_path / "model")
    again = seqcast.load(tmp_path / "model")
    assert_array_equal(again.local_share_, model.local_share_)
    pd.testing.assert_frame_equal(again.forecast(), model.forecast())
