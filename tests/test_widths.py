"""How wide quantiles are at each phase of the season."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import seqcast
from seqcast import GRUForecaster, RidgeForecaster
from seqcast.models._widths import Forecasts, SeasonalWidths, origins_by_phase
from seqcast.panel import Panel
from seqcast.times import TimeAxis

NIGHT, DAY = 0.2, 2.0  # standard deviations of the noise


def nightly(n_days=80, seed=0, freq="h", night=NIGHT):
    """Noise about a sine, little of it in the first half of the day."""
    m = pd.Timedelta(1, "D") // pd.Timedelta(1, freq) if freq == "h" else 96
    index = pd.date_range("2024-01-01", periods=m * n_days, freq=freq)
    random, clock = np.random.default_rng(seed), np.arange(len(index)) % m
    noise = random.normal(size=len(index)) * np.where(clock < m // 2, night, DAY)
    return pd.Series(10 + 3 * np.sin(2 * np.pi * clock / m) + noise, index, name="y")


def spans(forecast, m=24):
    """Widths of the intervals of the first and of the second half of the days."""
    width = (forecast["upper"] - forecast["lower"]).to_numpy().reshape(-1, m)
    return width[:, : m // 2].mean(), width[:, m // 2 :].mean()


@pytest.mark.parametrize(
    "model",
    [RidgeForecaster(horizon=24), GRUForecaster(horizon=24, max_steps=2, n_members=1, random_state=0)],
    ids=["ridge", "gru"],
)
def test_intervals_are_as_wide_as_the_hour_asks(model):
    y = nightly()
    model.fit(y[: -24 * 20])
    held, widths = [], []
    for k in range(len(y) - 24 * 20, len(y), 24):
        found = model.forecast(history=y[:k], interval=0.8)
        held.append(y[k : k + 24].between(found["lower"], found["upper"]))
        widths.append(spans(found))
    night, day = np.mean(widths, axis=0)
    assert 0.6 * DAY / NIGHT < day / night < 1.4 * DAY / NIGHT
    held = np.array(held)
    assert abs(held[:, :12].mean() - held[:, 12:].mean()) < 0.15  # .5 without this


def test_as_much_of_fit_lies_between_as_before():
    y = nightly()
    model = RidgeForecaster(horizon=24, n_members=1).fit(y)
    held = {}
    for widths in (model.widths_, None):
        model.widths_ = widths
        starts = range(24 * 30, len(y) - 24, 29)
        found = [model.forecast(history=y[:k], interval=0.8) for k in starts]
        inside = [y[k : k + 24].between(f["lower"], f["upper"]).mean() for k, f in zip(starts, found, strict=True)]
        held[widths is None] = np.mean(inside)
    assert abs(held[False] - held[True]) < 0.02


def test_tails_are_those_of_each_hour():
    """Normal ones, of which the outer quantiles are 1.53 times as far away as the inner ones."""
    y = nightly(160)
    model = RidgeForecaster(horizon=24).fit(y[: -24 * 40])
    held, ratios = [], []
    for k in range(len(y) - 24 * 40, len(y), 24):
        far, near = (model.forecast(history=y[:k], interval=level) for level in (0.95, 0.8))
        ratios.append((far["upper"] - far["lower"]) / (near["upper"] - near["lower"]))
        held.append(y[k : k + 24].between(far["lower"], far["upper"]))
    assert 1.4 < np.mean(ratios) < 1.7
    assert 0.9 < np.mean(held) < 0.98


def test_what_is_the_same_at_every_hour_stays():
    model = RidgeForecaster(horizon=12).fit(nightly(night=DAY))
    assert_allclose(model.widths_.factors, 1, atol=0.15)


def test_phases_are_those_of_the_clock_wherever_a_history_begins(tmp_path):
    y = nightly()
    model = RidgeForecaster(horizon=24).fit(y[:-30])
    for k in (7, 30, 41):
        found = model.forecast(history=y[-400:-k], interval=0.8)
        width = (found["upper"] - found["lower"]).groupby(found.index.hour < 12).mean()
        assert width[False] > 4 * width[True]
    other = model.forecast(history=y[-400:-30].rename("other"), interval=0.8)  # a series that fit did not see
    width = (other["upper"] - other["lower"]).groupby(other.index.hour < 12).mean()
    assert width[False] > 4 * width[True]
    model.save(tmp_path / "model.seqcast")
    assert_array_equal(seqcast.load(tmp_path / "model.seqcast").widths_.factors, model.widths_.factors)
    state = model._get_state()
    del state["widths_"]  # as in a file of 0.1.0
    former = RidgeForecaster(horizon=24)
    former._set_state(state)
    assert former.widths_ is None
    narrow, wide = spans(former.forecast(history=y[: -24 * 2], interval=0.8))
    assert wide < 2 * narrow


def test_points_and_paths():
    y = nightly()
    model = RidgeForecaster(horizon=24).fit(y)
    paths = model.sample(400, random_state=0)
    spread = paths.std(axis=1).to_numpy() if len(paths) == 24 else paths.std(axis=0).to_numpy()
    assert spread[12:].mean() > 4 * spread[:12].mean()
    middle = model.forecast()
    model.widths_ = None
    assert_array_equal(model.forecast(), middle)


def test_rows_that_are_counted_have_no_phase():
    y = nightly()
    assert RidgeForecaster(horizon=24, season_length=24).fit(y.to_numpy()).widths_ is None
    assert RidgeForecaster(horizon=24, season_length=1).fit(y).widths_ is None
    counts = (y > 10).astype(float)
    tiny = {"max_steps": 2, "n_members": 1, "hidden_size": 8}
    assert GRUForecaster(horizon=4, loss="negative_binomial", **tiny).fit(counts).widths_ is None


def made(axis, sizes, m=4, n_days=300):
    """Errors of series with these sizes by phase, of which the quantiles say that they are 1."""
    random, n = np.random.default_rng(0), len(sizes)
    length = m * n_days
    indptr, first = np.arange(n + 1) * length, np.arange(n)
    panel = Panel(
        np.zeros(n * length), np.empty((n * length, 0)), np.ones(n * length, bool), indptr, first, tuple(range(n)), axis
    )
    series, positions = np.repeat(np.arange(n), n_days), np.tile(m * np.arange(n_days), n)
    times = (first[series] + positions)[:, None] + np.arange(m)
    truth = random.normal(size=times.shape) * np.asarray(sizes)[series[:, None], times % m]
    quantiles = np.broadcast_to([-1.96, -1.2816, 0.0, 1.2816, 1.96], (*truth.shape, 5))
    return SeasonalWidths.fitted(panel, Forecasts(series, positions, quantiles, truth), None, m), panel


def test_series_have_their_own_phases_and_others_the_common_ones():
    sizes = np.array([[1.0, 1, 2, 2], [2, 2, 1, 1]])
    widths, panel = made(TimeAxis("datetime", pd.Timestamp("2024-01-01"), pd.offsets.Hour(6)), sizes)
    assert_allclose(widths.factors[:2] / widths.factors[:2].mean(1, keepdims=True), sizes / 1.5, rtol=0.12)
    assert_allclose(widths.factors[2] / widths.factors[2].mean(), 1, rtol=0.08)
    at = np.array([1, 0]), np.array([5, 5])  # positions of series that begin at steps 1 and 0
    assert_array_equal(widths.of(panel, *at, 3), [widths.factors[1, [2, 3, 0]], widths.factors[0, [1, 2, 3]]])


def test_numbers_say_no_phase_of_other_series():
    sizes = np.array([[1.0, 1, 3, 3], [1, 1, 3, 3]])
    widths, _ = made(TimeAxis("integer", 0, 1), sizes)
    assert_allclose(widths.factors[2] / widths.factors[2, 0], 1)
    assert widths.factors[0, 2] > 2 * widths.factors[0, 0]
    assert asdict(widths)["ids"] == (0, 1)


def test_what_is_never_seen_says_nothing():
    y = nightly()
    y[(y.index.hour < 6) | (y.index.hour > 20)] = np.nan
    factors = RidgeForecaster(horizon=24).fit(y).widths_.factors[0]
    assert factors[12:20].min() > 4 * factors[7:12].max()
    assert factors[7:12].max() < factors[:5].max() < factors[12:20].min()


def test_where_phases_are_alike_nothing_moves():
    """Few errors, all of them within the quantiles, are no reason for narrower ones."""
    widths, _ = made(TimeAxis("integer", 0, 1), np.full((1, 4), 0.1), n_days=6)
    assert_allclose(widths.factors, 1)
    assert widths.beyond == 1
    times, found = pd.date_range("2020-01-01", periods=60, freq="MS"), []
    for seed in range(10):
        y = pd.Series(np.random.default_rng(seed).normal(size=60), times)
        found.append(RidgeForecaster(horizon=6).fit(y).widths_)
    assert np.mean([np.abs(widths.factors - 1).max() < 0.1 for widths in found]) >= 0.9
    assert np.mean([widths.beyond for widths in found]) > 0.95


def test_few_rows_decide_for_nobody():
    random, pieces = np.random.default_rng(1), {}
    for number, n in enumerate((1, 2, 5, 100, 300)):
        index = pd.date_range("2024-01-01", periods=300)[-n:]
        pieces[number] = pd.Series(random.normal(size=n), index)
    model = RidgeForecaster(horizon=7).fit(pd.concat(pieces, names=["series", "time"]))
    assert_allclose(model.widths_.factors, 1, atol=0.1)


@pytest.mark.parametrize(("n_rows", "horizon", "n_series"), [(1500, 1, 1), (1480, 1, 1), (750, 1, 400), (90, 3, 2)])
def test_origins_lie_at_all_phases(n_rows, horizon, n_series):
    indptr, empty = np.arange(n_series + 1) * n_rows, np.empty((n_rows * n_series, 0))
    panel = Panel(
        empty.sum(1),
        empty,
        empty.sum(1) == 0,
        indptr,
        np.zeros(n_series, int),
        tuple(range(n_series)),
        TimeAxis.counted(),
    )
    ends = np.full(n_series, n_rows)
    ends[-1] = n_rows // 2
    series, positions = origins_by_phase(panel, ends, horizon, 7)
    assert (positions >= 0).all() and (positions < ends[series]).all()
    for number in (0, n_series - 1):
        count = np.bincount(positions[series == number] % 7, minlength=7)
        assert count.min() >= 0.7 * count.max()
    assert len(series) <= 20_000


@pytest.mark.parametrize("has_zeros", [False, True])
def test_what_is_forecast_in_logarithms_stays_positive(has_zeros):
    y = nightly(night=0.1, n_days=60)
    y = np.exp((y - 10) / 3)
    if has_zeros:
        y.iloc[::50] = 0.0
    model = RidgeForecaster(horizon=24, target_transform="log").fit(y[:-240])
    assert model.widths_.factors.max() > 3 * model.widths_.factors.min()
    for k in range(len(y) - 240, len(y), 24):
        assert (model.forecast(history=y[:k], quantiles=[0.001, 0.5]) >= 0).all(axis=None)


def test_the_clock_of_a_zone_tells_the_hour():
    clock = pd.date_range("2024-01-05", periods=24 * 100, freq="h", tz="Europe/Berlin")  # to April
    random = np.random.default_rng(0)
    y = pd.Series(random.normal(size=len(clock)) * np.where(clock.hour < 12, NIGHT, DAY), clock)
    model = RidgeForecaster(horizon=24).fit(y[:"2024-03-20"])
    found = model.forecast(history=y[:"2024-04-03"], interval=0.8)
    width = found["upper"] - found["lower"]
    assert width[width.index.hour < 12].max() < 0.5 * width[width.index.hour >= 12].min()


def test_a_distribution_has_the_spread_that_it_says():
    y = nightly(n_days=30)
    tiny = {"max_steps": 5, "n_members": 1, "hidden_size": 8, "local_smoothing": False, "target_transform": "none"}
    model = GRUForecaster(horizon=24, loss="normal", random_state=0, **tiny).fit(y)
    assert model.widths_ is None
    said = model.distribution()
    found = model.forecast(quantiles=[0.9])[0.9]
    assert_allclose(found, said.iloc[:, 0] + 1.2816 * said.iloc[:, 1], rtol=1e-3)


def test_an_exchange_has_no_phase():
    y = nightly(n_days=30)
    days = pd.offsets.CustomBusinessDay(holidays=["2010-05-03"])
    y.index = pd.date_range("2010-01-04", periods=len(y), freq=days)
    assert RidgeForecaster(horizon=5).fit(y).widths_ is None


def test_one_wild_value_among_constants_is_no_matter():
    y = pd.Series(0.0, pd.date_range("2024-01-01", periods=2000, freq="h"))
    y.iloc[1900] = 1e10
    assert_allclose(RidgeForecaster(horizon=24).fit(y).widths_.factors, 1, atol=0.1)


def test_a_constant_series_and_one_step_are_no_matter():
    y = pd.Series(5.0, pd.date_range("2024-01-01", periods=60))
    found = RidgeForecaster(horizon=3).fit(y).forecast(interval=0.8)
    assert np.isfinite(found).all(axis=None)
    short = pd.Series([1.0, 2.0, 4.0, 3.0], pd.date_range("2024-01-01", periods=4))
    assert np.isfinite(RidgeForecaster(horizon=1).fit(short).forecast(interval=0.8)).all(axis=None)


def demand(*, seed, shape=1.0, zeros=0.2, n_days=90):
    """Hourly draws of hot water: skewed, low at night and often nothing then."""
    random, n = np.random.default_rng(seed), 24 * n_days
    hour = np.arange(n) % 24
    level = np.select([hour < 6, hour < 11], [0.3, 10.0], 2.0)
    values = level * random.gamma(shape, 1 / shape, n)
    values[(hour < 6) & (random.random(n) < zeros)] = 0.0
    return pd.Series(np.round(values, 2), pd.date_range("2024", periods=n, freq="h"), name="y")


@pytest.mark.parametrize("zeros", [0.0, 0.2])
def test_intervals_of_skewed_demand_hold_what_they_say(zeros):
    """Low quantiles moved with the median to smoothing, a mean, and zeros said nothing of the nights: 53 to 64 %."""
    held = []
    for seed in range(2):
        y = demand(seed=seed, zeros=zeros)
        model = RidgeForecaster(horizon=24, target_transform="log").fit(y[: -24 * 30])
        for k in range(len(y) - 24 * 30, len(y), 24):
            found = model.forecast(history=y[:k], interval=0.8)
            assert (found["lower"] >= 0).all()
            held.append(y[k : k + 24].between(found["lower"], found["upper"]))
    held = np.array(held)
    assert 0.73 < held.mean() < 0.87
    assert held[:, :6].mean() > 0.62  # at night; .38 to .46


def test_quantiles_of_a_transformed_series_that_fit_did_not_see():
    y = demand(seed=0, zeros=0.0)
    panel = pd.concat({"a": y, "b": 3 * y}, names=["id", "time"])
    model = RidgeForecaster(horizon=24, target_transform="log").fit(panel)
    other = pd.concat({"a": y, "c": 50 * y}, names=["id", "time"])
    found = model.forecast(history=other, quantiles=[0.1, 0.5, 0.9])
    assert (np.diff(found.to_numpy()) > 0).all()
    assert found.loc["c", 0.5].mean() > 10 * found.loc["a", 0.5].mean()


def test_quantiles_of_a_series_not_seen_whose_zeros_are_long_ago_do_not_cross():
    random, levels = np.random.default_rng(0), [0.001, 0.01, 0.025, 0.1, 0.5, 0.9, 0.999]
    index = pd.date_range("2024", periods=200, freq="D")
    draws = np.where(random.random((2, 200)) < 0.08, 0.0, random.gamma(1.0, 2.0, (2, 200)))
    panel = pd.concat({k: pd.Series(one, index) for k, one in zip("ab", draws, strict=True)}, names=["id", "time"])
    model = RidgeForecaster(horizon=7, target_transform="log").fit(panel)
    for _ in range(10):
        other = np.where((np.arange(200) < 150) & (random.random(200) < 0.3), 0.0, random.gamma(1.0, 2.0, 200) + 0.01)
        history = pd.concat({"a": panel["a"], "c": pd.Series(other, index)}, names=["id", "time"])
        assert (np.diff(model.forecast(history=history, quantiles=levels).to_numpy()) >= 0).all()


def test_no_side_is_narrowed_more_than_the_other_can_be_widened():
    truth = np.full((60, 6), 50.0)  # far above, and nothing below
    quantiles = np.broadcast_to(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), (60, 6, 5))
    rows, indptr = np.zeros(100), np.array([0, 100])
    panel = Panel(rows, np.zeros((100, 0)), rows > 0, indptr, np.zeros(1, int), ("a",), TimeAxis.counted())
    made = Forecasts(np.zeros(60, int), np.arange(30, 90), quantiles, truth)
    widths = SeasonalWidths.fitted(panel, made, None, 6)
    assert widths.above == 1.5
    assert_allclose(widths.below, 1 / 1.5)
