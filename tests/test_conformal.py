"""Conformal calibration: its mathematics, its promises, and that it never knows the future."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from checks import monthly
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeRegressor

import seqcast
from seqcast import (
    CalendarFeatures,
    ConformalForecaster,
    Drift,
    HistoricAverage,
    LagFeatures,
    Naive,
    RegressionForecaster,
    RidgeForecaster,
    SeasonalNaive,
    future_rows,
)
from seqcast.ensembles._conformal import (
    COVERAGES,
    FEWEST,
    OWN,
    Replay,
    adapted_quantiles,
    drift_p_value,
    known_mass,
    local_scales,
    series_quantiles,
    window_quantiles,
    window_scores,
)
from seqcast.evaluation import RollingOriginSplit, backtest
from seqcast.exceptions import CalibrationWarning, ShortSeriesError
from seqcast.metrics import interval_score

METHODS = ["split", "weighted", "adaptive"]


def noise(n=400, *, seed=0, spread=1.0, freq="D"):
    values = np.random.default_rng(seed).normal(size=n) * spread
    return pd.Series(values, index=pd.date_range("2020-01-01", periods=n, freq=freq), name="y")


def two_steps(method="split", **settings):
    return ConformalForecaster(HistoricAverage(), method=method, horizon=2, season_length=1, **settings)


# Quantiles of scores -------------------------------------------------------------------------------------------------


def test_quantiles_are_the_order_statistics_of_the_scores_and_the_one_to_come():
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 20.0))[:, None, None]  # 1 to 19: n + 1 = 20
    found = window_quantiles(scores, np.ones(19), np.array([0.05, 0.1, 0.12, 0.5, 0.88, 0.9, 0.95]))
    assert found.tolist() == [[1, 2, 2, 10, 18, 18, 19]]


def test_levels_beyond_the_signed_scores_come_from_the_absolute_ones():
    scores = np.array([-7.0, *range(1, 19)])[:, None, None]
    found = window_quantiles(scores, np.ones(19), np.array([0.025, 0.975]))
    assert found.tolist() == [[-18, 18]]  # ceil(20 * 0.95) = 19th of the absolute scores


def slow_quantile(scores, weights, level):
    """Vovk's definition, one score after the other."""
    if level < 0.5:
        return -slow_quantile([-s for s in scores], weights, 1 - level)
    pairs = sorted((s, w) for s, w in zip(scores, weights, strict=True) if not math.isnan(s))
    total, reached = sum(w for _, w in pairs) + 1, 0.0
    for score, weight in pairs:
        reached += weight
        if reached >= level * total - 1e-9:
            return score
    return math.nan


def test_weighted_quantiles_are_those_of_a_slow_second_implementation():
    rng = np.random.default_rng(1)
    scores = np.where(rng.random((40, 3, 2)) < 0.1, np.nan, rng.normal(size=(40, 3, 2)))
    weights, levels = 0.97 ** np.arange(40), np.array([0.1, 0.3, 0.5, 0.8, 0.9])
    found = window_quantiles(scores, weights, levels)
    for h in range(2):
        flat, weight = scores[:, :, h].ravel(), np.repeat(weights, 3)
        assert_allclose(found[h], [slow_quantile(flat.tolist(), weight.tolist(), q) for q in levels])


@settings(max_examples=60, deadline=None)
@given(
    arrays(float, (9, 2, 2), elements=st.floats(-1e6, 1e6) | st.just(math.nan)),
    st.floats(0.5, 1),
    st.lists(st.floats(0.001, 0.999), min_size=2, max_size=8),
)
def test_quantiles_of_any_scores_never_cross(scores, share, levels):
    found = window_quantiles(scores, share ** np.arange(9), np.sort(levels))
    assert not (np.diff(found, axis=-1) < 0).any()


def test_intervals_cover_exchangeable_scores_as_often_as_the_theorem_says():
    rng = np.random.default_rng(2)
    scores = rng.exponential(size=(39, 1, 4000)) - 0.5  # n = 39, skewed; 4000 trials stand where the steps do
    low, high = window_quantiles(scores, np.ones(39), np.array([0.05, 0.95])).T
    new = rng.exponential(size=4000) - 0.5
    assert abs(np.mean((low <= new) & (new <= high)) - 0.9) < 3 * 0.0047


# Scales and windows --------------------------------------------------------------------------------------------------


def test_local_scales_are_those_of_a_slow_second_implementation():
    rng = np.random.default_rng(3)
    errors = np.where(rng.random((2, 30, 3)) < 0.2, np.nan, rng.normal(size=(2, 30, 3)))
    lags, half_life, prior = np.array([1, 2, 2]), 4.0, np.array([[0.5, 1.0, 1.5], [2.0, 2.0, 3.0]])
    found = local_scales(errors, lags, half_life, prior)
    for s, t, h in np.ndindex(errors.shape):
        total = weight = 0.0
        for k in range(t - lags[h] + 1):
            if not np.isnan(errors[s, k, h]):
                w = 0.5 ** ((t - lags[h] - k) / half_life)
                total, weight = total + w * abs(errors[s, k, h]), weight + w
        fade = 0.5 ** (t / half_life)
        assert_allclose(found[s, t, h], (total + fade * prior[s, h]) / (weight + fade))


@pytest.mark.parametrize("method", METHODS)
def test_scales_begin_at_the_size_of_errors_not_of_the_steps_between_values(method):
    n_series, n = 300, 60
    steps = np.random.default_rng(5).normal(size=(n_series, n)) + 20 * np.arange(n)  # errors are a twentieth of a step
    index = pd.MultiIndex.from_product([range(n_series), range(n)], names=["series", "t"])
    panel = pd.Series(steps.ravel(), index=index)
    known, last = panel[index.get_level_values(1) < n - 1], panel[index.get_level_values(1) == n - 1]
    model = ConformalForecaster(
        RegressionForecaster(LinearRegression(), lags=5), method=method, n_calibration=5, season_length=1
    ).fit(known)
    bounds = model.forecast(interval=0.8)
    inside = (last >= bounds.iloc[:, 0]) & (last <= bounds.iloc[:, -1])
    assert 0.74 < inside.mean() < 0.87


def test_a_window_holds_the_latest_scores_that_are_known():
    scores = np.arange(20.0).reshape(1, 10, 2)  # of origin t: 2 t and 2 t + 1
    window = window_scores(scores, np.array([1, 3]), 5, 4)
    assert_allclose(window[:, 0], [[8, 5], [6, 3], [4, 1], [2, np.nan]])
    mass = known_mass(scores, np.array([1, 3]), np.array([5]), np.array([1, 0.5, 0.25, 0.125]))
    assert mass.tolist() == [[1.875, 1.75]]


# Learning ------------------------------------------------------------------------------------------------------------


def test_widths_learn_as_a_slow_second_implementation_does():
    rng = np.random.default_rng(4)
    scores = rng.normal(size=(1, 80, 2)) * np.repeat([1.0, 3.0], 40)[:, None]
    lags, rate, window = np.array([1, 2]), 0.2, 30
    found = adapted_quantiles(scores, lags, np.array([70]), np.array([0.05, 0.95]), window=window, rate=rate)[0, 0]
    for h, lag in enumerate(lags):
        theta, issued = 0.0, {}
        for t in range(71):
            if t - lag in issued:
                low, high = issued[t - lag]
                theta += rate / lag * (float(not low <= scores[0, t - lag, h] <= high) - 0.1)
            known = [[[s]] for s in scores[0, max(0, t - lag - window + 1) : max(0, t - lag + 1), h]]
            if len(known) >= FEWEST:
                low, middle, high = window_quantiles(np.array(known), np.ones(window), np.array([0.05, 0.5, 0.95]))[0]
                issued[t] = middle + (low - middle) * np.exp(theta), middle + (high - middle) * np.exp(theta)
        assert_allclose(found[h], issued[70])


@pytest.mark.parametrize(("horizon", "season", "n"), [(1, 24, 20), (2, 24, 40), (9, 24, 80), (9, 1, 20)])
def test_neighbours_that_overlap_calibrate_by_more_scores(horizon, season, n):
    model = ConformalForecaster(HistoricAverage(), method="split", horizon=horizon, season_length=season, window=20)
    model.fit(noise(24 * 30, freq="h"))
    assert model.stride_ == 1
    assert model.forecast(interval=1 - 1 / n)["upper"].notna().all()
    with pytest.raises(ShortSeriesError, match=f"has {n} by weight"):
        model.forecast(interval=1 - 1 / (n + 3))


def test_misses_of_forecasts_that_overlap_do_not_add_up():
    """A run of misses as long as the horizon is one event: intervals score as those of the window, and cover better."""
    horizon, n = 48, 3000
    steps = np.random.default_rng(0).normal(size=n + horizon)
    scores = np.convolve(steps, np.ones(horizon), "valid")[:n].reshape(1, n, 1) / np.sqrt(horizon)
    lags, origins, levels = np.array([horizon]), np.arange(600, n), np.array([0.025, 0.975])
    learned = adapted_quantiles(scores, lags, origins, levels, window=500)[:, 0, 0]
    fixed = np.array(
        [window_quantiles(window_scores(scores, lags, t, 500), np.ones(500), levels)[0] for t in origins.tolist()]
    )
    actual = scores[0, origins, 0]
    learned_score, fixed_score = (
        interval_score(actual, lower=found[:, 0], upper=found[:, 1], level=0.95) for found in (learned, fixed)
    )
    inside = [np.mean((actual >= found[:, 0]) & (actual <= found[:, 1])) for found in (learned, fixed)]
    assert learned_score < 1.1 * fixed_score
    assert abs(inside[0] - 0.95) < abs(inside[1] - 0.95)


def test_what_an_interval_learns_from_is_known_by_then():
    rng = np.random.default_rng(5)
    scores, lags, levels = rng.normal(size=(2, 90, 3)), np.array([1, 2, 3]), np.array([0.1, 0.5, 0.9])
    found = adapted_quantiles(scores, lags, np.array([60]), levels, window=40)
    changed = scores.copy()
    for h, lag in enumerate(lags):
        changed[:, 60 - lag + 1 :, h] *= 50
    assert_allclose(adapted_quantiles(changed, lags, np.array([60]), levels, window=40), found)
    changed[:, 58, 1] *= 50
    assert not np.allclose(adapted_quantiles(changed, lags, np.array([60]), levels, window=40), found)


def test_learning_goes_on_where_it_stood():
    rng = np.random.default_rng(7)
    scores, lags, levels = rng.normal(size=(2, 90, 3)), np.array([1, 2, 3]), np.array([0.1, 0.5, 0.9])
    replay = Replay()
    for last in (50, 50, 51, 70, 60):  # the last is earlier: learning begins anew
        known = np.where(np.arange(90)[:, None] + lags <= last, scores, np.nan)[:, : last + 1]
        origins = np.array([max(last - 2, 50), last])
        found = adapted_quantiles(known, lags, origins, levels, window=40, replay=replay)
        assert replay.kept[0] == last
        assert_allclose(found, adapted_quantiles(known, lags, origins, levels, window=40))
    changed = np.where(np.arange(90)[:, None] + lags <= 80, 3 * scores, np.nan)[:, :81]
    found = adapted_quantiles(changed, lags, np.array([80]), levels, window=40, replay=replay)
    assert_allclose(found, adapted_quantiles(changed, lags, np.array([80]), levels, window=40))


def test_an_update_loop_learns_what_one_update_does():
    y = noise(900)
    often, once = (ConformalForecaster(Naive(), horizon=3, season_length=1).fit(y[:700]) for _ in range(2))
    for k in range(700, 900):
        often.update(y[k : k + 1])
        if k % 7 == 0:
            often.forecast(interval=0.8)
    once.update(y[700:])
    assert_frame_equal(often.forecast(interval=0.8), once.forecast(interval=0.8))


def test_rows_of_calibration_are_kept_within_bounds():
    model = ConformalForecaster(Naive(), window=20, season_length=1).fit(noise(300))
    for k in range(20):
        model.update(noise(900)[300 + 30 * k : 330 + 30 * k])
        assert len(model.rows_[0]) <= 4 * 20 + 30
    assert np.isfinite(model.forecast(interval=0.8).to_numpy()).all()


def test_series_with_scores_enough_need_no_others():
    rng, levels = np.random.default_rng(8), np.array([0.1, 0.9])
    scores = rng.normal(size=(OWN, 3, 2)) * np.array([1.0, 10.0, 0.0])[:, None]
    found = series_quantiles(scores, np.ones(OWN), levels)
    for k in range(3):
        assert_allclose(found[k], window_quantiles(scores[:, [k]], np.ones(OWN), levels))
    scores[:, 2], scores[1, 2, 1] = -1.0, np.nan
    few = series_quantiles(scores[1:], np.ones(OWN - 1), levels)
    for k in range(3):  # the last one has no spread and is left out
        assert_allclose(few[k], window_quantiles(scores[1:, :2], np.ones(OWN - 1), levels))


def test_constant_series_do_not_narrow_the_intervals_of_others():
    y = noise(200).to_frame("a").assign(**{f"c{k}": 7.0 for k in range(4)})
    alone, among = (
        ConformalForecaster(HistoricAverage(), horizon=1, method="split").fit(frame).forecast(interval=0.8)["a"]
        for frame in (y[["a"]], y)
    )
    assert_allclose(among.eval("upper - lower"), alone.eval("upper - lower"), rtol=0.3)


def test_a_series_that_ended_early_gets_the_widths_of_the_end():
    z = noise(400)
    panel = pd.concat({"a": z, "b": z + 1, "tiny": z[100:105]}, names=["series", "time"])
    found = ConformalForecaster(RidgeForecaster(), horizon=4).fit(panel).forecast(interval=0.8)
    assert (found["upper"] > found["lower"]).all()
    model = ConformalForecaster(HistoricAverage(), horizon=1, method="split").fit(z)
    for history in (z[:50], z[:200], noise(50) * 2):  # of which two share name and first time with that of fit
        assert np.isfinite(model.forecast(history=history, interval=0.8).to_numpy()).all()


def test_quantiles_that_learn_do_not_depend_on_the_other_levels_and_never_cross():
    rng = np.random.default_rng(6)
    scores = np.where(rng.random((1, 150, 1)) < 0.3, 0.0, rng.standard_cauchy(size=(1, 150, 1)))  # many ties
    levels, origins = np.linspace(0.01, 0.99, 99), np.arange(30, 150)
    found = adapted_quantiles(scores, np.array([1]), origins, levels, window=50, rate=0.5)
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=-1) >= 0).all()
    alone = adapted_quantiles(scores, np.array([1]), origins, levels[[4]], window=50, rate=0.5)
    assert_allclose(alone, found[..., [4]])


def test_the_share_of_misses_is_kept_whatever_the_data_do():
    spread = np.repeat([1.0, 8.0, 0.3, 5.0], 300)
    scores = (np.random.default_rng(7).normal(size=1200) * spread)[None, :, None]
    origins = np.arange(100, 1200)
    low, high = adapted_quantiles(scores, np.array([1]), origins, np.array([0.05, 0.95]), window=100)[:, 0, 0].T
    missed = (scores[0, 100:, 0] < low) | (scores[0, 100:, 0] > high)
    assert abs(missed.mean() - 0.1) < 0.01
    assert COVERAGES[6] == 0.9  # the interval learns itself: it is not interpolated


# The forecaster ------------------------------------------------------------------------------------------------------


def test_the_point_forecast_is_that_of_the_forecaster():
    y = monthly()
    found = ConformalForecaster(SeasonalNaive(), horizon=3).fit(y)
    assert_allclose(found.forecast(), SeasonalNaive(horizon=3).fit(y).forecast())
    early = ConformalForecaster(HistoricAverage(), refit=False, n_calibration=20).fit(y)
    assert_allclose(early.forecaster_.panel_.values, y[:-20])


def test_the_errors_that_calibrate_are_of_what_was_not_fitted():
    y = noise(300)
    memory = ConformalForecaster(RegressionForecaster(DecisionTreeRegressor(random_state=0)), season_length=1).fit(y)
    interval = memory.forecast(interval=0.8).iloc[0]
    assert interval["upper"] - interval["lower"] > 2.0  # in-sample errors of a grown tree are 0
    in_sample = memory.forecaster_.forecast(interval=0.8).iloc[0]
    assert in_sample["upper"] - in_sample["lower"] < 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_intervals_in_a_backtest_do_not_know_the_future(method):
    y = noise(260)
    cv = RollingOriginSplit(2, n_origins=60, step=1)
    levels = [0.05, 0.5, 0.95]
    model = two_steps(method)
    found = backtest(model, y, cv=cv, quantiles=levels).forecasts
    changed = y.copy()
    changed.iloc[230:] = changed.iloc[230:] * 30 + 9
    other = backtest(model, changed, cv=cv, quantiles=levels).forecasts
    before = found["origin"] < y.index[230]
    assert_frame_equal(other.loc[before, ["forecast", *levels]], found.loc[before, ["forecast", *levels]])
    assert not np.allclose(other.loc[~before, levels], found.loc[~before, levels])


@pytest.mark.parametrize("method", METHODS)
def test_a_backtest_learns_on_the_way_as_updates_do(method):
    y = pd.DataFrame({"a": noise(200), "b": 5 * noise(200, seed=1)})
    levels = [0.1, 0.5, 0.9]
    found = backtest(two_steps(method), y, cv=RollingOriginSplit(2, n_origins=30, step=1), quantiles=levels).forecasts
    first = y.index.get_loc(found["origin"].iloc[0]) + 1
    model = two_steps(method).fit(y.iloc[:first])
    for row in range(first, 199):
        day_by_day = model.forecast(quantiles=levels)
        mine = found[found["origin"] == y.index[row - 1]].set_index(["time", "series"])[levels].unstack("series")
        assert_allclose(day_by_day.swaplevel(axis=1)[mine.columns], mine)
        model.update(y.iloc[row : row + 1])


def test_updates_bring_new_errors_and_old_ones_leave():
    y = noise(500)
    model = two_steps("split", window=40).fit(y[:300])
    before = model.forecast(interval=0.8)
    after = model.update(10 * y[300:]).forecast(interval=0.8)
    ratio = (after["upper"] - after["lower"]) / (before["upper"] - before["lower"]).to_numpy()
    assert ((ratio > 5) & (ratio < 20)).all()


def test_intervals_that_learn_keep_their_coverage_where_spread_breaks():
    y = noise(1500, spread=np.repeat([1.0, 4.0, 0.5], 500))
    found = backtest(
        {method: two_steps(method) for method in ("split", "adaptive")},
        y,
        cv=RollingOriginSplit(2, n_origins=1100, step=1),
        quantiles=[0.1, 0.9],
    ).forecasts
    inside = ((found["actual"] >= found[0.1]) & (found["actual"] <= found[0.9])).groupby(found["model"], observed=True)
    by_stretch = inside.apply(lambda one: one.rolling(400).mean().dropna().agg(["min", "max"]))
    assert (by_stretch["adaptive"] - 0.8).abs().max() < 0.07
    assert (by_stretch["split"] - 0.8).abs().max() > 0.08


def test_a_season_calibrates_each_hour_by_its_own_errors():
    hours = pd.date_range("2024-01-01", periods=24 * 200, freq="h")
    y = noise(len(hours), spread=np.where(hours.hour < 12, 1.0, 10.0)).set_axis(hours)
    model = ConformalForecaster(HistoricAverage(), method="split", horizon=24).fit(y)
    assert model.stride_ == 24
    width = model.forecast(interval=0.8).eval("upper - lower").to_numpy()
    assert_allclose(width.reshape(2, 12).mean(axis=1), [2.56, 25.6], rtol=0.25)


@pytest.mark.parametrize(("gain", "stride"), [(0.004, 24), (0.006, 1)])
def test_in_doubt_origins_a_season_apart_calibrate_one_another(monkeypatch, gain, stride):
    def chain(rows, actual, stride, *rest):
        found = make_chain(rows, actual, stride, *rest)
        return found._replace(loss=np.full(len(found.loss), 1.0 if stride > 1 else 1.0 - gain))

    make_chain = seqcast.ensembles.conformal.make_chain
    monkeypatch.setattr(seqcast.ensembles.conformal, "make_chain", chain)
    y = np.random.default_rng(0).normal(size=24 * 200)
    assert ConformalForecaster(SeasonalNaive(), horizon=2, season_length=24).fit(y).stride_ == stride


def test_own_quantiles_are_the_scale_where_they_foretell_the_errors():
    walks = {f"slope {k}": noise(100, seed=k).cumsum() + k * np.arange(100) for k in range(30)}  # steps are no errors
    model = ConformalForecaster(Drift(), season_length=1, horizon=5).fit(pd.DataFrame(walks))
    assert model.uses_quantiles_
    found = model.forecast(interval=0.8)
    width = (found.xs("upper", axis=1, level=-1) - found.xs("lower", axis=1, level=-1)).mean(axis=1)
    assert width.iloc[4] / width.iloc[0] == pytest.approx(math.sqrt(5), rel=0.35)


def test_a_series_from_elsewhere_gets_intervals_in_its_own_unit():
    model = two_steps().fit(pd.DataFrame({"a": noise(200), "b": noise(200, seed=1)}))
    other = noise(80, seed=2).rename("c").to_frame()
    found = model.forecast(history=other, interval=0.8)
    assert_allclose(model.forecast(history=100 * other, interval=0.8), 100 * found)
    width = found.to_numpy()[:, 2] - found.to_numpy()[:, 0]
    assert_allclose(width, 2.56, rtol=0.35)


def test_gaps_are_no_errors():
    y = noise(300)
    y.iloc[[250, 251, 270, 299]] = np.nan
    found = two_steps("adaptive").fit(y).forecast(interval=0.9)
    assert np.isfinite(found).all(axis=None)


# Around and inside a Pipeline ----------------------------------------------------------------------------------------


def pipeline(*steps):
    return Pipeline(list(steps)).set_output(transform="pandas")


def test_a_pipeline_may_stand_inside_or_outside():
    y = monthly(96).rename("sales")
    rows, ahead = pd.DataFrame(index=y.index), future_rows(y, 3)
    calendar, ridge = CalendarFeatures(), RidgeForecaster(lookback=6)
    inside = ConformalForecaster(pipeline(("calendar", calendar), ("ridge", ridge)), horizon=3)
    outside = pipeline(("calendar", calendar), ("model", ConformalForecaster(ridge, horizon=3)))
    levels = [0.1, 0.9]
    found = inside.fit(rows[:90], y[:90]).predict(rows[90:93], quantiles=levels)
    assert_allclose(found, outside.fit(rows[:90], y[:90]).predict(rows[90:93], quantiles=levels))
    inside.update(rows[90:], y[90:])
    assert np.isfinite(inside.forecast(X=ahead, interval=0.8)).all(axis=None)


def test_a_pipeline_inside_is_backtested_with_lags_that_reach_back():
    y = noise(200).rename("load")
    X = noise(200, seed=1).rename("temperature").to_frame()
    steps = ("lags", LagFeatures(lags=(1, 2))), ("ridge", RidgeForecaster(lookback=4))
    models = {
        "inside": ConformalForecaster(pipeline(*steps), horizon=2),
        "outside": pipeline(steps[0], ("model", ConformalForecaster(steps[1][1], horizon=2))),
    }
    found = backtest(models, y, X, cv=RollingOriginSplit(2, n_origins=5), quantiles=[0.1, 0.9]).forecasts
    values = found.set_index(["time", "model"])[[0.1, 0.9]].unstack("model")
    assert_allclose(values.xs("inside", axis=1, level=1), values.xs("outside", axis=1, level=1))


def test_parameters_inside_are_reached_and_clones_are_unfitted():
    model = ConformalForecaster(Pipeline([("calendar", CalendarFeatures()), ("ridge", RidgeForecaster())]))
    model.set_params(forecaster__ridge__lookback=5)
    assert clone(model).get_params()["forecaster__ridge__lookback"] == 5


def test_a_file_keeps_what_updates_brought(tmp_path):
    y = noise(300)
    model = two_steps("adaptive").fit(y[:280]).update(y[280:])
    model.save(tmp_path / "model.seqcast")
    loaded = seqcast.load(tmp_path / "model.seqcast")
    assert_frame_equal(loaded.forecast(interval=0.9), model.forecast(interval=0.9), check_exact=True)


# What is refused, and what is told -----------------------------------------------------------------------------------


def test_too_few_origins_raise_with_the_number_that_is_needed():
    model = two_steps().fit(noise(80))  # 21 origins, of which step 2 knows 20
    assert np.isfinite(model.forecast(interval=0.95)).all(axis=None)
    with pytest.raises(ShortSeriesError, match=r"0.005 or 0.995 needs 99 .* step 2 has 20 .*interval=0.9523"):
        model.forecast(interval=0.99)
    with pytest.raises(ShortSeriesError, match="longest series has 12 rows"):
        two_steps().fit(noise(12)).forecast(quantiles=[0.5])
    with pytest.raises(ShortSeriesError, match="n_calibration=50 .* 102 rows"):
        two_steps(n_calibration=50).fit(noise(80))


def test_equal_errors_are_told():
    y = pd.Series(np.tile([1.0, 2.0, 3.0], 40), index=pd.date_range("2024", periods=120, freq="D"))
    model = ConformalForecaster(SeasonalNaive(), season_length=3, horizon=3).fit(y)
    with pytest.warns(CalibrationWarning, match="no width"):
        assert_allclose(model.forecast(interval=0.9), np.repeat([[1.0], [2.0], [3.0]], 3, axis=1))


def test_scores_that_plainly_drift_are_told():
    y = noise(600)
    y.iloc[450:] += np.linspace(-4, 4, 150)  # the calibration: errors go from below to above
    with pytest.warns(CalibrationWarning, match='drift .* Use method="weighted" or "adaptive"'):
        two_steps("split").fit(y)
    two_steps("adaptive").fit(y)  # warnings are errors
    growing = np.random.default_rng(8).normal(size=(1, 400, 1)) * np.linspace(1, 6, 400)[:, None]
    assert drift_p_value(growing, 1) < 1e-3


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_stationary_scores_are_no_drift(correlation):
    rng = np.random.default_rng(9)
    alarms = 0
    for _ in range(200):
        values = rng.normal(size=(1, 400, 4))
        for t in range(1, 400):
            values[:, t] += correlation * values[:, t - 1]
        alarms += drift_p_value(values, 4) < 1e-3
    assert alarms <= 1


def test_quantiles_beyond_the_calibrated_steps_raise():
    model = two_steps().fit(noise(100))
    assert len(model.forecast(5)) == 5
    with pytest.raises(ValueError, match="calibrated for 2 steps, 5"):
        model.forecast(5, interval=0.8)


def test_what_cannot_be_wrapped_is_named():
    with pytest.raises(ValueError, match="must be None or a forecaster of seqcast"):
        ConformalForecaster(LinearRegression()).fit(monthly())
    with pytest.raises(ValueError, match="horizon=24, ConformalForecaster has 1"):
        ConformalForecaster(SeasonalNaive(horizon=24)).fit(monthly())
    with pytest.raises(ValueError, match="give y too"):
        ConformalForecaster(Pipeline([("calendar", CalendarFeatures()), ("ridge", RidgeForecaster())])).fit(monthly())


def test_bad_levels_raise():
    model = two_steps().fit(noise(100))
    for bad in ([0], [1.0], ["0.5"], [0.5, 0.5], []):
        with pytest.raises(ValueError, match="quantiles"), warnings.catch_warnings():
            model.forecast(quantiles=bad)


@pytest.mark.filterwarnings("ignore::seqcast.exceptions.DeadStartWarning")
def test_a_series_that_stood_still_does_not_make_the_others_wild():
    random, times = np.random.default_rng(0), pd.date_range("2024", periods=320)
    alive = pd.DataFrame(random.poisson(20, (320, 8)).astype(float), times, [f"s{k}" for k in range(8)])
    launched = alive.assign(new=np.r_[np.zeros(300), random.poisson(20, 20)])
    plain, beside = (
        ConformalForecaster(seqcast.ETS(), horizon=2).fit(y).forecast(quantiles=[0.01, 0.99]).iloc[0]
        for y in (alive, launched)
    )
    width = plain.xs(0.99, level="quantile") - plain.xs(0.01, level="quantile")
    found = beside.xs(0.99, level="quantile") - beside.xs(0.01, level="quantile")
    assert (found[width.index] < 1.5 * width).all()
