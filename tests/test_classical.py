"""Classical forecasters: statsmodels' own forecasts, slow second recursions, and the edges of the data."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import deconvolve, lfilter
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.forecasting.theta import ThetaModel
from statsmodels.tsa.statespace.sarimax import SARIMAX

from seqcast import ARIMA, ETS, SeasonalNaive, STLForecaster, Theta
from seqcast.baselines._arima import ArimaForm, arima_moments, choose_differences, fit_arima
from seqcast.baselines._ets import EtsForm, ets_moments, fit_ets
from seqcast.baselines._regressors import count_waves

NAN = np.nan
ALL = [ETS(), Theta(), ARIMA(), STLForecaster(), STLForecaster(model="arima")]
BEST = ["ETS", "Theta", "ARIMA", "STL", "STL-ARIMA"]
CO2 = sm.datasets.co2.load_pandas().data["co2"]


def passengers() -> pd.Series:
    """Ten years of months with growing level and season, like airline passengers."""
    t = np.arange(120)
    noise = np.random.default_rng(1).normal(scale=0.03, size=120)
    values = (100 + 2 * t) * (1 + 0.2 * np.sin(2 * np.pi * t / 12) + 0.1 * np.cos(4 * np.pi * t / 12)) * np.exp(noise)
    return pd.Series(values, index=pd.period_range("1949-01", freq="M", periods=120))


def moments(forecaster, values, positions, horizon=6):
    """Mean and standard deviation of a fitted forecaster from many origins."""
    values = np.asarray(values, dtype=float)
    return forecaster._moments_series(
        forecaster.states_[0], values, np.empty((len(values), 0)), np.asarray(positions), horizon
    )


# Against statsmodels ------------------------------------------------------------------------------------------------

FORMS = [("add", None, False, None), ("add", "add", True, "add"), ("mul", "add", False, None)]
FORMS += [("mul", "add", True, "add"), ("mul", "add", False, "mul"), ("mul", None, False, "mul")]


def estimated(error, trend, damped, season):
    """A form estimated by statsmodels, and the same in ours."""
    y = passengers()
    model = ETSModel(y, error=error, trend=trend, damped_trend=damped, seasonal=season, seasonal_periods=12)
    result = model.fit(disp=False, maxiter=50)
    found = dict(zip(model.param_names, result.params, strict=True))
    cycle = [value for name, value in found.items() if name.startswith("initial_seasonal")][::-1]
    form = EtsForm(
        error,
        season or "none",
        found["initial_level"],
        found.get("initial_trend", 0.0),
        np.array(cycle or [0.0]),
        found["smoothing_level"],
        found.get("smoothing_trend", 0.0),
        found.get("smoothing_seasonal", 0.0),
        found.get("damping_trend", 1.0) if trend else 0.0,
        np.sqrt(result.mse),
    )
    return y, result, form


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", FORMS, ids=str)
def test_ets_recursion_gives_the_forecasts_of_statsmodels(kind):
    y, result, form = estimated(*kind)
    mean, _ = ets_moments(form, y.to_numpy(), np.array([120]), 30)
    assert_allclose(mean[0], result.forecast(30), rtol=1e-4)
    one_step, _ = ets_moments(form, y.to_numpy(), np.arange(120), 1)
    assert_allclose(one_step[:, 0], result.fittedvalues, rtol=1e-4)


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", FORMS, ids=str)
def test_ets_spread_is_that_of_simulated_paths(kind):
    y, _, form = estimated(*kind)
    _, spread = ets_moments(form, y.to_numpy(), np.array([120]), 14)
    state = form.level, form.trend, list(form.seasonal)
    for value in y:
        state = step(form, *state, value=value)[1:]
    paths = []
    for shock in np.random.default_rng(0).normal(scale=form.sigma, size=(14, 20_000)):
        path, *state = step(form, *state, shock=shock)
        paths.append(path)
    assert_allclose(spread[0], np.std(paths, axis=1), rtol=0.04)


def step(form, level, trend, season, value=None, shock=None):
    """Table 2.2 and 2.3 of Hyndman et al. (2008), in relative errors where these multiply."""
    base = level + form.phi * trend
    forecast = base * season[0] if form.season == "mul" else base + season[0]
    if shock is None:
        shock = (value - forecast) / (forecast if form.error == "mul" else 1.0)
    error = shock * forecast if form.error == "mul" else shock
    by_level, by_season = (season[0], base) if form.season == "mul" else (1.0, 1.0)
    return (
        forecast + error,
        base + form.alpha * error / by_level,
        form.phi * trend + form.beta * error / by_level,
        [*season[1:], season[0] + form.gamma * error / by_season],
    )


@pytest.mark.parametrize("m", [1, 12])
def test_theta_gives_the_forecasts_of_statsmodels(m):
    y = passengers()
    if m == 12:
        expected = ThetaModel(y.to_numpy(), period=12, use_test=False).fit().forecast(18)
    else:
        expected = ThetaModel(y.to_numpy(), deseasonalize=False).fit().forecast(18)
    assert_allclose(Theta(season_length=m).fit(y).forecast(18), expected, rtol=1e-6)


def airline(y):
    """The airline model, its forecast by the state space form of statsmodels, and the same in ours."""
    result = SARIMAX(y, order=(0, 1, 1), seasonal_order=(0, 1, 1, 12)).filter([-0.4, -0.5, 0.02])
    season = np.zeros(13)
    season[0], season[12] = 1.0, -1.0
    ar = np.convolve([1.0, -1.0], season)
    ma = np.convolve([1.0, -0.4], np.where(season == -1, -0.5, season))
    return result, ArimaForm((0, 1, 1, 0, 1, 1), ar, ma, 0.0, np.empty(0), np.sqrt(0.02), 13, 0.0)


def test_arima_gives_forecasts_and_spread_of_statsmodels():
    y = np.log(passengers().to_numpy())
    result, form = airline(y)
    mean, spread = arima_moments(form, y, np.empty((150, 0)), np.array([120]), 30)
    expected = result.get_forecast(30)
    assert_allclose(mean[0], expected.predicted_mean, atol=2e-3)
    assert_allclose(spread[0], expected.se_mean, rtol=2e-3)


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.ConvergenceWarning")
def test_arima_estimates_are_those_of_maximum_likelihood():
    shocks = np.random.default_rng(3).normal(size=301)
    y = np.cumsum(np.cumsum(lfilter([1.0, 0.6], [1.0, -0.5], shocks)[1:]))
    form = fit_arima(y, np.empty((300, 0)), 1, 0)
    p, d, q = form.orders[:3]
    assert d == 2 and p + q > 0
    ar, _ = deconvolve(form.ar, [1.0, -2.0, 1.0])
    model = SARIMAX(np.diff(y, n=2), order=(p, 0, q))
    ours = model.loglike([*-ar[1:], *form.ma[1:], form.sigma**2])
    assert ours > model.fit(disp=False).llf - 0.1


def test_regression_slopes_are_found_under_autocorrelated_errors():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    y = x @ [3.0, -2.0] + np.cumsum(rng.normal(scale=0.3, size=400))
    form = fit_arima(y, x, 1, 0)
    assert form.orders[1] == 1
    assert_allclose(form.slopes, [3.0, -2.0], atol=0.05)


@pytest.mark.parametrize(("d", "seed"), [(0, 0), (1, 1), (2, 2)])
def test_differences_are_those_that_made_the_series(d, seed):
    values = np.random.default_rng(seed).normal(size=300)
    for _ in range(d):
        values = np.cumsum(values)
    assert choose_differences(values) == d


def test_waves_are_counted():
    t, noise = np.arange(400), np.random.default_rng(1).normal(scale=0.1, size=400)
    assert count_waves(noise, 52.0) == 0
    assert count_waves(np.sin(2 * np.pi * t / 52) + 0.5 * np.cos(6 * np.pi * t / 52) + noise, 52.0) == 3


# Many origins, gaps, no look-ahead ----------------------------------------------------------------------------------


@pytest.mark.parametrize("forecaster", ALL, ids=BEST)
def test_all_origins_at_once_equal_one_at_a_time_on_the_values_before(forecaster):
    values = passengers().to_numpy().copy()
    values[[0, 1, 5, 30, 31, 32, 70]] = NAN
    forecaster.set_params(season_length=12).fit(pd.Series(values))
    positions = np.array([120, 3, 31, 71, 33, 0, 1])
    together = moments(forecaster, values, positions)
    for k, p in enumerate(positions):
        alone = moments(forecaster, values[:p], [p])
        assert_allclose(together[0][k], alone[0][0], rtol=1e-12)
        assert_allclose(together[1][k], alone[1][0], rtol=1e-12)
    assert np.isfinite(together).all()


@pytest.mark.parametrize("forecaster", ALL, ids=BEST)
def test_later_values_change_no_forecast(forecaster):
    values = passengers().to_numpy()
    forecaster.set_params(season_length=12).fit(pd.Series(values))
    changed = np.concatenate([values[:60], 1e4 * np.random.default_rng(0).random(60)])
    for before, after in zip(
        moments(forecaster, values, np.arange(61)), moments(forecaster, changed, np.arange(61)), strict=True
    ):
        assert_array_equal(before, after)


@pytest.mark.parametrize("forecaster", ALL, ids=BEST)
def test_history_without_a_value_is_forecast_by_the_training_mean(forecaster):
    values = passengers().to_numpy()
    forecaster.set_params(season_length=12).fit(pd.Series(values))
    mean, spread = moments(forecaster, np.full(9, NAN), [0, 5, 9])
    assert_allclose(mean, values.mean())
    assert_allclose(spread, values.std())


def test_masked_step_moves_the_states_by_their_trend_only():
    form = EtsForm("add", "none", 10.0, 2.0, alpha=0.5, beta=0.1, phi=1.0, sigma=1.0)
    mean, _ = ets_moments(form, np.array([NAN, NAN]), np.array([0, 2]), 3)
    assert_allclose(mean, [[12, 14, 16], [16, 18, 20]])


def test_leading_gap_leaves_the_forecast_as_it_is():
    y = passengers()
    late = pd.concat([pd.Series(NAN, index=pd.period_range("1948-06", freq="M", periods=7)), y])
    for kind in (ETS, Theta, ARIMA, STLForecaster):
        assert_allclose(kind().fit(late).forecast(14), kind().fit(y).forecast(14))


def test_states_run_on_over_new_values_with_the_parameters_of_fit():
    y = passengers()
    forecaster = ETS(horizon=12).fit(y.iloc[:96])
    state = forecaster.states_[0]
    updated = forecaster.update(y.iloc[96:]).forecast()
    assert forecaster.states_[0] is state
    assert_allclose(updated, moments(forecaster, y, [120], 12)[0][0])


# Edges --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13, 25])
@pytest.mark.parametrize("forecaster", ALL, ids=BEST)
def test_short_series_get_finite_forecasts_near_their_values(forecaster, n):
    y = passengers().iloc[:n]
    forecast = forecaster.set_params(season_length="auto").fit(y).forecast(6, quantiles=[0.1, 0.5, 0.9])
    assert np.isfinite(forecast).all(axis=None)
    assert (forecast[0.5] > 0.5 * y.min()).all() and (forecast[0.5] < 2 * y.max()).all()


@pytest.mark.parametrize("value", [0.0, 7.0, -3e6])
@pytest.mark.parametrize("forecaster", ALL, ids=BEST)
def test_constant_series_is_continued_without_spread(forecaster, value):
    y = pd.Series(np.full(60, value), index=pd.date_range("2020-01-01", freq="MS", periods=60))
    forecast = forecaster.set_params(season_length="auto").fit(y).forecast(6, quantiles=[0.05, 0.95])
    assert_allclose(forecast, value, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
@pytest.mark.parametrize("forecaster", ALL, ids=BEST)
def test_unit_of_the_values_does_not_matter(forecaster, scale):
    y = passengers()
    forecaster.set_params(season_length="auto")
    assert_allclose(forecaster.fit(scale * y).forecast(12), scale * forecaster.fit(y).forecast(12), rtol=0.05)


def test_exponential_smoothing_ranks_a_season_above_none():
    values = passengers().to_numpy()
    assert fit_ets(values, 12).season == "mul"
    assert fit_ets(np.random.default_rng(0).normal(size=120), 12).season == "none"


def test_covariates_explain_what_the_season_cannot():
    y, rng = passengers(), np.random.default_rng(0)
    promotion = rng.normal(size=132)
    X = pd.DataFrame({"promotion": promotion}, index=pd.period_range("1949-01", freq="M", periods=132))
    forecaster = ARIMA(horizon=12).fit(X.iloc[:120], y + 80 * promotion[:120])
    flat = X.iloc[120:] * 0
    effect = forecaster.forecast(X=X.iloc[120:]) - forecaster.forecast(X=flat)
    assert_allclose(effect, 80 * promotion[120:], rtol=0.1)


def test_covariates_known_only_up_to_now_are_not_used():
    y = passengers()
    X = pd.DataFrame({"sensor": np.random.default_rng(0).normal(size=120)}, index=y.index)
    with_sensor = ARIMA(horizon=3, past_features=("sensor",)).fit(X, y)
    assert_array_equal(with_sensor.forecast(), ARIMA(horizon=3).fit(y).forecast())


# Accuracy -----------------------------------------------------------------------------------------------------------


def backtest_mae(forecaster, y, horizon, cutoffs):
    forecaster.set_params(season_length="auto").fit(y.iloc[: cutoffs[0]])
    forecaster.update(y.iloc[cutoffs[0] :])
    forecast = forecaster._forecast_origins(forecaster.panel_, np.asarray(cutoffs), horizon)[0]
    actual = np.array([y.to_numpy()[c : c + horizon] for c in cutoffs])
    return np.nanmean(np.abs(actual - forecast))


@pytest.mark.parametrize("forecaster", ALL, ids=BEST)
def test_seasonal_naive_is_beaten_on_passengers(forecaster):
    cutoffs = range(84, 109, 4)
    assert backtest_mae(forecaster, passengers(), 12, cutoffs) < 0.7 * backtest_mae(
        SeasonalNaive(), passengers(), 12, cutoffs
    )


@pytest.mark.parametrize("forecaster", ALL, ids=BEST)
def test_seasonal_naive_is_beaten_on_weekly_carbon_dioxide(forecaster):
    cutoffs = range(2000, 2259, 20)
    assert backtest_mae(forecaster, CO2, 26, cutoffs) < 0.5 * backtest_mae(SeasonalNaive(), CO2, 26, cutoffs)


@pytest.mark.parametrize("forecaster", [ETS, Theta, STLForecaster])
@pytest.mark.parametrize("n_weeks", [104, 300])
def test_noise_that_stl_takes_for_season_is_in_the_intervals(forecaster, n_weeks):
    """Of two years of weeks no noise was left: 90 % intervals held nothing; of six years 62 %."""
    held, t = [], np.arange(n_weeks + 13)
    for seed in range(8):
        values = 200 + 20 * np.sin(2 * np.pi * t / 52) + np.random.default_rng(seed).normal(0, 8.0, len(t))
        y = pd.Series(values, pd.date_range("2015-01-04", periods=len(t), freq="W"))
        found = forecaster(horizon=13).fit(y[:n_weeks]).forecast(interval=0.9)
        held.append(y[n_weeks:].between(found["lower"], found["upper"]))
    assert 0.7 < np.mean(held) < 0.97
