"""Metrics of finance, forecasts of returns and variances, trading days, the equity curve."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from scipy.stats import t as student_t
from sklearn.base import clone
from statsmodels.regression.linear_model import OLS

import seqcast
from seqcast import EWMA, GARCH, HistoricAverage, Naive, ReturnsForecaster, RidgeForecaster, SeasonalNaive
from seqcast.evaluation import RollingOriginSplit, backtest
from seqcast.exceptions import ShortSeriesError
from seqcast.metrics import (
    deflated_sharpe_ratio,
    directional_accuracy,
    max_drawdown,
    pesaran_timmermann,
    probabilistic_sharpe_ratio,
    qlike,
    sharpe_ratio,
    strategy_returns,
)
from seqcast.plotting import plot_equity

NAN = float("nan")


def normal(n, *, seed=0, scale=0.01):
    return np.random.default_rng(seed).normal(scale=scale, size=n)


def prices(n=200, *, seed=0, drift=0.0005):
    days = pd.bdate_range("2020-01-01", periods=n)
    return pd.Series(100 * np.exp(np.cumsum(normal(n, seed=seed) + drift)), index=days, name="price")


# Direction ------------------------------------------------------------------------------------------------------------


def test_steps_without_direction_count_half_and_masked_ones_do_not():
    assert directional_accuracy([1.0, -1.0, 0.0, NAN], [2.0, 3.0, 1.0, 1.0]) == 0.5
    assert directional_accuracy([[1.0, -1.0], [1.0, 1.0]], [[1.0, -1.0], [-1.0, 0.0]], axis=1).tolist() == [1.0, 0.25]
    assert np.isnan(directional_accuracy([1.0, 2.0], [NAN, 1.0]))


def test_pesaran_timmermann_by_hand():
    actual = np.repeat([1.0, 1.0, -1.0, -1.0], [4, 1, 2, 3])
    forecast = np.repeat([1.0, -1.0, 1.0, -1.0], [4, 1, 2, 3])
    test = pesaran_timmermann(actual, forecast)
    y, x, n = 0.5, 0.6, 10
    share = y * x + (1 - y) * (1 - x)
    spread = ((2 * x - 1) ** 2 * y * (1 - y) + (2 * y - 1) ** 2 * x * (1 - x)) / n + 4 * y * x * 0.5 * 0.4 / n**2
    assert test.accuracy == 0.7
    assert_allclose(test.expected, share)
    assert_allclose(test.statistic, (0.7 - share) / np.sqrt(share * (1 - share) / n - spread))


def test_serial_form_is_the_t_statistic_of_the_augmented_regression():
    rng = np.random.default_rng(0)
    actual, forecast = rng.normal(size=60), rng.normal(size=60)
    y, x = (actual > 0).astype(float), (forecast > 0).astype(float)
    columns = np.stack([np.ones(59), x[1:], y[:-1], x[:-1]], axis=1)
    fitted = OLS(y[1:], columns).fit()
    test = pesaran_timmermann(actual, forecast, is_serial=True)
    assert_allclose(test.statistic, fitted.tvalues[1])
    two_sided = 2 * min(test.p_value, 1 - test.p_value)
    assert_allclose(two_sided, fitted.pvalues[1])


def test_overlap_misleads_the_static_form_and_not_the_serial_one():
    rng = np.random.default_rng(1)
    rejected = np.zeros(2)
    for _ in range(300):
        actual, forecast = (np.convolve(rng.normal(size=111), np.ones(12), "valid") for _ in range(2))
        rejected += [pesaran_timmermann(actual, forecast, is_serial=s).p_value < 0.05 for s in (False, True)]
    assert rejected[0] / 300 > 0.15
    assert rejected[1] / 300 < 0.09


@pytest.mark.parametrize("is_serial", [False, True])
def test_masked_steps_are_left_out_of_the_direction_test(is_serial):
    actual, forecast = normal(40), normal(40, seed=1)
    head = pesaran_timmermann(actual[:30], forecast[:30], is_serial=is_serial)
    actual[30:] = NAN
    assert pesaran_timmermann(actual, forecast, is_serial=is_serial) == head


@pytest.mark.parametrize("is_serial", [False, True])
@pytest.mark.parametrize("forecast", [np.ones(30), np.zeros(30)])
def test_forecasts_of_one_direction_have_no_verdict(forecast, is_serial):
    test = pesaran_timmermann(normal(30), forecast, is_serial=is_serial)
    assert np.isnan([test.statistic, test.p_value]).all()
    assert_allclose(test.accuracy, test.expected)


def test_a_missing_forecast_is_no_direction():
    with pytest.raises(ValueError, match="1 forecasts are missing"):
        pesaran_timmermann([1.0, -1.0, NAN], [NAN, 1.0, NAN])


# What trading earns ---------------------------------------------------------------------------------------------------


def test_costs_are_paid_for_what_is_traded():
    earned = strategy_returns([0.1, 0.1, -0.2, 0.0], [1.0, 2.0, -1.0, 0.0], cost=0.01)
    assert_allclose(earned, [0.1 - 0.01, 0.1, 0.2 - 0.02, -0.01])


def test_positions_grow_with_the_forecast_up_to_the_whole_capital():
    earned = strategy_returns([0.1, 0.1, 0.1], [0.005, 0.05, -0.005], scale=0.01)
    assert_allclose(earned, [0.05, 0.1, -0.05])


@pytest.mark.parametrize("fault", [{"scale": 0.0}, {"scale": NAN}, {"cost": -1.0}])
def test_impossible_costs_and_scales_are_named(fault):
    with pytest.raises(ValueError, match=next(iter(fault))):
        strategy_returns([0.1], [0.1], **fault)


def test_sharpe_error_of_independent_returns_is_that_of_mertens():
    r = np.random.default_rng(0).standard_t(6, 500) + 0.1
    found = sharpe_ratio(r, lags=0)
    z = (r - r.mean()) / r.std()
    s = r.mean() / r.std()
    assert_allclose(found.ratio, s)
    assert_allclose(found.standard_error**2 * 500, 1 + s**2 / 4 * ((z**4).mean() - 1) - s * (z**3).mean())


def test_sharpe_of_a_year_grows_with_the_root_of_time_where_returns_are_independent():
    r = normal(400) + 0.002
    day, year = sharpe_ratio(r, lags=0), sharpe_ratio(r, periods=252, lags=0)
    assert_allclose(np.divide(year, day), np.sqrt(252))


def test_sharpe_of_a_year_by_lo_with_one_autocorrelation():
    r = np.convolve(normal(401), [1.0, 0.8], "valid") + 0.002
    z = (r - r.mean()) / r.std()
    rho = z[1:] @ z[:-1] / 400
    eta = 12 / np.sqrt(12 + 2 * 0.5 * 11 * rho)  # half the weight: one lag
    assert_allclose(sharpe_ratio(r, periods=12, lags=1).ratio, eta * r.mean() / r.std())
    assert sharpe_ratio(r).standard_error > 1.15 * sharpe_ratio(r, lags=0).standard_error


def test_probabilistic_sharpe_by_hand():
    r = np.array([0.03, -0.01, 0.02, -0.02, 0.01, 0.04])
    z = (r - r.mean()) / r.std()
    s = r.mean() / r.std()
    for benchmark in (0.1, 2.0):  # the wider of the errors at both ratios
        spread = max(1 - (z**3).mean() * x + ((z**4).mean() - 1) / 4 * x**2 for x in (s, benchmark))
        expected = student_t.cdf((s - benchmark) * np.sqrt(5 / spread), 5)
        assert_allclose(probabilistic_sharpe_ratio(r, benchmark=benchmark), expected)


@pytest.mark.parametrize("skewed", [1.0, -1.0])
def test_skewed_returns_without_skill_seldom_pass(skewed):
    returns = skewed * (np.random.default_rng(0).exponential(size=(2000, 60)) - 1)
    assert np.mean([probabilistic_sharpe_ratio(one) > 0.95 for one in returns]) <= 0.06  # .083 with the error at 0


def test_deflated_sharpe_asks_more_the_more_was_tried():
    r = normal(250) + 0.002
    ratio = r.mean() / r.std()
    one, few = deflated_sharpe_ratio(r, [ratio]), deflated_sharpe_ratio(r, [ratio, 0.0, -0.05])
    many = deflated_sharpe_ratio(r, np.concatenate([[ratio], np.linspace(-0.15, 0.15, 200)]))
    assert one == probabilistic_sharpe_ratio(r)
    assert one > few > many
    with pytest.raises(ValueError, match="every strategy"):
        deflated_sharpe_ratio(r, [])


def test_the_best_of_many_without_skill_is_seldom_called_skilled():
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(300):
        trials = rng.standard_normal((120, 10))
        ratios = trials.mean(axis=0) / trials.std(axis=0)
        found += deflated_sharpe_ratio(trials[:, ratios.argmax()], ratios) > 0.95
    assert found / 300 <= 0.05


def test_returns_without_spread_have_no_sharpe():
    for constant in ([0.1, 0.1], [0.1], [NAN, NAN], [0.1] * 50):
        assert np.isnan(sharpe_ratio(constant)).all()
        assert np.isnan(probabilistic_sharpe_ratio(constant))


def slow_drawdown(returns):
    wealth = [1.0]
    for r in returns:
        wealth.append(wealth[-1] * (1 + (0 if np.isnan(r) else r)))
    return max(1 - wealth[j] / wealth[i] for i in range(len(wealth)) for j in range(i, len(wealth)))


@given(arrays(float, st.integers(1, 12), elements=st.floats(-0.5, 0.5) | st.just(NAN)))
def test_drawdown_is_the_worst_of_all_pairs(returns):
    assert_allclose(max_drawdown(returns), slow_drawdown(returns), atol=1e-12)


def test_drawdown_of_each_column():
    assert_allclose(max_drawdown([[0.1, -0.1], [-0.5, 0.1]]), [0.5, 0.1])


# Variances ------------------------------------------------------------------------------------------------------------


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_qlike_is_least_at_the_truth(actual, forecast):
    assert qlike([actual], [forecast]) >= qlike([actual], [actual]) - 1e-9


def test_qlike_takes_zeros_and_masks_and_fines_impossible_variances():
    assert_allclose(qlike([0.0, NAN, 2.0], [1.0, 5.0, 1.0]), 1.0)
    assert qlike([1.0], [0.0]) == qlike([1.0], [-1.0]) == np.inf
    assert np.isnan(qlike([1.0], [NAN]))


def test_ewma_equals_its_loop_and_skips_gaps():
    y = pd.Series([4.0, 1.0, NAN, 9.0], index=pd.bdate_range("2024-01-01", periods=4))
    expected = y.mean()
    for value in y.dropna():
        expected = 0.9 * expected + 0.1 * value
    assert_allclose(EWMA(decay=0.9, horizon=3).fit(y).forecast(), [expected] * 3)


def garch_squares(n=3000, omega=0.05, alpha=0.1, beta=0.85, seed=0):
    z, variance = np.random.default_rng(seed).normal(size=n), omega / (1 - alpha - beta)
    squares = np.empty(n)
    for t in range(n):
        squares[t] = variance * z[t] ** 2
        variance = omega + alpha * squares[t] + beta * variance
    return pd.Series(squares, index=pd.bdate_range("2010-01-01", periods=n))


def test_garch_forecasts_what_arch_forecasts():
    univariate = pytest.importorskip("arch.univariate")
    y = garch_squares(800)
    model = univariate.ZeroMean(np.sqrt(y), volatility=univariate.GARCH(1, 0, 1), rescale=False)
    theirs = model.fit(disp="off").forecast(horizon=5, reindex=False).variance.to_numpy()[0]
    assert_allclose(GARCH(horizon=5).fit(y).forecast(), theirs, rtol=0.01)


def test_garch_finds_the_parameters_and_does_not_mind_the_unit():
    pytest.importorskip("arch")
    y = garch_squares()
    (state,), (small,) = GARCH().fit(y).states_, GARCH().fit(1e-6 * y).states_
    assert_allclose([state["reaction"], state["memory"]], [0.1, 0.85], atol=0.05)
    assert_allclose(small["constant"], 1e-6 * state["constant"], rtol=0.01)


def test_garch_beats_a_constant_variance_where_variance_changes():
    pytest.importorskip("arch")
    y = garch_squares(2000, omega=0.02, alpha=0.15, beta=0.83)
    models = {"garch": GARCH(), "ewma": EWMA(), "constant": HistoricAverage()}
    rows = backtest(models, y, cv=RollingOriginSplit(1, n_origins=600)).forecasts
    loss = {name: qlike(block["actual"], block["forecast"]) for name, block in rows.groupby("model", observed=True)}
    assert loss["garch"] < loss["ewma"] < loss["constant"]


@pytest.mark.parametrize("model", [EWMA(), GARCH()])
def test_returns_given_for_squares_are_named(model):
    with pytest.raises(ValueError, match=r"'r' is negative at .*returns\*\*2"):
        model.fit(pd.Series([0.1, -0.1], index=pd.bdate_range("2024-01-01", periods=2), name="r"))


def test_variances_are_not_forecast_below_zero():
    squares = prices().pct_change().dropna() ** 2
    assert (EWMA(horizon=3).fit(squares).forecast(quantiles=[0.01, 0.5]) >= 0).all(axis=None)


# Prices by their returns ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", [True, False])
def test_prices_grow_by_the_mean_return(log):
    y = prices()
    r = np.log(y).diff() if log else y.pct_change()
    growth = np.exp(r.mean()) if log else 1 + r.mean()
    forecast = ReturnsForecaster(HistoricAverage(), log=log, horizon=4).fit(y).forecast()
    assert_allclose(forecast, y.iloc[-1] * growth ** np.arange(1, 5))


@pytest.mark.parametrize("log", [True, False])
def test_perfect_returns_give_perfect_prices(log):
    cycle = np.tile([0.1, -0.05, 0.02, -0.03], 30)
    r = np.log1p(cycle)
    y = pd.Series(100 * np.exp(np.cumsum(r)), index=pd.bdate_range("2024-01-01", periods=120))
    model = ReturnsForecaster(SeasonalNaive(), log=log, horizon=8, season_length=4).fit(y[:100])
    assert_allclose(model.forecast(), y[100:108])


def test_a_holiday_makes_one_return_of_two_days():
    y = prices(30)
    gap = y.drop(y.index[10])
    returns = ReturnsForecaster().fit(gap).forecaster_.panel_.values
    assert np.isnan(returns[[0, 10]]).all()
    assert_allclose(returns[11], np.log(y.iloc[11] / y.iloc[9]))
    assert_allclose(np.nansum(returns), np.log(y.iloc[-1] / y.iloc[0]))


def test_returns_of_a_series_do_not_begin_in_another():
    panel = pd.concat({"a": prices(20), "b": 50 * prices(20, seed=1)}, names=["series", "time"])
    returns = ReturnsForecaster().fit(panel).forecaster_.panel_.values
    assert np.isnan(returns[[0, 20]]).all()
    assert np.nanmax(np.abs(returns)) < 0.1


def test_covariates_reach_the_wrapped_forecaster():
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"x": rng.normal(size=203)}, index=pd.bdate_range("2020-01-01", periods=203))
    y = 100 * np.exp((0.01 * x["x"][:200]).cumsum()).rename("price")
    model = ReturnsForecaster(RidgeForecaster(lookback=5), horizon=3).fit(x[:200], y)
    truth = y.iloc[-1] * np.exp((0.01 * x["x"][200:]).cumsum())
    assert_allclose(model.forecast(X=x[200:]), truth, rtol=0.01)


def test_quantiles_of_prices_cover_and_are_those_of_many_paths():
    y = prices(800)
    model = ReturnsForecaster(horizon=5).fit(y)
    spread = model.forecast(quantiles=[0.1, 0.9])
    paths = model.sample(4000, random_state=0)
    assert_allclose(paths.quantile([0.1, 0.9], axis=1).T, spread, rtol=0.005)
    rows = backtest(model, y, cv=RollingOriginSplit(5, n_origins=80), quantiles=[0.1, 0.9]).forecasts
    inside = (rows["actual"] > rows[0.1]) & (rows["actual"] < rows[0.9])
    assert 0.7 < inside.mean() < 0.9


def test_price_forecasts_do_not_know_what_follows():
    y = prices(120)
    later = y.where(y.index < y.index[100], 3 * y)
    cv = RollingOriginSplit(4, n_origins=5)
    first = [
        backtest(ReturnsForecaster(RidgeForecaster(lookback=10), horizon=4), series, cv=cv, quantiles=[0.1, 0.9])
        .forecasts.iloc[:4, 6:]
        .to_numpy()
        for series in (y, later)
    ]
    assert_allclose(first[0], first[1])


def test_prices_that_are_not_positive_are_named():
    y = prices(20)
    y.iloc[7] = 0.0
    with pytest.raises(ValueError, match=r"'price' is 0 at 2020-01-10"):
        ReturnsForecaster().fit(y)
    with pytest.raises(ShortSeriesError, match="one sample"):
        ReturnsForecaster(freq="B").fit(prices(1))


def test_the_wrapped_forecaster_is_reached_by_nested_parameters_and_stays_as_it_was():
    inner = RidgeForecaster(lookback=5)
    model = ReturnsForecaster(inner, horizon=3).set_params(forecaster__lookback=7).fit(prices())
    assert model.forecaster_.lookback_ == 7
    assert not hasattr(inner, "members_")


# Trading days ---------------------------------------------------------------------------------------------------------


def test_holidays_of_an_exchange_are_neither_gaps_nor_forecast(tmp_path):
    pytest.importorskip("exchange_calendars")
    days = pd.bdate_range("2018-03-01", "2018-03-29")
    y = pd.Series(np.arange(float(len(days))), index=days)
    model = clone(Naive(horizon=2, freq="XNYS")).fit(y)
    assert (model.freq_, model.season_length_) == ("XNYS", 5)
    assert model.forecast().index.strftime("%m-%d").tolist() == ["04-02", "04-03"]  # the 30th is Good Friday
    assert model.predict(seqcast.future_rows(y, 2, freq="XNYS")).equals(model.forecast())
    model.save(tmp_path / "model.seqcast")
    loaded = seqcast.load(tmp_path / "model.seqcast")
    assert repr(loaded) == repr(model) == "Naive(freq='XNYS', horizon=2)"
    assert loaded.update(pd.Series([9.0], index=pd.DatetimeIndex(["2018-04-02"]))).forecast().index[0].day == 3


def test_an_offset_with_holidays_is_a_frequency(tmp_path):
    offset = pd.offsets.CustomBusinessDay(holidays=["2024-05-01"])
    y = pd.Series([1.0, 2.0, 3.0], index=pd.DatetimeIndex(["2024-04-26", "2024-04-29", "2024-04-30"]))
    model = clone(Naive(freq=offset)).fit(y)
    assert str(model.forecast().index[0].date()) == "2024-05-02"
    model.save(tmp_path / "model.seqcast")
    assert seqcast.load(tmp_path / "model.seqcast").forecast().equals(model.forecast())
    rows = backtest(model, y, cv=RollingOriginSplit(1, n_origins=1)).forecasts
    assert rows["step"].tolist() == [1]


# The picture ----------------------------------------------------------------------------------------------------------


def test_equity_is_drawn_with_its_drawdown():
    frame = pd.DataFrame({"a": [0.1, -0.5, NAN], "b": [0.0, 0.1, 0.1]}, index=pd.bdate_range("2024-01-01", periods=3))
    ax = plot_equity(frame)
    assert ax.get_legend_handles_labels()[1] == ["a, drawdown 50 %", "b, drawdown 0 %"]
    assert_allclose(ax.get_lines()[0].get_ydata(), [1.1, 0.55, 0.55])
    assert len(ax.collections) == 2
    assert ax.get_yscale() == "log"
